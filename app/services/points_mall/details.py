"""What an item of the mall says, checked before it is kept (MAL-1)."""

from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from app.core.errors import BadInput
from app.core.money import MINOR_UNIT_DIGITS, Money
from app.core.texts import checked_paragraphs, checked_text
from app.models.points_mall import MallItemKind
from app.models.scopes import Channel
from app.services.scopes import ScopeRules

NAME_CHARS_MAX: Final = 120
DESCRIPTION_CHARS_MAX: Final = 2_000
CATEGORY_CHARS_MAX: Final = 48
POSITION_MAX: Final = 1_000_000
FILES_MAX: Final = 9
PRICE_POINTS_MAX: Final = 1_000_000_000
PRICE_AMOUNT_MAX: Final = 100_000_000_00
STOCK_MAX: Final = 9_999_999_999
LIMIT_PER_MEMBER_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDetails:
    """All that can be edited of an item."""

    name: str
    scope: ScopeRules
    file_ids: tuple[UUID, ...]
    price_points: int
    price: Money | None = None
    description: str | None = None
    category: str | None = None
    position: int = 0
    limit_per_member: int | None = None
    can_be_picked_up: bool = False
    can_be_shipped: bool = False


COLUMNS: Final = (
    "name",
    "file_ids",
    "price_points",
    "price_amount",
    "currency",
    "description",
    "category",
    "position",
    "limit_per_member",
    "can_be_picked_up",
    "can_be_shipped",
)
"""The columns of an item that say the same; the scope has tables of its own."""


def columns_of(kind: MallItemKind, details: ItemDetails) -> dict[str, Any]:
    """What an item's `COLUMNS` hold; the scope and the files are left to others.

    Raises `BadInput`.
    """
    _require_between("pricePoints", details.price_points, 0, PRICE_POINTS_MAX)
    _require_between("position", details.position, -POSITION_MAX, POSITION_MAX)
    _require_between("limitPerMember", details.limit_per_member, 1, LIMIT_PER_MEMBER_MAX)
    _require_price(details.price)
    if not 1 <= len(set(details.file_ids)) == len(details.file_ids) <= FILES_MAX:
        raise BadInput(f"An item has 1 to {FILES_MAX} pictures, each once.")
    is_thing = kind is MallItemKind.PHYSICAL
    if is_thing != (details.can_be_picked_up or details.can_be_shipped):
        raise BadInput("A PHYSICAL item is picked up, shipped or both, and no other is either.")
    return {
        "name": checked_text("name", details.name, at_most=NAME_CHARS_MAX),
        "file_ids": [str(file_id) for file_id in details.file_ids],
        "price_points": details.price_points,
        "price_amount": details.price.amount if details.price else None,
        "currency": details.price.currency if details.price else None,
        "description": None
        if details.description is None
        else checked_paragraphs("description", details.description, at_most=DESCRIPTION_CHARS_MAX),
        "category": category_named(details.category),
        "position": details.position,
        "limit_per_member": details.limit_per_member,
        "can_be_picked_up": details.can_be_picked_up,
        "can_be_shipped": details.can_be_shipped,
    }


def scope_of(details: ItemDetails) -> ScopeRules:
    """Where, when and for whom an item is, on the one channel there is: no till redeems points.

    Raises `BadInput` where that channel is left out.
    """
    if Channel.ONLINE not in details.scope.channels:
        raise BadInput("The mall is online: an item needs ONLINE among its channels.")
    return replace(details.scope, channels=frozenset((Channel.ONLINE,)))


def category_named(category: str | None) -> str | None:
    """A category as it is kept and looked for; raises `BadInput`."""
    return category and checked_text("category", category, at_most=CATEGORY_CHARS_MAX)


def require_stock(stock: int | None) -> None:
    """Raise `BadInput` for a stock that no item can have; None is without end."""
    _require_between("stock", stock, 0, STOCK_MAX)


def _require_price(price: Money | None) -> None:
    if price is None:
        return
    if price.currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    _require_between("price.amount", price.amount, 1, PRICE_AMOUNT_MAX)


def _require_between(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise BadInput(f"{name} must be between {least} and {most}.")
