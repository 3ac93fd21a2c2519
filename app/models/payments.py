"""Money that members pay us through a provider, and what goes back (TOP-7)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Long, Row


class PaymentStatus(StrEnum):
    OPEN = "OPEN"
    PAID = "PAID"
    CLOSED = "CLOSED"
    """Never paid. Should its money come all the same, it is sent back."""


class PaymentPurpose(StrEnum):
    """What kind of order a payment is for; the order's service says what being paid means."""

    TOP_UP = "TOP_UP"
    ORDER = "ORDER"


class RefundRoute(StrEnum):
    """How money goes back to whoever paid it."""

    ORIGINAL = "ORIGINAL"
    OFFLINE = "OFFLINE"


class Payment(Row, table=True):
    """One payment asked of a provider. A provider's transaction pays once, whatever is repeated."""

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("provider", "transaction_id"),
        Index("ix_payments_order", "purpose", "order_id"),
        Index(
            "ix_payments_open",
            "expires_at",
            sqlite_where=text("status = 'OPEN'"),
            postgresql_where=text("status = 'OPEN'"),
        ),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("(status = 'PAID') = (paid_at IS NOT NULL)", name="paid_at"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    reference: str = Field(max_length=32, unique=True)
    """What the provider calls the merchant's order number."""
    provider: str = Field(max_length=32)
    purpose: PaymentPurpose = Field(sa_type=Choice(PaymentPurpose))
    order_id: UUID
    amount: int = Long()
    currency: str = Field(max_length=3)
    status: PaymentStatus = Field(default=PaymentStatus.OPEN, sa_type=Choice(PaymentStatus))
    transaction_id: str | None = Field(default=None, max_length=128)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class PaymentNotification(Row, table=True):
    """A provider's message that was taken in: the same one again changes nothing."""

    __tablename__ = "payment_notifications"
    __table_args__ = (UniqueConstraint("provider", "notification_id"),)

    provider: str = Field(max_length=32)
    notification_id: str = Field(max_length=128)
    received_at: datetime = Field(sa_type=UtcDateTime)


class PaymentRefundStatus(StrEnum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class PaymentRefund(Row, table=True):
    """A payment going back by the way it came; a payment goes back once and whole."""

    __tablename__ = "payment_refunds"
    __table_args__ = (CheckConstraint("amount > 0", name="amount"),)

    payment_id: UUID = Field(foreign_key="payments.id", unique=True)
    reference: str = Field(max_length=32, unique=True)
    amount: int = Long()
    reason: str = Field(max_length=200)
    status: PaymentRefundStatus = Field(
        default=PaymentRefundStatus.PENDING, sa_type=Choice(PaymentRefundStatus)
    )
    refund_id: str | None = Field(default=None, max_length=128)
    requested_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
