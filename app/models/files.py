"""Images that people uploaded: covers, icons, designs, and what only few may see."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Row
from app.models.sessions import PrincipalKind


class FileKind(StrEnum):
    PUBLIC_IMAGE = "PUBLIC_IMAGE"
    """A picture of something on offer: everybody may see it."""
    PRIVATE_IMAGE = "PRIVATE_IMAGE"
    """A student card: kept encrypted, seen through a signed address for minutes."""


class FileState(StrEnum):
    STORING = "STORING"
    """The row was written before the bytes, so that bytes without a row cannot be."""
    STORED = "STORED"
    USED = "USED"
    """Something refers to it."""
    FORGOTTEN = "FORGOTTEN"
    """Its bytes are gone, or a job is about to delete them."""


_unused = text("state IN ('STORING', 'STORED')")


class File(Row, table=True):
    """One image as it was re-encoded. Its bytes never change: another image is another file."""

    __tablename__ = "files"
    __table_args__ = (
        Index("ix_files_unused", "created_at", sqlite_where=_unused, postgresql_where=_unused),
        Index("ix_files_uploader", "uploader_id", "id"),
        CheckConstraint("bytes > 0 AND width > 0 AND height > 0", name="sizes"),
        CheckConstraint("(state = 'FORGOTTEN') = (deleted_at IS NOT NULL)", name="deleted"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    node_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    """Where whoever uploaded a public image works; None for a member's."""
    kind: FileKind = Field(sa_type=Choice(FileKind))
    state: FileState = Field(default=FileState.STORING, sa_type=Choice(FileState))
    content_type: str = Field(max_length=32)
    bytes: int
    width: int
    height: int
    sha256: str = Field(max_length=64)
    storage_key: str = Field(max_length=64, unique=True)
    uploader_kind: PrincipalKind = Field(sa_type=Choice(PrincipalKind))
    uploader_id: UUID
    created_at: datetime = Field(sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
