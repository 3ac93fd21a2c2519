"""Tiers of two cards that become one, and are parted again (IDN-4, IDN-5)."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Transaction, any_of, changed_copy, statement
from app.models.cards import Card
from app.models.ledger import PostingKind
from app.models.sessions import PrincipalKind
from app.models.tiers import TierCause, TierGrant
from app.services import ledger, schemes
from app.services.tiers.evaluating import (
    growth_tier_of,
    ladder_of,
    settle,
    standing_of,
    write_card,
)
from app.services.tiers.granting import grants_of_card
from app.services.tiers.growth import of_both, post
from app.services.tiers.rules import LOWEST, GrowthTier, Ladder

UNIT_CAUSE = "merge_growth"

re_point_grants = statement(
    update(TierGrant)
    .where(col(TierGrant.card_id) == bindparam("from_card_id"))
    .values(card_id=bindparam("to_card_id"))
    .returning(col(TierGrant.id)),
    into=UUID,
)
return_grants = statement(
    update(TierGrant)
    .where(
        any_of(col(TierGrant.id), "grant_ids"), col(TierGrant.card_id) == bindparam("from_card_id")
    )
    .values(card_id=bindparam("to_card_id"))
)


class Combined(NamedTuple):
    """The card that stays, as it is now, and what parting the two again goes by."""

    card: Card
    kept: dict[str, Any]
    """Plain JSON for the merge's manifest, without anything personal."""


async def after_merge(
    tx: Transaction, *, card: Card, absorbed: Card, merge_id: UUID, now: datetime
) -> Combined:
    """Give a card the growth, grants and, if it is higher, the tier of one it absorbed (IDN-4).

    Both are locked, read before the merge changed them, and their value has been moved. What was
    left of a unit of growth adds up, and may be a whole one now; the growth of both may reach more.
    """
    scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
    ladder = await ladder_of(tx, scheme)
    held = _higher(ladder, await _base(tx, ladder, card), await _base(tx, ladder, absorbed))
    moved_ids = await tx.all(re_point_grants, from_card_id=absorbed.id, to_card_id=card.id)
    unit = of_both(scheme, card, absorbed)
    unit_posting_id = await _earn_unit(tx, card, absorbed, unit, merge_id, now)
    growth = held
    if scheme.tiers_are_computed:
        standing = await standing_of(tx, ladder, card, now)
        growth = ladder.after_growth(held, standing, was_lost=False, now=now)
        growth = _higher(ladder, growth, held)  # the higher tier stays, whatever the rules say
    kept = {
        "grant_ids": [str(grant_id) for grant_id in moved_ids],
        "of_absorbed": _to_json(growth_tier_of(absorbed)),
        "of_card": _to_json(growth_tier_of(card)),
        "became": _to_json(growth),
        "unit_posting_id": str(unit_posting_id) if unit_posting_id else None,
    }
    if absorbed.growth_tier_expires_at is not None:
        # What is over is looked for by its time: a merged card's tier is no longer.
        await write_card(tx, changed_copy(absorbed, growth_tier_expires_at=None))
    combined = await settle(
        tx, ladder, card=card, growth=growth, cause=TierCause.MERGE, cause_id=merge_id, now=now,
        growth_amount=card.growth_amount + absorbed.growth_amount, grants_changed=True,
    )  # fmt: skip
    return Combined(combined, kept)


async def after_parting(
    tx: Transaction,
    *,
    card: Card,
    absorbed: Card,
    kept: dict[str, Any],
    merge_id: UUID,
    now: datetime,
) -> tuple[Card, Card]:
    """Part two cards again: the one that stayed, and the one that is back (IDN-5).

    Both are locked, read before they were parted, and value has gone back. Grants go back to whom
    they came with. The growth tier of the card that stayed is that of before the merge, unless it
    has changed since; both then get what their own growth reaches.
    """
    scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
    ladder = await ladder_of(tx, scheme)
    grant_ids = [UUID(grant_id) for grant_id in kept["grant_ids"]]
    await tx.changed(
        return_grants, grant_ids=grant_ids, from_card_id=card.id, to_card_id=absorbed.id
    )
    amount = max(0, card.growth_amount - absorbed.growth_amount)
    unit = of_both(scheme, changed_copy(card, growth_amount=amount), absorbed)
    await _give_unit_back(tx, card, absorbed, unit, kept, merge_id, now)
    is_unchanged = growth_tier_of(card) == _from_json(ladder, kept["became"])
    own = _from_json(ladder, kept["of_card"]) if is_unchanged else growth_tier_of(card)
    # What it had alone it keeps alone; what it reached with the other's growth it may lose.
    parted = await _alone(
        tx, ladder, card, own, amount, was_lost=not is_unchanged, merge_id=merge_id, now=now
    )
    back = await _alone(
        tx, ladder, absorbed, _from_json(ladder, kept["of_absorbed"]), absorbed.growth_amount,
        was_lost=False, merge_id=merge_id, now=now,
    )  # fmt: skip
    return parted, back


async def _alone(
    tx: Transaction,
    ladder: Ladder,
    card: Card,
    held: GrowthTier,
    growth_amount: int,
    *,
    was_lost: bool,
    merge_id: UUID,
    now: datetime,
) -> Card:
    growth = held
    if ladder.scheme.tiers_are_computed or held.is_over(now):
        standing = await standing_of(tx, ladder, card, now)
        growth = ladder.after_growth(held, standing, was_lost=was_lost, now=now)
    return await settle(
        tx, ladder, card=card, growth=growth, cause=TierCause.MERGE, cause_id=merge_id, now=now,
        growth_amount=growth_amount, grants_changed=True,
    )  # fmt: skip


async def _earn_unit(
    tx: Transaction, card: Card, absorbed: Card, amount: int, merge_id: UUID, now: datetime
) -> UUID | None:
    """Growth for the unit that two remainders make; what was posted."""
    if not amount:
        return None
    header = ledger.Header.of(
        card,
        kind=PostingKind.EARN,
        cause_kind=UNIT_CAUSE,
        cause_id=uuid5(merge_id, str(absorbed.id)),
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    return (await post(tx, card, header, amount)).id


async def _give_unit_back(
    tx: Transaction,
    card: Card,
    absorbed: Card,
    amount: int,
    kept: dict[str, Any],
    merge_id: UUID,
    now: datetime,
) -> None:
    """Take back the growth of the unit that the two made together, at the merge or since."""
    if not amount:
        return
    posting_id = kept["unit_posting_id"]
    header = ledger.Header.of(
        card,
        kind=PostingKind.EARN_REVERSAL,
        cause_kind=f"{UNIT_CAUSE}_undo",
        cause_id=uuid5(merge_id, str(absorbed.id)),
        reverses_id=UUID(posting_id) if posting_id else None,
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    await post(tx, card, header, -amount)


async def _base(tx: Transaction, ladder: Ladder, card: Card) -> GrowthTier:
    """What growth reached, or the tier itself where neither growth nor a grant accounts for it:
    so it was recorded.
    """
    held = growth_tier_of(card)
    given = await tx.all(grants_of_card, card_id=card.id)
    granted = [grant.tier_id for grant in given if grant.ended_at is None]
    explained = ladder.level(ladder.highest(held.tier_id, *granted))
    if ladder.level(card.tier_id) <= explained:
        return held
    return GrowthTier(card.tier_id, card.issued_at, None)


def _higher(ladder: Ladder, one: GrowthTier, other: GrowthTier) -> GrowthTier:
    """The higher tier; of two equal ones that which lasts longer."""

    def rank(each: GrowthTier) -> tuple[int, bool, float]:
        end = each.expires_at
        return ladder.level(each.tier_id), end is None, end.timestamp() if end else 0.0

    return max(one, other, key=rank)


def _to_json(growth: GrowthTier) -> dict[str, str | None]:
    return {
        "tier_id": str(growth.tier_id) if growth.tier_id else None,
        "since": growth.since.isoformat() if growth.since else None,
        "expires_at": growth.expires_at.isoformat() if growth.expires_at else None,
    }


def _from_json(ladder: Ladder, kept: dict[str, str | None]) -> GrowthTier:
    """As it was kept; a tier that the scheme no longer has is the lowest."""
    tier_id = UUID(kept["tier_id"]) if kept["tier_id"] else None
    if tier_id is None or tier_id not in ladder.by_id:
        return LOWEST
    since, end = kept["since"], kept["expires_at"]
    return GrowthTier(
        tier_id,
        datetime.fromisoformat(since) if since else None,
        datetime.fromisoformat(end) if end else None,
    )
