"""Packs on sale, coupons for friends and changes of many (CPN-5…CPN-7)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.jobs.worker import Worker
from app.models.coupons import (
    Coupon,
    CouponChange,
    CouponChangeLine,
    CouponHandover,
    CouponPackSale,
    CouponState,
    CouponTemplate,
    CouponTerms,
    CouponUse,
    HandoverRule,
)
from app.models.members import Member
from app.models.orders import Order
from app.models.payments import Payment
from app.models.sessions import Session
from app.services import coupons
from app.services.coupons import Gift, handovers
from app.services.members import Bearer
from tests.factories.cards import Counter, a_device
from tests.factories.coupons import a_template
from tests.factories.reading import every, one
from tests.factories.small_world import a_member

_SALE = """fragment sale on CouponPackSale { id state name title price { amount currency }
  stockLeft limitPerMember packId version coupons { templateId count } cover { url width height }
  perspective { id } scope { channels } }"""
_ORDER = """fragment order on Order { id kind title quantity state amount { amount } endedAt
  refundedAmount { amount } payment { provider reference status } }"""


def _edit(name: str, kind: str) -> str:
    return f"""mutation ($input: {kind}!) {{ {name}(input: $input) {{ __typename ...sale
      ... on Problem {{ message }} }} }} {_SALE}"""


CREATE = _edit("couponPackSaleCreate", "CouponPackSaleCreateInput")
UPDATE = _edit("couponPackSaleUpdate", "CouponPackSaleUpdateInput")
SET_STOCK = _edit("couponPackSaleSetStock", "CouponPackSaleSetStockInput")
ACTIVATE = _edit("couponPackSaleActivate", "CouponPackSaleMoveInput")
DEACTIVATE = _edit("couponPackSaleDeactivate", "CouponPackSaleMoveInput")
ARCHIVE = _edit("couponPackSaleArchive", "CouponPackSaleMoveInput")
SALE = f"query ($id: ID!) {{ couponPackSale(id: $id) {{ ...sale }} }} {_SALE}"
SALES = """query ($state: CouponTemplateState, $pack: ID) {
  couponPackSales(state: $state, packId: $pack) { edges { node { id } } } }"""
OFFERS = """{ couponPackOffers { bought notAvailable { reason availableFrom }
  sale { id title price { amount } stockLeft coupons { count } } } }"""
BUY = f"""mutation ($input: CouponPackOrderInput!) {{ couponPackOrder(input: $input) {{ __typename
  ... on OrderPlaced {{ replayed order {{ ...order }} payment {{ reference }} }}
  ... on Problem {{ message }} ... on CouponPackPriceChanged {{ price {{ amount }} }}
  ... on CouponPacksSoldOut {{ packsLeft: left }}
  ... on CouponPackLimitReached {{ limit left }} ... on NotAvailable {{ reason }} }} }} {_ORDER}"""
SELL = f"""mutation ($input: CouponPackSellInput!) {{ couponPackSell(input: $input) {{ __typename
  ... on OrderSold {{ replayed order {{ ...order }} }} ... on Problem {{ message }}
  ... on CouponPacksSoldOut {{ packsLeft: left }} }} }} {_ORDER}"""
REFUND = f"""mutation ($input: OrderRefundInput!) {{ orderRefund(input: $input) {{ __typename
  ... on OrderRefunded {{ replayed order {{ ...order }} }} ... on Problem {{ message }}
  ... on CouponPackUsed {{ used }} }} }} {_ORDER}"""
CANCEL = """mutation ($id: ID!) { orderCancel(input: {id: $id}) { __typename } }"""

HAND_OVER = """mutation ($id: ID!, $key: String!) {
  couponHandOver(input: {couponId: $id, requestKey: $key}) { __typename
    ... on CouponHandoverBegun { replayed handover { id couponId state expiresAt secret } }
    ... on CouponNotGiveable { rule } ... on Problem { message } } }"""
TAKE_BACK = """mutation ($id: ID!) { couponHandoverTakeBack(input: {id: $id}) { __typename
  ... on CouponHandover { id state secret } ... on CouponHandoverEnded { state }
  ... on Problem { message } } }"""
CLAIM = """mutation ($secret: String!, $key: String!) {
  couponHandoverClaim(input: {secret: $secret, requestKey: $key}) { __typename
    ... on CouponHandoverClaimed { couponId replayed } ... on CouponNotGiveable { rule }
    ... on Problem { message } } }"""
FOUND = """query ($secret: String!) { couponHandover(secret: $secret) {
  giverName expiresAt validUntil terms { title } } }"""
GIVEN = """{ couponHandovers { edges { node { id state secret receiverName } } } }"""
OWN_COUPON = "query ($id: ID!) { coupon(id: $id) { status code { value } } }"
ALLOW = """mutation ($id: ID!, $version: Int!, $rule: CouponHandoverRule!) {
  couponTemplateSetHandover(input: {id: $id, expectedVersion: $version, rule: $rule}) {
    __typename ... on CouponTemplate { version } ... on Problem { message } } }"""

PREVIEW = """query ($input: CouponChangeInput!) { couponChangePreview(input: $input) {
  numberOfCoupons sample { couponId differs revives before { validUntil title }
    after { validUntil title } } } }"""
START = """mutation ($input: CouponChangeStartInput!) { couponChangeStart(input: $input) {
  __typename ... on CouponChangeStarted { replayed change { id state numberOfCoupons } }
  ... on Problem { message } } }"""
CHANGE = """query ($id: ID!) { couponChange(id: $id) { state numberOfCoupons numberSeen
  numberChanged finishedAt reason lines(first: 100) { edges { node { couponId revives
    before { validUntil title instructions } after { validUntil title instructions } } } } } }"""
CHANGES = "{ couponChanges { edges { node { id } } } }"
WITHDRAW = """mutation ($input: CouponWithdrawInput!) { couponWithdraw(input: $input) { __typename
  ... on CouponTakenFromHolder { replayed coupon { id status endedAt withdrawal {
    at reason operatorName changeId } } }
  ... on CouponUsed { usedAt } ... on CouponLocked { until } ... on CouponExpired { expiredAt }
  ... on Problem { message } } }"""
WITHDRAWN = """query ($id: ID!) { coupon(id: $id) { status withdrawal {
  at reason operatorName changeId } } }"""
WITHDRAWALS_PREVIEW = """query ($input: CouponChangeInput!) { couponChangePreview(input: $input) {
  numberOfCoupons sample { couponId differs revives withdraws } } }"""
WITHDRAWALS = """query ($id: ID!) { couponChange(id: $id) { state numberOfCoupons numberSeen
  numberChanged operatorName reason lines(first: 100) { edges { node { couponId revives withdraws
    before { validUntil title } after { validUntil title } } } } } }"""

_tables: list[Any] = [
    Coupon, CouponUse, CouponPackSale, CouponHandover, CouponChange, CouponChangeLine, CouponTerms,
    CouponTemplate, Order, Payment,
]  # fmt: skip
_rows = [statement(select(table).order_by(table.id), into=table) for table in _tables]
all_coupons = statement(select(Coupon).order_by(col(Coupon.id)), into=Coupon)
all_terms = statement(select(CouponTerms), into=CouponTerms)
all_lines = statement(select(CouponChangeLine), into=CouponChangeLine)
coupon_by_id = statement(
    select(Coupon).where(col(Coupon.id) == bindparam("coupon_id")), into=Coupon
)
sale_by_id = statement(
    select(CouponPackSale).where(col(CouponPackSale.id) == bindparam("sale_id")),
    into=CouponPackSale,
)
sign_in_by = statement(
    update(Session)
    .where(col(Session.id) == bindparam("session_id"))
    .values(method=bindparam("new_method"))
)
_set_coupon = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"))
    .values(
        **{
            name: bindparam(f"new_{name}", type_=Coupon.__table__.c[name].type)  # type: ignore[attr-defined]
            for name in ("state", "locked_until", "ended_at")
        }
    )
)
_let_all = statement(update(CouponTemplate).values(handover=HandoverRule.EVERYWHERE))


async def mark(
    tx: Transaction,
    *,
    coupon: Coupon,
    state: CouponState,
    locked_until: datetime | None = None,
    ended_at: datetime | None = None,
) -> None:
    """Let a coupon be in a state, however it came there."""
    await tx.changed(
        _set_coupon, coupon_id=coupon.id, new_state=state, new_locked_until=locked_until,
        new_ended_at=ended_at,
    )  # fmt: skip


async def allow_all(tx: Transaction) -> None:
    """Let the coupons of every template be given to friends."""
    await tx.changed(_let_all)


async def work(till: Counter) -> None:
    """Do the jobs there are, each in a transaction of its own."""
    await Worker(
        till.database,
        cast("Any", SimpleNamespace()),
        next_times={},
        clock=lambda: till.now + timedelta(minutes=1),
    ).drain()


def sale_id_of(sale: Any) -> UUID:
    return parse_type_id("cps", sale["id"])


@asynccontextmanager
async def coupons_stay(database: Database) -> AsyncIterator[None]:
    """Nothing of coupons, orders or payments is written."""

    async def rows() -> list[list[Any]]:
        return [await every(database, each) for each in _rows]

    before = await rows()
    yield
    assert await rows() == before


async def coupon_of(database: Database, coupon_id: UUID | str) -> Coupon:
    """The row as it is now."""
    if isinstance(coupon_id, str):
        coupon_id = parse_type_id("cpn", coupon_id)
    found = await one(database, coupon_by_id, coupon_id=coupon_id)
    assert found is not None
    return found


async def stock_of(database: Database, sale: Any) -> int | None:
    found = await one(database, sale_by_id, sale_id=sale_id_of(sale))
    assert found is not None
    return found.stock_left


async def on_sale(till: Counter, pack_id: UUID, /, **more: Any) -> Any:
    """A pack that is sold: for 9.90 CNY, ten of them, unless said otherwise."""
    given: dict[str, Any] = {
        "perspectiveId": type_id("node", till.shop.places.group.id),
        "packId": type_id("cpk", pack_id),
        "name": "Spring pack",
        "currency": "CNY",
        "price": 990,
        "stock": 10,
    }
    drafted = await till.as_staff(CREATE, input=given | more)
    assert drafted["__typename"] == "CouponPackSale", drafted
    active = await till.as_staff(ACTIVATE, input={"id": drafted["id"]})
    assert active["state"] == "ACTIVE", active
    return active


def _asked(sale: Any, more: dict[str, Any]) -> dict[str, Any]:
    price = {"amount": sale["price"]["amount"], "currency": "CNY"}
    return {"saleId": sale["id"], "price": price, "requestKey": new_id().hex} | more


async def sell(till: Counter, sale: Any, /, **more: Any) -> Any:
    """Sell a pack for cash to the shop's member; what the mutation answers."""
    paid = {"methodCode": "cash"} if sale["price"]["amount"] else {}
    asked = {
        "terminalId": till.terminal_id,
        "memberId": type_id("mem", till.shop.member.id),
        **paid,
    }
    return await till.as_staff(SELL, input=_asked(sale, asked | more))


async def buy(till: Counter, sale: Any, /, *, by: UUID | None = None, **more: Any) -> Any:
    """Order a pack in WeChat; what the mutation answers."""
    asked = {"provider": "wechat_pay", "scene": "JSAPI", "returnUrl": "/coupons"}
    return await till.as_member(BUY, member_id=by, input=_asked(sale, asked | more))


async def refund(till: Counter, order: Any, /, **more: Any) -> Any:
    asked = {
        "id": order["id"],
        "route": "OFFLINE",
        "methodCode": "cash",
        "reason": "Bought by mistake",
        "requestKey": new_id().hex,
    }
    return await till.as_staff(REFUND, input=asked | more)


async def a_coupon(
    till: Counter, *, rule: HandoverRule = HandoverRule.EVERYWHERE, number: int = 1, **more: Any
) -> Coupon:
    """The first of so many coupons of the shop's member, of a template of their own."""
    shop, run = till.shop, till.database.run
    at: dict[str, Any] = {"perspective": shop.places.group, "now": till.now}
    template = await run(a_template, handover=rule, **at, **more)
    given = await run(
        coupons.give,
        member=shop.member,
        gifts=[Gift(template.id, None, number)],
        cause_kind="test",
        cause_id=new_id(),
        group_id=shop.places.group.id,
        now=till.now,
    )
    return given[0]


async def a_friend(till: Counter) -> Member:
    """Somebody else of the group, with a card."""
    shop = till.shop
    friend, _ = await till.database.run(
        a_member, group=shop.places.group, scheme=shop.scheme, now=till.now
    )
    return friend


async def bearer_of(till: Counter, member_id: UUID, *, method: str = "sms") -> Bearer:
    """A member with a session that began in that way."""
    group = till.shop.places.group
    await till.database.run(a_device, member_id=member_id, group=group, now=till.now)

    async def sign_in(tx: Transaction) -> None:
        await tx.changed(sign_in_by, session_id=member_id, new_method=method)

    await till.database.run(sign_in)
    return Bearer(member_id, member_id)


async def handed_over(till: Counter, coupon: Coupon) -> handovers.Begun:
    """The coupon, held out to whoever opens the link."""
    return await till.database.run(
        handovers.begin,
        bearer=await bearer_of(till, coupon.member_id),
        coupon_id=coupon.id,
        request_key=new_id().hex,
        now=till.now,
    )
