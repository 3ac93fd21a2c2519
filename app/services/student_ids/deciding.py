"""Staff and the outside verifier decide who is a student (STU-1, STU-3)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, statement
from app.core.errors import BadInput
from app.core.ids import parse_type_id
from app.core.texts import checked_text
from app.gateways.student_verifier import StudentAnswer, StudentFinding
from app.models.members import Member
from app.models.staff import Permission
from app.models.student_ids import (
    RejectionReason,
    StudentIdSettings,
    StudentMethod,
    StudentState,
    StudentVerification,
)
from app.services import audit, organisation
from app.services.actors import Actor
from app.services.student_ids import claims, settings, verifications
from app.services.student_ids.verifications import (
    StudentVerificationNotFound,
    StudentVerificationNotOpen,
)

NOTE_CHARS_MAX = 200

event_seen = statement(
    select(StudentVerification.id).where(
        col(StudentVerification.verifier_event) == bindparam("event_id")
    ),
    into=UUID,
)


async def look_at(
    tx: Transaction, actor: Actor, *, verification_id: UUID, now: datetime
) -> StudentVerification:
    """Show a reviewer what a member sent in, unmasked; that they looked is written down (SEC-2).

    Raises `StudentVerificationNotFound`, `StudentVerificationNotOpen`, `Forbidden`.
    """
    row, _ = await _reviewed(tx, actor, verification_id)
    _require(row, StudentState.SUBMITTED)
    await _record(tx, actor, "student_verification.look", row, now)
    return row


async def approve(
    tx: Transaction, actor: Actor, *, verification_id: UUID, now: datetime
) -> StudentVerification:
    """Staff have seen a valid student card; its picture is deleted.

    Raises as `look_at`.
    """
    row, member = await _reviewed(tx, actor, verification_id)
    _require(row, StudentState.SUBMITTED)
    rules = await _rules_of(tx, row)
    approved = await verifications.approve(tx, row, member, rules, decided_by_id=actor.id, now=now)
    await _record(tx, actor, "student_verification.approve", approved, now)
    return approved


async def reject(
    tx: Transaction,
    actor: Actor,
    *,
    verification_id: UUID,
    reason: RejectionReason,
    note: str | None,
    now: datetime,
) -> StudentVerification:
    """Staff do not accept a student card; its picture is deleted. Raises as `look_at`."""
    note = note and checked_text("note", note, at_most=NOTE_CHARS_MAX)
    row, _ = await _reviewed(tx, actor, verification_id)
    _require(row, StudentState.SUBMITTED)
    rejected = await verifications.end(
        tx, row, StudentState.REJECTED, decided_by_id=actor.id, reason=reason, note=note, now=now
    )
    await _record(tx, actor, "student_verification.reject", rejected, now)
    return rejected


async def end(
    tx: Transaction,
    actor: Actor,
    *,
    verification_id: UUID,
    reason: RejectionReason,
    note: str | None,
    now: datetime,
) -> StudentVerification:
    """Staff learnt that a member studies no more: it expires now. Raises as `look_at`."""
    note = note and checked_text("note", note, at_most=NOTE_CHARS_MAX)
    row, _ = await _reviewed(tx, actor, verification_id, of_any_method=True)
    _require(row, StudentState.APPROVED)
    ended = await verifications.end(
        tx, row, StudentState.EXPIRED, decided_by_id=actor.id, reason=reason, note=note, now=now
    )
    await _record(tx, actor, "student_verification.end", ended, now)
    return ended


async def answered(
    tx: Transaction, *, answer: StudentAnswer, now: datetime
) -> StudentVerification | None:
    """The outside verifier tells what it found; each verification takes one answer, each answer
    counts once, and what comes too late changes nothing. None if it changed nothing.

    Raises `StudentVerificationNotFound` for a reference that was never ours.
    """
    try:
        row, member = await verifications.locked(tx, parse_type_id("stu", answer.reference))
    except BadInput:
        raise StudentVerificationNotFound from None
    if row.method is not StudentMethod.VERIFIER:
        raise StudentVerificationNotFound
    is_waited_for = row.answer_until is not None and now < row.answer_until
    if row.state is not StudentState.SUBMITTED or not is_waited_for:
        return None
    if await tx.one(event_seen, event_id=answer.event_id) is not None:
        return None
    if answer.finding is StudentFinding.NOT_A_STUDENT:
        return await _refuse(tx, row, answer, RejectionReason.NOT_A_STUDENT, now)
    identity_index = claims.index_of_identity(StudentMethod.VERIFIER, answer.student)
    try:
        await claims.take(tx, member=member, identity_index=identity_index)
    except claims.StudentIdentityInUse:
        return await _refuse(tx, row, answer, RejectionReason.IDENTITY_IN_USE, now)
    return await verifications.approve(
        tx,
        row,
        member,
        await _rules_of(tx, row),
        now=now,
        institution=answer.institution,
        identity=answer.student,
        identity_index=identity_index,
        verifier_event=answer.event_id,
    )


async def _refuse(
    tx: Transaction,
    row: StudentVerification,
    answer: StudentAnswer,
    reason: RejectionReason,
    now: datetime,
) -> StudentVerification:
    return await verifications.end(
        tx, row, StudentState.REJECTED, reason=reason, verifier_event=answer.event_id, now=now
    )


async def _reviewed(
    tx: Transaction, actor: Actor, verification_id: UUID, *, of_any_method: bool = False
) -> tuple[StudentVerification, Member]:
    """A verification that the actor may decide about, locked; cards alone unless said otherwise."""
    actor.require_any(Permission.STUDENTS_REVIEW)
    row, member = await verifications.locked(tx, verification_id)
    is_theirs = of_any_method or row.method is StudentMethod.CARD
    if row.group_id != actor.group_id or not is_theirs:
        raise StudentVerificationNotFound
    actor.require(Permission.STUDENTS_REVIEW, await organisation.node(tx, row.node_id))
    return row, member


def _require(row: StudentVerification, state: StudentState) -> None:
    if row.state is not state:
        raise StudentVerificationNotOpen(row.state)


async def _rules_of(tx: Transaction, row: StudentVerification) -> StudentIdSettings:
    return (await settings.of_nodes(tx, [row.node_id]))[row.node_id]


async def _record(
    tx: Transaction, actor: Actor, action: str, row: StudentVerification, now: datetime
) -> None:
    await audit.record(
        tx, actor, action, object_kind="student_verification", object_id=row.id,
        node_id=row.node_id, now=now, member_id=row.member_id, reason=row.reason,
    )  # fmt: skip
