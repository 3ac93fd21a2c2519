"""Giving coupons to friends, and having theirs (CPN-6)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.coupons import handovers
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.coupons.handovers import (
    CouponHandover,
    CouponHandoverBegun,
    CouponHandoverClaimed,
    CouponHandoverClaimInput,
    CouponHandoverClaimResult,
    CouponHandoverFound,
    CouponHandOverInput,
    CouponHandOverResult,
    CouponHandoverTakeBackInput,
    CouponHandoverTakeBackResult,
)
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="What the member gave to friends or would have given, newest first.",
    )
    async def coupon_handovers(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[CouponHandover]:
        rows = await info.context.read(
            handovers.own_page,
            member_id=info.context.member_id,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[CouponHandover].of(rows, first, CouponHandover.of)

    @strawberry.field(
        permission_classes=[IsMember],
        description="What a friend's link leads to, or null if it does not work.",
    )
    async def coupon_handover(
        self,
        info: Info,
        secret: Annotated[str, strawberry.argument(description="What the link carries.")],
    ) -> CouponHandoverFound | None:
        found = await info.context.read(
            handovers.find,
            member_id=info.context.member_id,
            secret=secret,
            now=info.context.now,
        )
        return CouponHandoverFound.of(found) if found else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Give a coupon to whoever opens the link first, within three days; until then"
        " it can be taken back, and nobody can use it.",
    )
    async def coupon_hand_over(
        self,
        info: Info,
        input: Annotated[CouponHandOverInput, strawberry.argument(description="Which coupon.")],
    ) -> CouponHandOverResult:
        begun = await info.context.run(
            handovers.begin,
            bearer=bearer(info.context),
            coupon_id=parse_type_id("cpn", input.coupon_id),
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponHandoverBegun.of(begun)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Keep a coupon after all, if no friend has claimed it yet.",
    )
    async def coupon_handover_take_back(
        self,
        info: Info,
        input: Annotated[
            CouponHandoverTakeBackInput, strawberry.argument(description="Which one.")
        ],
    ) -> CouponHandoverTakeBackResult:
        row = await info.context.run(
            handovers.take_back,
            bearer=bearer(info.context),
            handover_id=parse_type_id("cho", input.id),
            now=info.context.now,
        )
        return CouponHandover.of(row)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Have the coupon that a friend gives: its old code is dead, and only the"
        " member sees the new one.",
    )
    async def coupon_handover_claim(
        self,
        info: Info,
        input: Annotated[
            CouponHandoverClaimInput, strawberry.argument(description="The friend's link.")
        ],
    ) -> CouponHandoverClaimResult:
        claimed = await info.context.run(
            handovers.claim,
            bearer=bearer(info.context),
            secret=input.secret,
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponHandoverClaimed.of(claimed)
