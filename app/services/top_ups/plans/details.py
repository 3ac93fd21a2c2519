"""What a plan says, checked before it is kept (TOP-3, TOP-4, TOP-5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import BadInput, DomainError
from app.core.money import BASIS_POINTS
from app.core.texts import checked_paragraphs, checked_text, checked_url
from app.models.cards import Scheme, Tier
from app.models.organisation import Node
from app.models.top_ups import TopUpPlanKind
from app.services import benefits, coupons, organisation
from app.services.actors import is_under
from app.services.coupons import Gift
from app.services.scopes import ScopeRules
from app.services.top_ups import rules
from app.services.top_ups.plans.steps import AnyStep, require_steps, to_json
from app.services.top_ups.rules import Rounding

NAME_CHARS_MAX = 120
AGREEMENT_CHARS_MAX = 10_000
DESCRIPTION_CHARS_MAX = 2_000
COVER_URL_CHARS_MAX = 500
STOCK_MAX = 1_000_000_000
LIMIT_PER_MEMBER_MAX = 10_000
GRANTED_MONTHS_MAX = 1_200
BONUS_VALID_DAYS_MAX = 36_500
BENEFIT_DAYS_MAX = 36_500
BENEFITS_MAX = 20
SPENDING_ITEMS_MAX = 500
SPENDING_NODES_MAX = 500
ITEM_CHARS_MAX = 64

schemes_of_tiers = statement(
    select(Scheme)
    .join(Tier, col(Tier.scheme_id) == col(Scheme.id))
    .where(any_of(col(Tier.id), "tier_ids"), col(Scheme.group_id) == bindparam("group_id")),
    into=Scheme,
)


class GrantedTierUnknown(DomainError):
    """No such tier, or one of a scheme whose cards the plan cannot top up."""

    def __init__(self) -> None:
        super().__init__("There is no such tier among the cards this plan is for.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDetails:
    """All that can be edited of a plan; amounts in minor units, shares in basis points."""

    name: str
    scope: ScopeRules
    steps: tuple[AnyStep, ...]
    is_visible: bool = True
    first_only: bool = False
    first_bonus_bp: int = 0
    first_points_bp: int = 0
    gifts: tuple[Gift, ...] = ()
    first_gifts: tuple[Gift, ...] = ()
    benefit_ids: tuple[UUID, ...] = ()
    benefit_days: int | None = None
    granted_tier_id: UUID | None = None
    granted_months: int | None = None
    limit_per_member: int | None = None
    spending_items: tuple[str, ...] | None = None
    spending_node_ids: tuple[UUID, ...] | None = None
    same_day_share_bp: int | None = None
    bonus_on_the_day: bool = True
    bonus_valid_days: int | None = None
    trigger_amount: int | None = None
    rounding: Rounding | None = None
    agreement: str | None = None
    description: str | None = None
    cover_url: str | None = None


COLUMNS = tuple(name for name in PlanDetails.__dataclass_fields__ if name != "scope")
"""The columns of a plan that say the same; the scope has tables of its own."""


async def columns_of(
    tx: Transaction, *, perspective: Node, kind: TopUpPlanKind, currency: str, details: PlanDetails
) -> dict[str, Any]:
    """What a plan's `COLUMNS` hold, checked; the scope is left to `scopes`.

    Raises `BadInput`, `GrantedTierUnknown`, `CouponTemplateNotFound`, `CouponPackNotFound`,
    `BenefitNotFound`, and `NodeNotFound` for a spending node elsewhere.
    """
    require_steps(kind, details.steps)
    _require_numbers(details)
    _require_kind(kind, details)
    await _require_tier(tx, perspective, currency, details)
    await _require_nodes(tx, perspective, details.spending_node_ids)
    await _require_extras(tx, perspective, details)
    columns: dict[str, Any] = {name: getattr(details, name) for name in COLUMNS}
    node_ids = details.spending_node_ids
    return columns | {
        "name": checked_text("name", details.name, at_most=NAME_CHARS_MAX),
        "steps": to_json(details.steps),
        "gifts": [gift.document() for gift in details.gifts],
        "first_gifts": [gift.document() for gift in details.first_gifts],
        "benefit_ids": [str(benefit_id) for benefit_id in details.benefit_ids],
        "spending_items": _items(details.spending_items),
        "spending_node_ids": None if node_ids is None else _unlike(str(i) for i in node_ids),
        "agreement": _paragraphs("agreement", details.agreement, AGREEMENT_CHARS_MAX),
        "description": _paragraphs("description", details.description, DESCRIPTION_CHARS_MAX),
        "cover_url": None
        if details.cover_url is None
        else checked_url("coverUrl", details.cover_url, at_most=COVER_URL_CHARS_MAX),
    }


def require_stock(stock: int | None) -> None:
    """Raise `BadInput` for a stock that no plan can have; None is without end."""
    _require_between("stock", stock, 0, STOCK_MAX)


def _require_numbers(details: PlanDetails) -> None:
    rules.require_first_bonus(bonus_bp=details.first_bonus_bp, points_bp=details.first_points_bp)
    for name, value, least, most in (
        ("limitPerMember", details.limit_per_member, 1, LIMIT_PER_MEMBER_MAX),
        ("grantedMonths", details.granted_months, 1, GRANTED_MONTHS_MAX),
        ("bonusValidDays", details.bonus_valid_days, 1, BONUS_VALID_DAYS_MAX),
        ("benefitDays", details.benefit_days, 1, BENEFIT_DAYS_MAX),
        ("sameDayShareBasisPoints", details.same_day_share_bp, 0, BASIS_POINTS),
        ("triggerAmount", details.trigger_amount, 1, rules.AMOUNT_MAX),
    ):
        _require_between(name, value, least, most)
    if details.granted_months is not None and details.granted_tier_id is None:
        raise BadInput("grantedMonths needs grantedTierId.")
    if details.benefit_days is not None and not details.benefit_ids:
        raise BadInput("benefitDays needs benefitIds.")


def _require_kind(kind: TopUpPlanKind, details: PlanDetails) -> None:
    """Raise `BadInput` for what plans of this kind do not have."""
    if kind is not TopUpPlanKind.SMART:
        if details.rounding is not None or details.trigger_amount is not None:
            raise BadInput("Only a smart plan has rounding and triggerAmount.")
        return
    if details.rounding is None:
        raise BadInput("A smart plan needs rounding.")
    # Its offers are made to pay the bill at hand, with what they bring: nothing may hold it back.
    is_restricted = (
        details.same_day_share_bp is not None
        or not details.bonus_on_the_day
        or details.spending_items is not None
        or details.spending_node_ids is not None
    )
    if is_restricted:
        raise BadInput("What a smart plan brings can be spent at once, anywhere, on anything.")


async def _require_tier(
    tx: Transaction, perspective: Node, currency: str, details: PlanDetails
) -> None:
    """The tier's scheme is kept in the plan's currency, and a card of it can be topped up."""
    if details.granted_tier_id is None:
        return
    group_id, scope = perspective.group_id, details.scope
    own = await tx.one(schemes_of_tiers, tier_ids=[details.granted_tier_id], group_id=group_id)
    if own is None or own.currency != currency:
        raise GrantedTierUnknown
    for_any_scheme = not scope.names_audiences or scope.tag_ids or scope.for_students
    if for_any_scheme or own.id in scope.scheme_ids:
        return
    meant = await tx.all(schemes_of_tiers, tier_ids=list(scope.tier_ids), group_id=group_id)
    if own.id not in {each.id for each in meant}:
        raise GrantedTierUnknown


async def _require_nodes(
    tx: Transaction, perspective: Node, node_ids: tuple[UUID, ...] | None
) -> None:
    if node_ids is None:
        return
    _require_number_of("spendingNodeIds", len(node_ids), SPENDING_NODES_MAX)
    found = await organisation.nodes(tx, list(node_ids))
    for node_id in node_ids:
        node = found.get(node_id)
        if node is None or not is_under(node, perspective.kind, perspective.id):
            raise organisation.NodeNotFound


async def _require_extras(tx: Transaction, perspective: Node, details: PlanDetails) -> None:
    """Raise unless a plan of this perspective can bring these coupons and benefits."""
    gifts = [*details.gifts, *details.first_gifts]
    if gifts:
        await coupons.require_gifts(tx, perspective=perspective, gifts=gifts)
    number = len(details.benefit_ids)
    if number > BENEFITS_MAX or len(set(details.benefit_ids)) < number:
        raise BadInput(f"benefitIds must hold at most {BENEFITS_MAX}, each once.")
    if number:
        await benefits.require(tx, perspective=perspective, benefit_ids=details.benefit_ids)


def _items(items: tuple[str, ...] | None) -> list[str] | None:
    if items is None:
        return None
    _require_number_of("spendingItems", len(items), SPENDING_ITEMS_MAX)
    return _unlike(checked_text("spendingItems", item, at_most=ITEM_CHARS_MAX) for item in items)


def _require_number_of(name: str, number: int, most: int) -> None:
    """A list that is empty would let nothing be bought; null restricts nothing."""
    if not 1 <= number <= most:
        raise BadInput(f"{name} must hold 1 to {most}, or be null.")


def _require_between(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise BadInput(f"{name} must be between {least} and {most}.")


def _unlike(values: Iterable[str]) -> list[str]:
    """Each value once, in its first place."""
    return list(dict.fromkeys(values))


def _paragraphs(what: str, text: str | None, at_most: int) -> str | None:
    return None if text is None else checked_paragraphs(what, text, at_most=at_most)
