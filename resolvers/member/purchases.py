"""A member's purchases, which also stand under each card."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import purchases
from auth.permissions import IsMember
from schema.context import Info
from schema.purchases import Purchase


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="One of the member's purchases, or null."
    )
    async def purchase(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The purchase, `pur_…`.")],
    ) -> Purchase | None:
        row = await info.context.read(
            purchases.own,
            member_id=info.context.member_id,
            purchase_id=parse_type_id("pur", id),
        )
        return Purchase.of(row) if row else None
