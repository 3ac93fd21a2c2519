"""Work that was given up, as those who run the product see it; and trying it again."""

from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.models.operations import Job
from app.models.staff import Permission
from app.services import audit, jobs, organisation
from app.services.actors import Actor


async def failures(tx: Transaction, actor: Actor, *, before: UUID | None, limit: int) -> list[Job]:
    """Jobs that were given up, the latest first; of the whole deployment, and without
    what is in them."""
    actor.require(Permission.JOBS_READ, await organisation.node(tx, actor.group_id))
    return await jobs.failures(tx, before=before, limit=limit)


async def backlog(tx: Transaction, actor: Actor) -> jobs.Backlog:
    """How much work waits."""
    actor.require(Permission.JOBS_READ, await organisation.node(tx, actor.group_id))
    return await jobs.backlog(tx)


async def retry(tx: Transaction, actor: Actor, *, job_id: UUID, now: datetime) -> Job:
    """Try a job again that was given up. Raises `JobNotFound`, `JobNotFailed`."""
    group = await organisation.node(tx, actor.group_id)
    actor.require(Permission.JOBS_WRITE, group)
    again = await jobs.retry(tx, job_id=job_id, now=now)
    await audit.record(
        tx, actor, "job.retry", object_kind="job", object_id=job_id, node_id=group.id, now=now,
        kind=again.kind,
    )  # fmt: skip
    return again
