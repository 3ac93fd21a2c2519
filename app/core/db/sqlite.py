"""SQLite: one writer with group commit in aiosqlite's thread, short reads in the event loop.

A service is a coroutine that awaits nothing but its transaction, and here the transaction never
suspends, so a whole service call is driven to its end in one go (`drive`): in the writer's thread
for writing, where one hop pays for all its statements, and in the event loop itself for short
reads, where a hop would cost more than the statements (docs/decisions/0002). Reports and checks,
which are not short, use `scan` and have a thread of their own.

Group commit: whatever waits when the writer comes free is one batch with one COMMIT. Each call
has a SAVEPOINT of its own, so a refusal undoes only itself, and each caller is answered after the
batch's COMMIT has reached the disk (synchronous=FULL).
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiosqlite

from app.core.db.statements import Statement, insert_of
from app.core.db.transaction import (
    Announcements,
    Call,
    ConstraintViolated,
)
from app.core.errors import DomainError

R = TypeVar("R")

BUSY_TIMEOUT_MS = 10_000
BATCH_CALLS_MAX = 256
CACHED_STATEMENTS = 1_024

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "2",  # FULL: what is acknowledged is on the disk
    "foreign_keys": "1",
    "busy_timeout": str(BUSY_TIMEOUT_MS),
}


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    # Statements begin and end transactions themselves: isolation_level=None keeps the driver's
    # own BEGIN, which is deferred and loses updates, out of the way.
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        cached_statements=CACHED_STATEMENTS,
        check_same_thread=False,  # aiosqlite connects in its thread and closes from ours
    )
    for pragma, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {pragma}={value}").fetchall()
    if read_only:
        connection.execute("PRAGMA query_only=1")
    return connection


class SqliteTransaction:
    """Runs each statement at once on the connection; its coroutines never suspend."""

    __slots__ = ("announcements", "connection")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.announcements: Announcements = []

    async def all(self, statement: Statement[R], /, **values: Any) -> list[R]:
        prepared = statement.on("sqlite")
        rows = self.connection.execute(prepared.sql, prepared.values(values)).fetchall()
        row = prepared.row
        return [row(raw) for raw in rows]

    async def one(self, statement: Statement[R], /, **values: Any) -> R | None:
        prepared = statement.on("sqlite")
        # fetchall, not fetchone: a RETURNING statement takes effect only when run to its end.
        rows = self.connection.execute(prepared.sql, prepared.values(values)).fetchall()
        return prepared.row(rows[0]) if rows else None

    async def changed(self, statement: Statement[Any], /, **values: Any) -> int:
        prepared = statement.on("sqlite")
        return self.connection.execute(prepared.sql, prepared.values(values)).rowcount

    async def insert(self, *rows: Any) -> None:
        for row in rows:
            prepared = insert_of(row.table).on("sqlite")
            self.connection.execute(prepared.sql, prepared.values(row._asdict()))

    def announce(self, topic: str, event: dict[str, Any]) -> None:
        self.announcements.append((topic, event))


def drive(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that never suspends to its end."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a service call awaited something other than its transaction")


@dataclass(slots=True)
class _Waiting:
    call: Call[Any]
    context: Context
    done: asyncio.Future[tuple[Any, Announcements]]


@dataclass(slots=True)
class _Outcome:
    value: Any = None
    refusal: BaseException | None = None
    announcements: Announcements = field(default_factory=list)


class SqliteBackend:
    """The connections of one process to one database file."""

    dialect_name = "sqlite"

    def __init__(self, path: str) -> None:
        self.path = path
        self._writer: aiosqlite.Connection
        self._scanner: aiosqlite.Connection
        self._reader: sqlite3.Connection
        self._scanning = asyncio.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._writer = await aiosqlite.Connection(lambda: connect(self.path), 64)
        self._scanner = await aiosqlite.Connection(lambda: connect(self.path, read_only=True), 64)
        self._reader = connect(self.path, read_only=True)

    async def close(self) -> None:
        while self._committing is not None:
            await self._committing
        self._reader.close()
        await self._scanner.close()
        await self._writer.close()

    async def read(self, call: Call[R]) -> R:
        return _read(self._reader, call)

    async def scan(self, call: Call[R]) -> R:
        async with self._scanning:
            return await _in_thread(self._scanner, _read, call)

    async def write(self, call: Call[R]) -> tuple[R, Announcements]:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(call, copy_context(), done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_batches())
        value, announcements = await done
        return value, announcements

    async def _commit_batches(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), BATCH_CALLS_MAX)
                batch = [self._waiting.popleft() for _ in range(size)]
                await self._commit_batch(batch)
        finally:
            self._committing = None

    async def _commit_batch(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = await _in_thread(self._writer, _commit, batch)
        except BaseException as error:
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.done.done():
                continue  # the caller went away; what was committed stays
            if outcome.refusal is not None:
                waiting.done.set_exception(outcome.refusal)
            else:
                waiting.done.set_result((outcome.value, outcome.announcements))


async def _in_thread(
    connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection, Any], R], argument: Any
) -> R:
    # aiosqlite has no public way to run more than one statement per hop. `_execute` is what all
    # its public methods are made of; the dependency is pinned to the minor release, and
    # tests/core/test_db.py fails if this stops working.
    return await connection._execute(work, connection._conn, argument)  # type: ignore[no-untyped-call, no-any-return]


def _read(connection: sqlite3.Connection, call: Call[R]) -> R:
    connection.execute("BEGIN")  # one snapshot for all its statements
    try:
        return drive(call(SqliteTransaction(connection)))
    finally:
        connection.execute("COMMIT")


def _commit(connection: sqlite3.Connection, batch: list[_Waiting]) -> list[_Outcome]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [waiting.context.run(_attempt, connection, waiting.call) for waiting in batch]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcomes


def _attempt(connection: sqlite3.Connection, call: Call[Any]) -> _Outcome:
    transaction = SqliteTransaction(connection)
    connection.execute("SAVEPOINT one_call")
    try:
        value = drive(call(transaction))
    except Exception as error:
        if not (isinstance(error, DomainError) and error.keeps_changes):
            connection.execute("ROLLBACK TO one_call")
        connection.execute("RELEASE one_call")
        if isinstance(error, sqlite3.IntegrityError):
            violated = ConstraintViolated(str(error))
            violated.__cause__ = error
            error = violated
        return _Outcome(refusal=error)
    connection.execute("RELEASE one_call")
    return _Outcome(value=value, announcements=transaction.announcements)
