"""Work at set times: begun once, caught up once, and what failed is seen and tried again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.core.points_expiry import local_day, start_of_day
from app.gateways.errors import ProviderRefused
from app.jobs.handlers import Task
from app.jobs.worker import Worker
from app.models.operations import Job, Routine
from app.services import jobs, routines
from tests.factories.cards import Counter, counter
from tests.factories.identities import Clock
from tests.factories.reading import every

pytestmark = pytest.mark.anyio

SHANGHAI = ZoneInfo("Asia/Shanghai")
all_routines = statement(select(Routine).order_by(col(Routine.id)), into=Routine)
all_jobs = statement(select(Job).order_by(col(Job.id)), into=Job)

FAILED = "{ failedJobs(first: 10) { edges { node { id kind attempts error failedAt } } } }"
RETRY = """mutation ($id: ID!) { jobRetry(id: $id) {
  __typename ... on Job { kind attempts error failedAt } } }"""


async def next_midnight(tx: Transaction, subject_id: UUID, after: datetime) -> datetime | None:
    """Each day at 00:00 in Shanghai."""
    return start_of_day(local_day(after, SHANGHAI) + timedelta(days=1), SHANGHAI)


async def just_once(tx: Transaction, subject_id: UUID, after: datetime) -> datetime | None:
    return None


class Diary:
    """A worker whose one routine writes down what it was told."""

    def __init__(self, database: Database, at: datetime, next_time: routines.NextTime) -> None:
        self.told: list[dict[str, Any]] = []
        self.clock = Clock(at)
        self.worker = Worker(
            database,
            cast("Any", None),
            handlers={"routine.daily": self.note},
            next_times={"daily": next_time},
            clock=self.clock,
        )

    async def note(self, task: Task) -> None:
        self.told.append(dict(task.payload))

    def due(self) -> list[str]:
        return [each["due_at"] for each in self.told]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


async def test_a_routine_begins_at_its_time_in_its_zone_and_once(database: Database) -> None:
    """00:00 in Shanghai is 16:00 UTC of the day before."""
    subject_id = new_id()
    diary = Diary(database, utc(2026, 9, 1, 15, 59), next_midnight)
    await database.run(
        routines.schedule,
        name="daily",
        subject_id=subject_id,
        next_due_at=utc(2026, 9, 1, 16),
        now=utc(2026, 8, 1),
    )
    assert await diary.worker.drain() == 0
    diary.clock.now = utc(2026, 9, 1, 16)
    assert await diary.worker.drain() == 1
    assert await diary.worker.drain() == 0
    assert diary.told == [
        {
            "subject_id": str(subject_id),
            "due_at": "2026-09-01T16:00:00+00:00",
            "last_due_at": None,
        }
    ]
    (routine,) = await every(database, all_routines)
    assert routine.next_due_at == utc(2026, 9, 2, 16)


async def test_what_was_missed_is_caught_up_once(database: Database) -> None:
    """Nothing ran for three days: one job, which knows since when, and on from there."""
    diary = Diary(database, utc(2026, 9, 1, 16), next_midnight)
    await database.run(
        routines.schedule,
        name="daily",
        subject_id=new_id(),
        next_due_at=utc(2026, 9, 1, 16),
        now=utc(2026, 8, 1),
    )
    await diary.worker.drain()
    diary.clock.now = utc(2026, 9, 5, 3)
    assert await diary.worker.drain() == 1
    assert diary.due() == ["2026-09-01T16:00:00+00:00", "2026-09-04T16:00:00+00:00"]
    assert diary.told[1]["last_due_at"] == "2026-09-01T16:00:00+00:00"
    (routine,) = await every(database, all_routines)
    assert routine.next_due_at == utc(2026, 9, 5, 16)


async def test_many_workers_begin_a_routine_once(database: Database) -> None:
    diary = Diary(database, utc(2026, 9, 1, 16), next_midnight)
    await database.run(
        routines.schedule,
        name="daily",
        subject_id=new_id(),
        next_due_at=utc(2026, 9, 1, 16),
        now=utc(2026, 8, 1),
    )
    await asyncio.gather(*(diary.worker.begin_routines() for _ in range(8)))
    assert len(await every(database, all_jobs)) == 1


async def test_a_routine_ends_when_it_is_due_no_more(database: Database) -> None:
    diary = Diary(database, utc(2026, 9, 1, 16), just_once)
    await database.run(
        routines.schedule,
        name="daily",
        subject_id=new_id(),
        next_due_at=utc(2026, 9, 1),
        now=utc(2026, 8, 1),
    )
    assert await diary.worker.drain() == 1
    assert await every(database, all_routines) == []


async def test_scheduling_again_moves_the_time(database: Database) -> None:
    subject_id = new_id()
    for day in (1, 3):
        await database.run(
            routines.schedule,
            name="daily",
            subject_id=subject_id,
            next_due_at=utc(2026, 9, day),
            now=utc(2026, 8, 1),
        )
    (routine,) = await every(database, all_routines)
    assert routine.next_due_at == utc(2026, 9, 3)
    await database.run(
        routines.schedule, name="daily", subject_id=subject_id, next_due_at=utc(2026, 9, 30),
        now=utc(2026, 9, 3),
    )  # fmt: skip
    (routine,) = await every(database, all_routines)
    assert routine.next_due_at == utc(2026, 9, 3), "what is due is not put off"
    await database.run(routines.cancel, name="daily", subject_id=subject_id)
    assert await every(database, all_routines) == []


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def refuse(task: Task) -> None:
    raise ProviderRefused("NO", "no", provider="test")


async def test_staff_see_what_failed_and_try_it_again(till: Counter) -> None:
    """Without what is in it, which may be a phone number and a code."""

    async def write_down(tx: Transaction) -> None:
        await jobs.enqueue(tx, "send", {"to": "+8613800000001"}, now=till.now)

    await till.database.run(write_down)
    clock = Clock(till.now)
    worker = Worker(till.database, cast("Any", None), handlers={"send": refuse}, clock=clock)
    await worker.drain()
    shown = await till.as_staff(FAILED)
    (job,) = [edge["node"] for edge in shown["edges"]]
    assert (job["kind"], job["attempts"], job["error"]) == ("send", 1, "test refused: NO")
    again = await till.as_staff(RETRY, id=job["id"])
    assert again == {
        "__typename": "Job",
        "kind": "send",
        "attempts": 0,
        "error": "test refused: NO",
        "failedAt": None,
    }
    assert await till.as_staff(RETRY, id=job["id"]) == {"__typename": "JobNotFailed"}
    done: list[str] = []

    async def accept(task: Task) -> None:
        done.append(task.payload["to"])

    await Worker(till.database, cast("Any", None), handlers={"send": accept}, clock=clock).drain()
    assert done == ["+8613800000001"]


async def test_only_who_runs_the_product_sees_jobs(till: Counter) -> None:
    unknown = type_id("job", new_id())
    assert await till.as_staff(FAILED, who=till.shop.cashier) == "FORBIDDEN"
    assert await till.as_staff(RETRY, who=till.shop.cashier, id=unknown) == "FORBIDDEN"
    assert await till.as_staff(RETRY, id=unknown) == {"__typename": "JobNotFound"}
    assert await till.as_staff(RETRY, id="job_1") == "BAD_USER_INPUT"
