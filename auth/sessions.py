"""What both endpoints do with sessions: start, refresh, list, revoke (IDN-6)."""

from typing import NamedTuple
from uuid import UUID

from app.core.errors import Unauthenticated
from app.models.sessions import PrincipalKind, Session
from app.services import members, sessions
from app.services.actors import Actor
from app.services.members import Bearer
from schema.context import AccessToken, Context, Principal


class Started(NamedTuple):
    """What a client keeps of a session."""

    session: Session
    access_token: AccessToken
    refresh_token: str


def bearer(context: Context) -> Bearer:
    """The member and session a token speaks for, for services that ask whether both live."""
    session_id = _principal(context).session_id
    if session_id is None:
        raise Unauthenticated("Sign in first.")
    return Bearer(context.member_id, session_id)


async def with_access_token(context: Context, refreshed: sessions.Refreshed) -> Started:
    """Add an access token to a session that was just opened or refreshed."""
    session = refreshed.session
    access_token = await context.signer.sign(
        kind=session.principal_kind,
        principal_id=session.principal_id,
        group_id=session.group_id,
        session_id=session.id,
        now=context.now,
    )
    return Started(session, access_token, refreshed.refresh_token)


async def refresh(context: Context, kind: PrincipalKind, refresh_token: str) -> Started:
    """Exchange a refresh token of this endpoint's kind of session; raises `RefreshRefused`."""
    refreshed = await context.run(
        sessions.refresh, refresh_token=refresh_token, principal_kind=kind, now=context.now
    )
    return await with_access_token(context, refreshed)


async def own(context: Context) -> list[Session]:
    """Where the asker is signed in."""
    principal_id = await _principal_id(context)
    return await context.read(sessions.open_sessions, principal_id=principal_id, now=context.now)


async def revoke(context: Context, session_id: UUID) -> None:
    """End one of the asker's sessions, this one too; raises `SessionNotFound`."""
    await context.run(
        sessions.revoke_one_of,
        principal_id=await _principal_id(context),
        session_id=session_id,
        now=context.now,
        actor=await _staff(context),
    )


async def revoke_others(context: Context) -> int:
    """End all of the asker's sessions but the one that asks; how many there were."""
    principal = _principal(context)
    if principal.session_id is None:
        raise Unauthenticated("Sign in first.")
    return await context.run(
        sessions.revoke_others,
        principal_id=await _principal_id(context),
        session_id=principal.session_id,
        now=context.now,
        actor=await _staff(context),
    )


async def _principal_id(context: Context) -> UUID:
    """Whose sessions they are: a member merged since the token was made has another id."""
    principal = _principal(context)
    if principal.kind is PrincipalKind.MEMBER:
        return (await context.read(members.signed_in, principal.id)).id
    return principal.id


async def _staff(context: Context) -> Actor | None:
    """Staff whose act is recorded (SEC-3); None for members."""
    is_staff = _principal(context).kind is PrincipalKind.STAFF
    return await context.actor() if is_staff else None


def _principal(context: Context) -> Principal:
    if context.principal is None:
        raise Unauthenticated("Sign in first.")
    return context.principal
