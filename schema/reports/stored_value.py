"""Stored value over a period, scheme by scheme (FIN-2)."""

from typing import Self

import strawberry

from app.services.reports import stored_value
from schema.reports.movements import CardValueFlow, ValueFlow
from schema.reports.subjects import ReportSubject
from schema.schemes import Scheme


@strawberry.type(description="The stored value of one scheme over a period.")
class SchemeStoredValue:
    scheme: Scheme = strawberry.field(description="The scheme.")
    cash: CardValueFlow = strawberry.field(description="What was paid in.")
    bonus: CardValueFlow = strawberry.field(description="What came as a bonus.")
    held: ValueFlow = strawberry.field(
        description="Cash and bonus taken from cards for bills that are not final yet."
    )

    @classmethod
    def of(cls, found: stored_value.SchemeValue) -> Self:
        currency = found.scheme.currency
        return cls(
            scheme=Scheme.of(found.scheme),
            cash=CardValueFlow.of(found.cash, currency),
            bonus=CardValueFlow.of(found.bonus, currency),
            held=ValueFlow.of(found.held, currency),
        )


@strawberry.type(description="Stored value over a period, scheme by scheme.")
class StoredValueReport:
    about: ReportSubject = strawberry.field(description="What it is about.")
    schemes: list[SchemeStoredValue] = strawberry.field(
        description="The schemes made at the perspective or below it."
    )

    @classmethod
    def of(cls, found: stored_value.StoredValue) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            schemes=[SchemeStoredValue.of(each) for each in found.schemes],
        )
