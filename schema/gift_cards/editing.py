"""What the back office says to make and change gift card products, and what it is answered."""

from typing import Annotated

import strawberry

from app.models.gift_cards import BuyerField, GiftCardKind
from app.services.gift_cards import designs, details, pricing
from app.services.gift_cards.details import GiftCardProductDetails
from schema.files import FileNotFound
from schema.gift_cards.problems import (
    GiftCardProductNotEditable,
    GiftCardProductNotFound,
    GiftCardProductStateUnchangeable,
)
from schema.gift_cards.products import GiftCardProduct
from schema.organisation import NodeNotFound, StoreGroupNotFound
from schema.problems import EditedMeanwhile
from schema.scalars import CurrencyCode, Long
from schema.scopes import AudienceNotFound, ScopeInput

_DESIGNS = (
    f"1 to {designs.DESIGNS_MAX} pictures, the first is the product's own: `file_…` of uploaded"
    f" ones, or of ours {', '.join(designs.LIBRARY)}."
)
_VALID_DAYS = (
    f"How many days a card can be used after it was bought, 1 to {details.VALID_DAYS_MAX:,}; null"
    " is for good."
)


@strawberry.input(description="A value a card can have. Its gift is face − price.")
class GiftCardDenominationInput:
    face: Long = strawberry.field(
        description=f"What it is worth, in minor units: 1 to {pricing.AMOUNT_MAX:,}."
    )
    price: Long = strawberry.field(description="What it costs, in minor units: 1 to its face.")

    def value(self) -> pricing.Denomination:
        return pricing.Denomination(face=self.face, price=self.price)


@strawberry.input(description="Any value of a range, in minor units, and a discount: 20 off 200.")
class GiftCardCustomAmountInput:
    face_from: Long = strawberry.field(description="The least value, above 0.")
    face_to: Long = strawberry.field(
        description=f"The greatest value, above the least, at most {pricing.AMOUNT_MAX:,}."
    )
    discount_from: Long | None = strawberry.field(
        default=None, description="From which value on it costs less; null is no discount."
    )
    discount: Long = strawberry.field(
        default=Long(0), description="How much less, below `discountFrom`."
    )
    each_time: bool = strawberry.field(
        default=False, description="Whether so much less for each full `discountFrom`."
    )

    def value(self) -> pricing.CustomAmount:
        return pricing.CustomAmount(
            face_from=self.face_from,
            face_to=self.face_to,
            discount_from=self.discount_from,
            discount=self.discount,
            each_time=self.each_time,
        )


@strawberry.input(description="What is asked of a buyer.")
class GiftCardBuyerFieldsInput:
    name: BuyerField = strawberry.field(default=BuyerField.NONE, description="Their name.")
    phone: BuyerField = strawberry.field(default=BuyerField.NONE, description="Their phone number.")
    email: BuyerField = strawberry.field(
        default=BuyerField.NONE, description="Their e-mail address."
    )
    card_number: BuyerField = strawberry.field(
        default=BuyerField.NONE, description="The number of their own card; asked at tills only."
    )


@strawberry.input
class _AnyProductInput:
    """What a product says, whether it is made or changed."""

    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    denominations: list[GiftCardDenominationInput] = strawberry.field(
        description=f"At most {pricing.DENOMINATIONS_MAX}, each face value once; none only with a"
        " custom amount."
    )
    custom_amount: GiftCardCustomAmountInput | None = strawberry.field(
        default=None, description="Values a buyer may choose besides; null is none."
    )
    scope: ScopeInput | None = strawberry.field(
        default=None,
        description="Where, when, on which channel and to whom it is sold; at its stores its cards"
        " pay. Null is unlimited.",
    )
    designs: list[strawberry.ID] = strawberry.field(
        default_factory=lambda: [strawberry.ID("plain")], description=_DESIGNS
    )
    buyer_fields: GiftCardBuyerFieldsInput | None = strawberry.field(
        default=None, description="What buyers are asked; null is nothing."
    )
    valid_days: int | None = strawberry.field(default=None, description=_VALID_DAYS)
    claim_days: int = strawberry.field(
        default=7,
        description="How many days a gift waits to be claimed before it returns to its buyer, 1 to"
        f" {details.CLAIM_DAYS_MAX}.",
    )
    can_recharge: bool = strawberry.field(
        default=False, description="Whether its cards can be recharged at a till."
    )
    can_move: bool = strawberry.field(
        default=False, description="Whether holders may move their cards into stored value."
    )
    description: str | None = strawberry.field(
        default=None,
        description=f"What members read, 1 to {details.DESCRIPTION_CHARS_MAX:,} characters.",
    )
    agreement: str | None = strawberry.field(
        default=None, description=f"Its terms, 1 to {details.AGREEMENT_CHARS_MAX:,} characters."
    )

    def details(self) -> GiftCardProductDetails:
        """What the product shall say; raises `BadInput`."""
        fields = self.buyer_fields or GiftCardBuyerFieldsInput()
        custom = self.custom_amount
        return GiftCardProductDetails(
            name=self.name,
            scope=(self.scope or ScopeInput()).rules(),
            denominations=tuple(each.value() for each in self.denominations),
            custom_amount=None if custom is None else custom.value(),
            designs=tuple(self.designs),
            buyer_name=fields.name,
            buyer_phone=fields.phone,
            buyer_email=fields.email,
            buyer_card_number=fields.card_number,
            valid_days=self.valid_days,
            claim_days=self.claim_days,
            can_recharge=self.can_recharge,
            can_move=self.can_move,
            description=self.description,
            agreement=self.agreement,
        )


@strawberry.input(description="A gift card to draft. It is sold once it is activated.")
class GiftCardProductCreateInput(_AnyProductInput):
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )
    kind: GiftCardKind = strawberry.field(description="What its cards are made of, for good.")
    currency: CurrencyCode = strawberry.field(description="What they are kept in, for good.")


@strawberry.input(description="All that a gift card says from now on. Sold cards keep their terms.")
class GiftCardProductUpdateInput(_AnyProductInput):
    id: strawberry.ID = strawberry.field(description="The product, `gcp_…`.")
    expected_version: int = strawberry.field(description="The `version` the edit began with.")


@strawberry.input(
    description="A gift card to draft like another, but for its name, validity and designs."
)
class GiftCardProductCopyInput:
    id: strawberry.ID = strawberry.field(description="The product to copy, `gcp_…`.")
    name: str = strawberry.field(description="What people call the new one, 1 to 120 characters.")
    valid_days: int | None = strawberry.field(default=None, description=_VALID_DAYS)
    designs: list[strawberry.ID] = strawberry.field(description=_DESIGNS)


@strawberry.input(description="A gift card to sell, to sell no more for now, or never again.")
class GiftCardProductMoveInput:
    id: strawberry.ID = strawberry.field(description="The product, `gcp_…`.")


GiftCardProductCreateResult = Annotated[
    GiftCardProduct | NodeNotFound | StoreGroupNotFound | AudienceNotFound | FileNotFound,
    strawberry.union("GiftCardProductCreateResult", description="The draft, or why there is none."),
]
GiftCardProductUpdateResult = Annotated[
    GiftCardProduct
    | GiftCardProductNotFound
    | GiftCardProductNotEditable
    | EditedMeanwhile
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | FileNotFound,
    strawberry.union("GiftCardProductUpdateResult", description="As it is now, or why not."),
]
GiftCardProductCopyResult = Annotated[
    GiftCardProduct | GiftCardProductNotFound | FileNotFound,
    strawberry.union("GiftCardProductCopyResult", description="The draft, or why there is none."),
]
GiftCardProductMoveResult = Annotated[
    GiftCardProduct | GiftCardProductNotFound | GiftCardProductStateUnchangeable,
    strawberry.union("GiftCardProductMoveResult", description="As it is now, or why not."),
]
