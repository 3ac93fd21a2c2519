"""What an auditor of prepaid cards is told of gift cards (TOP-11, FIN-2)."""

from datetime import datetime
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.gift_cards import GiftCardKind
from tests.factories import gift_card_office, points_mall
from tests.factories import gift_cards as factory
from tests.factories.adjustments import set_rules
from tests.factories.cards import Counter, counter
from tests.factories.gift_cards import paid, product_of, refund, sold
from tests.factories.points_mall import give_points, listed
from tests.factories.reports import COMPLIANCE, ask
from tests.factories.top_ups import a_checkout

pytestmark = pytest.mark.anyio

BANK = {"code": "bank", "name": "Transfer", "isNetReceipt": True, "movesByTransfer": True}
SAVE_METHOD = """mutation ($input: PaymentMethodSaveInput!) {
  paymentMethodSave(input: $input) { code } }"""
DOCUMENT = """mutation ($id: ID!) { realNameRecord(input: {memberId: $id, name: "王小明",
  documentKind: ID_CARD, documentNumber: "11010519491231002X"}) { __typename } }"""
SOLD_FOR = """query ($at: ID!, $from: Date!, $to: Date!) {
  giftCardReport(perspectiveId: $at, from: $from, to: $to) {
    products { cash { added { amount } } } } }"""


async def year(till: Counter, document: str = COMPLIANCE, /, **more: Any) -> Any:
    """A report about the year that it is."""
    return await ask(till, document, f"{till.now.year}-01-01", f"{till.now.year + 1}-01-01", **more)


async def in_yuan(till: Counter, /, **more: Any) -> Any:
    (currency,) = (await year(till, **more))["currencies"]
    return currency


async def recharged(till: Counter, card: Any, face: int, /, **more: Any) -> None:
    asked = {
        "terminalId": till.terminal_id, "number": card["number"], "face": face,
        "methodCode": "cash", "requestKey": new_id().hex,
    }  # fmt: skip
    answer = await till.as_staff(factory.RECHARGE, input=asked | more)
    assert answer["__typename"] == "GiftCardRecharged", answer


def large(purchase: Any) -> tuple[Any, ...]:
    return (
        purchase["kind"],
        purchase["buyer"],
        purchase["amount"]["amount"],
        purchase["needsRealName"],
        purchase["realNameRecordedAt"] is not None,
        purchase["needsTransfer"],
        purchase["methodName"] or purchase["provider"],
        purchase["leavesTrace"],
        purchase["isAboveMost"],
    )


async def test_large_purchases_say_who_is_behind_them_and_how_they_were_paid(
    database: Database, now: datetime
) -> None:
    """TOP-11: at a till from 100.00 with a real name and from 300.00 by transfer, of a company from
    250.00; what was refunded since was bought all the same."""
    till = await counter(database, now)
    await till.as_staff(SAVE_METHOD, input=BANK)
    await set_rules(till)
    product = await product_of(till)
    card = await sold(till, product)
    await sold(till, product, 99_99)
    await recharged(till, card, 320_00, methodCode="bank")
    plastic = await product_of(till, kind="PHYSICAL")
    row = await database.run(factory.printed, product_id=plastic["id"], key="87654321", now=now)
    await sold(till, plastic, 500_00, number=row.number, memberId=None)
    assert (await refund(till, card))["__typename"] == "GiftCardRefundDone"
    bulk = await gift_card_office.a_gift_card_product(till, GiftCardKind.ELECTRONIC)
    for more in ({}, {"buyerRegistration": "91310000MA1FL0XX0X", "methodCode": "bank"}):
        await gift_card_office.made_batch(till, bulk, now, **more)

    assert (await in_yuan(till))["giftCardPurchases"] == []
    await set_rules(
        till, realNameFrom=100_00, transferFrom=300_00, orderMax=479_99, companyTransferFrom=250_00
    )
    found = await in_yuan(till)
    purchases = found["giftCardPurchases"]
    assert found["numberOfGiftCardPurchases"] == 5
    assert [large(each) for each in purchases] == [
        ("TILL", "", 480_00, True, False, True, "Cash", False, True),
        ("RECHARGE", "王**", 300_00, True, False, True, "Transfer", True, False),
        ("BULK", "Hongqiao Trading", 250_00, True, False, True, "Cash", False, False),
        ("BULK", "Hongqiao Trading", 250_00, True, True, True, "Transfer", True, False),
        ("TILL", "王**", 100_00, True, False, False, "Cash", False, False),
    ]
    assert [each["cardNumber"] for each in purchases] == [
        row.number, card["number"], None, None, card["number"]
    ]  # fmt: skip
    assert {each["boughtAt"] for each in purchases} == {now.isoformat()}
    transactions = await till.as_staff(gift_card_office.TRANSACTIONS, filter={})
    kinds = {each["node"]["id"]: each["node"]["kind"] for each in transactions["edges"]}
    assert [kinds.get(each["id"]) for each in purchases] == [
        "ACTIVATION", "RECHARGE", None, None, "ACTIVATION"
    ]  # fmt: skip
    orders = await till.as_staff(gift_card_office.BATCHES)
    assert [each["id"] for each in purchases[2:4]] == [
        each["node"]["id"] for each in reversed(orders["edges"])
    ]

    await till.as_staff(DOCUMENT, id=type_id("mem", till.shop.member.id))
    documented = [
        each["realNameRecordedAt"] is not None
        for each in (await in_yuan(till))["giftCardPurchases"]
    ]
    assert documented == [False, True, False, True, True]
    # Of a company nothing but its own two thresholds is asked.
    for limits, reached in (
        ({"orderMax": 1, "transferFrom": 1}, {"TILL": True, "RECHARGE": True}),
        ({"orderMax": 1, "companyTransferFrom": 250_00},
         {"TILL": True, "RECHARGE": True, "BULK": False}),
        ({"companyTransferFrom": 250_00}, {"BULK": False}),
        ({"companyTransferFrom": 250_01}, {}),
    ):  # fmt: skip
        await set_rules(till, **({"companyTransferFrom": None} | limits))
        found = (await in_yuan(till))["giftCardPurchases"]
        assert {each["kind"]: each["isAboveMost"] for each in found} == reached


async def test_a_purchase_is_reported_where_its_store_or_its_product_lies(
    database: Database, now: datetime
) -> None:
    """TOP-11, ORG-1: as a top-up is; of another year nothing."""
    till = await counter(database, now)
    places = till.shop.places
    await set_rules(till)
    product = await product_of(till)
    await sold(till, product)
    coffee = await gift_card_office.a_gift_card_product(
        till, GiftCardKind.ELECTRONIC, at=places.coffee
    )
    await gift_card_office.made_batch(till, coffee, now)
    await set_rules(till, realNameFrom=1, companyTransferFrom=1)
    for node, kinds in (
        (places.group, ["BULK", "TILL"]),
        (places.coffee, ["BULK", "TILL"]),
        (places.coffee_store, ["TILL"]),
        (places.tea, []),
    ):
        found = await in_yuan(till, at=node)
        assert [each["kind"] for each in found["giftCardPurchases"]] == kinds
        assert found["numberOfGiftCardPurchases"] == len(kinds)
    next_year = f"{now.year + 1}-01-01", f"{now.year + 2}-01-01"
    (later,) = (await ask(till, COMPLIANCE, *next_year))["currencies"]
    assert later["giftCardPurchases"] == []


async def test_purchases_come_to_what_was_paid_for_gift_cards(
    database: Database, database_url: str
) -> None:
    """TOP-11, FIN-2: with a threshold that all reach, each order once with all its cards, the sum
    is what the report of gift cards added; for points alone nothing was paid."""
    async with a_checkout(database, database_url) as till:
        await set_rules(till)
        product = await product_of(till)
        asked = {
            "productId": product["id"], "face": 120_00, "quantity": 3, "provider": "wechat_pay",
            "scene": "JSAPI", "returnUrl": "/cards", "requestKey": new_id().hex,
        }  # fmt: skip
        placed = await till.as_member(factory.ORDER, input=asked)
        await till.pay(placed)
        await till.as_member(factory.ORDER, input=asked | {"requestKey": new_id().hex})
        card = await sold(till, product)
        await recharged(till, card, 60_00)
        bulk = await gift_card_office.a_gift_card_product(till, GiftCardKind.ELECTRONIC)
        asked = gift_card_office.a_batch(bulk)
        await till.as_staff(gift_card_office.CREATE_BATCH, input=asked)
        await till.worker.drain()
        await give_points(till, 500)
        brought = {"productId": product["id"], "face": 50_00}
        item = await listed(till, giftCard=brought, price={"amount": 10_00, "currency": "CNY"})
        wechat = {"provider": "wechat_pay", "scene": "JSAPI", "returnUrl": "/mall"}
        await till.pay({"order": await points_mall.ordered(till, item, payment=wechat)})
        await points_mall.ordered(till, await listed(till, giftCard=brought))

        await set_rules(till, realNameFrom=1)
        purchases = (await in_yuan(till))["giftCardPurchases"]
        assert [
            (each["kind"], each["buyer"], each["amount"]["amount"], each["provider"])
            for each in purchases
        ] == [
            ("ORDER", "王**", 300_00, "wechat_pay"),
            ("BULK", "Hongqiao Trading", 250_00, None),
            ("TILL", "王**", 100_00, None),
            ("RECHARGE", "王**", 60_00, None),
            ("ORDER", "王**", 10_00, "wechat_pay"),
        ]
        assert purchases[0]["id"] == placed["order"]["id"]
        assert purchases[0]["leavesTrace"]
        products = (await year(till, SOLD_FOR))["products"]
        added = sum(each["cash"]["added"]["amount"] for each in products)
        assert sum(each["amount"]["amount"] for each in purchases) == added == 720_00


async def test_gift_cards_above_the_cap_are_named(database: Database, now: datetime) -> None:
    """TOP-11: 1,000.00 by law, the gift included, as it was at the end of the period."""
    till = await counter(database, now)
    await set_rules(till)
    product = await product_of(till, denominations=[{"face": 1_200_00, "price": 1_000_00}])
    card = await sold(till, product, 1_200_00)
    spent = await sold(till, product, 1_200_00)
    await paid(till, spent, 200_00)
    assert (await in_yuan(till))["giftCards"] == []
    await set_rules(till, unregisteredCardCap=1_000_00)
    named = {
        "giftCardId": card["id"],
        "cardNumber": card["number"],
        "holder": "王**",
        "balance": {"amount": 1_200_00},
        "cap": {"amount": 1_000_00},
    }
    found = await in_yuan(till)
    assert (found["giftCards"], found["numberOfGiftCards"]) == ([named], 1)
    found = await in_yuan(till, at=till.shop.places.coffee)
    assert (found["giftCards"], found["numberOfGiftCards"]) == ([], 0)
    later = await factory.after(till, days=2)
    await paid(later, card, 200_00)
    today, tomorrow = "2026-09-01", "2026-09-02"
    for end, cards in ((today, []), (tomorrow, [named]), ("2026-09-09", [])):
        (found,) = (await ask(later, COMPLIANCE, today, end))["currencies"]
        assert found["giftCards"] == cards


async def test_a_currency_that_only_gift_cards_have_is_told_of(
    database: Database, now: datetime
) -> None:
    """TOP-11: the group's schemes are in yuan."""
    till = await counter(database, now)
    await product_of(till, currency="EUR")
    currencies = (await year(till))["currencies"]
    assert [each["rules"]["currency"] for each in currencies] == ["CNY", "EUR"]
