"""Coupons whose time is over, and those of which it soon will be (CPN-3)."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, statement
from app.models.behaviour import Notice
from app.models.coupons import Coupon, CouponState, CouponTerms
from app.models.members import Member, MemberStatus
from app.services import live, members, notices
from app.services.coupons.giving import withdraw

EXPIRED_AT_ONCE_MAX = 500
REMINDED_AT_ONCE_MAX = 200
NOTICE_KIND = "COUPONS_EXPIRING"

_over = (
    select(Coupon.id)
    .where(
        # Said as the index says it, so that the few that are due are found by it.
        col(Coupon.state) == literal_column("'VALID'"),
        col(Coupon.valid_until) <= bindparam("now", type_=Coupon.__table__.c.valid_until.type),  # type: ignore[attr-defined]
    )
    .order_by(col(Coupon.valid_until))
    .limit(EXPIRED_AT_ONCE_MAX)
    .with_for_update(skip_locked=True, key_share=True)
)
expire_over = statement(
    update(Coupon)
    .where(col(Coupon.id).in_(_over))
    .values(state=CouponState.EXPIRED, ended_at=col(Coupon.valid_until), remind_at=None)
)


class _Due(NamedTuple):
    """A coupon whose holder is to be told."""

    id: UUID
    group_id: UUID
    member_id: UUID
    title: str
    state: CouponState
    valid_until: datetime


due = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        Coupon.id,
        Coupon.group_id,
        Coupon.member_id,
        CouponTerms.title,
        Coupon.state,
        Coupon.valid_until,
    )
    .join(CouponTerms, col(CouponTerms.id) == col(Coupon.terms_id))
    .where(col(Coupon.remind_at).is_not(None), col(Coupon.remind_at) <= bindparam("now"))
    .order_by(col(Coupon.remind_at))
    .limit(REMINDED_AT_ONCE_MAX)
    .with_for_update(skip_locked=True, key_share=True, of=Coupon),
    into=_Due,
)
told = statement(update(Coupon).where(any_of(col(Coupon.id), "ids")).values(remind_at=None))
can_be_told = statement(
    select(Member.id).where(
        any_of(col(Member.id), "ids"), col(Member.status) != MemberStatus.CLOSED
    ),
    into=UUID,
)
# Locked, so that a till that uses one at this moment is before it or finds it withdrawn.
unused_of_member = statement(
    select(Coupon.id)
    .where(
        col(Coupon.member_id).in_(members.own_records),
        any_of(col(Coupon.state), "states"),
    )
    .order_by(col(Coupon.id))
    .with_for_update(key_share=True),
    into=UUID,
)


async def expire_due(tx: Transaction, *, now: datetime) -> int:
    """Write down that a batch of coupons has expired; how many there were."""
    return await tx.changed(expire_over, now=now)


async def remind_due(tx: Transaction, *, now: datetime) -> int:
    """Tell the holders of a batch of coupons that they expire soon, once for each coupon; how many
    coupons there were. A member's coupons of one batch are one notice."""
    found = await tx.all(due, now=now)
    if not found:
        return 0
    await tx.changed(told, ids=[each.id for each in found])
    reachable = set(await tx.all(can_be_told, ids=list({each.member_id for each in found})))
    together: defaultdict[UUID, list[_Due]] = defaultdict(list)
    for each in found:
        is_unused = each.state in {CouponState.VALID, CouponState.LOCKED}
        if is_unused and each.valid_until > now and each.member_id in reachable:
            together[each.member_id].append(each)
    written = await notices.write(tx, [_notice(each, now) for each in together.values()])
    for notice in written:
        live.tell(tx, notice.member_id, "NOTICE", object_id=notice.id, now=now)
    return len(found)


async def withdraw_of_member(tx: Transaction, *, member_id: UUID, now: datetime) -> None:
    """Withdraw what somebody has not used whose account is closed (IDN-8)."""
    states = [CouponState.VALID, CouponState.LOCKED]
    ids = await tx.all(unused_of_member, member_id=member_id, states=states)
    await withdraw(tx, ids, now=now)


def _notice(coupons: list[_Due], now: datetime) -> Notice:
    first = coupons[0]
    return notices.new_notice(
        group_id=first.group_id,
        member_id=first.member_id,
        kind=NOTICE_KIND,
        unique_key=f"coupons_expiring:{first.id}",
        details={
            "coupons": [
                {
                    "coupon_id": str(each.id),
                    "title": each.title,
                    "valid_until": each.valid_until.isoformat(),
                }
                for each in coupons
            ]
        },
        created_at=now,
    )
