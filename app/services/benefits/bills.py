"""What a benefit takes off a bill, and what keeps it from doing so: integers in, integers out.

Amounts are in minor units of one currency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from app.core.errors import BadInput
from app.core.money import percent, points_for
from app.services.benefits.details import Details, MemberPricing, Perk, Restrictions

LINES_MAX: Final = 200
QUANTITY_MAX: Final = 100_000
ITEM_ID_CHARS_MAX: Final = 64
AMOUNT_MAX: Final = 100_000_000_000
"""Of a line and of a whole bill: far above any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """So many of an item, and what they cost together without any benefit."""

    item_id: str
    quantity: int
    amount: int
    category_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is to be paid; `outstanding` is what of it is not paid yet."""

    currency: str
    lines: tuple[BillLine, ...]
    outstanding: int

    @classmethod
    def of(cls, currency: str, lines: Sequence[BillLine], outstanding: int | None) -> "Bill":
        """A bill of these lines, by default wholly unpaid; raises `BadInput`."""
        if not 1 <= len(lines) <= LINES_MAX:
            raise BadInput(f"A bill needs 1 to {LINES_MAX} lines.")
        for line in lines:
            if not 1 <= line.quantity <= QUANTITY_MAX:
                raise BadInput(f"quantity must be between 1 and {QUANTITY_MAX}.")
            if not 0 <= line.amount <= AMOUNT_MAX:
                raise BadInput(f"A line's amount must be between 0 and {AMOUNT_MAX}.")
            for name in (line.item_id, line.category_id):
                if name is not None and not 1 <= len(name) <= ITEM_ID_CHARS_MAX:
                    raise BadInput(f"Ids of items have 1 to {ITEM_ID_CHARS_MAX} characters.")
        total = sum(line.amount for line in lines)
        left = total if outstanding is None else outstanding
        if total > AMOUNT_MAX or not 0 <= left <= total:
            raise BadInput(
                f"A bill comes to at most {AMOUNT_MAX}, and no more than that is outstanding."
            )
        return cls(currency=currency, lines=tuple(lines), outstanding=left)


class Gives(NamedTuple):
    """What a benefit gives with a bill."""

    off: int
    multiplier_bp: int
    extra_points: int


class EarningRule(NamedTuple):
    """How a scheme's purchases earn points (PTS-1)."""

    unit: int
    rate: int


def eligible(bill: Bill, restrictions: Restrictions) -> list[BillLine]:
    """The lines that a benefit may be had for (BEN-2)."""
    return [
        line
        for line in bill.lines
        if line.item_id not in restrictions.excluded_item_ids
        and line.category_id not in restrictions.excluded_category_ids
    ]


def gives(
    details: Details, perk: Perk, lines: Sequence[BillLine], bill: Bill, rule: EarningRule
) -> Gives:
    """What a benefit takes off these lines of a bill, and the points that come on top.

    A share is rounded half up; never more than what is outstanding comes off. Points are those of
    all that is left to pay, as if it were net and paid at once (PTS-1).
    """
    if isinstance(details, MemberPricing):
        prices = {each.item_id: each.price for each in details.prices}
        off = sum(
            max(0, line.amount - prices[line.item_id] * line.quantity)
            for line in lines
            if line.item_id in prices
        )
    else:
        off = percent(sum(line.amount for line in lines), perk.discount_bp)
    off = min(off, bill.outstanding)
    left = bill.outstanding - off
    plain = points_for(left, rule.unit, rule.rate)
    earned = points_for(left, rule.unit, rule.rate, perk.multiplier_bp)
    return Gives(off, perk.multiplier_bp, earned - plain)
