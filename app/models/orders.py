"""What members buy of us besides top-ups: coupon packs, packages, gift cards, the mall's gifts."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.models.base import Long, Row
from app.models.payments import RefundRoute
from app.models.scopes import Channel


class OrderKind(StrEnum):
    """What is bought; its service says what being paid, cancelled or refunded means."""

    COUPON_PACK = "COUPON_PACK"
    PACKAGE = "PACKAGE"
    GIFT_CARD = "GIFT_CARD"
    MALL = "MALL"


class OrderState(StrEnum):
    PENDING = "PENDING"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    REFUNDED = "REFUNDED"


class Order(Row, table=True):
    """One product, bought by one member. What was promised is fixed when it is made."""

    __tablename__ = "orders"
    __table_args__ = (
        Index("ix_orders_member", "member_id", "id"),
        # What a member bought of one product, for its limit.
        Index("ix_orders_member_product", "member_id", "product_id"),
        Index("ix_orders_product", "product_id", "id"),
        Index("ix_orders_group", "group_id", "id"),
        Index(
            "ix_orders_pending",
            "expires_at",
            sqlite_where=text("state = 'PENDING'"),
            postgresql_where=text("state = 'PENDING'"),
        ),
        CheckConstraint("quantity > 0 AND amount >= 0 AND points >= 0", name="amounts"),
        CheckConstraint(
            "refunded_amount IS NULL OR (refunded_amount >= 0 AND refunded_amount <= amount)",
            name="refunded",
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    """Under which the product was made: where an order at no store belongs (ORG-1)."""
    kind: OrderKind = Field(sa_type=Choice(OrderKind))
    product_id: UUID
    title: str = Field(max_length=120)
    """What the product was called."""
    quantity: int = 1
    member_id: UUID = Field(foreign_key="members.id")
    card_id: UUID | None = Field(default=None, foreign_key="cards.id")
    channel: Channel = Field(sa_type=Choice(Channel))
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    terminal_id: UUID | None = Field(default=None, foreign_key="terminals.id")
    payment_method_id: UUID | None = Field(default=None, foreign_key="payment_methods.id")
    currency: str = Field(max_length=3)
    amount: int = Long()
    """To be paid in money, for the whole quantity."""
    points: int = Long(default=0)
    """Taken from the card besides, for the whole quantity."""
    terms: dict[str, Any] = Field(sa_type=Json)
    """What the product promised when the order was made, as its service reads it."""
    state: OrderState = Field(sa_type=Choice(OrderState))
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was paid and delivered, which is one."""
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was cancelled or refunded."""
    refund_route: RefundRoute | None = Field(default=None, sa_type=Choice(RefundRoute))
    refunded_amount: int | None = Long(default=None)
    refund_method_id: UUID | None = Field(default=None, foreign_key="payment_methods.id")
    """How the money was paid out, where it did not go back by the way it came."""
    refund_reason: str | None = Field(default=None, max_length=200)
