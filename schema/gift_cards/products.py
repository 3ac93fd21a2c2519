"""Gift cards on offer: what they cost, what is asked of their buyers, how they look (GFT-1)."""

from datetime import datetime
from typing import Self

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import gift_cards as rows
from app.models.gift_cards import BuyerField, GiftCardKind, GiftCardProductState
from app.services import files
from app.services.gift_cards import designs, offers, pricing, products
from schema.context import Info
from schema.enums import describe
from schema.organisation import Node
from schema.scalars import CurrencyCode, Money
from schema.scopes import ObstacleReason, Scope

__all__ = [
    "BuyerField",
    "GiftCardBuyerFields",
    "GiftCardCustomAmount",
    "GiftCardDenomination",
    "GiftCardDesign",
    "GiftCardKind",
    "GiftCardOffer",
    "GiftCardProduct",
    "GiftCardProductState",
]

describe(
    GiftCardKind,
    "What a gift card is made of.",
    {"ELECTRONIC": "Numbers on a page.", "PHYSICAL": "Printed; it works once it was sold."},
)
describe(
    GiftCardProductState,
    "Whether a gift card is sold. Cards that were sold stay valid in every state.",
    {
        "DRAFT": "Not yet.",
        "ACTIVE": "Yes, wherever and whenever its scope says.",
        "INACTIVE": "Not now: it can be edited and activated again.",
        "ARCHIVED": "Never again.",
    },
)
describe(
    BuyerField,
    "Whether buyers say something about themselves.",
    {"NONE": "Not asked.", "OPTIONAL": "If they like.", "REQUIRED": "They have to."},
)


@strawberry.type(description="A picture a gift card can have.")
class GiftCardDesign:
    id: strawberry.ID = strawberry.field(
        description="The name of one of ours, or the `file_…` of an uploaded one."
    )
    url: str = strawberry.field(description="Where to fetch it.")

    @classmethod
    def of(cls, design: str, base_url: str) -> Self:
        if design in designs.LIBRARY:
            url = f"{base_url.rstrip('/')}/static/gift-cards/{design}.svg"
        else:
            url = files.public_url(parse_type_id("file", design), base_url=base_url)
        return cls(id=strawberry.ID(design), url=url)


@strawberry.type(description="A value a card can have, and what it costs.")
class GiftCardDenomination:
    face: Money = strawberry.field(description="What the card is worth.")
    price: Money = strawberry.field(description="What is paid for it: its cash value.")
    gift: Money = strawberry.field(description="What is given with it: face − price.")

    @classmethod
    def of(cls, found: pricing.Denomination, currency: str) -> Self:
        return cls(
            face=Money.of(found.face, currency),
            price=Money.of(found.price, currency),
            gift=Money.of(found.gift, currency),
        )


@strawberry.type(description="Any value of a range, and the discount on it.")
class GiftCardCustomAmount:
    face_from: Money = strawberry.field(description="The least value.")
    face_to: Money = strawberry.field(description="The greatest value.")
    discount_from: Money | None = strawberry.field(
        description="From which value on it costs less; null is no discount."
    )
    discount: Money = strawberry.field(description="How much less.")
    each_time: bool = strawberry.field(
        description="Whether so much less for each full `discountFrom`."
    )

    @classmethod
    def of(cls, found: pricing.CustomAmount, currency: str) -> Self:
        least = found.discount_from
        return cls(
            face_from=Money.of(found.face_from, currency),
            face_to=Money.of(found.face_to, currency),
            discount_from=None if least is None else Money.of(least, currency),
            discount=Money.of(found.discount, currency),
            each_time=found.each_time,
        )


@strawberry.type(description="What is asked of a buyer.")
class GiftCardBuyerFields:
    name: BuyerField = strawberry.field(description="Their name.")
    phone: BuyerField = strawberry.field(description="Their phone number.")
    email: BuyerField = strawberry.field(description="Their e-mail address.")
    card_number: BuyerField = strawberry.field(
        description="The number of their own card; asked at tills only."
    )


@strawberry.type(description="What can be bought as a gift card.")
class GiftCardProduct:
    id: strawberry.ID = strawberry.field(description="Its id, `gcp_…`.")
    kind: GiftCardKind = strawberry.field(description="What its cards are made of.")
    state: GiftCardProductState = strawberry.field(description="Whether it is sold.")
    name: str = strawberry.field(description="What people call it.")
    currency: CurrencyCode = strawberry.field(description="What its cards are kept in.")
    denominations: list[GiftCardDenomination] = strawberry.field(
        description="The values it is sold with."
    )
    custom_amount: GiftCardCustomAmount | None = strawberry.field(
        description="Values a buyer may choose besides; null is none."
    )
    buyer_fields: GiftCardBuyerFields = strawberry.field(description="What buyers are asked.")
    valid_days: int | None = strawberry.field(
        description="How many days a card can be used after it was bought; null is for good."
    )
    claim_days: int = strawberry.field(
        description="How many days a gift waits to be claimed before it returns to its buyer."
    )
    can_recharge: bool = strawberry.field(description="Whether its cards can be recharged.")
    can_move: bool = strawberry.field(
        description="Whether holders may move their cards into stored value."
    )
    description: str | None = strawberry.field(description="What members read about it.")
    agreement: str | None = strawberry.field(description="Its terms.")
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was drafted.")
    changed_at: datetime = strawberry.field(description="When it was changed last.")
    row: strawberry.Private[rows.GiftCardProduct]

    @classmethod
    def of(cls, row: rows.GiftCardProduct) -> Self:
        found = products.pricing_of(row)
        custom = found.custom_amount
        return cls(
            id=strawberry.ID(type_id("gcp", row.id)),
            kind=row.kind,
            state=row.state,
            name=row.name,
            currency=CurrencyCode(row.currency),
            denominations=[
                GiftCardDenomination.of(each, row.currency) for each in found.denominations
            ],
            custom_amount=None if custom is None else GiftCardCustomAmount.of(custom, row.currency),
            buyer_fields=GiftCardBuyerFields(
                name=row.buyer_name,
                phone=row.buyer_phone,
                email=row.buyer_email,
                card_number=row.buyer_card_number,
            ),
            valid_days=row.valid_days,
            claim_days=row.claim_days,
            can_recharge=row.can_recharge,
            can_move=row.can_move,
            description=row.description,
            agreement=row.agreement,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="How its cards can look; the first is the product's own.")
    def designs(self, info: Info) -> list[GiftCardDesign]:
        url = info.context.settings.public_url
        return [GiftCardDesign.of(design, url) for design in self.row.designs]

    @strawberry.field(
        description="Where, when and to whom it is sold; at its stores its cards pay."
    )
    async def scope(self, info: Info) -> Scope:
        return Scope.of(await info.context.loaders.scope.load(self.row.scope_id))

    @strawberry.field(description="The group, brand or store it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))


@strawberry.type(description="A gift card the member can buy, or could when it opens.")
class GiftCardOffer:
    product: GiftCardProduct = strawberry.field(description="What is sold.")
    obstacle: ObstacleReason | None = strawberry.field(
        description="NOT_OPEN if it can be bought only later; null if it can be bought now."
    )
    available_from: datetime | None = strawberry.field(description="When it opens.")

    @classmethod
    def of(cls, offered: offers.Offered) -> Self:
        found = offered.obstacle
        return cls(
            product=GiftCardProduct.of(offered.product),
            obstacle=found.reason if found else None,
            available_from=found.available_from if found else None,
        )
