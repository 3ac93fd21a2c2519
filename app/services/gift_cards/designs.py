"""The pictures a gift card can have: our own, and those a group uploaded (GFT-1)."""

from collections.abc import Collection, Sequence
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput, DomainError
from app.core.ids import parse_type_id
from app.services import files

LIBRARY = ("lantern", "blossom", "birthday", "thanks", "festival", "plain")
"""Each is `static/gift-cards/NAME.svg`."""
DESIGNS_MAX = 12


class GiftCardDesignNotOffered(DomainError):
    """The product does not come with this design."""

    def __init__(self) -> None:
        super().__init__("This gift card does not come with that design.")


async def checked(tx: Transaction, *, group_id: UUID, designs: Sequence[str]) -> list[str]:
    """Designs as a product keeps them, each once; raises `FileNotFound`, `BadInput`."""
    kept = list(dict.fromkeys(designs))
    if not 1 <= len(kept) <= DESIGNS_MAX:
        raise BadInput(f"A gift card has 1 to {DESIGNS_MAX} designs.")
    for design in kept:
        if design not in LIBRARY:
            file_id = parse_type_id("file", design)
            await files.require_image(tx, group_id=group_id, file_id=file_id)
    return kept


def chosen(design: str | None, offered: Collection[str]) -> str:
    """The design a buyer wants, or the product's first; raises `GiftCardDesignNotOffered`."""
    if design is None:
        return next(iter(offered))
    if design not in offered:
        raise GiftCardDesignNotOffered
    return design
