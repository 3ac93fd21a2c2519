"""Tags: words that staff put on members by hand (SEG-2)."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, delete, func, select, update

from app.core.db import (
    Transaction,
    any_of,
    changed_copy,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_text
from app.models.members import Member, MemberStatus, MemberTag, Tag
from app.models.scopes import ScopeAudience
from app.models.staff import Permission
from app.models.student_ids import StudentIdSettings
from app.services import audit, members
from app.services.actors import Actor

NAME_CHARS_MAX = 64
TAGS_MAX = 500
"""Of a group, so that all of them can be chosen from."""
TAGS_OF_MEMBER_MAX = 50

tags_of_group = statement(
    select(Tag)
    .where(col(Tag.group_id) == bindparam("group_id"))
    .order_by(col(Tag.name))
    .limit(TAGS_MAX),
    into=Tag,
)
tags_by_id = statement(
    select(Tag).where(
        any_of(col(Tag.id), "ids"),
        col(Tag.group_id) == bindparam("group_id"),
    ),
    into=Tag,
)
number_of_tags = statement(
    select(func.count()).select_from(Tag).where(col(Tag.group_id) == bindparam("group_id")),
    into=int,
)
namesake = statement(
    select(Tag.id).where(
        col(Tag.group_id) == bindparam("group_id"), col(Tag.name) == bindparam("name")
    ),
    into=UUID,
)
rename_tag = statement(
    update(Tag).where(col(Tag.id) == bindparam("tag_id")).values(name=bindparam("new_name"))
)
audience_with = statement(
    select(ScopeAudience.id).where(col(ScopeAudience.tag_id) == bindparam("tag_id")).limit(1),
    into=UUID,
)
settings_with = statement(
    select(StudentIdSettings.id)
    .where(col(StudentIdSettings.tag_id) == bindparam("tag_id"))
    .limit(1),
    into=UUID,
)
take_off_everybody = statement(
    delete(MemberTag).where(col(MemberTag.tag_id) == bindparam("tag_id"))
)
delete_tag = statement(delete(Tag).where(col(Tag.id) == bindparam("tag_id")))


class _Worn(NamedTuple):
    """A tag and who has it."""

    member_id: UUID
    id: UUID
    group_id: UUID
    name: str
    created_at: datetime


tags_on = statement(
    select(MemberTag.member_id, Tag.id, Tag.group_id, Tag.name, Tag.created_at)  # type: ignore[call-overload]  # SQLModel types up to four columns
    .join(Tag, col(Tag.id) == col(MemberTag.tag_id))
    .where(any_of(col(MemberTag.member_id), "member_ids"))
    .order_by(col(Tag.name)),
    into=_Worn,
)
take_off_member = statement(
    delete(MemberTag).where(
        col(MemberTag.member_id) == bindparam("member_id"), any_of(col(MemberTag.tag_id), "tag_ids")
    )
)
put_once = upsert(
    lambda insert: (
        insert(MemberTag)
        .values(every_column(MemberTag))
        .on_conflict_do_nothing(index_elements=["member_id", "tag_id"])
        .returning(col(MemberTag.id))
    ),
    into=UUID,
)
worn_row = statement(
    select(MemberTag.id).where(
        col(MemberTag.member_id) == bindparam("member_id"),
        col(MemberTag.tag_id) == bindparam("tag_id"),
    ),
    into=UUID,
)
take_off_row = statement(delete(MemberTag).where(col(MemberTag.id) == bindparam("member_tag_id")))
new_tag = light(Tag)
new_member_tag = light(MemberTag)


class TagNotFound(DomainError):
    """No such tag in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such tag.")


class TagNameTaken(DomainError):
    """Another tag of the group has this name."""

    def __init__(self) -> None:
        super().__init__("There is already a tag with this name.")


class TooManyTags(DomainError):
    """The group, or the member, has as many tags as one can have."""

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most
        super().__init__(f"There can be at most {at_most} tags.")


class TagInUse(DomainError):
    """Something is meant for members with this tag, and would otherwise be meant for nobody; or
    student IDs bring it."""

    def __init__(self) -> None:
        super().__init__("Something is meant for members with this tag. Change that first.")


async def of_group(tx: Transaction, actor: Actor) -> list[Tag]:
    """The tags of the actor's group, by name."""
    actor.require_any(Permission.MEMBERS_READ)
    return await tx.all(tags_of_group, group_id=actor.group_id)


async def of_members(tx: Transaction, member_ids: list[UUID]) -> dict[UUID, list[Tag]]:
    """The tags of each of these living members, by name."""
    found: dict[UUID, list[Tag]] = {member_id: [] for member_id in member_ids}
    for worn in await tx.all(tags_on, member_ids=member_ids):
        tag = new_tag(
            id=worn.id, group_id=worn.group_id, name=worn.name, created_at=worn.created_at
        )
        found[worn.member_id].append(tag)
    return found


async def create(tx: Transaction, actor: Actor, *, name: str, now: datetime) -> Tag:
    """Add a tag to the group. Raises `TagNameTaken`, `TooManyTags`."""
    actor.require_any(Permission.MEMBERS_WRITE)
    name = await _free_name(tx, actor, name, own_id=None)
    if (await tx.one(number_of_tags, group_id=actor.group_id) or 0) >= TAGS_MAX:
        raise TooManyTags(TAGS_MAX)
    tag = new_tag(group_id=actor.group_id, name=name, created_at=now)
    await tx.insert(tag)
    await _record(tx, actor, "tag.create", tag.id, now, name=name)
    return tag


async def rename(tx: Transaction, actor: Actor, *, tag_id: UUID, name: str, now: datetime) -> Tag:
    """Call a tag something else; members keep it. Raises `TagNotFound`, `TagNameTaken`."""
    tag = await _written(tx, actor, tag_id)
    name = await _free_name(tx, actor, name, own_id=tag.id)
    await tx.changed(rename_tag, tag_id=tag.id, new_name=name)
    await _record(tx, actor, "tag.rename", tag.id, now, was=tag.name, name=name)
    return changed_copy(tag, name=name)


async def remove(tx: Transaction, actor: Actor, *, tag_id: UUID, now: datetime) -> Tag:
    """Drop a tag, and take it off everybody. Raises `TagNotFound`, `TagInUse`."""
    tag = await _written(tx, actor, tag_id)
    if await tx.one(audience_with, tag_id=tag.id) or await tx.one(settings_with, tag_id=tag.id):
        raise TagInUse
    await tx.changed(take_off_everybody, tag_id=tag.id)
    await tx.changed(delete_tag, tag_id=tag.id)
    await _record(tx, actor, "tag.delete", tag.id, now, name=tag.name)
    return tag


async def put_on(
    tx: Transaction, actor: Actor, *, member_id: UUID, tag_ids: list[UUID], now: datetime
) -> Member:
    """Give a member tags; those they have already stay. Raises `MemberNotFound`, `TagNotFound`,
    `TooManyTags`.
    """
    member = await _member(tx, actor, member_id)
    wanted = await _chosen(tx, actor, tag_ids)
    has = {tag.id for tag in (await of_members(tx, [member.id]))[member.id]}
    added = [tag_id for tag_id in wanted if tag_id not in has]
    if not added:
        return member
    if len(has) + len(added) > TAGS_OF_MEMBER_MAX:
        raise TooManyTags(TAGS_OF_MEMBER_MAX)
    await tx.insert(
        *(new_member_tag(member_id=member.id, tag_id=tag_id, tagged_at=now) for tag_id in added)
    )
    await _record_on(tx, actor, "member.tag", member, added, now)
    return member


async def take_off(
    tx: Transaction, actor: Actor, *, member_id: UUID, tag_ids: list[UUID], now: datetime
) -> Member:
    """Take tags off a member; one they do not have is no mistake. Raises `MemberNotFound`,
    `TagNotFound`.
    """
    member = await _member(tx, actor, member_id)
    unwanted = await _chosen(tx, actor, tag_ids)
    if await tx.changed(take_off_member, member_id=member.id, tag_ids=unwanted):
        await _record_on(tx, actor, "member.untag", member, unwanted, now)
    return member


async def require(tx: Transaction, *, group_id: UUID, tag_id: UUID) -> None:
    """Raise `TagNotFound` unless the group has the tag."""
    if not await tx.all(tags_by_id, ids=[tag_id], group_id=group_id):
        raise TagNotFound


async def put_by_rule(
    tx: Transaction, *, member_id: UUID, tag_id: UUID, now: datetime
) -> tuple[UUID, bool]:
    """Give a member a tag because a rule says so: the row's id, and whether it is new.

    Who put it there remembers the id, and takes off that row alone: a tag that staff put on by
    hand, before or since, is another row and stays.
    """
    row = new_member_tag(member_id=member_id, tag_id=tag_id, tagged_at=now)
    if put := await tx.one(put_once, **values_of(row)):
        return put, True
    worn = await tx.one(worn_row, member_id=member_id, tag_id=tag_id)
    assert worn is not None, "the caller has locked the member, and so has whoever takes tags off"
    return worn, False


async def take_off_by_rule(tx: Transaction, *, member_tag_id: UUID) -> bool:
    """Take off what `put_by_rule` put on; whether it was still there."""
    return await tx.changed(take_off_row, member_tag_id=member_tag_id) > 0


async def _written(tx: Transaction, actor: Actor, tag_id: UUID) -> Tag:
    actor.require_any(Permission.MEMBERS_WRITE)
    for found in await tx.all(tags_by_id, ids=[tag_id], group_id=actor.group_id):
        return found
    raise TagNotFound


async def _member(tx: Transaction, actor: Actor, member_id: UUID) -> Member:
    actor.require_any(Permission.MEMBERS_WRITE)
    member = await members.locked(tx, member_id)
    if member.group_id != actor.group_id or member.status is not MemberStatus.ACTIVE:
        raise members.MemberNotFound
    return member


async def _chosen(tx: Transaction, actor: Actor, tag_ids: list[UUID]) -> list[UUID]:
    """The tags as given, each once and in one order; raises `TagNotFound`."""
    if not 1 <= len(tag_ids) <= TAGS_OF_MEMBER_MAX:
        raise BadInput(f"tagIds must have 1 to {TAGS_OF_MEMBER_MAX} entries.")
    wanted = sorted(set(tag_ids))
    found = await tx.all(tags_by_id, ids=wanted, group_id=actor.group_id)
    if len(found) != len(wanted):
        raise TagNotFound
    return wanted


async def _free_name(tx: Transaction, actor: Actor, name: str, *, own_id: UUID | None) -> str:
    """The name, checked; raises `TagNameTaken`."""
    name = checked_text("name", name, at_most=NAME_CHARS_MAX)
    if await tx.one(namesake, group_id=actor.group_id, name=name) not in {None, own_id}:
        raise TagNameTaken
    return name


async def _record(
    tx: Transaction, actor: Actor, action: str, tag_id: UUID, now: datetime, **names: Any
) -> None:
    await audit.record(tx, actor, action, object_kind="tag", object_id=tag_id, now=now, **names)


async def _record_on(
    tx: Transaction, actor: Actor, action: str, member: Member, tag_ids: list[UUID], now: datetime
) -> None:
    await audit.record(
        tx, actor, action, object_kind="member", object_id=member.id, now=now,
        tags=[str(tag_id) for tag_id in tag_ids],
    )  # fmt: skip
