"""What every resolver gets: the database, the time, who asks, and one set of loaders."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import strawberry

from app.core.db import Database
from app.core.db.database import P, R, Work
from app.core.errors import Unauthenticated
from app.gateways.outside import Outside
from app.models.sessions import PrincipalKind
from app.services import partners, staff
from app.services.actors import Actor
from app.settings import Settings
from schema.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Principal:
    """Who an access token speaks for, as its claims say; nothing was looked up."""

    kind: PrincipalKind
    id: UUID
    group_id: UUID
    session_id: UUID | None
    expires_at: datetime
    scopes: frozenset[str] = frozenset()
    """What a partner's token was issued for."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a client sends as its bearer token, and until when."""

    text: str
    expires_at: datetime


class Signer(Protocol):
    """Makes access tokens: see `auth.tokens.TokenSigner`, which this layer lies below."""

    async def sign(
        self,
        *,
        kind: PrincipalKind,
        principal_id: UUID,
        group_id: UUID,
        session_id: UUID | None = None,
        now: datetime,
    ) -> AccessToken: ...

    async def sign_statement(
        self, claims: dict[str, Any], *, media_type: str, now: datetime
    ) -> str: ...


@dataclass(slots=True)
class Context:
    database: Database
    settings: Settings
    group_id: UUID
    now: datetime
    request_id: str
    client_address: str
    principal: Principal | None
    outside: Outside
    signer: Signer
    refusal: Unauthenticated | None = None
    """Why the token that came was worth nothing; whoever must be signed in is told so."""
    connection_params: Any = None
    loaders: Loaders = field(init=False)
    _actor: asyncio.Future[Actor] | None = None

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.database)

    @property
    def expires_at(self) -> datetime | None:
        """When a socket opened with this context must close."""
        return self.principal.expires_at if self.principal else None

    @property
    def member_id(self) -> UUID:
        """The signed-in member. The id may be that of a merged one: services resolve it."""
        if self.principal is None or self.principal.kind is not PrincipalKind.MEMBER:
            raise self.refusal or Unauthenticated("Sign in first.")
        return self.principal.id

    async def actor(self) -> Actor:
        """Who acts at the admin endpoint and what they may do now; looked up once an operation.

        Raises `Unauthenticated`, and `TooManyRequests` for a partner above its rate.
        """
        if self._actor is None:
            self._actor = asyncio.ensure_future(self._load_actor())
        return await self._actor

    async def _load_actor(self) -> Actor:
        match self.principal:
            case Principal(PrincipalKind.STAFF, id=staff_id, session_id=UUID() as session_id):
                # By `run`: a replica may not have heard yet that the session was revoked.
                return await self.run(
                    staff.actor_of_staff, staff_id=staff_id, session_id=session_id, now=self.now
                )
            case Principal(PrincipalKind.PARTNER, id=partner_id, scopes=scopes):
                return await self.run(
                    partners.actor_of_partner, partner_id=partner_id, scopes=scopes, now=self.now
                )
        raise self.refusal or Unauthenticated("Sign in first.")

    def for_operation(self) -> Context:
        """A fresh context for the next operation on the same socket."""
        return replace(self, now=datetime.now(UTC), _actor=None)

    def begin_event(self) -> None:
        """Forget what was loaded for a subscription's earlier event: it may have changed."""
        self.now = datetime.now(UTC)
        self.loaders = Loaders(self.database)

    async def run(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.database.run(work, *args, **kwargs)

    async def read(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.database.read(work, *args, **kwargs)


Info = strawberry.Info[Context, None]
