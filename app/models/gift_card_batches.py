"""Gift cards that a company buys in bulk, and lists of them that were exported (GFT-5…GFT-7)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Long, Row


class GiftCardBatchState(StrEnum):
    MAKING = "MAKING"
    READY = "READY"


class GiftCardBatch(Row, table=True):
    """Cards a company bought on one invoice (GFT-7). Each is worth `face`; `amount` paid for all.

    The amount is divided among them to the minor unit: the first ones cost one more where it does
    not come out even.
    """

    __tablename__ = "gift_card_batches"
    __table_args__ = (
        Index("ix_gift_card_batches_group", "group_id", "id"),
        # A line of an invoice that is typed in twice was paid for once.
        UniqueConstraint("group_id", "invoice_number", "product_id", "face"),
        CheckConstraint("number_of_cards > 0 AND number_made <= number_of_cards", name="numbers"),
        CheckConstraint("amount >= 0 AND face > 0", name="amounts"),
        CheckConstraint("(state = 'READY') = (finished_at IS NOT NULL)", name="finished"),
        CheckConstraint(
            "(keys_exported_at IS NULL) = (keys_exported_by_id IS NULL)", name="exported"
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    product_id: UUID = Field(foreign_key="gift_card_products.id", index=True)
    buyer_company: str = Field(max_length=120)
    buyer_registration: str | None = Field(default=None, max_length=40)
    """By which a register knows the company, as its unified social credit code."""
    invoice_number: str = Field(max_length=64)
    payment_method_id: UUID = Field(foreign_key="payment_methods.id")
    currency: str = Field(max_length=3)
    face: int = Long()
    amount: int = Long()
    number_of_cards: int
    number_made: int = 0
    terms: dict[str, Any] = Field(sa_type=Json)
    """What the product said when they were bought."""
    state: GiftCardBatchState = Field(
        default=GiftCardBatchState.MAKING, sa_type=Choice(GiftCardBatchState)
    )
    operator_id: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    keys_exported_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    keys_exported_by_id: UUID | None = Field(default=None, foreign_key="staff.id")


class GiftCardBatchCard(Row, table=True):
    """One card of a bulk order; its key stays here until the keys are exported, and no longer."""

    __tablename__ = "gift_card_batch_cards"
    __table_args__ = (UniqueConstraint("batch_id", "position"),)

    batch_id: UUID = Field(foreign_key="gift_card_batches.id")
    position: int
    gift_card_id: UUID = Field(foreign_key="gift_cards.id", unique=True)
    key: str | None = Field(default=None, sa_type=Personal("gift_card_batch_cards.key"))


class GiftCardExportKind(StrEnum):
    CARDS = "CARDS"
    TRANSACTIONS = "TRANSACTIONS"


class GiftCardExport(Row, table=True):
    """A list that somebody downloaded: what was asked for, and how long it was."""

    __tablename__ = "gift_card_exports"
    __table_args__ = (Index("ix_gift_card_exports_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    kind: GiftCardExportKind = Field(sa_type=Choice(GiftCardExportKind))
    filters: dict[str, Any] = Field(sa_type=Json)
    number_of_rows: int | None = None
    """None while it is being written, and where that was broken off."""
    operator_kind: str = Field(max_length=16)
    operator_id: UUID
    exported_at: datetime = Field(sa_type=UtcDateTime)
