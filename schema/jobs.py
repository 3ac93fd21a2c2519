"""Work that waits, and what failed."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.models import operations as rows
from app.services import jobs
from schema.pages import Connection
from schema.problems import Problem, shown_as


@strawberry.type(description="A piece of work that is done after a commit or at a set time.")
class Job:
    id: strawberry.ID = strawberry.field(description="Its id, `job_…`.")
    kind: str = strawberry.field(description="What is to be done.")
    attempts: int = strawberry.field(description="How often it was tried.")
    run_at: datetime = strawberry.field(description="When it is, or was, due.")
    failed_at: datetime | None = strawberry.field(description="When it was given up.")
    error: str | None = strawberry.field(description="Why the last try failed.")

    @classmethod
    def of(cls, row: rows.Job) -> Self:
        return cls(
            id=strawberry.ID(type_id("job", row.id)),
            kind=row.kind,
            attempts=row.attempts,
            run_at=row.run_at,
            failed_at=row.failed_at,
            error=row.error,
        )


@strawberry.type(description="A page of jobs that were given up, the latest first.")
class JobConnection(Connection[Job]): ...


@strawberry.type(description="How much work waits.")
class JobBacklog:
    open: int = strawberry.field(description="Jobs that are neither done nor given up.")
    oldest_due_at: datetime | None = strawberry.field(
        description="When the oldest of them was due; null if none waits."
    )

    @classmethod
    def of(cls, backlog: jobs.Backlog) -> Self:
        return cls(open=backlog.open, oldest_due_at=backlog.oldest_due_at)


@strawberry.type(description="There is no such job; done ones are dropped after a week.")
class JobNotFound(Problem): ...


@strawberry.type(description="Only a job that was given up can be tried again.")
class JobNotFailed(Problem): ...


JobRetryResult = Annotated[
    Job | JobNotFound | JobNotFailed,
    strawberry.union("JobRetryResult", description="The job as it waits now, or why not."),
]

HANDLERS = [
    shown_as(JobNotFound, jobs.JobNotFound),
    shown_as(JobNotFailed, jobs.JobNotFailed),
]
