"""When points are cleared: at a midnight on the wall of a time zone (PTS-4).

Months are added by the calendar: a month after 31 January is the last of February. A day begins
at its midnight; where the clock skips that, at the first instant after the gap, and where the clock
goes back over it to the day before, at the second.
"""

from bisect import bisect_left
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from app.core.errors import BadInput

EXPIRY_MONTHS_MAX: Final = 120
EXPIRY_YEARS_MAX: Final = 20

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


class PointsExpiry(StrEnum):
    """How long earned points last (PTS-4)."""

    PERMANENT = "PERMANENT"
    MONTHLY = "MONTHLY"
    DAILY = "DAILY"
    YEARLY = "YEARLY"
    WITH_TIER = "WITH_TIER"
    ROLLING = "ROLLING"


def require_expiry(rule: PointsExpiry, count: int) -> None:
    """Raise `BadInput` for a count of months, or of years if YEARLY, that a rule cannot have.

    PERMANENT and WITH_TIER do not read it.
    """
    match rule:
        case PointsExpiry.MONTHLY | PointsExpiry.DAILY | PointsExpiry.ROLLING:
            if not 0 <= count <= EXPIRY_MONTHS_MAX:
                raise BadInput(f"Points last 0 to {EXPIRY_MONTHS_MAX} months.")
        case PointsExpiry.YEARLY:
            if not 0 <= count <= EXPIRY_YEARS_MAX:
                raise BadInput(f"Points last 0 to {EXPIRY_YEARS_MAX} years.")
        case PointsExpiry.PERMANENT | PointsExpiry.WITH_TIER:
            pass


def expires_at(
    rule: PointsExpiry, count: int, earned_at: datetime, zone: ZoneInfo
) -> datetime | None:
    """When points earned at an instant are cleared, in UTC; None if no date says it (PTS-4).

    ROLLING counts from the last purchase, given as `earned_at`. Raises `BadInput` as
    `require_expiry` does.
    """
    require_expiry(rule, count)
    day = local_day(earned_at, zone)
    match rule:
        case PointsExpiry.MONTHLY:
            return start_of_day(next_month(add_months(day, count)), zone)
        case PointsExpiry.DAILY | PointsExpiry.ROLLING:
            return start_of_day(add_months(day, count) + _DAY, zone)
        case PointsExpiry.YEARLY:
            # The 1 January after the anniversary, which may itself be a 1 January.
            return start_of_day(date(day.year + count + 1, 1, 1), zone)
        case PointsExpiry.PERMANENT | PointsExpiry.WITH_TIER:
            return None


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or earlier if negative; at most that month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def next_month(day: date) -> date:
    """The first day of the month after this day's."""
    return add_months(day.replace(day=1), 1)


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """The day on the wall of a zone at an instant."""
    assert at.tzinfo is not None, "a naive time is our mistake"
    return at.astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, from which on the zone's calendar never shows an earlier day."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    first, second = midnight.astimezone(UTC), midnight.replace(fold=1).astimezone(UTC)
    if first == second:
        return first
    if first < second:
        # The clock reads midnight twice. In Havana both lie in this day; in St. John's, where it
        # went back at 00:01, an hour of the day before follows the first.
        return second if local_day(second - _SECOND, zone) < day else first
    # The clock skips midnight, which would have come later by the offset before the gap (`first`)
    # than by the one after it: the gap lies between, on a whole second.
    seconds = range(int((first - second).total_seconds()))
    passed = bisect_left(
        seconds, True, key=lambda count: local_day(second + count * _SECOND, zone) >= day
    )
    return second + passed * _SECOND
