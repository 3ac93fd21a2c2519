"""Changing many coupons of a template at once: who finds them, what becomes of them (CPN-5).

What was promised is only ever made better or said more clearly: a coupon's life is never cut, and
what it takes off stays. What was issued by mistake is withdrawn, by a change that says so and
nothing else. A job walks through the coupons in the order of their ids, a batch in a
transaction that also says how far it came; so an interrupted change goes on where it was, and each
coupon is changed once.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID, SMALLEST_ID, new_id
from app.core.points_expiry import local_day, start_of_day
from app.core.schedules import LAST_YEAR
from app.core.texts import checked_paragraphs, checked_text
from app.models.coupons import (
    ChangeState,
    Coupon,
    CouponChange,
    CouponChangeLine,
    CouponState,
    CouponTemplate,
    CouponTerms,
)
from app.models.members import Member, MemberTag
from app.models.staff import Permission
from app.services import audit, jobs, organisation, requests
from app.services.actors import Actor
from app.services.coupons import giving, validity
from app.services.coupons import terms as coupon_terms
from app.services.coupons.details import (
    INSTRUCTIONS_CHARS_MAX,
    SUBTITLE_CHARS_MAX,
    TITLE_CHARS_MAX,
)
from app.services.coupons.standing import UNSPENT, status_at
from app.services.coupons.validity import Span

JOB = "coupon_change.batch"
BATCH = 200
SAMPLE = 10
EXTEND_DAYS_MAX = 3_650
REASON_CHARS_MAX = 200
IN_HAND = (CouponState.VALID, CouponState.LOCKED, CouponState.HANDED_OVER)
CHANGEABLE = (*IN_HAND, CouponState.EXPIRED)
TABLE: Any = Coupon.__table__  # type: ignore[attr-defined]
_moment = TABLE.c.issued_at.type
_issued_from = bindparam("issued_from", type_=_moment)
_issued_to = bindparam("issued_to", type_=_moment)
_until_to = bindparam("valid_until_to", type_=_moment)
_tag_id = bindparam("tag_id", type_=MemberTag.__table__.c.tag_id.type)  # type: ignore[attr-defined]
_tagged = (
    select(MemberTag.id)
    .join(
        Member,
        # Tags are a living member's, coupons may be those of a record merged into it.
        func.coalesce(col(Member.merged_into_id), col(Member.id)) == col(MemberTag.member_id),
    )
    .where(col(Member.id) == col(Coupon.member_id), col(MemberTag.tag_id) == _tag_id)
    .exists()
)
_matching = (
    col(Coupon.template_id) == bindparam("template_id"),
    any_of(col(Coupon.state), "states"),
    or_(_issued_from.is_(None), col(Coupon.issued_at) >= _issued_from),
    col(Coupon.issued_at) < _issued_to,
    or_(_until_to.is_(None), col(Coupon.valid_until) < _until_to),
    or_(_tag_id.is_(None), _tagged),
)
number_matching = statement(select(func.count()).select_from(Coupon).where(*_matching), into=int)
_next = (
    select(Coupon)
    .where(*_matching, col(Coupon.id) > bindparam("after"))
    .order_by(col(Coupon.id))
    .limit(bindparam("at_most"))
)
matching = statement(_next, into=Coupon)
lock_matching = statement(_next.with_for_update(of=Coupon), into=Coupon)
change_coupon = statement(
    update(Coupon)
    .where(col(Coupon.id) == bindparam("coupon_id"))
    .values(
        **{
            name: bindparam(f"new_{name}", type_=TABLE.c[name].type)
            for name in ("terms_id", "state", "valid_until", "remind_at", "ended_at")
        }
    )
)
by_id = statement(
    select(CouponChange).where(col(CouponChange.id) == bindparam("change_id")), into=CouponChange
)
lock_change = statement(
    select(CouponChange).where(col(CouponChange.id) == bindparam("change_id")).with_for_update(),
    into=CouponChange,
)
note_progress = statement(
    update(CouponChange)
    .where(col(CouponChange.id) == bindparam("change_id"))
    .values(
        number_seen=col(CouponChange.number_seen) + bindparam("seen"),
        number_changed=col(CouponChange.number_changed) + bindparam("changed"),
        last_coupon_id=bindparam("new_last_id"),
        new_terms=bindparam("new_new_terms"),
    )
)
finish = statement(
    update(CouponChange)
    .where(
        col(CouponChange.id) == bindparam("change_id"),
        col(CouponChange.state) == ChangeState.RUNNING,
    )
    .values(state=ChangeState.DONE, finished_at=bindparam("new_finished_at"))
)
page_of_changes = statement(
    select(CouponChange)
    .where(
        col(CouponChange.group_id) == bindparam("group_id"),
        col(CouponChange.id) < bindparam("before"),
        organisation.lies_under(col(CouponChange.perspective_id)),
    )
    .order_by(col(CouponChange.id).desc())
    .limit(bindparam("at_most")),
    into=CouponChange,
)
page_of_lines = statement(
    select(CouponChangeLine)
    .where(
        col(CouponChangeLine.change_id) == bindparam("change_id"),
        col(CouponChangeLine.coupon_id) > bindparam("after"),
    )
    .order_by(col(CouponChangeLine.coupon_id))
    .limit(bindparam("at_most")),
    into=CouponChangeLine,
)
new_change = light(CouponChange)
new_line = light(CouponChangeLine)


class CouponChangeEmpty(DomainError):
    """No coupon is as the change asks for."""

    def __init__(self) -> None:
        super().__init__("No coupon is like that.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which coupons of a template; what is None lets all pass, each `from` is included."""

    states: tuple[CouponState, ...] = IN_HAND
    issued_from: datetime | None = None
    issued_to: datetime | None = None
    valid_until_to: datetime | None = None
    tag_id: UUID | None = None

    def __post_init__(self) -> None:
        if not self.states or not set(self.states) <= set(CHANGEABLE):
            raise BadInput("A coupon that was used or withdrawn stays as it is.")

    def document(self) -> dict[str, Any]:
        """For a JSON column."""
        return {name: _written(value) for name, value in asdict(self).items()}

    @classmethod
    def from_document(cls, written: dict[str, Any]) -> Self:
        """What `document` wrote."""

        def moment(name: str) -> datetime | None:
            return datetime.fromisoformat(written[name]) if written[name] else None

        return cls(
            states=tuple(CouponState(state) for state in written["states"]),
            issued_from=moment("issued_from"),
            issued_to=moment("issued_to"),
            valid_until_to=moment("valid_until_to"),
            tag_id=UUID(written["tag_id"]) if written["tag_id"] else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of coupons; None leaves a value as it is.

    `last_day` is the last on which one can be used, by the clock of the template;
    `extend_days` moves each coupon's own last day. `withdraw` takes coupons from whoever has them,
    and goes with nothing else.
    """

    last_day: date | None = None
    extend_days: int | None = None
    title: str | None = None
    subtitle: str | None = None
    instructions: str | None = None
    withdraw: bool = False

    def __post_init__(self) -> None:
        number = sum(value is not None and value is not False for value in asdict(self).values())
        if not number:
            raise BadInput("A change must change something.")
        if self.withdraw and number > 1:
            raise BadInput("Coupons are withdrawn, or else changed.")
        if self.last_day is not None and self.extend_days is not None:
            raise BadInput("Give lastDay or extendDays, not both.")
        if self.last_day is not None and self.last_day.year > LAST_YEAR:
            raise BadInput(f"lastDay must not lie after {LAST_YEAR}.")
        if self.extend_days is not None and not 1 <= self.extend_days <= EXTEND_DAYS_MAX:
            raise BadInput(f"extendDays must be between 1 and {EXTEND_DAYS_MAX}.")

    def checked(self) -> "Change":
        """With its texts as they are kept; raises `BadInput`."""
        title, subtitle, instructions = self.title, self.subtitle, self.instructions
        return Change(
            last_day=self.last_day,
            extend_days=self.extend_days,
            title=None if title is None else checked_text("title", title, at_most=TITLE_CHARS_MAX),
            subtitle=None
            if subtitle is None
            else checked_text("subtitle", subtitle, at_most=SUBTITLE_CHARS_MAX),
            instructions=None
            if instructions is None
            else checked_paragraphs("instructions", instructions, at_most=INSTRUCTIONS_CHARS_MAX),
            withdraw=self.withdraw,
        )

    @property
    def texts(self) -> dict[str, str]:
        """The texts that are given, by their column."""
        given = {
            "title": self.title,
            "subtitle": self.subtitle,
            "instructions": self.instructions,
        }
        return {name: text for name, text in given.items() if text is not None}

    def document(self) -> dict[str, Any]:
        """For a JSON column."""
        return {name: _written(value) for name, value in asdict(self).items()}

    @classmethod
    def from_document(cls, written: dict[str, Any]) -> Self:
        """What `document` wrote."""
        day = written["last_day"]
        return cls(**{**written, "last_day": date.fromisoformat(day) if day else None})


class Effect(NamedTuple):
    """What a change makes of one coupon; `before` and `after` hold what differs, and are empty
    where nothing does."""

    coupon: Coupon
    before: dict[str, Any]
    after: dict[str, Any]
    valid_until: datetime
    revives: bool

    @property
    def withdraws(self) -> bool:
        return withdraws(self.after)


class Preview(NamedTuple):
    """How many coupons a change would see, and what it would make of the first of them."""

    number: int
    sample: list[Effect]


class Started(NamedTuple):
    change: CouponChange
    is_replay: bool


async def preview(
    tx: Transaction,
    actor: Actor,
    *,
    template_id: UUID,
    wanted: Wanted,
    change: Change,
    now: datetime,
) -> Preview | None:
    """Look before leaping: nothing is written. None if there is no such template."""
    try:
        template = await _require_template(tx, actor, template_id)
    except giving.CouponTemplateNotFound:
        return None
    values = _values(template_id, wanted, now)
    found = await tx.all(matching, after=SMALLEST_ID, at_most=SAMPLE, **values)
    number = await tx.one(number_matching, **values) or 0
    promised = await coupon_terms.by_ids(tx, {each.terms_id for each in found})
    checked = change.checked()
    sample = [effect_on(each, promised[each.terms_id], template, checked, now) for each in found]
    return Preview(number, sample)


async def start(
    tx: Transaction,
    actor: Actor,
    *,
    template_id: UUID,
    wanted: Wanted,
    change: Change,
    reason: str,
    request_key: str,
    now: datetime,
) -> Started:
    """Begin a change of the coupons that are out now; jobs do it, a batch at a time (CPN-5).

    Raises `CouponTemplateNotFound`, `CouponChangeEmpty`, `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    change = change.checked()
    template = await _require_template(tx, actor, template_id)
    request = requests.Request(
        principal_id=actor.id,
        operation="couponChangeStart",
        key=request_key,
        input={
            "template": template_id,
            "wanted": wanted.document(),
            "change": change.document(),
            "reason": reason,
        },
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Started(await existing(tx, claim.answer_id), is_replay=True)
    number = await tx.one(number_matching, **_values(template_id, wanted, now)) or 0
    if not number:
        raise CouponChangeEmpty
    row = new_change(
        id=claim.answer_id,
        group_id=template.group_id,
        perspective_id=template.perspective_id,
        template_id=template.id,
        wanted=wanted.document(),
        change=change.document(),
        reason=reason,
        number_of_coupons=number,
        new_terms={},
        operator_id=actor.id,
        created_at=now,
    )
    await tx.insert(row)
    await jobs.enqueue(tx, JOB, {"change_id": row.id}, now=now)
    await audit.record(
        tx, actor, "coupons.withdraw" if change.withdraw else "coupons.change",
        object_kind="coupon_change", object_id=row.id, node_id=template.perspective_id, now=now,
        template=template.id, number=number, reason=reason,
    )  # fmt: skip
    return Started(row, is_replay=False)


async def work_on(tx: Transaction, *, change_id: UUID, now: datetime) -> None:
    """Change the next batch, and have the one after it done; for the job of `JOB`."""
    row = await tx.one(lock_change, change_id=change_id)
    assert row is not None
    wanted, change = Wanted.from_document(row.wanted), Change.from_document(row.change)
    (template,) = (await giving.templates_by_ids(tx, [row.template_id])).values()
    found = await tx.all(
        lock_matching,
        after=row.last_coupon_id or SMALLEST_ID,
        at_most=BATCH,
        **_values(row.template_id, wanted, row.created_at),
    )
    if not found:
        await tx.changed(finish, change_id=row.id, new_finished_at=now)
        return
    promised = await coupon_terms.by_ids(tx, {each.terms_id for each in found})
    effects = [effect_on(each, promised[each.terms_id], template, change, now) for each in found]
    effects = [each for each in effects if each.after]
    new_terms = await _reworded(tx, row, [promised[e.coupon.terms_id] for e in effects], change)
    if change.withdraw:
        await giving.withdraw(tx, [each.coupon.id for each in effects], now=now)
    else:
        for each in effects:
            await _apply(tx, each, template, new_terms, now)
    await tx.insert(
        *(
            new_line(
                change_id=row.id, coupon_id=each.coupon.id, before=each.before, after=each.after
            )
            for each in effects
        )
    )
    await tx.changed(
        note_progress,
        change_id=row.id,
        seen=len(found),
        changed=len(effects),
        new_last_id=found[-1].id,
        new_new_terms=new_terms,
    )
    await jobs.enqueue(tx, JOB, {"change_id": row.id}, now=now)


def effect_on(
    coupon: Coupon, terms: CouponTerms, template: CouponTemplate, change: Change, now: datetime
) -> Effect:
    """What a change makes of one coupon. A life is never cut, what stays over is left alone, and
    so is what a bill holds when it would be withdrawn."""
    if change.withdraw:
        return _withdrawal(coupon, now)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    until = max(coupon.valid_until, _extended(coupon, template, change))
    is_expired = coupon.state is CouponState.EXPIRED
    if is_expired and until <= now:
        until = coupon.valid_until
    revives = is_expired and until > coupon.valid_until
    if until != coupon.valid_until:
        before["valid_until"], after["valid_until"] = _written(coupon.valid_until), _written(until)
    if revives:
        before["state"], after["state"] = coupon.state, CouponState.VALID
    for name, text in change.texts.items():
        if getattr(terms, name) != text:
            before[name], after[name] = getattr(terms, name), text
    return Effect(coupon, before, after, until, revives)


def _withdrawal(coupon: Coupon, now: datetime) -> Effect:
    if status_at(coupon, now) not in UNSPENT:
        return Effect(coupon, {}, {}, coupon.valid_until, revives=False)
    before, after = {"state": coupon.state}, {"state": CouponState.WITHDRAWN}
    return Effect(coupon, before, after, coupon.valid_until, revives=False)


def withdraws(after: dict[str, Any]) -> bool:
    """Whether what a line says of a coupon is that it was withdrawn."""
    return after.get("state") == CouponState.WITHDRAWN


async def seen_by(tx: Transaction, actor: Actor, *, change_id: UUID) -> CouponChange | None:
    """A change, if the actor may read it."""
    row = await tx.one(by_id, change_id=change_id)
    if row is None or row.group_id != actor.group_id:
        return None
    perspective = await organisation.node(tx, row.perspective_id)
    return row if actor.may(Permission.COUPONS_READ, perspective) else None


async def page(
    tx: Transaction, actor: Actor, *, before: UUID | None, limit: int
) -> list[CouponChange]:
    """The changes of coupons below where the actor may read them, newest first."""
    return await tx.all(
        page_of_changes,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.COUPONS_READ),
        before=before or LARGEST_ID,
        at_most=limit,
    )


async def lines(
    tx: Transaction, *, change_id: UUID, after: UUID | None, limit: int
) -> list[CouponChangeLine]:
    """What a change did, coupon by coupon in the order of their ids."""
    return await tx.all(
        page_of_lines, change_id=change_id, after=after or SMALLEST_ID, at_most=limit
    )


async def existing(tx: Transaction, change_id: UUID) -> CouponChange:
    """A change by the id that something of ours keeps of it."""
    row = await tx.one(by_id, change_id=change_id)
    assert row is not None
    return row


async def _require_template(tx: Transaction, actor: Actor, template_id: UUID) -> CouponTemplate:
    """The template, if the actor may change its coupons; raises `CouponTemplateNotFound`."""
    template = (await giving.templates_by_ids(tx, [template_id])).get(template_id)
    if template is None or template.group_id != actor.group_id:
        raise giving.CouponTemplateNotFound
    actor.require(Permission.COUPONS_WRITE, await organisation.node(tx, template.perspective_id))
    return template


def _values(template_id: UUID, wanted: Wanted, begun_at: datetime) -> dict[str, Any]:
    """For the statements that find coupons: those issued before the change began."""
    issued_to = begun_at if wanted.issued_to is None else min(begun_at, wanted.issued_to)
    return {
        "template_id": template_id,
        "states": list(wanted.states),
        "issued_from": wanted.issued_from,
        "issued_to": issued_to,
        "valid_until_to": wanted.valid_until_to,
        "tag_id": wanted.tag_id,
    }


def _extended(coupon: Coupon, template: CouponTemplate, change: Change) -> datetime:
    """The first instant at which the coupon would be over."""
    zone = ZoneInfo(validity.from_json(template.validity).time_zone)
    if change.last_day is not None:
        return start_of_day(change.last_day + timedelta(days=1), zone)
    if change.extend_days is not None:
        last = local_day(coupon.valid_until, zone) + timedelta(days=change.extend_days)
        return start_of_day(last, zone) if last.year <= LAST_YEAR else coupon.valid_until
    return coupon.valid_until


async def _reworded(
    tx: Transaction, row: CouponChange, of: list[CouponTerms], change: Change
) -> dict[str, str]:
    """Terms with the new words for each of these, written once in the whole change."""
    known = dict(row.new_terms)
    if not change.texts:
        return known
    for terms in of:
        if str(terms.id) in known:
            continue
        reworded = changed_copy(terms, id=new_id(), **change.texts)
        await tx.insert(reworded)
        known[str(terms.id)] = str(reworded.id)
    return known


async def _apply(
    tx: Transaction,
    effect: Effect,
    template: CouponTemplate,
    new_terms: dict[str, str],
    now: datetime,
) -> None:
    coupon, until = effect.coupon, effect.valid_until
    remind_at = coupon.remind_at
    if until != coupon.valid_until:
        time_zone = validity.from_json(template.validity).time_zone
        remind_at = validity.remind_at(
            Span(coupon.valid_from, until), time_zone=time_zone, received_at=now
        )
    rewords = effect.after.keys() & {"title", "subtitle", "instructions"}
    changed = await tx.changed(
        change_coupon,
        coupon_id=coupon.id,
        new_terms_id=UUID(new_terms[str(coupon.terms_id)]) if rewords else coupon.terms_id,
        new_state=CouponState.VALID if effect.revives else coupon.state,
        new_valid_until=until,
        new_remind_at=remind_at,
        new_ended_at=None if effect.revives else coupon.ended_at,
    )
    assert changed == 1, "a coupon moved under its lock"


def _written(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    return str(value) if isinstance(value, UUID) else value
