"""Becoming a verified student (STU-1)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services import student_ids
from app.services.student_ids import reading
from app.services.student_ids.schools import FOUND_MAX
from auth import students
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, First, page_limit, row_after
from schema.student_ids.applying import (
    CardSubmit,
    CodeSend,
    EmailVerify,
    StudentApplied,
    StudentCardSubmitResult,
    StudentEmailCodeSendResult,
    StudentEmailVerifyResult,
    StudentVerificationWithdrawResult,
    StudentVerifierStarted,
    StudentVerifierStartResult,
    VerifierStart,
    Withdraw,
    parsed_brand,
)
from schema.student_ids.institutions import School
from schema.student_ids.reviewing import StudentVerificationConnection
from schema.student_ids.settings import StudentIdPage
from schema.student_ids.verifications import StudentStanding, StudentVerification
from schema.verification_codes import VerificationCodeSent


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="Where the member stands with student IDs."
    )
    async def student_standing(self, info: Info) -> StudentStanding:
        found = await info.context.read(
            reading.standing, member_id=info.context.member_id, now=info.context.now
        )
        return StudentStanding.of(found)

    @strawberry.field(
        permission_classes=[IsMember],
        description="The page on which one becomes a verified student; null where there is none.",
    )
    async def student_id_page(
        self,
        info: Info,
        brand_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="A brand's, `node_…`, or the group's."),
        ] = None,
    ) -> StudentIdPage | None:
        row = await info.context.read(
            reading.page_of_brand,
            member_id=info.context.member_id,
            brand_id=parsed_brand(brand_id),
        )
        return StudentIdPage.of(row) if row else None

    @strawberry.field(
        permission_classes=[IsMember],
        description=f"Schools whose students are welcome, at most {FOUND_MAX}, the group's own"
        " first.",
    )
    async def schools(
        self,
        info: Info,
        search: Annotated[
            str,
            strawberry.argument(description="Words of the name or the domain, 2 to 80 characters."),
        ],
    ) -> list[School]:
        found = await info.context.read(
            reading.found_schools, member_id=info.context.member_id, text=search
        )
        return [School.of(each) for each in found]

    @strawberry.field(
        permission_classes=[IsMember], description="The member's verifications, newest first."
    )
    async def student_verifications(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> StudentVerificationConnection:
        rows = await info.context.read(
            reading.own_page,
            member_id=info.context.member_id,
            before=row_after(after),
            limit=page_limit(first),
        )
        return StudentVerificationConnection.of(rows, first, StudentVerification.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Send a code to the member's address at a school, for `studentEmailVerify`.",
    )
    async def student_email_code_send(
        self, info: Info, input: CodeSend
    ) -> StudentEmailCodeSendResult:
        sent = await info.context.run(
            student_ids.send_code,
            bearer=bearer(info.context),
            brand_id=parsed_brand(input.brand_id),
            email=input.email,
            address=info.context.client_address,
            now=info.context.now,
        )
        return VerificationCodeSent.of(sent)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Prove an address at a school by its code: the member is a student at once.",
    )
    async def student_email_verify(
        self, info: Info, input: EmailVerify
    ) -> StudentEmailVerifyResult:
        applied = await info.context.run(
            student_ids.verify_email,
            bearer=bearer(info.context),
            brand_id=parsed_brand(input.brand_id),
            email=input.email,
            code=input.code,
            address=info.context.client_address,
            request_key=input.request_key,
            now=info.context.now,
        )
        return StudentApplied.of(applied)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Send in the picture of a student card, for staff to look at.",
    )
    async def student_card_submit(self, info: Info, input: CardSubmit) -> StudentCardSubmitResult:
        applied = await info.context.run(
            student_ids.submit_card,
            bearer=bearer(info.context),
            brand_id=parsed_brand(input.brand_id),
            card=input.card(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return StudentApplied.of(applied)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Begin a verification by the outside verifier, which has an hour to answer."
        " What was begun there before is given up.",
    )
    async def student_verifier_start(
        self, info: Info, input: VerifierStart
    ) -> StudentVerifierStartResult:
        started = await students.start_verifier(
            info.context, return_url=input.return_url, brand_id=parsed_brand(input.brand_id)
        )
        return StudentVerifierStarted(
            verification=StudentVerification.of(started.verification), url=started.url
        )

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Take back what was sent in and not decided; its picture is deleted.",
    )
    async def student_verification_withdraw(
        self, info: Info, input: Withdraw
    ) -> StudentVerificationWithdrawResult:
        row = await info.context.run(
            student_ids.withdraw,
            bearer=bearer(info.context),
            verification_id=parse_type_id("stu", input.id),
            now=info.context.now,
        )
        return StudentVerification.of(row)
