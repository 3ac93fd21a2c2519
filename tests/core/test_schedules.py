"""ORG-5: one schedule scope, in the zone stored with it, through every change of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.schedules import (
    MAX_DATES,
    AllDay,
    ByDate,
    Daily,
    Monthly,
    OpenState,
    Recurrence,
    Schedule,
    Weekly,
    Window,
    Windows,
)

SHANGHAI, NEW_YORK, APIA = "Asia/Shanghai", "America/New_York", "Pacific/Apia"
MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)


def local(zone: str, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def shanghai(text: str) -> datetime:
    return local(SHANGHAI, text)


def new_york(text: str, fold: int = 0) -> datetime:
    return local(NEW_YORK, text, fold)


def window(start: str, end: str) -> Window:
    return Window(time.fromisoformat(start), time.fromisoformat(end))


def at_shanghai(recurrence: Recurrence, windows: Windows | None = None) -> Schedule:
    return Schedule(SHANGHAI, recurrence=recurrence, windows=windows or AllDay())


def test_a_window_opens_with_its_first_minute_and_closes_before_its_end() -> None:
    lunch = at_shanghai(Daily(), window("11:00", "14:00"))
    opening, closing = shanghai("2026-03-02T11:00"), shanghai("2026-03-02T14:00")
    assert not lunch.is_open(opening - MICROSECOND)
    assert lunch.is_open(opening)
    assert lunch.is_open(closing - MICROSECOND)
    assert not lunch.is_open(closing)
    next_day = shanghai("2026-03-03T11:00")
    assert lunch.explain(opening - MICROSECOND) == OpenState(False, opening, None)
    assert lunch.explain(opening) == OpenState(True, next_day, closing)
    assert lunch.explain(closing) == OpenState(False, next_day, None)


def test_a_window_over_midnight_belongs_to_the_day_it_starts_on() -> None:
    fridays = at_shanghai(Weekly(frozenset({5})), window("22:00", "02:00"))
    assert not fridays.is_open(shanghai("2026-03-06T01:00"))  # a Friday, before its window
    assert fridays.is_open(shanghai("2026-03-06T22:00"))
    assert fridays.is_open(shanghai("2026-03-07T01:59"))
    assert not fridays.is_open(shanghai("2026-03-07T02:00"))
    assert not fridays.is_open(shanghai("2026-03-07T22:00"))
    assert fridays.closes_at(shanghai("2026-03-06T23:00")) == shanghai("2026-03-07T02:00")
    assert fridays.next_opening(shanghai("2026-03-07T01:00")) == shanghai("2026-03-13T22:00")


def test_a_window_may_end_at_midnight_or_touch_the_next_ones() -> None:
    evening = at_shanghai(Daily(), window("18:00", "00:00"))
    assert evening.closes_at(shanghai("2026-03-02T20:00")) == shanghai("2026-03-03T00:00")
    both_days = at_shanghai(
        Daily(),
        ByDate(
            {
                date(2026, 3, 2): (window("10:00", "12:00"), window("12:00", "00:00")),
                date(2026, 3, 3): (window("00:00", "09:00"), window("08:00", "10:00")),
                date(2026, 5, 1): (window("09:00", "10:00"),),
            }
        ),
    )
    assert both_days.explain(shanghai("2026-03-02T10:00")) == OpenState(
        True, shanghai("2026-05-01T09:00"), shanghai("2026-03-03T10:00")
    )


def test_the_31st_skips_short_months_and_the_last_day_does_not() -> None:
    on_31st = at_shanghai(Monthly(frozenset({31})))
    assert on_31st.next_opening(shanghai("2026-01-31T12:00")) == shanghai("2026-03-31T00:00")
    assert not on_31st.is_open(shanghai("2026-02-28T12:00"))
    last_day = at_shanghai(Monthly(last_day=True))
    assert last_day.next_opening(shanghai("2026-01-31T12:00")) == shanghai("2026-02-28T00:00")
    assert last_day.next_opening(shanghai("2028-01-31T12:00")) == shanghai("2028-02-29T00:00")
    first_and_last = at_shanghai(Monthly(frozenset({1}), last_day=True))
    assert first_and_last.closes_at(shanghai("2026-02-28T12:00")) == shanghai("2026-03-02T00:00")


def test_29_february_comes_as_a_date_and_as_a_day_of_the_month() -> None:
    leap_day = at_shanghai(Daily(), ByDate({date(2028, 2, 29): (window("09:00", "18:00"),)}))
    assert leap_day.next_opening(shanghai("2026-01-01T00:00")) == shanghai("2028-02-29T09:00")
    assert leap_day.next_opening(shanghai("2028-02-29T09:00")) is None
    on_29th = at_shanghai(Monthly(frozenset({29})))
    assert on_29th.next_opening(shanghai("2026-02-01T00:00")) == shanghai("2026-03-29T00:00")
    assert on_29th.next_opening(shanghai("2028-02-01T00:00")) == shanghai("2028-02-29T00:00")


def test_dates_are_subject_to_the_recurrence() -> None:
    mondays = at_shanghai(
        Weekly(frozenset({1})),
        ByDate({day: (window("09:00", "10:00"),) for day in (date(2026, 3, 8), date(2026, 3, 9))}),
    )
    assert not mondays.is_open(shanghai("2026-03-08T09:30"))
    assert mondays.is_open(shanghai("2026-03-09T09:30"))


def test_the_zone_of_the_object_decides_not_that_of_the_question() -> None:
    mondays = at_shanghai(Weekly(frozenset({1})))
    sunday_in_utc = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    assert mondays.is_open(sunday_in_utc)
    assert not mondays.is_open(sunday_in_utc - MICROSECOND)
    assert mondays.is_open(new_york("2026-03-01T11:00"))


def test_validity_includes_its_start_and_excludes_its_end() -> None:
    starts_at, ends_at = shanghai("2026-03-02T12:30"), shanghai("2026-03-04T11:30")
    lunch = Schedule(SHANGHAI, starts_at, ends_at, Daily(), window("11:00", "14:00"))
    assert not lunch.is_open(starts_at - MICROSECOND)
    assert lunch.is_open(starts_at)
    assert lunch.is_open(ends_at - MICROSECOND)
    assert not lunch.is_open(ends_at)
    assert lunch.next_opening(shanghai("2020-01-01T00:00")) == starts_at
    assert lunch.closes_at(starts_at) == shanghai("2026-03-02T14:00")
    assert lunch.explain(shanghai("2026-03-04T11:00")) == OpenState(True, None, ends_at)
    assert lunch.explain(ends_at) == OpenState(False, None, None)


@pytest.mark.parametrize(
    "recurrence",
    [
        Daily(),
        Weekly(frozenset(range(1, 8))),
        Monthly(frozenset(range(1, 32))),
        Monthly(frozenset(range(1, 31)), last_day=True),
    ],
)
def test_what_is_open_every_day_closes_only_with_its_validity(recurrence: Recurrence) -> None:
    starts_at, ends_at = shanghai("2026-03-02T12:30"), shanghai("2066-03-02T12:30")
    limited = Schedule(SHANGHAI, starts_at, ends_at, recurrence)
    assert limited.explain(starts_at - MICROSECOND) == OpenState(False, starts_at, None)
    assert limited.explain(starts_at) == OpenState(True, None, ends_at)
    assert limited.explain(ends_at) == OpenState(False, None, None)
    for_ever = Schedule(SHANGHAI, recurrence=recurrence)
    assert for_ever.explain(starts_at) == OpenState(True, None, None)


def test_the_first_thirty_days_leave_out_the_31st() -> None:
    almost = at_shanghai(Monthly(frozenset(range(1, 31))))
    assert almost.explain(shanghai("2026-09-01T00:00")) == OpenState(
        True, shanghai("2026-11-01T00:00"), shanghai("2026-10-31T00:00")
    )


SPRING, AUTUMN = "2026-03-08", "2026-11-01"


def test_in_spring_the_missing_hour_is_missing_from_windows_too() -> None:
    night = Schedule(NEW_YORK, windows=window("01:30", "03:00"))
    opening = new_york(f"{SPRING}T01:30")
    closing = new_york(f"{SPRING}T03:00")
    assert closing.astimezone(UTC) - opening.astimezone(UTC) == timedelta(minutes=30)
    assert night.closes_at(opening) == closing
    assert not night.is_open(closing)

    late = Schedule(NEW_YORK, windows=window("02:30", "04:00"))
    assert late.next_opening(opening) == closing  # the clock jumps into the window
    assert late.closes_at(closing) == new_york(f"{SPRING}T04:00")

    inside = Schedule(NEW_YORK, windows=window("02:15", "02:45"))
    assert inside.next_opening(opening) == new_york("2026-03-09T02:15")

    all_but_the_hour = Schedule(NEW_YORK, windows=window("03:00", "02:00"))
    assert all_but_the_hour.closes_at(opening) == new_york("2026-03-09T02:00")


def test_in_autumn_the_repeated_hour_repeats_windows_too() -> None:
    twice = Schedule(NEW_YORK, windows=window("01:00", "01:30"))
    # In UTC, because Python calls a repeated reading unequal to any instant in another zone.
    first = new_york(f"{AUTUMN}T01:00").astimezone(UTC)
    second = new_york(f"{AUTUMN}T01:00", fold=1).astimezone(UTC)
    assert second - first == timedelta(hours=1)
    assert twice.explain(first) == OpenState(True, second, first + 30 * MINUTE)
    assert twice.explain(first.astimezone(ZoneInfo(NEW_YORK))) == twice.explain(first)
    assert twice.explain(second) == OpenState(
        True, new_york("2026-11-02T01:00"), second + 30 * MINUTE
    )

    around = Schedule(NEW_YORK, windows=window("00:30", "02:30"))
    opening = new_york(f"{AUTUMN}T00:30").astimezone(UTC)
    assert around.closes_at(opening) == opening + timedelta(hours=3)

    until = Schedule(NEW_YORK, windows=window("00:30", "01:30"))
    assert until.closes_at(opening) == opening + timedelta(hours=1)
    assert until.next_opening(opening) == second


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), ("2026-06-07", 24)])
def test_all_day_lasts_as_long_as_the_day(day: str, hours: int) -> None:
    sundays = Schedule(NEW_YORK, recurrence=Weekly(frozenset({7})))
    opening = new_york(f"{day}T00:00").astimezone(UTC)
    assert sundays.next_opening(opening - MICROSECOND) == opening
    assert sundays.closes_at(opening) == opening + timedelta(hours=hours)


def test_apia_had_no_30_december_2011() -> None:
    fridays = Schedule(APIA, recurrence=Weekly(frozenset({5})))
    thursday = local(APIA, "2011-12-29T12:00")
    assert fridays.next_opening(thursday) == local(APIA, "2012-01-06T00:00")
    night = Schedule(APIA, windows=window("22:00", "02:00"))
    saturday = local(APIA, "2011-12-31T00:00").astimezone(UTC)
    assert night.closes_at(saturday - MICROSECOND) == saturday + timedelta(hours=2)
    thursdays = Schedule(APIA, recurrence=Weekly(frozenset({4})), windows=window("22:00", "02:00"))
    assert thursdays.closes_at(saturday - MICROSECOND) == saturday


# Three days around: nothing special; New York's two changes; Beirut's, which set the clock back
# from midnight into the day before; Lord Howe's half hour; Apia's lost day; leap day.
PLACES = [
    (SHANGHAI, "2028-02-28"),
    (NEW_YORK, "2026-03-07"),
    (NEW_YORK, "2026-10-31"),
    ("Asia/Beirut", "2026-10-24"),
    ("America/Havana", "2026-03-07"),
    ("America/Havana", "2026-10-31"),
    ("Australia/Lord_Howe", "2026-04-04"),
    (APIA, "2011-12-29"),
    ("America/St_Johns", "2010-11-06"),  # the clock went back at 00:01, over midnight
]
MINUTES = 3 * 24 * 60

times = st.one_of(
    st.builds(time, st.integers(0, 3), st.sampled_from([0, 1, 15, 30, 45])),
    st.builds(time, st.integers(0, 23), st.integers(0, 59)),
)
windows_of_a_day = (
    st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: Window(*pair))
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    zone, first = draw(st.sampled_from(PLACES))
    begin = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    dates = [date.fromisoformat(first) + timedelta(days=n) for n in range(-1, 4)]
    recurrence: Recurrence = draw(
        st.one_of(
            st.just(Daily()),
            st.builds(Weekly, st.frozensets(st.integers(1, 7), min_size=1)),
            st.builds(Monthly, st.frozensets(st.integers(1, 31), min_size=1), st.booleans()),
            st.just(Monthly(last_day=True)),
        )
    )
    windows: Windows = draw(
        st.one_of(
            st.just(AllDay()),
            windows_of_a_day,
            st.dictionaries(
                st.sampled_from(dates),
                st.lists(windows_of_a_day, min_size=1, max_size=3).map(tuple),
                min_size=1,
            ).map(ByDate),
        )
    )
    ends = st.none() | st.integers(1, MINUTES).map(lambda minute: begin + minute * MINUTE)
    starts_at, ends_at = draw(ends), draw(ends)
    if starts_at and ends_at and starts_at >= ends_at:
        starts_at = None
    return Schedule(zone, starts_at, ends_at, recurrence, windows), begin


def oracle(schedule: Schedule, begin: datetime, minutes: int) -> list[bool]:
    """Open or not, minute by minute: lists every minute on the wall and reads the clock."""
    open_on_the_wall = set()
    first_day = begin.astimezone(ZoneInfo(schedule.time_zone)).date()
    for offset in range(-3, minutes // 1440 + 4):
        day = first_day + timedelta(days=offset)
        rule = schedule.recurrence
        if isinstance(rule, Weekly) and day.weekday() + 1 not in rule.days:
            continue
        if isinstance(rule, Monthly):
            is_last = (day + timedelta(days=1)).month != day.month
            if day.day not in rule.days and not (rule.last_day and is_last):
                continue
        todays: tuple[Window, ...]
        if isinstance(schedule.windows, ByDate):
            todays = schedule.windows.dates.get(day, ())
        elif isinstance(schedule.windows, AllDay):
            todays = (window("00:00", "12:00"), window("12:00", "00:00"))
        else:
            todays = (schedule.windows,)
        for one in todays:
            moment = datetime.combine(day, one.start)
            while (moment.hour, moment.minute) != (one.end.hour, one.end.minute):
                open_on_the_wall.add(moment)
                moment += MINUTE
    answers = []
    for minute in range(minutes):
        at = begin + minute * MINUTE
        reading = at.astimezone(ZoneInfo(schedule.time_zone)).replace(tzinfo=None, fold=0)
        answers.append(
            reading in open_on_the_wall
            and not (schedule.starts_at and at < schedule.starts_at)
            and not (schedule.ends_at and at >= schedule.ends_at)
        )
    return answers


@settings(max_examples=60, deadline=None)
@given(cases())
def test_every_minute_agrees_with_an_oracle(case: tuple[Schedule, datetime]) -> None:
    schedule, begin = case
    expected = oracle(schedule, begin, MINUTES)
    assert [schedule.is_open(begin + n * MINUTE) for n in range(MINUTES)] == expected

    # Where the oracle changes is where the schedule must say it changes, and nowhere between.
    opening: datetime | None = None
    closing: datetime | None = None
    seen_change = False
    for n in range(MINUTES - 2, -1, -1):
        at = begin + n * MINUTE
        if expected[n] != expected[n + 1]:
            seen_change = True
            if expected[n + 1]:
                opening = at + MINUTE
            else:
                closing = at + MINUTE
        if n % 97 and expected[n] == expected[n + 1]:
            continue  # asking at each change and every 97 minutes is enough
        if opening:
            assert schedule.next_opening(at) == opening
        if expected[n] and seen_change:
            assert schedule.closes_at(at) == closing
        if not expected[n]:
            assert schedule.closes_at(at) is None


@settings(max_examples=200, deadline=None)
@given(cases(), st.integers(0, 10**9))
def test_openings_and_closings_are_where_it_changes(
    case: tuple[Schedule, datetime], seconds: int
) -> None:
    schedule, begin = case
    at = begin + timedelta(seconds=seconds)
    state = schedule.explain(at)
    assert state.open == schedule.is_open(at)
    if state.next_opening:
        assert state.next_opening > at
        assert schedule.is_open(state.next_opening)
        assert not schedule.is_open(state.next_opening - MICROSECOND)
    if state.closes_at:
        assert state.open
        assert at < state.closes_at
        assert not schedule.is_open(state.closes_at)
        assert schedule.is_open(state.closes_at - MICROSECOND)


@given(cases())
def test_json_returns_the_same_schedule(case: tuple[Schedule, datetime]) -> None:
    schedule, _begin = case
    assert Schedule.from_json(schedule.to_json()) == schedule


WRITTEN: dict[str, Any] = {
    "time_zone": SHANGHAI,
    "starts_at": "2026-01-01T00:00:00+00:00",
    "ends_at": None,
    "recurrence": {"kind": "monthly", "days": [1, 31], "last_day": True},
    "windows": {"kind": "by_date", "dates": {"2026-10-01": [{"start": "22:00", "end": "02:00"}]}},
}


def test_json_is_plain_and_stable() -> None:
    schedule = Schedule(
        SHANGHAI,
        starts_at=shanghai("2026-01-01T08:00"),
        recurrence=Monthly(frozenset({31, 1}), last_day=True),
        windows=ByDate({date(2026, 10, 1): (window("22:00", "02:00"),)}),
    )
    assert schedule.to_json() == WRITTEN
    assert Schedule.from_json(WRITTEN) == schedule


@pytest.mark.parametrize(
    "change",
    [
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": ""},
        {"time_zone": "America"},
        {"time_zone": None},
        {"starts_at": "2026-01-01T00:00:00"},
        {"starts_at": "yesterday"},
        {"starts_at": 5},
        {"ends_at": "9999-12-31T23:59:59Z"},
        {"ends_at": "2026-01-01T00:00:00Z"},
        {"ends_at": "2025-01-01T00:00:00Z"},
        {"recurrence": None},
        {"recurrence": {}},
        {"recurrence": {"kind": "hourly"}},
        {"recurrence": {"kind": "weekly", "days": []}},
        {"recurrence": {"kind": "weekly", "days": [0]}},
        {"recurrence": {"kind": "weekly", "days": [8]}},
        {"recurrence": {"kind": "weekly", "days": ["1"]}},
        {"recurrence": {"kind": "weekly", "days": [True]}},
        {"recurrence": {"kind": "weekly", "days": [[]]}},
        {"recurrence": {"kind": "monthly", "days": [], "last_day": False}},
        {"recurrence": {"kind": "monthly", "days": [32], "last_day": False}},
        {"recurrence": {"kind": "monthly", "days": [1]}},
        {"windows": []},
        {"windows": {"kind": "sometimes"}},
        {"windows": {"kind": "window", "start": "09:00"}},
        {"windows": {"kind": "window", "start": "09:00", "end": "09:00"}},
        {"windows": {"kind": "window", "start": "09:00", "end": "24:00"}},
        {"windows": {"kind": "window", "start": "09:00", "end": "23:59:59"}},
        {"windows": {"kind": "window", "start": "09:00", "end": "18:00+08:00"}},
        {"windows": {"kind": "by_date", "dates": {}}},
        {"windows": {"kind": "by_date", "dates": {"2026-02-29": []}}},
        {"windows": {"kind": "by_date", "dates": {"2026-02-28": []}}},
        {"windows": {"kind": "by_date", "dates": {"2026-02-28": [None]}}},
        {
            "windows": {
                "kind": "by_date",
                "dates": {"9999-12-31": [{"start": "22:00", "end": "02:00"}]},
            }
        },
    ],
)
def test_what_is_no_schedule_is_bad_input(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Schedule.from_json({**WRITTEN, **change})


@pytest.mark.parametrize("data", [None, [], "", 5, {}])
def test_what_is_no_object_is_bad_input(data: object) -> None:
    with pytest.raises(BadInput):
        Schedule.from_json(data)


def test_dates_and_windows_are_limited() -> None:
    lunch = window("11:00", "14:00")
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(MAX_DATES + 1)]
    with pytest.raises(BadInput):
        ByDate(dict.fromkeys(days, (lunch,)))
    with pytest.raises(BadInput):
        ByDate({days[0]: (lunch,) * 9})


def test_a_full_year_by_date_closes_at_its_end() -> None:
    whole_day = (window("00:00", "12:00"), window("12:00", "00:00"))
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(MAX_DATES)]
    schedule = at_shanghai(Daily(), ByDate(dict.fromkeys(days, whole_day)))
    assert schedule.explain(shanghai("2026-01-01T00:00")) == OpenState(
        True, None, shanghai("2027-01-02T00:00")
    )
