"""Sessions and their rotating refresh tokens (IDN-6).

A session is one sign-in on one device and the family of its refresh tokens. Each token works once
and brings the next. One that comes a second time was copied, by whom cannot be known, so the whole
session ends.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, delete, select, update

from app.core.crypto import fingerprint
from app.core.db import Transaction, light, statement
from app.core.errors import DomainError
from app.core.texts import shortened_text
from app.models.sessions import PrincipalKind, RefreshToken, Session
from app.services import audit
from app.services.actors import Actor

REFRESH_TOKEN_BYTES = 32
DEVICE_CHARS_MAX = 120
SESSIONS_SHOWN_MAX = 100
USED_TOKEN_MEMORY = timedelta(days=7)
"""How long a used token is remembered, to end its session if it comes again. Older ones are
refused like unknown ones: a session that is refreshed every ten minutes must not pile them up."""

is_alive = (col(Session.revoked_at).is_(None)) & (col(Session.expires_at) > bindparam("now"))
# Tied to the token's own session: as a list of all living sessions it would be read whole.
session_is_alive = (
    select(Session.id)
    .where(
        col(Session.id) == col(RefreshToken.session_id),
        is_alive,
        col(Session.principal_kind) == bindparam("principal_kind"),
    )
    .exists()
)
every_session_column = Session.__table__.columns  # type: ignore[attr-defined]

use_token = statement(
    update(RefreshToken)
    .where(
        col(RefreshToken.token_hash) == bindparam("used_hash"),
        col(RefreshToken.used_at).is_(None),
        session_is_alive,
    )
    .values(used_at=bindparam("now", type_=RefreshToken.__table__.c.used_at.type))  # type: ignore[attr-defined]
    .returning(col(RefreshToken.session_id)),
    into=UUID,
)
session_of_used_token = statement(
    select(RefreshToken.session_id).where(
        col(RefreshToken.token_hash) == bindparam("used_hash"),
        col(RefreshToken.used_at).is_not(None),
    ),
    into=UUID,
)
note_refresh = statement(
    update(Session)
    .where(col(Session.id) == bindparam("session_id"), is_alive)
    .values(refreshed_at=bindparam("moment"))
    .returning(*every_session_column),
    into=Session,
)
forget_used_tokens = statement(
    delete(RefreshToken).where(
        col(RefreshToken.session_id) == bindparam("session_id"),
        col(RefreshToken.used_at) < bindparam("before"),
    )
)
sessions_of_principal = statement(
    select(Session)
    .where(col(Session.principal_id) == bindparam("principal_id"), is_alive)
    .order_by(col(Session.refreshed_at).desc(), col(Session.id).desc())
    .limit(SESSIONS_SHOWN_MAX),
    into=Session,
)
revoke_by_id = statement(
    update(Session)
    .where(col(Session.id) == bindparam("session_id"), col(Session.revoked_at).is_(None))
    .values(revoked_at=bindparam("moment"), revoked_because=bindparam("why"))
)
revoke_own = statement(
    update(Session)
    .where(
        col(Session.id) == bindparam("session_id"),
        col(Session.principal_id) == bindparam("owner_id"),
        col(Session.revoked_at).is_(None),
    )
    .values(revoked_at=bindparam("moment"), revoked_because=bindparam("why"))
)
revoke_all_but = statement(
    update(Session)
    .where(
        col(Session.principal_id) == bindparam("owner_id"),
        col(Session.revoked_at).is_(None),
        col(Session.id) != bindparam("kept_id"),
    )
    .values(revoked_at=bindparam("moment"), revoked_because=bindparam("why"))
)
new_session = light(Session)
new_refresh_token = light(RefreshToken)

NOBODY = UUID(int=0)


class RefreshRefused(DomainError):
    """An unknown, used, expired or revoked refresh token, or another endpoint's: never said which.

    That a used one came again is remembered: its session has ended.
    """

    keeps_changes = True

    def __init__(self) -> None:
        super().__init__("You have been signed out. Sign in again.")


class SessionNotFound(DomainError):
    """No such session of this person that is still open."""

    def __init__(self) -> None:
        super().__init__("There is no such session.")


class Refreshed(NamedTuple):
    """A session and the plain text of its next refresh token, which is not kept."""

    session: Session
    refresh_token: str


async def start(
    tx: Transaction,
    *,
    principal_kind: PrincipalKind,
    principal_id: UUID,
    group_id: UUID,
    method: str,
    device: str,
    now: datetime,
    life: timedelta,
) -> Refreshed:
    """Open a session that ends `life` from now, however often it is refreshed."""
    session = new_session(
        group_id=group_id,
        principal_kind=principal_kind,
        principal_id=principal_id,
        method=method,
        device=shortened_text(device, at_most=DEVICE_CHARS_MAX),
        started_at=now,
        refreshed_at=now,
        expires_at=now + life,
    )
    await tx.insert(session)
    return Refreshed(session, await _issue(tx, session, now))


async def refresh(
    tx: Transaction, *, refresh_token: str, principal_kind: PrincipalKind, now: datetime
) -> Refreshed:
    """Exchange a refresh token for the next one (IDN-6); raises `RefreshRefused`.

    Of two that come with the same token at once, the guarded UPDATE lets one through and the
    other counts as reuse: both sides have lost the session then, the thief and the owner.
    """
    used_hash = fingerprint(refresh_token.encode("utf-8", "surrogatepass"))
    session_id = await tx.one(
        use_token, used_hash=used_hash, principal_kind=principal_kind, now=now
    )
    if session_id is None:
        copied_id = await tx.one(session_of_used_token, used_hash=used_hash)
        if copied_id is not None:
            await revoke(tx, session_id=copied_id, why="reuse", now=now)
        raise RefreshRefused
    session = await tx.one(note_refresh, session_id=session_id, moment=now, now=now)
    if session is None:  # revoked between the two statements
        raise RefreshRefused
    await tx.changed(forget_used_tokens, session_id=session_id, before=now - USED_TOKEN_MEMORY)
    return Refreshed(session, await _issue(tx, session, now))


async def open_sessions(tx: Transaction, *, principal_id: UUID, now: datetime) -> list[Session]:
    """Where somebody is signed in, the latest used first."""
    return await tx.all(sessions_of_principal, principal_id=principal_id, now=now)


async def revoke(tx: Transaction, *, session_id: UUID, why: str, now: datetime) -> bool:
    """End a session; whether it was open."""
    return bool(await tx.changed(revoke_by_id, session_id=session_id, moment=now, why=why))


async def revoke_one_of(
    tx: Transaction,
    *,
    principal_id: UUID,
    session_id: UUID,
    now: datetime,
    actor: Actor | None = None,
) -> None:
    """End one of somebody's own sessions; raises `SessionNotFound`. What staff do is recorded."""
    values: dict[str, Any] = {"session_id": session_id, "owner_id": principal_id}
    if not await tx.changed(revoke_own, **values, moment=now, why="by_owner"):
        raise SessionNotFound
    if actor is not None:
        await audit.record(
            tx, actor, "session.revoke", object_kind="session", object_id=session_id, now=now
        )


async def revoke_others(
    tx: Transaction,
    *,
    principal_id: UUID,
    session_id: UUID,
    now: datetime,
    actor: Actor | None = None,
) -> int:
    """End all of somebody's sessions but this one; how many there were. Recorded like one."""
    ended = await tx.changed(
        revoke_all_but, owner_id=principal_id, kept_id=session_id, moment=now, why="by_owner"
    )
    if actor is not None:
        await audit.record(
            tx, actor, "session.revoke_others", object_kind="session", object_id=session_id,
            now=now, sessions_ended=ended,
        )  # fmt: skip
    return ended


async def revoke_all(tx: Transaction, *, principal_id: UUID, why: str, now: datetime) -> int:
    """End all of somebody's sessions; how many there were."""
    return await tx.changed(
        revoke_all_but, owner_id=principal_id, kept_id=NOBODY, moment=now, why=why
    )


async def _issue(tx: Transaction, session: Session, now: datetime) -> str:
    token = secrets.token_urlsafe(REFRESH_TOKEN_BYTES)
    await tx.insert(
        new_refresh_token(
            session_id=session.id, token_hash=fingerprint(token.encode()), issued_at=now
        )
    )
    return token
