"""PTS-4: points are cleared when their scheme's rule says, and members see when that is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Database, statement
from app.core.ids import type_id
from app.models.cards import Card
from app.services import ledger
from tests.factories.behaviour import (
    check_in,
    expiring,
    moved_to,
    record_event,
    set_behaviour_rule,
    set_points_rules,
)
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account
from tests.factories.purchases import purchase_of, record, refund

pytestmark = pytest.mark.anyio

MOVE_CLOCK = """mutation ($id: ID!, $zone: String!) {
  nodeUpdate(input: {id: $id, timeZone: $zone}) { __typename } }"""
ADJUST = """mutation ($input: AdjustmentProposeInput!) { adjustmentPropose(input: $input) {
  __typename } }"""
LINES = """query ($id: ID!) { card(id: $id) { ledger(first: 100) { edges { node {
  cause amount balanceAfter occurredAt } } } } }"""
MICROSECOND = timedelta(microseconds=1)
SHANGHAI = "Asia/Shanghai"
LOS_ANGELES = "America/Los_Angeles"

tier_ends = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(growth_tier_id=col(Card.tier_id), growth_tier_expires_at=bindparam("at"))
)

CALENDAR = [
    # zone, rule, count, earned there, cleared there
    # The examples of PTS-4.
    (SHANGHAI, "MONTHLY", 12, "2025-01-20T09:30", "2026-02-01"),
    (SHANGHAI, "DAILY", 12, "2025-01-20T09:30", "2026-01-21"),
    (SHANGHAI, "YEARLY", 0, "2025-06-15T09:30", "2026-01-01"),
    (SHANGHAI, "YEARLY", 1, "2025-06-15T09:30", "2027-01-01"),
    (SHANGHAI, "ROLLING", 12, "2025-01-20T09:30", "2026-01-21"),
    # 29 February.
    (SHANGHAI, "DAILY", 12, "2024-02-29T09:30", "2025-03-01"),
    (SHANGHAI, "MONTHLY", 12, "2024-02-29T09:30", "2025-03-01"),
    (SHANGHAI, "DAILY", 1, "2024-01-31T09:30", "2024-03-01"),
    # The last moment of a year, and the first of the next.
    (SHANGHAI, "YEARLY", 0, "2025-12-31T23:59:59", "2026-01-01"),
    (SHANGHAI, "YEARLY", 0, "2026-01-01T00:00", "2027-01-01"),
    (SHANGHAI, "MONTHLY", 0, "2025-12-31T23:59:59", "2026-01-01"),
    # China has one time: in Urumqi, two hours behind on the wall, another day may still be.
    (SHANGHAI, "DAILY", 0, "2025-06-15T01:30", "2025-06-16"),
    ("Asia/Urumqi", "DAILY", 0, "2025-06-14T23:30", "2025-06-15"),
    # Midnight in Los Angeles is 08:00 UTC in winter and 07:00 in summer.
    (LOS_ANGELES, "MONTHLY", 1, "2026-01-31T23:30", "2026-03-01"),
    (LOS_ANGELES, "MONTHLY", 2, "2026-01-31T23:30", "2026-04-01"),
    (LOS_ANGELES, "DAILY", 0, "2026-03-08T01:30", "2026-03-09"),
]


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


def local(text: str, zone: str = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


async def balance(till: Counter) -> int:
    return (await account(till.database, till.shop.card.id)).balance


async def expire(till: Counter, at: datetime) -> int:
    """As the worker does; on how many accounts something expired."""
    return len(await till.database.run(ledger.expire_due, now=at))


async def keep_time_of(till: Counter, zone: str) -> None:
    group = type_id("node", till.shop.places.group.id)
    assert await till.as_staff(MOVE_CLOCK, id=group, zone=zone) == {"__typename": "Node"}


async def test_points_are_cleared_to_the_moment_that_the_rule_names(till: Counter) -> None:
    """PTS-4: not a microsecond before, and the member has seen it coming."""
    for zone, rule, count, earned, cleared in CALENDAR:
        till = await moved_to(till, local(earned, zone))
        cleared_at = local(cleared, zone)
        case = (zone, rule, count, earned)
        await keep_time_of(till, zone)
        await set_points_rules(till, expiry={"rule": rule, "count": count})
        assert (await record(till, 1_000))["pointsEarned"] == 5
        at_eve = replace(till, now=cleared_at - MICROSECOND)
        assert await expiring(at_eve, days=1) == [(5, cleared_at)], case
        assert await expire(till, cleared_at - MICROSECOND) == 0, case
        assert await balance(till) == 5, case
        assert await expire(till, cleared_at) == 1, case
        assert await balance(till) == 0, case
        assert await expiring(replace(till, now=cleared_at)) == [], case
    assert await till.database.scan(ledger.check) == []


async def test_permanent_points_stay(till: Counter) -> None:
    """PTS-4."""
    await record(till, 1_000)
    assert await expiring(till) == []
    assert await expire(till, datetime(9_000, 1, 1, tzinfo=UTC)) == 0
    assert await balance(till) == 5


async def test_points_of_a_tier_go_with_it(till: Counter) -> None:
    """PTS-4: with the end of the tier that growth reached; without one they stay."""
    await set_points_rules(till, expiry={"rule": "WITH_TIER"})
    await record(till, 1_000)
    ends = datetime(2027, 3, 1, tzinfo=UTC)
    await till.database.run(lambda tx: tx.changed(tier_ends, card_id=till.shop.card.id, at=ends))
    await record(till, 400)
    assert await expiring(till) == [(2, ends)]
    await expire(till, ends)
    assert await balance(till) == 5


async def test_the_member_sees_what_expires_when(till: Counter) -> None:
    """PTS-4: added up for each moment, the soonest first, as far ahead as was asked."""
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 1})
    await record(till, 1_000)
    await record(till, 400)
    later = till.later(hours=4)  # the next day in Shanghai
    await record(later, 600)
    october = datetime(2026, 10, 1, 16, tzinfo=UTC)
    assert await expiring(later) == [(7, october), (3, october + timedelta(days=1))]
    assert await expiring(later, days=30) == [(7, october)]
    assert await expiring(later, days=29) == []
    for days in (0, 367, -1):
        assert await expiring(later, days=days) == "BAD_USER_INPUT"


async def test_a_new_rule_leaves_what_was_earned(till: Counter) -> None:
    """PTS-4: cards and lots of before keep theirs."""
    await record(till, 200)
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 1})
    await record(till, 400)
    await set_points_rules(till, expiry={"rule": "MONTHLY", "count": 1})
    await record(till, 600)
    daily, monthly = local("2026-10-02"), local("2026-11-01")
    assert await expiring(till) == [(2, daily), (3, monthly)]
    await expire(till, monthly)
    assert await balance(till) == 1


async def test_every_purchase_rolls_all_points_on(till: Counter) -> None:
    """PTS-4: rolling from the last purchase, also one that earns nothing."""
    await set_points_rules(till, expiry={"rule": "ROLLING", "count": 6})
    await record(till, 1_000)
    assert await expiring(till) == [(5, local("2027-03-02"))]
    in_december = await moved_to(till, local("2026-12-24T18:00"))
    await record(in_december, 400)
    assert await expiring(in_december) == [(7, local("2027-06-25"))]
    in_january = await moved_to(till, local("2027-01-05T18:00"))
    assert (await record(in_january, 199))["pointsEarned"] == 0
    assert await expiring(in_january) == [(7, local("2027-07-06"))]


async def test_a_purchase_reported_late_rolls_nothing_back(till: Counter) -> None:
    """PTS-4: the last purchase is the one made last, not the one heard of last."""
    await set_points_rules(till, expiry={"rule": "ROLLING", "count": 1})
    await record(till, 1_000)
    rolled = local("2026-10-02")
    late = (till.now - timedelta(days=10)).isoformat()
    await record(till, 400, occurredAt=late)
    assert await expiring(till) == [(7, rolled)]


async def test_points_of_a_first_purchase_reported_late_count_from_its_day(till: Counter) -> None:
    """PTS-4."""
    await set_points_rules(till, expiry={"rule": "ROLLING", "count": 1})
    await record(till, 400, occurredAt=(till.now - timedelta(days=10)).isoformat())
    assert await expiring(till) == [(2, local("2026-09-23"))]


async def test_rolling_leaves_what_never_expires_and_what_is_over(till: Counter) -> None:
    """PTS-4: nor does it bring forward what lasts longer by the rule of before."""
    await record(till, 1_000)
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 0})
    await record(till, 600)
    await set_points_rules(till, expiry={"rule": "MONTHLY", "count": 6})
    await record(till, 200)
    april = local("2027-04-01")
    tomorrow = await moved_to(till, local("2026-09-02T08:00"))
    await set_points_rules(tomorrow, expiry={"rule": "ROLLING", "count": 1})
    await record(tomorrow, 400)  # the 3 points are over, though nobody has cleared them yet
    assert await expiring(tomorrow) == [(2, local("2026-10-03")), (1, april)]
    assert await balance(till) == 11
    assert await expire(till, tomorrow.now) == 1
    assert await balance(till) == 8
    await expire(till, april)
    assert await balance(till) == 5


async def test_other_points_expire_by_the_same_rule(till: Counter) -> None:
    """PTS-4: what a behaviour earns counts from its day, what staff add from now."""
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 1})
    await set_behaviour_rule(till, "check_in", points=2)
    await set_behaviour_rule(till, "review", points=3)
    await check_in(till)
    await record_event(till, "review", occurredAt=(till.now - timedelta(days=3)).isoformat())
    await till.as_staff(
        ADJUST,
        input={
            "cardId": till.card_id,
            "kind": "POINTS",
            "amount": 20,
            "reason": "Sorry",
            "requestKey": "adjust",
        },
    )
    assert await expiring(till) == [(3, local("2026-09-30")), (22, local("2026-10-02"))]


async def test_what_expires_first_is_spent_first_and_expiry_is_on_the_card(till: Counter) -> None:
    """PTS-3, PTS-4: a refund takes its own lot; the rest is cleared, visibly."""
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 1})
    await record(till, 1_000)
    tomorrow = await moved_to(till, till.now + timedelta(days=1))
    purchase_id = await purchase_of(tomorrow, 400)
    await refund(tomorrow, purchase_id, 200)
    first, second = local("2026-10-02"), local("2026-10-03")
    assert await expiring(tomorrow) == [(5, first), (1, second)]
    await expire(till, second)
    shown = await till.as_member(LINES, id=till.card_id)
    newest = shown["ledger"]["edges"][0]["node"]
    assert (newest["cause"], newest["amount"], newest["balanceAfter"]) == ("EXPIRE", -6, 0)
    assert datetime.fromisoformat(newest["occurredAt"]) == second
