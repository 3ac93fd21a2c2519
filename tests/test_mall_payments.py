"""The mall where money comes in, members merge or leave, and links lead in (MAL-2…MAL-4)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.gift_cards import GiftCardState
from app.models.points_mall import Fulfilment
from app.services import ledger, members
from app.services.gift_cards import checking
from app.services.merges import merging
from tests.factories import gift_cards, packages
from tests.factories.adjustments import refund_card
from tests.factories.cards import a_device
from tests.factories.member_codes import drawn, pixels_of, scanned
from tests.factories.points_mall import (
    CANCEL,
    CREATE,
    OWN,
    RECIPIENT,
    SET_STOCK,
    SHIP,
    UPDATE,
    an_edit,
    an_item,
    cancel_by_staff,
    code_of,
    give_points,
    listed,
    lots,
    mall_stays,
    order,
    ordered,
    own,
    points_of,
    stock_of,
)
from tests.factories.reading import every
from tests.factories.top_ups import Checkout, a_checkout

pytestmark = pytest.mark.anyio

PRICE = {"amount": 9_90, "currency": "CNY"}
CLOSE = """mutation ($key: String!) {
  memberClose(input: {requestKey: $key, forfeitBalances: true}) { __typename
    ... on OrderPending { until } } }"""
EXPORT = "{ memberExport }"
SAVE_METHOD = """mutation ($input: PaymentMethodSaveInput!) {
  paymentMethodSave(input: $input) { code } }"""
MALL = """query ($id: ID) { mall(perspectiveId: $id) { perspectiveId title
  links { target url page svgUrl pngUrl } } }"""

fulfilments = statement(select(Fulfilment).order_by(col(Fulfilment.id)), into=Fulfilment)


@pytest.fixture
async def checkout(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as found:
        await give_points(found, 500)
        await give_points(found, 50, days=30)
        yield found


def by_wechat(**more: Any) -> dict[str, Any]:
    return {"payment": {"provider": "wechat_pay", "scene": "JSAPI", "returnUrl": "/mall"}} | more


async def test_what_costs_money_too_waits_for_it_with_its_points_and_pieces(
    checkout: Checkout, database: Database
) -> None:
    """MAL-2: held while PENDING, delivered when paid; called off, all three come back."""
    item = await listed(checkout, price=PRICE)
    key = new_id().hex
    placed = await ordered(checkout, item, requestKey=key, **by_wechat())
    assert (placed["state"], placed["points"], placed["amount"]["amount"]) == ("PENDING", 100, 990)
    assert (await points_of(checkout), await stock_of(checkout, item)) == (450, 9)
    waits = (await own(checkout, placed))["fulfilment"]
    assert (waits["state"], waits["pickUpCode"]) == ("UNPAID", None)
    again = await order(checkout, item, requestKey=key, **by_wechat())
    assert (again["replayed"], again["order"]["id"]) == (True, placed["id"])
    pending = await checkout.as_member(CLOSE, key=new_id().hex)
    assert (pending["__typename"], pending["until"]) == ("OrderPending", placed["expiresAt"])

    assert (await checkout.pay({"order": placed}))["status"] == "PAID"
    paid = await own(checkout, placed)
    assert (paid["order"]["state"], paid["fulfilment"]["state"]) == ("PAID", "WAITING")
    assert len(paid["fulfilment"]["pickUpCode"]) == 10
    assert await points_of(checkout) == 450

    gone = await checkout.as_member(CANCEL, id=placed["id"])
    assert (gone["order"]["state"], gone["order"]["refundedAmount"]["amount"]) == ("REFUNDED", 990)
    assert (await points_of(checkout), await stock_of(checkout, item)) == (550, 10)
    await checkout.until_it_went_back()
    assert checkout.sent_back({"order": placed}) == 990
    assert [remaining for remaining, _ in await lots(checkout)] == [500, 50]
    assert await database.scan(ledger.check) == []


async def test_top_8_a_gift_card_of_the_mall_is_not_paid_by_what_buys_no_stored_value(
    checkout: Checkout, database: Database
) -> None:
    product = await gift_cards.product_of(checkout)
    worth = await listed(
        checkout, price=PRICE, giftCard={"productId": product["id"], "face": 50_00}
    )
    given = {"code": "wx", "name": "WeChat", "isNetReceipt": True, "provider": "wechat_pay"}
    await checkout.as_staff(SAVE_METHOD, input=given | {"canPayTopUp": False})
    async with mall_stays(database):
        refused = await order(checkout, worth, **by_wechat())
        assert refused["__typename"] == "MethodCannotPay"
    await ordered(checkout, await listed(checkout, price=PRICE), **by_wechat())


async def test_what_is_paid_for_a_gift_card_of_the_mall_is_its_cash_value(
    checkout: Checkout, database: Database
) -> None:
    """GFT-2: worth 50.00 for 100 points and 9.90, it holds 9.90 + 40.10; GFT-5: that is what an
    unused one pays out, once."""
    product = await gift_cards.product_of(checkout)
    given = {"giftCard": {"productId": product["id"], "face": 50_00}}
    worth = await listed(checkout, price=PRICE, **given)
    told = await an_item(checkout, **given, price=PRICE)
    edit = an_edit(worth, told)
    del edit["giftCard"]
    async with mall_stays(database):
        for price in (PRICE | {"amount": 50_01}, PRICE | {"currency": "USD"}):
            made = await checkout.as_staff(CREATE, input=told | {"price": price})
            changed = await checkout.as_staff(UPDATE, input=edit | {"price": price})
            assert made == changed == "BAD_USER_INPUT"
    worth = await checkout.as_staff(UPDATE, input=edit)
    assert worth["__typename"] == "MallItem"
    placed = await ordered(checkout, worth, quantity=2, **by_wechat())
    await checkout.pay({"order": placed})
    first, second = [
        await checkout.as_member(gift_cards.ONE_OF_MINE, id=type_id("gc", row.id))
        for row in await every(database, gift_cards.all_cards)
    ]
    assert gift_cards.left_on(first) == gift_cards.left_on(second) == (9_90, 40_10)
    assert first["price"] == {"amount": 9_90}
    assert gift_cards.split_of(await gift_cards.paid(checkout, first, 25_00)) == (4_95, 20_05)
    out = [await gift_cards.refund(checkout, card) for card in (first, second)]
    assert [each["card"]["refundedAmount"]["amount"] for each in out] == [4_95, 9_90]
    async with mall_stays(database), gift_cards.gift_cards_stay(database):
        again = await cancel_by_staff(checkout, placed)
        assert again["__typename"] == "GiftCardNotRefundable"
    whole = await ordered(checkout, worth, **by_wechat())
    await checkout.pay({"order": whole})
    done = await cancel_by_staff(checkout, whole)
    assert done["mallOrder"]["order"]["refundedAmount"] == {"amount": 9_90}
    row = (await every(database, gift_cards.all_cards))[-1]
    assert (row.state, row.refunded_cash) == (GiftCardState.REFUNDED, 9_90)
    await checkout.until_it_went_back()
    assert checkout.sent_back({"order": whole}) == 9_90
    assert await points_of(checkout) == 550 - 200
    assert await database.scan(ledger.check) == await database.scan(checking.check) == []


async def test_what_nobody_pays_in_time_comes_back_to_its_lots(
    checkout: Checkout, database: Database
) -> None:
    """MAL-2: overdue, given up, or given up by staff: points and pieces are there again; money
    that comes too late goes back."""
    item = await listed(checkout, price=PRICE, stock=3)
    overdue = await ordered(checkout, item, recipient=RECIPIENT, **by_wechat())
    await checkout.pass_time(minutes=18)
    seen = await own(checkout, overdue)
    assert (seen["order"]["state"], seen["fulfilment"]["state"]) == ("CANCELLED", "CANCELLED")
    assert seen["fulfilment"]["recipient"] is None
    given_up = await ordered(checkout, item, **by_wechat())
    for _ in range(2):
        gone = await checkout.as_member(CANCEL, id=given_up["id"])
        assert gone["order"]["state"] == "CANCELLED"
    by_staff = await ordered(checkout, item, **by_wechat())
    done = await cancel_by_staff(checkout, by_staff)
    assert done["mallOrder"]["order"]["state"] == "CANCELLED"
    assert [remaining for remaining, _ in await lots(checkout)] == [500, 50]
    assert (await points_of(checkout), await stock_of(checkout, item)) == (550, 3)
    async with mall_stays(database):
        asked = by_wechat(payment={"provider": "nobody", "scene": "JSAPI", "returnUrl": "/"})
        assert await order(checkout, item, **asked) == "BAD_USER_INPUT"
    assert await database.scan(ledger.check) == []


async def test_what_was_redeemed_without_end_fills_no_stock_that_was_set_since(
    checkout: Checkout,
) -> None:
    """MAL-3: else more could be redeemed than there are."""
    item = await listed(checkout, stock=None)
    placed = await ordered(checkout, item)
    await checkout.as_staff(
        SET_STOCK, input={"id": item["id"], "expectedVersion": item["version"], "stock": 3}
    )
    assert (await checkout.as_member(CANCEL, id=placed["id"]))["order"]["state"] == "REFUNDED"
    assert await stock_of(checkout, item) == 3


async def test_a_package_for_a_card_that_was_closed_meanwhile_is_paid_back(
    checkout: Checkout, database: Database
) -> None:
    """MAL-1, CRD-4: money that comes for a card that is over buys nothing, and goes back."""
    package = await packages.package_of(checkout)
    item = await listed(checkout, price=PRICE, package={"packageId": package["id"]})
    placed = await ordered(checkout, item, **by_wechat())
    closed = await refund_card(checkout)
    assert closed["card"]["status"] == "REFUNDED", closed
    await checkout.pay({"order": placed})
    assert (await own(checkout, placed))["order"]["state"] == "CANCELLED"
    await checkout.until_it_went_back()
    assert checkout.sent_back({"order": placed}) == 990
    assert await every(database, packages.owned_rows) == []
    assert await stock_of(checkout, item) == 10
    assert await database.scan(ledger.check) == []


async def test_a_package_that_renews_what_was_given_back_meanwhile_is_paid_back(
    checkout: Checkout, database: Database
) -> None:
    """MAL-1, BEN-8: its renewal gift is for who has one already; money and points come back."""
    some = await packages.goods(checkout)
    gift = some.gift("EARLY_RENEWAL_GIFT", 40)
    package = await packages.package_of(checkout, contents=[gift])
    item = await listed(checkout, price=PRICE, package={"packageId": package["id"]})
    first = await packages.sold(checkout, package)
    placed = await ordered(checkout, item, **by_wechat())
    assert (await packages.refund(checkout, first["id"]))["order"]["state"] == "REFUNDED"
    await checkout.pay({"order": placed})
    assert (await own(checkout, placed))["order"]["state"] == "CANCELLED"
    await checkout.until_it_went_back()
    assert checkout.sent_back({"order": placed}) == 990
    assert [each.state for each in await every(database, packages.owned_rows)] == ["REFUNDED"]
    assert (await points_of(checkout), await stock_of(checkout, item)) == (550, 10)
    assert await database.scan(ledger.check) == []


async def test_a_merged_members_redemptions_are_the_one_persons(
    checkout: Checkout, database: Database
) -> None:
    """IDN-3, MAL-1: the limit counts both records; what is called off comes to the living card."""
    item = await listed(checkout, limitPerMember=2)
    placed = await ordered(checkout, item)
    shop, now = checkout.shop, checkout.clock.now
    survivor = await database.run(
        members.create, group_id=shop.places.group.id, name="王小明", now=now
    )
    await database.run(a_device, member_id=survivor.id, group=shop.places.group, now=now)
    await database.run(
        merging.join_records, survivor_id=survivor.id, loser_id=shop.member.id, now=now
    )
    found = await checkout.as_member(OWN, member_id=survivor.id)
    assert [edge["node"]["order"]["id"] for edge in found["edges"]] == [placed["id"]]
    reached = await order(checkout, item, by=survivor.id, quantity=2)
    assert (reached["__typename"], reached["leftForMember"]) == ("MallItemLimitReached", 1)
    assert len(await code_of_survivor(checkout, placed, survivor.id)) == 10
    gone = await checkout.as_member(CANCEL, member_id=survivor.id, id=placed["id"])
    assert gone["order"]["state"] == "REFUNDED"
    assert (await points_of(checkout), await stock_of(checkout, item)) == (550, 10)
    assert await database.scan(ledger.check) == []


async def code_of_survivor(checkout: Checkout, placed: Any, member_id: Any) -> str:
    code: str = (await own(checkout, placed, by=member_id))["fulfilment"]["pickUpCode"]
    return code


async def test_a_closed_account_leaves_no_address(checkout: Checkout, database: Database) -> None:
    """IDN-8, SEC-4: an export holds it, a closure erases it; what waits holds the closure back."""
    item = await listed(checkout, pricePoints=10)
    placed = await ordered(checkout, item, recipient=RECIPIENT)
    picked_up = await ordered(checkout, item)
    exported = (await checkout.as_member(EXPORT))["redeemedThings"]
    assert RECIPIENT["phone"] in str(exported)
    async with mall_stays(database):
        refused = await checkout.as_member(CLOSE, key=new_id().hex)
        assert refused["__typename"] == "RedemptionAwaited"
    asked = {"id": placed["id"], "carrier": "SF Express", "trackingNumber": "SF1"}
    await checkout.as_staff(SHIP, input=asked)
    assert len(await code_of(checkout, picked_up)) == 10
    await checkout.as_member(CANCEL, id=picked_up["id"])
    closed = await checkout.as_member(CLOSE, key=new_id().hex)
    assert closed["__typename"] == "MemberClosed"
    assert [each.recipient for each in await every(database, fulfilments)] == [None, None]
    assert await database.scan(ledger.check) == []


async def test_a_mall_has_links_and_codes_to_print(checkout: Checkout) -> None:
    """MAL-4: for H5 and the mini-program, of the group and of each brand; anybody may fetch it."""
    shop, base = checkout.shop, checkout.settings.public_url
    for ask in (checkout.as_member, checkout.as_staff):
        mall = await ask(MALL)
        group_id = type_id("node", shop.places.group.id)
        assert (mall["perspectiveId"], mall["title"]) == (group_id, "Regulars")
        assert [(link["target"], link["url"], link["page"]) for link in mall["links"]] == [
            ("H5", f"{base}/h5/mall/{group_id}", None),
            ("MINI_PROGRAM", f"{base}/mini/mall/{group_id}", f"pages/mall/index?mall={group_id}"),
        ]
        assert (await ask(MALL, id=type_id("node", shop.places.coffee.id)))["title"] == "Coffee"
        assert await ask(MALL, id=type_id("node", new_id())) is None
    for link in mall["links"]:
        svg, png = [await checkout.http.get(link[name]) for name in ("svgUrl", "pngUrl")]
        assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
        assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
        assert scanned(drawn(svg.text)) == link["url"]
        side = int.from_bytes(png.content[16:20])  # as the file's first chunk says
        assert scanned(pixels_of(png.content, side)) == link["url"]
        assert svg.headers["cache-control"] == "public, max-age=3600"
    for wrong in (f"h5/{type_id('node', new_id())}", f"tv/{group_id}", "h5/x"):
        answer = await checkout.http.get(f"{base}/codes/mall/{wrong}.png")
        assert answer.status_code == 404
