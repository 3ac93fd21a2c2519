"""Coupon packs on sale, as the back office makes them and tills sell them (CPN-7)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.coupons import TemplateState
from app.models.staff import Permission
from app.services.coupons import pack_buying, pack_sales
from auth.permissions import Needs
from schema.context import Info
from schema.coupons.pack_sales import (
    CouponPackSale,
    CouponPackSaleCreateInput,
    CouponPackSaleCreateResult,
    CouponPackSaleMoveInput,
    CouponPackSaleMoveResult,
    CouponPackSaleSetStockInput,
    CouponPackSaleSetStockResult,
    CouponPackSaleUpdateInput,
    CouponPackSaleUpdateResult,
    CouponPackSellInput,
    CouponPackSellResult,
)
from schema.orders import OrderSold
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.payment_methods import checked_method_code

Reads = Needs(Permission.COUPONS_READ)
Writes = Needs(Permission.COUPONS_WRITE)
Sells = Needs(Permission.COUPONS_SELL)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The coupon packs on sale, made above or below where the asker works, the"
        " newest first.",
    )
    async def coupon_pack_sales(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            TemplateState | None, strawberry.argument(description="Only in this state.")
        ] = None,
        pack_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this pack, `cpk_…`.")
        ] = None,
    ) -> Connection[CouponPackSale]:
        rows = await info.context.read(
            pack_sales.page,
            await info.context.actor(),
            state=state,
            pack_id=None if pack_id is None else parse_type_id("cpk", pack_id),
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[CouponPackSale].of(rows, first, CouponPackSale.of)

    @strawberry.field(
        permission_classes=[Reads], description="One sale, or null if the asker may not see it."
    )
    async def coupon_pack_sale(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The sale, `cps_…`.")],
    ) -> CouponPackSale | None:
        row = await info.context.read(
            pack_sales.seen_by, await info.context.actor(), sale_id=parse_type_id("cps", id)
        )
        return CouponPackSale.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(permission_classes=[Writes], description="Draft a sale of a coupon pack.")
    async def coupon_pack_sale_create(
        self,
        info: Info,
        input: Annotated[CouponPackSaleCreateInput, strawberry.argument(description="The sale.")],
    ) -> CouponPackSaleCreateResult:
        row = await info.context.run(
            pack_sales.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            pack_id=parse_type_id("cpk", input.pack_id),
            currency=input.currency,
            stock=input.stock,
            details=input.details(),
            now=info.context.now,
        )
        return CouponPackSale.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change a sale. An active one is deactivated first; orders keep what they were"
        " promised.",
    )
    async def coupon_pack_sale_update(
        self,
        info: Info,
        input: Annotated[CouponPackSaleUpdateInput, strawberry.argument(description="The sale.")],
    ) -> CouponPackSaleUpdateResult:
        row = await info.context.run(
            pack_sales.change,
            await info.context.actor(),
            sale_id=parse_type_id("cps", input.id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return CouponPackSale.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Set how many packs can still be sold, also while they are.",
    )
    async def coupon_pack_sale_set_stock(
        self,
        info: Info,
        input: Annotated[CouponPackSaleSetStockInput, strawberry.argument(description="How many.")],
    ) -> CouponPackSaleSetStockResult:
        row = await info.context.run(
            pack_sales.set_stock,
            await info.context.actor(),
            sale_id=parse_type_id("cps", input.id),
            expected_version=input.expected_version,
            stock=input.stock,
            now=info.context.now,
        )
        return CouponPackSale.of(row)

    @strawberry.mutation(permission_classes=[Writes], description="Sell a pack from now on.")
    async def coupon_pack_sale_activate(
        self,
        info: Info,
        input: Annotated[CouponPackSaleMoveInput, strawberry.argument(description="Which sale.")],
    ) -> CouponPackSaleMoveResult:
        return await _move(info, input.id, TemplateState.ACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes], description="Sell a pack no more until it is activated again."
    )
    async def coupon_pack_sale_deactivate(
        self,
        info: Info,
        input: Annotated[CouponPackSaleMoveInput, strawberry.argument(description="Which sale.")],
    ) -> CouponPackSaleMoveResult:
        return await _move(info, input.id, TemplateState.INACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Put a sale away for good, if it is a draft or inactive.",
    )
    async def coupon_pack_sale_archive(
        self,
        info: Info,
        input: Annotated[CouponPackSaleMoveInput, strawberry.argument(description="Which sale.")],
    ) -> CouponPackSaleMoveResult:
        return await _move(info, input.id, TemplateState.ARCHIVED)

    @strawberry.mutation(
        permission_classes=[Sells],
        description="Sell coupon packs at a till: their coupons are the member's at once.",
    )
    async def coupon_pack_sell(
        self,
        info: Info,
        input: Annotated[
            CouponPackSellInput, strawberry.argument(description="What is sold, and to whom.")
        ],
    ) -> CouponPackSellResult:
        code = input.method_code
        sold = await info.context.run(
            pack_buying.sell,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            member_id=parse_type_id("mem", input.member_id),
            choice=input.choice(),
            method_code=None if code is None else checked_method_code(code),
            request_key=input.request_key,
            now=info.context.now,
        )
        return OrderSold.of(sold)


async def _move(info: Info, sale_id: strawberry.ID, state: TemplateState) -> CouponPackSale:
    row = await info.context.run(
        pack_sales.move,
        await info.context.actor(),
        sale_id=parse_type_id("cps", sale_id),
        state=state,
        now=info.context.now,
    )
    return CouponPackSale.of(row)
