"""Tiers by tasks: a set of them fulfilled is a tier granted (TIR-1).

What counted for one grant does not count for the next, so that a tier which ends is earned again.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, cast, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select, update

from app.core.db import Transaction, any_of, statement
from app.core.ids import new_id
from app.core.money import proportion_half_up
from app.models.behaviour import MemberEvent
from app.models.cards import Card
from app.models.ledger import Posting, PostingKind
from app.models.purchases import Purchase
from app.models.tiers import GrantSource, TaskKind, TierCause, TierGrant
from app.services import ledger, members, points
from app.services.tiers.evaluating import growth_tier_of, settle
from app.services.tiers.granting import give, grants_of_card
from app.services.tiers.rules import Ladder, Step, Task

EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Bought(NamedTuple):
    """Purchases of which nothing was given back."""

    number: int
    net_amount: int


class PartlyKept(NamedTuple):
    """A purchase of which a part was given back."""

    net_amount: int
    total_amount: int
    refunded_amount: int

    @property
    def net_kept(self) -> int:
        lost = proportion_half_up(self.net_amount, self.refunded_amount, self.total_amount)
        return self.net_amount - lost


_taken_back = aliased(Posting)
_is_rolled_back = (
    select(_taken_back.id)
    .where(
        col(_taken_back.reverses_id) == col(Posting.id),
        col(_taken_back.kind) == PostingKind.ROLL_BACK,
    )
    .exists()
)
_was_fraud = (
    select(Posting.id)
    .where(
        col(Posting.cause_kind) == points.PURCHASE_CAUSE,
        col(Posting.cause_id) == col(Purchase.id),
        _is_rolled_back,
    )
    .exists()
)


def _in_time(of_card: Any) -> list[Any]:
    return [
        of_card,
        ~_was_fraud,
        col(Purchase.occurred_at) > bindparam("since"),
        col(Purchase.occurred_at) <= bindparam("until"),
    ]


def _of_card(has_absorbed: bool) -> Any:
    if has_absorbed:
        return col(Purchase.card_id).in_(ledger.own_and_absorbed)
    return col(Purchase.card_id) == bindparam("card_id")


whole_purchases = {
    has_absorbed: statement(
        select(
            func.count().label("number"),
            cast(func.coalesce(func.sum(Purchase.net_amount), 0), BigInteger).label("net_amount"),
        ).where(*_in_time(_of_card(has_absorbed)), col(Purchase.refunded_amount) == 0),
        into=Bought,
    )
    for has_absorbed in (False, True)
}
parted_purchases = {
    has_absorbed: statement(
        select(Purchase.net_amount, Purchase.total_amount, Purchase.refunded_amount).where(
            *_in_time(_of_card(has_absorbed)),
            col(Purchase.refunded_amount) > 0,
            col(Purchase.refunded_amount) < col(Purchase.total_amount),
        ),
        into=PartlyKept,
    )
    for has_absorbed in (False, True)
}
events = statement(
    select(MemberEvent.id).where(
        col(MemberEvent.member_id).in_(members.own_records),
        col(MemberEvent.event_key) == bindparam("event_key"),
        col(MemberEvent.occurred_at) > bindparam("since"),
        col(MemberEvent.occurred_at) <= bindparam("until"),
    ),
    into=UUID,
)
rolled_back_causes = statement(
    select(Posting.cause_id)
    .distinct()
    .where(
        or_(
            col(Posting.cause_kind) == points.BEHAVIOUR_CAUSE,
            col(Posting.cause_kind) == points.BEHAVIOUR_GROWTH_CAUSE,
        ),
        any_of(col(Posting.cause_id), "cause_ids"),
        _is_rolled_back,
    ),
    into=UUID,
)
revoke = statement(
    update(TierGrant)
    .where(col(TierGrant.id) == bindparam("grant_id"), col(TierGrant.ended_at).is_(None))
    .values(ended_at=bindparam("at"))
)


class Reached(NamedTuple):
    """How far a task is."""

    task: Task
    done: int


async def progress(
    tx: Transaction, ladder: Ladder, *, card: Card, step: Step, now: datetime
) -> list[Reached]:
    """How far a card is with each of a tier's tasks."""
    if not step.tasks:
        return []
    given = (await _given(tx, card))[step.id]
    return await _counted(tx, ladder, card, step, after=_used_until(given), at=now, until=now)


async def grant_fulfilled(
    tx: Transaction, ladder: Ladder, *, card: Card, at: datetime, now: datetime
) -> Card:
    """Grant a locked card the tiers whose tasks are all fulfilled, for as long as tiers last.

    `at` is when the last of them was done: a till's clock may be ahead of ours.
    """
    at = max(at, now)
    given = await _given(tx, card)
    for step in ladder.steps:
        of_step = given[step.id]
        is_for_good = any(each.ended_at is None and each.expires_at is None for each in of_step)
        if not step.tasks or is_for_good:
            continue
        counted = await _counted(
            tx, ladder, card, step, after=_used_until(of_step), at=at, until=at
        )
        if all(each.done >= each.task.at_least for each in counted):
            card = await give(
                tx, ladder, card=card, tier_id=step.id, source=GrantSource.TASKS,
                source_id=new_id(), expires_at=ladder.validity_from(at), at=at, now=now,
            )  # fmt: skip
    return card


async def withdraw_unfulfilled(
    tx: Transaction, ladder: Ladder, *, card: Card, now: datetime
) -> Card:
    """After a refund or a roll-back: end the grants that lose what fulfilled their tasks."""
    given = await _given(tx, card)
    for step in ladder.steps:
        for each in given[step.id] if step.tasks else ():
            if each.ended_at is not None:
                continue
            earlier = [other for other in given[step.id] if other.granted_at < each.granted_at]
            counted = await _counted(
                tx, ladder, card, step, after=_used_until(earlier), at=each.granted_at,
                until=max(each.granted_at, now),
            )  # fmt: skip
            if all(part.done >= part.task.at_least for part in counted):
                continue
            await tx.changed(revoke, grant_id=each.id, at=now)
            card = await settle(
                tx, ladder, card=card, growth=growth_tier_of(card),
                cause=TierCause.GRANT_ENDED, cause_id=each.id, now=now, grants_changed=True,
            )  # fmt: skip
    return card


async def _given(tx: Transaction, card: Card) -> defaultdict[UUID, list[TierGrant]]:
    """By tier, what a card's fulfilled tasks brought and no refund took back, oldest first."""
    found: defaultdict[UUID, list[TierGrant]] = defaultdict(list)
    for each in await tx.all(grants_of_card, card_id=card.id):
        if each.source is GrantSource.TASKS and not _was_revoked(each):
            found[each.tier_id].append(each)
    return found


def _was_revoked(grant: TierGrant) -> bool:
    if grant.ended_at is None:
        return False
    return grant.expires_at is None or grant.ended_at < grant.expires_at


def _used_until(given: list[TierGrant]) -> datetime:
    """Up to when what happened has led to a grant already."""
    return max((each.granted_at for each in given), default=EVER)


async def _counted(
    tx: Transaction,
    ladder: Ladder,
    card: Card,
    step: Step,
    *,
    after: datetime,
    at: datetime,
    until: datetime,
) -> list[Reached]:
    """A tier's tasks, counted in the windows that end `at` a moment, and on until another."""
    found = []
    for task in step.tasks:
        since = after
        if task.window_months is not None:
            since = max(after, ladder.window_start(task.window_months, at))
        found.append(Reached(task, await _count(tx, ladder, card, task, since, until)))
    return found


async def _count(
    tx: Transaction, ladder: Ladder, card: Card, task: Task, since: datetime, until: datetime
) -> int:
    if task.kind is TaskKind.EVENTS:
        values = {"member_id": card.member_id, "event_key": task.event_key}
        happened = await tx.all(events, since=since, until=until, **values)
        return len(happened) - await _rolled_back(tx, ladder, happened)
    asked = {"card_id": card.id, "since": since, "until": until}
    whole = await tx.one(whole_purchases[card.has_absorbed], **asked)
    assert whole is not None
    parted = await tx.all(parted_purchases[card.has_absorbed], **asked)
    if task.kind is TaskKind.PURCHASES:
        return whole.number + len(parted)
    return whole.net_amount + sum(each.net_kept for each in parted)


async def _rolled_back(tx: Transaction, ladder: Ladder, event_ids: list[UUID]) -> int:
    """Of how many of these events staff took back what they earned in this scheme (PTS-7)."""
    if not event_ids:
        return 0
    causes = [points.behaviour_cause(event_id, ladder.scheme.id) for event_id in event_ids]
    return len(await tx.all(rolled_back_causes, cause_ids=causes))
