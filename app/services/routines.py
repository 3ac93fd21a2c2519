"""What must happen at set times: each due time leads to one job, what was missed to one in all."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, case
from sqlmodel import col, delete, select, update

from app.core.db import (
    Transaction,
    UtcDateTime,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.models.operations import Routine
from app.services import jobs

DUE_AT_ONCE_MAX = 100
MISSED_MAX = 10_000
"""Due times looked at to find the last one that was missed: decades of days."""
JOB_KIND = "routine.{name}"

NextTime = Callable[[Transaction, UUID, datetime], Awaitable[datetime | None]]
"""When something is due next after a moment for a subject; None where it is due no more."""

set_next = upsert(
    lambda insert: (
        insert(Routine)
        .values(every_column(Routine))
        .on_conflict_do_update(
            index_elements=["name", "subject_id"],
            # One that is due and was not begun yet stays due: new rules let nothing be missed.
            set_={
                "next_due_at": case(
                    (
                        col(Routine.next_due_at) <= bindparam("now", type_=UtcDateTime()),
                        col(Routine.next_due_at),
                    ),
                    else_=bindparam("next_due_at", type_=UtcDateTime()),
                )
            },
        )
    )
)
cancel_it = statement(
    delete(Routine).where(
        col(Routine.name) == bindparam("name"), col(Routine.subject_id) == bindparam("subject_id")
    )
)
due = statement(
    select(Routine)
    .where(col(Routine.next_due_at) <= bindparam("now"))
    .order_by(col(Routine.next_due_at))
    .limit(DUE_AT_ONCE_MAX)
    .with_for_update(skip_locked=True),
    into=Routine,
)
move_on = statement(
    update(Routine)
    .where(col(Routine.id) == bindparam("routine_id"))
    .values(next_due_at=bindparam("new_next_due_at"), last_due_at=bindparam("new_last_due_at"))
)
new_routine = light(Routine)


async def schedule(
    tx: Transaction, *, name: str, subject_id: UUID, next_due_at: datetime, now: datetime
) -> None:
    """Have something done for a subject at that time, and on from there."""
    routine = new_routine(name=name, subject_id=subject_id, next_due_at=next_due_at)
    await tx.changed(set_next, **values_of(routine), now=now)


async def cancel(tx: Transaction, *, name: str, subject_id: UUID) -> None:
    """Have it done no more."""
    await tx.changed(cancel_it, name=name, subject_id=subject_id)


async def begin_due(tx: Transaction, *, next_times: Mapping[str, NextTime], now: datetime) -> int:
    """Write down a job for each routine that is due, and when it is due next; how many.

    The job's payload has `subject_id`, `due_at` (the last due time up to now) and `last_due_at`
    (that of the job before, or null), so that a job that catches up knows since when.
    """
    found = await tx.all(due, now=now)
    for routine in found:
        next_time = next_times[routine.name]
        due_at, following = (
            routine.next_due_at,
            await next_time(tx, routine.subject_id, routine.next_due_at),
        )
        for _ in range(MISSED_MAX):
            if following is None or following > now:
                break
            due_at, following = following, await next_time(tx, routine.subject_id, following)
        await _begin(tx, routine, due_at, now)
        if following is None:
            await cancel(tx, name=routine.name, subject_id=routine.subject_id)
        else:
            await tx.changed(
                move_on, routine_id=routine.id, new_next_due_at=following, new_last_due_at=due_at
            )
    return len(found)


async def _begin(tx: Transaction, routine: Routine, due_at: datetime, now: datetime) -> None:
    last = routine.last_due_at
    await jobs.enqueue(
        tx,
        JOB_KIND.format(name=routine.name),
        {
            "subject_id": str(routine.subject_id),
            "due_at": due_at.isoformat(),
            "last_due_at": last.isoformat() if last else None,
        },
        unique_key=f"{routine.name}:{routine.subject_id}:{due_at.isoformat()}",
        now=now,
    )
