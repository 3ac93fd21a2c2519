"""Redemptions that are called off: points, pieces and money come back (MAL-3).

Above `shop`, which knows how an order's money goes back.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.core.db import Transaction
from app.core.texts import checked_text
from app.models.orders import Order, OrderKind, OrderState
from app.models.payments import RefundRoute
from app.models.staff import Permission
from app.services import audit, members, orders, requests, shop
from app.services.actors import Actor
from app.services.members import Bearer
from app.services.points_mall import MallOrderNotFound, Redemption, fulfilling, listing

REASON_BY_MEMBER = "The member called it off."


class Cancelled(NamedTuple):
    """A redemption that was called off."""

    redemption: Redemption
    is_replay: bool


async def cancel_own(
    tx: Transaction, *, bearer: Bearer, order_id: UUID, now: datetime
) -> Redemption:
    """A member calls off what they have not got yet; one called off before is the answer (MAL-3).

    Raises `MallOrderNotFound`, `FulfilmentNotOpen`, `RedemptionDelivered`.
    """
    member = await members.acting(tx, bearer, now=now)
    order = (await orders.by_ids(tx, [order_id])).get(order_id)
    if order is None or order.kind is not OrderKind.MALL:
        raise MallOrderNotFound
    if (await members.living(tx, order.member_id)).id != member.id:
        raise MallOrderNotFound
    held = await orders.hold(tx, order.id)
    match held.order.state:
        case OrderState.PENDING:
            order = await shop.give_up(tx, held.order, now=now)
        case OrderState.PAID:
            await fulfilling.require_with_us(tx, held.order)
            wish = shop.Wish(route=RefundRoute.ORIGINAL, reason=REASON_BY_MEMBER)
            order = await shop.refund_held(tx, held, wish=wish, reason=wish.reason, now=now)
        case _:
            order = held.order
    return await listing.of_order(tx, order)


async def cancel(
    tx: Transaction,
    actor: Actor,
    *,
    order_id: UUID,
    reason: str,
    request_key: str,
    now: datetime,
) -> Cancelled:
    """Staff call off what cannot be delivered, a parcel that came back included (MAL-3).

    Raises `MallOrderNotFound`, `FulfilmentNotOpen`, `RedemptionUsed`, `OrderNotRefundable`,
    `BalanceTooLarge`, `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=shop.REASON_CHARS_MAX)
    order = await _for(tx, actor, order_id)
    request = requests.Request(
        principal_id=actor.id,
        operation="mallOrderCancel",
        key=request_key,
        input={"order": order_id, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Cancelled(await listing.of_order(tx, order), is_replay=True)
    held = await orders.hold(tx, order.id)
    if held.order.state is OrderState.PENDING:
        order = await shop.give_up(tx, held.order, now=now)
    elif held.order.state is OrderState.PAID:
        wish = shop.Wish(route=RefundRoute.ORIGINAL, reason=reason)
        order = await shop.refund_held(tx, held, wish=wish, reason=reason, now=now)
    else:
        raise shop.OrderNotRefundable(held.order.state)
    await audit.record(
        tx, actor, "mall_order.cancel", object_kind="order", object_id=order.id,
        node_id=order.store_id or order.perspective_id, now=now, points=order.points,
        amount=order.amount, reason=reason,
    )  # fmt: skip
    return Cancelled(await listing.of_order(tx, order), is_replay=False)


async def _for(tx: Transaction, actor: Actor, order_id: UUID) -> Order:
    """An order of the mall that the actor may see to; raises `MallOrderNotFound`."""
    order = (await orders.by_ids(tx, [order_id])).get(order_id)
    if order is None or order.group_id != actor.group_id or order.kind is not OrderKind.MALL:
        raise MallOrderNotFound
    actor.require(Permission.MALL_FULFIL, await orders.home(tx, order))
    return order
