"""How members ask to be taken for students (STU-1)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.services import student_ids
from app.services.student_ids import applying
from schema.files import FileNotFound
from schema.identities import CodeRefused
from schema.problems import Problem
from schema.requests import RequestKeyReused
from schema.student_ids.institutions import InstitutionNotListed
from schema.student_ids.verifications import (
    StudentVerification,
    StudentVerificationNotFound,
    StudentVerificationNotOpen,
)
from schema.verification_codes import CodesTooOften, TargetInvalid, VerificationCodeSent

_BRAND = "The brand whose page it is, `node_…`; null is the group's."
_KEY = "Unique for this request: the same key again answers the same."


@strawberry.type(description="What the member sent in, as it stands now.")
class StudentApplied:
    verification: StudentVerification = strawberry.field(description="The verification.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key made it."
    )

    @classmethod
    def of(cls, applied: student_ids.Applied) -> Self:
        return cls(
            verification=StudentVerification.of(applied.verification), replayed=applied.replayed
        )


@strawberry.type(description="The outside verifier waits for the member.")
class StudentVerifierStarted:
    verification: StudentVerification = strawberry.field(
        description="It is decided once the verifier answers."
    )
    url: str = strawberry.field(
        description="The verifier's page: send the member there within minutes. It leads back to"
        " `returnUrl`, perhaps before it has answered."
    )


@strawberry.type(description="Nobody can be verified here now, or not in this way.")
class StudentIdClosed(Problem): ...


@strawberry.type(description="What the member sent in before waits for its answer.")
class StudentVerificationPending(Problem):
    verification_id: strawberry.ID = strawberry.field(description="What that is, `stu_…`.")

    @classmethod
    def of(cls, error: student_ids.StudentVerificationPending) -> Self:
        found = strawberry.ID(type_id("stu", error.verification_id))
        return cls(message=str(error), verification_id=found)


@strawberry.type(description="The student ID is valid for so long that it is too early to renew.")
class AlreadyStudent(Problem):
    valid_until: datetime = strawberry.field(description="Until when it is valid.")
    renewable_from: datetime = strawberry.field(description="From when on it can be renewed.")

    @classmethod
    def of(cls, error: student_ids.AlreadyStudent) -> Self:
        return cls(
            message=str(error),
            valid_until=error.valid_until,
            renewable_from=error.renewable_from,
        )


@strawberry.type(description="The member tried as often within a day as one can.")
class TooManySubmissions(Problem):
    retry_at: datetime = strawberry.field(description="From when on the next try can be made.")

    @classmethod
    def of(cls, error: student_ids.TooManySubmissions) -> Self:
        return cls(message=str(error), retry_at=error.retry_at)


@strawberry.type(
    description="Another member is a student, or about to be, by this identity. Whose it is stays"
    " unsaid."
)
class StudentIdentityInUse(Problem): ...


@strawberry.input(description="A school's address to send a code to.")
class StudentEmailCodeSendInput:
    email: str = strawberry.field(description="The member's address at the school.")
    brand_id: strawberry.ID | None = strawberry.field(default=None, description=_BRAND)


@strawberry.input(description="The code that arrived at a school's address.")
class StudentEmailVerifyInput:
    email: str = strawberry.field(description="The address it was sent to.")
    code: str = strawberry.field(description="The six digits.")
    brand_id: strawberry.ID | None = strawberry.field(default=None, description=_BRAND)
    request_key: str = strawberry.field(description=_KEY)


@strawberry.input(description="A student card for staff to look at.")
class StudentCardSubmitInput:
    institution_domain: str = strawberry.field(
        description="A domain of the school, as `schools` gives it."
    )
    student_name: str = strawberry.field(
        description=f"The name on the card, 1 to {applying.NAME_CHARS_MAX} characters."
    )
    student_number: str = strawberry.field(
        description=f"The number on the card, 1 to {applying.NUMBER_CHARS_MAX} characters; only"
        " letters and digits count."
    )
    file_id: strawberry.ID = strawberry.field(
        description="The picture, `file_…`, uploaded as a private one. It is deleted once staff"
        " have decided."
    )
    brand_id: strawberry.ID | None = strawberry.field(default=None, description=_BRAND)
    request_key: str = strawberry.field(description=_KEY)

    def card(self) -> student_ids.StudentCard:
        return student_ids.StudentCard(
            institution_domain=self.institution_domain,
            student_name=self.student_name,
            student_number=self.student_number,
            file_id=parse_type_id("file", self.file_id),
        )


@strawberry.input(description="Where to come back to from the outside verifier.")
class StudentVerifierStartInput:
    return_url: str = strawberry.field(
        description="A path of ours, or a page of an allowed origin."
    )
    brand_id: strawberry.ID | None = strawberry.field(default=None, description=_BRAND)


@strawberry.input(description="What to take back.")
class StudentVerificationWithdrawInput:
    id: strawberry.ID = strawberry.field(description="The verification, `stu_…`.")


def parsed_brand(brand_id: strawberry.ID | None) -> UUID | None:
    return None if brand_id is None else parse_type_id("node", brand_id)


CodeSend = Annotated[StudentEmailCodeSendInput, strawberry.argument(description="Where to.")]
EmailVerify = Annotated[StudentEmailVerifyInput, strawberry.argument(description="The proof.")]
CardSubmit = Annotated[StudentCardSubmitInput, strawberry.argument(description="The card.")]
VerifierStart = Annotated[
    StudentVerifierStartInput, strawberry.argument(description="Where to return.")
]
Withdraw = Annotated[StudentVerificationWithdrawInput, strawberry.argument(description="Which.")]

_CANNOT_APPLY = StudentIdClosed | StudentVerificationPending | AlreadyStudent | TooManySubmissions

StudentEmailCodeSendResult = Annotated[
    VerificationCodeSent | CodesTooOften | TargetInvalid | InstitutionNotListed | _CANNOT_APPLY,
    strawberry.union("StudentEmailCodeSendResult", description="That it was sent, or why not."),
]
StudentEmailVerifyResult = Annotated[
    StudentApplied
    | CodeRefused
    | TargetInvalid
    | InstitutionNotListed
    | StudentIdentityInUse
    | RequestKeyReused
    | _CANNOT_APPLY,
    strawberry.union(
        "StudentEmailVerifyResult", description="The approved verification, or why there is none."
    ),
]
StudentCardSubmitResult = Annotated[
    StudentApplied
    | FileNotFound
    | InstitutionNotListed
    | StudentIdentityInUse
    | RequestKeyReused
    | _CANNOT_APPLY,
    strawberry.union("StudentCardSubmitResult", description="What was sent in, or why not."),
]
StudentVerifierStartResult = Annotated[
    StudentVerifierStarted | _CANNOT_APPLY,
    strawberry.union("StudentVerifierStartResult", description="The way there, or why not."),
]
StudentVerificationWithdrawResult = Annotated[
    StudentVerification | StudentVerificationNotFound | StudentVerificationNotOpen,
    strawberry.union(
        "StudentVerificationWithdrawResult", description="The verification, or why it stays."
    ),
]
