"""How long a tier lasts, over which months growth counts, and when all is recomputed.

Days are those of a time zone, and begin as `points_expiry.start_of_day` says (TIR-2 to TIR-4).
"""

from calendar import monthrange
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from app.core.errors import BadInput
from app.core.points_expiry import add_months, local_day, next_month, start_of_day

TIER_MONTHS_MAX: Final = 120
CYCLES_MONTHS: Final = (1, 2, 3, 4, 6, 12)
"""The divisors of a year: every cycle begins with January."""
LAST_DAY: Final = 31
"""As a calculation day: the last of its month."""
CALCULATION_DAYS: Final = (*range(1, 29), LAST_DAY)

_DAY: Final = timedelta(days=1)


class TierValidity(StrEnum):
    """How long a tier lasts after an upgrade (TIR-4)."""

    DAY_AFTER_MONTHS = "DAY_AFTER_MONTHS"
    END_OF_MONTH = "END_OF_MONTH"
    PERMANENT = "PERMANENT"


def require_validity(rule: TierValidity, months: int) -> None:
    """Raise `BadInput` for months that a rule cannot have; PERMANENT does not read them."""
    if rule is not TierValidity.PERMANENT:
        require_months(months)


def require_months(months: int) -> None:
    """Raise `BadInput` for a number of months that tiers do not reckon with."""
    if not 1 <= months <= TIER_MONTHS_MAX:
        raise BadInput(f"Tiers reckon with 1 to {TIER_MONTHS_MAX} months.")


def require_cycle(*, cycle_months: int, day: int) -> None:
    """Raise `BadInput` unless a calculation day comes once in every cycle (TIR-3)."""
    if cycle_months not in CYCLES_MONTHS:
        raise BadInput("A cycle lasts 1, 2, 3, 4, 6 or 12 months.")
    if day not in CALCULATION_DAYS:
        raise BadInput("A calculation day is 1 to 28, or 31 for the last day of the month.")


def valid_until(
    rule: TierValidity, months: int, from_at: datetime, zone: ZoneInfo
) -> datetime | None:
    """When a tier reached at `from_at` expires: the first instant, in UTC, without it (TIR-4).

    None if it is permanent. Raises `BadInput` as `require_validity` does.
    """
    require_validity(rule, months)
    day = local_day(from_at, zone)
    match rule:
        case TierValidity.DAY_AFTER_MONTHS:
            return start_of_day(add_months(day, months) + _DAY, zone)
        case TierValidity.END_OF_MONTH:
            return start_of_day(next_month(add_months(day, months)), zone)
        case TierValidity.PERMANENT:
            return None


def window_start(now: datetime, months: int, zone: ZoneInfo) -> datetime:
    """Where "the last X months" begin: in UTC, with the day X months ago (TIR-2).

    Raises `BadInput` as `require_months` does.
    """
    require_months(months)
    return start_of_day(add_months(local_day(now, zone), -months), zone)


def next_calculation(after: datetime, *, cycle_months: int, day: int, zone: ZoneInfo) -> datetime:
    """The first start of a calculation day later than `after`, in UTC (TIR-3).

    Cycles are counted from January; `day` 31 is the last of the month. Raises `BadInput` as
    `require_cycle` does.
    """
    require_cycle(cycle_months=cycle_months, day=day)
    this_month = local_day(after, zone).replace(day=1)
    # This month's calculation may be over; then the next is exactly a cycle away.
    for ahead in range(cycle_months + 1):
        first = add_months(this_month, ahead)
        if (first.month - 1) % cycle_months:
            continue
        last = monthrange(first.year, first.month)[1]
        begins_at = start_of_day(first.replace(day=min(day, last)), zone)
        if begins_at > after:
            return begins_at
    raise AssertionError("a cycle without a calculation day")
