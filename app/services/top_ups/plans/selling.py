"""What a member is offered, and whether one plan can be sold to them now (TOP-3, ORG-3…ORG-6)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.db import Statement, Transaction, any_of, statement
from app.core.errors import BadInput, DomainError
from app.models.cards import Card, Scheme
from app.models.members import Member
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.top_ups import PlanState, TopUpOrder, TopUpPlan, TopUpPlanKind, TopUpState
from app.services import members, purchases, schemes, scopes
from app.services.scopes import Circumstances, LoadedScope, NotAvailable, Obstacle, ObstacleReason
from app.services.top_ups import rules
from app.services.top_ups.plans.editing import TopUpPlanNotFound, lock_plan, plan_of_group
from app.services.top_ups.plans.steps import AnyStep, steps_of
from app.services.top_ups.rules import Credit, CustomRule, FixedStep, RangeStep

OFFERS_MAX = 200
SOLD_DIRECTLY = (TopUpPlanKind.PACKAGE, TopUpPlanKind.CUSTOM)
"""A smart plan is sold by an offer made for a bill (TOP-5)."""


def _on_sale(*conditions: Any) -> Statement[TopUpPlan]:
    return statement(
        select(TopUpPlan)
        .where(
            col(TopUpPlan.group_id) == bindparam("group_id"),
            col(TopUpPlan.state) == PlanState.ACTIVE,
            col(TopUpPlan.currency) == bindparam("currency"),
            any_of(col(TopUpPlan.kind), "kinds"),
            col(TopUpPlan.is_visible),
            or_(col(TopUpPlan.stock_left).is_(None), col(TopUpPlan.stock_left) > 0),
            *conditions,
        )
        .order_by(col(TopUpPlan.id))
        .limit(OFFERS_MAX),
        into=TopUpPlan,
    )


plans_on_sale = _on_sale()
# At a till the plans of other stores, of which there may be thousands, are not even looked at.
plans_on_sale_at_store = _on_sale(any_of(col(TopUpPlan.perspective_id), "perspective_ids"))
# One that waits to be paid counts too: of several begun at once only one is the first. So does one
# that was given back: its extras were had.
earlier_order = statement(
    select(TopUpOrder.id)
    .where(
        col(TopUpOrder.member_id).in_(members.own_records),
        col(TopUpOrder.state) != TopUpState.CANCELLED,
    )
    .limit(1),
    into=UUID,
)


class PlanCount(NamedTuple):
    plan_id: UUID
    number: int


orders_by_plan = statement(
    select(col(TopUpOrder.plan_id).label("plan_id"), func.count().label("number"))
    .where(
        col(TopUpOrder.member_id).in_(members.own_records),
        any_of(col(TopUpOrder.plan_id), "plan_ids"),
        or_(
            col(TopUpOrder.state) == TopUpState.PENDING,
            col(TopUpOrder.state) == TopUpState.CREDITED,
        ),
    )
    .group_by(col(TopUpOrder.plan_id)),
    into=PlanCount,
)
take_unit = statement(
    update(TopUpPlan)
    .where(col(TopUpPlan.id) == bindparam("plan_id"), col(TopUpPlan.stock_left) > 0)
    .values(stock_left=col(TopUpPlan.stock_left) - 1)
)
return_unit = statement(
    update(TopUpPlan)
    .where(col(TopUpPlan.id) == bindparam("plan_id"), col(TopUpPlan.stock_left).is_not(None))
    .values(stock_left=col(TopUpPlan.stock_left) + 1)
)
stock_of = statement(
    select(TopUpPlan.stock_left).where(col(TopUpPlan.id) == bindparam("plan_id")), into=int
)


class PlanNotOnSale(DomainError):
    """A plan that is no longer, or not yet, active."""

    def __init__(self, state: PlanState) -> None:
        self.state = state
        super().__init__("This top-up is not on sale.")


class SoldOut(DomainError):
    """Nothing is left of the plan's stock (TOP-3)."""

    def __init__(self) -> None:
        super().__init__("This top-up is sold out.")


class LimitReached(DomainError):
    """The member bought the plan as often as one may (TOP-3)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__("This top-up was bought as often as one member may.")


class FirstTopUpOnly(DomainError):
    """The plan is for a member's first top-up, and this one has topped up before (TOP-3)."""

    def __init__(self) -> None:
        super().__init__("This top-up is for those who top up for the first time.")


class Offered(NamedTuple):
    """A plan a member can buy, or with `obstacle` could when it opens."""

    plan: TopUpPlan
    steps: list[AnyStep]
    obstacle: Obstacle | None
    is_first: bool
    """Whether the first top-up's extras would come with it."""


class Sale(NamedTuple):
    """What one order of a plan brings, the first top-up's extras included."""

    plan: TopUpPlan
    credit: Credit
    is_first: bool


class _Sellable(NamedTuple):
    """A plan as it is now, and whether the first top-up's extras come with it."""

    plan: TopUpPlan
    is_first: bool


async def offered(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    member: Member,
    store: Node | None,
    channel: Channel,
    now: datetime,
    kinds: Collection[TopUpPlanKind] = SOLD_DIRECTLY,
) -> list[Offered]:
    """What this member can buy with this card here and now, oldest plan first (TOP-3).

    Of plans that cannot be bought now those are shown that will open, with their obstacle. Hidden
    plans are left out; `require_offered` sells them to whoever was given their id.
    """
    asked = {"group_id": card.group_id, "currency": scheme.currency, "kinds": list(kinds)}
    if store is None:
        plans = await tx.all(plans_on_sale, **asked)
    else:
        above = list(scopes.lineage_of(store))
        plans = await tx.all(plans_on_sale_at_store, perspective_ids=above, **asked)
    if not plans:
        return []
    loaded = await scopes.load(tx, [plan.scope_id for plan in plans])
    found = await scopes.circumstances(tx, channel=channel, store=store, card=card, now=now)
    is_first = await tx.one(earlier_order, member_id=member.id) is None
    bought = await _bought(tx, member, [p.id for p in plans if p.limit_per_member is not None])
    scheme_of_tier = await _schemes_of_tiers(tx, plans)
    offers = []
    for plan in plans:
        limit = plan.limit_per_member
        if limit is not None and bought.get(plan.id, 0) >= limit:
            continue
        if plan.first_only and not is_first:
            continue
        obstacle = _obstacle(plan, loaded[plan.scope_id], found, scheme_of_tier)
        if obstacle is None or obstacle.reason is ObstacleReason.NOT_OPEN:
            offers.append(Offered(plan, steps_of(plan), obstacle, is_first))
    return offers


async def require_offered(
    tx: Transaction,
    *,
    plan_id: UUID,
    step: int,
    amount: int,
    card: Card,
    scheme: Scheme,
    member: Member,
    store: Node | None,
    channel: Channel,
    now: datetime,
    for_update: bool = True,
) -> Sale:
    """One sale of a plan's step for `amount` minor units, visible or not (TOP-2…TOP-4).

    Lock the member and the card before: `for_update` locks the plan where its sales are counted.
    Raises `TopUpPlanNotFound`, also for a smart plan, `WrongCurrency`, `PlanNotOnSale`,
    `NotAvailable`, `FirstTopUpOnly`, `LimitReached`, `SoldOut`, `AmountOutsideRange`.
    """
    plan = await plan_of_group(tx, group_id=card.group_id, plan_id=plan_id)
    if plan.kind not in SOLD_DIRECTLY:
        raise TopUpPlanNotFound
    plan, is_first = await _require_sellable(
        tx, plan=plan, card=card, scheme=scheme, member=member, store=store, channel=channel,
        now=now, for_update=for_update,
    )  # fmt: skip
    steps = steps_of(plan)
    if not 0 <= step < len(steps):
        raise BadInput("step is not one of the plan's.")
    chosen = steps[step]
    assert isinstance(chosen, FixedStep | RangeStep | CustomRule)
    credit = rules.credit_of(chosen, amount, plan.currency)
    if is_first:
        credit = rules.with_first_bonus(
            credit,
            bonus_bp=plan.first_bonus_bp,
            points_bp=plan.first_points_bp,
            currency=plan.currency,
        )
    return Sale(plan, credit, is_first)


async def _require_sellable(
    tx: Transaction,
    *,
    plan: TopUpPlan,
    card: Card,
    scheme: Scheme,
    member: Member,
    store: Node | None,
    channel: Channel,
    now: datetime,
    for_update: bool,
) -> _Sellable:
    """Raise unless a plan of any kind can be sold to this member here and now.

    Raises `WrongCurrency`, `PlanNotOnSale`, `NotAvailable`, `FirstTopUpOnly`, `LimitReached`,
    `SoldOut`.
    """
    # Only where sales are counted do buyers stand in line.
    if for_update and not (plan.stock_left is None and plan.limit_per_member is None):
        locked = await tx.one(lock_plan, plan_id=plan.id)
        assert locked is not None, "a plan is never deleted"
        plan = locked
    if plan.currency != scheme.currency:
        raise purchases.WrongCurrency(scheme.currency)
    if plan.state is not PlanState.ACTIVE:
        raise PlanNotOnSale(plan.state)
    loaded = await scopes.load(tx, [plan.scope_id])
    found = await scopes.circumstances(tx, channel=channel, store=store, card=card, now=now)
    scheme_of_tier = await _schemes_of_tiers(tx, [plan])
    obstacle = _obstacle(plan, loaded[plan.scope_id], found, scheme_of_tier)
    if obstacle is not None:
        raise NotAvailable(obstacle)
    is_first = await tx.one(earlier_order, member_id=member.id) is None
    if plan.first_only and not is_first:
        raise FirstTopUpOnly
    limit = plan.limit_per_member
    if limit is not None and (await _bought(tx, member, [plan.id])).get(plan.id, 0) >= limit:
        raise LimitReached(limit)
    if plan.stock_left == 0:
        raise SoldOut
    return _Sellable(plan, is_first)


async def still_fits(tx: Transaction, *, plan: TopUpPlan, member: Member, is_first: bool) -> bool:
    """Whether what was offered to a member, who is locked, is theirs still: the extras of a first
    top-up, and one more of the plan."""
    must_be_first = is_first or plan.first_only
    if must_be_first and await tx.one(earlier_order, member_id=member.id) is not None:
        return False
    limit = plan.limit_per_member
    return limit is None or (await _bought(tx, member, [plan.id])).get(plan.id, 0) < limit


async def take_stock(tx: Transaction, plan_id: UUID) -> bool:
    """Take one unit of a plan's stock for an order; raises `SoldOut`.

    False where the plan has no stock to count: then there is nothing to return either.
    """
    if await tx.changed(take_unit, plan_id=plan_id):
        return True
    if await tx.one(stock_of, plan_id=plan_id) is not None:
        raise SoldOut
    return False


async def return_stock(tx: Transaction, plan_id: UUID) -> None:
    """Give back the unit an order took. A plan whose stock was made endless since keeps none."""
    await tx.changed(return_unit, plan_id=plan_id)


async def _bought(tx: Transaction, member: Member, plan_ids: list[UUID]) -> dict[UUID, int]:
    """How often the member bought each plan; what was cancelled or refunded does not count."""
    if not plan_ids:
        return {}
    counts = await tx.all(orders_by_plan, member_id=member.id, plan_ids=plan_ids)
    return {each.plan_id: each.number for each in counts}


async def _schemes_of_tiers(tx: Transaction, plans: Collection[TopUpPlan]) -> dict[UUID, UUID]:
    """The scheme of each tier that comes with one of these plans."""
    tier_ids = {plan.granted_tier_id for plan in plans if plan.granted_tier_id is not None}
    if not tier_ids:
        return {}
    return {tier.id: tier.scheme_id for tier in (await schemes.tiers(tx, list(tier_ids))).values()}


def _obstacle(
    plan: TopUpPlan,
    scope: LoadedScope,
    found: Circumstances,
    scheme_of_tier: dict[UUID, UUID],
) -> Obstacle | None:
    """What the scope says; and a plan that brings a tier is for cards that have such tiers."""
    assert found.card is not None
    tier_id = plan.granted_tier_id
    if tier_id is not None and scheme_of_tier[tier_id] != found.card.scheme_id:
        return Obstacle(ObstacleReason.NOT_FOR_THIS_MEMBER)
    return scopes.obstacle(scope, found)
