"""Reports as documents: which, and where one can be fetched once (FIN-2)."""

from datetime import date, datetime

import strawberry

from app.core.ids import parse_type_id
from app.services.reports import downloads
from app.services.reports.downloads import ReportFormat, ReportKind
from schema.enums import describe
from schema.reports.subjects import FROM, TO

describe(
    ReportKind,
    "A report that can be downloaded.",
    {
        "STORED_VALUE": "Stored value: balances, movements, store by store.",
        "POINTS_LIABILITY": "Points: movements, what is outstanding, what it costs.",
        "TOP_UPS": "Top-ups by day, store, plan and payment method.",
        "TOP_UP_ORDERS": "Every top-up of the period; only as EXCEL.",
        "GIFT_CARDS": "Gift cards: sales, balances, movements, product by product.",
        "COUPONS": "What coupons cost, by template, store and day.",
        "COMPLIANCE": "Limits of prepaid cards, and what is beyond them.",
    },
)
describe(
    ReportFormat,
    "What a report is downloaded as.",
    {"EXCEL": "A spreadsheet (.xlsx).", "PAGE": "A page that can be printed."},
)


@strawberry.input(description="Which report to download.")
class ReportLinkInput:
    report: ReportKind = strawberry.field(description="Which.")
    perspective_id: strawberry.ID = strawberry.field(description="The node, `node_…`.")
    from_: date = strawberry.field(name="from", description=FROM)
    to: date = strawberry.field(description=TO)
    format: ReportFormat = strawberry.field(description="As what.")

    def asked(self) -> downloads.Asked:
        return downloads.Asked(
            kind=self.report,
            format=self.format,
            perspective_id=parse_type_id("node", self.perspective_id),
            from_day=self.from_,
            to_day=self.to,
        )


@strawberry.type(description="Where a report can be fetched, once.")
class ReportLink:
    url: str = strawberry.field(description="The link. Whoever has it has the report.")
    expires_at: datetime = strawberry.field(description="Until when it can be used.")
