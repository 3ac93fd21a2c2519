"""Bills paid with what is on a card: stored value or points (TOP-1, TOP-9, PTS-6)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Long, Row
from app.models.ledger import AccountKind


class SpendingKind(StrEnum):
    STORED_VALUE = "STORED_VALUE"
    POINTS = "POINTS"


class SpendingState(StrEnum):
    AUTHORISED = "AUTHORISED"
    """Taken from the card and held, until it is captured, voided or runs out."""
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"


class Spending(Row, table=True):
    """What one bill took from one card, and how it was split: refunds use the saved split.

    `amount` is what the bill was paid; of stored value it is `cash` + `bonus`, of points what
    `points` were worth. The `returned_…` columns are what went back, by refunds or by capturing
    less than was authorised.
    """

    __tablename__ = "spendings"
    __table_args__ = (
        Index("ix_spendings_card", "card_id", "id"),
        # What points have paid of one order so far (PTS-6).
        Index("ix_spendings_order", "store_id", "order_number"),
        Index(
            "ix_spendings_held",
            "expires_at",
            sqlite_where=text("state = 'AUTHORISED'"),
            postgresql_where=text("state = 'AUTHORISED'"),
        ),
        CheckConstraint("amount > 0 AND cash >= 0 AND bonus >= 0 AND points >= 0", name="amounts"),
        CheckConstraint(
            "returned_cash BETWEEN 0 AND cash AND returned_bonus BETWEEN 0 AND bonus"
            " AND returned_points BETWEEN 0 AND points AND returned_amount BETWEEN 0 AND amount",
            name="returned",
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    card_id: UUID = Field(foreign_key="cards.id")
    kind: SpendingKind = Field(sa_type=Choice(SpendingKind))
    state: SpendingState = Field(sa_type=Choice(SpendingState))
    store_id: UUID = Field(foreign_key="nodes.id")
    terminal_id: UUID = Field(foreign_key="terminals.id")
    order_number: str = Field(max_length=64)
    currency: str = Field(max_length=3)
    amount: int = Long()
    cash: int = Long(default=0)
    bonus: int = Long(default=0)
    points: int = Long(default=0)
    returned_amount: int = Long(default=0)
    returned_cash: int = Long(default=0)
    returned_bonus: int = Long(default=0)
    returned_points: int = Long(default=0)
    posting_id: UUID = Field(foreign_key="postings.id", index=True)
    made_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was captured or voided."""


class SpendingPart(Row, table=True):
    """What a spending took from one lot, and how much of it went back there."""

    __tablename__ = "spending_parts"
    __table_args__ = (CheckConstraint("returned >= 0 AND returned <= taken", name="returned"),)

    spending_id: UUID = Field(foreign_key="spendings.id", index=True)
    lot_id: UUID = Field(foreign_key="lots.id", index=True)
    account_kind: AccountKind = Field(sa_type=Choice(AccountKind))
    position: int
    taken: int = Long()
    returned: int = Long(default=0)


class SpendingRefund(Row, table=True):
    """A part or all of a spending given back to the very lots it came from."""

    __tablename__ = "spending_refunds"

    spending_id: UUID = Field(foreign_key="spendings.id", index=True)
    amount: int = Long()
    cash: int = Long(default=0)
    bonus: int = Long(default=0)
    points: int = Long(default=0)
    reason: str = Field(max_length=200)
    refunded_at: datetime = Field(sa_type=UtcDateTime)
