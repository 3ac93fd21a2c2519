"""A worker process that tests start and kill: `python -m tests.jobs_process <database URL>`."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from sqlmodel import select

from app.core.db import Database, Transaction, light, open_database, statement
from app.core.ids import new_id
from app.jobs.handlers import Effect, Task
from app.jobs.worker import Worker
from app.models.operations import RequestRecord

# Sets the keys that the test's database was written with.
from tests import conftest as _keys  # noqa: F401

KIND = "count"
HANDLER_S = 0.02

# A row that nothing else writes, nothing drops, and no constraint keeps from being there twice.
effects = statement(select(RequestRecord.principal_id), into=UUID)
new_effect = light(RequestRecord)


async def count(task: Task) -> Effect:
    """Take a moment, as a provider would, and leave one effect."""
    await asyncio.sleep(HANDLER_S)

    async def effect(tx: Transaction) -> None:
        await tx.insert(
            new_effect(
                principal_id=task.id,
                operation="effect",
                request_key=new_id().hex,
                fingerprint="",
                answer_id=task.id,
                recorded_at=datetime.now(UTC),
            )
        )

    return effect


def worker(database: Database, **more: Any) -> Worker:
    return Worker(database, cast("Any", None), handlers={KIND: count}, **more)


async def main(url: str) -> None:
    database = await open_database(url)
    print("ready", flush=True)  # noqa: T201  # the test waits for it
    await worker(database).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
