"""What time brings about: student IDs end, members hear of it before, lapsed tries end (STU-3)."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, func, select, update

from app.core.db import Transaction, statement
from app.models.behaviour import Notice
from app.models.members import Member
from app.models.student_ids import StudentState, StudentVerification
from app.services import live, notices
from app.services.student_ids import verifications

BATCH = 50
NOTICE_KIND = "STUDENT_ID_ENDING"


class Due(NamedTuple):
    """A verification whose time has come, and who its living member was when that was seen."""

    id: UUID
    member_id: UUID


def _due(state: str, moment: Any) -> Any:
    # The state is said as the indexes say it, so that the few that are due are found by them.
    return statement(
        select(
            StudentVerification.id,
            func.coalesce(Member.merged_into_id, Member.id).label("member_id"),
        )
        .join(Member, col(Member.id) == col(StudentVerification.member_id))
        .where(
            col(StudentVerification.state) == literal_column(f"'{state}'"),
            col(moment) <= bindparam("now"),
        )
        .order_by(col(moment))
        .limit(BATCH),
        into=Due,
    )


ending = _due("APPROVED", StudentVerification.valid_until)
lapsing = _due("SUBMITTED", StudentVerification.answer_until)
reminding = _due("APPROVED", StudentVerification.remind_at)
TABLE: Any = StudentVerification.__table__  # type: ignore[attr-defined]
remind_again = statement(
    update(StudentVerification)
    .where(col(StudentVerification.id) == bindparam("verification_id"))
    .values(remind_at=bindparam("new_remind_at", type_=TABLE.c.remind_at.type))
)


async def expire_due(tx: Transaction, *, now: datetime) -> int:
    """End a batch of student IDs whose time is over, with their tags; how many there were.

    They ended when their time was over, however late somebody came to write that down.
    """
    found = await tx.all(ending, now=now)
    for row, _ in await _locked(tx, found):
        if row.state is StudentState.APPROVED:
            assert row.valid_until is not None, "a CHECK says so"
            await verifications.end(tx, row, StudentState.EXPIRED, at=row.valid_until, now=now)
    return len(found)


async def withdraw_lapsed(tx: Transaction, *, now: datetime) -> int:
    """End a batch of those from which the outside verifier sent nobody back."""
    found = await tx.all(lapsing, now=now)
    for row, _ in await _locked(tx, found):
        if row.state is StudentState.SUBMITTED:
            await verifications.end(tx, row, StudentState.WITHDRAWN, now=now)
    return len(found)


async def remind_due(tx: Transaction, *, now: datetime) -> int:
    """Tell a batch of members that their student ID ends soon; once for each of the days (STU-2).

    Where days were missed, only the nearest is told.
    """
    found = await tx.all(reminding, now=now)
    for row, member in await _locked(tx, found):
        if row.state is not StudentState.APPROVED or row.remind_at is None or row.remind_at > now:
            continue
        assert row.valid_until is not None, "a CHECK says so"
        following = verifications.next_reminder(row.valid_until, row.reminder_days, after=now)
        await tx.changed(remind_again, verification_id=row.id, new_remind_at=following)
        if row.valid_until > now:
            await _tell(tx, row, member, row.valid_until, now)
    return len(found)


async def _locked(tx: Transaction, found: list[Due]) -> list[tuple[StudentVerification, Member]]:
    """The rows with their members locked, in the order of the members, as they are by then."""
    in_order = sorted(found, key=lambda due: due.member_id)
    return [await verifications.locked(tx, due.id) for due in in_order]


async def _tell(
    tx: Transaction,
    row: StudentVerification,
    member: Member,
    valid_until: datetime,
    now: datetime,
) -> None:
    days = min(each for each in row.reminder_days if each >= (valid_until - now).days)
    notice: Notice = notices.new_notice(
        group_id=row.group_id,
        member_id=member.id,
        kind=NOTICE_KIND,
        unique_key=f"student_id_ending:{row.id}:{days}",
        details={
            "verification_id": str(row.id),
            "days": days,
            "valid_until": valid_until.isoformat(),
        },
        created_at=now,
    )
    for written in await notices.write(tx, [notice]):
        live.tell(tx, written.member_id, "NOTICE", object_id=written.id, now=now)
