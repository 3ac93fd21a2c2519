"""Student IDs in the back office: settings, schools, reviews, numbers (STU-1…STU-4)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models.staff import Permission
from app.models.student_ids import StudentMethod, StudentState
from app.services.student_ids import deciding, institutions, reading, settings
from auth.permissions import Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, First, page_limit, row_after
from schema.student_ids.institutions import (
    Institution,
    InstitutionConnection,
    InstitutionCreate,
    InstitutionCreateResult,
    InstitutionDelete,
    InstitutionDeleted,
    InstitutionDeleteResult,
    InstitutionUpdate,
    InstitutionUpdateResult,
)
from schema.student_ids.reviewing import (
    Approve,
    End,
    Look,
    Reject,
    StudentDashboard,
    StudentSubmission,
    StudentVerificationApproveResult,
    StudentVerificationConnection,
    StudentVerificationEndResult,
    StudentVerificationLookResult,
    StudentVerificationRejectResult,
)
from schema.student_ids.settings import (
    SettingsSave,
    StudentIdSettings,
    StudentIdSettingsSaveResult,
)
from schema.student_ids.verifications import StudentVerification

Reads = Needs(Permission.STUDENTS_READ)
Writes = Needs(Permission.STUDENTS_WRITE)
Reviews = Needs(Permission.STUDENTS_REVIEW)

NodeId = Annotated[
    strawberry.ID, strawberry.argument(description="The group or a brand, `node_…`.")
]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="What a group or brand decided itself; null where it decided nothing.",
    )
    async def student_id_settings(self, info: Info, node_id: NodeId) -> StudentIdSettings | None:
        row = await info.context.read(
            settings.seen_by,
            await info.context.actor(),
            node_id=parse_type_id("node", node_id),
        )
        return StudentIdSettings.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads],
        description="Numbers of students: valid ones, their share, yesterday's new and expired.",
    )
    async def student_dashboard(self, info: Info, node_id: NodeId) -> StudentDashboard:
        found = await info.context.read(
            reading.dashboard,
            await info.context.actor(),
            node_id=parse_type_id("node", node_id),
            now=info.context.now,
        )
        return StudentDashboard.of(found)

    @strawberry.field(
        permission_classes=[Reads],
        description="Verifications that the asker may see, newest first.",
    )
    async def student_verifications(
        self,
        info: Info,
        state: Annotated[
            StudentState | None, strawberry.argument(description="Only those that stand so.")
        ] = None,
        method: Annotated[
            StudentMethod | None, strawberry.argument(description="Only those of this method.")
        ] = None,
        node_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only those by this node's settings, `node_…`."),
        ] = None,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> StudentVerificationConnection:
        rows = await info.context.read(
            reading.page,
            await info.context.actor(),
            state=state,
            method=method,
            node_id=None if node_id is None else parse_type_id("node", node_id),
            before=row_after(after),
            limit=page_limit(first),
        )
        return StudentVerificationConnection.of(rows, first, StudentVerification.of)

    @strawberry.field(
        permission_classes=[Reads],
        description="One verification; null where there is none that the asker may see.",
    )
    async def student_verification(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Which, `stu_…`.")],
    ) -> StudentVerification | None:
        row = await info.context.read(
            reading.seen_by,
            await info.context.actor(),
            verification_id=parse_type_id("stu", id),
        )
        return StudentVerification.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reviews],
        description="Student cards that wait for the asker's decision, the longest waiting first.",
    )
    async def student_review_queue(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> StudentVerificationConnection:
        rows = await info.context.read(
            reading.queue,
            await info.context.actor(),
            after=row_after(after),
            limit=page_limit(first),
        )
        return StudentVerificationConnection.of(rows, first, StudentVerification.of)

    @strawberry.field(
        permission_classes=[Reads],
        description="What the group says about schools beside the shipped list, oldest first.",
    )
    async def institutions(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> InstitutionConnection:
        rows = await info.context.read(
            institutions.page,
            await info.context.actor(),
            after=row_after(after),
            limit=page_limit(first),
        )
        return InstitutionConnection.of(rows, first, Institution.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Set up student IDs at a group or a brand, or change them. Who is verified"
        " stays so, as long as was promised.",
    )
    async def student_id_settings_save(
        self, info: Info, input: SettingsSave
    ) -> StudentIdSettingsSaveResult:
        row = await info.context.run(
            settings.save,
            await info.context.actor(),
            node_id=parse_type_id("node", input.node_id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return StudentIdSettings.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="List a school that the shipped list lacks, or refuse one that it has.",
    )
    async def institution_create(
        self, info: Info, input: InstitutionCreate
    ) -> InstitutionCreateResult:
        row = await info.context.run(
            institutions.create,
            await info.context.actor(),
            name=input.name,
            domains=input.domains,
            is_accepted=input.is_accepted,
            now=info.context.now,
        )
        return Institution.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Give a school another name or other domains, or refuse its students from now"
        " on. Who is verified stays so.",
    )
    async def institution_update(
        self, info: Info, input: InstitutionUpdate
    ) -> InstitutionUpdateResult:
        row = await info.context.run(
            institutions.change,
            await info.context.actor(),
            institution_id=parse_type_id("inst", input.id),
            expected_version=input.expected_version,
            name=input.name,
            domains=input.domains,
            is_accepted=input.is_accepted,
            now=info.context.now,
        )
        return Institution.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Say nothing about a school any more: the shipped list counts again.",
    )
    async def institution_delete(
        self, info: Info, input: InstitutionDelete
    ) -> InstitutionDeleteResult:
        row = await info.context.run(
            institutions.remove,
            await info.context.actor(),
            institution_id=parse_type_id("inst", input.id),
            now=info.context.now,
        )
        return InstitutionDeleted(id=strawberry.ID(type_id("inst", row.id)))

    @strawberry.mutation(
        permission_classes=[Reviews],
        description="Look at a student card that waits: name, number and picture as they were sent"
        " in. It is written to the audit log.",
    )
    async def student_verification_look(
        self, info: Info, input: Look
    ) -> StudentVerificationLookResult:
        row = await info.context.run(
            deciding.look_at,
            await info.context.actor(),
            verification_id=parse_type_id("stu", input.id),
            now=info.context.now,
        )
        base_url = info.context.settings.public_url
        return StudentSubmission.of(row, base_url=base_url, now=info.context.now)

    @strawberry.mutation(
        permission_classes=[Reviews],
        description="Approve a student card: the member is a student from now on, and the picture"
        " is deleted.",
    )
    async def student_verification_approve(
        self, info: Info, input: Approve
    ) -> StudentVerificationApproveResult:
        row = await info.context.run(
            deciding.approve,
            await info.context.actor(),
            verification_id=parse_type_id("stu", input.id),
            now=info.context.now,
        )
        return StudentVerification.of(row)

    @strawberry.mutation(
        permission_classes=[Reviews],
        description="Reject a student card; its picture is deleted.",
    )
    async def student_verification_reject(
        self, info: Info, input: Reject
    ) -> StudentVerificationRejectResult:
        row = await info.context.run(
            deciding.reject,
            await info.context.actor(),
            verification_id=parse_type_id("stu", input.id),
            reason=input.reason,
            note=input.note,
            now=info.context.now,
        )
        return StudentVerification.of(row)

    @strawberry.mutation(
        permission_classes=[Reviews],
        description="End a valid student ID before its time: the member studies no more.",
    )
    async def student_verification_end(
        self, info: Info, input: End
    ) -> StudentVerificationEndResult:
        row = await info.context.run(
            deciding.end,
            await info.context.actor(),
            verification_id=parse_type_id("stu", input.id),
            reason=input.reason,
            note=input.note,
            now=info.context.now,
        )
        return StudentVerification.of(row)
