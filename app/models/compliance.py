"""What the law of prepaid cards asks: caps, thresholds, who is behind large sums (TOP-11)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from app.core.db import Choice, UtcDateTime
from app.core.personal import Personal
from app.models.base import Long, Row


class GroupRules(Row, table=True):
    """Limits of a group in one currency; where there is no row the defaults of the law hold.

    All in minor units; None is no limit.
    """

    __tablename__ = "group_rules"
    __table_args__ = (UniqueConstraint("group_id", "currency"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    currency: str = Field(max_length=3)
    registered_card_cap: int | None = Long(default=None)
    unregistered_card_cap: int | None = Long(default=None)
    person_cap: int | None = Long(default=None)
    order_max: int | None = Long(default=None)
    day_max: int | None = Long(default=None)
    real_name_from: int | None = Long(default=None)
    transfer_from: int | None = Long(default=None)
    company_transfer_from: int | None = Long(default=None)
    adjustment_approval_above: int | None = Long(default=None)
    points_approval_above: int | None = Long(default=None)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class DocumentKind(StrEnum):
    ID_CARD = "ID_CARD"
    PASSPORT = "PASSPORT"
    OTHER = "OTHER"


class RealName(Row, table=True):
    """Who a member is by an identity document; kept for as long as the law asks."""

    __tablename__ = "real_names"

    member_id: UUID = Field(foreign_key="members.id", unique=True)
    name: str = Field(sa_type=Personal("real_names.name"))
    document_kind: DocumentKind = Field(sa_type=Choice(DocumentKind))
    document_number: str = Field(sa_type=Personal("real_names.document_number"))
    document_index: str = Field(max_length=64, index=True)
    recorded_by_id: UUID
    recorded_at: datetime = Field(sa_type=UtcDateTime)
