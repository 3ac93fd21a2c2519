"""Why a gift card cannot be made, bought, claimed, used, or given back."""

from datetime import datetime
from typing import Self

import strawberry

from app.services.gift_cards import (
    buying,
    designs,
    gifts,
    holding,
    keeping,
    moving,
    offers,
    paying,
    pricing,
    products,
    proving,
    recharging,
)
from schema.gift_cards.cards import GiftCardState
from schema.gift_cards.products import GiftCardProductState
from schema.problems import Problem, shown_as
from schema.scalars import Money


@strawberry.type(description="There is no such gift card product.")
class GiftCardProductNotFound(Problem): ...


@strawberry.type(description="Only a draft or an inactive product can be edited.")
class GiftCardProductNotEditable(Problem):
    state: GiftCardProductState = strawberry.field(description="What it is.")

    @classmethod
    def of(cls, error: products.GiftCardProductNotEditable) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="That state cannot follow the present one.")
class GiftCardProductStateUnchangeable(Problem):
    current: GiftCardProductState = strawberry.field(description="What it is.")

    @classmethod
    def of(cls, error: products.GiftCardProductStateUnchangeable) -> Self:
        return cls(message=str(error), current=error.current)


@strawberry.type(description="The product is not, or no longer, on sale.")
class GiftCardNotOnSale(Problem): ...


@strawberry.type(description="The product is not sold with that value.")
class GiftCardAmountNotOffered(Problem):
    faces: list[Money] = strawberry.field(description="The values it is sold with.")
    least: Money | None = strawberry.field(
        description="The least value of its range; null is none."
    )
    most: Money | None = strawberry.field(description="The greatest value of its range.")

    @classmethod
    def of(cls, error: pricing.GiftCardAmountNotOffered) -> Self:
        least, most = error.least, error.most
        return cls(
            message=str(error),
            faces=[Money.of(each.amount, each.currency) for each in error.faces],
            least=None if least is None else Money.of(least.amount, least.currency),
            most=None if most is None else Money.of(most.amount, most.currency),
        )


@strawberry.type(description="The product does not come with that design.")
class GiftCardDesignNotOffered(Problem): ...


@strawberry.type(description="The product asks its buyer for something that was not said.")
class BuyerFieldMissing(Problem):
    field: str = strawberry.field(description="name, phone, email or card_number.")

    @classmethod
    def of(cls, error: buying.BuyerFieldMissing) -> Self:
        return cls(message=str(error), field=error.field)


@strawberry.type(description="The printed card was sold before, or is not one of the product's.")
class GiftCardNotForSale(Problem): ...


@strawberry.type(description="There is no such gift card, or it is somebody else's.")
class GiftCardNotFound(Problem): ...


@strawberry.type(
    description="The number, the key or the code is not right; which, is never said. Tries are"
    " counted."
)
class GiftCardRefused(Problem): ...


@strawberry.type(
    description="No gift waits to be claimed with this code. Why is never said, and tries are"
    " counted."
)
class GiftCodeRefused(Problem): ...


@strawberry.type(description="A printed card that was not sold yet.")
class GiftCardNotActive(Problem): ...


@strawberry.type(description="Staff froze the card.")
class GiftCardFrozen(Problem): ...


@strawberry.type(description="Nothing is left on the card.")
class GiftCardUsedUp(Problem): ...


@strawberry.type(description="The card's time is over.")
class GiftCardExpired(Problem):
    expired_at: datetime = strawberry.field(description="Since when.")

    @classmethod
    def of(cls, error: holding.GiftCardExpired) -> Self:
        return cls(message=str(error), expired_at=error.expired_at)


@strawberry.type(description="The card was paid out and closed.")
class GiftCardRefunded(Problem):
    refunded_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, error: holding.GiftCardRefunded) -> Self:
        return cls(message=str(error), refunded_at=error.refunded_at)


@strawberry.type(description="The card holds less than it is to pay. It can pay a part.")
class GiftCardBalanceTooLow(Problem):
    short_by: Money = strawberry.field(description="How much is missing.")
    usable: Money = strawberry.field(description="How much there is.")

    @classmethod
    def of(cls, error: paying.GiftCardBalanceTooLow) -> Self:
        return cls(
            message=str(error),
            short_by=Money.of(error.short_by.amount, error.short_by.currency),
            usable=Money.of(error.usable.amount, error.usable.currency),
        )


@strawberry.type(description="There is no such payment.")
class GiftCardPaymentNotFound(Problem): ...


@strawberry.type(description="The payment came back before.")
class GiftCardPaymentVoided(Problem): ...


@strawberry.type(description="The card's product does not let it become stored value.")
class GiftCardNotMovable(Problem): ...


@strawberry.type(description="The card's product does not let it be recharged.")
class GiftCardNotRechargeable(Problem): ...


@strawberry.type(description="Only an active card can be frozen, and only a frozen one restored.")
class GiftCardStateUnchangeable(Problem):
    current: GiftCardState = strawberry.field(description="What it is.")

    @classmethod
    def of(cls, error: keeping.GiftCardStateUnchangeable) -> Self:
        return cls(message=str(error), current=error.current)


@strawberry.type(description="Nothing of the card can be paid back.")
class GiftCardNotRefundable(Problem):
    state: GiftCardState = strawberry.field(description="What it is.")

    @classmethod
    def of(cls, error: keeping.GiftCardNotRefundable) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(
    description="A part of a card was used, or more was put on it: only OFFLINE is left, card by"
    " card if need be."
)
class GiftCardNotWhole(Problem): ...


HANDLERS = [
    shown_as(GiftCardProductNotFound, products.GiftCardProductNotFound),
    shown_as(GiftCardProductNotEditable, products.GiftCardProductNotEditable),
    shown_as(GiftCardProductStateUnchangeable, products.GiftCardProductStateUnchangeable),
    shown_as(GiftCardNotOnSale, offers.GiftCardNotOnSale),
    shown_as(GiftCardAmountNotOffered, pricing.GiftCardAmountNotOffered),
    shown_as(GiftCardDesignNotOffered, designs.GiftCardDesignNotOffered),
    shown_as(BuyerFieldMissing, buying.BuyerFieldMissing),
    shown_as(GiftCardNotForSale, buying.GiftCardNotForSale),
    shown_as(GiftCardNotFound, holding.GiftCardNotFound),
    shown_as(GiftCardRefused, proving.GiftCardRefused),
    shown_as(GiftCodeRefused, gifts.GiftCodeRefused),
    shown_as(GiftCardNotActive, holding.GiftCardNotActive),
    shown_as(GiftCardFrozen, holding.GiftCardFrozen),
    shown_as(GiftCardUsedUp, holding.GiftCardUsedUp),
    shown_as(GiftCardExpired, holding.GiftCardExpired),
    shown_as(GiftCardRefunded, holding.GiftCardRefunded),
    shown_as(GiftCardBalanceTooLow, paying.GiftCardBalanceTooLow),
    shown_as(GiftCardPaymentNotFound, paying.GiftCardPaymentNotFound),
    shown_as(GiftCardPaymentVoided, paying.GiftCardPaymentVoided),
    shown_as(GiftCardNotMovable, moving.GiftCardNotMovable),
    shown_as(GiftCardNotRechargeable, recharging.GiftCardNotRechargeable),
    shown_as(GiftCardStateUnchangeable, keeping.GiftCardStateUnchangeable),
    shown_as(GiftCardNotRefundable, keeping.GiftCardNotRefundable),
    shown_as(GiftCardNotWhole, keeping.GiftCardNotWhole),
]
