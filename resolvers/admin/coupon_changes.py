"""Changing many coupons at once, withdrawing one, and whether they can be given to friends (CPN-5,
CPN-6)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.coupons import changes, handovers, withdrawing
from auth.permissions import Needs
from schema.context import Info
from schema.coupons.changes import (
    CouponChange,
    CouponChangeInput,
    CouponChangePreview,
    CouponChangeStarted,
    CouponChangeStartInput,
    CouponChangeStartResult,
)
from schema.coupons.handovers import CouponTemplateSetHandoverInput, CouponTemplateSetHandoverResult
from schema.coupons.templates import CouponTemplate
from schema.coupons.withdrawing import (
    CouponTakenFromHolder,
    CouponWithdrawInput,
    CouponWithdrawResult,
)
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.COUPONS_READ)
Writes = Needs(Permission.COUPONS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="Changes of coupons, newest first: of many, and of those withdrawn one by one.",
    )
    async def coupon_changes(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[CouponChange]:
        rows = await info.context.read(
            changes.page,
            await info.context.actor(),
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[CouponChange].of(rows, first, CouponChange.of)

    @strawberry.field(
        permission_classes=[Reads],
        description="One change with its progress, or null if the asker may not see it.",
    )
    async def coupon_change(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The change, `cbc_…`.")],
    ) -> CouponChange | None:
        row = await info.context.read(
            changes.seen_by, await info.context.actor(), change_id=parse_type_id("cbc", id)
        )
        return CouponChange.of(row) if row else None

    @strawberry.field(
        permission_classes=[Writes],
        description="What a change would do; nothing is done. Null if there is no such template.",
    )
    async def coupon_change_preview(
        self,
        info: Info,
        input: Annotated[CouponChangeInput, strawberry.argument(description="The change.")],
    ) -> CouponChangePreview | None:
        found = await info.context.read(
            changes.preview,
            await info.context.actor(),
            template_id=parse_type_id("ctpl", input.template_id),
            wanted=input.wanted.wanted(),
            change=input.values.change(),
            now=info.context.now,
        )
        return CouponChangePreview.of(found) if found else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change many coupons of a template, a batch at a time: follow `couponChange`.",
    )
    async def coupon_change_start(
        self,
        info: Info,
        input: Annotated[CouponChangeStartInput, strawberry.argument(description="The change.")],
    ) -> CouponChangeStartResult:
        started = await info.context.run(
            changes.start,
            await info.context.actor(),
            template_id=parse_type_id("ctpl", input.template_id),
            wanted=input.wanted.wanted(),
            change=input.values.change(),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponChangeStarted.of(started)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Take a coupon that was issued by mistake from whoever has it, for good. A link"
        " to a friend that nobody opened ends; neither the stock nor money moves.",
    )
    async def coupon_withdraw(
        self,
        info: Info,
        input: Annotated[
            CouponWithdrawInput, strawberry.argument(description="Which coupon, and why.")
        ],
    ) -> CouponWithdrawResult:
        taken = await info.context.run(
            withdrawing.withdraw,
            await info.context.actor(),
            coupon_id=parse_type_id("cpn", input.id),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponTakenFromHolder.of(taken, info.context.now)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Say whether a template's coupons can be given to a friend, and from where.",
    )
    async def coupon_template_set_handover(
        self,
        info: Info,
        input: Annotated[
            CouponTemplateSetHandoverInput, strawberry.argument(description="The rule.")
        ],
    ) -> CouponTemplateSetHandoverResult:
        row = await info.context.run(
            handovers.allow,
            await info.context.actor(),
            template_id=parse_type_id("ctpl", input.id),
            expected_version=input.expected_version,
            rule=input.rule,
            now=info.context.now,
        )
        return CouponTemplate.of(row)
