"""Lists of cards topped up by the back office (CRD-6)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.top_ups import batches
from auth.permissions import Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, First, page_limit, row_after
from schema.payment_methods import checked_method_code
from schema.top_up_batches import (
    TopUpBatch,
    TopUpBatchConnection,
    TopUpBatchCreated,
    TopUpBatchCreateInput,
    TopUpBatchCreateResult,
)

Reads = Needs(Permission.TOP_UPS_READ)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="One list of top-ups and how far it is, or null if the asker may not see it.",
    )
    async def top_up_batch(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The list, `tub_…`.")],
    ) -> TopUpBatch | None:
        row = await info.context.read(
            batches.seen_by, await info.context.actor(), batch_id=parse_type_id("tub", id)
        )
        return TopUpBatch.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads],
        description="Lists of top-ups, newest first, for those who read all the group's.",
    )
    async def top_up_batches(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> TopUpBatchConnection:
        rows = await info.context.read(
            batches.page,
            await info.context.actor(),
            before=row_after(after),
            limit=page_limit(first),
        )
        return TopUpBatchConnection.of(rows, first, TopUpBatch.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.ADJUSTMENTS_WRITE)],
        description="Top up a list of cards with one payment method. Each row is credited once or"
        " says why not. Back office only.",
    )
    async def top_up_batch_create(
        self,
        info: Info,
        input: Annotated[TopUpBatchCreateInput, strawberry.argument(description="The list.")],
    ) -> TopUpBatchCreateResult:
        created = await info.context.run(
            batches.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            method_code=checked_method_code(input.method_code),
            currency=input.currency,
            rows=input.listed(),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return TopUpBatchCreated.of(created)
