"""The points mall, as members find and use it (MAL-1…MAL-4)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import mall_returns, points_mall
from app.services.points_mall import listing
from auth import paying
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.orders import OrderPlaced
from schema.pages import (
    PAGE_SIZE_DEFAULT,
    After,
    Connection,
    First,
    page_limit,
    row_after,
)
from schema.points_mall import Mall, MallOffer, MallOrder
from schema.points_mall.items import place_after, place_cursor
from schema.points_mall.redemptions import (
    MallOrderCancelInput,
    MallOrderCancelResult,
    MallOrderInput,
    MallOrderResult,
)

DESCRIPTION = "积分商城 Points mall {money}"


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="What the member can redeem, in the order of the shelf. What cannot be had"
        " now is there with its `obstacle`, if it opens later or is sold out, or the member had as"
        " many as one can. Null if there is no such card, store"
        " or perspective.",
    )
    async def mall_items(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        card_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="With this card, `card_…`; null is with any of theirs."
            ),
        ] = None,
        store_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="At which store, `node_…`; null is at none."),
        ] = None,
        perspective_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only of this `mall`, `node_…`; null is all."),
        ] = None,
        category: Annotated[
            str | None, strawberry.argument(description="Only under this heading; null is all.")
        ] = None,
    ) -> Connection[MallOffer] | None:
        found = await info.context.read(
            points_mall.shelf,
            member_id=info.context.member_id,
            asked=points_mall.Asked(
                card_id=None if card_id is None else parse_type_id("card", card_id),
                store_id=None if store_id is None else parse_type_id("node", store_id),
                perspective_id=None
                if perspective_id is None
                else parse_type_id("node", perspective_id),
                category=category,
            ),
            after=place_after(after),
            limit=page_limit(first),
            now=info.context.now,
        )
        if found is None:
            return None
        return Connection[MallOffer].of(found, first, MallOffer.of, cursor=place_cursor)

    @strawberry.field(
        permission_classes=[IsMember],
        description="One item of the shelf, whatever stands in the way; null if there is none.",
    )
    async def mall_item(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The item, `mall_…`.")],
        card_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="With this card, `card_…`; null is with any of theirs."
            ),
        ] = None,
        store_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="At which store, `node_…`; null is at none."),
        ] = None,
    ) -> MallOffer | None:
        found = await info.context.read(
            points_mall.seen,
            member_id=info.context.member_id,
            item_id=parse_type_id("mall", id),
            card_id=None if card_id is None else parse_type_id("card", card_id),
            store_id=None if store_id is None else parse_type_id("node", store_id),
            now=info.context.now,
        )
        return None if found is None else MallOffer.of(found)

    @strawberry.field(
        permission_classes=[IsMember],
        description="Where a mall is found; null if there is no such place.",
    )
    async def mall(
        self,
        info: Info,
        perspective_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Whose, `node_…`; null is the group's."),
        ] = None,
    ) -> Mall | None:
        row = await info.context.read(
            points_mall.mall_of,
            group_id=info.context.group_id,
            node_id=None if perspective_id is None else parse_type_id("node", perspective_id),
        )
        return None if row is None else Mall.of(row)

    @strawberry.field(
        permission_classes=[IsMember], description="What the member redeemed, newest first."
    )
    async def mall_orders(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[MallOrder]:
        found = await info.context.read(
            listing.own_page,
            member_id=info.context.member_id,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[MallOrder].of(found, first, MallOrder.of)

    @strawberry.field(
        permission_classes=[IsMember], description="One of the member's redemptions, or null."
    )
    async def mall_order(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its order, `ord_…`.")],
    ) -> MallOrder | None:
        found = await info.context.read(
            listing.own,
            member_id=info.context.member_id,
            order_id=parse_type_id("ord", id),
        )
        return None if found is None else MallOrder.of(found)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Redeem points for an item. For points alone it is theirs at once; what costs"
        " money too can be paid for 15 minutes, and its points and pieces wait meanwhile.",
    )
    async def mall_order(
        self,
        info: Info,
        input: Annotated[
            MallOrderInput, strawberry.argument(description="What, and how it gets there.")
        ],
    ) -> MallOrderResult:
        wish, request_key = input.wish(), input.request_key
        if input.payment is None:
            placed = await info.context.run(
                points_mall.place,
                bearer=bearer(info.context),
                wish=wish,
                online=None,
                request_key=request_key,
                now=info.context.now,
            )
            return OrderPlaced.of(placed, None)
        online = paying.online(
            info.context,
            provider=input.payment.provider,
            scene=input.payment.scene,
            return_url=input.payment.return_url,
            store_id=None,
        )
        begun = await paying.pay(
            info.context,
            points_mall.place,
            online=online,
            description=DESCRIPTION,
            wish=wish,
            request_key=request_key,
        )
        return OrderPlaced.of(begun.placed, begun.prepared)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Call a redemption off before it is handed over or sent: points, pieces and"
        " money come back.",
    )
    async def mall_order_cancel(
        self,
        info: Info,
        input: Annotated[MallOrderCancelInput, strawberry.argument(description="Which one.")],
    ) -> MallOrderCancelResult:
        found = await info.context.run(
            mall_returns.cancel_own,
            bearer=bearer(info.context),
            order_id=parse_type_id("ord", input.id),
            now=info.context.now,
        )
        return MallOrder.of(found)
