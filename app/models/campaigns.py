"""Campaigns, as far as benefits lead to them (CMP-1, BEN-4)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Row


class CampaignKind(StrEnum):
    """What a campaign does for whom (CMP-1)."""

    CARD_OPENING_GIFT = "CARD_OPENING_GIFT"
    MASS_GIFT = "MASS_GIFT"
    FREE_CLAIM = "FREE_CLAIM"
    CHECK_IN = "CHECK_IN"
    REFERRAL = "REFERRAL"
    STAMP_CARD = "STAMP_CARD"
    BIRTHDAY = "BIRTHDAY"
    MEMBER_DAY = "MEMBER_DAY"
    CONSUMPTION_GIFT = "CONSUMPTION_GIFT"
    POINTS_MALL_EVENT = "POINTS_MALL_EVENT"
    LUCKY_DRAW = "LUCKY_DRAW"


class CampaignState(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


class Campaign(Row, table=True):
    """Something a group runs for its members, under a perspective."""

    __tablename__ = "campaigns"
    __table_args__ = (
        UniqueConstraint("perspective_id", "name"),
        Index("ix_campaigns_group", "group_id", "id"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    kind: CampaignKind = Field(sa_type=Choice(CampaignKind))
    state: CampaignState = Field(default=CampaignState.DRAFT, sa_type=Choice(CampaignState))
    name: str = Field(max_length=120)
    only_as_member_benefit: bool
    """Whether only members with a benefit that leads here take part; fixed for good (BEN-4)."""
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
