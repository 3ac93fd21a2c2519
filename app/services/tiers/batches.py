"""The tiers of thousands of cards at once: where all are recomputed, or many are over.

One statement reads what decides for each card, windows and all; those that stay as they are cost
nothing more, and those that change are written in groups of what they become.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, cast, literal
from sqlmodel import col, func, select, update

from app.core.db import Statement, Transaction, any_of, statement
from app.core.points_expiry import PointsExpiry
from app.models.cards import Card, CardStatus
from app.models.ledger import Account, AccountKind, Lot
from app.models.tiers import TierCause, TierGrant
from app.services import live, points
from app.services.tiers.evaluating import follow_points, grant_lives, new_change
from app.services.tiers.rules import WINDOWS_MAX, GrowthTier, Ladder, Standing


class Granted(NamedTuple):
    card_id: UUID
    tier_id: UUID
    expires_at: datetime | None


class Moved(NamedTuple):
    """A card that was written."""

    card_id: UUID
    member_id: UUID


_growth_account = (col(Account.card_id) == col(Card.id)) & (col(Account.kind) == AccountKind.GROWTH)
_balance = select(Account.balance).where(_growth_account).scalar_subquery()
_gained = (
    select(cast(func.coalesce(func.sum(Lot.remaining), 0), BigInteger))
    .join(Account, col(Account.id) == col(Lot.account_id))
    .where(_growth_account, col(Lot.remaining) > 0)
)
_since_reached = _gained.where(col(Lot.earned_at) > col(Card.growth_tier_since)).scalar_subquery()


def _states(windows: int, *, since_reached: bool) -> Statement[Any]:
    """What decides the tier of each card: as it is, its growth, and that of so many windows."""
    in_windows = [
        _gained.where(col(Lot.earned_at) >= bindparam(f"since_{number}"))
        .scalar_subquery()
        .label(f"gained_{number}")
        for number in range(windows)
    ]
    clause: Any = select(
        Card.id,
        Card.tier_id,
        Card.growth_tier_id,
        Card.growth_tier_since,
        Card.growth_tier_expires_at,
        _balance.label("balance"),
        (_since_reached if since_reached else literal(0)).label("since_reached"),
        *in_windows,
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    is_living = col(Card.status) != CardStatus.MERGED
    return statement(clause.where(any_of(col(Card.id), "card_ids"), is_living))


STATES = {
    # (how many windows, whether what was gained since the tier was reached is asked for)
    (windows, since_reached): _states(windows, since_reached=since_reached)
    for windows, since_reached in product(range(WINDOWS_MAX + 1), (False, True))
}
grants_of_cards = statement(
    select(TierGrant.card_id, TierGrant.tier_id, TierGrant.expires_at).where(
        any_of(col(TierGrant.card_id), "card_ids"), *grant_lives
    ),
    into=Granted,
)
move_cards = statement(
    update(Card)
    .where(any_of(col(Card.id), "card_ids"))
    .values(
        tier_id=bindparam("new_tier_id"),
        growth_tier_id=bindparam("new_growth_tier_id"),
        growth_tier_since=bindparam("new_since"),
        growth_tier_expires_at=bindparam("new_expires_at"),
    )
    .returning(col(Card.id).label("card_id"), col(Card.member_id)),
    into=Moved,
)

Decide = Callable[[GrowthTier, Standing, datetime], GrowthTier]


async def settle_all(
    tx: Transaction,
    ladder: Ladder,
    card_ids: list[UUID],
    decide: Decide | None,
    *,
    cause: TierCause,
    cause_id: UUID | None,
    now: datetime,
    since_reached: bool = False,
) -> int:
    """Find the tiers of locked cards of one scheme anew; how many changed.

    `decide` says what growth reached, None leaves that as it is. Cards that were merged away are
    left out.
    """
    windows = ladder.windows if decide else ()
    starts = {
        f"since_{number}": ladder.window_start(months, now) for number, months in enumerate(windows)
    }
    found = await tx.all(STATES[len(windows), since_reached], card_ids=card_ids, **starts)
    granted: defaultdict[UUID, list[Granted]] = defaultdict(list)
    for grant in await tx.all(grants_of_cards, card_ids=card_ids, now=now):
        granted[grant.card_id].append(grant)
    lowest = ladder.steps[0].id
    from_tiers: dict[UUID, UUID] = {}
    moves: defaultdict[tuple[UUID, GrowthTier], list[UUID]] = defaultdict(list)
    ends: defaultdict[datetime | None, list[UUID]] = defaultdict(list)
    for card_id, had_id, growth_tier_id, since, end, balance, since_tier, *gained in found:
        held = GrowthTier(growth_tier_id, since, end)
        growth = held
        if decide:
            growth = decide(held, Standing(balance, gained, since_tier), now)
        tier_id = growth.tier_id or lowest
        if card_id in granted:
            tier_id = ladder.highest(tier_id, *(grant.tier_id for grant in granted[card_id]))
        if tier_id != had_id:
            from_tiers[card_id] = had_id
        elif growth == held:
            continue
        moves[tier_id, growth].append(card_id)
        if tier_id != had_id or growth.expires_at != end:
            ends[_end_of(ladder, tier_id, growth, granted.get(card_id, ()), now)].append(card_id)
    for (tier_id, growth), moved_ids in moves.items():
        await _move(tx, moved_ids, from_tiers, tier_id, growth, cause, cause_id, now)
    if ladder.scheme.points_expiry is PointsExpiry.WITH_TIER:
        for expires_at, moved_ids in ends.items():
            await follow_points(tx, moved_ids, expires_at, now)
    return len(from_tiers)


def _end_of(
    ladder: Ladder, tier_id: UUID, growth: GrowthTier, granted: Iterable[Granted], now: datetime
) -> datetime | None:
    """As `points.end_of_tier`."""
    if tier_id == ladder.steps[0].id:
        return None
    ends = [grant.expires_at for grant in granted if grant.tier_id == tier_id]
    if growth.tier_id == tier_id:
        ends.append(growth.expires_at)
    return points.last_end(ends, now)


async def _move(
    tx: Transaction,
    card_ids: Collection[UUID],
    from_tiers: dict[UUID, UUID],
    tier_id: UUID,
    growth: GrowthTier,
    cause: TierCause,
    cause_id: UUID | None,
    now: datetime,
) -> None:
    """Write what cards become that all become the same, and which of them had another tier."""
    moved = await tx.all(
        move_cards,
        card_ids=card_ids,
        new_tier_id=tier_id,
        new_growth_tier_id=growth.tier_id,
        new_since=growth.since,
        new_expires_at=growth.expires_at,
    )
    changes = []
    for card_id, member_id in moved:
        if card_id not in from_tiers:
            continue
        change = new_change(
            card_id=card_id,
            from_tier_id=from_tiers[card_id],
            to_tier_id=tier_id,
            cause=cause,
            cause_id=cause_id,
            changed_at=now,
        )
        changes.append(change)
        live.tell(tx, member_id, "TIER_CHANGED", object_id=change.id, now=now)
    await tx.insert(*changes)
