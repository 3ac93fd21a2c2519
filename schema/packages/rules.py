"""Sales rules: for how long a package is sold, and at which prices (BEN-5)."""

from datetime import datetime
from typing import Self

import strawberry

from app.models.packages import DurationUnit, PriceReason
from app.services.packages import rules
from schema.enums import describe
from schema.problems import Problem, shown_as
from schema.scalars import Long, Money

describe(
    DurationUnit,
    "What the duration of a package is counted in.",
    {"DAYS": "Days.", "MONTHS": "Months of the calendar."},
)
describe(
    PriceReason,
    "Which of a sales rule's prices is the lowest that applies.",
    {
        "ORIGINAL": "The original price.",
        "FIRST_PURCHASE": "That for members who never bought this package, also on another card.",
        "REPEAT_PURCHASE": "That for members who bought it before, if only to give it back.",
        "EARLY_RENEWAL": "That for a card that has one which has not ended.",
        "LIMITED_TIME": "That of a limited time, for everybody.",
    },
)
_PRICE = f"minor units of the package's currency, 0 to {rules.PRICE_MAX:,}"


@strawberry.type(description="How long a package lasts.")
class PackageDuration:
    count: int = strawberry.field(description="How many days or months.")
    unit: DurationUnit = strawberry.field(description="Of what.")

    @classmethod
    def of(cls, duration: rules.Duration) -> Self:
        return cls(count=duration.count, unit=duration.unit)


@strawberry.type(description="A price for a time of its own.")
class PackageLimitedPrice:
    price: Money = strawberry.field(description="The price.")
    starts_at: datetime = strawberry.field(description="From when on.")
    ends_at: datetime = strawberry.field(description="The first moment without it.")


@strawberry.type(description="One way to buy a package: a duration and its prices.")
class PackageSalesRule:
    duration: PackageDuration = strawberry.field(description="How long the package lasts.")
    original: Money = strawberry.field(description="The original price.")
    first_purchase: Money | None = strawberry.field(
        description="The price of a first purchase; null is none of its own."
    )
    repeat_purchase: Money | None = strawberry.field(
        description="The price of a repeated purchase; null is none of its own."
    )
    early_renewal: Money | None = strawberry.field(
        description="The price of a renewal before the end; null is none of its own."
    )
    limited: PackageLimitedPrice | None = strawberry.field(
        description="The price for some time; null is none."
    )

    @classmethod
    def of(cls, rule: rules.SalesRule, currency: str) -> Self:
        def shown(price: int | None) -> Money | None:
            return None if price is None else Money.of(price, currency)

        limited = rule.limited
        return cls(
            duration=PackageDuration.of(rule.duration),
            original=Money.of(rule.original, currency),
            first_purchase=shown(rule.first_purchase),
            repeat_purchase=shown(rule.repeat_purchase),
            early_renewal=shown(rule.early_renewal),
            limited=None
            if limited is None
            else PackageLimitedPrice(
                price=Money.of(limited.price, currency),
                starts_at=limited.starts_at,
                ends_at=limited.ends_at,
            ),
        )


@strawberry.input(description="How long a package lasts.")
class PackageDurationInput:
    count: int = strawberry.field(
        description=f"1 to {rules.DAYS_MAX:,} days or 1 to {rules.MONTHS_MAX} months."
    )
    unit: DurationUnit = strawberry.field(description="Of what.")


@strawberry.input(description="A price for a time of its own.")
class PackageLimitedPriceInput:
    price: Long = strawberry.field(description=f"The price, {_PRICE}.")
    starts_at: datetime = strawberry.field(description="From when on.")
    ends_at: datetime = strawberry.field(description="The first moment without it.")


@strawberry.input(description="One way to buy a package: a duration and its prices.")
class PackageSalesRuleInput:
    duration: PackageDurationInput = strawberry.field(description="How long the package lasts.")
    original: Long = strawberry.field(description=f"The original price, {_PRICE}.")
    first_purchase: Long | None = strawberry.field(
        default=None, description=f"The price of a first purchase, {_PRICE}; null is none."
    )
    repeat_purchase: Long | None = strawberry.field(
        default=None, description=f"The price of a repeated purchase, {_PRICE}; null is none."
    )
    early_renewal: Long | None = strawberry.field(
        default=None,
        description=f"The price of a renewal before the end, {_PRICE}; null is none.",
    )
    limited: PackageLimitedPriceInput | None = strawberry.field(
        default=None, description="A price for some time; null is none."
    )

    def rule(self) -> rules.SalesRule:
        limited = self.limited
        return rules.SalesRule(
            duration=rules.Duration(self.duration.count, self.duration.unit),
            original=self.original,
            first_purchase=self.first_purchase,
            repeat_purchase=self.repeat_purchase,
            early_renewal=self.early_renewal,
            limited=None
            if limited is None
            else rules.LimitedPrice(limited.price, limited.starts_at, limited.ends_at),
        )


@strawberry.type(description="A package has at most five sales rules.")
class TooManySalesRules(Problem):
    given: int = strawberry.field(description="How many were given.")
    at_most: int = strawberry.field(description="How many there can be.")

    @classmethod
    def of(cls, error: rules.TooManySalesRules) -> Self:
        return cls(message=str(error), given=error.given, at_most=error.at_most)


HANDLERS = [shown_as(TooManySalesRules, rules.TooManySalesRules)]
