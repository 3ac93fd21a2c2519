"""TOP-9, PTS-6: what was held is kept or given back, and what goes back goes to the very lots."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import parse_type_id
from app.models.cards import CardStatus, DeductionRule
from app.models.ledger import AccountKind, Entry, LotMovement, Posting, PostingKind, SystemAccount
from app.services import ledger, spendings
from app.services.spendings.returning import REFUNDS_MAX, new_refund
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_codes import freeze
from tests.factories.reading import every
from tests.factories.spendings import Held, Payer, a_payer, lots_of_account, merged_away
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

postings_of = statement(
    select(Posting)
    .where(
        col(Posting.id).in_(
            select(Entry.posting_id).where(col(Entry.card_id) == bindparam("card_id"))
        )
    )
    .order_by(col(Posting.id)),
    into=Posting,
)
movements = statement(select(LotMovement).order_by(col(LotMovement.id)), into=LotMovement)


@pytest.fixture
async def payer(database: Database, now: datetime) -> Payer:
    return await a_payer(database, now)


def amounts(spending: Any) -> tuple[int, int, int]:
    """What came back of a spending: in all, in cash, in bonus."""
    names = ("returned", "returnedCash", "returnedBonus")
    returned = [spending[name]["amount"] for name in names]
    return returned[0], returned[1], returned[2]


# Authorised, then captured or not


async def test_what_is_authorised_is_held_and_captured_whole(payer: Payer) -> None:
    """TOP-9: gone from the card at once, nobody's until it is captured."""
    await payer.put(100)
    await payer.put_bonus(50)
    authorised = await payer.authorise(120)
    spending = authorised["spending"]
    assert authorised["balances"] == {
        "cash": {"amount": 0}, "bonus": {"amount": 30}, "points": 0,
    }  # fmt: skip
    assert spending["expiresAt"] == (payer.till.now + timedelta(minutes=30)).isoformat()
    assert (spending["state"], spending["endedAt"]) == ("AUTHORISED", None)
    assert (
        await payer.total_of(SystemAccount.HELD),
        await payer.total_of(SystemAccount.REVENUE),
    ) == (120, 0)
    await payer.require_books()
    later = payer.later(minutes=29, seconds=59)
    captured = (await later.capture(spending, 120))["spending"]
    assert (captured["state"], amounts(captured)) == ("CAPTURED", (0, 0, 0))
    assert captured["endedAt"] == later.till.now.isoformat()
    assert await payer.total_of(SystemAccount.HELD) == 0
    assert await payer.total_of(SystemAccount.REVENUE) == 100
    assert await payer.total_of(SystemAccount.BONUS_SPENT) == 20
    assert await payer.holds() == Held(0, 30, 0)
    await payer.require_books()


async def test_what_is_not_captured_returns_by_the_saved_split(
    database: Database, now: datetime
) -> None:
    """TOP-9: 10.00 were 8.57 and 1.43; of the 4.00 not needed, 3.43 were cash. Refunds go on from
    there, and all of it comes back as it was."""
    payer = await a_payer(database, now, deduction_rule=DeductionRule.PROPORTIONAL)
    await payer.put(10_00, days=10)
    await payer.put(20_00, days=20)
    await payer.put_bonus(5_00)
    before = await payer.lots()
    spending = await payer.held(10_00)
    captured = await payer.capture(spending, 6_00)
    assert amounts(captured["spending"]) == (4_00, 3_43, 57)
    assert captured["balances"]["cash"]["amount"] == 24_86
    refunds = [await payer.refund(spending, amount) for amount in (1_00, 2_00, 3_00)]
    assert [(r["refund"]["cash"]["amount"], r["refund"]["bonus"]["amount"]) for r in refunds] == [
        (86, 14),
        (1_71, 29),
        (2_57, 43),
    ]
    assert amounts(refunds[-1]["spending"]) == (10_00, 8_57, 1_43)
    assert [r["amount"]["amount"] for r in refunds[-1]["spending"]["refunds"]] == [
        1_00, 2_00, 3_00,
    ]  # fmt: skip
    assert await payer.lots() == before
    assert await payer.holds() == Held(30_00, 5_00, 0)
    assert await payer.total_of(SystemAccount.REVENUE) == 0
    await payer.require_books()


async def test_a_capture_is_for_what_is_open_and_no_more(payer: Payer) -> None:
    await payer.put(100)
    spending = await payer.held(60)
    charged = await payer.paid(10)
    async with nothing_moves(payer.database):
        assert await payer.capture(spending, 61) == {
            "__typename": "CaptureTooLarge", "most": {"amount": 60},
        }  # fmt: skip
        for amount in (0, -1):
            assert await payer.capture(spending, amount) == "BAD_USER_INPUT"
        assert (await payer.capture(spending, 2**63 - 1))["__typename"] == "CaptureTooLarge"
        in_yen = {"amount": {"amount": 1, "currency": "JPY"}}
        refused = await payer.capture(spending, 1, **in_yen)
        assert refused == {"__typename": "WrongCurrency", "expected": "CNY"}
        late = await payer.later(minutes=30).capture(spending, 60)
        assert (late["__typename"], late["state"]) == ("SpendingNotOpen", "AUTHORISED")
        assert (await payer.capture(charged, 10))["state"] == "CAPTURED"
        assert (await payer.refund(spending, 1))["state"] == "AUTHORISED"
    await payer.void(spending)
    async with nothing_moves(payer.database):
        for answer in (
            await payer.capture(spending, 60),
            await payer.refund(spending, 1),
            await payer.void(spending),
        ):
            assert (answer["__typename"], answer["state"]) == ("SpendingNotOpen", "VOIDED")


async def test_what_nobody_captures_in_time_is_voided_once(payer: Payer) -> None:
    """TOP-9: from the very moment, in batches, also beside another worker."""
    await payer.put(1_000, days=9)
    before = await payer.lots()
    kept = await payer.held(1, holdMinutes=31)
    for _ in range(3):
        await payer.held(2)
    assert await overdue(payer, minutes=29, seconds=59) == 0
    found = await asyncio.gather(overdue(payer, minutes=30), overdue(payer, minutes=30))
    assert sorted(found) == [0, 3] if payer.database.dialect_name == "sqlite" else sum(found) == 3
    assert await overdue(payer, minutes=30) == 0
    assert (await payer.holds()).cash == 999
    await payer.capture(kept, 1)
    assert await overdue(payer, days=1) == 0
    assert [before[0][1]] == [expiry for _, expiry in await payer.lots()]
    kinds = [p.kind for p in await every(payer.database, postings_of, card_id=payer.card.id)]
    assert kinds.count(PostingKind.SPEND_REVERSAL) == 3
    await payer.require_books()


async def overdue(payer: Payer, **later: float) -> int:
    then = payer.later(**later).till.now
    return await payer.database.run(spendings.void_overdue, now=then)


async def test_overdue_ones_go_in_batches(payer: Payer) -> None:
    await payer.put(101)
    for _ in range(101):
        await payer.held(1)
    assert [await overdue(payer, hours=1) for _ in range(3)] == [100, 1, 0]
    assert (await payer.holds()).cash == 101
    await payer.require_books()


async def test_what_is_held_goes_back_to_a_card_that_was_merged_or_frozen(payer: Payer) -> None:
    await payer.put(100)
    await payer.held(60)
    survivor = await merged_away(payer)
    await payer.database.run(freeze, survivor, CardStatus.FROZEN)
    assert await overdue(payer, hours=1) == 1
    assert (await account(payer.database, survivor.id, AccountKind.CASH)).balance == 100
    await payer.require_books()


# Voided


@pytest.mark.parametrize("was_held", [False, True])
async def test_a_void_returns_exactly_the_very_lots(payer: Payer, was_held: bool) -> None:
    """TOP-9: each lot has what it had, with its own expiry."""
    for amount, days in ((30, 5), (20, None), (50, 1)):
        await payer.put(amount, days=days)
    await payer.put_bonus(40, days=3, restriction={"items": ["tea"]})
    before = [await payer.lots(), await payer.lots(AccountKind.BONUS)]
    tea = [{"itemId": "tea", "amount": 35}]
    make = payer.held if was_held else payer.paid
    spending = await make(130, lines=tea)
    assert await payer.holds() == Held(0, 10, 0)
    voided = await payer.later(hours=1).void(spending)
    assert voided["spending"]["state"] == "VOIDED"
    assert amounts(voided["spending"]) == (130, 100, 30)
    assert voided["spending"]["refunds"] == []
    assert [await payer.lots(), await payer.lots(AccountKind.BONUS)] == before
    assert sum(m.amount for m in await every(payer.database, movements)) == 0
    for system_account in (SystemAccount.HELD, SystemAccount.REVENUE, SystemAccount.BONUS_SPENT):
        assert await payer.total_of(system_account) == 0
    await payer.require_books()


async def test_a_void_takes_what_a_capture_kept_but_nothing_twice(payer: Payer) -> None:
    await payer.put(100)
    spending = await payer.held(60)
    await payer.capture(spending, 50)
    assert (await payer.void(spending))["spending"]["returned"]["amount"] == 60
    assert await payer.holds() == Held(100, 0, 0)
    refunded = await payer.paid(60)
    await payer.refund(refunded, 1)
    async with nothing_moves(payer.database):
        refused = await payer.void(refunded)
    assert refused == {
        "__typename": "SpendingNotOpen",
        "state": "CAPTURED",
        "message": "This spending was refunded in part. Refund the rest.",
    }
    assert (await payer.refund(refunded, 59))["balances"]["cash"]["amount"] == 100
    await payer.require_books()


async def test_a_day_after_it_was_paid_a_void_is_a_refund(payer: Payer) -> None:
    """A cashier undoes a mistake of today; what was paid before needs who may refund."""
    shop, evening = payer.till.shop, payer.later(hours=20).till.now
    cashier = await payer.database.run(employee, node=shop.store, role="cashier", now=evening)
    await payer.put(100)
    early, late = await payer.paid(10), await payer.paid(20)
    on_time = payer.later(hours=24)
    assert (await on_time.void(early, who=cashier))["__typename"] == "SpendingVoided"
    too_late = payer.later(hours=24, seconds=1)
    async with nothing_moves(payer.database):
        assert await too_late.void(late, who=cashier) == "FORBIDDEN"
    assert (await too_late.void(late))["__typename"] == "SpendingVoided"


async def test_a_void_that_is_sent_again_answers_the_same(payer: Payer) -> None:
    await payer.put(100)
    spending, held = await payer.paid(60), await payer.held(20)
    keyed = {"requestKey": "k"}
    voided, captured = await payer.void(spending, **keyed), await payer.capture(held, 5, **keyed)
    refunded = await payer.refund(held, 2, **keyed)
    async with nothing_moves(payer.database):
        balances = {"balances": refunded["balances"]}
        assert await payer.void(spending, **keyed) == voided | balances | {"replayed": True}
        again = await payer.refund(held, 2, **keyed)
        assert again == refunded | {"replayed": True}
        assert (await payer.capture(held, 5, **keyed))["replayed"] is True
        for refused in (
            await payer.void(held, **keyed),
            await payer.void(spending, reason="another", **keyed),
            await payer.capture(held, 6, **keyed),
            await payer.refund(held, 3, **keyed),
        ):
            assert refused == {"__typename": "RequestKeyReused"}
    assert captured["replayed"] is False


@pytest.mark.parametrize("reason", ["", " ", "x" * 201, "a\nb"])
async def test_what_goes_back_has_a_reason(payer: Payer, reason: str) -> None:
    await payer.put(100)
    spending = await payer.paid(60)
    async with nothing_moves(payer.database):
        assert await payer.void(spending, reason=reason) == "BAD_USER_INPUT"
        assert await payer.refund(spending, 1, reason=reason) == "BAD_USER_INPUT"


# Refunded


async def test_a_refund_goes_to_what_was_taken_last(payer: Payer) -> None:
    """TOP-9: first the lot that was taken last, as though less had been spent."""
    for days in (1, 2, 3):
        await payer.put(10, days=days)
    spending = await payer.paid(25)
    assert [remaining for remaining, _ in await payer.lots()] == [0, 0, 5]
    await payer.refund(spending, 7)
    assert [remaining for remaining, _ in await payer.lots()] == [0, 2, 10]
    await payer.refund(spending, 18)
    assert [remaining for remaining, _ in await payer.lots()] == [10, 10, 10]
    assert [(p.taken, p.returned) for p in await payer.parts(spending)] == [
        (10, 10), (10, 10), (5, 5),
    ]  # fmt: skip
    await payer.require_books()


async def test_no_more_is_refunded_than_was_spent(payer: Payer) -> None:
    await payer.put(100)
    spending = await payer.paid(60)
    await payer.refund(spending, 20)
    left = {"amount": 40, "currency": "CNY"}
    async with nothing_moves(payer.database):
        for amount in (41, 2**63 - 1):
            refused = await payer.refund(spending, amount)
            assert refused == {"__typename": "SpendingRefundTooLarge", "refundable": left}
        for amount in (0, -1):
            assert await payer.refund(spending, amount) == "BAD_USER_INPUT"
        in_yen = {"amount": {"amount": 1, "currency": "JPY"}}
        refused = await payer.refund(spending, 1, **in_yen)
        assert refused == {"__typename": "WrongCurrency", "expected": "CNY"}
    await payer.refund(spending, 40)
    async with nothing_moves(payer.database):
        assert (await payer.refund(spending, 1))["refundable"]["amount"] == 0


async def test_a_spending_is_refunded_only_so_often(payer: Payer) -> None:
    await payer.put(1_000)
    spending = await payer.paid(1_000)
    await payer.database.run(refunded_often, spending["id"], payer.till.now)
    async with nothing_moves(payer.database):
        assert await payer.refund(spending, 1) == {"__typename": "SpendingRefundedTooOften"}


async def refunded_often(tx: Transaction, spending_id: str, now: datetime) -> None:
    of = parse_type_id("spd", spending_id)
    made = [
        new_refund(spending_id=of, amount=1, cash=1, reason="x", refunded_at=now)
        for _ in range(REFUNDS_MAX)
    ]
    await tx.insert(*made)


async def test_points_come_back_to_their_lots_with_their_expiry(
    database: Database, now: datetime
) -> None:
    """PTS-6: 10 points paid 3.33; a cent is worth none, until the last return brings the rest."""
    payer = await a_payer(database, now, points_worth_points=3, points_worth_amount=1_00)
    await payer.put_points(6, days=1)
    await payer.put_points(20)
    before = await payer.lots(AccountKind.POINTS)
    spending = (await payer.pay_with_points(3_33, total=10_00))["spending"]
    assert (spending["points"], (await payer.holds()).points) == (10, 16)
    cent = await payer.refund(spending, 1)
    assert (cent["refund"]["points"], cent["balances"]["points"]) == (0, 16)
    assert (await payer.refund(spending, 1_32))["refund"]["points"] == 3
    assert [n for n, _ in await payer.lots(AccountKind.POINTS)] == [0, 19]
    assert (await payer.refund(spending, 2_00))["refund"]["points"] == 7
    assert await payer.lots(AccountKind.POINTS) == before
    assert await payer.total_of(SystemAccount.POINTS_SPENT) == 0
    held = await payer.held(1_00, kind="POINTS", billTotal={"amount": 1_00, "currency": "CNY"})
    captured = await payer.capture(held, 50)
    assert captured["spending"]["returnedPoints"] == 1
    await payer.require_books()


async def test_what_expired_meanwhile_expires_again(payer: Payer) -> None:
    """TOP-9: visibly, in a posting of its own; what lives is on the card."""
    await payer.put(10, days=1)
    await payer.put(100)
    spending = await payer.paid(60)
    then = payer.later(days=2)
    refunded = await then.refund(spending, 60)
    assert refunded["balances"]["cash"]["amount"] == 100
    assert await payer.total_of(SystemAccount.EXPIRED) == 10
    kinds = [p.kind for p in await every(payer.database, postings_of, card_id=payer.card.id)]
    assert kinds[-2:] == [PostingKind.SPEND_REVERSAL, PostingKind.EXPIRE]
    assert await payer.database.run(ledger.expire_due, now=then.till.now) == []
    await payer.require_books()


@pytest.mark.parametrize("status", [CardStatus.LOST, CardStatus.FROZEN, CardStatus.EXPIRED])
async def test_value_returns_whatever_became_of_the_card(payer: Payer, status: CardStatus) -> None:
    """CRD-3: what a card holds stays on it; who gives back needs no card."""
    await payer.put(100)
    paid, held, other = await payer.paid(10), await payer.held(20), await payer.paid(30)
    await payer.database.run(freeze, payer.card, status)
    assert (await payer.refund(paid, 5))["__typename"] == "SpendingRefunded"
    assert (await payer.capture(held, 15))["__typename"] == "SpendingCaptured"
    assert (await payer.void(other))["__typename"] == "SpendingVoided"
    assert await payer.holds() == Held(80, 0, 0)
    await payer.require_books()


async def test_a_card_that_was_paid_out_gets_nothing_back(payer: Payer) -> None:
    """CRD-4: but what is held is nowhere lost."""
    await payer.put(100)
    paid, held = await payer.paid(10), await payer.held(20)
    await payer.database.run(freeze, payer.card, CardStatus.REFUNDED)
    async with nothing_moves(payer.database):
        refused = {"__typename": "CardNotUsable", "status": "REFUNDED"}
        assert await payer.refund(paid, 5) == refused
        assert await payer.void(held) == refused
    assert await overdue(payer, hours=1) == 1
    assert (await payer.holds()).cash == 90


# Merged meanwhile


async def test_after_a_merge_the_living_card_gets_it_back(payer: Payer) -> None:
    """IDN-4, TOP-9: with its expiry and its restriction, in parts too, and it pays again there."""
    day = {"date": "2026-09-01", "time_zone": "Asia/Shanghai", "usable": 50}
    lot = await payer.put(100, days=9, restriction={"day": day})
    spending = await payer.paid(50)
    survivor = await merged_away(payer)
    living = Payer(payer.till, payer.scheme, survivor)
    for amount, on_card in ((20, 70), (10, 80)):
        refunded = await payer.refund(spending, amount)
        assert refunded["balances"]["cash"]["amount"] == on_card
    of = await account(payer.database, survivor.id, AccountKind.CASH)
    lots = await every(payer.database, lots_of_account, account_id=of.id)
    assert [(each.remaining, each.moved_from_id) for each in lots] == [
        (50, lot.id), (20, lot.id), (10, lot.id),
    ]  # fmt: skip
    assert {each.expires_at for each in lots} == {lot.expires_at}
    # 20 of the day's 50 are spent and not given back, whichever lot they were in.
    async with nothing_moves(payer.database):
        assert (await living.charge(31))["usable"]["amount"] == 30
        assert (await payer.charge(31))["usable"]["amount"] == 30, "the old card leads there"
    again = await living.paid(30)
    assert (await living.charge(1))["usable"]["amount"] == 0
    await living.void(again)
    await payer.refund(spending, 20)
    assert (await living.holds()).cash == 100
    assert await payer.holds() == Held(0, 0, 0)
    await living.require_books()
