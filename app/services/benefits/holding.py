"""Which benefits a card has, and which of them hold for a bill here and now (BEN-1, BEN-2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select

from app.core.birthdays import kept_around
from app.core.db import Transaction, statement
from app.core.money import Money
from app.core.schedules import Schedule
from app.models.benefits import Benefit, BenefitGrant, BenefitState
from app.models.campaigns import CampaignState
from app.models.cards import Card, CardStatus, Scheme
from app.models.ledger import AccountKind
from app.models.members import birthday_date
from app.models.organisation import Node
from app.models.scopes import Channel
from app.services import campaigns, cards, ledger, members, schemes, scopes
from app.services.benefits import bills, terms
from app.services.benefits.bills import Bill, Gives
from app.services.benefits.details import (
    Birthday,
    CardExtension,
    Marketing,
    MemberDay,
    MemberPricing,
    Promotional,
    perk_for,
)
from app.services.benefits.granting import by_ids
from app.services.benefits.terms import Terms
from app.services.ledger.histories import own_and_absorbed
from app.services.scopes import Circumstances, ObstacleReason

ACTIVE_MAX = 500
"""Active benefits of one group, so that all of them can be asked at once."""
GRANTS_MAX = 500
"""Of one card at once: far more than anybody buys."""

active_of_group = statement(
    select(Benefit)
    .where(
        col(Benefit.group_id) == bindparam("group_id"),
        col(Benefit.state) == BenefitState.ACTIVE,
    )
    .order_by(col(Benefit.id))
    .limit(ACTIVE_MAX),
    into=Benefit,
)
# Those whose time has not ended; what was deactivated is nobody's (BEN-3).
grants_of_card = statement(
    select(BenefitGrant)
    .join(Benefit, col(Benefit.id) == col(BenefitGrant.benefit_id))
    .where(
        col(BenefitGrant.card_id).in_(own_and_absorbed),
        or_(col(BenefitGrant.ends_at).is_(None), col(BenefitGrant.ends_at) > bindparam("at")),
        or_(col(BenefitGrant.ended_at).is_(None), col(BenefitGrant.ended_at) > bindparam("at")),
        col(Benefit.state) == BenefitState.ACTIVE,
    )
    .order_by(col(BenefitGrant.id))
    .limit(GRANTS_MAX),
    into=BenefitGrant,
)


class BenefitObstacleReason(StrEnum):
    """Why a benefit does not hold."""

    CARD_NOT_USABLE = "CARD_NOT_USABLE"
    WRONG_CHANNEL = "WRONG_CHANNEL"
    WRONG_STORE = "WRONG_STORE"
    NOT_FOR_THIS_MEMBER = "NOT_FOR_THIS_MEMBER"
    WRONG_CURRENCY = "WRONG_CURRENCY"
    CAMPAIGN_NOT_RUNNING = "CAMPAIGN_NOT_RUNNING"
    CARD_NEVER_EXPIRES = "CARD_NEVER_EXPIRES"
    BIRTHDAY_UNKNOWN = "BIRTHDAY_UNKNOWN"
    ENDED = "ENDED"
    NOT_OPEN = "NOT_OPEN"
    NOTHING_ON_THE_BILL = "NOTHING_ON_THE_BILL"
    STORED_VALUE_BELOW_AMOUNT = "STORED_VALUE_BELOW_AMOUNT"
    STORED_VALUE_BELOW_OUTSTANDING = "STORED_VALUE_BELOW_OUTSTANDING"
    STORED_VALUE_BELOW_DISCOUNTED = "STORED_VALUE_BELOW_DISCOUNTED"


@dataclass(frozen=True, slots=True)
class BenefitObstacle:
    """The first thing that stands in the way: what waiting cannot change comes before the rest."""

    reason: BenefitObstacleReason
    available_from: datetime | None = None
    short_by: Money | None = None


class Held(NamedTuple):
    """A benefit of a card, by its scheme and tier or, with `grant`, by what was bought."""

    terms: Terms
    grant: BenefitGrant | None


class Holding(NamedTuple):
    """A benefit that holds now; `gives` is None where no bill was shown."""

    held: Held
    gives: Gives | None


class Withheld(NamedTuple):
    """A benefit that does not hold, and why."""

    held: Held
    obstacle: BenefitObstacle


class Answer(NamedTuple):
    """What holds for a card in some circumstances, and what does not."""

    at: datetime
    holding: list[Holding]
    withheld: list[Withheld]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """All that the question is about, looked up once."""

    card: Card
    scheme: Scheme
    found: Circumstances
    bill: Bill | None
    stored_value: int
    birthday: date | None
    campaigns_running: frozenset[UUID]
    now: datetime


async def as_they_are(tx: Transaction, ids: list[UUID]) -> list[Held]:
    """Benefits that something promises, in the order asked for."""
    found = await by_ids(tx, ids)
    return [Held(each, None) for each in await terms.of_benefits(tx, [found[i] for i in ids])]


async def held(tx: Transaction, *, card: Card, at: datetime) -> list[Held]:
    """The benefits a card has at a time, wherever and on whatever channel: what was given to it
    first, then those its scheme and tier bring.

    Of the same benefit from several sources each is told.
    """
    granted = [each for each in await _granted(tx, card, at) if _has_begun(each, at)]
    found = await scopes.circumstances(tx, channel=Channel.POS, store=None, card=card, now=at)
    general = [
        each
        for each in await _general(tx, card.group_id)
        if scopes.obstacle(each.terms.audience, found) is None
    ]
    return granted + general


async def holding(
    tx: Transaction,
    *,
    card: Card,
    channel: Channel,
    store: Node | None,
    bill: Bill | None,
    at: datetime,
    now: datetime,
    benefits: Sequence[Held] | None = None,
    stored_value: int | None = None,
) -> Answer:
    """Which of a card's benefits hold for a bill, with what they give, and why others do not.

    `benefits` are those to judge, by default all that are active in the group or were given to the
    card. `at` may lie in the future: then it tells what will hold.
    """
    if benefits is None:
        benefits = [*await _granted(tx, card, at), *await _general(tx, card.group_id)]
    asked = await _asked(tx, benefits, card, channel, store, bill, at, now, stored_value)
    answer = Answer(at, [], [])
    for each in benefits:
        obstacle, gives = _judged(each, asked)
        if obstacle is None:
            answer.holding.append(Holding(each, gives))
        else:
            answer.withheld.append(Withheld(each, obstacle))
    return answer


async def _general(tx: Transaction, group_id: UUID) -> list[Held]:
    rows = await tx.all(active_of_group, group_id=group_id)
    return [Held(each, None) for each in await terms.of_benefits(tx, rows)]


async def _granted(tx: Transaction, card: Card, at: datetime) -> list[Held]:
    rows = await tx.all(grants_of_card, card_id=card.id, at=at)
    return [Held(terms.of_grant(row), row) for row in rows]


async def _asked(
    tx: Transaction,
    benefits: Sequence[Held],
    card: Card,
    channel: Channel,
    store: Node | None,
    bill: Bill | None,
    at: datetime,
    now: datetime,
    stored_value: int | None,
) -> _Asked:
    every = [each.terms for each in benefits]
    if stored_value is None:
        asks = any(each.restrictions.ask_stored_value for each in every)
        stored_value = await _stored_value(tx, card) if asks else 0
    birthday = None
    if any(isinstance(each.details, Birthday) for each in every):
        member = (await members.by_ids(tx, [card.member_id]))[card.member_id]
        birthday = birthday_date(member.birthday)
    led_to = {
        each.details.campaign_id
        for each in every
        if isinstance(each.details, Marketing | Promotional)
    }
    states = await campaigns.by_ids(tx, led_to) if led_to else {}
    return _Asked(
        card=card,
        scheme=await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id),
        found=await scopes.circumstances(tx, channel=channel, store=store, card=card, now=at),
        bill=bill,
        stored_value=stored_value,
        birthday=birthday,
        campaigns_running=frozenset(
            each.id for each in states.values() if each.state is CampaignState.ACTIVE
        ),
        now=now,
    )


async def _stored_value(tx: Transaction, card: Card) -> int:
    """The card's cash and bonus."""
    kinds = (AccountKind.CASH, AccountKind.BONUS)
    accounts = await ledger.accounts_of_cards(tx, [card.id])
    return sum(each.balance for each in accounts if each.kind in kinds)


def _judged(of: Held, asked: _Asked) -> tuple[BenefitObstacle | None, Gives | None]:
    """The first thing that stands in the way, or what the benefit gives with the bill."""
    obstacle = _for_good(of, asked) or _by_time(of, asked)
    if obstacle is not None:
        return obstacle, None
    value_from = of.terms.restrictions.stored_value_from
    if value_from is not None and asked.stored_value < value_from:
        return _short(
            BenefitObstacleReason.STORED_VALUE_BELOW_AMOUNT, value_from - asked.stored_value, asked
        ), None
    return (None, None) if asked.bill is None else _for_bill(of.terms, asked, asked.bill)


def _for_good(of: Held, asked: _Asked) -> BenefitObstacle | None:
    """What is in the way and stays so, for this card, here."""
    details, card = of.terms.details, asked.card
    if cards.status_at(card, asked.now) is not CardStatus.NORMAL:
        return BenefitObstacle(BenefitObstacleReason.CARD_NOT_USABLE)
    place = scopes.obstacle(of.terms.scope, asked.found)
    if place is not None and place.reason not in (ObstacleReason.NOT_OPEN, ObstacleReason.ENDED):
        return BenefitObstacle(BenefitObstacleReason(place.reason.value))
    if of.terms.currency not in (None, asked.scheme.currency):
        return BenefitObstacle(BenefitObstacleReason.WRONG_CURRENCY)
    match details:
        case Marketing(campaign_id=led_to) | Promotional(campaign_id=led_to):
            if led_to not in asked.campaigns_running:
                return BenefitObstacle(BenefitObstacleReason.CAMPAIGN_NOT_RUNNING)
        case CardExtension() if card.expires_at is None:
            return BenefitObstacle(BenefitObstacleReason.CARD_NEVER_EXPIRES)
        case Birthday() if asked.birthday is None:
            return BenefitObstacle(BenefitObstacleReason.BIRTHDAY_UNKNOWN)
    return None


def _by_time(of: Held, asked: _Asked) -> BenefitObstacle | None:
    """What waiting changes: the grant's time, the scope's schedule, the special day."""
    at, details = asked.found.now, of.terms.details
    if of.grant is not None and not _has_begun(of, at):
        return BenefitObstacle(BenefitObstacleReason.NOT_OPEN, of.grant.starts_at)
    place = scopes.obstacle(of.terms.scope, asked.found)
    if place is not None:
        reason = BenefitObstacleReason(place.reason.value)
        return BenefitObstacle(reason, place.available_from)
    match details:
        case MemberDay():
            return _by_schedule(details.read_schedule(), at)
        case Birthday():
            assert asked.birthday is not None, "asked before"
            kept = kept_around(asked.birthday, details.period, at=at, zone=of.terms.zone)
            if at < kept.begin:
                return BenefitObstacle(BenefitObstacleReason.NOT_OPEN, kept.begin)
    return None


def _by_schedule(schedule: Schedule, at: datetime) -> BenefitObstacle | None:
    if schedule.is_open(at):
        return None
    opens = schedule.next_opening(at)
    if opens is None:
        return BenefitObstacle(BenefitObstacleReason.ENDED)
    return BenefitObstacle(BenefitObstacleReason.NOT_OPEN, opens)


def _for_bill(of: Terms, asked: _Asked, bill: Bill) -> tuple[BenefitObstacle | None, Gives | None]:
    """What the benefit gives with the bill, or what of the bill is in the way (BEN-2)."""
    lines = bills.eligible(bill, of.restrictions)
    if isinstance(of.details, MemberPricing):
        priced = {each.item_id for each in of.details.prices}
        lines = [line for line in lines if line.item_id in priced]
    if not lines:
        return BenefitObstacle(BenefitObstacleReason.NOTHING_ON_THE_BILL), None
    perk = perk_for(of.details, asked.card.tier_id)
    rule = bills.EarningRule(asked.scheme.points_unit, asked.scheme.points_rate)
    gives = bills.gives(of.details, perk, lines, bill, rule)
    for applies, needed, reason in (
        (
            of.restrictions.covers_outstanding,
            bill.outstanding,
            BenefitObstacleReason.STORED_VALUE_BELOW_OUTSTANDING,
        ),
        (
            of.restrictions.covers_discounted,
            bill.outstanding - gives.off,
            BenefitObstacleReason.STORED_VALUE_BELOW_DISCOUNTED,
        ),
    ):
        if applies and asked.stored_value < needed:
            return _short(reason, needed - asked.stored_value, asked), None
    return None, gives


def _short(reason: BenefitObstacleReason, by: int, asked: _Asked) -> BenefitObstacle:
    return BenefitObstacle(reason, short_by=Money(by, asked.scheme.currency))


def _has_begun(of: Held, at: datetime) -> bool:
    return of.grant is None or of.grant.starts_at <= at
