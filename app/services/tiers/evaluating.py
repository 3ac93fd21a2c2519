"""Which tier a card belongs in: the higher one of what growth reached and what was granted.

One card at a time, where something happens to it; `batches` does the same for thousands at once.
The card is locked by the caller.
"""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, bindparam, cast, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, changed_copy, light, statement
from app.core.points_expiry import PointsExpiry
from app.models.cards import Card, Scheme, Tier
from app.models.ledger import Account, AccountKind, Lot
from app.models.organisation import Node
from app.models.tiers import TaskKind, TierCause, TierChange, TierCondition, TierGrant, TierTask
from app.services import ledger, live, points
from app.services.tiers.rules import GrowthTier, Ladder, Standing, Step, Task


class Rung(NamedTuple):
    """A tier with one of its tasks, or none; and the zone in which its scheme's days are."""

    id: UUID
    level: int
    name: str
    growth_from: int
    condition: TierCondition
    window_months: int | None
    kind: TaskKind | None
    event_key: str | None
    at_least: int | None
    task_months: int | None
    time_zone: str


# Tiers, tasks and zone in one statement: every purchase of a scheme that computes tiers reads it.
rungs = statement(
    select(
        Tier.id,
        Tier.level,
        Tier.name,
        Tier.growth_from,
        Tier.condition,
        Tier.window_months,
        TierTask.kind,
        TierTask.event_key,
        TierTask.at_least,
        col(TierTask.window_months).label("task_months"),
        Node.time_zone,
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    .join(Scheme, col(Scheme.id) == col(Tier.scheme_id))
    .join(Node, col(Node.id) == col(Scheme.perspective_id))
    .outerjoin(TierTask, col(TierTask.tier_id) == col(Tier.id))
    .where(col(Tier.scheme_id) == bindparam("scheme_id"))
    .order_by(col(Tier.level), col(TierTask.id)),
    into=Rung,
)
growth_account = statement(
    select(Account).where(
        col(Account.card_id) == bindparam("card_id"), col(Account.kind) == AccountKind.GROWTH
    ),
    into=Account,
)
_left = cast(func.coalesce(func.sum(Lot.remaining), 0), BigInteger)
gained = statement(
    select(_left).where(
        col(Lot.account_id) == bindparam("account_id"),
        col(Lot.remaining) > 0,
        col(Lot.earned_at) >= bindparam("since"),
    ),
    into=int,
)
# Later than, not at: what brought the tier does not keep it.
gained_after = statement(
    select(_left).where(
        col(Lot.account_id) == bindparam("account_id"),
        col(Lot.remaining) > 0,
        col(Lot.earned_at) > bindparam("since"),
    ),
    into=int,
)
grant_lives = (
    col(TierGrant.ended_at).is_(None),
    or_(col(TierGrant.expires_at).is_(None), col(TierGrant.expires_at) > bindparam("now")),
)
live_grants = statement(
    select(TierGrant).where(col(TierGrant.card_id) == bindparam("card_id"), *grant_lives),
    into=TierGrant,
)
move_card = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(
        tier_id=bindparam("new_tier_id"),
        growth_tier_id=bindparam("new_growth_tier_id"),
        growth_tier_since=bindparam("new_since"),
        growth_tier_expires_at=bindparam("new_expires_at"),
        growth_amount=bindparam("new_growth_amount"),
    )
)
new_change = light(TierChange)


async def ladder_of(tx: Transaction, scheme: Scheme) -> Ladder:
    """A scheme's tiers and tasks as they are now."""
    found = await tx.all(rungs, scheme_id=scheme.id)
    assert found, "a scheme with cards has a tier"
    tasks: defaultdict[UUID, list[Task]] = defaultdict(list)
    for rung in found:
        if rung.kind is not None and rung.at_least is not None:
            tasks[rung.id].append(Task(rung.kind, rung.event_key, rung.at_least, rung.task_months))
    steps = {rung.id: Step(*rung[:6], tasks=tuple(tasks[rung.id])) for rung in found}
    return Ladder(scheme, tuple(steps.values()), ZoneInfo(found[0].time_zone))


def growth_tier_of(card: Card) -> GrowthTier:
    return GrowthTier(card.growth_tier_id, card.growth_tier_since, card.growth_tier_expires_at)


async def standing_of(tx: Transaction, ladder: Ladder, card: Card, now: datetime) -> Standing:
    """What a card has gained, in a statement and one for each window."""
    account = await tx.one(growth_account, card_id=card.id)
    assert account is not None, "a card without accounts"
    in_windows = [
        await tx.one(gained, account_id=account.id, since=ladder.window_start(months, now)) or 0
        for months in ladder.windows
    ]
    since_reached = 0
    if growth_tier_of(card).is_over(now) and card.growth_tier_since is not None:
        since = card.growth_tier_since
        since_reached = await tx.one(gained_after, account_id=account.id, since=since) or 0
    return Standing(account.balance, in_windows, since_reached)


async def settle(
    tx: Transaction,
    ladder: Ladder,
    *,
    card: Card,
    growth: GrowthTier,
    cause: TierCause,
    cause_id: UUID | None,
    now: datetime,
    growth_amount: int | None = None,
    grants_changed: bool = False,
) -> Card:
    """Write what growth reached, and the card's tier that follows from it and from its grants."""
    tier_id = await _effective(tx, ladder, card, growth, grants_changed, now)
    after = changed_copy(
        card,
        tier_id=tier_id,
        growth_tier_id=growth.tier_id,
        growth_tier_since=growth.since,
        growth_tier_expires_at=growth.expires_at,
        growth_amount=card.growth_amount if growth_amount is None else growth_amount,
    )
    # Another grant of the same tier leaves the card as it is, and may move the tier's end.
    had = (card.tier_id, card.growth_tier_expires_at)
    has_new_end = grants_changed or (tier_id, growth.expires_at) != had
    if has_new_end and ladder.scheme.points_expiry is PointsExpiry.WITH_TIER:
        expires_at = await points.end_of_tier(tx, after, now=now)
        await follow_points(tx, [card.id], expires_at, now)
    if after == card:
        return card
    await write_card(tx, after)
    if tier_id != card.tier_id:
        change = new_change(
            card_id=card.id,
            from_tier_id=card.tier_id,
            to_tier_id=tier_id,
            cause=cause,
            cause_id=cause_id,
            changed_at=now,
        )
        await tx.insert(change)
        live.tell(tx, card.member_id, "TIER_CHANGED", object_id=change.id, now=now)
    return after


async def write_card(tx: Transaction, card: Card) -> None:
    """Write what of a card belongs to tiers and growth."""
    await tx.changed(
        move_card,
        card_id=card.id,
        new_tier_id=card.tier_id,
        new_growth_tier_id=card.growth_tier_id,
        new_since=card.growth_tier_since,
        new_expires_at=card.growth_tier_expires_at,
        new_growth_amount=card.growth_amount,
    )


async def reevaluate(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    cause: TierCause,
    cause_id: UUID | None,
    now: datetime,
) -> Card:
    """Find a locked card's tier anew, from its growth and its grants (TIR-2).

    RECALCULATION and RELEASE go by the rules both ways, other causes as the scheme adjusts tiers.
    The scheme must have been read after the card was locked: a release waits for the lock.
    """
    ladder = await ladder_of(tx, scheme)
    held = growth_tier_of(card)
    growth = held
    if scheme.tiers_are_computed or held.is_over(now):
        standing = await standing_of(tx, ladder, card, now)
        if cause in {TierCause.RECALCULATION, TierCause.RELEASE}:
            growth = ladder.recomputed(held, standing, now)
        else:
            growth = ladder.after_growth(held, standing, was_lost=False, now=now)
    return await settle(
        tx, ladder, card=card, growth=growth, cause=cause, cause_id=cause_id, now=now,
        grants_changed=True,
    )  # fmt: skip


async def _effective(
    tx: Transaction,
    ladder: Ladder,
    card: Card,
    growth: GrowthTier,
    grants_changed: bool,
    now: datetime,
) -> UUID:
    """The higher one of what growth reached and what was granted and lives."""
    if not grants_changed:
        if growth.tier_id == card.growth_tier_id:
            return card.tier_id
        if ladder.level(growth.tier_id) >= ladder.level(card.tier_id):
            return ladder.highest(growth.tier_id)  # no grant is above the tier the card has
    grants = await tx.all(live_grants, card_id=card.id, now=now)
    return ladder.highest(growth.tier_id, *(grant.tier_id for grant in grants))


async def follow_points(
    tx: Transaction, card_ids: list[UUID], expires_at: datetime | None, now: datetime
) -> None:
    """Give points that expire with the tier its new end (PTS-4)."""
    await tx.changed(
        ledger.set_points_expiry, card_ids=card_ids, new_expires_at=expires_at, now=now
    )
