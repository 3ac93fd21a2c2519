"""CPN-1, CPN-2: templates and packs in the back office, and that no edit changes a coupon."""

from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.scopes import Channel
from app.services.coupons.details import STOCK_MAX
from tests.factories.cards import Counter, counter
from tests.factories.coupons import (
    ACTIVATE,
    ARCHIVE,
    CREATE,
    DEACTIVATE,
    ISSUE,
    SET_STOCK,
    SHOWN,
    UPDATE,
    issued,
    template_input,
    template_of,
)
from tests.factories.ledger import nothing_moves

pytestmark = pytest.mark.anyio

PACK = """{ __typename ... on CouponPack { id state title version
  contents { count template { name } } } ... on Problem { message } }"""
PACK_CREATE = (
    f"mutation ($input: CouponPackCreateInput!) {{ couponPackCreate(input: $input) {PACK} }}"
)
PACK_UPDATE = (
    f"mutation ($input: CouponPackUpdateInput!) {{ couponPackUpdate(input: $input) {PACK} }}"
)
PACK_ACTIVATE = f"mutation ($id: ID!) {{ couponPackActivate(input: {{id: $id}}) {PACK} }}"
LIST = """query ($search: String, $kind: CouponKind, $state: CouponTemplateState) {
  couponTemplates(search: $search, kind: $kind, state: $state) { edges { node { name } } } }"""


@pytest.fixture
async def till(database: Database, now: Any) -> Counter:
    return await counter(database, now)


async def test_cpn_1_a_template_says_all_it_was_given(till: Counter) -> None:
    """Cash, discount, gift and discount-to, each with the fields of its kind; CPN-4's ids."""
    whole = template_input(
        till,
        subtitle="On coffee",
        colour="#7A4B2A",
        minimumSpend=50_00,
        items=["latte", " latte", "mocha"],
        categories=["coffee"],
        includesSubItems=False,
        includesSideDishes=False,
        fields=[{"key": "Hotline", "value": "400 800"}],
        instructions="Show it\nbefore you order.",
        goodsLink="https://shop.example.com/coffee",
        onlineOutsideId="SHOP-7",
        posOutsideId="POS-7",
        limitPerMember=2,
        stock=STOCK_MAX,
        scope={"channels": ["POS"]},
        claimScope={"channels": ["ONLINE"]},
        validity={
            "fixed": {"first": "2026-09-01", "last": "2026-09-30", "timeZone": "Asia/Shanghai"}
        },
    )
    made = await till.as_staff(CREATE, input=whole)
    assert made["__typename"] == "CouponTemplate", made
    assert made["terms"] == {
        "kind": "CASH",
        "title": "10 off",
        "subtitle": "On coffee",
        "colour": "#7A4B2A",
        "currency": "CNY",
        "minimumSpend": {"amount": 50_00},
        "items": ["latte", "mocha"],
        "categories": ["coffee"],
        "includesSubItems": False,
        "includesSideDishes": False,
        "fields": [{"key": "Hotline", "value": "400 800"}],
        "instructions": "Show it\nbefore you order.",
        "goodsLink": "https://shop.example.com/coffee",
        "image": None,
        "scope": {"channels": ["POS"]},
        "benefit": {"__typename": "CouponCash", "amount": {"amount": 10_00, "currency": "CNY"}},
    }
    assert (made["stockLeft"], made["limitPerMember"]) == (9_999_999_999, 2)
    assert (made["onlineOutsideId"], made["posOutsideId"]) == ("SHOP-7", "POS-7")
    assert made["claimScope"] == {"channels": ["ONLINE"]}
    assert made["validity"]["last"] == "2026-09-30"
    for kind, given, shown in (
        (
            "DISCOUNT",
            {"discount": {"offBasisPoints": 20_00, "atMost": 30_00}},
            {
                "__typename": "CouponDiscount",
                "offBasisPoints": 20_00,
                "atMost": {"amount": 30_00},
            },
        ),
        (
            "GIFT",
            {"gift": {"items": ["cake"], "quantity": 2}},
            {"__typename": "CouponGiftItems", "items": ["cake"], "quantity": 2},
        ),
        (
            "DISCOUNT_TO",
            {"discountTo": {"price": 9_90}},
            {
                "__typename": "CouponFixedPrice",
                "price": {"amount": 9_90},
                "items": [],
                "quantity": 1,
            },
        ),
    ):
        other = await till.as_staff(
            CREATE, input=template_input(till, kind=kind, benefit=given, name=kind)
        )
        assert other["terms"]["benefit"] == shown

    async def names(**asked: Any) -> list[str]:
        found = await till.as_staff(LIST, **asked)
        return [edge["node"]["name"] for edge in found["edges"]]

    assert await names() == ["DISCOUNT_TO", "GIFT", "DISCOUNT", "Ten off"]
    assert await names(kind="GIFT") == ["GIFT"]
    assert await names(search="ten") == ["Ten off"], "by the name"
    assert len(await names(search="10 OFF")) == 4, "by the title"
    assert await names(search="%") == []
    assert await names(state="ACTIVE") == []


async def test_cpn_1_what_no_template_can_say_is_refused_and_nothing_moves(till: Counter) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"stock": STOCK_MAX + 1},
        {"stock": -1},
        {"kind": "GIFT"},
        {"benefit": {"cash": {"amount": 0}}},
        {"currency": "XXX"},
        {"colour": "red"},
        {"goodsLink": "http://shop.example.com"},
        {"items": []},
        {"limitPerMember": 0},
        {"minimumSpend": 0},
        {"title": " "},
        {"title": "t" * 61},
        {"fields": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
        {"fields": [{"key": str(i), "value": "1"} for i in range(21)]},
        {"validity": {"fromReceipt": {"validDays": 0, "timeZone": "Asia/Shanghai"}}},
        {"imageFileId": "nonsense"},
    )
    async with nothing_moves(till.database):
        for more in wrong:
            answer = await till.as_staff(CREATE, input=template_input(till, **more))
            assert answer == "BAD_USER_INPUT", more
        unknown = type_id("file", new_id())
        answer = await till.as_staff(CREATE, input=template_input(till, imageFileId=unknown))
        assert answer["__typename"] == "FileNotFound"
        cashier = till.shop.cashier
        answer = await till.as_staff(CREATE, who=cashier, input=template_input(till))
        assert answer == "FORBIDDEN"


async def test_cpn_3_a_later_edit_changes_nobodys_coupon(till: Counter) -> None:
    """Neither what it takes off nor where it can be used nor until when."""
    template = await template_of(till, scope={"channels": ["POS"]})
    coupon = await issued(till, template)
    edit = template_input(
        till, title="1 off", benefit={"cash": {"amount": 1_00}}, scope={"channels": ["ONLINE"]}
    )
    for fixed in ("perspectiveId", "kind", "currency"):
        del edit[fixed]
    edit |= {"id": template["id"], "expectedVersion": template["version"]}
    async with nothing_moves(till.database):
        refused = await till.as_staff(UPDATE, input=edit)
        assert refused["__typename"] == "CouponNotEditable"
    inactive = await till.as_staff(DEACTIVATE, input={"id": template["id"]})
    async with nothing_moves(till.database):
        stale = await till.as_staff(UPDATE, input=edit)
        assert (stale["__typename"], stale["currentVersion"]) == ("EditedMeanwhile", 3)
    edited = await till.as_staff(UPDATE, input=edit | {"expectedVersion": inactive["version"]})
    assert edited["terms"]["title"] == "1 off"
    assert edited["terms"]["scope"] == {"channels": ["ONLINE"]}
    shown = await till.as_member(SHOWN, id=coupon["id"])
    assert shown == coupon
    assert shown["terms"]["benefit"] == {"amount": {"amount": 10_00}}
    assert shown["terms"]["scope"] == {"channels": [Channel.POS.value]}


async def test_cpn_1_states_follow_each_other_and_stock_is_set_any_time(till: Counter) -> None:
    made = await till.as_staff(CREATE, input=template_input(till, stock=1))
    at: dict[str, Any] = {"input": {"id": made["id"]}}
    assert (await till.as_staff(DEACTIVATE, **at))["__typename"] == "CouponStateUnchangeable"
    active = await till.as_staff(ACTIVATE, **at)
    stocked = await till.as_staff(
        SET_STOCK,
        input={"id": made["id"], "expectedVersion": active["version"], "stock": None},
    )
    assert (stocked["stockLeft"], stocked["version"]) == (None, 3)
    assert (await till.as_staff(ARCHIVE, **at))["__typename"] == "CouponStateUnchangeable"
    await till.as_staff(DEACTIVATE, **at)
    assert (await till.as_staff(ARCHIVE, **at))["state"] == "ARCHIVED"
    elsewhere = await counter(till.database, till.now)
    async with nothing_moves(till.database):
        assert (await till.as_staff(ACTIVATE, **at))["__typename"] == "CouponStateUnchangeable"
        stale = {"id": made["id"], "expectedVersion": 5, "stock": 1}
        assert (await till.as_staff(SET_STOCK, input=stale))["__typename"] == "CouponNotEditable"
        assert (await elsewhere.as_staff(ACTIVATE, **at))["__typename"] == "CouponTemplateNotFound"


async def test_cpn_2_a_pack_is_issued_as_all_of_its_coupons(till: Counter) -> None:
    few = await template_of(till, name="Few", stock=3)
    many = await template_of(till, name="Many", title="Many")
    place = type_id("node", till.shop.places.group.id)
    contents = [{"templateId": few["id"], "count": 2}, {"templateId": many["id"], "count": 1}]
    given = {"perspectiveId": place, "name": "P", "title": "A pack", "contents": contents}
    async with nothing_moves(till.database):
        for wrong in ([], contents + contents, [{"templateId": few["id"], "count": 0}]):
            answer = await till.as_staff(PACK_CREATE, input=given | {"contents": wrong})
            assert answer == "BAD_USER_INPUT"
        unknown = [{"templateId": type_id("ctpl", new_id()), "count": 1}]
        answer = await till.as_staff(PACK_CREATE, input=given | {"contents": unknown})
        assert answer["__typename"] == "CouponTemplateNotFound"
    pack = await till.as_staff(PACK_CREATE, input=given)
    edit = {"id": pack["id"], "expectedVersion": 1, "name": "P", "title": "The pack"}
    pack = await till.as_staff(PACK_UPDATE, input=edit | {"contents": contents})
    assert pack["contents"] == [
        {"count": 2, "template": {"name": "Few"}},
        {"count": 1, "template": {"name": "Many"}},
    ]
    to = {"cardId": till.card_id, "gift": {"packId": pack["id"]}, "requestKey": "k1"}
    async with nothing_moves(till.database):
        refused = await till.as_staff(ISSUE, input=to)
        assert refused["__typename"] == "CouponNotActive"
    await till.as_staff(PACK_ACTIVATE, id=pack["id"])
    answer = await till.as_staff(ISSUE, input=to)
    assert [each["template"]["name"] for each in answer["coupons"]] == ["Few", "Few", "Many"]
    assert {each["packId"] for each in answer["coupons"]} == {pack["id"]}
    async with nothing_moves(till.database):
        refused = await till.as_staff(ISSUE, input=to | {"requestKey": "k2"})
        assert (refused["__typename"], refused["left"]) == ("CouponsSoldOut", 1)
