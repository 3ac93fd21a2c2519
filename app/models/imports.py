"""Spreadsheets that were imported: what came of each row, for its history (MEM-3, GFT-5)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.core.personal import Personal
from app.models.base import Row


class ImportKind(StrEnum):
    GIFT_CARD_NUMBERS = "GIFT_CARD_NUMBERS"


class ImportState(StrEnum):
    RUNNING = "RUNNING"
    DONE = "DONE"


class Import(Row, table=True):
    """One spreadsheet somebody brought in."""

    __tablename__ = "imports"
    __table_args__ = (Index("ix_imports_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    kind: ImportKind = Field(sa_type=Choice(ImportKind))
    subject_id: UUID
    """What its rows belong to: a gift card product."""
    file_name: str = Field(sa_type=Personal("imports.file_name"))
    state: ImportState = Field(default=ImportState.RUNNING, sa_type=Choice(ImportState))
    number_of_rows: int
    number_landed: int = 0
    number_repeated: int = 0
    """Rows that an earlier import, or a row above, had brought already."""
    number_failed: int = 0
    operator_id: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ImportPart(Row, table=True):
    """Some rows of a spreadsheet, worked off in one transaction.

    Before that it holds all of them, afterwards only those that were refused, each with its reason.
    """

    __tablename__ = "import_parts"
    __table_args__ = (
        UniqueConstraint("import_id", "position"),
        Index(
            "ix_import_parts_waiting",
            "import_id",
            "position",
            sqlite_where=text("is_waiting"),
            postgresql_where=text("is_waiting"),
        ),
    )

    import_id: UUID = Field(foreign_key="imports.id")
    position: int
    is_waiting: bool = True
    rows: str = Field(sa_type=Personal("import_parts.rows"))
    """JSON. They may tell of persons, or be keys that are worth money."""
    number_failed: int = 0
