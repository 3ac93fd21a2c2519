"""Orders of every kind, as staff see and refund them (TOP-7, GFT-5, BEN-8)."""

from datetime import datetime
from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import orders, shop
from auth.permissions import IsActor, Needs
from schema.context import Info
from schema.order_refunds import OrderRefundResult
from schema.orders import (
    Order,
    OrderKind,
    OrderRefundAgainResult,
    OrderRefunded,
    OrderRefundInput,
    OrderState,
)
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.ORDERS_READ)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="Orders, newest first: those of stores where the asker may read them, and those"
        " made online where their products belong.",
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
        store_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only at this store, `node_…`.")
        ] = None,
        member_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="Only of this member and records merged into theirs, `mem_…`."
            ),
        ] = None,
        from_: Annotated[
            datetime | None,
            strawberry.argument(name="from", description="Made at or after this moment."),
        ] = None,
        to: Annotated[
            datetime | None, strawberry.argument(description="Made before this moment.")
        ] = None,
    ) -> Connection[Order]:
        wanted = orders.Wanted(
            kind=kind,
            state=state,
            store_id=None if store_id is None else parse_type_id("node", store_id),
            member_id=None if member_id is None else parse_type_id("mem", member_id),
            from_moment=from_,
            to_moment=to,
        )
        rows = await info.context.read(
            orders.page,
            await info.context.actor(),
            wanted=wanted,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[Order].of(rows, first, Order.of)

    @strawberry.field(
        permission_classes=[Reads], description="One order, or null if the asker may not see it."
    )
    async def order(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The order, `ord_…`.")],
    ) -> Order | None:
        row = await info.context.read(
            orders.seen_by, await info.context.actor(), order_id=parse_type_id("ord", id)
        )
        return Order.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsActor],
        description="Take back what an order brought, as its product allows, and pay its money"
        " back. Needs `orders:refund`; for packages and gift cards their own `…:refund`.",
    )
    async def order_refund(
        self,
        info: Info,
        input: Annotated[OrderRefundInput, strawberry.argument(description="Which, and how.")],
    ) -> OrderRefundResult:
        refunded = await info.context.run(
            shop.refund,
            await info.context.actor(),
            order_id=input.order_id(),
            wish=input.wish(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return OrderRefunded.of(refunded)

    @strawberry.mutation(
        permission_classes=[IsActor],
        description="The provider refused to send a refund: ask it again, or pay it out OFFLINE.",
    )
    async def order_refund_again(
        self,
        info: Info,
        input: Annotated[OrderRefundInput, strawberry.argument(description="Which, and how.")],
    ) -> OrderRefundAgainResult:
        refunded = await info.context.run(
            shop.refund_again,
            await info.context.actor(),
            order_id=input.order_id(),
            wish=input.wish(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return OrderRefunded.of(refunded)
