"""When something applies: the one schedule scope used everywhere (ORG-5).

The sign on the door and the clock on the wall decide: a schedule is open at an instant if the
clock in its time zone then reads a day and time inside a window. From this follows:

- A window ends before its last minute is over: 09:00–18:00 is closed at 18:00:00.
- A window whose end is not after its start crosses midnight and belongs to the day it starts on:
  Friday 22:00–02:00 is open on Saturday at 01:00 though Saturday is no day of the recurrence.
  18:00–00:00 ends at midnight. An equal start and end is refused: it could mean a day or nothing;
  the whole day is `AllDay`.
- In spring, 01:30–03:00 in New York lasts half an hour, since the clock never reads 02:00 to
  02:59, and 02:15–02:45 does not happen. In autumn 01:00–01:30 happens twice, and 00:30–01:30
  closes at the first 01:30 and opens again at the second 01:00. `AllDay` has 23 or 25 hours.
- A day the zone leaves out (30 December 2011 in Apia) does not happen. Neither does the 31st of
  February: it is skipped, and "last day" is for those who mean the 28th.
- Dates given one by one are still subject to the recurrence: a window opens on days that both name.
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from app.core.errors import BadInput

# Validity and dates outside these years are slips of the hand, and "forever" is no end at all.
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199

MAX_DATES: Final = 366
MAX_WINDOWS_PER_DATE: Final = 8

# Two days of one recurrence lie at most 62 days apart (the 31st around a month without one).
# Twice that leaves room for a day or window that the zone leaves out.
SEARCH_DAYS: Final = 124

_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = time()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Daily:
    """Every day."""

    def includes(self, day: date) -> bool:
        return True

    @property
    def is_every_day(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Weekly:
    """On ISO weekdays: 1 is Monday, 7 is Sunday."""

    days: frozenset[int]

    def __post_init__(self) -> None:
        if not self.days or not self.days <= set(range(1, 8)):
            raise BadInput("A weekly schedule needs days from 1 (Monday) to 7 (Sunday).")

    def includes(self, day: date) -> bool:
        return day.isoweekday() in self.days

    @property
    def is_every_day(self) -> bool:
        return len(self.days) == 7


@dataclass(frozen=True, slots=True)
class Monthly:
    """On days of the month, and on its last one if asked; a month without the day skips it."""

    days: frozenset[int] = frozenset()
    last_day: bool = False

    def __post_init__(self) -> None:
        if not self.days <= set(range(1, 32)) or not (self.days or self.last_day):
            raise BadInput("A monthly schedule needs days from 1 to 31 or the last day.")

    def includes(self, day: date) -> bool:
        if day.day in self.days:
            return True
        return self.last_day and day.day == monthrange(day.year, day.month)[1]

    @property
    def is_every_day(self) -> bool:
        # Where a month has a 31st, that is its last day.
        return self.days >= set(range(1, 31)) and (31 in self.days or self.last_day)


@dataclass(frozen=True, slots=True)
class AllDay:
    """From midnight to midnight."""


@dataclass(frozen=True, slots=True)
class Window:
    """Times on the wall in whole minutes, the end excluded; end before start crosses midnight."""

    start: time
    end: time

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment.tzinfo or moment.second or moment.microsecond:
                raise BadInput("A window starts and ends on a whole minute, without a zone.")
        if self.start == self.end:
            raise BadInput("A window with equal start and end is ambiguous: say all day instead.")

    def on(self, day: date) -> tuple[datetime, datetime]:
        """Its begin and end on the wall if it starts on this day."""
        end_day = day if self.start < self.end else day + _DAY
        return datetime.combine(day, self.start), datetime.combine(end_day, self.end)


@dataclass(frozen=True, slots=True)
class ByDate:
    """Windows given for each date, in the order of the dates; no other date has any."""

    dates: Mapping[date, tuple[Window, ...]]

    def __post_init__(self) -> None:
        if not 1 <= len(self.dates) <= MAX_DATES:
            raise BadInput(f"A schedule by date needs between 1 and {MAX_DATES} dates.")
        for day, windows in self.dates.items():
            _check_year(day)
            if not 1 <= len(windows) <= MAX_WINDOWS_PER_DATE:
                raise BadInput(f"{day} needs between 1 and {MAX_WINDOWS_PER_DATE} windows.")
        object.__setattr__(self, "dates", MappingProxyType(dict(sorted(self.dates.items()))))


Recurrence = Daily | Weekly | Monthly
Windows = AllDay | Window | ByDate


class Span(NamedTuple):
    """Instants from `begin` up to, but not including, `end`; in UTC."""

    begin: datetime
    end: datetime


class OpenState(NamedTuple):
    """What a page says about a schedule: open until when, or closed until when."""

    open: bool
    next_opening: datetime | None
    closes_at: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Open from `starts_at` up to `ends_at`, on the recurrence's days, within the windows.

    `time_zone` is an IANA name. Raises `BadInput` where the parts make no schedule. Instants are
    aware datetimes; those given back are in UTC.
    """

    time_zone: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    recurrence: Recurrence = Daily()
    windows: Windows = AllDay()

    def __post_init__(self) -> None:
        if self.time_zone not in _time_zones():
            raise BadInput(f"Not an IANA time zone: {self.time_zone[:40]!r}")
        for name in ("starts_at", "ends_at"):
            moment: datetime | None = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, _checked_utc(moment))
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            raise BadInput("A schedule ends after it starts.")

    def is_open(self, at: datetime) -> bool:
        """Whether the schedule applies at this instant."""
        if self.starts_at and at < self.starts_at:
            return False
        if self.ends_at and at >= self.ends_at:
            return False
        wall = self._wall(at)
        return any(
            begin <= wall < end
            for day in (wall.date() - _DAY, wall.date())
            for begin, end in self._on_the_wall(day)
        )

    def closes_at(self, at: datetime) -> datetime | None:
        """The first instant after `at` that is closed; None if closed already or open for ever."""
        if not self.is_open(at):
            return None
        if isinstance(self.windows, AllDay) and self.recurrence.is_every_day:
            return self.ends_at
        end = at
        for _ in range(MAX_DATES * MAX_WINDOWS_PER_DATE):
            # Spans may touch or overlap: follow them until none covers the end of the one before.
            day = self._wall(end).date()
            spans = [*self._spans(day - _DAY), *self._spans(day)]
            ends = [span.end for span in spans if span.begin <= end < span.end]
            if not ends:
                return end
            end = max(ends)
        raise AssertionError("a schedule with pauses closes within its bounds")

    def next_opening(self, at: datetime) -> datetime | None:
        """The first instant after `at` when the schedule, closed until then, opens.

        While it is open that is the opening after the next closing. None if there is none.
        """
        closed_from = self.closes_at(at) if self.is_open(at) else at
        if closed_from is None:
            return None
        earliest: datetime | None = None
        for day in self._days_from(closed_from):
            begins = [span.begin for span in self._spans(day) if span.begin > closed_from]
            if earliest:
                # One day more, because a clock set back over midnight lets the evening's second
                # reading come after the next day's first minutes.
                return min([earliest, *begins])
            earliest = min(begins, default=None)
        return earliest

    def explain(self, at: datetime) -> OpenState:
        """All three answers for one instant."""
        return OpenState(self.is_open(at), self.next_opening(at), self.closes_at(at))

    def to_json(self) -> dict[str, Any]:
        """A plain dict that `from_json` reads; times as ISO 8601, validity in UTC."""
        return {
            "time_zone": self.time_zone,
            "starts_at": self.starts_at.isoformat() if self.starts_at else None,
            "ends_at": self.ends_at.isoformat() if self.ends_at else None,
            "recurrence": _recurrence_to_json(self.recurrence),
            "windows": _windows_to_json(self.windows),
        }

    @classmethod
    def from_json(cls, data: object) -> "Schedule":
        """The schedule of a dict as `to_json` writes it, or `BadInput` naming what is wrong."""
        return cls(
            time_zone=_member(data, "time_zone", str),
            starts_at=_moment(data, "starts_at"),
            ends_at=_moment(data, "ends_at"),
            recurrence=_recurrence_from_json(_member(data, "recurrence", dict)),
            windows=_windows_from_json(_member(data, "windows", dict)),
        )

    def _wall(self, at: datetime) -> datetime:
        """What the clock on the wall reads, as a naive datetime."""
        assert at.tzinfo is not None
        return at.astimezone(ZoneInfo(self.time_zone)).replace(tzinfo=None)

    def _on_the_wall(self, day: date) -> list[tuple[datetime, datetime]]:
        """The windows that start on this day: begin and end as the clock reads them."""
        if not self.recurrence.includes(day):
            return []
        match self.windows:
            case AllDay():
                midnight = datetime.combine(day, _MIDNIGHT)
                return [(midnight, midnight + _DAY)]
            case Window():
                return [self.windows.on(day)]
            case ByDate():
                return [window.on(day) for window in self.windows.dates.get(day, ())]

    def _spans(self, day: date) -> list[Span]:
        """The instants of this day's windows, within the validity."""
        zone = ZoneInfo(self.time_zone)
        return [
            Span(begin, end)
            for window in self._on_the_wall(day)
            for span in _instants(zone, *window)
            if (begin := max(span.begin, self.starts_at or span.begin))
            < (end := min(span.end, self.ends_at or span.end))
        ]

    def _days_from(self, at: datetime) -> Iterator[date]:
        """The days on which an opening after `at` can lie, in order; bounded."""
        first = self._wall(max(at, self.starts_at or at)).date() - _DAY
        days: Iterator[date]
        if isinstance(self.windows, ByDate):
            days = (day for day in self.windows.dates if day >= first)
        else:
            days = (first + n * _DAY for n in range(SEARCH_DAYS))
        if self.ends_at:
            last = self._wall(self.ends_at).date() + _DAY
            return takewhile(lambda day: day <= last, days)
        return days


@cache
def _time_zones() -> set[str]:
    # Reading the folder takes milliseconds, and asking ZoneInfo instead opens files by their name.
    return available_timezones()


def _checked_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise BadInput("A schedule's validity needs times with a zone.")
    _check_year(moment)
    return moment.astimezone(UTC)


def _check_year(day: date) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise BadInput(f"Years in a schedule lie between {FIRST_YEAR} and {LAST_YEAR}.")


def _instants(zone: ZoneInfo, begin: datetime, end: datetime) -> list[Span]:
    """The instants at which the clock reads from `begin` up to `end`, at most a day apart.

    One span, or two or none about a change of the clock.
    """
    offsets = {_offset(zone, wall, fold) for wall in (begin, end) for fold in (0, 1)}
    begin, end = begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
    if len(offsets) == 1:
        (offset,) = offsets
        return [Span(begin - offset, end - offset)]

    # The clock changes once between these two instants; find when, to the second.
    low, high = begin - max(offsets), end - min(offsets)
    before, after = _offset_at(zone, low), _offset_at(zone, high)
    seconds = range(int((high - low).total_seconds()))
    passed = bisect_left(
        seconds, True, key=lambda second: _offset_at(zone, low + timedelta(seconds=second)) == after
    )
    change = low + timedelta(seconds=passed)
    spans = [
        Span(begin - before, min(end - before, change)),
        Span(max(begin - after, change), end - after),
    ]
    return [span for span in spans if span.begin < span.end]


def _offset(zone: ZoneInfo, wall: datetime, fold: int) -> timedelta:
    offset = wall.replace(tzinfo=zone, fold=fold).utcoffset()
    assert offset is not None
    return offset


def _offset_at(zone: ZoneInfo, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _recurrence_to_json(recurrence: Recurrence) -> dict[str, Any]:
    match recurrence:
        case Daily():
            return {"kind": "daily"}
        case Weekly(days):
            return {"kind": "weekly", "days": sorted(days)}
        case Monthly(days, last_day):
            return {"kind": "monthly", "days": sorted(days), "last_day": last_day}


def _recurrence_from_json(data: dict[str, Any]) -> Recurrence:
    match data.get("kind"):
        case "daily":
            return Daily()
        case "weekly":
            return Weekly(_day_numbers(data))
        case "monthly":
            return Monthly(_day_numbers(data), _member(data, "last_day", bool))
    raise BadInput("A schedule's recurrence is daily, weekly or monthly.")


def _windows_to_json(windows: Windows) -> dict[str, Any]:
    match windows:
        case AllDay():
            return {"kind": "all_day"}
        case Window():
            return {"kind": "window", **_window_to_json(windows)}
        case ByDate(dates):
            listed = {
                day.isoformat(): [_window_to_json(window) for window in of_day]
                for day, of_day in dates.items()
            }
            return {"kind": "by_date", "dates": listed}


def _windows_from_json(data: dict[str, Any]) -> Windows:
    match data.get("kind"):
        case "all_day":
            return AllDay()
        case "window":
            return _window_from_json(data)
        case "by_date":
            dates = _member(data, "dates", dict)
            return ByDate(
                {
                    _parsed(day, date.fromisoformat): tuple(
                        _window_from_json(window) for window in _member(dates, day, list)
                    )
                    for day in dates
                }
            )
    raise BadInput("A schedule's windows are all_day, window or by_date.")


def _window_to_json(window: Window) -> dict[str, Any]:
    return {"start": f"{window.start:%H:%M}", "end": f"{window.end:%H:%M}"}


def _window_from_json(data: object) -> Window:
    return Window(
        _parsed(_member(data, "start", str), time.fromisoformat),
        _parsed(_member(data, "end", str), time.fromisoformat),
    )


def _day_numbers(data: dict[str, Any]) -> frozenset[int]:
    days = _member(data, "days", list)
    if not all(type(day) is int for day in days):
        raise BadInput("A schedule's days are whole numbers.")
    return frozenset(days)


def _moment(data: object, name: str) -> datetime | None:
    if isinstance(data, dict) and data.get(name) is None:
        return None
    return _parsed(_member(data, name, str), datetime.fromisoformat)


def _member(data: object, name: str, kind: type[T]) -> T:
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, kind):
        raise BadInput(f"A schedule's {name[:40]!r} is missing or not a {kind.__name__}.")
    return value


def _parsed(text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise BadInput(f"Not a date or time in a schedule: {text[:40]!r}") from error
