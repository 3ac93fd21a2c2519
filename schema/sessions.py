"""Sessions as their owner sees them, at both endpoints (IDN-6)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.models import sessions as rows
from app.services import members, sessions
from schema.context import AccessToken
from schema.problems import Problem, shown_as


@strawberry.type(description="A sign-in on one device.")
class Session:
    id: strawberry.ID = strawberry.field(description="Its id, `ses_…`.")
    device: str = strawberry.field(description="What the device called itself.")
    method: str = strawberry.field(description="How its owner proved who they are.")
    started_at: datetime = strawberry.field(description="When it was opened.")
    refreshed_at: datetime = strawberry.field(description="When it was used last, to minutes.")
    expires_at: datetime = strawberry.field(description="When it ends unless revoked before.")

    @classmethod
    def of(cls, row: rows.Session) -> Self:
        return cls(
            id=strawberry.ID(type_id("ses", row.id)),
            device=row.device,
            method=row.method,
            started_at=row.started_at,
            refreshed_at=row.refreshed_at,
            expires_at=row.expires_at,
        )


@strawberry.type(description="A session goes on. The refresh token that was sent is used up.")
class SessionRefreshed:
    access_token: str = strawberry.field(description="Send it as `Authorization: Bearer …`.")
    access_token_expires_at: datetime = strawberry.field(description="Refresh before then.")
    refresh_token: str = strawberry.field(description="For the next refresh, which it allows once.")

    @classmethod
    def of(cls, access_token: AccessToken, refresh_token: str) -> Self:
        return cls(
            access_token=access_token.text,
            access_token_expires_at=access_token.expires_at,
            refresh_token=refresh_token,
        )


@strawberry.type(description="A session has ended.")
class SessionRevoked:
    id: strawberry.ID = strawberry.field(description="The session, `ses_…`.")


@strawberry.type(description="All sessions but the one that asked have ended.")
class SessionsRevoked:
    count: int = strawberry.field(description="How many there were.")


@strawberry.type(description="The refresh token is not valid, or not any more. Sign in again.")
class RefreshRefused(Problem): ...


@strawberry.type(description="The asker has no such session that is still open.")
class SessionNotFound(Problem): ...


@strawberry.type(
    description="What decides whose account this is needs a sign-in of the last 30 minutes; a"
    " refresh is none. Sign in again and repeat it: a mini-program does so silently by wx.login."
)
class SignInAgain(Problem): ...


@strawberry.input(description="A session to go on with.")
class SessionRefreshInput:
    refresh_token: str = strawberry.field(
        description="The newest refresh token of the session. Sending an older one ends it."
    )


@strawberry.input(description="A session to end.")
class SessionRevokeInput:
    id: strawberry.ID = strawberry.field(description="The session, `ses_…`.")


SessionRefreshResult = Annotated[
    SessionRefreshed | RefreshRefused,
    strawberry.union("SessionRefreshResult", description="The next pair of tokens, or a refusal."),
]
SessionRevokeResult = Annotated[
    SessionRevoked | SessionNotFound,
    strawberry.union("SessionRevokeResult", description="What was ended, or why nothing was."),
]
Refresh = Annotated[SessionRefreshInput, strawberry.argument(description="The refresh token.")]
Revoke = Annotated[SessionRevokeInput, strawberry.argument(description="Which session.")]

HANDLERS = [
    shown_as(RefreshRefused, sessions.RefreshRefused),
    shown_as(SessionNotFound, sessions.SessionNotFound),
    shown_as(SignInAgain, members.SignInAgain),
]
