"""PTS-4: points are cleared at the midnight that their rule names, on the wall of their zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.points_expiry import (
    EXPIRY_MONTHS_MAX,
    EXPIRY_YEARS_MAX,
    PointsExpiry,
    add_months,
    expires_at,
    local_day,
    next_month,
    require_expiry,
    start_of_day,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
UTC_ZONE = ZoneInfo("UTC")
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Asia/Shanghai",
        "America/New_York",
        "America/Sao_Paulo",  # until 2019, midnight did not exist in spring
        "America/Havana",  # midnight comes twice in autumn
        "America/St_Johns",  # until 2011, the clock went back at 00:01 into the day before
        "Africa/Cairo",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",  # 30 December 2011 was left out
        "Pacific/Kiritimati",
    )
]
BY_MONTHS = [PointsExpiry.MONTHLY, PointsExpiry.DAILY, PointsExpiry.ROLLING]
MICROSECOND = timedelta(microseconds=1)

zones = st.sampled_from(ZONES)
instants = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
    datetime(2060, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
days = st.dates(date(1990, 1, 1), date(2060, 1, 1))
counts = st.integers(0, EXPIRY_MONTHS_MAX)


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "count", "earned", "cleared"),
    [
        # The examples of PTS-4.
        (PointsExpiry.MONTHLY, 12, "2025-01-20T09:30", "2026-02-01"),
        (PointsExpiry.DAILY, 12, "2025-01-20T09:30", "2026-01-21"),
        (PointsExpiry.YEARLY, 0, "2025-06-15T09:30", "2026-01-01"),
        (PointsExpiry.YEARLY, 1, "2025-06-15T09:30", "2027-01-01"),
        (PointsExpiry.ROLLING, 12, "2025-01-20T09:30", "2026-01-21"),
        # From the first and to the last moment of a day it is the same day.
        (PointsExpiry.MONTHLY, 12, "2025-01-01T00:00", "2026-02-01"),
        (PointsExpiry.MONTHLY, 12, "2025-01-31T23:59:59.999999", "2026-02-01"),
        (PointsExpiry.DAILY, 12, "2025-01-20T00:00", "2026-01-21"),
        (PointsExpiry.DAILY, 12, "2025-01-20T23:59:59.999999", "2026-01-21"),
        (PointsExpiry.DAILY, 12, "2025-01-21T00:00", "2026-01-22"),
        # Within the month, and over the turn of the year.
        (PointsExpiry.MONTHLY, 0, "2025-01-20T09:30", "2025-02-01"),
        (PointsExpiry.MONTHLY, 1, "2025-11-30T09:30", "2026-01-01"),
        (PointsExpiry.MONTHLY, 0, "2025-12-31T09:30", "2026-01-01"),
        (PointsExpiry.DAILY, 0, "2025-01-20T09:30", "2025-01-21"),
        (PointsExpiry.DAILY, 0, "2025-12-31T09:30", "2026-01-01"),
        (PointsExpiry.DAILY, 120, "2025-01-20T09:30", "2035-01-21"),
        # Days that the later month does not have.
        (PointsExpiry.DAILY, 1, "2025-01-31T09:30", "2025-03-01"),
        (PointsExpiry.DAILY, 1, "2024-01-31T09:30", "2024-03-01"),
        (PointsExpiry.DAILY, 1, "2025-03-31T09:30", "2025-05-01"),
        (PointsExpiry.DAILY, 12, "2024-02-29T09:30", "2025-03-01"),
        (PointsExpiry.DAILY, 48, "2024-02-29T09:30", "2028-03-01"),
        (PointsExpiry.DAILY, 12, "2023-02-28T09:30", "2024-02-29"),
        (PointsExpiry.MONTHLY, 1, "2025-01-31T09:30", "2025-03-01"),
        (PointsExpiry.MONTHLY, 12, "2024-02-29T09:30", "2025-03-01"),
        # 1 January itself is not yet a year, nor the next 1 January.
        (PointsExpiry.YEARLY, 0, "2025-01-01T00:00", "2026-01-01"),
        (PointsExpiry.YEARLY, 0, "2025-12-31T23:59:59.999999", "2026-01-01"),
        (PointsExpiry.YEARLY, 1, "2025-01-01T00:00", "2027-01-01"),
        (PointsExpiry.YEARLY, 1, "2025-12-31T23:59:59.999999", "2027-01-01"),
        (PointsExpiry.YEARLY, 1, "2024-02-29T09:30", "2026-01-01"),
        (PointsExpiry.YEARLY, 20, "2025-06-15T09:30", "2046-01-01"),
    ],
)
def test_points_are_cleared_at_a_local_midnight(
    rule: PointsExpiry, count: int, earned: str, cleared: str
) -> None:
    """PTS-4."""
    answer = expires_at(rule, count, shanghai(earned), SHANGHAI)
    assert answer == shanghai(cleared)
    assert answer.tzinfo is UTC


@pytest.mark.parametrize("rule", [PointsExpiry.PERMANENT, PointsExpiry.WITH_TIER])
@pytest.mark.parametrize("count", [-1, 0, 12, 1_000])
def test_other_points_are_cleared_by_no_date(rule: PointsExpiry, count: int) -> None:
    """PTS-4: permanent points never, points of a tier with it; neither reads the count."""
    assert expires_at(rule, count, shanghai("2025-01-20T09:30"), SHANGHAI) is None


def test_the_zone_decides_which_day_and_year_it_is() -> None:
    """PTS-4: 23:30 in Shanghai on New Year's Eve is 15:30 in UTC; an hour later the years part."""
    before, after = utc("2024-12-31T15:30"), utc("2024-12-31T16:30")
    yearly, daily, monthly = PointsExpiry.YEARLY, PointsExpiry.DAILY, PointsExpiry.MONTHLY
    assert expires_at(yearly, 0, before, SHANGHAI) == utc("2024-12-31T16:00")
    assert expires_at(yearly, 0, after, SHANGHAI) == utc("2025-12-31T16:00")
    assert expires_at(yearly, 0, before, UTC_ZONE) == utc("2025-01-01")
    assert expires_at(yearly, 0, after, UTC_ZONE) == utc("2025-01-01")
    assert expires_at(daily, 1, before, SHANGHAI) == utc("2025-01-31T16:00")
    assert expires_at(daily, 1, after, SHANGHAI) == utc("2025-02-01T16:00")
    assert expires_at(daily, 1, after, UTC_ZONE) == utc("2025-02-01")
    assert expires_at(monthly, 0, before, SHANGHAI) == utc("2024-12-31T16:00")
    assert expires_at(monthly, 0, after, SHANGHAI) == utc("2025-01-31T16:00")
    # Whatever zone the instant is written in.
    in_new_york = after.astimezone(NEW_YORK)
    assert expires_at(yearly, 0, in_new_york, SHANGHAI) == utc("2025-12-31T16:00")


def test_summer_time_is_that_of_the_day_of_clearing() -> None:
    """PTS-4: midnight in New York is 05:00 UTC in winter and 04:00 in summer."""
    earned = utc("2026-01-20T17:00")
    assert expires_at(PointsExpiry.MONTHLY, 1, earned, NEW_YORK) == utc("2026-03-01T05:00")
    assert expires_at(PointsExpiry.MONTHLY, 2, earned, NEW_YORK) == utc("2026-04-01T04:00")


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        *((rule, count) for rule in BY_MONTHS for count in (-1, EXPIRY_MONTHS_MAX + 1, 2**40)),
        (PointsExpiry.YEARLY, -1),
        (PointsExpiry.YEARLY, EXPIRY_YEARS_MAX + 1),
        (PointsExpiry.YEARLY, 2**40),
    ],
)
def test_a_count_out_of_range_is_refused(rule: PointsExpiry, count: int) -> None:
    most = "20 years" if rule is PointsExpiry.YEARLY else "120 months"
    with pytest.raises(BadInput, match=f"^Points last 0 to {most}.$"):
        require_expiry(rule, count)
    with pytest.raises(BadInput):
        expires_at(rule, count, shanghai("2025-01-20"), SHANGHAI)


@pytest.mark.parametrize("rule", PointsExpiry)
def test_counts_at_the_limits_are_accepted(rule: PointsExpiry) -> None:
    require_expiry(rule, 0)
    require_expiry(rule, EXPIRY_YEARS_MAX if rule is PointsExpiry.YEARLY else EXPIRY_MONTHS_MAX)


def test_a_naive_time_is_our_mistake() -> None:
    naive = datetime(2025, 1, 20)  # noqa: DTZ001  # what is tested
    with pytest.raises(AssertionError):
        expires_at(PointsExpiry.DAILY, 12, naive, SHANGHAI)


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        ("2025-01-20", 12, "2026-01-20"),
        ("2025-01-31", 1, "2025-02-28"),
        ("2024-01-31", 1, "2024-02-29"),
        ("2000-01-31", 1, "2000-02-29"),
        ("1900-01-31", 1, "1900-02-28"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", -12, "2023-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2025-05-31", 1, "2025-06-30"),
        ("2025-12-31", 1, "2026-01-31"),
        ("2025-12-31", 2, "2026-02-28"),
        ("2026-01-31", -1, "2025-12-31"),
        ("2026-03-31", -1, "2026-02-28"),
        ("2025-07-04", 0, "2025-07-04"),
    ],
)
def test_months_are_added_by_the_calendar(day: str, months: int, later: str) -> None:
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(later)


@given(days, st.integers(-120, 120))
def test_adding_months_keeps_the_day_as_far_as_the_month_has_it(day: date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year - day.year) * 12 + later.month - day.month == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(1)).day == 1)


@given(days)
def test_the_next_month_begins_within_31_days(day: date) -> None:
    first = next_month(day)
    assert first.day == 1
    assert timedelta(1) <= first - day <= timedelta(31)


@pytest.mark.parametrize(
    ("zone", "day", "begins_at"),
    [
        ("UTC", "2026-01-01", "2026-01-01"),
        ("Asia/Shanghai", "2026-01-01", "2025-12-31T16:00"),
        ("Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15"),
        # No midnight: the clock goes from 23:59:59 to 01:00.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00"),
        ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00"),
        # No midnight: the clock goes from 23:29:59 to 00:30.
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30"),
        # No such day at all.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00"),
        # The last hour of the day before comes twice.
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00"),
        # The first hour of the day comes twice.
        ("America/Havana", "2025-11-02", "2025-11-02T04:00"),
        # A minute of the day, then an hour of the day before, then the day.
        ("America/St_Johns", "2010-11-07", "2010-11-07T03:30"),
    ],
)
def test_a_day_begins_when_the_clock_enters_it_for_good(
    zone: str, day: str, begins_at: str
) -> None:
    assert start_of_day(date.fromisoformat(day), ZoneInfo(zone)) == utc(begins_at)


@given(days, zones)
def test_a_day_begins_between_itself_and_the_day_before(day: date, zone: ZoneInfo) -> None:
    begins_at = start_of_day(day, zone)
    assert begins_at.tzinfo is UTC
    assert local_day(begins_at - MICROSECOND, zone) < day
    for minutes in range(0, 24 * 60, 15):
        assert local_day(begins_at + timedelta(minutes=minutes), zone) >= day
    is_left_out = zone.key == "Pacific/Apia" and day == date(2011, 12, 30)
    assert (local_day(begins_at, zone) == day) is not is_left_out


@given(st.sampled_from(BY_MONTHS), counts, instants, zones)
def test_points_last_at_least_their_months(
    rule: PointsExpiry, count: int, earned_at: datetime, zone: ZoneInfo
) -> None:
    """PTS-4: and a day, or until the month's end, more."""
    cleared_at = expires_at(rule, count, earned_at, zone)
    assert cleared_at is not None
    assert cleared_at > earned_at
    earned_on, cleared_on = local_day(earned_at, zone), local_day(cleared_at, zone)
    over = (cleared_on - add_months(earned_on, count)).days
    if rule is PointsExpiry.MONTHLY:
        assert 1 <= over <= 31
        assert cleared_on.day == 1
    else:
        assert over == 1 or (over == 2 and zone.key == "Pacific/Apia")


@given(st.integers(0, EXPIRY_YEARS_MAX), instants, zones)
def test_points_by_the_year_last_at_least_their_years(
    count: int, earned_at: datetime, zone: ZoneInfo
) -> None:
    """PTS-4: and less than one more."""
    cleared_at = expires_at(PointsExpiry.YEARLY, count, earned_at, zone)
    assert cleared_at is not None
    assert cleared_at > earned_at
    earned_on, cleared_on = local_day(earned_at, zone), local_day(cleared_at, zone)
    assert (cleared_on.month, cleared_on.day) == (1, 1)
    assert add_months(earned_on, 12 * count) < cleared_on <= add_months(earned_on, 12 * count + 12)


@given(
    st.sampled_from([*BY_MONTHS, PointsExpiry.YEARLY]),
    st.integers(0, EXPIRY_YEARS_MAX),
    st.lists(instants, min_size=2, max_size=2).map(sorted),
    zones,
)
def test_what_was_earned_earlier_is_not_cleared_later(
    rule: PointsExpiry, count: int, earned_at: list[datetime], zone: ZoneInfo
) -> None:
    """PTS-4: wherever days follow each other; in St. John's they did not always."""
    earlier, later = earned_at
    assume(local_day(earlier, zone) <= local_day(later, zone))
    first = expires_at(rule, count, earlier, zone)
    second = expires_at(rule, count, later, zone)
    assert first is not None
    assert second is not None
    assert first <= second


@given(st.sampled_from(BY_MONTHS), st.integers(0, EXPIRY_MONTHS_MAX - 1), instants, zones)
def test_a_month_more_is_never_shorter(
    rule: PointsExpiry, count: int, earned_at: datetime, zone: ZoneInfo
) -> None:
    """PTS-4."""
    shorter = expires_at(rule, count, earned_at, zone)
    longer = expires_at(rule, count + 1, earned_at, zone)
    assert shorter is not None
    assert longer is not None
    assert shorter < longer
