"""Top-up plans: what can be bought as stored value, by whom, where and when (TOP-2…TOP-5, TOP-10).

`steps` reads and writes a plan's steps, `details` checks what a plan may say, `editing` makes,
changes and lists plans for the back office, `selling` says what a member is offered and checks
one sale.
"""

from app.services.top_ups.plans.details import GrantedTierUnknown, PlanDetails
from app.services.top_ups.plans.editing import (
    CustomPlanExists,
    PlanNotEditable,
    PlanStateUnchangeable,
    TopUpPlanNotFound,
    by_ids,
    change,
    create,
    move,
    page,
    plan_of_group,
    seen_by,
    set_stock,
)
from app.services.top_ups.plans.selling import (
    SOLD_DIRECTLY,
    FirstTopUpOnly,
    LimitReached,
    Offered,
    PlanNotOnSale,
    Sale,
    SoldOut,
    offered,
    require_offered,
    return_stock,
    still_fits,
    take_stock,
)
from app.services.top_ups.plans.steps import AnyStep, steps_of, to_json

__all__ = [
    "SOLD_DIRECTLY",
    "AnyStep",
    "CustomPlanExists",
    "FirstTopUpOnly",
    "GrantedTierUnknown",
    "LimitReached",
    "Offered",
    "PlanDetails",
    "PlanNotEditable",
    "PlanNotOnSale",
    "PlanStateUnchangeable",
    "Sale",
    "SoldOut",
    "TopUpPlanNotFound",
    "by_ids",
    "change",
    "create",
    "move",
    "offered",
    "page",
    "plan_of_group",
    "require_offered",
    "return_stock",
    "seen_by",
    "set_stock",
    "steps_of",
    "still_fits",
    "take_stock",
    "to_json",
]
