"""MAL-2: a thousand buyers for a hundred pieces, from two processes at once."""

import asyncio
import sys
from collections import Counter as Tally
from datetime import datetime
from typing import Any

import orjson
import pytest
from sqlmodel import col, func, select

from app.core.db import Database, statement
from app.core.ids import new_id, parse_type_id
from app.models.ledger import Account, AccountKind, SystemAccount
from app.models.orders import Order
from app.models.points_mall import Fulfilment
from app.services import ledger
from tests.factories.buyers import many_buyers
from tests.factories.cards import counter
from tests.factories.points_mall import listed, stock_of
from tests.factories.reading import every, one
from tests.factories.spendings import entries_of_system_account

pytestmark = pytest.mark.anyio

BUYERS, PIECES, PRICE, POINTS = 1_000, 100, 100, 150
REPEATED = 100
"""Of the other process's buyers, so many ask again with the same key."""
READY_S, DONE_S = 60, 120

orders_there = statement(select(Order).order_by(col(Order.id)), into=Order)
fulfilments_there = statement(select(func.count()).select_from(Fulfilment), into=int)
balances = statement(select(Account).where(col(Account.kind) == AccountKind.POINTS), into=Account)


async def test_of_a_thousand_exactly_a_hundred_succeed_and_nothing_is_taken_from_the_others(
    database: Database, database_url: str, now: datetime
) -> None:
    """MAL-2: 100 orders, none twice, and the points of the others untouched."""
    till = await counter(database, now)
    item = await listed(till, stock=PIECES, pricePoints=PRICE, limitPerMember=1)
    buyers = await database.run(
        many_buyers, scheme=till.shop.scheme, number=BUYERS, points=POINTS, now=now
    )
    asked = [
        {
            "member_id": buyer.member_id,
            "card_id": buyer.card_id,
            "item_id": parse_type_id("mall", item["id"]),
            "store_id": till.shop.store.id,
            "points": PRICE,
            "request_key": new_id().hex,
            "now": now,
        }
        for buyer in buyers
    ]
    halves = asked[::2], asked[1::2]
    waves = [[halves[0], halves[1][:REPEATED]], [halves[1], halves[0][:REPEATED]]]
    heard = await _rush(database_url, waves)

    first = [answer for process in heard for answer in process[0]]
    assert Tally(name for name, *_ in first) == {
        "placed": PIECES, "MallItemSoldOut": BUYERS - PIECES
    }  # fmt: skip
    won = {
        request["member_id"]: answer[1]
        for wave, process in zip(waves, heard, strict=True)
        for request, answer in zip(wave[0], process[0], strict=True)
        if answer[0] == "placed"
    }
    there = await every(database, orders_there)
    assert {order.member_id: str(order.id) for order in there} == won
    assert len(there) == PIECES
    assert await one(database, fulfilments_there) == PIECES
    assert await stock_of(till, item) == 0
    repeated = [answer for process in heard for answer in process[1] if answer[0] == "placed"]
    assert all(is_replay and order_id in won.values() for _, order_id, is_replay in repeated)

    winners = {order.card_id for order in there}
    of_buyers = {each.card_id for each in buyers}
    left = {
        each.card_id: each.balance
        for each in await every(database, balances)
        if each.card_id in of_buyers
    }
    assert left == {
        card_id: POINTS - PRICE if card_id in winners else POINTS for card_id in of_buyers
    }
    spent = await every(
        database, entries_of_system_account, system_account=SystemAccount.POINTS_SPENT
    )
    assert spent == [PRICE] * PIECES
    assert await database.scan(ledger.check) == []


async def _rush(url: str, waves: list[list[Any]]) -> list[Any]:
    """What the members of each process heard, wave by wave; the processes begin together."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.mall_process", url,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
        )
        for _ in waves
    ]  # fmt: skip
    try:
        async with asyncio.timeout(READY_S):
            for process in processes:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
        for process, of_process in zip(processes, waves, strict=True):
            assert process.stdin is not None
            process.stdin.write(orjson.dumps(of_process) + b"\n")
        async with asyncio.timeout(DONE_S):
            return [orjson.loads(await _line(process)) for process in processes]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()
