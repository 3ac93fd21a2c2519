"""Work without HTTP: lots that expire, tiers that are recomputed, bills that cards pay.

Each is the product's own service on the product's own database access, timed to its end.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, func, select, update

from app.core.db import Database, Transaction, open_database, statement
from app.core.ids import new_id
from app.core.money import Money
from app.models.cards import Card, CardStatus, ConsumptionVerification, Scheme
from app.models.ledger import Account, AccountKind, Lot, PostingKind, SystemAccount
from app.models.organisation import Node, NodeKind, Terminal
from app.models.sessions import PrincipalKind
from app.models.spendings import SpendingKind
from app.models.staff import Permission
from app.models.tiers import RunState, TierCause
from app.services import ledger, spendings
from app.services.actors import Actor, Grant
from app.services.tiers import running

DUE_SHARE = 10
"""One lot in so many is due."""
DUE_MAX = 100_000
SPENDERS = 8
SPENDINGS = 800
PAYING_CARDS = 200
PAID_IN = 100_000_000

number_of_lots = statement(select(func.count()).select_from(Lot), into=int)
make_due = statement(
    update(Lot)
    .where(
        col(Lot.id).in_(
            select(Lot.id).where(col(Lot.remaining) > literal_column("0")).limit(bindparam("most"))
        )
    )
    .values(expires_at=bindparam("long_ago"))
)
largest_scheme = statement(
    select(Scheme)
    .join(Card, col(Card.scheme_id) == col(Scheme.id))
    .group_by(*Scheme.__table__.columns)  # type: ignore[attr-defined]
    .order_by(func.count().desc())
    .limit(1),
    into=Scheme,
)
prove_nothing = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(consumption_verification=ConsumptionVerification.NONE)
)
some_cards = statement(
    select(Card)
    .where(
        col(Card.scheme_id) == bindparam("scheme_id"),
        col(Card.status) == CardStatus.NORMAL,
        (col(Card.expires_at).is_(None)) | (col(Card.expires_at) > bindparam("now")),
    )
    .order_by(col(Card.id).desc())
    .limit(bindparam("most")),
    into=Card,
)
account_of = statement(
    select(Account).where(
        col(Account.card_id) == bindparam("card_id"), col(Account.kind) == bindparam("kind")
    ),
    into=Account,
)
any_terminal = statement(
    select(Terminal)
    .join(Node, col(Node.id) == col(Terminal.store_id))
    .where(col(Node.group_id) == bindparam("group_id"))
    .order_by(col(Terminal.id))
    .limit(1),
    into=Terminal,
)


@dataclass(frozen=True)
class Worked:
    """What one database did in batches."""

    engine: str
    members: int
    lots: int
    due: int
    lots_per_second: float
    cards: int
    cards_per_second: float
    spendings_per_second: float


def work(engine: str, url: str, members: int) -> Worked:
    return asyncio.run(_work(engine, url, members))


async def _work(engine: str, url: str, members: int) -> Worked:
    database = await open_database(url)
    try:
        now = datetime.now(UTC)
        scheme = await database.run(_scheme)
        spent = await _spend(database, scheme, now)
        cards, recomputing_s = await _recompute(database, scheme, now)
        lots, due, expiring_s = await _expire(database, now)
    finally:
        await database.close()
    return Worked(
        engine=engine,
        members=members,
        lots=lots,
        due=due,
        lots_per_second=due / expiring_s,
        cards=cards,
        cards_per_second=cards / recomputing_s,
        spendings_per_second=spent,
    )


async def _expire(database: Database, now: datetime) -> tuple[int, int, float]:
    """How many lots there are, how many were due, and how long their expiry took."""
    lots = await database.scan(_count)
    most = min(lots // DUE_SHARE, DUE_MAX)
    due = await database.run(_make_due, most, now - timedelta(days=1))
    started = time.perf_counter()
    while await database.run(ledger.expire_due, now=now):
        pass
    return lots, due, time.perf_counter() - started


async def _recompute(database: Database, scheme: Scheme, now: datetime) -> tuple[int, float]:
    """How many cards a release recomputes, and how long that takes."""
    run = await database.run(running.start, scheme=scheme, cause=TierCause.RELEASE, now=now)
    assert run is not None
    started = time.perf_counter()
    while True:
        moved = await database.run(running.run_batch, run_id=run.id, now=now)
        assert moved is not None
        if moved.state is RunState.DONE:
            return moved.number_done, time.perf_counter() - started


async def _spend(database: Database, scheme: Scheme, now: datetime) -> float:
    """Bills of 1.00 paid by stored value, a second, by so many tills at once on many cards."""
    cards, terminal = await database.run(_prepare_cards, scheme, now)
    grant = Grant(scheme.group_id, NodeKind.GROUP, frozenset(Permission))
    actor = Actor(PrincipalKind.PARTNER, new_id(), scheme.group_id, (grant,))
    bills = iter(range(SPENDINGS))
    random = Random(1)

    async def till() -> None:
        for number in bills:
            bill = spendings.Bill(
                kind=SpendingKind.STORED_VALUE,
                amount=Money(100, scheme.currency),
                order_number=f"bench-{number}",
            )
            await database.run(
                spendings.charge,
                actor,
                terminal_id=terminal.id,
                card_id=random.choice(cards).id,
                bill=bill,
                verification=None,
                request_key=f"bench-{number}",
                now=now,
            )

    started = time.perf_counter()
    await asyncio.gather(*(till() for _ in range(SPENDERS)))
    return SPENDINGS / (time.perf_counter() - started)


async def _scheme(tx: Transaction) -> Scheme:
    found = await tx.one(largest_scheme)
    assert found is not None
    await tx.changed(prove_nothing, scheme_id=found.id)
    return found


async def _prepare_cards(
    tx: Transaction, scheme: Scheme, now: datetime
) -> tuple[list[Card], Terminal]:
    cards = await tx.all(some_cards, scheme_id=scheme.id, now=now, most=PAYING_CARDS)
    for card in cards:
        await pay_in(tx, card, AccountKind.CASH, now)
    terminal = await tx.one(any_terminal, group_id=scheme.group_id)
    assert terminal is not None
    return cards, terminal


async def pay_in(tx: Transaction, card: Card, kind: AccountKind, now: datetime) -> UUID:
    """Give a card more of one kind of value than any measurement takes; into which account."""
    account = await tx.one(account_of, card_id=card.id, kind=kind)
    assert account is not None
    header = ledger.Header.of(
        card,
        kind=PostingKind.ADJUST,
        cause_kind="bench",
        cause_id=new_id(),
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account.id])
    sheet.put(account.id, PAID_IN)
    sheet.against(SystemAccount.ADJUSTMENTS, -PAID_IN, account.unit)
    await sheet.close()
    return account.id


async def _count(tx: Transaction) -> int:
    return await tx.one(number_of_lots) or 0


async def _make_due(tx: Transaction, most: int, long_ago: datetime) -> int:
    return await tx.changed(make_due, most=most, long_ago=long_ago)
