"""Work that waits, and what failed."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import operations
from auth.permissions import Needs
from schema.context import Info
from schema.jobs import Job, JobBacklog, JobConnection, JobRetryResult
from schema.pages import PAGE_SIZE_DEFAULT, After, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.JOBS_READ)],
        description="Jobs that were given up, the latest first; kept for 30 days.",
    )
    async def failed_jobs(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> JobConnection:
        rows = await info.context.read(
            operations.failures,
            await info.context.actor(),
            before=row_after(after),
            limit=page_limit(first),
        )
        return JobConnection.of(rows, first, Job.of)

    @strawberry.field(
        permission_classes=[Needs(Permission.JOBS_READ)],
        description="How many jobs of the whole deployment wait to be done, and since when the"
        " oldest.",
    )
    async def job_backlog(self, info: Info) -> JobBacklog:
        backlog = await info.context.read(operations.backlog, await info.context.actor())
        return JobBacklog.of(backlog)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.JOBS_WRITE)],
        description="Let a job that was given up be done as soon as possible, with as many"
        " attempts as a new one.",
    )
    async def job_retry(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The job, `job_…`.")],
    ) -> JobRetryResult:
        row = await info.context.run(
            operations.retry,
            await info.context.actor(),
            job_id=parse_type_id("job", id),
            now=info.context.now,
        )
        return Job.of(row)
