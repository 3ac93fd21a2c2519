"""Members, what they told us and what they agreed to (IDN-8)."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Row


class MemberStatus(StrEnum):
    ACTIVE = "ACTIVE"
    MERGED = "MERGED"
    CLOSED = "CLOSED"


class Gender(StrEnum):
    FEMALE = "FEMALE"
    MALE = "MALE"
    OTHER = "OTHER"


class Member(Row, table=True):
    """One person in one group (IDN-3).

    A merged member stays as a signpost: `merged_into_id` always names the living one directly,
    never another signpost.
    """

    __tablename__ = "members"
    # Pages of a group's members, the newest first, without sorting all of them.
    __table_args__ = (Index("ix_members_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    status: MemberStatus = Field(default=MemberStatus.ACTIVE, sa_type=Choice(MemberStatus))
    merged_into_id: UUID | None = Field(default=None, foreign_key="members.id", index=True)
    name: str | None = Field(default=None, sa_type=Personal("members.name"))
    gender: Gender | None = Field(default=None, sa_type=Choice(Gender))
    birthday: str | None = Field(default=None, sa_type=Personal("members.birthday"))
    birthday_edits: int = 0
    region: str | None = Field(default=None, max_length=120)
    attributes: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    recruitment_store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    joined_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AttributeKind(StrEnum):
    TEXT = "TEXT"
    NUMBER = "NUMBER"
    DATE = "DATE"


class AttributeDefinition(Row, table=True):
    """A custom attribute members of a group can have."""

    __tablename__ = "attribute_definitions"
    __table_args__ = (UniqueConstraint("group_id", "key"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    key: str = Field(max_length=48)
    name: str = Field(max_length=64)
    kind: AttributeKind = Field(sa_type=Choice(AttributeKind))
    created_at: datetime = Field(sa_type=UtcDateTime)


class Consent(Row, table=True):
    """One decision a member took about one purpose; the latest of a purpose counts."""

    __tablename__ = "consents"

    member_id: UUID = Field(foreign_key="members.id", index=True)
    purpose: str = Field(max_length=48)
    version: str = Field(max_length=32)
    is_given: bool
    decided_at: datetime = Field(sa_type=UtcDateTime)


def birthday_date(birthday: str | None) -> date | None:
    return date.fromisoformat(birthday) if birthday else None
