"""What an order of coupon packs brings, and what giving it back takes (CPN-7)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Transaction, statement
from app.core.errors import BadInput, DomainError
from app.models.coupons import CouponPackSale
from app.models.orders import Order
from app.models.payments import RefundRoute
from app.services import cards, members
from app.services.coupons import giving
from app.services.coupons.giving import COUPONS_AT_ONCE_MAX, Gift, Portion
from app.services.orders import Held

CAUSE = "COUPON_PACK_ORDER"

give_stock_back = statement(
    update(CouponPackSale)
    .where(col(CouponPackSale.id) == bindparam("sale_id"))
    .values(stock_left=col(CouponPackSale.stock_left) + bindparam("quantity"))
)


class PackCouponsUsed(DomainError):
    """Some of what the order brought is used, held by a bill, or in a friend's hands (CPN-7)."""

    def __init__(self, used: int) -> None:
        self.used = used
        super().__init__("Coupons of this pack were used already, so it cannot be given back.")


async def promised(tx: Transaction, gift: Gift, *, is_of_stock: bool) -> dict[str, Any]:
    """What is in the packs now, as their order keeps it; raises `BadInput` for too many."""
    portions = await giving.portions_of(tx, [gift])
    if sum(portion.number for portion in portions) > COUPONS_AT_ONCE_MAX:
        raise BadInput(f"At most {COUPONS_AT_ONCE_MAX} coupons can be bought at once.")
    return {
        "pack": str(gift.pack_id),
        "is_of_stock": is_of_stock,
        "coupons": [[str(portion.template.id), portion.number] for portion in portions],
    }


async def deliver(tx: Transaction, order: Order, *, now: datetime) -> None:
    """Issue what the order was promised, once, whatever became of the pack meanwhile; and the cards
    that buying this pack opens (CRD-9), which stay when it is given back."""
    member = await members.living(tx, order.member_id)
    numbers = {UUID(template_id): number for template_id, number in order.terms["coupons"]}
    found = await giving.templates_by_ids(tx, numbers)
    pack_id = UUID(order.terms["pack"])
    await giving.give_portions(
        tx,
        member=member,
        portions=[
            Portion(found[template_id], pack_id, number) for template_id, number in numbers.items()
        ],
        cause_kind=CAUSE,
        cause_id=order.id,
        group_id=order.group_id,
        store_id=order.store_id,
        now=now,
    )
    await cards.open_by_pack(tx, member=member, pack_id=pack_id, store_id=order.store_id, now=now)


async def release(tx: Transaction, order: Order, *, now: datetime) -> None:
    """Nobody paid: the packs are there for others again."""
    await _return_stock(tx, order)


async def take_back(tx: Transaction, held: Held, *, route: RefundRoute, now: datetime) -> int:
    """Withdraw all the order brought, and pay all of it back; raises `PackCouponsUsed`."""
    order = held.order
    brought = await giving.locked_of_cause(tx, cause_kind=CAUSE, cause_id=order.id)
    used = sum(giving.is_spent(each, now) for each in brought)
    if used:
        raise PackCouponsUsed(used)
    await giving.take_back(tx, cause_kind=CAUSE, cause_id=order.id, now=now)
    await _return_stock(tx, order)
    return order.amount


async def _return_stock(tx: Transaction, order: Order) -> None:
    """The packs are there for others again. A sale without end when they were ordered gave nothing
    of the stock that was set since."""
    if order.terms.get("is_of_stock", True):
        await tx.changed(give_stock_back, sale_id=order.product_id, quantity=order.quantity)
