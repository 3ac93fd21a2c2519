"""The orders of everything but top-ups: written down, waiting, paid, listed (TOP-7, ORG-1).

A product's service drafts its order here and has it paid; what a payment, an end or a refund means
for the product, `shop` asks of that service. Locks are taken in the order member, card, order,
payment, product, accounts.
"""

from datetime import datetime, timedelta
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, literal_column, or_
from sqlmodel import col, func, select, update

from app.core.db import Statement, Transaction, any_of, changed_copy, if_given, light, statement
from app.core.errors import DomainError
from app.models.cards import Card
from app.models.members import Member
from app.models.orders import Order, OrderKind, OrderState
from app.models.organisation import Node, PaymentMethod, Terminal
from app.models.payments import PaymentPurpose
from app.models.scopes import Channel
from app.models.staff import Permission
from app.services import cards, limits, members, organisation, payment_methods, payments
from app.services.actors import Actor
from app.services.payments import Placed

ORDERS_PER_HOUR_MAX = 30
OPEN_ORDERS_MAX = 5
"""Unpaid orders of one member at once: each may hold a piece of a product's stock."""
STORED_VALUE = (OrderKind.GIFT_CARD,)
"""What is bought with these is money again, so TOP-8 holds for them too."""

by_id = statement(select(Order).where(col(Order.id) == bindparam("order_id")), into=Order)
lock_by_id = statement(
    select(Order).where(col(Order.id) == bindparam("order_id")).with_for_update(), into=Order
)
orders_by_id = statement(select(Order).where(any_of(col(Order.id), "ids")), into=Order)
number_open = statement(
    select(func.count()).where(
        col(Order.member_id).in_(members.own_records), col(Order.state) == OrderState.PENDING
    ),
    into=int,
)
# Not locked: whoever ends it takes its member and card first.
longest_overdue = statement(
    select(Order.id)
    .where(
        # Said as the index says it, so that the few that wait are found by it.
        col(Order.state) == literal_column("'PENDING'"),
        col(Order.expires_at) <= bindparam("before"),
    )
    .order_by(col(Order.expires_at))
    .limit(1),
    into=UUID,
)
_is_pending = (
    col(Order.id) == bindparam("order_id"),
    col(Order.state) == OrderState.PENDING,
)
pay_it = statement(
    update(Order)
    .where(*_is_pending)
    .values(state=OrderState.PAID, paid_at=bindparam("new_paid_at"))
)
cancel_it = statement(
    update(Order)
    .where(*_is_pending)
    .values(state=OrderState.CANCELLED, ended_at=bindparam("new_ended_at"))
)


class ProductCount(NamedTuple):
    product_id: UUID
    number: int


# What waits counts, what was cancelled or given back does not.
bought_of_products = statement(
    select(Order.product_id, func.coalesce(func.sum(Order.quantity), 0).label("number"))
    .where(
        col(Order.member_id).in_(members.own_records),
        any_of(col(Order.product_id), "product_ids"),
        or_(col(Order.state) == OrderState.PENDING, col(Order.state) == OrderState.PAID),
    )
    .group_by(col(Order.product_id)),
    into=ProductCount,
)
new_order = light(Order)

_newest = select(Order).order_by(col(Order.id).desc()).limit(bindparam("limit"))
_earlier = col(Order.id) < bindparam("before")
_own = (
    col(Order.member_id).in_(members.own_records),
    if_given("kind", Order.kind),
    if_given("state", Order.state),
)
OWN_PAGES: dict[bool, Statement[Order]] = {
    # a cursor was given
    has_cursor: statement(_newest.where(*_own, *([_earlier] if has_cursor else [])), into=Order)
    for has_cursor in (False, True)
}
_moment: Any = Order.__table__.c.created_at.type  # type: ignore[attr-defined]
_from, _to = bindparam("from_moment", type_=_moment), bindparam("to_moment", type_=_moment)
_visible = (
    col(Order.group_id) == bindparam("group_id"),
    or_(
        organisation.lies_under(col(Order.store_id)),
        and_(col(Order.store_id).is_(None), organisation.lies_under(col(Order.perspective_id))),
    ),
    if_given("kind", Order.kind),
    if_given("state", Order.state),
    if_given("product_id", Order.product_id),
    if_given("store_id", Order.store_id),
    or_(_from.is_(None), col(Order.created_at) >= _from),
    or_(_to.is_(None), col(Order.created_at) < _to),
)
_of_member = col(Order.member_id).in_(members.own_records)
PAGES: dict[tuple[bool, bool], Statement[Order]] = {
    # (one member's, a cursor was given)
    (of_member, has_cursor): statement(
        _newest.where(
            *_visible, *([_of_member] if of_member else []), *([_earlier] if has_cursor else [])
        ),
        into=Order,
    )
    for of_member, has_cursor in product((False, True), repeat=2)
}


class OrderNotFound(DomainError):
    """No such order, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such order.")


class OrderNotOpen(DomainError):
    """The order is not, or no longer, one that waits for its payment."""

    def __init__(self, state: OrderState) -> None:
        self.state = state
        super().__init__(f"This order is {state.lower()}.")


class TooManyOpenOrders(DomainError):
    """The member has as many unpaid orders as one may have at once."""

    def __init__(self) -> None:
        super().__init__("Pay or cancel the orders you have begun first.")


class MethodCannotPay(DomainError):
    """A payment method that cannot buy stored value, as another platform's voucher (TOP-8)."""

    def __init__(self, method: PaymentMethod) -> None:
        self.method_code = method.code
        super().__init__(f"{method.name} cannot pay this.")


class Undeliverable(DomainError):
    """What was paid for cannot be had any more: its money goes back.

    A product's `deliver` raises it before it has written anything.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Sold(NamedTuple):
    """An order that was paid at a till."""

    order: Order
    is_replay: bool


class Held(NamedTuple):
    """An order with its buyer, and their living card where it names one, all locked."""

    order: Order
    member: Member
    card: Card | None


class Wanted(NamedTuple):
    """Which orders to list; what is None lets all pass. `from_moment` is included."""

    kind: OrderKind | None = None
    state: OrderState | None = None
    product_id: UUID | None = None
    store_id: UUID | None = None
    member_id: UUID | None = None
    from_moment: datetime | None = None
    to_moment: datetime | None = None


def drafted(
    order_id: UUID,
    *,
    kind: OrderKind,
    product_id: UUID,
    title: str,
    perspective_id: UUID,
    member: Member,
    card: Card | None,
    channel: Channel,
    currency: str,
    amount: int,
    terms: dict[str, Any],
    now: datetime,
    points: int = 0,
    quantity: int = 1,
    store_id: UUID | None = None,
) -> Order:
    """An order that is not written down yet; `amount` is in minor units, for all of it."""
    return new_order(
        id=order_id,
        group_id=member.group_id,
        perspective_id=perspective_id,
        kind=kind,
        product_id=product_id,
        title=title,
        quantity=quantity,
        member_id=member.id,
        card_id=None if card is None else card.id,
        channel=channel,
        store_id=store_id,
        currency=currency,
        amount=amount,
        points=points,
        terms=terms,
        state=OrderState.PENDING,
        created_at=now,
    )


async def await_payment(
    tx: Transaction,
    order: Order,
    *,
    provider: str,
    brings_stored_value: bool = False,
    now: datetime,
) -> Placed[Order]:
    """Write an order down that a provider shall be asked to have paid within 15 minutes.

    `brings_stored_value` is for what is a gift card by another kind's order. The caller holds the
    member. Raises `TooManyOpenOrders`, and `MethodCannotPay` where the group
    has a payment method for the provider that must not buy this (TOP-8).
    """
    assert order.amount > 0, "what costs no money is not paid through a provider"
    if (await tx.one(number_open, member_id=order.member_id) or 0) >= OPEN_ORDERS_MAX:
        raise TooManyOpenOrders
    method = await payment_methods.of_provider(tx, group_id=order.group_id, provider=provider)
    if method is not None:
        kind = OrderKind.GIFT_CARD if brings_stored_value else order.kind
        _require_may_pay(method, kind)
    # Each asks a provider a few things, whose patience is everybody's.
    await limits.spend(
        tx, subject=f"orders:{order.member_id}", at_most=ORDERS_PER_HOUR_MAX,
        window=timedelta(hours=1), now=now,
    )  # fmt: skip
    order = changed_copy(
        order,
        payment_method_id=None if method is None else method.id,
        expires_at=now + payments.PAYABLE_FOR,
    )
    await tx.insert(order)
    payment = await payments.open_payment(
        tx,
        group_id=order.group_id,
        purpose=PaymentPurpose.ORDER,
        order_id=order.id,
        provider=provider,
        amount=order.amount,
        currency=order.currency,
        expires_at=now + payments.PAYABLE_FOR,
        now=now,
    )
    return Placed(order, payment, is_replay=False)


async def write_paid(
    tx: Transaction,
    order: Order,
    *,
    now: datetime,
    terminal: Terminal | None = None,
    method: PaymentMethod | None = None,
) -> Order:
    """Write an order down as paid: at a till by a method, or because it costs no money.

    Its product is delivered by the caller, in this transaction.
    """
    assert (method is not None) == (order.amount > 0), "money comes by some method"
    paid = changed_copy(
        order,
        terminal_id=None if terminal is None else terminal.id,
        payment_method_id=None if method is None else method.id,
        state=OrderState.PAID,
        paid_at=now,
    )
    await tx.insert(paid)
    return paid


async def paying_method(
    tx: Transaction, *, group_id: UUID, code: str, kind: OrderKind
) -> PaymentMethod:
    """A payment method that may buy this kind of thing at a till (TOP-8).

    Raises `PaymentMethodUnknown`, `MethodCannotPay`.
    """
    method = await payment_methods.of_code(tx, group_id=group_id, code=code)
    _require_may_pay(method, kind)
    return method


async def hold(tx: Transaction, order_id: UUID) -> Held:
    """Lock an order, after its buyer and the card that lives today. Raises `OrderNotFound`."""
    order = await tx.one(by_id, order_id=order_id)
    if order is None:
        raise OrderNotFound
    card = None if order.card_id is None else await cards.living(tx, order.card_id)
    member = await members.locked(tx, order.member_id if card is None else card.member_id)
    if card is not None:
        card = await cards.locked(tx, card)
    locked = await tx.one(lock_by_id, order_id=order_id)
    assert locked is not None, "orders are never deleted"
    return Held(locked, member, card)


async def placed(tx: Transaction, order_id: UUID) -> Placed[Order]:
    """What became of an order, for the request that had made it."""
    payment = await payments.of_order(tx, purpose=PaymentPurpose.ORDER, order_id=order_id)
    return Placed(await existing(tx, order_id), payment, is_replay=True)


async def existing(tx: Transaction, order_id: UUID) -> Order:
    """An order by the id that something of ours keeps of it."""
    order = await tx.one(by_id, order_id=order_id)
    assert order is not None
    return order


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, Order]:
    return {row.id: row for row in await tx.all(orders_by_id, ids=ids)}


async def bought(tx: Transaction, *, member: Member, product_ids: list[UUID]) -> dict[UUID, int]:
    """How many of each product the member bought or is about to, merged records included.

    Whoever sells by it holds the member.
    """
    if not product_ids:
        return {}
    counts = await tx.all(bought_of_products, member_id=member.id, product_ids=product_ids)
    return {each.product_id: each.number for each in counts}


async def home(tx: Transaction, order: Order) -> Node:
    """Where the order belongs: its store; online, where its product was made (ORG-1)."""
    return await organisation.node(tx, order.store_id or order.perspective_id)


async def own(tx: Transaction, *, member_id: UUID, order_id: UUID) -> Order | None:
    """An order of the signed-in member, or None."""
    order = await tx.one(by_id, order_id=order_id)
    if order is None:
        return None
    buyer, asker = await members.living(tx, order.member_id), await members.living(tx, member_id)
    return order if buyer.id == asker.id else None


async def own_page(
    tx: Transaction,
    *,
    member_id: UUID,
    kind: OrderKind | None,
    state: OrderState | None,
    before: UUID | None,
    limit: int,
) -> list[Order]:
    """The signed-in member's orders, newest first, those of merged records included."""
    asker = await members.signed_in(tx, member_id)
    cursor = {} if before is None else {"before": before}
    return await tx.all(
        OWN_PAGES[before is not None],
        member_id=asker.id, kind=kind, state=state, limit=limit, **cursor,
    )  # fmt: skip


async def seen_by(tx: Transaction, actor: Actor, *, order_id: UUID) -> Order | None:
    """An order if it exists and the actor may read it."""
    order = await tx.one(by_id, order_id=order_id)
    if order is None or order.group_id != actor.group_id:
        return None
    return order if actor.may(Permission.ORDERS_READ, await home(tx, order)) else None


async def page(
    tx: Transaction, actor: Actor, *, wanted: Wanted, before: UUID | None, limit: int
) -> list[Order]:
    """Orders of the stores where the actor may read them, newest first; those made online where
    their products belong (ORG-1)."""
    values: dict[str, Any] = wanted._asdict()
    of_member = wanted.member_id is not None
    if not of_member:
        del values["member_id"]
    if before is not None:
        values["before"] = before
    return await tx.all(
        PAGES[of_member, before is not None],
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.ORDERS_READ),
        limit=limit,
        **values,
    )


def _require_may_pay(method: PaymentMethod, kind: OrderKind) -> None:
    if kind in STORED_VALUE and not method.can_pay_top_up:
        raise MethodCannotPay(method)
