"""One coupon that was issued by mistake is withdrawn, and who withdrew which (CPN-3, CPN-5).

It is a change of a single coupon, done at once: so what staff made of coupons stands in one place,
whether it was one or a hundred thousand. Neither way gives back to the stock: that would put on
offer again what should not have been out. Staff set it where they want more (CPN-1).
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import DomainError
from app.core.texts import checked_text
from app.models.coupons import (
    ChangeState,
    Coupon,
    CouponChange,
    CouponChangeLine,
    CouponState,
    CouponTemplate,
)
from app.models.staff import Permission
from app.services import audit, organisation, requests
from app.services.actors import Actor
from app.services.coupons import changes, giving
from app.services.coupons.changes import REASON_CHARS_MAX, Change
from app.services.coupons.redeeming.judging import (
    CouponExpired,
    CouponLocked,
    CouponUsed,
    CouponWithdrawn,
)
from app.services.coupons.standing import CouponStatus, status_at

coupon_by_id = statement(
    select(Coupon).where(col(Coupon.id) == bindparam("coupon_id")), into=Coupon
)
lock_coupon = statement(
    select(Coupon).where(col(Coupon.id) == bindparam("coupon_id")).with_for_update(key_share=True),
    into=Coupon,
)


class Withdrawal(NamedTuple):
    """Who withdrew a coupon, and why."""

    coupon_id: UUID
    change_id: UUID
    operator_id: UUID
    reason: str
    after: dict[str, Any]


lines_of_coupons = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        CouponChangeLine.coupon_id,
        CouponChangeLine.change_id,
        CouponChange.operator_id,
        CouponChange.reason,
        CouponChangeLine.after,
    )
    .join(CouponChange, col(CouponChange.id) == col(CouponChangeLine.change_id))
    .where(any_of(col(CouponChangeLine.coupon_id), "coupon_ids")),
    into=Withdrawal,
)


class CouponNotFound(DomainError):
    """No such coupon in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such coupon.")


class TakenFromHolder(NamedTuple):
    """A coupon that was withdrawn."""

    coupon: Coupon
    is_replay: bool


async def withdraw(
    tx: Transaction,
    actor: Actor,
    *,
    coupon_id: UUID,
    reason: str,
    request_key: str,
    now: datetime,
) -> TakenFromHolder:
    """Take a coupon from whoever has it, for good; a link to a friend that nobody opened ends.

    What a bill has used or holds just now is left to that bill. Raises `CouponNotFound`,
    `CouponUsed`, `CouponLocked`, `CouponExpired`, `CouponWithdrawn`, `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    template = await _require_template(tx, actor, coupon_id)
    request = requests.Request(
        principal_id=actor.id,
        operation="couponWithdraw",
        key=request_key,
        input={"coupon": coupon_id, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return TakenFromHolder(await _existing(tx, coupon_id), is_replay=True)
    coupon = await tx.one(lock_coupon, coupon_id=coupon_id)
    assert coupon is not None, "coupons are never deleted"
    _require_unspent(coupon, now)
    await giving.withdraw(tx, [coupon.id], now=now)
    change = changes.new_change(
        id=claim.answer_id,
        group_id=template.group_id,
        perspective_id=template.perspective_id,
        template_id=template.id,
        wanted={"coupon": str(coupon.id)},
        change=Change(withdraw=True).document(),
        reason=reason,
        state=ChangeState.DONE,
        number_of_coupons=1,
        number_seen=1,
        number_changed=1,
        new_terms={},
        operator_id=actor.id,
        created_at=now,
        finished_at=now,
    )
    line = changes.new_line(
        change_id=change.id,
        coupon_id=coupon.id,
        before={"state": coupon.state},
        after={"state": CouponState.WITHDRAWN},
    )
    await tx.insert(change, line)
    await audit.record(
        tx, actor, "coupon.withdraw", object_kind="coupon", object_id=coupon.id,
        node_id=template.perspective_id, now=now, template=template.id, change=change.id,
        reason=reason,
    )  # fmt: skip
    return TakenFromHolder(await _existing(tx, coupon.id), is_replay=False)


async def by_coupon(tx: Transaction, coupon_ids: Collection[UUID]) -> dict[UUID, Withdrawal]:
    """The withdrawal of each of these coupons that staff withdrew; what was given for something
    that was undone has none."""
    found = await tx.all(lines_of_coupons, coupon_ids=list(coupon_ids))
    return {each.coupon_id: each for each in found if changes.withdraws(each.after)}


async def _require_template(tx: Transaction, actor: Actor, coupon_id: UUID) -> CouponTemplate:
    """The template of a coupon that the actor may withdraw; raises `CouponNotFound`."""
    coupon = await tx.one(coupon_by_id, coupon_id=coupon_id)
    if coupon is None or coupon.group_id != actor.group_id:
        raise CouponNotFound
    (template,) = (await giving.templates_by_ids(tx, [coupon.template_id])).values()
    actor.require(Permission.COUPONS_WRITE, await organisation.node(tx, template.perspective_id))
    return template


async def _existing(tx: Transaction, coupon_id: UUID) -> Coupon:
    coupon = await tx.one(coupon_by_id, coupon_id=coupon_id)
    assert coupon is not None, "coupons are never deleted"
    return coupon


def _require_unspent(coupon: Coupon, now: datetime) -> None:
    match status_at(coupon, now):
        case CouponStatus.USED:
            assert coupon.ended_at is not None
            raise CouponUsed(coupon.ended_at)
        case CouponStatus.LOCKED:
            assert coupon.locked_until is not None
            raise CouponLocked(coupon.locked_until)
        case CouponStatus.EXPIRED | CouponStatus.RETURNED_EXPIRED:
            raise CouponExpired(coupon.valid_until)
        case CouponStatus.WITHDRAWN:
            raise CouponWithdrawn
        case CouponStatus.UPCOMING | CouponStatus.VALID | CouponStatus.HANDED_OVER:
            return
