"""Coupons as their holders and the back office read them (CPN-3, MEM-7)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Statement, Transaction, any_of, statement
from app.core.errors import BadInput
from app.core.ids import LARGEST_ID
from app.models.coupons import Coupon, CouponTemplate, CouponUse
from app.models.staff import Permission
from app.services import members, perspectives
from app.services.actors import Actor
from app.services.coupons.standing import CouponStatus, stands

USES_SHOWN_MAX = 50

_of_member = col(Coupon.member_id).in_(members.own_records)
_made_near = (
    select(CouponTemplate.id)
    .where(
        col(CouponTemplate.id) == col(Coupon.template_id),
        *perspectives.in_sight(CouponTemplate),
    )
    .exists()
)


def _pages(*conditions: Any) -> dict[CouponStatus | None, Statement[Coupon]]:
    """A page of coupons, newest first, for each way they can stand."""
    return {
        status: statement(
            select(Coupon)
            .where(*conditions, stands(status), col(Coupon.id) < bindparam("before"))
            .order_by(col(Coupon.id).desc())
            .limit(bindparam("at_most")),
            into=Coupon,
        )
        for status in (None, *CouponStatus)
    }


own_pages = _pages(_of_member)
seen_of_member = _pages(_of_member, _made_near)
seen_of_template = _pages(col(Coupon.template_id) == bindparam("template_id"), _made_near)
seen_of_pack = _pages(col(Coupon.pack_id) == bindparam("pack_id"), _made_near)
seen_of_group = _pages(col(Coupon.group_id) == bindparam("group_id"), _made_near)
own_coupon = statement(
    select(Coupon).where(col(Coupon.id) == bindparam("coupon_id"), _of_member), into=Coupon
)
seen_coupon = statement(
    select(Coupon).where(
        col(Coupon.id) == bindparam("coupon_id"),
        col(Coupon.group_id) == bindparam("group_id"),
        _made_near,
    ),
    into=Coupon,
)
uses_of_coupons = statement(
    select(CouponUse)
    .where(any_of(col(CouponUse.coupon_id), "coupon_ids"))
    .order_by(col(CouponUse.coupon_id), col(CouponUse.id).desc()),
    into=CouponUse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponFilter:
    """Which coupons: of a member, a template or a pack, or of the whole group."""

    member_id: UUID | None = None
    template_id: UUID | None = None
    pack_id: UUID | None = None
    status: CouponStatus | None = None

    def __post_init__(self) -> None:
        if [self.member_id, self.template_id, self.pack_id].count(None) < 2:
            raise BadInput("Ask for the coupons of a member, of a template or of a pack.")


async def own(
    tx: Transaction,
    *,
    member_id: UUID,
    status: CouponStatus | None,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> list[Coupon]:
    """The signed-in member's coupons, newest first; those of merged records are theirs."""
    member = await members.signed_in(tx, member_id)
    return await tx.all(
        own_pages[status], member_id=member.id, before=before or LARGEST_ID, at_most=limit, now=now
    )


async def own_one(tx: Transaction, *, member_id: UUID, coupon_id: UUID) -> Coupon | None:
    """A coupon of the signed-in member, or None."""
    member = await members.signed_in(tx, member_id)
    return await tx.one(own_coupon, member_id=member.id, coupon_id=coupon_id)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    wanted: CouponFilter,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> list[Coupon]:
    """Coupons of templates made above or below where the actor may read them, newest first."""
    asked = await perspectives.sight(tx, actor, Permission.COUPONS_READ)
    asked |= {"before": before or LARGEST_ID, "at_most": limit, "now": now}
    if wanted.member_id is not None:
        try:
            member = await members.living(tx, wanted.member_id)
        except members.MemberNotFound:
            return []
        if member.group_id != actor.group_id:
            return []
        return await tx.all(seen_of_member[wanted.status], member_id=member.id, **asked)
    if wanted.template_id is not None:
        of_template = seen_of_template[wanted.status]
        return await tx.all(of_template, template_id=wanted.template_id, **asked)
    if wanted.pack_id is not None:
        return await tx.all(seen_of_pack[wanted.status], pack_id=wanted.pack_id, **asked)
    return await tx.all(seen_of_group[wanted.status], **asked)


async def seen_by(tx: Transaction, actor: Actor, *, coupon_id: UUID) -> Coupon | None:
    """A coupon if it exists and the actor may read it (ORG-1)."""
    near = await perspectives.sight(tx, actor, Permission.COUPONS_READ)
    return await tx.one(seen_coupon, coupon_id=coupon_id, **near)


async def uses_by_coupon(
    tx: Transaction, coupon_ids: Collection[UUID]
) -> dict[UUID, list[CouponUse]]:
    """The bills that held or used each of these coupons, newest first."""
    found: dict[UUID, list[CouponUse]] = {coupon_id: [] for coupon_id in coupon_ids}
    for each in await tx.all(uses_of_coupons, coupon_ids=list(coupon_ids)):
        if len(found[each.coupon_id]) < USES_SHOWN_MAX:
            found[each.coupon_id].append(each)
    return found
