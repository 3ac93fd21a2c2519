"""A bill takes a coupon: for some minutes, or for good, once (CPN-3, CPN-4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_text
from app.models.coupons import Coupon, CouponState, CouponUse, CouponUseState
from app.services import audit, requests
from app.services.actors import Actor
from app.services.coupons.codes import code_index_of, normal_code
from app.services.coupons.giving import release_uses
from app.services.coupons.redeeming.judging import (
    Asked,
    Judged,
    There,
    judge,
    locked_by_code,
    there,
)
from app.services.coupons.standing import is_locked
from app.services.coupons.values import Bill

LOCK_MINUTES_DEFAULT = 15
LOCK_MINUTES_MAX = 120
ORDER_NUMBER_CHARS_MAX = 64
OUTSIDE_ID_CHARS_MAX = 64

coupons_by_id = statement(select(Coupon).where(any_of(col(Coupon.id), "ids")), into=Coupon)
uses_by_id = statement(select(CouponUse).where(any_of(col(CouponUse.id), "ids")), into=CouponUse)
open_use = statement(
    select(CouponUse).where(
        col(CouponUse.coupon_id) == bindparam("coupon_id"),
        col(CouponUse.state) == CouponUseState.LOCKED,
    ),
    into=CouponUse,
)
use_by_outside_id = statement(
    select(CouponUse.coupon_id).where(
        col(CouponUse.actor_id) == bindparam("actor_id"),
        col(CouponUse.outside_coupon_id) == bindparam("outside_coupon_id"),
        # Said as the index says it.
        or_(
            col(CouponUse.state) == literal_column("'LOCKED'"),
            col(CouponUse.state) == literal_column("'USED'"),
        ),
        col(CouponUse.outside_coupon_id).is_not(None),
    ),
    into=UUID,
)
_LOCKABLE = (CouponState.VALID, CouponState.LOCKED)
hold = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"), any_of(col(Coupon.state), "states"))
    .values(state=CouponState.LOCKED, locked_until=bindparam("new_locked_until"))
)
use_up = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"), any_of(col(Coupon.state), "states"))
    .values(state=CouponState.USED, locked_until=None, ended_at=bindparam("new_ended_at"))
)
new_use = light(CouponUse)


class OutsideCouponIdTaken(DomainError):
    """This partner or cashier told the same outside id with another coupon (CPN-4)."""

    def __init__(self) -> None:
        super().__init__("This outside coupon id stands for another coupon.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A bill that would take a coupon: the coupon's code, where, and what the outside calls it."""

    at: Asked
    code: str
    order_number: str
    bill: Bill | None = None
    outside_coupon_id: str | None = None

    def checked(self) -> "Wanted":
        """The same with its texts as they are kept; raises `BadInput`."""
        outside = self.outside_coupon_id
        if self.bill is not None:
            self.bill.require_sound()
        return Wanted(
            at=self.at,
            code=normal_code(self.code),
            order_number=checked_text(
                "orderNumber", self.order_number, at_most=ORDER_NUMBER_CHARS_MAX
            ),
            bill=self.bill,
            outside_coupon_id=None
            if outside is None
            else checked_text("outsideCouponId", outside, at_most=OUTSIDE_ID_CHARS_MAX),
        )

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request: of the code only its index."""
        bill = self.bill
        return {
            "terminal": self.at.terminal_id,
            "store": self.at.store_id,
            "code": code_index_of(self.code),
            "order": self.order_number,
            "outside": self.outside_coupon_id,
            "bill": bill and [bill.total.amount, bill.total.currency],
            "lines": bill
            and [[line.item_id, line.price, line.quantity, line.category, line.kind.value]
                 for line in bill.lines],
        }  # fmt: skip


class Taken(NamedTuple):
    """A coupon and the bill that holds it or used it."""

    use: CouponUse
    coupon: Coupon
    is_replay: bool


async def check(
    tx: Transaction, actor: Actor, *, at: Asked, code: str, bill: Bill | None, now: datetime
) -> Judged:
    """What a coupon would take off a bill here and now; nothing is kept but a wrong guess.

    Raises `TerminalNotFound`, `NodeNotFound`, and what `locked_by_code` and `judge` do.
    """
    if bill is not None:
        bill.require_sound()
    place = await there(tx, actor, at)
    coupon = await locked_by_code(tx, actor, place=place, code=code, now=now)
    return await judge(tx, coupon, place=place, bill=bill, now=now)


async def lock(
    tx: Transaction,
    actor: Actor,
    *,
    wanted: Wanted,
    minutes: int,
    request_key: str,
    now: datetime,
) -> Taken:
    """Hold a coupon for a bill of an outside system: no other bill can use it meanwhile.

    Raises as `check`, and `OutsideCouponIdTaken`, `RequestKeyReused`.
    """
    if not 1 <= minutes <= LOCK_MINUTES_MAX:
        raise BadInput(f"minutes must be between 1 and {LOCK_MINUTES_MAX}.")
    wanted = wanted.checked()
    request = requests.Request(
        principal_id=actor.id,
        operation="couponLock",
        key=request_key,
        input=wanted.document() | {"minutes": minutes},
    )
    place = await there(tx, actor, wanted.at)
    if earlier := await requests.answered(tx, request):
        return await _replayed(tx, earlier)
    coupon = await locked_by_code(tx, actor, place=place, code=wanted.code, now=now)
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await _replayed(tx, claim.answer_id)
    judged = await judge(tx, coupon, place=place, bill=wanted.bill, now=now)
    await _require_outside_id(tx, actor, wanted, coupon)
    # A lock whose time is over is still written down; this one takes its place.
    await tx.changed(release_uses, coupon_ids=[coupon.id], new_ended_at=now)
    until = now + timedelta(minutes=minutes)
    held = await tx.changed(
        hold, coupon_id=coupon.id, states=list(_LOCKABLE), new_locked_until=until
    )
    assert held == 1, "a coupon moved under its lock"
    use = _drafted(claim.answer_id, actor, wanted, judged, place, now)
    use = changed_copy(use, state=CouponUseState.LOCKED, locked_until=until)
    await tx.insert(use)
    await _record(tx, actor, "coupon.lock", use, now)
    coupon = changed_copy(coupon, state=CouponState.LOCKED, locked_until=until)
    return Taken(use, coupon, is_replay=False)


async def use(
    tx: Transaction, actor: Actor, *, wanted: Wanted, request_key: str, now: datetime
) -> Taken:
    """Use a coupon for a bill, once. Where this bill holds the coupon, the use takes the place of
    the lock, which ends.

    Raises as `lock`.
    """
    wanted = wanted.checked()
    assert wanted.bill is not None, "a coupon is used for a bill"
    request = requests.Request(
        principal_id=actor.id, operation="couponUse", key=request_key, input=wanted.document()
    )
    place = await there(tx, actor, wanted.at)
    if earlier := await requests.answered(tx, request):
        return await _replayed(tx, earlier)
    coupon = await locked_by_code(tx, actor, place=place, code=wanted.code, now=now)
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await _replayed(tx, claim.answer_id)
    own = await _own_lock(tx, actor, wanted, coupon, place, now)
    judged = await judge(
        tx, coupon, place=place, bill=wanted.bill, is_ours=own is not None, now=now
    )
    await _require_outside_id(tx, actor, wanted, coupon)
    used = await tx.changed(use_up, coupon_id=coupon.id, states=list(_LOCKABLE), new_ended_at=now)
    assert used == 1, "a coupon moved under its lock"
    drafted = _drafted(claim.answer_id, actor, wanted, judged, place, now)
    await tx.changed(release_uses, coupon_ids=[coupon.id], new_ended_at=now)
    if own is not None and wanted.outside_coupon_id is None:
        drafted = changed_copy(drafted, outside_coupon_id=own.outside_coupon_id)
    drafted = changed_copy(drafted, state=CouponUseState.USED, used_at=now)
    await tx.insert(drafted)
    await _record(tx, actor, "coupon.use", drafted, now)
    coupon = changed_copy(coupon, state=CouponState.USED, locked_until=None, ended_at=now)
    return Taken(drafted, coupon, is_replay=False)


async def _own_lock(
    tx: Transaction,
    actor: Actor,
    wanted: Wanted,
    coupon: Coupon,
    place: There,
    now: datetime,
) -> CouponUse | None:
    """The lock this very bill took out: by its order number, where it was taken or by whom."""
    held = await tx.one(open_use, coupon_id=coupon.id) if is_locked(coupon, now) else None
    if held is None or held.order_number != wanted.order_number:
        return None
    same_store = held.store_id == (place.store.id if place.store else None)
    return held if same_store and (place.store or held.actor_id == actor.id) else None


async def _require_outside_id(
    tx: Transaction, actor: Actor, wanted: Wanted, coupon: Coupon
) -> None:
    """Raise `OutsideCouponIdTaken` where the id stands for another coupon already. Of two at once
    the index refuses one, which is run again and told here."""
    if wanted.outside_coupon_id is None:
        return
    found = await tx.one(
        use_by_outside_id,
        actor_id=actor.id,
        outside_coupon_id=wanted.outside_coupon_id,
    )
    if found is not None and found != coupon.id:
        raise OutsideCouponIdTaken


def _drafted(
    use_id: UUID, actor: Actor, wanted: Wanted, judged: Judged, place: There, now: datetime
) -> CouponUse:
    bill, value = wanted.bill, judged.value
    return new_use(
        id=use_id,
        group_id=actor.group_id,
        coupon_id=judged.coupon.id,
        state=CouponUseState.LOCKED,
        channel=place.channel,
        store_id=place.store.id if place.store else None,
        terminal_id=place.terminal.id if place.terminal else None,
        actor_kind=actor.kind,
        actor_id=actor.id,
        order_number=wanted.order_number,
        outside_coupon_id=wanted.outside_coupon_id,
        bill_amount=bill.total.amount if bill else None,
        took_off=value.takes_off if value else None,
        currency=judged.terms.currency,
        begun_at=now,
    )


async def _replayed(tx: Transaction, use_id: UUID) -> Taken:
    (found,) = await tx.all(uses_by_id, ids=[use_id])
    (coupon,) = await tx.all(coupons_by_id, ids=[found.coupon_id])
    return Taken(found, coupon, is_replay=True)


async def _record(tx: Transaction, actor: Actor, action: str, of: CouponUse, now: datetime) -> None:
    await audit.record(
        tx, actor, action, object_kind="coupon", object_id=of.coupon_id, node_id=of.store_id,
        now=now, use=of.id, order_number=of.order_number, terminal=of.terminal_id,
        took_off=of.took_off,
    )  # fmt: skip
