"""What a package says, checked before it is kept (BEN-5, BEN-6)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.core.db import Transaction
from app.core.texts import checked_paragraphs, checked_text
from app.models.organisation import Node
from app.models.packages import AgreementKind
from app.services import files
from app.services.packages import agreements, contents, rules
from app.services.packages.contents import Content
from app.services.packages.rules import SalesRule
from app.services.scopes import ScopeRules

NAME_CHARS_MAX = 120
TAG_CHARS_MAX = 40
DESCRIPTION_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageDetails:
    """All that can be edited of a package; prices in minor units of its currency."""

    name: str
    scope: ScopeRules
    rules: tuple[SalesRule, ...]
    contents: tuple[Content, ...]
    tag: str | None = None
    description: str | None = None
    cover_file_id: UUID | None = None
    icon_file_id: UUID | None = None
    purchase_agreement_id: UUID | None = None
    terms_agreement_id: UUID | None = None
    faq_agreement_id: UUID | None = None


COLUMNS = tuple(name for name in PackageDetails.__dataclass_fields__ if name != "scope")
"""The columns of a package that say the same; the scope has tables of its own."""


async def columns_of(
    tx: Transaction, *, perspective: Node, currency: str, details: PackageDetails
) -> dict[str, Any]:
    """What a package's `COLUMNS` hold, checked; the scope is left to `scopes`.

    Raises `TooManySalesRules`, `BadInput`, `FileNotFound`, `AgreementNotFound`, and what
    `contents.require_contents` does.
    """
    rules.require_rules(details.rules)
    sound = await contents.require_contents(
        tx,
        perspective=perspective,
        currency=currency,
        number_of_rules=len(details.rules),
        contents=details.contents,
    )
    await agreements.require_usable(
        tx,
        perspective=perspective,
        wanted={
            AgreementKind.PURCHASE: details.purchase_agreement_id,
            AgreementKind.TERMS: details.terms_agreement_id,
            AgreementKind.FAQ: details.faq_agreement_id,
        },
    )
    for file_id in (details.cover_file_id, details.icon_file_id):
        if file_id is not None:
            await files.require_image(tx, group_id=perspective.group_id, file_id=file_id)
    columns: dict[str, Any] = {name: getattr(details, name) for name in COLUMNS}
    tag, description = details.tag, details.description
    return columns | {
        "name": checked_text("name", details.name, at_most=NAME_CHARS_MAX),
        "tag": None if tag is None else checked_text("tag", tag, at_most=TAG_CHARS_MAX),
        "description": None
        if description is None
        else checked_paragraphs("description", description, at_most=DESCRIPTION_CHARS_MAX),
        "rules": [rule.document() for rule in details.rules],
        "contents": [content.document() for content in sound],
    }
