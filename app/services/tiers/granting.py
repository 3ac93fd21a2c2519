"""Tiers that were given: with a top-up, for fulfilled tasks, by staff or a partner (TIR-1)."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.core.errors import BadInput, DomainError
from app.core.ids import new_id
from app.core.texts import checked_text
from app.core.tier_periods import TierValidity, valid_until
from app.models.cards import Card, CardStatus
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.models.tiers import GrantSource, TierCause, TierGrant
from app.services import audit, cards, organisation, schemes
from app.services.actors import Actor
from app.services.tiers.evaluating import growth_tier_of, ladder_of, settle
from app.services.tiers.rules import LOWEST, GrowthTier, Ladder

REASON_CHARS_MAX = 200

add_grant = upsert(
    lambda insert: (
        insert(TierGrant)
        .values(every_column(TierGrant))
        .on_conflict_do_nothing(index_elements=["card_id", "source", "source_id"])
        .returning(col(TierGrant.id))
    ),
    into=UUID,
)
end_by_source = statement(
    update(TierGrant)
    .where(
        col(TierGrant.card_id) == bindparam("of_card_id"),
        col(TierGrant.source) == bindparam("of_source"),
        col(TierGrant.source_id) == bindparam("of_source_id"),
        col(TierGrant.ended_at).is_(None),
    )
    .values(ended_at=bindparam("at"))
    .returning(col(TierGrant.id)),
    into=UUID,
)
end_by_hand = statement(
    update(TierGrant)
    .where(
        col(TierGrant.card_id) == bindparam("of_card_id"),
        or_(
            col(TierGrant.source) == GrantSource.STAFF, col(TierGrant.source) == GrantSource.PARTNER
        ),
        col(TierGrant.ended_at).is_(None),
    )
    .values(ended_at=bindparam("at"))
)
grants_of_card = statement(
    select(TierGrant)
    .where(col(TierGrant.card_id) == bindparam("card_id"))
    .order_by(col(TierGrant.id)),
    into=TierGrant,
)
new_grant = light(TierGrant)


class TierNotFound(DomainError):
    """No such tier in the card's scheme."""

    def __init__(self) -> None:
        super().__init__("This card's scheme has no such tier.")


async def grant(
    tx: Transaction,
    *,
    card: Card,
    tier_id: UUID,
    source: GrantSource,
    source_id: UUID,
    months: int | None = None,
    expires_at: datetime | None = None,
    now: datetime,
) -> Card:
    """Give a locked card a tier, once for each source: for so many months or until a time, without
    either for good (TIR-1).

    Months end with the day so many months later, in the scheme's zone. Raises `TierNotFound`.
    """
    assert months is None or expires_at is None, "a tier ends once"
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    ladder = await ladder_of(tx, scheme)
    if months is not None:
        expires_at = valid_until(TierValidity.DAY_AFTER_MONTHS, months, now, ladder.zone)
    return await give(
        tx, ladder, card=card, tier_id=tier_id, source=source, source_id=source_id,
        expires_at=expires_at, now=now,
    )  # fmt: skip


async def give(
    tx: Transaction,
    ladder: Ladder,
    *,
    card: Card,
    tier_id: UUID,
    source: GrantSource,
    source_id: UUID,
    expires_at: datetime | None,
    now: datetime,
    at: datetime | None = None,
) -> Card:
    """See `grant`; with the scheme's tiers at hand. `at` is when it is given, if not now."""
    if tier_id not in ladder.by_id:
        raise TierNotFound
    given = new_grant(
        card_id=card.id,
        tier_id=tier_id,
        source=source,
        source_id=source_id,
        granted_at=at or now,
        expires_at=expires_at,
    )
    if not await tx.one(add_grant, **values_of(given)):
        return card  # given before, by this very source
    return await settle(
        tx, ladder, card=card, growth=growth_tier_of(card), cause=TierCause.GRANT,
        cause_id=given.id, now=now, grants_changed=True,
    )  # fmt: skip


async def end_grants(
    tx: Transaction, *, card: Card, source: GrantSource, source_id: UUID, now: datetime
) -> Card:
    """Take back what a source gave a locked card; what else it has decides then."""
    ended = await tx.all(
        end_by_source, of_card_id=card.id, of_source=source, of_source_id=source_id, at=now
    )
    if not ended:
        return card
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    return await settle(
        tx, await ladder_of(tx, scheme), card=card, growth=growth_tier_of(card),
        cause=TierCause.GRANT_ENDED, cause_id=ended[0], now=now, grants_changed=True,
    )  # fmt: skip


async def set_tier(
    tx: Transaction,
    actor: Actor,
    *,
    card_id: UUID,
    tier_id: UUID | None,
    expires_at: datetime | None,
    reason: str,
    now: datetime,
) -> Card:
    """Staff or a partner write a card's tier, until some time or for good; None withdraws it.

    In a scheme that only records tiers it is the card's tier, whatever was written before (TIR-5).
    Where tiers are computed it is granted beside what growth reaches, and replaces what was given
    by hand before. Raises `CardNotFound`, `CardNotUsable` for a refunded card, `TierNotFound`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    if expires_at is not None and (tier_id is None or expires_at <= now):
        raise BadInput("expiresAt must lie in the future, and needs a tier.")
    card = await cards.living(tx, card_id)
    if card.group_id != actor.group_id:
        raise cards.CardNotFound
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=card.scheme_id)
    perspective = await organisation.node(tx, scheme.perspective_id)
    actor.require(Permission.TIERS_GRANT, perspective)
    card = await cards.locked(tx, card)
    if card.status is CardStatus.REFUNDED:
        raise cards.CardNotUsable(card.status)
    # Its rules again, under the card's lock, for which a release of new ones waits.
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=card.scheme_id)
    ladder = await ladder_of(tx, scheme)
    if tier_id is not None and tier_id not in ladder.by_id:
        raise TierNotFound
    if scheme.tiers_are_computed:
        changed = await _give_by_hand(tx, ladder, actor, card, tier_id, expires_at, now)
    else:
        is_lowest = tier_id in {None, ladder.steps[0].id}
        stays = tier_id == card.growth_tier_id
        since = card.growth_tier_since if stays else now
        recorded = LOWEST if is_lowest else GrowthTier(tier_id, since, expires_at)
        changed = await settle(
            tx, ladder, card=card, growth=recorded, cause=TierCause.GRANT, cause_id=None, now=now,
            grants_changed=True,
        )  # fmt: skip
    await audit.record(
        tx, actor, "card.tier_set", object_kind="card", object_id=card.id, node_id=perspective.id,
        now=now, tier=tier_id, expires_at=expires_at, was=card.tier_id, became=changed.tier_id,
        reason=reason,
    )  # fmt: skip
    return changed


async def _give_by_hand(
    tx: Transaction,
    ladder: Ladder,
    actor: Actor,
    card: Card,
    tier_id: UUID | None,
    expires_at: datetime | None,
    now: datetime,
) -> Card:
    is_partner = actor.kind is PrincipalKind.PARTNER
    await tx.changed(end_by_hand, of_card_id=card.id, at=now)
    given: Sequence[TierGrant] = ()
    if tier_id is not None:
        grant_id = new_id()
        given = [
            new_grant(
                id=grant_id,
                card_id=card.id,
                tier_id=tier_id,
                source=GrantSource.PARTNER if is_partner else GrantSource.STAFF,
                source_id=grant_id,  # each time anew
                granted_at=now,
                expires_at=expires_at,
            )
        ]
        await tx.insert(*given)
    return await settle(
        tx, ladder, card=card, growth=growth_tier_of(card),
        cause=TierCause.GRANT if given else TierCause.GRANT_ENDED,
        cause_id=given[0].id if given else None, now=now, grants_changed=True,
    )  # fmt: skip
