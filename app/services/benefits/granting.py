"""Benefits given to one card: with a package, with a top-up (BEN-6, TOP-3)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, every_column, light, statement, upsert, values_of
from app.core.errors import DomainError
from app.models.benefits import Benefit, BenefitGrant, BenefitSource, BenefitState
from app.models.cards import Card
from app.models.organisation import Node
from app.services import cards, scopes
from app.services.benefits import terms
from app.services.benefits.details import CardExtension

TABLE = BenefitGrant.__table__  # type: ignore[attr-defined]

benefits_by_id = statement(select(Benefit).where(any_of(col(Benefit.id), "ids")), into=Benefit)
add_grant = upsert(
    lambda insert: (
        insert(BenefitGrant)
        .values(every_column(BenefitGrant))
        .on_conflict_do_nothing(index_elements=["source_id", "source", "benefit_id"])
        .returning(col(BenefitGrant.id))
    ),
    into=UUID,
)
given_before = statement(
    select(BenefitGrant).where(
        col(BenefitGrant.source_id) == bindparam("of_source_id"),
        col(BenefitGrant.source) == bindparam("of_source"),
        col(BenefitGrant.benefit_id) == bindparam("of_benefit_id"),
    ),
    into=BenefitGrant,
)
end_by_source = statement(
    update(BenefitGrant)
    .where(
        col(BenefitGrant.source_id) == bindparam("of_source_id"),
        col(BenefitGrant.source) == bindparam("of_source"),
        col(BenefitGrant.ended_at).is_(None),
    )
    .values(ended_at=bindparam("at"))
    .returning(*TABLE.columns),
    into=BenefitGrant,
)
set_expiry = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(expires_at=bindparam("new_expires_at"))
)
new_grant = light(BenefitGrant)


class BenefitNotFound(DomainError):
    """No such benefit in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such benefit.")


async def by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Benefit]:
    return {row.id: row for row in await tx.all(benefits_by_id, ids=list(ids))}


async def require(
    tx: Transaction, *, perspective: Node, benefit_ids: Collection[UUID]
) -> list[Benefit]:
    """The benefits that something made under a perspective may bring, in the order asked for:
    active ones, made under the same node or one above. Raises `BenefitNotFound`.
    """
    found = await by_ids(tx, benefit_ids)
    above = scopes.lineage_of(perspective)
    for benefit_id in benefit_ids:
        benefit = found.get(benefit_id)
        if (
            benefit is None
            or benefit.state is not BenefitState.ACTIVE
            or benefit.perspective_id not in above
        ):
            raise BenefitNotFound
    return [found[benefit_id] for benefit_id in benefit_ids]


async def grant(
    tx: Transaction,
    *,
    card: Card,
    benefit_id: UUID,
    source: BenefitSource,
    source_id: UUID,
    starts_at: datetime,
    ends_at: datetime | None,
    now: datetime,
) -> BenefitGrant:
    """Give a locked card a benefit as it is now, once for each source; `ends_at` None is for good.

    An extension prolongs the card's time at once, whenever the rest begins; a card without an end
    has nothing to prolong. One that was deactivated meanwhile is given too, for it was promised,
    and is enjoyed once it is active again. Raises `BenefitNotFound`.
    """
    benefit = (await by_ids(tx, [benefit_id])).get(benefit_id)
    if benefit is None or benefit.group_id != card.group_id:
        raise BenefitNotFound
    (as_it_is,) = await terms.of_benefits(tx, [benefit])
    details = as_it_is.details
    prolongs = isinstance(details, CardExtension) and card.expires_at is not None
    given = new_grant(
        group_id=card.group_id,
        card_id=card.id,
        benefit_id=benefit.id,
        source=source,
        source_id=source_id,
        terms=terms.document_of(as_it_is),
        multiplies_points=benefit.multiplies_points,
        extended_days=details.days if prolongs and isinstance(details, CardExtension) else 0,
        starts_at=starts_at,
        ends_at=ends_at,
        granted_at=now,
    )
    if not await tx.one(add_grant, **values_of(given)):
        earlier = await tx.one(
            given_before, of_source_id=source_id, of_source=source, of_benefit_id=benefit.id
        )
        assert earlier is not None, "a grant is never deleted"
        return earlier
    if given.extended_days:
        await _prolong(tx, card.id, given.extended_days)
    return given


async def end_grants(
    tx: Transaction, *, source: BenefitSource, source_id: UUID, now: datetime
) -> int:
    """Take back what a source gave to whatever card; how many benefits that were.

    Days that an extension brought go with it as far as they are unused: a card that lives by them
    alone expires now, and one that expired meanwhile stays as it was. They were those of the very
    card that was prolonged, though it was merged since. The caller holds the card that lives.
    """
    ended = await tx.all(end_by_source, of_source_id=source_id, of_source=source, at=now)
    for each in ended:
        if each.extended_days:
            card = (await cards.cards(tx, [each.card_id]))[each.card_id]
            if card.expires_at is not None and card.expires_at > now:
                left = card.expires_at - timedelta(days=each.extended_days)
                await tx.changed(set_expiry, card_id=card.id, new_expires_at=max(left, now))
    return len(ended)


async def _prolong(tx: Transaction, card_id: UUID, days: int) -> None:
    """Add days to a card's time, read again: one package can bring two extensions."""
    card = (await cards.cards(tx, [card_id]))[card_id]
    assert card.expires_at is not None
    await tx.changed(
        set_expiry, card_id=card_id, new_expires_at=card.expires_at + timedelta(days=days)
    )
