"""Schemes, their tiers, and the cards members hold (CRD-1, CRD-2, CRD-3)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Long, Row

_not_merged = text("status <> 'MERGED'")


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
        # CRD-2: a member, and with IDN-3 a phone number, holds one card of a scheme. A merged
        # card has left its member's hands.
        Index(
            "uq_cards_one_per_scheme",
            "member_id",
            "scheme_id",
            unique=True,
            sqlite_where=_not_merged,
            postgresql_where=_not_merged,
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
    merged_into_id: UUID | None = Field(default=None, foreign_key="cards.id", index=True)
    has_absorbed: bool = False
    issuing_store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    issued_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_code_step: int = Long(default=0)
    pin_hash: str | None = Field(default=None, max_length=200)
    pin_failures: int = 0


class CodeScan(Row, table=True):
    """A member code that was opened at a terminal; a step of a card opens once, ever (QRC-1)."""

    __tablename__ = "code_scans"
    __table_args__ = (UniqueConstraint("card_id", "step"),)

    card_id: UUID = Field(foreign_key="cards.id")
    step: int = Long()
    terminal_id: UUID = Field(foreign_key="terminals.id")
    scanned_at: datetime = Field(sa_type=UtcDateTime)
