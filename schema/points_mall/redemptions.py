"""Redemptions: ordered, handed over, shipped, called off (MAL-2, MAL-3)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.crypto import masked_name, masked_phone
from app.core.ids import parse_type_id
from app.models import points_mall as rows
from app.models.points_mall import FulfilmentState, FulfilmentWay
from app.models.sessions import PrincipalKind
from app.services import mall_returns, points_mall
from app.services.points_mall import fulfilling, redeeming
from schema.card_status import CardNotFound, CardNotUsable
from schema.compliance import (
    CardCapReached,
    DayLimitReached,
    OrderTooLarge,
    RealNameNeeded,
)
from schema.context import Info
from schema.enums import describe
from schema.files import Image
from schema.gift_cards.problems import GiftCardNotRefundable, GiftCardNotWhole
from schema.ledger import BalanceTooLarge
from schema.orders import (
    MethodCannotPay,
    Order,
    OrderNotRefundable,
    OrderPlaced,
    TooManyOpenOrders,
)
from schema.organisation import Node, NodeNotFound, TerminalNotFound
from schema.packages.owned import PackageOver, RenewedAlready, VoucherUsed
from schema.payments import PayerUnknown, PaymentScene, PaymentUnavailable
from schema.points_mall.items import (
    MallItemLimitReached,
    MallItemNotFound,
    MallItemSoldOut,
    MallItemUnlisted,
    MallPriceChanged,
    PaymentNeeded,
    images,
    item_id_of,
)
from schema.points_rules import PointsBlocked
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import Long, MoneyInput
from schema.schemes import NotAtThisStore
from schema.scopes import NotAvailable
from schema.spendings import NotEnoughPoints
from schema.verification_codes import TargetInvalid

describe(
    FulfilmentWay,
    "How a redeemed thing reaches its member.",
    {"PICK_UP": "They fetch it at a store.", "SHIPPING": "It is sent to them."},
)
describe(
    FulfilmentState,
    "Where a redeemed thing is.",
    {
        "UNPAID": "Held back until its order is paid.",
        "WAITING": "It has yet to be laid ready or sent.",
        "READY": "It lies ready at the store.",
        "SHIPPED": "On its way.",
        "PICKED_UP": "Handed over.",
        "DELIVERED": "It arrived.",
        "CANCELLED": "Called off, or never paid.",
    },
)
_REQUEST_KEY = "1 to 64 characters the page makes up: sent again, it answers the same."


@strawberry.type(description="Who gets a parcel, and where.")
class MallRecipient:
    name: str = strawberry.field(description="Their name; masked for staff.")
    phone: str = strawberry.field(description="Their phone number; masked for staff.")
    address: str | None = strawberry.field(
        description="Where; null for staff, who ask `mallOrderShowRecipient` for it."
    )

    @classmethod
    def whole(cls, recipient: points_mall.Recipient) -> Self:
        return cls(name=recipient.name, phone=recipient.phone, address=recipient.address)

    @classmethod
    def masked(cls, recipient: points_mall.Recipient) -> Self:
        return cls(
            name=masked_name(recipient.name), phone=masked_phone(recipient.phone), address=None
        )


@strawberry.type(description="How a redeemed thing reaches its member.")
class MallFulfilment:
    way: FulfilmentWay = strawberry.field(description="Over a counter, or by post.")
    state: FulfilmentState = strawberry.field(description="Where it is.")
    carrier: str | None = strawberry.field(description="Who carries the parcel.")
    tracking_number: str | None = strawberry.field(description="What the carrier calls it.")
    ready_at: datetime | None = strawberry.field(description="Since when it lies ready.")
    shipped_at: datetime | None = strawberry.field(description="When it was sent last.")
    ended_at: datetime | None = strawberry.field(
        description="When it reached its member, or was called off."
    )
    row: strawberry.Private[rows.Fulfilment]

    @classmethod
    def of(cls, row: rows.Fulfilment) -> Self:
        return cls(
            way=row.way,
            state=row.state,
            carrier=row.carrier,
            tracking_number=row.tracking_number,
            ready_at=row.ready_at,
            shipped_at=row.shipped_at,
            ended_at=row.ended_at,
            row=row,
        )

    @strawberry.field(description="Where it is picked up; null for a parcel.")
    async def store(self, info: Info) -> Node | None:
        if self.row.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.store_id))

    @strawberry.field(
        description="What the member says at the store, 10 digits, once it is paid; null when it"
        " was used, for a parcel, and for everybody but the member."
    )
    def pick_up_code(self, info: Info) -> str | None:
        is_paid = self.row.state is not FulfilmentState.UNPAID
        return self.row.pick_up_code if is_paid and _is_member(info) else None

    @strawberry.field(
        description="Who gets the parcel; null at a store, and where nobody needs to know it any"
        " more."
    )
    def recipient(self, info: Info) -> MallRecipient | None:
        if self.row.recipient is None:
            return None
        recipient = points_mall.Recipient.of(self.row.recipient)
        if _is_member(info):
            return MallRecipient.whole(recipient)
        return MallRecipient.masked(recipient)


def _is_member(info: Info) -> bool:
    principal = info.context.principal
    return principal is not None and principal.kind is PrincipalKind.MEMBER


@strawberry.type(description="What a member redeemed in the mall.")
class MallOrder:
    order: Order = strawberry.field(description="Its order: what it cost, and where that stands.")
    item_id: strawberry.ID = strawberry.field(description="The item, `mall_…`.")
    fulfilment: MallFulfilment | None = strawberry.field(
        description="How the thing reaches the member; null for what was there at once."
    )

    @classmethod
    def of(cls, found: points_mall.Redemption) -> Self:
        order, fulfilment = found
        return cls(
            order=Order.of(order),
            item_id=item_id_of(order.product_id),
            fulfilment=None if fulfilment is None else MallFulfilment.of(fulfilment),
        )

    @strawberry.field(description="The item's pictures when it was redeemed, the cover first.")
    async def images(self, info: Info) -> list[Image]:
        return await images(info, self.order.row.terms["file_ids"])


@strawberry.type(description="The redemption is called off: points, pieces and money come back.")
class MallOrderCancelled:
    mall_order: MallOrder = strawberry.field(description="The redemption.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had called it off."
    )

    @classmethod
    def of(cls, cancelled: mall_returns.Cancelled) -> Self:
        return cls(mall_order=MallOrder.of(cancelled.redemption), replayed=cancelled.is_replay)


@strawberry.type(description="There is no such redemption, or it is somebody else's.")
class MallOrderNotFound(Problem): ...


@strawberry.type(description="In this state, or in this way, that cannot be done with it.")
class FulfilmentNotOpen(Problem):
    fulfilment_state: FulfilmentState = strawberry.field(description="Where it is.")
    way: FulfilmentWay = strawberry.field(description="How it reaches the member.")

    @classmethod
    def of(cls, error: points_mall.FulfilmentNotOpen) -> Self:
        return cls(message=str(error), fulfilment_state=error.state, way=error.way)


@strawberry.type(description="What was redeemed was there at once, and only staff take it back.")
class RedemptionDelivered(Problem): ...


@strawberry.type(description="What the redemption brought was used, or a part of it.")
class RedemptionUsed(Problem):
    used: int = strawberry.field(description="How many of its coupons.")

    @classmethod
    def of(cls, error: points_mall.RedemptionUsed) -> Self:
        return cls(message=str(error), used=error.used)


@strawberry.type(
    description="The code picks nothing up here: unknown, used, of another store or not paid."
)
class PickUpCodeRefused(Problem): ...


@strawberry.input(description="Where a parcel goes.")
class MallRecipientInput:
    name: str = strawberry.field(
        description=f"Who gets it, 1 to {fulfilling.NAME_CHARS_MAX} characters."
    )
    phone: str = strawberry.field(description="Their number, best with its country code (+86 …).")
    address: str = strawberry.field(
        description=f"Where, 1 to {fulfilling.ADDRESS_CHARS_MAX} characters."
    )

    def value(self) -> points_mall.Recipient:
        return points_mall.Recipient(name=self.name, phone=self.phone, address=self.address)


@strawberry.input(description="How to pay what an item costs in money.")
class MallPaymentInput:
    provider: str = strawberry.field(description="A name of `paymentProviders`.")
    scene: PaymentScene = strawberry.field(description="One of its scenes.")
    return_url: str = strawberry.field(
        description="Where the provider's page leads afterwards, paid or not: a path of ours, or a"
        " page of an allowed origin."
    )


@strawberry.input(description="What to redeem, and how it shall reach the member.")
class MallOrderInput:
    card_id: strawberry.ID = strawberry.field(description="Whose points, `card_…`.")
    item_id: strawberry.ID = strawberry.field(description="The item, `mall_…`.")
    quantity: int = strawberry.field(
        default=1, description=f"How many pieces, 1 to {redeeming.QUANTITY_MAX}."
    )
    price_points: Long = strawberry.field(
        description="The points of one piece as the member saw them."
    )
    price: MoneyInput | None = strawberry.field(
        default=None, description="The money of one piece as they saw it; null is none."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="PHYSICAL: the store to pick it up at, `node_…`. Otherwise at which store, for"
        " items of certain stores.",
    )
    recipient: MallRecipientInput | None = strawberry.field(
        default=None, description="PHYSICAL: to whom to ship it."
    )
    payment: MallPaymentInput | None = strawberry.field(
        default=None, description="Needed for what costs money too."
    )
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def wish(self) -> points_mall.Wish:
        """What is redeemed; raises `BadInput`."""
        store_id = self.store_id
        return points_mall.Wish(
            card_id=parse_type_id("card", self.card_id),
            item_id=parse_type_id("mall", self.item_id),
            quantity=self.quantity,
            price_points=self.price_points,
            price=None if self.price is None else self.price.value(),
            store_id=None if store_id is None else parse_type_id("node", store_id),
            recipient=None if self.recipient is None else self.recipient.value(),
        )


@strawberry.input(description="A redemption to call off before it is handed over or sent.")
class MallOrderCancelInput:
    id: strawberry.ID = strawberry.field(description="Its order, `ord_…`.")


@strawberry.input(description="A redemption to call off.")
class MallOrderCancelByStaffInput:
    id: strawberry.ID = strawberry.field(description="Its order, `ord_…`.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; the member sees it.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


@strawberry.input(description="A thing that lies ready at its store.")
class MallOrderMarkReadyInput:
    id: strawberry.ID = strawberry.field(description="Its order, `ord_…`.")


@strawberry.input(description="A parcel that is on its way; said again, it corrects the rest.")
class MallOrderShipInput:
    id: strawberry.ID = strawberry.field(description="Its order, `ord_…`.")
    carrier: str = strawberry.field(
        description=f"Who carries it, 1 to {fulfilling.CARRIER_CHARS_MAX} characters."
    )
    tracking_number: str = strawberry.field(
        description=f"What the carrier calls it, 1 to {fulfilling.TRACKING_CHARS_MAX} characters."
    )


@strawberry.input(description="A parcel that arrived.")
class MallOrderMarkDeliveredInput:
    id: strawberry.ID = strawberry.field(description="Its order, `ord_…`.")


@strawberry.input(description="A pick-up code that a member shows at a store.")
class MallOrderHandOverInput:
    terminal_id: strawberry.ID = strawberry.field(description="At which till, `term_…`.")
    code: str = strawberry.field(description="10 digits; blanks do not matter.")


@strawberry.input(description="Whose address to show: that somebody looked is recorded.")
class MallOrderShowRecipientInput:
    id: strawberry.ID = strawberry.field(description="The order, `ord_…`.")


MallOrderResult = Annotated[
    OrderPlaced
    | CardNotFound
    | CardNotUsable
    | NodeNotFound
    | NotAtThisStore
    | MallItemNotFound
    | MallItemUnlisted
    | MallItemSoldOut
    | MallItemLimitReached
    | MallPriceChanged
    | NotAvailable
    | NotEnoughPoints
    | PointsBlocked
    | PaymentNeeded
    | TargetInvalid
    | CardCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | TooManyOpenOrders
    | MethodCannotPay
    | PayerUnknown
    | PaymentUnavailable
    | RequestKeyReused,
    strawberry.union("MallOrderResult", description="The order, or why there is none."),
]
MallOrderCancelResult = Annotated[
    MallOrder | MallOrderNotFound | FulfilmentNotOpen | RedemptionDelivered | BalanceTooLarge,
    strawberry.union(
        "MallOrderCancelResult", description="The redemption as it is now, or why not."
    ),
]
MallOrderCancelByStaffResult = Annotated[
    MallOrderCancelled
    | MallOrderNotFound
    | FulfilmentNotOpen
    | RedemptionUsed
    | VoucherUsed
    | PackageOver
    | RenewedAlready
    | GiftCardNotRefundable
    | GiftCardNotWhole
    | OrderNotRefundable
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union(
        "MallOrderCancelByStaffResult", description="The redemption as it is now, or why not."
    ),
]
MallOrderFulfilResult = Annotated[
    MallOrder | MallOrderNotFound | FulfilmentNotOpen,
    strawberry.union(
        "MallOrderFulfilResult", description="The redemption as it is now, or why not."
    ),
]
MallOrderHandOverResult = Annotated[
    MallOrder | TerminalNotFound | PickUpCodeRefused,
    strawberry.union("MallOrderHandOverResult", description="What is handed over, or why nothing."),
]
MallOrderShowRecipientResult = Annotated[
    MallRecipient | MallOrderNotFound,
    strawberry.union(
        "MallOrderShowRecipientResult", description="The address, or why there is none."
    ),
]


HANDLERS = [
    shown_as(MallOrderNotFound, points_mall.MallOrderNotFound),
    shown_as(FulfilmentNotOpen, points_mall.FulfilmentNotOpen),
    shown_as(RedemptionDelivered, points_mall.RedemptionDelivered),
    shown_as(RedemptionUsed, points_mall.RedemptionUsed),
    shown_as(PickUpCodeRefused, points_mall.PickUpCodeRefused),
]
