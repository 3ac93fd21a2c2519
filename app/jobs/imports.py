"""Spreadsheets that were brought in, worked off some rows at a time (MEM-2, GFT-5)."""

from collections.abc import Mapping
from uuid import UUID

from app.core.db import Transaction
from app.jobs.tasks import Effect, Handler, Task
from app.services import imports
from app.services.import_kinds import KINDS


async def work_on_import(task: Task) -> Effect:
    """The next rows, and on to those after them."""

    async def work(tx: Transaction) -> None:
        await imports.work_on(tx, KINDS, import_id=UUID(task.payload["import_id"]), now=task.now)

    return work


HANDLERS: Mapping[str, Handler] = {imports.JOB: work_on_import}
