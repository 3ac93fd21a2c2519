"""What lists of things beyond a limit have in common (TOP-11)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import or_
from sqlmodel import col, func, select

from app.core.crypto import masked_name
from app.models.compliance import RealName
from app.models.members import Member

ROWS_MAX = 1_000
"""Of each list; how many there are in all is told beside it."""

T = TypeVar("T")

how_many = func.count().over().label("how_many")
# The record of whoever the member was merged into counts as well.
documented_at = (
    select(func.min(RealName.recorded_at))
    .where(
        or_(
            col(RealName.member_id) == col(Member.id),
            col(RealName.member_id) == col(Member.merged_into_id),
        )
    )
    .correlate(Member)
    .scalar_subquery()
)
"""When a document of the query's member was recorded."""


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """The first of a list, and how many there are in all."""

    rows: list[T]
    how_many: int


def listed(rows: Sequence[Any], shown: Callable[[Any], T]) -> Listed[T]:
    return Listed([shown(row) for row in rows], rows[0].how_many if rows else 0)


def lowest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def reaches(amount: int, threshold: int | None) -> bool:
    return threshold is not None and amount >= threshold


def masked(name: str | None) -> str:
    return masked_name(name) if name else ""
