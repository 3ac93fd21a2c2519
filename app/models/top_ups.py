"""Top-up plans, and the orders, quotes, codes and lists that bring value by them (TOP-2…TOP-8)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.models.base import Long, Row
from app.models.payments import RefundRoute
from app.models.scopes import Channel


class TopUpPlanKind(StrEnum):
    PACKAGE = "PACKAGE"
    """Fixed amounts and ranges (TOP-2)."""
    CUSTOM = "CUSTOM"
    """One range whose bonus and points grow with the amount (TOP-4)."""
    SMART = "SMART"
    """Offers made from a bill that the balance does not cover (TOP-5)."""


class PlanState(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    ARCHIVED = "ARCHIVED"


class TopUpPlan(Row, table=True):
    """What can be bought, where, when and by whom (TOP-3). Orders keep their own terms."""

    __tablename__ = "top_up_plans"
    __table_args__ = (
        Index("ix_top_up_plans_group", "group_id", "id"),
        CheckConstraint("stock_left IS NULL OR stock_left >= 0", name="stock"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    scope_id: UUID = Field(foreign_key="scopes.id")
    kind: TopUpPlanKind = Field(sa_type=Choice(TopUpPlanKind))
    state: PlanState = Field(default=PlanState.DRAFT, sa_type=Choice(PlanState))
    name: str = Field(max_length=120)
    currency: str = Field(max_length=3)
    steps: list[dict[str, Any]] = Field(sa_type=Json)
    is_visible: bool = True
    first_only: bool = False
    first_bonus_bp: int = 0
    first_points_bp: int = 0
    gifts: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=Json, sa_column_kwargs={"server_default": "[]"}
    )
    """Coupons and packs that come with each top-up (TOP-3)."""
    first_gifts: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=Json, sa_column_kwargs={"server_default": "[]"}
    )
    """And with a member's first one."""
    benefit_ids: list[str] = Field(
        default_factory=list, sa_type=Json, sa_column_kwargs={"server_default": "[]"}
    )
    """The benefits a card gets with it (TOP-3)."""
    benefit_days: int | None = None
    """How long these stay; None is for good."""
    granted_tier_id: UUID | None = Field(default=None, foreign_key="tiers.id")
    granted_months: int | None = None
    """How long the granted tier stays; None is for good."""
    stock_left: int | None = Long(default=None)
    limit_per_member: int | None = None
    spending_items: list[str] | None = Field(default=None, sa_type=Json)
    spending_node_ids: list[str] | None = Field(default=None, sa_type=Json)
    same_day_share_bp: int | None = None
    """How much of the paid amount may be spent on the day itself; None is all (TOP-4)."""
    bonus_on_the_day: bool = True
    bonus_valid_days: int | None = None
    trigger_amount: int | None = Long(default=None)
    """A bill below this gets no smart offer."""
    rounding: str | None = Field(default=None, max_length=16)
    agreement: str | None = Field(default=None, max_length=10_000)
    description: str | None = Field(default=None, max_length=2_000)
    cover_url: str | None = Field(default=None, max_length=500)
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class TopUpSource(StrEnum):
    PLAN = "PLAN"
    SMART = "SMART"
    CODE = "CODE"
    BATCH = "BATCH"


class TopUpState(StrEnum):
    PENDING = "PENDING"
    CREDITED = "CREDITED"
    CANCELLED = "CANCELLED"
    REFUNDED = "REFUNDED"


class TopUpOrder(Row, table=True):
    """One top-up of one card. Its amounts are fixed when it is made and credited once (TOP-7)."""

    __tablename__ = "top_up_orders"
    __table_args__ = (
        Index("ix_top_up_orders_card", "card_id", "id"),
        Index("ix_top_up_orders_member", "member_id", "plan_id"),
        Index("ix_top_up_orders_plan", "plan_id", "id"),
        Index("ix_top_up_orders_group", "group_id", "id"),
        Index(
            "ix_top_up_orders_pending",
            "expires_at",
            sqlite_where=text("state = 'PENDING'"),
            postgresql_where=text("state = 'PENDING'"),
        ),
        CheckConstraint("amount >= 0 AND bonus >= 0 AND points >= 0", name="amounts"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    card_id: UUID = Field(foreign_key="cards.id")
    member_id: UUID = Field(foreign_key="members.id")
    plan_id: UUID | None = Field(default=None, foreign_key="top_up_plans.id")
    step: int | None = None
    source: TopUpSource = Field(sa_type=Choice(TopUpSource))
    source_id: UUID | None = None
    """The quote, the recharge code or the list's row it came from."""
    channel: Channel = Field(sa_type=Choice(Channel))
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    terminal_id: UUID | None = Field(default=None, foreign_key="terminals.id")
    payment_method_id: UUID | None = Field(default=None, foreign_key="payment_methods.id")
    currency: str = Field(max_length=3)
    amount: int = Long()
    bonus: int = Long()
    points: int = Long()
    terms: dict[str, Any] = Field(sa_type=Json)
    """What the plan said when the order was made: restrictions, tier, days the bonus lasts."""
    is_first: bool = False
    state: TopUpState = Field(sa_type=Choice(TopUpState))
    holds_stock: bool = False
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    credited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was cancelled or refunded."""
    refund_route: RefundRoute | None = Field(default=None, sa_type=Choice(RefundRoute))
    refund_method_id: UUID | None = Field(default=None, foreign_key="payment_methods.id")
    """How the money was paid out, where it did not go back by the way it came."""
    refund_reason: str | None = Field(default=None, max_length=200)


class TopUpQuote(Row, table=True):
    """Offers made for one bill, good for minutes; a unit of the plan's stock waits meanwhile."""

    __tablename__ = "top_up_quotes"
    __table_args__ = (
        Index(
            "ix_top_up_quotes_open",
            "expires_at",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    plan_id: UUID = Field(foreign_key="top_up_plans.id")
    card_id: UUID = Field(foreign_key="cards.id", index=True)
    channel: Channel = Field(sa_type=Choice(Channel))
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    bill_amount: int = Long()
    shortage: int = Long()
    currency: str = Field(max_length=3)
    offers: list[dict[str, Any]] = Field(sa_type=Json)
    holds_stock: bool = False
    made_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was used, replaced or let go."""


class RechargeCodeBatch(Row, table=True):
    """Codes made together for one step of a plan (TOP-6)."""

    __tablename__ = "recharge_code_batches"

    plan_id: UUID = Field(foreign_key="top_up_plans.id", index=True)
    step: int
    currency: str = Field(max_length=3)
    amount: int = Long()
    bonus: int = Long()
    points: int = Long()
    terms: dict[str, Any] = Field(sa_type=Json)
    """What each code brings, and on which conditions: later edits of the plan change nothing."""
    scope_id: UUID = Field(foreign_key="scopes.id")
    scenario: str = Field(max_length=120)
    number_of_codes: int
    number_redeemed: int = 0
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)


class RechargeCode(Row, table=True):
    """A code that tops a card up once. Only its keyed hash is kept (TOP-6)."""

    __tablename__ = "recharge_codes"

    batch_id: UUID = Field(foreign_key="recharge_code_batches.id", index=True)
    code_index: str = Field(max_length=64, unique=True)
    redeemed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    order_id: UUID | None = Field(default=None, foreign_key="top_up_orders.id")


class BatchState(StrEnum):
    RUNNING = "RUNNING"
    DONE = "DONE"


class TopUpBatch(Row, table=True):
    """A list of cards topped up by the back office (CRD-6)."""

    __tablename__ = "top_up_batches"
    __table_args__ = (Index("ix_top_up_batches_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    payment_method_id: UUID = Field(foreign_key="payment_methods.id")
    currency: str = Field(max_length=3)
    reason: str = Field(max_length=200)
    state: BatchState = Field(default=BatchState.RUNNING, sa_type=Choice(BatchState))
    number_of_rows: int
    number_credited: int = 0
    number_failed: int = 0
    operator_id: UUID
    created_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class BatchRowState(StrEnum):
    WAITING = "WAITING"
    CREDITED = "CREDITED"
    FAILED = "FAILED"


class TopUpBatchRow(Row, table=True):
    """One card of a list: credited once, or the reason why not."""

    __tablename__ = "top_up_batch_rows"
    __table_args__ = (
        UniqueConstraint("batch_id", "position"),
        CheckConstraint("amount >= 0 AND bonus >= 0 AND points >= 0", name="amounts"),
    )

    batch_id: UUID = Field(foreign_key="top_up_batches.id")
    position: int
    card_number: str = Field(max_length=16)
    amount: int = Long()
    bonus: int = Long()
    points: int = Long()
    state: BatchRowState = Field(default=BatchRowState.WAITING, sa_type=Choice(BatchRowState))
    problem: str | None = Field(default=None, max_length=64)
    order_id: UUID | None = Field(default=None, foreign_key="top_up_orders.id")
