"""What a member's cards paid, which also stands under each card."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import spendings
from auth.permissions import IsMember
from schema.context import Info
from schema.spendings import Spending


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="Something that one of the member's cards paid, or null.",
    )
    async def spending(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The spending, `spd_…`.")],
    ) -> Spending | None:
        row = await info.context.read(
            spendings.own,
            member_id=info.context.member_id,
            spending_id=parse_type_id("spd", id),
        )
        return Spending.of(row) if row else None
