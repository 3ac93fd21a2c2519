"""What every resolver gets: the database, the time, who asks, and one set of loaders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import strawberry

from app.core.db import Database
from app.core.db.database import P, R, Work
from app.core.errors import Unauthenticated
from app.models.sessions import PrincipalKind
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


@dataclass(slots=True)
class Context:
    database: Database
    settings: Settings
    group_id: UUID
    now: datetime
    request_id: str
    client_address: str
    principal: Principal | None
    services: Any
    """The outside world: see `auth.services.Outside`."""
    connection_params: Any = None
    loaders: Loaders = field(init=False)
    _actor: Actor | None = None

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
            raise Unauthenticated("Sign in first.")
        return self.principal.id

    def for_operation(self) -> Context:
        """A fresh context for the next operation on the same socket."""
        return replace(self, now=datetime.now(UTC), _actor=None)

    async def run(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.database.run(work, *args, **kwargs)

    async def read(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.database.read(work, *args, **kwargs)


Info = strawberry.Info[Context, None]
