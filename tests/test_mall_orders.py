"""Redeeming in the points mall: points, pieces and orders in one transaction (MAL-2)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.core.money import Money
from app.models.cards import CardStatus
from app.models.coupons import Coupon
from app.models.ledger import SystemAccount
from app.models.orders import Order
from app.services import cards, ledger, points_mall
from app.services import shop as orders_of_all
from app.services.ledger import sheet
from app.services.members import Bearer
from app.services.payments import Online
from app.services.points_mall import editing, fulfilling, offering
from tests.factories import gift_cards, packages
from tests.factories.cards import Counter, a_device, counter, the_card
from tests.factories.coupons import a_pack, a_template
from tests.factories.points_mall import (
    CREATE,
    OWN,
    RECIPIENT,
    a_picture_of,
    an_item,
    cancel_by_staff,
    code_of,
    give_points,
    listed,
    lots,
    made,
    mall_stays,
    order,
    ordered,
    own,
    points_of,
    set_listed,
    stock_of,
)
from tests.factories.races import Work, beside, call
from tests.factories.reading import every, one
from tests.factories.small_world import a_member
from tests.factories.spendings import entries_of_system_account

pytestmark = pytest.mark.anyio

raw_code = statement(
    select(fulfilling.TABLE.c.pick_up_code_index).where(
        fulfilling.TABLE.c.order_id == bindparam("order_id")
    ),
    into=str,
)
order_rows = statement(select(Order).order_by(col(Order.id)), into=Order)
coupons_there = statement(select(Coupon).order_by(col(Coupon.id)), into=Coupon)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


def refusal(answer: Any) -> str:
    return answer if isinstance(answer, str) else answer["__typename"]


async def test_a_redemption_takes_points_and_a_piece_once(
    till: Counter, database: Database
) -> None:
    """MAL-2: what expires first goes first; the same key answers the same, another input not."""
    await give_points(till, 150)
    await give_points(till, 70, days=30)
    item = await listed(till)
    key = new_id().hex
    answer = await order(till, item, requestKey=key)
    assert (answer["__typename"], answer["payment"], answer["replayed"]) == (
        "OrderPlaced", None, False
    )  # fmt: skip
    placed = answer["order"]
    expected = {
        "kind": "MALL", "title": "A cup", "quantity": 1, "state": "PAID", "points": 100,
        "amount": {"amount": 0, "currency": "CNY"}, "expiresAt": None, "payment": None,
    }  # fmt: skip
    assert {name: placed[name] for name in expected} == expected
    assert await lots(till) == [(120, None), (0, till.now + timedelta(days=30))]
    assert (await points_of(till), await stock_of(till, item)) == (120, 9)
    spent = await every(
        database, entries_of_system_account, system_account=SystemAccount.POINTS_SPENT
    )
    assert spent == [100]
    async with mall_stays(database):
        again = await order(till, item, requestKey=key)
        assert (again["replayed"], again["order"]["id"]) == (True, placed["id"])
        other = await order(till, item, requestKey=key, quantity=2)
        assert refusal(other) == "RequestKeyReused"
    redeemed = await own(till, placed)
    assert redeemed["itemId"] == item["id"]
    assert len(redeemed["images"]) == 1
    fulfilment = redeemed["fulfilment"]
    assert (fulfilment["way"], fulfilment["state"]) == ("PICK_UP", "WAITING")
    assert fulfilment["store"] == {"name": "Coffee at the station"}
    code = fulfilment["pickUpCode"]
    assert len(code) == 10
    assert code.isdigit()
    found = await one(database, raw_code, order_id=parse_type_id("ord", placed["id"]))
    assert found is not None
    assert code not in found


async def test_pieces_cost_as_many_times_and_terms_stay(till: Counter, database: Database) -> None:
    """MAL-2: a quantity, sent to an address; a piece for nothing; terms as they were."""
    await give_points(till, 1_000)
    item = await listed(till, stock=None, pricePoints=30)
    placed = await ordered(till, item, quantity=3, recipient=RECIPIENT)
    assert (placed["points"], await points_of(till)) == (90, 910)
    redeemed = await own(till, placed)
    assert redeemed["fulfilment"]["way"] == "SHIPPING"
    assert redeemed["fulfilment"]["recipient"] == RECIPIENT
    assert redeemed["fulfilment"]["pickUpCode"] is None
    free = await listed(till, name="A sticker", pricePoints=0)
    await ordered(till, free)
    assert (await points_of(till), await stock_of(till, free)) == (910, 9)
    page = await till.as_member(OWN, first=1)
    assert [e["node"]["order"]["title"] for e in page["edges"]] == ["A sticker"]
    rest = await till.as_member(OWN, after=page["pageInfo"]["endCursor"])
    assert [e["node"]["order"]["title"] for e in rest["edges"]] == ["A cup"]
    stranger = (await database.run(
        a_member, group=till.shop.places.group, scheme=till.shop.scheme, now=till.now
    ))[0]  # fmt: skip
    assert await own(till, placed, by=stranger.id) is None
    assert await database.scan(ledger.check) == []


async def test_what_cannot_be_redeemed_is_refused_and_nothing_moves(
    till: Counter, database: Database
) -> None:
    """MAL-1, MAL-2: each reason its own problem with data; nothing is taken, nothing half done."""
    shop, places = till.shop, till.shop.places
    await give_points(till, 150)
    await give_points(till, 50, days=1)
    opens = (till.now + timedelta(days=5)).isoformat()
    cup = await listed(till)
    dear = await listed(till, pricePoints=200)
    unlisted = await made(till)
    gone = await listed(till, stock=0)
    few = await listed(till, stock=1)
    once = await listed(till, limitPerMember=1, pricePoints=0)
    await ordered(till, once)
    soon = await listed(till, scope={"schedule": {"timeZone": "UTC", "startsAt": opens}})
    teas = await listed(till, perspectiveId=type_id("node", places.tea.id))
    picked_up = await listed(till, canBeShipped=False)
    sold = await listed(till, price={"amount": 990, "currency": "CNY"})
    (_, strange) = await database.run(
        a_member, group=places.group, scheme=shop.scheme, now=till.now
    )
    later = till.later(days=2)  # when 50 have expired, which nobody has posted yet
    group_id, tea = type_id("node", places.group.id), type_id("node", places.tea_store.id)
    two = {"quantity": 2}
    async with mall_stays(database):
        short = await order(later, dear)
        assert (refusal(short), short["missingPoints"], short["usablePoints"]) == (
            "NotEnoughPoints", 50, 150
        )  # fmt: skip
        short = await order(till, cup, quantity=3)
        assert (refusal(short), short["missingPoints"]) == ("NotEnoughPoints", 100)
        left = await order(till, few, quantity=2)
        assert (refusal(left), left["left"]) == ("MallItemSoldOut", 1)
        reached = await order(till, once)
        assert (refusal(reached), reached["limit"], reached["leftForMember"]) == (
            "MallItemLimitReached", 1, 0
        )  # fmt: skip
        waits = await order(till, soon)
        assert (refusal(waits), waits["reason"]) == ("NotAvailable", "NOT_OPEN")
        changed = await order(till, cup, pricePoints=99)
        assert (refusal(changed), changed["pricePoints"], changed["price"]) == (
            "MallPriceChanged", 100, None
        )  # fmt: skip
        unpaid = await order(till, sold)
        assert (refusal(unpaid), unpaid["amount"]) == ("PaymentNeeded", {"amount": 990})
        for item, more, why in (
            (gone, {}, "MallItemSoldOut"),
            (unlisted, {}, "MallItemUnlisted"),
            (teas, {}, "NotAvailable"),
            (cup | {"id": type_id("mall", new_id())}, {}, "MallItemNotFound"),
            (cup, {"price": {"amount": 1, "currency": "CNY"}}, "MallPriceChanged"),
            (cup, {"cardId": type_id("card", strange.id)}, "CardNotFound"),
            (cup, {"storeId": group_id}, "NodeNotFound"),
            (cup, {"storeId": type_id("node", new_id())}, "NodeNotFound"),
            (cup, {"storeId": None}, "BAD_USER_INPUT"),
            (cup, {"recipient": RECIPIENT, "storeId": tea}, "BAD_USER_INPUT"),
            (picked_up, {"recipient": RECIPIENT}, "BAD_USER_INPUT"),
            (cup, {"recipient": RECIPIENT | {"phone": "12"}}, "TargetInvalid"),
            (cup, {"recipient": RECIPIENT | {"address": "x" * 301}}, "BAD_USER_INPUT"),
            (cup, {"quantity": 0}, "BAD_USER_INPUT"),
            (cup, {"quantity": 11}, "BAD_USER_INPUT"),
            (cup, {"requestKey": ""}, "BAD_USER_INPUT"),
            (few, two, "MallItemSoldOut"),
        ):
            assert refusal(await order(till, item, **more)) == why, (item["name"], more)
    lost = {"card_id": shop.card.id, "from_status": CardStatus.NORMAL}
    await database.run(
        lambda tx: tx.changed(cards.change_status, **lost, to_status=CardStatus.LOST)
    )
    async with mall_stays(database):
        refused = await order(till, cup)
        assert (refusal(refused), refused["status"]) == ("CardNotUsable", "LOST")
        # What is sold out is so for everybody, whatever their card.
        assert refusal(await order(till, gone)) == "MallItemSoldOut"


async def test_coupons_are_there_at_once(till: Counter, database: Database) -> None:
    """MAL-1, CPN-3: coupons and packs by points, once; no fulfilment."""
    await give_points(till, 500)
    group = till.shop.places.group
    ten_off = await database.run(a_template, perspective=group, now=till.now)
    pack = await database.run(a_pack, perspective=group, of=[(ten_off, 3)], now=till.now)
    single = await listed(till, coupons={"templateId": type_id("ctpl", ten_off.id), "count": 2})
    packed = await listed(till, coupons={"packId": type_id("cpk", pack.id)})
    key = new_id().hex
    placed = await ordered(till, single, quantity=2, requestKey=key)
    assert (await own(till, placed))["fulfilment"] is None
    await ordered(till, single, quantity=2, requestKey=key)
    assert len(await every(database, coupons_there)) == 4
    await ordered(till, packed)
    found = await every(database, coupons_there)
    assert [each.member_id for each in found] == [till.shop.member.id] * 7
    assert await points_of(till) == 200


async def test_packages_and_gift_cards_are_redeemed_and_taken_back(
    till: Counter, database: Database
) -> None:
    """MAL-1: a package on the card, a gift card all of gift value, each once; staff take back what
    is unused, whole."""
    await give_points(till, 1_000)
    package, product = await packages.package_of(till), await gift_cards.product_of(till)
    premium = await listed(till, name="Premium", package={"packageId": package["id"]})
    assert (premium["kind"], premium["packageId"]) == ("PACKAGE", package["id"])
    worth = await listed(till, giftCard={"productId": product["id"], "face": 50_00})
    assert (worth["kind"], worth["giftCardFace"]) == ("GIFT_CARD", 50_00)
    key = new_id().hex
    for _ in range(2):
        owned_order = await ordered(till, premium, requestKey=key)
    (owned,) = await every(database, packages.owned_rows)
    assert (owned.name, owned.state, owned.price) == ("Premium", "RUNNING", 0)
    card_order = await ordered(till, worth, quantity=2)
    made = await every(database, gift_cards.all_cards)
    assert [(each.face, each.cash, each.holder_id) for each in made] == [
        (50_00, 0, till.shop.member.id)
    ] * 2
    assert await points_of(till) == 700
    picture, drafted = [await a_picture_of(till)], await packages.draft(till)
    async with mall_stays(database), gift_cards.gift_cards_stay(database):
        assert refusal(await order(till, premium, quantity=2)) == "BAD_USER_INPUT"
        for more, why in (
            ({"package": {"packageId": type_id("pkg", new_id())}}, "PackageNotFound"),
            ({"package": {"packageId": package["id"], "rule": 1}}, "BAD_USER_INPUT"),
            ({"package": {"packageId": drafted["id"]}}, "PackageNotOnSale"),
            ({"giftCard": {"productId": product["id"], "face": 0}}, "BAD_USER_INPUT"),
            (
                {"giftCard": {"productId": type_id("gcp", new_id()), "face": 1}},
                "GiftCardProductNotFound",
            ),
            (
                {
                    "giftCard": {"productId": product["id"], "face": 1},
                    "package": {"packageId": package["id"]},
                },
                "BAD_USER_INPUT",
            ),
        ):
            asked = await an_item(till, fileIds=picture, **more)
            assert refusal(await till.as_staff(CREATE, input=asked)) == why, more
    for of in (owned_order, card_order):
        done = await cancel_by_staff(till, of)
        assert done["mallOrder"]["order"]["state"] == "REFUNDED", done
    assert await points_of(till) == 1_000
    (owned,) = await every(database, packages.owned_rows)
    assert owned.state == "REFUNDED"
    assert {each.state for each in await every(database, gift_cards.all_cards)} == {"REFUNDED"}
    used = await ordered(till, worth)
    card = (await every(database, gift_cards.all_cards))[-1]
    await gift_cards.paid(till, {"number": card.number, "key": card.key}, 20_00)
    async with mall_stays(database), gift_cards.gift_cards_stay(database):
        assert refusal(await cancel_by_staff(till, used)) == "GiftCardNotWhole"
    assert await database.scan(ledger.check) == []


async def test_two_at_once_share_neither_the_last_piece_nor_a_limit(
    till: Counter, database: Database
) -> None:
    """MAL-2: the last piece is one member's; a member's two devices share one limit."""
    member, shop = till.shop.member, till.shop
    await give_points(till, 300)
    last = await listed(till, stock=1, pricePoints=0)
    once = await listed(till, limitPerMember=1)
    other, card = await database.run(
        a_member, group=shop.places.group, scheme=shop.scheme, now=till.now
    )
    for each in (member, other):
        await database.run(a_device, member_id=each.id, group=shop.places.group, now=till.now)

    def redeem(item: Any, who: Any, with_card: Any) -> Any:
        wish = points_mall.Wish(
            card_id=with_card.id,
            item_id=parse_type_id("mall", item["id"]),
            quantity=1,
            price_points=item["pricePoints"],
            price=None,
            store_id=shop.store.id,
            recipient=None,
        )
        return call(
            points_mall.place, bearer=Bearer(who.id, who.id), wish=wish, online=None,
            request_key=new_id().hex, now=till.now,
        )  # fmt: skip

    outcomes = await beside(
        database,
        redeem(last, member, shop.card),
        before=offering.take_pieces,
        second=redeem(last, other, card),
    )
    refused = [each for each in outcomes if isinstance(each, points_mall.MallItemSoldOut)]
    assert [each.left for each in refused] == [0]
    assert await stock_of(till, last) == 0
    outcomes = await beside(
        database,
        redeem(once, member, shop.card),
        before=offering.take_pieces,
        second=redeem(once, member, shop.card),
    )
    refused_too = [e for e in outcomes if isinstance(e, points_mall.MallItemLimitReached)]
    assert len(refused_too) == 1
    assert (await points_of(till), await stock_of(till, once)) == (200, 9)
    assert await database.scan(ledger.check) == []


async def test_a_stock_that_is_set_while_somebody_redeems_gets_back_what_it_gave(
    till: Counter, database: Database
) -> None:
    """MAL-2, MAL-3: what was endless when it was looked at, and counted when it was taken."""
    shop = till.shop
    await give_points(till, 100)
    await database.run(a_device, member_id=shop.member.id, group=shop.places.group, now=till.now)
    cup = await listed(till, stock=None)
    wish = points_mall.Wish(
        card_id=shop.card.id,
        item_id=parse_type_id("mall", cup["id"]),
        quantity=1,
        price_points=100,
        price=None,
        store_id=shop.store.id,
        recipient=None,
    )
    bearer = Bearer(shop.member.id, shop.member.id)
    redeem = call(
        points_mall.place, bearer=bearer, wish=wish, online=None, request_key="cup", now=till.now
    )
    limit = call(
        editing.set_stock, shop.owner.actor, item_id=wish.item_id,
        expected_version=cup["version"], stock=10, now=till.now,
    )  # fmt: skip
    placed, _ = await beside(database, redeem, before=offering.take_pieces, second=limit)
    # With one writer it was taken before there was a stock.
    of_stock = 0 if database.dialect_name == "sqlite" else 1
    assert (await points_of(till), await stock_of(till, cup)) == (0, 10 - of_stock)
    cancelled = await cancel_by_staff(till, {"id": type_id("ord", placed.order.id)})
    assert cancelled["__typename"] == "MallOrderCancelled"
    assert (await points_of(till), await stock_of(till, cup)) == (100, 10)
    assert await database.scan(ledger.check) == []


async def test_overdue_orders_end_beside_a_redemption_without_a_deadlock(
    till: Counter, database: Database
) -> None:
    """MAL-2, TOP-7: both take their locks in one order, so neither is run again."""
    member, shop = till.shop.member, till.shop
    await give_points(till, 300)
    await database.run(a_device, member_id=member.id, group=shop.places.group, now=till.now)
    price = {"amount": 9_90, "currency": "CNY"}
    cup, pot = await listed(till, price=price), await listed(till, name="A pot", price=price)
    runs: list[str] = []

    def counted(work: Work) -> Work:
        async def run(tx: Transaction) -> Any:
            runs.append("run")
            return await work(tx)

        return run

    def redeem(item: Any, at: datetime) -> Work:
        wish = points_mall.Wish(
            card_id=shop.card.id,
            item_id=parse_type_id("mall", item["id"]),
            quantity=1,
            price_points=100,
            price=Money(9_90, "CNY"),
            store_id=shop.store.id,
            recipient=None,
        )
        online = Online(provider="wechat_pay", scene="JSAPI", return_url="/mall")
        return counted(
            call(
                points_mall.place,
                bearer=Bearer(member.id, member.id),
                wish=wish,
                online=online,
                request_key=new_id().hex,
                now=at,
            )
        )

    for item in (cup, pot):
        await database.run(redeem(item, till.now))
    runs.clear()
    later = till.now + timedelta(minutes=17)
    overdue = counted(call(orders_of_all.cancel_overdue, now=later))
    # It has its piece of the pot, and wants the points that the first overdue order gives back to.
    await beside(database, redeem(pot, later), before=sheet.lock_accounts, second=overdue)
    assert len(runs) == 2
    while await database.run(overdue):
        pass
    states = [each.state for each in await every(database, order_rows)]
    assert states == ["CANCELLED", "CANCELLED", "PENDING"]
    assert await points_of(till) == 200
    assert (await stock_of(till, cup), await stock_of(till, pot)) == (10, 9)
    assert await database.scan(ledger.check) == []


async def test_an_item_taken_off_or_made_dearer_meanwhile_keeps_no_order_from_its_terms(
    till: Counter, database: Database
) -> None:
    """MAL-1: orders keep what was promised when they were made."""
    await give_points(till, 200)
    item = await listed(till)
    placed = await ordered(till, item)
    await set_listed(till, item, is_listed=False)
    redeemed = await own(till, placed)
    assert (redeemed["order"]["points"], redeemed["fulfilment"]["state"]) == (100, "WAITING")
    assert len(await code_of(till, placed)) == 10
    assert refusal(await order(till, item)) == "MallItemUnlisted"
    card = await database.read(the_card, till.shop.card.id)
    assert card.status is CardStatus.NORMAL
