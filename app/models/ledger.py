"""The double-entry ledger: accounts, postings, entries, lots (FIN-1, PTS-3).

What holds at every moment, and `regulars check ledger` proves:

- the entries of a posting add up to 0 in each unit;
- an account's `balance` − `debt` = Σ its entries;
- an account's `balance` = Σ what remains of its lots; a debt means that nothing remains.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.models.base import Long, Row


class AccountKind(StrEnum):
    CASH = "CASH"
    BONUS = "BONUS"
    POINTS = "POINTS"
    GROWTH = "GROWTH"


class SystemAccount(StrEnum):
    """The other side of a posting. These carry entries and no balance, so nothing is hot."""

    PAYMENTS_RECEIVED = "payments_received"
    BONUS_ISSUED = "bonus_issued"
    POINTS_ISSUED = "points_issued"
    POINTS_SPENT = "points_spent"
    GROWTH_ISSUED = "growth_issued"
    REVENUE = "revenue"
    BONUS_SPENT = "bonus_spent"
    HELD = "held"
    """Authorised and not yet captured: neither the card's any more nor ours yet."""
    PAID_OUT = "paid_out"
    EXPIRED = "expired"
    ADJUSTMENTS = "adjustments"


class Account(Row, table=True):
    """One kind of value of a member's card or of a gift card: minor units, points or growth."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("card_id", "kind"),
        UniqueConstraint("gift_card_id", "kind"),
        CheckConstraint("(card_id IS NULL) <> (gift_card_id IS NULL)", name="one_card"),
        CheckConstraint("balance >= 0", name="balance_never_negative"),
        CheckConstraint("debt >= 0 AND (debt = 0 OR balance = 0)", name="debt_only_when_empty"),
    )

    card_id: UUID | None = Field(default=None, foreign_key="cards.id")
    gift_card_id: UUID | None = Field(default=None, foreign_key="gift_cards.id")
    kind: AccountKind = Field(sa_type=Choice(AccountKind))
    unit: str = Field(max_length=8)
    balance: int = Long(default=0)
    debt: int = Long(default=0)
    is_closed: bool = False
    """Its card was merged into another: nothing moves here until the merge is undone."""


class PostingKind(StrEnum):
    EARN = "EARN"
    EARN_REVERSAL = "EARN_REVERSAL"
    SPEND = "SPEND"
    SPEND_REVERSAL = "SPEND_REVERSAL"
    EXPIRE = "EXPIRE"
    ADJUST = "ADJUST"
    TOP_UP = "TOP_UP"
    TOP_UP_REFUND = "TOP_UP_REFUND"
    AUTHORISE = "AUTHORISE"
    CAPTURE = "CAPTURE"
    CARD_REFUND = "CARD_REFUND"
    DECAY = "DECAY"
    ROLL_BACK = "ROLL_BACK"
    MERGE = "MERGE"
    MERGE_UNDO = "MERGE_UNDO"
    GIFT_CARD_ACTIVATE = "GIFT_CARD_ACTIVATE"
    GIFT_CARD_RECHARGE = "GIFT_CARD_RECHARGE"
    GIFT_CARD_SPEND = "GIFT_CARD_SPEND"
    GIFT_CARD_SPEND_REVERSAL = "GIFT_CARD_SPEND_REVERSAL"
    GIFT_CARD_REFUND = "GIFT_CARD_REFUND"
    GIFT_CARD_MOVE = "GIFT_CARD_MOVE"
    """Into stored value: the one posting that a gift card and a member's card share."""


_of_gift_card = text("gift_card_product_id IS NOT NULL")


class Posting(Row, table=True):
    """One movement of value. Its cause is unique forever, so what runs twice posts once."""

    __tablename__ = "postings"
    __table_args__ = (
        UniqueConstraint("cause_kind", "cause_id"),
        # What reports add up between two moments.
        Index("ix_postings_scheme", "scheme_id", "recorded_at"),
        Index(
            "ix_postings_gift_card_product",
            "gift_card_product_id",
            "recorded_at",
            sqlite_where=_of_gift_card,
            postgresql_where=_of_gift_card,
        ),
        # What gift cards' transactions are listed by (GFT-6).
        Index(
            "ix_postings_gift_cards",
            "group_id",
            "id",
            sqlite_where=_of_gift_card,
            postgresql_where=_of_gift_card,
        ),
        CheckConstraint(
            "scheme_id IS NOT NULL OR gift_card_product_id IS NOT NULL", name="of_some_card"
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    kind: PostingKind = Field(sa_type=Choice(PostingKind))
    cause_kind: str = Field(max_length=32)
    cause_id: UUID
    reverses_id: UUID | None = Field(default=None, foreign_key="postings.id", index=True)
    scheme_id: UUID | None = Field(default=None, foreign_key="schemes.id")
    """Of the member's card it moved; None where it moved gift cards alone."""
    gift_card_product_id: UUID | None = Field(default=None, foreign_key="gift_card_products.id")
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    actor_kind: str = Field(max_length=16)
    actor_id: UUID | None = None
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class Entry(Row, table=True):
    """One side of a posting: on a card's account or on a system account, never both."""

    __tablename__ = "entries"
    __table_args__ = (
        Index("ix_entries_card", "card_id", "id"),
        Index(
            "ix_entries_gift_card",
            "gift_card_id",
            "id",
            sqlite_where=text("gift_card_id IS NOT NULL"),
            postgresql_where=text("gift_card_id IS NOT NULL"),
        ),
        CheckConstraint("(account_id IS NULL) <> (system_account IS NULL)", name="one_account"),
        CheckConstraint("amount <> 0", name="amount_not_zero"),
    )

    posting_id: UUID = Field(foreign_key="postings.id", index=True)
    card_id: UUID | None = Field(default=None, foreign_key="cards.id")
    gift_card_id: UUID | None = Field(default=None, foreign_key="gift_cards.id")
    account_id: UUID | None = Field(default=None, foreign_key="accounts.id")
    system_account: SystemAccount | None = Field(default=None, sa_type=Choice(SystemAccount))
    unit: str = Field(max_length=8)
    amount: int = Long()
    balance_after: int | None = Long(default=None)


_remains = text("remaining > 0")
_remains_and_expires = text("remaining > 0 AND expires_at IS NOT NULL")


class Lot(Row, table=True):
    """Value that arrived together: when it expires and where it may be spent.

    `origin_id` is the posting that first brought the value; a merge moves lots to another account
    as new rows that keep their origin, time and expiry.
    """

    __tablename__ = "lots"
    __table_args__ = (
        Index(
            "ix_lots_spending_order",
            "account_id",
            "expires_at",
            "earned_at",
            sqlite_where=_remains,
            postgresql_where=_remains,
        ),
        # What is due to expire, whosever it is.
        Index(
            "ix_lots_due",
            "expires_at",
            sqlite_where=_remains_and_expires,
            postgresql_where=_remains_and_expires,
        ),
        CheckConstraint("remaining >= 0 AND remaining <= amount", name="remaining_within"),
    )

    account_id: UUID = Field(foreign_key="accounts.id", index=True)
    origin_id: UUID = Field(foreign_key="postings.id", index=True)
    moved_from_id: UUID | None = Field(default=None, foreign_key="lots.id", index=True)
    amount: int = Long()
    remaining: int = Long()
    earned_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    restriction: dict[str, Any] | None = Field(default=None, sa_type=Json)


class LotMovement(Row, table=True):
    """How much a posting took from a lot (negative) or gave back to it (positive)."""

    __tablename__ = "lot_movements"
    __table_args__ = (CheckConstraint("amount <> 0", name="amount_not_zero"),)

    posting_id: UUID = Field(foreign_key="postings.id", index=True)
    lot_id: UUID = Field(foreign_key="lots.id", index=True)
    amount: int = Long()
