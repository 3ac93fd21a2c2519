"""The outbox and its worker: at least once, with exactly one effect; and the regular duties."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlmodel import col, func, select

from app.core.db import Database, Transaction, light, open_database, statement
from app.jobs.handlers import Task
from app.jobs.outside import DatabaseTokens
from app.jobs.worker import FAILED, OLDEST_AGE, OPEN, Worker
from app.models.identities import VerificationCode
from app.models.operations import AuditRecord, Job, RateCount
from app.models.sessions import PrincipalKind, Ticket
from app.services import audit, jobs, limits, retention, tickets
from app.services.actors import Actor
from app.services.retention import first_id_at
from tests import jobs_process
from tests.factories.identities import Clock
from tests.factories.members import SEND, Server, a_server
from tests.factories.reading import every, one

pytestmark = pytest.mark.anyio

JOBS = 60
READY_S = 30

all_jobs = statement(select(Job).order_by(col(Job.id)), into=Job)
count_done = statement(
    select(func.count()).select_from(Job).where(col(Job.done_at).is_not(None)), into=int
)
sealed = statement(
    select(func.count()).select_from(AuditRecord).where(col(AuditRecord.sequence).is_not(None)),
    into=int,
)


async def write_down(tx: Transaction, *, count: int, now: datetime) -> None:
    for _ in range(count):
        await jobs.enqueue(tx, jobs_process.KIND, {"secret": "13800000001"}, now=now)


def worker_with(database: Database, handler: Any, **more: Any) -> Worker:
    return Worker(database, cast("Any", None), handlers={jobs_process.KIND: handler}, **more)


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Server]:
    async with a_server(database) as server:
        yield server


async def test_workers_killed_midway_leave_one_effect_each(
    database: Database, database_url: str
) -> None:
    """Two processes work, one dies by SIGKILL, and what it held is done by another."""
    started = datetime.now(UTC)
    await database.run(write_down, count=JOBS, now=started)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.jobs_process",
            database_url,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    try:
        victim = processes[0]
        assert victim.stdout is not None
        async with asyncio.timeout(READY_S):
            await victim.stdout.readline()
            while not await one(database, count_done):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.005)
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    # Leases of the dead have run out a minute later.
    later = Clock(datetime.now(UTC) + jobs.LEASE + timedelta(seconds=1))
    await jobs_process.worker(database, clock=later).drain()
    assert await one(database, count_done) == JOBS
    done = {job.id for job in await every(database, all_jobs)}
    assert sorted(await every(database, jobs_process.effects)) == sorted(done)


async def test_a_job_done_by_two_workers_has_one_effect(database: Database, now: datetime) -> None:
    """A worker too slow for its lease: another did the job meanwhile."""
    await database.run(write_down, count=1, now=now)
    slow = jobs_process.worker(database, clock=Clock(now))
    (held,) = await database.run(jobs.lease, worker=slow.name, now=now)
    fast = jobs_process.worker(database, clock=Clock(now + jobs.LEASE))
    assert await fast.drain() == 1
    await slow._do(held)
    assert await every(database, jobs_process.effects) == [held.id]


async def test_a_worker_wakes_when_work_is_written_down(database: Database) -> None:
    done = asyncio.Event()

    async def handler(task: Task) -> None:
        done.set()

    worker = worker_with(database, handler, poll_s=60.0)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.2)
    async with asyncio.timeout(5):
        await database.run(write_down, count=1, now=datetime.now(UTC))
        await done.wait()
        worker.stop()
        await running
    (job,) = await every(database, all_jobs)
    assert (job.done_at is not None, job.payload) == (True, "{}")


async def test_a_stopping_worker_finishes_what_it_began(database: Database) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def handler(task: Task) -> None:
        begun.set()
        await may_end.wait()

    await database.run(write_down, count=1, now=datetime.now(UTC))
    worker = worker_with(database, handler)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(5):
        await begun.wait()
        worker.stop()
        await asyncio.sleep(0)
        assert not running.done()
        may_end.set()
        await running
    assert await one(database, count_done) == 1


async def test_a_failing_job_waits_longer_each_time_and_is_given_up(
    database: Database, now: datetime
) -> None:
    async def handler(task: Task) -> None:
        raise ValueError(task.payload["secret"])

    await database.run(write_down, count=1, now=now)
    clock, waits = Clock(now), []
    worker = worker_with(database, handler, clock=clock)
    before = FAILED.labels(jobs_process.KIND)._value.get()
    for _ in range(jobs.ATTEMPTS_MAX):
        assert await worker.drain() == 1
        (job,) = await every(database, all_jobs)
        waits.append((job.run_at - clock.now).total_seconds())
        clock.now = max(job.run_at, clock.now)
    assert waits[:-1] == [2, 4, 8, 16, 32, 64, 128]
    assert job.failed_at == clock.now
    assert job.error == "ValueError"  # and not what was in the payload
    assert FAILED.labels(jobs_process.KIND)._value.get() == before + 1
    clock.advance(days=1)
    assert await worker.drain() == 0


async def test_a_busy_provider_is_asked_again_and_a_refusal_is_final(server: Server) -> None:
    server.state.faults.order("sms", "500", 1)
    await server.ask(SEND, channel="SMS", target="+8613800000001", purpose="SIGN_IN")
    await server.worker.drain()
    assert server.state.inbox.to("+8613800000001") == []
    server.clock.advance(seconds=2)
    await server.worker.drain()
    assert len(server.state.inbox.to("+8613800000001")) == 1
    server.state.sms_templates = {"other": ""}
    await server.ask(SEND, channel="SMS", target="+8613800000002", purpose="SIGN_IN")
    await server.worker.drain()
    job = (await every(server.database, all_jobs))[-1]
    assert (job.attempts, job.failed_at is not None) == (1, True)


async def test_an_expired_code_is_not_sent(server: Server) -> None:
    await server.ask(SEND, channel="SMS", target="+8613800000001", purpose="SIGN_IN")
    server.clock.advance(minutes=5)
    await server.worker.drain()
    assert server.state.inbox.to("+8613800000001") == []
    assert await one(server.database, count_done) == 1


async def test_the_audit_chain_is_sealed(server: Server, now: datetime) -> None:
    actor = Actor(PrincipalKind.STAFF, first_id_at(now), server.group.id, ())

    async def act(tx: Transaction) -> None:
        for _ in range(3):
            await audit.record(tx, actor, "x", object_kind="x", object_id=None, now=now)

    await server.database.run(act)
    await server.worker.seal()
    assert await one(server.database, sealed) == 3
    verdict = await server.database.scan(audit.verify, group_id=server.group.id)
    assert (verdict.checked, verdict.broken, verdict.unsealed) == (3, None, 0)


async def test_what_nobody_needs_is_dropped(server: Server) -> None:
    now, day = server.clock.now, timedelta(days=1)

    async def made(tx: Transaction, *, at: datetime, count: int) -> None:
        for n in range(count):
            await limits.count(tx, subject=f"{at}{n}", window=timedelta(hours=1), now=at)
        await tickets.issue(tx, purpose="x", payload={}, now=at, life=timedelta(minutes=1))
        key: dict[str, Any] = {"id": first_id_at(at), "kind": "x", "payload": "{}", "run_at": at}
        await tx.insert(light(Job)(**key, done_at=at))
        await tx.insert(light(Job)(**key | {"id": first_id_at(at + day / 9)}, failed_at=at))

    await server.database.run(made, at=now - 9 * day, count=retention.BATCH + 1)
    await server.database.run(made, at=now, count=2)
    await server.ask(SEND, channel="SMS", target="+8613800000001", purpose="SIGN_IN")
    await server.worker.forget()
    left = {
        table: await one(
            server.database, statement(select(func.count()).select_from(table), into=int)
        )
        for table in (Ticket, Job, VerificationCode)
    }
    # Of the old ones only the failed job stays, for somebody to look at.
    assert left == {Ticket: 1, Job: 4, VerificationCode: 1}
    old = statement(
        select(func.count())
        .select_from(RateCount)
        .where(col(RateCount.window_start) < now - 2 * day),
        into=int,
    )
    assert await one(server.database, old) == 0


async def test_the_backlog_is_measured(database: Database, now: datetime) -> None:
    await database.run(write_down, count=2, now=now)
    worker = jobs_process.worker(database, clock=Clock(now + timedelta(seconds=90)))
    await worker.measure()
    assert (OPEN._value.get(), OLDEST_AGE._value.get()) == (2, 90)
    await worker.drain()
    await worker.measure()
    assert (OPEN._value.get(), OLDEST_AGE._value.get()) == (0, 0)


async def test_one_process_renews_a_providers_token(
    database: Database, database_url: str, now: datetime
) -> None:
    other = await open_database(database_url)
    clock = Clock(now)
    here, there = DatabaseTokens(database, clock), DatabaseTokens(other, clock)
    assert await here.try_lease("k", owner="here", seconds=10)
    assert not await there.try_lease("k", owner="there", seconds=10)
    await there.release("k", owner="there")  # not theirs
    assert not await there.try_lease("k", owner="there", seconds=10)
    await here.put("k", "token", expires_in_s=60)
    await here.release("k", owner="here")
    assert await there.get("k") == "token"
    assert await there.try_lease("k", owner="there", seconds=10)
    clock.advance(seconds=10)
    assert await here.try_lease("k", owner="here", seconds=10)
    clock.advance(seconds=50)
    assert await there.get("k") is None
    await other.close()
