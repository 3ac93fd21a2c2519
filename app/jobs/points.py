"""Points at set times: reminders, decay, and the report of abnormal cases (PTS-5, PTS-7, PTS-9).

Reminders and decay go over a scheme's cards a batch a job: each batch writes down the next one in
its own transaction, so that all are done once, whatever happens between.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.core.db import Transaction
from app.jobs.tasks import Effect, Handler, Task
from app.services import points
from app.services.routines import JOB_KIND, NextTime


async def remind(task: Task) -> Effect:
    """A batch of a scheme's cards: who is to be told that points expire (PTS-5)."""
    payload = task.payload

    async def write(tx: Transaction) -> None:
        await points.remind(
            tx,
            scheme_id=UUID(payload["subject_id"]),
            due_at=datetime.fromisoformat(payload["due_at"]),
            last_due_at=_moment(payload["last_due_at"]),
            after_card_id=_id(payload.get("after_card_id")),
            now=task.now,
        )

    return write


async def decay(task: Task) -> Effect:
    """A batch of a scheme's cards: whose unused points become fewer (PTS-9)."""
    payload = task.payload

    async def post(tx: Transaction) -> None:
        await points.decay(
            tx,
            scheme_id=UUID(payload["subject_id"]),
            due_at=datetime.fromisoformat(payload["due_at"]),
            after_card_id=_id(payload.get("after_card_id")),
            now=task.now,
        )

    return post


async def report_abnormal(task: Task) -> Effect:
    """Write down the mails about the cases of the day before (PTS-7)."""
    payload = task.payload

    async def report(tx: Transaction) -> None:
        await points.report(
            tx,
            scheme_id=UUID(payload["subject_id"]),
            due_at=datetime.fromisoformat(payload["due_at"]),
            last_due_at=_moment(payload["last_due_at"]),
            now=task.now,
        )

    return report


async def send_report(task: Task) -> None:
    """Mail one report to one address; twice in the worst case."""
    await task.outside.mail.send(task.payload["to"], task.payload["subject"], task.payload["text"])


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _id(text: str | None) -> UUID | None:
    return UUID(text) if text else None


HANDLERS: Mapping[str, Handler] = {
    JOB_KIND.format(name=points.REMIND): remind,
    points.REMIND: remind,
    JOB_KIND.format(name=points.DECAY): decay,
    points.DECAY: decay,
    JOB_KIND.format(name=points.REPORT): report_abnormal,
    points.MAIL_JOB: send_report,
}
NEXT_TIMES: Mapping[str, NextTime] = {
    points.REMIND: points.next_reminder,
    points.DECAY: points.next_decay,
    points.REPORT: points.next_report,
}
"""By the routine's name."""
