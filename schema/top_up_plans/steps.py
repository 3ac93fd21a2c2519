"""What can be paid by a plan and what that brings: the steps, shown and given (TOP-2…TOP-5)."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import strawberry

from app.services.top_ups import plans, rules
from schema.scalars import Long, Money

_AMOUNTS = f"1 to {rules.AMOUNT_MAX:,}"
_BONUS = f"a bonus of 0 to {rules.AMOUNT_MAX:,} minor units"
_POINTS = f"0 to {rules.POINTS_MAX:,} points"
_BONUS_SHARE = f"0 to {rules.BONUS_BP_MAX:,}, 100 are 1 %; rounded half up to the minor unit."
_POINTS_SHARE = (
    f"0 to {rules.POINTS_BP_MAX:,}, 100 are 1 point for each 100 major units; rounded down."
)
_TIMES = f"What the bill is multiplied by: 10,000 (× 1) to {rules.TIMES_BP_MAX:,} (× 100)."


@strawberry.type(description="One amount with its own bonus and points.")
class TopUpFixedStep:
    amount: Money = strawberry.field(description="What is paid.")
    bonus: Money = strawberry.field(description="What comes on top.")
    points: Long = strawberry.field(description="The points that come with it.")


@strawberry.type(description="Any amount of a range, with shares of it as bonus and points.")
class TopUpRangeStep:
    amount_from: Money = strawberry.field(description="The least that can be paid.")
    amount_to: Money = strawberry.field(description="The most that can be paid.")
    bonus_basis_points: int = strawberry.field(
        description="The bonus as a share of the amount; 100 are 1 %."
    )
    points_basis_points: int = strawberry.field(
        description="The points as a share of the amount's major units; 100 are 1 %."
    )


@strawberry.type(
    description="Any amount of a range; bonus and points run along with it between their bounds."
)
class TopUpCustomStep:
    amount_from: Money = strawberry.field(description="The least that can be paid.")
    amount_to: Money = strawberry.field(description="The most that can be paid.")
    bonus_from: Money = strawberry.field(description="The bonus for the least amount.")
    bonus_to: Money = strawberry.field(description="The bonus for the greatest amount.")
    points_from: Long = strawberry.field(description="The points for the least amount.")
    points_to: Long = strawberry.field(description="The points for the greatest amount.")


@strawberry.type(description="Smart: the bill times a factor is paid, a share of it is the bonus.")
class TopUpDiscountStep:
    times_basis_points: int = strawberry.field(description="The factor; 12,000 is × 1.2.")
    bonus_basis_points: int = strawberry.field(
        description="The bonus as a share of the bill; 100 are 1 %."
    )


@strawberry.type(description="Smart: as a discount, and a share of what is paid as points.")
class TopUpGiftStep:
    times_basis_points: int = strawberry.field(description="The factor; 12,000 is × 1.2.")
    bonus_basis_points: int = strawberry.field(
        description="The bonus as a share of the bill; 100 are 1 %."
    )
    points_basis_points: int = strawberry.field(
        description="The points as a share of the major units that are paid; 100 are 1 %."
    )


TopUpStep = Annotated[
    TopUpFixedStep | TopUpRangeStep | TopUpCustomStep | TopUpDiscountStep | TopUpGiftStep,
    strawberry.union("TopUpStep", description="What can be paid, and what it brings."),
]
AnyStepShown: TypeAlias = (
    TopUpFixedStep | TopUpRangeStep | TopUpCustomStep | TopUpDiscountStep | TopUpGiftStep
)


def steps_shown(steps: Sequence[plans.AnyStep], currency: str) -> list[AnyStepShown]:
    """A plan's steps as the schemas show them, in their order."""
    return [_step_shown(step, currency) for step in steps]


def _step_shown(step: plans.AnyStep, currency: str) -> AnyStepShown:
    match step:
        case rules.FixedStep() | rules.SmartFixed():
            return TopUpFixedStep(
                amount=Money.of(step.amount, currency),
                bonus=Money.of(step.bonus, currency),
                points=Long(step.points),
            )
        case rules.RangeStep():
            return TopUpRangeStep(
                amount_from=Money.of(step.amount_from, currency),
                amount_to=Money.of(step.amount_to, currency),
                bonus_basis_points=step.bonus_bp,
                points_basis_points=step.points_bp,
            )
        case rules.CustomRule():
            return TopUpCustomStep(
                amount_from=Money.of(step.amount_from, currency),
                amount_to=Money.of(step.amount_to, currency),
                bonus_from=Money.of(step.bonus_from, currency),
                bonus_to=Money.of(step.bonus_to, currency),
                points_from=Long(step.points_from),
                points_to=Long(step.points_to),
            )
        case rules.SmartDiscount():
            return TopUpDiscountStep(
                times_basis_points=step.times_bp, bonus_basis_points=step.bonus_bp
            )
        case rules.SmartGift():
            return TopUpGiftStep(
                times_basis_points=step.times_bp,
                bonus_basis_points=step.bonus_bp,
                points_basis_points=step.points_bp,
            )


@strawberry.input(description="One amount with its own bonus and points.")
class TopUpFixedStepInput:
    amount: Long = strawberry.field(description=f"What is paid, in minor units: {_AMOUNTS}.")
    bonus: Long = strawberry.field(default=Long(0), description=f"On top: {_BONUS}.")
    points: Long = strawberry.field(default=Long(0), description=f"With it: {_POINTS}.")

    def step(self) -> rules.FixedStep:
        return rules.FixedStep(amount=self.amount, bonus=self.bonus, points=self.points)

    def smart_step(self) -> rules.SmartFixed:
        return rules.SmartFixed(amount=self.amount, bonus=self.bonus, points=self.points)


@strawberry.input(description="Any amount of a range, with shares of it as bonus and points.")
class TopUpRangeStepInput:
    amount_from: Long = strawberry.field(description=f"The least, in minor units: {_AMOUNTS}.")
    amount_to: Long = strawberry.field(
        description="The most, in minor units; it belongs to the range as well."
    )
    bonus_basis_points: int = strawberry.field(
        default=0, description=f"The bonus as a share of the amount: {_BONUS_SHARE}"
    )
    points_basis_points: int = strawberry.field(
        default=0, description=f"The points as a share of the amount: {_POINTS_SHARE}"
    )

    def step(self) -> rules.RangeStep:
        return rules.RangeStep(
            amount_from=self.amount_from,
            amount_to=self.amount_to,
            bonus_bp=self.bonus_basis_points,
            points_bp=self.points_basis_points,
        )


@strawberry.input(
    description="Any amount of a range; bonus and points run along with it between their bounds."
)
class TopUpCustomStepInput:
    amount_from: Long = strawberry.field(description=f"The least, in minor units: {_AMOUNTS}.")
    amount_to: Long = strawberry.field(description="The most, in minor units.")
    bonus_from: Long = strawberry.field(
        default=Long(0), description=f"For the least amount: {_BONUS}."
    )
    bonus_to: Long = strawberry.field(
        default=Long(0), description="For the greatest amount, no less than for the least."
    )
    points_from: Long = strawberry.field(
        default=Long(0), description=f"For the least amount: {_POINTS}."
    )
    points_to: Long = strawberry.field(
        default=Long(0), description="For the greatest amount, no fewer than for the least."
    )

    def step(self) -> rules.CustomRule:
        return rules.CustomRule(
            amount_from=self.amount_from,
            amount_to=self.amount_to,
            bonus_from=self.bonus_from,
            bonus_to=self.bonus_to,
            points_from=self.points_from,
            points_to=self.points_to,
        )


@strawberry.input(description="Smart: the bill times a factor is paid, a share is the bonus.")
class TopUpDiscountStepInput:
    times_basis_points: int = strawberry.field(description=_TIMES)
    bonus_basis_points: int = strawberry.field(
        default=0, description=f"The bonus as a share of the bill: {_BONUS_SHARE}"
    )

    def step(self) -> rules.SmartDiscount:
        return rules.SmartDiscount(
            times_bp=self.times_basis_points, bonus_bp=self.bonus_basis_points
        )


@strawberry.input(description="Smart: as a discount, and a share of what is paid as points.")
class TopUpGiftStepInput:
    times_basis_points: int = strawberry.field(description=_TIMES)
    bonus_basis_points: int = strawberry.field(
        default=0, description=f"The bonus as a share of the bill: {_BONUS_SHARE}"
    )
    points_basis_points: int = strawberry.field(
        default=0, description=f"The points as a share of what is paid: {_POINTS_SHARE}"
    )

    def step(self) -> rules.SmartGift:
        return rules.SmartGift(
            times_bp=self.times_basis_points,
            bonus_bp=self.bonus_basis_points,
            points_bp=self.points_basis_points,
        )


@strawberry.input(one_of=True, description="A step of a plan: exactly one of these.")
class TopUpStepInput:
    fixed: TopUpFixedStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="PACKAGE: one amount."
    )
    range: TopUpRangeStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="PACKAGE: any amount of a range."
    )
    custom: TopUpCustomStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="CUSTOM: its only step."
    )
    discount: TopUpDiscountStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="SMART: more bonus for more than the bill."
    )
    gift: TopUpGiftStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="SMART: bonus and points."
    )
    smart_fixed: TopUpFixedStepInput | None = strawberry.field(
        default=strawberry.UNSET, description="SMART: one amount, whatever the bill."
    )

    def step(self) -> plans.AnyStep:
        """The one that is given."""
        for given in (self.fixed, self.range, self.custom, self.discount, self.gift):
            if given:
                return given.step()
        assert self.smart_fixed, "GraphQL lets exactly one through"
        return self.smart_fixed.smart_step()
