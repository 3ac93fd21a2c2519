"""Orders of coupon packs, packages, gift cards and the mall's gifts (TOP-7)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.gateways.payments.protocol import Prepared
from app.models import orders as rows
from app.models.orders import OrderKind, OrderState
from app.models.scopes import Channel
from app.services import orders, shop
from app.services.payments import Placed
from schema.context import Info
from schema.enums import describe
from schema.organisation import Node
from schema.payment_methods import PaymentMethod, PaymentMethodUnknown, checked_method_code
from schema.payments import (
    NoOriginalRoute,
    PayerUnknown,
    PaymentPrepared,
    PaymentUnavailable,
    ProviderPayment,
    RefundRoute,
)
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import Long, Money

__all__ = [
    "HANDLERS",
    "MethodCannotPay",
    "NoOriginalRoute",
    "Order",
    "OrderCancelInput",
    "OrderCancelResult",
    "OrderKind",
    "OrderNotFound",
    "OrderNotOpen",
    "OrderNotRefundable",
    "OrderPlaced",
    "OrderRefundAgainResult",
    "OrderRefundInput",
    "OrderRefunded",
    "OrderSold",
    "OrderState",
    "PayerUnknown",
    "PaymentUnavailable",
    "TooManyOpenOrders",
    "Undeliverable",
]

describe(
    OrderKind,
    "What was bought.",
    {
        "COUPON_PACK": "A pack of coupons.",
        "PACKAGE": "A paid package of benefits.",
        "GIFT_CARD": "Gift cards.",
        "MALL": "Something of the points mall.",
    },
)
describe(
    OrderState,
    "Where an order stands.",
    {
        "PENDING": "It waits to be paid.",
        "PAID": "It was paid and delivered.",
        "CANCELLED": "It was given up or never paid in time, or its money went back.",
        "REFUNDED": "What it brought was taken back.",
    },
)


@strawberry.type(description="An order's payment through a provider.")
class OrderPayment(ProviderPayment): ...


@strawberry.type(description="What a member ordered of one product.")
class Order:
    id: strawberry.ID = strawberry.field(description="Its id, `ord_…`.")
    kind: OrderKind = strawberry.field(description="What was bought.")
    title: str = strawberry.field(description="What the product was called then.")
    quantity: int = strawberry.field(description="How many of it.")
    channel: Channel = strawberry.field(description="Where it was ordered.")
    state: OrderState = strawberry.field(description="Where it stands.")
    amount: Money = strawberry.field(description="What it costs in money, for all of it.")
    points: Long = strawberry.field(description="The points it costs besides.")
    created_at: datetime = strawberry.field(description="When it was made.")
    expires_at: datetime | None = strawberry.field(
        description="Until when it can be paid online; null if it was paid at once."
    )
    paid_at: datetime | None = strawberry.field(description="When it was paid and delivered.")
    ended_at: datetime | None = strawberry.field(description="When it was cancelled or refunded.")
    refund_route: RefundRoute | None = strawberry.field(description="How its money went back.")
    refund_reason: str | None = strawberry.field(
        description="Why it was refunded, as staff wrote it; the member sees it."
    )
    row: strawberry.Private[rows.Order]

    @classmethod
    def of(cls, row: rows.Order) -> Self:
        return cls(
            id=strawberry.ID(type_id("ord", row.id)),
            kind=row.kind,
            title=row.title,
            quantity=row.quantity,
            channel=row.channel,
            state=row.state,
            amount=Money.of(row.amount, row.currency),
            points=Long(row.points),
            created_at=row.created_at,
            expires_at=row.expires_at,
            paid_at=row.paid_at,
            ended_at=row.ended_at,
            refund_route=row.refund_route,
            refund_reason=row.refund_reason,
            row=row,
        )

    @strawberry.field(description="The card it was made for, `card_…`; null if for none.")
    def card_id(self) -> strawberry.ID | None:
        return None if self.row.card_id is None else _shown("card", self.row.card_id)

    @strawberry.field(description="Who ordered it, `mem_…`; that may have been merged since.")
    def member_id(self) -> strawberry.ID:
        return _shown("mem", self.row.member_id)

    @strawberry.field(description="How much of its money went back; null if it was not refunded.")
    def refunded_amount(self) -> Money | None:
        amount = self.row.refunded_amount
        return None if amount is None else Money.of(amount, self.row.currency)

    @strawberry.field(description="At which store; null if at none.")
    async def store(self, info: Info) -> Node | None:
        if self.row.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.store_id))

    @strawberry.field(description="How it was paid; null where the group has no method for that.")
    async def method(self, info: Info) -> PaymentMethod | None:
        return await PaymentMethod.load(info, self.row.payment_method_id)

    @strawberry.field(description="How an offline refund was paid out; null otherwise.")
    async def refund_method(self, info: Info) -> PaymentMethod | None:
        return await PaymentMethod.load(info, self.row.refund_method_id)

    @strawberry.field(description="Its payment through a provider; null if there is none.")
    async def payment(self, info: Info) -> OrderPayment | None:
        found = await info.context.loaders.order_payment.load(self.row.id)
        return None if found is None else OrderPayment.of(found)


def _shown(prefix: str, row_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id(prefix, row_id))


@strawberry.type(description="The order stands; what costs money can be paid for 15 minutes.")
class OrderPlaced:
    order: Order = strawberry.field(description="The order.")
    payment: PaymentPrepared | None = strawberry.field(
        description="How to pay; null where nothing is left to be paid."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had made it."
    )

    @classmethod
    def of(cls, placed: Placed[rows.Order], prepared: Prepared | None) -> Self:
        return cls(
            order=Order.of(placed.order),
            payment=PaymentPrepared.of_placed(placed.payment, prepared),
            replayed=placed.is_replay,
        )


@strawberry.type(description="The order was paid at the till and delivered.")
class OrderSold:
    order: Order = strawberry.field(description="The order.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had sold it."
    )

    @classmethod
    def of(cls, sold: orders.Sold) -> Self:
        return cls(order=Order.of(sold.order), replayed=sold.is_replay)


@strawberry.type(description="What the order brought was taken back.")
class OrderRefunded:
    order: Order = strawberry.field(
        description="The order; its payment says whether the money has arrived."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had refunded it."
    )

    @classmethod
    def of(cls, refunded: shop.Refunded) -> Self:
        return cls(order=Order.of(refunded.order), replayed=refunded.is_replay)


@strawberry.type(description="There is no such order, or it is somebody else's.")
class OrderNotFound(Problem): ...


@strawberry.type(description="The order does not wait to be paid.")
class OrderNotOpen(Problem):
    state: OrderState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: orders.OrderNotOpen) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="The member has as many unpaid orders as one may have at once.")
class TooManyOpenOrders(Problem): ...


@strawberry.type(description="The payment method cannot buy stored value or gift cards.")
class MethodCannotPay(Problem):
    method_code: str = strawberry.field(description="The method's code.")

    @classmethod
    def of(cls, error: orders.MethodCannotPay) -> Self:
        return cls(message=str(error), method_code=error.method_code)


@strawberry.type(description="What was to be paid for cannot be had any more.")
class Undeliverable(Problem): ...


@strawberry.type(description="Only what was paid can be given back, and once.")
class OrderNotRefundable(Problem):
    state: OrderState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: shop.OrderNotRefundable) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="No refund of the order was refused by its provider.")
class RefundNotFailed(Problem): ...


@strawberry.input(description="An unpaid order to give up.")
class OrderCancelInput:
    id: strawberry.ID = strawberry.field(description="The order, `ord_…`.")


@strawberry.input(description="An order to give back.")
class OrderRefundInput:
    id: strawberry.ID = strawberry.field(description="The order, `ord_…`.")
    route: RefundRoute = strawberry.field(
        description="ORIGINAL only if it was paid through a provider."
    )
    method_code: str | None = strawberry.field(
        default=None, description="OFFLINE: the payment method by which it is paid out."
    )
    reason: str = strawberry.field(description="Why, 1 to 200 characters; the member sees it.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )

    def wish(self) -> shop.Wish:
        """How it shall go back; raises `BadInput`."""
        code = self.method_code
        return shop.Wish(
            route=self.route,
            reason=self.reason,
            method_code=None if code is None else checked_method_code(code),
        )

    def order_id(self) -> UUID:
        return parse_type_id("ord", self.id)


OrderCancelResult = Annotated[
    Order | OrderNotFound | OrderNotOpen,
    strawberry.union("OrderCancelResult", description="The order as it is now, or why not."),
]
OrderRefundAgainResult = Annotated[
    OrderRefunded | OrderNotFound | RefundNotFailed | PaymentMethodUnknown | RequestKeyReused,
    strawberry.union("OrderRefundAgainResult", description="The order as it is now, or why not."),
]

HANDLERS = [
    shown_as(OrderNotFound, orders.OrderNotFound),
    shown_as(OrderNotOpen, orders.OrderNotOpen),
    shown_as(TooManyOpenOrders, orders.TooManyOpenOrders),
    shown_as(MethodCannotPay, orders.MethodCannotPay),
    shown_as(Undeliverable, orders.Undeliverable),
    shown_as(OrderNotRefundable, shop.OrderNotRefundable),
    shown_as(RefundNotFailed, shop.RefundNotFailed),
]
