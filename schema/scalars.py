"""Scalars and small shared types: 64-bit integers, money, ids."""

from datetime import UTC, datetime
from typing import Any, NewType, Self

import strawberry
from graphql import GraphQLError

from app.core.money import Money as MoneyValue

INT64_MAX = 2**63 - 1


def _long(value: Any) -> int:
    # bool is an int in Python, and no amount.
    if type(value) is not int or not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise GraphQLError(f"Long must be a whole number of at most 64 bits: {str(value)[:40]}")
    return value


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("no offset")
        return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise GraphQLError(
            f"DateTime must be a moment with its offset: {str(value)[:40]}"
        ) from None


Long = NewType("Long", int)
CurrencyCode = NewType("CurrencyCode", str)

LONG = strawberry.scalar(
    name="Long",
    description="A whole number of up to 64 bits: minor units, points, growth.",
    serialize=int,
    parse_value=_long,
)
CURRENCY_CODE = strawberry.scalar(
    name="CurrencyCode",
    description="A currency's ISO 4217 code, such as CNY.",
    serialize=str,
    parse_value=str,
)
DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A moment, by ISO 8601 with its offset: 2026-09-01T12:00:00Z.",
    serialize=datetime.isoformat,
    parse_value=_moment,
)
SCALARS: dict[object, Any] = {
    Long: LONG,
    CurrencyCode: CURRENCY_CODE,
    datetime: DATE_TIME,
}


@strawberry.type(description="An amount of money.")
class Money:
    amount: Long = strawberry.field(description="In the currency's minor units: 12.50 CNY is 1250.")
    currency: CurrencyCode = strawberry.field(description="The currency of the amount.")

    @classmethod
    def of(cls, amount: int, currency: str) -> Self:
        return cls(amount=Long(amount), currency=CurrencyCode(currency))


@strawberry.input(description="An amount of money.")
class MoneyInput:
    amount: Long = strawberry.field(description="In the currency's minor units: 12.50 CNY is 1250.")
    currency: CurrencyCode = strawberry.field(description="The currency of the amount.")

    def value(self) -> MoneyValue:
        return MoneyValue(self.amount, self.currency)
