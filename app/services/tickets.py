"""Tickets: something proven a moment ago, exchanged once within minutes.

A web sign-in, a password that awaits its second factor, a merge that awaits its confirmation. The
secret half is random and only its hash is kept, so a read database gives nobody a ticket.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, delete, update

from app.core.crypto import fingerprint
from app.core.db import Transaction, light, statement
from app.core.errors import DomainError
from app.models.sessions import Ticket

SECRET_BYTES = 32

is_this_ticket = (
    (col(Ticket.secret_hash) == bindparam("secret_hash"))
    & (col(Ticket.purpose) == bindparam("purpose"))
    & (col(Ticket.expires_at) > bindparam("now"))
)
every_ticket_column = Ticket.__table__.columns  # type: ignore[attr-defined]
take_ticket = statement(
    delete(Ticket).where(is_this_ticket).returning(*every_ticket_column), into=Ticket
)
count_try = statement(
    update(Ticket)
    .where(is_this_ticket, col(Ticket.tries) < bindparam("at_most"))
    .values(tries=col(Ticket.tries) + 1)
    .returning(*every_ticket_column),
    into=Ticket,
)
new_ticket = light(Ticket)


class TicketRefused(DomainError):
    """Unknown, used, expired, meant for something else, or tried too often: never said which."""

    def __init__(self) -> None:
        super().__init__("This has expired or was already used. Start again.")


async def issue(
    tx: Transaction,
    *,
    purpose: str,
    payload: dict[str, Any],
    personal: str | None = None,
    now: datetime,
    life: timedelta,
) -> str:
    """Write a ticket; its secret, which is not kept. `personal` is encrypted, `payload` is not."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    await tx.insert(
        new_ticket(
            secret_hash=fingerprint(secret.encode()),
            purpose=purpose,
            payload=payload,
            personal=personal,
            expires_at=now + life,
        )
    )
    return secret


async def redeem(tx: Transaction, *, purpose: str, secret: str, now: datetime) -> Ticket:
    """Take a ticket, which only one can; raises `TicketRefused`."""
    found = await tx.one(take_ticket, **_key(purpose, secret, now))
    return _given(found)


async def spend_try(
    tx: Transaction, *, purpose: str, secret: str, at_most: int, now: datetime
) -> Ticket:
    """Count a guess at what a ticket waits for, before judging it; raises `TicketRefused`.

    The refusal of a wrong guess must keep its changes, or the guess is not counted.
    """
    found = await tx.one(count_try, **_key(purpose, secret, now), at_most=at_most)
    return _given(found)


def _key(purpose: str, secret: str, now: datetime) -> dict[str, Any]:
    secret_hash = fingerprint(secret.encode("utf-8", "surrogatepass"))
    return {"purpose": purpose, "secret_hash": secret_hash, "now": now}


def _given(ticket: Ticket | None) -> Ticket:
    if ticket is None:
        raise TicketRefused
    return ticket
