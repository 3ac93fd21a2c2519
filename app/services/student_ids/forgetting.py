"""An account is closed: what shows who studied where is forgotten (SEC-4)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import null, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, statement
from app.models.student_ids import StudentState, StudentVerification
from app.services import members
from app.services.student_ids import claims, verifications

_of_member = col(StudentVerification.member_id).in_(members.own_records)
unfinished = statement(
    select(StudentVerification)
    .where(
        _of_member,
        or_(
            col(StudentVerification.state) == StudentState.SUBMITTED,
            col(StudentVerification.state) == StudentState.APPROVED,
        ),
    )
    .order_by(col(StudentVerification.id)),
    into=StudentVerification,
)
empty_them = statement(
    update(StudentVerification)
    .where(_of_member)
    .values(
        institution="", identity=null(), identity_index=null(), student_name=null(), note=null()
    )
)


async def forget(tx: Transaction, *, member_id: UUID, now: datetime) -> None:
    """End and empty the verifications of a member who is locked and closes the account.

    That there were some stays, without whose school or number it was: the dashboard counts them.
    """
    for row in await tx.all(unfinished, member_id=member_id):
        is_open = row.state is StudentState.SUBMITTED
        state = StudentState.WITHDRAWN if is_open else StudentState.EXPIRED
        await verifications.end(tx, row, state, now=now)
    await claims.release_all_of(tx, member_id=member_id)
    await tx.changed(empty_them, member_id=member_id)
