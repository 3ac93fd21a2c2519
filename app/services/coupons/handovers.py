"""Giving a coupon to a friend by a link that works once (CPN-6).

While the link is open nobody can use the coupon. Whoever claims it first has it, with a code of
its own; the giver can take it back until then. Locks are taken in the order member, coupon,
handover.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, select, update

from app.core.crypto import fingerprint
from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import DomainError
from app.core.ids import LARGEST_ID
from app.core.personal import index_of
from app.models.coupons import (
    Coupon,
    CouponHandover,
    CouponState,
    CouponTemplate,
    HandoverRule,
    HandoverState,
)
from app.models.sessions import Session
from app.models.staff import Permission
from app.services import audit, limits, members, organisation, requests, versions
from app.services.actors import Actor
from app.services.coupons import giving
from app.services.coupons.codes import code_index_of, new_code
from app.services.coupons.templates import TABLE as TEMPLATES
from app.services.coupons.templates import lock_template
from app.services.members import Bearer

LINK_LIFE = timedelta(days=3)
BEGUN_PER_DAY_MAX = 20
CLAIMED_PER_DAY_MAX = 20
DAY = timedelta(days=1)
OVERDUE_BATCH = 200
SECRET_CHARS = 32
MINI_PROGRAM_METHOD = "wechat_mini_program"
"""What a session says that began in a mini-program."""

lock_coupon = statement(
    select(Coupon).where(col(Coupon.id) == bindparam("coupon_id")).with_for_update(), into=Coupon
)
coupons_by_id = statement(select(Coupon).where(any_of(col(Coupon.id), "ids")), into=Coupon)
hold_out = statement(
    update(Coupon)
    .where(
        col(Coupon.id) == bindparam("coupon_id"),
        col(Coupon.member_id).in_(members.own_records),
        col(Coupon.state) == CouponState.VALID,
        col(Coupon.valid_until) > bindparam("now"),
    )
    .values(state=CouponState.HANDED_OVER)
)
give_to = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"), col(Coupon.state) == CouponState.HANDED_OVER)
    .values(
        state=CouponState.VALID,
        member_id=bindparam("new_member_id"),
        code=bindparam("new_code"),
        code_index=bindparam("new_code_index"),
    )
)
give_back = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"), col(Coupon.state) == CouponState.HANDED_OVER)
    .values(state=CouponState.VALID)
)
by_id = statement(
    select(CouponHandover).where(col(CouponHandover.id) == bindparam("handover_id")),
    into=CouponHandover,
)
by_secret = statement(
    select(CouponHandover).where(col(CouponHandover.secret_hash) == bindparam("secret_hash")),
    into=CouponHandover,
)
open_of_coupons = statement(
    select(CouponHandover).where(
        any_of(col(CouponHandover.coupon_id), "coupon_ids"),
        col(CouponHandover.state) == literal_column("'OPEN'"),
    ),
    into=CouponHandover,
)
end_it = statement(
    update(CouponHandover)
    .where(
        col(CouponHandover.id) == bindparam("handover_id"),
        col(CouponHandover.state) == HandoverState.OPEN,
    )
    .values(
        state=bindparam("new_state", type_=CouponHandover.__table__.c.state.type),  # type: ignore[attr-defined]
        receiver_id=bindparam("new_receiver_id"),
        ended_at=bindparam("new_ended_at"),
    )
)
overdue = statement(
    select(CouponHandover)
    .where(
        # Said as the index says it, so that the few that wait are found by it.
        col(CouponHandover.state) == literal_column("'OPEN'"),
        col(CouponHandover.expires_at) <= bindparam("now"),
    )
    .order_by(col(CouponHandover.expires_at))
    .limit(OVERDUE_BATCH),
    into=CouponHandover,
)
page_of_own = statement(
    select(CouponHandover)
    .where(
        col(CouponHandover.giver_id).in_(members.own_records),
        col(CouponHandover.id) < bindparam("before"),
    )
    .order_by(col(CouponHandover.id).desc())
    .limit(bindparam("at_most")),
    into=CouponHandover,
)
method_of_session = statement(
    select(Session.method).where(col(Session.id) == bindparam("session_id")), into=str
)
set_rule = statement(
    update(CouponTemplate)
    .where(col(CouponTemplate.id) == bindparam("template_id"))
    .values(
        handover=bindparam("new_handover", type_=TEMPLATES.c.handover.type),
        version=col(CouponTemplate.version) + 1,
        changed_at=bindparam("new_changed_at"),
    )
    .returning(*TEMPLATES.columns),
    into=CouponTemplate,
)
new_handover = light(CouponHandover)


class CouponNotYours(DomainError):
    """No such coupon, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such coupon.")


class CouponNotGiveable(DomainError):
    """The coupon's template does not allow it to be given, or not from where the member is."""

    def __init__(self, rule: HandoverRule) -> None:
        self.rule = rule
        super().__init__(
            "This coupon cannot be given to somebody else."
            if rule is HandoverRule.NEVER
            else "This coupon can be given and claimed in the mini-program alone."
        )


class CouponNotInHand(DomainError):
    """A coupon that is used, over, promised to a bill or on its way to a friend already."""

    def __init__(self, state: CouponState) -> None:
        self.state = state
        super().__init__("This coupon cannot be given now.")


class HandoverRefused(DomainError):
    """A link that is wrong, used, taken back or over: nothing tells these apart."""

    def __init__(self) -> None:
        super().__init__("This link does not work, or not any more.")


class HandoverIsYours(DomainError):
    """Who gives a coupon cannot claim it; taking it back is another thing."""

    def __init__(self) -> None:
        super().__init__("You gave this coupon yourself. Take it back, if nobody shall have it.")


class HandoverEnded(DomainError):
    """It was claimed, taken back or is over."""

    def __init__(self, state: HandoverState) -> None:
        self.state = state
        super().__init__("This gift is not open any more.")


class Begun(NamedTuple):
    """A handover, and the secret of its link."""

    handover: CouponHandover
    secret: str
    is_replay: bool


class Found(NamedTuple):
    """What a link leads to."""

    handover: CouponHandover
    coupon: Coupon


class Claimed(NamedTuple):
    handover: CouponHandover
    coupon: Coupon
    is_replay: bool


def secret_of(handover_id: UUID) -> str:
    """The secret of a handover's link, which is computed anew whenever its giver asks: it is kept
    nowhere, and without our keys nobody computes it."""
    return index_of(str(handover_id), "coupon_handovers.secret")


async def allow(
    tx: Transaction,
    actor: Actor,
    *,
    template_id: UUID,
    expected_version: int,
    rule: HandoverRule,
    now: datetime,
) -> CouponTemplate:
    """Say whether a template's coupons can be given, also those that are out already.

    Raises `CouponTemplateNotFound`, `EditedMeanwhile`.
    """
    template = await tx.one(lock_template, template_id=template_id)
    if template is None or template.group_id != actor.group_id:
        raise giving.CouponTemplateNotFound
    perspective = await organisation.node(tx, template.perspective_id)
    actor.require(Permission.COUPONS_WRITE, perspective)
    versions.require_version(template.version, expected=expected_version)
    changed = await tx.one(set_rule, template_id=template.id, new_handover=rule, new_changed_at=now)
    assert changed is not None, "a template is never deleted"
    await audit.record(
        tx, actor, "coupon_template.handover", object_kind="coupon_template",
        object_id=template.id, node_id=template.perspective_id, now=now,
        version=changed.version, was=template.handover, became=rule,
    )  # fmt: skip
    return changed


async def begin(
    tx: Transaction, *, bearer: Bearer, coupon_id: UUID, request_key: str, now: datetime
) -> Begun:
    """Hold a coupon out to whoever opens the link first, for three days at most.

    Raises `CouponNotYours`, `CouponNotGiveable`, `CouponNotInHand`, `RequestKeyReused`.
    """
    giver = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=giver.id,
        operation="couponHandOver",
        key=request_key,
        input={"coupon": coupon_id},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Begun(await existing(tx, claim.answer_id), secret_of(claim.answer_id), True)
    coupon = await tx.one(lock_coupon, coupon_id=coupon_id)
    if coupon is None or (await members.living(tx, coupon.member_id)).id != giver.id:
        raise CouponNotYours
    await _require_giveable(tx, coupon, bearer)
    if not await tx.changed(hold_out, coupon_id=coupon.id, member_id=giver.id, now=now):
        raise CouponNotInHand(coupon.state)
    await limits.spend(
        tx, subject=f"handovers:{giver.id}", at_most=BEGUN_PER_DAY_MAX, window=DAY, now=now
    )
    secret = secret_of(claim.answer_id)
    handover = new_handover(
        id=claim.answer_id,
        coupon_id=coupon.id,
        giver_id=giver.id,
        secret_hash=_hash_of(secret),
        begun_at=now,
        expires_at=min(now + LINK_LIFE, coupon.valid_until),
    )
    await tx.insert(handover)
    return Begun(handover, secret, is_replay=False)


async def take_back(
    tx: Transaction, *, bearer: Bearer, handover_id: UUID, now: datetime
) -> CouponHandover:
    """The giver would rather keep it; taken back before, it is the answer.

    Raises `HandoverRefused` for what is not theirs, `HandoverEnded`.
    """
    giver = await members.acting(tx, bearer, now=now)
    found = await tx.one(by_id, handover_id=handover_id)
    if found is None or (await members.living(tx, found.giver_id)).id != giver.id:
        raise HandoverRefused
    await tx.one(lock_coupon, coupon_id=found.coupon_id)
    handover = await existing(tx, handover_id)  # as it is under the coupon's lock
    if handover.state is HandoverState.TAKEN_BACK:
        return handover
    if handover.state is not HandoverState.OPEN:
        raise HandoverEnded(handover.state)
    return await _return(tx, handover, HandoverState.TAKEN_BACK, now)


async def find(tx: Transaction, *, member_id: UUID, secret: str, now: datetime) -> Found | None:
    """What a link leads to, for whoever is about to claim it; None if it does not work."""
    member = await members.signed_in(tx, member_id)
    try:
        handover = await _open(tx, secret, now)
    except HandoverRefused:
        return None
    (coupon,) = await tx.all(coupons_by_id, ids=[handover.coupon_id])
    return Found(handover, coupon) if coupon.group_id == member.group_id else None


async def claim(
    tx: Transaction, *, bearer: Bearer, secret: str, request_key: str, now: datetime
) -> Claimed:
    """Have the coupon that a friend holds out: its old code is dead, and a new one is made.

    Raises `HandoverRefused`, `HandoverIsYours`, `CouponNotGiveable`, `RequestKeyReused`.
    """
    receiver = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=receiver.id,
        operation="couponHandoverClaim",
        key=request_key,
        input={"secret": _hash_of(secret)},
    )
    begun = await requests.claim(tx, request, now=now)
    if begun.is_replay:
        return await _claimed_before(tx, secret)
    handover = await _open(tx, secret, now)
    coupon = await tx.one(lock_coupon, coupon_id=handover.coupon_id)
    assert coupon is not None, "coupons are never deleted"
    if (await members.living(tx, handover.giver_id)).id == receiver.id:
        raise HandoverIsYours
    if receiver.group_id != coupon.group_id:
        raise HandoverRefused
    await _require_giveable(tx, coupon, bearer)
    # Of two who opened the link, the second finds it ended under the coupon's lock.
    if not await _end(tx, handover, HandoverState.CLAIMED, now, receiver_id=receiver.id):
        raise HandoverRefused
    await limits.spend(
        tx, subject=f"handovers.claimed:{receiver.id}", at_most=CLAIMED_PER_DAY_MAX, window=DAY,
        now=now,
    )  # fmt: skip
    code = new_code()
    given = await tx.changed(
        give_to, coupon_id=coupon.id, new_member_id=receiver.id, new_code=code,
        new_code_index=code_index_of(code),
    )  # fmt: skip
    assert given == 1, "an open handover holds its coupon"
    return Claimed(
        await existing(tx, handover.id),
        changed_copy(coupon, state=CouponState.VALID, member_id=receiver.id, code=code),
        is_replay=False,
    )


async def end_overdue(tx: Transaction, *, now: datetime) -> int:
    """Give coupons back whose links nobody opened in time, a batch at once; how many there were."""
    found = await tx.all(overdue, now=now)
    # By coupon, so that two batches at once lock in the same order.
    for handover in sorted(found, key=lambda each: each.coupon_id):
        await tx.one(lock_coupon, coupon_id=handover.coupon_id)
        if (await existing(tx, handover.id)).state is HandoverState.OPEN:
            await _return(tx, handover, HandoverState.EXPIRED, now)
    return len(found)


async def own_page(
    tx: Transaction, *, member_id: UUID, before: UUID | None, limit: int
) -> list[CouponHandover]:
    """What the signed-in member gave or would have given, newest first."""
    member = await members.signed_in(tx, member_id)
    return await tx.all(
        page_of_own, member_id=member.id, before=before or LARGEST_ID, at_most=limit
    )


async def coupons(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Coupon]:
    return {row.id: row for row in await tx.all(coupons_by_id, ids=list(ids))}


async def open_ones(tx: Transaction, coupon_ids: Collection[UUID]) -> dict[UUID, CouponHandover]:
    """The open handover of each of these coupons that has one."""
    found = await tx.all(open_of_coupons, coupon_ids=list(coupon_ids))
    return {row.coupon_id: row for row in found}


async def existing(tx: Transaction, handover_id: UUID) -> CouponHandover:
    """A handover by the id that something of ours keeps of it."""
    handover = await tx.one(by_id, handover_id=handover_id)
    assert handover is not None
    return handover


async def _require_giveable(tx: Transaction, coupon: Coupon, bearer: Bearer) -> None:
    """Raise `CouponNotGiveable` unless the template lets this session give or claim it."""
    rule = (await giving.templates_by_ids(tx, [coupon.template_id]))[coupon.template_id].handover
    if rule is HandoverRule.EVERYWHERE:
        return
    method = await tx.one(method_of_session, session_id=bearer.session_id)
    if rule is HandoverRule.NEVER or method != MINI_PROGRAM_METHOD:
        raise CouponNotGiveable(rule)


async def _open(tx: Transaction, secret: str, now: datetime) -> CouponHandover:
    found = await tx.one(by_secret, secret_hash=_hash_of(secret))
    if found is None or found.state is not HandoverState.OPEN or found.expires_at <= now:
        raise HandoverRefused
    return found


async def _claimed_before(tx: Transaction, secret: str) -> Claimed:
    handover = await tx.one(by_secret, secret_hash=_hash_of(secret))
    assert handover is not None, "only what was claimed has an answer to repeat"
    (coupon,) = await tx.all(coupons_by_id, ids=[handover.coupon_id])
    return Claimed(handover, coupon, is_replay=True)


async def _return(
    tx: Transaction, handover: CouponHandover, state: HandoverState, now: datetime
) -> CouponHandover:
    """The giver has the coupon again, which is locked; nobody saw its code, so that stays."""
    ended = await _end(tx, handover, state, now)
    assert ended, "a handover moved under its coupon's lock"
    returned = await tx.changed(give_back, coupon_id=handover.coupon_id)
    assert returned == 1, "an open handover holds its coupon"
    return changed_copy(handover, state=state, ended_at=now)


async def _end(
    tx: Transaction,
    handover: CouponHandover,
    state: HandoverState,
    now: datetime,
    *,
    receiver_id: UUID | None = None,
) -> bool:
    ended = await tx.changed(
        end_it, handover_id=handover.id, new_state=state, new_receiver_id=receiver_id,
        new_ended_at=now,
    )  # fmt: skip
    return bool(ended)


def _hash_of(secret: str) -> str:
    return fingerprint(secret[: SECRET_CHARS + 1].encode("utf-8", "surrogatepass"))
