"""What can be bought as a top-up, as the back office makes it (TOP-2…TOP-5, TOP-10)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.top_ups import plans
from auth.permissions import Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.top_up_plans import PlanState, TopUpPlan, TopUpPlanKind
from schema.top_up_plans.editing import (
    TopUpPlanActivateInput,
    TopUpPlanActivateResult,
    TopUpPlanArchiveInput,
    TopUpPlanArchiveResult,
    TopUpPlanCreateInput,
    TopUpPlanCreateResult,
    TopUpPlanDeactivateInput,
    TopUpPlanDeactivateResult,
    TopUpPlanSetStockInput,
    TopUpPlanSetStockResult,
    TopUpPlanUpdateInput,
    TopUpPlanUpdateResult,
)

Reads = Needs(Permission.TOP_UPS_READ)
Writes = Needs(Permission.TOP_UPS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The plans made above or below where the asker works, the newest first.",
    )
    async def top_up_plans(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            PlanState | None, strawberry.argument(description="Only in this state; null is any.")
        ] = None,
        kind: Annotated[
            TopUpPlanKind | None, strawberry.argument(description="Only of this kind; null is any.")
        ] = None,
        search: Annotated[
            str | None,
            strawberry.argument(description="A part of the name, 1 to 120 characters, any case."),
        ] = None,
        perspective_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only made under this very node, `node_…`."),
        ] = None,
    ) -> Connection[TopUpPlan]:
        rows = await info.context.read(
            plans.page,
            await info.context.actor(),
            state=state,
            kind=kind,
            name_part=search,
            perspective_id=parse_type_id("node", perspective_id) if perspective_id else None,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[TopUpPlan].of(rows, first, TopUpPlan.of)

    @strawberry.field(
        permission_classes=[Reads], description="One plan, or null if the asker may not see it."
    )
    async def top_up_plan(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The plan, `plan_…`.")],
    ) -> TopUpPlan | None:
        row = await info.context.read(
            plans.seen_by, await info.context.actor(), plan_id=parse_type_id("plan", id)
        )
        return TopUpPlan.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes], description="Draft a top-up plan under a perspective."
    )
    async def top_up_plan_create(
        self,
        info: Info,
        input: Annotated[TopUpPlanCreateInput, strawberry.argument(description="The plan.")],
    ) -> TopUpPlanCreateResult:
        row = await info.context.run(
            plans.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            kind=input.kind,
            currency=input.currency,
            stock=input.stock,
            details=input.details(),
            now=info.context.now,
        )
        return TopUpPlan.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what a plan says. An active one is deactivated first; orders keep the"
        " terms they were made with.",
    )
    async def top_up_plan_update(
        self,
        info: Info,
        input: Annotated[TopUpPlanUpdateInput, strawberry.argument(description="The plan.")],
    ) -> TopUpPlanUpdateResult:
        row = await info.context.run(
            plans.change,
            await info.context.actor(),
            plan_id=parse_type_id("plan", input.id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return TopUpPlan.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Set how many of a plan can still be sold, also while it is active.",
    )
    async def top_up_plan_set_stock(
        self,
        info: Info,
        input: Annotated[TopUpPlanSetStockInput, strawberry.argument(description="How many.")],
    ) -> TopUpPlanSetStockResult:
        row = await info.context.run(
            plans.set_stock,
            await info.context.actor(),
            plan_id=parse_type_id("plan", input.id),
            expected_version=input.expected_version,
            stock=input.stock,
            now=info.context.now,
        )
        return TopUpPlan.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Sell a plan from now on. A store has at most one active custom plan.",
    )
    async def top_up_plan_activate(
        self,
        info: Info,
        input: Annotated[TopUpPlanActivateInput, strawberry.argument(description="Which plan.")],
    ) -> TopUpPlanActivateResult:
        return await _move(info, input.id, PlanState.ACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes], description="Sell a plan no more until it is activated again."
    )
    async def top_up_plan_deactivate(
        self,
        info: Info,
        input: Annotated[TopUpPlanDeactivateInput, strawberry.argument(description="Which plan.")],
    ) -> TopUpPlanDeactivateResult:
        return await _move(info, input.id, PlanState.INACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Put a plan away for good, if it is a draft or inactive.",
    )
    async def top_up_plan_archive(
        self,
        info: Info,
        input: Annotated[TopUpPlanArchiveInput, strawberry.argument(description="Which plan.")],
    ) -> TopUpPlanArchiveResult:
        return await _move(info, input.id, PlanState.ARCHIVED)


async def _move(info: Info, plan_id: strawberry.ID, state: PlanState) -> TopUpPlan:
    row = await info.context.run(
        plans.move,
        await info.context.actor(),
        plan_id=parse_type_id("plan", plan_id),
        state=state,
        now=info.context.now,
    )
    return TopUpPlan.of(row)
