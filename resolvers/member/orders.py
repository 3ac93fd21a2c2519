"""What a member ordered, whatever it is (TOP-7)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import orders, shop
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.orders import Order, OrderCancelInput, OrderCancelResult, OrderKind, OrderState
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="What the member ordered, newest first."
    )
    async def orders(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        kind: Annotated[
            OrderKind | None, strawberry.argument(description="Only of this kind.")
        ] = None,
        state: Annotated[
            OrderState | None, strawberry.argument(description="Only those in this state.")
        ] = None,
    ) -> Connection[Order]:
        rows = await info.context.read(
            orders.own_page,
            member_id=info.context.member_id,
            kind=kind,
            state=state,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[Order].of(rows, first, Order.of)

    @strawberry.field(
        permission_classes=[IsMember], description="One of the member's orders, or null."
    )
    async def order(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The order, `ord_…`.")],
    ) -> Order | None:
        row = await info.context.read(
            orders.own, member_id=info.context.member_id, order_id=parse_type_id("ord", id)
        )
        return Order.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Give an unpaid order up. Should it be paid all the same, the money goes back.",
    )
    async def order_cancel(
        self,
        info: Info,
        input: Annotated[OrderCancelInput, strawberry.argument(description="Which order.")],
    ) -> OrderCancelResult:
        row = await info.context.run(
            shop.cancel,
            bearer=bearer(info.context),
            order_id=parse_type_id("ord", input.id),
            now=info.context.now,
        )
        return Order.of(row)
