"""What is read of tiers: how far a card is, what changed, growth in a time (TIR-8)."""

from datetime import datetime
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, cast
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import BadInput
from app.models.cards import Card
from app.models.ledger import Entry, Posting
from app.models.tiers import RunState, TierChange, TierCondition, TierRun
from app.services import ledger, schemes
from app.services.tiers import tasks
from app.services.tiers.evaluating import ladder_of, live_grants, standing_of
from app.services.tiers.rules import Ladder
from app.services.tiers.tasks import Reached

_newest = select(TierChange).order_by(col(TierChange.id).desc()).limit(bindparam("limit"))
_earlier = col(TierChange.id) < bindparam("before")


def _of_card(has_absorbed: bool) -> Any:
    if has_absorbed:
        return col(TierChange.card_id).in_(ledger.own_and_absorbed)
    return col(TierChange.card_id) == bindparam("card_id")


PAGES = {
    # (the card absorbed others, a cursor was given)
    (has_absorbed, has_cursor): statement(
        _newest.where(_of_card(has_absorbed), *([_earlier] if has_cursor else [])),
        into=TierChange,
    )
    for has_absorbed, has_cursor in product((False, True), repeat=2)
}
change_by_id = statement(
    select(TierChange).where(col(TierChange.id) == bindparam("change_id")), into=TierChange
)
# What a merge moved left one card and came to the other: together it is nothing.
growth_in_time = statement(
    select(cast(func.coalesce(func.sum(Entry.amount), 0), BigInteger))
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .where(
        col(Entry.card_id).in_(ledger.own_and_absorbed),
        col(Entry.unit) == ledger.GROWTH,
        col(Posting.occurred_at) >= bindparam("from_moment"),
        col(Posting.occurred_at) < bindparam("to_moment"),
    ),
    into=int,
)
running = statement(
    select(TierRun).where(
        any_of(col(TierRun.scheme_id), "scheme_ids"), col(TierRun.state) == RunState.RUNNING
    ),
    into=TierRun,
)


class Progress(NamedTuple):
    """How far a card is on the way to the tier above its own."""

    tier_id: UUID | None
    """The tier above; None at the top."""
    growth_needed: int | None
    """The growth it begins at; None where growth does not lead to it."""
    growth_gained: int
    """What counts towards it now."""
    tasks: list[Reached]
    expires_at: datetime | None
    """When the present tier ends, None for never."""


async def progress(tx: Transaction, *, card: Card, now: datetime) -> Progress:
    """How far a card is on the way to the next tier, and how long it has its own."""
    rules = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
    ladder = await ladder_of(tx, rules)
    expires_at = await _end_of(tx, ladder, card, now)
    level = ladder.level(card.tier_id)
    above = next((step for step in ladder.steps if step.level > level), None)
    if above is None:
        return Progress(None, None, 0, [], expires_at)
    standing = await standing_of(tx, ladder, card, now)
    if not rules.tiers_are_computed or above.condition is TierCondition.NONE:
        needed, gained = None, standing.balance
    elif above.condition is TierCondition.WINDOW and above.window_months is not None:
        place = ladder.windows.index(above.window_months)
        needed, gained = above.growth_from, standing.gained[place]
    else:
        needed, gained = above.growth_from, standing.balance
    reached = await tasks.progress(tx, ladder, card=card, step=above, now=now)
    return Progress(above.id, needed, gained, reached, expires_at)


async def _end_of(tx: Transaction, ladder: Ladder, card: Card, now: datetime) -> datetime | None:
    """When the last of what keeps a card in its tier ends."""
    level = ladder.level(card.tier_id)
    if level == ladder.steps[0].level:
        return None
    ends = [
        grant.expires_at
        for grant in await tx.all(live_grants, card_id=card.id, now=now)
        if ladder.level(grant.tier_id) >= level
    ]
    if ladder.level(card.growth_tier_id) >= level:
        ends.append(card.growth_tier_expires_at)
    dated = [end for end in ends if end is not None]
    return max(dated) if dated and len(dated) == len(ends) else None


async def changes_of_card(
    tx: Transaction, *, card_id: UUID, has_absorbed: bool, before: UUID | None, limit: int
) -> list[TierChange]:
    """How a card's tier changed, newest first, cards merged into it included."""
    cursor = {} if before is None else {"before": before}
    page = PAGES[has_absorbed, before is not None]
    return await tx.all(page, card_id=card_id, limit=limit, **cursor)


async def growth_gained(
    tx: Transaction, *, card_id: UUID, from_moment: datetime, to_moment: datetime
) -> int:
    """What a card gained from a moment on and before another, less what it lost (TIR-8)."""
    if from_moment > to_moment:
        raise BadInput("from must not lie after to.")
    values = {"from_moment": from_moment, "to_moment": to_moment}
    return await tx.one(growth_in_time, card_id=card_id, **values) or 0


async def change_told(tx: Transaction, *, change_id: UUID) -> TierChange:
    """The change an event names."""
    change = await tx.one(change_by_id, change_id=change_id)
    assert change is not None
    return change


async def running_by_scheme(tx: Transaction, scheme_ids: list[UUID]) -> dict[UUID, TierRun | None]:
    """The run that is going on in each of these schemes."""
    found: dict[UUID, TierRun | None] = dict.fromkeys(scheme_ids)
    for run in await tx.all(running, scheme_ids=scheme_ids):
        found[run.scheme_id] = run
    return found
