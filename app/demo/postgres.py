"""Members into an empty PostgreSQL database, as fast as two cores let it.

Each process generates its share of the blocks and copies it in (COPY); indexes and foreign keys
are dropped before and built after, once, by sorting. While that lasts the database says that it
is at revision `LOADING`, which no release knows: if the load dies in the middle, nothing starts on
what is left, and it is dropped and made anew.
"""

import asyncio
import gc
import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from struct import Struct
from typing import Any

import asyncpg

from app.core.crypto import Keyring
from app.demo.members import COLUMNS, Cell, Generator, Plan, Row, blocks
from app.migrations.run import LOADING

WORK_MEMORY = "256MB"
BUILDERS = 2

_CONSTRAINTS = """
SELECT conrelid::regclass::text AS table_name, conname AS name, contype::text AS kind,
       pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE contype IN ('p', 'u', 'f')
  AND (conrelid = ANY ($1::text[]::regclass[]) OR confrelid = ANY ($1::text[]::regclass[]))
ORDER BY contype, conrelid::regclass::text, conname
"""
_INDEXES = """
SELECT tablename::text AS table_name, indexname::text AS name, 'i' AS kind, indexdef AS definition
FROM pg_indexes
WHERE schemaname = current_schema() AND tablename = ANY ($1::text[])
  AND indexname NOT IN (SELECT conname FROM pg_constraint)
ORDER BY tablename, indexname
"""


_LENGTHS = tuple(length.to_bytes(4) for length in range(1_024))
"""No text here is longer."""


class BinaryForm:
    """Cells of COPY's binary format: the value's length and the value, big-endian."""

    null = b"\xff\xff\xff\xff"
    last = tuple(bytes((number,)) for number in range(256))
    _int4 = Struct(">ii").pack
    _int8 = Struct(">iq").pack
    _2000_US = 946_684_800_000_000

    def stem(self, first_15_bytes: bytes, /) -> Cell:
        return b"\0\0\0\x10" + first_15_bytes

    uuid = stem

    def text(self, value: str, /) -> Cell:
        encoded = value.encode()
        return _LENGTHS[len(encoded)] + encoded

    def int4(self, value: int, /) -> Cell:
        return self._int4(4, value)

    def int8(self, value: int, /) -> Cell:
        return self._int8(8, value)

    def moment(self, since_epoch_us: int, /) -> Cell:
        return self._int8(8, since_epoch_us - self._2000_US)

    def boolean(self, value: bool, /) -> Cell:
        return b"\0\0\0\1" + bytes((value,))

    def run(self, *cells: Cell) -> Row:
        return (b"".join(cells),)


def binary_copy(rows: list[Row], columns: int) -> bytes:
    """A COPY stream of rows made of binary cells; before each row stands its number of columns."""
    start = columns.to_bytes(2)
    signature = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    return signature + start.join(chain((b"",), map(b"".join, rows))) + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class _Part:
    """A constraint or index, and how it is made again."""

    table: str
    name: str
    kind: str
    definition: str

    @property
    def drop(self) -> str:
        if self.kind == "i":
            return f'DROP INDEX "{self.name}"'
        return f'ALTER TABLE {self.table} DROP CONSTRAINT "{self.name}"'

    @property
    def make(self) -> str:
        if self.kind == "i":
            return self.definition
        later = " NOT VALID" if self.kind == "f" else ""
        return f'ALTER TABLE {self.table} ADD CONSTRAINT "{self.name}" {self.definition}{later}'

    @property
    def validate(self) -> str:
        return f'ALTER TABLE {self.table} VALIDATE CONSTRAINT "{self.name}"'


async def load(dsn: str, plan: Plan, keyring: Callable[[], Keyring], *, processes: int) -> None:
    """Write the plan's members; with one process here and under all constraints, in one go."""
    if processes == 1:
        connection = await asyncpg.connect(dsn)
        try:
            async with connection.transaction():
                await _copy(connection, plan, keyring(), share=0, of=1)
        finally:
            await connection.close()
        return
    parts = await _take_apart(dsn)
    try:
        await _copy_in_processes(dsn, plan, keyring, processes)
    except BaseException:
        await _run(dsn, [[f"TRUNCATE {', '.join(COLUMNS)} CASCADE"]])
        raise
    finally:
        await _put_together(dsn, parts)


async def _copy_in_processes(
    dsn: str, plan: Plan, keyring: Callable[[], Keyring], processes: int
) -> None:
    # Spawned, not forked: this process has threads and an event loop.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        loop = asyncio.get_running_loop()
        shares = [
            loop.run_in_executor(pool, _copy_share, dsn, plan, keyring, share, processes)
            for share in range(processes)
        ]
        await asyncio.gather(*shares)


def _copy_share(dsn: str, plan: Plan, keyring: Callable[[], Keyring], share: int, of: int) -> None:
    gc.freeze()  # what was imported stays
    gc.disable()  # looking through millions of tuples for cycles takes a tenth of the time

    async def copy() -> None:
        connection = await asyncpg.connect(dsn, server_settings={"synchronous_commit": "off"})
        try:
            await _copy(connection, plan, keyring(), share=share, of=of)
        finally:
            await connection.close()

    asyncio.run(copy())


async def _copy(connection: Any, plan: Plan, keyring: Keyring, *, share: int, of: int) -> None:
    maker = Generator(plan, keyring, BinaryForm())
    for rows in blocks(maker, share, of):
        for table, columns in COLUMNS.items():
            if rows[table]:
                data = BytesIO(binary_copy(rows[table], len(columns)))
                await connection.copy_to_table(table, source=data, columns=columns, format="binary")
        rows.clear()
        gc.collect()  # asyncpg leaves a cycle with each COPY, and it holds the data


async def _take_apart(dsn: str) -> list[_Part]:
    """Drop what slows copying down, all or nothing."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            tables = list(COLUMNS)
            found = [
                *await connection.fetch(_CONSTRAINTS, tables),
                *await connection.fetch(_INDEXES, tables),
            ]
            parts = [_Part(*row) for row in found]
            await connection.execute(
                f"UPDATE alembic_version SET version_num = '{LOADING}/' || version_num"
            )
            # Foreign keys stand on primary keys, so they go first.
            for part in sorted(parts, key=lambda part: part.kind != "f"):
                await connection.execute(part.drop)
        return parts
    finally:
        await connection.close()


async def _put_together(dsn: str, parts: list[_Part]) -> None:
    """Make again what was dropped, a table at a time on each of `BUILDERS` connections."""
    by_table: dict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        by_table[part.table].append(part)
    keys = [
        [*(part.make for part in of_table if part.kind != "f"), f"ANALYZE {table}"]
        for table, of_table in by_table.items()
    ]
    await _run(dsn, keys)
    foreign = [part for part in parts if part.kind == "f"]
    # Adding one locks the table it points to as well, checking what is there does not.
    await _run(dsn, [[part.make for part in foreign]])
    checks = [[p.validate for p in of_table if p.kind == "f"] for of_table in by_table.values()]
    await _run(dsn, checks)
    await _run(dsn, [["UPDATE alembic_version SET version_num = split_part(version_num, '/', 2)"]])


async def _run(dsn: str, jobs: Iterable[list[str]]) -> None:
    """Run lists of commands, each list in order on one connection."""
    waiting = asyncio.Queue[list[str]]()
    for job in sorted(jobs, key=len, reverse=True):
        waiting.put_nowait(job)

    async def build() -> None:
        connection = await asyncpg.connect(
            dsn, server_settings={"maintenance_work_mem": WORK_MEMORY}
        )
        try:
            while not waiting.empty():
                for command in waiting.get_nowait():
                    await connection.execute(command)
        finally:
            await connection.close()

    await asyncio.gather(*(build() for _ in range(BUILDERS)))
