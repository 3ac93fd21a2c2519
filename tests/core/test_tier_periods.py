"""TIR-2 to TIR-4: how long a tier lasts, the last X months, and the day of recalculation."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.points_expiry import add_months, local_day
from app.core.tier_periods import (
    CALCULATION_DAYS,
    CYCLES_MONTHS,
    LAST_DAY,
    TIER_MONTHS_MAX,
    TierValidity,
    next_calculation,
    require_cycle,
    require_months,
    require_validity,
    valid_until,
    window_start,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
MICROSECOND = timedelta(microseconds=1)

zones = st.sampled_from(
    [
        ZoneInfo(name)
        for name in (
            "UTC",
            "Asia/Shanghai",
            "America/New_York",
            "America/Sao_Paulo",
            "America/Havana",
            "Africa/Cairo",
            "Asia/Beirut",
            "Australia/Lord_Howe",
            "Pacific/Kiritimati",
        )
    ]
)
instants = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
    datetime(2060, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
months_counts = st.integers(1, TIER_MONTHS_MAX)
cycles = st.sampled_from(CYCLES_MONTHS)
calculation_days = st.sampled_from(CALCULATION_DAYS)


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "months", "reached", "expires"),
    [
        (TierValidity.DAY_AFTER_MONTHS, 6, "2026-01-20T09:30", "2026-07-21"),
        (TierValidity.DAY_AFTER_MONTHS, 6, "2026-01-20T00:00", "2026-07-21"),
        (TierValidity.DAY_AFTER_MONTHS, 6, "2026-01-20T23:59:59.999999", "2026-07-21"),
        (TierValidity.DAY_AFTER_MONTHS, 1, "2026-01-31T09:30", "2026-03-01"),
        (TierValidity.DAY_AFTER_MONTHS, 12, "2024-02-29T09:30", "2025-03-01"),
        (TierValidity.DAY_AFTER_MONTHS, 12, "2025-12-31T09:30", "2027-01-01"),
        # The last valid day is 31 July.
        (TierValidity.END_OF_MONTH, 6, "2026-01-20T09:30", "2026-08-01"),
        (TierValidity.END_OF_MONTH, 6, "2026-01-01T00:00", "2026-08-01"),
        (TierValidity.END_OF_MONTH, 6, "2026-01-31T23:59:59.999999", "2026-08-01"),
        (TierValidity.END_OF_MONTH, 1, "2026-01-31T09:30", "2026-03-01"),
        (TierValidity.END_OF_MONTH, 11, "2026-01-20T09:30", "2027-01-01"),
    ],
)
def test_a_tier_expires_at_a_local_midnight(
    rule: TierValidity, months: int, reached: str, expires: str
) -> None:
    """TIR-4."""
    answer = valid_until(rule, months, shanghai(reached), SHANGHAI)
    assert answer == shanghai(expires)
    assert answer.tzinfo is UTC


@pytest.mark.parametrize("months", [-1, 0, 6, 1_000])
def test_a_permanent_tier_never_expires(months: int) -> None:
    """TIR-4: whatever months it was saved with."""
    require_validity(TierValidity.PERMANENT, months)
    assert valid_until(TierValidity.PERMANENT, months, shanghai("2026-01-20"), SHANGHAI) is None


def test_the_zone_decides_when_a_tier_was_reached() -> None:
    """TIR-4: 16:30 UTC on the 31st is the 1st in Shanghai."""
    reached = utc("2026-01-31T16:30")
    by_day, by_month = TierValidity.DAY_AFTER_MONTHS, TierValidity.END_OF_MONTH
    assert valid_until(by_day, 6, reached, SHANGHAI) == utc("2026-08-01T16:00")
    assert valid_until(by_month, 6, reached, SHANGHAI) == utc("2026-08-31T16:00")
    assert valid_until(by_day, 6, reached, ZoneInfo("UTC")) == utc("2026-08-01")
    assert valid_until(by_month, 6, reached, ZoneInfo("UTC")) == utc("2026-08-01")


@pytest.mark.parametrize(
    ("now", "months", "start"),
    [
        ("2026-07-21T09:30", 6, "2026-01-21"),
        ("2026-07-21T00:00", 6, "2026-01-21"),
        ("2026-07-21T23:59:59.999999", 6, "2026-01-21"),
        ("2026-07-31T09:30", 1, "2026-06-30"),
        ("2026-03-31T09:30", 1, "2026-02-28"),
        ("2024-02-29T09:30", 12, "2023-02-28"),
        ("2026-01-15T09:30", 1, "2025-12-15"),
        ("2026-01-15T09:30", 120, "2016-01-15"),
    ],
)
def test_the_last_months_begin_with_a_day(now: str, months: int, start: str) -> None:
    """TIR-2."""
    answer = window_start(shanghai(now), months, SHANGHAI)
    assert answer == shanghai(start)
    assert answer.tzinfo is UTC


def test_the_zone_decides_where_the_last_months_begin() -> None:
    """TIR-2."""
    now = utc("2026-07-20T16:00")
    assert window_start(now, 6, SHANGHAI) == utc("2026-01-20T16:00")
    assert window_start(now - MICROSECOND, 6, SHANGHAI) == utc("2026-01-19T16:00")
    # In winter midnight in New York is an hour later than in summer.
    assert window_start(now, 6, ZoneInfo("America/New_York")) == utc("2026-01-20T05:00")


@pytest.mark.parametrize("months", [-1, 0, TIER_MONTHS_MAX + 1, 2**40])
def test_months_out_of_range_are_refused(months: int) -> None:
    at = shanghai("2026-01-20")
    with pytest.raises(BadInput, match=r"^Tiers reckon with 1 to 120 months\.$"):
        require_months(months)
    with pytest.raises(BadInput):
        window_start(at, months, SHANGHAI)
    for rule in (TierValidity.DAY_AFTER_MONTHS, TierValidity.END_OF_MONTH):
        with pytest.raises(BadInput):
            require_validity(rule, months)
        with pytest.raises(BadInput):
            valid_until(rule, months, at, SHANGHAI)


def test_months_at_the_limits_are_accepted() -> None:
    for months in (1, TIER_MONTHS_MAX):
        require_months(months)
        for rule in TierValidity:
            require_validity(rule, months)


@pytest.mark.parametrize(
    ("after", "cycle_months", "day", "next_at"),
    [
        # Every month, at 00:00 exactly, strictly later.
        ("2026-01-14T23:59:59.999999", 1, 15, "2026-01-15"),
        ("2026-01-15T00:00", 1, 15, "2026-02-15"),
        ("2026-01-15T00:00:00.000001", 1, 15, "2026-02-15"),
        ("2026-12-15T09:30", 1, 15, "2027-01-15"),
        # The last day of each month.
        ("2026-01-30T09:30", 1, LAST_DAY, "2026-01-31"),
        ("2026-01-31T00:00", 1, LAST_DAY, "2026-02-28"),
        ("2028-01-31T00:00", 1, LAST_DAY, "2028-02-29"),
        ("2026-02-28T00:00", 1, LAST_DAY, "2026-03-31"),
        ("2026-03-31T00:00", 1, LAST_DAY, "2026-04-30"),
        # Cycles begin with January: 1, 3, 5 …; 1, 4, 7, 10; 1, 5, 9; 1, 7; 1.
        ("2026-01-01T00:00", 2, 1, "2026-03-01"),
        ("2026-11-20T09:30", 2, 1, "2027-01-01"),
        ("2026-01-01T00:00", 3, 1, "2026-04-01"),
        ("2026-10-01T00:00", 3, 1, "2027-01-01"),
        ("2026-02-10T09:30", 3, 5, "2026-04-05"),
        ("2026-06-30T09:30", 4, 28, "2026-09-28"),
        ("2026-09-28T00:00", 4, 28, "2027-01-28"),
        ("2026-01-20T09:30", 6, 20, "2026-07-20"),
        ("2026-07-20T00:00", 6, LAST_DAY, "2026-07-31"),
        ("2026-01-01T00:00", 12, 1, "2027-01-01"),
        ("2025-12-31T23:59:59.999999", 12, 1, "2026-01-01"),
        ("2026-02-01T09:30", 12, LAST_DAY, "2027-01-31"),
    ],
)
def test_recalculation_is_due_at_midnight_of_the_calculation_day(
    after: str, cycle_months: int, day: int, next_at: str
) -> None:
    """TIR-3."""
    answer = next_calculation(shanghai(after), cycle_months=cycle_months, day=day, zone=SHANGHAI)
    assert answer == shanghai(next_at)
    assert answer.tzinfo is UTC


def test_recalculation_follows_the_zone() -> None:
    """TIR-3: 1 April begins in Shanghai while it is March in UTC, and without midnight in Cairo."""
    after = utc("2026-03-31T15:59:59")
    march, april = utc("2026-03-31T16:00"), utc("2026-04-30T16:00")
    assert next_calculation(after, cycle_months=1, day=1, zone=SHANGHAI) == march
    assert next_calculation(march, cycle_months=1, day=1, zone=SHANGHAI) == april
    cairo = ZoneInfo("Africa/Cairo")
    gap = utc("2024-04-25T22:00")
    assert next_calculation(gap - MICROSECOND, cycle_months=1, day=26, zone=cairo) == gap
    assert next_calculation(gap, cycle_months=1, day=26, zone=cairo) == utc("2024-05-25T21:00")


@pytest.mark.parametrize("cycle_months", [-1, 0, 5, 7, 8, 9, 10, 11, 13, 24])
def test_a_cycle_that_does_not_divide_the_year_is_refused(cycle_months: int) -> None:
    with pytest.raises(BadInput, match="1, 2, 3, 4, 6 or 12"):
        require_cycle(cycle_months=cycle_months, day=1)
    with pytest.raises(BadInput):
        next_calculation(shanghai("2026-01-20"), cycle_months=cycle_months, day=1, zone=SHANGHAI)


@pytest.mark.parametrize("day", [-1, 0, 29, 30, 32])
def test_a_day_that_not_every_month_has_is_refused(day: int) -> None:
    with pytest.raises(BadInput, match="1 to 28, or 31"):
        require_cycle(cycle_months=1, day=day)
    with pytest.raises(BadInput):
        next_calculation(shanghai("2026-01-20"), cycle_months=1, day=day, zone=SHANGHAI)


def test_every_cycle_and_day_offered_is_accepted() -> None:
    for cycle_months in CYCLES_MONTHS:
        for day in CALCULATION_DAYS:
            require_cycle(cycle_months=cycle_months, day=day)


@given(
    st.sampled_from([TierValidity.DAY_AFTER_MONTHS, TierValidity.END_OF_MONTH]),
    months_counts,
    instants,
    zones,
)
def test_a_tier_lasts_at_least_its_months(
    rule: TierValidity, months: int, reached_at: datetime, zone: ZoneInfo
) -> None:
    """TIR-4: then the next day, or the next first of a month."""
    until = valid_until(rule, months, reached_at, zone)
    assert until is not None
    assert until > reached_at
    last_valid_day = local_day(until - MICROSECOND, zone)
    full = add_months(local_day(reached_at, zone), months)
    assert local_day(until, zone) == last_valid_day + timedelta(1)
    if rule is TierValidity.DAY_AFTER_MONTHS:
        assert last_valid_day == full
    else:
        assert local_day(until, zone).day == 1
        assert (last_valid_day.year, last_valid_day.month) == (full.year, full.month)


@given(months_counts, instants, zones)
def test_a_window_covers_its_months_and_less_than_a_day_more(
    months: int, now: datetime, zone: ZoneInfo
) -> None:
    """TIR-2."""
    start = window_start(now, months, zone)
    assert start < now
    assert local_day(start, zone) == add_months(local_day(now, zone), -months)
    assert local_day(start - MICROSECOND, zone) < local_day(start, zone)


@given(months_counts, st.lists(instants, min_size=2, max_size=2).map(sorted), zones)
def test_a_window_only_moves_forward(months: int, at: list[datetime], zone: ZoneInfo) -> None:
    """TIR-2."""
    assert window_start(at[0], months, zone) <= window_start(at[1], months, zone)


def _is_calculation_day(day: date, cycle_months: int, of_month: int) -> bool:
    is_last = (day + timedelta(1)).day == 1
    is_the_day = is_last if of_month == LAST_DAY else day.day == of_month
    return is_the_day and day.month in range(1, 13, cycle_months)


@given(instants, cycles, calculation_days, zones)
def test_no_calculation_day_is_left_out(
    after: datetime, cycle_months: int, day: int, zone: ZoneInfo
) -> None:
    """TIR-3: an oracle that walks day by day finds none between."""
    found = next_calculation(after, cycle_months=cycle_months, day=day, zone=zone)
    assert found > after
    found_on = local_day(found, zone)
    assert local_day(found - MICROSECOND, zone) < found_on
    assert _is_calculation_day(found_on, cycle_months, day)
    between = local_day(after, zone) + timedelta(1)
    while between < found_on:
        assert not _is_calculation_day(between, cycle_months, day)
        between += timedelta(1)


@given(instants, cycles, calculation_days, zones)
def test_calculations_follow_each_other_by_a_cycle(
    after: datetime, cycle_months: int, day: int, zone: ZoneInfo
) -> None:
    """TIR-3: and any instant from one up to the next names that next one."""
    due = [next_calculation(after, cycle_months=cycle_months, day=day, zone=zone)]
    for _ in range(14):
        due.append(next_calculation(due[-1], cycle_months=cycle_months, day=day, zone=zone))
    for earlier, later in pairwise(due):
        first, second = local_day(earlier, zone), local_day(later, zone)
        assert (second.year - first.year) * 12 + second.month - first.month == cycle_months
        for at in (earlier, earlier + MICROSECOND, earlier + (later - earlier) / 2):
            assert next_calculation(at, cycle_months=cycle_months, day=day, zone=zone) == later
        at = later - MICROSECOND
        assert next_calculation(at, cycle_months=cycle_months, day=day, zone=zone) == later
