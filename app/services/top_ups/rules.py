"""What a top-up brings: integers in, integers out.

Amounts are in minor units of one currency. Shares end in `_bp`: basis points, 1 % is 100. A bonus
is rounded half up to the minor unit; points are floored, and a percentage of an amount in points
counts its major units: 10 % of 117.00 is 11 points (TOP-5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeAlias

from app.core.errors import BadInput, DomainError
from app.core.money import (
    BASIS_POINTS,
    MINOR_UNIT_DIGITS,
    Money,
    percent,
    proportion_half_up,
)

STEPS_MAX: Final = 20
SMART_STEPS_MAX: Final = 9
AMOUNT_MAX: Final = 100_000_000_00
BONUS_BP_MAX: Final = 500_00
POINTS_MAX: Final = 1_000_000_000
POINTS_BP_MAX: Final = 10_000_00
"""A hundred points for each major unit, so that even the largest top-up in a currency without
minor units earns 10¹² points, far from what an account holds."""
TIMES_BP_MAX: Final = 100 * BASIS_POINTS


class AmountOutsideRange(DomainError):
    """An amount the chosen step of a plan does not take. A fixed step takes only its own."""

    def __init__(self, amount_from: Money, amount_to: Money) -> None:
        self.amount_from = amount_from
        self.amount_to = amount_to
        super().__init__("This amount cannot be topped up here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What a top-up brings: `amount` is paid and credited as cash."""

    amount: int
    bonus: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedStep:
    """One amount with its own bonus and points (TOP-2)."""

    amount: int
    bonus: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeStep:
    """Any amount of a range, both ends included, with shares of it (TOP-2)."""

    amount_from: int
    amount_to: int
    bonus_bp: int
    points_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRule:
    """Any amount of a range; bonus and points run along with it between their bounds (TOP-4)."""

    amount_from: int
    amount_to: int
    bonus_from: int
    bonus_to: int
    points_from: int
    points_to: int


PlanStep: TypeAlias = FixedStep | RangeStep
Step: TypeAlias = PlanStep | CustomRule


def credit_of(step: Step, amount: int, currency: str) -> Credit:
    """What paying `amount` brings (TOP-2, TOP-4). Raises `AmountOutsideRange`."""
    lowest, highest = _bounds(step)
    if not lowest <= amount <= highest:
        raise AmountOutsideRange(Money(lowest, currency), Money(highest, currency))
    match step:
        case FixedStep():
            return Credit(amount=amount, bonus=step.bonus, points=step.points)
        case RangeStep():
            bonus = percent(amount, step.bonus_bp)
            points = _points_share(amount, step.points_bp, currency)
            return Credit(amount=amount, bonus=bonus, points=points)
        case CustomRule():
            return _interpolated(step, amount)


def with_first_bonus(credit: Credit, *, bonus_bp: int, points_bp: int, currency: str) -> Credit:
    """The credit of a member's first top-up: shares of its amount on top (TOP-3, TOP-5)."""
    return Credit(
        amount=credit.amount,
        bonus=credit.bonus + percent(credit.amount, bonus_bp),
        points=credit.points + _points_share(credit.amount, points_bp, currency),
    )


def usable_on_the_day(amount: int, share_bp: int) -> int:
    """How much of a top-up can be spent on the day it was paid, rounded down (TOP-4)."""
    assert amount >= 0
    assert 0 <= share_bp <= BASIS_POINTS
    return amount * share_bp // BASIS_POINTS


def require_steps(steps: Sequence[PlanStep]) -> None:
    """Raise `BadInput` unless a plan can have these steps: no amount belongs to two (TOP-2)."""
    if not 1 <= len(steps) <= STEPS_MAX:
        raise BadInput(f"A top-up plan needs 1 to {STEPS_MAX} steps.")
    for step in steps:
        _require_range(*_bounds(step))
        match step:
            case FixedStep():
                _require_bonus(step.bonus)
                _require_points(step.points)
            case RangeStep():
                _require_shares(step.bonus_bp, step.points_bp)
    in_order = sorted(_bounds(step) for step in steps)
    # Both ends belong to a range, so that 100–200 and 200–300 dispute the 200.
    if any(highest >= lowest for (_, highest), (lowest, _) in pairwise(in_order)):
        raise BadInput("An amount must belong to one step of a top-up plan only.")


def require_custom_rule(rule: CustomRule) -> None:
    """Raise `BadInput` unless more money brings no less bonus and no fewer points (TOP-4)."""
    _require_range(rule.amount_from, rule.amount_to)
    for bonus in (rule.bonus_from, rule.bonus_to):
        _require_bonus(bonus)
    for points in (rule.points_from, rule.points_to):
        _require_points(points)
    if rule.bonus_from > rule.bonus_to or rule.points_from > rule.points_to:
        raise BadInput("A range must not end below its start.")


def require_first_bonus(*, bonus_bp: int, points_bp: int) -> None:
    """Raise `BadInput` for shares that a first top-up cannot add (TOP-3)."""
    _require_shares(bonus_bp, points_bp)


class Rounding(StrEnum):
    """To which multiple of the major unit a smart top-up is rounded up (TOP-5)."""

    TENTH = "TENTH"
    ONE = "ONE"
    TEN = "TEN"
    HUNDRED = "HUNDRED"

    def minor_units(self, currency: str) -> int:
        """The multiple in minor units: TENTH is 10 in CNY, 100 in KWD, and 1 in JPY."""
        return max(1, _TENTHS[self] * _major_unit(currency) // 10)


_TENTHS: Final = {Rounding.TENTH: 1, Rounding.ONE: 10, Rounding.TEN: 100, Rounding.HUNDRED: 1_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartDiscount:
    """The bill × `times_bp` (12 000 is ×1.2) is paid, a share of the bill is the bonus (TOP-5)."""

    times_bp: int
    bonus_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartGift:
    """As a discount, and a share of what is paid comes as points (TOP-5)."""

    times_bp: int
    bonus_bp: int
    points_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartFixed:
    """One amount with its own bonus and points, whatever the bill (TOP-5)."""

    amount: int
    bonus: int
    points: int


SmartStep: TypeAlias = SmartDiscount | SmartGift | SmartFixed


def smart_offer(step: SmartStep, *, bill: int, rounding: Rounding, currency: str) -> Credit:
    """What a step makes of a bill; a discount or gift is never below the bill (TOP-5)."""
    assert bill > 0
    match step:
        case SmartFixed():
            return Credit(amount=step.amount, bonus=step.bonus, points=step.points)
        case SmartDiscount():
            points_bp = 0
        case SmartGift():
            points_bp = step.points_bp
    amount = _times_rounded_up(bill, step.times_bp, rounding.minor_units(currency))
    return Credit(
        amount=amount,
        bonus=percent(bill, step.bonus_bp),
        points=_points_share(amount, points_bp, currency),
    )


def smart_offers(
    steps: Sequence[SmartStep], *, bill: int, shortage: int, rounding: Rounding, currency: str
) -> list[tuple[int, Credit]]:
    """The offers that let the bill be paid, each with its step's index, in the steps' order.

    `shortage` is what the balance lacks; it exceeds the bill where the card owes. An offer is left
    out if cash and bonus do not cover it, or if no top-up can be that large (TOP-5).
    """
    assert shortage > 0
    offers = (
        (index, smart_offer(step, bill=bill, rounding=rounding, currency=currency))
        for index, step in enumerate(steps)
    )
    return [
        (index, credit)
        for index, credit in offers
        if credit.amount + credit.bonus >= shortage and credit.amount <= AMOUNT_MAX
    ]


def require_smart_steps(steps: Sequence[SmartStep]) -> None:
    """Raise `BadInput` unless a smart top-up can have these steps (TOP-5)."""
    if not 1 <= len(steps) <= SMART_STEPS_MAX:
        raise BadInput(f"A smart top-up needs 1 to {SMART_STEPS_MAX} steps.")
    for step in steps:
        match step:
            case SmartFixed():
                _require_range(step.amount, step.amount)
                _require_bonus(step.bonus)
                _require_points(step.points)
            case SmartDiscount():
                _require_times(step.times_bp)
                _require_shares(step.bonus_bp, 0)
            case SmartGift():
                _require_times(step.times_bp)
                _require_shares(step.bonus_bp, step.points_bp)


def _bounds(step: Step) -> tuple[int, int]:
    """The lowest and the highest amount a step takes."""
    match step:
        case FixedStep():
            return step.amount, step.amount
        case RangeStep() | CustomRule():
            return step.amount_from, step.amount_to


def _interpolated(rule: CustomRule, amount: int) -> Credit:
    """The credit on the line between the bounds; the upper ones where the range is one amount."""
    span = rule.amount_to - rule.amount_from
    if not span:
        return Credit(amount=amount, bonus=rule.bonus_to, points=rule.points_to)
    # The weights add up to the span, hence each result is a mean of its bounds and between them.
    above, below = amount - rule.amount_from, rule.amount_to - amount
    return Credit(
        amount=amount,
        bonus=proportion_half_up(rule.bonus_from * below + rule.bonus_to * above, 1, span),
        points=(rule.points_from * below + rule.points_to * above) // span,
    )


def _points_share(amount: int, points_bp: int, currency: str) -> int:
    """A share of an amount's major units in whole points, rounded down."""
    return amount * points_bp // (BASIS_POINTS * _major_unit(currency))


def _major_unit(currency: str) -> int:
    """A major unit in minor ones: 100 分 are a 元."""
    return int(10 ** MINOR_UNIT_DIGITS[currency])


def _times_rounded_up(bill: int, times_bp: int, multiple: int) -> int:
    """The bill so many times, then up to the next multiple unless it is one."""
    return -(-bill * times_bp // (BASIS_POINTS * multiple)) * multiple


def _require_range(amount_from: int, amount_to: int) -> None:
    if not 1 <= amount_from <= AMOUNT_MAX or not 1 <= amount_to <= AMOUNT_MAX:
        raise BadInput(f"A top-up's amount must be between 1 and {AMOUNT_MAX}.")
    if amount_from > amount_to:
        raise BadInput("A range must not end below its start.")


def _require_bonus(bonus: int) -> None:
    if not 0 <= bonus <= AMOUNT_MAX:
        raise BadInput(f"A top-up's bonus must be between 0 and {AMOUNT_MAX}.")


def _require_points(points: int) -> None:
    if not 0 <= points <= POINTS_MAX:
        raise BadInput(f"A top-up's points must be between 0 and {POINTS_MAX}.")


def _require_shares(bonus_bp: int, points_bp: int) -> None:
    if not 0 <= bonus_bp <= BONUS_BP_MAX:
        raise BadInput(f"A bonus must be between 0 and {BONUS_BP_MAX} basis points.")
    if not 0 <= points_bp <= POINTS_BP_MAX:
        raise BadInput(f"Points must be between 0 and {POINTS_BP_MAX} basis points.")


def _require_times(times_bp: int) -> None:
    if not BASIS_POINTS <= times_bp <= TIMES_BP_MAX:
        raise BadInput(
            f"A bill is multiplied by {BASIS_POINTS} to {TIMES_BP_MAX} basis points (×1 to ×100)."
        )
