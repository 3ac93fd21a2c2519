"""What can be bought as a top-up (TOP-2…TOP-5, TOP-10)."""

from app.models.top_ups import PlanState, TopUpPlanKind
from app.services.top_ups.rules import Rounding
from schema.top_up_plans.plans import (
    HANDLERS,
    AmountOutsideRange,
    FirstTopUpBonus,
    FirstTopUpOnly,
    LimitReached,
    PlanNotOnSale,
    SoldOut,
    TopUpPlan,
    TopUpPlanNotFound,
    gifts_shown,
    plan_id_of,
)
from schema.top_up_plans.steps import TopUpStep, steps_shown

__all__ = [
    "HANDLERS",
    "AmountOutsideRange",
    "FirstTopUpBonus",
    "FirstTopUpOnly",
    "LimitReached",
    "PlanNotOnSale",
    "PlanState",
    "Rounding",
    "SoldOut",
    "TopUpPlan",
    "TopUpPlanKind",
    "TopUpPlanNotFound",
    "TopUpStep",
    "gifts_shown",
    "plan_id_of",
    "steps_shown",
]
