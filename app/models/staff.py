"""Staff, roles and partner clients: who may do what, where (ORG-2, EVT-1)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from app.core.db import Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Row


class Permission(StrEnum):
    """What a role or a partner's scope allows. The names are the OAuth scopes."""

    ORGANISATION_READ = "organisation:read"
    ORGANISATION_WRITE = "organisation:write"
    STAFF_READ = "staff:read"
    STAFF_WRITE = "staff:write"
    PARTNERS_READ = "partners:read"
    PARTNERS_WRITE = "partners:write"
    SCHEMES_READ = "schemes:read"
    SCHEMES_WRITE = "schemes:write"
    MEMBERS_FIND = "members:find"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    MEMBERS_UNMASK = "members:unmask"
    CARDS_READ = "cards:read"
    CARDS_ISSUE = "cards:issue"
    CARDS_WRITE = "cards:write"
    CODES_RESOLVE = "codes:resolve"
    PURCHASES_READ = "purchases:read"
    PURCHASES_WRITE = "purchases:write"
    PURCHASES_REFUND = "purchases:refund"
    TOP_UPS_READ = "top_ups:read"
    TOP_UPS_WRITE = "top_ups:write"
    TOP_UPS_SELL = "top_ups:sell"
    TOP_UPS_REFUND = "top_ups:refund"
    SPENDINGS_WRITE = "spendings:write"
    SPENDINGS_REFUND = "spendings:refund"
    ADJUSTMENTS_WRITE = "adjustments:write"
    ADJUSTMENTS_APPROVE = "adjustments:approve"
    CARDS_REFUND = "cards:refund"
    TIERS_GRANT = "tiers:grant"
    EVENTS_WRITE = "events:write"
    FILES_WRITE = "files:write"
    ORDERS_READ = "orders:read"
    ORDERS_REFUND = "orders:refund"
    COUPONS_READ = "coupons:read"
    COUPONS_WRITE = "coupons:write"
    COUPONS_ISSUE = "coupons:issue"
    COUPONS_SELL = "coupons:sell"
    COUPONS_REDEEM = "coupons:redeem"
    MALL_READ = "mall:read"
    MALL_WRITE = "mall:write"
    MALL_FULFIL = "mall:fulfil"
    GIFT_CARDS_READ = "gift_cards:read"
    GIFT_CARDS_WRITE = "gift_cards:write"
    GIFT_CARDS_SELL = "gift_cards:sell"
    GIFT_CARDS_REDEEM = "gift_cards:redeem"
    GIFT_CARDS_FREEZE = "gift_cards:freeze"
    GIFT_CARDS_REFUND = "gift_cards:refund"
    GIFT_CARDS_EXPORT_KEYS = "gift_cards:export_keys"
    BENEFITS_READ = "benefits:read"
    BENEFITS_WRITE = "benefits:write"
    PACKAGES_READ = "packages:read"
    PACKAGES_WRITE = "packages:write"
    PACKAGES_SELL = "packages:sell"
    PACKAGES_REFUND = "packages:refund"
    STUDENTS_READ = "students:read"
    STUDENTS_WRITE = "students:write"
    STUDENTS_REVIEW = "students:review"
    POINTS_ROLL_BACK = "points:roll_back"
    SETTINGS_WRITE = "settings:write"
    REPORTS_READ = "reports:read"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    AUDIT_READ = "audit:read"


class Staff(Row, table=True):
    """Somebody who works here: signs in with e-mail, password and a second factor."""

    __tablename__ = "staff"
    __table_args__ = (UniqueConstraint("email_index"),)

    group_id: UUID = Field(foreign_key="nodes.id", index=True)
    name: str = Field(sa_type=Personal("staff.name"))
    email: str = Field(sa_type=Personal("staff.email"))
    email_index: str = Field(max_length=64)
    password_hash: str = Field(max_length=200)
    totp_secret: str = Field(sa_type=Personal("staff.totp_secret"))
    last_totp_step: int = 0
    failures: int = 0
    locked_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    is_active: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)


class Role(Row, table=True):
    """A named set of permissions in a group; the built-in ones cannot be changed."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("group_id", "name"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    name: str = Field(max_length=64)
    permissions: list[str] = Field(sa_type=Json)
    is_built_in: bool = False


class RoleGrant(Row, table=True):
    """A role given to somebody at a node: it holds in the node's whole subtree."""

    __tablename__ = "role_grants"
    __table_args__ = (UniqueConstraint("staff_id", "role_id", "node_id"),)

    staff_id: UUID = Field(foreign_key="staff.id")
    role_id: UUID = Field(foreign_key="roles.id")
    node_id: UUID = Field(foreign_key="nodes.id")
    granted_at: datetime = Field(sa_type=UtcDateTime)


class PartnerClient(Row, table=True):
    """A partner's system: OAuth 2.0 client credentials, scopes, nodes and a rate (EVT-1).

    After a rotation the previous secret works until `previous_until`, so that a partner can
    change it without a gap.
    """

    __tablename__ = "partner_clients"

    group_id: UUID = Field(foreign_key="nodes.id", index=True)
    client_id: str = Field(max_length=48, unique=True)
    name: str = Field(max_length=120)
    secret_hash: str = Field(max_length=64)
    previous_secret_hash: str | None = Field(default=None, max_length=64)
    previous_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    scopes: list[str] = Field(sa_type=Json)
    requests_per_minute: int
    is_active: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)


class PartnerNode(Row, table=True):
    """A node whose subtree a partner client may act in."""

    __tablename__ = "partner_nodes"
    __table_args__ = (UniqueConstraint("partner_client_id", "node_id"),)

    partner_client_id: UUID = Field(foreign_key="partner_clients.id")
    node_id: UUID = Field(foreign_key="nodes.id")
