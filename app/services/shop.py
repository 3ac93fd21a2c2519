"""What happens to an order, whatever was bought: paid, given up, overdue, refunded (TOP-7).

`PRODUCTS` says for each kind of order what its service does then; everything else is here, once.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Transaction, changed_copy, statement
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_text
from app.models.orders import Order, OrderKind, OrderState
from app.models.organisation import Node
from app.models.payments import (
    Payment,
    PaymentPurpose,
    PaymentRefund,
    PaymentRefundStatus,
    PaymentStatus,
    RefundRoute,
)
from app.models.staff import Permission
from app.services import audit, members, orders, payment_methods, payments, requests
from app.services.actors import Actor
from app.services.coupons import pack_selling
from app.services.gift_cards import selling as gift_card_selling
from app.services.members import Bearer
from app.services.orders import Held, OrderNotFound, OrderNotOpen
from app.services.packages import selling as packages_selling
from app.services.points_mall import selling as mall_selling

REASON_CHARS_MAX = 200

refund_it = statement(
    update(Order)
    .where(col(Order.id) == bindparam("order_id"), col(Order.state) == OrderState.PAID)
    .values(
        state=OrderState.REFUNDED,
        refund_route=bindparam("new_route"),
        refunded_amount=bindparam("new_amount"),
        refund_method_id=bindparam("new_method_id"),
        refund_reason=bindparam("new_reason"),
        ended_at=bindparam("new_ended_at"),
    )
)
pay_out_instead = statement(
    update(Order)
    .where(
        col(Order.id) == bindparam("order_id"),
        col(Order.state) == OrderState.REFUNDED,
        col(Order.refund_route) == RefundRoute.ORIGINAL,
    )
    .values(refund_route=RefundRoute.OFFLINE, refund_method_id=bindparam("new_method_id"))
)


class Product(Protocol):
    """What the service of a kind of product does with its orders. Its module is enough."""

    def deliver(self, tx: Transaction, order: Order, *, now: datetime) -> Awaitable[None]:
        """Give what was paid for, in the transaction that says so, once.

        Raises `Undeliverable`, before anything is written, where that cannot be any more.
        """

    def release(self, tx: Transaction, order: Order, *, now: datetime) -> Awaitable[None]:
        """The order ends unpaid: give back what waited for it, as its stock.

        The order is locked, so neither its member nor a card may be locked after it.
        """

    def take_back(
        self, tx: Transaction, held: Held, *, route: RefundRoute, now: datetime
    ) -> Awaitable[int]:
        """Undo what was delivered, as far as it can be; how many minor units go back for it.

        Raises the product's own refusals.
        """


PRODUCTS: Mapping[OrderKind, Product] = {
    OrderKind.COUPON_PACK: pack_selling,
    OrderKind.PACKAGE: packages_selling,
    OrderKind.GIFT_CARD: gift_card_selling,
    OrderKind.MALL: mall_selling,
}

REFUND_NEEDS: Mapping[OrderKind, Permission] = {
    OrderKind.COUPON_PACK: Permission.ORDERS_REFUND,
    OrderKind.PACKAGE: Permission.PACKAGES_REFUND,
    OrderKind.GIFT_CARD: Permission.GIFT_CARDS_REFUND,
    OrderKind.MALL: Permission.ORDERS_REFUND,
}


class OrderNotRefundable(DomainError):
    """Only what was paid can be given back, and once."""

    def __init__(self, state: OrderState) -> None:
        self.state = state
        super().__init__(f"An order that is {state.lower()} cannot be refunded.")


class RefundNotFailed(DomainError):
    """Money that is on its way, or has arrived, is not sent again."""

    def __init__(self) -> None:
        super().__init__("No refund of this order has failed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How an order shall go back, and why; offline also by which method it is paid out."""

    route: RefundRoute
    reason: str
    method_code: str | None = None

    def __post_init__(self) -> None:
        if (self.route is RefundRoute.OFFLINE) != (self.method_code is not None):
            raise BadInput(
                "methodCode says how an OFFLINE refund is paid out, and is for those alone."
            )


class Refunded(NamedTuple):
    """The order afterwards."""

    order: Order
    is_replay: bool


async def paid(tx: Transaction, held: Held, *, payment: Payment, now: datetime) -> Order:
    """A provider says that the order was paid: deliver it, or send the money back."""
    order = held.order
    if order.state is not OrderState.PENDING:
        await payments.send_back(tx, payment=payment, reason="The order had ended.", now=now)
        return order
    delivered = changed_copy(order, state=OrderState.PAID, paid_at=now)
    try:
        await PRODUCTS[order.kind].deliver(tx, delivered, now=now)
    except orders.Undeliverable as refusal:
        await payments.send_back(tx, payment=payment, reason=str(refusal), now=now)
        return await end(tx, order, now=now)
    marked = await tx.changed(orders.pay_it, order_id=order.id, new_paid_at=now)
    assert marked == 1, "an order moved under its lock"
    return delivered


async def cancel(tx: Transaction, *, bearer: Bearer, order_id: UUID, now: datetime) -> Order:
    """The member gives an unpaid order up; one given up before is the answer.

    Should it be paid all the same, the money goes back. Raises `OrderNotFound`, `OrderNotOpen`.
    """
    member = await members.acting(tx, bearer, now=now)
    order = await tx.one(orders.lock_by_id, order_id=order_id)
    if order is None or (await members.living(tx, order.member_id)).id != member.id:
        raise OrderNotFound
    match order.state:
        case OrderState.PENDING:
            return await give_up(tx, order, now=now)
        case OrderState.CANCELLED:
            return order
        case _:
            raise OrderNotOpen(order.state)


async def cancel_overdue(tx: Transaction, *, now: datetime) -> int:
    """Cancel the one order that has been overdue for longest; 0 where none is.

    One in a transaction, locked like all (`orders`): with a second the product of that one would
    come after the accounts of the first, and wait for who takes a piece of it and wants those.
    """
    order_id = await tx.one(orders.longest_overdue, before=now - payments.OVERDUE_AFTER)
    if order_id is None:
        return 0
    held = await orders.hold(tx, order_id)
    if held.order.state is OrderState.PENDING:  # neither paid nor given up meanwhile
        await give_up(tx, held.order, now=now)
    return 1


async def give_up(tx: Transaction, order: Order, *, now: datetime) -> Order:
    """Cancel a locked order that waits, and have its provider take no money for it."""
    payment = await payments.of_order(tx, purpose=PaymentPurpose.ORDER, order_id=order.id)
    if payment is not None:
        await payments.close(tx, payment=payment, now=now)
    return await end(tx, order, now=now)


async def end(tx: Transaction, order: Order, *, now: datetime) -> Order:
    """Cancel a locked order that waits; what it held is there for others again."""
    ended = await tx.changed(orders.cancel_it, order_id=order.id, new_ended_at=now)
    assert ended == 1, "an order moved under its lock"
    await PRODUCTS[order.kind].release(tx, order, now=now)
    return changed_copy(order, state=OrderState.CANCELLED, ended_at=now)


async def refund(
    tx: Transaction,
    actor: Actor,
    *,
    order_id: UUID,
    wish: Wish,
    request_key: str,
    now: datetime,
) -> Refunded:
    """Take back what was delivered, and pay back what the product says (TOP-7, GFT-5, BEN-8).

    The original route is the provider's, after the commit. Raises `OrderNotFound`,
    `OrderNotRefundable`, `NoOriginalRoute`, `PaymentMethodUnknown`, `RequestKeyReused`, and the
    refusals of the product.
    """
    reason = checked_text("reason", wish.reason, at_most=REASON_CHARS_MAX)
    place = await _require_may_refund(tx, actor, order_id)
    claim = await requests.claim(
        tx, _request(actor, "orderRefund", order_id, wish, request_key), now=now
    )
    if claim.is_replay:
        return Refunded(await orders.existing(tx, order_id), is_replay=True)
    held = await orders.hold(tx, order_id)
    if held.order.state is not OrderState.PAID:
        raise OrderNotRefundable(held.order.state)
    order = await refund_held(tx, held, wish=wish, reason=reason, now=now)
    await audit.record(
        tx, actor, "order.refund", object_kind="order", object_id=order.id, node_id=place.id,
        now=now, kind=order.kind, amount=order.refunded_amount, route=wish.route,
        method=wish.method_code, reason=reason,
    )  # fmt: skip
    return Refunded(order, is_replay=False)


async def refund_held(
    tx: Transaction, held: Held, *, wish: Wish, reason: str, now: datetime
) -> Order:
    """Refund a locked, paid order; whoever calls has asked for the right and writes it down."""
    order = held.order
    payment, method_id = None, None
    if wish.method_code is not None:
        method = await payment_methods.of_code(tx, group_id=order.group_id, code=wish.method_code)
        method_id = method.id
    elif order.amount:
        payment = await payments.of_order(tx, purpose=PaymentPurpose.ORDER, order_id=order.id)
        if payment is None or payment.status is not PaymentStatus.PAID:
            raise payments.NoOriginalRoute
    amount = await PRODUCTS[order.kind].take_back(tx, held, route=wish.route, now=now)
    assert 0 <= amount <= order.amount, "more goes back than was paid"
    if payment is not None and amount:
        await payments.send_back(tx, payment=payment, reason=reason, amount=amount, now=now)
    refunded = {
        "refund_route": wish.route,
        "refunded_amount": amount,
        "refund_method_id": method_id,
        "refund_reason": reason,
        "ended_at": now,
    }
    marked = await tx.changed(
        refund_it,
        order_id=order.id,
        new_route=wish.route,
        new_amount=amount,
        new_method_id=method_id,
        new_reason=reason,
        new_ended_at=now,
    )
    assert marked == 1, "an order moved under its lock"
    return changed_copy(order, state=OrderState.REFUNDED, **refunded)


async def refund_again(
    tx: Transaction,
    actor: Actor,
    *,
    order_id: UUID,
    wish: Wish,
    request_key: str,
    now: datetime,
) -> Refunded:
    """A provider would not send a refund: ask it again, or pay it out at the counter.

    Raises `OrderNotFound`, `RefundNotFailed`, `PaymentMethodUnknown`, `RequestKeyReused`.
    """
    reason = checked_text("reason", wish.reason, at_most=REASON_CHARS_MAX)
    place = await _require_may_refund(tx, actor, order_id)
    claim = await requests.claim(
        tx, _request(actor, "orderRefundAgain", order_id, wish, request_key), now=now
    )
    if claim.is_replay:
        return Refunded(await orders.existing(tx, order_id), is_replay=True)
    order = (await orders.hold(tx, order_id)).order
    payment = await payments.of_order(tx, purpose=PaymentPurpose.ORDER, order_id=order.id)
    failed = None if payment is None else await _failed_refund(tx, payment)
    if failed is None or order.refund_route is not RefundRoute.ORIGINAL:
        raise RefundNotFailed
    assert payment is not None
    if wish.method_code is None:
        await payments.send_back(tx, payment=payment, reason=reason, now=now)
    else:
        method = await payment_methods.of_code(tx, group_id=order.group_id, code=wish.method_code)
        await tx.changed(pay_out_instead, order_id=order.id, new_method_id=method.id)
        order = changed_copy(order, refund_route=RefundRoute.OFFLINE, refund_method_id=method.id)
    await audit.record(
        tx, actor, "order.refund_again", object_kind="order", object_id=order.id,
        node_id=place.id, now=now, amount=order.refunded_amount, route=wish.route,
        method=wish.method_code, reason=reason,
    )  # fmt: skip
    return Refunded(order, is_replay=False)


async def did_not_go_back(
    tx: Transaction, held: Held, *, refund: PaymentRefund, why: str, now: datetime
) -> None:
    """The provider will not send the money back: staff find it on record (`refund_again`).

    What was taken back is not given again: it may be somebody else's by now.
    """
    await _record(tx, held.order, "order.refund_failed", refund, now, why=why)


async def went_back_after_all(
    tx: Transaction, held: Held, *, refund: PaymentRefund, now: datetime
) -> None:
    """A refund that had failed succeeded in the end. Where it was paid out at the counter
    meanwhile, somebody has to ask for it back: that is on record."""
    order = held.order
    await _record(tx, order, "order.refund_succeeded", refund, now, was=order.refund_route)


async def _require_may_refund(tx: Transaction, actor: Actor, order_id: UUID) -> Node:
    """Where the order belongs; raises `OrderNotFound`, `Forbidden`."""
    order = await tx.one(orders.by_id, order_id=order_id)
    if order is None or order.group_id != actor.group_id:
        raise OrderNotFound
    place = await orders.home(tx, order)
    actor.require(REFUND_NEEDS[order.kind], place)
    return place


def _request(
    actor: Actor, operation: str, order_id: UUID, wish: Wish, key: str
) -> requests.Request:
    return requests.Request(
        principal_id=actor.id,
        operation=operation,
        key=key,
        input={
            "order": order_id,
            "route": wish.route,
            "method": wish.method_code,
            "reason": wish.reason,
        },
    )


async def _failed_refund(tx: Transaction, payment: Payment) -> PaymentRefund | None:
    refund = (await payments.refunds_by_payment(tx, [payment.id])).get(payment.id)
    is_failed = refund is not None and refund.status is PaymentRefundStatus.FAILED
    return refund if is_failed else None


async def _record(
    tx: Transaction, order: Order, action: str, refund: PaymentRefund, now: datetime, **more: Any
) -> None:
    place = await orders.home(tx, order)
    await audit.record(
        tx, audit.system(order.group_id), action, object_kind="order", object_id=order.id,
        node_id=place.id, now=now, kind=order.kind, amount=refund.amount, **more,
    )  # fmt: skip
