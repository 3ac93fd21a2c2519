"""Paid packages, what members bought of them, and the agreements they accepted (BEN-5…BEN-9)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.models.base import Long, Row


class ValidityRule(StrEnum):
    """From when on the days of a package are counted, for a whole group (BEN-7)."""

    IMMEDIATE = "IMMEDIATE"
    """From the very moment: 3 days bought on Dec 8 at 23:00 end on Dec 11 at 23:00."""
    FROM_PURCHASE_DATE = "FROM_PURCHASE_DATE"
    """From 00:00 of that day: they end with Dec 10."""
    FROM_NEXT_DAY = "FROM_NEXT_DAY"
    """From 00:00 of the next day: they end with Dec 11."""


class DurationUnit(StrEnum):
    DAYS = "DAYS"
    MONTHS = "MONTHS"


class PriceReason(StrEnum):
    """Which of a sales rule's prices is offered (BEN-5)."""

    ORIGINAL = "ORIGINAL"
    FIRST_PURCHASE = "FIRST_PURCHASE"
    REPEAT_PURCHASE = "REPEAT_PURCHASE"
    EARLY_RENEWAL = "EARLY_RENEWAL"
    LIMITED_TIME = "LIMITED_TIME"


class ContentKind(StrEnum):
    """What comes with a package (BEN-6)."""

    FIRST_PURCHASE_GIFT = "FIRST_PURCHASE_GIFT"
    REPEAT_PURCHASE_GIFT = "REPEAT_PURCHASE_GIFT"
    EARLY_RENEWAL_GIFT = "EARLY_RENEWAL_GIFT"
    MEMBER_PRICING = "MEMBER_PRICING"
    MEMBER_DISCOUNT = "MEMBER_DISCOUNT"
    MULTIPLIER = "MULTIPLIER"
    PROMOTION = "PROMOTION"
    TIER_UPGRADE = "TIER_UPGRADE"
    CARD_EXTENSION = "CARD_EXTENSION"


class GiftMoment(StrEnum):
    """When the gift for an early renewal is given (BEN-6)."""

    AT_ONCE = "AT_ONCE"
    WHEN_IT_BEGINS = "WHEN_IT_BEGINS"


class PackageState(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    ARCHIVED = "ARCHIVED"


class PackageSettings(Row, table=True):
    """What holds for all packages of a group; without a row they take effect at once (BEN-7)."""

    __tablename__ = "package_settings"

    group_id: UUID = Field(foreign_key="nodes.id", unique=True)
    validity_rule: ValidityRule = Field(sa_type=Choice(ValidityRule))
    version: int = 1
    changed_at: datetime = Field(sa_type=UtcDateTime)


class AgreementKind(StrEnum):
    """What a document is for (BEN-9)."""

    PURCHASE = "PURCHASE"
    TERMS = "TERMS"
    FAQ = "FAQ"
    """To be read; nobody has to accept it."""


class Agreement(Row, table=True):
    """A document that packages refer to. Its texts are versions, none of which ever changes."""

    __tablename__ = "agreements"
    __table_args__ = (Index("ix_agreements_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    kind: AgreementKind = Field(sa_type=Choice(AgreementKind))
    title: str = Field(max_length=120)
    version: int = 1
    """The one that is current."""
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class AgreementVersion(Row, table=True):
    """What an agreement said from some time on."""

    __tablename__ = "agreement_versions"
    __table_args__ = (UniqueConstraint("agreement_id", "version"),)

    agreement_id: UUID = Field(foreign_key="agreements.id")
    version: int
    title: str = Field(max_length=120)
    body: str = Field(max_length=50_000)
    published_by_id: UUID
    published_at: datetime = Field(sa_type=UtcDateTime)


class AgreementAcceptance(Row, table=True):
    """A member accepted a version of an agreement with an order."""

    __tablename__ = "agreement_acceptances"
    __table_args__ = (
        UniqueConstraint("order_id", "agreement_id"),
        Index("ix_agreement_acceptances_member", "member_id", "id"),
    )

    order_id: UUID = Field(foreign_key="orders.id")
    member_id: UUID = Field(foreign_key="members.id")
    agreement_id: UUID = Field(foreign_key="agreements.id")
    version: int
    accepted_at: datetime = Field(sa_type=UtcDateTime)


class Package(Row, table=True):
    """Benefits sold together for some time. What was bought keeps its own terms (BEN-5)."""

    __tablename__ = "packages"
    __table_args__ = (Index("ix_packages_group", "group_id", "id"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    perspective_id: UUID = Field(foreign_key="nodes.id")
    scope_id: UUID = Field(foreign_key="scopes.id")
    state: PackageState = Field(default=PackageState.DRAFT, sa_type=Choice(PackageState))
    name: str = Field(max_length=120)
    tag: str | None = Field(default=None, max_length=40)
    description: str | None = Field(default=None, max_length=2_000)
    cover_file_id: UUID | None = Field(default=None, foreign_key="files.id")
    icon_file_id: UUID | None = Field(default=None, foreign_key="files.id")
    currency: str = Field(max_length=3)
    rules: list[dict[str, Any]] = Field(sa_type=Json)
    """The sales rules, 1 to 5."""
    contents: list[dict[str, Any]] = Field(sa_type=Json)
    purchase_agreement_id: UUID | None = Field(default=None, foreign_key="agreements.id")
    terms_agreement_id: UUID | None = Field(default=None, foreign_key="agreements.id")
    faq_agreement_id: UUID | None = Field(default=None, foreign_key="agreements.id")
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class OwnedState(StrEnum):
    WAITING = "WAITING"
    """It begins later: tomorrow, or when the one it renews has ended."""
    RUNNING = "RUNNING"
    ENDED = "ENDED"
    REFUNDED = "REFUNDED"


_waits, _runs = text("state = 'WAITING'"), text("state = 'RUNNING'")
_reminds = text("remind_at IS NOT NULL")
_renews = text("renews_id IS NOT NULL AND state <> 'REFUNDED'")


class OwnedPackage(Row, table=True):
    """A package on a card as it was bought: later edits of the package change nothing (BEN-7)."""

    __tablename__ = "owned_packages"
    __table_args__ = (
        Index("ix_owned_packages_member", "member_id", "id"),
        Index("ix_owned_packages_card", "card_id", "package_id"),
        Index("ix_owned_packages_package", "package_id", "id"),
        Index(
            "ix_owned_packages_waiting",
            "starts_at",
            sqlite_where=_waits,
            postgresql_where=_waits,
        ),
        Index("ix_owned_packages_running", "ends_at", sqlite_where=_runs, postgresql_where=_runs),
        Index(
            "ix_owned_packages_remind",
            "remind_at",
            sqlite_where=_reminds,
            postgresql_where=_reminds,
        ),
        # Of two renewals bought at once the second renews the first.
        Index(
            "uq_owned_packages_one_renewal",
            "renews_id",
            unique=True,
            sqlite_where=_renews,
            postgresql_where=_renews,
        ),
        CheckConstraint("starts_at < ends_at", name="period"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    package_id: UUID = Field(foreign_key="packages.id")
    member_id: UUID = Field(foreign_key="members.id")
    card_id: UUID = Field(foreign_key="cards.id")
    order_id: UUID = Field(foreign_key="orders.id", unique=True)
    store_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    name: str = Field(max_length=120)
    terms: dict[str, Any] = Field(sa_type=Json)
    """What was sold: the duration, the contents, the agreements' versions."""
    currency: str = Field(max_length=3)
    price: int = Long()
    price_reason: PriceReason = Field(sa_type=Choice(PriceReason))
    is_first: bool = False
    renews_id: UUID | None = Field(default=None, foreign_key="owned_packages.id")
    """The one whose end it begins with, or that ended while its order waited to be paid."""
    state: OwnedState = Field(sa_type=Choice(OwnedState))
    bought_at: datetime = Field(sa_type=UtcDateTime)
    starts_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(sa_type=UtcDateTime)
    """The first instant without it."""
    remind_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its holder is to be told that it ends soon; None once that was done."""
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was over or given back."""
