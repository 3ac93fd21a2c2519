"""What a coupon promises: what it takes off, when, where and of what (CPN-1)."""

from typing import Annotated, Self, TypeAlias, assert_never

import strawberry

from app.models import coupons as rows
from app.models.coupons import CouponKind
from app.services.coupons import values
from schema.context import Info
from schema.enums import describe
from schema.files import Image, image_of
from schema.scalars import CurrencyCode, Money
from schema.scopes import Scope

__all__ = ["CouponKind", "CouponTerms"]

describe(
    CouponKind,
    "What a coupon does.",
    {
        "CASH": "It takes an amount off.",
        "DISCOUNT": "It takes a share off, perhaps up to an amount.",
        "GIFT": "It is exchanged for items.",
        "DISCOUNT_TO": "It sells an item or the bill at a fixed price.",
    },
)


@strawberry.type(description="CASH: an amount off; of a smaller bill, all of it.")
class CouponCash:
    amount: Money = strawberry.field(description="How much it takes off.")


@strawberry.type(description="DISCOUNT: a share off, half up to the minor unit.")
class CouponDiscount:
    off_basis_points: int = strawberry.field(
        description="How much is taken off; 2,000 leaves 80 % to pay."
    )
    at_most: Money | None = strawberry.field(description="The most it takes off; null is no cap.")


@strawberry.type(description="GIFT: items for nothing, the dearest on the bill first.")
class CouponGiftItems:
    items: list[str] = strawberry.field(description="Any of these, by the till's ids.")
    quantity: int = strawberry.field(description="How many units in all.")


@strawberry.type(description="DISCOUNT_TO: a fixed price for items, or for the bill.")
class CouponFixedPrice:
    price: Money = strawberry.field(description="What is paid: for each unit, or for the bill.")
    items: list[str] = strawberry.field(
        description="Any of these, by the till's ids, the dearest on the bill first; empty is all"
        " that the coupon is for."
    )
    quantity: int = strawberry.field(description="How many units at that price.")


CouponBenefit = Annotated[
    CouponCash | CouponDiscount | CouponGiftItems | CouponFixedPrice,
    strawberry.union("CouponBenefit", description="What a coupon takes off, by its kind."),
]
BenefitShown: TypeAlias = CouponCash | CouponDiscount | CouponGiftItems | CouponFixedPrice


def benefit_shown(row: rows.CouponTerms) -> BenefitShown:
    """What the terms take off, as the schemas show it."""
    benefit, currency = values.benefit_of(row), row.currency
    match benefit:
        case values.CashOff(amount):
            return CouponCash(amount=Money.of(amount, currency))
        case values.ShareOff(off_bp, at_most):
            cap = None if at_most is None else Money.of(at_most, currency)
            return CouponDiscount(off_basis_points=off_bp, at_most=cap)
        case values.ItemsFree(items, quantity):
            return CouponGiftItems(items=list(items), quantity=quantity)
        case values.FixedPrice(price, items, quantity):
            return CouponFixedPrice(
                price=Money.of(price, currency),
                items=list(items or ()),
                quantity=quantity,
            )
    assert_never(benefit)


@strawberry.type(description="A line of further information about a coupon.")
class CouponField:
    key: str = strawberry.field(description="What it is about.")
    value: str = strawberry.field(description="What it says.")


@strawberry.type(
    description="What a coupon promises. A coupon keeps the terms it was issued with, whatever is"
    " edited later."
)
class CouponTerms:
    kind: CouponKind = strawberry.field(description="What it does.")
    benefit: CouponBenefit = strawberry.field(description="What it takes off.")
    currency: CurrencyCode = strawberry.field(description="What the bills it is for are paid in.")
    title: str = strawberry.field(description="What members call it.")
    subtitle: str | None = strawberry.field(description="A line below the title.")
    colour: str | None = strawberry.field(description="The colour it is drawn in, `#RRGGBB`.")
    minimum_spend: Money | None = strawberry.field(
        description="How much of what it is for must be bought; null is any amount."
    )
    items: list[str] | None = strawberry.field(
        description="The items it is for, by the till's ids; with `categories` null as well, all."
    )
    categories: list[str] | None = strawberry.field(description="The categories it is for.")
    includes_sub_items: bool = strawberry.field(
        description="Whether parts of sets and what is added to an item count."
    )
    includes_side_dishes: bool = strawberry.field(description="Whether side dishes count.")
    fields: list[CouponField] = strawberry.field(description="Further information, in order.")
    instructions: str | None = strawberry.field(description="How to use it.")
    goods_link: str | None = strawberry.field(
        description="The https address where it is redeemed online."
    )
    row: strawberry.Private[rows.CouponTerms]

    @classmethod
    def of(cls, row: rows.CouponTerms) -> Self:
        minimum = row.minimum_spend
        return cls(
            kind=row.kind,
            benefit=benefit_shown(row),
            currency=CurrencyCode(row.currency),
            title=row.title,
            subtitle=row.subtitle,
            colour=row.colour,
            minimum_spend=None if minimum is None else Money.of(minimum, row.currency),
            items=row.items,
            categories=row.categories,
            includes_sub_items=row.includes_sub_items,
            includes_side_dishes=row.includes_side_dishes,
            fields=[CouponField(**each) for each in row.fields],
            instructions=row.instructions,
            goods_link=row.goods_link,
            row=row,
        )

    @strawberry.field(description="Its picture.")
    async def image(self, info: Info) -> Image | None:
        return await image_of(info, self.row.image_file_id)

    @strawberry.field(description="Where, when, on which channel and for whom it can be used.")
    async def scope(self, info: Info) -> Scope:
        return Scope.of(await info.context.loaders.scope.load(self.row.scope_id))
