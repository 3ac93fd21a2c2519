"""What a template says, checked before it is kept (CPN-1, CPN-4)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput
from app.core.texts import checked_paragraphs, checked_text, checked_url
from app.models.coupons import CouponKind, CouponTerms
from app.models.organisation import Node
from app.services import files, scopes
from app.services.coupons import validity, values
from app.services.coupons.terms import new_terms
from app.services.coupons.validity import Validity
from app.services.coupons.values import Benefit
from app.services.scopes import ScopeRules

NAME_CHARS_MAX = 120
TITLE_CHARS_MAX = 60
SUBTITLE_CHARS_MAX = 120
INSTRUCTIONS_CHARS_MAX = 2_000
GOODS_LINK_CHARS_MAX = 500
OUTSIDE_ID_CHARS_MAX = 64
ITEMS_MAX = 500
CATEGORIES_MAX = 100
FIELDS_MAX = 20
FIELD_KEY_CHARS_MAX = 40
FIELD_VALUE_CHARS_MAX = 200
STOCK_MAX = 9_999_999_999
LIMIT_PER_MEMBER_MAX = 10_000

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDetails:
    """All that can be edited of a template; amounts in minor units."""

    name: str
    title: str
    benefit: Benefit
    validity: Validity
    scope: ScopeRules
    claim_scope: ScopeRules | None = None
    subtitle: str | None = None
    colour: str | None = None
    image_file_id: UUID | None = None
    limit_per_member: int | None = None
    minimum_spend: int | None = None
    items: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    includes_sub_items: bool = True
    includes_side_dishes: bool = True
    fields: tuple[tuple[str, str], ...] = ()
    instructions: str | None = None
    goods_link: str | None = None
    online_outside_id: str | None = None
    pos_outside_id: str | None = None


async def write_terms(
    tx: Transaction, *, perspective: Node, kind: CouponKind, currency: str, details: TemplateDetails
) -> CouponTerms:
    """Write down what coupons issued from now on promise, with a scope of its own.

    Raises `BadInput`, `FileNotFound`, and what `scopes.create` does.
    """
    if values.KIND_OF[type(details.benefit)] is not kind:
        raise BadInput(f"A {kind} coupon needs the fields of its kind.")
    values.require_benefit(details.benefit)
    require_between("minimumSpend", details.minimum_spend, 1, values.AMOUNT_MAX)
    if details.colour is not None and not _COLOUR.fullmatch(details.colour):
        raise BadInput("colour must be of the form #RRGGBB.")
    if details.image_file_id is not None:
        await files.require_image(tx, group_id=perspective.group_id, file_id=details.image_file_id)
    scope = await scopes.create(tx, perspective=perspective, rules=details.scope)
    link, items = details.goods_link, values.ITEM_CHARS_MAX
    terms = new_terms(
        kind=kind,
        currency=currency,
        scope_id=scope.id,
        title=checked_text("title", details.title, at_most=TITLE_CHARS_MAX),
        subtitle=_text("subtitle", details.subtitle, SUBTITLE_CHARS_MAX),
        colour=details.colour,
        image_file_id=details.image_file_id,
        benefit=values.to_json(_checked_items(details.benefit)),
        minimum_spend=details.minimum_spend,
        items=_listed("items", details.items, ITEMS_MAX, items),
        categories=_listed("categories", details.categories, CATEGORIES_MAX, items),
        includes_sub_items=details.includes_sub_items,
        includes_side_dishes=details.includes_side_dishes,
        fields=_fields(details.fields),
        instructions=None
        if details.instructions is None
        else checked_paragraphs(
            "instructions", details.instructions, at_most=INSTRUCTIONS_CHARS_MAX
        ),
        goods_link=None
        if link is None
        else checked_url("goodsLink", link, at_most=GOODS_LINK_CHARS_MAX),
        online_outside_id=_text("onlineOutsideId", details.online_outside_id, OUTSIDE_ID_CHARS_MAX),
        pos_outside_id=_text("posOutsideId", details.pos_outside_id, OUTSIDE_ID_CHARS_MAX),
    )
    await tx.insert(terms)
    return terms


async def template_columns(
    tx: Transaction, *, perspective: Node, details: TemplateDetails, terms: CouponTerms
) -> dict[str, Any]:
    """What a template's own columns hold, checked; raises as `write_terms`."""
    validity.require_validity(details.validity)
    require_between("limitPerMember", details.limit_per_member, 1, LIMIT_PER_MEMBER_MAX)
    claim_scope = None
    if details.claim_scope is not None:
        claim_scope = await scopes.create(tx, perspective=perspective, rules=details.claim_scope)
    return {
        "name": checked_text("name", details.name, at_most=NAME_CHARS_MAX),
        "terms_id": terms.id,
        "claim_scope_id": claim_scope.id if claim_scope else None,
        "validity": validity.to_json(details.validity),
        "limit_per_member": details.limit_per_member,
    }


def require_stock(stock: int | None) -> None:
    """Raise `BadInput` for an inventory that no template can have; None is without end."""
    require_between("stock", stock, 0, STOCK_MAX)


def require_between(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise BadInput(f"{name} must be between {least} and {most}.")


def _checked_items(benefit: Benefit) -> Benefit:
    """The benefit with its items as they are kept: each once, without blanks around it."""
    match benefit:
        case values.ItemsFree(items, quantity):
            return values.ItemsFree(_item_ids(items), quantity)
        case values.FixedPrice(price, tuple(items), quantity):
            return values.FixedPrice(price, _item_ids(items), quantity)
    return benefit


def _item_ids(items: Iterable[str]) -> tuple[str, ...]:
    checked = (checked_text("items", item, at_most=values.ITEM_CHARS_MAX) for item in items)
    return tuple(dict.fromkeys(checked))


def _listed(
    name: str, listed: tuple[str, ...] | None, most: int, chars_max: int
) -> list[str] | None:
    """An empty list would let nothing be bought; null restricts nothing."""
    if listed is None:
        return None
    if not 1 <= len(listed) <= most:
        raise BadInput(f"{name} must hold 1 to {most}, or be null.")
    return list(dict.fromkeys(checked_text(name, each, at_most=chars_max) for each in listed))


def _fields(fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    if len(fields) > FIELDS_MAX:
        raise BadInput(f"There can be at most {FIELDS_MAX} fields.")
    checked = [
        {
            "key": checked_text("key", key, at_most=FIELD_KEY_CHARS_MAX),
            "value": checked_text("value", value, at_most=FIELD_VALUE_CHARS_MAX),
        }
        for key, value in fields
    ]
    if len({each["key"] for each in checked}) < len(checked):
        raise BadInput("Each key of the fields stands once.")
    return checked


def _text(what: str, text: str | None, at_most: int) -> str | None:
    return None if text is None else checked_text(what, text, at_most=at_most)
