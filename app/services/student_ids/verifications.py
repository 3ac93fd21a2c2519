"""Verifications from when they are asked for to their end: the moves that every way shares (STU-1).

Whoever makes a move has locked the member. What a move takes along lies here too: the identity's
claim, the picture of the card, the tag, the gift, the reminders (STU-3).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, light, statement
from app.core.errors import DomainError
from app.core.points_expiry import add_months
from app.models.members import Member
from app.models.student_ids import (
    RejectionReason,
    StudentGiftRule,
    StudentIdSettings,
    StudentState,
    StudentVerification,
)
from app.services import coupons, files, members, organisation, tags
from app.services.coupons import Gift
from app.services.student_ids import claims

CAUSE = "student_verification"
"""Of the coupons that a verification brings."""

TABLE: Any = StudentVerification.__table__  # type: ignore[attr-defined]

by_id = statement(
    select(StudentVerification).where(any_of(col(StudentVerification.id), "ids")),
    into=StudentVerification,
)
_of_member = col(StudentVerification.member_id).in_(members.own_records)
approved_of_member = statement(
    select(StudentVerification)
    .where(_of_member, col(StudentVerification.state) == StudentState.APPROVED)
    .order_by(col(StudentVerification.id)),
    into=StudentVerification,
)
# A first gift is one for the person, and one for the student: whoever lets the same school address
# wander from account to account gets it once.
gifted_before = statement(
    select(StudentVerification.id)
    .where(_of_member, col(StudentVerification.gifted_at).is_not(None))
    .limit(1),
    into=UUID,
)
gifted_by_identity = statement(
    select(StudentVerification.id)
    .where(
        col(StudentVerification.group_id) == bindparam("group_id"),
        col(StudentVerification.identity_index) == bindparam("identity_index"),
        col(StudentVerification.gifted_at).is_not(None),
    )
    .limit(1),
    into=UUID,
)
approve_it = statement(
    update(StudentVerification)
    .where(
        col(StudentVerification.id) == bindparam("verification_id"),
        col(StudentVerification.state) == StudentState.SUBMITTED,
    )
    .values(
        state=StudentState.APPROVED,
        answer_until=None,
        card_file_id=None,
        **{
            name: bindparam(f"new_{name}", type_=TABLE.c[name].type)
            for name in (
                "approved_at",
                "valid_until",
                "decided_by_id",
                "is_renewal",
                "gifted_at",
                "reminder_days",
                "remind_at",
                "tag_id",
                "member_tag_id",
                "institution",
                "identity",
                "identity_index",
                "verifier_event",
            )
        },
    )
    .returning(*TABLE.columns),
    into=StudentVerification,
)
end_it = statement(
    update(StudentVerification)
    .where(
        col(StudentVerification.id) == bindparam("verification_id"),
        or_(
            col(StudentVerification.state) == StudentState.SUBMITTED,
            col(StudentVerification.state) == StudentState.APPROVED,
        ),
    )
    .values(
        state=bindparam("new_state", type_=TABLE.c.state.type),
        ended_at=bindparam("new_ended_at"),
        decided_by_id=bindparam("new_decided_by_id", type_=TABLE.c.decided_by_id.type),
        reason=bindparam("new_reason", type_=TABLE.c.reason.type),
        note=bindparam("new_note", type_=TABLE.c.note.type),
        verifier_event=bindparam("new_verifier_event", type_=TABLE.c.verifier_event.type),
        answer_until=None,
        card_file_id=None,
        remind_at=None,
        member_tag_id=None,
    )
    .returning(*TABLE.columns),
    into=StudentVerification,
)
hand_tag_over = statement(
    update(StudentVerification)
    .where(col(StudentVerification.id) == bindparam("verification_id"))
    .values(member_tag_id=bindparam("new_member_tag_id"))
)
new_verification = light(StudentVerification)


class StudentVerificationNotFound(DomainError):
    """No such verification, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such verification.")


class StudentVerificationNotOpen(DomainError):
    """Decided, withdrawn or over already, or not yet decided."""

    def __init__(self, state: StudentState) -> None:
        self.state = state
        super().__init__(f"This verification is {state.lower()}.")


async def existing(tx: Transaction, verification_id: UUID) -> StudentVerification:
    """Raises `StudentVerificationNotFound`."""
    found = await tx.one(by_id, ids=[verification_id])
    if found is None:
        raise StudentVerificationNotFound
    return found


async def locked(tx: Transaction, verification_id: UUID) -> tuple[StudentVerification, Member]:
    """A verification and its living member, as they stay until this transaction ends.

    The member's lock holds for both: nothing moves a verification without it. Raises
    `StudentVerificationNotFound`.
    """
    found = await existing(tx, verification_id)
    member = await members.locked(tx, found.member_id)
    return await existing(tx, verification_id), member


async def approve(
    tx: Transaction,
    row: StudentVerification,
    member: Member,
    settings: StudentIdSettings,
    *,
    decided_by_id: UUID | None = None,
    now: datetime,
    **learnt: Any,
) -> StudentVerification:
    """The member is a student from now on, with tag, gift and reminders (STU-3).

    One that was valid before is replaced. The settings count as they are now; `learnt` is what
    only the outside verifier told.
    """
    earlier = await tx.all(approved_of_member, member_id=member.id)
    node = await organisation.node(tx, settings.node_id)
    valid_until = _months_later(now, settings.validity_months, ZoneInfo(node.time_zone))
    known = {
        "institution": row.institution,
        "identity": row.identity,
        "identity_index": row.identity_index,
        "verifier_event": row.verifier_event,
    } | learnt
    brings_gift = await _brings_gift(tx, member, settings, known["identity_index"])
    approved = await tx.one(
        approve_it,
        verification_id=row.id,
        new_approved_at=now,
        new_valid_until=valid_until,
        new_decided_by_id=decided_by_id,
        new_is_renewal=any(is_valid(each, now) for each in earlier),
        new_gifted_at=now if brings_gift else None,
        new_reminder_days=settings.reminder_days,
        new_remind_at=next_reminder(valid_until, settings.reminder_days, after=now),
        new_tag_id=settings.tag_id,
        new_member_tag_id=await _put_tag_on(tx, member, settings.tag_id, earlier, now),
        **{f"new_{name}": value for name, value in known.items()},
    )
    assert approved is not None, "the caller has locked it, and found it submitted"
    if row.card_file_id is not None:
        await files.forget(tx, file_id=row.card_file_id, now=now)
    for each in earlier:
        # One that ended a moment ago, before the duty came by, has expired like any other.
        if is_valid(each, now):
            await end(tx, each, StudentState.REPLACED, now=now)
        else:
            await end(tx, each, StudentState.EXPIRED, at=each.valid_until, now=now)
    if brings_gift:
        await coupons.give(
            tx,
            member=member,
            gifts=[Gift.from_document(each) for each in settings.gifts],
            cause_kind=CAUSE,
            cause_id=row.id,
            group_id=row.group_id,
            now=now,
        )
    return approved


async def end(
    tx: Transaction,
    row: StudentVerification,
    state: StudentState,
    *,
    decided_by_id: UUID | None = None,
    reason: RejectionReason | None = None,
    note: str | None = None,
    verifier_event: str | None = None,
    at: datetime | None = None,
    now: datetime,
) -> StudentVerification:
    """It is open or valid no more: the identity is free, the picture goes, and so does the tag.

    `at` is when that came about, if it was before now.
    """
    ended = await tx.one(
        end_it,
        verification_id=row.id,
        new_state=state,
        new_ended_at=at or now,
        new_decided_by_id=decided_by_id or row.decided_by_id,
        new_reason=reason,
        new_note=note,
        new_verifier_event=verifier_event or row.verifier_event,
    )
    assert ended is not None, "the caller has locked it, and found it open or valid"
    await claims.release(tx, group_id=row.group_id, identity_index=row.identity_index)
    if row.card_file_id is not None:
        await files.forget(tx, file_id=row.card_file_id, now=now)
    if row.member_tag_id is not None:
        await _take_tag_off(tx, row, now)
    return ended


def is_valid(row: StudentVerification, now: datetime) -> bool:
    """Whether the member is a student by it at a moment."""
    is_approved = row.state is StudentState.APPROVED
    return is_approved and row.valid_until is not None and row.valid_until > now


def next_reminder(
    valid_until: datetime, reminder_days: Sequence[int], *, after: datetime
) -> datetime | None:
    """When to remind next of the end, or None if it is too late for all of them."""
    moments = [valid_until - timedelta(days=days) for days in reminder_days]
    return min((each for each in moments if each > after), default=None)


async def _brings_gift(
    tx: Transaction, member: Member, settings: StudentIdSettings, identity_index: str | None
) -> bool:
    match settings.gift_rule:
        case StudentGiftRule.NONE:
            return False
        case StudentGiftRule.EVERY_TIME:
            return True
        case StudentGiftRule.FIRST_TIME:
            ends = {"group_id": member.group_id, "identity_index": identity_index}
            return (
                await tx.one(gifted_before, member_id=member.id) is None
                and await tx.one(gifted_by_identity, **ends) is None
            )


async def _put_tag_on(
    tx: Transaction,
    member: Member,
    tag_id: UUID | None,
    earlier: Sequence[StudentVerification],
    now: datetime,
) -> UUID | None:
    """The tag's row if it is there because the member is a student, None if staff put it on."""
    if tag_id is None:
        return None
    member_tag_id, is_new = await tags.put_by_rule(tx, member_id=member.id, tag_id=tag_id, now=now)
    is_ours = is_new or any(each.member_tag_id == member_tag_id for each in earlier)
    return member_tag_id if is_ours else None


async def _take_tag_off(tx: Transaction, row: StudentVerification, now: datetime) -> None:
    """Unless staff did already. Who is a student by another verification keeps the tag by that."""
    assert row.member_tag_id is not None
    if not await tags.take_off_by_rule(tx, member_tag_id=row.member_tag_id):
        return
    living = await members.living(tx, row.member_id)
    for other in await tx.all(approved_of_member, member_id=living.id):
        if other.tag_id is None or other.tag_id != row.tag_id or not is_valid(other, now):
            continue
        put, is_new = await tags.put_by_rule(tx, member_id=living.id, tag_id=other.tag_id, now=now)
        if is_new:
            await tx.changed(hand_tag_over, verification_id=other.id, new_member_tag_id=put)
        return


def _months_later(now: datetime, months: int, zone: ZoneInfo) -> datetime:
    """The same time of day so many months later, on the month's last day where it has no such."""
    local = now.astimezone(zone)
    day = add_months(local.date(), months)
    return datetime.combine(day, local.timetz()).astimezone(UTC)
