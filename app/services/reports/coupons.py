"""Coupons over a period: how many were issued and what became of them, and what they cost (FIN-2).

What is counted are the coupons of templates made at the perspective or below it, wherever they were
used; so the lines of every grouping add up to the same. A use costs what it took off on the day of
the bill, and gives that back on the day the bill was voided: no day that was told changes later.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal
from sqlmodel import col, func, select

from app.core.db import Statement, Transaction, statement
from app.models.coupons import Coupon, CouponState, CouponTemplate, CouponUse, CouponUseState
from app.models.organisation import Node
from app.services import coupons, organisation
from app.services.actors import Actor
from app.services.reports.movements import sum_of
from app.services.reports.quarters import day_of, quarter_of
from app.services.reports.subjects import Subject, subject


class CouponGrouping(StrEnum):
    TEMPLATE = "TEMPLATE"
    STORE = "STORE"
    DAY = "DAY"


class CouponEvent(StrEnum):
    """What becomes of a coupon; each is called like its field of `Figures`."""

    ISSUED = "issued"
    USED = "used"
    RETURNED = "returned"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class _Counted(NamedTuple):
    """How often something happened, for one key of a grouping."""

    key: Any
    currency: str
    number: int
    took_off: int


class _Happening(NamedTuple):
    """Where an event is written down: when, at which store, and what besides makes it one."""

    at: Any
    store_id: Any
    took_off: Any = literal(0)
    conditions: tuple[Any, ...] = ()


def _ended(state: CouponState) -> _Happening:
    return _Happening(
        col(Coupon.ended_at), col(Coupon.store_id), conditions=(col(Coupon.state) == state,)
    )


_took_off = func.coalesce(col(CouponUse.took_off), 0)
HAPPENINGS = {
    CouponEvent.ISSUED: _Happening(col(Coupon.issued_at), col(Coupon.store_id)),
    CouponEvent.USED: _Happening(col(CouponUse.used_at), col(CouponUse.store_id), _took_off),
    CouponEvent.RETURNED: _Happening(
        col(CouponUse.ended_at),
        col(CouponUse.store_id),
        _took_off,
        (col(CouponUse.state) == CouponUseState.RETURNED,),
    ),
    CouponEvent.EXPIRED: _ended(CouponState.EXPIRED),
    CouponEvent.WITHDRAWN: _ended(CouponState.WITHDRAWN),
}
OF_BILLS = {CouponEvent.USED, CouponEvent.RETURNED}


def _counts(event: CouponEvent, grouping: CouponGrouping) -> Statement[_Counted]:
    happening = HAPPENINGS[event]
    keys = {
        CouponGrouping.TEMPLATE: col(CouponTemplate.id),
        CouponGrouping.STORE: happening.store_id,
        CouponGrouping.DAY: quarter_of(happening.at),
    }
    query: Any = (
        select(
            keys[grouping].label("key"),
            CouponTemplate.currency,
            func.count().label("number"),
            sum_of(happening.took_off, "took_off"),
        )
        .select_from(CouponTemplate)
        .join(Coupon, col(Coupon.template_id) == col(CouponTemplate.id))
    )
    if event in OF_BILLS:
        query = query.join(CouponUse, col(CouponUse.coupon_id) == col(Coupon.id))
    return statement(
        query.where(
            col(CouponTemplate.group_id) == bindparam("group_id"),
            organisation.lies_under(col(CouponTemplate.perspective_id)),
            happening.at >= bindparam("starts_at"),
            happening.at < bindparam("ends_at"),
            *happening.conditions,
        ).group_by("key", col(CouponTemplate.currency)),
        into=_Counted,
    )


COUNTS = {
    (event, grouping): _counts(event, grouping)
    for event in CouponEvent
    for grouping in CouponGrouping
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What happened to coupons in the period; amounts in minor units."""

    issued: int = 0
    used: int = 0
    returned: int = 0
    """How many bills that had used one were voided."""
    expired: int = 0
    withdrawn: int = 0
    took_off: int = 0
    given_back: int = 0
    """What had been taken off the bills that were voided."""

    @property
    def cost(self) -> int:
        return self.took_off - self.given_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One template, store or day, in one currency; None where coupons have none."""

    currency: str
    figures: Figures
    template: CouponTemplate | None = None
    store: Node | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponCosts:
    about: Subject
    grouping: CouponGrouping
    lines: list[Line]
    totals: list[Line]
    """One a currency."""


async def report(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    from_day: date,
    to_day: date,
    grouping: CouponGrouping,
    now: datetime,
) -> CouponCosts:
    """What became of coupons in the period and what they cost (FIN-2). Raises `Forbidden`,
    `BadInput`."""
    about = await subject(
        tx, actor, perspective_id=perspective_id, from_day=from_day, to_day=to_day, now=now
    )
    return await of(tx, about, grouping=grouping)


async def of(tx: Transaction, about: Subject, *, grouping: CouponGrouping) -> CouponCosts:
    """The same of a subject that was checked."""
    by_key: defaultdict[tuple[Any, str], defaultdict[str, int]]
    by_key = defaultdict(lambda: defaultdict(int))
    by_currency: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for event in CouponEvent:
        for each in await tx.all(
            COUNTS[event, grouping],
            group_id=about.perspective.group_id,
            node_ids=[about.perspective.id],
            starts_at=about.period.starts_at,
            ends_at=about.period.ends_at,
        ):
            is_day = grouping is CouponGrouping.DAY
            key = day_of(each.key, about.period.zone) if is_day else each.key
            for found in (by_key[key, each.currency], by_currency[each.currency]):
                found[event] += each.number
                if event in OF_BILLS:
                    found["took_off" if event is CouponEvent.USED else "given_back"] += (
                        each.took_off
                    )
    named = await _named(tx, grouping, {key for key, _ in by_key if key is not None})
    lines = [
        Line(
            currency=currency,
            figures=Figures(**numbers),
            **{grouping.lower(): named.get(key, key)},
        )
        for (key, currency), numbers in by_key.items()
    ]
    return CouponCosts(
        about=about,
        grouping=grouping,
        lines=sorted(lines, key=_order),
        totals=[
            Line(currency=currency, figures=Figures(**numbers))
            for currency, numbers in sorted(by_currency.items())
        ],
    )


async def _named(
    tx: Transaction, grouping: CouponGrouping, ids: set[Any]
) -> dict[Any, CouponTemplate] | dict[Any, Node]:
    """The rows behind the keys of a grouping; days speak for themselves."""
    match grouping:
        case CouponGrouping.TEMPLATE:
            return dict(await coupons.templates_by_ids(tx, ids))
        case CouponGrouping.STORE:
            return dict(await organisation.nodes(tx, list(ids)))
        case CouponGrouping.DAY:
            return {}


def _order(line: Line) -> tuple[Any, ...]:
    """By day, else by name; what has none comes last."""
    named = line.template or line.store
    name = named.name if named else ""
    key = str(named.id) if named else ""
    return (line.day or date.max, named is None, name, key, line.currency)
