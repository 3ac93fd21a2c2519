"""What keeps the product honest while it runs: request keys, jobs, audit, limits, caches."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Long, Row


class RequestRecord(Row, table=True):
    """A mutation that moved value, by its request key: it happens once, and answers again."""

    __tablename__ = "request_records"
    __table_args__ = (UniqueConstraint("principal_id", "operation", "request_key"),)

    principal_id: UUID
    operation: str = Field(max_length=48)
    request_key: str = Field(max_length=64)
    fingerprint: str = Field(max_length=64)
    answer_id: UUID
    recorded_at: datetime = Field(sa_type=UtcDateTime)


_open = text("done_at IS NULL AND failed_at IS NULL")
_failed = text("failed_at IS NOT NULL")


class Job(Row, table=True):
    """Work to do after a commit, at least once, leased by one worker at a time.

    The payload may hold a phone number and a code, so it is encrypted, and emptied when done.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_due", "run_at", "id", sqlite_where=_open, postgresql_where=_open),
        Index("ix_jobs_failed", "id", sqlite_where=_failed, postgresql_where=_failed),
        UniqueConstraint("unique_key"),
    )

    kind: str = Field(max_length=48)
    payload: str = Field(sa_type=Personal("jobs.payload"))
    unique_key: str | None = Field(default=None, max_length=96)
    run_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = 0
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    owner: str | None = Field(default=None, max_length=64)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str | None = Field(default=None, max_length=200)


class Routine(Row, table=True):
    """Something that must happen at set times for one subject: when it is due next.

    What was missed while nothing ran is caught up once.
    """

    __tablename__ = "routines"
    __table_args__ = (UniqueConstraint("name", "subject_id"),)

    name: str = Field(max_length=48)
    subject_id: UUID
    next_due_at: datetime = Field(index=True, sa_type=UtcDateTime)
    last_due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AuditRecord(Row, table=True):
    """One act of staff or a partner (SEC-3).

    Written in the act's own transaction; a job seals what was written into one chain of hashes
    per group a moment later, so that acts do not queue behind each other.
    """

    __tablename__ = "audit_records"
    __table_args__ = (
        UniqueConstraint("group_id", "sequence"),
        Index("ix_audit_records_group", "group_id", "id"),
        Index(
            "ix_audit_records_unsealed",
            "id",
            sqlite_where=text("sequence IS NULL"),
            postgresql_where=text("sequence IS NULL"),
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    node_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    actor_kind: str = Field(max_length=16)
    actor_id: UUID
    action: str = Field(max_length=64)
    object_kind: str = Field(max_length=32)
    object_id: UUID | None = Field(default=None, index=True)
    details: dict[str, Any] = Field(sa_type=Json)
    request_id: str = Field(default="", max_length=64)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    sequence: int | None = Long(default=None)
    previous_hash: str | None = Field(default=None, max_length=64)
    hash: str | None = Field(default=None, max_length=64)


class RateCount(Row, table=True):
    """How often something happened in a window of time, for limits that all processes share."""

    __tablename__ = "rate_counts"
    __table_args__ = (UniqueConstraint("subject", "window_start"),)

    subject: str = Field(max_length=128)
    window_start: datetime = Field(index=True, sa_type=UtcDateTime)
    count: int


class ProviderToken(Row, table=True):
    """An access token of an outside provider, shared by all processes, refreshed by one."""

    __tablename__ = "provider_tokens"

    name: str = Field(max_length=96, unique=True)
    token: str | None = Field(default=None, sa_type=Personal("provider_tokens.token"))
    expires_at: datetime | None = Field(default=None, index=True, sa_type=UtcDateTime)
    refreshing_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
