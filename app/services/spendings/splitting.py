"""How stored value is taken apart and given back, to the minor unit: integers in, integers out."""

from typing import NamedTuple

from app.core.money import proportion_half_up
from app.models.cards import DeductionRule
from app.models.spendings import Spending, SpendingKind


class Share(NamedTuple):
    """A part of a spending by kind of value: minor units of its currency, and points."""

    cash: int = 0
    bonus: int = 0
    points: int = 0


def split(amount: int, *, cash: int, bonus: int, rule: DeductionRule) -> tuple[int, int]:
    """What a spend takes from the balances: its cash part and its bonus part (TOP-1).

    The balances must cover it. Neither part exceeds its balance: a share of a whole number of
    units, rounded to a whole number, stays at most that number.
    """
    assert cash >= 0
    assert bonus >= 0
    assert 0 <= amount <= cash + bonus
    match rule:
        case DeductionRule.CASH_FIRST:
            cash_part = min(amount, cash)
        case DeductionRule.BONUS_FIRST:
            cash_part = amount - min(amount, bonus)
        case DeductionRule.PROPORTIONAL:
            # Empty balances pay nothing, and have no proportion.
            cash_part = proportion_half_up(cash, amount, cash + bonus) if amount else 0
    return cash_part, amount - cash_part


def proportional_refund(
    *, amount_total: int, cash_total: int, returned_before: int, amount: int
) -> int:
    """The cash part of returning `amount` of a spend; the bonus part is the rest (TOP-1).

    `amount_total` was spent, `cash_total` of it in cash. Rounds what was returned in all, not each
    return, so that the parts end at the spend's own split in however many steps.
    """
    assert 0 <= cash_total <= amount_total
    assert returned_before >= 0
    assert amount > 0
    returned = returned_before + amount
    assert returned <= amount_total
    cash_before = proportion_half_up(cash_total, returned_before, amount_total)
    return proportion_half_up(cash_total, returned, amount_total) - cash_before


def taken_by(spending: Spending) -> Share:
    """What a spending took in all."""
    return Share(spending.cash, spending.bonus, spending.points)


def share_of(spending: Spending, amount: int) -> Share:
    """What goes back when `amount` of a spending is returned (TOP-1, PTS-6).

    Points are rounded down over all that was returned so far, so the last return brings the rest.
    """
    if spending.kind is SpendingKind.POINTS:
        returned = spending.returned_amount + amount
        assert returned <= spending.amount
        points = spending.points * returned // spending.amount
        return Share(points=points - spending.returned_points)
    cash = proportional_refund(
        amount_total=spending.amount,
        cash_total=spending.cash,
        returned_before=spending.returned_amount,
        amount=amount,
    )
    return Share(cash=cash, bonus=amount - cash)
