"""The points mall, as the back office and the stores run it (MAL-1, MAL-3, MAL-4)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import mall_returns, points_mall
from app.services.points_mall import fulfilling, listing
from auth.permissions import Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.points_mall import (
    FulfilmentState,
    FulfilmentWay,
    Mall,
    MallItem,
    MallItemKind,
    MallOrder,
)
from schema.points_mall.editing import (
    MallItemCreateInput,
    MallItemCreateResult,
    MallItemSetListedInput,
    MallItemSetListedResult,
    MallItemSetStockInput,
    MallItemSetStockResult,
    MallItemUpdateInput,
    MallItemUpdateResult,
)
from schema.points_mall.redemptions import (
    MallOrderCancelByStaffInput,
    MallOrderCancelByStaffResult,
    MallOrderCancelled,
    MallOrderFulfilResult,
    MallOrderHandOverInput,
    MallOrderHandOverResult,
    MallOrderMarkDeliveredInput,
    MallOrderMarkReadyInput,
    MallOrderShipInput,
    MallOrderShowRecipientInput,
    MallOrderShowRecipientResult,
    MallRecipient,
)

Reads = Needs(Permission.MALL_READ)
Writes = Needs(Permission.MALL_WRITE)
Fulfils = Needs(Permission.MALL_FULFIL)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The items made above or below where the asker works, the newest first.",
    )
    async def mall_items(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        kind: Annotated[
            MallItemKind | None, strawberry.argument(description="Only of this kind.")
        ] = None,
        is_listed: Annotated[
            bool | None,
            strawberry.argument(description="Only those on the shelf, or only those off it."),
        ] = None,
        category: Annotated[
            str | None, strawberry.argument(description="Only under this heading.")
        ] = None,
        search: Annotated[
            str | None,
            strawberry.argument(description="A part of the name, 1 to 120 characters, any case."),
        ] = None,
        perspective_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only made under this very node, `node_…`."),
        ] = None,
    ) -> Connection[MallItem]:
        rows = await info.context.read(
            points_mall.page,
            await info.context.actor(),
            kind=kind,
            is_listed=is_listed,
            category=category,
            name_part=search,
            perspective_id=parse_type_id("node", perspective_id) if perspective_id else None,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[MallItem].of(rows, first, MallItem.of)

    @strawberry.field(
        permission_classes=[Reads], description="One item, or null if the asker may not see it."
    )
    async def mall_item(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The item, `mall_…`.")],
    ) -> MallItem | None:
        row = await info.context.read(
            points_mall.seen_by, await info.context.actor(), item_id=parse_type_id("mall", id)
        )
        return None if row is None else MallItem.of(row)

    @strawberry.field(
        permission_classes=[Reads],
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
        permission_classes=[Reads],
        description="Redeemed things, newest first: those picked up at stores where the asker may"
        " read them, and those shipped from where their items were made.",
    )
    async def mall_orders(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            FulfilmentState | None, strawberry.argument(description="Only in this state.")
        ] = None,
        way: Annotated[
            FulfilmentWay | None, strawberry.argument(description="Only by this way.")
        ] = None,
        store_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only at this store, `node_…`.")
        ] = None,
        item_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this item, `mall_…`.")
        ] = None,
    ) -> Connection[MallOrder]:
        found = await info.context.read(
            listing.page,
            await info.context.actor(),
            wanted=listing.Wanted(
                state=state,
                way=way,
                store_id=None if store_id is None else parse_type_id("node", store_id),
                item_id=None if item_id is None else parse_type_id("mall", item_id),
            ),
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[MallOrder].of(found, first, MallOrder.of)

    @strawberry.field(
        permission_classes=[Reads],
        description="One redemption, or null if the asker may not see it.",
    )
    async def mall_order(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its order, `ord_…`.")],
    ) -> MallOrder | None:
        found = await info.context.read(
            listing.seen_by, await info.context.actor(), order_id=parse_type_id("ord", id)
        )
        return None if found is None else MallOrder.of(found)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Make an item under a perspective. It is not on the shelf yet.",
    )
    async def mall_item_create(
        self,
        info: Info,
        input: Annotated[MallItemCreateInput, strawberry.argument(description="The item.")],
    ) -> MallItemCreateResult:
        row = await info.context.run(
            points_mall.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            brings=input.brings(),
            stock=input.stock,
            details=input.details(),
            now=info.context.now,
        )
        return MallItem.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what an item says; orders keep the terms they were made with.",
    )
    async def mall_item_update(
        self,
        info: Info,
        input: Annotated[MallItemUpdateInput, strawberry.argument(description="The item.")],
    ) -> MallItemUpdateResult:
        row = await info.context.run(
            points_mall.change,
            await info.context.actor(),
            item_id=parse_type_id("mall", input.id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return MallItem.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Set how many pieces of an item can still be redeemed.",
    )
    async def mall_item_set_stock(
        self,
        info: Info,
        input: Annotated[MallItemSetStockInput, strawberry.argument(description="How many.")],
    ) -> MallItemSetStockResult:
        row = await info.context.run(
            points_mall.set_stock,
            await info.context.actor(),
            item_id=parse_type_id("mall", input.id),
            expected_version=input.expected_version,
            stock=input.stock,
            now=info.context.now,
        )
        return MallItem.of(row)

    @strawberry.mutation(
        permission_classes=[Writes], description="Put an item on the shelf, or take it off."
    )
    async def mall_item_set_listed(
        self,
        info: Info,
        input: Annotated[MallItemSetListedInput, strawberry.argument(description="Which item.")],
    ) -> MallItemSetListedResult:
        row = await info.context.run(
            points_mall.set_listed,
            await info.context.actor(),
            item_id=parse_type_id("mall", input.id),
            expected_version=input.expected_version,
            is_listed=input.is_listed,
            now=info.context.now,
        )
        return MallItem.of(row)

    @strawberry.mutation(
        permission_classes=[Fulfils], description="A redeemed thing lies ready at its store."
    )
    async def mall_order_mark_ready(
        self,
        info: Info,
        input: Annotated[MallOrderMarkReadyInput, strawberry.argument(description="Which one.")],
    ) -> MallOrderFulfilResult:
        found = await info.context.run(
            fulfilling.mark_ready,
            await info.context.actor(),
            order_id=parse_type_id("ord", input.id),
            now=info.context.now,
        )
        return MallOrder.of(found)

    @strawberry.mutation(
        permission_classes=[Fulfils], description="A parcel is on its way to its member."
    )
    async def mall_order_ship(
        self,
        info: Info,
        input: Annotated[MallOrderShipInput, strawberry.argument(description="Which one.")],
    ) -> MallOrderFulfilResult:
        found = await info.context.run(
            fulfilling.ship,
            await info.context.actor(),
            order_id=parse_type_id("ord", input.id),
            carrier=input.carrier,
            tracking_number=input.tracking_number,
            now=info.context.now,
        )
        return MallOrder.of(found)

    @strawberry.mutation(permission_classes=[Fulfils], description="A parcel arrived.")
    async def mall_order_mark_delivered(
        self,
        info: Info,
        input: Annotated[
            MallOrderMarkDeliveredInput, strawberry.argument(description="Which one.")
        ],
    ) -> MallOrderFulfilResult:
        found = await info.context.run(
            fulfilling.mark_delivered,
            await info.context.actor(),
            order_id=parse_type_id("ord", input.id),
            now=info.context.now,
        )
        return MallOrder.of(found)

    @strawberry.mutation(
        permission_classes=[Fulfils],
        description="Hand over what a member's code stands for, once. Every reason why a code picks"
        " nothing up is told alike, and wrong ones are limited per till.",
    )
    async def mall_order_hand_over(
        self,
        info: Info,
        input: Annotated[MallOrderHandOverInput, strawberry.argument(description="The code.")],
    ) -> MallOrderHandOverResult:
        found = await info.context.run(
            fulfilling.hand_over,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            code=input.code,
            now=info.context.now,
        )
        return MallOrder.of(found)

    @strawberry.mutation(
        permission_classes=[Fulfils],
        description="Show where a parcel goes, whole. That somebody looked is recorded.",
    )
    async def mall_order_show_recipient(
        self,
        info: Info,
        input: Annotated[MallOrderShowRecipientInput, strawberry.argument(description="Whose.")],
    ) -> MallOrderShowRecipientResult:
        found = await info.context.run(
            fulfilling.recipient,
            await info.context.actor(),
            order_id=parse_type_id("ord", input.id),
            now=info.context.now,
        )
        return MallRecipient.whole(found)

    @strawberry.mutation(
        permission_classes=[Fulfils],
        description="Call a redemption off: points go back to their lots, pieces to the shelf, and"
        " money by the way it came.",
    )
    async def mall_order_cancel(
        self,
        info: Info,
        input: Annotated[
            MallOrderCancelByStaffInput, strawberry.argument(description="Which one, and why.")
        ],
    ) -> MallOrderCancelByStaffResult:
        cancelled = await info.context.run(
            mall_returns.cancel,
            await info.context.actor(),
            order_id=parse_type_id("ord", input.id),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return MallOrderCancelled.of(cancelled)
