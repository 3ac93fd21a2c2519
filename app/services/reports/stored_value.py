"""Stored value over a period: what was on the cards, what came and went, what is left (FIN-2)."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from app.core.db import Transaction
from app.models.cards import Scheme
from app.services.actors import Actor
from app.services.reports.movements import Flow, Part, flows
from app.services.reports.subjects import Subject, subject


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeValue:
    """The stored value of one scheme, in minor units of its currency."""

    scheme: Scheme
    cash: Flow
    bonus: Flow
    held: Flow
    """Taken from cards for bills that are not final: neither theirs any more nor ours yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    about: Subject
    schemes: list[SchemeValue]


async def report(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    from_day: date,
    to_day: date,
    by_store: bool,
    now: datetime,
) -> StoredValue:
    """Cash, bonus and what is held, scheme by scheme (FIN-2). Raises `Forbidden`, `BadInput`."""
    about = await subject(
        tx, actor, perspective_id=perspective_id, from_day=from_day, to_day=to_day, now=now
    )
    return await of(tx, about, by_store=by_store)


async def of(tx: Transaction, about: Subject, *, by_store: bool) -> StoredValue:
    """The same of a subject that was checked."""
    found = await flows(tx, about, is_points=False, by_store=by_store)
    nothing = Flow(by_store=() if by_store else None)
    return StoredValue(
        about=about,
        schemes=[
            SchemeValue(
                scheme=scheme,
                cash=found.get((scheme.id, Part.CASH), nothing),
                bonus=found.get((scheme.id, Part.BONUS), nothing),
                held=found.get((scheme.id, Part.HELD), nothing),
            )
            for scheme in about.schemes
        ],
    )
