"""The outbox: work written down in a transaction and done after it, at least once.

A worker leases a job, does it, and marks it done in the transaction of its effect where it has
one. A worker that dies lets its lease run out, and another takes over.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.core.errors import DomainError
from app.models.operations import Job

ATTEMPTS_MAX = 8
LEASE = timedelta(seconds=60)
LEASE_BATCH = 20
TOPIC = "jobs"
"""Announced when work was written down, so that idle workers wake."""

write_down = upsert(
    lambda insert: (
        insert(Job).values(every_column(Job)).on_conflict_do_nothing(index_elements=["unique_key"])
    )
)
is_open = (col(Job.done_at).is_(None)) & (col(Job.failed_at).is_(None))
due = (
    select(Job.id)
    .where(
        is_open,
        col(Job.run_at) <= bindparam("now", type_=Job.__table__.c.run_at.type),  # type: ignore[attr-defined]
        or_(
            col(Job.lease_until).is_(None),
            col(Job.lease_until) <= bindparam("now", type_=Job.__table__.c.run_at.type),  # type: ignore[attr-defined]
        ),
    )
    .order_by(col(Job.run_at), col(Job.id))
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
)
lease_due = statement(
    update(Job)
    .where(col(Job.id).in_(due))
    .values(
        lease_until=bindparam("lease_end", type_=Job.__table__.c.run_at.type),  # type: ignore[attr-defined]
        owner=bindparam("worker"),
        attempts=col(Job.attempts) + 1,
    )
    .returning(*Job.__table__.columns),  # type: ignore[attr-defined]
    into=Job,
)
mark_done = statement(
    update(Job)
    .where(col(Job.id) == bindparam("job_id"), is_open)
    .values(done_at=bindparam("finished_at"), payload=bindparam("emptied"), lease_until=None)
)
# Only the holder of the lease: a worker that was too slow must not end its successor's.
is_held = (col(Job.id) == bindparam("job_id")) & (col(Job.owner) == bindparam("worker")) & is_open
put_back = statement(
    update(Job)
    .where(is_held)
    .values(run_at=bindparam("again_at"), lease_until=None, error=bindparam("why"))
)
give_up = statement(
    update(Job)
    .where(is_held)
    .values(failed_at=bindparam("finished_at"), lease_until=None, error=bindparam("why"))
)
by_id = statement(select(Job).where(col(Job.id) == bindparam("job_id")), into=Job)
failed_jobs = statement(
    select(Job)
    .where(col(Job.failed_at).is_not(None))
    .order_by(col(Job.id).desc())
    .limit(bindparam("limit")),
    into=Job,
)
failed_before = statement(
    select(Job)
    .where(col(Job.failed_at).is_not(None), col(Job.id) < bindparam("before"))
    .order_by(col(Job.id).desc())
    .limit(bindparam("limit")),
    into=Job,
)
try_again = statement(
    update(Job)
    .where(col(Job.id) == bindparam("job_id"), col(Job.failed_at).is_not(None))
    .values(failed_at=None, lease_until=None, attempts=0, run_at=bindparam("again_at"))
)
count_open = statement(select(func.count()).select_from(Job).where(is_open), into=int)
oldest_open = statement(select(func.min(Job.run_at)).where(is_open), into=datetime)
new_job = light(Job)


async def enqueue(
    tx: Transaction,
    kind: str,
    payload: dict[str, Any],
    *,
    now: datetime,
    unique_key: str | None = None,
    run_at: datetime | None = None,
) -> None:
    """Write work down, to be done after this transaction commits, or not before `run_at`.

    A job whose `unique_key` stands in the table is dropped in silence; done ones stay a week.
    """
    job = new_job(
        kind=kind,
        payload=orjson.dumps(payload, default=str).decode(),
        unique_key=unique_key,
        run_at=run_at or now,
    )
    await tx.changed(write_down, **values_of(job))
    if job.run_at <= now:  # a later one is found by polling
        tx.announce(TOPIC, {})


async def lease(
    tx: Transaction, *, worker: str, now: datetime, at_most: int = LEASE_BATCH
) -> list[Job]:
    """Take due jobs for a while; nobody else gets them before the lease ends."""
    return await tx.all(lease_due, now=now, lease_end=now + LEASE, worker=worker, at_most=at_most)


async def done(tx: Transaction, *, job_id: UUID, now: datetime) -> bool:
    """Mark a job done; False where somebody else has, whose effect then stands."""
    return bool(await tx.changed(mark_done, job_id=job_id, finished_at=now, emptied="{}"))


async def failed(
    tx: Transaction, *, job: Job, why: str, now: datetime, for_good: bool = False
) -> bool:
    """Try again later, each time later than before; after the last attempt give up, visibly.

    `for_good` gives up at once. Returns whether it gave up.
    """
    gives_up = for_good or job.attempts >= ATTEMPTS_MAX
    held = {"job_id": job.id, "worker": job.owner, "why": why[:200]}
    if gives_up:
        await tx.changed(give_up, **held, finished_at=now)
    else:
        await tx.changed(put_back, **held, again_at=now + timedelta(seconds=2**job.attempts))
    return gives_up


class Backlog(NamedTuple):
    """How much work waits, and since when its oldest piece could have been done."""

    open: int
    oldest_due_at: datetime | None


async def backlog(tx: Transaction) -> Backlog:
    oldest = await tx.one(oldest_open)
    return Backlog(await tx.one(count_open) or 0, oldest)


class JobNotFound(DomainError):
    """No such job; done ones are dropped after a week."""

    def __init__(self) -> None:
        super().__init__("There is no such job.")


class JobNotFailed(DomainError):
    """Only a job that was given up can be tried again."""

    def __init__(self) -> None:
        super().__init__("This job has not failed.")


async def failures(tx: Transaction, *, before: UUID | None, limit: int) -> list[Job]:
    """Jobs that were given up, the latest first."""
    if before is None:
        return await tx.all(failed_jobs, limit=limit)
    return await tx.all(failed_before, limit=limit, before=before)


async def retry(tx: Transaction, *, job_id: UUID, now: datetime) -> Job:
    """Put a job that was given up back, as if it had never been tried.

    Raises `JobNotFound`, `JobNotFailed`.
    """
    if not await tx.changed(try_again, job_id=job_id, again_at=now):
        if await tx.one(by_id, job_id=job_id) is None:
            raise JobNotFound
        raise JobNotFailed
    tx.announce(TOPIC, {})
    again = await tx.one(by_id, job_id=job_id)
    assert again is not None
    return again
