"""FIN-1 and PTS-3: whatever happens, in whatever order, the books are right.

A random history of credits, spendings, returns, clawbacks and expiries runs against the ledger
and against a model that fits on a page; both must agree after each step, and the check that
`regulars check ledger` runs must find nothing.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, open_database, statement
from app.core.ids import new_id
from app.models.ledger import (
    Account,
    AccountKind,
    LotMovement,
    Posting,
    PostingKind,
    SystemAccount,
)
from app.models.sessions import PrincipalKind
from app.services import ledger
from app.services.ledger.sheet import BALANCE_MAX, spending_order
from tests.conftest import Engine
from tests.factories.small_world import SmallWorld, small_world

START = datetime(2026, 9, 1, tzinfo=UTC)

movements_of = statement(
    select(LotMovement).where(col(LotMovement.posting_id) == bindparam("posting_id")),
    into=LotMovement,
)

pytestmark = pytest.mark.anyio


def header(world: SmallWorld, kind: PostingKind, now: datetime, **more: Any) -> ledger.Header:
    cause: dict[str, Any] = {"cause_kind": "test", "cause_id": new_id()} | more
    return ledger.Header(
        kind=kind,
        group_id=world.group.id,
        scheme_id=world.scheme.id,
        actor_kind=PrincipalKind.SYSTEM,
        occurred_at=now,
        now=now,
        **cause,
    )


async def earn(
    tx: Transaction, world: SmallWorld, amount: int, expires_at: datetime | None, now: datetime
) -> Posting:
    account = await points_account(tx, world)
    sheet = await ledger.Sheet.open(tx, header(world, PostingKind.EARN, now), [account.id])
    sheet.put(account.id, amount, expires_at=expires_at)
    sheet.against(SystemAccount.POINTS_ISSUED, -amount, account.unit)
    return await sheet.close()


async def spend(tx: Transaction, world: SmallWorld, amount: int, now: datetime) -> Posting:
    account = await points_account(tx, world)
    sheet = await ledger.Sheet.open(tx, header(world, PostingKind.SPEND, now), [account.id])
    await sheet.take(account.id, amount)
    sheet.against(SystemAccount.POINTS_SPENT, amount, account.unit)
    return await sheet.close()


async def give_back(
    tx: Transaction, world: SmallWorld, spending: Posting, now: datetime
) -> Posting:
    undo = header(
        world,
        PostingKind.SPEND_REVERSAL,
        now,
        cause_kind="spend_reversal",
        cause_id=spending.id,
        reverses_id=spending.id,
    )
    account = await points_account(tx, world)
    movements = await tx.all(movements_of, posting_id=spending.id)
    parts = [ledger.Part(movement.lot_id, -movement.amount) for movement in movements]
    total = sum(part.amount for part in parts)
    return await ledger.give_back(
        tx,
        header=undo,
        parts=parts,
        against=[ledger.Against(SystemAccount.POINTS_SPENT, -total, account.unit)],
    )


async def claw_back(
    tx: Transaction, world: SmallWorld, earning: Posting, amount: int, now: datetime
) -> None:
    account = await points_account(tx, world)
    back = header(world, PostingKind.EARN_REVERSAL, now, reverses_id=earning.id)
    sheet = await ledger.Sheet.open(tx, back, [account.id])
    await sheet.claw_back(account.id, amount, origin_id=earning.id)
    sheet.against(SystemAccount.POINTS_ISSUED, amount, account.unit)
    await sheet.close()


async def expire(tx: Transaction, world: SmallWorld, now: datetime) -> None:
    await ledger.expire_due(tx, now=now)


async def points_account(tx: Transaction, world: SmallWorld) -> Account:
    accounts = await ledger.accounts_of_cards(tx, [world.card.id])
    return next(account for account in accounts if account.kind is AccountKind.POINTS)


async def test_no_account_holds_or_owes_more_than_can_be_counted(
    database: Database, now: datetime
) -> None:
    """FIN-1: 2⁶² either way; what is refused leaves the books as they were."""
    world = await database.run(small_world, now=now)
    earning = await database.run(earn, world, BALANCE_MAX, None, now)
    with pytest.raises(ledger.BalanceTooLarge):
        await database.run(earn, world, 1, None, now)
    spending = await database.run(spend, world, BALANCE_MAX, now)
    await database.run(earn, world, 1, None, now)
    with pytest.raises(ledger.BalanceTooLarge):
        await database.run(give_back, world, spending, now)
    await database.run(claw_back, world, earning, BALANCE_MAX, now)
    assert await database.read(state, world) == (0, BALANCE_MAX - 1, [])
    await database.run(claw_back, world, earning, 1, now)
    with pytest.raises(ledger.BalanceTooLarge):
        await database.run(claw_back, world, earning, 1, now)
    assert await database.read(state, world) == (0, BALANCE_MAX, [])
    assert await database.scan(ledger.check) == []


async def state(tx: Transaction, world: SmallWorld) -> tuple[int, int, list[int]]:
    """Balance, debt, and what remains of each lot in the order it will be spent."""
    account = await points_account(tx, world)
    lots = await tx.all(spending_order, account_id=account.id)
    return account.balance, account.debt, [lot.remaining for lot in lots]


@dataclass
class ModelLot:
    origin: int
    number: int
    expires_at: datetime | None
    remaining: int


@dataclass
class Model:
    """What the ledger should say, in plain Python."""

    lots: list[ModelLot] = field(default_factory=list)
    debt: int = 0

    def in_order(self) -> list[ModelLot]:
        never = datetime.max.replace(tzinfo=UTC)
        live = [lot for lot in self.lots if lot.remaining]
        return sorted(live, key=lambda lot: (lot.expires_at or never, lot.number))

    def settle(self, amount: int) -> int:
        paid = min(self.debt, amount)
        self.debt -= paid
        return amount - paid

    def take(self, lots: list[ModelLot], amount: int) -> list[tuple[ModelLot, int]]:
        taken = []
        for lot in lots:
            part = min(lot.remaining, amount)
            if part:
                lot.remaining -= part
                taken.append((lot, part))
                amount -= part
        return taken


class Books(RuleBasedStateMachine):
    """The same random history on the ledger and on the model."""

    engine: Engine
    folder: Path

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.url = self.runner.run(self.engine.make(self.folder))
        self.database = self.runner.run(open_database(self.url))
        self.now = START
        self.world = self.run(small_world, now=self.now)
        self.model = Model()
        self.earned: list[tuple[Posting, int, int]] = []
        self.spent: list[tuple[Posting, list[tuple[ModelLot, int]]]] = []

    def run(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return self.runner.run(self.database.run(work, *args, **kwargs))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.database.close())
            self.runner.run(self.engine.drop(self.url))
            self.runner.close()

    @rule(amount=st.integers(1, 1_000), days=st.none() | st.integers(1, 5))
    def earn(self, amount: int, days: int | None) -> None:
        expires_at = self.now + timedelta(days=days) if days else None
        posting = self.run(earn, self.world, amount, expires_at, self.now)
        number = len(self.model.lots)
        remaining = self.model.settle(amount)
        self.model.lots.append(ModelLot(number, number, expires_at, remaining))
        self.earned.append((posting, number, amount))

    @rule(amount=st.integers(1, 1_500))
    def spend(self, amount: int) -> None:
        usable = [
            lot
            for lot in self.model.in_order()
            if lot.expires_at is None or lot.expires_at > self.now
        ]
        short_by = amount - sum(lot.remaining for lot in usable)
        if short_by > 0:
            with pytest.raises(ledger.NotEnoughValue) as refused:
                self.run(spend, self.world, amount, self.now)
            assert refused.value.short_by == short_by
        else:
            posting = self.run(spend, self.world, amount, self.now)
            self.spent.append((posting, self.model.take(usable, amount)))

    @precondition(lambda self: self.spent)
    @rule(data=st.data(), again=st.booleans())
    def give_back(self, data: st.DataObject, again: bool) -> None:
        """TOP-9, PTS-6: the same lots, with their own expiry; twice is once."""
        at = data.draw(st.integers(0, len(self.spent) - 1))
        posting, taken = self.spent.pop(at)
        self.run(give_back, self.world, posting, self.now)
        if again:
            self.run(give_back, self.world, posting, self.now)
        for lot, part in taken:
            lot.remaining += self.model.settle(part)
        for lot, _ in taken:
            if lot.expires_at is not None and lot.expires_at <= self.now:
                lot.remaining = 0  # what expired meanwhile expires again

    @precondition(lambda self: self.earned)
    @rule(data=st.data())
    def claw_back(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(self.earned) - 1))
        posting, origin, left = self.earned.pop(at)
        amount = data.draw(st.integers(1, left))
        self.run(claw_back, self.world, posting, amount, self.now)
        own = [lot for lot in self.model.in_order() if lot.origin == origin]
        others = [lot for lot in self.model.in_order() if lot.origin != origin]
        taken = self.model.take([*own, *others], amount)
        self.model.debt += amount - sum(part for _, part in taken)

    @rule(hours=st.integers(1, 60))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.run(expire, self.world, self.now)
        for lot in self.model.lots:
            if lot.expires_at is not None and lot.expires_at <= self.now:
                lot.remaining = 0

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "model"):
            live = [lot.remaining for lot in self.model.in_order()]
            shown = self.run(state, self.world)
            assert shown == (sum(live), self.model.debt, live)
            assert self.runner.run(self.database.scan(ledger.check)) == []


def test_random_histories_keep_the_books_right(engine: Engine, tmp_path: Path) -> None:
    machine = type("Books", (Books,), {"engine": engine, "folder": tmp_path})
    limits = settings(
        max_examples=25 if engine.name == "sqlite" else 12,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_machine(machine, settings=limits)


async def test_sixteen_spenders_never_overdraw(database: Database, now: datetime) -> None:
    """FIN-1: 16 at once, each wanting 30 of 100: three succeed, and 10 are left."""
    world = await database.run(small_world, now=now)
    await database.run(earn, world, 60, None, now)
    await database.run(earn, world, 40, None, now)
    outcomes = await asyncio.gather(
        *(database.run(spend, world, 30, now) for _ in range(16)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, ledger.NotEnoughValue)]
    assert len(refused) == 13
    assert {refusal.short_by for refusal in refused} == {20}
    assert await database.run(state, world) == (10, 0, [10])
    assert await database.scan(ledger.check) == []


async def test_what_expires_first_pays_a_debt_first(database: Database, now: datetime) -> None:
    """PTS-3, PTS-6: of lots that come back together, in whatever order they were made."""
    world = await database.run(small_world, now=now)
    lasting = await database.run(earn, world, 70, None, now)
    await database.run(earn, world, 5, now + timedelta(days=1), now)
    spending = await database.run(spend, world, 75, now)
    await database.run(claw_back, world, lasting, 5, now)
    assert await database.run(state, world) == (0, 5, [])
    await database.run(give_back, world, spending, now)
    assert await database.run(state, world) == (70, 0, [70])


async def test_a_cause_posts_once_forever(database: Database, now: datetime) -> None:
    """A callback or job that comes twice, even at once, returns the value once."""
    world = await database.run(small_world, now=now)
    await database.run(earn, world, 50, None, now)
    spending = await database.run(spend, world, 50, now)
    returns = await asyncio.gather(
        *(database.run(give_back, world, spending, now) for _ in range(8))
    )
    assert len({posting.id for posting in returns}) == 1
    assert await database.run(state, world) == (50, 0, [50])


@pytest.mark.parametrize(
    ("breaking", "rule_broken"),
    [
        ({"balance": 51}, "balance − debt is the sum of the entries"),
        ({"debt": 1, "balance": 0}, "balance is what remains of the lots"),
    ],
)
async def test_the_check_sees_a_changed_balance(
    database: Database, now: datetime, breaking: dict[str, int], rule_broken: str
) -> None:
    """A test of the proof itself: it must be able to fail."""
    world = await database.run(small_world, now=now)
    await database.run(earn, world, 50, None, now)

    async def tamper(tx: Transaction) -> UUID:
        account = await points_account(tx, world)
        values = {"balance": account.balance, "debt": account.debt} | breaking
        await tx.changed(_tamper, account_id=account.id, b=values["balance"], d=values["debt"])
        return account.id

    account_id = await database.run(tamper)
    faults = await database.scan(ledger.check)
    assert (rule_broken, account_id) in {(fault.rule, fault.id) for fault in faults}


_tamper = statement(
    update(Account)
    .where(col(Account.id) == bindparam("account_id"))
    .values(balance=bindparam("b"), debt=bindparam("d"))
)
