"""FIN-1: a server that is killed under load, again and again, loses nothing it said had happened.

Every acknowledged operation is there once, every other at most once and once after its retry, what
was left to jobs is done once whoever died over it, and the books are right.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlmodel import col

from app.core.db import Database
from app.models.adjustments import Adjustment
from app.models.coupons import Coupon, CouponState, CouponUse
from app.models.gift_card_batches import GiftCardBatch, GiftCardBatchState
from app.models.gift_cards import GiftCardMove, GiftCardPayment, GiftCardRecharge
from app.models.operations import Job
from app.models.orders import Order, OrderKind
from app.models.packages import OwnedPackage
from app.models.points_mall import Fulfilment
from app.models.purchases import Purchase
from app.models.spendings import Spending
from app.models.top_ups import TopUpOrder
from app.services import jobs, ledger, spendings
from app.services.gift_cards import batches, checking
from tests.factories.crash_shop import BEGUN, Shop, a_shop, brought, number_of, standing
from tests.factories.crashing import Load, Mortal
from tests.factories.gift_card_office import work
from tests.factories.reading import one

pytestmark = pytest.mark.anyio

DEATHS = 20
CLIENTS = 6
MANY_CARDS = 1_000
"""More than one job makes, and more than a server makes between its answer and its death."""

THERE = {
    "purchase": number_of(Purchase),
    "adjustment": number_of(Adjustment),
    "charge": number_of(Spending),
    "top_up": number_of(TopUpOrder),
    "package": number_of(OwnedPackage),
    "coupons": number_of(Coupon, col(Coupon.cause_kind) == "ISSUE", col(Coupon.position) == 0),
    "coupon_lock": number_of(CouponUse, col(CouponUse.locked_until).is_not(None)),
    "coupon_use": number_of(CouponUse, col(CouponUse.used_at).is_not(None)),
    "mall_order": number_of(Order, col(Order.kind) == OrderKind.MALL),
    "gift_payment": number_of(GiftCardPayment),
    "gift_recharge": number_of(GiftCardRecharge),
    "gift_move": number_of(GiftCardMove),
    "gift_batch": number_of(GiftCardBatch, col(GiftCardBatch.state) == GiftCardBatchState.READY),
}
ASKED_BEFORE = {"adjustment": 2, "coupons": 1}
"""What it took to set the shop up."""
things = number_of(Fulfilment)
coupons_locked = number_of(Coupon, col(Coupon.state) == CouponState.LOCKED)
batches_unfinished = number_of(GiftCardBatch, col(GiftCardBatch.state) == GiftCardBatchState.MAKING)
taken_over = number_of(Job, col(Job.kind) == batches.JOB, col(Job.attempts) > 1)


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await a_shop(database)


@pytest.fixture
async def server(database_url: str, shop: Shop, tmp_path: Path) -> AsyncIterator[Mortal]:
    server = Mortal(tmp_path, database_url, shop.till)
    yield server
    await server.end()


async def test_a_server_killed_twenty_times_keeps_its_word(
    database: Database, server: Mortal, shop: Shop
) -> None:
    assert await standing(shop) == BEGUN
    load = Load(server, shop.operation, shop.heard, seed=7)
    await load.run(deaths=DEATHS, clients=CLIENTS)
    # Settled last: the server dies once more while it makes the cards.
    load.unanswered.insert(0, shop.gift_batch(Random(7), MANY_CARDS))
    await server.start()
    await load.settle()
    await server.kill()
    assert await one(database, batches_unfinished)
    # What a dead server had begun, another takes over when its lease has run out.
    await work(shop.till, datetime.now(UTC) + jobs.LEASE)
    assert await one(database, taken_over)

    done = list(load.answered)
    tally = Tally(operation.name for operation, _ in done)
    assert set(tally) == {*THERE, "void", "gift_card"}
    assert sum(tally.values()) > 5 * DEATHS
    there = {name: await one(database, number) for name, number in THERE.items()}
    assert there == {name: tally[name] + ASKED_BEFORE.get(name, 0) for name in THERE}
    assert await one(database, things) == tally["mall_order"]
    assert await one(database, coupons_locked) == len(shop.held)

    expected = Tally(BEGUN)
    for operation, answer in done:
        expected.update(brought(operation, answer))
    assert await standing(shop) == expected
    for check in (ledger.check, spendings.check, checking.check):
        assert await database.scan(check) == []

    await server.start()
    one_of_each = {operation.name: operation for operation, _ in done}
    async with server.client() as ask:
        again = await asyncio.gather(*(ask(operation) for operation in one_of_each.values()))
    replayed = dict(zip(one_of_each, (answer["replayed"] for answer in again), strict=True))
    assert replayed == dict.fromkeys(tally, True)
    assert {name: await one(database, number) for name, number in THERE.items()} == there
    assert await standing(shop) == expected
