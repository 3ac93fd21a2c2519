"""How cards reach their tiers: grants with their source, changes, releases, tasks (TIR)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Long, Row


class TierCondition(StrEnum):
    """How growth leads to a tier (TIR-2)."""

    ACCUMULATED = "ACCUMULATED"
    WINDOW = "WINDOW"
    NONE = "NONE"
    """Not by growth at all: only granted, or by its tasks (TIR-1)."""


class OnGrowthChange(StrEnum):
    """What a change of growth does to the tier (TIR-3)."""

    ADJUST = "ADJUST"
    UPGRADE_ONLY = "UPGRADE_ONLY"
    NOTHING = "NOTHING"


class AfterTierExpiry(StrEnum):
    """How the next tier is found when one runs out (TIR-4)."""

    BY_RULE = "BY_RULE"
    SINCE_UPGRADE = "SINCE_UPGRADE"


class TaskKind(StrEnum):
    PURCHASES = "PURCHASES"
    """A number of purchases."""
    AMOUNT = "AMOUNT"
    """Net amount of purchases, in minor units."""
    EVENTS = "EVENTS"
    """A number of named events."""


class TierTask(Row, table=True):
    """One of a set of tasks that all lead to a tier when fulfilled (TIR-1)."""

    __tablename__ = "tier_tasks"
    __table_args__ = (CheckConstraint("at_least > 0", name="at_least"),)

    tier_id: UUID = Field(foreign_key="tiers.id", index=True)
    kind: TaskKind = Field(sa_type=Choice(TaskKind))
    event_key: str | None = Field(default=None, max_length=48)
    at_least: int = Long()
    window_months: int | None = None
    """Counted over the last so many months; None is ever."""


class GrantSource(StrEnum):
    """Where a tier came from that growth did not reach."""

    TOP_UP = "TOP_UP"
    TASKS = "TASKS"
    STAFF = "STAFF"
    PARTNER = "PARTNER"
    PACKAGE = "PACKAGE"


class TierGrant(Row, table=True):
    """A tier given to a card until some time; the highest one that lives counts (TIR-1)."""

    __tablename__ = "tier_grants"
    __table_args__ = (
        UniqueConstraint("card_id", "source", "source_id"),
        Index(
            "ix_tier_grants_expiring",
            "expires_at",
            sqlite_where=text("ended_at IS NULL AND expires_at IS NOT NULL"),
            postgresql_where=text("ended_at IS NULL AND expires_at IS NOT NULL"),
        ),
    )

    card_id: UUID = Field(foreign_key="cards.id")
    tier_id: UUID = Field(foreign_key="tiers.id")
    source: GrantSource = Field(sa_type=Choice(GrantSource))
    source_id: UUID
    granted_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TierCause(StrEnum):
    """Why a card's tier changed."""

    GROWTH = "GROWTH"
    GRANT = "GRANT"
    GRANT_ENDED = "GRANT_ENDED"
    EXPIRY = "EXPIRY"
    RECALCULATION = "RECALCULATION"
    RELEASE = "RELEASE"
    MERGE = "MERGE"


class TierChange(Row, table=True):
    """A card's tier changed, from what to what and why."""

    __tablename__ = "tier_changes"
    __table_args__ = (Index("ix_tier_changes_card", "card_id", "id"),)

    card_id: UUID = Field(foreign_key="cards.id")
    from_tier_id: UUID = Field(foreign_key="tiers.id")
    to_tier_id: UUID = Field(foreign_key="tiers.id")
    cause: TierCause = Field(sa_type=Choice(TierCause))
    cause_id: UUID | None = None
    changed_at: datetime = Field(sa_type=UtcDateTime)


class RunState(StrEnum):
    RUNNING = "RUNNING"
    DONE = "DONE"


_running = text("state = 'RUNNING'")


class TierRun(Row, table=True):
    """A recomputation of all cards of a scheme: its rules are locked while one runs (TIR-5)."""

    __tablename__ = "tier_runs"
    __table_args__ = (
        Index(
            "uq_tier_runs_one_at_a_time",
            "scheme_id",
            unique=True,
            sqlite_where=_running,
            postgresql_where=_running,
        ),
    )

    scheme_id: UUID = Field(foreign_key="schemes.id", index=True)
    cause: TierCause = Field(sa_type=Choice(TierCause))
    state: RunState = Field(default=RunState.RUNNING, sa_type=Choice(RunState))
    number_of_cards: int = Long()
    number_done: int = Long(default=0)
    number_changed: int = Long(default=0)
    after_card_id: UUID | None = None
    """The last card done: where the next batch begins."""
    started_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
