"""The fields of the ten types of benefits, shown (BEN-1)."""

from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.birthdays import BirthdayPeriod
from app.models.campaigns import Campaign as CampaignRow
from app.models.campaigns import CampaignState
from app.services.benefits import details as values
from schema.campaigns import CampaignKind, campaign_id_of
from schema.context import Info
from schema.enums import describe
from schema.files import Image
from schema.scalars import Money
from schema.schemes import Tier
from schema.scopes import Schedule

describe(
    BirthdayPeriod,
    "How long a birthday is kept. Who was born on 29 February keeps it on 28 February in years"
    " without one.",
    {
        "DAY": "On the day.",
        "WEEK": "From Monday to Sunday around the day.",
        "MONTH": "In the month of birth.",
    },
)


@strawberry.type(description="The campaign that a benefit leads to.")
class BenefitCampaign:
    id: strawberry.ID = strawberry.field(description="Its id, `cmp_…`.")
    name: str = strawberry.field(description="What people call it.")
    kind: CampaignKind = strawberry.field(description="What it does.")
    is_running: bool = strawberry.field(description="Whether one can take part now.")

    @classmethod
    def of(cls, row: CampaignRow) -> Self:
        return cls(
            id=campaign_id_of(row.id),
            name=row.name,
            kind=row.kind,
            is_running=row.state is CampaignState.ACTIVE,
        )


@strawberry.type
class _ToCampaign:
    """What leads to a campaign."""

    campaign_id: strawberry.Private[UUID]

    @strawberry.field(description="The campaign it leads to.")
    async def campaign(self, info: Info) -> BenefitCampaign:
        return BenefitCampaign.of(await info.context.loaders.campaign.load(self.campaign_id))


@strawberry.type(description="MARKETING: leads to a campaign.")
class MarketingBenefit(_ToCampaign): ...


@strawberry.type(description="PROMOTIONAL: leads to a campaign that takes something off a bill.")
class PromotionalBenefit(_ToCampaign): ...


@strawberry.type(description="What members pay for one piece of an item.")
class MemberItemPrice:
    item_id: str = strawberry.field(description="The item, an id of your own.")
    price: Money = strawberry.field(description="For one piece.")


@strawberry.type(description="MEMBER_PRICING: prices for members.")
class MemberPricingBenefit:
    prices: list[MemberItemPrice] = strawberry.field(description="Of these items.")


@strawberry.type(description="MEMBER_DISCOUNT: a share off the bill.")
class MemberDiscountBenefit:
    discount_basis_points: int = strawberry.field(description="What comes off; 2,000 is 20 % off.")


@strawberry.type(description="What a special day brings.")
class BenefitPerk:
    discount_basis_points: int = strawberry.field(description="What comes off; 2,000 is 20 % off.")
    multiplier_basis_points: int = strawberry.field(
        description="What points are multiplied by; 20,000 is double."
    )
    note: str | None = strawberry.field(description="What else, in words.")

    @classmethod
    def of(cls, perk: values.Perk) -> Self:
        return cls(
            discount_basis_points=perk.discount_bp,
            multiplier_basis_points=perk.multiplier_bp,
            note=perk.note,
        )


@strawberry.type(description="What it brings to cards of one tier instead.")
class BenefitTierPerk:
    perk: BenefitPerk = strawberry.field(description="What these get.")
    tier_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, given: values.TierPerk) -> Self:
        return cls(perk=BenefitPerk.of(given.perk), tier_id=given.tier_id)

    @strawberry.field(description="The tier.")
    async def tier(self, info: Info) -> Tier:
        return Tier.of(await info.context.loaders.tier.load(self.tier_id))


@strawberry.type(description="MEMBER_DAY: days for members.")
class MemberDayBenefit:
    schedule: Schedule = strawberry.field(description="Which days, and when on them.")
    perk: BenefitPerk = strawberry.field(description="What they bring.")
    tier_perks: list[BenefitTierPerk] = strawberry.field(
        description="What they bring to cards of certain tiers instead."
    )


@strawberry.type(description="BIRTHDAY: something for the birthday.")
class BirthdayBenefit:
    period: BirthdayPeriod = strawberry.field(description="How long it is kept.")
    perk: BenefitPerk = strawberry.field(description="What it brings.")
    tier_perks: list[BenefitTierPerk] = strawberry.field(
        description="What it brings to cards of certain tiers instead."
    )


@strawberry.type(description="POINTS_MULTIPLIER: more points for purchases.")
class PointsMultiplierBenefit:
    multiplier_basis_points: int = strawberry.field(
        description="What points are multiplied by, rounded down; 20,000 is double. Of several that"
        " hold the highest counts."
    )


@strawberry.type(
    description="CARD_EXTENSION: more days for a card, once each time a package or a top-up brings"
    " it."
)
class CardExtensionBenefit:
    days: int = strawberry.field(description="How many days longer the card lasts.")


@strawberry.type(description="EXCLUSIVE_SERVICE: a service for few.")
class ExclusiveServiceBenefit:
    image_file_ids: strawberry.Private[tuple[UUID, ...]]

    @strawberry.field(description="Pictures of it.")
    async def images(self, info: Info) -> list[Image]:
        rows = await info.context.loaders.image.load_many(self.image_file_ids)
        return [Image.of(row, info.context.settings.public_url) for row in rows]


@strawberry.type(description="Something a custom benefit says.")
class BenefitField:
    name: str = strawberry.field(description="What it is called.")
    value: str = strawberry.field(description="What it is.")


@strawberry.type(description="CUSTOM: whatever else.")
class CustomBenefit:
    fields: list[BenefitField] = strawberry.field(description="What it says.")


BenefitDetails = Annotated[
    MarketingBenefit
    | PromotionalBenefit
    | MemberPricingBenefit
    | MemberDiscountBenefit
    | MemberDayBenefit
    | BirthdayBenefit
    | PointsMultiplierBenefit
    | CardExtensionBenefit
    | ExclusiveServiceBenefit
    | CustomBenefit,
    strawberry.union("BenefitDetails", description="The fields of a benefit's type."),
]


def details_shown(  # ten types
    of: values.Details, currency: str | None
) -> (
    MarketingBenefit
    | PromotionalBenefit
    | MemberPricingBenefit
    | MemberDiscountBenefit
    | MemberDayBenefit
    | BirthdayBenefit
    | PointsMultiplierBenefit
    | CardExtensionBenefit
    | ExclusiveServiceBenefit
    | CustomBenefit
):
    """A type's fields as the schemas show them."""
    match of:
        case values.Marketing():
            return MarketingBenefit(campaign_id=of.campaign_id)
        case values.Promotional():
            return PromotionalBenefit(campaign_id=of.campaign_id)
        case values.MemberPricing():
            assert currency is not None, "prices are in a currency"
            return MemberPricingBenefit(
                prices=[
                    MemberItemPrice(item_id=each.item_id, price=Money.of(each.price, currency))
                    for each in of.prices
                ]
            )
        case values.MemberDiscount():
            return MemberDiscountBenefit(discount_basis_points=of.discount_bp)
        case values.MemberDay():
            return MemberDayBenefit(
                schedule=Schedule.of(of.read_schedule()),
                perk=BenefitPerk.of(of.perk),
                tier_perks=[BenefitTierPerk.of(each) for each in of.tier_perks],
            )
        case values.Birthday():
            return BirthdayBenefit(
                period=of.period,
                perk=BenefitPerk.of(of.perk),
                tier_perks=[BenefitTierPerk.of(each) for each in of.tier_perks],
            )
        case values.PointsMultiplier():
            return PointsMultiplierBenefit(multiplier_basis_points=of.multiplier_bp)
        case values.CardExtension():
            return CardExtensionBenefit(days=of.days)
        case values.ExclusiveService():
            return ExclusiveServiceBenefit(image_file_ids=of.image_file_ids)
        case values.Custom():
            return CustomBenefit(
                fields=[BenefitField(name=each.name, value=each.value) for each in of.fields]
            )


@strawberry.type(description="When a benefit is invalid in spite of all, and for what.")
class BenefitRestrictions:
    stored_value_from: Money | None = strawberry.field(
        description="Invalid if the card holds less cash and bonus; null is no such rule."
    )
    covers_outstanding: bool = strawberry.field(
        description="Invalid if the card holds less than what is left to pay."
    )
    covers_discounted: bool = strawberry.field(
        description="Invalid if the card holds less than what is left to pay after the benefit."
    )
    excluded_item_ids: list[str] = strawberry.field(description="It is not had for these items.")
    excluded_category_ids: list[str] = strawberry.field(
        description="It is not had for items of these categories."
    )

    @classmethod
    def of(cls, rules: values.Restrictions, currency: str | None) -> Self:
        least = rules.stored_value_from
        return cls(
            stored_value_from=None
            if least is None or currency is None
            else Money.of(least, currency),
            covers_outstanding=rules.covers_outstanding,
            covers_discounted=rules.covers_discounted,
            excluded_item_ids=sorted(rules.excluded_item_ids),
            excluded_category_ids=sorted(rules.excluded_category_ids),
        )
