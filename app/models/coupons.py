"""Coupon templates, packs of them, coupons, and what they were used for (CPN-1…CPN-7)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Long, Row
from app.models.scopes import Channel
from app.models.sessions import PrincipalKind


class CouponKind(StrEnum):
    CASH = "CASH"
    """An amount off."""
    DISCOUNT = "DISCOUNT"
    """A share off, perhaps up to an amount."""
    GIFT = "GIFT"
    """Items in exchange for the coupon."""
    DISCOUNT_TO = "DISCOUNT_TO"
    """An item or the bill at a fixed price."""


class HandoverRule(StrEnum):
    """Whether a template's coupons can be given to a friend (CPN-6)."""

    NEVER = "NEVER"
    MINI_PROGRAM = "MINI_PROGRAM"
    """By members who signed in through a mini-program, to such members."""
    EVERYWHERE = "EVERYWHERE"


class TemplateState(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    ARCHIVED = "ARCHIVED"


class CouponTerms(Row, table=True):
    """What a coupon promises. A row is never changed, and neither is the scope it names.

    A template points to the terms it has now, a coupon to those it was issued with: an edit of
    the template writes another row, and no coupon hears of it. A million coupons of one template
    thus share a row instead of carrying a copy each.
    """

    __tablename__ = "coupon_terms"

    kind: CouponKind = Field(sa_type=Choice(CouponKind))
    currency: str = Field(max_length=3)
    scope_id: UUID = Field(foreign_key="scopes.id")
    """Where, when and for whom it can be used."""
    title: str = Field(max_length=60)
    subtitle: str | None = Field(default=None, max_length=120)
    colour: str | None = Field(default=None, max_length=7)
    image_file_id: UUID | None = Field(default=None, foreign_key="files.id")
    benefit: dict[str, Any] = Field(sa_type=Json)
    """What it takes off, in the fields of its kind."""
    minimum_spend: int | None = Long(default=None)
    items: list[str] | None = Field(default=None, sa_type=Json)
    categories: list[str] | None = Field(default=None, sa_type=Json)
    includes_sub_items: bool = True
    includes_side_dishes: bool = True
    fields: list[dict[str, str]] = Field(sa_type=Json)
    instructions: str | None = Field(default=None, max_length=2_000)
    goods_link: str | None = Field(default=None, max_length=500)
    """Where it is redeemed online (CPN-4)."""
    online_outside_id: str | None = Field(default=None, max_length=64)
    pos_outside_id: str | None = Field(default=None, max_length=64)
    """What the systems that redeem it call this kind of coupon (CPN-4)."""


class CouponTemplate(Row, table=True):
    """What coupons are made of, as the back office keeps it (CPN-1)."""

    __tablename__ = "coupon_templates"
    __table_args__ = (
        Index("ix_coupon_templates_group", "group_id", "id"),
        CheckConstraint("stock_left IS NULL OR stock_left >= 0", name="stock"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    kind: CouponKind = Field(sa_type=Choice(CouponKind))
    currency: str = Field(max_length=3)
    state: TemplateState = Field(default=TemplateState.DRAFT, sa_type=Choice(TemplateState))
    name: str = Field(max_length=120)
    """For the back office; members read the title."""
    terms_id: UUID = Field(foreign_key="coupon_terms.id")
    claim_scope_id: UUID | None = Field(default=None, foreign_key="scopes.id")
    """Where, when and by whom it can be claimed; None is not at all."""
    validity: dict[str, Any] = Field(sa_type=Json)
    stock_left: int | None = Long(default=None)
    limit_per_member: int | None = None
    handover: HandoverRule = Field(default=HandoverRule.NEVER, sa_type=Choice(HandoverRule))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class CouponPack(Row, table=True):
    """Coupons that are given together (CPN-2)."""

    __tablename__ = "coupon_packs"
    __table_args__ = (Index("ix_coupon_packs_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    state: TemplateState = Field(default=TemplateState.DRAFT, sa_type=Choice(TemplateState))
    name: str = Field(max_length=120)
    title: str = Field(max_length=60)
    description: str | None = Field(default=None, max_length=2_000)
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class CouponPackItem(Row, table=True):
    """How many coupons of one template are in a pack."""

    __tablename__ = "coupon_pack_items"
    __table_args__ = (
        UniqueConstraint("pack_id", "template_id"),
        CheckConstraint("number > 0", name="number"),
    )

    pack_id: UUID = Field(foreign_key="coupon_packs.id")
    template_id: UUID = Field(foreign_key="coupon_templates.id")
    position: int
    number: int


class CouponState(StrEnum):
    VALID = "VALID"
    """In its holder's hands; its dates say whether it can be used now."""
    LOCKED = "LOCKED"
    """Promised to a bill until `locked_until`."""
    HANDED_OVER = "HANDED_OVER"
    """On its way to a friend, whoever opens the link; nobody can use it meanwhile (CPN-6)."""
    USED = "USED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"


class Coupon(Row, table=True):
    """One coupon of somebody: issued once for a cause, used once (CPN-3).

    Its code is a secret of its holder. Dates are instants: `valid_until` is the first at which it
    is over.
    """

    __tablename__ = "coupons"
    __table_args__ = (
        # What issues coupons does so once: a request, an order, a package's month.
        UniqueConstraint("cause_kind", "cause_id", "position"),
        Index("ix_coupons_member", "member_id", "id"),
        Index("ix_coupons_issued_to", "issued_to_id", "template_id"),
        Index("ix_coupons_template", "template_id", "id"),
        Index("ix_coupons_group", "group_id", "id"),
        Index("ix_coupons_pack", "pack_id", "id"),
        Index(
            "ix_coupons_valid",
            "valid_until",
            sqlite_where=text("state = 'VALID'"),
            postgresql_where=text("state = 'VALID'"),
        ),
        Index(
            "ix_coupons_locked",
            "locked_until",
            sqlite_where=text("state = 'LOCKED'"),
            postgresql_where=text("state = 'LOCKED'"),
        ),
        Index(
            "ix_coupons_remind",
            "remind_at",
            sqlite_where=text("remind_at IS NOT NULL"),
            postgresql_where=text("remind_at IS NOT NULL"),
        ),
        CheckConstraint("(state = 'LOCKED') = (locked_until IS NOT NULL)", name="lock"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    template_id: UUID = Field(foreign_key="coupon_templates.id")
    terms_id: UUID = Field(foreign_key="coupon_terms.id")
    pack_id: UUID | None = Field(default=None, foreign_key="coupon_packs.id")
    member_id: UUID = Field(foreign_key="members.id")
    """Whose it is."""
    issued_to_id: UUID = Field(foreign_key="members.id")
    """Who was given it first: that person's limit counts it."""
    code: str = Field(sa_type=Personal("coupons.code"))
    code_index: str = Field(max_length=64, unique=True)
    state: CouponState = Field(default=CouponState.VALID, sa_type=Choice(CouponState))
    cause_kind: str = Field(max_length=32)
    cause_id: UUID
    position: int
    """Which of the coupons of its cause."""
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    """The store that issued it, if one did."""
    issued_at: datetime = Field(sa_type=UtcDateTime)
    valid_from: datetime = Field(sa_type=UtcDateTime)
    valid_until: datetime = Field(sa_type=UtcDateTime)
    remind_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its holder is to be told that it expires soon; None once that was done."""
    locked_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    returned_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it came back from a bill that was voided."""
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was used, expired or was withdrawn."""


class CouponUseState(StrEnum):
    LOCKED = "LOCKED"
    USED = "USED"
    RELEASED = "RELEASED"
    """The bill let it go, or its time ran out."""
    RETURNED = "RETURNED"
    """The bill was voided after it was used."""


OPEN_USES = "state = 'LOCKED' OR state = 'USED'"


class CouponUse(Row, table=True):
    """A bill that holds a coupon or used it; at most one such bill for a coupon (CPN-3, CPN-4)."""

    __tablename__ = "coupon_uses"
    __table_args__ = (
        Index("ix_coupon_uses_coupon", "coupon_id", "id"),
        Index(
            "uq_coupon_uses_open",
            "coupon_id",
            unique=True,
            sqlite_where=text(OPEN_USES),
            postgresql_where=text(OPEN_USES),
        ),
        Index(
            "uq_coupon_uses_outside",
            "actor_id",
            "outside_coupon_id",
            unique=True,
            sqlite_where=text(f"({OPEN_USES}) AND outside_coupon_id IS NOT NULL"),
            postgresql_where=text(f"({OPEN_USES}) AND outside_coupon_id IS NOT NULL"),
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    coupon_id: UUID = Field(foreign_key="coupons.id")
    state: CouponUseState = Field(sa_type=Choice(CouponUseState))
    channel: Channel = Field(sa_type=Choice(Channel))
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    terminal_id: UUID | None = Field(default=None, foreign_key="terminals.id")
    actor_kind: PrincipalKind = Field(sa_type=Choice(PrincipalKind))
    actor_id: UUID
    order_number: str = Field(max_length=64)
    outside_coupon_id: str | None = Field(default=None, max_length=64)
    """What the system that redeems it calls this very coupon."""
    bill_amount: int | None = Long(default=None)
    took_off: int | None = Long(default=None)
    currency: str = Field(max_length=3)
    begun_at: datetime = Field(sa_type=UtcDateTime)
    locked_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was released or returned."""
    reason: str | None = Field(default=None, max_length=200)


class CouponPackSale(Row, table=True):
    """A pack on sale: for how much, where, when and to whom (CPN-7). Orders keep what they were
    promised."""

    __tablename__ = "coupon_pack_sales"
    __table_args__ = (
        Index("ix_coupon_pack_sales_group", "group_id", "id"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("stock_left IS NULL OR stock_left >= 0", name="stock"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    pack_id: UUID = Field(foreign_key="coupon_packs.id")
    scope_id: UUID = Field(foreign_key="scopes.id")
    state: TemplateState = Field(default=TemplateState.DRAFT, sa_type=Choice(TemplateState))
    name: str = Field(max_length=120)
    """For the back office; members read the pack's title."""
    cover_file_id: UUID | None = Field(default=None, foreign_key="files.id")
    currency: str = Field(max_length=3)
    price: int = Long()
    """Minor units for one pack; 0 is free."""
    stock_left: int | None = Long(default=None)
    limit_per_member: int | None = None
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class HandoverState(StrEnum):
    OPEN = "OPEN"
    """Whoever opens the link first has the coupon; its giver cannot use it meanwhile."""
    CLAIMED = "CLAIMED"
    TAKEN_BACK = "TAKEN_BACK"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    """The coupon was withdrawn, as by a refund of what brought it."""


class CouponHandover(Row, table=True):
    """A coupon on its way to a friend (CPN-6). Of the link's secret only a hash is kept."""

    __tablename__ = "coupon_handovers"
    __table_args__ = (
        Index("ix_coupon_handovers_giver", "giver_id", "id"),
        Index("ix_coupon_handovers_coupon", "coupon_id", "id"),
        Index(
            "uq_coupon_handovers_open",
            "coupon_id",
            unique=True,
            sqlite_where=text("state = 'OPEN'"),
            postgresql_where=text("state = 'OPEN'"),
        ),
        Index(
            "ix_coupon_handovers_overdue",
            "expires_at",
            sqlite_where=text("state = 'OPEN'"),
            postgresql_where=text("state = 'OPEN'"),
        ),
    )

    coupon_id: UUID = Field(foreign_key="coupons.id")
    giver_id: UUID = Field(foreign_key="members.id")
    secret_hash: str = Field(max_length=64, unique=True)
    state: HandoverState = Field(default=HandoverState.OPEN, sa_type=Choice(HandoverState))
    begun_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    receiver_id: UUID | None = Field(default=None, foreign_key="members.id")
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ChangeState(StrEnum):
    RUNNING = "RUNNING"
    DONE = "DONE"


class CouponChange(Row, table=True):
    """A change of coupons of one template: of many, in batches, or of one, at once (CPN-5)."""

    __tablename__ = "coupon_changes"
    __table_args__ = (Index("ix_coupon_changes_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    template_id: UUID = Field(foreign_key="coupon_templates.id")
    wanted: dict[str, Any] = Field(sa_type=Json)
    """Which coupons."""
    change: dict[str, Any] = Field(sa_type=Json)
    """What becomes of them."""
    reason: str = Field(max_length=200)
    state: ChangeState = Field(default=ChangeState.RUNNING, sa_type=Choice(ChangeState))
    number_of_coupons: int
    number_seen: int = 0
    number_changed: int = 0
    last_coupon_id: UUID | None = None
    """How far it has come, in the order of the coupons' ids."""
    new_terms: dict[str, str] = Field(sa_type=Json)
    """The terms that were written in the place of others, by the id of those."""
    operator_id: UUID
    created_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class CouponChangeLine(Row, table=True):
    """What a change did to one coupon: the old and the new values."""

    __tablename__ = "coupon_change_lines"
    __table_args__ = (
        UniqueConstraint("change_id", "coupon_id"),
        Index("ix_coupon_change_lines_coupon", "coupon_id", "id"),
    )

    change_id: UUID = Field(foreign_key="coupon_changes.id")
    coupon_id: UUID = Field(foreign_key="coupons.id")
    before: dict[str, Any] = Field(sa_type=Json)
    after: dict[str, Any] = Field(sa_type=Json)
