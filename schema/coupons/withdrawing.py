"""One coupon that was issued by mistake is withdrawn (CPN-3, CPN-5)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.services.coupons import withdrawing
from schema.coupons.records import Coupon
from schema.coupons.till import CouponExpired, CouponLocked, CouponUsed, CouponWithdrawn
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused


@strawberry.type(description="The coupon is taken from whoever had it.")
class CouponTakenFromHolder:
    coupon: Coupon = strawberry.field(description="The coupon, as it is now.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had withdrawn it."
    )

    @classmethod
    def of(cls, taken: withdrawing.TakenFromHolder, now: datetime) -> Self:
        return cls(coupon=Coupon.of(taken.coupon, now), replayed=taken.is_replay)


@strawberry.type(description="There is no such coupon.")
class CouponNotFound(Problem): ...


@strawberry.input(description="A coupon that was issued by mistake.")
class CouponWithdrawInput:
    id: strawberry.ID = strawberry.field(description="Which, `cpn_…`.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )


CouponWithdrawResult = Annotated[
    CouponTakenFromHolder
    | CouponNotFound
    | CouponUsed
    | CouponLocked
    | CouponExpired
    | CouponWithdrawn
    | RequestKeyReused,
    strawberry.union("CouponWithdrawResult", description="The coupon, or why it stays."),
]

WITHDRAWING_PROBLEMS = [shown_as(CouponNotFound, withdrawing.CouponNotFound)]
