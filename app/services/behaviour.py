"""What members do besides buying, and what it earns on their cards (PTS-2, TIR-7).

An event is told once: its source repeats its own id. It earns on every card whose scheme has a rule
for it, up to the rule's caps; what it earned, or why not, is kept with it, so that the same event
again gets the same answer. Caps hold because one member's events come one after the other, under
the member's lock.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select

from app.core.db import (
    Transaction,
    any_of,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.errors import BadInput
from app.core.points_expiry import local_day, next_month
from app.core.texts import checked_text
from app.models.behaviour import BehaviourRule, EarningOutcome, EventEarning, MemberEvent
from app.models.cards import Card, CardStatus, Scheme
from app.models.members import Member, MemberStatus
from app.models.organisation import Node, NodeKind
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import audit, cards, ledger, members, organisation, points, schemes, tiers
from app.services.actors import Actor
from app.services.members import Bearer, ProfileChange

CHECK_IN = "check_in"
PROFILE_COMPLETE = "profile_complete"
PROFILE_FIELDS = ("name", "gender", "birthday", "region")
EVENT_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
EXTERNAL_ID_CHARS_MAX = 64
NAME_CHARS_MAX = 64
AMOUNT_MAX = 1_000_000
"""Points, or growth, of one event."""
TIMES_MAX = 1_000_000
STREAK_STEPS_MAX = 10
STREAK_DAYS_MAX = 366
RULES_MAX = 100
"""Of one scheme, so that all can be shown at once."""
REPORTED_LATE_MAX = timedelta(days=31)
CLOCK_AHEAD_MAX = timedelta(minutes=5)
COUNTS = (EarningOutcome.EARNED, EarningOutcome.POINTS_BLOCKED)
"""Outcomes that caps count."""

put_rule = upsert(
    lambda insert: (
        (put := insert(BehaviourRule).values(every_column(BehaviourRule)))
        .on_conflict_do_update(
            index_elements=["scheme_id", "event_key"],
            set_={
                name: put.excluded[name]
                for name in every_column(BehaviourRule)
                if name not in {"id", "scheme_id", "event_key"}
            },
        )
        .returning(*BehaviourRule.__table__.columns)  # type: ignore[attr-defined]
    ),
    into=BehaviourRule,
)
rules_of_scheme = statement(
    select(BehaviourRule)
    .where(col(BehaviourRule.scheme_id) == bindparam("scheme_id"))
    .order_by(col(BehaviourRule.event_key))
    .limit(RULES_MAX),
    into=BehaviourRule,
)
active_rules = statement(
    select(BehaviourRule).where(
        any_of(col(BehaviourRule.scheme_id), "scheme_ids"),
        col(BehaviourRule.event_key) == bindparam("event_key"),
        col(BehaviourRule.is_active),
    ),
    into=BehaviourRule,
)
# Of records that were merged into the member's too.
_of_member = col(MemberEvent.member_id).in_(members.own_records)
same_event = statement(
    select(MemberEvent)
    .where(
        _of_member,
        col(MemberEvent.event_key) == bindparam("event_key"),
        col(MemberEvent.source) == bindparam("source"),
        col(MemberEvent.external_id) == bindparam("external_id"),
    )
    .order_by(col(MemberEvent.id))
    .limit(1),
    into=MemberEvent,
)


class DayOfStreak(NamedTuple):
    """A day with such an event, and how many there were in a row up to it."""

    business_date: date
    streak_days: int


last_days = statement(
    select(col(MemberEvent.business_date), func.max(MemberEvent.streak_days).label("streak_days"))
    .where(
        _of_member,
        col(MemberEvent.event_key) == bindparam("event_key"),
        col(MemberEvent.business_date) >= bindparam("from_date"),
        col(MemberEvent.business_date) <= bindparam("to_date"),
    )
    .group_by(col(MemberEvent.business_date)),
    into=DayOfStreak,
)
earnings_of_event = statement(
    select(EventEarning)
    .where(col(EventEarning.event_id) == bindparam("event_id"))
    .order_by(col(EventEarning.card_id)),
    into=EventEarning,
)


class Counted(NamedTuple):
    """How often something counted on a card: ever, in a month, on a day."""

    ever: int
    in_month: int
    on_day: int


_day = col(EventEarning.business_date)
counted = statement(
    select(
        func.count().label("ever"),
        func.count()
        .filter(_day >= bindparam("month_start"), _day < bindparam("month_end"))
        .label("in_month"),
        func.count().filter(_day == bindparam("day")).label("on_day"),
    ).where(
        col(EventEarning.card_id).in_(ledger.own_and_absorbed),
        col(EventEarning.event_key) == bindparam("event_key"),
        _day >= bindparam("from_date"),
        or_(*(col(EventEarning.outcome) == outcome for outcome in COUNTS)),
    ),
    into=Counted,
)
new_rule = light(BehaviourRule)
new_event = light(MemberEvent)
new_earning = light(EventEarning)


@dataclass(frozen=True, slots=True)
class StreakStep:
    """Extra points on the day that is so many in a row."""

    days: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one kind of event earns on a scheme's cards, and how often; None is without a cap."""

    event_key: str
    name: str
    points: int = 0
    growth: int = 0
    times_per_day: int | None = None
    times_per_month: int | None = None
    times_ever: int | None = None
    streak: Sequence[StreakStep] = ()
    is_active: bool = True

    def require_sound(self) -> None:
        """Raise `BadInput` for what no rule can be."""
        require_key(self.event_key)
        if not (0 <= self.points <= AMOUNT_MAX and 0 <= self.growth <= AMOUNT_MAX):
            raise BadInput(f"points and growth must be between 0 and {AMOUNT_MAX}.")
        for times in (self.times_per_day, self.times_per_month, self.times_ever):
            if times is not None and not 1 <= times <= TIMES_MAX:
                raise BadInput(f"A cap must be between 1 and {TIMES_MAX}.")
        days = [step.days for step in self.streak]
        if len(days) > STREAK_STEPS_MAX or days != sorted(set(days)):
            raise BadInput(f"streak can have {STREAK_STEPS_MAX} steps, by growing days.")
        if not all(2 <= each <= STREAK_DAYS_MAX for each in days):
            raise BadInput(f"A streak lasts 2 to {STREAK_DAYS_MAX} days.")
        if not all(1 <= step.points <= AMOUNT_MAX for step in self.streak):
            raise BadInput(f"A streak's points must be between 1 and {AMOUNT_MAX}.")


@dataclass(frozen=True, slots=True)
class Doer:
    """Whom the postings name."""

    kind: PrincipalKind
    id: UUID


@dataclass(frozen=True, slots=True)
class Happened:
    """An event and what it earned on each card that has a rule for it."""

    event: MemberEvent
    earnings: list[EventEarning]
    is_replay: bool


def require_key(event_key: str) -> None:
    """Raise `BadInput` for what is no event's key."""
    if not EVENT_KEY.fullmatch(event_key):
        raise BadInput("eventKey must be a–z, 0–9 and _, at most 48, beginning with a letter.")


async def set_rule(
    tx: Transaction, actor: Actor, *, scheme_id: UUID, rule: Rule, now: datetime
) -> BehaviourRule:
    """Say what one kind of event earns on a scheme's cards from now on; raises `SchemeNotFound`."""
    scheme = await _writable_scheme(tx, actor, scheme_id)
    rule.require_sound()
    existing = {each.event_key for each in await tx.all(rules_of_scheme, scheme_id=scheme.id)}
    if rule.event_key not in existing and len(existing) >= RULES_MAX:
        raise BadInput(f"A scheme can have at most {RULES_MAX} rules.")
    given = new_rule(
        scheme_id=scheme.id,
        event_key=rule.event_key,
        name=checked_text("name", rule.name, at_most=NAME_CHARS_MAX),
        points=rule.points,
        growth=rule.growth,
        times_per_day=rule.times_per_day,
        times_per_month=rule.times_per_month,
        times_ever=rule.times_ever,
        streak=[asdict(step) for step in rule.streak],
        is_active=rule.is_active,
    )
    saved = await tx.one(put_rule, **values_of(given))
    assert saved is not None
    await audit.record(
        tx, actor, "behaviour_rule.set", object_kind="scheme", object_id=scheme.id,
        node_id=scheme.perspective_id, now=now, event_key=rule.event_key, points=rule.points,
        growth=rule.growth, is_active=rule.is_active,
    )  # fmt: skip
    return saved


async def rules(tx: Transaction, actor: Actor, *, scheme_id: UUID) -> list[BehaviourRule] | None:
    """The rules of a scheme, those that are off too; None where the actor may not see it."""
    scheme = await schemes.seen_by(tx, actor, scheme_id=scheme_id)
    return None if scheme is None else await tx.all(rules_of_scheme, scheme_id=scheme.id)


async def rules_in_force(
    tx: Transaction, *, group_id: UUID, scheme_id: UUID
) -> list[BehaviourRule] | None:
    """What members can do for points and growth; None for no such scheme."""
    scheme = (await schemes.by_ids(tx, [scheme_id])).get(scheme_id)
    if scheme is None or scheme.group_id != group_id:
        return None
    return [each for each in await tx.all(rules_of_scheme, scheme_id=scheme.id) if each.is_active]


async def check_in(tx: Transaction, *, bearer: Bearer, now: datetime) -> Happened:
    """A member checks in: once a day of the group's time zone, on all cards (PTS-2)."""
    member = await members.acting(tx, bearer, now=now)
    today = await _business_date(tx, member.group_id, now)
    return await _happen(
        tx, member, Doer(PrincipalKind.MEMBER, member.id), event_key=CHECK_IN, source="member",
        external_id=today.isoformat(), day=today, store=None, occurred_at=now, now=now,
    )  # fmt: skip


async def change_profile(
    tx: Transaction, *, bearer: Bearer, change: ProfileChange, now: datetime
) -> Member:
    """The member edits their own profile; the first time that it is complete is an event (PTS-2).

    Raises `BirthdayFixed`, `UnknownAttribute`.
    """
    member = await members.change_profile(tx, bearer=bearer, change=change, now=now)
    if all(getattr(member, name) for name in PROFILE_FIELDS):
        await _happen(
            tx, member, Doer(PrincipalKind.MEMBER, member.id), event_key=PROFILE_COMPLETE,
            source="profile", external_id="once", store=None, occurred_at=now, now=now,
            day=await _business_date(tx, member.group_id, now),
        )  # fmt: skip
    return member


async def record(
    tx: Transaction,
    actor: Actor,
    *,
    member_id: UUID,
    event_key: str,
    external_id: str,
    occurred_at: datetime,
    store_id: UUID | None,
    now: datetime,
) -> Happened:
    """Staff or a partner tell what a member did, each with ids of their own, once each (PTS-2).

    It takes the permission at the store, or for the whole group where there is none. Raises
    `MemberNotFound`, `NodeNotFound`, `BalanceTooLarge`.
    """
    store = await _store(tx, store_id) if store_id else None
    actor.require(Permission.EVENTS_WRITE, store or await organisation.node(tx, actor.group_id))
    require_key(event_key)
    if event_key in {CHECK_IN, PROFILE_COMPLETE}:
        raise BadInput(f"{event_key} is for the member alone to do.")
    external_id = checked_text("externalId", external_id, at_most=EXTERNAL_ID_CHARS_MAX)
    if not now - REPORTED_LATE_MAX <= occurred_at <= now + CLOCK_AHEAD_MAX:
        raise BadInput("occurredAt must lie within the last 31 days.")
    member = await members.locked(tx, member_id)
    if member.group_id != actor.group_id or member.status is not MemberStatus.ACTIVE:
        raise members.MemberNotFound
    happened = await _happen(
        tx, member, Doer(actor.kind, actor.id), event_key=event_key,
        source=f"{actor.kind.lower()}:{actor.id}", external_id=external_id, store=store,
        day=await _business_date(tx, member.group_id, occurred_at), occurred_at=occurred_at,
        now=now,
    )  # fmt: skip
    if not happened.is_replay:
        await audit.record(
            tx, actor, "member_event.record", object_kind="member", object_id=member.id,
            node_id=store_id, now=now, event_key=event_key, event=happened.event.id,
        )  # fmt: skip
    return happened


async def _happen(
    tx: Transaction,
    member: Member,
    doer: Doer,
    *,
    event_key: str,
    source: str,
    external_id: str,
    day: date,
    store: Node | None,
    occurred_at: datetime,
    now: datetime,
) -> Happened:
    """Write an event of a locked member down and let it earn, unless it happened before."""
    key = {"member_id": member.id, "event_key": event_key}
    earlier = await tx.one(same_event, **key, source=source, external_id=external_id)
    if earlier is not None:
        earnings = await tx.all(earnings_of_event, event_id=earlier.id)
        return Happened(earlier, earnings, is_replay=True)
    yesterday = day - timedelta(days=1)
    days = dict(await tx.all(last_days, **key, from_date=yesterday, to_date=day))
    event = new_event(
        group_id=member.group_id,
        member_id=member.id,
        event_key=event_key,
        source=source,
        external_id=external_id,
        business_date=day,
        streak_days=days.get(day) or days.get(yesterday, 0) + 1,
        store_id=store.id if store else None,
        occurred_at=occurred_at,
    )
    await tx.insert(event)
    # All of them before anything else, in the order of their ids, as a merge locks them.
    held = [
        await cards.locked(tx, card)
        for card in (await cards.of_members(tx, [member.id]))[member.id]
    ]
    scheme_ids = [card.scheme_id for card in held]
    by_scheme = await schemes.by_ids(tx, scheme_ids)
    found = await tx.all(active_rules, scheme_ids=scheme_ids, event_key=event_key)
    rules_by_scheme = {rule.scheme_id: rule for rule in found}
    happening = _Happening(event, doer, store, is_first_of_day=day not in days, now=now)
    earnings = []
    for card in held:
        scheme, rule = by_scheme[card.scheme_id], rules_by_scheme.get(card.scheme_id)
        if rule is not None:
            card, earning = await _earn(tx, happening, card, scheme, rule)
            earnings.append(earning)
        if cards.status_at(card, now) is CardStatus.NORMAL:
            await tiers.after_event(tx, card=card, scheme=scheme, now=now)
    await tx.insert(*earnings)
    return Happened(event, earnings, is_replay=False)


@dataclass(frozen=True, slots=True)
class _Happening:
    """An event as its earnings on each card see it."""

    event: MemberEvent
    doer: Doer
    store: Node | None
    is_first_of_day: bool
    now: datetime


async def _earn(
    tx: Transaction, happening: _Happening, card: Card, scheme: Scheme, rule: BehaviourRule
) -> tuple[Card, EventEarning]:
    """What the event earns on a locked card: posted, or why nothing is."""
    event = happening.event
    outcome = await _obstacle(tx, happening, card, scheme, rule)
    streak_points = _streak_points(rule, event) if happening.is_first_of_day else 0
    amount = rule.points + streak_points
    if outcome is None and amount and not await points.may_earn(tx, card=card, scheme=scheme):
        outcome = EarningOutcome.POINTS_BLOCKED
    earns = outcome is None
    earning = new_earning(
        event_id=event.id,
        card_id=card.id,
        event_key=event.event_key,
        business_date=event.business_date,
        outcome=outcome or EarningOutcome.EARNED,
        points=amount if earns else 0,
        streak_points=streak_points if earns else 0,
        growth=rule.growth if outcome in {None, EarningOutcome.POINTS_BLOCKED} else 0,
    )
    header: dict[str, Any] = {
        "cause_id": points.behaviour_cause(event.id, scheme.id),
        "actor_kind": happening.doer.kind,
        "actor_id": happening.doer.id,
        "store_id": event.store_id,
        "occurred_at": event.occurred_at,
        "now": happening.now,
    }
    if earning.points:
        await points.credit(
            tx, card=card, scheme=scheme, amount=earning.points,
            cause_kind=points.BEHAVIOUR_CAUSE, **header,
        )  # fmt: skip
    if earning.growth:
        card = await tiers.earn_growth(
            tx, card=card, scheme=scheme, amount=earning.growth,
            cause_kind=points.BEHAVIOUR_GROWTH_CAUSE, **header,
        )  # fmt: skip
    return card, earning


async def _obstacle(
    tx: Transaction, happening: _Happening, card: Card, scheme: Scheme, rule: BehaviourRule
) -> EarningOutcome | None:
    """Why the event earns nothing on the card, None if nothing is in its way."""
    if cards.status_at(card, happening.now) is not CardStatus.NORMAL:
        return EarningOutcome.CARD_NOT_USABLE
    if happening.store is not None:
        try:
            await schemes.require_store(tx, scheme, happening.store)
        except schemes.NotAtThisStore:
            return EarningOutcome.NOT_AT_THIS_STORE
    caps = (rule.times_ever, rule.times_per_month, rule.times_per_day)
    if not any(caps):
        return None
    day = happening.event.business_date
    month_start = day.replace(day=1)
    from_date = date.min if rule.times_ever else month_start if rule.times_per_month else day
    before = await tx.one(
        counted, card_id=card.id, event_key=rule.event_key, from_date=from_date, day=day,
        month_start=month_start, month_end=next_month(day),
    )  # fmt: skip
    assert before is not None
    reached = (EarningOutcome.EVER_CAP, EarningOutcome.MONTH_CAP, EarningOutcome.DAY_CAP)
    for cap, times, outcome in zip(caps, before, reached, strict=True):
        if cap is not None and times >= cap:
            return outcome
    return None


def _streak_points(rule: BehaviourRule, event: MemberEvent) -> int:
    return sum(step["points"] for step in rule.streak if step["days"] == event.streak_days)


async def _business_date(tx: Transaction, group_id: UUID, at: datetime) -> date:
    group = await organisation.node(tx, group_id)
    return local_day(at, ZoneInfo(group.time_zone))


async def _store(tx: Transaction, store_id: UUID) -> Node:
    found = await organisation.node(tx, store_id)
    if found.kind is not NodeKind.STORE:
        raise organisation.NodeNotFound
    return found


async def _writable_scheme(tx: Transaction, actor: Actor, scheme_id: UUID) -> Scheme:
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    actor.require(Permission.SCHEMES_WRITE, await organisation.node(tx, scheme.perspective_id))
    return scheme
