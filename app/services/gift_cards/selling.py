"""What an order of gift cards means: delivered when paid, taken back as GFT-5 allows."""

from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.models.orders import Order
from app.models.payments import RefundRoute
from app.models.sessions import PrincipalKind
from app.services.gift_cards import buying, gifts, holding, issuing, keeping, products
from app.services.orders import Held


async def deliver(tx: Transaction, order: Order, *, now: datetime) -> None:
    """Make the cards that were paid for; the buyer holds them, or they wait to be claimed.

    Nothing stands in the way of that: what was ordered is sold, whatever its product is by now.
    """
    product = await products.of_group(tx, group_id=order.group_id, product_id=order.product_id)
    terms = order.terms
    sale = issuing.Sale(
        face=terms["face"],
        cash=terms["price"],
        terms=terms["card"],
        scope_id=UUID(terms["scope_id"]),
        design=terms["design"],
        actor_kind=PrincipalKind.MEMBER,
        actor_id=order.member_id,
        holder_id=None if terms["is_gift"] else order.member_id,
        order_id=order.id,
        store_id=order.store_id,
        payment_method_id=order.payment_method_id,
    )
    made = await issuing.issue(tx, product=product, sale=sale, how_many=order.quantity, now=now)
    if not terms["is_gift"]:
        return
    buyer = await tx.one(buying.buyer_of_order, order_id=order.id)
    assert buyer is not None, "it was written down with its order"
    wanted = terms["deliver_at"]
    await gifts.wrap(
        tx,
        cards=made,
        buyer=buyer,
        buyer_id=order.member_id,
        deliver_at=now if wanted is None else max(now, datetime.fromisoformat(wanted)),
        claim_days=terms["card"]["claim_days"],
        now=now,
    )


async def release(tx: Transaction, order: Order, *, now: datetime) -> None:
    """Nothing waits for an order of gift cards: they are made when it is paid."""


async def take_back(tx: Transaction, held: Held, *, route: RefundRoute, now: datetime) -> int:
    """Close the order's cards; what is left of their cash goes back (GFT-5).

    By the original route only whole ones. Raises `GiftCardNotRefundable`, `GiftCardNotWhole`.
    """
    order = held.order
    cards = await tx.all(holding.lock_of_order, order_id=order.id)
    paid_back = 0
    for card in cards:
        left = await keeping.close(
            tx,
            card,
            must_be_whole=route is RefundRoute.ORIGINAL,
            cause_id=card.id,
            actor_kind=PrincipalKind.SYSTEM,
            actor_id=None,
            method_id=None,
            reason=None,
            now=now,
        )
        if left > card.cash:
            # Recharged at a till: this order does not pay back what it did not bring.
            raise keeping.GiftCardNotWhole
        paid_back += left
    return paid_back
