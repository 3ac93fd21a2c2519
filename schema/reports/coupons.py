"""Coupons by template, store and day, and what they cost (FIN-2)."""

from datetime import date
from typing import Self

import strawberry

from app.services.reports import coupons
from app.services.reports.coupons import CouponGrouping
from schema.coupons.templates import template_id_of
from schema.enums import describe
from schema.organisation import Node
from schema.reports.subjects import ReportSubject
from schema.scalars import CurrencyCode, Long, Money

describe(
    CouponGrouping,
    "By what coupons are added up.",
    {
        "TEMPLATE": "What they were made of.",
        "STORE": "The store they were used at; of what is no use, the store that issued them.",
        "DAY": "The day of the perspective's time zone on which it happened.",
    },
)


@strawberry.type(
    description="Coupons of one template, store or day in one currency; what was not asked for, or"
    " has none, is null."
)
class CouponCostLine:
    template_id: strawberry.ID | None = strawberry.field(description="The template, `ctpl_…`.")
    template_name: str | None = strawberry.field(description="What the template is called now.")
    store: Node | None = strawberry.field(description="The store.")
    day: date | None = strawberry.field(description="The day.")
    currency: CurrencyCode = strawberry.field(description="The currency.")
    issued: Long = strawberry.field(description="How many were issued.")
    used: Long = strawberry.field(description="How often bills used one.")
    returned: Long = strawberry.field(description="How often such a bill was voided.")
    expired: Long = strawberry.field(
        description="How many expired, without those that live again since."
    )
    withdrawn: Long = strawberry.field(
        description="How many were taken back: by staff, with what they were given for, or because"
        " their holder's account was closed."
    )
    took_off: Money = strawberry.field(description="What they took off bills.")
    given_back: Money = strawberry.field(
        description="What of that, in this period or before it, was taken off bills that were"
        " voided in it."
    )
    cost: Money = strawberry.field(description="What they took off, less what was given back.")

    @classmethod
    def of(cls, found: coupons.Line) -> Self:
        template, figures, currency = found.template, found.figures, found.currency
        return cls(
            template_id=template_id_of(template.id) if template else None,
            template_name=template.name if template else None,
            store=Node.of(found.store) if found.store else None,
            day=found.day,
            currency=CurrencyCode(currency),
            issued=Long(figures.issued),
            used=Long(figures.used),
            returned=Long(figures.returned),
            expired=Long(figures.expired),
            withdrawn=Long(figures.withdrawn),
            took_off=Money.of(figures.took_off, currency),
            given_back=Money.of(figures.given_back, currency),
            cost=Money.of(figures.cost, currency),
        )


@strawberry.type(
    description="Coupons over a period, of the templates made at the perspective or below it,"
    " wherever they were used."
)
class CouponReport:
    about: ReportSubject = strawberry.field(description="What it is about.")
    lines: list[CouponCostLine] = strawberry.field(
        description="By the day, else by name; what has none comes last."
    )
    totals: list[CouponCostLine] = strawberry.field(
        description="All together, by currency; the same whatever the lines are."
    )

    @classmethod
    def of(cls, found: coupons.CouponCosts) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            lines=[CouponCostLine.of(line) for line in found.lines],
            totals=[CouponCostLine.of(line) for line in found.totals],
        )
