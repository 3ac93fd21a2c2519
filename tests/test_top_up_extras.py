"""TOP-3, TOP-7: coupons and benefits that come with a top-up, and go with its refund."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.models.coupons import Coupon, CouponState
from tests.factories.benefits import DEACTIVATE, OF_CARD, active, names, set_expiry, set_validity
from tests.factories.coupons import a_pack, a_template
from tests.factories.ledger import nothing_moves
from tests.factories.reading import every
from tests.factories.top_up_plans import CREATE, a_plan, an_edit, draft, plan_of, plans_stay
from tests.factories.top_up_plans import UPDATE as PLAN_UPDATE
from tests.factories.top_ups import Checkout, a_checkout, held, is_clean, refund, sold
from tests.test_smart_top_ups import DISCOUNT, quote_at_till
from tests.test_smart_top_ups import sell as sell_smart

pytestmark = pytest.mark.anyio

OFFERS = """query ($card: ID!) { topUpOffers(cardId: $card) {
  gifts { templateId packId count } benefits { name } benefitDays } }"""
EXTRAS = """query ($id: ID!) { topUpPlan(id: $id) { benefitDays benefits { name }
  gifts { templateId packId count coupons { count } }
  firstGifts { templateId packId count } } }"""
GIFTS = "query ($id: ID!) { topUp(id: $id) { gifts { count } } }"
GIFT_USED = """mutation ($input: TopUpRefundInput!) { topUpRefund(input: $input) { __typename
  ... on GiftUsed { used } } }"""

SMART = """mutation ($input: SmartTopUpQuoteAtTerminalInput!) { smartTopUpQuote(input: $input) {
  ... on SmartTopUpQuote { offers { gifts { count } } } } }"""

coupons_held = statement(select(Coupon).order_by(col(Coupon.id)), into=Coupon)
use_one = statement(
    update(Coupon).where(col(Coupon.id) == bindparam("coupon_id")).values(state=CouponState.USED)
)


@pytest.fixture
async def shop(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as shop:
        yield shop


class Extras:
    """A template, a pack of two and three of it, and two benefits."""

    def __init__(self, template: Any, pack: Any, discount: Any, longer: Any) -> None:
        self.coupon = {"templateId": type_id("ctpl", template.id), "packId": None, "count": 2}
        self.pack = {"templateId": None, "packId": type_id("cpk", pack.id), "count": 1}
        self.discount, self.longer = discount, longer

    @property
    def of_plan(self) -> dict[str, Any]:
        return {
            "gifts": [self.coupon],
            "firstGifts": [self.pack],
            "benefitIds": [self.discount["id"], self.longer["id"]],
            "benefitDays": 90,
        }


@pytest.fixture
async def extras(shop: Checkout) -> Extras:
    place, now, scheme_id = shop.shop.places.group, shop.clock.now, shop.shop.scheme.id

    async def made(tx: Transaction) -> tuple[Any, Any]:
        template = await a_template(tx, perspective=place, now=now)
        pack = await a_pack(tx, perspective=place, of=[(template, 3)], now=now)
        await tx.changed(set_validity, scheme_id=scheme_id, new_days=365)
        return template, pack

    template, pack = await shop.database.run(made)
    discount = await active(shop, {"memberDiscount": {"discountBasisPoints": 1_000}})
    longer = await active(
        shop,
        {"cardExtension": {"days": 30}},
        scope={"schemeIds": [type_id("sch", scheme_id)]},
    )
    return Extras(template, pack, discount, longer)


async def states(shop: Checkout) -> list[str]:
    return [each.state.value for each in await every(shop.database, coupons_held)]


async def granted(shop: Checkout) -> list[tuple[str, int]]:
    card = await shop.as_member(OF_CARD, id=shop.card_id)
    return [(each["name"], each["extendedDays"]) for each in card["benefits"] if each["source"]]


async def test_top_3_a_plan_says_what_comes_with_it_and_only_what_there_is(
    shop: Checkout, extras: Extras
) -> None:
    made = await plan_of(shop, **extras.of_plan)
    shown = await shop.as_staff(EXTRAS, id=made["id"])
    assert shown == {
        "gifts": [extras.coupon | {"coupons": [{"count": 2}]}],
        "firstGifts": [extras.pack],
        "benefits": [{"name": "memberDiscount"}, {"name": "cardExtension"}],
        "benefitDays": 90,
    }
    (offer,) = await shop.as_member(OFFERS, card=shop.card_id)
    assert offer == {
        "gifts": [extras.coupon, extras.pack],
        "benefits": [{"name": "memberDiscount"}, {"name": "cardExtension"}],
        "benefitDays": 90,
    }
    unknown = {"templateId": type_id("ctpl", new_id())}, {"packId": type_id("cpk", new_id())}
    await shop.as_staff(DEACTIVATE, input={"id": extras.longer["id"]})
    async with plans_stay(shop.database):
        missing: list[tuple[dict[str, Any], str]] = [
            ({"gifts": [unknown[0]]}, "CouponTemplateNotFound"),
            ({"firstGifts": [unknown[1]]}, "CouponPackNotFound"),
            ({"benefitIds": [type_id("ben", new_id())]}, "BenefitNotFound"),
            ({"benefitIds": [extras.longer["id"]]}, "BenefitNotFound"),
        ]
        for more, problem in missing:
            refused = await shop.as_staff(CREATE, input=a_plan(shop, **more))
            assert refused["__typename"] == problem
        impossible: list[dict[str, Any]] = [
            {"gifts": [extras.coupon | {"count": 101}]},
            {"gifts": [{"count": 1}]},
            {"benefitDays": 1},
            {"benefitIds": [extras.discount["id"]], "benefitDays": 0},
            {"benefitIds": [extras.discount["id"]] * 2},
        ]
        for more in impossible:
            assert await shop.as_staff(CREATE, input=a_plan(shop, **more)) == "BAD_USER_INPUT"


async def test_top_3_they_come_with_the_payment_once_and_more_with_the_first(
    shop: Checkout, extras: Extras
) -> None:
    ends_at = shop.clock.now.replace(microsecond=0)
    await shop.database.run(
        lambda tx: tx.changed(set_expiry, card_id=shop.shop.card.id, new_expires_at=None)
    )
    given = a_plan(shop, **extras.of_plan)
    made = await draft(shop, **extras.of_plan)
    plan = await plan_of(shop, **extras.of_plan)
    ordered = await shop.ordered(plan)
    assert await states(shop) == []
    # An edit of a plan changes nothing of what is ordered.
    await shop.as_staff(PLAN_UPDATE, input=an_edit(made, given, gifts=[]))
    await shop.pay(ordered, times=3)
    assert await states(shop) == ["VALID"] * 5
    assert await shop.as_member(GIFTS, id=ordered["order"]["id"]) == {
        "gifts": [{"count": 2}, {"count": 1}]
    }
    assert await granted(shop) == [("memberDiscount", 0), ("cardExtension", 0)]
    card = await shop.as_member(OF_CARD, id=shop.card_id)
    (discount,) = [e for e in card["benefits"] if e["source"] and e["kind"] == "MEMBER_DISCOUNT"]
    assert (discount["source"], discount["endsAt"] > ends_at.isoformat()) == ("TOP_UP", True)
    await sold(shop, plan)
    assert await states(shop) == ["VALID"] * 7  # no pack: it is not the first any more
    assert len(await granted(shop)) == 4
    shop.clock.advance(days=91)
    assert await granted(shop) == []
    assert await names(shop) == ["memberDiscount", "cardExtension"]
    assert await is_clean(shop.database)


async def test_top_7_unused_coupons_and_benefits_go_with_a_refund(
    shop: Checkout, extras: Extras
) -> None:
    ordered = await shop.paid(await plan_of(shop, **extras.of_plan))
    assert (await refund(shop, ordered["order"]["id"]))["__typename"] == "TopUpRefunded"
    assert await states(shop) == ["WITHDRAWN"] * 5
    assert await granted(shop) == []
    await shop.worker.drain()
    assert shop.sent_back(ordered) == 100_00
    assert await is_clean(shop.database)


async def test_top_7_with_a_used_coupon_it_goes_back_over_the_counter_alone(
    shop: Checkout, extras: Extras
) -> None:
    ordered = await shop.paid(await plan_of(shop, **extras.of_plan))
    first = (await every(shop.database, coupons_held))[0]
    await shop.database.run(lambda tx: tx.changed(use_one, coupon_id=first.id))
    async with nothing_moves(shop.database):
        asked = {
            "id": ordered["order"]["id"], "route": "ORIGINAL", "reason": "No", "requestKey": "k"
        }  # fmt: skip
        refused = await shop.as_staff(GIFT_USED, input=asked)
        assert refused == {"__typename": "GiftUsed", "used": 1}
        assert await states(shop) == ["USED", *["VALID"] * 4]
        assert len(await granted(shop)) == 2
    done = await refund(shop, ordered["order"]["id"], "OFFLINE")
    assert done["order"]["state"] == "REFUNDED"
    assert await states(shop) == ["USED", *["WITHDRAWN"] * 4]
    assert await granted(shop) == []
    assert await held(shop) == (0, 0, 0)


async def test_top_7_what_the_provider_will_not_send_back_brings_them_again(
    shop: Checkout, extras: Extras
) -> None:
    ordered = await shop.paid(await plan_of(shop, **extras.of_plan))
    shop.state.payments.payments()[0].amount = 99_99
    await refund(shop, ordered["order"]["id"])
    assert await granted(shop) == []
    await shop.worker.drain()
    assert (await shop.look(ordered))["state"] == "CREDITED"
    assert await states(shop) == [*["WITHDRAWN"] * 5, *["VALID"] * 5]
    assert len(await granted(shop)) == 2
    shop.state.payments.payments()[0].amount = 100_00
    assert (await refund(shop, ordered["order"]["id"]))["__typename"] == "TopUpRefunded"
    assert await states(shop) == ["WITHDRAWN"] * 10
    assert await granted(shop) == []
    assert await is_clean(shop.database)


async def test_top_5_a_smart_top_up_brings_its_plans_gifts(shop: Checkout, extras: Extras) -> None:
    await plan_of(shop, "SMART", steps=[DISCOUNT], **extras.of_plan)
    await shop.database.run(
        lambda tx: tx.changed(
            set_expiry, card_id=shop.shop.card.id, new_expires_at=shop.clock.now.replace(year=2090)
        )
    )
    asked = {"terminalId": shop.terminal_id, "cardId": shop.card_id}
    # The pack comes with the first alone.
    for bill, number, gifts in ((50_00, 5, [2, 1]), (100_00, 7, [2])):
        shown = await shop.as_staff(
            SMART, input=asked | {"bill": {"amount": bill, "currency": "CNY"}}
        )
        assert [each["count"] for each in shown["offers"][0]["gifts"]] == gifts
        quoted = await quote_at_till(shop, bill)
        answer = await sell_smart(shop, quoted["token"])
        assert answer["__typename"] == "TopUpSold", answer
        assert len(await states(shop)) == number
    assert [days for _, days in await granted(shop)] == [0, 30, 0, 30]
