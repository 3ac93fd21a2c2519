"""What members do besides buying, and what it earns (PTS-2, TIR-7); suspicion (PTS-7)."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.models.base import Long, Row


class BehaviourRule(Row, table=True):
    """What one kind of event earns on cards of a scheme, and how often."""

    __tablename__ = "behaviour_rules"
    __table_args__ = (
        UniqueConstraint("scheme_id", "event_key"),
        CheckConstraint("points >= 0 AND growth >= 0", name="amounts"),
    )

    scheme_id: UUID = Field(foreign_key="schemes.id")
    event_key: str = Field(max_length=48)
    name: str = Field(max_length=64)
    points: int = Long(default=0)
    growth: int = Long(default=0)
    times_per_day: int | None = None
    times_per_month: int | None = None
    times_ever: int | None = None
    streak: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    """Extra points at so many days in a row: `[{"days": 7, "points": 20}]`."""
    is_active: bool = True


class MemberEvent(Row, table=True):
    """Something a member did, told once: a source repeats its own id."""

    __tablename__ = "member_events"
    __table_args__ = (
        UniqueConstraint("member_id", "event_key", "source", "external_id"),
        Index("ix_member_events_member", "member_id", "id"),
        Index("ix_member_events_key", "member_id", "event_key", "business_date"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    member_id: UUID = Field(foreign_key="members.id")
    event_key: str = Field(max_length=48)
    source: str = Field(max_length=64)
    external_id: str = Field(max_length=64)
    business_date: date
    """The day it happened on in the group's time zone: what daily caps and streaks count by."""
    streak_days: int = 1
    """Days in a row up to this one on which the member did this."""
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    occurred_at: datetime = Field(sa_type=UtcDateTime)


class EarningOutcome(StrEnum):
    """What came of an event on one card."""

    EARNED = "EARNED"
    POINTS_BLOCKED = "POINTS_BLOCKED"
    """An open case keeps the card from earning points: it earned growth alone."""
    DAY_CAP = "DAY_CAP"
    MONTH_CAP = "MONTH_CAP"
    EVER_CAP = "EVER_CAP"
    CARD_NOT_USABLE = "CARD_NOT_USABLE"
    NOT_AT_THIS_STORE = "NOT_AT_THIS_STORE"


class EventEarning(Row, table=True):
    """What an event earned on one card by the rule of that moment, or why it did not."""

    __tablename__ = "event_earnings"
    __table_args__ = (
        UniqueConstraint("event_id", "card_id"),
        # What caps count.
        Index("ix_event_earnings_card", "card_id", "event_key", "business_date"),
    )

    event_id: UUID = Field(foreign_key="member_events.id")
    card_id: UUID = Field(foreign_key="cards.id")
    event_key: str = Field(max_length=48)
    business_date: date
    outcome: EarningOutcome = Field(sa_type=Choice(EarningOutcome))
    points: int = Long(default=0)
    """Those of the streak included."""
    streak_points: int = Long(default=0)
    growth: int = Long(default=0)


class PointsCase(Row, table=True):
    """A member who earned more points in a day than is believable (PTS-7)."""

    __tablename__ = "points_cases"
    __table_args__ = (
        UniqueConstraint("card_id", "business_date"),
        Index(
            "ix_points_cases_open",
            "member_id",
            sqlite_where=text("cleared_at IS NULL"),
            postgresql_where=text("cleared_at IS NULL"),
        ),
        Index("ix_points_cases_scheme", "scheme_id", "business_date"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    scheme_id: UUID = Field(foreign_key="schemes.id")
    member_id: UUID = Field(foreign_key="members.id")
    card_id: UUID = Field(foreign_key="cards.id")
    business_date: date
    points: int = Long()
    threshold: int = Long()
    marked_at: datetime = Field(sa_type=UtcDateTime)
    cleared_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cleared_by_id: UUID | None = None
    clearing_reason: str | None = Field(default=None, max_length=200)


class Notice(Row, table=True):
    """Something a member should hear of, written down once: channels read it from here."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("member_id", "unique_key"),
        Index("ix_notices_member", "member_id", "id"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    member_id: UUID = Field(foreign_key="members.id")
    kind: str = Field(max_length=48)
    unique_key: str = Field(max_length=96)
    details: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=UtcDateTime)
    read_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
