"""TIR-3, TIR-5: all cards are recomputed by a job, after a release and on calculation days."""

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
from app.models.cards import CardStatus
from app.models.operations import Job, Routine
from app.models.sessions import PrincipalKind
from app.models.tiers import RunState, TierRun
from app.services import cards, ledger, purchases, tiers
from app.services.merges.merging import absorb_card
from app.services.tiers.evaluating import move_card
from app.services.tiers.running import CARDS_AT_ONCE, move_run
from resolvers.root import admin_schema
from schema.context import Principal
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.member_cards import a_card
from tests.factories.purchases import record
from tests.factories.races import beside, call
from tests.factories.reading import every, one
from tests.factories.running import PROTOCOL, Page, a_running_app
from tests.factories.tiers import (
    RUN,
    a_tier,
    at,
    begun,
    changes,
    do_jobs,
    do_routines,
    in_window,
    later,
    more_cards,
    release,
    runs,
    standing,
)

pytestmark = pytest.mark.anyio

PROGRESS = """subscription ($id: ID!) { tierRunProgress(id: $id) {
  state numberOfCards numberDone numberChanged } }"""
CARDS = 7
routine = statement(select(Routine), into=Routine)
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
