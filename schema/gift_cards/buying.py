"""What members and tills say to buy gift cards, and what they are answered (GFT-1, GFT-3)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id
from app.gateways.payments.protocol import PaymentScene
from app.services.gift_cards import buying
from schema.compliance import (
    CardCapReached,
    DayLimitReached,
    OrderTooLarge,
    RealNameNeeded,
    TransferNeeded,
)
from schema.gift_cards.cards import OwnGiftCard, SoldGiftCard
from schema.gift_cards.problems import (
    BuyerFieldMissing,
    GiftCardAmountNotOffered,
    GiftCardDesignNotOffered,
    GiftCardNotForSale,
    GiftCardNotFound,
    GiftCardNotOnSale,
    GiftCardProductNotFound,
    GiftCodeRefused,
)
from schema.members import MemberNotFound
from schema.orders import MethodCannotPay, OrderPlaced, TooManyOpenOrders
from schema.organisation import NodeNotFound, TerminalNotFound
from schema.payment_methods import PaymentMethodUnknown
from schema.payments import PayerUnknown, PaymentUnavailable
from schema.requests import RequestKeyReused
from schema.scalars import Long
from schema.scopes import NotAvailable
from schema.verification_codes import TargetInvalid

_REQUEST_KEY = "1 to 64 characters the page makes up: sent again, it answers the same."


@strawberry.input(description="What a buyer says of themselves; what is not asked is not kept.")
class GiftCardBuyerInput:
    name: str | None = strawberry.field(default=None, description="Their name.")
    phone: str | None = strawberry.field(default=None, description="Their phone number.")
    email: str | None = strawberry.field(default=None, description="Their e-mail address.")
    card_number: str | None = strawberry.field(
        default=None, description="The number of their own card; at tills only."
    )

    def buyer(self) -> buying.Buyer:
        return buying.Buyer(
            name=self.name, phone=self.phone, email=self.email, card_number=self.card_number
        )


@strawberry.input(
    description="A gift: each card gets a code, and whoever has it can claim the card."
)
class GiftCardGivingInput:
    greeting: str | None = strawberry.field(
        default=None, description=f"1 to {buying.GREETING_CHARS_MAX} characters that go with it."
    )
    deliver_at: datetime | None = strawberry.field(
        default=None,
        description="From when it can be claimed, within a year; null is as soon as it is paid.",
    )
    receiver_phone: str | None = strawberry.field(
        default=None, description="Whom to tell then, if they are a member."
    )

    def giving(self) -> buying.Giving:
        return buying.Giving(
            greeting=self.greeting, deliver_at=self.deliver_at, receiver_phone=self.receiver_phone
        )


@strawberry.input
class _AnyChoice:
    product_id: strawberry.ID = strawberry.field(description="The product, `gcp_…`.")
    face: Long = strawberry.field(
        description="What each card shall be worth, in minor units: a denomination, or within the"
        " custom amount."
    )
    design: strawberry.ID | None = strawberry.field(
        default=None, description="One of the product's designs; null is the first."
    )
    buyer: GiftCardBuyerInput | None = strawberry.field(
        default=None, description="What the product asks of its buyers."
    )

    def buyer_said(self) -> buying.Buyer:
        return (self.buyer or GiftCardBuyerInput()).buyer()


@strawberry.input(description="Electronic gift cards to order and to pay online.")
class GiftCardOrderInput(_AnyChoice):
    quantity: int = strawberry.field(
        default=1, description=f"How many such cards, 1 to {buying.QUANTITY_MAX}."
    )
    gift: GiftCardGivingInput | None = strawberry.field(
        default=None, description="If they are a gift; null is for oneself."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="At which store, `node_…`, for products of certain stores."
    )
    provider: str = strawberry.field(description="A name of `paymentProviders`.")
    scene: PaymentScene = strawberry.field(description="One of its scenes.")
    return_url: str = strawberry.field(
        description="Where the provider's page leads afterwards, paid or not: a path of ours, or a"
        " page of an allowed origin."
    )
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def choice(self) -> buying.Choice:
        """What is bought; raises `BadInput`."""
        return buying.Choice(
            product_id=parse_type_id("gcp", self.product_id),
            face=self.face,
            quantity=self.quantity,
            design=self.design,
            buyer=self.buyer_said(),
            giving=None if self.gift is None else self.gift.giving(),
        )


@strawberry.input(description="A gift card that is paid at a till.")
class GiftCardSellInput(_AnyChoice):
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    number: str | None = strawberry.field(
        default=None, description="Of the printed card; null for an electronic one."
    )
    member_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Who shall hold it, `mem_…`; a printed card needs nobody, an electronic one"
        " does.",
    )
    method_code: str = strawberry.field(description="The payment method.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def choice(self) -> buying.Choice:
        """What is bought; raises `BadInput`."""
        return buying.Choice(
            product_id=parse_type_id("gcp", self.product_id),
            face=self.face,
            design=self.design,
            buyer=self.buyer_said(),
        )

    def holder_id(self) -> UUID | None:
        return None if self.member_id is None else parse_type_id("mem", self.member_id)


@strawberry.type(description="The card works.")
class GiftCardSold:
    card: SoldGiftCard = strawberry.field(description="The card.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had sold it."
    )

    @classmethod
    def of(cls, sold: buying.Sold) -> Self:
        return cls(card=SoldGiftCard.of(sold.card), replayed=sold.is_replay)


@strawberry.input(description="A gift to claim.")
class GiftCardClaimInput:
    code: str = strawberry.field(description="Its code; blanks, dashes and case do not matter.")


@strawberry.type(description="The card is the member's.")
class GiftCardClaimed:
    card: OwnGiftCard = strawberry.field(description="The card.")
    replayed: bool = strawberry.field(description="Whether they had claimed it before.")


GiftCardOrderResult = Annotated[
    OrderPlaced
    | GiftCardProductNotFound
    | GiftCardNotOnSale
    | NotAvailable
    | GiftCardAmountNotOffered
    | GiftCardDesignNotOffered
    | BuyerFieldMissing
    | TargetInvalid
    | NodeNotFound
    | CardCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | TooManyOpenOrders
    | MethodCannotPay
    | PaymentUnavailable
    | PayerUnknown
    | RequestKeyReused,
    strawberry.union("GiftCardOrderResult", description="The order, or why there is none."),
]
GiftCardSellResult = Annotated[
    GiftCardSold
    | TerminalNotFound
    | MemberNotFound
    | GiftCardNotFound
    | GiftCardNotForSale
    | GiftCardProductNotFound
    | GiftCardNotOnSale
    | NotAvailable
    | GiftCardAmountNotOffered
    | GiftCardDesignNotOffered
    | BuyerFieldMissing
    | TargetInvalid
    | PaymentMethodUnknown
    | MethodCannotPay
    | CardCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | TransferNeeded
    | RequestKeyReused,
    strawberry.union("GiftCardSellResult", description="The card, or why it was not sold."),
]
GiftCardClaimResult = Annotated[
    GiftCardClaimed | GiftCodeRefused,
    strawberry.union("GiftCardClaimResult", description="The card, or that there is none."),
]
