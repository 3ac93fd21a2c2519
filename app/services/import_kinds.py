"""What can be brought in by a spreadsheet: each domain's kinds in one place (MEM-2, GFT-5)."""

from collections.abc import Mapping

from app.models.imports import ImportKind
from app.services.gift_cards import printed, products
from app.services.imports import Kind

KINDS: Mapping[ImportKind, Kind] = {ImportKind.GIFT_CARD_NUMBERS: printed.NUMBERS}
assert set(KINDS) == set(ImportKind)

SUBJECT_NOT_FOUND = (products.GiftCardProductNotFound,)
"""What the kinds raise where the rows would belong to nothing there is."""
