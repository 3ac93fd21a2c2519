"""A bill lets a coupon go, or is voided after it used one (CPN-3)."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, select, update

from app.core.db import Transaction, changed_copy, statement
from app.core.errors import DomainError
from app.core.texts import checked_text
from app.models.coupons import Coupon, CouponState, CouponUse, CouponUseState
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import audit, organisation, requests
from app.services.actors import Actor
from app.services.coupons.giving import release_uses
from app.services.coupons.redeeming.judging import CouponUsed
from app.services.coupons.redeeming.using import Taken, uses_by_id

REASON_CHARS_MAX = 200
RELEASED_AT_ONCE_MAX = 200

lock_coupon = statement(
    select(Coupon).where(col(Coupon.id) == bindparam("coupon_id")).with_for_update(key_share=True),
    into=Coupon,
)
let_go = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"), col(Coupon.state) == CouponState.LOCKED)
    .values(state=CouponState.VALID, locked_until=None)
)
give_back = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"), col(Coupon.state) == CouponState.USED)
    .values(
        state=bindparam("new_state", type_=Coupon.__table__.c.state.type),  # type: ignore[attr-defined]
        ended_at=bindparam("new_ended_at"),
        returned_at=bindparam("new_returned_at"),
    )
)
end_use = statement(
    update(CouponUse)
    .where(col(CouponUse.id) == bindparam("use_id"), col(CouponUse.state) == CouponUseState.USED)
    .values(
        state=CouponUseState.RETURNED,
        ended_at=bindparam("new_ended_at"),
        reason=bindparam("new_reason"),
    )
)
overdue = statement(
    select(Coupon)
    .where(
        # Said as the index says it, so that the few that wait are found by it.
        col(Coupon.state) == literal_column("'LOCKED'"),
        col(Coupon.locked_until) <= bindparam("now"),
    )
    .order_by(col(Coupon.locked_until))
    .limit(RELEASED_AT_ONCE_MAX)
    .with_for_update(skip_locked=True, key_share=True),
    into=Coupon,
)


class CouponUseNotFound(DomainError):
    """No such use of a coupon, or another partner's."""

    def __init__(self) -> None:
        super().__init__("There is no such use of a coupon.")


class CouponUseNotOpen(DomainError):
    """A bill that has let the coupon go holds nothing to release or return."""

    def __init__(self, state: CouponUseState) -> None:
        self.state = state
        super().__init__(f"This bill does not hold the coupon: it is {state.lower()}.")


class _Found(NamedTuple):
    use: CouponUse
    coupon: Coupon


async def release(tx: Transaction, actor: Actor, *, use_id: UUID, now: datetime) -> Taken:
    """Let go of a coupon that was locked; asked again, it is let go already.

    Raises `CouponUseNotFound`, and `CouponUsed` where the bill has used it.
    """
    use, coupon = await _found(tx, actor, use_id)
    if use.state is CouponUseState.RELEASED:
        return Taken(use, coupon, is_replay=True)
    if use.state is CouponUseState.USED:
        assert use.used_at is not None
        raise CouponUsed(use.used_at)
    if use.state is not CouponUseState.LOCKED:
        raise CouponUseNotOpen(use.state)
    await tx.changed(release_uses, coupon_ids=[coupon.id], new_ended_at=now)
    await tx.changed(let_go, coupon_id=coupon.id)
    await _record(tx, actor, "coupon.release", use, now)
    return Taken(
        changed_copy(use, state=CouponUseState.RELEASED, ended_at=now),
        changed_copy(coupon, state=CouponState.VALID, locked_until=None),
        is_replay=False,
    )


async def give_coupon_back(
    tx: Transaction, actor: Actor, *, use_id: UUID, reason: str, request_key: str, now: datetime
) -> Taken:
    """Give the coupon of a voided bill back: with its own dates, so it may have expired (CPN-3).

    Raises `CouponUseNotFound`, `CouponUseNotOpen`, `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    request = requests.Request(
        principal_id=actor.id,
        operation="couponReturn",
        key=request_key,
        input={"use": use_id, "reason": reason},
    )
    use, coupon = await _found(tx, actor, use_id)
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Taken(use, coupon, is_replay=True)
    if use.state is not CouponUseState.USED:
        raise CouponUseNotOpen(use.state)
    is_over = now >= coupon.valid_until
    state = CouponState.EXPIRED if is_over else CouponState.VALID
    changed = {"ended_at": now if is_over else None, "returned_at": now}
    new_values = {f"new_{name}": value for name, value in changed.items()}
    returned = await tx.changed(give_back, coupon_id=coupon.id, new_state=state, **new_values)
    assert returned == 1, "a coupon moved under its lock"
    await tx.changed(end_use, use_id=use.id, new_ended_at=now, new_reason=reason)
    await _record(tx, actor, "coupon.return", use, now)
    return Taken(
        changed_copy(use, state=CouponUseState.RETURNED, ended_at=now, reason=reason),
        changed_copy(coupon, state=state, **changed),
        is_replay=False,
    )


async def release_overdue(tx: Transaction, *, now: datetime) -> int:
    """Let go of a batch of coupons whose locks ran out; how many there were."""
    found = await tx.all(overdue, now=now)
    await tx.changed(release_uses, coupon_ids=[each.id for each in found], new_ended_at=now)
    for each in found:
        await tx.changed(let_go, coupon_id=each.id)
    return len(found)


async def _found(tx: Transaction, actor: Actor, use_id: UUID) -> _Found:
    """A use the actor may undo, and its coupon, which nobody moves meanwhile."""
    found = await tx.all(uses_by_id, ids=[use_id])
    if not found or found[0].group_id != actor.group_id:
        raise CouponUseNotFound
    # Partners undo what they did themselves; staff that too, and what was done where they work: at
    # no store is everywhere.
    is_own = found[0].actor_id == actor.id
    if actor.kind is PrincipalKind.PARTNER and not is_own:
        raise CouponUseNotFound
    if found[0].store_id is None and is_own:
        actor.require_any(Permission.COUPONS_REDEEM)
    elif found[0].store_id is None:
        group = await organisation.node(tx, actor.group_id)
        actor.require(Permission.COUPONS_REDEEM, group)
    else:
        store = await organisation.node(tx, found[0].store_id)
        actor.require(Permission.COUPONS_REDEEM, store)
    coupon = await tx.one(lock_coupon, coupon_id=found[0].coupon_id)
    assert coupon is not None, "coupons are never deleted"
    (use,) = await tx.all(uses_by_id, ids=[use_id])  # as it is under the lock
    return _Found(use, coupon)


async def _record(tx: Transaction, actor: Actor, action: str, of: CouponUse, now: datetime) -> None:
    await audit.record(
        tx, actor, action, object_kind="coupon", object_id=of.coupon_id, node_id=of.store_id,
        now=now, use=of.id, order_number=of.order_number,
    )  # fmt: skip
