"""How stored value is taken apart and given back, to the minor unit: integers in, integers out."""

from app.core.money import proportion_half_up
from app.models.cards import DeductionRule


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
