"""Recomputing all cards of a scheme, a batch at a time (TIR-3, TIR-5)."""

from collections.abc import Mapping
from uuid import UUID

from app.core.db import Transaction
from app.jobs.tasks import Effect, Handler, Task
from app.services import tiers


async def run_batch(task: Task) -> Effect:
    """The next cards of a run; it writes down the job for those after them."""
    run_id = UUID(task.payload["run_id"])

    async def effect(tx: Transaction) -> None:
        await tiers.run_batch(tx, run_id=run_id, now=task.now)

    return effect


async def recalculate(task: Task) -> Effect:
    """It is a scheme's calculation day."""
    scheme_id = UUID(task.payload["subject_id"])

    async def effect(tx: Transaction) -> None:
        await tiers.recalculate(tx, scheme_id=scheme_id, now=task.now)

    return effect


HANDLERS: Mapping[str, Handler] = {
    tiers.RUN_JOB: run_batch,
    f"routine.{tiers.RECALCULATE}": recalculate,
}
