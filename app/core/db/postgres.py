"""PostgreSQL: asyncpg's connections kept in a LIFO list, statements prepared once on each.

asyncpg's own pool resets a connection at every release and reaches it through proxies, which
halves throughput (docs/decisions/0002). Nothing here leaves session state behind, so nothing
needs resetting: a connection that failed in the middle of something is closed instead.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import orjson

from app.core.db.announcer import EVENT_BYTES_MAX, Announcer
from app.core.db.statements import Prepared, Statement, insert_of
from app.core.db.transaction import (
    Announcements,
    Call,
    ConstraintViolated,
    TransientFailure,
)
from app.core.errors import DomainError

R = TypeVar("R")

TRANSIENT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,  # a migration ran beside us
)
CONNECT_TIMEOUT_S = 10
SCANS_AT_ONCE_MAX = 2
RECONNECT_PAUSE_S = 1.0
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection that breaks raises; the last, where it broke in the middle of something."""


class PostgresTransaction:
    __slots__ = ("_statements", "announcements", "connection")

    def __init__(self, connection: asyncpg.Connection, statements: dict[str, Any]) -> None:
        self.connection = connection
        self._statements = statements
        self.announcements: Announcements = []

    async def _ready(self, prepared: Prepared[Any]) -> Any:
        ready = self._statements.get(prepared.sql)
        if ready is None:
            ready = await self.connection.prepare(prepared.sql)
            self._statements[prepared.sql] = ready
        return ready

    async def all(self, statement: Statement[R], /, **values: Any) -> list[R]:
        prepared = statement.on("postgresql")
        ready = await self._ready(prepared)
        rows = await ready.fetch(*prepared.values(values))
        row = prepared.row
        return [row(raw) for raw in rows]

    async def one(self, statement: Statement[R], /, **values: Any) -> R | None:
        prepared = statement.on("postgresql")
        ready = await self._ready(prepared)
        rows = await ready.fetch(*prepared.values(values))
        return prepared.row(rows[0]) if rows else None

    async def changed(self, statement: Statement[Any], /, **values: Any) -> int:
        prepared = statement.on("postgresql")
        ready = await self._ready(prepared)
        await ready.fetch(*prepared.values(values))
        return int(ready.get_statusmsg().rsplit(" ", 1)[1])

    async def insert(self, *rows: Any) -> None:
        # Neighbours of one table travel together, in one round trip.
        for table, group in groupby(rows, key=lambda row: row.table):
            prepared = insert_of(table).on("postgresql")
            ready = await self._ready(prepared)
            values = [prepared.values(row._asdict()) for row in group]
            if len(values) == 1:
                await ready.fetch(*values[0])
            else:
                await ready.executemany(values)

    def announce(self, topic: str, event: dict[str, Any]) -> None:
        self.announcements.append((topic, event))


class _Connections:
    """Up to `most` connections, the last used first so that the warm ones stay warm."""

    def __init__(self, dsn: str, most: int, settings: dict[str, str]) -> None:
        self._dsn = dsn
        self._settings = settings
        self._idle: list[tuple[asyncpg.Connection, dict[str, Any]]] = []
        self._places = asyncio.Semaphore(most)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[tuple[asyncpg.Connection, dict[str, Any]]]:
        async with self._places:
            held = self._idle.pop() if self._idle else None
            while held is not None and held[0].is_closed():
                held = self._idle.pop() if self._idle else None
            if held is None:
                held = (await connect(self._dsn, self._settings), {})
            try:
                yield held
            except BaseException:
                # A cancelled or failed call may have left something half done.
                if held[0].is_in_transaction() or held[0].is_closed():
                    held[0].terminate()
                raise
            finally:
                if not held[0].is_closed():
                    self._idle.append(held)

    async def close(self) -> None:
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.close()


async def connect(dsn: str, settings: dict[str, str]) -> asyncpg.Connection:
    return await asyncpg.connect(
        dsn,
        server_settings={"application_name": "regulars", "timezone": "UTC"} | settings,
        timeout=CONNECT_TIMEOUT_S,
        statement_cache_size=0,  # statements are prepared and kept by PostgresTransaction
    )


class PostgresBackend:
    """The connections of one process to one database."""

    dialect_name = "postgresql"

    def __init__(self, dsn: str, *, connections: int, read_dsn: str | None = None) -> None:
        self.dsn = dsn
        writers = max(1, connections // 2)
        # Without JIT: it compiles for 100 ms what these short statements do in one.
        self._writers = _Connections(dsn, writers, {"jit": "off"})
        reading = {"jit": "off", "default_transaction_read_only": "on"}
        self._readers = _Connections(read_dsn or dsn, max(1, connections - writers), reading)
        # Long reads have their own, so that no number of them makes a short one wait.
        self._scanners = _Connections(read_dsn or dsn, SCANS_AT_ONCE_MAX, reading)

    async def open(self) -> None:
        async with self._writers.one():
            pass

    async def close(self) -> None:
        await self._writers.close()
        await self._readers.close()
        await self._scanners.close()

    async def read(self, call: Call[R]) -> R:
        # No BEGIN: each statement is its own snapshot, two round trips fewer. The connection
        # itself refuses to write.
        async with self._readers.one() as (connection, statements), _told_apart(statements):
            return await call(PostgresTransaction(connection, statements))

    async def scan(self, call: Call[R]) -> R:
        async with (
            self._scanners.one() as (connection, statements),
            _told_apart(statements),
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await call(PostgresTransaction(connection, statements))

    async def write(self, call: Call[R]) -> tuple[R, Announcements]:
        async with self._writers.one() as (connection, statements), _told_apart(statements):
            return await self._commit(PostgresTransaction(connection, statements), call)

    async def _commit(
        self, transaction: PostgresTransaction, call: Call[R]
    ) -> tuple[R, Announcements]:
        connection = transaction.connection
        await connection.execute("BEGIN")
        try:
            value = await call(transaction)
        except BaseException as error:
            kept = isinstance(error, DomainError) and error.keeps_changes
            if not connection.is_closed():
                await connection.execute("COMMIT" if kept else "ROLLBACK")
            raise
        await connection.execute("COMMIT")
        return value, transaction.announcements


@asynccontextmanager
async def _told_apart(statements: dict[str, Any]) -> AsyncIterator[None]:
    """The driver's errors as ours: what may succeed if it runs again, what never will."""
    try:
        yield
    except TRANSIENT as error:
        if isinstance(error, asyncpg.InvalidCachedStatementError):
            statements.clear()
        raise TransientFailure(str(error)) from error
    except asyncpg.IntegrityConstraintViolationError as error:
        raise ConstraintViolated(str(error)) from error


class PostgresAnnouncer(Announcer):
    """Carries announcements between processes by LISTEN/NOTIFY.

    Not inside the transactions: NOTIFY takes one lock for the whole server at COMMIT, so all
    commits would queue behind each other. What was committed is announced right after, in batches.
    """

    CHANNEL = "regulars"

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._dsn = dsn
        self._is_closing = False
        self._connecting = asyncio.Lock()
        self._reconnecting: asyncio.Task[None] | None = None
        self._process = uuid4().hex
        self._outgoing: list[str] = []
        self._sending: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None

    async def open(self) -> None:
        await self._connected()

    async def _connected(self) -> asyncpg.Connection:
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                # Nobody else gets it before it listens: a connection does one thing at a time.
                connection = await connect(self._dsn, {})
                await connection.add_listener(self.CHANNEL, self._heard)
                connection.add_termination_listener(self._lost)
                self._connection = connection
            return self._connection

    def _lost(self, _connection: Any) -> None:
        if not self._is_closing:
            self._reconnecting = asyncio.get_running_loop().create_task(self._listen_again())

    async def _listen_again(self) -> None:
        """A process that only has pages open would else stay deaf after a database restart."""
        while not self._is_closing:
            with suppress(OSError, *DRIVER_ERRORS):
                await self._connected()
                return
            await asyncio.sleep(RECONNECT_PAUSE_S)

    def announce(self, topic: str, event: dict[str, Any]) -> None:
        super().announce(topic, event)
        message = orjson.dumps({"from": self._process, "topic": topic, "event": event}).decode()
        assert len(message) <= EVENT_BYTES_MAX, topic
        self._outgoing.append(message)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._outgoing:
            messages, self._outgoing = self._outgoing, []
            with suppress(OSError, *DRIVER_ERRORS):  # best effort
                connection = await self._connected()
                await connection.execute(
                    f"SELECT pg_notify('{self.CHANNEL}', m) FROM unnest($1::text[]) AS m", messages
                )

    def _heard(self, _connection: Any, _process: int, _channel: str, payload: Any) -> None:
        message = orjson.loads(payload)
        if message["from"] != self._process:
            super().announce(message["topic"], message["event"])

    async def close(self) -> None:
        self._is_closing = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self._sending is not None:
            await self._sending
        if self._connection is not None:
            await self._connection.close()
