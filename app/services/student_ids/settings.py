"""What a student ID is at a group or a brand: who gets one how, for how long, with what (STU-2)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, light, statement
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_paragraphs, checked_text
from app.models.organisation import Node, NodeKind
from app.models.staff import Permission
from app.models.student_ids import StudentGiftRule, StudentIdSettings, StudentMethod
from app.services import audit, coupons, files, organisation, tags, versions
from app.services.actors import Actor
from app.services.coupons import Gift

VALIDITY_MONTHS_MAX = 60
TITLE_CHARS_MAX = 120
TEXT_CHARS_MAX = 10_000
GROUP_NAME_CHARS_MAX = 64
GIFTS_MAX = 5
REMINDERS_MAX = 5
REMINDER_DAYS_MAX = 180
SUBMISSIONS_A_DAY_MAX = 20
NO_VERSION = 0
"""What an edit expects where there are no settings yet."""

TABLE: Any = StudentIdSettings.__table__  # type: ignore[attr-defined]
COLUMNS = (
    "is_open",
    "methods",
    "validity_months",
    "page_title",
    "page_text",
    "cover_file_id",
    "user_group_name",
    "tag_id",
    "gift_rule",
    "gifts",
    "reminder_days",
    "submissions_a_day",
)

settings_of_nodes = statement(
    select(StudentIdSettings).where(any_of(col(StudentIdSettings.node_id), "node_ids")),
    into=StudentIdSettings,
)
# NO KEY UPDATE, as an UPDATE takes it: two edits stand in line.
lock_settings = statement(
    select(StudentIdSettings)
    .where(col(StudentIdSettings.node_id) == bindparam("node_id"))
    .with_for_update(key_share=True),
    into=StudentIdSettings,
)
change_settings = statement(
    update(StudentIdSettings)
    .where(col(StudentIdSettings.id) == bindparam("settings_id"))
    .values(
        version=col(StudentIdSettings.version) + 1,
        changed_at=bindparam("new_changed_at"),
        **{name: bindparam(f"new_{name}", type_=TABLE.c[name].type) for name in COLUMNS},
    )
    .returning(*TABLE.columns),
    into=StudentIdSettings,
)
new_settings = light(StudentIdSettings)


class StudentIdClosed(DomainError):
    """Nobody can become a verified student here, or not in this way."""

    def __init__(self) -> None:
        super().__init__("Student IDs are not verified here in this way at the moment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentIdDetails:
    """What staff decide about student IDs (STU-2)."""

    is_open: bool
    methods: frozenset[StudentMethod]
    validity_months: int
    page_title: str
    page_text: str
    cover_file_id: UUID | None = None
    user_group_name: str | None = None
    tag_id: UUID | None = None
    gift_rule: StudentGiftRule = StudentGiftRule.NONE
    gifts: tuple[Gift, ...] = ()
    reminder_days: tuple[int, ...] = ()
    submissions_a_day: int = 5


async def of_nodes(tx: Transaction, node_ids: Collection[UUID]) -> dict[UUID, StudentIdSettings]:
    """The settings that these groups and brands have of their own."""
    rows = await tx.all(settings_of_nodes, node_ids=list(node_ids))
    return {row.node_id: row for row in rows}


async def in_force(
    tx: Transaction, *, group_id: UUID, brand_id: UUID | None
) -> StudentIdSettings | None:
    """A brand's own settings, or the group's; None if neither was ever set up."""
    found = await of_nodes(tx, [each for each in (brand_id, group_id) if each is not None])
    own = found.get(brand_id) if brand_id is not None else None
    # A brand is a node of this group, or its settings are nobody's here.
    return own if own is not None and own.group_id == group_id else found.get(group_id)


async def offering(
    tx: Transaction, *, group_id: UUID, brand_id: UUID | None, method: StudentMethod
) -> StudentIdSettings:
    """The settings in force, if one can be verified by this method; raises `StudentIdClosed`."""
    settings = await in_force(tx, group_id=group_id, brand_id=brand_id)
    if settings is None or not settings.is_open or method not in settings.methods:
        raise StudentIdClosed
    return settings


async def seen_by(tx: Transaction, actor: Actor, *, node_id: UUID) -> StudentIdSettings | None:
    """The settings a group or brand has of its own, as whoever may read them there sees them.

    Raises `NodeNotFound`, `Forbidden`.
    """
    node = await organisation.node(tx, node_id)
    actor.require(Permission.STUDENTS_READ, node)
    return (await of_nodes(tx, [node.id])).get(node.id)


async def save(
    tx: Transaction,
    actor: Actor,
    *,
    node_id: UUID,
    expected_version: int,
    details: StudentIdDetails,
    now: datetime,
) -> StudentIdSettings:
    """Set up student IDs at a group or a brand, or change them; who is verified stays as promised.

    `expected_version` is 0 where there are no settings yet. Raises `NodeNotFound`,
    `EditedMeanwhile`, `TagNotFound`, `FileNotFound`, `CouponTemplateNotFound`,
    `CouponPackNotFound`.
    """
    node = await organisation.node(tx, node_id)
    actor.require(Permission.STUDENTS_WRITE, node)
    if node.kind is NodeKind.STORE:
        raise BadInput("Student IDs are set up at a group or a brand.")
    columns = _columns(details)
    current = await tx.one(lock_settings, node_id=node.id)
    versions.require_version(current.version if current else NO_VERSION, expected=expected_version)
    await _require_theirs(tx, node, details)
    if current is None:
        saved = new_settings(group_id=node.group_id, node_id=node.id, changed_at=now, **columns)
        await tx.insert(saved)
    else:
        values = {f"new_{name}": value for name, value in columns.items()}
        changed = await tx.one(
            change_settings, settings_id=current.id, new_changed_at=now, **values
        )
        assert changed is not None, "settings are never deleted"
        saved = changed
    await audit.record(
        tx, actor, "student_id_settings.save", object_kind="student_id_settings",
        object_id=saved.id, node_id=node.id, now=now, is_open=saved.is_open,
        methods=saved.methods, validity_months=saved.validity_months, gift_rule=saved.gift_rule,
        gifts=saved.gifts, reminder_days=saved.reminder_days,
    )  # fmt: skip
    return saved


async def _require_theirs(tx: Transaction, node: Node, details: StudentIdDetails) -> None:
    """What the settings name is the group's."""
    if details.tag_id is not None:
        await tags.require(tx, group_id=node.group_id, tag_id=details.tag_id)
    if details.cover_file_id is not None:
        await files.require_image(tx, group_id=node.group_id, file_id=details.cover_file_id)
    await coupons.require_gifts(tx, perspective=node, gifts=details.gifts)


def _columns(details: StudentIdDetails) -> dict[str, Any]:
    """The details as columns; raises `BadInput` for what cannot be meant."""
    if details.is_open and not details.methods:
        raise BadInput("methods needs at least one way to be verified.")
    _require_between("validityMonths", details.validity_months, VALIDITY_MONTHS_MAX)
    _require_between("submissionsADay", details.submissions_a_day, SUBMISSIONS_A_DAY_MAX)
    if (details.gift_rule is StudentGiftRule.NONE) != (not details.gifts):
        raise BadInput("gifts and a giftRule other than NONE belong together.")
    if len(details.gifts) > GIFTS_MAX:
        raise BadInput(f"A verification brings at most {GIFTS_MAX} gifts.")
    if len(details.reminder_days) > REMINDERS_MAX:
        raise BadInput(f"There can be at most {REMINDERS_MAX} reminders.")
    for days in details.reminder_days:
        _require_between("reminderDays", days, REMINDER_DAYS_MAX)
    name = details.user_group_name
    return {
        "is_open": details.is_open,
        "methods": sorted(details.methods),
        "validity_months": details.validity_months,
        "page_title": checked_text("pageTitle", details.page_title, at_most=TITLE_CHARS_MAX),
        "page_text": checked_paragraphs("pageText", details.page_text, at_most=TEXT_CHARS_MAX),
        "cover_file_id": details.cover_file_id,
        "user_group_name": name
        and checked_text("userGroupName", name, at_most=GROUP_NAME_CHARS_MAX),
        "tag_id": details.tag_id,
        "gift_rule": details.gift_rule,
        "gifts": [gift.document() for gift in details.gifts],
        "reminder_days": sorted(set(details.reminder_days), reverse=True),
        "submissions_a_day": details.submissions_a_day,
    }


def _require_between(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise BadInput(f"{name} must be between 1 and {most}.")
