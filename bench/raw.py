"""The database's own limit: recorded statements sent again, with no product around them.

A request is recorded twice and rolled back both times. What differs between the two recordings is
what a request makes up (ids, keys, order numbers), and is made up anew at every replay.
"""

import asyncio
import random
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from app.core.db.postgres import connect as connect_postgres
from app.core.db.sqlite import connect as connect_sqlite
from app.core.ids import new_id
from bench.trace import Scope

_HEX_ID = re.compile(r"[0-9a-f]{32}")

Place = tuple[int, int, int]
"""A row and a column of a step's values, and which of the replay's new values belongs there."""


@dataclass(frozen=True, slots=True)
class _Step:
    sql: str
    rows: list[list[Any]]
    places: list[Place]

    def values(self, fresh: Sequence[Any]) -> list[list[Any]]:
        rows = [row.copy() for row in self.rows]
        for row, column, which in self.places:
            rows[row][column] = fresh[which]
        return rows


@dataclass(frozen=True, slots=True)
class Replay:
    """One request's statements, scope by scope, and the makers of its new values."""

    scopes: list[tuple[bool, list[_Step]]]
    makers: list[Callable[[], Any]]

    def fresh(self) -> list[Any]:
        return [make() for make in self.makers]

    @property
    def statements(self) -> int:
        return sum(len(steps) for _, steps in self.scopes)

    @property
    def transactions(self) -> int:
        return sum(is_run for is_run, _ in self.scopes)


def replay_of(one: list[Scope], other: list[Scope], *, unique: tuple[str, str]) -> Replay:
    """What to send for a request that was recorded twice with the two texts of `unique`."""
    assert [[step.sql for step in s.steps] for s in one] == [
        [step.sql for step in s.steps] for s in other
    ], "two recordings of one request differ in their statements"
    numbers: dict[Any, int] = {}
    makers: list[Callable[[], Any]] = []
    scopes = []
    for scope, again in zip(one, other, strict=True):
        steps = []
        for step, same in zip(scope.steps, again.steps, strict=True):
            places = []
            for row, values in enumerate(step.rows):
                for column, value in enumerate(values):
                    make = _maker(value, unique)
                    if make is None or value == same.rows[row][column]:
                        continue
                    if value not in numbers:
                        numbers[value] = len(makers)
                        makers.append(make)
                    places.append((row, column, numbers[value]))
            steps.append(_Step(step.sql, step.rows, places))
        scopes.append((scope.kind == "run", steps))
    return Replay(scopes, makers)


def _maker(value: Any, unique: tuple[str, str]) -> Callable[[], Any] | None:
    if isinstance(value, UUID):
        return new_id
    if value in unique:
        return lambda: new_id().hex[-len(unique[0]) :]
    if isinstance(value, str) and _HEX_ID.fullmatch(value):
        return lambda: new_id().hex
    return None


async def postgres_per_second(
    url: str, replays: Sequence[Replay], *, clients: int, seconds: float
) -> float:
    """Prepared statements on a plain asyncpg connection for each client."""
    connections = [await connect_postgres(url, {"jit": "off"}) for _ in range(clients)]
    try:
        prepared: list[dict[str, Any]] = [{} for _ in connections]
        for connection, statements in zip(connections, prepared, strict=True):
            await _replay_postgres(connection, statements, replays[0])
        started = time.perf_counter()
        done = await asyncio.gather(
            *(
                _postgres_client(connection, statements, replays, started + seconds)
                for connection, statements in zip(connections, prepared, strict=True)
            )
        )
        return sum(done) / (time.perf_counter() - started)
    finally:
        for connection in connections:
            await connection.close()


async def _postgres_client(
    connection: asyncpg.Connection,
    statements: dict[str, Any],
    replays: Sequence[Replay],
    until: float,
) -> int:
    done = 0
    while time.perf_counter() < until:
        await _replay_postgres(connection, statements, random.choice(replays))
        done += 1
    return done


async def _replay_postgres(
    connection: asyncpg.Connection, statements: dict[str, Any], replay: Replay
) -> None:
    fresh = replay.fresh()
    for is_run, steps in replay.scopes:
        if is_run:
            await connection.execute("BEGIN")
        for step in steps:
            statement = statements.get(step.sql)
            if statement is None:
                statement = statements[step.sql] = await connection.prepare(step.sql)
            rows = step.values(fresh)
            if len(rows) == 1:
                await statement.fetch(*rows[0])
            else:
                await statement.executemany(rows)
        if is_run:
            await connection.execute("COMMIT")


def sqlite_per_second(path: str, replays: Sequence[Replay], *, batch: int, seconds: float) -> float:
    """The standard library's driver; with a batch above 1, requests share their commits.

    A batch is as many requests as there are clients, each in a savepoint of its own.
    """
    connection = connect_sqlite(path)
    try:
        started = time.perf_counter()
        done = 0
        while time.perf_counter() < started + seconds:
            chosen = [random.choice(replays) for _ in range(batch)]
            _replay_sqlite(connection, chosen)
            done += batch
        return done / (time.perf_counter() - started)
    finally:
        connection.close()


def _replay_sqlite(connection: sqlite3.Connection, chosen: Sequence[Replay]) -> None:
    execute = connection.execute
    fresh = [replay.fresh() for replay in chosen]
    for number, (is_run, _) in enumerate(chosen[0].scopes):
        execute("BEGIN IMMEDIATE" if is_run else "BEGIN")
        for replay, values in zip(chosen, fresh, strict=True):
            if is_run and len(chosen) > 1:
                execute("SAVEPOINT one_call")
            for step in replay.scopes[number][1]:
                for row in step.values(values):
                    execute(step.sql, row).fetchall()
            if is_run and len(chosen) > 1:
                execute("RELEASE one_call")
        execute("COMMIT")
