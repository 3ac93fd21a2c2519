"""Top-ups added up and listed, and what an auditor asks of prepaid cards (TOP-10, TOP-11)."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.models.compliance import DocumentKind
from app.models.identities import IdentityKind
from app.models.top_ups import TopUpSource
from app.services import compliance, identities, payment_methods
from app.services.identities import Proof
from app.services.reports import subjects, top_ups
from tests.factories.cards import Counter, counter
from tests.factories.reports import COMPLIANCE, TOP_UPS, ask, credited
from tests.factories.spendings import a_payer, another_card
from tests.factories.top_up_plans import plan_of
from tests.factories.top_ups import refund, sold

pytestmark = pytest.mark.anyio

SEPTEMBER, OCTOBER = "2026-09-01", "2026-10-01"
ZERO = {"amount": 0}


async def test_top_ups_are_counted_by_how_they_came(database: Database, now: datetime) -> None:
    """TOP-10: what was sold, what came by a list and by codes are counted apart, also by method
    (FAQ 21: a list's payment method shows)."""
    till = await counter(database, now)
    plan = await plan_of(till)
    order = await sold(till, plan)
    await sold(till.later(hours=5), plan, terminalId=till.other_terminal_id)
    assert (await refund(till.later(hours=6), order["id"], "OFFLINE"))["__typename"] == (
        "TopUpRefunded"
    )
    shop = till.shop
    given: dict[str, Any] = {"card": shop.card, "scheme": shop.scheme, "now": now}
    cash_id = await method_id(till, "cash")
    await database.run(
        credited, **given, amount=20_00, bonus=5_00, source=TopUpSource.BATCH, method_id=cash_id
    )
    await database.run(credited, **given, amount=30_00, points=9, source=TopUpSource.CODE)
    await database.run(credited, **given, amount=40_00, source=TopUpSource.SMART)
    (total,) = (await ask(till, TOP_UPS, SEPTEMBER, OCTOBER, by="DAY"))["totals"]
    assert total["sold"] == figures(orders=3, paid=240_00, bonus=20_00, points=100, refunded=1)
    assert total["batches"] == figures(orders=1, paid=20_00, bonus=5_00)
    assert total["codes"] == figures(orders=1, paid=30_00, points=9)
    days = (await ask(till, TOP_UPS, SEPTEMBER, OCTOBER, by="DAY"))["lines"]
    # 12:00 UTC is 20:00 in Shanghai, and five hours later it is the next day there.
    assert [(line["day"], line["sold"]["orders"]) for line in days] == [
        ("2026-09-01", 2),
        ("2026-09-02", 1),
    ]
    stores = (await ask(till, TOP_UPS, SEPTEMBER, OCTOBER, by="STORE"))["lines"]
    assert [
        (line["store"] and line["store"]["name"], line["sold"]["orders"], line["codes"]["orders"])
        for line in stores
    ] == [("Coffee at the station", 1, 0), ("Tea in the park", 1, 0), (None, 1, 1)]
    plans = (await ask(till, TOP_UPS, SEPTEMBER, OCTOBER, by="PLAN"))["lines"]
    assert [(line["planId"], line["planName"], line["sold"]["orders"]) for line in plans] == [
        (plan["id"], "Pay 100, get 110", 2),
        (None, None, 1),
    ]
    methods = (await ask(till, TOP_UPS, SEPTEMBER, OCTOBER, by="METHOD"))["lines"]
    assert [
        (line["method"] and line["method"]["code"], line["sold"]["orders"], line["batches"]["paid"])
        for line in methods
    ] == [("cash", 2, {"amount": 20_00}), (None, 1, ZERO)]


async def method_id(till: Counter, code: str) -> Any:
    actor = till.shop.owner.actor
    found = await till.database.read(payment_methods.of_group, actor)
    return next(method.id for method in found if method.code == code)


def figures(
    *, orders: int = 0, paid: int = 0, bonus: int = 0, points: int = 0, refunded: int = 0
) -> dict[str, Any]:
    """What a line says, where each order refunded was one of 100.00."""
    return {
        "orders": orders,
        "paid": {"amount": paid},
        "bonus": {"amount": bonus},
        "points": points,
        "refundedOrders": refunded,
        "refunded": {"amount": refunded * 100_00},
    }


async def test_orders_are_listed_page_by_page_without_losing_one(
    database: Database, now: datetime
) -> None:
    """TOP-10: also where several were credited at the same moment."""
    till = await counter(database, now)
    shop = till.shop
    made = []
    for minutes in (0, 0, 0, 5, 5, 9):
        at = now + timedelta(minutes=minutes)
        order = await database.run(credited, card=shop.card, scheme=shop.scheme, now=at)
        made.append(order.id)
    about = await database.scan(
        subjects.subject,
        shop.owner.actor,
        perspective_id=shop.places.group.id,
        from_day=date(2026, 9, 1),
        to_day=date(2026, 10, 1),
        now=now,
    )
    listed: list[top_ups.OrderRow] = []
    while True:
        page = await database.scan(
            top_ups.orders,
            about,
            scheme_id=shop.scheme.id,
            after=listed[-1] if listed else None,
            at_most=2,
        )
        listed += page
        if len(page) < 2:
            break
    assert [row.id for row in listed] == made


async def registered(till: Counter) -> None:
    """The member's phone is proven, which with the name makes the cards registered ones."""
    await till.database.run(
        identities.bind,
        member=till.shop.member,
        proof=Proof(IdentityKind.PHONE, "+8613812341234"),
        now=till.now,
    )


async def test_cards_and_persons_above_their_caps_are_named_masked(
    database: Database, now: datetime
) -> None:
    """TOP-11: cash only; 1,000.00 without a phone, 5,000.00 with one; as it was at the end of the
    period. A person's cards count together."""
    payer = await a_payer(database, now)
    till = payer.till
    second = await database.run(lambda tx: another_card(tx, till))
    await payer.put(1_000_00)
    await payer.put_bonus(9_000_00)
    await second.put(1_000_01)
    (currency,) = (await ask(till, COMPLIANCE, SEPTEMBER, "2026-09-02"))["currencies"]
    assert currency["rules"] == {
        "currency": "CNY",
        "registeredCardCap": 5_000_00,
        "unregisteredCardCap": 1_000_00,
        "personCap": None,
        "realNameFrom": 10_000_00,
    }
    assert currency["cards"] == [
        {
            "cardNumber": second.card.number,
            "holder": "王**",
            "isRegistered": False,
            "balance": {"amount": 1_000_01},
            "cap": {"amount": 1_000_00},
        }
    ]
    assert (currency["numberOfCards"], currency["persons"], currency["numberOfPersons"]) == (
        1,
        [],
        0,
    )
    await set_limits(till, registered_card_cap=5_000_00, person_cap=2_000_00)
    await registered(till)
    await payer.later(days=1).put(4_000_01)
    (currency,) = (await ask(till, COMPLIANCE, SEPTEMBER, "2026-09-02"))["currencies"]
    assert currency["cards"] == []
    assert currency["persons"] == [
        {
            "holder": "王**",
            "cards": 2,
            "balance": {"amount": 2_000_01},
            "cap": {"amount": 2_000_00},
        }
    ]
    (currency,) = (await ask(till, COMPLIANCE, SEPTEMBER, "2026-09-03"))["currencies"]
    assert [(each["balance"], each["isRegistered"]) for each in currency["cards"]] == [
        ({"amount": 5_000_01}, True)
    ]
    assert currency["persons"][0]["balance"] == {"amount": 6_000_02}


async def set_limits(till: Counter, **limits: int) -> None:
    await till.database.run(
        compliance.set_rules,
        till.shop.owner.actor,
        currency="CNY",
        limits=dict.fromkeys(compliance.LIMITS) | limits,
        now=till.now,
    )


async def test_large_top_ups_say_who_is_behind_them_and_how_they_were_paid(
    database: Database, now: datetime
) -> None:
    """TOP-11: from 10,000.00 with a real name, from 50,000.00 by transfer."""
    till = await counter(database, now)
    shop = till.shop
    for amount, code in ((9_999_99, "cash"), (10_000_00, "cash"), (50_000_00, "card")):
        method = await method_id(till, code)
        await database.run(
            credited, card=shop.card, scheme=shop.scheme, amount=amount, method_id=method, now=now
        )
    await database.run(
        payment_methods.save,
        shop.owner.actor,
        code="card",
        name="Card",
        is_net_receipt=True,
        moves_by_transfer=True,
        now=now,
    )
    report = await ask(till, COMPLIANCE, SEPTEMBER, OCTOBER)
    (currency,) = report["currencies"]
    assert currency["numberOfOrders"] == 2
    assert [large(each) for each in currency["orders"]] == [
        (50_000_00, True, False, True, "Card", True),
        (10_000_00, True, False, False, "Cash", False),
    ]
    await database.run(
        compliance.record_real_name,
        shop.owner.actor,
        member_id=shop.member.id,
        name="王小明",
        document_kind=DocumentKind.ID_CARD,
        document_number="11010519491231002X",
        now=now,
    )
    (currency,) = (await ask(till, COMPLIANCE, SEPTEMBER, OCTOBER))["currencies"]
    assert {each["realNameRecordedAt"] for each in currency["orders"]} == {now.isoformat()}
    assert {each["holder"] for each in currency["orders"]} == {"王**"}
    # A tea shop sees what was topped up there: nothing.
    (currency,) = (await ask(till, COMPLIANCE, SEPTEMBER, OCTOBER, at=shop.places.tea))[
        "currencies"
    ]
    assert (currency["orders"], currency["numberOfOrders"]) == ([], 0)


def large(order: Any) -> tuple[Any, ...]:
    return (
        order["amount"]["amount"],
        order["needsRealName"],
        order["realNameRecordedAt"] is not None,
        order["needsTransfer"],
        order["methodName"],
        order["leavesTrace"],
    )


async def test_more_than_one_top_up_may_bring_is_reported(
    database: Database, now: datetime
) -> None:
    till = await counter(database, now)
    shop = till.shop
    await set_limits(till, order_max=500_00)
    for amount in (500_00, 500_01):
        await database.run(credited, card=shop.card, scheme=shop.scheme, amount=amount, now=now)
    (currency,) = (await ask(till, COMPLIANCE, SEPTEMBER, OCTOBER))["currencies"]
    (order,) = currency["orders"]
    assert (order["amount"], order["isAboveMost"]) == ({"amount": 500_01}, True)


async def test_paid_balances_that_would_expire_are_reported(
    database: Database, now: datetime
) -> None:
    """TOP-11: there must be none; a bonus may expire."""
    payer = await a_payer(database, now)
    await payer.put_bonus(5_00, days=3)
    report = await ask(payer.till, COMPLIANCE, SEPTEMBER, OCTOBER)
    assert (report["expiringCash"], report["numberOfExpiring"]) == ([], 0)
    await payer.put(7_00, days=3)
    report = await ask(payer.till, COMPLIANCE, SEPTEMBER, OCTOBER)
    assert report["expiringCash"] == [
        {
            "cardNumber": payer.card.number,
            "holder": "王**",
            "amount": {"amount": 7_00, "currency": "CNY"},
            "expiresAt": (now + timedelta(days=3)).isoformat(),
        }
    ]
    assert report["numberOfExpiring"] == 1
