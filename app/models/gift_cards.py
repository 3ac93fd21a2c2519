"""Gift cards: what is sold as one, the cards, and what is given, paid and recharged (GFT-1…GFT-7).

Their value lies in the ledger as any other: a card has a CASH account, of what was paid for it, and
a BONUS account, of what it is worth beyond that (GFT-2).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Long, Row


class GiftCardKind(StrEnum):
    ELECTRONIC = "ELECTRONIC"
    PHYSICAL = "PHYSICAL"


class GiftCardProductState(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    ARCHIVED = "ARCHIVED"


class BuyerField(StrEnum):
    """Whether a buyer says something about themselves."""

    NONE = "NONE"
    OPTIONAL = "OPTIONAL"
    REQUIRED = "REQUIRED"


def _buyer_field() -> Any:
    return Field(default=BuyerField.NONE, sa_type=Choice(BuyerField))


class GiftCardProduct(Row, table=True):
    """What can be bought as a gift card, where and when (GFT-1). Sold cards keep their terms."""

    __tablename__ = "gift_card_products"
    __table_args__ = (
        Index("ix_gift_card_products_group", "group_id", "id"),
        CheckConstraint("valid_days IS NULL OR valid_days > 0", name="valid_days"),
        CheckConstraint("claim_days > 0", name="claim_days"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    scope_id: UUID = Field(foreign_key="scopes.id")
    """Where, when and to whom it is sold; its stores are also where its cards pay."""
    kind: GiftCardKind = Field(sa_type=Choice(GiftCardKind))
    state: GiftCardProductState = Field(
        default=GiftCardProductState.DRAFT, sa_type=Choice(GiftCardProductState)
    )
    name: str = Field(max_length=120)
    currency: str = Field(max_length=3)
    designs: list[str] = Field(sa_type=Json)
    """Names of our own designs and ids of uploaded ones, the first is shown for the product."""
    denominations: list[dict[str, Any]] = Field(sa_type=Json)
    """Each with the value on its face and its price."""
    custom_amount: dict[str, Any] | None = Field(default=None, sa_type=Json)
    """Between which faces a buyer may choose, and the discount on it."""
    buyer_name: BuyerField = _buyer_field()
    buyer_phone: BuyerField = _buyer_field()
    buyer_email: BuyerField = _buyer_field()
    buyer_card_number: BuyerField = _buyer_field()
    """The buyer's own card at a till."""
    valid_days: int | None = None
    """How long a card can be used after it was bought; None is for good."""
    claim_days: int = 7
    """How long a gift waits to be claimed before it returns to its buyer."""
    can_recharge: bool = False
    can_move: bool = False
    """Whether its holder may move it into stored value."""
    description: str | None = Field(default=None, max_length=2_000)
    agreement: str | None = Field(default=None, max_length=10_000)
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class GiftCardState(StrEnum):
    INACTIVE = "INACTIVE"
    """Printed, and not sold yet."""
    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    USED = "USED"
    EXPIRED = "EXPIRED"
    """Its time is over. Told by the clock: the row keeps the state it had."""
    REFUNDED = "REFUNDED"


class GiftCard(Row, table=True):
    """One gift card. Its terms are those its product had when it was sold."""

    __tablename__ = "gift_cards"
    __table_args__ = (
        Index("uq_gift_cards_number", "group_id", "number", unique=True),
        Index("ix_gift_cards_group", "group_id", "id"),
        Index("ix_gift_cards_product", "product_id", "id"),
        Index("ix_gift_cards_holder", "holder_id", "id"),
        Index("ix_gift_cards_order", "order_id"),
        CheckConstraint("cash >= 0 AND face >= cash", name="face"),
        CheckConstraint("(state = 'INACTIVE') = (activated_at IS NULL)", name="activated"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    product_id: UUID = Field(foreign_key="gift_card_products.id")
    kind: GiftCardKind = Field(sa_type=Choice(GiftCardKind))
    number: str = Field(max_length=16)
    key_index: str = Field(max_length=64)
    key: str | None = Field(default=None, sa_type=Personal("gift_cards.key"))
    """For its holder to read; of a physical card only the keyed hash is kept."""
    code_index: str | None = Field(default=None, max_length=64, unique=True)
    """Of the code its holder shows at a till: it works once, for minutes."""
    code_expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    state: GiftCardState = Field(default=GiftCardState.INACTIVE, sa_type=Choice(GiftCardState))
    currency: str = Field(max_length=3)
    holder_id: UUID | None = Field(default=None, foreign_key="members.id")
    """None where nobody has put it into their account, and while a gift waits to be claimed."""
    order_id: UUID | None = Field(default=None, foreign_key="orders.id")
    """By which it was bought online; None is at a till."""
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    terminal_id: UUID | None = Field(default=None, foreign_key="terminals.id")
    payment_method_id: UUID | None = Field(default=None, foreign_key="payment_methods.id")
    scope_id: UUID | None = Field(default=None, foreign_key="scopes.id")
    """Its product's when it was sold: an edit of the product makes another."""
    terms: dict[str, Any] | None = Field(default=None, sa_type=Json)
    design: str | None = Field(default=None, max_length=64)
    face: int = Long(default=0)
    """What it was worth when it was sold, `cash` of it paid for (GFT-2)."""
    cash: int = Long(default=0)
    created_at: datetime = Field(sa_type=UtcDateTime)
    activated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was refunded."""
    refunded_cash: int | None = Long(default=None)
    refund_method_id: UUID | None = Field(default=None, foreign_key="payment_methods.id")
    refund_reason: str | None = Field(default=None, max_length=200)


class GiftCardBuyer(Row, table=True):
    """What a buyer said about themselves (GFT-1)."""

    __tablename__ = "gift_card_buyers"
    __table_args__ = (
        CheckConstraint("(order_id IS NULL) <> (gift_card_id IS NULL)", name="one_sale"),
    )

    order_id: UUID | None = Field(default=None, foreign_key="orders.id", unique=True)
    gift_card_id: UUID | None = Field(default=None, foreign_key="gift_cards.id", unique=True)
    """Of a card sold at a till."""
    name: str | None = Field(default=None, sa_type=Personal("gift_card_buyers.name"))
    phone: str | None = Field(default=None, sa_type=Personal("gift_card_buyers.phone"))
    email: str | None = Field(default=None, sa_type=Personal("gift_card_buyers.email"))
    card_number: str | None = Field(default=None, sa_type=Personal("gift_card_buyers.card_number"))
    receiver_phone: str | None = Field(
        default=None, sa_type=Personal("gift_card_buyers.receiver_phone")
    )
    """Whom to tell of the gift."""
    greeting: str | None = Field(default=None, sa_type=Personal("gift_card_buyers.greeting"))


class GiftState(StrEnum):
    WAITING = "WAITING"
    """For its day."""
    OPEN = "OPEN"
    """Whoever has its code may claim it."""
    CLAIMED = "CLAIMED"
    RETURNED = "RETURNED"
    """Nobody claimed it in time: its buyer holds the card."""
    WITHDRAWN = "WITHDRAWN"
    """Its card was refunded before anybody claimed it."""


class GiftCardGift(Row, table=True):
    """A card on its way from its buyer to whoever claims it (GFT-3).

    Its code follows from its id and the index key, so that it can be shown to the buyer again; only
    the keyed hash is kept.
    """

    __tablename__ = "gift_card_gifts"
    __table_args__ = (
        Index("ix_gift_card_gifts_buyer", "buyer_id", "id"),
        Index(
            "ix_gift_card_gifts_waiting",
            "deliver_at",
            sqlite_where=text("state = 'WAITING'"),
            postgresql_where=text("state = 'WAITING'"),
        ),
        Index(
            "ix_gift_card_gifts_open",
            "expires_at",
            sqlite_where=text("state = 'OPEN'"),
            postgresql_where=text("state = 'OPEN'"),
        ),
        CheckConstraint("(state = 'CLAIMED') = (claimed_at IS NOT NULL)", name="claimed"),
    )

    gift_card_id: UUID = Field(foreign_key="gift_cards.id", unique=True)
    buyer_id: UUID = Field(foreign_key="members.id")
    code_index: str = Field(max_length=64, unique=True)
    greeting: str | None = Field(default=None, sa_type=Personal("gift_card_gifts.greeting"))
    state: GiftState = Field(sa_type=Choice(GiftState))
    deliver_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    claimed_by_id: UUID | None = Field(default=None, foreign_key="members.id")
    claimed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it returned or was withdrawn."""


class GiftCardPaymentState(StrEnum):
    PAID = "PAID"
    VOIDED = "VOIDED"


class GiftCardPayment(Row, table=True):
    """A bill, or a part of one, that a gift card paid (GFT-4)."""

    __tablename__ = "gift_card_payments"
    __table_args__ = (
        Index("ix_gift_card_payments_card", "gift_card_id", "id"),
        Index("ix_gift_card_payments_order", "store_id", "order_number"),
        CheckConstraint("cash >= 0 AND bonus >= 0 AND cash + bonus > 0", name="parts"),
        CheckConstraint("(state = 'VOIDED') = (voided_at IS NOT NULL)", name="voided"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    gift_card_id: UUID = Field(foreign_key="gift_cards.id")
    terminal_id: UUID = Field(foreign_key="terminals.id")
    store_id: UUID = Field(foreign_key="nodes.id")
    order_number: str = Field(max_length=64)
    currency: str = Field(max_length=3)
    cash: int = Long()
    bonus: int = Long()
    state: GiftCardPaymentState = Field(
        default=GiftCardPaymentState.PAID, sa_type=Choice(GiftCardPaymentState)
    )
    paid_at: datetime = Field(sa_type=UtcDateTime)
    voided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class GiftCardRecharge(Row, table=True):
    """Money put on a card at a till (GFT-1)."""

    __tablename__ = "gift_card_recharges"
    __table_args__ = (
        Index("ix_gift_card_recharges_card", "gift_card_id", "id"),
        CheckConstraint("cash > 0 AND face >= cash", name="face"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    gift_card_id: UUID = Field(foreign_key="gift_cards.id")
    terminal_id: UUID = Field(foreign_key="terminals.id")
    store_id: UUID = Field(foreign_key="nodes.id")
    payment_method_id: UUID = Field(foreign_key="payment_methods.id")
    currency: str = Field(max_length=3)
    face: int = Long()
    cash: int = Long()
    recharged_at: datetime = Field(sa_type=UtcDateTime)


class GiftCardMove(Row, table=True):
    """What of a gift card became stored value (GFT-4)."""

    __tablename__ = "gift_card_moves"
    __table_args__ = (Index("ix_gift_card_moves_card", "gift_card_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    gift_card_id: UUID = Field(foreign_key="gift_cards.id")
    card_id: UUID = Field(foreign_key="cards.id")
    currency: str = Field(max_length=3)
    cash: int = Long()
    bonus: int = Long()
    moved_at: datetime = Field(sa_type=UtcDateTime)
