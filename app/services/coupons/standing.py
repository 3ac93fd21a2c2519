"""How a coupon stands at a moment, whether or not a job has written it down yet (CPN-3)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, bindparam, not_, or_
from sqlmodel import col

from app.models.coupons import Coupon, CouponState


class CouponStatus(StrEnum):
    """What its holder reads."""

    UPCOMING = "UPCOMING"
    VALID = "VALID"
    LOCKED = "LOCKED"
    USED = "USED"
    EXPIRED = "EXPIRED"
    RETURNED_EXPIRED = "RETURNED_EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    HANDED_OVER = "HANDED_OVER"


FIXED = (CouponState.USED, CouponState.WITHDRAWN, CouponState.HANDED_OVER)
"""What is as it is, whatever the time: what is on its way to a friend comes back first."""

UNSPENT = (CouponStatus.UPCOMING, CouponStatus.VALID, CouponStatus.HANDED_OVER)
"""What can be taken from whoever has it: neither over nor promised to a bill just now."""


def is_locked(coupon: Coupon, now: datetime) -> bool:
    """Whether a bill holds the coupon; a lock whose time is over holds nothing."""
    return coupon.locked_until is not None and coupon.locked_until > now


def status_at(coupon: Coupon, now: datetime) -> CouponStatus:
    """How the coupon stands at a moment: time moves on before a job has come by."""
    if coupon.state in FIXED:
        return CouponStatus(coupon.state)
    if is_locked(coupon, now):
        return CouponStatus.LOCKED
    if coupon.state is CouponState.EXPIRED or now >= coupon.valid_until:
        came_back_late = coupon.returned_at is not None and coupon.returned_at >= coupon.valid_until
        return CouponStatus.RETURNED_EXPIRED if came_back_late else CouponStatus.EXPIRED
    return CouponStatus.UPCOMING if now < coupon.valid_from else CouponStatus.VALID


def stands(status: CouponStatus | None) -> Any:
    """`status_at` as a condition of a statement, at the moment bound as `now`; None is any."""
    now: Any = bindparam("now", type_=Coupon.__table__.c.valid_until.type)  # type: ignore[attr-defined]
    ended = or_(*(col(Coupon.state) == state for state in FIXED))
    # A comparison with null is null, whose negation is none either.
    locked = and_(col(Coupon.locked_until).is_not(None), col(Coupon.locked_until) > now)
    open_ = and_(not_(ended), not_(locked))
    is_over = or_(col(Coupon.state) == CouponState.EXPIRED, col(Coupon.valid_until) <= now)
    over, in_time = and_(open_, is_over), and_(open_, not_(is_over))
    late = and_(
        col(Coupon.returned_at).is_not(None), col(Coupon.returned_at) >= col(Coupon.valid_until)
    )
    match status:
        case None:
            return now.is_not(None)
        case CouponStatus.USED | CouponStatus.WITHDRAWN | CouponStatus.HANDED_OVER:
            return col(Coupon.state) == CouponState(status)
        case CouponStatus.LOCKED:
            return and_(not_(ended), locked)
        case CouponStatus.EXPIRED:
            return and_(over, not_(late))
        case CouponStatus.RETURNED_EXPIRED:
            return and_(over, late)
        case CouponStatus.UPCOMING:
            return and_(in_time, col(Coupon.valid_from) > now)
        case CouponStatus.VALID:
            return and_(in_time, col(Coupon.valid_from) <= now)
