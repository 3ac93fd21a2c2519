"""TOP-9, FIN-1: many tills at once, in several processes, and one card: never overdrawn, nothing
lost, nothing taken twice."""

import asyncio
from collections import Counter as Tally
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from app.core.db import Database, open_database
from app.core.ids import new_id, parse_type_id
from app.core.money import Money
from app.models.cards import CardStatus, DeductionRule
from app.models.ledger import SystemAccount
from app.models.spendings import SpendingKind
from app.services import cards, spendings
from app.services.ledger import expire_due
from app.services.spendings import returning
from tests.factories.races import INSERT, Work, beside, call
from tests.factories.spendings import Held, Payer, a_payer, merged_away

pytestmark = pytest.mark.anyio

TILLS = 16


@asynccontextmanager
async def processes(payer: Payer, url: str) -> AsyncIterator[list[Payer]]:
    """The payer as two processes see it; SQLite has one, which owns the file."""
    async with AsyncExitStack() as stack:
        if payer.database.dialect_name == "sqlite":
            yield [payer]
            return
        found = []
        for _ in range(2):
            database = await open_database(url)
            stack.push_async_callback(database.close)
            found.append(replace(payer, till=replace(payer.till, database=database)))
        yield found


async def at_tills(payer: Payer, url: str, ask: Any, times: int = TILLS) -> list[Any]:
    """What as many tills hear that ask at once, in turn in each process."""
    async with processes(payer, url) as each:
        asked = [ask(each[number % len(each)], number) for number in range(times)]
        return list(await asyncio.gather(*asked))


@pytest.mark.parametrize("rule", DeductionRule)
async def test_tills_at_once_never_overdraw_a_card(
    database: Database, database_url: str, now: datetime, rule: DeductionRule
) -> None:
    """TOP-9: 100.00 on six lots pay ten times 10.00, whoever is first; six hear what is left."""
    payer = await a_payer(database, now, deduction_rule=rule)
    for days in (1, 2, 3):
        await payer.put(20_00, days=days)
    for amount in (13_33, 13_33, 13_34):
        await payer.put_bonus(amount)
    answers = await at_tills(payer, database_url, lambda at, _: at.charge(10_00))
    kinds = Tally(answer["__typename"] for answer in answers)
    assert kinds == {"SpendingCharged": 10, "InsufficientBalance": 6}
    short = [a["shortBy"]["amount"] for a in answers if a["__typename"] == "InsufficientBalance"]
    assert short == [10_00] * 6
    assert await payer.holds() == Held(0, 0, 0)
    assert await payer.total_of(SystemAccount.REVENUE) == 60_00
    spent = await payer.total_of(SystemAccount.BONUS_SPENT)
    assert spent == 40_00
    await payer.require_books()


async def test_one_request_at_many_tills_happens_once(
    database: Database, database_url: str, now: datetime
) -> None:
    payer = await a_payer(database, now)
    await payer.put(100)
    bill = payer.bill(60)
    answers = await at_tills(payer, database_url, lambda at, _: at.charge(60, **bill))
    assert Tally(answer["replayed"] for answer in answers) == {False: 1, True: TILLS - 1}
    assert len({answer["spending"]["id"] for answer in answers}) == 1
    assert await payer.holds() == Held(40, 0, 0)
    await payer.require_books()


async def test_refunds_at_once_give_back_no_more_than_was_spent(
    database: Database, database_url: str, now: datetime
) -> None:
    """And a void among them comes first or not at all."""
    payer = await a_payer(database, now, deduction_rule=DeductionRule.PROPORTIONAL)
    await payer.put(70)
    await payer.put_bonus(30)
    spending = await payer.paid(99)

    def ask(at: Payer, number: int) -> Any:
        return at.void(spending) if number == 0 else at.refund(spending, 10)

    answers = await at_tills(payer, database_url, ask)
    kinds = Tally(answer["__typename"] for answer in answers)
    if kinds["SpendingVoided"]:
        assert kinds == {"SpendingVoided": 1, "SpendingNotOpen": TILLS - 1}
        assert await payer.holds() == Held(70, 30, 0)
    else:
        assert kinds == {
            "SpendingNotOpen": 1, "SpendingRefunded": 9, "SpendingRefundTooLarge": TILLS - 10,
        }  # fmt: skip
        await payer.refund(spending, 9)
        assert await payer.holds() == Held(70, 30, 0)
    await payer.require_books()


async def test_an_authorisation_ends_in_one_way(
    database: Database, database_url: str, now: datetime
) -> None:
    """TOP-9: captured, voided or overdue, whichever comes first."""
    payer = await a_payer(database, now)
    await payer.put(160)
    held = [await payer.held(10, holdMinutes=1) for _ in range(TILLS)]

    async def end(at: Payer, number: int) -> Any:
        spending = held[number // 3]
        if number % 3 == 0:
            return await at.capture(spending, 6)
        if number % 3 == 1:
            return await at.void(spending)
        due = at.later(minutes=1).till.now
        return await at.database.run(spendings.void_overdue, now=due)

    answers = await at_tills(payer, database_url, end, times=TILLS * 3)
    ends = Tally(answer["__typename"] for answer in answers if isinstance(answer, dict))
    overdue = sum(answer for answer in answers if isinstance(answer, int))
    captured, voided = ends["SpendingCaptured"], ends["SpendingVoided"]
    # What was captured may be voided after, as a whole.
    read = [await payer.void(spending) for spending in held]
    assert {answer["__typename"] for answer in read} <= {"SpendingVoided", "SpendingNotOpen"}
    assert captured + voided + overdue >= TILLS
    assert await payer.holds() == Held(160, 0, 0)
    assert await payer.total_of(SystemAccount.HELD) == 0
    assert await payer.total_of(SystemAccount.REVENUE) == 0
    await payer.require_books()


async def test_everything_at_once_ends_in_right_books(
    database: Database, database_url: str, now: datetime
) -> None:
    """FIN-1: charges, refunds, lots that expire and a merge, on one card of two processes."""
    payer = await a_payer(database, now)
    for days in (None, 1, 2):
        await payer.put(200, days=days)
    paid = [await payer.paid(5) for _ in range(TILLS)]
    then = payer.later(days=1)

    async def act(at: Payer, number: int) -> Any:
        if number == TILLS // 2:
            return await merged_away(at)
        if number == TILLS // 3:
            return await at.database.run(expire_due, now=at.till.now)
        return await (at.charge(7) if number % 2 else at.refund(paid[number], 5))

    answers = await at_tills(then, database_url, act)
    done = Tally(answer["__typename"] for answer in answers if isinstance(answer, dict))
    assert set(done) == {"SpendingCharged", "SpendingRefunded"}
    assert sum(done.values()) == TILLS - 2
    # The 80 were spent from what expires now; what of them comes back expires again.
    expired = await payer.total_of(SystemAccount.EXPIRED)
    assert expired == 120 + 5 * done["SpendingRefunded"]
    living = replace(then, card=await living_card(then))
    assert (await living.holds()).cash == 400 - 7 * done["SpendingCharged"]
    await living.require_books()


async def living_card(payer: Payer) -> Any:
    return await payer.database.read(cards.living, payer.card.id)


# In the one order that would do harm


def charge(payer: Payer, amount: int) -> Work:
    bill = spendings.Bill(
        kind=SpendingKind.STORED_VALUE, amount=Money(amount, "CNY"), order_number="1"
    )
    return call(
        spendings.charge, payer.till.shop.owner.actor,
        terminal_id=payer.till.shop.terminal.id, card_id=payer.card.id, bill=bill,
        verification=None, request_key=new_id().hex, now=payer.till.now,
    )  # fmt: skip


async def test_a_card_that_is_frozen_meanwhile_pays_nothing(
    database: Database, now: datetime
) -> None:
    """CRD-3."""
    payer = await a_payer(database, now)
    await payer.put(100)
    freeze = call(
        cards.set_status, payer.till.shop.owner.actor,
        card_id=payer.card.id, status=CardStatus.FROZEN, reason="x", now=now,
    )  # fmt: skip
    # Before its audit record, after the status.
    _, refused = await beside(database, freeze, before=INSERT, second=charge(payer, 10))
    assert isinstance(refused, cards.CardNotUsable)
    assert await payer.holds() == Held(100, 0, 0)
    await payer.require_books()


async def test_a_refund_beside_another_counts_it(database: Database, now: datetime) -> None:
    payer = await a_payer(database, now)
    await payer.put(100)
    spending = await payer.paid(60)
    spending_id = parse_type_id("spd", spending["id"])

    def refund(amount: int) -> Work:
        return call(
            spendings.refund, payer.till.shop.owner.actor, spending_id=spending_id,
            amount=Money(amount, "CNY"), reason="x", request_key=new_id().hex, now=now,
        )  # fmt: skip

    refunded, refused = await beside(
        database, refund(40), before=returning.move_on, second=refund(21)
    )
    assert refunded.refund.cash == 40
    assert isinstance(refused, spendings.SpendingRefundTooLarge)
    assert refused.refundable == Money(20, "CNY")
    await payer.require_books()
