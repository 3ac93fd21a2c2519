"""TOP-5: what a smart top-up makes of a bill, to the minor unit."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.money import MINOR_UNIT_DIGITS
from app.services.top_ups.rules import (
    AMOUNT_MAX,
    BONUS_BP_MAX,
    POINTS_BP_MAX,
    POINTS_MAX,
    SMART_STEPS_MAX,
    TIMES_BP_MAX,
    Credit,
    Rounding,
    SmartDiscount,
    SmartFixed,
    SmartGift,
    SmartStep,
    require_smart_steps,
    smart_offer,
    smart_offers,
)

DISCOUNT = SmartDiscount(times_bp=12_000, bonus_bp=8_00)
GIFT = SmartGift(times_bp=13_000, bonus_bp=5_00, points_bp=10_00)
SMART_FIXED = SmartFixed(amount=300_00, bonus=30_00, points=300)

amounts = st.integers(1, AMOUNT_MAX)
currencies = st.sampled_from(["CNY", "JPY", "KWD", "CLF"])
roundings = st.sampled_from(Rounding)
times = st.integers(10_000, TIMES_BP_MAX)
bonus_shares = st.integers(0, BONUS_BP_MAX)
points_shares = st.integers(0, POINTS_BP_MAX)


def credit(amount: int, bonus: int, points: int) -> Credit:
    return Credit(amount=amount, bonus=bonus, points=points)


@pytest.mark.parametrize(
    ("step", "bill", "brings", "usable"),
    [
        (DISCOUNT, 100_00, credit(120_00, 8_00, 0), 128_00),
        (GIFT, 90_00, credit(117_00, 4_50, 11), 121_50),
        (SMART_FIXED, 90_00, credit(300_00, 30_00, 300), 330_00),
    ],
)
def test_a_smart_offer_multiplies_the_bill(
    step: SmartStep, bill: int, brings: Credit, usable: int
) -> None:
    """TOP-5: bill 100, ×1.2, 8 % → pay 120, get 128; bill 90, ×1.3, 5 %, 10 % → pay 117."""
    for rounding in (Rounding.TENTH, Rounding.ONE):
        assert smart_offer(step, bill=bill, rounding=rounding, currency="CNY") == brings
    assert brings.amount + brings.bonus == usable


@pytest.mark.parametrize(
    ("rounding", "currency", "amount", "points"),
    [
        # 87.65 × 1.3 is 113.945.
        (Rounding.TENTH, "CNY", 114_00, 11),
        (Rounding.ONE, "CNY", 114_00, 11),
        (Rounding.TEN, "CNY", 120_00, 12),
        (Rounding.HUNDRED, "CNY", 200_00, 20),
        # 8765 yen × 1.3 is 11394.5; there is nothing below a yen.
        (Rounding.TENTH, "JPY", 11_395, 1_139),
        (Rounding.ONE, "JPY", 11_395, 1_139),
        (Rounding.TEN, "JPY", 11_400, 1_140),
        (Rounding.HUNDRED, "JPY", 11_400, 1_140),
        # 8.765 dinars × 1.3 is 11.3945.
        (Rounding.TENTH, "KWD", 11_400, 1),
        (Rounding.ONE, "KWD", 12_000, 1),
        (Rounding.TEN, "KWD", 20_000, 2),
        (Rounding.HUNDRED, "KWD", 100_000, 10),
    ],
)
def test_a_smart_offer_is_rounded_up(
    rounding: Rounding, currency: str, amount: int, points: int
) -> None:
    """TOP-5: to 0.1, 1, 10 or 100; points come from what is paid, the bonus from the bill."""
    brings = smart_offer(GIFT, bill=87_65, rounding=rounding, currency=currency)
    assert brings == credit(amount, 4_38, points)


@pytest.mark.parametrize(
    ("bill", "amount"),
    [(100_00, 100_00), (100_01, 100_10), (100_09, 100_10), (100_10, 100_10), (1, 10)],
)
def test_what_is_a_multiple_is_not_rounded(bill: int, amount: int) -> None:
    """TOP-5."""
    step = SmartDiscount(times_bp=10_000, bonus_bp=0)
    offer = smart_offer(step, bill=bill, rounding=Rounding.TENTH, currency="CNY")
    assert offer == credit(amount, 0, 0)


def test_a_part_of_a_minor_unit_is_rounded_up_as_well() -> None:
    """TOP-5: 100.00 × 1.2001 is 120.01, and 0.01 × 1.0001 more than 0.01."""
    step = SmartDiscount(times_bp=12_001, bonus_bp=0)
    offer = smart_offer(step, bill=100_00, rounding=Rounding.TENTH, currency="CNY")
    assert offer.amount == 120_10
    step = SmartDiscount(times_bp=10_001, bonus_bp=0)
    assert smart_offer(step, bill=1, rounding=Rounding.TENTH, currency="JPY").amount == 2


@given(amounts, times, bonus_shares, points_shares, roundings, currencies)
def test_rounding_up_stays_below_one_step_and_above_the_bill(
    bill: int, times_bp: int, bonus_bp: int, points_bp: int, rounding: Rounding, currency: str
) -> None:
    """TOP-5."""
    gift = SmartGift(times_bp=times_bp, bonus_bp=bonus_bp, points_bp=points_bp)
    offer = smart_offer(gift, bill=bill, rounding=rounding, currency=currency)
    multiple = rounding.minor_units(currency)
    assert offer.amount >= bill
    assert offer.amount % multiple == 0
    assert 0 <= offer.amount - Fraction(bill * times_bp, 10_000) < multiple
    assert offer.bonus == floor(Fraction(bill * bonus_bp, 10_000) + Fraction(1, 2))
    unit = 10_000 * 10 ** MINOR_UNIT_DIGITS[currency]
    assert offer.points == floor(Fraction(offer.amount * points_bp, unit))
    discount = SmartDiscount(times_bp=times_bp, bonus_bp=bonus_bp)
    same = smart_offer(discount, bill=bill, rounding=rounding, currency=currency)
    assert same == replace(offer, points=0)


@pytest.mark.parametrize(
    ("currency", "tenth", "one", "ten", "hundred"),
    [
        ("CNY", 10, 100, 1_000, 10_000),
        ("JPY", 1, 1, 10, 100),
        ("KWD", 100, 1_000, 10_000, 100_000),
        ("CLF", 1_000, 10_000, 100_000, 1_000_000),
    ],
)
def test_roundings_are_multiples_of_the_major_unit(
    currency: str, tenth: int, one: int, ten: int, hundred: int
) -> None:
    """TOP-5."""
    found = [rounding.minor_units(currency) for rounding in Rounding]
    assert found == [tenth, one, ten, hundred]


def fixed_offer(amount: int, bonus: int) -> SmartFixed:
    return SmartFixed(amount=amount, bonus=bonus, points=0)


def offered(steps: list[SmartStep], bill: int, shortage: int) -> list[tuple[int, Credit]]:
    return smart_offers(
        steps, bill=bill, shortage=shortage, rounding=Rounding.TENTH, currency="CNY"
    )


def test_only_what_pays_the_bill_is_offered() -> None:
    """TOP-5: a fixed amount counts with its bonus, and each offer keeps its step's index."""
    steps: list[SmartStep] = [fixed_offer(50_00, 5_00), DISCOUNT, fixed_offer(300_00, 0), GIFT]
    discount, gift = credit(480_00, 32_00, 0), credit(520_00, 20_00, 52)
    large = credit(300_00, 0, 0)
    assert offered(steps, 400_00, 400_00) == [(1, discount), (3, gift)]
    assert offered(steps, 400_00, 300_01) == [(1, discount), (3, gift)]
    assert offered(steps, 400_00, 300_00) == [(1, discount), (2, large), (3, gift)]
    assert offered(steps, 400_00, 55_01) == [(1, discount), (2, large), (3, gift)]
    small = credit(50_00, 5_00, 0)
    assert offered(steps, 400_00, 55_00) == [(0, small), (1, discount), (2, large), (3, gift)]
    assert offered([steps[0]], 400_00, 55_01) == []


def test_what_a_card_owes_must_be_covered_too() -> None:
    """TOP-5: with 12.00 owed, 100.00 lacks 112.00; with 28.01 owed, 128.00 are not enough."""
    assert offered([DISCOUNT], 100_00, 128_00) == [(0, credit(120_00, 8_00, 0))]
    assert offered([DISCOUNT], 100_00, 128_01) == []


def test_no_offer_is_larger_than_a_top_up_can_be() -> None:
    """TOP-5."""
    plain = SmartDiscount(times_bp=10_000, bonus_bp=0)
    assert offered([plain], AMOUNT_MAX, 1) == [(0, credit(AMOUNT_MAX, 0, 0))]
    assert offered([plain], AMOUNT_MAX + 1, 1) == []
    assert offered([plain, SMART_FIXED], AMOUNT_MAX + 1, 1) == [(1, credit(300_00, 30_00, 300))]


@given(
    st.lists(
        st.one_of(
            st.builds(SmartDiscount, times_bp=times, bonus_bp=bonus_shares),
            st.builds(SmartGift, times_bp=times, bonus_bp=bonus_shares, points_bp=points_shares),
            st.builds(SmartFixed, amount=amounts, bonus=amounts, points=st.integers(0, POINTS_MAX)),
        ),
        min_size=1,
        max_size=SMART_STEPS_MAX,
    ),
    st.integers(1, AMOUNT_MAX // 1_000),
    st.integers(0, AMOUNT_MAX),
    roundings,
    currencies,
)
def test_every_offer_pays_the_bill_and_every_multiple_of_it_is_offered(
    steps: list[SmartStep], bill: int, balance: int, rounding: Rounding, currency: str
) -> None:
    """TOP-5."""
    assume(balance < bill)
    require_smart_steps(steps)
    offers = dict(
        smart_offers(
            steps, bill=bill, shortage=bill - balance, rounding=rounding, currency=currency
        )
    )
    assert list(offers) == sorted(offers)
    for index, step in enumerate(steps):
        brings = smart_offer(step, bill=bill, rounding=rounding, currency=currency)
        pays = balance + brings.amount + brings.bonus >= bill
        assert pays or isinstance(step, SmartFixed)
        assert offers.get(index) == (brings if pays and brings.amount <= AMOUNT_MAX else None)


@pytest.mark.parametrize(("bill", "shortage"), [(0, 1), (-1, 1), (1, 0), (1, -1)])
def test_an_offer_without_need_is_our_mistake(bill: int, shortage: int) -> None:
    with pytest.raises(AssertionError):
        offered([DISCOUNT], bill, shortage)


@pytest.mark.parametrize(
    "steps",
    [
        [DISCOUNT],
        [GIFT],
        [SMART_FIXED],
        [DISCOUNT] * SMART_STEPS_MAX,
        [replace(DISCOUNT, times_bp=10_000), replace(GIFT, times_bp=TIMES_BP_MAX)],
        [replace(GIFT, bonus_bp=BONUS_BP_MAX, points_bp=POINTS_BP_MAX)],
        [replace(GIFT, bonus_bp=0, points_bp=0)],
        [SmartFixed(amount=AMOUNT_MAX, bonus=AMOUNT_MAX, points=POINTS_MAX)],
    ],
)
def test_up_to_nine_smart_steps_are_accepted(steps: list[SmartStep]) -> None:
    """TOP-5."""
    require_smart_steps(steps)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "needs 1 to 9 steps"),
        ([DISCOUNT] * (SMART_STEPS_MAX + 1), "needs 1 to 9 steps"),
        ([replace(DISCOUNT, times_bp=9_999)], "×1 to ×100"),
        ([replace(DISCOUNT, times_bp=TIMES_BP_MAX + 1)], "×1 to ×100"),
        ([replace(GIFT, times_bp=9_999)], "×1 to ×100"),
        ([replace(GIFT, times_bp=TIMES_BP_MAX + 1)], "×1 to ×100"),
        ([replace(DISCOUNT, bonus_bp=-1)], "bonus must be between"),
        ([replace(DISCOUNT, bonus_bp=BONUS_BP_MAX + 1)], "bonus must be between"),
        ([replace(GIFT, bonus_bp=-1)], "bonus must be between"),
        ([replace(GIFT, points_bp=-1)], "Points must be between"),
        ([replace(GIFT, points_bp=POINTS_BP_MAX + 1)], "Points must be between"),
        ([replace(SMART_FIXED, amount=0)], "amount must be between"),
        ([replace(SMART_FIXED, amount=AMOUNT_MAX + 1)], "amount must be between"),
        ([replace(SMART_FIXED, bonus=-1)], "bonus must be between"),
        ([replace(SMART_FIXED, points=POINTS_MAX + 1)], "points must be between"),
        ([DISCOUNT, GIFT, replace(SMART_FIXED, points=-1)], "points must be between"),
    ],
)
def test_smart_steps_that_cannot_be_meant_are_refused(steps: list[SmartStep], why: str) -> None:
    """TOP-5."""
    with pytest.raises(BadInput, match=why):
        require_smart_steps(steps)
