"""What comes with a package (BEN-6)."""

from typing import Self

import strawberry

from app.core.ids import parse_type_id
from app.models import benefits as benefit_rows
from app.models.packages import ContentKind, GiftMoment
from app.services.packages import contents
from schema.benefits import BenefitKind, benefit_id_of
from schema.context import Info
from schema.coupons import Gift, GiftInput
from schema.enums import describe
from schema.problems import Problem, shown_as
from schema.scalars import Long
from schema.schemes import Tier

describe(
    ContentKind,
    "What kind of thing comes with a package.",
    {
        "FIRST_PURCHASE_GIFT": "A gift with a member's first purchase of it.",
        "REPEAT_PURCHASE_GIFT": "A gift with each later purchase, renewals included.",
        "EARLY_RENEWAL_GIFT": "A gift for renewing before the end, beside the one for repeating.",
        "MEMBER_PRICING": "A benefit with prices for members.",
        "MEMBER_DISCOUNT": "A benefit with a discount for members.",
        "MULTIPLIER": "A benefit that multiplies points.",
        "PROMOTION": "A promotional benefit.",
        "TIER_UPGRADE": "A tier for as long as the package lasts.",
        "CARD_EXTENSION": "A benefit that prolongs the card's time.",
    },
)
describe(
    GiftMoment,
    "When the gift for an early renewal is given.",
    {
        "AT_ONCE": "When it is paid.",
        "WHEN_IT_BEGINS": "When the renewal takes effect.",
    },
)


@strawberry.type(description="A benefit that comes with a package.")
class PackageBenefit:
    id: strawberry.ID = strawberry.field(description="Its id, `ben_…`.")
    kind: BenefitKind = strawberry.field(description="Its type.")
    name: str = strawberry.field(description="What people call it.")
    brief: str = strawberry.field(description="What it is, in a line.")
    description: str | None = strawberry.field(description="What it is, at length.")

    @classmethod
    def of(cls, row: benefit_rows.Benefit) -> Self:
        return cls(
            id=benefit_id_of(row.id),
            kind=row.kind,
            name=row.name,
            brief=row.brief,
            description=row.description,
        )


@strawberry.type(description="One thing that comes with a package.")
class PackageContent:
    kind: ContentKind = strawberry.field(description="What kind of thing.")
    name: str | None = strawberry.field(description="What members read.")
    description: str | None = strawberry.field(description="What it is, in words.")
    rules: list[int] | None = strawberry.field(
        description="The sales rules it comes with, by their places from 0; null is all."
    )
    points: Long = strawberry.field(description="A gift's points.")
    moment: GiftMoment = strawberry.field(description="When an EARLY_RENEWAL_GIFT is given.")
    content: strawberry.Private[contents.Content]

    @classmethod
    def of(cls, content: contents.Content) -> Self:
        return cls(
            kind=content.kind,
            name=content.name,
            description=content.description,
            rules=None if content.rules is None else list(content.rules),
            points=Long(content.points),
            moment=content.moment,
            content=content,
        )

    @strawberry.field(description="A gift's coupons.")
    def gifts(self) -> list[Gift]:
        return [Gift.of(each) for each in self.content.gifts]

    @strawberry.field(description="The benefit, as it is now; null for gifts and tiers.")
    async def benefit(self, info: Info) -> PackageBenefit | None:
        benefit_id = self.content.benefit_id
        if benefit_id is None:
            return None
        return PackageBenefit.of(await info.context.loaders.benefit.load(benefit_id))

    @strawberry.field(description="The tier of a TIER_UPGRADE; null otherwise.")
    async def tier(self, info: Info) -> Tier | None:
        tier_id = self.content.tier_id
        return Tier.of(await info.context.loaders.tier.load(tier_id)) if tier_id else None


@strawberry.input(description="One thing that comes with a package; each kind has its own fields.")
class PackageContentInput:
    kind: ContentKind = strawberry.field(description="What kind of thing.")
    name: str | None = strawberry.field(
        default=None,
        description=f"What members read, 1 to {contents.NAME_CHARS_MAX} characters.",
    )
    description: str | None = strawberry.field(
        default=None,
        description=f"What it is, 1 to {contents.DESCRIPTION_CHARS_MAX:,} characters.",
    )
    rules: list[int] | None = strawberry.field(
        default=None,
        description="The sales rules it comes with, by their places from 0; null is all.",
    )
    points: Long = strawberry.field(
        default=Long(0), description=f"A gift's points, 0 to {contents.POINTS_MAX:,}."
    )
    gifts: list[GiftInput] = strawberry.field(
        default_factory=list, description=f"A gift's coupons, at most {contents.GIFTS_MAX} kinds."
    )
    moment: GiftMoment = strawberry.field(
        default=GiftMoment.AT_ONCE, description="When an EARLY_RENEWAL_GIFT is given."
    )
    benefit_id: strawberry.ID | None = strawberry.field(
        default=None, description="An active benefit of the same type, `ben_…`."
    )
    tier_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The tier of a TIER_UPGRADE, `tier_…`: then the package is for cards of that"
        " tier's scheme only.",
    )

    def content(self) -> contents.Content:
        """What comes with it; raises `BadInput`."""
        benefit_id, tier_id = self.benefit_id, self.tier_id
        return contents.Content(
            kind=self.kind,
            name=self.name,
            description=self.description,
            rules=None if self.rules is None else tuple(self.rules),
            points=self.points,
            gifts=tuple(each.gift() for each in self.gifts),
            moment=self.moment,
            benefit_id=None if benefit_id is None else parse_type_id("ben", benefit_id),
            tier_id=None if tier_id is None else parse_type_id("tier", tier_id),
        )


@strawberry.type(description="There is no such tier among the cards the package is for.")
class ContentTierUnknown(Problem): ...


@strawberry.type(description="A content names a benefit of another type.")
class BenefitOfOtherKind(Problem):
    kind: ContentKind = strawberry.field(description="The content's kind.")

    @classmethod
    def of(cls, error: contents.BenefitOfOtherKind) -> Self:
        return cls(message=str(error), kind=error.kind)


HANDLERS = [
    shown_as(ContentTierUnknown, contents.ContentTierUnknown),
    shown_as(BenefitOfOtherKind, contents.BenefitOfOtherKind),
]
