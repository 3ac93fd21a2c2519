"""Verifications of students, as members and staff see them (STU-1)."""

from datetime import datetime
from typing import Self

import strawberry

from app.core.crypto import masked_email
from app.core.ids import type_id
from app.models import student_ids as rows
from app.models.student_ids import RejectionReason, StudentMethod, StudentState
from app.services import student_ids
from app.services.student_ids.reading import Standing
from schema.context import Info
from schema.enums import describe
from schema.organisation import Node
from schema.problems import Problem

DIGITS_SHOWN = 2

describe(
    StudentMethod,
    "How a member shows that they study.",
    {
        "EMAIL": "By a code that is sent to an address of their school.",
        "CARD": "By a picture of their student card, which staff look at.",
        "VERIFIER": "By an outside verifier.",
    },
)
describe(
    StudentState,
    "Where a verification stands.",
    {
        "SUBMITTED": "It waits for its answer.",
        "APPROVED": "The member is a student by it until `validUntil`.",
        "REJECTED": "It was not accepted: see `reason`.",
        "EXPIRED": "Its time is over, or staff ended it before.",
        "REPLACED": "A later verification of the member went on from it.",
        "WITHDRAWN": "The member took it back, or never came back from the outside verifier.",
    },
)
describe(
    RejectionReason,
    "Why a verification was rejected, or ended before its time.",
    {
        "UNREADABLE": "The picture cannot be read.",
        "NOT_A_STUDENT": "It does not show that the member studies, or they no longer do.",
        "CARD_EXPIRED": "The student card is no longer valid.",
        "DETAILS_DIFFER": "The card says something else than the member.",
        "IDENTITY_IN_USE": "Another member is a student by the same identity.",
        "OTHER": "See the note.",
    },
)


@strawberry.type(description="One time that a member asked to be taken for a student.")
class StudentVerification:
    id: strawberry.ID = strawberry.field(description="Its id, `stu_…`.")
    method: StudentMethod = strawberry.field(description="How.")
    state: StudentState = strawberry.field(description="Where it stands.")
    institution: str = strawberry.field(
        description="The school; empty until the outside verifier names it, and once it is"
        " forgotten."
    )
    identity: str | None = strawberry.field(
        description="The school e-mail or the student number, masked."
    )
    submitted_at: datetime = strawberry.field(description="When it was sent in.")
    approved_at: datetime | None = strawberry.field(description="When it was approved.")
    valid_until: datetime | None = strawberry.field(
        description="Until when the member is a student by it, if nothing ends it before."
    )
    ended_at: datetime | None = strawberry.field(
        description="When it was rejected, withdrawn or replaced, or ran out."
    )
    reason: RejectionReason | None = strawberry.field(
        description="Why it was rejected, or ended before its time."
    )
    note: str | None = strawberry.field(description="What staff added; the member sees it.")
    is_renewal: bool = strawberry.field(
        description="Whether the member was a student already when it was approved."
    )
    gifted_at: datetime | None = strawberry.field(
        description="When it brought its gift; null if it brought none."
    )

    member_id: strawberry.ID = strawberry.field(
        description="Whose record it was made by, `mem_…`; a merged one leads to the survivor."
    )
    row: strawberry.Private[rows.StudentVerification]

    @classmethod
    def of(cls, row: rows.StudentVerification) -> Self:
        return cls(
            id=strawberry.ID(type_id("stu", row.id)),
            method=row.method,
            state=row.state,
            institution=row.institution,
            identity=masked_identity(row),
            submitted_at=row.submitted_at,
            approved_at=row.approved_at,
            valid_until=row.valid_until,
            ended_at=row.ended_at,
            reason=row.reason,
            note=row.note,
            is_renewal=row.is_renewal,
            gifted_at=row.gifted_at,
            member_id=strawberry.ID(type_id("mem", row.member_id)),
            row=row,
        )

    @strawberry.field(description="The group or brand by whose settings it went.")
    async def node(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.node_id))


@strawberry.type(description="Where the member stands with student IDs.")
class StudentStanding:
    is_student: bool = strawberry.field(
        description="Whether a student ID of the member is valid now."
    )
    valid: StudentVerification | None = strawberry.field(
        description="The one that is valid, the longest if there are several."
    )
    waiting: StudentVerification | None = strawberry.field(
        description="What the member sent in and nobody decided yet."
    )
    latest: StudentVerification | None = strawberry.field(description="The newest of all.")

    @classmethod
    def of(cls, standing: Standing) -> Self:
        return cls(
            is_student=standing.valid is not None,
            valid=_shown(standing.valid),
            waiting=_shown(standing.waiting),
            latest=_shown(standing.latest),
        )


def _shown(row: rows.StudentVerification | None) -> StudentVerification | None:
    return None if row is None else StudentVerification.of(row)


@strawberry.type(description="There is no such verification, or it is somebody else's.")
class StudentVerificationNotFound(Problem): ...


@strawberry.type(description="It was decided, withdrawn or is over, or is not decided yet.")
class StudentVerificationNotOpen(Problem):
    state: StudentState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: student_ids.StudentVerificationNotOpen) -> Self:
        return cls(message=str(error), state=error.state)


def masked_identity(row: rows.StudentVerification) -> str | None:
    """What proves a student, as whoever need not know it sees it (SEC-2)."""
    if row.identity is None:
        return None
    if row.method is StudentMethod.EMAIL:
        return masked_email(row.identity)
    return f"****{row.identity[-DIGITS_SHOWN:]}"
