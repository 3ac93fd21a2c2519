"""What every service relies on: transactions that keep or leave everything, and retries."""

import asyncio
import sqlite3
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from app.core.db import (
    ConstraintViolated,
    Database,
    Transaction,
    TransientFailure,
    any_of,
    light,
    open_database,
    statement,
)
from app.core.db.database import DatabaseUrlInvalid
from app.core.db.sqlite import SqliteBackend, connect
from app.core.errors import DomainError
from app.core.ids import new_id
from app.models.operations import RateCount

pytestmark = pytest.mark.anyio

new_count = light(RateCount)
by_subjects = statement(
    select(RateCount).where(any_of(col(RateCount.subject), "subjects")), into=RateCount
)
add_one = statement(
    update(RateCount)
    .where(col(RateCount.subject) == bindparam("of_subject"))
    .values(count=RateCount.count + 1)
)
count_all = statement(select(func.count()).select_from(RateCount), into=int)


class Refused(DomainError): ...


class RefusedButKept(DomainError):
    keeps_changes = True


async def put(tx: Transaction, subject: str, now: datetime, error: Exception | None = None) -> None:
    await tx.insert(new_count(subject=subject, window_start=now, count=1))
    if error is not None:
        raise error


async def subjects(tx: Transaction) -> set[str]:
    return {row.subject for row in await tx.all(by_subjects, subjects=["a", "b", "c"])}


async def test_a_refusal_leaves_nothing_and_touches_nobody_else(
    database: Database, now: datetime
) -> None:
    """Calls made at once share a commit on SQLite: one's refusal must not be another's."""
    outcomes = await asyncio.gather(
        database.run(put, "a", now),
        database.run(put, "b", now, Refused()),
        database.run(put, "c", now),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert await database.read(subjects) == {"a", "c"}


async def test_a_refusal_that_counts_is_kept(database: Database, now: datetime) -> None:
    with pytest.raises(RefusedButKept):
        await database.run(put, "a", now, RefusedButKept())
    assert await database.read(subjects) == {"a"}


async def test_a_crash_leaves_nothing(database: Database, now: datetime) -> None:
    with pytest.raises(ZeroDivisionError):
        await database.run(put, "a", now, ZeroDivisionError())
    assert await database.read(subjects) == set()


async def test_a_transient_failure_is_run_again_within_a_limit(
    database: Database, now: datetime
) -> None:
    tries: list[int] = []

    async def fails_twice(tx: Transaction) -> int:
        tries.append(len(tries))
        await put(tx, "a", now, TransientFailure() if len(tries) < 3 else None)
        return len(tries)

    async def always_fails(tx: Transaction) -> None:
        raise TransientFailure

    assert await database.run(fails_twice) == 3
    assert await database.read(subjects) == {"a"}
    with pytest.raises(TransientFailure):
        await database.run(always_fails)


async def test_a_duplicate_is_tried_once_more_and_then_told(
    database: Database, now: datetime
) -> None:
    await database.run(put, "a", now)
    with pytest.raises(ConstraintViolated):
        await database.run(put, "a", now)


async def test_no_update_is_lost(database: Database, now: datetime) -> None:
    """Stock SQLModel on SQLite lost most of these."""
    await database.run(put, "a", now)

    async def bump(tx: Transaction) -> None:
        assert await tx.changed(add_one, of_subject="a") == 1

    await asyncio.gather(*(database.run(bump) for _ in range(400)))
    (row,) = await database.read(_rows)
    assert row.count == 401


async def _rows(tx: Transaction) -> list[RateCount]:
    return await tx.all(by_subjects, subjects=["a"])


async def test_rows_come_back_as_they_went_in(database: Database, now: datetime) -> None:
    key = new_id()
    await database.run(_insert, new_count(id=key, subject="a", window_start=now, count=7))
    (row,) = await database.read(_rows)
    assert (row.id, row.subject, row.window_start, row.count) == (key, "a", now, 7)
    assert isinstance(row.id, UUID)
    assert row.window_start.tzinfo is not None


async def _insert(tx: Transaction, *rows: Any) -> None:
    await tx.insert(*rows)


@pytest.mark.parametrize("length", [0, 1, 5_000])
async def test_a_list_is_one_parameter_whatever_its_length(
    database: Database, now: datetime, length: int
) -> None:
    await database.run(put, "a", now)

    async def look(tx: Transaction) -> int:
        names = [f"s{n}" for n in range(length)]
        return len(await tx.all(by_subjects, subjects=[*names, "a"][:length]))

    assert await database.read(look) == 0


async def test_reading_cannot_write(database: Database, now: datetime) -> None:
    with pytest.raises(Exception, match=r"readonly|read-only"):
        await database.read(put, "a", now)
    assert await database.read(subjects) == set()


async def test_a_scan_sees_one_moment(database: Database, now: datetime) -> None:
    async def twice(tx: Transaction) -> tuple[int | None, int | None]:
        return await tx.one(count_all), await tx.one(count_all)

    before, after = await database.scan(twice)
    assert before == after == 0


async def test_news_reaches_listeners_after_the_commit_only(
    database: Database, now: datetime
) -> None:
    async def announce(tx: Transaction, text: str, error: Exception | None = None) -> None:
        tx.announce("topic", {"text": text})
        await put(tx, text, now, error)

    async with database.listen("topic", "other") as events:
        with pytest.raises(Refused):
            await database.run(announce, "refused", Refused())
        await database.run(announce, "a")
        assert await anext(events) == {"text": "a"}


async def test_news_crosses_processes_on_postgresql(postgresql_engine: Any, now: datetime) -> None:
    url = await postgresql_engine.make(None)
    one, other = await open_database(url), await open_database(url)

    async def announce(tx: Transaction) -> None:
        tx.announce("topic", {"n": 1})

    try:
        async with one.listen("topic") as here, other.listen("topic") as there:
            await one.run(announce)
            async with asyncio.timeout(10):
                assert await anext(here) == await anext(there) == {"n": 1}
    finally:
        await one.close()
        await other.close()
        await postgresql_engine.drop(url)


async def test_a_process_hears_again_after_the_database_cut_it_off(
    postgresql_engine: Any, now: datetime
) -> None:
    url = await postgresql_engine.make(None)
    here, there = await open_database(url), await open_database(url)

    async def announce(tx: Transaction) -> None:
        tx.announce("topic", {"n": 1})

    async def cut_off(tx: Any) -> None:
        await tx.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )

    try:
        async with here.listen("topic") as events:
            await there.run(cut_off)
            heard = asyncio.ensure_future(anext(events))
            async with asyncio.timeout(20):
                while not heard.done():
                    await there.run(announce)
                    await asyncio.wait([heard], timeout=0.1)
            assert heard.result() == {"n": 1}
    finally:
        await here.close()
        await there.close()
        await postgresql_engine.drop(url)


async def test_a_duplicate_after_a_transient_failure_is_tried_once_more(
    database: Database, now: datetime
) -> None:
    """The two kinds of trouble have budgets of their own."""
    troubles: list[Exception] = [TransientFailure(), ConstraintViolated()]

    async def unlucky(tx: Transaction) -> int:
        if troubles:
            raise troubles.pop(0)
        return 7

    assert await database.run(unlucky) == 7


async def test_a_read_that_had_to_give_way_runs_again(database: Database) -> None:
    troubles: list[Exception] = [TransientFailure(), TransientFailure()]

    async def unlucky(tx: Transaction) -> int:
        if troubles:
            raise troubles.pop(0)
        return 7

    assert await database.read(unlucky) == 7


async def test_sqlite_connections_are_safe(sqlite_engine: Any) -> None:
    """WAL, FULL, foreign keys, a busy time-out: on every connection (style.md, facts)."""
    connection = connect(sqlite_engine.template)
    try:
        for pragma, expected in (
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("busy_timeout", 10_000),
        ):
            assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == expected
    finally:
        connection.close()


async def test_a_service_cannot_await_the_outside_world_on_sqlite(tmp_path: Any) -> None:
    """The writer would be held meanwhile; see SqliteBackend."""
    sqlite3.connect(tmp_path / "t.db").close()
    backend = SqliteBackend(str(tmp_path / "t.db"))
    await backend.open()

    async def dawdles(tx: Transaction) -> None:
        await asyncio.sleep(0)

    try:
        with pytest.raises(RuntimeError, match="other than its transaction"):
            await backend.write(dawdles)
    finally:
        await backend.close()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:"]
)
async def test_a_bad_url_is_told_in_a_line(url: str) -> None:
    with pytest.raises(DatabaseUrlInvalid) as told:
        await open_database(url)
    assert "\n" not in str(told.value)
