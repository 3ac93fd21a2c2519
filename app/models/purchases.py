"""What members bought, as a till or a partner reports it (PTS-1)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, Index

from app.core.db import UtcDateTime
from app.models.base import Long, Row


class Purchase(Row, table=True):
    """One bill. `net_amount` is what was paid by net-receipt methods, without tax.

    The scheme's points and growth rules are kept as they were on the day, for refunds. A merged
    card keeps its purchases: they are read through the card that absorbed it.
    """

    __tablename__ = "purchases"
    __table_args__ = (
        UniqueConstraint("store_id", "order_number"),
        Index("ix_purchases_card", "card_id", "id"),
        CheckConstraint("total_amount >= 0 AND net_amount >= 0", name="amounts"),
        CheckConstraint(
            "refunded_amount >= 0 AND refunded_amount <= total_amount", name="refunded"
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    card_id: UUID = Field(foreign_key="cards.id")
    store_id: UUID = Field(foreign_key="nodes.id")
    terminal_id: UUID = Field(foreign_key="terminals.id")
    order_number: str = Field(max_length=64)
    currency: str = Field(max_length=3)
    total_amount: int = Long()
    tax_amount: int = Long()
    net_amount: int = Long()
    refunded_amount: int = Long(default=0)
    points_unit: int = Long()
    points_rate: int = Long()
    points_multiplier_bp: int = Field(default=10_000, sa_column_kwargs={"server_default": "10000"})
    """What its points were multiplied by: the best benefit that held, which its refunds keep."""
    points_earned: int = Long()
    points_taken_back: int = Long(default=0)
    growth_unit: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    growth_rate: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    growth_amount: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    """What of it counts for growth: paid for lines that do, in minor units (TIR-6)."""
    growth_earned: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    growth_taken_back: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class PurchasePayment(Row, table=True):
    """How a part of a bill was paid; whether that earned is kept as it was on the day."""

    __tablename__ = "purchase_payments"
    __table_args__ = (CheckConstraint("amount > 0", name="amount"),)

    purchase_id: UUID = Field(foreign_key="purchases.id", index=True)
    payment_method_id: UUID = Field(foreign_key="payment_methods.id")
    amount: int = Long()
    is_net_receipt: bool


class PurchaseLine(Row, table=True):
    """A line of a bill, where the till sends them: what was bought and paid for it."""

    __tablename__ = "purchase_lines"
    __table_args__ = (CheckConstraint("paid_amount >= 0", name="paid_amount"),)

    purchase_id: UUID = Field(foreign_key="purchases.id", index=True)
    position: int
    item_id: str = Field(max_length=64)
    name: str = Field(max_length=120)
    paid_amount: int = Long()
    counts_for_growth: bool


class PurchaseRefund(Row, table=True):
    """A part or the whole of a purchase given back, and the points that went with it."""

    __tablename__ = "purchase_refunds"
    __table_args__ = (CheckConstraint("amount > 0 AND points_taken >= 0", name="amounts"),)

    purchase_id: UUID = Field(foreign_key="purchases.id", index=True)
    amount: int = Long()
    points_taken: int = Long()
    growth_taken: int = Long(default=0, sa_column_kwargs={"server_default": "0"})
    reason: str = Field(max_length=200)
    refunded_at: datetime = Field(sa_type=UtcDateTime)
