"""TOP-3, TOP-7, TOP-11: what members order online, and what may come of it.

The providers are the sandbox's, spoken to by the real adapters.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.ledger import AccountKind
from app.services import members
from app.services.merges import merging
from app.services.top_ups import orders
from resolvers.root import member_schema
from tests.factories.adjustments import refund_card
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import a_card
from tests.factories.top_up_plans import fixed, plan_of
from tests.factories.top_ups import (
    CANCEL,
    ONE,
    Checkout,
    a_checkout,
    held,
    is_clean,
    sold,
    stock_left,
)

pytestmark = pytest.mark.anyio

PROVIDERS = [("wechat_pay", "JSAPI"), ("stripe", "PAGE")]
NOTHING, BROUGHT = (0, 0, 0), (100_00, 10_00, 50)
FREEZE = """mutation ($id: ID!) { cardStatusChange(input: {
  cardId: $id, status: FROZEN, reason: "Suspicious"}) { ... on Card { status } } }"""


@pytest.fixture
async def shop(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as shop:
        yield shop


@pytest.fixture
async def plan(shop: Checkout) -> Any:
    return await plan_of(shop, stock=5)


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_an_order_outlives_that_its_provider_does_not_answer(
    shop: Checkout, plan: Any, provider: Any, scene: str
) -> None:
    """As it outlives a server that dies before it asks: the same key leads to the same payment."""
    asked = {"provider": provider, "scene": scene, "requestKey": "k"}
    shop.state.faults.order(provider, "500", 1)
    refused = await shop.order(plan, **asked)
    assert refused == {
        "__typename": "PaymentUnavailable",
        "message": "The payment service does not answer right now. Try again in a moment.",
        "provider": provider,
        "mayWorkLater": True,
    }
    ordered = await shop.ordered(plan, **asked)
    again = await shop.ordered(plan, **asked)
    assert ordered["replayed"] is again["replayed"] is True
    assert ordered["order"] == again["order"]
    assert len(shop.state.payments.payments()) == 1
    assert await stock_left(shop, plan) == 4
    assert await shop.order(plan, **(asked | {"returnUrl": "/"})) == {
        "__typename": "RequestKeyReused",
        "message": "This request key was already used for a different request.",
    }
    await shop.pay(ordered)
    assert await held(shop) == BROUGHT


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_whoever_asks_again_for_what_is_paid_learns_that_it_is(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    """Before its news came, and after."""
    asked = {"provider": provider, "scene": scene, "requestKey": "k"}
    ordered = await shop.ordered(plan, **asked)
    await shop.pay(ordered, notify=False)
    for _ in range(2):
        again = await shop.ordered(plan, **asked)
        assert (again["order"]["state"], again["payment"]) == ("CREDITED", None)
    assert await held(shop) == BROUGHT


async def test_what_is_over_is_not_to_be_paid(shop: Checkout, plan: Any) -> None:
    await shop.ordered(plan, requestKey="k")
    shop.clock.advance(minutes=15)
    again = await shop.ordered(plan, requestKey="k")
    assert (again["order"]["state"], again["payment"]) == ("PENDING", None)


BAD_INPUT: list[dict[str, Any]] = [
    {"provider": "nobody"},
    {"scene": "PAGE"},
    {"provider": "stripe", "scene": "H5"},
    {"returnUrl": "https://elsewhere.example/"},
    {"returnUrl": "//elsewhere.example/"},
    {"returnUrl": "javascript:alert(1)"},
    {"returnUrl": ""},
    {"requestKey": ""},
    {"step": -1},
    {"step": 1},
    {"planId": "plan_1"},
    {"amount": {"amount": 100_00, "currency": "XXX"}},
]
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"cardId": type_id("card", new_id())}, "CardNotFound"),
    ({"planId": type_id("plan", new_id())}, "TopUpPlanNotFound"),
    ({"storeId": type_id("node", new_id())}, "NodeNotFound"),
    ({"amount": {"amount": 99_00, "currency": "CNY"}}, "AmountOutsideRange"),
    ({"amount": {"amount": 100_00, "currency": "USD"}}, "WrongCurrency"),
]


async def test_an_order_that_cannot_be_leaves_no_trace(shop: Checkout, plan: Any) -> None:
    """Neither here nor at the provider."""
    async with nothing_moves(shop.database):
        for change in BAD_INPUT:
            assert await shop.order(plan, **change) == "BAD_USER_INPUT", change
        for change, typename in REFUSALS:
            assert (await shop.order(plan, **change))["__typename"] == typename, change
    assert shop.state.payments.payments() == []


async def test_inside_wechat_only_who_is_known_there_can_pay(shop: Checkout, plan: Any) -> None:
    other = await shop.database.run(
        members.create, group_id=shop.shop.places.group.id, name=None, now=shop.now
    )
    card = await shop.database.run(
        a_card, member_id=other.id, scheme=shop.shop.scheme, now=shop.now
    )
    asked = {
        "cardId": type_id("card", card.id),
        "planId": plan["id"],
        "step": 0,
        "amount": {"amount": 100_00, "currency": "CNY"},
        "provider": "wechat_pay",
        "scene": "JSAPI",
        "returnUrl": f"{shop.settings.public_url}/topups?from=home",
        "requestKey": "k",
    }
    document = """mutation ($input: TopUpOrderInput!) { topUpOrder(input: $input) {
      __typename ... on TopUpOrdered { payment { parameters { name value } } } } }"""
    async with nothing_moves(shop.database):
        refused = await shop.as_member(document, member_id=other.id, input=asked)
        assert refused == {"__typename": "PayerUnknown"}
    ordered = await shop.as_member(document, member_id=other.id, input=asked | {"scene": "H5"})
    (parameter,) = ordered["payment"]["parameters"]
    assert parameter["name"] == "url"


async def test_of_two_at_once_one_gets_the_last(shop: Checkout) -> None:
    """TOP-3: and when it is cancelled, the next gets it."""
    plan = await plan_of(shop, stock=1)
    first, second = await asyncio.gather(shop.order(plan), shop.order(plan))
    answers = sorted((first, second), key=lambda answer: str(answer["__typename"]))
    assert [each["__typename"] for each in answers] == ["SoldOut", "TopUpOrdered"]
    assert (await shop.order(plan))["__typename"] == "SoldOut"
    cancelling = (shop.as_member(CANCEL, id=answers[1]["order"]["id"]) for _ in range(3))
    for cancelled in await asyncio.gather(*cancelling):
        assert cancelled["state"] == "CANCELLED"
    assert await stock_left(shop, plan) == 1
    await shop.ordered(plan)
    assert await stock_left(shop, plan) == 0


async def test_a_member_has_five_unpaid_orders_at_most(shop: Checkout) -> None:
    plan = await plan_of(shop)
    ordered = [await shop.ordered(plan) for _ in range(orders.OPEN_ORDERS_MAX)]
    async with nothing_moves(shop.database):
        assert (await shop.order(plan))["__typename"] == "TooManyOpenTopUps"
    await shop.as_member(CANCEL, id=ordered[0]["order"]["id"])
    await shop.ordered(plan)


async def test_only_what_waits_can_be_cancelled_and_only_by_its_member(
    shop: Checkout, plan: Any
) -> None:
    ordered = await shop.paid(plan)
    order_id = ordered["order"]["id"]
    other = await shop.database.run(
        members.create, group_id=shop.shop.places.group.id, name=None, now=shop.now
    )
    async with nothing_moves(shop.database):
        refused = await shop.as_member(CANCEL, id=order_id)
        assert (refused["__typename"], refused["state"]) == ("TopUpNotOpen", "CREDITED")
        refused = await shop.as_member(CANCEL, member_id=other.id, id=order_id)
        assert refused["__typename"] == "TopUpNotFound"
        refused = await shop.as_member(CANCEL, id=type_id("top", new_id()))
        assert refused["__typename"] == "TopUpNotFound"


async def test_a_first_top_up_that_waits_is_the_first(shop: Checkout) -> None:
    """TOP-3: another is none, until the one that waits is given up."""
    bonus = {"bonusBasisPoints": 1_000, "pointsBasisPoints": 0}
    plan = await plan_of(shop, firstOnly=True, firstTopUpBonus=bonus)
    first = await shop.ordered(plan)
    assert first["order"]["isFirst"] is True
    assert (await shop.order(plan))["__typename"] == "FirstTopUpOnly"
    await shop.as_member(CANCEL, id=first["order"]["id"])
    second = await shop.paid(plan)
    await shop.pay(first)
    await shop.worker.drain()
    assert (shop.sent_back(first), shop.sent_back(second)) == (100_00, 0)
    assert await held(shop) == (100_00, 20_00, 50)


async def test_a_frozen_card_receives_what_was_paid_for_it(shop: Checkout, plan: Any) -> None:
    """CRD-3: its balances stay; but it can order no more."""
    ordered = await shop.ordered(plan)
    assert await shop.as_staff(FREEZE, id=shop.card_id) == {"status": "FROZEN"}
    await shop.pay(ordered)
    assert (await shop.look(ordered))["state"] == "CREDITED"
    assert await held(shop) == BROUGHT
    refused = await shop.order(plan)
    assert (refused["__typename"], refused["status"]) == ("CardNotUsable", "FROZEN")


async def test_what_is_paid_for_a_card_that_was_closed_meanwhile_goes_back(
    shop: Checkout, plan: Any
) -> None:
    """CRD-4."""
    ordered = await shop.ordered(plan)
    assert (await refund_card(shop))["__typename"] == "CardRefunded"
    await shop.pay(ordered)
    await shop.until_it_went_back()
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["refundStatus"]) == ("CANCELLED", "SUCCEEDED")
    assert shop.sent_back(ordered) == 100_00
    assert await held(shop) == NOTHING
    assert await stock_left(shop, plan) == 5


async def test_what_is_paid_for_a_merged_card_reaches_the_one_that_lives(
    shop: Checkout, plan: Any
) -> None:
    """IDN-4."""
    ordered = await shop.ordered(plan)
    other = await shop.database.run(
        members.create, group_id=shop.shop.places.group.id, name=None, now=shop.now
    )
    card = await shop.database.run(
        a_card, member_id=other.id, scheme=shop.shop.scheme, now=shop.now
    )
    await shop.database.run(
        merging.join_records, survivor_id=other.id, loser_id=shop.shop.member.id, now=shop.now
    )
    await shop.pay(ordered)
    assert (await shop.look(ordered))["state"] == "CREDITED"
    assert (await account(shop.database, card.id, AccountKind.CASH)).balance == 100_00
    assert await held(shop) == NOTHING
    assert await is_clean(shop.database)


async def test_what_would_exceed_a_cap_by_now_goes_back(shop: Checkout, plan: Any) -> None:
    """TOP-11: 1,000.00 on a card whose holder is not known by name and phone."""
    ordered = await shop.ordered(plan)
    large = await plan_of(shop, steps=[fixed(950_00)])
    await sold(shop, large, 950_00)
    await shop.pay(ordered)
    await shop.worker.drain()
    assert (await shop.look(ordered))["state"] == "CANCELLED"
    assert shop.sent_back(ordered) == 100_00
    assert await held(shop) == (950_00, 0, 0)
    async with nothing_moves(shop.database):
        refused = await shop.order(plan)
    assert (refused["__typename"], refused["room"]) == ("CardCapReached", {"amount": 50_00})


async def test_what_came_online_is_seen_where_the_cards_scheme_belongs(
    shop: Checkout, plan: Any
) -> None:
    """ORG-1: but what names a store is that store's."""
    order = (await shop.ordered(plan))["order"]
    there = (await shop.ordered(plan, storeId=type_id("node", shop.shop.store.id)))["order"]
    listed = "query { topUps { totalCount edges { node { id } } } }"
    of_card = "query ($id: ID!) { card(id: $id) { topUps { totalCount edges { node { id } } } } }"

    async def seen(who: Any = None) -> list[Any]:
        card = await shop.as_staff(of_card, who=who, id=shop.card_id)
        found = [await shop.as_staff(listed, who=who), card["topUps"]]
        assert all(each["totalCount"] == len(each["edges"]) for each in found)
        ids = [[edge["node"]["id"] for edge in each["edges"]] for each in found]
        assert ids[0] == ids[1]
        for each in (order, there):
            one_of_them = await shop.as_staff(ONE, who=who, id=each["id"])
            assert (one_of_them is not None) == (each["id"] in ids[0])
        return ids[0]

    assert await seen() == [there["id"], order["id"]]
    assert await seen(shop.shop.cashier) == [there["id"]]


async def test_an_open_page_hears_that_the_top_up_has_come(shop: Checkout, plan: Any) -> None:
    """QRC-3."""
    context = shop.context(shop.member(shop.shop.member.id))
    events: Any = await member_schema.subscribe(
        """subscription { memberEvents { __typename
          ... on ToppedUp { topUp { id state amount { amount } } } } }""",
        context_value=context,
    )
    heard = aiter(events)
    assert (await anext(heard)).data["memberEvents"]["__typename"] == "Listening"
    order = await sold(shop, plan)
    async with asyncio.timeout(5):
        event = (await anext(heard)).data["memberEvents"]
    await events.aclose()
    expected = {"id": order["id"], "state": "CREDITED", "amount": {"amount": 100_00}}
    assert event == {"__typename": "ToppedUp", "topUp": expected}


async def test_the_providers_are_listed(shop: Checkout) -> None:
    listed = await shop.as_member("{ paymentProviders { name scenes } }")
    assert listed == [
        {"name": "sandbox", "scenes": ["PAGE"]},
        {"name": "stripe", "scenes": ["PAGE"]},
        {"name": "wechat_pay", "scenes": ["H5", "JSAPI"]},
    ]


SAVE = """mutation ($input: PaymentMethodSaveInput!) { paymentMethodSave(input: $input) {
  code canPayTopUp movesByTransfer provider isNetReceipt } }"""


async def test_a_provider_whose_method_must_not_buy_stored_value_cannot(
    shop: Checkout, plan: Any
) -> None:
    """TOP-8: what a provider stands for is said once."""
    given = {"code": "wx", "name": "WeChat", "isNetReceipt": True, "provider": "wechat_pay"}
    saved = await shop.as_staff(SAVE, input=given | {"canPayTopUp": False})
    assert (saved["provider"], saved["canPayTopUp"]) == ("wechat_pay", False)
    async with nothing_moves(shop.database):
        refused = await shop.order(plan)
    assert (refused["__typename"], refused["methodCode"]) == ("MethodCannotTopUp", "wx")
    await shop.as_staff(SAVE, input=given | {"canPayTopUp": True})
    ordered = await shop.ordered(plan)
    assert ordered["order"]["method"] == {"code": "wx"}
