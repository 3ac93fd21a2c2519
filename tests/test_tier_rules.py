"""TIR-4, TIR-5: rules of tiers are saved and released at once, by those who may."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.models.cards import Tier
from app.models.tiers import GrantSource
from app.services import cards, tiers
from tests.factories.cards import Counter, counter
from tests.factories.ledger import nothing_moves
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.reading import every
from tests.factories.tiers import (
    CREATE,
    RELEASE,
    RUN,
    TIERS,
    a_tier,
    begun,
    changes,
    do_jobs,
    in_window,
    later,
    more_cards,
    not_by_growth,
    release,
    row,
    rules,
    runs,
    scheme_id,
    set_tier,
    standing,
    tier_id,
    two_more_tiers,
)

pytestmark = pytest.mark.anyio

RECORD_ONLY = """mutation ($id: ID!) { tierRulesRecordOnly(input: {schemeId: $id}) {
  __typename ... on Scheme { tierRules { areComputed } } } }"""
A_TASK = {"kind": "PURCHASES", "atLeast": 1}
all_tiers = statement(select(Tier).order_by(col(Tier.scheme_id), col(Tier.level)), into=Tier)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai."""
    return await counter(database, now)


async def test_a_release_says_what_stands_and_recomputes_every_card(till: Counter) -> None:
    """TIR-5: the rules hold at once; the run counts what it did and what changed."""
    others = await more_cards(till, [0, 99, 100, 999, 1_000])
    released = await till.as_staff(
        RELEASE,
        input=await rules(
            till,
            a_tier("Silver", 100),
            in_window("Gold", 1_000, 12, tasks=[
                {"kind": "EVENTS", "eventKey": "review", "atLeast": 2, "windowMonths": 3},
            ]),
            growthOnly=[{"name": " Café "}],
            growthExcept=[{"id": "V-1"}],
            onGrowthChange="UPGRADE_ONLY",
            afterExpiry="SINCE_UPGRADE",
            recalculation={"months": 3, "day": 31},
            validity={"rule": "END_OF_MONTH", "months": 12},
        ),
    )  # fmt: skip
    ids = [tier.pop("id") for tier in released["scheme"]["tiers"]]
    assert ids[0] == type_id("tier", till.shop.card.tier_id), "a tier there is keeps its id"
    assert released["scheme"] == {
        "tiers": [
            {"name": "Green", "level": 1, "growthFrom": 0, "condition": "ACCUMULATED",
             "windowMonths": None, "tasks": []},
            {"name": "Silver", "level": 2, "growthFrom": 100, "condition": "ACCUMULATED",
             "windowMonths": None, "tasks": []},
            {"name": "Gold", "level": 3, "growthFrom": 1_000, "condition": "WINDOW",
             "windowMonths": 12, "tasks": [
                {"kind": "EVENTS", "eventKey": "review", "atLeast": 2, "windowMonths": 3}]},
        ],
        "tierRules": {
            "areComputed": True, "version": 1, "growthRate": 10, "growthUnit": {"amount": 1_000},
            "growthOnly": [{"id": None, "name": "Café"}],
            "growthExcept": [{"id": "V-1", "name": None}],
            "onGrowthChange": "UPGRADE_ONLY", "afterExpiry": "SINCE_UPGRADE",
            "validity": {"rule": "END_OF_MONTH", "months": 12},
            "recalculation": {"months": 3, "day": 31},
        },
    }  # fmt: skip
    run = released["run"]
    assert run == {
        "id": run["id"], "cause": "RELEASE", "state": "RUNNING", "numberOfCards": 6,
        "numberDone": 0, "numberChanged": 0,
    }  # fmt: skip
    scheme = await till.as_staff(TIERS, id=scheme_id(till))
    assert scheme["tierRun"] == {"id": run["id"]}
    await do_jobs(till)
    assert await till.as_staff(RUN, id=run["id"]) == {
        "cause": "RELEASE", "state": "DONE", "numberOfCards": 6, "numberDone": 6,
        "numberChanged": 3, "finishedAt": till.now.isoformat(),
    }  # fmt: skip
    assert (await till.as_staff(TIERS, id=scheme_id(till)))["tierRun"] is None
    found = [(await standing(till, card_id))[0] for card_id in others]
    assert found == ["Green", "Green", "Silver", "Silver", "Gold"]
    assert await changes(till, others[4]) == [("Green", "Gold", "RELEASE")]


async def test_a_release_recomputes_what_was_recorded(till: Counter) -> None:
    """TIR-5: what others wrote gives way to what is computed; what was given in trade stays."""
    others = await more_cards(till, [0, 100])
    await two_more_tiers(till)
    for card_id in others:
        await set_tier(till, "Gold", cardId=card_id)
    gold = await tier_id(till, "Gold")
    await till.database.run(grant_top_up, till, gold)
    await release(till)
    assert [(await standing(till, card_id))[0] for card_id in others] == ["Green", "Silver"]
    assert await standing(till) == ("Gold", 0), "it came with a top-up"
    assert await changes(till, others[0]) == [
        ("Green", "Gold", "GRANT"),
        ("Gold", "Green", "RELEASE"),
    ]


async def grant_top_up(tx: Transaction, till: Counter, gold: UUID) -> None:
    card = await cards.locked(tx, till.shop.card)
    await tiers.grant(
        tx, card=card, tier_id=gold, source=GrantSource.TOP_UP, source_id=new_id(), months=None,
        now=till.now,
    )  # fmt: skip


async def test_thresholds_that_move_move_the_cards(till: Counter) -> None:
    """TIR-5: both ways, with its own cause in each card's history; run by run."""
    others = await more_cards(till, [100, 500, 1_000])
    await release(till)
    await release(till, a_tier("Silver", 500), a_tier("Gold", 2_000), onGrowthChange="NOTHING")
    assert [(await standing(till, i))[0] for i in others] == ["Green", "Silver", "Silver"]
    await release(till, a_tier("Silver", 50), a_tier("Gold", 500))
    assert [(await standing(till, i))[0] for i in others] == ["Silver", "Gold", "Gold"]
    assert [why for *_, why in await changes(till, others[2])] == ["RELEASE"] * 3
    assert [(run.number_done, run.number_changed) for run in await every(till.database, runs)] == [
        (4, 3), (4, 2), (4, 3),
    ]  # fmt: skip


async def test_a_release_gives_validity_to_tiers_that_stay(till: Counter) -> None:
    """TIR-4, TIR-5: from the day they were reached, or anew where that would be over."""
    await release(till, in_window("Silver", 100, 12))
    await record(till, 10_000)
    assert (await row(till)).growth_tier_expires_at is None
    january = await later(till, days=150)
    silver = in_window("Silver", 100, 12)
    six = {"rule": "DAY_AFTER_MONTHS", "months": 6}
    await release(january, silver, validity=six)
    assert (await row(till)).growth_tier_expires_at == datetime(2027, 3, 1, 16, tzinfo=UTC)
    await release(january, silver, validity=six | {"months": 1})
    held = await row(till)
    assert held.growth_tier_since == january.now
    assert held.growth_tier_expires_at == datetime(2027, 2, 28, 16, tzinfo=UTC)
    await release(january, a_tier("Silver", 100), validity=six)
    assert (await row(till)).growth_tier_expires_at is None, "now by what was accumulated"
    assert await changes(till) == [("Green", "Silver", "GROWTH")]


async def test_tiers_are_renamed_moved_added_and_removed(till: Counter) -> None:
    """TIR-5: by their ids; one that is nobody's goes."""
    await release(till)
    given = await rules(till)
    green, silver, gold = given["tiers"]
    moved = [
        green | {"name": "Grün"},
        gold | {"name": "Silver", "growthFrom": 50},
        a_tier("Bronze", 75),
        silver | {"name": "Gold", "growthFrom": 100},
    ]
    released = await till.as_staff(RELEASE, input=given | {"tiers": moved})
    await do_jobs(till)
    shown = released["scheme"]["tiers"]
    assert [(tier["level"], tier["name"]) for tier in shown] == [
        (1, "Grün"), (2, "Silver"), (3, "Bronze"), (4, "Gold"),
    ]  # fmt: skip
    assert [shown[0]["id"], shown[1]["id"], shown[3]["id"]] == [
        green["id"], gold["id"], silver["id"],
    ]  # fmt: skip
    left = [green, silver | {"growthFrom": 100}]
    given = (await rules(till)) | {"tiers": left}
    released = await till.as_staff(RELEASE, input=given)
    assert [tier["name"] for tier in released["scheme"]["tiers"]] == ["Green", "Silver"]


@pytest.mark.parametrize("use", ["card", "grant", "history"])
async def test_a_tier_in_use_cannot_be_removed(till: Counter, use: str) -> None:
    """TIR-5: cards have it, it was given, or it stands in a history."""
    await release(till)
    gold = await tier_id(till, "Gold")
    if use == "card":
        await record(till, 100_000)
    elif use == "grant":
        await release(till, a_tier("Silver", 100), a_tier("Gold", 1_000), a_tier("Top", 10_000))
        await till.database.run(grant_top_up, till, await tier_id(till, "Top"))
        gold = await tier_id(till, "Top")
    else:
        bought = await purchase_of(till, 100_000)
        await refund(till, bought, 100_000)
    kept = [a_tier("Silver", 100), a_tier("Gold", 1_000)]
    given = await rules(till, *(kept if use == "grant" else kept[:1]))
    async with nothing_moves(till.database):
        before = await every(till.database, all_tiers)
        refused = await till.as_staff(RELEASE, input=given)
        assert refused == {"__typename": "TierInUse", "tierId": type_id("tier", gold)}
        assert await every(till.database, all_tiers) == before


@pytest.mark.parametrize(
    "change",
    [
        {"growthUnit": 0},
        {"growthUnit": 10**9 + 1},
        {"growthRate": -1},
        {"growthRate": 10_001},
        {"growthOnly": [{}]},
        {"growthOnly": [{"id": "a", "name": "b"}]},
        {"growthOnly": [{"id": "x" * 65}]},
        {"growthExcept": [{"name": ""}]},
        {"growthExcept": [{"id": "x"}] * 201},
        {"recalculation": {"months": 5, "day": 1}},
        {"recalculation": {"months": 12, "day": 29}},
        {"recalculation": {"months": 12, "day": 0}},
        {"validity": {"rule": "END_OF_MONTH", "months": 0}},
        {"validity": {"rule": "DAY_AFTER_MONTHS", "months": 121}},
        {"tiers": []},
        {"tiers": [a_tier("A", 1)]},
        {"tiers": [in_window("A", 0, 1)]},
        {"tiers": [not_by_growth("A")]},
        {"tiers": [a_tier("A"), a_tier("B", 0)]},
        {"tiers": [a_tier("A"), a_tier("B", 5), a_tier("C", 5)]},
        {"tiers": [a_tier("A"), a_tier("B", 5), not_by_growth("C"), a_tier("D", 5)]},
        {"tiers": [a_tier("A"), a_tier("B", 2**53 + 1)]},
        {"tiers": [a_tier("A"), not_by_growth("B") | {"growthFrom": 5}]},
        {"tiers": [a_tier("A"), a_tier("a", 5)]},
        {"tiers": [a_tier("A"), a_tier("", 5)]},
        {"tiers": [a_tier("A"), a_tier("x" * 65, 5)]},
        {"tiers": [a_tier("A"), in_window("B", 5, 0)]},
        {"tiers": [a_tier("A"), in_window("B", 5, 121)]},
        {"tiers": [a_tier("A"), a_tier("B", 5) | {"windowMonths": 3}]},
        {"tiers": [a_tier("A"), a_tier("B", 5) | {"condition": "WINDOW"}]},
        {"tiers": [a_tier("A")] + [in_window(f"B{m}", m, m) for m in range(1, 8)]},
        {"tiers": [a_tier("A")] + [a_tier(f"B{n}", n) for n in range(1, 51)]},
        {"tiers": [a_tier("A") | {"tasks": [A_TASK]}]},
    ]
    + [
        {"tiers": [a_tier("A"), not_by_growth("B", tasks=[task])]}
        for task in (
            {"kind": "PURCHASES", "atLeast": 0},
            {"kind": "AMOUNT", "atLeast": 10**15 + 1},
            {"kind": "PURCHASES", "atLeast": 1, "eventKey": "x"},
            {"kind": "EVENTS", "atLeast": 1},
            {"kind": "EVENTS", "atLeast": 1, "eventKey": "x" * 49},
            {"kind": "PURCHASES", "atLeast": 1, "windowMonths": 0},
        )
    ]
    + [{"tiers": [a_tier("A"), not_by_growth("B", tasks=[A_TASK] * 11)]}],
)
async def test_rules_that_nothing_can_go_by_are_refused(
    till: Counter, change: dict[str, Any]
) -> None:
    given = await rules(till) | change
    async with nothing_moves(till.database):
        assert await till.as_staff(RELEASE, input=given) == "BAD_USER_INPUT"
        scheme = await till.as_staff(TIERS, id=scheme_id(till))
        assert scheme["tierRules"] == {"areComputed": False, "version": 0}
        assert await every(till.database, runs) == []


async def test_a_release_is_for_those_who_may_and_the_version_they_saw(till: Counter) -> None:
    """ORG-1, TIR-5: of two edits at once the second is told."""
    given = await rules(till)
    async with nothing_moves(till.database):
        assert await till.as_staff(RELEASE, who=till.shop.cashier, input=given) == "FORBIDDEN"
        unknown = given | {"schemeId": type_id("sch", new_id())}
        assert await till.as_staff(RELEASE, input=unknown) == {"__typename": "SchemeNotFound"}
        odd = given | {"tiers": [a_tier("A") | {"id": type_id("tier", new_id())}]}
        assert await till.as_staff(RELEASE, input=odd) == {"__typename": "TierNotFound"}
        early = {"__typename": "EditedMeanwhile", "currentVersion": 0}
        assert await till.as_staff(RELEASE, input=given | {"expectedVersion": 1}) == early
    made = {"schemeId": scheme_id(till), "name": "Top", "growthFrom": 5_000}
    assert (await till.as_staff(CREATE, input=made))["__typename"] == "Tier"
    late = {"__typename": "EditedMeanwhile", "currentVersion": 1}
    assert await till.as_staff(RELEASE, input=given) == late, "it would have removed the new tier"
    given = await rules(till)
    answers = await asyncio.gather(*(till.as_staff(RELEASE, input=given) for _ in range(4)))
    names = sorted(answer["__typename"] for answer in answers)
    assert names[-1] == "TierRulesReleased"
    assert names.count("TierRulesReleased") == 1
    assert len(await every(till.database, runs)) == 1
    await do_jobs(till)
    late = {"__typename": "EditedMeanwhile", "currentVersion": 2}
    assert await till.as_staff(RELEASE, input=given) == late


async def test_rules_are_locked_while_a_run_lasts(till: Counter) -> None:
    """TIR-5: each way to change a tier or a rule names the run; then all work again."""
    run_id = type_id("trun", await begun(till))
    given = await rules(till)
    made = {"schemeId": scheme_id(till), "name": "Top", "growthFrom": 5_000}
    locked = {"__typename": "TierRulesLocked", "run": {"id": run_id, "state": "RUNNING"}}
    async with nothing_moves(till.database):
        before = await every(till.database, all_tiers)
        assert await till.as_staff(RELEASE, input=given) == locked
        assert await till.as_staff(CREATE, input=made) == locked
        assert await every(till.database, all_tiers) == before
    await do_jobs(till)
    await release(till)


async def test_a_scheme_released_once_never_only_records_again(till: Counter) -> None:
    """TIR-5: before its first release it does, whoever asks."""
    recording = {"__typename": "Scheme", "tierRules": {"areComputed": False}}
    assert await till.as_staff(RECORD_ONLY, id=scheme_id(till)) == recording
    await release(till)
    async with nothing_moves(till.database):
        for_good = {"__typename": "ReleasedForGood"}
        assert await till.as_staff(RECORD_ONLY, id=scheme_id(till)) == for_good
        who = till.shop.cashier
        assert await till.as_staff(RECORD_ONLY, who=who, id=scheme_id(till)) == "FORBIDDEN"
        unknown = await till.as_staff(RECORD_ONLY, id=type_id("sch", new_id()))
        assert unknown == {"__typename": "SchemeNotFound"}
