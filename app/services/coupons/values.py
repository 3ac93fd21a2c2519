"""What coupons of each kind take off a bill: numbers alone, no database (CPN-1)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from app.core.errors import BadInput, DomainError
from app.core.money import BASIS_POINTS, Money, percent
from app.models.coupons import CouponKind, CouponTerms

AMOUNT_MAX: Final = 1_000_000_000_000
"""Minor units of a bill and of whatever a coupon says about one."""
LINES_MAX: Final = 200
QUANTITY_MAX: Final = 10_000
ITEM_CHARS_MAX: Final = 64
GIFT_ITEMS_MAX: Final = 50
GIFT_QUANTITY_MAX: Final = 100


class BillLineKind(StrEnum):
    """What a line of a bill is."""

    ITEM = "ITEM"
    SUB_ITEM = "SUB_ITEM"
    """A part of a set, or what was added to an item: an extra shot."""
    SIDE_DISH = "SIDE_DISH"


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """So many units of an item, each at a price in minor units."""

    item_id: str
    price: int
    quantity: int = 1
    category: str | None = None
    kind: BillLineKind = BillLineKind.ITEM

    @property
    def amount(self) -> int:
        return self.price * self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is to be paid, and for what as far as it is said."""

    total: Money
    lines: Sequence[BillLine] = ()

    def require_sound(self) -> None:
        """Raise `BadInput` for a bill that cannot be meant."""
        if not 0 < self.total.amount <= AMOUNT_MAX:
            raise BadInput(f"The bill must be above 0 and at most {AMOUNT_MAX}.")
        if len(self.lines) > LINES_MAX:
            raise BadInput(f"A bill can have at most {LINES_MAX} lines.")
        for line in self.lines:
            if not (0 <= line.price <= AMOUNT_MAX and 1 <= line.quantity <= QUANTITY_MAX):
                raise BadInput(
                    f"A line needs a price of 0 to {AMOUNT_MAX} and 1 to {QUANTITY_MAX} units."
                )
        if sum(line.amount for line in self.lines) > self.total.amount:
            raise BadInput("The lines must add up to no more than the bill.")


@dataclass(frozen=True, slots=True)
class CashOff:
    """An amount off, in minor units; of a smaller bill, all of it."""

    amount: int


@dataclass(frozen=True, slots=True)
class ShareOff:
    """A share off in basis points (2,000 leaves 80 % to pay), perhaps up to an amount."""

    off_bp: int
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class ItemsFree:
    """So many units of any of these items for nothing, the dearest first."""

    items: tuple[str, ...]
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class FixedPrice:
    """So many units of any of these items at a price each, the dearest first; without items, all
    that the coupon is for at that price."""

    price: int
    items: tuple[str, ...] | None = None
    quantity: int = 1


Benefit: TypeAlias = CashOff | ShareOff | ItemsFree | FixedPrice

KIND_OF: Final[dict[type[Benefit], CouponKind]] = {
    CashOff: CouponKind.CASH,
    ShareOff: CouponKind.DISCOUNT,
    ItemsFree: CouponKind.GIFT,
    FixedPrice: CouponKind.DISCOUNT_TO,
}
_CLASSES: Final = {kind: each for each, kind in KIND_OF.items()}


class Value(NamedTuple):
    """What a coupon takes off a bill, and the spending that was measured against its minimum; both
    in minor units."""

    takes_off: int
    spend: int


class BillInOtherCurrency(DomainError):
    """The coupon is worth something in another currency."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        super().__init__(f"This coupon is for bills in {currency}.")


class BillTooSmall(DomainError):
    """Less is bought of what the coupon is for than it asks (CPN-1)."""

    def __init__(self, *, minimum: Money, short_by: Money) -> None:
        self.minimum = minimum
        self.short_by = short_by
        super().__init__("The bill is below what this coupon asks for.")


class NothingToTakeOff(DomainError):
    """Nothing on the bill is what the coupon is for, or it costs less already."""

    def __init__(self) -> None:
        super().__init__("There is nothing on this bill that the coupon is for.")


def to_json(benefit: Benefit) -> dict[str, Any]:
    """As terms keep it; the kind stands beside it."""
    return asdict(benefit)


def benefit_of(terms: CouponTerms) -> Benefit:
    """What coupons with these terms take off."""
    written = dict(terms.benefit)
    if written.get("items") is not None:
        written["items"] = tuple(written["items"])
    return _CLASSES[terms.kind](**written)


def require_benefit(benefit: Benefit) -> None:
    """Raise `BadInput` for numbers that no coupon can have."""
    match benefit:
        case CashOff(amount):
            _require_between("amount", amount, 1, AMOUNT_MAX)
        case ShareOff(off_bp, at_most):
            _require_between("offBasisPoints", off_bp, 1, BASIS_POINTS)
            if at_most is not None:
                _require_between("atMost", at_most, 1, AMOUNT_MAX)
        case ItemsFree(items, quantity):
            _require_items(items, quantity)
        case FixedPrice(price, items, quantity):
            _require_between("price", price, 0 if items else 1, AMOUNT_MAX)
            if items is not None:
                _require_items(items, quantity)
            elif quantity != 1:
                raise BadInput("quantity needs items.")


def value_of(terms: CouponTerms, bill: Bill) -> Value:
    """What a coupon with these terms takes off a bill (CPN-1, PRM-1).

    Of the bill those lines count that the coupon is for: its items and categories, or without any
    all of the bill; sub-items and side dishes only where they take part. The minimum is asked of
    what counts, for GIFT without the units that are given: what is free is no spending. Raises
    `BillInOtherCurrency`, `BillTooSmall`, `NothingToTakeOff`.
    """
    if bill.total.currency != terms.currency:
        raise BillInOtherCurrency(terms.currency)
    spend = _spend(terms, bill)
    match benefit_of(terms):
        case CashOff(amount):
            takes_off = min(amount, spend)
        case ShareOff(off_bp, at_most):
            # Half up: of 0.05, 10 % is 0.01.
            share = percent(spend, off_bp)
            takes_off = share if at_most is None else min(share, at_most)
        case ItemsFree(items, quantity):
            given = _dearest(bill.lines, items, quantity)
            takes_off = sum(line.price * units for line, units in given)
            spend -= sum(line.price * units for line, units in given if _takes_part(terms, line))
        case FixedPrice(price, None):
            takes_off = max(0, spend - price)
        case FixedPrice(price, tuple(items), quantity):
            sold = _dearest(bill.lines, items, quantity)
            takes_off = sum(max(0, line.price - price) * units for line, units in sold)
    minimum = terms.minimum_spend or 0
    if spend < minimum:
        raise BillTooSmall(
            minimum=Money(minimum, terms.currency),
            short_by=Money(minimum - spend, terms.currency),
        )
    if not takes_off:
        raise NothingToTakeOff
    return Value(takes_off, spend)


def _spend(terms: CouponTerms, bill: Bill) -> int:
    """How much of the bill the coupon is for. What no line tells is of no certain item."""
    taking_part = sum(line.amount for line in bill.lines if _takes_part(terms, line))
    if _names_products(terms):
        return taking_part
    return bill.total.amount - sum(line.amount for line in bill.lines) + taking_part


def _names_products(terms: CouponTerms) -> bool:
    return terms.items is not None or terms.categories is not None


def _takes_part(terms: CouponTerms, line: BillLine) -> bool:
    if line.kind is BillLineKind.SUB_ITEM and not terms.includes_sub_items:
        return False
    if line.kind is BillLineKind.SIDE_DISH and not terms.includes_side_dishes:
        return False
    return (
        not _names_products(terms)
        or line.item_id in (terms.items or ())
        or line.category in (terms.categories or ())
    )


def _dearest(
    lines: Sequence[BillLine], items: tuple[str, ...], quantity: int
) -> list[tuple[BillLine, int]]:
    """Up to `quantity` units of the items on the bill, the dearest first, by line."""
    chosen, left = [], quantity
    named = [line for line in lines if line.item_id in items]
    for line in sorted(named, key=lambda line: -line.price):
        units = min(left, line.quantity)
        if units:
            chosen.append((line, units))
        left -= units
    return chosen


def _require_items(items: tuple[str, ...], quantity: int) -> None:
    if not 1 <= len(items) <= GIFT_ITEMS_MAX:
        raise BadInput(f"items must hold 1 to {GIFT_ITEMS_MAX}.")
    _require_between("quantity", quantity, 1, GIFT_QUANTITY_MAX)


def _require_between(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadInput(f"{name} must be between {least} and {most}.")
