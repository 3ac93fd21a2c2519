"""CPN-7: coupon packs are sold, with an inventory and limits, online and at tills."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.core.money import Money
from app.models.coupons import Coupon, CouponPack, CouponState, CouponTemplate
from app.services import cards
from app.services.coupons import handovers, pack_buying, pack_sales
from app.services.coupons.pack_buying import Choice
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.coupon_sales import (
    ARCHIVE,
    CANCEL,
    CREATE,
    DEACTIVATE,
    OFFERS,
    SALE,
    SALES,
    SET_STOCK,
    UPDATE,
    a_friend,
    all_coupons,
    allow_all,
    bearer_of,
    buy,
    coupons_stay,
    handed_over,
    mark,
    on_sale,
    refund,
    sale_id_of,
    sell,
    stock_of,
)
from tests.factories.coupons import a_pack, a_template
from tests.factories.files import an_image
from tests.factories.packages import SET_OPENING
from tests.factories.races import beside, call
from tests.factories.reading import every
from tests.factories.top_ups import Checkout, a_checkout

pytestmark = pytest.mark.anyio

JOIN = """mutation ($scheme: ID!) { cardJoin(input: {schemeId: $scheme}) { __typename
  ... on Card { id } ... on CardMustBeBought { couponPackId name } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


@pytest.fixture
async def checkout(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as shop:
        yield shop


async def packed(till: Counter, **more: Any) -> tuple[CouponPack, list[CouponTemplate]]:
    """A pack of two coupons of one template and one of another."""
    at: dict[str, Any] = {"perspective": till.shop.places.group, "now": till.now}
    templates = [await till.database.run(a_template, title=title, **at) for title in ("A", "B")]
    of = [(templates[0], 2), (templates[1], 1)]
    return await till.database.run(a_pack, of=of, **at, **more), templates


async def coupons_there(till: Counter) -> list[Coupon]:
    return await every(till.database, all_coupons)


async def test_staff_make_a_sale_and_edit_it_by_its_version(till: Counter) -> None:
    pack, templates = await packed(till)
    group = till.shop.places.group
    cover = await till.database.run(an_image, group_id=group.id, now=till.now)
    sale = await on_sale(
        till, pack.id, limitPerMember=2, coverFileId=type_id("file", cover.id),
        scope={"channels": ["ONLINE"]},
    )  # fmt: skip
    assert sale | {"__typename": "", "id": "", "cover": None} == {
        "__typename": "", "id": "", "cover": None, "state": "ACTIVE", "name": "Spring pack",
        "title": "A pack", "price": {"amount": 990, "currency": "CNY"}, "stockLeft": 10,
        "limitPerMember": 2, "packId": type_id("cpk", pack.id), "version": 2,
        "coupons": [
            {"templateId": type_id("ctpl", template.id), "count": number}
            for template, number in zip(templates, (2, 1), strict=True)
        ],
        "perspective": {"id": type_id("node", group.id)}, "scope": {"channels": ["ONLINE"]},
    }  # fmt: skip
    assert sale["cover"]["url"].endswith(f"/files/{type_id('file', cover.id)}")
    assert (sale["cover"]["width"], sale["cover"]["height"]) == (40, 30)
    change = {"id": sale["id"], "expectedVersion": 2, "name": "Summer pack", "price": 1_190}
    async with coupons_stay(till.database):
        assert (await till.as_staff(UPDATE, input=change))["__typename"] == "CouponNotEditable"
    await till.as_staff(DEACTIVATE, input={"id": sale["id"]})
    async with coupons_stay(till.database):
        assert (await till.as_staff(UPDATE, input=change))["__typename"] == "EditedMeanwhile"
        bad = change | {"expectedVersion": 3, "price": -1}
        assert await till.as_staff(UPDATE, input=bad) == "BAD_USER_INPUT"
        strange = change | {"expectedVersion": 3, "coverFileId": type_id("file", new_id())}
        assert (await till.as_staff(UPDATE, input=strange))["__typename"] == "FileNotFound"
        stock = {"id": sale["id"], "expectedVersion": 1, "stock": 3}
        assert (await till.as_staff(SET_STOCK, input=stock))["__typename"] == "EditedMeanwhile"
        nowhere = {
            "perspectiveId": type_id("node", group.id), "packId": type_id("cpk", new_id()),
            "name": "x", "currency": "CNY", "price": 1,
        }  # fmt: skip
        assert (await till.as_staff(CREATE, input=nowhere))["__typename"] == "CouponPackNotFound"
        by_cashier = await till.as_staff(
            UPDATE, who=till.shop.cashier, input=change | {"expectedVersion": 3}
        )
        assert by_cashier == "FORBIDDEN"
    changed = await till.as_staff(UPDATE, input=change | {"expectedVersion": 3})
    assert (changed["price"]["amount"], changed["limitPerMember"], changed["version"]) == (
        1_190, None, 4,
    )  # fmt: skip
    stock = {"id": sale["id"], "expectedVersion": 4, "stock": None}
    assert (await till.as_staff(SET_STOCK, input=stock))["stockLeft"] is None
    archived = await till.as_staff(ARCHIVE, input={"id": sale["id"]})
    assert archived["state"] == "ARCHIVED"
    assert await till.as_staff(SALE, id=sale["id"]) | {"__typename": ""} == archived | {
        "__typename": ""
    }
    listed = await till.as_staff(SALES, state="ARCHIVED", pack=type_id("cpk", pack.id))
    assert [edge["node"]["id"] for edge in listed["edges"]] == [sale["id"]]


async def test_a_till_sells_packs_once_for_a_key(till: Counter) -> None:
    pack, templates = await packed(till)
    sale = await on_sale(till, pack.id)
    key = new_id().hex
    sold = await sell(till, sale, quantity=2, requestKey=key)
    assert sold["__typename"] == "OrderSold", sold
    order = sold["order"]
    assert (order["kind"], order["state"], order["title"]) == ("COUPON_PACK", "PAID", "A pack")
    assert (order["quantity"], order["amount"]["amount"]) == (2, 19_80)
    given = await coupons_there(till)
    assert [each.template_id for each in given] == [templates[0].id] * 4 + [templates[1].id] * 2
    assert {each.pack_id for each in given} == {pack.id}
    assert {each.member_id for each in given} == {till.shop.member.id}
    assert {each.store_id for each in given} == {till.shop.places.coffee_store.id}
    assert await stock_of(till.database, sale) == 8
    async with coupons_stay(till.database):
        again = await sell(till, sale, quantity=2, requestKey=key)
        assert (again["replayed"], again["order"]["id"]) == (True, order["id"])
        other = await sell(till, sale, quantity=1, requestKey=key)
        assert other["__typename"] == "RequestKeyReused"
        assert await sell(till, sale, quantity=0) == "BAD_USER_INPUT"
        assert await sell(till, sale, methodCode=None) == "BAD_USER_INPUT"
        unknown = await sell(till, sale, methodCode="shells")
        assert unknown["__typename"] == "PaymentMethodUnknown"
        nobody = await sell(till, sale, memberId=type_id("mem", new_id()))
        assert nobody["__typename"] == "MemberNotFound"
    free = await on_sale(till, pack.id, price=0, stock=None)
    assert (await sell(till, free))["order"]["amount"]["amount"] == 0
    assert len(await coupons_there(till)) == 9


async def test_crd_9_a_pack_opens_the_card_that_needs_it(till: Counter) -> None:
    """Free is the rule; a scheme that names a pack gives its card to who bought it, once."""
    pack, _ = await packed(till, name="Starter pack")
    group = till.shop.places.group
    free, bought = [
        await till.database.run(a_scheme, perspective=group, now=till.now) for _ in range(2)
    ]
    assert (await till.as_member(JOIN, scheme=type_id("sch", free.id)))["__typename"] == "Card"
    scheme_id, pack_id = type_id("sch", bought.id), type_id("cpk", pack.id)
    answer = await till.as_staff(SET_OPENING, input={"id": scheme_id, "couponPackId": pack_id})
    assert answer["openingCouponPackId"] == pack_id
    async with coupons_stay(till.database):
        refused = await till.as_member(JOIN, scheme=scheme_id)
        assert refused["__typename"] == "CardMustBeBought"
        assert (refused["couponPackId"], refused["name"]) == (pack_id, "Starter pack")
    sale = await on_sale(till, pack.id)
    for _ in range(2):
        assert (await sell(till, sale))["__typename"] == "OrderSold"
    held = (await till.database.read(cards.of_members, [till.shop.member.id]))[till.shop.member.id]
    (opened,) = [card for card in held if card.scheme_id == bought.id]
    assert opened.issuing_store_id == till.shop.places.coffee_store.id
    joined = await till.as_member(JOIN, scheme=scheme_id)
    assert (joined["__typename"], joined["id"]) == ("Card", type_id("card", opened.id))


async def test_what_cannot_be_bought_is_refused_and_nothing_moves(till: Counter) -> None:
    """Sold out, limit reached, dearer than shown, not here, not yet, not any more."""
    pack, _ = await packed(till)
    opens = (till.now + timedelta(days=5)).isoformat()
    sale = await on_sale(till, pack.id, stock=1)
    once = await on_sale(till, pack.id, limitPerMember=2)
    await sell(till, once)
    soon = await on_sale(till, pack.id, scope={"schedule": {"timeZone": "UTC", "startsAt": opens}})
    online = await on_sale(till, pack.id, scope={"channels": ["ONLINE"]})
    stopped = await on_sale(till, pack.id)
    await till.as_staff(DEACTIVATE, input={"id": stopped["id"]})
    async with coupons_stay(till.database):
        few = await sell(till, sale, quantity=2)
        assert (few["__typename"], few["packsLeft"]) == ("CouponPacksSoldOut", 1)
        more = await sell(till, once, quantity=2)
        assert more["__typename"] == "CouponPackLimitReached"
        dearer = {"amount": 1, "currency": "CNY"}
        shown = await sell(till, sale, price=dearer)
        assert shown["__typename"] == "CouponPackPriceChanged"
        for unavailable in (soon, online):
            assert (await sell(till, unavailable))["__typename"] == "NotAvailable"
        assert (await sell(till, stopped))["__typename"] == "CouponPackNotOnSale"
        ghost = stopped | {"id": type_id("cps", new_id())}
        assert (await sell(till, ghost))["__typename"] == "CouponPackSaleNotFound"
    offers = await till.as_member(OFFERS)
    assert [(each["sale"]["id"], each["bought"]) for each in offers] == [
        (sale["id"], 0), (once["id"], 1), (soon["id"], 0), (online["id"], 0),
    ]  # fmt: skip
    assert [each["notAvailable"] and each["notAvailable"]["reason"] for each in offers] == [
        None, None, "NOT_OPEN", None,
    ]  # fmt: skip


async def test_a_paid_pack_is_delivered_and_an_unpaid_one_given_back(checkout: Checkout) -> None:
    """What was promised is delivered, although the pack holds something else meanwhile."""
    pack, templates = await packed(checkout)
    sale = await on_sale(checkout, pack.id, stock=2)
    placed = await buy(checkout, sale)
    assert placed["__typename"] == "OrderPlaced", placed
    assert (placed["order"]["state"], await stock_of(checkout.database, sale)) == ("PENDING", 1)
    assert await coupons_there(checkout) == []
    assert (await checkout.pay(placed))["status"] == "PAID"
    assert [each.template_id for each in await coupons_there(checkout)] == [
        templates[0].id, templates[0].id, templates[1].id,
    ]  # fmt: skip
    await checkout.pay(placed, times=2)
    assert len(await coupons_there(checkout)) == 3
    unpaid = await buy(checkout, sale)
    assert await stock_of(checkout.database, sale) == 0
    cancelled = await checkout.as_member(CANCEL, id=unpaid["order"]["id"])
    assert cancelled["__typename"] == "Order"
    assert await stock_of(checkout.database, sale) == 1
    forgotten = await buy(checkout, sale)
    assert forgotten["__typename"] == "OrderPlaced"
    await checkout.pass_time(minutes=30)
    assert await stock_of(checkout.database, sale) == 1
    assert len(await coupons_there(checkout)) == 3


async def test_a_free_pack_is_the_members_at_once(checkout: Checkout) -> None:
    pack, _ = await packed(checkout)
    sale = await on_sale(checkout, pack.id, price=0, limitPerMember=1)
    placed = await buy(checkout, sale)
    assert (placed["order"]["state"], placed["payment"]) == ("PAID", None)
    assert len(await coupons_there(checkout)) == 3
    async with coupons_stay(checkout.database):
        again = await buy(checkout, sale)
        assert (again["__typename"], again["limit"], again["left"]) == (
            "CouponPackLimitReached", 1, 0,
        )  # fmt: skip


async def test_an_order_goes_back_while_none_of_its_coupons_is_used(till: Counter) -> None:
    pack, _ = await packed(till)
    sale = await on_sale(till, pack.id)
    order = (await sell(till, sale))["order"]
    first, held_out, _ = await coupons_there(till)
    run = till.database.run

    from_now = till.now + timedelta(minutes=5)
    await run(mark, coupon=first, state=CouponState.USED, ended_at=till.now)
    async with coupons_stay(till.database):
        used = await refund(till, order)
        assert (used["__typename"], used["used"]) == ("CouponPackUsed", 1)
    await run(mark, coupon=first, state=CouponState.LOCKED, locked_until=from_now)
    async with coupons_stay(till.database):
        assert (await refund(till, order))["used"] == 1
    await run(mark, coupon=first, state=CouponState.VALID)
    # On its way to a friend who has not claimed it, a coupon is its giver's still.
    await run(allow_all)
    begun = await handed_over(till, held_out)
    refunded = await refund(till, order)
    assert refunded["order"]["state"] == "REFUNDED"
    assert refunded["order"]["refundedAmount"]["amount"] == 9_90
    assert {each.state for each in await coupons_there(till)} == {CouponState.WITHDRAWN}
    assert await stock_of(till.database, sale) == 10
    friend = await a_friend(till)
    with pytest.raises(handovers.HandoverRefused):
        await run(
            handovers.claim, bearer=await bearer_of(till, friend.id), secret=begun.secret,
            request_key=new_id().hex, now=till.now,
        )  # fmt: skip
    async with coupons_stay(till.database):
        assert (await refund(till, order))["__typename"] == "OrderNotRefundable"


async def test_what_was_sold_without_end_fills_no_stock_that_was_set_since(till: Counter) -> None:
    """CPN-7: else a refund would sell one more than there are."""
    pack, _ = await packed(till)
    sale = await on_sale(till, pack.id, stock=None)
    sold = await sell(till, sale)
    stock = {"id": sale["id"], "expectedVersion": sale["version"], "stock": 3}
    limited = await till.as_staff(SET_STOCK, input=stock)
    later = await sell(till, sale)
    for each, left in ((sold, 2), (later, 3)):
        assert (await refund(till, each["order"]))["order"]["state"] == "REFUNDED"
        assert await stock_of(till.database, limited) == left


async def test_what_a_friend_has_claimed_is_used(till: Counter) -> None:
    pack, _ = await packed(till)
    order = (await sell(till, await on_sale(till, pack.id)))["order"]
    await till.database.run(allow_all)
    begun = await handed_over(till, (await coupons_there(till))[0])
    friend = await a_friend(till)
    await till.database.run(
        handovers.claim, bearer=await bearer_of(till, friend.id), secret=begun.secret,
        request_key=new_id().hex, now=till.now,
    )  # fmt: skip
    async with coupons_stay(till.database):
        answer = await refund(till, order)
        assert (answer["__typename"], answer["used"]) == ("CouponPackUsed", 1)


async def test_the_last_pack_is_sold_to_one_of_two(till: Counter) -> None:
    pack, _ = await packed(till)
    sale = await on_sale(till, pack.id, stock=1)
    friend = await a_friend(till)
    choice = Choice(sale_id=sale_id_of(sale), price=Money(9_90, "CNY"))

    def selling(member_id: UUID) -> Any:
        return call(
            pack_buying.sell, till.shop.owner.actor, terminal_id=till.shop.terminal.id,
            member_id=member_id, choice=choice, method_code="cash", request_key=new_id().hex,
            now=till.now,
        )  # fmt: skip

    outcomes = await beside(
        till.database,
        selling(till.shop.member.id),
        before=pack_buying.take_stock,
        second=selling(friend.id),
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["PacksSoldOut", "Sold"]
    assert await stock_of(till.database, sale) == 0
    assert len(await coupons_there(till)) == 3


async def test_of_two_purchases_of_one_member_at_once_the_limit_lets_one_through(
    till: Counter,
) -> None:
    pack, _ = await packed(till)
    sale = await on_sale(till, pack.id, limitPerMember=1)
    choice = Choice(sale_id=sale_id_of(sale), price=Money(9_90, "CNY"))

    def selling() -> Any:
        return call(
            pack_buying.sell, till.shop.owner.actor, terminal_id=till.shop.terminal.id,
            member_id=till.shop.member.id, choice=choice, method_code="cash",
            request_key=new_id().hex, now=till.now,
        )  # fmt: skip

    outcomes = await beside(
        till.database, selling(), before=pack_buying.take_stock, second=selling()
    )
    assert sorted(type(each).__name__ for each in outcomes) == ["PackLimitReached", "Sold"]
    assert await stock_of(till.database, sale) == 9


async def test_a_stock_that_is_set_while_a_pack_is_sold_gets_back_what_it_gave(
    till: Counter,
) -> None:
    """CPN-7: what had no end when it was looked at, and was counted when it was taken."""
    pack, _ = await packed(till)
    sale = await on_sale(till, pack.id, stock=None)
    at: dict[str, Any] = {"sale_id": sale_id_of(sale), "now": till.now}
    owner = till.shop.owner.actor
    selling = call(
        pack_buying.sell,
        owner,
        terminal_id=till.shop.terminal.id,
        member_id=till.shop.member.id,
        choice=Choice(sale_id=at["sale_id"], price=Money(9_90, "CNY")),
        method_code="cash",
        request_key=new_id().hex,
        now=till.now,
    )
    limit = call(pack_sales.set_stock, owner, expected_version=sale["version"], stock=10, **at)
    sold, _ = await beside(till.database, selling, before=pack_buying.take_stock, second=limit)
    # With one writer it was sold before there was a stock.
    of_stock = 0 if till.database.dialect_name == "sqlite" else 1
    assert await stock_of(till.database, sale) == 10 - of_stock
    refunded = await refund(till, {"id": type_id("ord", sold.order.id)})
    assert refunded["order"]["state"] == "REFUNDED"
    assert await stock_of(till.database, sale) == 10
