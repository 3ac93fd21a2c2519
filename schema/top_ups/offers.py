"""What can be bought as a top-up, and through whom (TOP-3, TOP-7)."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from app.gateways.payments.protocol import PaymentGateway
from app.models import top_ups as rows
from app.services.top_ups import plans
from schema.benefits import CardBenefit
from schema.context import Info
from schema.coupons import Gift
from schema.organisation import Node
from schema.scalars import Long
from schema.schemes import Tier
from schema.scopes import ObstacleReason
from schema.top_up_plans import (
    FirstTopUpBonus,
    TopUpPlanKind,
    TopUpStep,
    gifts_shown,
    plan_id_of,
    steps_shown,
)
from schema.top_ups.orders import PaymentScene


@strawberry.type(description="A provider through which members can pay, and in which scenes.")
class PaymentProvider:
    name: str = strawberry.field(description="For `provider`.")
    scenes: list[PaymentScene] = strawberry.field(description="The ways to pay by it.")

    @classmethod
    def of(cls, gateway: PaymentGateway) -> Self:
        return cls(name=gateway.name, scenes=sorted(gateway.scenes))


@strawberry.type(description="A top-up somebody can buy, or could when it opens.")
class TopUpOffer:
    plan_id: strawberry.ID = strawberry.field(description="The plan, `plan_…`.")
    kind: TopUpPlanKind = strawberry.field(description="How it tells what it brings.")
    name: str = strawberry.field(description="What people call it.")
    steps: list[TopUpStep] = strawberry.field(
        description="What can be paid, and what that brings; `step` counts them from 0."
    )
    first_top_up_bonus: FirstTopUpBonus | None = strawberry.field(
        description="What comes on top, since it would be this member's first top-up."
    )
    stock_left: Long | None = strawberry.field(
        description="How many are left for everybody; null is without end."
    )
    limit_per_member: int | None = strawberry.field(
        description="How often one member can buy it; null is without limit."
    )
    gifts: list[Gift] = strawberry.field(
        description="The coupons and packs that come with it, a first top-up's included."
    )
    benefit_days: int | None = strawberry.field(
        description="How many days its benefits stay; null is for good."
    )
    granted_months: int | None = strawberry.field(
        description="How long the granted tier stays; null is for good."
    )
    spending_items: list[str] | None = strawberry.field(
        description="The items that what it brings can pay for; null is all."
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
    agreement: str | None = strawberry.field(description="What a member agrees to by buying it.")
    description: str | None = strawberry.field(description="What to read about it.")
    cover_url: str | None = strawberry.field(description="The https address of its picture.")
    obstacle: ObstacleReason | None = strawberry.field(
        description="Why it cannot be bought now; null if it can."
    )
    available_from: datetime | None = strawberry.field(description="When it opens, if it will.")
    row: strawberry.Private[rows.TopUpPlan]

    @classmethod
    def of(cls, found: plans.Offered) -> Self:
        plan, obstacle = found.plan, found.obstacle
        return cls(
            plan_id=plan_id_of(plan.id),
            kind=plan.kind,
            name=plan.name,
            steps=steps_shown(found.steps, plan.currency),
            first_top_up_bonus=FirstTopUpBonus.of(plan) if found.is_first else None,
            stock_left=None if plan.stock_left is None else Long(plan.stock_left),
            limit_per_member=plan.limit_per_member,
            gifts=gifts_shown([*plan.gifts, *(plan.first_gifts if found.is_first else ())]),
            benefit_days=plan.benefit_days,
            granted_months=plan.granted_months,
            spending_items=plan.spending_items,
            same_day_share_basis_points=plan.same_day_share_bp,
            bonus_on_the_day=plan.bonus_on_the_day,
            bonus_valid_days=plan.bonus_valid_days,
            agreement=plan.agreement,
            description=plan.description,
            cover_url=plan.cover_url,
            obstacle=None if obstacle is None else obstacle.reason,
            available_from=None if obstacle is None else obstacle.available_from,
            row=plan,
        )

    @strawberry.field(description="The benefits a card gets with it, as they are now.")
    async def benefits(self, info: Info) -> list[CardBenefit]:
        ids = [UUID(benefit_id) for benefit_id in self.row.benefit_ids]
        found = await info.context.loaders.benefit_terms.load_many(ids)
        return [CardBenefit.of(each) for each in found]

    @strawberry.field(description="The tier a card gets with it; null is none.")
    async def granted_tier(self, info: Info) -> Tier | None:
        tier_id = self.row.granted_tier_id
        return Tier.of(await info.context.loaders.tier.load(tier_id)) if tier_id else None

    @strawberry.field(description="Where what it brings can be spent; null is everywhere.")
    async def spending_places(self, info: Info) -> list[Node] | None:
        if self.row.spending_node_ids is None:
            return None
        ids = [UUID(node_id) for node_id in self.row.spending_node_ids]
        return [Node.of(row) for row in await info.context.loaders.node.load_many(ids)]
