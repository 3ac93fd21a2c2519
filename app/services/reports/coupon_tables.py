"""What coupons cost, as tables (FIN-2)."""

from collections.abc import Callable
from typing import Any

from app.core.tables import Cell, Table
from app.services.reports import words
from app.services.reports.coupons import CouponCosts, CouponGrouping, Figures
from app.services.reports.fields import NAME_CHARS, Field, money_of, summed, table_of

GROUPINGS = {
    CouponGrouping.TEMPLATE: "券模板 Template",
    CouponGrouping.STORE: words.STORE,
    CouponGrouping.DAY: "日期 Day",
}
NOTE = "成本 = 抵扣 − 退回。 Cost = taken off − given back."


def _money(amount: Callable[[Figures], int]) -> Callable[[Any], Cell]:
    return money_of(lambda each: amount(each.figures), lambda each: each.currency)


def _name(line: Any) -> Cell:
    named = line.template or line.store
    return line.day or (named.name if named else words.NONE)


FIGURES = (
    Field(words.CURRENCY, lambda each: each.currency),
    summed("发放 Issued", lambda each: each.figures.issued),
    summed("使用 Used", lambda each: each.figures.used),
    summed("使用撤销 Returned", lambda each: each.figures.returned),
    summed("过期 Expired", lambda each: each.figures.expired),
    summed("撤回 Withdrawn", lambda each: each.figures.withdrawn),
    summed("抵扣 Taken off", _money(lambda figures: figures.took_off)),
    summed("退回 Given back", _money(lambda figures: figures.given_back)),
    summed("成本 Cost", _money(lambda figures: figures.cost)),
)


def of_report(found: CouponCosts) -> Table:
    """One grouping of the report, with its sums."""
    label = GROUPINGS[found.grouping]
    return table_of(f"按{label}", (Field(label, _name, NAME_CHARS), *FIGURES), found.lines, NOTE)
