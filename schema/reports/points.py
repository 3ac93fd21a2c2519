"""Points over a period, and what they may still cost (PTS-8)."""

from datetime import date
from typing import Self

import strawberry

from app.services.reports import points as point_rows
from schema.reports.subjects import ReportSubject
from schema.scalars import Long, Money
from schema.schemes import Scheme


@strawberry.type(description="Points that are cleared in one month, or never.")
class OutstandingPoints:
    month: date | None = strawberry.field(
        description="The month's first day, in the perspective's time zone; null is never."
    )
    points: Long = strawberry.field(description="What is left of them now.")
    cost: Money = strawberry.field(description="What these cost.")

    @classmethod
    def of(cls, found: point_rows.Expiring) -> Self:
        return cls(
            month=found.month,
            points=Long(found.points),
            cost=Money.of(found.cost.amount, found.cost.currency),
        )


_CHANGES = {
    "issued": "Earned, or brought by top-ups.",
    "taken_back": "Taken back by refunds of what had earned them.",
    "spent": "Spent, or set aside for a bill.",
    "returned": "Returned by spendings that were undone.",
    "expired": "Cleared when their time was over.",
    "decayed": "Cleared because the card was not used.",
    "adjusted": "Added or taken by staff, or given up with an account.",
    "voided": "Voided with a refunded card.",
    "rolled_back": "Taken back after fraud.",
    "merged": "Moved between cards of one person: always 0 in all.",
}


@strawberry.type(
    description="The points of one scheme over a period. Changes have a sign: opening + all changes"
    " = closing."
)
class SchemePoints:
    scheme: Scheme = strawberry.field(description="The scheme.")
    opening: Long = strawberry.field(description="At the midnight that begins it.")
    issued: Long = strawberry.field(description=_CHANGES["issued"])
    taken_back: Long = strawberry.field(description=_CHANGES["taken_back"])
    spent: Long = strawberry.field(description=_CHANGES["spent"])
    returned: Long = strawberry.field(description=_CHANGES["returned"])
    expired: Long = strawberry.field(description=_CHANGES["expired"])
    decayed: Long = strawberry.field(description=_CHANGES["decayed"])
    adjusted: Long = strawberry.field(description=_CHANGES["adjusted"])
    voided: Long = strawberry.field(description=_CHANGES["voided"])
    rolled_back: Long = strawberry.field(description=_CHANGES["rolled_back"])
    merged: Long = strawberry.field(description=_CHANGES["merged"])
    closing: Long = strawberry.field(description="At the midnight that ends it.")
    cards_with_points: Long = strawberry.field(
        description="At the closing: how many cards had points."
    )
    on_cards: Long = strawberry.field(
        description="At the closing: what those had. Less `owed` it is the closing."
    )
    owed: Long = strawberry.field(description="At the closing: what other cards owed.")
    held: Long = strawberry.field(
        description="At the closing: taken from cards for bills that were not final."
    )
    cost_per_thousand: Money = strawberry.field(description="What 1,000 points cost.")
    cost: Money = strawberry.field(
        description="What the points on cards at the closing cost, the half rounded up."
    )
    expiring: list[OutstandingPoints] | None = strawberry.field(
        description="What is outstanding by the month it expires in, the earliest first; null for a"
        " period that ended before now."
    )

    @classmethod
    def of(cls, found: point_rows.SchemePoints) -> Self:
        scheme, flow = found.scheme, found.flow
        return cls(
            scheme=Scheme.of(scheme),
            opening=Long(flow.opening),
            closing=Long(flow.closing),
            cards_with_points=Long(flow.cards),
            on_cards=Long(flow.on_cards),
            owed=Long(flow.owed),
            held=Long(found.held.closing),
            cost_per_thousand=Money.of(scheme.points_cost_per_thousand, scheme.currency),
            cost=Money.of(found.cost.amount, found.cost.currency),
            expiring=None
            if found.months is None
            else [OutstandingPoints.of(each) for each in found.months],
            **{name: Long(found.changed_by(name)) for name in _CHANGES},
        )


@strawberry.type(description="What members' points may still cost, scheme by scheme.")
class PointsLiabilityReport:
    about: ReportSubject = strawberry.field(description="What it is about.")
    schemes: list[SchemePoints] = strawberry.field(
        description="The schemes made at the perspective or below it."
    )

    @classmethod
    def of(cls, found: point_rows.PointsLiability) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            schemes=[SchemePoints.of(each) for each in found.schemes],
        )
