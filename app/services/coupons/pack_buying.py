"""Buying coupon packs: members online, tills with the money in the hand (CPN-7)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, statement
from app.core.errors import BadInput, DomainError
from app.core.money import Money
from app.models.coupons import CouponPack, CouponPackSale, TemplateState
from app.models.members import Member, MemberStatus
from app.models.orders import Order, OrderKind
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.staff import Permission
from app.services import audit, members, orders, organisation, requests, scopes
from app.services.actors import Actor
from app.services.coupons import giving, pack_sales, pack_selling
from app.services.coupons.asking import asking, obstacle_to
from app.services.coupons.giving import Gift
from app.services.members import Bearer
from app.services.orders import Sold
from app.services.payments import Online, Placed
from app.services.scopes import NotAvailable, Obstacle, ObstacleReason

QUANTITY_MAX = 20
OFFERS_MAX = 200

take_stock = statement(
    update(CouponPackSale)
    .where(
        col(CouponPackSale.id) == bindparam("sale_id"),
        or_(
            col(CouponPackSale.stock_left).is_(None),
            col(CouponPackSale.stock_left) >= bindparam("quantity"),
        ),
    )
    # Nothing taken from nothing stays without end.
    .values(stock_left=col(CouponPackSale.stock_left) - bindparam("quantity"))
    .returning(*pack_sales.TABLE.columns),
    into=CouponPackSale,
)
on_sale = statement(
    select(CouponPackSale)
    .join(CouponPack, col(CouponPack.id) == col(CouponPackSale.pack_id))
    .where(
        col(CouponPackSale.group_id) == bindparam("group_id"),
        col(CouponPackSale.state) == TemplateState.ACTIVE,
        col(CouponPack.state) == TemplateState.ACTIVE,
        or_(col(CouponPackSale.stock_left).is_(None), col(CouponPackSale.stock_left) > 0),
    )
    .order_by(col(CouponPackSale.id))
    .limit(OFFERS_MAX),
    into=CouponPackSale,
)


class PackNotOnSale(DomainError):
    """The sale, or its pack, is not or no longer active."""

    def __init__(self) -> None:
        super().__init__("This coupon pack is not on sale.")


class PackPriceChanged(DomainError):
    """The pack costs something else than the buyer was shown."""

    def __init__(self, price: Money) -> None:
        self.price = price
        super().__init__("The price has changed meanwhile.")


class PacksSoldOut(DomainError):
    """Fewer packs are left than somebody would like to buy."""

    def __init__(self, left: int) -> None:
        self.left = left
        super().__init__(f"Only {left} are left." if left else "These packs are sold out.")


class PackLimitReached(DomainError):
    """The member bought the pack as often as one may."""

    def __init__(self, limit: int, bought: int) -> None:
        self.limit = limit
        self.left = max(0, limit - bought)
        super().__init__(f"One member can buy {limit} of these packs.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody would like to buy, at the price of one that they were shown."""

    sale_id: UUID
    price: Money
    quantity: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.quantity <= QUANTITY_MAX:
            raise BadInput(f"quantity must be between 1 and {QUANTITY_MAX}.")

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request."""
        return {
            "sale": self.sale_id,
            "price": [self.price.amount, self.price.currency],
            "quantity": self.quantity,
        }


class Offered(NamedTuple):
    """A pack that a member can buy, or with `obstacle` could when it opens."""

    sale: CouponPackSale
    pack: CouponPack
    obstacle: Obstacle | None
    bought: int


async def offers(
    tx: Transaction, *, member_id: UUID, store_id: UUID | None, now: datetime
) -> list[Offered] | None:
    """What the signed-in member can buy online, oldest sale first; None if there is no such store.

    What one has bought as often as one may is left out; of the rest that is shown which can be
    bought now or will open.
    """
    member = await members.signed_in(tx, member_id)
    try:
        store = await _store(tx, member, store_id)
    except organisation.NodeNotFound:
        return None
    found = await tx.all(on_sale, group_id=member.group_id)
    if not found:
        return []
    loaded = await scopes.load(tx, {each.scope_id for each in found})
    packs = await giving.packs_by_ids(tx, {each.pack_id for each in found})
    asked = await asking(tx, member=member, channel=Channel.ONLINE, store=store, now=now)
    bought = await orders.bought(tx, member=member, product_ids=[each.id for each in found])
    offered = []
    for each in found:
        number, limit = bought.get(each.id, 0), each.limit_per_member
        if limit is not None and number >= limit:
            continue
        obstacle = obstacle_to(loaded[each.scope_id], asked)
        if obstacle is None or obstacle.reason is ObstacleReason.NOT_OPEN:
            offered.append(Offered(each, packs[each.pack_id], obstacle, number))
    return offered


async def place(
    tx: Transaction,
    *,
    bearer: Bearer,
    choice: Choice,
    online: Online,
    request_key: str,
    now: datetime,
) -> Placed[Order]:
    """A member orders packs and has 15 minutes to pay them; what is free is theirs at once.

    The provider is asked after the commit. Raises `CouponPackSaleNotFound`, `NodeNotFound`,
    `PackNotOnSale`, `PackPriceChanged`, `NotAvailable`, `PackLimitReached`, `PacksSoldOut`,
    `TooManyOpenOrders`, `MethodCannotPay`, `RequestKeyReused`.
    """
    member = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=member.id,
        operation="couponPackOrder",
        key=request_key,
        input={**choice.document(), **online.document()},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await orders.placed(tx, claim.answer_id)
    store = await _store(tx, member, online.store_id)
    order = await _drafted(tx, claim.answer_id, member, choice, store, Channel.ONLINE, now)
    if order.amount:
        return await orders.await_payment(tx, order, provider=online.provider, now=now)
    order = await orders.write_paid(tx, order, now=now)
    await pack_selling.deliver(tx, order, now=now)
    return Placed(order, None, is_replay=False)


async def sell(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    member_id: UUID,
    choice: Choice,
    method_code: str | None,
    request_key: str,
    now: datetime,
) -> Sold:
    """A cashier took the money: the member has the coupons at once.

    Raises `TerminalNotFound`, `MemberNotFound`, `PaymentMethodUnknown`, `MethodCannotPay`, and
    what `place` does of the sale.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.COUPONS_SELL, store)
    request = requests.Request(
        principal_id=actor.id,
        operation="couponPackSell",
        key=request_key,
        input={
            **choice.document(),
            "terminal": terminal_id,
            "member": member_id,
            "method": method_code,
        },
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Sold(await orders.existing(tx, claim.answer_id), is_replay=True)
    member = await members.locked(tx, member_id)
    if member.group_id != store.group_id or member.status is not MemberStatus.ACTIVE:
        raise members.MemberNotFound
    order = await _drafted(tx, claim.answer_id, member, choice, store, Channel.POS, now)
    if (method_code is not None) != (order.amount > 0):
        raise BadInput("methodCode says how the price is paid, and is for that alone.")
    method = None
    if method_code is not None:
        method = await orders.paying_method(
            tx, group_id=store.group_id, code=method_code, kind=OrderKind.COUPON_PACK
        )
    order = await orders.write_paid(tx, order, terminal=terminal, method=method, now=now)
    await pack_selling.deliver(tx, order, now=now)
    await audit.record(
        tx, actor, "coupon_pack.sell", object_kind="order", object_id=order.id, node_id=store.id,
        now=now, sale=choice.sale_id, quantity=choice.quantity, member=member.id,
        terminal=terminal.id, amount=order.amount, method=method_code,
    )  # fmt: skip
    return Sold(order, is_replay=False)


async def _drafted(
    tx: Transaction,
    order_id: UUID,
    member: Member,
    choice: Choice,
    store: Node | None,
    channel: Channel,
    now: datetime,
) -> Order:
    """An order of a locked member that is not written down yet; its packs are taken from stock."""
    sale = await pack_sales.of_group(tx, group_id=member.group_id, sale_id=choice.sale_id)
    pack = (await giving.packs_by_ids(tx, [sale.pack_id]))[sale.pack_id]
    if sale.state is not TemplateState.ACTIVE or pack.state is not TemplateState.ACTIVE:
        raise PackNotOnSale
    price = Money(sale.price, sale.currency)
    if choice.price != price:
        raise PackPriceChanged(price)
    asked = await asking(tx, member=member, channel=channel, store=store, now=now)
    scope = (await scopes.load(tx, [sale.scope_id]))[sale.scope_id]
    if obstacle := obstacle_to(scope, asked):
        raise NotAvailable(obstacle)
    if sale.limit_per_member is not None:
        bought = (await orders.bought(tx, member=member, product_ids=[sale.id])).get(sale.id, 0)
        if bought + choice.quantity > sale.limit_per_member:
            raise PackLimitReached(sale.limit_per_member, bought)
    gift = Gift(template_id=None, pack_id=pack.id, count=choice.quantity)
    taken = await tx.one(take_stock, sale_id=sale.id, quantity=choice.quantity)
    if taken is None:
        raise PacksSoldOut((await pack_sales.by_ids(tx, [sale.id]))[sale.id].stock_left or 0)
    # As it was when it was taken: a stock may have been set since the sale was looked at.
    promised = await pack_selling.promised(tx, gift, is_of_stock=taken.stock_left is not None)
    return orders.drafted(
        order_id,
        kind=OrderKind.COUPON_PACK,
        product_id=sale.id,
        title=pack.title,
        perspective_id=sale.perspective_id,
        member=member,
        card=None,
        channel=channel,
        store_id=None if store is None else store.id,
        currency=sale.currency,
        amount=sale.price * choice.quantity,
        quantity=choice.quantity,
        terms=promised,
        now=now,
    )


async def _store(tx: Transaction, member: Member, store_id: UUID | None) -> Node | None:
    """The store that a member names; raises `NodeNotFound`."""
    if store_id is None:
        return None
    store = await organisation.node(tx, store_id)
    if store.group_id != member.group_id:
        raise organisation.NodeNotFound
    return store
