"""What a benefit may say, checked before it is kept (BEN-1, BEN-2, BEN-4)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import BadInput, DomainError
from app.core.money import BASIS_POINTS, MINOR_UNIT_DIGITS
from app.core.schedules import Schedule
from app.core.texts import checked_paragraphs, checked_text
from app.models.benefits import BenefitKind
from app.models.cards import Scheme, Tier
from app.models.organisation import Node
from app.services import campaigns, files, scopes
from app.services.benefits.bills import AMOUNT_MAX, ITEM_ID_CHARS_MAX
from app.services.benefits.details import (
    KINDS,
    Birthday,
    CardExtension,
    Custom,
    CustomField,
    Details,
    ExclusiveService,
    Marketing,
    MemberDay,
    MemberDiscount,
    MemberPricing,
    Perk,
    PointsMultiplier,
    Promotional,
    Restrictions,
    document_of,
    multiplies_points,
    perks_of,
)
from app.services.scopes import ScopeRules

NAME_CHARS_MAX: Final = 120
BRIEF_CHARS_MAX: Final = 200
DESCRIPTION_CHARS_MAX: Final = 2_000
NOTE_CHARS_MAX: Final = 200
MULTIPLIER_BP_MAX: Final = 100 * BASIS_POINTS
"""A hundred times as many points."""
PRICES_MAX: Final = 500
EXCLUDED_MAX: Final = 500
TIER_PERKS_MAX: Final = 50
EXTENSION_DAYS_MAX: Final = 36_500
IMAGES_MAX: Final = 9
CUSTOM_FIELDS_MAX: Final = 20
FIELD_NAME_CHARS_MAX: Final = 40
FIELD_VALUE_CHARS_MAX: Final = 200
RESTRICTED: Final = {
    BenefitKind.MEMBER_PRICING,
    BenefitKind.MEMBER_DISCOUNT,
    BenefitKind.MEMBER_DAY,
    BenefitKind.BIRTHDAY,
    BenefitKind.POINTS_MULTIPLIER,
}
"""The types that give something with a bill, and so can depend on it (BEN-2)."""

schemes_by_id = statement(
    select(Scheme).where(
        any_of(col(Scheme.id), "ids"), col(Scheme.group_id) == bindparam("group_id")
    ),
    into=Scheme,
)
schemes_of_tiers = statement(
    select(Scheme)
    .join(Tier, col(Tier.scheme_id) == col(Scheme.id))
    .where(any_of(col(Tier.id), "tier_ids"), col(Scheme.group_id) == bindparam("group_id")),
    into=Scheme,
)


class CardsNeverExpire(DomainError):
    """An extension is for cards whose time ends: each scheme it names has a validity (BEN-1)."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme_id = scheme.id
        self.name = scheme.name
        super().__init__(f"Cards of {scheme.name} never expire, so there is nothing to extend.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that can be edited of a benefit; amounts in minor units of `currency`."""

    name: str
    brief: str
    scope: ScopeRules
    details: Details
    restrictions: Restrictions
    description: str | None = None
    icon_file_id: UUID | None = None
    currency: str | None = None

    @property
    def kind(self) -> BenefitKind:
        return KINDS[type(self.details)]


async def columns_of(tx: Transaction, *, perspective: Node, content: Content) -> dict[str, Any]:
    """What a benefit's columns hold, checked; the scope is left to `scopes`.

    Raises `BadInput`, `CampaignNotFound`, `NotAMemberBenefit`, `CardsNeverExpire`, `FileNotFound`,
    `AudienceNotFound`.
    """
    details, description = _checked(content.details), content.description
    _require_restrictions(content)
    _require_currency(content)
    await _require_known(tx, perspective, content)
    return {
        "name": checked_text("name", content.name, at_most=NAME_CHARS_MAX),
        "brief": checked_text("brief", content.brief, at_most=BRIEF_CHARS_MAX),
        "description": None
        if description is None
        else checked_paragraphs("description", description, at_most=DESCRIPTION_CHARS_MAX),
        "icon_file_id": content.icon_file_id,
        "currency": content.currency,
        "campaign_id": _campaign_of(details),
        "details": document_of(details),
        "restrictions": content.restrictions.document(),
        "multiplies_points": multiplies_points(details),
    }


COLUMNS = (
    "name",
    "brief",
    "description",
    "icon_file_id",
    "currency",
    "campaign_id",
    "details",
    "restrictions",
    "multiplies_points",
)


def _checked(details: Details) -> Details:
    """The fields of a type, its texts in their stored form; raises `BadInput`."""
    for perk in perks_of(details):
        _require_perk(perk)
    match details:
        case MemberPricing():
            _require_number_of("prices", details.prices, 1, PRICES_MAX)
            _require_once("prices", (each.item_id for each in details.prices))
            _require_item_ids("prices", (each.item_id for each in details.prices))
            for each in details.prices:
                _require_between("price", each.price, 0, AMOUNT_MAX)
        case MemberDiscount():
            _require_between("discountBasisPoints", details.discount_bp, 1, BASIS_POINTS)
        case PointsMultiplier():
            _require_between(
                "multiplierBasisPoints", details.multiplier_bp, BASIS_POINTS + 1, MULTIPLIER_BP_MAX
            )
        case MemberDay() | Birthday():
            if isinstance(details, MemberDay):
                Schedule.from_json(details.schedule)  # which refuses what is none
            _require_number_of("tierPerks", details.tier_perks, 0, TIER_PERKS_MAX)
            _require_once("tierPerks", (each.tier_id for each in details.tier_perks))
        case CardExtension():
            _require_between("days", details.days, 1, EXTENSION_DAYS_MAX)
        case ExclusiveService():
            _require_number_of("imageFileIds", details.image_file_ids, 0, IMAGES_MAX)
            _require_once("imageFileIds", details.image_file_ids)
        case Custom():
            return _checked_fields(details)
    return details


def _checked_fields(details: Custom) -> Custom:
    _require_number_of("fields", details.fields, 0, CUSTOM_FIELDS_MAX)
    fields = tuple(
        CustomField(
            checked_text("fields.name", each.name, at_most=FIELD_NAME_CHARS_MAX),
            checked_text("fields.value", each.value, at_most=FIELD_VALUE_CHARS_MAX),
        )
        for each in details.fields
    )
    _require_once("fields", (each.name for each in fields))
    return Custom(fields=fields)


def _require_perk(perk: Perk) -> None:
    _require_between("discountBasisPoints", perk.discount_bp, 0, BASIS_POINTS)
    _require_between("multiplierBasisPoints", perk.multiplier_bp, BASIS_POINTS, MULTIPLIER_BP_MAX)
    if perk.note is not None:
        checked_text("note", perk.note, at_most=NOTE_CHARS_MAX)


def _require_restrictions(content: Content) -> None:
    restrictions = content.restrictions
    if not restrictions.are_none and content.kind not in RESTRICTED:
        raise BadInput(f"A benefit of the type {content.kind} has no restrictions.")
    if restrictions.stored_value_from is not None:
        _require_between("storedValueFrom", restrictions.stored_value_from, 1, AMOUNT_MAX)
    for name, ids in (
        ("excludedItemIds", restrictions.excluded_item_ids),
        ("excludedCategoryIds", restrictions.excluded_category_ids),
    ):
        _require_number_of(name, ids, 0, EXCLUDED_MAX)
        _require_item_ids(name, ids)


def _require_currency(content: Content) -> None:
    """Amounts are in some currency, and where there are none nothing is."""
    has_amounts = (
        isinstance(content.details, MemberPricing)
        or content.restrictions.stored_value_from is not None
    )
    if has_amounts != (content.currency is not None):
        raise BadInput("currency is what prices and storedValueFrom are in, and needed with them.")
    if content.currency is not None and content.currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")


async def _require_known(tx: Transaction, perspective: Node, content: Content) -> None:
    """Raise unless all that a benefit refers to is there for its perspective."""
    group_id, details = perspective.group_id, content.details
    campaign_id = _campaign_of(details)
    if campaign_id is not None:
        await campaigns.require_member_benefit(tx, perspective=perspective, campaign_id=campaign_id)
    match details:
        case CardExtension():
            await _require_validity(tx, group_id, content.scope)
        case MemberDay() | Birthday() if details.tier_perks:
            tier_ids = {each.tier_id for each in details.tier_perks}
            known = await tx.all(scopes.tiers_in_group, ids=list(tier_ids), group_id=group_id)
            if set(known) != tier_ids:
                raise scopes.AudienceNotFound
        case ExclusiveService():
            for file_id in details.image_file_ids:
                await files.require_image(tx, group_id=group_id, file_id=file_id)
    if content.icon_file_id is not None:
        await files.require_image(tx, group_id=group_id, file_id=content.icon_file_id)


async def _require_validity(tx: Transaction, group_id: UUID, scope: ScopeRules) -> None:
    """Raise unless the cards an extension is for are named, and all of them expire."""
    if not scope.scheme_ids and not scope.tier_ids:
        raise BadInput("A card extension names the schemes or tiers that it is for.")
    named = await tx.all(schemes_by_id, ids=list(scope.scheme_ids), group_id=group_id)
    named += await tx.all(schemes_of_tiers, tier_ids=list(scope.tier_ids), group_id=group_id)
    for scheme in named:
        if scheme.valid_days is None:
            raise CardsNeverExpire(scheme)


def _campaign_of(details: Details) -> UUID | None:
    return details.campaign_id if isinstance(details, Marketing | Promotional) else None


def _require_item_ids(name: str, ids: Iterable[str]) -> None:
    for each in ids:
        checked_text(name, each, at_most=ITEM_ID_CHARS_MAX)


def _require_number_of(name: str, values: Collection[object], least: int, most: int) -> None:
    if not least <= len(values) <= most:
        raise BadInput(f"{name} must hold {least} to {most}.")


def _require_once(name: str, values: Iterable[object]) -> None:
    listed = list(values)
    if len(set(listed)) < len(listed):
        raise BadInput(f"{name} must name each once.")


def _require_between(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadInput(f"{name} must be between {least} and {most}.")
