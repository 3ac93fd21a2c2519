"""A plan's steps between their JSON and the classes that compute with them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, TypeAlias

from app.core.errors import BadInput
from app.models.top_ups import TopUpPlan, TopUpPlanKind
from app.services.top_ups import rules
from app.services.top_ups.rules import (
    CustomRule,
    FixedStep,
    RangeStep,
    SmartDiscount,
    SmartFixed,
    SmartGift,
    SmartStep,
    Step,
)

AnyStep: TypeAlias = Step | SmartStep

_CLASSES: Final[dict[TopUpPlanKind, dict[str, type[AnyStep]]]] = {
    TopUpPlanKind.PACKAGE: {"FIXED": FixedStep, "RANGE": RangeStep},
    TopUpPlanKind.CUSTOM: {"CUSTOM": CustomRule},
    TopUpPlanKind.SMART: {"DISCOUNT": SmartDiscount, "GIFT": SmartGift, "FIXED": SmartFixed},
}
_NAMES: Final = {each: name for of_kind in _CLASSES.values() for name, each in of_kind.items()}


def to_json(steps: Sequence[AnyStep]) -> list[dict[str, Any]]:
    """The steps as a plan keeps them: each with its kind."""
    return [{"kind": _NAMES[type(step)], **asdict(step)} for step in steps]


def steps_of(plan: TopUpPlan) -> list[AnyStep]:
    """The steps a plan keeps, in their order."""
    classes = _CLASSES[plan.kind]
    return [
        classes[written["kind"]](**{name: written[name] for name in written if name != "kind"})
        for written in plan.steps
    ]


def require_steps(kind: TopUpPlanKind, steps: Sequence[AnyStep]) -> None:
    """Raise `BadInput` unless a plan of this kind can have these steps (TOP-2, TOP-4, TOP-5)."""
    match kind:
        case TopUpPlanKind.PACKAGE:
            packages = [step for step in steps if isinstance(step, FixedStep | RangeStep)]
            _require_all(packages, steps, "A package plan has fixed amounts and ranges.")
            rules.require_steps(packages)
        case TopUpPlanKind.CUSTOM:
            customs = [step for step in steps if isinstance(step, CustomRule)]
            _require_all(customs, steps, "A custom plan has one custom step.")
            if len(customs) != 1:
                raise BadInput("A custom plan has one custom step.")
            rules.require_custom_rule(customs[0])
        case TopUpPlanKind.SMART:
            smart = [
                step for step in steps if isinstance(step, SmartDiscount | SmartGift | SmartFixed)
            ]
            _require_all(smart, steps, "A smart plan has discounts, gifts and smart fixed amounts.")
            rules.require_smart_steps(smart)


def _require_all(fitting: Sequence[AnyStep], steps: Sequence[AnyStep], message: str) -> None:
    if len(fitting) < len(steps):
        raise BadInput(message)
