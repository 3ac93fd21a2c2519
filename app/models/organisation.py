"""Group → brand → store, and what hangs on them (ORG-1)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, false, text, true
from sqlmodel import Field, Index

from app.core.db import Choice, UtcDateTime
from app.models.base import Row


class NodeKind(StrEnum):
    GROUP = "GROUP"
    BRAND = "BRAND"
    STORE = "STORE"


_is_group = text("kind = 'GROUP'")


class Node(Row, table=True):
    """A place in the organisation. Three levels, so each row names its ancestors itself.

    `group_id` is the node's own id for a group, `brand_id` its own id for a brand and null above
    brands and for stores that belong to the group directly.
    """

    __tablename__ = "nodes"
    __table_args__ = (
        UniqueConstraint("group_id", "kind", "code"),
        # A deployment finds its group by the code in its settings.
        Index(
            "uq_nodes_group_code",
            "code",
            unique=True,
            sqlite_where=_is_group,
            postgresql_where=_is_group,
        ),
        CheckConstraint("(kind = 'GROUP') = (group_id = id)", name="group_is_its_own_group"),
    )

    kind: NodeKind = Field(sa_type=Choice(NodeKind))
    group_id: UUID = Field(index=True)
    brand_id: UUID | None = Field(default=None, index=True)
    code: str = Field(max_length=32)
    name: str = Field(max_length=120)
    time_zone: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)


class StoreGroup(Row, table=True):
    """A named set of stores under a perspective, for scopes (ORG-3)."""

    __tablename__ = "store_groups"
    __table_args__ = (UniqueConstraint("perspective_id", "name"),)

    perspective_id: UUID = Field(foreign_key="nodes.id")
    name: str = Field(max_length=120)
    created_at: datetime = Field(sa_type=UtcDateTime)


class StoreGroupStore(Row, table=True):
    __tablename__ = "store_group_stores"
    __table_args__ = (UniqueConstraint("store_group_id", "store_id"),)

    store_group_id: UUID = Field(foreign_key="store_groups.id")
    store_id: UUID = Field(foreign_key="nodes.id", index=True)


class Terminal(Row, table=True):
    """A till or a partner's device: it stands in one store, and wrong codes are counted on it."""

    __tablename__ = "terminals"
    __table_args__ = (UniqueConstraint("store_id", "name"),)

    store_id: UUID = Field(foreign_key="nodes.id")
    name: str = Field(max_length=64)
    is_active: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)


class PaymentMethod(Row, table=True):
    """How a bill was paid. Only *net receipt* methods earn points (PTS-1)."""

    __tablename__ = "payment_methods"
    __table_args__ = (UniqueConstraint("group_id", "code"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    code: str = Field(max_length=32)
    name: str = Field(max_length=64)
    is_net_receipt: bool
    can_pay_top_up: bool = Field(default=True, sa_column_kwargs={"server_default": true()})
    """Vouchers of other platforms cannot buy stored value (TOP-8)."""
    moves_by_transfer: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Whether it leaves a trace at a bank, as large sums must (TOP-11)."""
    provider: str | None = Field(default=None, max_length=32)
    """The payment provider behind it, through which a refund can go back by the same way."""
