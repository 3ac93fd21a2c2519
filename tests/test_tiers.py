"""TIR-1 to TIR-4, TIR-8: which tier a card has by its growth, and who is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database, Transaction
from app.core.ids import type_id
from app.models.cards import Card
from app.models.tiers import TierCause
from app.services import cards, ledger, members, schemes, tiers
from app.services.merges.merging import join_records
from tests.factories.cards import Counter, counter
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.running import EVENTS, a_running_app
from tests.factories.tiers import (
    CHANGES,
    HALF_A_YEAR,
    SHANGHAI_MIDNIGHT,
    a_tier,
    at,
    changes,
    do_jobs,
    expire,
    in_window,
    later,
    progress,
    release,
    row,
    standing,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai."""
    return await counter(database, now)


# By growth


async def test_the_highest_tier_whose_condition_holds(till: Counter) -> None:
    """TIR-2: tried from high to low; new cards start in the lowest."""
    await release(till, in_window("Silver", 100, 6), a_tier("Gold", 1_000))
    assert await standing(till) == ("Green", 0)
    found = []
    for total in (9_900, 100, 89_900, 100):
        await record(till, total)
        found.append(await standing(till))
    assert found == [("Green", 90), ("Silver", 100), ("Silver", 990), ("Gold", 1_000)]
    assert await changes(till) == [("Green", "Silver", "GROWTH"), ("Silver", "Gold", "GROWTH")]


async def test_a_condition_that_holds_higher_up_wins_over_one_that_does_not_below(
    till: Counter,
) -> None:
    """TIR-2: 200 in all reach Gold, though not even 100 came in the last month."""
    await release(till, in_window("Silver", 100, 1), a_tier("Gold", 200))
    await record(till, 9_000)
    await record(await later(till, days=40), 9_000)
    assert await standing(till) == ("Green", 180)
    await record(await later(till, days=80), 2_000)
    assert await standing(till) == ("Gold", 200)


@pytest.mark.parametrize(("seconds", "tier"), [(-1, "Green"), (0, "Silver")])
async def test_the_last_months_begin_with_a_day_of_the_schemes_zone(
    till: Counter, seconds: int, tier: str
) -> None:
    """TIR-2: a month before 31 March is 28 February, from its midnight in Shanghai on."""
    await release(till, in_window("Silver", 100, 1))
    midnight = datetime(2027, 2, 27, 16, 0, tzinfo=UTC)
    await record(await at(till, midnight + timedelta(seconds=seconds)), 9_000)
    march = await at(till, datetime(2027, 3, 31, 4, 0, tzinfo=UTC))
    await record(march, 1_000)
    assert await standing(march) == (tier, 100)


@pytest.mark.parametrize(
    ("how", "after_refund", "after_months"),
    [
        ("ADJUST", "Green", "Green"),
        ("UPGRADE_ONLY", "Silver", "Silver"),
        ("NOTHING", "Green", "Green"),
    ],
)
async def test_what_a_change_of_growth_does(
    till: Counter, how: str, after_refund: str, after_months: str
) -> None:
    """TIR-3: both ways, only up, or not at all; a refund and a window that moved on."""
    await release(till, in_window("Silver", 100, 3), onGrowthChange=how)
    bought = await purchase_of(till, 10_000)
    assert await standing(till) == ("Green" if how == "NOTHING" else "Silver", 100)
    await refund(till, bought, 1_000)
    assert await standing(till) == (after_refund, 90)
    await record(till, 1_000)
    in_winter = await later(till, days=120)
    await record(in_winter, 1_000)
    assert await standing(in_winter) == (after_months, 110)


async def test_refunds_find_the_tier_anew(till: Counter) -> None:
    """TIR-3, TIR-6: down by one tier, down to the lowest, and each change stands in the history."""
    await release(till)
    bought = await purchase_of(till, 100_000)
    await refund(till, bought, 1)
    assert await standing(till) == ("Silver", 990)
    await refund(till, bought, 99_999)
    assert await standing(till) == ("Green", 0)
    assert await changes(till) == [
        ("Green", "Gold", "GROWTH"),
        ("Gold", "Silver", "GROWTH"),
        ("Silver", "Green", "GROWTH"),
    ]
    assert await till.database.scan(ledger.check) == []


async def test_two_purchases_at_once_reach_the_tier_of_both(till: Counter) -> None:
    """TIR-2: neither sees only its own growth."""
    await release(till)
    await asyncio.gather(*(record(till, 12_500) for _ in range(8)))
    assert await standing(till) == ("Gold", 1_000)
    found = await changes(till)
    assert found == [("Green", "Silver", "GROWTH"), ("Silver", "Gold", "GROWTH")]


async def test_reevaluating_goes_by_the_rules_both_ways(till: Counter) -> None:
    """TIR-3: what a recalculation finds for one card."""
    await release(till, in_window("Silver", 100, 3), onGrowthChange="UPGRADE_ONLY")
    await record(till, 10_000)
    winter = await later(till, days=120)

    async def again(tx: Transaction, cause: TierCause) -> str:
        card = await cards.locked(tx, till.shop.card)
        scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
        found = await tiers.reevaluate(
            tx, card=card, scheme=scheme, cause=cause, cause_id=None, now=winter.now
        )
        return (await schemes.tiers(tx, [found.tier_id]))[found.tier_id].name

    assert await till.database.run(again, TierCause.GROWTH) == "Silver"
    assert await till.database.run(again, TierCause.RECALCULATION) == "Green"


# Two records of one person


MERGE_UNDO = """mutation ($id: ID!) { mergeUndo(input: {mergeId: $id}) { __typename } }"""


async def another(tx: Transaction, till: Counter) -> Card:
    """The same person again, with a card of their own."""
    member = await members.create(tx, group_id=till.shop.places.group.id, name=None, now=till.now)
    return await cards.open_card(
        tx, member=member, scheme=till.shop.scheme, store_id=None, now=till.now
    )


async def merge(till: Counter, other: Card) -> str:
    made = await till.database.run(
        join_records, survivor_id=till.shop.member.id, loser_id=other.member_id, now=till.now
    )
    return type_id("mrg", made.id)


@pytest.mark.parametrize("meanwhile", [0, 700])
async def test_merging_adds_up_growth_and_what_carries_over(till: Counter, meanwhile: int) -> None:
    """IDN-4, IDN-5, TIR-6: 95.00 and 96.00 are 191.00: 190 of growth, and Gold; and back."""
    await release(till, a_tier("Silver", 90), a_tier("Gold", 190))
    other = await till.database.run(another, till)
    other_id = type_id("card", other.id)
    await record(till, 9_500)
    await record(till, 9_600, cardId=other_id)
    assert await standing(till) == await standing(till, other_id) == ("Silver", 90)
    merge_id = await merge(till, other)
    assert await standing(till) == await standing(till, other_id) == ("Gold", 190)
    assert (await row(till)).growth_amount == 19_100
    assert ("Silver", "Gold", "MERGE") in await changes(till)
    if meanwhile:
        await record(till, meanwhile)
    answer = await till.as_staff(MERGE_UNDO, id=merge_id)
    assert answer["__typename"] == "MergeUndone", answer
    # What was bought meanwhile stays: 95.00 and 7.00 are 102.00.
    assert await standing(till) == ("Silver", 100 if meanwhile else 90)
    assert await standing(till, other_id) == ("Silver", 90)
    assert (await row(till)).growth_amount == 9_500 + meanwhile
    assert await till.database.scan(ledger.check) == []


async def test_a_merge_keeps_the_tier_that_lasts_longer(till: Counter) -> None:
    """IDN-4, TIR-4: a tier within its validity goes along though its growth is long ago."""
    await release(
        till, in_window("Silver", 100, 1), in_window("Gold", 200, 1), validity=HALF_A_YEAR
    )
    other = await till.database.run(another, till)
    await record(till, 20_000, cardId=type_id("card", other.id))
    winter = await later(till, days=90)
    await record(winter, 10_000)
    merge_id = await merge(winter, other)
    assert await standing(winter) == ("Gold", 300)
    assert (await row(till)).growth_tier_expires_at == SHANGHAI_MIDNIGHT
    await winter.as_staff(MERGE_UNDO, id=merge_id)
    assert await standing(winter) == ("Silver", 100)
    assert await standing(winter, type_id("card", other.id)) == ("Gold", 200)
    march = await at(till, SHANGHAI_MIDNIGHT)
    assert await expire(march) == 1
    assert await standing(march, type_id("card", other.id)) == ("Green", 200)


# What is told and shown


async def test_progress_shows_the_way_to_the_next_tier(till: Counter) -> None:
    """TIR-2: by all growth or by that of the last months, in both schemas."""
    await release(till, in_window("Silver", 100, 1), a_tier("Gold", 1_000))
    await record(till, 9_000)
    winter = await later(till, days=90)
    await record(winter, 5_000)
    way: dict[str, Any] = {"tasks": [], "expiresAt": None}
    assert await progress(winter) == way | {
        "tier": {"name": "Silver"}, "growthNeeded": 100, "growthGained": 50,
    }  # fmt: skip
    await record(winter, 5_000)
    assert await progress(winter) == way | {
        "tier": {"name": "Gold"}, "growthNeeded": 1_000, "growthGained": 190,
    }  # fmt: skip


async def test_the_history_comes_in_pages(till: Counter) -> None:
    """TIR-8: newest first, in both schemas."""
    await release(till)
    bought = await purchase_of(till, 10_000)
    await refund(till, bought, 10_000)
    await record(till, 100_000)
    seen: list[str] = []
    after = None
    while True:
        page = (await till.as_member(CHANGES, id=till.card_id, first=2, after=after))["tierChanges"]
        seen += [edge["node"]["to"]["name"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == ["Gold", "Green", "Silver"]
    node = (await till.as_staff(CHANGES, id=till.card_id, first=1))["tierChanges"]["edges"][0]
    assert node["node"] == {
        "cardId": till.card_id,
        "from": {"name": "Green"},
        "to": {"name": "Gold"},
        "cause": "GROWTH",
        "changedAt": till.now.isoformat(),
    }


async def test_the_page_hears_of_a_new_tier(database: Database, database_url: str) -> None:
    """QRC-3, TIR-8: at once, with what it was and became."""
    told = EVENTS.replace(
        "... on Listening", "... on TierChanged { change { from { name } to { name } cause } }"
        "\n  ... on Listening",
    )  # fmt: skip
    async with a_running_app(database, database_url) as running:
        await release(running.till)
        async with running.page(events=told) as page:
            await running.record(10_000)
            heard = [await page.event(), await page.event()]
    by_name = {event["__typename"]: event for event in heard}
    assert by_name.keys() == {"PurchaseRecorded", "TierChanged"}
    assert by_name["TierChanged"]["change"] == {
        "from": {"name": "Green"},
        "to": {"name": "Silver"},
        "cause": "GROWTH",
    }
    await do_jobs(running.till)
