"""The points mall: what members take home for points, and how they get it (MAL-1, MAL-3)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Long, Row


class MallItemKind(StrEnum):
    """What a redemption brings."""

    PHYSICAL = "PHYSICAL"
    COUPON = "COUPON"
    COUPON_PACK = "COUPON_PACK"
    PACKAGE = "PACKAGE"
    GIFT_CARD = "GIFT_CARD"


class MallItem(Row, table=True):
    """Something members redeem points for (MAL-1). Orders keep their own terms."""

    __tablename__ = "mall_items"
    __table_args__ = (
        Index("ix_mall_items_group", "group_id", "id"),
        # The shelf, in its order.
        Index(
            "ix_mall_items_shelf",
            "group_id",
            "position",
            "id",
            sqlite_where=text("is_listed = 1"),
            postgresql_where=text("is_listed"),
        ),
        CheckConstraint("stock_left IS NULL OR stock_left >= 0", name="stock"),
        CheckConstraint("price_points >= 0", name="points"),
        CheckConstraint(
            "(price_amount IS NULL) = (currency IS NULL)"
            " AND (price_amount IS NULL OR price_amount > 0)",
            name="money",
        ),
        CheckConstraint("(kind = 'PHYSICAL') = (product_id IS NULL)", name="product"),
        CheckConstraint("(kind = 'PHYSICAL') = (can_be_picked_up OR can_be_shipped)", name="ways"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    scope_id: UUID = Field(foreign_key="scopes.id")
    kind: MallItemKind = Field(sa_type=Choice(MallItemKind))
    product_id: UUID | None = None
    """The coupon template or pack, the package or the gift-card product that it brings."""
    product_count: int = 1
    """How many of these."""
    product_rule: int | None = None
    """By which of its sales rules a package comes."""
    product_face: int | None = Long(default=None)
    """The value of a gift card, in minor units of its product's currency."""
    can_be_picked_up: bool = False
    can_be_shipped: bool = False
    name: str = Field(max_length=120)
    description: str | None = Field(default=None, max_length=2_000)
    category: str | None = Field(default=None, max_length=48)
    position: int = 0
    """Where it stands on the shelf: smaller comes first."""
    file_ids: list[str] = Field(sa_type=Json)
    price_points: int = Long()
    price_amount: int | None = Long(default=None)
    currency: str | None = Field(default=None, max_length=3)
    stock_left: int | None = Long(default=None)
    limit_per_member: int | None = None
    is_listed: bool = False
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class FulfilmentWay(StrEnum):
    PICK_UP = "PICK_UP"
    SHIPPING = "SHIPPING"


class FulfilmentState(StrEnum):
    UNPAID = "UNPAID"
    """Its order waits to be paid."""
    WAITING = "WAITING"
    READY = "READY"
    SHIPPED = "SHIPPED"
    PICKED_UP = "PICKED_UP"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"


class Fulfilment(Row, table=True):
    """How a redeemed thing reaches its member: over a counter or by post (MAL-3)."""

    __tablename__ = "fulfilments"
    __table_args__ = (
        UniqueConstraint("order_id"),
        # Among those that wait: a code that was used says nothing any more.
        UniqueConstraint("pick_up_code_index"),
        Index("ix_fulfilments_group", "group_id", "order_id"),
        Index("ix_fulfilments_store", "store_id", "order_id"),
        Index("ix_fulfilments_item", "item_id", "order_id"),
        Index("ix_fulfilments_member", "member_id", "state"),
        CheckConstraint("(way = 'PICK_UP') = (store_id IS NOT NULL)", name="store"),
        CheckConstraint(
            "(pick_up_code IS NULL) = (pick_up_code_index IS NULL)", name="pick_up_code"
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    order_id: UUID = Field(foreign_key="orders.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    """Under which the item was made: who ships it works there (ORG-1)."""
    item_id: UUID = Field(foreign_key="mall_items.id")
    member_id: UUID = Field(foreign_key="members.id")
    """As the order names them; a merge moves neither."""
    way: FulfilmentWay = Field(sa_type=Choice(FulfilmentWay))
    state: FulfilmentState = Field(sa_type=Choice(FulfilmentState))
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    """Where it is picked up."""
    pick_up_code: str | None = Field(default=None, sa_type=Personal("fulfilments.pick_up_code"))
    pick_up_code_index: str | None = Field(default=None, max_length=64)
    recipient: str | None = Field(default=None, sa_type=Personal("fulfilments.recipient"))
    """Who gets it where, as JSON; null once it is called off or the account is closed."""
    carrier: str | None = Field(default=None, max_length=64)
    tracking_number: str | None = Field(default=None, max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)
    ready_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    shipped_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it reached its member or was cancelled."""
