"""Six-digit codes that prove a phone or an e-mail address (IDN-7)."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.crypto import constant_time_equal
from app.core.db import Transaction, light, statement
from app.core.errors import DomainError
from app.core.ids import new_id
from app.core.personal import index_of
from app.core.phones import normal_email, normal_phone
from app.models.identities import CodeChannel, CodePurpose, IdentityKind, VerificationCode
from app.services import jobs, limits
from app.services.identities import Proof

CODE_LIFE = timedelta(minutes=5)
TRIES_MAX = 5
SENDING_PAUSE = timedelta(minutes=1)
DAY = timedelta(days=1)
CODES_A_DAY_MAX = 10
HOUR = timedelta(hours=1)
CODES_PER_ADDRESS_MAX = 30
WRONG_TRIES_PER_ADDRESS_MAX = 60
SEND_JOB = "send_verification_code"

sent_since = statement(
    select(VerificationCode.sent_at)
    .where(
        col(VerificationCode.target_index) == bindparam("target_index"),
        col(VerificationCode.sent_at) > bindparam("since"),
    )
    .order_by(col(VerificationCode.sent_at).desc())
    .limit(CODES_A_DAY_MAX),
    into=datetime,
)
newest = (
    select(VerificationCode.id)
    .where(
        col(VerificationCode.target_index) == bindparam("target_index"),
        col(VerificationCode.purpose) == bindparam("purpose"),
    )
    .order_by(col(VerificationCode.sent_at).desc())
    .limit(1)
    .scalar_subquery()
)
# Counting the try and reading the code are one statement, so tries made at once all count.
count_try = statement(
    update(VerificationCode)
    .where(
        col(VerificationCode.id) == newest,
        col(VerificationCode.used_at).is_(None),
        col(VerificationCode.tries) < TRIES_MAX,
        col(VerificationCode.expires_at) > bindparam("at"),
    )
    .values(tries=col(VerificationCode.tries) + 1)
    .returning(*VerificationCode.__table__.columns),  # type: ignore[attr-defined]
    into=VerificationCode,
)
mark_used = statement(
    update(VerificationCode)
    .where(col(VerificationCode.id) == bindparam("code_id"))
    .values(used_at=bindparam("at"))
)
new_code = light(VerificationCode)


class CodesTooOften(DomainError):
    """A code was sent a moment ago, or too many were today (IDN-7)."""

    def __init__(self, *, retry_at: datetime) -> None:
        self.retry_at = retry_at
        super().__init__("A code was sent already. Wait before asking for another.")


class CodeWrong(DomainError):
    """The code is wrong, used, expired, tried too often, or was never sent: one message."""

    keeps_changes = True  # the try counts

    def __init__(self) -> None:
        super().__init__("The code is wrong or has expired.")


@dataclass(frozen=True, slots=True)
class Sent:
    """When the code stops being accepted, and when another may be asked for."""

    expires_at: datetime
    next_allowed_at: datetime


def proof_of(channel: CodeChannel, target: str) -> Proof:
    """The target, normalised; raises `InvalidPhone` or `InvalidEmail`."""
    if channel is CodeChannel.SMS:
        return Proof(IdentityKind.PHONE, normal_phone(target))
    return Proof(IdentityKind.EMAIL, normal_email(target))


async def send(
    tx: Transaction,
    *,
    group_id: UUID,
    channel: CodeChannel,
    purpose: CodePurpose,
    target: str,
    address: str,
    now: datetime,
) -> Sent:
    """Make a code and have it sent; the answer does not say whether anybody has this target.

    Raises `CodesTooOften`, `InvalidPhone`, `InvalidEmail`, and `TooManyRequests` per address.
    """
    proof = proof_of(channel, target)
    # The counter's row is locked until the commit, so two requests at once see one another.
    await limits.count(tx, subject=f"codes:{proof.index}", window=DAY, now=now)
    sent = await tx.all(sent_since, target_index=proof.index, since=now - DAY)
    if sent and sent[0] > now - SENDING_PAUSE:
        raise CodesTooOften(retry_at=sent[0] + SENDING_PAUSE)
    if len(sent) >= CODES_A_DAY_MAX:
        raise CodesTooOften(retry_at=sent[-1] + DAY)
    await limits.spend(
        tx, subject=f"codes-from:{address}", at_most=CODES_PER_ADDRESS_MAX, window=HOUR, now=now
    )
    code = f"{secrets.randbelow(1_000_000):06d}"
    code_id = new_id()
    await tx.insert(
        new_code(
            id=code_id,
            group_id=group_id,
            channel=channel,
            purpose=purpose,
            target_index=proof.index,
            code_hash=_hash(code_id, code),
            sent_at=now,
            expires_at=now + CODE_LIFE,
        )
    )
    payload = {
        "channel": channel,
        "target": proof.value,
        "code": code,
        "purpose": purpose,
        "expires_at": now + CODE_LIFE,
    }
    await jobs.enqueue(tx, SEND_JOB, payload, now=now)
    return Sent(expires_at=now + CODE_LIFE, next_allowed_at=now + SENDING_PAUSE)


async def prove(
    tx: Transaction,
    *,
    channel: CodeChannel,
    purpose: CodePurpose,
    target: str,
    code: str,
    address: str,
    now: datetime,
) -> Proof:
    """Check a code and use it up; the proof it gives. Raises `CodeWrong`, and the try counts.

    Raises `TooManyRequests` after too many wrong ones from one address. That is judged before the
    code is looked at: a refusal that undoes its own counting must not be an answer to a guess.
    """
    proof = proof_of(channel, target)
    wrongs: dict[str, Any] = {"subject": f"wrong-codes:{address}", "window": HOUR, "now": now}
    if await limits.seen(tx, **wrongs) >= WRONG_TRIES_PER_ADDRESS_MAX:
        raise limits.too_many(now, HOUR)
    found = await tx.one(count_try, target_index=proof.index, purpose=purpose, at=now)
    if found is None or not constant_time_equal(found.code_hash, _hash(found.id, code)):
        await limits.count(tx, **wrongs)
        raise CodeWrong
    await tx.changed(mark_used, code_id=found.id, at=now)
    return proof


def _hash(code_id: UUID, code: str) -> str:
    """Keyed, since a plain hash of six digits is soon reversed; bound to its row."""
    digits = code[:16] if code.isascii() else ""  # half a surrogate pair is no text to hash
    return index_of(f"{code_id}:{digits}", "verification_codes.code_hash")
