"""What members enjoy: benefits by scheme and tier, and those a card was given (BEN-1…BEN-4)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.models.base import Row
from app.models.sessions import PrincipalKind


class BenefitKind(StrEnum):
    """The ten types, each with fields of its own (BEN-1)."""

    MARKETING = "MARKETING"
    PROMOTIONAL = "PROMOTIONAL"
    MEMBER_PRICING = "MEMBER_PRICING"
    MEMBER_DISCOUNT = "MEMBER_DISCOUNT"
    MEMBER_DAY = "MEMBER_DAY"
    BIRTHDAY = "BIRTHDAY"
    POINTS_MULTIPLIER = "POINTS_MULTIPLIER"
    CARD_EXTENSION = "CARD_EXTENSION"
    EXCLUSIVE_SERVICE = "EXCLUSIVE_SERVICE"
    CUSTOM = "CUSTOM"


class BenefitState(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


_active = text("state = 'ACTIVE'")


class Benefit(Row, table=True):
    """What the cards that its scope means enjoy while it is active."""

    __tablename__ = "benefits"
    __table_args__ = (
        Index("ix_benefits_group", "group_id", "id"),
        # Those that a group's cards can hold now, multipliers apart for purchases.
        Index(
            "ix_benefits_active",
            "group_id",
            "multiplies_points",
            sqlite_where=_active,
            postgresql_where=_active,
        ),
        CheckConstraint(
            "(kind = 'MARKETING' OR kind = 'PROMOTIONAL') = (campaign_id IS NOT NULL)",
            name="campaign",
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    scope_id: UUID = Field(foreign_key="scopes.id")
    campaign_id: UUID | None = Field(default=None, foreign_key="campaigns.id", index=True)
    kind: BenefitKind = Field(sa_type=Choice(BenefitKind))
    state: BenefitState = Field(default=BenefitState.DRAFT, sa_type=Choice(BenefitState))
    name: str = Field(max_length=120)
    brief: str = Field(max_length=200)
    description: str | None = Field(default=None, max_length=2_000)
    icon_file_id: UUID | None = Field(default=None, foreign_key="files.id")
    currency: str | None = Field(default=None, max_length=3)
    """What amounts in its details and restrictions are in."""
    details: dict[str, Any] = Field(sa_type=Json)
    """The fields of its kind."""
    restrictions: dict[str, Any] = Field(sa_type=Json)
    multiplies_points: bool
    version: int = 1
    operator_kind: PrincipalKind = Field(sa_type=Choice(PrincipalKind))
    operator_id: UUID
    """Who saved it last."""
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class BenefitSource(StrEnum):
    """Where a card has a benefit from that its scheme and tier do not bring."""

    PACKAGE = "PACKAGE"
    TOP_UP = "TOP_UP"


class BenefitGrant(Row, table=True):
    """A benefit given to one card for some time, as it was on that day."""

    __tablename__ = "benefit_grants"
    __table_args__ = (
        # Not by card: what was given to one that was merged since is not given again.
        UniqueConstraint("source_id", "source", "benefit_id"),
        CheckConstraint("ends_at IS NULL OR ends_at > starts_at", name="time"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    card_id: UUID = Field(foreign_key="cards.id", index=True)
    benefit_id: UUID = Field(foreign_key="benefits.id")
    source: BenefitSource = Field(sa_type=Choice(BenefitSource))
    source_id: UUID
    """What was bought: an owned package, a top-up."""
    terms: dict[str, Any] = Field(sa_type=Json)
    """The benefit as it was: later edits change nothing (BEN-7)."""
    multiplies_points: bool
    extended_days: int = 0
    """By how much the card's time was prolonged."""
    starts_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """None is for good."""
    granted_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When what brought it was refunded."""
