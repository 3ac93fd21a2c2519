"""The fields of the ten types of benefits, given: exactly one type at once (BEN-1)."""

import strawberry

from app.core.birthdays import BirthdayPeriod
from app.core.ids import parse_type_id
from app.core.money import BASIS_POINTS
from app.services.benefits import bills, checking
from app.services.benefits import details as values
from schema.scalars import Long
from schema.scopes import ScheduleInput

_OFF = "What comes off, {least} to 10,000; 2,000 is 20 % off, rounded half up to the minor unit."
_TIMES = "What points are multiplied by, {least:,} to " + (
    f"{checking.MULTIPLIER_BP_MAX:,}; 20,000 is double, rounded down."
)
_CAMPAIGN = "A campaign made as a member benefit under the same node or one above, `cmp_…`."


@strawberry.input(description="A campaign that a benefit leads to.")
class BenefitCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=_CAMPAIGN)


@strawberry.input(description="What members pay for one piece of an item.")
class MemberItemPriceInput:
    item_id: str = strawberry.field(
        description=f"The item, an id of your own, 1 to {bills.ITEM_ID_CHARS_MAX} characters."
    )
    price: Long = strawberry.field(description="For one piece, in minor units, 0 or more.")


@strawberry.input(description="Prices for members.")
class MemberPricingInput:
    prices: list[MemberItemPriceInput] = strawberry.field(
        description=f"Of 1 to {checking.PRICES_MAX} items, each once."
    )


@strawberry.input(description="A share off the bill.")
class MemberDiscountInput:
    discount_basis_points: int = strawberry.field(description=_OFF.format(least=1))


@strawberry.input(description="What a special day brings.")
class BenefitPerkInput:
    discount_basis_points: int = strawberry.field(default=0, description=_OFF.format(least=0))
    multiplier_basis_points: int = strawberry.field(
        default=BASIS_POINTS, description=_TIMES.format(least=BASIS_POINTS)
    )
    note: str | None = strawberry.field(
        default=None,
        description=f"What else, in words, 1 to {checking.NOTE_CHARS_MAX} characters.",
    )

    def perk(self) -> values.Perk:
        return values.Perk(
            discount_bp=self.discount_basis_points,
            multiplier_bp=self.multiplier_basis_points,
            note=self.note,
        )


@strawberry.input(description="What it brings to cards of one tier instead.")
class BenefitTierPerkInput:
    tier_id: strawberry.ID = strawberry.field(description="The tier, `tier_…`.")
    perk: BenefitPerkInput = strawberry.field(description="What these get.")

    def tier_perk(self) -> values.TierPerk:
        return values.TierPerk(parse_type_id("tier", self.tier_id), self.perk.perk())


_TIER_PERKS = (
    f"What it brings to cards of certain tiers instead, at most {checking.TIER_PERKS_MAX} tiers."
)


@strawberry.input(description="Days for members.")
class MemberDayInput:
    schedule: ScheduleInput = strawberry.field(description="Which days, and when on them.")
    perk: BenefitPerkInput = strawberry.field(description="What they bring.")
    tier_perks: list[BenefitTierPerkInput] = strawberry.field(
        default_factory=list, description=_TIER_PERKS
    )


@strawberry.input(description="Something for the birthday.")
class BirthdayInput:
    period: BirthdayPeriod = strawberry.field(description="How long it is kept.")
    perk: BenefitPerkInput = strawberry.field(description="What it brings.")
    tier_perks: list[BenefitTierPerkInput] = strawberry.field(
        default_factory=list, description=_TIER_PERKS
    )


@strawberry.input(description="More points for purchases.")
class PointsMultiplierInput:
    multiplier_basis_points: int = strawberry.field(
        description=_TIMES.format(least=BASIS_POINTS + 1)
    )


@strawberry.input(description="More days for a card.")
class CardExtensionInput:
    days: int = strawberry.field(
        description=f"How many, 1 to {checking.EXTENSION_DAYS_MAX:,}. The scope names the schemes"
        " or tiers it is for, and their cards must have a validity."
    )


@strawberry.input(description="A service for few.")
class ExclusiveServiceInput:
    image_file_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list,
        description=f"Pictures of it, `file_…`, at most {checking.IMAGES_MAX}.",
    )


@strawberry.input(description="Something a custom benefit says.")
class BenefitFieldInput:
    name: str = strawberry.field(
        description=f"What it is called, 1 to {checking.FIELD_NAME_CHARS_MAX} characters."
    )
    value: str = strawberry.field(
        description=f"What it is, 1 to {checking.FIELD_VALUE_CHARS_MAX} characters."
    )


@strawberry.input(description="Whatever else.")
class CustomBenefitInput:
    fields: list[BenefitFieldInput] = strawberry.field(
        default_factory=list,
        description=f"What it says, at most {checking.CUSTOM_FIELDS_MAX}, each name once.",
    )


@strawberry.input(one_of=True, description="The fields of a benefit's type: exactly one of these.")
class BenefitDetailsInput:
    marketing: BenefitCampaignInput | None = strawberry.field(
        default=strawberry.UNSET, description="Leads to a campaign."
    )
    promotional: BenefitCampaignInput | None = strawberry.field(
        default=strawberry.UNSET, description="Leads to a campaign that takes something off a bill."
    )
    member_pricing: MemberPricingInput | None = strawberry.field(
        default=strawberry.UNSET, description="Prices for members."
    )
    member_discount: MemberDiscountInput | None = strawberry.field(
        default=strawberry.UNSET, description="A share off the bill."
    )
    member_day: MemberDayInput | None = strawberry.field(
        default=strawberry.UNSET, description="Days for members."
    )
    birthday: BirthdayInput | None = strawberry.field(
        default=strawberry.UNSET, description="Something for the birthday."
    )
    points_multiplier: PointsMultiplierInput | None = strawberry.field(
        default=strawberry.UNSET, description="More points for purchases."
    )
    card_extension: CardExtensionInput | None = strawberry.field(
        default=strawberry.UNSET, description="More days for a card."
    )
    exclusive_service: ExclusiveServiceInput | None = strawberry.field(
        default=strawberry.UNSET, description="A service for few."
    )
    custom: CustomBenefitInput | None = strawberry.field(
        default=strawberry.UNSET, description="Whatever else."
    )

    def details(self) -> values.Details:  # ten types
        """The one that is given; raises `BadInput`."""
        if self.marketing:
            return values.Marketing(campaign_id=parse_type_id("cmp", self.marketing.campaign_id))
        if self.promotional:
            led_to = parse_type_id("cmp", self.promotional.campaign_id)
            return values.Promotional(campaign_id=led_to)
        if self.member_pricing:
            prices = (values.ItemPrice(p.item_id, p.price) for p in self.member_pricing.prices)
            return values.MemberPricing(prices=tuple(prices))
        if self.member_discount:
            return values.MemberDiscount(discount_bp=self.member_discount.discount_basis_points)
        if self.member_day:
            return values.MemberDay(
                schedule=self.member_day.schedule.to_json(),
                perk=self.member_day.perk.perk(),
                tier_perks=tuple(each.tier_perk() for each in self.member_day.tier_perks),
            )
        if self.birthday:
            return values.Birthday(
                period=self.birthday.period,
                perk=self.birthday.perk.perk(),
                tier_perks=tuple(each.tier_perk() for each in self.birthday.tier_perks),
            )
        if self.points_multiplier:
            times = self.points_multiplier.multiplier_basis_points
            return values.PointsMultiplier(multiplier_bp=times)
        if self.card_extension:
            return values.CardExtension(days=self.card_extension.days)
        if self.exclusive_service:
            ids = (parse_type_id("file", i) for i in self.exclusive_service.image_file_ids)
            return values.ExclusiveService(image_file_ids=tuple(ids))
        assert self.custom, "GraphQL lets exactly one through"
        fields = (values.CustomField(each.name, each.value) for each in self.custom.fields)
        return values.Custom(fields=tuple(fields))


@strawberry.input(
    description="When a benefit is invalid in spite of all, and for what. For types that give"
    " something with a bill: MEMBER_PRICING, MEMBER_DISCOUNT, MEMBER_DAY, BIRTHDAY,"
    " POINTS_MULTIPLIER."
)
class BenefitRestrictionsInput:
    stored_value_from: Long | None = strawberry.field(
        default=None,
        description="Invalid if the card holds less cash and bonus, in minor units of `currency`.",
    )
    covers_outstanding: bool = strawberry.field(
        default=False, description="Invalid if the card holds less than what is left to pay."
    )
    covers_discounted: bool = strawberry.field(
        default=False,
        description="Invalid if the card holds less than what is left to pay after the benefit.",
    )
    excluded_item_ids: list[str] = strawberry.field(
        default_factory=list,
        description=f"It is not had for these items, at most {checking.EXCLUDED_MAX}.",
    )
    excluded_category_ids: list[str] = strawberry.field(
        default_factory=list,
        description="It is not had for items of these categories, at most"
        f" {checking.EXCLUDED_MAX}.",
    )

    def restrictions(self) -> values.Restrictions:
        return values.Restrictions(
            stored_value_from=self.stored_value_from,
            covers_outstanding=self.covers_outstanding,
            covers_discounted=self.covers_discounted,
            excluded_item_ids=frozenset(self.excluded_item_ids),
            excluded_category_ids=frozenset(self.excluded_category_ids),
        )
