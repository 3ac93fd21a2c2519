"""What members' points may still cost: movements, what is outstanding and until when (PTS-8)."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, cast, literal_column
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, statement
from app.core.money import Money, proportion_half_up
from app.models.cards import Card, Scheme
from app.models.ledger import Account, AccountKind, Lot, PostingKind
from app.services.actors import Actor
from app.services.reports.movements import Flow, Part, flows
from app.services.reports.quarters import month_of, quarter_of
from app.services.reports.subjects import Subject, subject

KINDS: dict[str, tuple[PostingKind, ...]] = {
    "issued": (PostingKind.EARN, PostingKind.TOP_UP),
    "taken_back": (PostingKind.EARN_REVERSAL, PostingKind.TOP_UP_REFUND),
    "spent": (PostingKind.SPEND, PostingKind.AUTHORISE),
    "returned": (PostingKind.SPEND_REVERSAL, PostingKind.CAPTURE),
    "expired": (PostingKind.EXPIRE,),
    "decayed": (PostingKind.DECAY,),
    "adjusted": (PostingKind.ADJUST,),
    "voided": (PostingKind.CARD_REFUND,),
    "rolled_back": (PostingKind.ROLL_BACK,),
    "merged": (PostingKind.MERGE, PostingKind.MERGE_UNDO),
}
"""Every kind of posting under one name, so that opening + all of these = closing (PTS-8)."""
GIFT_CARDS = {kind for kind in PostingKind if kind.startswith("GIFT_CARD_")}
"""They bring no points and take none."""
assert sorted(kind for kinds in KINDS.values() for kind in kinds) == sorted(
    set(PostingKind) - GIFT_CARDS
)


class _Left(NamedTuple):
    """What remains of lots that expire within the same quarter of an hour."""

    scheme_id: UUID
    quarter: int | None
    points: int


outstanding = statement(
    select(
        Card.scheme_id,
        quarter_of(col(Lot.expires_at)).label("quarter"),
        cast(func.sum(Lot.remaining), BigInteger).label("points"),
    )
    .select_from(Lot)
    .join(Account, col(Account.id) == col(Lot.account_id))
    .join(Card, col(Card.id) == col(Account.card_id))
    .where(
        any_of(col(Card.scheme_id), "scheme_ids"),
        col(Account.kind) == AccountKind.POINTS,
        col(Lot.remaining) > literal_column("0"),  # no parameter: the index is of these alone
    )
    .group_by(col(Card.scheme_id), "quarter"),
    into=_Left,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """Points that are cleared within one month of the perspective's calendar, or never."""

    month: date | None
    points: int
    cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemePoints:
    """The points of one scheme over a period."""

    scheme: Scheme
    flow: Flow
    held: Flow
    months: list[Expiring] | None
    """None for a period that ended before now: lots tell what is left of them today only."""

    def changed_by(self, name: str) -> int:
        """What one name of `KINDS` changed; negative for what left the cards."""
        return self.flow.of_kinds(KINDS[name])

    @property
    def cost(self) -> Money:
        """What the points on the cards at the closing cost, should all of them be spent."""
        return cost_of(self.flow.on_cards, self.scheme)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsLiability:
    about: Subject
    schemes: list[SchemePoints]


def cost_of(points: int, scheme: Scheme) -> Money:
    """Points × cost of 1,000 ÷ 1,000 in minor units, the half rounded up (PTS-8)."""
    cost = proportion_half_up(points, scheme.points_cost_per_thousand, 1_000)
    return Money(cost, scheme.currency)


async def report(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    from_day: date,
    to_day: date,
    now: datetime,
) -> PointsLiability:
    """Movements and what is outstanding, scheme by scheme (PTS-8). `Forbidden`, `BadInput`."""
    about = await subject(
        tx, actor, perspective_id=perspective_id, from_day=from_day, to_day=to_day, now=now
    )
    return await of(tx, about)


async def of(tx: Transaction, about: Subject) -> PointsLiability:
    """The same of a subject that was checked."""
    found = await flows(tx, about, is_points=True, by_store=False)
    months = await _months(tx, about) if about.is_until_now else None
    return PointsLiability(
        about=about,
        schemes=[
            SchemePoints(
                scheme=scheme,
                flow=found.get((scheme.id, Part.POINTS), Flow()),
                held=found.get((scheme.id, Part.HELD), Flow()),
                months=None if months is None else months[scheme.id],
            )
            for scheme in about.schemes
        ],
    )


async def _months(tx: Transaction, about: Subject) -> dict[UUID, list[Expiring]]:
    """What is left of every scheme's lots by month, those that never expire at the end."""
    counted: dict[UUID, Counter[date | None]] = {s.id: Counter() for s in about.schemes}
    for scheme_id, quarter, points in await tx.all(outstanding, scheme_ids=about.scheme_ids):
        month = None if quarter is None else month_of(quarter, about.period.zone)
        counted[scheme_id][month] += points
    return {
        scheme.id: [
            Expiring(month=month, points=points, cost=cost_of(points, scheme))
            for month, points in sorted(
                counted[scheme.id].items(), key=lambda item: item[0] or date.max
            )
        ]
        for scheme in about.schemes
    }
