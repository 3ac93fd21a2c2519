"""What the back office changes on a card by hand: adjustments and card refunds (CRD-4, CRD-6)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Long, Row
from app.models.ledger import AccountKind


class AdjustmentState(StrEnum):
    PROPOSED = "PROPOSED"
    """Above the limit: waits for a second person."""
    APPLIED = "APPLIED"
    REJECTED = "REJECTED"


class Adjustment(Row, table=True):
    """Value added to or taken from one account of a card, why, and by whom (CRD-6)."""

    __tablename__ = "adjustments"
    __table_args__ = (
        Index("ix_adjustments_group", "group_id", "id"),
        Index("ix_adjustments_card", "card_id", "id"),
        Index("ix_adjustments_proposer", "proposed_by_id", "proposed_at"),
        CheckConstraint("amount <> 0", name="amount_not_zero"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    card_id: UUID = Field(foreign_key="cards.id")
    account_kind: AccountKind = Field(sa_type=Choice(AccountKind))
    unit: str = Field(max_length=8)
    amount: int = Long()
    reason: str = Field(max_length=200)
    state: AdjustmentState = Field(sa_type=Choice(AdjustmentState))
    proposed_by_id: UUID
    proposed_at: datetime = Field(sa_type=UtcDateTime)
    decided_by_id: UUID | None = None
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class CardRefund(Row, table=True):
    """A card's cash paid out, its bonus and points voided, the card closed (CRD-4)."""

    __tablename__ = "card_refunds"

    group_id: UUID = Field(foreign_key="nodes.id")
    card_id: UUID = Field(foreign_key="cards.id", unique=True)
    payment_method_id: UUID = Field(foreign_key="payment_methods.id")
    currency: str = Field(max_length=3)
    paid_out: int = Long()
    voided_bonus: int = Long()
    voided_points: int = Long()
    reason: str = Field(max_length=200)
    refunded_by_id: UUID
    refunded_at: datetime = Field(sa_type=UtcDateTime)
