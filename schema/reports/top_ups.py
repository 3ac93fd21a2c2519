"""Top-ups by day, store, plan and payment method (TOP-10)."""

from datetime import date
from typing import Self

import strawberry

from app.core.ids import type_id
from app.services.reports import top_ups
from app.services.reports.top_ups import Grouping
from schema.enums import describe
from schema.organisation import Node
from schema.payment_methods import PaymentMethod
from schema.reports.subjects import ReportSubject
from schema.scalars import CurrencyCode, Long, Money

describe(
    Grouping,
    "By what top-ups are added up.",
    {
        "DAY": "The day of the perspective's time zone they were credited on.",
        "STORE": "The store they were made at.",
        "PLAN": "The plan they were bought by.",
        "METHOD": "How they were paid.",
    },
)


@strawberry.type(description="Top-ups credited in a period, added up.")
class TopUpFigures:
    orders: Long = strawberry.field(description="How many.")
    paid: Money = strawberry.field(description="What was paid in.")
    bonus: Money = strawberry.field(description="What came as a bonus.")
    points: Long = strawberry.field(description="The points that came with them.")
    refunded_orders: Long = strawberry.field(
        description="How many of these orders were given back since."
    )
    refunded: Money = strawberry.field(description="What was paid for those.")

    @classmethod
    def of(cls, found: top_ups.Figures, currency: str) -> Self:
        return cls(
            orders=Long(found.orders),
            paid=Money.of(found.paid, currency),
            bonus=Money.of(found.bonus, currency),
            points=Long(found.points),
            refunded_orders=Long(found.refunded_orders),
            refunded=Money.of(found.refunded, currency),
        )


@strawberry.type(
    description="Top-ups of one day, store, plan or payment method in one currency; what was not"
    " asked for, or has none, is null."
)
class TopUpStatisticsLine:
    day: date | None = strawberry.field(description="The day they were credited on.")
    store: Node | None = strawberry.field(description="The store they were made at.")
    plan_id: strawberry.ID | None = strawberry.field(description="The plan, `plan_…`.")
    plan_name: str | None = strawberry.field(description="What the plan is called now.")
    method: PaymentMethod | None = strawberry.field(description="How they were paid.")
    provider: str | None = strawberry.field(description="The provider that was paid through.")
    currency: CurrencyCode = strawberry.field(description="The currency.")
    sold: TopUpFigures = strawberry.field(description="Bought by members or at tills.")
    batches: TopUpFigures = strawberry.field(description="By lists of the back office.")
    codes: TopUpFigures = strawberry.field(description="By recharge codes.")

    @classmethod
    def of(cls, found: top_ups.Line) -> Self:
        plan = found.plan
        return cls(
            day=found.day,
            store=Node.of(found.store) if found.store else None,
            plan_id=strawberry.ID(type_id("plan", plan.id)) if plan else None,
            plan_name=plan.name if plan else None,
            method=PaymentMethod.of(found.method) if found.method else None,
            provider=found.provider,
            currency=CurrencyCode(found.currency),
            sold=TopUpFigures.of(found.sold, found.currency),
            batches=TopUpFigures.of(found.batches, found.currency),
            codes=TopUpFigures.of(found.codes, found.currency),
        )


@strawberry.type(
    description="Top-ups credited in a period: those at stores at or below the perspective, and"
    " those at no store of the schemes made there."
)
class TopUpStatistics:
    about: ReportSubject = strawberry.field(description="What it is about.")
    lines: list[TopUpStatisticsLine] = strawberry.field(
        description="By the day, else by name; what has none comes last."
    )
    totals: list[TopUpStatisticsLine] = strawberry.field(description="All together, by currency.")

    @classmethod
    def of(cls, found: top_ups.Statistics) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            lines=[TopUpStatisticsLine.of(line) for line in found.lines],
            totals=[TopUpStatisticsLine.of(line) for line in found.totals],
        )
