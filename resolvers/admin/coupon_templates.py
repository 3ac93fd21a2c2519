"""Coupon templates and packs, as the back office makes them (CPN-1, CPN-2)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.coupons import CouponKind, TemplateState
from app.models.staff import Permission
from app.services.coupons import packs, templates
from auth.permissions import Needs
from schema.context import Info
from schema.coupons.editing import (
    CouponPackCreateInput,
    CouponPackCreateResult,
    CouponPackMoveInput,
    CouponPackMoveResult,
    CouponPackUpdateInput,
    CouponPackUpdateResult,
    CouponTemplateCreateInput,
    CouponTemplateCreateResult,
    CouponTemplateMoveInput,
    CouponTemplateMoveResult,
    CouponTemplateSetStockInput,
    CouponTemplateSetStockResult,
    CouponTemplateUpdateInput,
    CouponTemplateUpdateResult,
)
from schema.coupons.templates import CouponPack, CouponTemplate
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.COUPONS_READ)
Writes = Needs(Permission.COUPONS_WRITE)

State = Annotated[
    TemplateState | None, strawberry.argument(description="Only in this state; null is any.")
]
Search = Annotated[
    str | None,
    strawberry.argument(description="A part of name or title, 1 to 120 characters, any case."),
]
MoveTemplate = Annotated[CouponTemplateMoveInput, strawberry.argument(description="Which.")]
MovePack = Annotated[CouponPackMoveInput, strawberry.argument(description="Which.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The templates made above or below where the asker works, the newest first.",
    )
    async def coupon_templates(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: State = None,
        kind: Annotated[
            CouponKind | None, strawberry.argument(description="Only of this kind; null is any.")
        ] = None,
        search: Search = None,
    ) -> Connection[CouponTemplate]:
        rows = await info.context.read(
            templates.page,
            await info.context.actor(),
            state=state,
            kind=kind,
            search=search,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[CouponTemplate].of(rows, first, CouponTemplate.of)

    @strawberry.field(
        permission_classes=[Reads], description="One template, or null if the asker may not see it."
    )
    async def coupon_template(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The template, `ctpl_…`.")],
    ) -> CouponTemplate | None:
        row = await info.context.read(
            templates.seen_by, await info.context.actor(), template_id=parse_type_id("ctpl", id)
        )
        return CouponTemplate.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads],
        description="The packs made above or below where the asker works, the newest first.",
    )
    async def coupon_packs(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: State = None,
        search: Search = None,
    ) -> Connection[CouponPack]:
        rows = await info.context.read(
            packs.page,
            await info.context.actor(),
            state=state,
            search=search,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[CouponPack].of(rows, first, CouponPack.of)

    @strawberry.field(
        permission_classes=[Reads], description="One pack, or null if the asker may not see it."
    )
    async def coupon_pack(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The pack, `cpk_…`.")],
    ) -> CouponPack | None:
        row = await info.context.read(
            packs.seen_by, await info.context.actor(), pack_id=parse_type_id("cpk", id)
        )
        return CouponPack.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes], description="Draft a coupon template under a perspective."
    )
    async def coupon_template_create(
        self,
        info: Info,
        input: Annotated[CouponTemplateCreateInput, strawberry.argument(description="What.")],
    ) -> CouponTemplateCreateResult:
        row = await info.context.run(
            templates.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            kind=input.kind,
            currency=input.currency,
            stock=input.stock,
            details=input.details(),
            now=info.context.now,
        )
        return CouponTemplate.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what coupons issued from now on promise. An active template is"
        " deactivated first; nobody's coupon changes.",
    )
    async def coupon_template_update(
        self,
        info: Info,
        input: Annotated[CouponTemplateUpdateInput, strawberry.argument(description="What.")],
    ) -> CouponTemplateUpdateResult:
        row = await info.context.run(
            templates.change,
            await info.context.actor(),
            template_id=parse_type_id("ctpl", input.id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return CouponTemplate.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Set how many coupons can still be issued, also while it is active.",
    )
    async def coupon_template_set_stock(
        self,
        info: Info,
        input: Annotated[CouponTemplateSetStockInput, strawberry.argument(description="How many.")],
    ) -> CouponTemplateSetStockResult:
        row = await info.context.run(
            templates.set_stock,
            await info.context.actor(),
            template_id=parse_type_id("ctpl", input.id),
            expected_version=input.expected_version,
            stock=input.stock,
            now=info.context.now,
        )
        return CouponTemplate.of(row)

    @strawberry.mutation(permission_classes=[Writes], description="Let coupons be had from now on.")
    async def coupon_template_activate(
        self, info: Info, input: MoveTemplate
    ) -> CouponTemplateMoveResult:
        return await _move_template(info, input.id, TemplateState.ACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Issue no more of it until it is activated again; what was promised is given.",
    )
    async def coupon_template_deactivate(
        self, info: Info, input: MoveTemplate
    ) -> CouponTemplateMoveResult:
        return await _move_template(info, input.id, TemplateState.INACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Put a template away for good, if it is a draft or inactive.",
    )
    async def coupon_template_archive(
        self, info: Info, input: MoveTemplate
    ) -> CouponTemplateMoveResult:
        return await _move_template(info, input.id, TemplateState.ARCHIVED)

    @strawberry.mutation(
        permission_classes=[Writes], description="Draft a pack of coupons under a perspective."
    )
    async def coupon_pack_create(
        self,
        info: Info,
        input: Annotated[CouponPackCreateInput, strawberry.argument(description="What.")],
    ) -> CouponPackCreateResult:
        row = await info.context.run(
            packs.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            details=input.details(),
            now=info.context.now,
        )
        return CouponPack.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what a pack brings from now on. An active one is deactivated first.",
    )
    async def coupon_pack_update(
        self,
        info: Info,
        input: Annotated[CouponPackUpdateInput, strawberry.argument(description="What.")],
    ) -> CouponPackUpdateResult:
        row = await info.context.run(
            packs.change,
            await info.context.actor(),
            pack_id=parse_type_id("cpk", input.id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return CouponPack.of(row)

    @strawberry.mutation(permission_classes=[Writes], description="Let a pack be had from now on.")
    async def coupon_pack_activate(self, info: Info, input: MovePack) -> CouponPackMoveResult:
        return await _move_pack(info, input.id, TemplateState.ACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Issue no more of it until it is activated again; what was promised is given.",
    )
    async def coupon_pack_deactivate(self, info: Info, input: MovePack) -> CouponPackMoveResult:
        return await _move_pack(info, input.id, TemplateState.INACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Put a pack away for good, if it is a draft or inactive.",
    )
    async def coupon_pack_archive(self, info: Info, input: MovePack) -> CouponPackMoveResult:
        return await _move_pack(info, input.id, TemplateState.ARCHIVED)


async def _move_template(info: Info, id: strawberry.ID, state: TemplateState) -> CouponTemplate:
    row = await info.context.run(
        templates.move,
        await info.context.actor(),
        template_id=parse_type_id("ctpl", id),
        state=state,
        now=info.context.now,
    )
    return CouponTemplate.of(row)


async def _move_pack(info: Info, id: strawberry.ID, state: TemplateState) -> CouponPack:
    row = await info.context.run(
        packs.move,
        await info.context.actor(),
        pack_id=parse_type_id("cpk", id),
        state=state,
        now=info.context.now,
    )
    return CouponPack.of(row)
