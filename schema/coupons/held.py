"""A member's coupons, and those they can claim (CPN-3)."""

import base64
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.barcodes import code_128_svg
from app.core.ids import type_id
from app.core.qr_codes import qr_png, qr_svg
from app.models import coupons as rows
from app.services.coupons import issuing
from app.services.coupons.standing import CouponStatus, status_at
from schema.context import Info
from schema.coupons.gifts import CouponTemplateNotFound
from schema.coupons.issuing import CouponLimitReached, CouponNotActive, CouponsSoldOut
from schema.coupons.templates import template_id_of
from schema.coupons.terms import CouponTerms
from schema.enums import describe
from schema.organisation import NodeNotFound
from schema.requests import RequestKeyReused
from schema.scopes import NotAvailable

describe(
    CouponStatus,
    "How a coupon stands now.",
    {
        "UPCOMING": "Its first day has not come.",
        "VALID": "It can be used.",
        "LOCKED": "A bill holds it for some minutes.",
        "USED": "It was used.",
        "EXPIRED": "Its time is over.",
        "RETURNED_EXPIRED": "The bill it was used for was voided when its time was over.",
        "WITHDRAWN": "What it was given for was undone, or it was issued by mistake.",
        "HANDED_OVER": "It is on its way to a friend: nobody can use it until one claims it.",
    },
)
GROUP_DIGITS = 4


@strawberry.type(
    description="What a till scans, a secret of the holder. The images are drawn only when asked"
    " for; a barcode can be drawn from the value as Code 128 as well."
)
class CouponCode:
    value: str = strawberry.field(description="20 digits.")
    formatted: str = strawberry.field(description="The digits in groups, for reading aloud.")

    @classmethod
    def of(cls, code: str) -> Self:
        groups = (code[at : at + GROUP_DIGITS] for at in range(0, len(code), GROUP_DIGITS))
        return cls(value=code, formatted=" ".join(groups))

    @strawberry.field(description="The QR code as an SVG document.")
    def svg(self) -> str:
        return qr_svg(self.value)

    @strawberry.field(description="The QR code as a PNG, in a data: URI.")
    def png(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(qr_png(self.value)).decode()}"

    @strawberry.field(description="The Code 128 barcode as an SVG document.")
    def barcode(self) -> str:
        return code_128_svg(self.value)


@strawberry.type(description="A coupon of the member.")
class Coupon:
    id: strawberry.ID = strawberry.field(description="Its id, `cpn_…`.")
    status: CouponStatus = strawberry.field(description="How it stands now.")
    template_id: strawberry.ID = strawberry.field(description="What it was made of, `ctpl_…`.")
    issued_at: datetime = strawberry.field(description="When it was received.")
    valid_from: datetime = strawberry.field(description="From when it can be used.")
    valid_until: datetime = strawberry.field(
        description="The first moment at which it cannot be used any more."
    )
    locked_until: datetime | None = strawberry.field(
        description="LOCKED: until when the bill holds it."
    )
    ended_at: datetime | None = strawberry.field(
        description="When it was used, expired or was withdrawn."
    )
    row: strawberry.Private[rows.Coupon]
    is_anothers: strawberry.Private[bool] = False

    @classmethod
    def of(cls, row: rows.Coupon, now: datetime, *, is_anothers: bool = False) -> Self:
        status = status_at(row, now)
        is_over = status in {CouponStatus.EXPIRED, CouponStatus.RETURNED_EXPIRED}
        return cls(
            id=coupon_id_of(row.id),
            status=status,
            template_id=template_id_of(row.template_id),
            issued_at=row.issued_at,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
            locked_until=row.locked_until if status is CouponStatus.LOCKED else None,
            ended_at=row.valid_until if is_over and row.ended_at is None else row.ended_at,
            row=row,
            is_anothers=is_anothers,
        )

    @strawberry.field(description="What it promises, whatever was edited since.")
    async def terms(self, info: Info) -> CouponTerms:
        return CouponTerms.of(await info.context.loaders.coupon_terms.load(self.row.terms_id))

    @strawberry.field(
        description="What to show at the till; null once it is used, over or a friend's."
    )
    def code(self) -> CouponCode | None:
        is_open = self.status in {CouponStatus.UPCOMING, CouponStatus.VALID, CouponStatus.LOCKED}
        return CouponCode.of(self.row.code) if is_open and not self.is_anothers else None


def coupon_id_of(coupon_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("cpn", coupon_id))


@strawberry.type(description="A coupon that is there to be claimed.")
class CouponToClaim:
    template_id: strawberry.ID = strawberry.field(description="What to claim, `ctpl_…`.")
    terms: CouponTerms = strawberry.field(description="What it promises.")
    available_from: datetime | None = strawberry.field(
        description="When it opens; null is that it can be claimed now."
    )
    had: int = strawberry.field(description="How many the member has had.")
    limit_per_member: int | None = strawberry.field(
        description="How many one member can have; null is without limit."
    )

    @classmethod
    def of(cls, found: issuing.Claimable) -> Self:
        return cls(
            template_id=template_id_of(found.template.id),
            terms=CouponTerms.of(found.terms),
            available_from=found.obstacle.available_from if found.obstacle else None,
            had=found.had,
            limit_per_member=found.template.limit_per_member,
        )


@strawberry.type(description="The coupon is the member's.")
class CouponClaimed:
    coupon: Coupon = strawberry.field(description="The coupon.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had claimed it."
    )

    @classmethod
    def of(cls, claimed: issuing.Issue, now: datetime) -> Self:
        (coupon,) = claimed.coupons
        # Asked again after it was given to a friend, whose code it has since (CPN-6).
        is_anothers = coupon.member_id != coupon.issued_to_id
        return cls(
            coupon=Coupon.of(coupon, now, is_anothers=is_anothers), replayed=claimed.is_replay
        )


@strawberry.input(description="A coupon to claim.")
class CouponClaimInput:
    template_id: strawberry.ID = strawberry.field(description="Which, `ctpl_…`.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="At which store, `node_…`; null is at none."
    )


CouponClaimResult = Annotated[
    CouponClaimed
    | CouponTemplateNotFound
    | CouponNotActive
    | CouponsSoldOut
    | CouponLimitReached
    | NotAvailable
    | NodeNotFound
    | RequestKeyReused,
    strawberry.union("CouponClaimResult", description="The coupon, or why there is none."),
]
