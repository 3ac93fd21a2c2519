"""A member's sessions (IDN-6)."""

import strawberry

from app.core.ids import parse_type_id
from app.models.sessions import PrincipalKind
from auth import sessions
from auth.permissions import IsMember
from schema.context import Info
from schema.sessions import (
    Refresh,
    Revoke,
    Session,
    SessionRefreshed,
    SessionRefreshResult,
    SessionRevoked,
    SessionRevokeResult,
    SessionsRevoked,
)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="Where the member is signed in, the latest used first; at most 100.",
    )
    async def sessions(self, info: Info) -> list[Session]:
        return [Session.of(row) for row in await sessions.own(info.context)]


@strawberry.type
class Mutation:
    # No permission: the refresh token is the credential, and the access token may have expired.
    @strawberry.mutation(description="Exchange a refresh token for the next pair of tokens.")
    async def session_refresh(self, info: Info, input: Refresh) -> SessionRefreshResult:
        started = await sessions.refresh(info.context, PrincipalKind.MEMBER, input.refresh_token)
        return SessionRefreshed.of(started.access_token, started.refresh_token)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="End one of the member's sessions; naming this one signs out.",
    )
    async def session_revoke(self, info: Info, input: Revoke) -> SessionRevokeResult:
        await sessions.revoke(info.context, parse_type_id("ses", input.id))
        return SessionRevoked(id=input.id)

    @strawberry.mutation(
        permission_classes=[IsMember], description="End all of the member's sessions but this one."
    )
    async def sessions_revoke_others(self, info: Info) -> SessionsRevoked:
        return SessionsRevoked(count=await sessions.revoke_others(info.context))
