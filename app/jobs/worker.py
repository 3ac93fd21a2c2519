"""The worker: leases jobs, does them, and looks after what must happen every so often.

Any number of processes may run one. It stops gracefully: what it has begun it finishes, within a
limit; what it could not finish another worker takes over once the lease has run out.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import orjson
import structlog
from prometheus_client import Counter, Gauge

from app.core.clock import utc_now
from app.core.db import Database, Transaction
from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.outside import Outside
from app.jobs.duties import DUTIES, Duty
from app.jobs.handlers import HANDLERS, Effect, Handler, Task
from app.jobs.routines import NEXT_TIMES
from app.models.operations import Job
from app.services import audit, jobs, retention, routines, signing_keys

JOBS_AT_ONCE_MAX = 20
POLL_S = 1.0
"""How long a job can wait unheard: news of it is best effort, and a delayed one has none."""
SEAL_EVERY_S = 1.0
ROTATE_EVERY_S = 3_600.0
METRICS_EVERY_S = 5.0
FORGET_EVERY_S = 60.0
ROUTINES_EVERY_S = 5.0
DUTIES_EVERY_S = 10.0
DUTY_BATCHES_MAX = 1_000
FORGET_BATCHES_MAX = 100
SEAL_BATCHES_MAX = 100
STOP_S = 20.0

OPEN = Gauge("regulars_jobs_open", "Jobs that are not done.")
OLDEST_AGE = Gauge("regulars_jobs_oldest_age_seconds", "How long the oldest open job is overdue.")
FAILED = Counter("regulars_jobs_failed_total", "Jobs given up.", ("kind",))
DONE = Counter("regulars_jobs_done_total", "Jobs done.", ("kind",))
DUTIES_FAILED = Counter("regulars_duties_failed_total", "Duties that raised.", ("duty",))

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Worker:
    """Run it with `run()`, from another task end it with `stop()`."""

    database: Database
    outside: Outside
    handlers: Mapping[str, Handler] = field(default_factory=lambda: HANDLERS)
    next_times: Mapping[str, routines.NextTime] = field(default_factory=lambda: NEXT_TIMES)
    clock: Callable[[], datetime] = utc_now
    jobs_at_once: int = JOBS_AT_ONCE_MAX
    poll_s: float = POLL_S
    stop_s: float = STOP_S
    name: str = field(
        default_factory=lambda: f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"
    )
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def stop(self) -> None:
        """Take no more jobs; `run` returns when those begun are finished."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        _log.info("worker started", worker=self.name)
        beside = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._every(SEAL_EVERY_S, self.seal)),
            asyncio.create_task(self._every(METRICS_EVERY_S, self.measure)),
            asyncio.create_task(self._every(FORGET_EVERY_S, self.forget)),
            asyncio.create_task(self._every(ROTATE_EVERY_S, self.rotate)),
            asyncio.create_task(self._every(ROUTINES_EVERY_S, self.begin_routines)),
            *(
                asyncio.create_task(self._every(DUTIES_EVERY_S, partial(self.perform, duty)))
                for duty in DUTIES
            ),
        ]
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                await self._lease()
                await self._wait()
            await self._finish_begun()
        finally:
            for task in (*beside, *self._running):
                task.cancel()
            await asyncio.gather(*beside, *self._running, return_exceptions=True)
            _log.info("worker stopped", worker=self.name)

    async def drain(self) -> int:
        """Do everything that is due now and return how many jobs that were; for tests."""
        count = 0
        await self.begin_routines()
        for duty in DUTIES:
            await self.perform(duty)
        while leased := await self.database.run(jobs.lease, worker=self.name, now=self.clock()):
            await asyncio.gather(*(self._do(job) for job in leased))
            count += len(leased)
        return count

    async def seal(self) -> None:
        """Chain what was written to the audit log since the last time (SEC-3)."""
        for _ in range(SEAL_BATCHES_MAX):
            if not await self.database.run(audit.seal):
                return

    async def forget(self) -> None:
        """Drop what nobody needs any more, a batch at a time."""
        for table in retention.KEPT:
            for _ in range(FORGET_BATCHES_MAX):
                dropped = await self.database.run(retention.forget, table=table, now=self.clock())
                if dropped < retention.BATCH:
                    break

    async def rotate(self) -> None:
        """Make the next signing key when the current one is old enough (IDN-6)."""
        await self.database.run(
            signing_keys.rotate_when_due, now=self.clock(), token_life=signing_keys.TOKEN_LIFE_MAX
        )

    async def begin_routines(self) -> None:
        """Write down a job for each routine whose time has come."""
        while await self.database.run(
            routines.begin_due, next_times=self.next_times, now=self.clock()
        ):
            pass  # a routine that was begun is due later, so this ends

    async def perform(self, duty: Duty) -> None:
        """Do what is due of one kind, batch after batch."""
        for _ in range(DUTY_BATCHES_MAX):
            if not await self.database.run(duty, now=self.clock()):
                return

    async def measure(self) -> None:
        """Show how much work waits, and for how long."""
        backlog = await self.database.read(jobs.backlog)
        due_at = backlog.oldest_due_at
        overdue_s = (self.clock() - due_at).total_seconds() if due_at else 0.0
        OPEN.set(backlog.open)
        OLDEST_AGE.set(max(overdue_s, 0.0))

    async def _lease(self) -> None:
        """Take as many batches as there is room for, and begin their jobs."""
        while not self._stopping.is_set() and len(self._running) < self.jobs_at_once:
            try:
                leased = await self.database.run(
                    jobs.lease,
                    worker=self.name,
                    now=self.clock(),
                    at_most=min(self.jobs_at_once - len(self._running), jobs.LEASE_BATCH),
                )
            except Exception as error:  # the database may be back at the next poll
                _log.error("leasing failed", worker=self.name, exc_info=error)
                return
            for job in leased:
                task = asyncio.create_task(self._do(job))
                self._running.add(task)
                task.add_done_callback(self._ended)
            if not leased:
                return

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _do(self, job: Job) -> None:
        handler = self.handlers.get(job.kind)
        if handler is None or job.attempts > jobs.ATTEMPTS_MAX:
            # An attempt too many means that every worker died over it.
            await self._failed(job, "no handler" if handler is None else "crashes", for_good=True)
            return
        try:
            async with asyncio.timeout(jobs.LEASE.total_seconds()):
                now = self.clock()
                effect = await handler(Task(job.id, orjson.loads(job.payload), self.outside, now))
                is_ours = await self.database.run(_finish, job=job, effect=effect, now=now)
        except ProviderLimitExceeded as refused:
            await self._failed(job, str(refused))
        except ProviderRefused as refused:
            await self._failed(job, str(refused), for_good=True)
        except (ProviderUnavailable, TimeoutError) as error:
            await self._failed(job, str(error) or "timeout")
        except Exception as error:  # a bug of ours: the job waits for its repair
            # The text of an unknown exception may repeat what is in the payload.
            _log.error("job raised", job_id=str(job.id), kind=job.kind, error=type(error).__name__)
            await self._failed(job, type(error).__name__)
        else:
            if is_ours:
                DONE.labels(job.kind).inc()

    async def _failed(self, job: Job, why: str, *, for_good: bool = False) -> None:
        with contextlib.suppress(Exception):  # the lease runs out, and that puts it back too
            gave_up = await self.database.run(
                jobs.failed, job=job, why=why, now=self.clock(), for_good=for_good
            )
            if gave_up:
                FAILED.labels(job.kind).inc()
            _log.warning(
                "job failed",
                job_id=str(job.id),
                kind=job.kind,
                attempts=job.attempts,
                why=why,
                gave_up=gave_up,
            )

    async def _listen(self) -> None:
        """Wake when work was written down; polling goes on if this breaks."""
        async with self.database.listen(jobs.TOPIC) as events:
            async for _ in events:
                self._wake.set()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.poll_s):
                await self._wake.wait()

    async def _every(self, seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await duty()
            except Exception as error:  # one failed round must not end the duty
                name = _name_of(duty)
                DUTIES_FAILED.labels(name).inc()
                _log.error("duty failed", duty=name, exc_info=error)
            await asyncio.sleep(seconds)

    async def _finish_begun(self) -> None:
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self.stop_s)
            if late:
                _log.warning("jobs left to their leases", count=len(late))


async def _finish(tx: Transaction, *, job: Job, effect: Effect | None, now: datetime) -> bool:
    """Mark a job done together with its effect, unless another worker did meanwhile."""
    is_ours = await jobs.done(tx, job_id=job.id, now=now)
    if is_ours and effect is not None:
        await effect(tx)
    return is_ours


def _name_of(duty: Callable[[], Awaitable[None]]) -> str:
    """`perform` stands for the duty it was given."""
    return duty.args[0].__name__ if isinstance(duty, partial) else duty.__name__
