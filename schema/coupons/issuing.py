"""Why a coupon cannot be had (CPN-1, CPN-3)."""

from typing import Self

import strawberry

from app.models.coupons import TemplateState
from app.services.coupons import issuing
from schema.coupons.templates import template_id_of
from schema.problems import Problem, shown_as
from schema.scalars import Long


@strawberry.type(description="The template or pack is not active.")
class CouponNotActive(Problem):
    state: TemplateState = strawberry.field(description="Its state.")

    @classmethod
    def of(cls, error: issuing.CouponNotActive) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="Fewer coupons are left than were asked for.")
class CouponsSoldOut(Problem):
    template_id: strawberry.ID = strawberry.field(description="Of which template, `ctpl_…`.")
    left: Long = strawberry.field(description="How many are left.")

    @classmethod
    def of(cls, error: issuing.CouponsSoldOut) -> Self:
        return cls(
            message=str(error), template_id=template_id_of(error.template_id), left=Long(error.left)
        )


@strawberry.type(description="The member has had the coupon as often as one may.")
class CouponLimitReached(Problem):
    template_id: strawberry.ID = strawberry.field(description="Of which template, `ctpl_…`.")
    limit: int = strawberry.field(description="How many one member can have.")

    @classmethod
    def of(cls, error: issuing.CouponLimitReached) -> Self:
        return cls(
            message=str(error), template_id=template_id_of(error.template_id), limit=error.limit
        )


ISSUING_PROBLEMS = [
    shown_as(CouponNotActive, issuing.CouponNotActive),
    shown_as(CouponsSoldOut, issuing.CouponsSoldOut),
    shown_as(CouponLimitReached, issuing.CouponLimitReached),
]
