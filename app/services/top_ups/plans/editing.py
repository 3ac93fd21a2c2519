"""Plans as the back office makes, changes, lists and retires them (TOP-3, TOP-4, TOP-10)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID
from app.core.money import MINOR_UNIT_DIGITS
from app.core.texts import pattern_of
from app.models.organisation import Node, NodeKind
from app.models.staff import Permission
from app.models.top_ups import PlanState, TopUpPlan, TopUpPlanKind
from app.services import audit, organisation, perspectives, scopes, versions
from app.services.actors import Actor
from app.services.top_ups.plans import details as plan_details
from app.services.top_ups.plans.details import PlanDetails

TABLE: Any = TopUpPlan.__table__  # type: ignore[attr-defined]

plans_by_id = statement(select(TopUpPlan).where(any_of(col(TopUpPlan.id), "ids")), into=TopUpPlan)
# NO KEY UPDATE: orders that only refer to the plan do not wait for an edit of it.
lock_plan = statement(
    select(TopUpPlan)
    .where(col(TopUpPlan.id) == bindparam("plan_id"))
    .with_for_update(key_share=True),
    into=TopUpPlan,
)


_name_like = bindparam("name_like", type_=TABLE.c.name.type)
page_of_plans = statement(
    select(TopUpPlan)
    .where(
        *perspectives.in_sight(TopUpPlan),
        col(TopUpPlan.id) < bindparam("before"),
        if_given("state", TopUpPlan.state),
        if_given("kind", TopUpPlan.kind),
        if_given("perspective_id", TopUpPlan.perspective_id),
        or_(_name_like.is_(None), col(TopUpPlan.name).ilike(_name_like, escape="\\")),
    )
    .order_by(col(TopUpPlan.id).desc())
    .limit(bindparam("at_most")),
    into=TopUpPlan,
)
change_plan = statement(
    update(TopUpPlan)
    .where(col(TopUpPlan.id) == bindparam("plan_id"))
    .values(
        version=col(TopUpPlan.version) + 1,
        changed_at=bindparam("new_changed_at"),
        **{
            name: bindparam(f"new_{name}", type_=TABLE.c[name].type)
            for name in plan_details.COLUMNS
        },
    )
    .returning(*TABLE.columns),
    into=TopUpPlan,
)
set_state = statement(
    update(TopUpPlan)
    .where(col(TopUpPlan.id) == bindparam("plan_id"))
    .values(
        version=col(TopUpPlan.version) + 1,
        changed_at=bindparam("new_changed_at"),
        state=bindparam("new_state"),
    )
    .returning(*TABLE.columns),
    into=TopUpPlan,
)
change_stock = statement(
    update(TopUpPlan)
    .where(col(TopUpPlan.id) == bindparam("plan_id"))
    .values(
        version=col(TopUpPlan.version) + 1,
        changed_at=bindparam("new_changed_at"),
        stock_left=bindparam("new_stock"),
    )
    .returning(*TABLE.columns),
    into=TopUpPlan,
)
# Two custom plans that become active at once stand in line at their group.
lock_group = statement(
    select(Node).where(col(Node.id) == bindparam("group_id")).with_for_update(key_share=True),
    into=Node,
)
active_custom_plans = statement(
    select(TopUpPlan)
    .where(
        col(TopUpPlan.group_id) == bindparam("group_id"),
        col(TopUpPlan.state) == PlanState.ACTIVE,
        col(TopUpPlan.kind) == TopUpPlanKind.CUSTOM,
    )
    .order_by(col(TopUpPlan.id)),
    into=TopUpPlan,
)
new_plan = light(TopUpPlan)

EDITABLE = {PlanState.DRAFT, PlanState.INACTIVE}
MOVES = {
    (PlanState.DRAFT, PlanState.ACTIVE),
    (PlanState.ACTIVE, PlanState.INACTIVE),
    (PlanState.INACTIVE, PlanState.ACTIVE),
    (PlanState.INACTIVE, PlanState.ARCHIVED),
    (PlanState.DRAFT, PlanState.ARCHIVED),
}
"""Nothing is deleted, and what was archived stays so (TOP-10)."""


class TopUpPlanNotFound(DomainError):
    """No such plan in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such top-up plan.")


class PlanNotEditable(DomainError):
    """An active plan is deactivated before it is edited; an archived one stays as it was."""

    def __init__(self, state: PlanState) -> None:
        self.state = state
        super().__init__(f"This plan is {state.lower()} and cannot be edited.")


class PlanStateUnchangeable(DomainError):
    """A state cannot follow another (TOP-10)."""

    def __init__(self, current: PlanState, wanted: PlanState) -> None:
        self.current = current
        super().__init__(f"A plan that is {current.lower()} cannot become {wanted.lower()}.")


class CustomPlanExists(DomainError):
    """A store would have two active custom plans (TOP-4)."""

    def __init__(self, plan: TopUpPlan, store: Node) -> None:
        self.plan_id = plan.id
        self.name = plan.name
        self.store = store
        super().__init__(f"The custom plan {plan.name} is active at {store.name} already.")


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, TopUpPlan]:
    return {row.id: row for row in await tx.all(plans_by_id, ids=ids)}


async def plan_of_group(tx: Transaction, *, group_id: UUID, plan_id: UUID) -> TopUpPlan:
    """A plan of the group; raises `TopUpPlanNotFound`."""
    found = (await by_ids(tx, [plan_id])).get(plan_id)
    if found is None or found.group_id != group_id:
        raise TopUpPlanNotFound
    return found


async def seen_by(tx: Transaction, actor: Actor, *, plan_id: UUID) -> TopUpPlan | None:
    """A plan if it exists and the actor may read it (ORG-1)."""
    plan = (await by_ids(tx, [plan_id])).get(plan_id)
    return await perspectives.seen(tx, actor, Permission.TOP_UPS_READ, plan)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: PlanState | None = None,
    kind: TopUpPlanKind | None = None,
    name_part: str | None = None,
    perspective_id: UUID | None = None,
    before: UUID | None,
    limit: int,
) -> list[TopUpPlan]:
    """The plans made above or below where the actor may read them, newest first (TOP-10)."""
    return await tx.all(
        page_of_plans,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.TOP_UPS_READ),
        state=state,
        kind=kind,
        perspective_id=perspective_id,
        name_like=pattern_of("search", name_part, at_most=plan_details.NAME_CHARS_MAX),
        at_most=limit,
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    kind: TopUpPlanKind,
    currency: str,
    stock: int | None,
    details: PlanDetails,
    now: datetime,
) -> TopUpPlan:
    """Draft a plan under a perspective; `stock` None is without end (TOP-2…TOP-5).

    Raises `NodeNotFound`, `StoreGroupNotFound`, `AudienceNotFound`, `GrantedTierUnknown`.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.TOP_UPS_WRITE, perspective)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    plan_details.require_stock(stock)
    columns = await plan_details.columns_of(
        tx, perspective=perspective, kind=kind, currency=currency, details=details
    )
    scope = await scopes.create(tx, perspective=perspective, rules=details.scope)
    plan = new_plan(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        scope_id=scope.id,
        kind=kind,
        currency=currency,
        stock_left=stock,
        created_at=now,
        changed_at=now,
        **columns,
    )
    await tx.insert(plan)
    await _record(tx, actor, "top_up_plan.create", plan, now, steps=plan.steps, stock=stock)
    return plan


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    plan_id: UUID,
    expected_version: int,
    details: PlanDetails,
    now: datetime,
) -> TopUpPlan:
    """Let a plan say something else from now on; orders keep the terms they were made with.

    Raises `TopUpPlanNotFound`, `PlanNotEditable`, `EditedMeanwhile`, and what `create` does.
    """
    plan, perspective = await _locked_for(tx, actor, plan_id)
    if plan.state not in EDITABLE:
        raise PlanNotEditable(plan.state)
    versions.require_version(plan.version, expected=expected_version)
    columns = await plan_details.columns_of(
        tx, perspective=perspective, kind=plan.kind, currency=plan.currency, details=details
    )
    await scopes.replace(tx, scope_id=plan.scope_id, perspective=perspective, rules=details.scope)
    new_values = {f"new_{name}": value for name, value in columns.items()}
    changed = await tx.one(change_plan, plan_id=plan.id, new_changed_at=now, **new_values)
    assert changed is not None, "a plan is never deleted"
    await _record(tx, actor, "top_up_plan.update", changed, now, steps=changed.steps)
    return changed


async def move(
    tx: Transaction, actor: Actor, *, plan_id: UUID, state: PlanState, now: datetime
) -> TopUpPlan:
    """Activate, deactivate or archive a plan (TOP-10).

    Raises `TopUpPlanNotFound`, `PlanStateUnchangeable`, and `CustomPlanExists` where a store would
    have two active custom plans (TOP-4).
    """
    plan, _ = await _locked_for(tx, actor, plan_id)
    if (plan.state, state) not in MOVES:
        raise PlanStateUnchangeable(plan.state, state)
    if state is PlanState.ACTIVE and plan.kind is TopUpPlanKind.CUSTOM:
        await _require_only_custom(tx, plan)
    moved = await tx.one(set_state, plan_id=plan.id, new_state=state, new_changed_at=now)
    assert moved is not None, "a plan is never deleted"
    action = f"top_up_plan.{_MOVE_WORDS[state]}"
    await _record(tx, actor, action, moved, now)
    return moved


async def set_stock(
    tx: Transaction,
    actor: Actor,
    *,
    plan_id: UUID,
    expected_version: int,
    stock: int | None,
    now: datetime,
) -> TopUpPlan:
    """How many can still be sold from now on, also while the plan is active; None is without end.

    Raises `TopUpPlanNotFound`, `EditedMeanwhile`, and `PlanNotEditable` for an archived plan.
    """
    plan_details.require_stock(stock)
    plan, _ = await _locked_for(tx, actor, plan_id)
    if plan.state is PlanState.ARCHIVED:
        raise PlanNotEditable(plan.state)
    versions.require_version(plan.version, expected=expected_version)
    changed = await tx.one(change_stock, plan_id=plan.id, new_stock=stock, new_changed_at=now)
    assert changed is not None, "a plan is never deleted"
    await _record(tx, actor, "top_up_plan.stock", changed, now, was=plan.stock_left, became=stock)
    return changed


_MOVE_WORDS = {
    PlanState.ACTIVE: "activate",
    PlanState.INACTIVE: "deactivate",
    PlanState.ARCHIVED: "archive",
}


async def _locked_for(tx: Transaction, actor: Actor, plan_id: UUID) -> tuple[TopUpPlan, Node]:
    """A plan the actor may change, as it stays until this transaction ends, and its perspective."""
    plan = await tx.one(lock_plan, plan_id=plan_id)
    if plan is None or plan.group_id != actor.group_id:
        raise TopUpPlanNotFound
    perspective = await organisation.node(tx, plan.perspective_id)
    actor.require(Permission.TOP_UPS_WRITE, perspective)
    return plan, perspective


async def _require_only_custom(tx: Transaction, plan: TopUpPlan) -> None:
    """Raise `CustomPlanExists` unless no other custom plan is active at the plan's stores (TOP-4).

    Brands and the group stand for the stores that open there later, so that a new store does not
    begin with two. Each activation waits here for the one before it.
    """
    await tx.one(lock_group, group_id=plan.group_id)
    others = await tx.all(active_custom_plans, group_id=plan.group_id)
    loaded = await scopes.load(tx, [plan.scope_id, *(other.scope_id for other in others)])
    named = {
        i
        for scope in loaded.values()
        for i in scope.rules.included_store_group_ids | scope.rules.excluded_store_group_ids
    }
    groups_of: dict[UUID, list[UUID]] = {}
    for each in await tx.all(organisation.stores_of_groups, store_group_ids=list(named)):
        groups_of.setdefault(each.store_id, []).append(each.store_group_id)
    places = await tx.all(
        organisation.nodes_under, group_id=plan.group_id, node_ids=[plan.perspective_id]
    )
    own = [
        place
        for place in sorted(places, key=lambda place: place.kind is not NodeKind.STORE)
        if loaded[plan.scope_id].covers(place, groups_of.get(place.id, ()))
    ]
    for other in others:
        for place in own:
            if loaded[other.scope_id].covers(place, groups_of.get(place.id, ())):
                raise CustomPlanExists(other, place)


async def _record(
    tx: Transaction, actor: Actor, action: str, of: TopUpPlan, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="top_up_plan", object_id=of.id, node_id=of.perspective_id,
        now=now, version=of.version, **details,
    )  # fmt: skip
