"""Staff sessions: sign-in in two steps, refresh, revoke (ORG-2, IDN-6)."""

import strawberry

from app.core.ids import parse_type_id
from app.models.sessions import PrincipalKind
from auth import sessions
from auth import staff as staff_auth
from auth.permissions import IsStaff
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
from schema.staff import (
    FirstFactor,
    SecondFactor,
    SecondFactorRequired,
    StaffSessionConfirmResult,
    StaffSessionStarted,
    StaffSessionStartResult,
)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsStaff],
        description="Where the asker is signed in, the latest used first; at most 100.",
    )
    async def sessions(self, info: Info) -> list[Session]:
        return [Session.of(row) for row in await sessions.own(info.context)]


@strawberry.type
class Mutation:
    @strawberry.mutation(description="Sign in, first step: e-mail and password.")
    async def staff_session_start(self, info: Info, input: FirstFactor) -> StaffSessionStartResult:
        challenge = await staff_auth.start(
            info.context, email=input.email, password=input.password, device=input.device
        )
        return SecondFactorRequired.of(challenge)

    @strawberry.mutation(description="Sign in, second step: the code of the authenticator.")
    async def staff_session_confirm(
        self, info: Info, input: SecondFactor
    ) -> StaffSessionConfirmResult:
        signed_in = await staff_auth.confirm(
            info.context, challenge=input.challenge, totp_code=input.totp_code
        )
        return StaffSessionStarted.of(
            signed_in.member, signed_in.started.access_token, signed_in.started.refresh_token
        )

    # No permission: the refresh token is the credential, and the access token may have expired.
    @strawberry.mutation(description="Exchange a refresh token for the next pair of tokens.")
    async def session_refresh(self, info: Info, input: Refresh) -> SessionRefreshResult:
        started = await sessions.refresh(info.context, PrincipalKind.STAFF, input.refresh_token)
        return SessionRefreshed.of(started.access_token, started.refresh_token)

    @strawberry.mutation(
        permission_classes=[IsStaff],
        description="End one of the asker's sessions; naming this one signs out.",
    )
    async def session_revoke(self, info: Info, input: Revoke) -> SessionRevokeResult:
        await sessions.revoke(info.context, parse_type_id("ses", input.id))
        return SessionRevoked(id=input.id)

    @strawberry.mutation(
        permission_classes=[IsStaff], description="End all of the asker's sessions but this one."
    )
    async def sessions_revoke_others(self, info: Info) -> SessionsRevoked:
        return SessionsRevoked(count=await sessions.revoke_others(info.context))
