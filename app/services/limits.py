"""Limits in fixed windows of time, counted in the database so that all processes share them."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.core.errors import TooManyRequests
from app.core.personal import index_of
from app.models.operations import RateCount

count_one = upsert(
    lambda insert: (
        insert(RateCount)
        .values(every_column(RateCount))
        .on_conflict_do_update(
            index_elements=["subject", "window_start"], set_={"count": RateCount.count + 1}
        )
        .returning(col(RateCount.count))
    ),
    into=int,
)
take_back_one = statement(
    update(RateCount)
    .where(
        col(RateCount.subject) == bindparam("subject_of"),
        col(RateCount.window_start) == bindparam("window_of"),
    )
    .values(count=col(RateCount.count) - 1)
)
count_now = statement(
    select(RateCount.count).where(
        col(RateCount.subject) == bindparam("subject"),
        col(RateCount.window_start) == bindparam("window_start"),
    ),
    into=int,
)
new_count = light(RateCount)


async def count(tx: Transaction, *, subject: str, window: timedelta, now: datetime) -> int:
    """Count one event of a subject; how many this window has seen, this one included."""
    row = new_count(subject=_hidden(subject), window_start=_window_start(now, window), count=1)
    counted = await tx.one(count_one, **values_of(row))
    assert counted is not None
    return counted


async def spend(
    tx: Transaction, *, subject: str, at_most: int, window: timedelta, now: datetime
) -> None:
    """Count one event; raise `TooManyRequests` when the window has seen more than allowed."""
    if await count(tx, subject=subject, window=window, now=now) > at_most:
        raise too_many(now, window)


async def take_back(tx: Transaction, *, subject: str, window: timedelta, now: datetime) -> None:
    """Undo one `count` of the same transaction: the event turned out to be none that counts."""
    await tx.changed(
        take_back_one, subject_of=_hidden(subject), window_of=_window_start(now, window)
    )


async def seen(tx: Transaction, *, subject: str, window: timedelta, now: datetime) -> int:
    """How often the subject was counted in the current window."""
    found = await tx.one(
        count_now, subject=_hidden(subject), window_start=_window_start(now, window)
    )
    return found or 0


def too_many(now: datetime, window: timedelta) -> TooManyRequests:
    """The error that tells a client to come back when the current window ends."""
    left = _window_start(now, window) + window - now
    return TooManyRequests(
        "Too many requests; try again later.", retry_after_s=int(left.total_seconds()) + 1
    )


def _window_start(now: datetime, window: timedelta) -> datetime:
    seconds = int(window.total_seconds())
    return datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, UTC)


def _hidden(subject: str) -> str:
    """Subjects name addresses and phones, which the table need not know."""
    return index_of(subject, "rate_counts.subject")
