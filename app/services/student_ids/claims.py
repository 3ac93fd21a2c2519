"""One student identity serves one member: who has it while a verification lives by it (STU-1).

An address, a number at a school and what the outside verifier says are three identities, be they of
one person or not: nothing that they share would prove it (docs/decisions/0017-student-ids.md).
"""

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, delete, select

from app.core.db import (
    Transaction,
    TransientFailure,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.errors import DomainError
from app.core.personal import index_of
from app.models.members import Member
from app.models.student_ids import (
    StudentIdentity,
    StudentMethod,
    StudentState,
    StudentVerification,
)
from app.services import members

claim_once = upsert(
    lambda insert: (
        insert(StudentIdentity)
        .values(every_column(StudentIdentity))
        .on_conflict_do_nothing(index_elements=["identity_index", "group_id"])
        .returning(col(StudentIdentity.id))
    ),
    into=UUID,
)
holder = statement(
    select(StudentIdentity.member_id).where(
        col(StudentIdentity.identity_index) == bindparam("identity_index"),
        col(StudentIdentity.group_id) == bindparam("group_id"),
    ),
    into=UUID,
)
is_own = statement(
    select(Member.id).where(
        col(Member.id).in_(members.own_records), col(Member.id) == bindparam("record_id")
    ),
    into=UUID,
)
lives_by = statement(
    select(StudentVerification.id)
    .where(
        col(StudentVerification.group_id) == bindparam("group_id"),
        col(StudentVerification.identity_index) == bindparam("identity_index"),
        or_(
            col(StudentVerification.state) == StudentState.SUBMITTED,
            col(StudentVerification.state) == StudentState.APPROVED,
        ),
    )
    .limit(1),
    into=UUID,
)
release_it = statement(
    delete(StudentIdentity).where(
        col(StudentIdentity.identity_index) == bindparam("identity_index"),
        col(StudentIdentity.group_id) == bindparam("group_id"),
    )
)
release_all = statement(
    delete(StudentIdentity).where(col(StudentIdentity.member_id).in_(members.own_records))
)
new_claim = light(StudentIdentity)


class StudentIdentityInUse(DomainError):
    """Another member is, or is about to become, a student by it; whose it is stays unsaid."""

    def __init__(self) -> None:
        super().__init__("This student identity is in use already. Ask us if it is yours.")


def index_of_identity(method: StudentMethod, *parts: str) -> str:
    """The blind index of what stands for one student: alike however they wrote it."""
    return index_of("\n".join((method, *parts)), "student_verifications.identity_index")


async def take(tx: Transaction, *, member: Member, identity_index: str) -> None:
    """Keep others from using an identity; raises `StudentIdentityInUse` if one of them does.

    While somebody else's claim is in flight this waits for it, on PostgreSQL at the unique index.
    """
    ends: dict[str, Any] = {"identity_index": identity_index, "group_id": member.group_id}
    claim = new_claim(member_id=member.id, **ends)
    if await tx.one(claim_once, **values_of(claim)):
        return
    held_by = await tx.one(holder, **ends)
    if held_by is None:
        raise TransientFailure("the identity was released meanwhile")
    if await tx.one(is_own, member_id=member.id, record_id=held_by) is None:
        raise StudentIdentityInUse


async def release(tx: Transaction, *, group_id: UUID, identity_index: str | None) -> None:
    """Let others use an identity, unless a verification still lives by it."""
    if identity_index is None:
        return
    ends = {"identity_index": identity_index, "group_id": group_id}
    if await tx.one(lives_by, **ends) is None:
        await tx.changed(release_it, **ends)


async def release_all_of(tx: Transaction, *, member_id: UUID) -> None:
    """Let go whatever a member, whose account is closed, held."""
    await tx.changed(release_all, member_id=member_id)
