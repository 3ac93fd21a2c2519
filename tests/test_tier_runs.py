"""TIR-3, TIR-5: rules are saved and released at once, and all cards recomputed by them as a job."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from sqlmodel import col, func, select
from websockets.asyncio.client import connect

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.core.money import Money
from app.jobs.worker import Worker
from app.models.cards import Card, CardStatus, Tier
from app.models.operations import Job, Routine
from app.models.sessions import PrincipalKind
from app.models.tiers import GrantSource, RunState, TierRun
from app.services import cards, ledger, members, purchases, tiers
from app.services.merges.merging import absorb_card
from app.services.tiers.evaluating import move_card
from app.services.tiers.running import CARDS_AT_ONCE, move_run
from resolvers.root import admin_schema
from schema.context import Principal
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.ledger import nothing_moves
from tests.factories.member_cards import a_card
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.races import beside, call
from tests.factories.reading import every, one
from tests.factories.running import PROTOCOL, Page, a_running_app
from tests.factories.tiers import (
    ACCUMULATED,
    RELEASE,
    RUN,
    TIERS,
    a_tier,
    at,
    changes,
    do_jobs,
    do_routines,
    in_window,
    later,
    not_by_growth,
    release,
    row,
    rules,
    set_tier,
    standing,
    tier_id,
)

pytestmark = pytest.mark.anyio

CREATE = """mutation ($input: TierCreateInput!) { tierCreate(input: $input) {
  __typename ... on Tier { level } ... on TierRulesLocked { run { id state } } } }"""
RECORD_ONLY = """mutation ($id: ID!) { tierRulesRecordOnly(input: {schemeId: $id}) {
  __typename ... on Scheme { tierRules { areComputed } } } }"""
PROGRESS = """subscription ($id: ID!) { tierRunProgress(id: $id) {
  state numberOfCards numberDone numberChanged } }"""
CARDS = 7
A_TASK = {"kind": "PURCHASES", "atLeast": 1}

runs = statement(select(TierRun).order_by(col(TierRun.id)), into=TierRun)
routine = statement(select(Routine), into=Routine)
all_tiers = statement(select(Tier).order_by(col(Tier.scheme_id), col(Tier.level)), into=Tier)
_count_jobs = select(func.count()).select_from(Job)
done_jobs = statement(
    _count_jobs.where(col(Job.kind) == tiers.RUN_JOB, col(Job.done_at).is_not(None)), into=int
)
open_jobs = statement(
    _count_jobs.where(col(Job.done_at).is_(None), col(Job.failed_at).is_(None)), into=int
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai."""
    return await counter(database, now)


async def more_cards(till: Counter, growth: list[int]) -> list[str]:
    """Cards of others, with so much growth each; their ids in the order they were opened."""
    return [await till.database.run(card_with, till, amount) for amount in growth]


async def card_with(tx: Transaction, till: Counter, growth: int) -> str:
    member = await members.create(tx, group_id=till.shop.places.group.id, name=None, now=till.now)
    card = await a_card(tx, member_id=member.id, scheme=till.shop.scheme, now=till.now)
    if growth:
        await earn(tx, till, card, growth)
    return type_id("card", card.id)


async def earn(tx: Transaction, till: Counter, card: Card, amount: int) -> None:
    await tiers.earn_growth(
        tx, card=card, scheme=till.shop.scheme, amount=amount, cause_kind="test",
        cause_id=new_id(), actor_kind=till.shop.owner.actor.kind, actor_id=None, store_id=None,
        occurred_at=till.now, now=till.now,
    )  # fmt: skip


def scheme_id(till: Counter) -> str:
    return type_id("sch", till.shop.scheme.id)


async def begun(till: Counter, *steps: dict[str, Any], **more: Any) -> UUID:
    """A run that was begun and has done nothing yet."""
    released = await till.as_staff(RELEASE, input=await rules(till, *steps, **more))
    assert released["__typename"] == "TierRulesReleased", released
    return parse_type_id("trun", released["run"]["id"])


# Save and release


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
    await release_as_recorded(till)
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


async def release_as_recorded(till: Counter) -> None:
    for name, growth_from in ACCUMULATED[1:]:
        given = {"schemeId": scheme_id(till), "name": name, "growthFrom": growth_from}
        assert (await till.as_staff(CREATE, input=given))["__typename"] == "Tier"


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


# Locked while a run lasts


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


async def test_who_may_not_see_the_scheme_sees_no_run(till: Counter) -> None:
    """ORG-1: a run is read by those who read its scheme."""
    run_id = type_id("trun", await begun(till))
    assert (await till.as_staff(RUN, who=till.shop.cashier, id=run_id))["state"] == "RUNNING"
    stranger = await counter(till.database, till.now)
    assert await stranger.as_staff(RUN, id=run_id) is None
    assert await till.as_staff(RUN, id=type_id("trun", new_id())) is None
    assert await till.as_staff(RUN, id="trun_") == "BAD_USER_INPUT"


# The run


async def test_a_run_goes_on_where_it_was_broken_off(till: Counter) -> None:
    """TIR-5: a batch at a time; what was done is not done again, and nothing is left out."""
    others = await more_cards(till, [100 * number for number in range(CARDS - 1)])
    run_id = await begun(till)

    async def batch(at_most: int = 3, *, dies: bool = False) -> TierRun | None:
        async def work(tx: Transaction) -> TierRun | None:
            moved = await tiers.run_batch(tx, run_id=run_id, now=till.now, at_most=at_most)
            if dies:
                raise Died
            return moved

        return await till.database.run(work)

    first = await batch()
    assert first is not None
    assert (first.state, first.number_done) == (RunState.RUNNING, 3)
    with pytest.raises(Died):
        await batch(dies=True)
    second = await batch()
    assert second is not None
    assert (second.state, second.number_done) == (RunState.RUNNING, 6)
    last = await batch()
    assert last is not None
    assert (last.state, last.number_done, last.number_changed) == (RunState.DONE, CARDS, 5)
    assert last.finished_at == till.now
    again = await batch()
    assert again == last, "what is done stays done"
    await do_jobs(till)
    assert await till.database.read(tiers.told, run_id=run_id) == last
    found = [(await standing(till, card_id))[0] for card_id in others]
    assert found == ["Green"] + ["Silver"] * 5
    assert await one(till.database, open_jobs) == 0


class Died(Exception):
    """The process died before the commit."""


async def test_a_chain_of_jobs_does_every_card_once(till: Counter) -> None:
    """TIR-5: each batch is a job of its own, whichever worker has it."""
    await till.database.run(open_many, till, CARDS_AT_ONCE)
    (other,) = await more_cards(till, [100])
    run_id = await begun(till)
    workers = [Worker(till.database, cast("Any", None), clock=lambda: till.now) for _ in range(2)]
    while await one(till.database, open_jobs):
        await asyncio.gather(*(worker.drain() for worker in workers))
    run = await till.database.read(tiers.told, run_id=run_id)
    assert run.state is RunState.DONE
    assert (run.number_done, run.number_changed) == (CARDS_AT_ONCE + 2, 1)
    assert await one(till.database, done_jobs) == 2
    assert (await standing(till, other))[0] == "Silver"


async def open_many(tx: Transaction, till: Counter, count: int) -> None:
    """Cards of one member, as if merged apart: a run asks for their scheme and status alone."""
    own = till.shop.card
    others = [
        cards.new_card(
            group_id=own.group_id,
            member_id=own.member_id,
            scheme_id=own.scheme_id,
            tier_id=own.tier_id,
            serial=number,
            number=f"N{number}",
            status=CardStatus.MERGED,
            merged_into_id=own.id,
            issued_at=till.now,
        )
        for number in range(count)
    ]
    await tx.insert(*others)


@pytest.mark.parametrize("purchase_first", [False, True])
async def test_a_purchase_beside_a_batch_is_counted(till: Counter, purchase_first: bool) -> None:
    """TIR-5: whichever is first waits for the other; no card keeps a tier of the old rules."""
    await release(till)
    await record(till, 9_000)
    run_id = await begun(till, a_tier("Silver", 50), a_tier("Gold", 100))
    batch = call(tiers.run_batch, run_id=run_id, now=till.now)
    purchase = call(buy, till, 1_000)
    if purchase_first:
        await beside(till.database, purchase, before=move_card, second=batch)
    else:
        await beside(till.database, batch, before=move_run, second=purchase)
    assert await standing(till) == ("Gold", 100)
    assert await till.database.scan(ledger.check) == []


async def buy(tx: Transaction, till: Counter, amount: int) -> None:
    key = new_id().hex
    bill = purchases.Bill(
        order_number=key,
        total=Money(amount, "CNY"),
        tax_amount=0,
        payments=[purchases.Payment("cash", amount)],
        occurred_at=till.now,
    )
    await purchases.record(
        tx, till.shop.owner.actor, terminal_id=till.shop.terminal.id, card_id=till.shop.card.id,
        bill=bill, request_key=key, now=till.now,
    )  # fmt: skip


async def test_purchases_during_a_run_reach_their_tier(till: Counter) -> None:
    """TIR-5: spends go on while all is recomputed, and none is lost."""
    others = await more_cards(till, [100] * (CARDS - 1))
    await release(till)
    run_id = await begun(till, a_tier("Silver", 50), a_tier("Gold", 200))

    async def work() -> None:
        while True:
            run = await till.database.run(tiers.run_batch, run_id=run_id, now=till.now, at_most=1)
            if run is not None and run.state is RunState.DONE:
                return

    bought = (record(till, 10_000, cardId=card_id) for card_id in [*others, *others])
    await asyncio.gather(work(), *bought)
    assert {await standing(till, card_id) for card_id in others} == {("Gold", 300)}
    assert await till.database.scan(ledger.check) == []


async def test_cards_that_were_merged_away_have_no_tier_to_find(till: Counter) -> None:
    """IDN-4: they are counted and left alone; cards of other schemes are not even counted."""
    other = await till.database.run(a_scheme, perspective=till.shop.places.group, now=till.now)
    await till.database.run(a_card, member_id=till.shop.member.id, scheme=other, now=till.now)
    (absorbed,) = await more_cards(till, [100])
    await till.database.run(absorb, till, parse_type_id("card", absorbed))
    await release(till)
    (run,) = await every(till.database, runs)
    assert (run.number_of_cards, run.number_done, run.number_changed) == (2, 2, 0)


async def absorb(tx: Transaction, till: Counter, card_id: UUID) -> None:
    await tx.changed(absorb_card, card_id=card_id, into_id=till.shop.card.id)


TOLD = [("RUNNING", 0, 0), ("RUNNING", 4, 3), ("DONE", CARDS, CARDS - 1)]


async def test_progress_is_told_until_all_is_done(till: Counter) -> None:
    """TIR-5: as it is, then after each batch; nothing for who may not see it."""
    await more_cards(till, [100] * (CARDS - 1))
    run_id = await begun(till)
    assert await progress_of(till, till.shop.owner.principal, run_id) == TOLD
    stranger = await counter(till.database, till.now)
    assert await progress_of(stranger, stranger.shop.owner.principal, run_id) == []
    assert await progress_of(till, till.shop.cashier.principal, run_id) == TOLD[2:]


async def progress_of(till: Counter, who: Principal, run_id: UUID) -> list[tuple[str, int, int]]:
    """What a subscriber hears, each time followed by a batch."""
    asked = {"id": type_id("trun", run_id)}
    events = await admin_schema.subscribe(PROGRESS, asked, till.context(who))
    heard = []
    async for event in cast("AsyncIterator[Any]", events):
        assert event.errors is None
        heard.append(shown(event.data["tierRunProgress"]))
        if heard[-1][0] == "RUNNING":
            await till.database.run(tiers.run_batch, run_id=run_id, now=till.now, at_most=4)
    return heard


def shown(run: Any) -> tuple[str, int, int]:
    return run["state"], run["numberDone"], run["numberChanged"]


async def test_progress_is_told_over_a_socket(database: Database, database_url: str) -> None:
    """TIR-5: at the admin endpoint, of a run that another process works at."""
    if database.dialect_name == "sqlite":
        pytest.skip("SQLite is for one process")
    async with a_running_app(database, database_url) as live:
        till, owner = live.till, live.till.shop.owner
        await more_cards(till, [100] * (CARDS - 1))
        run_id = await begun(till)
        token = await live.token(PrincipalKind.STAFF, owner.staff.id, owner.session_id)
        asked = {"query": PROGRESS, "variables": {"id": type_id("trun", run_id)}}
        heard = []
        address = f"ws://{live.address}/admin/graphql"
        async with connect(address, subprotocols=[PROTOCOL], proxy=None) as opened:
            page = Page(opened)
            await page.send({"type": "connection_init", "payload": {"authorization": token}})
            assert await page.receive() == {"type": "connection_ack"}
            await page.send({"id": "1", "type": "subscribe", "payload": asked})
            while (message := await page.receive())["type"] == "next":
                heard.append(shown(message["payload"]["data"]["tierRunProgress"]))
                if heard[-1][0] == "RUNNING":
                    await database.run(tiers.run_batch, run_id=run_id, now=till.now, at_most=4)
        assert message == {"id": "1", "type": "complete"}
        assert heard == TOLD


# On calculation days


async def test_all_is_recomputed_on_calculation_days(till: Counter) -> None:
    """TIR-3: at 00:00 in Shanghai on the last day of each quarter's first month, and so on."""
    (other,) = await more_cards(till, [100])
    await release(
        till,
        in_window("Silver", 100, 1),
        onGrowthChange="NOTHING",
        recalculation={"months": 3, "day": 31},
    )
    await record(till, 10_000)
    assert await standing(till) == ("Green", 100)
    assert await standing(till, other) == ("Silver", 100)
    (planned,) = await every(till.database, routine)
    due_at = datetime(2026, 10, 30, 16, tzinfo=UTC)
    assert planned.next_due_at == due_at
    before = await at(till, due_at - timedelta(seconds=1))
    await record(before, 10_000)
    await do_routines(before)
    assert await standing(before) == ("Green", 200)
    due = await at(till, due_at)
    await do_routines(due)
    assert await standing(due) == ("Silver", 200)
    assert await standing(due, other) == ("Green", 100)
    assert await changes(due, other) == [
        ("Green", "Silver", "RELEASE"),
        ("Silver", "Green", "RECALCULATION"),
    ]
    (planned,) = await every(till.database, routine)
    assert planned.next_due_at == datetime(2027, 1, 30, 16, tzinfo=UTC)


async def test_a_calculation_day_that_was_missed_is_caught_up_once(till: Counter) -> None:
    """TIR-3: nobody worked for a year: one run."""
    await release(till, recalculation={"months": 1, "day": 1})
    year_later = await later(till, days=365)
    await do_routines(year_later)
    assert [run.cause for run in await every(till.database, runs)] == ["RELEASE", "RECALCULATION"]
    (planned,) = await every(till.database, routine)
    assert planned.next_due_at == datetime(2027, 9, 30, 16, tzinfo=UTC)
    await release(year_later)
    assert await every(till.database, routine) == []


async def test_a_recalculation_waits_for_no_run(till: Counter) -> None:
    """TIR-3: what is being recomputed by a release needs no second run beside it."""
    await begun(till, recalculation={"months": 1, "day": 1})
    assert (
        await till.database.run(tiers.recalculate, scheme_id=till.shop.scheme.id, now=till.now)
        is None
    )
    assert len(await every(till.database, runs)) == 1
