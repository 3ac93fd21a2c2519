"""More points in a day than is believable (PTS-7): cases, what they block, who hears of them."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.crypto import masked_name
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
from app.core.errors import DomainError
from app.core.ids import LARGEST_ID
from app.core.points_expiry import local_day, start_of_day
from app.core.texts import checked_text
from app.models.behaviour import PointsCase
from app.models.cards import Card, Scheme
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind
from app.models.members import Member
from app.models.staff import Permission
from app.services import audit, jobs, members, organisation, schemes
from app.services.actors import Actor
from app.services.points.expiring import zone_of

MOVEMENTS_AT_ONCE = 100
MOVEMENTS_PAGES_MAX = 50
"""Pages of a card's movements read to add up its day: far more than a day of anybody has."""
REPORT_DAYS_MAX = 31
"""Days that a report goes back where none could be sent."""
REPORT_ROWS_MAX = 200
REASON_CHARS_MAX = 200
REPORT = "points.report_abnormal"
MAIL_JOB = "points.mail"
MAIL_TEXT = """\
会员卡方案「{scheme}」{days} 以下会员卡当日获得的积分超过了设定值，请核查。
姓名和卡号已隐去一部分；请在后台处理。

On {days}, these cards of the scheme "{scheme}" earned more points in a day than the limit.
Names and card numbers are masked; please look into them in the back office.

{listed}
"""
TAKES_BACK = (PostingKind.EARN_REVERSAL, PostingKind.ROLL_BACK)

_is_open = col(PointsCase.cleared_at).is_(None)
# Those of records that were merged into the member's too.
open_case = statement(
    select(PointsCase.id)
    .where(
        col(PointsCase.member_id).in_(members.own_records),
        col(PointsCase.scheme_id) == bindparam("scheme_id"),
        _is_open,
    )
    .limit(1),
    into=UUID,
)
abnormal_members = statement(
    select(func.coalesce(Member.merged_into_id, Member.id).label("id"))
    .join(PointsCase, col(PointsCase.member_id) == col(Member.id))
    .where(
        or_(any_of(col(Member.id), "member_ids"), any_of(col(Member.merged_into_id), "member_ids")),
        _is_open,
    )
    .distinct(),
    into=UUID,
)


class Movement(NamedTuple):
    """Points that came or went on a card."""

    id: UUID
    posting_id: UUID
    kind: PostingKind
    reverses_id: UUID | None
    amount: int
    recorded_at: datetime


_newest_movements = (
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        Entry.id,
        Entry.posting_id,
        Posting.kind,
        Posting.reverses_id,
        Entry.amount,
        Posting.recorded_at,
    )
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .join(Account, col(Account.id) == col(Entry.account_id))
    .where(
        col(Entry.card_id) == bindparam("card_id"),
        col(Account.kind) == AccountKind.POINTS,
        col(Entry.id) < bindparam("before"),
    )
    .order_by(col(Entry.id).desc())
    .limit(MOVEMENTS_AT_ONCE)
)
newest_movements = statement(_newest_movements, into=Movement)
# A case that staff cleared stays cleared: they have looked at that day.
mark = upsert(
    lambda insert: (
        marked := insert(PointsCase).values(every_column(PointsCase))
    ).on_conflict_do_update(
        index_elements=["card_id", "business_date"],
        set_={"points": marked.excluded.points},
        where=_is_open,
    )
)
case_by_id = statement(
    select(PointsCase).where(col(PointsCase.id) == bindparam("case_id")), into=PointsCase
)
clear_case = statement(
    update(PointsCase)
    .where(col(PointsCase.id) == bindparam("case_id"), _is_open)
    .values(
        cleared_at=bindparam("new_cleared_at"),
        cleared_by_id=bindparam("new_cleared_by_id"),
        clearing_reason=bindparam("new_reason"),
    )
)
_newest_cases = (
    select(PointsCase)
    .where(
        col(PointsCase.scheme_id) == bindparam("scheme_id"),
        col(PointsCase.id) < bindparam("before"),
    )
    .order_by(col(PointsCase.id).desc())
    .limit(bindparam("limit"))
)
PAGES = {
    None: statement(_newest_cases, into=PointsCase),
    True: statement(_newest_cases.where(_is_open), into=PointsCase),
    False: statement(_newest_cases.where(col(PointsCase.cleared_at).is_not(None)), into=PointsCase),
}


class Reported(NamedTuple):
    """A line of the report: nothing in it tells who it is to those who do not know already."""

    business_date: date
    points: int
    threshold: int
    card_number: str
    member_name: str | None


cases_between = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        PointsCase.business_date,
        PointsCase.points,
        PointsCase.threshold,
        col(Card.number).label("card_number"),
        col(Member.name).label("member_name"),
    )
    .join(Card, col(Card.id) == col(PointsCase.card_id))
    .join(Member, col(Member.id) == col(PointsCase.member_id))
    .where(
        col(PointsCase.scheme_id) == bindparam("scheme_id"),
        col(PointsCase.business_date) >= bindparam("from_date"),
        col(PointsCase.business_date) < bindparam("to_date"),
    )
    .order_by(col(PointsCase.business_date), col(PointsCase.points).desc(), col(PointsCase.id))
    .limit(REPORT_ROWS_MAX + 1),
    into=Reported,
)
new_case = light(PointsCase)


class PointsBlocked(DomainError):
    """The card's points cannot be spent while a case of its member is open (PTS-7)."""

    def __init__(self) -> None:
        super().__init__("Points on this card cannot be used for now. Please ask a store.")


class PointsCaseNotFound(DomainError):
    """No such case, or one of a scheme the actor has nothing to do with."""

    def __init__(self) -> None:
        super().__init__("There is no such case.")


class PointsCaseCleared(DomainError):
    """Somebody cleared the case before."""

    def __init__(self, cleared_at: datetime) -> None:
        self.cleared_at = cleared_at
        super().__init__("This case was cleared already.")


async def may_earn(tx: Transaction, *, card: Card, scheme: Scheme) -> bool:
    """Whether nothing blocks that the card earns points (PTS-7). Most schemes ask nobody."""
    return not (scheme.abnormal_blocks_earning and await _has_open_case(tx, card))


async def require_may_spend(tx: Transaction, *, scheme: Scheme, card: Card) -> None:
    """Raise `PointsBlocked` while an open case keeps the card from spending points (PTS-7)."""
    if scheme.abnormal_blocks_spending and await _has_open_case(tx, card):
        raise PointsBlocked


async def watch(tx: Transaction, *, card: Card, scheme: Scheme, now: datetime) -> None:
    """Mark the member where the card earned more than is believable today, what was taken back
    left out (PTS-7). The card is locked, and has just earned.
    """
    if scheme.abnormal_above is None:
        return
    zone = await zone_of(tx, scheme)
    today = local_day(now, zone)
    earned = await _earned_since(tx, card, start_of_day(today, zone))
    if earned <= scheme.abnormal_above:
        return
    case = new_case(
        group_id=card.group_id,
        scheme_id=scheme.id,
        member_id=card.member_id,
        card_id=card.id,
        business_date=today,
        points=earned,
        threshold=scheme.abnormal_above,
        marked_at=now,
    )
    await tx.changed(mark, **values_of(case))


async def abnormal(tx: Transaction, member_ids: list[UUID]) -> set[UUID]:
    """Which of these members have an open case."""
    return set(await tx.all(abnormal_members, member_ids=member_ids))


async def cases(
    tx: Transaction,
    actor: Actor,
    *,
    scheme_id: UUID,
    is_open: bool | None,
    before: UUID | None,
    limit: int,
) -> list[PointsCase]:
    """The cases of a scheme, newest first. Raises `SchemeNotFound`."""
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    actor.require(Permission.POINTS_ROLL_BACK, await organisation.node(tx, scheme.perspective_id))
    return await tx.all(
        PAGES[is_open], scheme_id=scheme.id, before=before or LARGEST_ID, limit=limit
    )


async def clear(
    tx: Transaction, actor: Actor, *, case_id: UUID, reason: str, now: datetime
) -> PointsCase:
    """Staff take a mark away: what it blocked goes on (PTS-7).

    Raises `PointsCaseNotFound`, `PointsCaseCleared`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    case = await tx.one(case_by_id, case_id=case_id)
    if case is None or case.group_id != actor.group_id:
        raise PointsCaseNotFound
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=case.scheme_id)
    perspective = await organisation.node(tx, scheme.perspective_id)
    actor.require(Permission.POINTS_ROLL_BACK, perspective)
    cleared = {"new_cleared_at": now, "new_cleared_by_id": actor.id, "new_reason": reason}
    if not await tx.changed(clear_case, case_id=case.id, **cleared):
        case = await tx.one(case_by_id, case_id=case_id)
        assert case is not None and case.cleared_at is not None  # noqa: PT018
        raise PointsCaseCleared(case.cleared_at)
    await audit.record(
        tx, actor, "points_case.clear", object_kind="points_case", object_id=case.id,
        node_id=perspective.id, now=now, card=case.card_id, points=case.points, reason=reason,
    )  # fmt: skip
    return changed_copy(case, cleared_at=now, cleared_by_id=actor.id, clearing_reason=reason)


async def report(
    tx: Transaction,
    *,
    scheme_id: UUID,
    due_at: datetime,
    last_due_at: datetime | None,
    now: datetime,
) -> int:
    """Write down the mails with the cases of the day before, or of the days since the last report,
    one for each configured address, once (PTS-7); how many.
    """
    found = await schemes.by_ids(tx, [scheme_id])
    scheme = found[scheme_id]
    if not scheme.abnormal_mail_to:
        return 0
    zone = await zone_of(tx, scheme)
    to_date = local_day(due_at, zone)
    from_date = to_date - timedelta(days=1)
    if last_due_at is not None:
        earliest = to_date - timedelta(days=REPORT_DAYS_MAX)
        from_date = min(from_date, max(earliest, local_day(last_due_at, zone)))
    rows = await tx.all(cases_between, scheme_id=scheme_id, from_date=from_date, to_date=to_date)
    if not rows:
        return 0
    last_date = to_date - timedelta(days=1)
    subject, text = _mail(scheme, from_date, last_date, rows)
    for number, address in enumerate(scheme.abnormal_mail_to):
        await jobs.enqueue(
            tx,
            MAIL_JOB,
            {"to": address, "subject": subject, "text": text},
            unique_key=f"points_report:{scheme_id}:{to_date}:{number}",
            now=now,
        )
    return len(scheme.abnormal_mail_to)


def _mail(
    scheme: Scheme, from_date: date, to_date: date, rows: Collection[Reported]
) -> tuple[str, str]:
    days = f"{to_date}" if from_date == to_date else f"{from_date} – {to_date}"
    subject = f"积分异常 {days} · Abnormal points {days}"
    lines = [
        f"{row.business_date}  {_masked_number(row.card_number)}"
        f"  {masked_name(row.member_name) if row.member_name else '—'}"
        f"  {row.points} > {row.threshold}"
        for row in list(rows)[:REPORT_ROWS_MAX]
    ]
    if len(rows) > REPORT_ROWS_MAX:
        lines.append("…")
    listed = "\n".join(lines)
    return subject, MAIL_TEXT.format(scheme=scheme.name, days=days, listed=listed)


def _masked_number(number: str) -> str:
    return "*" * (len(number) - 4) + number[-4:]


async def _has_open_case(tx: Transaction, card: Card) -> bool:
    found = await tx.one(open_case, member_id=card.member_id, scheme_id=card.scheme_id)
    return found is not None


async def _earned_since(tx: Transaction, card: Card, since: datetime) -> int:
    """What the card earned since a moment, less what was taken back of just that."""
    earned: dict[UUID, int] = {}
    taken_back: list[Movement] = []
    before = LARGEST_ID
    for _ in range(MOVEMENTS_PAGES_MAX):
        page = await tx.all(newest_movements, card_id=card.id, before=before)
        for movement in page:
            if movement.recorded_at < since:
                continue
            if movement.kind is PostingKind.EARN:
                earned[movement.posting_id] = movement.amount
            elif movement.reverses_id is not None and movement.kind in TAKES_BACK:
                taken_back.append(movement)
        if len(page) < MOVEMENTS_AT_ONCE or page[-1].recorded_at < since:
            break
        before = page[-1].id
    return sum(earned.values()) + sum(
        each.amount for each in taken_back if each.reverses_id in earned
    )
