"""What comes with a package: the nine kinds, each for all or some sales rules (BEN-6)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_paragraphs, checked_text
from app.models.benefits import BenefitKind
from app.models.cards import Scheme, Tier
from app.models.organisation import Node
from app.models.packages import ContentKind, GiftMoment
from app.services import benefits, coupons, schemes
from app.services.coupons import Gift

CONTENTS_MAX = 30
NAME_CHARS_MAX = 120
DESCRIPTION_CHARS_MAX = 2_000
POINTS_MAX = 1_000_000
GIFTS_MAX = 10
GIFT_KINDS = (
    ContentKind.FIRST_PURCHASE_GIFT,
    ContentKind.REPEAT_PURCHASE_GIFT,
    ContentKind.EARLY_RENEWAL_GIFT,
)
BENEFIT_KINDS = {
    ContentKind.MEMBER_PRICING: BenefitKind.MEMBER_PRICING,
    ContentKind.MEMBER_DISCOUNT: BenefitKind.MEMBER_DISCOUNT,
    ContentKind.MULTIPLIER: BenefitKind.POINTS_MULTIPLIER,
    ContentKind.PROMOTION: BenefitKind.PROMOTIONAL,
    ContentKind.CARD_EXTENSION: BenefitKind.CARD_EXTENSION,
}

schemes_of_tiers = statement(
    select(Scheme)
    .join(Tier, col(Tier.scheme_id) == col(Scheme.id))
    .where(any_of(col(Tier.id), "tier_ids"), col(Scheme.group_id) == bindparam("group_id")),
    into=Scheme,
)


class ContentTierUnknown(DomainError):
    """No such tier, or one of cards that the package is not sold for."""

    def __init__(self) -> None:
        super().__init__("There is no such tier among the cards this package is for.")


class BenefitOfOtherKind(DomainError):
    """The content names a benefit of another type than its own."""

    def __init__(self, kind: ContentKind) -> None:
        self.kind = kind
        super().__init__(f"The benefit chosen for {kind} is of another type.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One thing that comes with a package; which fields say something is told by its kind."""

    kind: ContentKind
    name: str | None = None
    description: str | None = None
    rules: tuple[int, ...] | None = None
    """The sales rules it comes with, by their places; None is all."""
    points: int = 0
    gifts: tuple[Gift, ...] = ()
    moment: GiftMoment = GiftMoment.AT_ONCE
    benefit_id: UUID | None = None
    tier_id: UUID | None = None

    def comes_with(self, rule: int) -> bool:
        return self.rules is None or rule in self.rules

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "name": self.name,
            "description": self.description,
            "rules": None if self.rules is None else list(self.rules),
            "points": self.points,
            "gifts": [gift.document() for gift in self.gifts],
            "moment": self.moment.value,
            "benefit_id": None if self.benefit_id is None else str(self.benefit_id),
            "tier_id": None if self.tier_id is None else str(self.tier_id),
        }

    @classmethod
    def from_document(cls, written: dict[str, Any]) -> Self:
        benefit_id, tier_id, rules = written["benefit_id"], written["tier_id"], written["rules"]
        return cls(
            kind=ContentKind(written["kind"]),
            name=written["name"],
            description=written["description"],
            rules=None if rules is None else tuple(rules),
            points=written["points"],
            gifts=tuple(Gift.from_document(gift) for gift in written["gifts"]),
            moment=GiftMoment(written["moment"]),
            benefit_id=None if benefit_id is None else UUID(benefit_id),
            tier_id=None if tier_id is None else UUID(tier_id),
        )


def contents_of(written: Iterable[dict[str, Any]]) -> list[Content]:
    """The contents that a package, or what was bought of it, keeps."""
    return [Content.from_document(each) for each in written]


def of_rule(contents: Iterable[Content], rule: int) -> list[Content]:
    """What comes with one of the sales rules."""
    return [content for content in contents if content.comes_with(rule)]


def tier_ids(contents: Iterable[Content]) -> Iterator[UUID]:
    """The tiers that come with it."""
    return (content.tier_id for content in contents if content.tier_id is not None)


async def require_contents(
    tx: Transaction,
    *,
    perspective: Node,
    currency: str,
    number_of_rules: int,
    contents: Sequence[Content],
) -> list[Content]:
    """The contents, checked, for a package made under the perspective.

    Raises `BadInput`, `BenefitNotFound`, `BenefitOfOtherKind`, `ContentTierUnknown`, and what
    `coupons.require_gifts` does.
    """
    if len(contents) > CONTENTS_MAX:
        raise BadInput(f"A package has at most {CONTENTS_MAX} contents.")
    sound = [_checked(content, number_of_rules) for content in contents]
    given_together: dict[tuple[ContentKind, GiftMoment], list[Gift]] = {}
    for each in sound:
        given_together.setdefault((each.kind, each.moment), []).extend(each.gifts)
    for gifts in given_together.values():
        if gifts:
            await coupons.require_gifts(tx, perspective=perspective, gifts=gifts)
    await _require_benefits(tx, perspective, sound)
    await _require_tiers(tx, perspective, currency, sound)
    return sound


def _checked(content: Content, number_of_rules: int) -> Content:
    kind, rules = content.kind, content.rules
    if rules is not None:
        rules = tuple(dict.fromkeys(rules))
        if not rules or not all(0 <= rule < number_of_rules for rule in rules):
            raise BadInput("rules must name some of the package's sales rules, or be null.")
    if kind in GIFT_KINDS:
        if not (content.points or content.gifts):
            raise BadInput(f"{kind} needs points or gifts.")
    elif content.points or content.gifts:
        raise BadInput(f"{kind} has no points and no gifts.")
    if not 0 <= content.points <= POINTS_MAX or len(content.gifts) > GIFTS_MAX:
        raise BadInput(f"A gift is 0 to {POINTS_MAX} points and at most {GIFTS_MAX} gifts.")
    if content.moment is not GiftMoment.AT_ONCE and kind is not ContentKind.EARLY_RENEWAL_GIFT:
        raise BadInput("Only the gift for an early renewal can wait until it begins.")
    if (content.benefit_id is not None) != (kind in BENEFIT_KINDS):
        raise BadInput(f"benefitId is for {', '.join(BENEFIT_KINDS)}, which need it.")
    if (content.tier_id is not None) != (kind is ContentKind.TIER_UPGRADE):
        raise BadInput("tierId is for TIER_UPGRADE, which needs it.")
    return Content(
        kind=kind,
        name=None
        if content.name is None
        else checked_text("name", content.name, at_most=NAME_CHARS_MAX),
        description=None
        if content.description is None
        else checked_paragraphs("description", content.description, at_most=DESCRIPTION_CHARS_MAX),
        rules=rules,
        points=content.points,
        gifts=content.gifts,
        moment=content.moment,
        benefit_id=content.benefit_id,
        tier_id=content.tier_id,
    )


async def _require_benefits(
    tx: Transaction, perspective: Node, contents: Sequence[Content]
) -> None:
    named = {each.benefit_id: each.kind for each in contents if each.benefit_id is not None}
    for benefit in await benefits.require(tx, perspective=perspective, benefit_ids=list(named)):
        kind = named[benefit.id]
        if BENEFIT_KINDS[kind] is not benefit.kind:
            raise BenefitOfOtherKind(kind)


async def _require_tiers(
    tx: Transaction, perspective: Node, currency: str, contents: Sequence[Content]
) -> None:
    """Tiers of one scheme kept in the package's currency: it is sold for the cards of that one."""
    wanted = set(tier_ids(contents))
    if not wanted:
        return
    known = await schemes.tiers(tx, list(wanted))
    found = await tx.all(schemes_of_tiers, tier_ids=list(wanted), group_id=perspective.group_id)
    is_one_scheme = len({scheme.id for scheme in found}) == 1
    if set(known) != wanted or not is_one_scheme or found[0].currency != currency:
        raise ContentTierUnknown
