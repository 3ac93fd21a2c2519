"""CPN-1: what coupons of each kind take off a bill, and their dates; no database."""

from datetime import UTC, date, datetime

import pytest

from app.core.barcodes import code_128_widths
from app.core.errors import BadInput
from app.core.money import Money
from app.services.coupons import (
    Bill,
    BillInOtherCurrency,
    BillLine,
    BillLineKind,
    BillTooSmall,
    NothingToTakeOff,
    validity,
    value_of,
    values,
)
from app.services.coupons.validity import DaysFromReceipt, FixedDates, span_of
from app.services.coupons.values import CashOff, FixedPrice, ItemsFree, ShareOff
from tests.factories.coupons import some_terms

LATTE = BillLine(item_id="latte", price=20_00, quantity=2, category="coffee")
CAKE = BillLine(item_id="cake", price=15_00, category="food")
SHOT = BillLine(item_id="shot", price=5_00, category="coffee", kind=BillLineKind.SUB_ITEM)
NUTS = BillLine(item_id="nuts", price=3_00, category="food", kind=BillLineKind.SIDE_DISH)


def bill(total: int, *lines: BillLine, currency: str = "CNY") -> Bill:
    return Bill(total=Money(total, currency), lines=lines)


ALL = bill(65_00, LATTE, CAKE, SHOT, NUTS)
"""63.00 of lines, and 2.00 that no line tells: the service."""


def test_cpn_1_cash_takes_an_amount_off_and_no_more_than_what_it_is_for() -> None:
    assert value_of(some_terms(CashOff(10_00)), bill(50_00)).takes_off == 10_00
    assert value_of(some_terms(CashOff(10_00)), bill(7_00)).takes_off == 7_00
    for_cake = some_terms(CashOff(20_00), items=["cake"])
    assert value_of(for_cake, ALL) == (15_00, 15_00)


def test_cpn_1_a_discount_takes_a_share_off_half_up_to_a_cap() -> None:
    assert value_of(some_terms(ShareOff(20_00)), bill(88_05)).takes_off == 17_61
    assert value_of(some_terms(ShareOff(10_00)), bill(5)).takes_off == 1
    assert value_of(some_terms(ShareOff(50_00, 12_00)), bill(88_05)).takes_off == 12_00
    assert value_of(some_terms(ShareOff(100_00)), bill(88_05)).takes_off == 88_05


def test_cpn_1_a_gift_takes_the_dearest_units_off_and_they_are_no_spending() -> None:
    free = some_terms(ItemsFree(("latte", "cake"), 2), minimum_spend=25_00)
    # Both lattes at 20.00 go, the cake at 15.00 stays to be paid.
    assert value_of(free, ALL) == (40_00, 25_00)
    with pytest.raises(BillTooSmall) as refused:
        value_of(free, bill(60_00, LATTE, CAKE, SHOT))
    assert refused.value.short_by == Money(5_00, "CNY")
    three = some_terms(ItemsFree(("latte", "cake"), 9))
    assert value_of(three, ALL).takes_off == 55_00
    with pytest.raises(NothingToTakeOff):
        value_of(some_terms(ItemsFree(("tea",))), ALL)


def test_cpn_1_discount_to_sells_items_or_the_bill_at_a_price() -> None:
    assert value_of(some_terms(FixedPrice(9_90)), bill(35_00)).takes_off == 25_10
    assert value_of(some_terms(FixedPrice(12_00, ("latte",))), ALL).takes_off == 8_00
    assert value_of(some_terms(FixedPrice(12_00, ("latte", "cake"), 3)), ALL).takes_off == 19_00
    assert value_of(some_terms(FixedPrice(0, ("cake",))), ALL).takes_off == 15_00
    for cheap in (FixedPrice(35_00), FixedPrice(20_00, ("cake",))):
        with pytest.raises(NothingToTakeOff):
            value_of(some_terms(cheap), bill(35_00, CAKE))


def test_cpn_1_only_what_takes_part_counts_against_the_minimum() -> None:
    """Items and categories, sub-items and side dishes."""
    cash = CashOff(1_00)
    assert value_of(some_terms(cash), ALL).spend == 65_00
    assert value_of(some_terms(cash, includes_sub_items=False), ALL).spend == 60_00
    assert value_of(some_terms(cash, includes_side_dishes=False), ALL).spend == 62_00
    assert value_of(some_terms(cash, categories=["coffee"]), ALL).spend == 45_00
    without = some_terms(cash, categories=["coffee"], includes_sub_items=False)
    assert value_of(without, ALL).spend == 40_00
    either = some_terms(cash, categories=["coffee"], items=["nuts"], minimum_spend=48_00)
    assert value_of(either, ALL).spend == 48_00
    with pytest.raises(BillTooSmall) as refused:
        value_of(some_terms(cash, items=["latte"], minimum_spend=40_01), ALL)
    assert refused.value.short_by == Money(1, "CNY")
    with pytest.raises(NothingToTakeOff):
        value_of(some_terms(cash, items=["latte"]), bill(50_00))
    with pytest.raises(BillInOtherCurrency, match="CNY"):
        value_of(some_terms(cash), bill(50_00, currency="USD"))


def test_cpn_1_numbers_no_coupon_and_no_bill_can_have() -> None:
    for benefit in (
        CashOff(0),
        CashOff(values.AMOUNT_MAX + 1),
        ShareOff(0),
        ShareOff(100_01),
        ShareOff(50_00, 0),
        ItemsFree(()),
        ItemsFree(("cake",), 101),
        FixedPrice(0),
        FixedPrice(1, (), 1),
        FixedPrice(1, None, 2),
    ):
        with pytest.raises(BadInput):
            values.require_benefit(benefit)
    for unsound in (
        bill(0),
        bill(values.AMOUNT_MAX + 1),
        bill(10_00, CAKE),
        bill(10_00, BillLine(item_id="cake", price=-1)),
        bill(10_00, BillLine(item_id="cake", price=1, quantity=0)),
        bill(10_00, *[BillLine(item_id="cake", price=0)] * 201),
    ):
        with pytest.raises(BadInput):
            unsound.require_sound()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_cpn_1_fixed_dates_include_both_ends_and_relative_days_count_from_receipt() -> None:
    received = utc("2026-09-01T15:30")  # 23:30 in Shanghai
    fixed = FixedDates(date(2026, 9, 5), date(2026, 9, 7), "Asia/Shanghai")
    assert span_of(fixed, received_at=received) == (
        utc("2026-09-04T16:00"), utc("2026-09-07T16:00"),
    )  # fmt: skip
    at_once = DaysFromReceipt(0, 1, "Asia/Shanghai")
    # The day of receipt is the first: half an hour is left of it.
    assert span_of(at_once, received_at=received) == (received, utc("2026-09-01T16:00"))
    in_two = DaysFromReceipt(2, 3, "Asia/Shanghai")
    assert span_of(in_two, received_at=received) == (
        utc("2026-09-02T16:00"), utc("2026-09-05T16:00"),
    )  # fmt: skip
    # The day on which New York's clocks go back has 25 hours.
    autumn = FixedDates(date(2026, 11, 1), date(2026, 11, 1), "America/New_York")
    assert span_of(autumn, received_at=received) == (
        utc("2026-11-01T04:00"), utc("2026-11-02T05:00"),
    )  # fmt: skip
    for impossible in (
        FixedDates(date(2026, 9, 8), date(2026, 9, 7), "Asia/Shanghai"),
        FixedDates(date(2026, 9, 5), date(2026, 9, 7), "Asia/Nowhere"),
        DaysFromReceipt(-1, 1, "Asia/Shanghai"),
        DaysFromReceipt(0, 0, "Asia/Shanghai"),
        DaysFromReceipt(0, 3_651, "Asia/Shanghai"),
    ):
        with pytest.raises(BadInput):
            validity.require_validity(impossible)
    for written in (fixed, in_two):
        assert validity.from_json(validity.to_json(written)) == written


def test_cpn_3_code_128_is_what_the_standard_says() -> None:
    """Of code set C: START C, a symbol for two digits, the check symbol, STOP."""
    widths = "".join(str(width) for width in code_128_widths("0001"))
    # (105 + 1 × 0 + 2 × 1) mod 103 = 4
    assert widths == "211232" + "212222" + "222122" + "121322" + "2331112"
