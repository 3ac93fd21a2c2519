"""What finance reads: balances, liabilities, statistics (FIN-2, PTS-8, TOP-10, TOP-11)."""

from datetime import date, datetime
from typing import Annotated, Any, Self

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models.ledger import PostingKind
from app.services.reports import compliance, downloads, gift_cards, stored_value, top_ups
from app.services.reports import points as point_rows
from app.services.reports.downloads import ReportFormat, ReportKind
from app.services.reports.movements import Flow, Movement
from app.services.reports.subjects import Subject
from app.services.reports.top_ups import Grouping
from schema.compliance import GroupRules
from schema.context import Info
from schema.enums import describe
from schema.members import member_id_of
from schema.organisation import Node, PaymentMethod
from schema.scalars import CurrencyCode, Long, Money
from schema.schemes import Scheme

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
describe(
    ReportKind,
    "A report that can be downloaded.",
    {
        "STORED_VALUE": "Stored value: balances, movements, store by store.",
        "POINTS_LIABILITY": "Points: movements, what is outstanding, what it costs.",
        "TOP_UPS": "Top-ups by day, store, plan and payment method.",
        "TOP_UP_ORDERS": "Every top-up of the period; only as EXCEL.",
        "GIFT_CARDS": "Gift cards: sales, balances, movements, product by product.",
        "COMPLIANCE": "Limits of prepaid cards, and what is beyond them.",
    },
)
describe(
    ReportFormat,
    "What a report is downloaded as.",
    {"EXCEL": "A spreadsheet (.xlsx).", "PAGE": "A page that can be printed."},
)

PerspectiveId = Annotated[
    strawberry.ID,
    strawberry.argument(
        description="The node, `node_…`: the report covers the schemes made there or below."
    ),
]
_FROM = "The first day, which is included: from its midnight in the perspective's time zone."
_TO = "The day after the last: up to its midnight. At most ten years after the first."
From = Annotated[date, strawberry.argument(name="from", description=_FROM)]
To = Annotated[date, strawberry.argument(description=_TO)]


@strawberry.type(description="What a report is about: a node, and the time between two midnights.")
class ReportSubject:
    perspective: Node = strawberry.field(description="The node.")
    from_: date = strawberry.field(name="from", description="The first day, included.")
    to: date = strawberry.field(description="The day after the last.")
    time_zone: str = strawberry.field(description="The time zone of both midnights.")
    starts_at: datetime = strawberry.field(description="The midnight that begins it.")
    ends_at: datetime = strawberry.field(description="The midnight that ends it.")
    made_at: datetime = strawberry.field(description="When the report was made.")

    @classmethod
    def of(cls, about: Subject) -> Self:
        return cls(
            perspective=Node.of(about.perspective),
            from_=about.period.from_day,
            to=about.period.to_day,
            time_zone=about.period.zone.key,
            starts_at=about.period.starts_at,
            ends_at=about.period.ends_at,
            made_at=about.made_at,
        )


@strawberry.type(description="What postings of one kind moved.")
class ValueMovement:
    kind: PostingKind = strawberry.field(description="Why value moved.")
    added: Money = strawberry.field(description="What came.")
    taken: Money = strawberry.field(description="What went.")

    @classmethod
    def of(cls, found: Movement, currency: str) -> Self:
        return cls(
            kind=found.kind,
            added=Money.of(found.added, currency),
            taken=Money.of(found.taken, currency),
        )


@strawberry.type(description="What postings of one kind moved at one store.")
class StoreValueMovement(ValueMovement):
    found: strawberry.Private[Movement]

    @classmethod
    def of(cls, found: Movement, currency: str) -> Self:
        return cls(
            kind=found.kind,
            added=Money.of(found.added, currency),
            taken=Money.of(found.taken, currency),
            found=found,
        )

    @strawberry.field(description="The store; null for what happened at none.")
    async def store(self, info: Info) -> Node | None:
        if self.found.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.found.store_id))


@strawberry.type(description="Stored value over a period: opening + added − taken = closing.")
class ValueFlow:
    opening: Money = strawberry.field(description="What there was at the midnight that begins it.")
    added: Money = strawberry.field(description="What came in all.")
    taken: Money = strawberry.field(description="What went in all.")
    closing: Money = strawberry.field(description="What there was at the midnight that ends it.")
    movements: list[ValueMovement] = strawberry.field(
        description="What came and went, by why; at most one for each kind."
    )
    by_store: list[StoreValueMovement] | None = strawberry.field(
        description="The same store by store; null unless asked for with `byStore`."
    )

    @classmethod
    def of(cls, flow: Flow, currency: str, **more: Any) -> Self:
        at_stores = flow.by_store
        return cls(
            opening=Money.of(flow.opening, currency),
            added=Money.of(flow.added, currency),
            taken=Money.of(flow.taken, currency),
            closing=Money.of(flow.closing, currency),
            movements=[ValueMovement.of(each, currency) for each in flow.movements],
            by_store=None
            if at_stores is None
            else [StoreValueMovement.of(each, currency) for each in at_stores],
            **more,
        )


@strawberry.type(description="One kind of stored value on cards over a period.")
class CardValueFlow(ValueFlow):
    cards_with_balance: Long = strawberry.field(
        description="At the closing: on how many cards there was some."
    )
    on_cards: Money = strawberry.field(
        description="At the closing: what those held. Less `owed` it is the closing."
    )
    owed: Money = strawberry.field(description="At the closing: what other cards owed.")

    @classmethod
    def of(cls, flow: Flow, currency: str, **more: Any) -> Self:
        return super().of(
            flow,
            currency,
            cards_with_balance=Long(flow.cards),
            on_cards=Money.of(flow.on_cards, currency),
            owed=Money.of(flow.owed, currency),
            **more,
        )


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


@strawberry.type(description="The gift cards of one product over a period.")
class ProductGiftCards:
    product_id: strawberry.ID = strawberry.field(description="The product, `gcp_…`.")
    product_name: str = strawberry.field(description="What it is called.")
    sold: int = strawberry.field(description="How many cards were sold in the period.")
    refunded: int = strawberry.field(description="How many were refunded in it.")
    outstanding: int = strawberry.field(
        description="How many are worth something at the midnight that ends it."
    )
    cash: ValueFlow = strawberry.field(description="What was paid for them.")
    gift: ValueFlow = strawberry.field(description="What they are worth beyond that.")

    @classmethod
    def of(cls, found: gift_cards.ProductValue) -> Self:
        currency = found.product.currency
        return cls(
            product_id=strawberry.ID(type_id("gcp", found.product.id)),
            product_name=found.product.name,
            sold=found.sold,
            refunded=found.refunded,
            outstanding=found.outstanding,
            cash=ValueFlow.of(found.cash, currency),
            gift=ValueFlow.of(found.bonus, currency),
        )


@strawberry.type(description="Gift cards over a period, product by product.")
class GiftCardReport:
    about: ReportSubject = strawberry.field(description="What it is about.")
    products: list[ProductGiftCards] = strawberry.field(
        description="The products made at the perspective or below it."
    )

    @classmethod
    def of(cls, found: gift_cards.GiftCardValue) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            products=[ProductGiftCards.of(each) for each in found.products],
        )


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


@strawberry.type(description="A card that held more paid-in value than it may.")
class CardAboveCap:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    card_number: str = strawberry.field(description="The number printed on it.")
    holder: str = strawberry.field(description="Whose it is, masked.")
    is_registered: bool = strawberry.field(description="Whether its holder is known now.")
    balance: Money = strawberry.field(description="What was paid in and left at the end.")
    cap: Money = strawberry.field(description="What it may hold.")

    @classmethod
    def of(cls, found: compliance.CardAbove, currency: str) -> Self:
        return cls(
            card_id=strawberry.ID(type_id("card", found.card_id)),
            card_number=found.number,
            holder=found.holder,
            is_registered=found.is_registered,
            balance=Money.of(found.balance, currency),
            cap=Money.of(found.cap, currency),
        )


@strawberry.type(description="Somebody whose cards of these schemes held more than one may.")
class PersonAboveCap:
    member_id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    holder: str = strawberry.field(description="Who it is, masked.")
    cards: Long = strawberry.field(description="How many of their cards held something.")
    balance: Money = strawberry.field(description="What was paid in and left at the end.")
    cap: Money = strawberry.field(description="What one person may hold.")

    @classmethod
    def of(cls, found: compliance.PersonAbove, currency: str) -> Self:
        return cls(
            member_id=member_id_of(found.member_id),
            holder=found.holder,
            cards=Long(found.cards),
            balance=Money.of(found.balance, currency),
            cap=Money.of(found.cap, currency),
        )


@strawberry.type(description="A top-up that reached a threshold.")
class LargeTopUp:
    order_id: strawberry.ID = strawberry.field(description="The order, `top_…`.")
    credited_at: datetime = strawberry.field(description="When it was credited.")
    card_number: str = strawberry.field(description="The card it was for.")
    holder: str = strawberry.field(description="Whose that is, masked.")
    amount: Money = strawberry.field(description="What was paid in.")
    needs_real_name: bool = strawberry.field(
        description="Whether the buyer's document had to be on record."
    )
    real_name_recorded_at: datetime | None = strawberry.field(
        description="When it was recorded; null is never."
    )
    needs_transfer: bool = strawberry.field(description="Whether it had to be paid by transfer.")
    method_name: str | None = strawberry.field(description="The payment method, if it had one.")
    provider: str | None = strawberry.field(description="The provider it was paid through.")
    leaves_trace: bool = strawberry.field(
        description="Whether it was paid in a way that a bank keeps trace of."
    )
    is_above_most: bool = strawberry.field(
        description="Whether it is more than one top-up may bring."
    )

    @classmethod
    def of(cls, found: compliance.LargeOrder, currency: str) -> Self:
        return cls(
            order_id=strawberry.ID(type_id("top", found.order_id)),
            credited_at=found.credited_at,
            card_number=found.card_number,
            holder=found.holder,
            amount=Money.of(found.amount, currency),
            needs_real_name=found.needs_real_name,
            real_name_recorded_at=found.real_name_recorded_at,
            needs_transfer=found.needs_transfer,
            method_name=found.method_name,
            provider=found.provider,
            leaves_trace=found.leaves_trace,
            is_above_most=found.is_above_most,
        )


@strawberry.type(description="A paid balance with an end, which there must be none of.")
class ExpiringCash:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    card_number: str = strawberry.field(description="The number printed on it.")
    holder: str = strawberry.field(description="Whose it is, masked.")
    amount: Money = strawberry.field(description="What is left of it now.")
    expires_at: datetime = strawberry.field(description="When it would be cleared.")

    @classmethod
    def of(cls, found: compliance.ExpiringCash) -> Self:
        return cls(
            card_id=strawberry.ID(type_id("card", found.card_id)),
            card_number=found.card_number,
            holder=found.holder,
            amount=Money.of(found.amount, found.currency),
            expires_at=found.expires_at,
        )


_LISTED = f"the first {compliance.ROWS_MAX:,}"
_IN_ALL = "How many there are in all."


@strawberry.type(description="The limits in force in one currency, and what is beyond them.")
class CurrencyCompliance:
    rules: GroupRules = strawberry.field(description="The limits as they are now.")
    cards: list[CardAboveCap] = strawberry.field(
        description=f"Cards above their cap at the end of the period, the fullest first; {_LISTED}."
    )
    number_of_cards: Long = strawberry.field(description=_IN_ALL)
    persons: list[PersonAboveCap] = strawberry.field(
        description=f"Persons above their cap at the end of the period; {_LISTED}."
    )
    number_of_persons: Long = strawberry.field(description=_IN_ALL)
    orders: list[LargeTopUp] = strawberry.field(
        description="Top-ups of the period at or above the lowest threshold, the largest first;"
        f" {_LISTED}."
    )
    number_of_orders: Long = strawberry.field(description=_IN_ALL)

    @classmethod
    def of(cls, found: compliance.InCurrency) -> Self:
        currency = found.rules.currency
        return cls(
            rules=GroupRules.of(found.rules),
            cards=[CardAboveCap.of(row, currency) for row in found.cards.rows],
            number_of_cards=Long(found.cards.how_many),
            persons=[PersonAboveCap.of(row, currency) for row in found.persons.rows],
            number_of_persons=Long(found.persons.how_many),
            orders=[LargeTopUp.of(row, currency) for row in found.orders.rows],
            number_of_orders=Long(found.orders.how_many),
        )


@strawberry.type(description="What an auditor of prepaid cards asks.")
class ComplianceReport:
    about: ReportSubject = strawberry.field(description="What it is about.")
    currencies: list[CurrencyCompliance] = strawberry.field(
        description="For each currency the group's schemes are kept in."
    )
    expiring_cash: list[ExpiringCash] = strawberry.field(
        description=f"Paid balances that would expire; {_LISTED}."
    )
    number_of_expiring: Long = strawberry.field(description=_IN_ALL)

    @classmethod
    def of(cls, found: compliance.Compliance) -> Self:
        return cls(
            about=ReportSubject.of(found.about),
            currencies=[CurrencyCompliance.of(each) for each in found.currencies],
            expiring_cash=[ExpiringCash.of(row) for row in found.expiring.rows],
            number_of_expiring=Long(found.expiring.how_many),
        )


@strawberry.input(description="Which report to download.")
class ReportLinkInput:
    report: ReportKind = strawberry.field(description="Which.")
    perspective_id: strawberry.ID = strawberry.field(description="The node, `node_…`.")
    from_: date = strawberry.field(name="from", description=_FROM)
    to: date = strawberry.field(description=_TO)
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


HANDLERS: list[Any] = []
"""Reports refuse nobody anything that a problem would explain."""
