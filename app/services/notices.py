"""What members should hear of, written down once (PTS-5). Channels read it from here."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.core.errors import DomainError
from app.core.ids import LARGEST_ID
from app.models.behaviour import Notice
from app.models.members import Member
from app.services import members
from app.services.members import Bearer

insert_once = upsert(
    lambda insert: (
        insert(Notice)
        .values(every_column(Notice))
        .on_conflict_do_nothing(index_elements=["member_id", "unique_key"])
    )
)
by_id = statement(select(Notice).where(col(Notice.id) == bindparam("notice_id")), into=Notice)
# Those of records that were merged into the member's too.
_of_member = col(Notice.member_id).in_(
    select(Member.id).where(
        or_(
            col(Member.id) == bindparam("member_id"),
            col(Member.merged_into_id) == bindparam("member_id"),
        )
    )
)
newest = statement(
    select(Notice)
    .where(_of_member, col(Notice.id) < bindparam("before"))
    .order_by(col(Notice.id).desc())
    .limit(bindparam("limit")),
    into=Notice,
)
count_unread = statement(
    select(func.count()).select_from(Notice).where(_of_member, col(Notice.read_at).is_(None)),
    into=int,
)
mark_read = statement(
    update(Notice)
    .where(col(Notice.id) == bindparam("notice_id"), _of_member, col(Notice.read_at).is_(None))
    .values(read_at=bindparam("new_read_at"))
)
mine = statement(
    select(Notice).where(col(Notice.id) == bindparam("notice_id"), _of_member), into=Notice
)
new_notice = light(Notice)


class NoticeNotFound(DomainError):
    """No such notice, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such notice.")


class Inbox(NamedTuple):
    """A page of a member's notices, and how many of all are unread."""

    rows: list[Notice]
    number_unread: int


async def write(tx: Transaction, written: Iterable[Notice]) -> list[Notice]:
    """Write notices down; those whose member has one with the `unique_key` already are left out.

    The ones that are new.
    """
    return [each for each in written if await tx.changed(insert_once, **values_of(each))]


async def inbox(tx: Transaction, *, member_id: UUID, before: UUID | None, limit: int) -> Inbox:
    """The signed-in member's notices, newest first."""
    member = await members.signed_in(tx, member_id)
    rows = await tx.all(newest, member_id=member.id, before=before or LARGEST_ID, limit=limit)
    return Inbox(rows, await tx.one(count_unread, member_id=member.id) or 0)


async def read(tx: Transaction, *, bearer: Bearer, notice_id: UUID, now: datetime) -> Notice:
    """The member has read a notice; the first time counts. Raises `NoticeNotFound`."""
    member = await members.acting(tx, bearer, now=now)
    await tx.changed(mark_read, notice_id=notice_id, member_id=member.id, new_read_at=now)
    found = await tx.one(mine, notice_id=notice_id, member_id=member.id)
    if found is None:
        raise NoticeNotFound
    return found


async def told(tx: Transaction, *, notice_id: UUID) -> Notice:
    """The notice an event names."""
    found = await tx.one(by_id, notice_id=notice_id)
    assert found is not None
    return found
