"""Who is a student, how that was verified, and what a group makes of it (STU-1…STU-4)."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlmodel import Field, Index

from app.core.db import Choice, Json, UtcDateTime
from app.core.personal import Personal
from app.models.base import Row


class StudentMethod(StrEnum):
    """How a member shows that they study (STU-1)."""

    EMAIL = "EMAIL"
    CARD = "CARD"
    VERIFIER = "VERIFIER"


class StudentGiftRule(StrEnum):
    """When a verification brings its gift (STU-2)."""

    NONE = "NONE"
    FIRST_TIME = "FIRST_TIME"
    EVERY_TIME = "EVERY_TIME"


class StudentIdSettings(Row, table=True):
    """What a student ID is at a group or a brand: a brand without its own has the group's."""

    __tablename__ = "student_id_settings"
    __table_args__ = (
        UniqueConstraint("node_id"),
        Index("ix_student_id_settings_tag", "tag_id"),
        CheckConstraint("validity_months > 0", name="validity"),
        CheckConstraint("submissions_a_day > 0", name="submissions"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    node_id: UUID = Field(foreign_key="nodes.id")
    is_open: bool
    methods: list[str] = Field(sa_type=Json)
    validity_months: int
    page_title: str = Field(max_length=120)
    page_text: str = Field(max_length=10_000)
    cover_file_id: UUID | None = Field(default=None, foreign_key="files.id")
    user_group_name: str | None = Field(default=None, max_length=64)
    """What staff call those whose student ID is valid: the user group they make up."""
    tag_id: UUID | None = Field(default=None, foreign_key="tags.id")
    gift_rule: StudentGiftRule = Field(sa_type=Choice(StudentGiftRule))
    gifts: list[dict[str, Any]] = Field(sa_type=Json)
    reminder_days: list[int] = Field(sa_type=Json)
    """How many days before the end members are reminded, the most first."""
    submissions_a_day: int
    version: int = 1
    changed_at: datetime = Field(sa_type=UtcDateTime)


class Institution(Row, table=True):
    """A school that staff listed beside those we ship with, or one of those that they refuse."""

    __tablename__ = "institutions"
    __table_args__ = (UniqueConstraint("group_id", "name"),)

    group_id: UUID = Field(foreign_key="nodes.id")
    name: str = Field(max_length=200)
    is_accepted: bool
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)


class InstitutionDomain(Row, table=True):
    """A domain of a school, with all below it."""

    __tablename__ = "institution_domains"
    __table_args__ = (
        UniqueConstraint("group_id", "domain"),
        Index("ix_institution_domains_institution", "institution_id"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    institution_id: UUID = Field(foreign_key="institutions.id")
    domain: str = Field(max_length=253)


class StudentState(StrEnum):
    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    """Its time is over, or staff ended it before."""
    REPLACED = "REPLACED"
    """A later verification of the same member went on from it."""
    WITHDRAWN = "WITHDRAWN"
    """The member took it back, or never came back from the outside verifier."""


class RejectionReason(StrEnum):
    UNREADABLE = "UNREADABLE"
    NOT_A_STUDENT = "NOT_A_STUDENT"
    CARD_EXPIRED = "CARD_EXPIRED"
    DETAILS_DIFFER = "DETAILS_DIFFER"
    IDENTITY_IN_USE = "IDENTITY_IN_USE"
    OTHER = "OTHER"


_is_submitted = text("state = 'SUBMITTED'")
_is_approved = text("state = 'APPROVED'")
_is_to_be_reminded = text("state = 'APPROVED' AND remind_at IS NOT NULL")


class StudentVerification(Row, table=True):
    """One time that a member asked to be taken for a student, and what came of it (STU-1).

    What proves it is personal: emptied when the account closes, the picture already when staff
    have decided.
    """

    __tablename__ = "student_verifications"
    __table_args__ = (
        # One at a time is open of each member's record.
        Index(
            "uq_student_verifications_submitted",
            "member_id",
            unique=True,
            sqlite_where=_is_submitted,
            postgresql_where=_is_submitted,
        ),
        UniqueConstraint("verifier_event"),
        Index("ix_student_verifications_member", "member_id", "id"),
        Index("ix_student_verifications_group", "group_id", "id"),
        Index("ix_student_verifications_state", "group_id", "state", "id"),
        Index("ix_student_verifications_identity", "group_id", "identity_index"),
        Index("ix_student_verifications_approved_at", "group_id", "approved_at"),
        Index("ix_student_verifications_ended_at", "group_id", "ended_at"),
        Index(
            "ix_student_verifications_ending",
            "valid_until",
            sqlite_where=_is_approved,
            postgresql_where=_is_approved,
        ),
        Index(
            "ix_student_verifications_reminding",
            "remind_at",
            sqlite_where=_is_to_be_reminded,
            postgresql_where=_is_to_be_reminded,
        ),
        Index(
            "ix_student_verifications_waiting",
            "answer_until",
            sqlite_where=_is_submitted,
            postgresql_where=_is_submitted,
        ),
        CheckConstraint(
            "(approved_at IS NULL) = (valid_until IS NULL)"
            " AND (state <> 'APPROVED' OR approved_at IS NOT NULL)",
            name="approval",
        ),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    node_id: UUID = Field(foreign_key="nodes.id")
    """The group or brand whose settings it went by."""
    member_id: UUID = Field(foreign_key="members.id")
    method: StudentMethod = Field(sa_type=Choice(StudentMethod))
    state: StudentState = Field(sa_type=Choice(StudentState))
    institution: str = Field(max_length=200)
    identity: str | None = Field(default=None, sa_type=Personal("student_verifications.identity"))
    """The school e-mail, the student number, or what the verifier calls the student."""
    identity_index: str | None = Field(default=None, max_length=64)
    student_name: str | None = Field(
        default=None, sa_type=Personal("student_verifications.student_name")
    )
    card_file_id: UUID | None = Field(default=None, foreign_key="files.id")
    """The picture of the student card, until staff have decided."""
    verifier_event: str | None = Field(default=None, max_length=128)
    answer_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Until when the outside verifier may answer."""
    submitted_at: datetime = Field(sa_type=UtcDateTime)
    approved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    valid_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it stopped being open or valid: rejected, withdrawn, replaced or expired."""
    decided_by_id: UUID | None = None
    """Who of the staff approved, rejected or ended it."""
    reason: RejectionReason | None = Field(default=None, sa_type=Choice(RejectionReason))
    note: str | None = Field(default=None, max_length=200)
    is_renewal: bool = False
    """Whether the member was a student already when it was approved."""
    gifted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    remind_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reminder_days: list[int] = Field(default_factory=list, sa_type=Json)
    tag_id: UUID | None = None
    """The tag its approval brings, as the settings were then."""
    member_tag_id: UUID | None = None
    """The very row that it put on the member. One that staff put there by hand stays."""


class StudentIdentity(Row, table=True):
    """Whose a school e-mail or a student number is while a verification lives by it (STU-1)."""

    __tablename__ = "student_identities"
    __table_args__ = (
        UniqueConstraint("identity_index", "group_id"),
        Index("ix_student_identities_member", "member_id"),
    )

    group_id: UUID = Field(foreign_key="nodes.id")
    member_id: UUID = Field(foreign_key="members.id")
    identity_index: str = Field(max_length=64)
