"""TOP-7 for whatever is no top-up: orders that are paid once, end, are listed and go back.

Packages stand for all kinds here; what each kind brings and takes back its own tests say.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.cards import CardStatus
from app.models.operations import AuditRecord
from app.models.packages import OwnedPackage
from app.services import cards, members, orders
from app.services.merges import merging
from tests.factories.ledger import nothing_moves
from tests.factories.packages import ORDER, package_of, refund, sold
from tests.factories.reading import every
from tests.factories.staff import employee
from tests.factories.top_ups import Checkout, a_checkout, is_clean

pytestmark = pytest.mark.anyio

ORDER_FIELDS = """fragment order on Order { id kind title quantity state channel
  amount { amount currency } points createdAt expiresAt paidAt endedAt cardId memberId
  refundRoute refundReason refundedAmount { amount } store { name } method { code }
  refundMethod { code } payment { provider status refundStatus } }"""
MINE = f"""query ($kind: OrderKind, $state: OrderState, $first: Int = 20, $after: String) {{
  orders(kind: $kind, state: $state, first: $first, after: $after) {{
    pageInfo {{ hasNextPage endCursor }} edges {{ node {{ ...order }} }} }} }} {ORDER_FIELDS}"""
ONE = f"query ($id: ID!) {{ order(id: $id) {{ ...order }} }} {ORDER_FIELDS}"
CANCEL = f"""mutation ($id: ID!) {{ orderCancel(input: {{id: $id}}) {{ __typename
  ... on Order {{ ...order }} ... on OrderNotOpen {{ state }} ... on Problem {{ message }} }} }}
  {ORDER_FIELDS}"""
LIST = """query ($kind: OrderKind, $state: OrderState, $store: ID, $member: ID, $from: DateTime,
    $to: DateTime) {
  orders(kind: $kind, state: $state, storeId: $store, memberId: $member, from: $from, to: $to) {
    edges { node { id } } } }"""
AGAIN = f"""mutation ($input: OrderRefundInput!) {{ orderRefundAgain(input: $input) {{ __typename
  ... on OrderRefunded {{ replayed order {{ ...order }} }} ... on Problem {{ message }} }} }}
  {ORDER_FIELDS}"""

owned_rows = statement(select(OwnedPackage).order_by(col(OwnedPackage.id)), into=OwnedPackage)
acts = statement(select(AuditRecord).order_by(col(AuditRecord.id)), into=AuditRecord)


@pytest.fixture
async def shop(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as checkout:
        yield checkout


@pytest.fixture
async def package(shop: Checkout) -> Any:
    return await package_of(shop)


async def order(shop: Checkout, package: Any, /, **more: Any) -> Any:
    """Order the package online; what the mutation answers."""
    asked: dict[str, Any] = {
        "packageId": package["id"],
        "rule": 0,
        "price": {"amount": 199_00, "currency": "CNY"},
        "cardId": shop.card_id,
        "provider": "wechat_pay",
        "scene": "JSAPI",
        "returnUrl": "/packages",
        "requestKey": new_id().hex,
    }
    return await shop.as_member(ORDER, input=asked | more)


async def ordered(shop: Checkout, package: Any, /, **more: Any) -> Any:
    """An order that waits to be paid."""
    answer = await order(shop, package, **more)
    assert isinstance(answer, dict), answer
    assert answer["__typename"] == "OrderPlaced", answer
    assert answer["order"]["state"] == "PENDING"
    return answer


async def look(shop: Checkout, placed: Any) -> Any:
    """The order as its member sees it now."""
    return await shop.as_member(ONE, id=placed["order"]["id"])


async def number_owned(shop: Checkout) -> int:
    return len(await every(shop.database, owned_rows))


async def again(shop: Checkout, placed: Any, route: str = "ORIGINAL", /, **more: Any) -> Any:
    """Send a refund again that failed; what the mutation answers."""
    asked: dict[str, Any] = {
        "id": placed["order"]["id"],
        "route": route,
        "reason": "The bank refused",
        "methodCode": "cash" if route == "OFFLINE" else None,
        "requestKey": new_id().hex,
    }
    return await shop.as_staff(AGAIN, input=asked | more)


async def test_what_is_paid_is_delivered_once_however_often_it_is_told(
    shop: Checkout, package: Any
) -> None:
    placed = await ordered(shop, package, requestKey="k")
    assert await number_owned(shop) == 0
    replay = await order(shop, package, requestKey="k")
    assert (replay["replayed"], replay["order"]["id"]) == (True, placed["order"]["id"])
    await shop.pay(placed, times=3)
    assert await number_owned(shop) == 1
    seen = await look(shop, placed)
    assert seen == {
        "id": placed["order"]["id"],
        "kind": "PACKAGE",
        "title": "Premium",
        "quantity": 1,
        "state": "PAID",
        "channel": "ONLINE",
        "amount": {"amount": 199_00, "currency": "CNY"},
        "points": 0,
        "createdAt": seen["createdAt"],
        "expiresAt": seen["expiresAt"],
        "paidAt": seen["paidAt"],
        "endedAt": None,
        "cardId": shop.card_id,
        "memberId": type_id("mem", shop.shop.member.id),
        "refundRoute": None,
        "refundReason": None,
        "refundedAmount": None,
        "store": None,
        "method": None,
        "refundMethod": None,
        "payment": {"provider": "wechat_pay", "status": "PAID", "refundStatus": None},
    }
    assert seen["paidAt"] is not None
    refused = await shop.as_member(CANCEL, id=seen["id"])
    assert (refused["__typename"], refused["state"]) == ("OrderNotOpen", "PAID")


async def test_what_is_given_up_can_be_paid_no_more_and_money_that_comes_goes_back(
    shop: Checkout, package: Any
) -> None:
    placed = await ordered(shop, package)
    for _ in range(2):
        cancelled = await shop.as_member(CANCEL, id=placed["order"]["id"])
        assert (cancelled["__typename"], cancelled["state"]) == ("Order", "CANCELLED")
    stranger = await shop.database.run(
        members.create, group_id=shop.shop.places.group.id, name=None, now=shop.now
    )
    for asker in ({"member_id": stranger.id}, {}):
        order_id = placed["order"]["id"] if asker else type_id("ord", new_id())
        refused = await shop.as_member(CANCEL, id=order_id, **asker)
        assert refused["__typename"] == "OrderNotFound"
        assert await shop.as_member(ONE, id=order_id, **asker) is None
    await shop.pay(placed)
    await shop.worker.drain()
    assert (shop.sent_back(placed), await number_owned(shop)) == (199_00, 0)
    assert (await look(shop, placed))["state"] == "CANCELLED"


async def test_what_nobody_pays_ends_after_fifteen_minutes(shop: Checkout, package: Any) -> None:
    placed = await ordered(shop, package)
    await shop.pass_time(minutes=14)
    assert (await look(shop, placed))["state"] == "PENDING"
    await shop.pass_time(minutes=4)
    seen = await look(shop, placed)
    assert (seen["state"], seen["payment"]["status"]) == ("CANCELLED", "CLOSED")
    assert await number_owned(shop) == 0


async def test_another_amount_and_what_cannot_be_delivered_any_more_go_back(
    shop: Checkout, package: Any
) -> None:
    wrong, late = await ordered(shop, package), await ordered(shop, package)
    paid = wrong["order"]["payment"]
    asked = shop.state.payments.payment(paid["provider"], paid["reference"])
    assert asked is not None
    asked.amount = 198_00
    await shop.pay(wrong)
    await shop.worker.drain()
    assert (await look(shop, wrong))["state"] == "CANCELLED"
    assert shop.sent_back(wrong) == 198_00
    await shop.database.run(
        lambda tx: tx.changed(
            cards.change_status,
            card_id=shop.shop.card.id,
            from_status=CardStatus.NORMAL,
            to_status=CardStatus.REFUNDED,
        )
    )
    await shop.pay(late)
    await shop.worker.drain()
    assert (await look(shop, late))["state"] == "CANCELLED"
    assert (shop.sent_back(late), await number_owned(shop)) == (199_00, 0)


async def test_a_member_has_five_unpaid_orders_at_most(shop: Checkout, package: Any) -> None:
    placed = [await ordered(shop, package) for _ in range(orders.OPEN_ORDERS_MAX)]
    async with nothing_moves(shop.database):
        assert (await order(shop, package))["__typename"] == "TooManyOpenOrders"
    await shop.as_member(CANCEL, id=placed[0]["order"]["id"])
    await ordered(shop, package)
    found = await shop.as_member(MINE, first=2, state="PENDING")
    assert len(found["edges"]) == 2
    more = await shop.as_member(MINE, after=found["pageInfo"]["endCursor"], state="PENDING")
    assert len(more["edges"]) == 3
    assert (await shop.as_member(MINE, kind="GIFT_CARD"))["edges"] == []


async def test_a_refund_that_fails_is_asked_for_again_or_paid_out(
    shop: Checkout, package: Any
) -> None:
    await shop.sandbox("/refunds/hold", {"hold": True})
    for route in ("ORIGINAL", "OFFLINE"):
        placed = await ordered(shop, package)
        await shop.pay(placed)
        answer = await refund(shop, placed["order"]["id"], "ORIGINAL", requestKey=f"{route}-1")
        assert answer["__typename"] == "OrderRefunded", answer
        assert answer["order"]["refundedAmount"]["amount"] == 199_00
        assert (await again(shop, placed))["__typename"] == "RefundNotFailed"
        await shop.worker.drain()
        number = await number_owned(shop)
        await _settle(shop, placed, succeeds=False)
        assert (await look(shop, placed))["payment"]["refundStatus"] == "FAILED"
        assert (await look(shop, placed))["state"] == "REFUNDED"
        told = await again(shop, placed, route, requestKey=f"{route}-2")
        assert (told["__typename"], told["order"]["refundRoute"]) == ("OrderRefunded", route)
        assert (await again(shop, placed, route, requestKey=f"{route}-2"))["replayed"]
        assert (await again(shop, placed, route))["__typename"] == "RefundNotFailed"
        assert await number_owned(shop) == number
        if route == "ORIGINAL":
            await shop.worker.drain()
            assert (await look(shop, placed))["payment"]["refundStatus"] == "FAILED"
            (found,) = shop.state.payments.refunds()
            # Somebody sends it by hand, which is other news.
            found.status, found.number = "PENDING", f"1{found.number}"
            await _settle(shop, placed)
            assert (await look(shop, placed))["payment"]["refundStatus"] == "SUCCEEDED"
            assert shop.sent_back(placed) == 199_00
    done = [act.action for act in await every(shop.database, acts) if "order." in act.action]
    sent = ["order.refund", "order.refund_failed", "order.refund_again"]
    assert done == [*sent, "order.refund_failed", "order.refund_succeeded", *sent]
    assert await is_clean(shop.database)


async def test_org_1_staff_see_orders_of_their_stores_and_online_where_the_product_belongs(
    shop: Checkout, package: Any
) -> None:
    at_till = await sold(shop, package)
    online = await ordered(shop, package)
    places = shop.shop.places
    shown = {}
    for name, node in (
        ("coffee", places.coffee),
        ("lone", places.lone_store),
        ("group", places.group),
    ):
        somebody = await shop.database.run(employee, role="auditor", node=node, now=shop.now)
        found = await shop.as_staff(LIST, who=somebody)
        shown[name] = [edge["node"]["id"] for edge in found["edges"]]
        seen = await shop.as_staff(ONE, who=somebody, id=at_till["id"])
        assert (seen is not None) == (at_till["id"] in shown[name])
    assert shown == {
        "coffee": [at_till["id"]],
        "lone": [],
        "group": [online["order"]["id"], at_till["id"]],
    }

    async def ids(**wanted: Any) -> list[str]:
        found = await shop.as_staff(LIST, **wanted)
        return [edge["node"]["id"] for edge in found["edges"]]

    assert await ids(state="PAID", kind="PACKAGE") == [at_till["id"]]
    assert await ids(store=type_id("node", places.coffee_store.id)) == [at_till["id"]]
    assert await ids(member=type_id("mem", new_id())) == []
    assert await ids(to=(shop.now - timedelta(hours=1)).isoformat()) == []
    cashier = await shop.database.run(employee, role="cashier", node=places.coffee, now=shop.now)
    refused = await refund(shop, at_till["id"], who=cashier)
    assert refused == "FORBIDDEN"


async def test_idn_4_a_merged_records_orders_are_the_survivors(
    shop: Checkout, package: Any
) -> None:
    at_till, placed = await sold(shop, package), await ordered(shop, package)
    other = await shop.database.run(
        members.create, group_id=shop.shop.places.group.id, name=None, now=shop.now
    )
    await shop.database.run(
        merging.join_records, survivor_id=other.id, loser_id=shop.shop.member.id, now=shop.now
    )
    found = await shop.as_member(MINE, member_id=other.id)
    ids = [edge["node"]["id"] for edge in found["edges"]]
    assert ids == [placed["order"]["id"], at_till["id"]]
    of_them = await shop.as_staff(LIST, member=type_id("mem", other.id))
    assert [edge["node"]["id"] for edge in of_them["edges"]] == ids
    await shop.pay(placed)
    seen = await shop.as_member(ONE, member_id=other.id, id=placed["order"]["id"])
    assert seen["state"] == "PAID"
    assert await number_owned(shop) == 2


async def _settle(shop: Checkout, placed: Any, /, **how: Any) -> None:
    """End the refund that waits at the provider, which then notifies us."""
    reference = placed["order"]["payment"]["reference"]
    for each in shop.state.payments.refunds():
        if each.payment.reference == reference:
            await shop.sandbox(f"/refunds/{each.reference}/settle", how)
