"""Members into an empty SQLite database: one writer, and processes that generate for it.

SQLite has one writer, so generating is what others can do: their blocks come over pipes. The
indexes that are not constraints are dropped before and made after; those of PRIMARY KEY and
UNIQUE cannot be. All of it is one transaction: whatever interrupts it leaves the database as it
was.
"""

import gc
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import lru_cache
from marshal import dumps, loads
from multiprocessing.connection import Connection

from app.core.crypto import Keyring
from app.demo.members import COLUMNS, DAY_US, EPOCH, Cell, Generator, Plan, Row, Rows, blocks

CACHE_KIB = 256 * 1_024
"""For the unique indexes, into which a million members write all over the place."""

_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"


class SqliteForm:
    """Cells as SQLAlchemy writes them on SQLite: ids as 32 hex digits, moments as text."""

    null = None
    last = tuple(f"{number:02x}" for number in range(256))
    stem = staticmethod(bytes.hex)
    uuid = staticmethod(bytes.hex)
    text = staticmethod(str)
    int4 = staticmethod(int)
    int8 = staticmethod(int)
    boolean = staticmethod(bool)

    def moment(self, since_epoch_us: int, /) -> Cell:
        seconds, us = divmod(since_epoch_us % DAY_US, 1_000_000)
        minutes, second = divmod(seconds, 60)
        hour, minute = divmod(minutes, 60)
        return f"{_day(since_epoch_us // DAY_US)} {hour:02d}:{minute:02d}:{second:02d}.{us:06d}"

    def run(self, *cells: Cell) -> Row:
        return cells


@lru_cache(maxsize=2_000)
def _day(days: int) -> str:
    return (EPOCH + timedelta(days=days)).date().isoformat()


def load(path: str, plan: Plan, keyring: Callable[[], Keyring], *, processes: int) -> None:
    """Write the plan's members; beyond one process, the others generate."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if processes > 1:
            # A rollback journal keeps what the transaction overwrites, which is nothing but the
            # first pages; a write-ahead log would write all of it twice.
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        # What the generator makes is tested to point where it should; checking each of twenty
        # million rows would take longer than writing it.
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("BEGIN IMMEDIATE")
        try:
            _write(connection, plan, keyring, processes)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("ANALYZE")


def _write(
    connection: sqlite3.Connection, plan: Plan, keyring: Callable[[], Keyring], processes: int
) -> None:
    marks = ", ".join("?" * len(COLUMNS))
    tables = tuple(COLUMNS)
    where = f" AND tbl_name IN ({marks})"
    indexes = connection.execute(_INDEXES + where, tables).fetchall()
    for name, _definition in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    inserts = {
        table: f"INSERT INTO {table} ({', '.join(columns)}) "
        f"VALUES ({', '.join('?' * len(columns))})"
        for table, columns in COLUMNS.items()
    }
    with _source(plan, keyring, processes) as made:
        for rows in made:
            for table, insert in inserts.items():
                connection.executemany(insert, rows.get(table, ()))
    for _name, definition in indexes:
        connection.execute(definition)


@contextmanager
def _source(plan: Plan, keyring: Callable[[], Keyring], processes: int) -> Iterator[Iterator[Rows]]:
    """The blocks in their order, made here or by `processes` − 1 others."""
    if processes == 1:
        yield blocks(Generator(plan, keyring(), SqliteForm()), 0, 1)
        return
    context = multiprocessing.get_context("spawn")
    of = processes - 1
    pipes = [context.Pipe(duplex=False) for _ in range(of)]
    workers = [
        context.Process(target=_send_share, args=(pipe[1], plan, keyring, share, of), daemon=True)
        for share, pipe in enumerate(pipes)
    ]
    for worker in workers:
        worker.start()
    for _, sending in pipes:
        sending.close()  # theirs: so that the end of a worker is the end of its pipe
    try:
        yield _received(plan, [receiving for receiving, _ in pipes])
    finally:
        for receiving, _ in pipes:
            receiving.close()
        for worker in workers:
            worker.terminate()
            worker.join()


def _received(plan: Plan, pipes: list[Connection]) -> Iterator[Rows]:
    for number in plan.blocks:
        rows: Rows = loads(pipes[number % len(pipes)].recv_bytes())  # noqa: S302  # our own child
        yield rows


def _send_share(
    pipe: Connection, plan: Plan, keyring: Callable[[], Keyring], share: int, of: int
) -> None:
    gc.disable()  # millions of tuples and not one cycle
    for rows in blocks(Generator(plan, keyring(), SqliteForm()), share, of):
        pipe.send_bytes(dumps(dict(rows), 2))
