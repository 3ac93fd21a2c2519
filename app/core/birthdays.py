"""When a birthday is kept: the day, its calendar week, its month (BEN-2).

Who was born on 29 February keeps it on 28 February in common years, so that day, week and month
always lie in the month of birth.
"""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from app.core.points_expiry import local_day, next_month, start_of_day

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)


class BirthdayPeriod(StrEnum):
    DAY = "DAY"
    WEEK = "WEEK"
    """From Monday to Sunday around the day."""
    MONTH = "MONTH"


class Kept(NamedTuple):
    """Instants from `begin` up to, but not including, `end`; in UTC."""

    begin: datetime
    end: datetime


def anniversary(born: date, year: int) -> date:
    """The day on which a birthday is kept in a year."""
    try:
        return born.replace(year=year)
    except ValueError:  # 29 February, in a common year
        return date(year, 2, 28)


def kept_around(born: date, period: BirthdayPeriod, *, at: datetime, zone: ZoneInfo) -> Kept:
    """The time in which the birthday is kept: that which `at` lies in, or the next one."""
    today = local_day(at, zone)
    # A week can reach into the year before, as that of 1 January, and into the one after.
    for year in range(today.year - 1, today.year + 2):
        first, after = _days(anniversary(born, year), period)
        if today < after:
            return Kept(start_of_day(first, zone), start_of_day(after, zone))
    raise AssertionError("every year has a birthday")


def _days(day: date, period: BirthdayPeriod) -> tuple[date, date]:
    """The first day that belongs to it, and the first that does no longer."""
    match period:
        case BirthdayPeriod.DAY:
            return day, day + _DAY
        case BirthdayPeriod.WEEK:
            monday = day - day.weekday() * _DAY
            return monday, monday + _WEEK
        case BirthdayPeriod.MONTH:
            return day.replace(day=1), next_month(day)
