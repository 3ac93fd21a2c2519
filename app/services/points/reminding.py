"""Telling members 30, 15 and 3 days before points expire (PTS-5)."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, bindparam, cast
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, statement
from app.core.ids import SMALLEST_ID
from app.core.points_expiry import local_day, start_of_day
from app.models.behaviour import Notice
from app.models.cards import Card, CardStatus
from app.models.ledger import Account, AccountKind, Lot
from app.models.members import Member, MemberStatus
from app.services import cards, jobs, live, notices, schemes
from app.services.points.expiring import UNSPENT, zone_of

DAYS_BEFORE = (30, 15, 3)
AT_LOCAL_TIME = time(9)
REMIND = "points.remind"
"""The routine, and the job that goes on with the next batch."""
NOTICE_KIND = "POINTS_EXPIRING"
CARDS_AT_ONCE = 500
"""Cards of one job, which is one transaction."""
CATCHES_UP_DAYS_MAX = 30

anything_due = statement(
    select(Lot.id)
    .where(
        UNSPENT,
        col(Lot.expires_at) >= bindparam("from_moment"),
        col(Lot.expires_at) < bindparam("to_moment"),
    )
    .limit(1),
    into=UUID,
)


class Due(NamedTuple):
    """Points of one card that are cleared at one moment."""

    member_id: UUID
    group_id: UUID
    card_id: UUID
    expires_at: datetime
    points: int


def _due(of_cards: Any) -> Any:
    """Lots that are cleared between two moments, on these cards of people who can still be told."""
    return statement(
        select(  # type: ignore[call-overload]  # SQLModel types up to four columns
            Card.member_id,
            Card.group_id,
            col(Card.id).label("card_id"),
            Lot.expires_at,
            cast(func.sum(Lot.remaining), BigInteger).label("points"),
        )
        .join(Account, col(Account.id) == col(Lot.account_id))
        .join(Card, col(Card.id) == col(Account.card_id))
        .join(Member, col(Member.id) == col(Card.member_id))
        .where(
            of_cards,
            col(Card.status) != CardStatus.MERGED,
            col(Member.status) == MemberStatus.ACTIVE,
            col(Account.kind) == AccountKind.POINTS,
            UNSPENT,
            col(Lot.expires_at) >= bindparam("from_moment"),
            col(Lot.expires_at) < bindparam("to_moment"),
        )
        .group_by(col(Card.member_id), col(Card.group_id), col(Card.id), col(Lot.expires_at))
        .order_by(col(Card.id), col(Lot.expires_at)),
        into=Due,
    )


due_on_cards = _due(any_of(col(Card.id), "card_ids"))
due_of_members = _due(any_of(col(Card.member_id), "member_ids"))


class Window(NamedTuple):
    """What expires within it is so many days away."""

    days: int
    from_moment: datetime
    to_moment: datetime


def next_after(after: datetime, zone: ZoneInfo) -> datetime:
    """The next nine o'clock of a zone, in UTC."""
    day = local_day(after, zone)
    at = _nine(day, zone)
    return at if at > after else _nine(day + timedelta(days=1), zone)


async def remind(
    tx: Transaction,
    *,
    scheme_id: UUID,
    due_at: datetime,
    last_due_at: datetime | None,
    after_card_id: UUID | None = None,
    at_most: int = CARDS_AT_ONCE,
    now: datetime,
) -> int:
    """Write a notice to each member for whose points it is time, of a batch of the scheme's cards;
    then have the next batch done (PTS-5). How many were written.

    One for a member, day count and moment of expiry, with all of the member's cards in it, however
    often this runs. Where days were missed, they are caught up.
    """
    scheme = (await schemes.by_ids(tx, [scheme_id]))[scheme_id]
    windows = _windows(due_at, last_due_at, await zone_of(tx, scheme), now)
    windows = [
        each
        for each in windows
        if await tx.one(anything_due, from_moment=each.from_moment, to_moment=each.to_moment)
    ]
    if not windows:
        return 0
    card_ids = await cards.ids_of_scheme(
        tx, scheme_id=scheme_id, after=after_card_id or SMALLEST_ID, at_most=at_most
    )
    if len(card_ids) == at_most:
        await jobs.enqueue(
            tx,
            REMIND,
            {
                "subject_id": str(scheme_id),
                "due_at": due_at.isoformat(),
                "last_due_at": last_due_at.isoformat() if last_due_at else None,
                "after_card_id": str(card_ids[-1]),
            },
            unique_key=f"{REMIND}:{scheme_id}:{due_at:%Y%m%d%H}:{card_ids[-1].hex}",
            now=now,
        )
    written = 0
    told: set[tuple[UUID, datetime]] = set()
    for window in reversed(windows):  # the most urgent first: a missed one is not sent beside it
        written += await _write(tx, window, card_ids, told, now)
    return written


async def _write(
    tx: Transaction,
    window: Window,
    card_ids: list[UUID],
    told: set[tuple[UUID, datetime]],
    now: datetime,
) -> int:
    between = {"from_moment": window.from_moment, "to_moment": window.to_moment}
    on_cards = await tx.all(due_on_cards, card_ids=card_ids, **between)
    wanted = {(each.member_id, each.expires_at) for each in on_cards} - told
    told |= wanted
    if not wanted:
        return 0
    together: defaultdict[tuple[UUID, datetime], list[Due]] = defaultdict(list)
    member_ids = sorted({member_id for member_id, _ in wanted})
    for each in await tx.all(due_of_members, member_ids=member_ids, **between):
        if (each.member_id, each.expires_at) in wanted:
            together[each.member_id, each.expires_at].append(each)
    written = await notices.write(
        tx, [_notice(window.days, of_member, now) for of_member in together.values()]
    )
    for notice in written:
        live.tell(tx, notice.member_id, "NOTICE", object_id=notice.id, now=now)
    return len(written)


def _notice(days: int, due: list[Due], now: datetime) -> Notice:
    first = due[0]
    expires_at = first.expires_at.isoformat()
    return notices.new_notice(
        group_id=first.group_id,
        member_id=first.member_id,
        kind=NOTICE_KIND,
        unique_key=f"points_expiring:{days}:{expires_at}",
        details={
            "days": days,
            "points": sum(each.points for each in due),
            "expires_at": expires_at,
            "cards": [{"card_id": str(each.card_id), "points": each.points} for each in due],
        },
        created_at=now,
    )


def _windows(
    due_at: datetime, last_due_at: datetime | None, zone: ZoneInfo, now: datetime
) -> list[Window]:
    """What is 30, 15 and 3 days away on the day that is due, or was on days that were missed."""
    last = local_day(due_at, zone)
    first = last
    if last_due_at is not None:
        missed_from = local_day(last_due_at, zone) + timedelta(days=1)
        first = min(last, max(missed_from, last - timedelta(days=CATCHES_UP_DAYS_MAX)))
    windows = []
    for days in DAYS_BEFORE:
        from_moment = start_of_day(first + timedelta(days=days), zone)
        to_moment = start_of_day(last + timedelta(days=days + 1), zone)
        # What is over meanwhile is no news any more.
        windows.append(Window(days, max(from_moment, now), to_moment))
    return windows


def _nine(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, AT_LOCAL_TIME, tzinfo=zone).astimezone(UTC)
