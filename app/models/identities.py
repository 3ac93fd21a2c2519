"""What proves who somebody is, the codes that prove it, and merges of two records (OneID)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, true
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Row


class IdentityKind(StrEnum):
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    WECHAT_OPENID = "WECHAT_OPENID"
    WECHAT_UNIONID = "WECHAT_UNIONID"
    OIDC = "OIDC"
    EXTERNAL = "EXTERNAL"


class Identity(Row, table=True):
    """One (kind, issuer, value) of one member; unique within the group (IDN-3).

    The blind index covers kind and issuer as well as the value, so it alone finds the row. What
    staff wrote down is a claim, not a proof: it finds the record and signs nobody in until it is
    proven (docs/decisions/0012-claimed-phones.md).
    """

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("value_index", "group_id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    member_id: UUID = Field(foreign_key="members.id", index=True)
    kind: IdentityKind = Field(sa_type=Choice(IdentityKind))
    issuer: str = Field(default="", max_length=200)
    value: str = Field(sa_type=Personal("identities.value"))
    value_index: str = Field(max_length=64)
    proven_at: datetime = Field(sa_type=UtcDateTime)
    """When it was proven; of a claim, when it was written down."""
    is_proven: bool = Field(default=True, sa_column_kwargs={"server_default": true()})


class CodeChannel(StrEnum):
    SMS = "SMS"
    EMAIL = "EMAIL"


class CodePurpose(StrEnum):
    SIGN_IN = "SIGN_IN"
    BIND = "BIND"
    CARD_PIN = "CARD_PIN"
    CONSUME = "CONSUME"
    STUDENT_ID = "STUDENT_ID"


class VerificationCode(Row, table=True):
    """A six-digit code sent to one target for one purpose (IDN-7); only its hash is kept."""

    __tablename__ = "verification_codes"
    __table_args__ = (
        Index("ix_verification_codes_target", "target_index", "purpose", "sent_at"),
        CheckConstraint("tries <= 5", name="five_tries"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    channel: CodeChannel = Field(sa_type=Choice(CodeChannel))
    purpose: CodePurpose = Field(sa_type=Choice(CodePurpose))
    target_index: str = Field(max_length=64)
    code_hash: str = Field(max_length=64)
    tries: int = 0
    sent_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Merge(Row, table=True):
    """Two records of one person made one, with all that undoing it needs (IDN-4, IDN-5)."""

    __tablename__ = "merges"

    survivor_id: UUID = Field(foreign_key="members.id", index=True)
    loser_id: UUID = Field(foreign_key="members.id", index=True)
    manifest: dict[str, Any] = Field(sa_type=Json)
    merged_at: datetime = Field(sa_type=UtcDateTime)
    undone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    undone_by_id: UUID | None = None
