"""Items of the points mall: made, edited, listed, found (MAL-1)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.services.points_mall import editing
from tests.factories.cards import Counter, counter
from tests.factories.coupons import a_pack, a_template
from tests.factories.points_mall import (
    CREATE,
    ITEM,
    ITEMS,
    OFFER,
    SET_LISTED,
    SET_STOCK,
    SHELF,
    UPDATE,
    a_picture,
    a_picture_of,
    an_edit,
    an_item,
    listed,
    made,
    mall_stays,
    order,
    ordered,
    set_listed,
)
from tests.factories.scopes import a_tag
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def names(till: Counter, document: str = SHELF, /, **asked: Any) -> list[str]:
    ask = till.as_member if document is SHELF else till.as_staff
    found = await ask(document, **asked)
    return [edge["node"]["name"] for edge in found["edges"]]


async def test_an_item_says_all_that_it_was_made_with(till: Counter) -> None:
    """MAL-1: pictures, points and money, stock, limit, scope; owned by its perspective."""
    pictures = [await a_picture_of(till) for _ in range(9)]
    given = await an_item(
        till,
        perspectiveId=type_id("node", till.shop.places.coffee.id),
        fileIds=pictures,
        price={"amount": 990, "currency": "CNY"},
        description="Holds\ncoffee.",
        category="Cups",
        position=-3,
        limitPerMember=2,
        scope={"channels": ["ONLINE"], "schemeIds": [type_id("sch", till.shop.scheme.id)]},
    )
    item = await till.as_staff(CREATE, input=given)
    assert item["__typename"] == "MallItem", item
    assert item == await till.as_staff(ITEM, id=item["id"]) | {"__typename": "MallItem"}
    assert [image["url"].rpartition("/")[2] for image in item["images"]] == pictures
    assert item["images"][0] == {
        "url": f"https://regulars.example/files/{pictures[0]}", "width": 640, "height": 480
    }  # fmt: skip
    expected = {
        "kind": "PHYSICAL", "name": "A cup", "description": "Holds\ncoffee.", "category": "Cups",
        "position": -3, "pricePoints": 100, "price": {"amount": 990, "currency": "CNY"},
        "stockLeft": 10, "limitPerMember": 2, "canBePickedUp": True, "canBeShipped": True,
        "isListed": False, "version": 1, "perspective": {"name": "Coffee"}, "coupons": None,
    }  # fmt: skip
    assert {name: item[name] for name in expected} == expected
    assert item["scope"]["schemeIds"] == [type_id("sch", till.shop.scheme.id)]
    # No till redeems points, so an item that says nothing of channels is online alone.
    assert (await made(till))["scope"]["channels"] == ["ONLINE"]


async def test_an_item_brings_coupons_or_a_pack_of_them(
    till: Counter, database: Database, now: datetime
) -> None:
    """MAL-1: coupons and coupon packs; only such as can be given where the item is made."""
    group = till.shop.places.group
    ten_off = await database.run(a_template, perspective=group, now=now)
    pack = await database.run(a_pack, perspective=group, of=[(ten_off, 3)], now=now)
    coupon = await made(till, coupons={"templateId": type_id("ctpl", ten_off.id), "count": 2})
    assert (coupon["kind"], coupon["canBeShipped"]) == ("COUPON", False)
    assert coupon["coupons"] == {
        "templateId": type_id("ctpl", ten_off.id), "packId": None, "count": 2
    }  # fmt: skip
    of_pack = await made(till, coupons={"packId": type_id("cpk", pack.id)})
    assert (of_pack["kind"], of_pack["coupons"]["count"]) == ("COUPON_PACK", 1)
    async with mall_stays(database):
        for coupons, refusal in (
            ({"templateId": type_id("ctpl", new_id())}, "CouponTemplateNotFound"),
            ({"packId": type_id("cpk", new_id())}, "CouponPackNotFound"),
        ):
            asked = await an_item(till, coupons=coupons, fileIds=[await a_picture_of(till)])
            refused = await till.as_staff(CREATE, input=asked)
            assert refused["__typename"] == refusal


async def test_an_item_that_cannot_be_meant_is_refused(
    till: Counter, database: Database, now: datetime
) -> None:
    """MAL-1: bad input changes nothing."""
    picture = await a_picture_of(till)
    other = await database.run(
        a_picture, group_id=(await counter(database, now)).shop.places.group.id, now=now
    )
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"pricePoints": -1}, "BAD_USER_INPUT"),
        ({"price": {"amount": 0, "currency": "CNY"}}, "BAD_USER_INPUT"),
        ({"price": {"amount": 1, "currency": "XXX"}}, "BAD_USER_INPUT"),
        ({"stock": -1}, "BAD_USER_INPUT"),
        ({"limitPerMember": 0}, "BAD_USER_INPUT"),
        ({"fileIds": [picture, picture]}, "BAD_USER_INPUT"),
        ({"fileIds": [type_id("file", new_id()) for _ in range(10)]}, "BAD_USER_INPUT"),
        ({"name": " "}, "BAD_USER_INPUT"),
        ({"category": "x" * 49}, "BAD_USER_INPUT"),
        ({"position": 10**7}, "BAD_USER_INPUT"),
        ({"canBePickedUp": False, "canBeShipped": False}, "BAD_USER_INPUT"),
        ({"fileIds": [type_id("file", new_id())]}, "FileNotFound"),
        ({"fileIds": [type_id("file", other.id)]}, "FileNotFound"),
        ({"perspectiveId": type_id("node", new_id())}, "NodeNotFound"),
        ({"scope": {"tagIds": [type_id("tag", new_id())]}}, "AudienceNotFound"),
        # Nobody could ever redeem it.
        ({"scope": {"channels": ["POS"]}}, "BAD_USER_INPUT"),
    ]
    given = await an_item(till, fileIds=[picture])
    async with mall_stays(database):
        for more, refusal in wrong:
            answer = await till.as_staff(CREATE, input=given | more)
            told = answer if isinstance(answer, str) else answer["__typename"]
            assert told == refusal, more
        assert await till.as_staff(CREATE, input=given | {"fileIds": []}) == "BAD_USER_INPUT"


async def test_of_two_who_edit_the_second_is_told(till: Counter, database: Database) -> None:
    """MAL-1: `expectedVersion`, for the item, its stock and its place on the shelf."""
    given = await an_item(till)
    item = await till.as_staff(CREATE, input=given)
    changed = await till.as_staff(
        UPDATE, input=an_edit(item, given, name="A mug", pricePoints=0, category="Mugs")
    )
    assert (changed["name"], changed["pricePoints"], changed["version"]) == ("A mug", 0, 2)
    async with mall_stays(database):
        nowhere = an_edit(changed, given, scope={"channels": ["POS"]})
        assert await till.as_staff(UPDATE, input=nowhere) == "BAD_USER_INPUT"
    stocked = await till.as_staff(
        SET_STOCK, input={"id": item["id"], "expectedVersion": 2, "stock": None}
    )
    assert (stocked["stockLeft"], stocked["version"]) == (None, 3)
    stale = {"id": item["id"], "expectedVersion": 2}
    async with mall_stays(database):
        for document, asked in (
            (UPDATE, an_edit(item, given) | stale),
            (SET_STOCK, stale | {"stock": 5}),
            (SET_LISTED, stale | {"isListed": True}),
        ):
            refused = await till.as_staff(document, input=asked)
            assert refused["__typename"] == "EditedMeanwhile"
            assert refused["currentVersion"] == 3
        missing = {"id": type_id("mall", new_id()), "expectedVersion": 1, "stock": 1}
        assert (await till.as_staff(SET_STOCK, input=missing))["__typename"] == "MallItemNotFound"


async def test_items_belong_where_they_were_made(
    till: Counter, database: Database, now: datetime
) -> None:
    """MAL-1, ORG-1: a brand's items are read above and below, and written by those who may."""
    places = till.shop.places
    cup = await made(till, perspectiveId=type_id("node", places.coffee.id), category="Cups")
    pot = await made(till, perspectiveId=type_id("node", places.tea.id), name="A 50% pot")
    both = [pot["name"], cup["name"]]
    assert await names(till, ITEMS) == both
    assert await names(till, ITEMS, search="50%") == ["A 50% pot"]
    assert await names(till, ITEMS, category="Cups") == ["A cup"]
    assert await names(till, ITEMS, under=type_id("node", places.tea.id)) == ["A 50% pot"]
    assert await names(till, ITEMS, listed=True) == []
    assert await names(till, ITEMS, kind="COUPON") == []
    manager = await database.run(employee, node=places.coffee, role="marketer", now=now)
    assert [e["node"]["name"] for e in (await till.as_staff(ITEMS, who=manager))["edges"]] == [
        "A cup"
    ]
    assert await till.as_staff(ITEM, who=manager, id=pot["id"]) is None
    async with mall_stays(database):
        asked = {"id": pot["id"], "expectedVersion": 1, "stock": 1}
        assert await till.as_staff(SET_STOCK, who=manager, input=asked) == "FORBIDDEN"
        group = await an_item(till, fileIds=[await a_picture_of(till)])
        assert await till.as_staff(CREATE, who=manager, input=group) == "FORBIDDEN"


async def test_members_find_what_is_listed_in_the_order_of_the_shelf(
    till: Counter, database: Database
) -> None:
    """MAL-1: listed or unlisted; by position, a page at a time; null for what is not theirs."""
    await made(till, name="Unlisted")
    last = await listed(till, name="Last", position=2, stock=0)
    await listed(till, name="First", position=-1, category="Cups")
    await listed(till, name="Second", position=0, limitPerMember=3)
    await listed(till, name="Third", position=0)
    assert await names(till) == ["First", "Second", "Third", "Last"]
    page = await till.as_member(SHELF, first=2)
    assert [e["node"]["name"] for e in page["edges"]] == ["First", "Second"]
    assert page["edges"][1]["node"]["leftForMember"] == 3
    assert page["pageInfo"]["hasNextPage"]
    rest = await till.as_member(SHELF, first=2, after=page["pageInfo"]["endCursor"])
    assert [e["node"]["name"] for e in rest["edges"]] == ["Third", "Last"]
    assert (rest["edges"][1]["node"]["stockLeft"], rest["pageInfo"]["hasNextPage"]) == (0, False)
    assert await names(till, category="Cups") == ["First"]
    assert await till.as_member(SHELF, card=type_id("card", new_id())) is None
    assert await till.as_member(SHELF, store=type_id("node", new_id())) is None
    assert await till.as_member(SHELF, after="!") == "BAD_USER_INPUT"
    assert await till.as_member(SHELF, first=101) == "BAD_USER_INPUT"
    await set_listed(till, last, is_listed=False)
    assert await names(till) == ["First", "Second", "Third"]


async def test_members_find_what_is_meant_for_them(
    till: Counter, database: Database, now: datetime
) -> None:
    """MAL-1, ORG-3…ORG-6: scope by scheme, tag, store and time; a brand's mall."""
    shop, places = till.shop, till.shop.places
    tag = await database.run(a_tag, group_id=places.group.id, now=now, on=(shop.member,))
    other = await database.run(a_tag, group_id=places.group.id, now=now)
    opens = now + timedelta(days=1)
    await listed(till, name="Tagged", scope={"tagIds": [type_id("tag", tag.id)]})
    closed = await listed(till, name="Others'", scope={"tagIds": [type_id("tag", other.id)]})
    await listed(till, name="At the coffee store", scope={
        "includedNodeIds": [type_id("node", places.coffee_store.id)]
    })  # fmt: skip
    later = await listed(till, name="Tomorrow", scope={
        "schedule": {"timeZone": "UTC", "startsAt": opens.isoformat()}
    })  # fmt: skip
    await listed(till, name="Over", scope={
        "schedule": {"timeZone": "UTC", "endsAt": now.isoformat()}
    })  # fmt: skip
    await listed(till, name="Tea's", perspectiveId=type_id("node", places.tea.id))
    assert await names(till) == ["Tagged", "Tomorrow", "Tea's"]
    assert await names(till, card=till.card_id) == ["Tagged", "Tomorrow", "Tea's"]
    assert await names(till, store=type_id("node", places.coffee_store.id)) == [
        "Tagged", "At the coffee store", "Tomorrow"
    ]  # fmt: skip
    assert await names(till, mall=type_id("node", places.coffee.id)) == ["Tagged", "Tomorrow"]
    waits = await till.as_member(OFFER, id=later["id"])
    assert waits["obstacle"] == "NOT_OPEN"
    assert datetime.fromisoformat(waits["availableFrom"]) == opens
    assert (await till.as_member(OFFER, id=closed["id"]))["obstacle"] == "NOT_FOR_THIS_MEMBER"
    assert await till.as_member(OFFER, id=type_id("mall", new_id())) is None


async def test_what_cannot_be_redeemed_says_why(till: Counter) -> None:
    """MAL-1: sold out, or the member had their share; what opens later says that before either.
    Ordered all the same it is refused."""
    opens = (till.now + timedelta(days=1)).isoformat()
    once = await listed(till, name="Once", position=1, pricePoints=0, limitPerMember=1, stock=2)
    await listed(till, name="Gone", position=2, stock=0, limitPerMember=1)
    await listed(till, name="Later", position=3, stock=0, scope={
        "schedule": {"timeZone": "UTC", "startsAt": opens}
    })  # fmt: skip

    async def obstacles() -> list[tuple[str, str | None]]:
        found = [edge["node"] for edge in (await till.as_member(SHELF))["edges"]]
        return [(each["name"], each["obstacle"]) for each in found]

    rest = [("Gone", "SOLD_OUT"), ("Later", "NOT_OPEN")]
    assert await obstacles() == [("Once", None), *rest]
    await ordered(till, once)
    assert await obstacles() == [("Once", "LIMIT_REACHED"), *rest]
    assert (await till.as_member(OFFER, id=once["id"])) == {
        "name": "Once", "obstacle": "LIMIT_REACHED", "availableFrom": None, "leftForMember": 0,
        "stockLeft": 1,
    }  # fmt: skip
    assert (await order(till, once))["__typename"] == "MallItemLimitReached"
    await till.as_staff(
        SET_STOCK, input={"id": once["id"], "expectedVersion": once["version"], "stock": 0}
    )
    assert await obstacles() == [("Once", "SOLD_OUT"), *rest]
    assert (await order(till, once))["__typename"] == "MallItemSoldOut"


async def test_a_shelf_costs_a_few_statements_however_long_it_is(
    till: Counter, database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member home lists the mall: no statement for each item or picture."""

    async def statements(number_of_items: int) -> int:
        for _ in range(number_of_items):
            await listed(till, limitPerMember=5)
        ran = 0
        run = type(database.backend).read

        async def counted(self: Any, call: Any) -> Any:
            async def counting(tx: Any) -> Any:
                nonlocal ran

                class Counting:
                    async def all(self, *args: Any, **values: Any) -> Any:
                        nonlocal ran
                        ran += 1
                        return await tx.all(*args, **values)

                    async def one(self, *args: Any, **values: Any) -> Any:
                        nonlocal ran
                        ran += 1
                        return await tx.one(*args, **values)

                return await call(Counting())

            return await run(self, counting)

        with monkeypatch.context() as patched:
            patched.setattr(type(database.backend), "read", counted)
            found = await till.as_member(SHELF, first=10)
        assert all(len(edge["node"]["images"]) == 1 for edge in found["edges"])
        return ran

    few = await statements(1)
    assert await statements(7) == few <= 11


async def test_a_shelf_has_an_end(
    till: Counter, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MAL-1: a group lists so many items, and no more."""
    monkeypatch.setattr(editing, "LISTED_MAX", 1)
    await listed(till)
    item = await made(till)
    asked = {"id": item["id"], "expectedVersion": 1, "isListed": True}
    async with mall_stays(database):
        refused = await till.as_staff(SET_LISTED, input=asked)
        assert (refused["__typename"], refused["limit"]) == ("ShelfFull", 1)
