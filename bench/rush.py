"""A thousand buyers at once for a hundred pieces of one item of the points mall (MAL-2).

The product's own service against the plain way by hand, in turn, on the same tables. Either has a
new item each round; the raw side writes no ledger, so the database is good for nothing afterwards.
"""

import asyncio
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import uvloop
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import (
    Database,
    Transaction,
    changed_copy,
    light,
    open_database,
    statement,
    values_of,
)
from app.core.db.postgres import connect as connect_postgres
from app.core.db.sqlite import connect as connect_sqlite
from app.core.db.statements import insert_of
from app.core.errors import DomainError
from app.core.ids import new_id
from app.models.cards import Card
from app.models.ledger import Account, AccountKind
from app.models.orders import Order, OrderKind, OrderState
from app.models.points_mall import MallItem
from app.models.scopes import Channel
from app.models.sessions import PrincipalKind
from app.services import points_mall, sessions
from app.services.members import Bearer
from bench.batches import any_terminal, largest_scheme, pay_in, some_cards
from bench.servers import BenchFailed

BUYERS, PIECES, CLIENTS = 1_000, 100, 32
SESSION_LIFE = timedelta(hours=6)

item_to_copy = statement(
    select(MallItem)
    .where(
        col(MallItem.group_id) == bindparam("group_id"),
        col(MallItem.is_listed),
        col(MallItem.can_be_picked_up),
        col(MallItem.price_amount).is_(None),
        col(MallItem.price_points) > 0,
    )
    .order_by(col(MallItem.id))
    .limit(1),
    into=MallItem,
)

# The plain way. On SQLite, which knows no FOR UPDATE, the first is a SELECT after BEGIN IMMEDIATE.
lock_stock = statement(
    select(MallItem.stock_left).where(col(MallItem.id) == bindparam("item_id")).with_for_update()
)
take_piece = statement(
    update(MallItem)
    .where(col(MallItem.id) == bindparam("item_id"))
    .values(stock_left=col(MallItem.stock_left) - 1)
)
pay = statement(
    update(Account)
    .where(col(Account.id) == bindparam("account_id"))
    .values(balance=col(Account.balance) - bindparam("points"))
)
write_order = insert_of(Order)
PLAIN_WAY = (lock_stock, take_piece, pay, write_order)


class Buyer(NamedTuple):
    """A signed-in member's card, and its account with points for every round."""

    card: Card
    account_id: UUID
    session_id: UUID


class Scene(NamedTuple):
    """Who buys, what kind of thing, and where they fetch it."""

    buyers: list[Buyer]
    item: MallItem
    store_id: UUID
    currency: str
    now: datetime


class Rate(NamedTuple):
    """One rush: answers a second over all of it, orders a second until the last piece is gone."""

    answers: float
    orders: float


@dataclass(slots=True)
class Rushed:
    """The rushes on one database, round by round."""

    engine: str
    members: int
    asked: int
    product: list[Rate] = field(default_factory=list)
    raw: list[Rate] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        pairs = zip(self.product, self.raw, strict=True)
        return statistics.median(ours.answers / theirs.answers for ours, theirs in pairs)


class Clock:
    """Times one rush, and counts what it gave away."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._placed_at: list[float] = []
        self._started = time.perf_counter()

    def place(self) -> None:
        self._placed_at.append(time.perf_counter())

    def rate(self, asked: int) -> Rate:
        """What it comes to at this moment; raises `BenchFailed` unless all was as it must be."""
        elapsed_s = time.perf_counter() - self._started
        placed = len(self._placed_at)
        if placed != PIECES or self.refused != {"MallItemSoldOut": asked - PIECES}:
            raise BenchFailed(f"of {PIECES} pieces {placed} were placed: {dict(self.refused)}")
        return Rate(asked / elapsed_s, PIECES / (self._placed_at[-1] - self._started))


def rush(engine: str, url: str, members: int, *, rounds: int) -> Rushed:
    return uvloop.run(_rush(engine, url, members, rounds))


async def _rush(engine: str, url: str, members: int, rounds: int) -> Rushed:
    database = await open_database(url)
    try:
        scene = await database.run(_prepare, datetime.now(UTC))
        rushed = Rushed(engine, members, asked=len(scene.buyers))
        for number in range(rounds):
            sides = [(rushed.product, _by_product), (rushed.raw, _by_hand)]
            for rates, side in sides if number % 2 == 0 else sides[::-1]:
                item = await database.run(_new_item, scene)
                rates.append(await side(database, url, scene, item))
                if (left := await database.read(_left, item)) != 0:
                    raise BenchFailed(f"after a rush {left} pieces are left")
        return rushed
    finally:
        await database.close()


async def _prepare(tx: Transaction, now: datetime) -> Scene:
    scheme = await tx.one(largest_scheme)
    assert scheme is not None
    item = await tx.one(item_to_copy, group_id=scheme.group_id)
    terminal = await tx.one(any_terminal, group_id=scheme.group_id)
    assert item is not None
    assert terminal is not None
    cards = await tx.all(some_cards, scheme_id=scheme.id, now=now, most=BUYERS)
    if len(cards) <= PIECES:
        raise BenchFailed(f"{len(cards)} cards are no rush for {PIECES} pieces")
    buyers = [await _buyer(tx, card, now) for card in cards]
    return Scene(buyers, item, terminal.store_id, scheme.currency, now)


async def _buyer(tx: Transaction, card: Card, now: datetime) -> Buyer:
    account_id = await pay_in(tx, card, AccountKind.POINTS, now)
    started = await sessions.start(
        tx,
        principal_kind=PrincipalKind.MEMBER,
        principal_id=card.member_id,
        group_id=card.group_id,
        method="sms",
        device="",
        now=now,
        life=SESSION_LIFE,
    )
    return Buyer(card, account_id, started.session.id)


async def _new_item(tx: Transaction, scene: Scene) -> MallItem:
    item = changed_copy(scene.item, id=new_id(), stock_left=PIECES, limit_per_member=1)
    await tx.insert(item)
    return item


async def _left(tx: Transaction, item: MallItem) -> int | None:
    return (await points_mall.by_ids(tx, [item.id]))[item.id].stock_left


async def _by_product(database: Database, _url: str, scene: Scene, item: MallItem) -> Rate:
    """`points_mall.place` as a server runs it, without the GraphQL around it."""
    waiting = iter(scene.buyers)
    clock = Clock()

    async def client() -> None:
        for buyer in waiting:
            wish = points_mall.Wish(
                card_id=buyer.card.id,
                item_id=item.id,
                quantity=1,
                price_points=item.price_points,
                price=None,
                store_id=scene.store_id,
                recipient=None,
            )
            try:
                await database.run(
                    points_mall.place,
                    bearer=Bearer(buyer.card.member_id, buyer.session_id),
                    wish=wish,
                    online=None,
                    request_key=item.id.hex,
                    now=scene.now,
                )
            except DomainError as refusal:
                clock.refused[type(refusal).__name__] += 1
            else:
                clock.place()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return clock.rate(len(scene.buyers))


class _PlainWay(NamedTuple):
    """Something for each of its statements: their text, or one buyer's values."""

    lock: Any
    take: Any
    pay: Any
    order: Any


async def _by_hand(database: Database, url: str, scene: Scene, item: MallItem) -> Rate:
    """The plain way on the driver, with everything it sends made ready beforehand."""
    engine = database.dialect_name
    sql = _PlainWay(*(each.on(engine).sql for each in PLAIN_WAY))
    values = [_values(engine, buyer, scene, item) for buyer in scene.buyers]
    if engine == "sqlite":
        return _on_sqlite(url.removeprefix("sqlite:///"), sql, values)
    return await _on_postgres(url, sql, values)


def _values(engine: str, buyer: Buyer, scene: Scene, item: MallItem) -> _PlainWay:
    order = light(Order)(
        group_id=item.group_id,
        perspective_id=item.perspective_id,
        kind=OrderKind.MALL,
        product_id=item.id,
        title=item.name,
        member_id=buyer.card.member_id,
        card_id=buyer.card.id,
        channel=Channel.ONLINE,
        store_id=scene.store_id,
        currency=scene.currency,
        amount=0,
        points=item.price_points,
        terms={"file_ids": item.file_ids},
        state=OrderState.PAID,
        created_at=scene.now,
        paid_at=scene.now,
    )
    given: dict[str, Any] = {
        "item_id": item.id,
        "account_id": buyer.account_id,
        "points": item.price_points,
    }
    given |= values_of(order)
    return _PlainWay(*(each.on(engine).values(given) for each in PLAIN_WAY))


async def _on_postgres(url: str, sql: _PlainWay, values: Sequence[_PlainWay]) -> Rate:
    connections = [await connect_postgres(url, {"jit": "off"}) for _ in range(CLIENTS)]
    try:
        prepared = [_PlainWay(*[await each.prepare(text) for text in sql]) for each in connections]
        waiting = iter(values)
        clock = Clock()

        async def client(connection: asyncpg.Connection, ready: _PlainWay) -> None:
            for of_buyer in waiting:
                await connection.execute("BEGIN")
                is_left = await ready.lock.fetchval(*of_buyer.lock) > 0
                if is_left:
                    await ready.take.fetch(*of_buyer.take)
                    await ready.pay.fetch(*of_buyer.pay)
                    await ready.order.fetch(*of_buyer.order)
                await connection.execute("COMMIT")
                _count(clock, is_left)

        await asyncio.gather(*map(client, connections, prepared))
        return clock.rate(len(values))
    finally:
        for connection in connections:
            await connection.close()


def _on_sqlite(path: str, sql: _PlainWay, values: Sequence[_PlainWay]) -> Rate:
    connection: sqlite3.Connection = connect_sqlite(path)
    try:
        execute = connection.execute
        clock = Clock()
        for of_buyer in values:
            execute("BEGIN IMMEDIATE")
            is_left = execute(sql.lock, of_buyer.lock).fetchone()[0] > 0
            if is_left:
                execute(sql.take, of_buyer.take)
                execute(sql.pay, of_buyer.pay)
                execute(sql.order, of_buyer.order)
            execute("COMMIT")
            _count(clock, is_left)
        return clock.rate(len(values))
    finally:
        connection.close()


def _count(clock: Clock, is_placed: bool) -> None:
    if is_placed:
        clock.place()
    else:
        clock.refused["MallItemSoldOut"] += 1
