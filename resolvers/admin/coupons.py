"""Coupons issued, looked up, and redeemed at tills and by partners (CPN-3, CPN-4)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.coupons import issuing, reading
from app.services.coupons.redeeming import returning, using
from auth.permissions import Needs
from schema.context import Info
from schema.coupons.records import (
    Coupon,
    CouponFilterInput,
    CouponIssueInput,
    CouponIssueResult,
    CouponsIssued,
)
from schema.coupons.till import (
    CouponChecked,
    CouponCheckInput,
    CouponCheckResult,
    CouponLockInput,
    CouponReleaseInput,
    CouponReleaseResult,
    CouponReturnInput,
    CouponReturnResult,
    CouponTaken,
    CouponTakeResult,
    CouponUseInput,
)
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.COUPONS_READ)
Redeems = Needs(Permission.COUPONS_REDEEM)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="Coupons of templates made above or below where the asker works, the newest"
        " first.",
    )
    async def coupons(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        filter: Annotated[  # the schema's word
            CouponFilterInput | None, strawberry.argument(description="Which; null is all.")
        ] = None,
    ) -> Connection[Coupon]:
        now, asked = info.context.now, filter or CouponFilterInput()
        rows = await info.context.read(
            reading.page,
            await info.context.actor(),
            wanted=asked.wanted(),
            before=row_after(after),
            limit=page_limit(first),
            now=now,
        )
        return Connection[Coupon].of(rows, first, lambda row: Coupon.of(row, now))

    @strawberry.field(
        permission_classes=[Reads], description="One coupon, or null if the asker may not see it."
    )
    async def coupon(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The coupon, `cpn_…`.")],
    ) -> Coupon | None:
        row = await info.context.read(
            reading.seen_by, await info.context.actor(), coupon_id=parse_type_id("cpn", id)
        )
        return Coupon.of(row, info.context.now) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.COUPONS_ISSUE)],
        description="Give a member coupons, by their record or by a card.",
    )
    async def coupon_issue(
        self,
        info: Info,
        input: Annotated[CouponIssueInput, strawberry.argument(description="What, and to whom.")],
    ) -> CouponIssueResult:
        issued = await info.context.run(
            issuing.issue,
            await info.context.actor(),
            member_id=parse_type_id("mem", input.member_id) if input.member_id else None,
            card_id=parse_type_id("card", input.card_id) if input.card_id else None,
            gift=input.gift.gift(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponsIssued.of(issued, info.context.now)

    @strawberry.mutation(
        permission_classes=[Redeems],
        description="Look whether a coupon can be used here and now, and what it takes off. A"
        " wrong code counts.",
    )
    async def coupon_check(
        self,
        info: Info,
        input: Annotated[CouponCheckInput, strawberry.argument(description="What is shown.")],
    ) -> CouponCheckResult:
        judged = await info.context.run(
            using.check,
            await info.context.actor(),
            at=input.at(),
            code=input.code,
            bill=input.bill.bill() if input.bill else None,
            now=info.context.now,
        )
        is_online = input.terminal_id is None
        return CouponChecked.of(judged, is_online=is_online, now=info.context.now)

    @strawberry.mutation(
        permission_classes=[Redeems],
        description="Hold a coupon for a bill of an outside system: no other bill uses it"
        " meanwhile.",
    )
    async def coupon_lock(
        self,
        info: Info,
        input: Annotated[CouponLockInput, strawberry.argument(description="What, and for what.")],
    ) -> CouponTakeResult:
        taken = await info.context.run(
            using.lock,
            await info.context.actor(),
            wanted=input.wanted(),
            minutes=input.minutes,
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponTaken.of(taken, info.context.now)

    @strawberry.mutation(permission_classes=[Redeems], description="Use a coupon for a bill, once.")
    async def coupon_use(
        self,
        info: Info,
        input: Annotated[CouponUseInput, strawberry.argument(description="What, and for what.")],
    ) -> CouponTakeResult:
        taken = await info.context.run(
            using.use,
            await info.context.actor(),
            wanted=input.wanted(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponTaken.of(taken, info.context.now)

    @strawberry.mutation(
        permission_classes=[Redeems], description="Let go of a coupon that a bill holds."
    )
    async def coupon_release(
        self,
        info: Info,
        input: Annotated[CouponReleaseInput, strawberry.argument(description="Which hold.")],
    ) -> CouponReleaseResult:
        taken = await info.context.run(
            returning.release,
            await info.context.actor(),
            use_id=parse_type_id("cpu", input.use_id),
            now=info.context.now,
        )
        return CouponTaken.of(taken, info.context.now)

    @strawberry.mutation(
        permission_classes=[Redeems],
        description="Give back the coupon of a voided bill. It has its own dates still, so its time"
        " may be over.",
    )
    async def coupon_return(
        self,
        info: Info,
        input: Annotated[CouponReturnInput, strawberry.argument(description="Which, and why.")],
    ) -> CouponReturnResult:
        taken = await info.context.run(
            returning.give_coupon_back,
            await info.context.actor(),
            use_id=parse_type_id("cpu", input.use_id),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return CouponTaken.of(taken, info.context.now)
