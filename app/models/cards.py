"""Schemes, their tiers, and the cards members hold (CRD-1, CRD-2, CRD-3)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, false, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.points_expiry import PointsExpiry
from app.core.tier_periods import TierValidity
from app.models.base import Long, Row
from app.models.tiers import AfterTierExpiry, OnGrowthChange, TierCondition

_in_hand = text("status <> 'MERGED' AND status <> 'REFUNDED'")
_tier_expires = text("growth_tier_expires_at IS NOT NULL")
_is_merged = text("merged_into_id IS NOT NULL")


def _no() -> Any:
    return Field(default=False, sa_column_kwargs={"server_default": false()})


def _zero() -> Any:
    return Field(default=0, sa_column_kwargs={"server_default": "0"})


class DeductionRule(StrEnum):
    """Which stored value pays first (TOP-1)."""

    CASH_FIRST = "CASH_FIRST"
    BONUS_FIRST = "BONUS_FIRST"
    PROPORTIONAL = "PROPORTIONAL"


class ConsumptionVerification(StrEnum):
    """What a holder proves before a card pays (CRD-8)."""

    NONE = "NONE"
    PIN = "PIN"
    SMS = "SMS"


class Scheme(Row, table=True):
    """A card plan (CRD-1). Points: floor(net amount ÷ unit) × rate (PTS-1)."""

    __tablename__ = "schemes"
    __table_args__ = (
        UniqueConstraint("perspective_id", "name"),
        CheckConstraint("points_unit > 0 AND points_rate >= 0", name="points_rule"),
        CheckConstraint("valid_days IS NULL OR valid_days > 0", name="valid_days"),
    )

    group_id: UUID = Field(foreign_key="nodes.id", index=True)
    perspective_id: UUID = Field(foreign_key="nodes.id")
    name: str = Field(max_length=120)
    currency: str = Field(max_length=3)
    deduction_rule: DeductionRule = Field(sa_type=Choice(DeductionRule))
    consumption_verification: ConsumptionVerification = Field(
        sa_type=Choice(ConsumptionVerification)
    )
    points_unit: int = Long()
    points_rate: int = Long()
    valid_days: int | None = None
    is_open_to_join: bool = True
    covers_all_stores: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)

    # What has to be bought for a card to be opened; nothing where neither is named (CRD-9).
    opening_pack_id: UUID | None = None
    """A coupon pack."""
    opening_package_id: UUID | None = None

    # Points beyond earning by purchases (PTS-4…PTS-9).
    points_expiry: PointsExpiry = Field(
        default=PointsExpiry.PERMANENT,
        sa_type=Choice(PointsExpiry),
        sa_column_kwargs={"server_default": "PERMANENT"},
    )
    points_expiry_count: int = _zero()
    """Months, or years of the yearly rule."""
    points_worth_points: int = _zero()
    """So many points pay `points_worth_amount` minor units; 0: they pay nothing (PTS-6)."""
    points_worth_amount: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    points_pay_share_bp: int = Field(default=10_000, sa_column_kwargs={"server_default": "10000"})
    points_pay_amount_max: int | None = Long(default=None)
    points_pay_points_min: int = _zero()
    points_cost_per_thousand: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    """What 1,000 points cost us, in minor units: for the liability report (PTS-8)."""
    decay_after_months: int | None = None
    decay_bp: int = _zero()
    abnormal_above: int | None = Long(default=None)
    """More points in a day than this mark the member (PTS-7)."""
    abnormal_blocks_earning: bool = _no()
    abnormal_blocks_spending: bool = _no()
    abnormal_mail_to: list[str] = Field(
        default_factory=list, sa_type=Json, sa_column_kwargs={"server_default": "[]"}
    )

    # Growth and tiers (TIR-2…TIR-6).
    tiers_are_computed: bool = _no()
    """Off: tiers are written by staff and partners and never computed. Never off again."""
    tiers_version: int = _zero()
    growth_unit: int = Long(default=100, sa_column_kwargs={"server_default": "100"})
    growth_rate: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    growth_only: list[dict[str, str]] = Field(
        default_factory=list, sa_type=Json, sa_column_kwargs={"server_default": "[]"}
    )
    """Products that alone count, by id or a part of the name; empty is all."""
    growth_except: list[dict[str, str]] = Field(
        default_factory=list, sa_type=Json, sa_column_kwargs={"server_default": "[]"}
    )
    on_growth_change: OnGrowthChange = Field(
        default=OnGrowthChange.ADJUST,
        sa_type=Choice(OnGrowthChange),
        sa_column_kwargs={"server_default": "ADJUST"},
    )
    recalculation_months: int | None = None
    recalculation_day: int | None = None
    tier_validity: TierValidity = Field(
        default=TierValidity.PERMANENT,
        sa_type=Choice(TierValidity),
        sa_column_kwargs={"server_default": "PERMANENT"},
    )
    tier_validity_months: int = _zero()
    after_tier_expiry: AfterTierExpiry = Field(
        default=AfterTierExpiry.BY_RULE,
        sa_type=Choice(AfterTierExpiry),
        sa_column_kwargs={"server_default": "BY_RULE"},
    )


class SchemeStore(Row, table=True):
    """A store where a scheme that does not cover all of them is used."""

    __tablename__ = "scheme_stores"
    __table_args__ = (UniqueConstraint("scheme_id", "store_id"),)

    scheme_id: UUID = Field(foreign_key="schemes.id")
    store_id: UUID = Field(foreign_key="nodes.id")


class Tier(Row, table=True):
    """A step of a scheme; `level` 1 is where new cards start."""

    __tablename__ = "tiers"
    __table_args__ = (
        UniqueConstraint("scheme_id", "level"),
        CheckConstraint("level > 0 AND growth_from >= 0", name="level"),
    )

    scheme_id: UUID = Field(foreign_key="schemes.id")
    level: int
    name: str = Field(max_length=64)
    growth_from: int = Long(default=0)
    condition: TierCondition = Field(
        default=TierCondition.ACCUMULATED,
        sa_type=Choice(TierCondition),
        sa_column_kwargs={"server_default": "ACCUMULATED"},
    )
    window_months: int | None = None


class CardStatus(StrEnum):
    NORMAL = "NORMAL"
    LOST = "LOST"
    FROZEN = "FROZEN"
    EXPIRED = "EXPIRED"
    REFUNDED = "REFUNDED"
    MERGED = "MERGED"


class Card(Row, table=True):
    """A member's card of one scheme.

    `serial` is a random nine-digit number: what the member code hides (QRC-2), and with its Luhn
    digit the number printed on the card. `last_code_step` is the last minute whose code was used.
    """

    __tablename__ = "cards"
    __table_args__ = (
        # CRD-2: a member, and with IDN-3 a phone number, holds one card of a scheme. One that was
        # merged or refunded has left its member's hands.
        Index(
            "uq_cards_one_per_scheme",
            "member_id",
            "scheme_id",
            unique=True,
            sqlite_where=_in_hand,
            postgresql_where=_in_hand,
        ),
        # Recomputing a scheme's tiers, and lists filtered by scheme, go by it.
        Index("ix_cards_scheme", "scheme_id", "id"),
        Index("ix_cards_group", "group_id", "id"),
        # Few are merged: an index full of NULL looks useless to SQLite once it has counted them.
        Index(
            "ix_cards_merged_into_id",
            "merged_into_id",
            sqlite_where=_is_merged,
            postgresql_where=_is_merged,
        ),
        Index("ix_cards_issuing_store", "issuing_store_id", "id"),
        Index(
            "ix_cards_tier_expiring",
            "growth_tier_expires_at",
            sqlite_where=_tier_expires,
            postgresql_where=_tier_expires,
        ),
        CheckConstraint("(status = 'MERGED') = (merged_into_id IS NOT NULL)", name="merged_into"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    member_id: UUID = Field(foreign_key="members.id", index=True)
    scheme_id: UUID = Field(foreign_key="schemes.id")
    tier_id: UUID = Field(foreign_key="tiers.id")
    serial: int = Field(unique=True)
    number: str = Field(max_length=16, unique=True)
    status: CardStatus = Field(default=CardStatus.NORMAL, sa_type=Choice(CardStatus))
    merged_into_id: UUID | None = Field(default=None, foreign_key="cards.id")
    has_absorbed: bool = False
    issuing_store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    issued_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_code_step: int = Long(default=0)
    pin_hash: str | None = Field(default=None, max_length=200)
    pin_failures: int = 0
    growth_amount: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    """All that ever counted for growth: what is left of a unit carries over (TIR-6)."""
    growth_tier_id: UUID | None = Field(default=None, foreign_key="tiers.id")
    """The tier growth reached, beside what was granted; None is the lowest."""
    growth_tier_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    growth_tier_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class CodeScan(Row, table=True):
    """A member code that was opened at a terminal; a step of a card opens once, ever (QRC-1)."""

    __tablename__ = "code_scans"
    __table_args__ = (UniqueConstraint("card_id", "step"),)

    card_id: UUID = Field(foreign_key="cards.id")
    step: int = Long()
    terminal_id: UUID = Field(foreign_key="terminals.id")
    scanned_at: datetime = Field(sa_type=UtcDateTime)
