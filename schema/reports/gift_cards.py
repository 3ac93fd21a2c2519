"""Gift cards over a period, product by product (FIN-2)."""

from typing import Self

import strawberry

from app.core.ids import type_id
from app.services.reports import gift_cards
from schema.reports.movements import ValueFlow
from schema.reports.subjects import ReportSubject


@strawberry.type(description="The gift cards of one product over a period.")
class ProductGiftCards:
    product_id: strawberry.ID = strawberry.field(description="The product, `gcp_…`.")
    product_name: str = strawberry.field(description="What it is called.")
    sold: int = strawberry.field(description="How many cards were sold in the period.")
    refunded: int = strawberry.field(description="How many were refunded in it.")
    outstanding: int = strawberry.field(
        description="How many are worth something at the midnight that ends it."
    )
    cash: ValueFlow = strawberry.field(description="What was paid for them.")
    gift: ValueFlow = strawberry.field(description="What they are worth beyond that.")

    @classmethod
    def of(cls, found: gift_cards.ProductValue) -> Self:
        currency = found.product.currency
        return cls(
            product_id=strawberry.ID(type_id("gcp", found.product.id)),
            product_name=found.product.name,
            sold=found.sold,
            refunded=found.refunded,
            outstanding=found.outstanding,
            cash=ValueFlow.of(found.cash, currency),
            gift=ValueFlow.of(found.bonus, currency),
        )


@strawberry.type(description="Gift cards over a period, product by product.")
class GiftCardReport:
    about: ReportSubject = strawberry.field(description="What it is about.")
    products: list[ProductGiftCards] = strawberry.field(
        description="The products made at the perspective or below it."
    )

    @classmethod
    def of(cls, found: gift_cards.GiftCardValue) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            products=[ProductGiftCards.of(each) for each in found.products],
        )
