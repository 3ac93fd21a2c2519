"""What the back office says to make and change plans, and what it is answered."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.top_ups import TopUpPlanKind
from app.services.top_ups import plans, rules
from app.services.top_ups.plans import details
from app.services.top_ups.rules import Rounding
from schema.benefits import BenefitNotFound
from schema.coupons import GIFT_PROBLEMS, GiftInput
from schema.organisation import NodeNotFound, StoreGroupNotFound
from schema.problems import EditedMeanwhile
from schema.scalars import CurrencyCode, Long
from schema.scopes import AudienceNotFound, ScopeInput
from schema.top_up_plans.plans import (
    CustomPlanExists,
    GrantedTierUnknown,
    PlanNotEditable,
    PlanStateUnchangeable,
    TopUpPlan,
    TopUpPlanNotFound,
)
from schema.top_up_plans.steps import TopUpStepInput

_STOCK = f"How many can be sold from now on, 0 to {details.STOCK_MAX:,}; null is without end."
_VERSION = "The `version` the edit began with."


@strawberry.input(
    description="What a member's first top-up brings on top, as shares of its amount."
)
class FirstTopUpBonusInput:
    bonus_basis_points: int = strawberry.field(
        default=0, description=f"More bonus, 0 to {rules.BONUS_BP_MAX:,}; 100 are 1 %."
    )
    points_basis_points: int = strawberry.field(
        default=0,
        description=f"More points, 0 to {rules.POINTS_BP_MAX:,}; 100 are 1 point for each 100"
        " major units.",
    )


@strawberry.input
class _AnyPlanInput:
    """What a plan says, whether it is made or changed."""

    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    steps: list[TopUpStepInput] = strawberry.field(
        description=f"PACKAGE: 1 to {rules.STEPS_MAX}, no amount in two of them. CUSTOM: one."
        f" SMART: 1 to {rules.SMART_STEPS_MAX}."
    )
    scope: ScopeInput | None = strawberry.field(
        default=None, description="Where, when, on which channel and for whom; null is unlimited."
    )
    is_visible: bool = strawberry.field(
        default=True,
        description="Whether members find it; a hidden one is sold to whoever was given its id.",
    )
    first_only: bool = strawberry.field(
        default=False, description="Whether only a first top-up can be made."
    )
    first_top_up_bonus: FirstTopUpBonusInput | None = strawberry.field(
        default=None, description="What a member's first top-up brings on top; null is nothing."
    )
    gifts: list[GiftInput] = strawberry.field(
        default_factory=list, description="The coupons and packs that come with each top-up."
    )
    first_gifts: list[GiftInput] = strawberry.field(
        default_factory=list,
        description="The coupons and packs that come on top with a member's first one.",
    )
    benefit_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list,
        description="The benefits a card gets with it, `ben_…`, active ones made under the same"
        f" node or one above: at most {details.BENEFITS_MAX}, each once.",
    )
    benefit_days: int | None = strawberry.field(
        default=None,
        description=f"How many days these benefits stay, 1 to {details.BENEFIT_DAYS_MAX:,}; null is"
        " for good.",
    )
    granted_tier_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The tier a card gets with it, `tier_…`: then it is for cards of that tier's"
        " scheme only.",
    )
    granted_months: int | None = strawberry.field(
        default=None,
        description=f"How long the granted tier stays, 1 to {details.GRANTED_MONTHS_MAX:,}; null is"
        " for good.",
    )
    limit_per_member: int | None = strawberry.field(
        default=None,
        description=f"How often one member can buy it, 1 to {details.LIMIT_PER_MEMBER_MAX:,}; null"
        " is without limit.",
    )
    spending_items: list[str] | None = strawberry.field(
        default=None,
        description="The items that what it brings can pay for, 1 to"
        f" {details.SPENDING_ITEMS_MAX} ids of your own; null is all.",
    )
    spending_node_ids: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Brands and stores where what it brings can be spent, `node_…`, 1 to"
        f" {details.SPENDING_NODES_MAX}; null is all.",
    )
    same_day_share_basis_points: int | None = strawberry.field(
        default=None,
        description="How much of the amount can be spent on the day itself, 0 to 10,000; null is"
        " all of it.",
    )
    bonus_on_the_day: bool = strawberry.field(
        default=True, description="Whether the bonus can be spent on the day itself."
    )
    bonus_valid_days: int | None = strawberry.field(
        default=None,
        description="For how many days after the day itself the bonus can be spent, 1 to"
        f" {details.BONUS_VALID_DAYS_MAX:,}; null is for good.",
    )
    trigger_amount: Long | None = strawberry.field(
        default=None,
        description="SMART: a bill below this many minor units gets no offer; null is none.",
    )
    rounding: Rounding | None = strawberry.field(
        default=None, description="SMART, where it is needed: how offers are rounded up."
    )
    agreement: str | None = strawberry.field(
        default=None,
        description="What a member agrees to by buying it, 1 to"
        f" {details.AGREEMENT_CHARS_MAX:,} characters.",
    )
    description: str | None = strawberry.field(
        default=None,
        description="What members read about it, 1 to"
        f" {details.DESCRIPTION_CHARS_MAX:,} characters.",
    )
    cover_url: str | None = strawberry.field(
        default=None,
        description="The https address of its picture, 1 to"
        f" {details.COVER_URL_CHARS_MAX} characters.",
    )

    def details(self) -> plans.PlanDetails:
        """What the plan shall say; raises `BadInput`."""
        first = self.first_top_up_bonus or FirstTopUpBonusInput()
        tier_id, items, node_ids = self.granted_tier_id, self.spending_items, self.spending_node_ids
        return plans.PlanDetails(
            name=self.name,
            scope=(self.scope or ScopeInput()).rules(),
            steps=tuple(each.step() for each in self.steps),
            is_visible=self.is_visible,
            first_only=self.first_only,
            first_bonus_bp=first.bonus_basis_points,
            first_points_bp=first.points_basis_points,
            gifts=tuple(each.gift() for each in self.gifts),
            first_gifts=tuple(each.gift() for each in self.first_gifts),
            benefit_ids=tuple(parse_type_id("ben", each) for each in self.benefit_ids),
            benefit_days=self.benefit_days,
            granted_tier_id=None if tier_id is None else parse_type_id("tier", tier_id),
            granted_months=self.granted_months,
            limit_per_member=self.limit_per_member,
            spending_items=None if items is None else tuple(items),
            spending_node_ids=None
            if node_ids is None
            else tuple(parse_type_id("node", node_id) for node_id in node_ids),
            same_day_share_bp=self.same_day_share_basis_points,
            bonus_on_the_day=self.bonus_on_the_day,
            bonus_valid_days=self.bonus_valid_days,
            trigger_amount=self.trigger_amount,
            rounding=self.rounding,
            agreement=self.agreement,
            description=self.description,
            cover_url=self.cover_url,
        )


@strawberry.input(description="A plan to draft. It is sold once it is activated.")
class TopUpPlanCreateInput(_AnyPlanInput):
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, `node_…`."
    )
    kind: TopUpPlanKind = strawberry.field(description="How it tells what it brings, for good.")
    currency: CurrencyCode = strawberry.field(description="What it is paid in, for good.")
    stock: Long | None = strawberry.field(default=None, description=_STOCK)


@strawberry.input(
    description="All that a plan says from now on; its stock is set by `topUpPlanSetStock`."
)
class TopUpPlanUpdateInput(_AnyPlanInput):
    id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")
    expected_version: int = strawberry.field(description=_VERSION)


@strawberry.input(description="How many of a plan can still be sold.")
class TopUpPlanSetStockInput:
    id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")
    expected_version: int = strawberry.field(description=_VERSION)
    stock: Long | None = strawberry.field(description=_STOCK)


@strawberry.input(description="A plan to sell.")
class TopUpPlanActivateInput:
    id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")


@strawberry.input(description="A plan to sell no more for now.")
class TopUpPlanDeactivateInput:
    id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")


@strawberry.input(description="A plan never to sell again.")
class TopUpPlanArchiveInput:
    id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")


TopUpPlanCreateResult = Annotated[
    TopUpPlan
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | GrantedTierUnknown
    | BenefitNotFound
    | GIFT_PROBLEMS,
    strawberry.union("TopUpPlanCreateResult", description="The draft, or why there is none."),
]
TopUpPlanUpdateResult = Annotated[
    TopUpPlan
    | TopUpPlanNotFound
    | PlanNotEditable
    | EditedMeanwhile
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | GrantedTierUnknown
    | BenefitNotFound
    | GIFT_PROBLEMS,
    strawberry.union("TopUpPlanUpdateResult", description="The plan as it is now, or why not."),
]
TopUpPlanSetStockResult = Annotated[
    TopUpPlan | TopUpPlanNotFound | PlanNotEditable | EditedMeanwhile,
    strawberry.union("TopUpPlanSetStockResult", description="The plan as it is now, or why not."),
]
TopUpPlanActivateResult = Annotated[
    TopUpPlan | TopUpPlanNotFound | PlanStateUnchangeable | CustomPlanExists,
    strawberry.union("TopUpPlanActivateResult", description="The active plan, or why it is not."),
]
TopUpPlanDeactivateResult = Annotated[
    TopUpPlan | TopUpPlanNotFound | PlanStateUnchangeable,
    strawberry.union("TopUpPlanDeactivateResult", description="The inactive plan, or why not."),
]
TopUpPlanArchiveResult = Annotated[
    TopUpPlan | TopUpPlanNotFound | PlanStateUnchangeable,
    strawberry.union("TopUpPlanArchiveResult", description="The archived plan, or why not."),
]
