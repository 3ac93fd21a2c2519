"""Sessions, their rotating refresh tokens, and the keys that sign access tokens (IDN-6)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Row


class PrincipalKind(StrEnum):
    MEMBER = "MEMBER"
    STAFF = "STAFF"
    PARTNER = "PARTNER"
    SYSTEM = "SYSTEM"


class Session(Row, table=True):
    """One sign-in on one device: the family its refresh tokens belong to."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_principal", "principal_id", "revoked_at"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    principal_kind: PrincipalKind = Field(sa_type=Choice(PrincipalKind))
    principal_id: UUID
    method: str = Field(max_length=32)
    device: str = Field(default="", max_length=120)
    started_at: datetime = Field(sa_type=UtcDateTime)
    refreshed_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_because: str | None = Field(default=None, max_length=32)


class RefreshToken(Row, table=True):
    """A refresh token, as its hash. Used once; a second use revokes the session."""

    __tablename__ = "refresh_tokens"

    session_id: UUID = Field(foreign_key="sessions.id", index=True)
    token_hash: str = Field(max_length=64, unique=True)
    issued_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SigningKey(Row, table=True):
    """A key of the JWKS. Signs from `active_from`, is published until `retired_at`."""

    __tablename__ = "signing_keys"

    kid: str = Field(max_length=64, unique=True)
    private_jwk: str = Field(sa_type=Personal("signing_keys.private_jwk"))
    active_from: datetime = Field(sa_type=UtcDateTime)
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Ticket(Row, table=True):
    """Something proven a moment ago, to be exchanged once within minutes.

    What a web sign-in proved, a password that awaits its second factor, a merge that awaits its
    confirmation, a spending that was verified: only the hash of the secret half is kept.
    """

    __tablename__ = "tickets"

    secret_hash: str = Field(max_length=64, unique=True)
    purpose: str = Field(max_length=32)
    payload: dict[str, Any] = Field(sa_type=Json)
    personal: str | None = Field(default=None, sa_type=Personal("tickets.personal"))
    expires_at: datetime = Field(index=True, sa_type=UtcDateTime)
    tries: int = 0
