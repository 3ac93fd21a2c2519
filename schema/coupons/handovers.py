"""Coupons on their way to a friend (CPN-6)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.crypto import masked_name
from app.core.ids import type_id
from app.models import coupons as rows
from app.models.coupons import HandoverRule, HandoverState
from app.services.coupons import handovers
from schema.context import Info
from schema.coupons.gifts import CouponTemplateNotFound
from schema.coupons.templates import CouponTemplate
from schema.coupons.terms import CouponTerms
from schema.enums import describe
from schema.problems import EditedMeanwhile, Problem, shown_as
from schema.requests import RequestKeyReused

describe(
    HandoverRule,
    "Whether coupons can be given to a friend.",
    {
        "NEVER": "They stay with whoever was given them.",
        "MINI_PROGRAM": "By members who signed in through a mini-program, to such members.",
        "EVERYWHERE": "By all members, to all.",
    },
    name="CouponHandoverRule",
)
describe(
    HandoverState,
    "Where a coupon that is given to a friend stands.",
    {
        "OPEN": "Whoever opens the link first has it; nobody can use it meanwhile.",
        "CLAIMED": "A friend has it.",
        "TAKEN_BACK": "Its giver kept it.",
        "EXPIRED": "Nobody opened the link in time, so its giver kept it.",
        "WITHDRAWN": "The coupon was withdrawn meanwhile.",
    },
    name="CouponHandoverState",
)


@strawberry.type(description="A coupon that its holder gives to a friend.")
class CouponHandover:
    id: strawberry.ID = strawberry.field(description="Its id, `cho_…`.")
    coupon_id: strawberry.ID = strawberry.field(description="The coupon, `cpn_…`.")
    state: HandoverState = strawberry.field(description="Where it stands.")
    begun_at: datetime = strawberry.field(description="When the link was made.")
    expires_at: datetime = strawberry.field(description="Until when it can be claimed.")
    ended_at: datetime | None = strawberry.field(
        description="When it was claimed, taken back or over."
    )
    secret: str | None = strawberry.field(
        description="What the link carries, for `couponHandoverClaim`; null once it is not open."
    )
    row: strawberry.Private[rows.CouponHandover]

    @classmethod
    def of(cls, row: rows.CouponHandover) -> Self:
        return cls(
            id=strawberry.ID(type_id("cho", row.id)),
            coupon_id=strawberry.ID(type_id("cpn", row.coupon_id)),
            state=row.state,
            begun_at=row.begun_at,
            expires_at=row.expires_at,
            ended_at=row.ended_at,
            secret=handovers.secret_of(row.id) if row.state is HandoverState.OPEN else None,
            row=row,
        )

    @strawberry.field(description="Who has it, masked; null before, and without a name.")
    async def receiver_name(self, info: Info) -> str | None:
        if self.row.receiver_id is None:
            return None
        name = (await info.context.loaders.member.load(self.row.receiver_id)).name
        return None if name is None else masked_name(name)


@strawberry.type(description="What the link of a friend leads to.")
class CouponHandoverFound:
    expires_at: datetime = strawberry.field(description="Until when it can be claimed.")
    valid_from: datetime = strawberry.field(description="From when the coupon can be used.")
    valid_until: datetime = strawberry.field(
        description="The first moment at which the coupon cannot be used any more."
    )
    found: strawberry.Private[handovers.Found]

    @classmethod
    def of(cls, found: handovers.Found) -> Self:
        return cls(
            expires_at=found.handover.expires_at,
            valid_from=found.coupon.valid_from,
            valid_until=found.coupon.valid_until,
            found=found,
        )

    @strawberry.field(description="What the coupon promises.")
    async def terms(self, info: Info) -> CouponTerms:
        row = await info.context.loaders.coupon_terms.load(self.found.coupon.terms_id)
        return CouponTerms.of(row)

    @strawberry.field(description="Who gives it, masked; null without a name.")
    async def giver_name(self, info: Info) -> str | None:
        name = (await info.context.loaders.member.load(self.found.handover.giver_id)).name
        return None if name is None else masked_name(name)


@strawberry.type(description="The link of a coupon that is held out.")
class CouponHandoverBegun:
    handover: CouponHandover = strawberry.field(description="The coupon on its way.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had made it."
    )

    @classmethod
    def of(cls, begun: handovers.Begun) -> Self:
        return cls(handover=CouponHandover.of(begun.handover), replayed=begun.is_replay)


@strawberry.type(description="The coupon is the member's now, with a code of its own.")
class CouponHandoverClaimed:
    coupon_id: strawberry.ID = strawberry.field(description="The coupon, `cpn_…`.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had claimed it."
    )

    @classmethod
    def of(cls, claimed: handovers.Claimed) -> Self:
        return cls(
            coupon_id=strawberry.ID(type_id("cpn", claimed.handover.coupon_id)),
            replayed=claimed.is_replay,
        )


@strawberry.input(description="A coupon to give to a friend.")
class CouponHandOverInput:
    coupon_id: strawberry.ID = strawberry.field(description="The coupon, `cpn_…`.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )


@strawberry.input(description="A coupon that its giver would rather keep.")
class CouponHandoverTakeBackInput:
    id: strawberry.ID = strawberry.field(description="The handover, `cho_…`.")


@strawberry.input(description="The link of a friend.")
class CouponHandoverClaimInput:
    secret: str = strawberry.field(description="What the link carries.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )


@strawberry.input(description="Whether a template's coupons can be given to a friend.")
class CouponTemplateSetHandoverInput:
    id: strawberry.ID = strawberry.field(description="The template, `ctpl_…`.")
    expected_version: int = strawberry.field(description="The `version` the edit began with.")
    rule: HandoverRule = strawberry.field(description="The rule, for those that are out as well.")


@strawberry.type(description="There is no such coupon, or it is somebody else's.")
class CouponNotYours(Problem): ...


@strawberry.type(description="The coupon cannot be given, or not from here.")
class CouponNotGiveable(Problem):
    rule: HandoverRule = strawberry.field(description="What its template allows.")

    @classmethod
    def of(cls, error: handovers.CouponNotGiveable) -> Self:
        return cls(message=str(error), rule=error.rule)


@strawberry.type(description="The coupon was used, is over, or is promised already.")
class CouponNotInHand(Problem): ...


@strawberry.type(description="A link that does not work, whatever the reason.")
class CouponHandoverRefused(Problem): ...


@strawberry.type(description="Who gives a coupon cannot claim it.")
class CouponHandoverIsYours(Problem): ...


@strawberry.type(description="It was claimed or ended already.")
class CouponHandoverEnded(Problem):
    state: HandoverState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: handovers.HandoverEnded) -> Self:
        return cls(message=str(error), state=error.state)


CouponHandOverResult = Annotated[
    CouponHandoverBegun | CouponNotYours | CouponNotGiveable | CouponNotInHand | RequestKeyReused,
    strawberry.union("CouponHandOverResult", description="The link, or why there is none."),
]
CouponHandoverTakeBackResult = Annotated[
    CouponHandover | CouponHandoverRefused | CouponHandoverEnded,
    strawberry.union("CouponHandoverTakeBackResult", description="As it is now, or why not."),
]
CouponHandoverClaimResult = Annotated[
    CouponHandoverClaimed
    | CouponHandoverRefused
    | CouponHandoverIsYours
    | CouponNotGiveable
    | RequestKeyReused,
    strawberry.union("CouponHandoverClaimResult", description="The coupon, or why not."),
]
CouponTemplateSetHandoverResult = Annotated[
    CouponTemplate | CouponTemplateNotFound | EditedMeanwhile,
    strawberry.union("CouponTemplateSetHandoverResult", description="The template, or why not."),
]

HANDOVER_PROBLEMS = [
    shown_as(CouponNotYours, handovers.CouponNotYours),
    shown_as(CouponNotGiveable, handovers.CouponNotGiveable),
    shown_as(CouponNotInHand, handovers.CouponNotInHand),
    shown_as(CouponHandoverRefused, handovers.HandoverRefused),
    shown_as(CouponHandoverIsYours, handovers.HandoverIsYours),
    shown_as(CouponHandoverEnded, handovers.HandoverEnded),
]
