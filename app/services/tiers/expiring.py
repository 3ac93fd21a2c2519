"""Tiers whose time is over, a batch at a time (TIR-4)."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, statement
from app.models.cards import Card, CardStatus
from app.models.tiers import TierCause, TierGrant
from app.services import schemes
from app.services.tiers.batches import settle_all
from app.services.tiers.evaluating import ladder_of
from app.services.tiers.rules import Ladder

EXPIRED_AT_ONCE_MAX = 1_000
"""Tiers, and grants, of one batch, which is one transaction."""


class DueGrant(NamedTuple):
    id: UUID
    card_id: UUID


class DueCard(NamedTuple):
    """A locked card, and when the tier ends that growth reached."""

    id: UUID
    scheme_id: UUID
    expires_at: datetime | None


cards_due = statement(
    select(Card.id)
    .where(
        col(Card.growth_tier_expires_at) <= bindparam("now"),
        col(Card.status) != CardStatus.MERGED,
    )
    .order_by(col(Card.growth_tier_expires_at))
    .limit(bindparam("at_most")),
    into=UUID,
)
grants_due = statement(
    select(TierGrant.id, TierGrant.card_id)
    .where(col(TierGrant.ended_at).is_(None), col(TierGrant.expires_at) <= bindparam("now"))
    .order_by(col(TierGrant.expires_at))
    .limit(bindparam("at_most")),
    into=DueGrant,
)
# In the order of their ids, as every batch locks cards, so that no two wait for each other.
lock_cards = statement(
    select(Card.id, Card.scheme_id, col(Card.growth_tier_expires_at).label("expires_at"))
    .where(any_of(col(Card.id), "card_ids"))
    .order_by(col(Card.id))
    .with_for_update(key_share=True),
    into=DueCard,
)
end_grants = statement(
    update(TierGrant)
    .where(any_of(col(TierGrant.id), "grant_ids"), col(TierGrant.ended_at).is_(None))
    .values(ended_at=bindparam("at"))
)


async def expire_due(tx: Transaction, *, now: datetime, at_most: int = EXPIRED_AT_ONCE_MAX) -> int:
    """End the growth tiers and the grants that were due longest, and find what follows them.

    How many tiers and grants that were; run it until there are none.
    """
    due_ids = set(await tx.all(cards_due, now=now, at_most=at_most))
    grants = await tx.all(grants_due, now=now, at_most=at_most)
    holders = {grant.card_id for grant in grants}
    if not due_ids and not grants:
        return 0
    locked = await tx.all(lock_cards, card_ids=sorted(due_ids | holders))
    await tx.changed(end_grants, grant_ids=[grant.id for grant in grants], at=now)
    # Somebody may have been faster with a card before it was locked.
    over = [
        card
        for card in locked
        if card.id in due_ids and card.expires_at is not None and card.expires_at <= now
    ]
    over_ids = {card.id for card in over}
    only_grants = [card for card in locked if card.id in holders - over_ids]
    for ladder, card_ids in await _by_scheme(tx, over):
        await settle_all(
            tx, ladder, card_ids, ladder.after_expiry, cause=TierCause.EXPIRY, cause_id=None,
            now=now, since_reached=True,
        )  # fmt: skip
    for ladder, card_ids in await _by_scheme(tx, only_grants):
        await settle_all(
            tx, ladder, card_ids, None, cause=TierCause.GRANT_ENDED, cause_id=None, now=now
        )
    return len(due_ids) + len(grants)


async def _by_scheme(tx: Transaction, found: Iterable[DueCard]) -> list[tuple[Ladder, list[UUID]]]:
    by_scheme: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for card in found:
        by_scheme[card.scheme_id].append(card.id)
    rules = await schemes.by_ids(tx, list(by_scheme))
    return [(await ladder_of(tx, rules[i]), card_ids) for i, card_ids in by_scheme.items()]
