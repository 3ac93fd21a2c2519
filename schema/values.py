"""Amounts of value of any kind: money, points, growth."""

from typing import Protocol, Self

import strawberry

from app.models.ledger import AccountKind
from schema.enums import describe
from schema.scalars import Long

__all__ = ["AccountKind", "HasAmount", "ValueAmount"]

describe(
    AccountKind,
    "A kind of value that a card holds.",
    {
        "CASH": "Stored value that was paid in.",
        "BONUS": "Stored value that came as a bonus.",
        "POINTS": "Points, which are spent.",
        "GROWTH": "Growth, which tiers go by and nobody spends.",
    },
)


class HasAmount(Protocol):
    @property
    def kind(self) -> AccountKind: ...
    @property
    def unit(self) -> str: ...
    @property
    def amount(self) -> int: ...


@strawberry.type(description="An amount of one kind of value.")
class ValueAmount:
    kind: AccountKind = strawberry.field(description="Which kind.")
    unit: str = strawberry.field(description="An ISO 4217 currency code, POINTS or GROWTH.")
    amount: Long = strawberry.field(description="In minor units of the currency, or in points.")

    @classmethod
    def of(cls, found: HasAmount) -> Self:
        return cls(kind=found.kind, unit=found.unit, amount=Long(found.amount))
