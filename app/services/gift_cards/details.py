"""What a gift card product says, checked before it is kept (GFT-1)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput
from app.core.texts import checked_paragraphs, checked_text
from app.models.gift_cards import BuyerField
from app.services.gift_cards import designs
from app.services.gift_cards.pricing import CustomAmount, Denomination, Pricing
from app.services.scopes import ScopeRules

NAME_CHARS_MAX = 120
DESCRIPTION_CHARS_MAX = 2_000
AGREEMENT_CHARS_MAX = 10_000
VALID_DAYS_MAX = 36_500
CLAIM_DAYS_MAX = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardProductDetails:
    """All that can be edited of a product; amounts in minor units."""

    name: str
    scope: ScopeRules
    denominations: tuple[Denomination, ...]
    custom_amount: CustomAmount | None = None
    designs: tuple[str, ...] = ("plain",)
    buyer_name: BuyerField = BuyerField.NONE
    buyer_phone: BuyerField = BuyerField.NONE
    buyer_email: BuyerField = BuyerField.NONE
    buyer_card_number: BuyerField = BuyerField.NONE
    valid_days: int | None = None
    claim_days: int = 7
    can_recharge: bool = False
    can_move: bool = False
    description: str | None = None
    agreement: str | None = None


COLUMNS = tuple(name for name in GiftCardProductDetails.__dataclass_fields__ if name != "scope")
"""The columns of a product that say the same; the scope has tables of its own."""


async def columns_of(
    tx: Transaction, *, group_id: UUID, currency: str, details: GiftCardProductDetails
) -> dict[str, Any]:
    """What a product's `COLUMNS` hold, checked. Raises `BadInput`, `FileNotFound`."""
    pricing = Pricing(currency, details.denominations, details.custom_amount)
    pricing.require_sound()
    if details.valid_days is not None and not 1 <= details.valid_days <= VALID_DAYS_MAX:
        raise BadInput(f"validDays must be between 1 and {VALID_DAYS_MAX}.")
    if not 1 <= details.claim_days <= CLAIM_DAYS_MAX:
        raise BadInput(f"claimDays must be between 1 and {CLAIM_DAYS_MAX}.")
    denominations, custom_amount = pricing.documents()
    columns: dict[str, Any] = {name: getattr(details, name) for name in COLUMNS}
    return columns | {
        "name": checked_text("name", details.name, at_most=NAME_CHARS_MAX),
        "denominations": denominations,
        "custom_amount": custom_amount,
        "designs": await designs.checked(tx, group_id=group_id, designs=details.designs),
        "description": _paragraphs("description", details.description, DESCRIPTION_CHARS_MAX),
        "agreement": _paragraphs("agreement", details.agreement, AGREEMENT_CHARS_MAX),
    }


def _paragraphs(what: str, text: str | None, at_most: int) -> str | None:
    return None if text is None else checked_paragraphs(what, text, at_most=at_most)
