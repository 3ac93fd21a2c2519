"""What is dropped once nobody needs it any more, in batches that hold no lock for long."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import SQLModel, col, delete, select

from app.core.db import Statement, Transaction, statement
from app.models.identities import VerificationCode
from app.models.imports import ImportPart
from app.models.operations import Job, ProviderToken, RateCount
from app.models.payments import PaymentNotification
from app.models.sessions import RefreshToken, Ticket

BATCH = 500


class Kept(NamedTuple):
    """How long the rows of a table are kept, and the statement that drops a batch of older ones."""

    life: timedelta
    drop: Statement[Any]


def _drop(table: type[SQLModel], old_by: Any, before: str, *also: Any) -> Statement[Any]:
    """Delete the oldest rows; in the order of the column that says so, which has an index."""
    key = col(table.id)  # type: ignore[attr-defined]
    oldest = select(key).where(old_by < bindparam(before), *also).order_by(old_by).limit(BATCH)
    return statement(delete(table).where(key.in_(oldest)))


# Keys sort by the time they were made, so the primary key finds old rows without an index.
KEPT: dict[str, Kept] = {
    "tickets": Kept(timedelta(days=1), _drop(Ticket, col(Ticket.expires_at), "before")),
    # Tokens are made anew when they are needed; what names one payment is not needed for long.
    "provider_tokens": Kept(
        timedelta(days=30), _drop(ProviderToken, col(ProviderToken.expires_at), "before")
    ),
    # The longest window is a day.
    "rate_counts": Kept(timedelta(days=2), _drop(RateCount, col(RateCount.window_start), "before")),
    # Codes are counted for a day (IDN-7).
    "verification_codes": Kept(
        timedelta(days=2), _drop(VerificationCode, col(VerificationCode.id), "before_id")
    ),
    "jobs": Kept(
        timedelta(days=7), _drop(Job, col(Job.id), "before_id", col(Job.done_at).is_not(None))
    ),
    # Failed ones stay for somebody to look at, but not for ever: they hold what was to be sent.
    "failed_jobs": Kept(
        timedelta(days=30), _drop(Job, col(Job.id), "before_id", col(Job.failed_at).is_not(None))
    ),
    # Providers repeat a message for days; what it says is settled once, however old it is.
    "payment_notifications": Kept(
        timedelta(days=30), _drop(PaymentNotification, col(PaymentNotification.id), "before_id")
    ),
    # Rows that were refused wait to be corrected; how many there were stays with their import.
    "import_parts": Kept(timedelta(days=30), _drop(ImportPart, col(ImportPart.id), "before_id")),
    # No session lives longer than 60 days by default; its tokens go before it.
    "refresh_tokens": Kept(
        timedelta(days=90), _drop(RefreshToken, col(RefreshToken.id), "before_id")
    ),
}


async def forget(tx: Transaction, *, table: str, now: datetime) -> int:
    """Drop one batch of what outlived its time (`table` is a key of KEPT); how many there were."""
    kept = KEPT[table]
    before = now - kept.life
    return await tx.changed(kept.drop, before=before, before_id=first_id_at(before))


def first_id_at(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a millisecond: RFC 9562, section 5.7."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (7 << 76) | (0b10 << 62))
