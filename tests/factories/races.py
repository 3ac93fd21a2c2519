"""Two service calls at once, in the one order that would do harm, without sleeping."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy import Integer, literal_column, text
from sqlmodel import select

from app.core.db import Database, Transaction, statement
from app.core.errors import DomainError, RequestError
from tests.factories.reading import one

Work = Callable[[Transaction], Coroutine[Any, Any, Any]]

INSERT = "insert"
"""To pause before the first row that is inserted."""

number_waiting = statement(
    select(literal_column("count(*)", Integer))
    .select_from(text("pg_locks JOIN pg_stat_activity USING (pid)"))
    .where(text("NOT granted AND datname = current_database()")),
    into=int,
)


def call(service: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **values: Any) -> Work:
    """A service call that waits for its transaction."""

    async def work(tx: Transaction) -> Any:
        return await service(tx, *args, **values)

    return work


class _Paused:
    """A transaction that stops before one statement, once, until it is let go."""

    def __init__(self, tx: Transaction, before: Any, reached: asyncio.Event, go: asyncio.Event):
        self.tx, self.before, self.reached, self.go = tx, before, reached, go

    async def _pause(self, what: Any) -> None:
        if what is self.before and not self.reached.is_set():
            self.reached.set()
            await self.go.wait()

    async def all(self, statement: Any, /, **values: Any) -> list[Any]:
        await self._pause(statement)
        return await self.tx.all(statement, **values)

    async def one(self, statement: Any, /, **values: Any) -> Any:
        await self._pause(statement)
        return await self.tx.one(statement, **values)

    async def changed(self, statement: Any, /, **values: Any) -> int:
        await self._pause(statement)
        return await self.tx.changed(statement, **values)

    async def insert(self, *rows: Any) -> None:
        await self._pause(INSERT)
        await self.tx.insert(*rows)

    def announce(self, topic: str, event: dict[str, Any]) -> None:
        self.tx.announce(topic, event)


async def beside(database: Database, first: Work, *, before: Any, second: Work) -> list[Any]:
    """Run the first call up to the statement `before`, then the second until it is done or waits
    for the first, then the rest of the first; what both gave, or the refusal.

    SQLite has one writer, so there the two run one after the other.
    """
    if database.dialect_name == "sqlite":
        both = (database.run(first), database.run(second))
        return _outcomes(await asyncio.gather(*both, return_exceptions=True))
    reached, go = asyncio.Event(), asyncio.Event()

    async def paused(tx: Transaction) -> Any:
        return await first(_Paused(tx, before, reached, go))

    one_task = asyncio.create_task(database.run(paused))
    await reached.wait()
    other_task = asyncio.create_task(database.run(second))
    while not other_task.done() and not await one(database, number_waiting):
        pass  # each turn waits for the server's answer, and the other goes on meanwhile
    go.set()
    return _outcomes(await asyncio.gather(one_task, other_task, return_exceptions=True))


def _outcomes(found: tuple[Any, ...]) -> list[Any]:
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, DomainError | RequestError):
            raise each
    return list(found)
