"""Coupons that something promises: a package, a gift of the house, an order (CPN-2, CPN-3)."""

from typing import Self, TypeAlias

import strawberry

from app.core.ids import parse_type_id, type_id
from app.services import coupons
from app.services.coupons import giving
from schema.context import Info
from schema.coupons.terms import CouponTerms
from schema.problems import Problem


@strawberry.type(description="Coupons of one template.")
class CouponPortion:
    template_id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")
    count: int = strawberry.field(description="How many.")
    portion: strawberry.Private[giving.Portion]

    @classmethod
    def of(cls, portion: giving.Portion) -> Self:
        return cls(
            template_id=strawberry.ID(type_id("ctpl", portion.template.id)),
            count=portion.number,
            portion=portion,
        )

    @strawberry.field(description="What they promise, as the template stands now.")
    async def terms(self, info: Info) -> CouponTerms:
        row = await info.context.loaders.coupon_terms.load(self.portion.template.terms_id)
        return CouponTerms.of(row)


@strawberry.type(
    name="CouponGift",
    description="Coupons that are given: of one template, or all of a pack, so many times.",
)
class Gift:
    template_id: strawberry.ID | None = strawberry.field(
        description="The template, `ctpl_…`; null where it is a pack."
    )
    pack_id: strawberry.ID | None = strawberry.field(
        description="The pack, `cpk_…`; null where it is a template."
    )
    count: int = strawberry.field(description="How many times.")
    gift: strawberry.Private[coupons.Gift]

    @classmethod
    def of(cls, gift: coupons.Gift) -> Self:
        template_id, pack_id = gift.template_id, gift.pack_id
        return cls(
            template_id=strawberry.ID(type_id("ctpl", template_id)) if template_id else None,
            pack_id=strawberry.ID(type_id("cpk", pack_id)) if pack_id else None,
            count=gift.count,
            gift=gift,
        )

    @strawberry.field(description="What it brings, packs opened.")
    async def coupons(self, info: Info) -> list[CouponPortion]:
        found = await info.context.loaders.gift_portions.load(self.gift)
        return [CouponPortion.of(each) for each in found]


@strawberry.input(
    name="CouponGiftInput",
    description="Coupons to give: name a template or a pack, not both.",
)
class GiftInput:
    template_id: strawberry.ID | None = strawberry.field(
        default=None, description="An active template, `ctpl_…`."
    )
    pack_id: strawberry.ID | None = strawberry.field(
        default=None, description="An active pack, `cpk_…`: all that is in it."
    )
    count: int = strawberry.field(
        default=1, description=f"How many times, 1 to {giving.COUNT_MAX}."
    )

    def gift(self) -> coupons.Gift:
        """What to give; raises `BadInput`."""
        template_id, pack_id = self.template_id, self.pack_id
        return coupons.Gift(
            template_id=parse_type_id("ctpl", template_id) if template_id else None,
            pack_id=parse_type_id("cpk", pack_id) if pack_id else None,
            count=self.count,
        )


@strawberry.type(description="There is no such coupon template, or none that can be given.")
class CouponTemplateNotFound(Problem): ...


@strawberry.type(description="There is no such coupon pack, or none that can be given.")
class CouponPackNotFound(Problem): ...


GIFT_PROBLEMS: TypeAlias = CouponTemplateNotFound | CouponPackNotFound
"""What a mutation can answer that takes gifts: a part of its union."""
