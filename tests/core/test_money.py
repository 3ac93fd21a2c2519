"""Money: exact, one currency at a time, every minor unit given to somebody (TOP-1, PTS-1)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.money import (
    MAX_AMOUNT,
    MIN_AMOUNT,
    MINOR_UNIT_DIGITS,
    AmountOutOfRange,
    CurrencyMismatch,
    Money,
    UnknownCurrency,
    percent,
    points_for,
    proportion_half_up,
    split_by_largest_remainder,
)

amounts = st.integers(0, MAX_AMOUNT)


def cny(amount: int) -> Money:
    return Money(amount, "CNY")


def test_money_of_one_currency_adds_up() -> None:
    assert cny(150) + cny(50) == cny(200)
    assert cny(150) - cny(200) == cny(-50)
    assert -cny(1) == cny(-1)
    assert cny(150) * 3 == cny(450)
    assert cny(1) < cny(2) <= cny(2)
    assert cny(2) > cny(1) >= cny(1)
    assert cny(1)
    assert not cny(0)
    assert len({cny(1), cny(1), cny(2)}) == 2


def test_currencies_do_not_mix() -> None:
    yen = Money(1, "JPY")
    assert cny(1) != yen
    with pytest.raises(CurrencyMismatch, match="CNY and JPY do not mix"):
        cny(1) + yen
    with pytest.raises(CurrencyMismatch):
        cny(1) - yen
    with pytest.raises(CurrencyMismatch):
        assert cny(1) < yen
    with pytest.raises(CurrencyMismatch):
        assert cny(1) >= yen


def test_amounts_end_where_64_bits_end() -> None:
    assert cny(MAX_AMOUNT).amount == 9_223_372_036_854_775_807
    with pytest.raises(AmountOutOfRange):
        cny(MAX_AMOUNT) + cny(1)
    with pytest.raises(AmountOutOfRange):
        -cny(MIN_AMOUNT)
    with pytest.raises(AmountOutOfRange):
        cny(2**62) * 2


@pytest.mark.parametrize("code", ["", "cny", "RMB", "XAU", "CNY ", "HRK", "C" * 1_000])
def test_a_code_outside_iso_4217_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        Money(1, code)


@pytest.mark.parametrize("amount", [1.0, True, "1"])
def test_an_amount_that_is_no_integer_is_our_mistake(amount: int) -> None:
    with pytest.raises(AssertionError):
        Money(amount, "CNY")


def test_minor_units_are_those_of_iso_4217() -> None:
    known = {"CNY": 2, "USD": 2, "EUR": 2, "JPY": 0, "KRW": 0, "KWD": 3, "TND": 3, "CLF": 4}
    assert {code: MINOR_UNIT_DIGITS[code] for code in known} == known
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in MINOR_UNIT_DIGITS)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (cny(1230), "12.30 CNY"),
        (cny(5), "0.05 CNY"),
        (cny(-5), "-0.05 CNY"),
        (cny(0), "0.00 CNY"),
        (Money(1230, "JPY"), "1230 JPY"),
        (Money(-1230, "KWD"), "-1.230 KWD"),
        (Money(1, "CLF"), "0.0001 CLF"),
    ],
)
def test_money_prints_with_its_minor_units(money: Money, text: str) -> None:
    assert str(money) == text


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (2, [1, 1, 1], [1, 1, 0]),
        (1, [1, 3], [0, 1]),
        (0, [5, 7], [0, 0]),
        (7, [0, 1], [0, 7]),
        (10, [7], [10]),
        # TOP-1: 30.00 cash and 5.00 bonus pay 10.00; 857.14… and 142.85… in minor units.
        (1_000, [3_000, 500], [857, 143]),
    ],
)
def test_a_split_gives_every_unit_to_somebody(
    amount: int, weights: list[int], parts: list[int]
) -> None:
    assert split_by_largest_remainder(amount, weights) == parts


@given(amounts, st.lists(amounts, min_size=1, max_size=20).filter(any))
def test_a_split_is_exact_and_fair(amount: int, weights: list[int]) -> None:
    parts = split_by_largest_remainder(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, total)) < 1
        assert part == 0 or weight > 0


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_spend_never_takes_more_of_a_balance_than_is_there(
    cash: int, bonus: int, wanted: int
) -> None:
    amount = min(wanted, cash + bonus)
    from_cash, from_bonus = split_by_largest_remainder(amount, [cash, bonus])
    assert 0 <= from_cash <= cash
    assert 0 <= from_bonus <= bonus


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 1]])
def test_weights_that_divide_nothing_are_our_mistake(weights: list[int]) -> None:
    with pytest.raises(AssertionError):
        split_by_largest_remainder(1, weights)


@given(amounts, amounts, st.integers(1, MAX_AMOUNT))
def test_a_proportion_rounds_half_up(amount: int, numerator: int, denominator: int) -> None:
    exact = Fraction(amount * numerator, denominator)
    half = Fraction(1, 2)
    assert exact - half < proportion_half_up(amount, numerator, denominator) <= exact + half


@pytest.mark.parametrize(
    ("amount", "basis_points", "share"),
    [
        (1_000, 1_250, 125),
        (1, 5_000, 1),
        (1, 4_999, 0),
        (3, 5_000, 2),
        (999, 10_000, 999),
        (9, 0, 0),
    ],
)
def test_a_percentage_in_basis_points(amount: int, basis_points: int, share: int) -> None:
    assert percent(amount, basis_points) == share


@pytest.mark.parametrize(
    ("net_amount", "unit", "rate", "points"),
    [
        (300, 200, 1, 1),  # spend 2 earn 1: 3 gives 1
        (199, 200, 1, 0),  # below the minimum
        (200, 200, 1, 1),
        (0, 200, 1, 0),
        (1_000, 100, 3, 30),
        (1_050, 100, 3, 30),
    ],
)
def test_points_are_whole_units_times_the_rate(
    net_amount: int, unit: int, rate: int, points: int
) -> None:
    assert points_for(net_amount, unit, rate) == points
