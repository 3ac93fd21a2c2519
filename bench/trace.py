"""What a request asks of the database: its statements as the driver gets them, and their scopes.

The raw side of a measurement replays what was recorded, so it stays the same work whatever the
product becomes. Recording happens in a transaction that is rolled back.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import asyncpg

from app.core.db import Database, Transaction
from app.core.db.announcer import Announcer
from app.core.db.postgres import PostgresTransaction
from app.core.db.postgres import connect as connect_postgres
from app.core.db.sqlite import SqliteTransaction, drive
from app.core.db.sqlite import connect as connect_sqlite


@dataclass(frozen=True, slots=True)
class Step:
    """One statement; with more than one row of values it is sent as a batch."""

    sql: str
    rows: list[list[Any]]


@dataclass(slots=True)
class Scope:
    """The statements of one service call: a transaction if it writes."""

    kind: Literal["run", "read"]
    steps: list[Step] = field(default_factory=list)


class TracingDatabase(Database):
    """Runs every service call in one transaction, notes it all and undoes it."""

    def __init__(self, transaction: "_SqliteTracer | _PostgresTracer") -> None:
        super().__init__(cast("Any", None), Announcer())
        self._transaction = transaction
        self.scopes: list[Scope] = []
        self._turn = asyncio.Lock()

    async def run(self, work: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await self._call("run", work, args, kwargs)

    async def read(self, work: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await self._call("read", work, args, kwargs)

    async def _call(self, kind: Literal["run", "read"], work: Any, args: Any, kwargs: Any) -> Any:
        async with self._turn:  # fields that run side by side share the one connection
            scope = Scope(kind)
            self.scopes.append(scope)
            self._transaction.steps = scope.steps
            return await self._transaction.call(lambda tx: work(tx, *args, **kwargs))

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[list[Scope]]:
        """What runs meanwhile is noted, and rolled back at the end."""
        self.scopes = []
        await self._transaction.execute("BEGIN")
        try:
            yield self.scopes
        finally:
            await self._transaction.execute("ROLLBACK")

    async def close(self) -> None:
        await self._transaction.close()


async def open_tracing(url: str) -> TracingDatabase:
    """A tracing database on a connection of its own."""
    if url.startswith("sqlite"):
        return TracingDatabase(_SqliteTracer(connect_sqlite(url.removeprefix("sqlite:///"))))
    return TracingDatabase(_PostgresTracer(await connect_postgres(url, {"jit": "off"})))


class _SqliteTracer:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.steps: list[Step] = []

    async def call(self, work: Callable[[Transaction], Any]) -> Any:
        return drive(work(SqliteTransaction(cast("Any", _TracedConnection(self)))))

    async def execute(self, sql: str) -> None:
        self._connection.execute(sql)

    async def close(self) -> None:
        self._connection.close()

    def run(self, sql: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self.steps.append(Step(sql, [list(values)]))
        return self._connection.execute(sql, values)


class _TracedConnection:
    def __init__(self, tracer: _SqliteTracer) -> None:
        self.execute = tracer.run


class _PostgresTracer(PostgresTransaction):
    __slots__ = ("steps",)

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__(connection, {})
        self.steps: list[Step] = []

    async def call(self, work: Callable[[Transaction], Any]) -> Any:
        return await work(self)

    async def execute(self, sql: str) -> None:
        await self.connection.execute(sql)

    async def close(self) -> None:
        await self.connection.close()

    async def _ready(self, prepared: Any) -> Any:
        return _TracedStatement(await super()._ready(prepared), prepared.sql, self.steps)


class _TracedStatement:
    def __init__(self, statement: Any, sql: str, steps: list[Step]) -> None:
        self._statement = statement
        self._sql = sql
        self._steps = steps
        self.get_statusmsg = statement.get_statusmsg

    async def fetch(self, *values: Any) -> Any:
        self._steps.append(Step(self._sql, [list(values)]))
        return await self._statement.fetch(*values)

    async def executemany(self, rows: list[Any]) -> None:
        self._steps.append(Step(self._sql, [list(row) for row in rows]))
        await self._statement.executemany(rows)
