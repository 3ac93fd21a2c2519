"""Students, and what it takes to become one (STU-1…STU-4)."""

from datetime import datetime

from app.core.db import Transaction, light
from app.models.members import Member
from app.models.student_ids import StudentMethod, StudentState, StudentVerification


async def a_student(
    tx: Transaction, *, member: Member, valid_until: datetime, now: datetime
) -> StudentVerification:
    """A member whose student ID is valid until then."""
    row = light(StudentVerification)(
        group_id=member.group_id,
        node_id=member.group_id,
        member_id=member.id,
        method=StudentMethod.EMAIL,
        state=StudentState.APPROVED,
        institution="Tongji University",
        submitted_at=now,
        approved_at=now,
        valid_until=valid_until,
    )
    await tx.insert(row)
    return row
