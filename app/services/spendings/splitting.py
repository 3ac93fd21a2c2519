"""What of a spending goes back, to the minor unit: integers in, integers out."""

from typing import NamedTuple

from app.models.spendings import Spending, SpendingKind
from app.services.ledger.splitting import proportional_refund


class Share(NamedTuple):
    """A part of a spending by kind of value: minor units of its currency, and points."""

    cash: int = 0
    bonus: int = 0
    points: int = 0


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
