"""TOP-1, TOP-9, PTS-6, CRD-8: bills that cards pay, once, verified, by the scheme's rules, or not
at all."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.models.cards import Card, CardStatus, ConsumptionVerification, DeductionRule
from app.models.ledger import AccountKind, SystemAccount
from app.models.sessions import Ticket
from app.models.staff import Permission
from app.services import consumption, members
from app.services.points.guarding import new_case
from auth.passwords import hash_pin
from resolvers.root import admin_schema
from tests.factories.cards import shop
from tests.factories.ledger import nothing_moves
from tests.factories.member_codes import freeze
from tests.factories.partners import partner, principal_of
from tests.factories.reading import one
from tests.factories.spendings import CHARGE, Held, Payer, a_payer, another_card

pytestmark = pytest.mark.anyio

PIN = "280517"
VERIFY = """mutation ($terminal: ID!, $card: ID!, $pin: String!) {
  cardVerifyPin(input: {terminalId: $terminal, cardId: $card, pin: $pin}) {
    __typename ... on ConsumptionVerified { verification } } }"""

tickets_left = statement(select(func.count()).select_from(Ticket), into=int)
set_card_expiry = statement(
    update(Card).where(col(Card.id) == bindparam("card_id")).values(expires_at=bindparam("over_at"))
)


@pytest.fixture
async def payer(database: Database, now: datetime) -> Payer:
    return await a_payer(database, now)


# What a bill costs each balance


@pytest.mark.parametrize(
    ("rule", "cash", "bonus"),
    [
        (DeductionRule.CASH_FIRST, 10_00, 0),
        (DeductionRule.BONUS_FIRST, 5_00, 5_00),
        # 30 ÷ 35 × 10.00 = 8.571…: the bonus part is the rest.
        (DeductionRule.PROPORTIONAL, 8_57, 1_43),
    ],
)
async def test_a_bill_is_divided_by_the_schemes_rule(
    database: Database, now: datetime, rule: DeductionRule, cash: int, bonus: int
) -> None:
    """TOP-1: 10.00 of 30.00 in cash and 5.00 in bonus."""
    payer = await a_payer(database, now, deduction_rule=rule)
    await payer.put(30_00)
    await payer.put_bonus(5_00)
    bill = payer.bill(10_00, orderNumber=" A-1 ")
    charged = await payer.till.as_staff(CHARGE, input=bill)
    spending = charged["spending"]
    assert charged == {
        "__typename": "SpendingCharged",
        "replayed": False,
        "spending": {
            "id": spending["id"],
            "kind": "STORED_VALUE",
            "state": "CAPTURED",
            "orderNumber": "A-1",
            "amount": {"amount": 10_00},
            "cash": {"amount": cash},
            "bonus": {"amount": bonus},
            "points": 0,
            "returned": {"amount": 0},
            "returnedCash": {"amount": 0},
            "returnedBonus": {"amount": 0},
            "returnedPoints": 0,
            "madeAt": now.isoformat(),
            "expiresAt": None,
            "endedAt": now.isoformat(),
            "refunds": [],
        },
        "balances": {
            "cash": {"amount": 30_00 - cash},
            "bonus": {"amount": 5_00 - bonus},
            "points": 0,
        },
    }
    assert await payer.total_of(SystemAccount.REVENUE) == cash
    assert await payer.total_of(SystemAccount.BONUS_SPENT) == bonus
    await payer.require_books()


@pytest.mark.parametrize(("amount", "cash", "bonus"), [(1, 1, 0), (3, 2, 1), (99, 50, 49)])
async def test_of_odd_cents_the_half_is_cash(
    database: Database, now: datetime, amount: int, cash: int, bonus: int
) -> None:
    """TOP-1: to the minor unit."""
    payer = await a_payer(database, now, deduction_rule=DeductionRule.PROPORTIONAL)
    await payer.put(50)
    await payer.put_bonus(50)
    spending = await payer.paid(amount)
    assert (spending["cash"]["amount"], spending["bonus"]["amount"]) == (cash, bonus)
    assert await payer.holds() == Held(50 - cash, 50 - bonus, 0)


async def test_what_expires_first_pays_first_then_what_is_oldest(payer: Payer) -> None:
    """TOP-9: and what is over pays nothing, though its expiry is not posted yet."""
    for amount, days in ((10, None), (20, 5), (30, 2), (40, 5), (50, 0.5)):
        await payer.put(amount, days=days)
    then = payer.later(days=1)
    spending = await then.paid(60)
    assert [part.taken for part in await then.parts(spending)] == [30, 20, 10]
    assert [remaining for remaining, _ in await then.lots()] == [10, 0, 0, 30, 50]
    async with nothing_moves(payer.database):
        refused = await then.charge(41)
    assert refused == {
        "__typename": "InsufficientBalance",
        "shortBy": {"amount": 1, "currency": "CNY"},
        "usable": {"amount": 40, "currency": "CNY"},
    }
    assert (await then.charge(40))["balances"]["cash"] == {"amount": 50}
    await payer.require_books()


# Restrictions


async def test_value_for_a_brand_pays_in_its_stores_only(payer: Payer) -> None:
    """TOP-9."""
    places = payer.till.shop.places
    await payer.put(100, restriction={"nodes": [str(places.coffee.id)]})
    await payer.put(30, restriction={"nodes": [str(places.tea_store.id)]})
    async with nothing_moves(payer.database):
        refused = await payer.charge(31, terminalId=payer.till.other_terminal_id)
        assert refused["usable"]["amount"] == 30
        assert (await payer.charge(101))["shortBy"]["amount"] == 1
    await payer.paid(100)
    await payer.paid(30, terminalId=payer.till.other_terminal_id)
    everywhere = {"nodes": [str(places.group.id)]}
    await payer.put(10, restriction=everywhere)
    await payer.paid(10, terminalId=payer.till.other_terminal_id)
    assert await payer.holds() == Held(0, 0, 0)


async def test_value_for_items_pays_their_lines_only(payer: Payer) -> None:
    """TOP-3, TOP-9: what says nothing of its lines pays nothing from it."""
    await payer.put(100, restriction={"items": ["tea"]})
    await payer.put_bonus(100, restriction={"items": ["tea", "cake"]})
    async with nothing_moves(payer.database):
        assert (await payer.charge(1))["usable"]["amount"] == 0
        hat = [{"itemId": "hat", "amount": 10}, {"itemId": "cake", "amount": 5}]
        assert (await payer.charge(20, lines=hat))["usable"]["amount"] == 5
    lines = [{"itemId": "tea", "amount": 40}, {"itemId": "cake", "amount": 20}]
    spending = await payer.paid(60, lines=lines)
    assert (spending["cash"]["amount"], spending["bonus"]["amount"]) == (40, 20)
    assert await payer.holds() == Held(60, 80, 0)


async def test_on_the_day_of_a_top_up_its_share_pays_until_midnight_there(payer: Payer) -> None:
    """TOP-4, TOP-9: half of 100.00 on 1 September in Shanghai, which ends at 16:00 UTC; what was
    given back may be spent again."""
    day = {"date": "2026-09-01", "time_zone": "Asia/Shanghai", "usable": 50_00}
    await payer.put(100_00, restriction={"day": day})
    spending = await payer.paid(30_00)
    last = payer.later(hours=3, minutes=59, seconds=59)
    async with nothing_moves(payer.database):
        assert (await last.charge(20_01))["usable"]["amount"] == 20_00
    await last.refund(spending, 10_00)
    async with nothing_moves(payer.database):
        assert (await last.charge(30_01))["usable"]["amount"] == 30_00
    await last.paid(30_00)
    assert (await last.charge(1))["usable"]["amount"] == 0
    assert (await payer.later(hours=4).charge(50_00))["__typename"] == "SpendingCharged"
    await payer.require_books()


async def test_restrictions_hold_together_and_for_each_lot(payer: Payer) -> None:
    """TOP-9: 40 on the day, for tea, at this store; 25 that are free."""
    places = payer.till.shop.places
    day = {"date": "2026-09-01", "time_zone": "Asia/Shanghai", "usable": 40}
    limits = {"items": ["tea"], "nodes": [str(places.coffee_store.id)], "day": day}
    await payer.put(100, restriction=limits)
    await payer.put_bonus(25)
    tea = [{"itemId": "tea", "amount": 60}]
    elsewhere = payer.till.other_terminal_id
    async with nothing_moves(payer.database):
        assert (await payer.charge(66, lines=tea))["usable"]["amount"] == 65
        assert (await payer.charge(60, lines=tea, terminalId=elsewhere))["usable"]["amount"] == 25
    spending = await payer.paid(65, lines=tea)
    assert (spending["cash"]["amount"], spending["bonus"]["amount"]) == (40, 25)
    tomorrow = payer.later(days=1)
    assert (await tomorrow.charge(60, lines=tea))["spending"]["cash"]["amount"] == 60


# Points


async def a_points_payer(database: Database, now: datetime, **rules: Any) -> Payer:
    """3 points pay 1.00."""
    return await a_payer(
        database, now, **({"points_worth_points": 3, "points_worth_amount": 1_00} | rules)
    )


async def test_points_pay_at_their_rate_rounded_up(database: Database, now: datetime) -> None:
    """PTS-6: 3.34 cost 10.02 points, so 11; what expires first pays first."""
    payer = await a_points_payer(database, now)
    await payer.put_points(10)
    await payer.put_points(5, days=1)
    await payer.put(100)
    charged = await payer.pay_with_points(3_34, total=10_00)
    spending = charged["spending"]
    assert (spending["kind"], spending["points"], spending["cash"]["amount"]) == ("POINTS", 11, 0)
    assert charged["balances"] == {"cash": {"amount": 100}, "bonus": {"amount": 0}, "points": 4}
    assert [remaining for remaining, _ in await payer.lots(AccountKind.POINTS)] == [4, 0]
    assert await payer.total_of(SystemAccount.POINTS_SPENT) == 11
    async with nothing_moves(database):
        refused = await payer.pay_with_points(1_67, total=10_00)
        assert refused == {"__typename": "NotEnoughPoints", "missingPoints": 2, "usablePoints": 4}
    await payer.require_books()


async def test_points_pay_a_share_of_an_order_however_often(
    database: Database, now: datetime
) -> None:
    """PTS-6: half of it, at most 4.00, also when two cards pay parts of one order."""
    rules = {"points_pay_share_bp": 50_00, "points_pay_amount_max": 4_00}
    payer = await a_points_payer(database, now, **rules)
    await payer.put_points(1_000)
    async with nothing_moves(database):
        refused = await payer.pay_with_points(2_51, total=5_01)
        assert refused == {"__typename": "PointsCapReached", "most": {"amount": 2_50}}
        assert (await payer.pay_with_points(4_01, total=100_00))["most"]["amount"] == 4_00
    first = (await payer.pay_with_points(3_00, total=100_00, orderNumber="A"))["spending"]
    async with nothing_moves(database):
        refused = await payer.pay_with_points(1_01, total=100_00, orderNumber="A")
        assert refused["most"]["amount"] == 1_00
    await payer.refund(first, 1_00)
    async with nothing_moves(database):
        refused = await payer.pay_with_points(2_01, total=100_00, orderNumber="A")
        assert refused["most"]["amount"] == 2_00
    await payer.void((await payer.pay_with_points(2_00, total=100_00, orderNumber="A"))["spending"])
    second = await payer.pay_with_points(2_00, total=100_00, orderNumber="A")
    assert second["__typename"] == "SpendingCharged"
    other_store = payer.till.other_terminal_id
    elsewhere = {"orderNumber": "A", "terminalId": other_store}
    assert "spending" in await payer.pay_with_points(4_00, total=100_00, **elsewhere)


async def test_points_that_cannot_pay_are_refused(database: Database, now: datetime) -> None:
    """PTS-6: no rate, too few at once, no total."""
    payer = await a_points_payer(database, now, points_pay_points_min=10)
    worthless = await database.run(another_card, payer.till)
    async with nothing_moves(database):
        refused = await worthless.pay_with_points(1_00, total=1_00)
        assert refused == {"__typename": "PointsCannotPay"}
        refused = await payer.pay_with_points(3_00, total=5_00)
        assert refused == {"__typename": "PointsBelowMinimum", "atLeast": 10}
        assert await payer.charge(4_00, kind="POINTS") == "BAD_USER_INPUT"
        assert await payer.pay_with_points(4_00, total=3_99) == "BAD_USER_INPUT"
        in_yen = {"amount": 4_00, "currency": "JPY"}
        assert await payer.charge(4_00, kind="POINTS", billTotal=in_yen) == "BAD_USER_INPUT"


async def test_points_of_an_open_case_pay_nothing_where_that_is_blocked(
    database: Database, now: datetime
) -> None:
    """PTS-7: stored value of the same card still does."""
    payer = await a_points_payer(database, now, abnormal_blocks_spending=True)
    await payer.put_points(100)
    await payer.put(100)
    await database.run(open_case, payer)
    async with nothing_moves(database):
        refused = await payer.pay_with_points(1_00, total=1_00)
        assert refused == {"__typename": "PointsBlocked"}
    await payer.paid(100)


async def open_case(tx: Transaction, payer: Payer) -> None:
    case = new_case(
        group_id=payer.card.group_id,
        scheme_id=payer.scheme.id,
        member_id=payer.card.member_id,
        card_id=payer.card.id,
        business_date=payer.till.now.date(),
        points=100,
        threshold=99,
        marked_at=payer.till.now,
    )
    await tx.insert(case)


# Once, or not at all


@pytest.mark.parametrize("act", ["charge", "authorise"])
async def test_a_request_that_is_sent_again_answers_the_same(payer: Payer, act: str) -> None:
    """FIN-1: also if the holder proved themselves anew, and not for anything else."""
    await payer.put(100)
    bill = payer.bill(60)
    ask = getattr(payer, act)
    first = await ask(60, **bill)
    async with nothing_moves(payer.database):
        again = await ask(60, **bill | {"verification": "another"})
        assert again == first | {"replayed": True}
        others: list[dict[str, Any]] = [
            {"amount": {"amount": 59, "currency": "CNY"}},
            {"orderNumber": "another"},
            {"terminalId": payer.till.other_terminal_id},
            {"cardId": type_id("card", payer.till.shop.card.id)},
            {"lines": [{"itemId": "tea", "amount": 1}]},
            {"billTotal": {"amount": 60, "currency": "CNY"}},
            {"kind": "POINTS", "billTotal": {"amount": 60, "currency": "CNY"}},
            *([{"holdMinutes": 31}] if act == "authorise" else []),
        ]
        for other in others:
            assert await ask(60, **bill | other) == {"__typename": "RequestKeyReused"}
    assert (await payer.holds()).cash == 40


@pytest.mark.parametrize("amount", [0, -1, 100_000_000_001, 2**63 - 1])
async def test_what_is_no_amount_is_refused(payer: Payer, amount: int) -> None:
    await payer.put(100)
    async with nothing_moves(payer.database):
        assert await payer.charge(amount) == "BAD_USER_INPUT"
        assert await payer.authorise(amount) == "BAD_USER_INPUT"
        total = {"amount": 2**63 - 1, "currency": "CNY"}
        assert await payer.charge(amount, kind="POINTS", billTotal=total) == "BAD_USER_INPUT"


async def test_the_largest_amount_is_only_more_than_there_is(payer: Payer) -> None:
    await payer.put(100)
    async with nothing_moves(payer.database):
        refused = await payer.charge(100_000_000_000)
    assert refused["shortBy"]["amount"] == 99_999_999_900


@pytest.mark.parametrize(
    "more",
    [
        {"lines": [{"itemId": "tea", "amount": 11}]},
        {"lines": [{"itemId": "tea", "amount": 0}]},
        {"lines": [{"itemId": "tea", "amount": 6}, {"itemId": "tea", "amount": -6}]},
        {"lines": [{"itemId": "tea", "amount": 2**63 - 1}]},
        {"lines": [{"itemId": "", "amount": 1}]},
        {"lines": [{"itemId": "x" * 65, "amount": 1}]},
        {"lines": [{"itemId": "a\x00", "amount": 1}]},
        {"lines": [{"itemId": f"{n}", "amount": 1} for n in range(201)], "amount": 201},
        {"orderNumber": ""},
        {"orderNumber": "x" * 65},
        {"requestKey": ""},
        {"amount": "XXX"},
        {"terminalId": "term_"},
    ],
)
async def test_a_bill_that_cannot_be_meant_is_refused(payer: Payer, more: dict[str, Any]) -> None:
    await payer.put(1_000)
    given = more.get("amount", 10)
    currency = given if isinstance(given, str) else "CNY"
    amount = {"amount": given if isinstance(given, int) else 10, "currency": currency}
    async with nothing_moves(payer.database):
        assert await payer.charge(10, **more | {"amount": amount}) == "BAD_USER_INPUT"


@pytest.mark.parametrize("minutes", [0, -1, 1_441])
async def test_a_hold_has_a_length(payer: Payer, minutes: int) -> None:
    await payer.put(100)
    async with nothing_moves(payer.database):
        assert await payer.authorise(10, holdMinutes=minutes) == "BAD_USER_INPUT"
    assert (await payer.held(10, holdMinutes=1_440))["expiresAt"] == "2026-09-02T12:00:00+00:00"


async def test_two_hundred_lines_are_not_too_many(payer: Payer) -> None:
    await payer.put(200, restriction={"items": [f"{n}" for n in range(200)]})
    lines = [{"itemId": f"{n}", "amount": 1} for n in range(200)]
    assert (await payer.paid(200, lines=lines))["cash"]["amount"] == 200


# Which card, and where


@pytest.mark.parametrize("status", [CardStatus.LOST, CardStatus.FROZEN])
async def test_a_card_that_cannot_be_used_pays_nothing(payer: Payer, status: CardStatus) -> None:
    """CRD-3."""
    await payer.put(100)
    await payer.database.run(freeze, payer.card, status)
    async with nothing_moves(payer.database):
        assert await payer.charge(10) == {"__typename": "CardNotUsable", "status": status.value}
        assert (await payer.authorise(10))["__typename"] == "CardNotUsable"


async def test_a_card_whose_time_is_over_pays_nothing(payer: Payer) -> None:
    """CRD-3: from that very moment."""
    await payer.put(100)
    await payer.database.run(expire, payer.card, payer.till.now)
    async with nothing_moves(payer.database):
        assert await payer.charge(10) == {"__typename": "CardNotUsable", "status": "EXPIRED"}


async def expire(tx: Transaction, card: Card, at: datetime) -> None:
    await tx.changed(set_card_expiry, card_id=card.id, over_at=at)


async def test_a_card_pays_where_and_in_what_its_scheme_says(payer: Payer) -> None:
    """CRD-1."""
    coffee_only = await payer.database.run(another_card, payer.till, covers_all_stores=False)
    in_yen = await payer.database.run(another_card, payer.till, currency="JPY")
    stranger = await payer.database.run(shop, now=payer.till.now)
    async with nothing_moves(payer.database):
        assert await coffee_only.charge(1) == {"__typename": "NotAtThisStore"}
        assert await in_yen.charge(1) == {"__typename": "WrongCurrency", "expected": "JPY"}
        for card_id in (stranger.card.id, new_id()):
            refused = await payer.charge(1, cardId=type_id("card", card_id))
            assert refused == {"__typename": "CardNotFound"}
        refused = await payer.charge(1, terminalId=type_id("term", new_id()))
        assert refused == {"__typename": "TerminalNotFound"}
        terminal = type_id("term", stranger.terminal.id)
        assert await payer.charge(1, terminalId=terminal) == "FORBIDDEN"


async def test_who_may_charge_and_who_may_give_back(payer: Payer) -> None:
    """ORG-1, ORG-2: a cashier at their own store's tills; refunds are not theirs."""
    await payer.put(100)
    cashier = payer.till.shop.cashier
    mine = payer.bill(10)
    spending = (await payer.till.as_staff(CHARGE, who=cashier, input=mine))["spending"]
    elsewhere = await payer.paid(10, terminalId=payer.till.other_terminal_id)
    stranger = (await payer.database.run(shop, now=payer.till.now)).owner
    async with nothing_moves(payer.database):
        bill = payer.bill(10, terminalId=payer.till.other_terminal_id)
        assert await payer.till.as_staff(CHARGE, who=cashier, input=bill) == "FORBIDDEN"
        assert await payer.refund(spending, 1, who=cashier) == "FORBIDDEN"
        assert await payer.void(elsewhere, who=cashier) == "FORBIDDEN"
        assert await payer.capture(elsewhere, 1, who=cashier) == "FORBIDDEN"
        assert await payer.refund(spending, 1, who=stranger) == {"__typename": "SpendingNotFound"}
        gone = {"id": type_id("spd", new_id())}
        for answer in (await payer.void(gone), await payer.capture(gone, 1)):
            assert answer == {"__typename": "SpendingNotFound"}
    assert (await payer.void(spending, who=cashier))["__typename"] == "SpendingVoided"


async def test_a_partner_charges_with_its_scope_at_its_stores(payer: Payer) -> None:
    """EVT-1."""
    await payer.put(100)
    for scopes, expected in (
        ([Permission.SPENDINGS_WRITE], "SpendingCharged"),
        ([Permission.PURCHASES_WRITE], None),
    ):
        client = await payer.database.run(
            partner, node=payer.till.shop.store, scopes=scopes, now=payer.till.now
        )
        asks = principal_of(client.client, now=payer.till.now)
        answer = await payer.till.ask(admin_schema, CHARGE, asks, {"input": payer.bill(10)})
        assert answer == "FORBIDDEN" if expected is None else answer["__typename"] == expected
        if expected:
            elsewhere = payer.bill(10, terminalId=payer.till.other_terminal_id)
            assert await payer.till.ask(admin_schema, CHARGE, asks, {"input": elsewhere}) == (
                "FORBIDDEN"
            )


async def test_the_first_store_that_is_paid_recruits_the_member(payer: Payer) -> None:
    """CRD-7: and what is refused recruits nobody."""
    await payer.put(100)
    await payer.charge(101)
    member_id = payer.card.member_id
    assert (await payer.database.read(members.living, member_id)).recruitment_store_id is None
    await payer.held(10)
    await payer.paid(10, terminalId=payer.till.other_terminal_id)
    recruited = await payer.database.read(members.living, member_id)
    assert recruited.recruitment_store_id == payer.till.shop.store.id


# Verification


@pytest.fixture
async def verifying(database: Database, now: datetime) -> Payer:
    payer = await a_payer(database, now, consumption_verification=ConsumptionVerification.PIN)
    await payer.put(100)
    await set_pin(payer)
    return payer


async def set_pin(payer: Payer) -> None:
    kept = {"card_id": payer.card.id, "new_hash": await hash_pin(PIN)}
    await payer.database.run(lambda tx: tx.changed(consumption.store_pin, **kept))


async def verified(payer: Payer, **more: Any) -> str:
    asked = {"terminal": payer.till.terminal_id, "card": payer.card_id, "pin": PIN} | more
    return str((await payer.till.as_staff(VERIFY, **asked))["verification"])


async def test_a_verification_pays_once_for_its_card_at_its_store(verifying: Payer) -> None:
    """CRD-8: what is wrong, used, another card's, another store's or too old pays nothing."""
    other = await verifying.database.run(
        another_card, verifying.till, consumption_verification=ConsumptionVerification.PIN
    )
    await set_pin(other)
    proof = await verified(verifying)
    elsewhere = verifying.till.other_terminal_id
    late = verifying.later(minutes=5)
    wrong = [
        (verifying, {}),
        (verifying, {"verification": "wrong"}),
        (verifying, {"verification": await verified(other)}),
        (verifying, {"verification": await verified(verifying, terminal=elsewhere)}),
        (late, {"verification": proof}),
    ]
    async with nothing_moves(verifying.database):
        for payer, more in wrong:
            assert await payer.charge(10, **more) == {"__typename": "TicketRefused"}
            assert await payer.authorise(10, **more) == {"__typename": "TicketRefused"}
    bill = verifying.bill(10, verification=proof)
    assert (await verifying.charge(10, **bill))["__typename"] == "SpendingCharged"
    async with nothing_moves(verifying.database):
        assert await verifying.charge(10, verification=proof) == {"__typename": "TicketRefused"}
        assert (await verifying.charge(10, **bill))["replayed"] is True


async def test_a_refused_spending_leaves_the_verification(verifying: Payer) -> None:
    """CRD-8: and without one nobody learns what is on the card."""
    proof = await verified(verifying)
    assert await verifying.charge(101) == {"__typename": "TicketRefused"}
    before = await one(verifying.database, tickets_left)
    refused = await verifying.charge(101, verification=proof)
    assert refused["shortBy"]["amount"] == 1
    assert await one(verifying.database, tickets_left) == before
    assert (await verifying.held(100, verification=proof))["state"] == "AUTHORISED"
