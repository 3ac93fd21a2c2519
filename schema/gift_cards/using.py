"""What is said to use gift cards, and what staff say to keep them (GFT-4, GFT-5)."""

from typing import Annotated, Self

import strawberry

from app.core.texts import checked_text
from app.services.gift_cards import keeping, paying, proving
from schema.card_status import CardNotFound, CardNotUsable
from schema.compliance import (
    CardCapReached,
    DayLimitReached,
    OrderTooLarge,
    PersonCapReached,
    RealNameNeeded,
    TransferNeeded,
)
from schema.gift_cards.cards import (
    GiftCardCode,
    GiftCardLookedUp,
    GiftCardMoved,
    GiftCardPaid,
    GiftCardRecharged,
    OwnGiftCard,
    SoldGiftCard,
)
from schema.gift_cards.problems import (
    GiftCardAmountNotOffered,
    GiftCardBalanceTooLow,
    GiftCardExpired,
    GiftCardFrozen,
    GiftCardNotActive,
    GiftCardNotFound,
    GiftCardNotMovable,
    GiftCardNotRechargeable,
    GiftCardNotRefundable,
    GiftCardPaymentNotFound,
    GiftCardPaymentVoided,
    GiftCardRefunded,
    GiftCardRefused,
    GiftCardStateUnchangeable,
    GiftCardUsedUp,
)
from schema.ledger import BalanceTooLarge
from schema.orders import MethodCannotPay
from schema.organisation import TerminalNotFound
from schema.payment_methods import PaymentMethodUnknown
from schema.purchases import WrongCurrency
from schema.requests import RequestKeyReused
from schema.scalars import Long, MoneyInput
from schema.scopes import NotAvailable

_REQUEST_KEY = "1 to 64 characters the page makes up: sent again, it answers the same."


@strawberry.input(description="A gift card's number and key. Blanks and dashes do not matter.")
class GiftCardKeyInput:
    number: str = strawberry.field(description="16 digits.")
    key: str = strawberry.field(description="8 to 12 digits.")

    def proof(self) -> proving.ByKey:
        return proving.ByKey(self.number[:64], self.key[:64])


@strawberry.input(
    one_of=True, description="Which card somebody has in their hand: exactly one of these."
)
class GiftCardProofInput:
    key: GiftCardKeyInput | None = strawberry.field(
        default=strawberry.UNSET, description="The card itself, or what its holder tells."
    )
    code: str | None = strawberry.field(
        default=strawberry.UNSET, description="What its holder's page shows: `giftCardCodeShow`."
    )

    def proof(self) -> proving.Proof:
        """The one that is given."""
        if self.key:
            return self.key.proof()
        assert self.code is not strawberry.UNSET, "GraphQL lets exactly one through"
        return proving.ByCode((self.code or "")[:64])


@strawberry.input(description="A bill, or a part of one, for a gift card to pay.")
class GiftCardPayInput:
    terminal_id: strawberry.ID = strawberry.field(
        description="The till, `term_…`; a partner's shop on the web has one of its own."
    )
    card: GiftCardProofInput = strawberry.field(description="Which card.")
    amount: MoneyInput = strawberry.field(description="How much it shall pay.")
    order_number: str = strawberry.field(
        description=f"The till's or the partner's own number, 1 to {paying.ORDER_NUMBER_CHARS_MAX}"
        " characters; several cards can pay one bill."
    )
    request_key: str = strawberry.field(description=_REQUEST_KEY)

    def bill(self) -> paying.Bill:
        """What is to be paid; raises `BadInput`."""
        number = checked_text(
            "orderNumber", self.order_number, at_most=paying.ORDER_NUMBER_CHARS_MAX
        )
        return paying.Bill(amount=self.amount.value(), order_number=number)


@strawberry.input(description="A payment to give back whole.")
class GiftCardPayVoidInput:
    id: strawberry.ID = strawberry.field(description="The payment, `gcpay_…`.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


@strawberry.input(description="Money to put on a card at a till.")
class GiftCardRechargeInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    number: str = strawberry.field(description="The card's number.")
    face: Long = strawberry.field(
        description="What shall be put on it, in minor units: a value the card could be bought"
        " with, at its price."
    )
    method_code: str = strawberry.field(description="The payment method.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


@strawberry.input(description="A gift card to empty into stored value.")
class GiftCardMoveToStoredValueInput:
    id: strawberry.ID = strawberry.field(description="The member's gift card, `gc_…`.")
    card_id: strawberry.ID = strawberry.field(description="The member's card, `card_…`.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


@strawberry.input(description="A gift card whose code a till shall scan.")
class GiftCardCodeShowInput:
    id: strawberry.ID = strawberry.field(description="The member's gift card, `gc_…`.")


@strawberry.input(description="A card to freeze or to restore.")
class GiftCardTurnInput:
    id: strawberry.ID = strawberry.field(description="The card, `gc_…`.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters.")


@strawberry.input(description="A card to pay out at the counter.")
class GiftCardRefundInput:
    id: strawberry.ID = strawberry.field(description="The card, `gc_…`.")
    method_code: str = strawberry.field(description="The payment method by which it is paid out.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters.")
    request_key: str = strawberry.field(description=_REQUEST_KEY)


@strawberry.type(description="The card was emptied and closed.")
class GiftCardRefundDone:
    card: SoldGiftCard = strawberry.field(
        description="The card; `refundedAmount` is what to pay out."
    )
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had refunded it."
    )

    @classmethod
    def of(cls, refunded: keeping.Refunded) -> Self:
        return cls(card=SoldGiftCard.of(refunded.card), replayed=refunded.is_replay)


GiftCardPayResult = Annotated[
    GiftCardPaid
    | TerminalNotFound
    | GiftCardRefused
    | GiftCardNotActive
    | GiftCardFrozen
    | GiftCardUsedUp
    | GiftCardExpired
    | GiftCardRefunded
    | NotAvailable
    | WrongCurrency
    | GiftCardBalanceTooLow
    | RequestKeyReused,
    strawberry.union("GiftCardPayResult", description="What it paid, or why it did not."),
]
GiftCardPayVoidResult = Annotated[
    GiftCardPaid
    | GiftCardPaymentNotFound
    | GiftCardPaymentVoided
    | GiftCardRefunded
    | RequestKeyReused,
    strawberry.union("GiftCardPayVoidResult", description="What came back, or why nothing did."),
]
GiftCardRechargeResult = Annotated[
    GiftCardRecharged
    | TerminalNotFound
    | GiftCardNotFound
    | GiftCardNotActive
    | GiftCardFrozen
    | GiftCardExpired
    | GiftCardRefunded
    | GiftCardNotRechargeable
    | GiftCardAmountNotOffered
    | NotAvailable
    | PaymentMethodUnknown
    | MethodCannotPay
    | CardCapReached
    | OrderTooLarge
    | DayLimitReached
    | RealNameNeeded
    | TransferNeeded
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("GiftCardRechargeResult", description="What was put on it, or why nothing."),
]
GiftCardMoveToStoredValueResult = Annotated[
    GiftCardMoved
    | GiftCardNotFound
    | GiftCardFrozen
    | GiftCardUsedUp
    | GiftCardExpired
    | GiftCardRefunded
    | GiftCardNotMovable
    | CardNotFound
    | CardNotUsable
    | WrongCurrency
    | CardCapReached
    | PersonCapReached
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("GiftCardMoveToStoredValueResult", description="What moved, or why nothing."),
]
GiftCardCodeShowResult = Annotated[
    GiftCardCode
    | GiftCardNotFound
    | GiftCardFrozen
    | GiftCardUsedUp
    | GiftCardExpired
    | GiftCardRefunded,
    strawberry.union("GiftCardCodeShowResult", description="The code, or why there is none."),
]
GiftCardBalanceResult = Annotated[
    GiftCardLookedUp | GiftCardRefused,
    strawberry.union("GiftCardBalanceResult", description="What it holds, or that it is wrong."),
]
GiftCardBindResult = Annotated[
    OwnGiftCard
    | GiftCardRefused
    | GiftCardNotActive
    | GiftCardFrozen
    | GiftCardUsedUp
    | GiftCardExpired
    | GiftCardRefunded,
    strawberry.union("GiftCardBindResult", description="The member's card, or why it is not."),
]
GiftCardTurnResult = Annotated[
    SoldGiftCard | GiftCardNotFound | GiftCardStateUnchangeable,
    strawberry.union("GiftCardTurnResult", description="The card as it is now, or why not."),
]
GiftCardRefundResult = Annotated[
    GiftCardRefundDone
    | GiftCardNotFound
    | GiftCardNotRefundable
    | PaymentMethodUnknown
    | RequestKeyReused,
    strawberry.union("GiftCardRefundResult", description="What to pay out, or why nothing."),
]
