"""TOP-2 to TOP-4: what a top-up brings, to the minor unit."""

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadInput
from app.core.money import MINOR_UNIT_DIGITS, Money
from app.services.top_ups.rules import (
    AMOUNT_MAX,
    BONUS_BP_MAX,
    POINTS_BP_MAX,
    POINTS_MAX,
    STEPS_MAX,
    AmountOutsideRange,
    Credit,
    CustomRule,
    FixedStep,
    PlanStep,
    RangeStep,
    Step,
    credit_of,
    require_custom_rule,
    require_first_bonus,
    require_steps,
    usable_on_the_day,
    with_first_bonus,
)

FIXED = FixedStep(amount=1_000_00, bonus=200_00, points=50)
RANGE = RangeStep(amount_from=100_00, amount_to=500_00, bonus_bp=10_00, points_bp=5_00)
CUSTOM = CustomRule(
    amount_from=1_000_00,
    amount_to=5_000_00,
    bonus_from=100_00,
    bonus_to=500_00,
    points_from=10,
    points_to=110,
)

amounts = st.integers(1, AMOUNT_MAX)
currencies = st.sampled_from(["CNY", "JPY", "KWD", "CLF"])
bonus_shares = st.integers(0, BONUS_BP_MAX)
points_shares = st.integers(0, POINTS_BP_MAX)


def credit(amount: int, bonus: int, points: int) -> Credit:
    return Credit(amount=amount, bonus=bonus, points=points)


def fixed(amount: int) -> FixedStep:
    return FixedStep(amount=amount, bonus=0, points=0)


def reach(amount_from: int, amount_to: int) -> RangeStep:
    return RangeStep(amount_from=amount_from, amount_to=amount_to, bonus_bp=0, points_bp=0)


# Packages


@pytest.mark.parametrize(
    ("step", "amount", "currency", "brings"),
    [
        (FIXED, 1_000_00, "CNY", credit(1_000_00, 200_00, 50)),
        (RANGE, 100_00, "CNY", credit(100_00, 10_00, 5)),
        (RANGE, 500_00, "CNY", credit(500_00, 50_00, 25)),
        # 123.45 × 10 % is 12.345, 5 % of 123 whole units and a bit is 6.1725 points.
        (RANGE, 123_45, "CNY", credit(123_45, 12_35, 6)),
        (RANGE, 123_44, "CNY", credit(123_44, 12_34, 6)),
        # A point comes with the whole 20.00, not a minor unit earlier.
        (RANGE, 119_99, "CNY", credit(119_99, 12_00, 5)),
        (RANGE, 120_00, "CNY", credit(120_00, 12_00, 6)),
        # Major units are what a currency says they are: 12345 yen, 12.345 dinars.
        (RANGE, 12_345, "JPY", credit(12_345, 1_235, 617)),
        (RANGE, 12_345, "KWD", credit(12_345, 1_235, 0)),
        (RANGE, 20_000, "KWD", credit(20_000, 2_000, 1)),
    ],
)
def test_a_step_brings_its_bonus_and_points(
    step: Step, amount: int, currency: str, brings: Credit
) -> None:
    """TOP-2: bonus = amount × p %, points = floor(amount × q %)."""
    assert credit_of(step, amount, currency) == brings


@pytest.mark.parametrize(
    ("step", "lowest", "highest"),
    [(FIXED, 1_000_00, 1_000_00), (RANGE, 100_00, 500_00), (CUSTOM, 1_000_00, 5_000_00)],
)
def test_an_amount_that_is_not_offered_is_refused(step: Step, lowest: int, highest: int) -> None:
    """TOP-2, TOP-4: with the amounts that are."""
    for amount in (lowest - 1, highest + 1, 0, -lowest):
        with pytest.raises(AmountOutsideRange) as refused:
            credit_of(step, amount, "CNY")
        assert refused.value.amount_from == Money(lowest, "CNY")
        assert refused.value.amount_to == Money(highest, "CNY")
        assert str(refused.value) == "This amount cannot be topped up here."
    for amount in (lowest, highest):
        assert credit_of(step, amount, "CNY").amount == amount


@given(amounts, bonus_shares, points_shares, currencies)
def test_shares_of_an_amount_round_the_bonus_and_floor_the_points(
    amount: int, bonus_bp: int, points_bp: int, currency: str
) -> None:
    """TOP-2: against exact fractions."""
    step = RangeStep(amount_from=1, amount_to=AMOUNT_MAX, bonus_bp=bonus_bp, points_bp=points_bp)
    brings = credit_of(step, amount, currency)
    assert brings.amount == amount
    assert brings.bonus == floor(Fraction(amount * bonus_bp, 10_000) + Fraction(1, 2))
    major_units = Fraction(amount, 10 ** MINOR_UNIT_DIGITS[currency])
    assert brings.points == floor(major_units * Fraction(points_bp, 10_000))


@pytest.mark.parametrize(
    ("currency", "brings"),
    [
        ("CNY", credit(117_00, 4_50 + 5_85, 11 + 3)),
        ("JPY", credit(117_00, 4_50 + 5_85, 11 + 351)),
        ("KWD", credit(117_00, 4_50 + 5_85, 11)),
    ],
)
def test_a_first_top_up_brings_shares_of_its_amount_on_top(currency: str, brings: Credit) -> None:
    """TOP-3, TOP-5: 5 % extra bonus and 3 % extra points of 117.00, floored on their own."""
    before = credit(117_00, 4_50, 11)
    after = with_first_bonus(before, bonus_bp=5_00, points_bp=3_00, currency=currency)
    assert after == brings
    assert with_first_bonus(before, bonus_bp=0, points_bp=0, currency=currency) == before


def test_a_first_bonus_is_rounded_half_up() -> None:
    """TOP-3: 50 % of 0.01 is 0.01, 49.99 % is nothing."""
    one = credit(1, 0, 0)
    assert with_first_bonus(one, bonus_bp=50_00, points_bp=0, currency="CNY").bonus == 1
    assert with_first_bonus(one, bonus_bp=49_99, points_bp=0, currency="CNY").bonus == 0


@pytest.mark.parametrize(
    "steps",
    [
        [FIXED],
        [RANGE],
        [FIXED, RANGE],
        [fixed(n) for n in range(1, STEPS_MAX + 1)],
        [reach(1, 1)],
        [reach(1, AMOUNT_MAX)],
        [reach(200, 300), reach(100, 199), fixed(99), fixed(301)],
        [FixedStep(amount=AMOUNT_MAX, bonus=AMOUNT_MAX, points=POINTS_MAX)],
        [replace(RANGE, bonus_bp=BONUS_BP_MAX, points_bp=POINTS_BP_MAX)],
    ],
)
def test_a_plan_of_separate_steps_is_accepted(steps: list[PlanStep]) -> None:
    """TOP-2."""
    require_steps(steps)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "needs 1 to 20 steps"),
        ([fixed(n) for n in range(1, STEPS_MAX + 2)], "needs 1 to 20 steps"),
        ([fixed(0)], "amount must be between 1 and 10000000000"),
        ([fixed(-1)], "amount must be between"),
        ([fixed(AMOUNT_MAX + 1)], "amount must be between"),
        ([reach(0, 1)], "amount must be between"),
        ([reach(-2, -1)], "amount must be between"),
        ([reach(1, AMOUNT_MAX + 1)], "amount must be between"),
        ([reach(2, 1)], "must not end below its start"),
        ([replace(FIXED, bonus=-1)], "bonus must be between 0 and 10000000000"),
        ([replace(FIXED, bonus=AMOUNT_MAX + 1)], "bonus must be between"),
        ([replace(FIXED, points=-1)], "points must be between 0 and 1000000000"),
        ([replace(FIXED, points=POINTS_MAX + 1)], "points must be between"),
        ([replace(RANGE, bonus_bp=-1)], "bonus must be between 0 and 50000 basis points"),
        ([replace(RANGE, bonus_bp=500_01)], "bonus must be between 0 and 50000 basis points"),
        ([replace(RANGE, points_bp=-1)], "Points must be between 0 and 1000000 basis points"),
        ([replace(RANGE, points_bp=POINTS_BP_MAX + 1)], "Points must be between"),
        ([FIXED, RANGE, replace(RANGE, bonus_bp=-1)], "bonus must be between"),
        ([fixed(5), fixed(5)], "belong to one step"),
        ([fixed(5), fixed(4), FixedStep(amount=5, bonus=9, points=9)], "belong to one step"),
        ([reach(100, 200), reach(200, 300)], "belong to one step"),
        ([reach(200, 300), reach(100, 200)], "belong to one step"),
        ([reach(100, 400), reach(200, 300)], "belong to one step"),
        ([reach(100, 200), reach(100, 200)], "belong to one step"),
        ([reach(100, 200), fixed(100)], "belong to one step"),
        ([reach(100, 200), fixed(150)], "belong to one step"),
        ([fixed(200), reach(100, 200)], "belong to one step"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(steps: list[PlanStep], why: str) -> None:
    """TOP-2."""
    with pytest.raises(BadInput, match=why):
        require_steps(steps)


small_steps = st.one_of(
    st.integers(1, 40).map(fixed),
    st.tuples(st.integers(1, 40), st.integers(0, 6)).map(lambda pair: reach(pair[0], sum(pair))),
)


@given(st.lists(small_steps, min_size=1, max_size=5))
def test_an_amount_belongs_to_one_step_of_an_accepted_plan_only(steps: list[PlanStep]) -> None:
    """TOP-2: accepted if and only if no two steps take the same amount."""
    taken = [
        set(range(step.amount_from, step.amount_to + 1))
        if isinstance(step, RangeStep)
        else {step.amount}
        for step in steps
    ]
    if any(one & other for one, other in combinations(taken, 2)):
        with pytest.raises(BadInput):
            require_steps(steps)
    else:
        require_steps(steps)


@pytest.mark.parametrize(
    ("bonus_bp", "points_bp"),
    [(-1, 0), (BONUS_BP_MAX + 1, 0), (0, -1), (0, POINTS_BP_MAX + 1)],
)
def test_a_first_bonus_out_of_range_is_refused(bonus_bp: int, points_bp: int) -> None:
    """TOP-3."""
    require_first_bonus(bonus_bp=0, points_bp=0)
    require_first_bonus(bonus_bp=BONUS_BP_MAX, points_bp=POINTS_BP_MAX)
    with pytest.raises(BadInput):
        require_first_bonus(bonus_bp=bonus_bp, points_bp=points_bp)


# Custom


@pytest.mark.parametrize(
    ("amount", "bonus", "points"),
    [
        (1_000_00, 100_00, 10),
        (5_000_00, 500_00, 110),
        (3_000_00, 300_00, 60),
        (2_000_00, 200_00, 35),
        # A tenth of the amount: 100.005 rounds up, 100.004 down.
        (1_000_05, 100_01, 10),
        (1_000_04, 100_00, 10),
        # A point for each 40.00, once it is whole.
        (1_039_99, 104_00, 10),
        (1_040_00, 104_00, 11),
        (4_999_99, 500_00, 109),
    ],
)
def test_bonus_and_points_run_along_with_a_custom_amount(
    amount: int, bonus: int, points: int
) -> None:
    """TOP-4."""
    assert credit_of(CUSTOM, amount, "CNY") == credit(amount, bonus, points)
    # They are bounds in points and minor units, whatever the currency's major unit.
    assert credit_of(CUSTOM, amount, "JPY") == credit(amount, bonus, points)


def test_a_range_of_one_amount_brings_the_upper_bounds() -> None:
    """TOP-4."""
    rule = replace(CUSTOM, amount_to=CUSTOM.amount_from)
    assert credit_of(rule, 1_000_00, "CNY") == credit(1_000_00, 500_00, 110)


bounds = st.tuples(amounts, amounts).map(sorted)
bonuses = st.tuples(st.integers(0, AMOUNT_MAX), st.integers(0, AMOUNT_MAX)).map(sorted)
points_bounds = st.tuples(st.integers(0, POINTS_MAX), st.integers(0, POINTS_MAX)).map(sorted)


@given(bounds, bonuses, points_bounds, st.data())
def test_interpolation_stays_in_range_and_never_falls(
    amount: list[int], bonus: list[int], points: list[int], data: st.DataObject
) -> None:
    """TOP-4: exact at both ends, on the line between, more money never bringing less."""
    rule = CustomRule(
        amount_from=amount[0],
        amount_to=amount[1],
        bonus_from=bonus[0],
        bonus_to=bonus[1],
        points_from=points[0],
        points_to=points[1],
    )
    require_custom_rule(rule)
    assert credit_of(rule, amount[1], "CNY") == credit(amount[1], bonus[1], points[1])
    if amount[0] == amount[1]:
        return
    assert credit_of(rule, amount[0], "CNY") == credit(amount[0], bonus[0], points[0])
    within = st.integers(amount[0], amount[1])
    less, more = sorted((data.draw(within), data.draw(within)))
    for_less, for_more = credit_of(rule, less, "CNY"), credit_of(rule, more, "CNY")
    assert bonus[0] <= for_less.bonus <= for_more.bonus <= bonus[1]
    assert points[0] <= for_less.points <= for_more.points <= points[1]
    share = Fraction(less - amount[0], amount[1] - amount[0])
    assert for_less.bonus == floor(bonus[0] + share * (bonus[1] - bonus[0]) + Fraction(1, 2))
    assert for_less.points == floor(points[0] + share * (points[1] - points[0]))


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (replace(CUSTOM, amount_from=0), "amount must be between"),
        (replace(CUSTOM, amount_to=AMOUNT_MAX + 1), "amount must be between"),
        (replace(CUSTOM, amount_from=CUSTOM.amount_to + 1), "must not end below"),
        (replace(CUSTOM, bonus_from=-1), "bonus must be between"),
        (replace(CUSTOM, bonus_to=AMOUNT_MAX + 1), "bonus must be between"),
        (replace(CUSTOM, bonus_from=CUSTOM.bonus_to + 1), "must not end below"),
        (replace(CUSTOM, points_from=-1), "points must be between"),
        (replace(CUSTOM, points_to=POINTS_MAX + 1), "points must be between"),
        (replace(CUSTOM, points_from=CUSTOM.points_to + 1), "must not end below"),
    ],
)
def test_a_custom_rule_that_cannot_be_meant_is_refused(rule: CustomRule, why: str) -> None:
    """TOP-4."""
    require_custom_rule(CUSTOM)
    with pytest.raises(BadInput, match=why):
        require_custom_rule(rule)


@pytest.mark.parametrize(
    ("amount", "share_bp", "usable"),
    [
        (1_000_00, 30_00, 300_00),
        (99, 50_00, 49),
        (1, 99_99, 0),
        (1, 100_00, 1),
        (1_000_00, 0, 0),
        (0, 50_00, 0),
    ],
)
def test_a_share_is_usable_on_the_day(amount: int, share_bp: int, usable: int) -> None:
    """TOP-4: rounded down, so that never more than the share is."""
    assert usable_on_the_day(amount, share_bp) == usable


@pytest.mark.parametrize(("amount", "share_bp"), [(-1, 50_00), (1, -1), (1, 100_01)])
def test_a_share_that_is_none_is_our_mistake(amount: int, share_bp: int) -> None:
    with pytest.raises(AssertionError):
        usable_on_the_day(amount, share_bp)
