"""What a package costs whom, and how long it lasts: without a database (BEN-5, BEN-7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from app.core.errors import BadInput, DomainError
from app.core.points_expiry import add_months, local_day, start_of_day
from app.models.packages import DurationUnit, PriceReason, ValidityRule

RULES_MAX = 5
DAYS_MAX = 3_660
MONTHS_MAX = 120
PRICE_MAX = 100_000_000_00
_DAY = timedelta(days=1)


class TooManySalesRules(DomainError):
    """A package has at most five sales rules (BEN-5)."""

    def __init__(self, given: int) -> None:
        self.given = given
        self.at_most = RULES_MAX
        super().__init__(f"A package can have at most {RULES_MAX} sales rules.")


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a package lasts."""

    count: int
    unit: DurationUnit

    def require_sound(self) -> None:
        """Raise `BadInput` for a duration that no package has."""
        most = DAYS_MAX if self.unit is DurationUnit.DAYS else MONTHS_MAX
        if not 1 <= self.count <= most:
            raise BadInput(f"A package lasts 1 to {DAYS_MAX} days or 1 to {MONTHS_MAX} months.")

    def document(self) -> dict[str, Any]:
        return {"count": self.count, "unit": self.unit.value}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        return cls(document["count"], DurationUnit(document["unit"]))


@dataclass(frozen=True, slots=True)
class LimitedPrice:
    """A price for a time of its own; the end is not part of it."""

    price: int
    starts_at: datetime
    ends_at: datetime

    def applies(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesRule:
    """For how long a package can be bought, and at which prices, in minor units (BEN-5)."""

    duration: Duration
    original: int
    first_purchase: int | None = None
    repeat_purchase: int | None = None
    early_renewal: int | None = None
    limited: LimitedPrice | None = None

    def require_sound(self) -> None:
        """Raise `BadInput` for what no sales rule can say."""
        self.duration.require_sound()
        limited = self.limited
        prices = (
            self.original, self.first_purchase, self.repeat_purchase, self.early_renewal,
            None if limited is None else limited.price,
        )  # fmt: skip
        if not all(price is None or 0 <= price <= PRICE_MAX for price in prices):
            raise BadInput(f"A price must lie between 0 and {PRICE_MAX}.")
        if limited is not None and limited.starts_at >= limited.ends_at:
            raise BadInput("A limited-time price must end after it starts.")

    def document(self) -> dict[str, Any]:
        limited = self.limited
        return {
            "duration": self.duration.document(),
            "original": self.original,
            "first_purchase": self.first_purchase,
            "repeat_purchase": self.repeat_purchase,
            "early_renewal": self.early_renewal,
            "limited": None
            if limited is None
            else {
                "price": limited.price,
                "starts_at": limited.starts_at.isoformat(),
                "ends_at": limited.ends_at.isoformat(),
            },
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        limited = document["limited"]
        return cls(
            duration=Duration.from_document(document["duration"]),
            original=document["original"],
            first_purchase=document["first_purchase"],
            repeat_purchase=document["repeat_purchase"],
            early_renewal=document["early_renewal"],
            limited=None
            if limited is None
            else LimitedPrice(
                limited["price"],
                datetime.fromisoformat(limited["starts_at"]),
                datetime.fromisoformat(limited["ends_at"]),
            ),
        )


class History(NamedTuple):
    """What a member had of a package before."""

    has_bought: bool
    """Ever, one given back included: its first purchase was had."""
    is_running: bool
    """Whether the card has one that has not ended."""


class Price(NamedTuple):
    """What is asked, and which of the prices that is."""

    amount: int
    reason: PriceReason


class Period(NamedTuple):
    """From when, and the first instant after it."""

    starts_at: datetime
    ends_at: datetime


def require_rules(rules: Sequence[SalesRule]) -> None:
    """Raise `TooManySalesRules` for a sixth rule, `BadInput` for none or an unsound one (BEN-5)."""
    if len(rules) > RULES_MAX:
        raise TooManySalesRules(len(rules))
    if not rules:
        raise BadInput("A package needs at least one sales rule.")
    for rule in rules:
        rule.require_sound()


def price_of(rule: SalesRule, history: History, now: datetime) -> Price:
    """The lowest price that applies now, and which it is (BEN-5).

    Of equal ones the first of original, first purchase, repeat, early renewal, limited time: a
    special price is named where it makes a difference.
    """
    limited = rule.limited if rule.limited is not None and rule.limited.applies(now) else None
    candidates = (
        (rule.original, PriceReason.ORIGINAL),
        (None if history.has_bought else rule.first_purchase, PriceReason.FIRST_PURCHASE),
        (rule.repeat_purchase if history.has_bought else None, PriceReason.REPEAT_PURCHASE),
        (rule.early_renewal if history.is_running else None, PriceReason.EARLY_RENEWAL),
        (None if limited is None else limited.price, PriceReason.LIMITED_TIME),
    )
    applying = [Price(amount, reason) for amount, reason in candidates if amount is not None]
    return min(applying, key=lambda price: price.amount)


def period(
    rule: ValidityRule,
    duration: Duration,
    *,
    bought_at: datetime,
    zone: ZoneInfo,
    follows: datetime | None = None,
) -> Period:
    """When what is bought begins and ends, in UTC; `follows` is the end of what it renews (BEN-7).

    A renewal begins that very instant, whatever the rule. Days are counted from then on: where it
    is no midnight, because the rule was another one before, the rest of that day is the first of
    them, or with FROM_NEXT_DAY comes on top.
    """
    starts_at = bought_at if follows is None else follows
    day = local_day(starts_at, zone)
    match rule:
        case ValidityRule.IMMEDIATE:
            return Period(starts_at, _same_time(starts_at, duration, zone))
        case ValidityRule.FROM_PURCHASE_DATE:
            return Period(starts_at, _day_after(day, duration, zone))
        case ValidityRule.FROM_NEXT_DAY:
            if follows is None:
                starts_at = start_of_day(day + _DAY, zone)
            is_midnight = starts_at == start_of_day(local_day(starts_at, zone), zone)
            first_day = local_day(starts_at, zone) if is_midnight else day + _DAY
            return Period(starts_at, _day_after(first_day, duration, zone))


def _same_time(at: datetime, duration: Duration, zone: ZoneInfo) -> datetime:
    """The same time on the wall so much later; a clock that skips it goes by the hour before."""
    wall = at.astimezone(zone)
    return datetime.combine(
        _later(wall.date(), duration), wall.timetz().replace(fold=0)
    ).astimezone(UTC)


def _day_after(first_day: date, duration: Duration, zone: ZoneInfo) -> datetime:
    """The start of the day after the last one; a month from 31 January ends with February."""
    day = _later(first_day, duration)
    is_cut_short = duration.unit is DurationUnit.MONTHS and day.day < first_day.day
    return start_of_day(day + _DAY if is_cut_short else day, zone)


def _later(day: date, duration: Duration) -> date:
    if duration.unit is DurationUnit.DAYS:
        return day + duration.count * _DAY
    return add_months(day, duration.count)
