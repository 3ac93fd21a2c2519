"""What members and staff read of student IDs: standing, lists, the dashboard's numbers (STU-4)."""

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import and_, bindparam, or_
from sqlmodel import col, func, select

from app.core.db import Statement, Transaction, any_of, if_given, statement
from app.core.errors import BadInput
from app.core.ids import LARGEST_ID, SMALLEST_ID
from app.core.points_expiry import local_day, start_of_day
from app.models.cards import Card, CardStatus
from app.models.members import Member, MemberStatus
from app.models.organisation import NodeKind
from app.models.staff import Permission
from app.models.student_ids import (
    StudentIdSettings,
    StudentMethod,
    StudentState,
    StudentVerification,
)
from app.services import members, organisation
from app.services.actors import Actor
from app.services.student_ids import schools, settings, verifications
from app.services.student_ids.applying import open_of_member
from app.services.student_ids.schools import School

BASIS_POINTS = 10_000

page_of_member = statement(
    select(StudentVerification)
    .where(
        col(StudentVerification.member_id).in_(members.own_records),
        col(StudentVerification.id) < bindparam("before"),
    )
    .order_by(col(StudentVerification.id).desc())
    .limit(bindparam("at_most")),
    into=StudentVerification,
)
# At the group the actor sees all of it, at a brand what went by the brand's settings.
_seen = (
    col(StudentVerification.group_id) == bindparam("group_id"),
    or_(
        any_of(col(StudentVerification.group_id), "granted_ids"),
        any_of(col(StudentVerification.node_id), "granted_ids"),
    ),
)
page_of_group = statement(
    select(StudentVerification)
    .where(
        *_seen,
        col(StudentVerification.id) < bindparam("before"),
        if_given("state", StudentVerification.state),
        if_given("method", StudentVerification.method),
        if_given("node_id", StudentVerification.node_id),
    )
    .order_by(col(StudentVerification.id).desc())
    .limit(bindparam("at_most")),
    into=StudentVerification,
)
review_queue = statement(
    select(StudentVerification)
    .where(
        *_seen,
        col(StudentVerification.state) == StudentState.SUBMITTED,
        col(StudentVerification.method) == StudentMethod.CARD,
        col(StudentVerification.id) > bindparam("after"),
    )
    .order_by(col(StudentVerification.id))
    .limit(bindparam("at_most")),
    into=StudentVerification,
)

_person = func.coalesce(Member.merged_into_id, Member.id)
_is_valid = and_(
    col(StudentVerification.state) == StudentState.APPROVED,
    col(StudentVerification.valid_until) > bindparam("now"),
)


def _has_card(person: Any) -> Any:
    """Condition: somebody has a card in their hands, and so is a member (MEM-1)."""
    return (
        select(Card.id)
        .where(
            col(Card.member_id) == person,
            col(Card.status) != CardStatus.MERGED,
            col(Card.status) != CardStatus.REFUNDED,
        )
        .exists()
    )


def _people(*conditions: Any) -> Statement[int]:
    """How many people have a verification for which this holds, each counted once."""
    return statement(
        select(func.count(func.distinct(_person)))
        .select_from(StudentVerification)
        .join(Member, col(Member.id) == col(StudentVerification.member_id))
        .where(
            col(StudentVerification.group_id) == bindparam("group_id"),
            if_given("node_id", StudentVerification.node_id),
            *conditions,
        ),
        into=int,
    )


count_valid = _people(_is_valid)
count_valid_with_card = _people(_is_valid, _has_card(_person))
count_new = _people(
    col(StudentVerification.approved_at) >= bindparam("from_moment"),
    col(StudentVerification.approved_at) < bindparam("to_moment"),
    col(StudentVerification.is_renewal).is_(False),
)
# One whose time is over and that the duty has not come by yet has expired as well.
count_expired = _people(
    or_(
        and_(
            col(StudentVerification.state) == StudentState.EXPIRED,
            col(StudentVerification.ended_at) >= bindparam("from_moment"),
            col(StudentVerification.ended_at) < bindparam("to_moment"),
        ),
        and_(
            col(StudentVerification.state) == StudentState.APPROVED,
            col(StudentVerification.valid_until) >= bindparam("from_moment"),
            col(StudentVerification.valid_until) < bindparam("to_moment"),
        ),
    )
)
count_members = statement(
    select(func.count())
    .select_from(Member)
    .where(
        col(Member.group_id) == bindparam("group_id"),
        col(Member.status) == MemberStatus.ACTIVE,
        _has_card(col(Member.id)),
    ),
    into=int,
)


class Standing(NamedTuple):
    """Where a member stands: the valid student ID, what waits for an answer, and what came last."""

    valid: StudentVerification | None
    waiting: StudentVerification | None
    latest: StudentVerification | None


class Dashboard(NamedTuple):
    """A group's or a brand's numbers of students, as of a moment (STU-4)."""

    valid_students: int
    members: int
    share_bp: int
    """Of the members, those who are students too, in basis points; half up."""
    day: date
    """Yesterday, by the clock of the node."""
    new_students: int
    expired_students: int


async def standing(tx: Transaction, *, member_id: UUID, now: datetime) -> Standing:
    """Of a signed-in member."""
    member = await members.signed_in(tx, member_id)
    approved = await tx.all(verifications.approved_of_member, member_id=member.id)
    valid = [each for each in approved if verifications.is_valid(each, now)]
    waiting = await tx.all(open_of_member, member_id=member.id)
    latest = await tx.all(page_of_member, member_id=member.id, before=LARGEST_ID, at_most=1)
    return Standing(
        valid=max(valid, key=lambda each: each.valid_until or now, default=None),
        waiting=waiting[0] if waiting else None,
        latest=latest[0] if latest else None,
    )


async def page_of_brand(
    tx: Transaction, *, member_id: UUID, brand_id: UUID | None
) -> StudentIdSettings | None:
    """The settings that hold for a signed-in member, at a brand or at the group."""
    member = await members.signed_in(tx, member_id)
    return await settings.in_force(tx, group_id=member.group_id, brand_id=brand_id)


async def own_page(
    tx: Transaction, *, member_id: UUID, before: UUID | None, limit: int
) -> list[StudentVerification]:
    """The signed-in member's verifications, newest first."""
    member = await members.signed_in(tx, member_id)
    return await tx.all(
        page_of_member, member_id=member.id, before=before or LARGEST_ID, at_most=limit
    )


async def found_schools(tx: Transaction, *, member_id: UUID, text: str) -> list[School]:
    """Schools that a signed-in member looks for."""
    member = await members.signed_in(tx, member_id)
    return await schools.search(tx, group_id=member.group_id, text=text)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: StudentState | None = None,
    method: StudentMethod | None = None,
    node_id: UUID | None = None,
    before: UUID | None,
    limit: int,
) -> list[StudentVerification]:
    """The verifications that the actor may see, newest first."""
    return await tx.all(
        page_of_group,
        group_id=actor.group_id,
        granted_ids=actor.nodes_with(Permission.STUDENTS_READ),
        state=state,
        method=method,
        node_id=node_id,
        before=before or LARGEST_ID,
        at_most=limit,
    )


async def queue(
    tx: Transaction, actor: Actor, *, after: UUID | None, limit: int
) -> list[StudentVerification]:
    """Student cards that wait for the actor's decision, the longest waiting first."""
    return await tx.all(
        review_queue,
        group_id=actor.group_id,
        granted_ids=actor.nodes_with(Permission.STUDENTS_REVIEW),
        after=after or SMALLEST_ID,
        at_most=limit,
    )


async def seen_by(
    tx: Transaction, actor: Actor, *, verification_id: UUID
) -> StudentVerification | None:
    """A verification if it exists and the actor may see it."""
    found = await tx.one(verifications.by_id, ids=[verification_id])
    if found is None or found.group_id != actor.group_id:
        return None
    node = await organisation.node(tx, found.node_id)
    return found if actor.may(Permission.STUDENTS_READ, node) else None


async def dashboard(tx: Transaction, actor: Actor, *, node_id: UUID, now: datetime) -> Dashboard:
    """Numbers of a group, or of those who went by a brand's own settings (STU-4).

    Members are the whole group's: people with a card in their hands. Raises `NodeNotFound`,
    `Forbidden`.
    """
    node = await organisation.node(tx, node_id)
    actor.require(Permission.STUDENTS_READ, node)
    if node.kind is NodeKind.STORE:
        raise BadInput("Students are counted of a group or a brand.")
    zone = ZoneInfo(node.time_zone)
    today = local_day(now, zone)
    yesterday = today - timedelta(days=1)
    of_node = {
        "group_id": node.group_id,
        "node_id": None if node.kind is NodeKind.GROUP else node.id,
    }
    on_that_day = of_node | {
        "from_moment": start_of_day(yesterday, zone),
        "to_moment": start_of_day(today, zone),
    }
    in_all = await tx.one(count_members, group_id=node.group_id) or 0
    with_card = await tx.one(count_valid_with_card, **of_node, now=now) or 0
    return Dashboard(
        valid_students=await tx.one(count_valid, **of_node, now=now) or 0,
        members=in_all,
        share_bp=(2 * with_card * BASIS_POINTS + in_all) // (2 * in_all) if in_all else 0,
        day=yesterday,
        new_students=await tx.one(count_new, **on_that_day) or 0,
        expired_students=await tx.one(count_expired, **on_that_day) or 0,
    )
