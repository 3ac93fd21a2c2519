"""Members, what they told us and what they agreed to (IDN-8)."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Row

_waits_for_its_index = text("name IS NOT NULL AND name_index IS NULL")
_is_merged = text("merged_into_id IS NOT NULL")


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
    __table_args__ = (
        Index("ix_members_group", "group_id", "id"),
        # Few are merged: an index full of NULL looks useless to SQLite once it has counted them.
        Index(
            "ix_members_merged_into_id",
            "merged_into_id",
            sqlite_where=_is_merged,
            postgresql_where=_is_merged,
        ),
        Index("ix_members_name", "group_id", "name_index", "id"),
        Index("ix_members_recruitment_store", "recruitment_store_id", "id"),
        # Names written before names had an index: a duty gives them theirs, then this is empty.
        Index(
            "ix_members_without_name_index",
            "id",
            sqlite_where=_waits_for_its_index,
            postgresql_where=_waits_for_its_index,
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    status: MemberStatus = Field(default=MemberStatus.ACTIVE, sa_type=Choice(MemberStatus))
    merged_into_id: UUID | None = Field(default=None, foreign_key="members.id")
    name: str | None = Field(default=None, sa_type=Personal("members.name"))
    name_index: str | None = Field(default=None, max_length=64)
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


class Tag(Row, table=True):
    """A word that staff put on members by hand (SEG-2)."""

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("group_id", "name"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    name: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)


class MemberTag(Row, table=True):
    """A tag on a member."""

    __tablename__ = "member_tags"
    __table_args__ = (
        UniqueConstraint("member_id", "tag_id"),
        Index("ix_member_tags_tag", "tag_id", "member_id"),
    )

    member_id: UUID = Field(foreign_key="members.id")
    tag_id: UUID = Field(foreign_key="tags.id")
    tagged_at: datetime = Field(sa_type=UtcDateTime)


def birthday_date(birthday: str | None) -> date | None:
    return date.fromisoformat(birthday) if birthday else None
