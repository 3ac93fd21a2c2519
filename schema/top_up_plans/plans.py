"""Plans, as those who make them see them, and why one cannot be made, changed or sold."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.models import top_ups as rows
from app.models.top_ups import PlanState, TopUpPlanKind
from app.services import coupons
from app.services.top_ups import plans, rules
from app.services.top_ups.rules import Rounding
from schema.benefits import Benefit
from schema.context import Info
from schema.coupons import Gift
from schema.enums import describe
from schema.organisation import Node, node_id_of
from schema.problems import Problem, shown_as
from schema.scalars import CurrencyCode, Long, Money
from schema.schemes import Tier
from schema.scopes import Scope
from schema.top_up_plans.steps import TopUpStep, steps_shown

describe(
    TopUpPlanKind,
    "How a plan tells what can be paid and what it brings.",
    {
        "PACKAGE": "Fixed amounts and ranges.",
        "CUSTOM": "One range, whose bonus and points grow with the amount.",
        "SMART": "Offers made from a bill that the balance does not cover.",
    },
)
describe(
    PlanState,
    "Whether a plan is sold.",
    {
        "DRAFT": "Not yet.",
        "ACTIVE": "Yes, wherever and whenever its scope says.",
        "INACTIVE": "Not now: it can be edited and activated again.",
        "ARCHIVED": "Never again.",
    },
)
describe(
    Rounding,
    "To a multiple of what a smart top-up is rounded up, in the currency's major unit.",
    {
        "TENTH": "0.1, or the smallest amount the currency has.",
        "ONE": "1.",
        "TEN": "10.",
        "HUNDRED": "100.",
    },
)


@strawberry.type(description="What a member's first top-up brings on top, as shares of its amount.")
class FirstTopUpBonus:
    bonus_basis_points: int = strawberry.field(description="More bonus; 100 are 1 %.")
    points_basis_points: int = strawberry.field(
        description="More points, of the amount's major units; 100 are 1 %."
    )

    @classmethod
    def of(cls, row: rows.TopUpPlan) -> Self:
        return cls(bonus_basis_points=row.first_bonus_bp, points_basis_points=row.first_points_bp)


@strawberry.type(description="What can be bought as a top-up: where, when, by whom and for what.")
class TopUpPlan:
    id: strawberry.ID = strawberry.field(description="Its id, `plan_…`.")
    kind: TopUpPlanKind = strawberry.field(description="How it tells what it brings.")
    state: PlanState = strawberry.field(description="Whether it is sold.")
    name: str = strawberry.field(description="What people call it.")
    currency: CurrencyCode = strawberry.field(
        description="What it is paid in; it tops up cards kept in it."
    )
    steps: list[TopUpStep] = strawberry.field(description="What can be paid and what that brings.")
    is_visible: bool = strawberry.field(
        description="Whether members find it; a hidden one is sold to whoever was given its id."
    )
    first_only: bool = strawberry.field(description="Whether only a first top-up can be made.")
    first_top_up_bonus: FirstTopUpBonus = strawberry.field(
        description="What a member's first top-up brings on top."
    )
    gifts: list[Gift] = strawberry.field(
        description="The coupons and packs that come with each top-up."
    )
    first_gifts: list[Gift] = strawberry.field(
        description="The coupons and packs that come on top with a member's first one."
    )
    benefit_days: int | None = strawberry.field(
        description="How many days its benefits stay; null is for good."
    )
    granted_months: int | None = strawberry.field(
        description="How long the granted tier stays; null is for good."
    )
    stock_left: Long | None = strawberry.field(
        description="How many can still be sold; null is without end."
    )
    limit_per_member: int | None = strawberry.field(
        description="How often one member can buy it; null is without limit."
    )
    spending_items: list[str] | None = strawberry.field(
        description="The items that what it brings can pay for; null is all."
    )
    spending_node_ids: list[strawberry.ID] | None = strawberry.field(
        description="Brands and stores where what it brings can be spent, `node_…`; null is all."
    )
    same_day_share_basis_points: int | None = strawberry.field(
        description="How much of the amount can be spent on the day itself; null is all of it."
    )
    bonus_on_the_day: bool = strawberry.field(
        description="Whether the bonus can be spent on the day itself."
    )
    bonus_valid_days: int | None = strawberry.field(
        description="For how many days after the day itself the bonus can be spent; null is for"
        " good."
    )
    trigger_amount: Money | None = strawberry.field(
        description="SMART: a smaller bill gets no offer; null is none too small."
    )
    rounding: Rounding | None = strawberry.field(description="SMART: how offers are rounded up.")
    agreement: str | None = strawberry.field(description="What a member agrees to by buying it.")
    description: str | None = strawberry.field(description="What members read about it.")
    cover_url: str | None = strawberry.field(description="The https address of its picture.")
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was drafted.")
    changed_at: datetime = strawberry.field(description="When it was edited last.")
    row: strawberry.Private[rows.TopUpPlan]

    @classmethod
    def of(cls, row: rows.TopUpPlan) -> Self:
        node_ids, trigger = row.spending_node_ids, row.trigger_amount
        return cls(
            id=plan_id_of(row.id),
            kind=row.kind,
            state=row.state,
            name=row.name,
            currency=CurrencyCode(row.currency),
            steps=steps_shown(plans.steps_of(row), row.currency),
            is_visible=row.is_visible,
            first_only=row.first_only,
            first_top_up_bonus=FirstTopUpBonus.of(row),
            gifts=gifts_shown(row.gifts),
            first_gifts=gifts_shown(row.first_gifts),
            benefit_days=row.benefit_days,
            granted_months=row.granted_months,
            stock_left=None if row.stock_left is None else Long(row.stock_left),
            limit_per_member=row.limit_per_member,
            spending_items=row.spending_items,
            spending_node_ids=None if node_ids is None else [node_id_of(UUID(i)) for i in node_ids],
            same_day_share_basis_points=row.same_day_share_bp,
            bonus_on_the_day=row.bonus_on_the_day,
            bonus_valid_days=row.bonus_valid_days,
            trigger_amount=None if trigger is None else Money.of(trigger, row.currency),
            rounding=None if row.rounding is None else Rounding(row.rounding),
            agreement=row.agreement,
            description=row.description,
            cover_url=row.cover_url,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))

    @strawberry.field(description="Where, when, on which channel and for whom it is sold.")
    async def scope(self, info: Info) -> Scope:
        return Scope.of(await info.context.loaders.scope.load(self.row.scope_id))

    @strawberry.field(description="The benefits a card gets with it.")
    async def benefits(self, info: Info) -> list[Benefit]:
        rows = await info.context.loaders.benefit.load_many(_ids(self.row.benefit_ids))
        return [Benefit.of(row) for row in rows]

    @strawberry.field(description="The tier a card gets with it; null is none.")
    async def granted_tier(self, info: Info) -> Tier | None:
        tier_id = self.row.granted_tier_id
        return Tier.of(await info.context.loaders.tier.load(tier_id)) if tier_id else None


def gifts_shown(documents: Sequence[dict[str, Any]]) -> list[Gift]:
    """What a plan or an order promises in coupons."""
    return [Gift.of(coupons.Gift.from_document(each)) for each in documents]


def _ids(written: Sequence[str]) -> list[UUID]:
    return [UUID(each) for each in written]


def plan_id_of(plan_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("plan", plan_id))


@strawberry.type(description="There is no such top-up plan.")
class TopUpPlanNotFound(Problem): ...


@strawberry.type(description="There is no such tier among the cards the plan is for.")
class GrantedTierUnknown(Problem): ...


@strawberry.type(description="In this state a plan cannot be edited.")
class PlanNotEditable(Problem):
    state: PlanState = strawberry.field(description="The plan's state.")

    @classmethod
    def of(cls, error: plans.PlanNotEditable) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="A plan in this state cannot become what was asked for.")
class PlanStateUnchangeable(Problem):
    current: PlanState = strawberry.field(description="The plan's state.")

    @classmethod
    def of(cls, error: plans.PlanStateUnchangeable) -> Self:
        return cls(message=str(error), current=error.current)


@strawberry.type(description="A store would have two active custom plans.")
class CustomPlanExists(Problem):
    plan_id: strawberry.ID = strawberry.field(description="The plan that is active, `plan_…`.")
    name: str = strawberry.field(description="What people call that plan.")
    store: Node = strawberry.field(
        description="A store of both; or a brand or the group, for the stores to come."
    )

    @classmethod
    def of(cls, error: plans.CustomPlanExists) -> Self:
        return cls(
            message=str(error),
            plan_id=plan_id_of(error.plan_id),
            name=error.name,
            store=Node.of(error.store),
        )


@strawberry.type(description="The plan is not active.")
class PlanNotOnSale(Problem):
    state: PlanState = strawberry.field(description="The plan's state.")

    @classmethod
    def of(cls, error: plans.PlanNotOnSale) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="Nothing is left of the plan's stock.")
class SoldOut(Problem): ...


@strawberry.type(description="The member bought the plan as often as one may.")
class LimitReached(Problem):
    limit: int = strawberry.field(description="How often a member may buy it.")

    @classmethod
    def of(cls, error: plans.LimitReached) -> Self:
        return cls(message=str(error), limit=error.limit)


@strawberry.type(description="The plan is for a member's first top-up, and this is not the first.")
class FirstTopUpOnly(Problem): ...


@strawberry.type(description="The chosen step does not take this amount.")
class AmountOutsideRange(Problem):
    amount_from: Money = strawberry.field(description="The least it takes.")
    amount_to: Money = strawberry.field(description="The most it takes.")

    @classmethod
    def of(cls, error: rules.AmountOutsideRange) -> Self:
        least, most = error.amount_from, error.amount_to
        return cls(
            message=str(error),
            amount_from=Money.of(least.amount, least.currency),
            amount_to=Money.of(most.amount, most.currency),
        )


HANDLERS = [
    shown_as(TopUpPlanNotFound, plans.TopUpPlanNotFound),
    shown_as(GrantedTierUnknown, plans.GrantedTierUnknown),
    shown_as(PlanNotEditable, plans.PlanNotEditable),
    shown_as(PlanStateUnchangeable, plans.PlanStateUnchangeable),
    shown_as(CustomPlanExists, plans.CustomPlanExists),
    shown_as(PlanNotOnSale, plans.PlanNotOnSale),
    shown_as(SoldOut, plans.SoldOut),
    shown_as(LimitReached, plans.LimitReached),
    shown_as(FirstTopUpOnly, plans.FirstTopUpOnly),
    shown_as(AmountOutsideRange, rules.AmountOutsideRange),
]
