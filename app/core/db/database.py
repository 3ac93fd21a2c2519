"""The one door to the database: `run` writes, `read` and `scan` do not."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from prometheus_client import Counter, Histogram
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.core.db.announcer import Announcer
from app.core.db.sqlite import SqliteBackend
from app.core.db.transaction import ConstraintViolated, Transaction, TransientFailure

if TYPE_CHECKING:
    from app.core.db.postgres import PostgresBackend

P = ParamSpec("P")
R = TypeVar("R")
Work = Callable[Concatenate[Transaction, P], Coroutine[Any, Any, R]]

ATTEMPTS_MAX = 4
"""How often one service call is run when the database makes it give way."""

CONSTRAINT_ATTEMPTS_MAX = 2

CALL_SECONDS = Histogram(
    "regulars_service_call_seconds",
    "Time of one service call, transaction included.",
    ("service", "mode"),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
CALL_RETRIES = Counter(
    "regulars_service_call_retries_total", "Service calls run again.", ("service", "reason")
)


class DatabaseUrlInvalid(ValueError):
    """The database URL cannot be used; the text says why in one line."""


class Database:
    """Transactions on one SQLite file or PostgreSQL database, and what they announce."""

    def __init__(self, backend: "SqliteBackend | PostgresBackend", announcer: Announcer) -> None:
        self.backend = backend
        self.announcer = announcer

    @property
    def dialect_name(self) -> str:
        return self.backend.dialect_name

    async def run(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one service call as one transaction: commit when it returns, roll back if it raises.

        A transaction the database made give way runs again, within a limit. A duplicate key
        usually means that the same request arrived twice at once, so the loser runs once more
        and finds what the winner left.
        """
        call = partial(_call, work, args, kwargs)
        started = perf_counter()
        try:
            refused_by_constraint = 0
            for attempt in range(1, ATTEMPTS_MAX + 1):
                try:
                    value, announcements = await self.backend.write(call)
                except ConstraintViolated:
                    refused_by_constraint += 1
                    if refused_by_constraint >= CONSTRAINT_ATTEMPTS_MAX or attempt == ATTEMPTS_MAX:
                        raise
                    CALL_RETRIES.labels(_name(work), "constraint").inc()
                except TransientFailure:
                    if attempt == ATTEMPTS_MAX:
                        raise
                    CALL_RETRIES.labels(_name(work), "transient").inc()
                else:
                    for topic, event in announcements:
                        self.announcer.announce(topic, event)
                    return value  # type: ignore[no-any-return]
            raise AssertionError("unreachable")
        finally:
            CALL_SECONDS.labels(_name(work), "run").observe(perf_counter() - started)

    async def read(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a short service call that only reads; a replica may serve it.

        A replica may end a read in favour of what it replays: such a call runs again.
        """
        call = partial(_call, work, args, kwargs)
        started = perf_counter()
        try:
            for _ in range(1, ATTEMPTS_MAX):
                try:
                    return await self.backend.read(call)
                except TransientFailure:
                    CALL_RETRIES.labels(_name(work), "transient").inc()
            return await self.backend.read(call)
        finally:
            CALL_SECONDS.labels(_name(work), "read").observe(perf_counter() - started)

    async def scan(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a long reading call on one snapshot, away from everybody's short ones."""
        return await self.backend.scan(partial(_call, work, args, kwargs))

    @asynccontextmanager
    async def listen(self, *topics: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Events announced under these topics from now on, by any process."""
        async with self.announcer.listen(*topics) as events:
            yield events

    async def close(self) -> None:
        await self.announcer.close()
        await self.backend.close()


async def open_database(
    url: str, *, connections: int = 10, read_url: str | None = None
) -> Database:
    """Connect to `sqlite:///file` or `postgresql://user@host/name`, drivers' names optional."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUrlInvalid(f"Not a database URL: {error}") from None
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise DatabaseUrlInvalid("SQLite needs a file: sqlite:///regulars.db")
            lite = SqliteBackend(parsed.database)
            await lite.open()
            return Database(lite, Announcer())
        case "postgresql":
            # Here and not at the top: asyncpg is an extra that SQLite alone does without.
            from app.core.db.postgres import PostgresAnnouncer, PostgresBackend

            dsn = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
            backend = PostgresBackend(dsn, connections=connections, read_dsn=read_url)
            await backend.open()
            announcer = PostgresAnnouncer(dsn)
            await announcer.open()
            return Database(backend, announcer)
        case other:
            raise DatabaseUrlInvalid(f"Neither sqlite nor postgresql: {other}")


def _call(work: Any, args: Any, kwargs: Any, transaction: Transaction) -> Any:
    return work(transaction, *args, **kwargs)


def _name(work: Any) -> str:
    return f"{work.__module__.rpartition('.')[2]}.{work.__name__}"
