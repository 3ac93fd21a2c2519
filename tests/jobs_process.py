"""A worker process that tests start and kill: `python -m tests.jobs_process <database URL>`."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.core.db import Database, Transaction, open_database
from app.jobs.handlers import Effect, Task
from app.jobs.worker import Worker
from app.services import limits

# Sets the keys that the test's database was written with.
from tests import conftest as _keys  # noqa: F401

KIND = "count"
COUNTER: dict[str, Any] = {
    "subject": "effects",
    "window": timedelta(days=36_500),
    "now": datetime(2026, 1, 1, tzinfo=UTC),
}
HANDLER_S = 0.02


async def count(task: Task) -> Effect:
    """Take a moment, as a provider would, and leave one effect."""
    await asyncio.sleep(HANDLER_S)

    async def effect(tx: Transaction) -> None:
        await limits.count(tx, **COUNTER)

    return effect


def worker(database: Database, **more: Any) -> Worker:
    return Worker(database, cast("Any", None), handlers={KIND: count}, **more)


async def main(url: str) -> None:
    database = await open_database(url)
    print("ready", flush=True)  # noqa: T201  # the test waits for it
    await worker(database).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
