"""The member's coupons (CPN-3)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.coupons import issuing, reading
from app.services.coupons.standing import CouponStatus
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.coupons.held import (
    Coupon,
    CouponClaimed,
    CouponClaimInput,
    CouponClaimResult,
    CouponToClaim,
)
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="The member's coupons, the newest first."
    )
    async def coupons(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        status: Annotated[
            CouponStatus | None,
            strawberry.argument(description="Those that stand so now; null is all."),
        ] = None,
    ) -> Connection[Coupon]:
        now = info.context.now
        rows = await info.context.read(
            reading.own,
            member_id=info.context.member_id,
            status=status,
            before=row_after(after),
            limit=page_limit(first),
            now=now,
        )
        return Connection[Coupon].of(rows, first, lambda row: Coupon.of(row, now))

    @strawberry.field(
        permission_classes=[IsMember], description="One of the member's coupons, or null."
    )
    async def coupon(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The coupon, `cpn_…`.")],
    ) -> Coupon | None:
        row = await info.context.read(
            reading.own_one,
            member_id=info.context.member_id,
            coupon_id=parse_type_id("cpn", id),
        )
        return Coupon.of(row, info.context.now) if row else None

    @strawberry.field(
        permission_classes=[IsMember],
        description="The coupons that are there to be claimed, oldest first, at most 200. Null if"
        " there is no such store.",
    )
    async def coupon_templates_to_claim(
        self,
        info: Info,
        store_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="At which store, `node_…`; null is at none."),
        ] = None,
    ) -> list[CouponToClaim] | None:
        found = await info.context.read(
            issuing.to_claim,
            member_id=info.context.member_id,
            store_id=parse_type_id("node", store_id) if store_id else None,
            now=info.context.now,
        )
        return None if found is None else [CouponToClaim.of(each) for each in found]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember], description="Take a coupon that is there to be claimed."
    )
    async def coupon_claim(
        self,
        info: Info,
        input: Annotated[CouponClaimInput, strawberry.argument(description="Which.")],
    ) -> CouponClaimResult:
        claimed = await info.context.run(
            issuing.claim,
            bearer=bearer(info.context),
            template_id=parse_type_id("ctpl", input.template_id),
            store_id=parse_type_id("node", input.store_id) if input.store_id else None,
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponClaimed.of(claimed, info.context.now)
