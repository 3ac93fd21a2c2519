"""Staff decide about student cards, and read the numbers (STU-1, STU-4)."""

from datetime import date, datetime
from typing import Annotated, Self

import strawberry

from app.models import student_ids as rows
from app.models.student_ids import RejectionReason
from app.services import files
from app.services.student_ids import Dashboard
from app.services.student_ids.deciding import NOTE_CHARS_MAX
from schema.pages import Connection
from schema.student_ids.verifications import (
    StudentVerification,
    StudentVerificationNotFound,
    StudentVerificationNotOpen,
)


@strawberry.type(description="A page of verifications.")
class StudentVerificationConnection(Connection[StudentVerification]): ...


@strawberry.type(
    description="What a member sent in, for a reviewer to look at: nothing is masked, and that"
    " it was looked at is in the audit log."
)
class StudentSubmission:
    verification: StudentVerification = strawberry.field(description="The verification.")
    student_name: str = strawberry.field(description="The name, as the member wrote it.")
    student_number: str = strawberry.field(description="The number, letters and digits alone.")
    picture_url: str = strawberry.field(
        description="Where to fetch the picture of the card, for ten minutes."
    )

    @classmethod
    def of(cls, row: rows.StudentVerification, *, base_url: str, now: datetime) -> Self:
        assert row.card_file_id is not None, "it waits for a reviewer"
        assert row.student_name is not None, "a card came with a name"
        assert row.identity is not None, "and with a number"
        return cls(
            verification=StudentVerification.of(row),
            student_name=row.student_name,
            student_number=row.identity,
            picture_url=files.signed_url(row.card_file_id, base_url=base_url, now=now),
        )


@strawberry.type(description="Numbers of students at a group or a brand.")
class StudentDashboard:
    valid_students: int = strawberry.field(
        description="People whose student ID is valid now; of a brand, by its own settings."
    )
    members: int = strawberry.field(
        description="People of the whole group with a card in their hands."
    )
    share_basis_points: int = strawberry.field(
        description="Of those members, the valid students, in hundredths of a percent."
    )
    day: date = strawberry.field(description="Yesterday, by the clock of the group or brand.")
    new_students: int = strawberry.field(
        description="People who became students on that day; who renewed is not new."
    )
    expired_students: int = strawberry.field(
        description="People whose student ID ended on that day, by itself or by staff."
    )

    @classmethod
    def of(cls, dashboard: Dashboard) -> Self:
        return cls(
            valid_students=dashboard.valid_students,
            members=dashboard.members,
            share_basis_points=dashboard.share_bp,
            day=dashboard.day,
            new_students=dashboard.new_students,
            expired_students=dashboard.expired_students,
        )


_NOTE = f"More about it, up to {NOTE_CHARS_MAX} characters; the member sees it."


@strawberry.input(description="A verification to look at.")
class StudentVerificationLookInput:
    id: strawberry.ID = strawberry.field(description="The verification, `stu_…`.")


@strawberry.input(description="A verification to approve.")
class StudentVerificationApproveInput:
    id: strawberry.ID = strawberry.field(description="The verification, `stu_…`.")


@strawberry.input(description="A verification to reject, and why.")
class StudentVerificationRejectInput:
    id: strawberry.ID = strawberry.field(description="The verification, `stu_…`.")
    reason: RejectionReason = strawberry.field(description="Why.")
    note: str | None = strawberry.field(default=None, description=_NOTE)


@strawberry.input(description="A valid student ID to end, and why.")
class StudentVerificationEndInput:
    id: strawberry.ID = strawberry.field(description="The verification, `stu_…`.")
    reason: RejectionReason = strawberry.field(description="Why.")
    note: str | None = strawberry.field(default=None, description=_NOTE)


Look = Annotated[StudentVerificationLookInput, strawberry.argument(description="Which.")]
Approve = Annotated[StudentVerificationApproveInput, strawberry.argument(description="Which.")]
Reject = Annotated[
    StudentVerificationRejectInput, strawberry.argument(description="Which, and why.")
]
End = Annotated[StudentVerificationEndInput, strawberry.argument(description="Which, and why.")]

_CANNOT_DECIDE = StudentVerificationNotFound | StudentVerificationNotOpen

StudentVerificationLookResult = Annotated[
    StudentSubmission | _CANNOT_DECIDE,
    strawberry.union("StudentVerificationLookResult", description="What was sent in, or why not."),
]
StudentVerificationApproveResult = Annotated[
    StudentVerification | _CANNOT_DECIDE,
    strawberry.union("StudentVerificationApproveResult", description="As it is now, or why not."),
]
StudentVerificationRejectResult = Annotated[
    StudentVerification | _CANNOT_DECIDE,
    strawberry.union("StudentVerificationRejectResult", description="As it is now, or why not."),
]
StudentVerificationEndResult = Annotated[
    StudentVerification | _CANNOT_DECIDE,
    strawberry.union("StudentVerificationEndResult", description="As it is now, or why not."),
]
