"""What the law of prepaid cards lets somebody buy of gift cards (TOP-11)."""

from datetime import datetime
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.gift_cards import GiftCardKind
from app.services import ledger
from tests.factories import gift_card_office, points_mall, top_ups
from tests.factories import gift_cards as factory
from tests.factories.adjustments import set_rules
from tests.factories.cards import Counter, counter
from tests.factories.gift_cards import gift_cards_stay, left_on, paid, product_of, sold
from tests.factories.points_mall import give_points, listed, mall_stays
from tests.factories.top_up_plans import fixed, plan_of
from tests.factories.top_ups import a_checkout

pytestmark = pytest.mark.anyio

LARGE = [{"face": 1_200_00, "price": 1_000_00}, {"face": 1_000_00, "price": 1_000_00}]
BANK = {"code": "bank", "name": "Transfer", "isNetReceipt": True, "movesByTransfer": True}
SAVE_METHOD = """mutation ($input: PaymentMethodSaveInput!) {
  paymentMethodSave(input: $input) { code } }"""
DOCUMENT = """mutation ($id: ID!) { realNameRecord(input: {memberId: $id, name: "王小明",
  documentKind: ID_CARD, documentNumber: "11010519491231002X"}) { __typename } }"""


async def sell(till: Counter, product: Any, face: int = 120_00, /, **more: Any) -> Any:
    return await till.as_staff(factory.SELL, input=factory.a_sale(till, product, face, **more))


async def order(till: Counter, product: Any, face: int = 120_00, /, **more: Any) -> Any:
    asked = {
        "productId": product["id"], "face": face, "provider": "wechat_pay", "scene": "JSAPI",
        "returnUrl": "/cards", "requestKey": new_id().hex,
    }  # fmt: skip
    return await till.as_member(factory.ORDER, input=asked | more)


async def recharge(till: Counter, card: Any, face: int, /, **more: Any) -> Any:
    asked = {
        "terminalId": till.terminal_id, "number": card["number"], "face": face,
        "methodCode": "cash", "requestKey": new_id().hex,
    }  # fmt: skip
    return await till.as_staff(factory.RECHARGE, input=asked | more)


def limit_of(refused: Any) -> tuple[str, int]:
    return refused["__typename"], refused["limit"]["amount"]


def room_of(refused: Any) -> tuple[str, int, int]:
    return *limit_of(refused), refused["room"]["amount"]


async def test_a_gift_card_is_worth_at_most_what_an_unregistered_card_may_be(
    database: Database, now: datetime
) -> None:
    """TOP-11: 1,000.00 by law, the gift value counted, however well its buyer is known; after a
    recharge too."""
    till = await counter(database, now)
    product = await product_of(till, denominations=LARGE)
    await till.as_staff(DOCUMENT, id=type_id("mem", till.shop.member.id))
    async with gift_cards_stay(database):
        beyond = await sell(till, product, 1_200_00)
        assert room_of(beyond) == ("CardCapReached", 1_000_00, 1_000_00)
    await sold(till, product, 1_000_00)
    usual = await product_of(till)
    card = await sold(till, usual)
    async with gift_cards_stay(database):
        beyond = await recharge(till, card, 880_01)
        assert room_of(beyond) == ("CardCapReached", 1_000_00, 880_00)
    assert left_on(await recharge(till, card, 880_00)) == (960_00, 40_00)
    async with gift_cards_stay(database):
        assert room_of(await recharge(till, card, 50_00)) == ("CardCapReached", 1_000_00, 0)
    await paid(till, card, 50_00)
    assert left_on(await recharge(till, card, 50_00)) == (962_00, 38_00)
    # A group's own cap instead of the law's, and none.
    await set_rules(till, unregisteredCardCap=119_99)
    async with gift_cards_stay(database):
        assert room_of(await sell(till, usual)) == ("CardCapReached", 119_99, 119_99)
    await set_rules(till)
    await sold(till, product, 1_200_00)
    assert await database.scan(ledger.check) == []


async def test_what_is_bought_at_once_is_limited_documented_and_leaves_a_trace(
    database: Database, now: datetime
) -> None:
    """TOP-11: at a till, of what is paid: 100.00 for 120.00. Whom it does not know has no
    document."""
    till = await counter(database, now)
    product = await product_of(till)
    plastic = await product_of(till, kind="PHYSICAL")
    row = await database.run(factory.printed, product_id=plastic["id"], key="87654321", now=now)
    by_number: dict[str, Any] = {"number": row.number, "memberId": None}
    card = await sold(till, product)
    await till.as_staff(SAVE_METHOD, input=BANK)

    await set_rules(till, orderMax=99_99)
    async with gift_cards_stay(database):
        for refused in (
            await sell(till, product),
            await sell(till, plastic, **by_number),
            await recharge(till, card, 120_00),
        ):
            assert limit_of(refused) == ("OrderTooLarge", 99_99)
    await set_rules(till, transferFrom=100_00)
    async with gift_cards_stay(database):
        for refused in (
            await sell(till, product),
            await sell(till, plastic, **by_number),
            await recharge(till, card, 120_00),
        ):
            assert limit_of(refused) == ("TransferNeeded", 100_00)
    assert left_on(await recharge(till, card, 120_00, methodCode="bank")) == (200_00, 40_00)

    await set_rules(till, realNameFrom=100_00)
    async with gift_cards_stay(database):
        for refused in (
            await sell(till, product),
            await sell(till, plastic, **by_number),
            await recharge(till, card, 120_00),
        ):
            assert limit_of(refused) == ("RealNameNeeded", 100_00)
    await till.as_staff(DOCUMENT, id=type_id("mem", till.shop.member.id))
    assert left_on(await recharge(till, card, 120_00)) == (300_00, 60_00)
    async with gift_cards_stay(database):
        unknown = await sell(till, plastic, **by_number)
        assert limit_of(unknown) == ("RealNameNeeded", 100_00)
    answer = await sell(till, plastic, number=row.number)
    assert answer["card"]["holderId"] == type_id("mem", till.shop.member.id)


async def test_a_persons_day_counts_top_ups_gift_cards_and_recharges_together(
    database: Database, now: datetime
) -> None:
    """TOP-11: 50.00 topped up, cards for 100.00 and 50.00 and a recharge for 100.00 are 300.00;
    what was refunded is not counted, nor what a stranger buys, nor the day before."""
    till = await counter(database, now)
    product = await product_of(till)
    await set_rules(till, dayMax=300_00)
    await top_ups.sold(till, await plan_of(till, steps=[fixed(50_00)]), 50_00)
    card = await sold(till, product)
    other = await sold(till, product, 50_00)
    plan = await plan_of(till, steps=[fixed(10_00)])
    assert left_on(await recharge(till, card, 120_00)) == (200_00, 40_00)
    async with gift_cards_stay(database):
        assert room_of(await sell(till, product)) == ("DayLimitReached", 300_00, 0)
        assert room_of(await recharge(till, card, 50_00)) == ("DayLimitReached", 300_00, 0)
        assert (await top_ups.sell(till, plan, 10_00))["__typename"] == "DayLimitReached"
    friend = await database.run(factory.a_friend, till, now=now)
    await sell(till, product, memberId=type_id("mem", friend.id))
    await factory.refund(till, other)
    async with gift_cards_stay(database):
        assert room_of(await sell(till, product)) == ("DayLimitReached", 300_00, 50_00)
    await sold(till, product, 50_00)
    tomorrow = await factory.after(till, days=1)
    await sold(tomorrow, product, 300_00 - 50_00)


async def test_online_orders_are_held_to_the_same_before_they_are_paid(
    database: Database, database_url: str
) -> None:
    """TOP-11: by card, by order, by document and by day; what waits to be paid counts."""
    async with a_checkout(database, database_url) as till:
        product = await product_of(till, denominations=LARGE)
        async with gift_cards_stay(database):
            beyond = await order(till, product, 1_200_00)
            assert room_of(beyond) == ("CardCapReached", 1_000_00, 1_000_00)
            many = await order(till, product, 1_000_00, quantity=10)
            assert limit_of(many) == ("RealNameNeeded", 10_000_00)
        await set_rules(till, orderMax=199_99)
        async with gift_cards_stay(database):
            two = await order(till, product, 100_00, quantity=2)
            assert limit_of(two) == ("OrderTooLarge", 199_99)
        await set_rules(till, dayMax=300_00)
        waits = await order(till, product, 100_00, quantity=2)
        assert waits["__typename"] == "OrderPlaced", waits
        for _ in range(2):
            async with gift_cards_stay(database):
                refused = await order(till, product, 100_01)
                assert room_of(refused) == ("DayLimitReached", 300_00, 100_00)
            await till.pay(waits)
        topped_up = await till.order(await plan_of(till, steps=[fixed(150_00)]), 150_00)
        assert topped_up["__typename"] == "DayLimitReached"
        await till.ordered(await plan_of(till, steps=[fixed(60_00)]), 60_00)
        async with gift_cards_stay(database):
            refused = await order(till, product, 50_00)
            assert room_of(refused) == ("DayLimitReached", 300_00, 40_00)


async def test_gift_cards_of_the_mall_are_held_to_the_same(
    database: Database, database_url: str
) -> None:
    """TOP-11: for points alone at most the cap, with money what a person may buy besides."""
    async with a_checkout(database, database_url) as till:
        await give_points(till, 500)
        product = await product_of(till)
        large = await listed(till, giftCard={"productId": product["id"], "face": 1_000_01})
        worth = await listed(
            till, giftCard={"productId": product["id"], "face": 50_00},
            price={"amount": 10_00, "currency": "CNY"},
        )  # fmt: skip
        async with mall_stays(database), gift_cards_stay(database):
            assert (await points_mall.order(till, large))["__typename"] == "CardCapReached"
        await set_rules(till, dayMax=15_00)
        await points_mall.ordered(till, worth, **by_wechat())
        async with mall_stays(database), gift_cards_stay(database):
            assert (await points_mall.order(till, worth, **by_wechat()))["__typename"] == (
                "DayLimitReached"
            )
            assert room_of(await order(till, product, 50_00)) == ("DayLimitReached", 15_00, 5_00)


async def test_a_company_is_held_to_the_cap_of_a_card_and_to_a_trace(
    database: Database, now: datetime
) -> None:
    """TOP-11, GFT-7: by law from 5,000.00 on; what one person may buy is no limit of an invoice."""
    till = await counter(database, now)
    product = await gift_card_office.a_gift_card_product(till, GiftCardKind.ELECTRONIC)
    await till.as_staff(SAVE_METHOD, input=BANK)

    async def create(amount: int, /, **more: Any) -> Any:
        total = {"amount": amount, "currency": "CNY"}
        asked = gift_card_office.a_batch(product, numberOfCards=60, amount=total, **more)
        return await till.as_staff(gift_card_office.CREATE_BATCH, input=asked)

    async with gift_cards_stay(database):
        assert limit_of(await create(5_000_00)) == ("TransferNeeded", 5_000_00)
    assert (await create(4_999_99))["__typename"] == "GiftCardBatchCreated"
    assert (await create(5_000_00, methodCode="bank"))["__typename"] == "GiftCardBatchCreated"

    persons = {"orderMax": 1, "dayMax": 1, "realNameFrom": 1, "transferFrom": 1}
    await set_rules(till, unregisteredCardCap=99_99, companyTransferFrom=250_00, **persons)
    async with gift_cards_stay(database):
        beyond = await create(5_000_00, methodCode="bank")
        assert room_of(beyond) == ("CardCapReached", 99_99, 99_99)
        assert limit_of(await create(250_00)) == ("TransferNeeded", 250_00)
    await set_rules(till, unregisteredCardCap=100_00, **persons)
    async with gift_cards_stay(database):
        assert limit_of(await create(250_00)) == ("TransferNeeded", 250_00)
    assert (await create(249_99))["__typename"] == "GiftCardBatchCreated"
    await set_rules(till, companyTransferFrom=None)
    assert (await create(6_000_00))["__typename"] == "GiftCardBatchCreated"


async def test_a_bulk_order_keeps_by_which_number_its_company_is_registered(
    database: Database, now: datetime
) -> None:
    """TOP-11, GFT-7: where the law asks for a document; as long as the longest, and no longer."""
    till = await counter(database, now)
    product = await gift_card_office.a_gift_card_product(till, GiftCardKind.ELECTRONIC)

    async def create(registration: str | None) -> Any:
        asked = gift_card_office.a_batch(product, buyerRegistration=registration)
        return await till.as_staff(gift_card_office.CREATE_BATCH, input=asked)

    async with gift_cards_stay(database):
        for unsound in ("", "9" * 41):
            assert await create(unsound) == "BAD_USER_INPUT"
    for registration in (None, "91310000MA1FL0XX0X"):
        batch = (await create(registration))["batch"]
        assert batch["buyerRegistration"] == registration


def by_wechat() -> dict[str, Any]:
    return {"payment": {"provider": "wechat_pay", "scene": "JSAPI", "returnUrl": "/mall"}}
