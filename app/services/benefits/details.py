"""What each of the ten types says, and what restricts a benefit: documents in, classes out (BEN-1).

Amounts are in minor units of the benefit's currency, shares in basis points. A multiplier is told
in basis points too: 20 000 is double points.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

from app.core.birthdays import BirthdayPeriod
from app.core.money import BASIS_POINTS
from app.core.schedules import Schedule
from app.models.benefits import BenefitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Marketing:
    """Leads to a campaign, as a check-in with rewards."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotional:
    """Leads to a campaign that takes something off a bill."""

    campaign_id: UUID


@dataclass(frozen=True, slots=True)
class ItemPrice:
    """What members pay for one piece of an item."""

    item_id: str
    price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPricing:
    """Prices of their own for certain items."""

    prices: tuple[ItemPrice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDiscount:
    """A share off the bill: 2 000 is 20 % off."""

    discount_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Perk:
    """What a special day brings: a share off, more points, and what words tell."""

    discount_bp: int = 0
    multiplier_bp: int = BASIS_POINTS
    note: str | None = None


@dataclass(frozen=True, slots=True)
class TierPerk:
    """What it brings to cards of one tier instead."""

    tier_id: UUID
    perk: Perk


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDay:
    """Days for members, by a schedule as `Schedule.to_json` writes it (ORG-5)."""

    schedule: dict[str, Any]
    perk: Perk
    tier_perks: tuple[TierPerk, ...] = ()

    def read_schedule(self) -> Schedule:
        return Schedule.from_json(self.schedule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Birthday:
    """The birthday, its calendar week or its month."""

    period: BirthdayPeriod
    perk: Perk
    tier_perks: tuple[TierPerk, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsMultiplier:
    """More points for purchases (PTS-1)."""

    multiplier_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardExtension:
    """More days for a card, once each time a package or a top-up brings it."""

    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusiveService:
    """A service for few, with pictures of it."""

    image_file_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomField:
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """Whatever else, told by names and values."""

    fields: tuple[CustomField, ...] = ()


Details: TypeAlias = (
    Marketing
    | Promotional
    | MemberPricing
    | MemberDiscount
    | MemberDay
    | Birthday
    | PointsMultiplier
    | CardExtension
    | ExclusiveService
    | Custom
)

KINDS: Final[dict[type[Details], BenefitKind]] = {
    Marketing: BenefitKind.MARKETING,
    Promotional: BenefitKind.PROMOTIONAL,
    MemberPricing: BenefitKind.MEMBER_PRICING,
    MemberDiscount: BenefitKind.MEMBER_DISCOUNT,
    MemberDay: BenefitKind.MEMBER_DAY,
    Birthday: BenefitKind.BIRTHDAY,
    PointsMultiplier: BenefitKind.POINTS_MULTIPLIER,
    CardExtension: BenefitKind.CARD_EXTENSION,
    ExclusiveService: BenefitKind.EXCLUSIVE_SERVICE,
    Custom: BenefitKind.CUSTOM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """When a benefit is invalid in spite of all, and for what (BEN-2)."""

    stored_value_from: int | None = None
    """Invalid if the card holds less."""
    covers_outstanding: bool = False
    """Invalid if the card holds less than what is left to pay."""
    covers_discounted: bool = False
    """Invalid if it holds less than what is left to pay once the benefit took its part off."""
    excluded_item_ids: frozenset[str] = frozenset()
    excluded_category_ids: frozenset[str] = frozenset()

    @property
    def are_none(self) -> bool:
        return self == NO_RESTRICTIONS

    @property
    def ask_stored_value(self) -> bool:
        return (
            self.stored_value_from is not None or self.covers_outstanding or self.covers_discounted
        )

    def document(self) -> dict[str, Any]:
        return asdict(self) | {
            "excluded_item_ids": sorted(self.excluded_item_ids),
            "excluded_category_ids": sorted(self.excluded_category_ids),
        }

    @classmethod
    def from_document(cls, written: dict[str, Any]) -> "Restrictions":
        items, categories = written["excluded_item_ids"], written["excluded_category_ids"]
        return cls(
            stored_value_from=written["stored_value_from"],
            covers_outstanding=written["covers_outstanding"],
            covers_discounted=written["covers_discounted"],
            excluded_item_ids=frozenset(items),
            excluded_category_ids=frozenset(categories),
        )


NO_RESTRICTIONS: Final = Restrictions()


def document_of(details: Details) -> dict[str, Any]:
    """The fields of a type, as a benefit keeps them."""
    written = _plain(asdict(details))
    assert isinstance(written, dict)
    return written


def details_of(kind: BenefitKind, written: dict[str, Any]) -> Details:  # ten types
    """The fields that `document_of` wrote."""
    match kind:
        case BenefitKind.MARKETING:
            return Marketing(campaign_id=UUID(written["campaign_id"]))
        case BenefitKind.PROMOTIONAL:
            return Promotional(campaign_id=UUID(written["campaign_id"]))
        case BenefitKind.MEMBER_PRICING:
            return MemberPricing(prices=tuple(ItemPrice(**each) for each in written["prices"]))
        case BenefitKind.MEMBER_DAY:
            return MemberDay(schedule=written["schedule"], **_perks(written))
        case BenefitKind.BIRTHDAY:
            return Birthday(period=BirthdayPeriod(written["period"]), **_perks(written))
        case BenefitKind.MEMBER_DISCOUNT:
            return MemberDiscount(**written)
        case BenefitKind.POINTS_MULTIPLIER:
            return PointsMultiplier(**written)
        case BenefitKind.CARD_EXTENSION:
            return CardExtension(**written)
        case BenefitKind.EXCLUSIVE_SERVICE:
            return ExclusiveService(image_file_ids=tuple(map(UUID, written["image_file_ids"])))
        case BenefitKind.CUSTOM:
            return Custom(fields=tuple(CustomField(**each) for each in written["fields"]))


def perks_of(details: Details) -> tuple[Perk, ...]:
    """Whatever a type can bring to a bill, to some card or other."""
    match details:
        case MemberDiscount():
            return (Perk(discount_bp=details.discount_bp),)
        case PointsMultiplier():
            return (Perk(multiplier_bp=details.multiplier_bp),)
        case MemberDay() | Birthday():
            return (details.perk, *(each.perk for each in details.tier_perks))
        case _:
            return ()


def perk_for(details: Details, tier_id: UUID) -> Perk:
    """What a type brings to a bill paid with a card of this tier; prices come apart."""
    if isinstance(details, MemberDay | Birthday):
        for each in details.tier_perks:
            if each.tier_id == tier_id:
                return each.perk
    return next(iter(perks_of(details)), Perk())


def multiplies_points(details: Details) -> bool:
    """Whether purchases may earn more points by it."""
    return any(perk.multiplier_bp > BASIS_POINTS for perk in perks_of(details))


def _perks(written: dict[str, Any]) -> dict[str, Any]:
    tier_perks = (
        TierPerk(UUID(each["tier_id"]), Perk(**each["perk"])) for each in written["tier_perks"]
    )
    return {"perk": Perk(**written["perk"]), "tier_perks": tuple(tier_perks)}


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, UUID) else value
