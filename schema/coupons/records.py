"""Coupons as the back office and tills see them: without their codes (CPN-3, CPN-4, MEM-7)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models import coupons as rows
from app.models.coupons import CouponUseState
from app.services import coupons
from app.services.coupons import issuing, withdrawing
from app.services.coupons.codes import masked_code
from app.services.coupons.reading import CouponFilter
from app.services.coupons.standing import CouponStatus, status_at
from schema.card_status import CardNotFound
from schema.context import Info
from schema.coupons.gifts import CouponPackNotFound, CouponTemplateNotFound, GiftInput
from schema.coupons.held import coupon_id_of
from schema.coupons.issuing import CouponLimitReached, CouponNotActive, CouponsSoldOut
from schema.coupons.templates import CouponTemplate, pack_id_of
from schema.coupons.terms import CouponTerms
from schema.enums import describe
from schema.members import MemberNotFound, member_id_of
from schema.organisation import Node
from schema.requests import RequestKeyReused
from schema.scalars import Money
from schema.scopes import Channel, NotAvailable

describe(
    CouponUseState,
    "What became of a bill's hold on a coupon.",
    {
        "LOCKED": "It holds the coupon for some minutes.",
        "USED": "It used the coupon.",
        "RELEASED": "It let the coupon go, used it by another entry, or its time ran out.",
        "RETURNED": "It was voided after it had used the coupon, which came back.",
    },
)


@strawberry.type(description="A bill that holds a coupon, or has used it.")
class CouponUse:
    id: strawberry.ID = strawberry.field(description="Its id, `cpu_…`.")
    state: CouponUseState = strawberry.field(description="What became of it.")
    channel: Channel = strawberry.field(description="At a till or online.")
    order_number: str = strawberry.field(description="The bill's number in the outside system.")
    outside_coupon_id: str | None = strawberry.field(
        description="What the outside system calls this very coupon."
    )
    bill: Money | None = strawberry.field(description="What was to be paid, if it was told.")
    took_off: Money | None = strawberry.field(description="What the coupon takes off it.")
    begun_at: datetime = strawberry.field(description="When the bill took the coupon.")
    locked_until: datetime | None = strawberry.field(description="Until when it holds it.")
    used_at: datetime | None = strawberry.field(description="When it used it.")
    ended_at: datetime | None = strawberry.field(description="When it let it go or gave it back.")
    reason: str | None = strawberry.field(description="Why it gave it back.")
    row: strawberry.Private[rows.CouponUse]

    @classmethod
    def of(cls, row: rows.CouponUse) -> Self:
        bill, took_off = row.bill_amount, row.took_off
        return cls(
            id=strawberry.ID(type_id("cpu", row.id)),
            state=row.state,
            channel=row.channel,
            order_number=row.order_number,
            outside_coupon_id=row.outside_coupon_id,
            bill=None if bill is None else Money.of(bill, row.currency),
            took_off=None if took_off is None else Money.of(took_off, row.currency),
            begun_at=row.begun_at,
            locked_until=row.locked_until,
            used_at=row.used_at,
            ended_at=row.ended_at,
            reason=row.reason,
            row=row,
        )

    @strawberry.field(description="At which store; null is online at none.")
    async def store(self, info: Info) -> Node | None:
        store_id = self.row.store_id
        return Node.of(await info.context.loaders.node.load(store_id)) if store_id else None


@strawberry.type(description="That staff withdrew a coupon that was issued by mistake.")
class CouponWithdrawal:
    at: datetime = strawberry.field(description="When.")
    reason: str = strawberry.field(description="Why, as staff wrote it.")
    change_id: strawberry.ID = strawberry.field(
        description="The change that did it, `cbc_…`, of one coupon or of many."
    )
    operator_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, found: withdrawing.Withdrawal, at: datetime) -> Self:
        return cls(
            at=at,
            reason=found.reason,
            change_id=strawberry.ID(type_id("cbc", found.change_id)),
            operator_id=found.operator_id,
        )

    @strawberry.field(description="The name of who did it; null is a partner's client.")
    async def operator_name(self, info: Info) -> str | None:
        return await info.context.loaders.operator_name.load(self.operator_id)


@strawberry.type(description="A coupon of a member. Its code is its holder's secret.")
class Coupon:
    id: strawberry.ID = strawberry.field(description="Its id, `cpn_…`.")
    status: CouponStatus = strawberry.field(description="How it stands now.")
    masked_code: str = strawberry.field(description="The code's last four digits.")
    member_id: strawberry.ID = strawberry.field(
        description="Whose it is, `mem_…`; a merged record's id leads to the one it became."
    )
    pack_id: strawberry.ID | None = strawberry.field(
        description="The pack it came in, `cpk_…`; null is in none."
    )
    cause: str = strawberry.field(
        description="What it was given for: ISSUE by staff, CLAIM by the member, or what promised"
        " it."
    )
    issued_at: datetime = strawberry.field(description="When it was given.")
    valid_from: datetime = strawberry.field(description="From when it can be used.")
    valid_until: datetime = strawberry.field(
        description="The first moment at which it cannot be used any more."
    )
    locked_until: datetime | None = strawberry.field(
        description="LOCKED: until when the bill holds it."
    )
    returned_at: datetime | None = strawberry.field(
        description="When it came back from a voided bill last."
    )
    ended_at: datetime | None = strawberry.field(
        description="When it was used, expired or was withdrawn."
    )
    row: strawberry.Private[rows.Coupon]

    @classmethod
    def of(cls, row: rows.Coupon, now: datetime) -> Self:
        status = status_at(row, now)
        is_over = status in {CouponStatus.EXPIRED, CouponStatus.RETURNED_EXPIRED}
        return cls(
            id=coupon_id_of(row.id),
            status=status,
            masked_code=masked_code(row.code),
            member_id=member_id_of(row.member_id),
            pack_id=pack_id_of(row.pack_id) if row.pack_id else None,
            cause=row.cause_kind,
            issued_at=row.issued_at,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
            locked_until=row.locked_until if status is CouponStatus.LOCKED else None,
            returned_at=row.returned_at,
            ended_at=row.valid_until if is_over and row.ended_at is None else row.ended_at,
            row=row,
        )

    @strawberry.field(description="What it promises, whatever was edited since.")
    async def terms(self, info: Info) -> CouponTerms:
        return CouponTerms.of(await info.context.loaders.coupon_terms.load(self.row.terms_id))

    @strawberry.field(description="What it was made of, as that is now.")
    async def template(self, info: Info) -> CouponTemplate:
        found = await info.context.loaders.coupon_template.load(self.row.template_id)
        return CouponTemplate.of(found)

    @strawberry.field(description="The bills that held or used it, newest first; at most 50.")
    async def uses(self, info: Info) -> list[CouponUse]:
        found = await info.context.loaders.coupon_uses.load(self.row.id)
        return [CouponUse.of(each) for each in found]

    @strawberry.field(
        description="WITHDRAWN by staff: who did it, when and why; null where what it was given for"
        " was undone, or its holder is gone."
    )
    async def withdrawal(self, info: Info) -> CouponWithdrawal | None:
        if self.status is not CouponStatus.WITHDRAWN:
            return None
        found = await info.context.loaders.coupon_withdrawal.load(self.row.id)
        assert self.row.ended_at is not None, "what was withdrawn is over"
        return CouponWithdrawal.of(found, self.row.ended_at) if found else None


@strawberry.type(description="The coupons are the member's.")
class CouponsIssued:
    coupons: list[Coupon] = strawberry.field(description="The coupons, packs opened.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had issued them."
    )

    @classmethod
    def of(cls, issued: issuing.Issue, now: datetime) -> Self:
        return cls(
            coupons=[Coupon.of(each, now) for each in issued.coupons], replayed=issued.is_replay
        )


@strawberry.input(
    description="Coupons to give a member: name the member or one of their cards, not both."
)
class CouponIssueInput:
    gift: GiftInput = strawberry.field(
        description=f"What to give, at most {coupons.COUPONS_AT_ONCE_MAX} coupons in all."
    )
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )
    member_id: strawberry.ID | None = strawberry.field(default=None, description="Whom, `mem_…`.")
    card_id: strawberry.ID | None = strawberry.field(
        default=None, description="The holder of this card, `card_…`."
    )


@strawberry.input(name="CouponFilter", description="Which coupons: by one of the ids, or none.")
class CouponFilterInput:
    member_id: strawberry.ID | None = strawberry.field(
        default=None, description="Those of a member, `mem_…`."
    )
    template_id: strawberry.ID | None = strawberry.field(
        default=None, description="Those of a template, `ctpl_…`."
    )
    pack_id: strawberry.ID | None = strawberry.field(
        default=None, description="Those that came in a pack, `cpk_…`."
    )
    status: CouponStatus | None = strawberry.field(
        default=None, description="Those that stand so now; null is any."
    )

    def wanted(self) -> CouponFilter:
        """The filter, its ids read; raises `BadInput`."""
        member_id, template_id, pack_id = self.member_id, self.template_id, self.pack_id
        return CouponFilter(
            member_id=parse_type_id("mem", member_id) if member_id else None,
            template_id=parse_type_id("ctpl", template_id) if template_id else None,
            pack_id=parse_type_id("cpk", pack_id) if pack_id else None,
            status=self.status,
        )


CouponIssueResult = Annotated[
    CouponsIssued
    | MemberNotFound
    | CardNotFound
    | CouponTemplateNotFound
    | CouponPackNotFound
    | CouponNotActive
    | CouponsSoldOut
    | CouponLimitReached
    | NotAvailable
    | RequestKeyReused,
    strawberry.union("CouponIssueResult", description="The coupons, or why there are none."),
]
