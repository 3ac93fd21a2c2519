"""Where tiers, points that expire with them, and what is rolled back meet (TIR, PTS-4, PTS-7)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database, Transaction
from app.core.ids import new_id, type_id
from app.models.cards import CardStatus
from app.models.ledger import AccountKind
from app.models.tiers import GrantSource
from app.services import cards, ledger, tiers
from app.services.ledger.sheet import spending_order
from tests.factories.behaviour import check_in, set_behaviour_rule, set_points_rules
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_codes import freeze
from tests.factories.purchases import purchase_of, record
from tests.factories.reading import every
from tests.factories.staff import employee
from tests.factories.tiers import (
    CREATE,
    HALF_A_YEAR,
    SET_TIER,
    SHANGHAI_MIDNIGHT,
    at,
    changes,
    expire,
    in_window,
    later,
    not_by_growth,
    progress,
    release,
    set_tier,
    standing,
    tier_id,
)

pytestmark = pytest.mark.anyio

ROLL_BACK = """mutation ($input: PointsRollBackInput!) { pointsRollBack(input: $input) {
  __typename ... on PointsRolledBack { points growth card { tier { name } } } } }"""
LINES = """query ($id: ID!) { card(id: $id) { ledger(first: 100) { edges { node {
  id kind cause } } } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai. Points: 1 for each whole 2.00."""
    return await counter(database, now)


async def roll_back(till: Counter, kind: str = "POINTS") -> Any:
    """Take back the newest earning of the card."""
    shown = await till.as_member(LINES, id=till.card_id)
    nodes = [edge["node"] for edge in shown["ledger"]["edges"]]
    line_id = next(n["id"] for n in nodes if (n["cause"], n["kind"]) == ("EARN", kind))
    asked = {"ledgerLineId": line_id, "reason": "Forged bills", "requestKey": new_id().hex}
    return await till.as_staff(ROLL_BACK, input=asked)


async def ends_of_points(till: Counter) -> list[tuple[int, datetime | None]]:
    """What is left of each lot, and when it is cleared."""
    points = await account(till.database, till.shop.card.id, AccountKind.POINTS)
    lots = await every(till.database, spending_order, account_id=points.id)
    return sorted((lot.remaining, lot.expires_at) for lot in lots)


async def give_gold(till: Counter, months: int | None) -> None:
    gold = await tier_id(till, "Gold")

    async def work(tx: Transaction) -> None:
        card = await cards.locked(tx, till.shop.card)
        await tiers.grant(
            tx, card=card, tier_id=gold, source=GrantSource.TOP_UP, source_id=new_id(),
            months=months, now=till.now,
        )  # fmt: skip

    await till.database.run(work)


# Rolled back


@pytest.mark.parametrize("growth_rate", [0, 10])
async def test_a_rolled_back_purchase_fulfils_no_task(till: Counter, growth_rate: int) -> None:
    """PTS-7, TIR-1: the tier that it brought goes, with or without growth; another brings it."""
    tasks = [{"kind": "PURCHASES", "atLeast": 2}, {"kind": "AMOUNT", "atLeast": 2_000}]
    await release(till, not_by_growth("Regular", tasks=tasks), growthRate=growth_rate)
    await purchase_of(till, 1_000)
    await purchase_of(till, 1_000)
    assert (await standing(till))[0] == "Regular"
    answer = await roll_back(till)
    assert answer == {
        "__typename": "PointsRolledBack",
        "points": 5,
        "growth": growth_rate,
        "card": {"tier": {"name": "Green"}},
    }
    assert await changes(till) == [
        ("Green", "Regular", "GRANT"),
        ("Regular", "Green", "GRANT_ENDED"),
    ]
    assert [each["reached"] for each in (await progress(till))["tasks"]] == [1, 1_000]
    await record(await later(till, seconds=1), 1_000)
    assert (await standing(till))[0] == "Regular"
    assert await till.database.scan(ledger.check) == []


@pytest.mark.parametrize("earned", ["points", "growth"])
async def test_a_rolled_back_event_fulfils_no_task(till: Counter, earned: str) -> None:
    """PTS-7, TIR-1: whichever of the two it had earned."""
    tasks = [{"kind": "EVENTS", "eventKey": "check_in", "atLeast": 2}]
    await release(till, not_by_growth("Regular", tasks=tasks))
    await set_behaviour_rule(till, "check_in", **{earned: 5})
    await check_in(till)
    tomorrow = await later(till, days=1)
    await check_in(tomorrow)
    assert (await standing(till))[0] == "Regular"
    answer = await roll_back(tomorrow, earned.upper())
    assert answer["card"] == {"tier": {"name": "Green"}}
    assert [each["reached"] for each in (await progress(tomorrow))["tasks"]] == [1]
    assert await till.database.scan(ledger.check) == []


# Points as long as the tier


async def test_points_go_with_a_tier_that_was_given(till: Counter) -> None:
    """PTS-4: with the last end of what gave it, for good once one is for good."""
    await release(till)
    await set_points_rules(till, expiry={"rule": "WITH_TIER"})
    await record(till, 200)
    assert await ends_of_points(till) == [(1, None)]
    await give_gold(till, 6)
    assert await ends_of_points(till) == [(1, SHANGHAI_MIDNIGHT)]
    await record(till, 400)
    assert await ends_of_points(till) == [(1, SHANGHAI_MIDNIGHT), (2, SHANGHAI_MIDNIGHT)]
    await give_gold(till, 3)
    assert {end for _, end in await ends_of_points(till)} == {SHANGHAI_MIDNIGHT}
    await give_gold(till, 7)
    april = datetime(2027, 4, 1, 16, 0, tzinfo=UTC)
    assert {end for _, end in await ends_of_points(till)} == {april}
    await give_gold(till, None)
    await record(till, 600)
    assert await ends_of_points(till) == [(1, None), (2, None), (3, None)]


async def test_points_of_a_given_tier_are_cleared_at_its_end(till: Counter) -> None:
    """PTS-4: those earned after it stay as long as the tier that follows, which is for good."""
    await release(till)
    await set_points_rules(till, expiry={"rule": "WITH_TIER"})
    await give_gold(till, 6)
    await record(till, 10_000)
    assert await ends_of_points(till) == [(50, SHANGHAI_MIDNIGHT)], "growth's Silver has no end"
    month = {"rule": "DAY_AFTER_MONTHS", "months": 1}
    await release(till, in_window("Silver", 100, 12), in_window("Gold", 1_000, 12), validity=month)
    assert await ends_of_points(till) == [(50, SHANGHAI_MIDNIGHT)], "Silver's new end is below"
    await release(till)
    march = await at(till, SHANGHAI_MIDNIGHT)
    await record(march, 400)
    assert await expire(march) == 1
    assert (await standing(march))[0] == "Silver"
    await till.database.run(ledger.expire_due, now=march.now)
    assert await ends_of_points(till) == [(2, None)]


async def test_a_purchase_after_the_tiers_end_keeps_its_points(till: Counter) -> None:
    """PTS-4, TIR-4: though nobody has ended the tier yet; also a bill of before, told late."""
    await release(till, in_window("Silver", 100, 12), validity=HALF_A_YEAR, growthRate=1)
    await set_points_rules(till, expiry={"rule": "WITH_TIER"})
    await record(till, 100_000)
    march = await at(till, SHANGHAI_MIDNIGHT + timedelta(seconds=30))
    await record(march, 200)
    told_late = (SHANGHAI_MIDNIGHT - timedelta(hours=1)).isoformat()
    await record(march, 400, occurredAt=told_late)
    await expire(march)
    again = datetime(2027, 9, 2, 16, 0, tzinfo=UTC)
    await till.database.run(ledger.expire_due, now=march.now)
    assert await ends_of_points(till) == [(1, again), (2, again)], "Silver again, by its rule"


# Who may, and how


async def test_who_may_not_write_tiers_learns_nothing_of_the_card(till: Counter) -> None:
    """ORG-2: one who may in a store, of a scheme of the whole group."""
    manager = await till.database.run(employee, node=till.shop.store, now=till.now)
    await till.database.run(freeze, till.shop.card, CardStatus.REFUNDED)
    async with nothing_moves(till.database):
        asked = {"cardId": till.card_id, "reason": "A promise", "tierId": None}
        assert await till.as_staff(SET_TIER, who=manager, input=asked) == "FORBIDDEN"
        answer = await set_tier(till, "Green")
        assert answer == {"__typename": "CardNotUsable", "status": "REFUNDED"}


async def test_tiers_that_are_computed_are_released_together(till: Counter) -> None:
    """TIR-5: one that is added alone would leave cards where they do not belong."""
    await release(till)
    asked = {"schemeId": type_id("sch", till.shop.scheme.id), "name": "Top", "growthFrom": 9_000}
    async with nothing_moves(till.database):
        assert await till.as_staff(CREATE, input=asked) == "BAD_USER_INPUT"
    await record(till, 1_000_000)
    assert (await standing(till))[0] == "Gold"
