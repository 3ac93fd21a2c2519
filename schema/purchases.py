"""Purchases and their refunds (PTS-1, TIR-6)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.core.texts import checked_text
from app.models import purchases as rows
from app.services import purchases
from schema.card_status import CardNotFound, CardNotUsable
from schema.context import Info
from schema.ledger import BalanceTooLarge
from schema.loaders import History, HistoryPage
from schema.organisation import Node, TerminalNotFound
from schema.pages import Connection, page_limit, row_after
from schema.payment_methods import PaymentMethodUnknown, checked_method_code
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import CurrencyCode, Long, Money, MoneyInput
from schema.schemes import NotAtThisStore


@strawberry.type(description="A part of a bill, paid in one way.")
class PurchasePayment:
    method_code: str = strawberry.field(description="The payment method's code.")
    method_name: str = strawberry.field(description="What people call the payment method.")
    amount: Money = strawberry.field(description="How much was paid with it.")
    is_net_receipt: bool = strawberry.field(
        description="Whether it counted for points on the day of the purchase."
    )

    @classmethod
    def of(cls, row: purchases.Paid, currency: str) -> Self:
        return cls(
            method_code=row.method_code,
            method_name=row.method_name,
            amount=Money.of(row.amount, currency),
            is_net_receipt=row.is_net_receipt,
        )


@strawberry.type(description="A line of a bill.")
class PurchaseLine:
    item_id: str = strawberry.field(description="The product, as the store names it.")
    name: str = strawberry.field(description="What it is called.")
    paid: Money = strawberry.field(description="What was paid for it.")
    counts_for_growth: bool = strawberry.field(
        description="Whether it earned growth by the rules of the day."
    )

    @classmethod
    def of(cls, row: rows.PurchaseLine, currency: str) -> Self:
        return cls(
            item_id=row.item_id,
            name=row.name,
            paid=Money.of(row.paid_amount, currency),
            counts_for_growth=row.counts_for_growth,
        )


@strawberry.type(description="A part or the whole of a purchase, given back.")
class PurchaseRefund:
    id: strawberry.ID = strawberry.field(description="Its id, `rfd_…`.")
    amount: Money = strawberry.field(description="What was given back.")
    points_taken: Long = strawberry.field(description="The points that went with it.")
    growth_taken: Long = strawberry.field(description="The growth that went with it.")
    reason: str = strawberry.field(description="Why, as the store wrote it; the member sees it.")
    refunded_at: datetime = strawberry.field(description="When it was given back.")

    @classmethod
    def of(cls, row: rows.PurchaseRefund, currency: str) -> Self:
        return cls(
            id=strawberry.ID(type_id("rfd", row.id)),
            amount=Money.of(row.amount, currency),
            points_taken=Long(row.points_taken),
            growth_taken=Long(row.growth_taken),
            reason=row.reason,
            refunded_at=row.refunded_at,
        )


@strawberry.type(description="A bill on a card.")
class Purchase:
    id: strawberry.ID = strawberry.field(description="Its id, `pur_…`.")
    card_id: strawberry.ID = strawberry.field(
        description="The card it was recorded on, `card_…`; that may have been merged since."
    )
    order_number: str = strawberry.field(description="The store's own number for it.")
    total: Money = strawberry.field(description="The whole bill, tax included.")
    tax: Money = strawberry.field(description="The tax within it.")
    net: Money = strawberry.field(
        description="What counted for points: paid by net-receipt methods, less their tax."
    )
    refunded: Money = strawberry.field(description="What was given back so far.")
    points_earned: Long = strawberry.field(description="Points it brought.")
    points_multiplier_basis_points: int = strawberry.field(
        description="What its points were multiplied by, rounded down: the best of the benefits"
        " that held; 10,000 is as usual."
    )
    points_taken_back: Long = strawberry.field(description="Points its refunds took.")
    growth_earned: Long = strawberry.field(
        description="Growth it brought, with what purchases before it had left of a unit."
    )
    growth_taken_back: Long = strawberry.field(description="Growth its refunds took.")
    occurred_at: datetime = strawberry.field(description="When the bill was paid.")
    recorded_at: datetime = strawberry.field(description="When it was reported here.")
    row: strawberry.Private[rows.Purchase]

    @classmethod
    def of(cls, row: rows.Purchase) -> Self:
        return cls(
            id=purchase_id_of(row.id),
            card_id=strawberry.ID(type_id("card", row.card_id)),
            order_number=row.order_number,
            total=Money.of(row.total_amount, row.currency),
            tax=Money.of(row.tax_amount, row.currency),
            net=Money.of(row.net_amount, row.currency),
            refunded=Money.of(row.refunded_amount, row.currency),
            points_earned=Long(row.points_earned),
            points_multiplier_basis_points=row.points_multiplier_bp,
            points_taken_back=Long(row.points_taken_back),
            growth_earned=Long(row.growth_earned),
            growth_taken_back=Long(row.growth_taken_back),
            occurred_at=row.occurred_at,
            recorded_at=row.recorded_at,
            row=row,
        )

    @strawberry.field(description="Where it was.")
    async def store(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.store_id))

    @strawberry.field(description="How it was paid; at most 20.")
    async def payments(self, info: Info) -> list[PurchasePayment]:
        found = await info.context.loaders.payments.load(self.row.id)
        return [PurchasePayment.of(row, self.row.currency) for row in found]

    @strawberry.field(description="What was bought, if the till sent it; at most 200.")
    async def lines(self, info: Info) -> list[PurchaseLine]:
        found = await info.context.loaders.purchase_lines.load(self.row.id)
        return [PurchaseLine.of(row, self.row.currency) for row in found]

    @strawberry.field(description="What was given back, oldest first; at most 200.")
    async def refunds(self, info: Info) -> list[PurchaseRefund]:
        found = await info.context.loaders.refunds.load(self.row.id)
        return [PurchaseRefund.of(row, self.row.currency) for row in found]


@strawberry.type(description="A page of a card's purchases.")
class PurchaseConnection(Connection[Purchase]):
    history: strawberry.Private[History]

    @classmethod
    async def load(cls, info: Info, history: History, first: int, after: str | None) -> Self:
        page = HistoryPage(history, row_after(after), page_limit(first))
        found = await info.context.loaders.purchases.load(page)
        return cls.of(found, first, Purchase.of, history=history)

    @strawberry.field(
        description="How many of them the asker may see in all. Counted only when asked for."
    )
    async def total_count(self, info: Info) -> int:
        return await info.context.read(purchases.history.number, **self.history._asdict())


def purchase_id_of(purchase_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("pur", purchase_id))


@strawberry.type(description="The purchase stands, its points and growth are on the card.")
class PurchaseRecorded:
    purchase: Purchase = strawberry.field(description="The purchase.")
    points_earned: Long = strawberry.field(description="Points it brought.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had recorded it."
    )

    @classmethod
    def of(cls, recorded: purchases.Recorded) -> Self:
        return cls(
            purchase=Purchase.of(recorded.purchase),
            points_earned=Long(recorded.purchase.points_earned),
            replayed=recorded.is_replay,
        )


@strawberry.type(description="The refund stands, its points and growth are gone.")
class PurchaseRefunded:
    refund: PurchaseRefund = strawberry.field(description="The refund.")
    purchase: Purchase = strawberry.field(description="The purchase afterwards.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had refunded it."
    )

    @classmethod
    def of(cls, refunded: purchases.Refunded) -> Self:
        return cls(
            refund=PurchaseRefund.of(refunded.refund, refunded.purchase.currency),
            purchase=Purchase.of(refunded.purchase),
            replayed=refunded.is_replay,
        )


@strawberry.type(description="There is no such purchase.")
class PurchaseNotFound(Problem): ...


@strawberry.type(description="The store reported this order number before, with another request.")
class OrderNumberTaken(Problem):
    purchase_id: strawberry.ID = strawberry.field(description="The purchase it stands for.")

    @classmethod
    def of(cls, error: purchases.OrderNumberTaken) -> Self:
        return cls(message=str(error), purchase_id=purchase_id_of(error.purchase_id))


@strawberry.type(description="The payments are not the bill's total.")
class PaymentsDoNotAddUp(Problem):
    short_by: Long = strawberry.field(
        description="What is missing, in minor units; negative if it is too much."
    )

    @classmethod
    def of(cls, error: purchases.PaymentsDoNotAddUp) -> Self:
        return cls(message=str(error), short_by=Long(error.short_by))


@strawberry.type(description="The lines come to more than the bill's total.")
class LinesDoNotAddUp(Problem):
    over_by: Long = strawberry.field(description="How much more, in minor units.")

    @classmethod
    def of(cls, error: purchases.LinesDoNotAddUp) -> Self:
        return cls(message=str(error), over_by=Long(error.over_by))


@strawberry.type(description="The amount is in another currency than the card.")
class WrongCurrency(Problem):
    expected: CurrencyCode = strawberry.field(description="The card's currency.")

    @classmethod
    def of(cls, error: purchases.WrongCurrency) -> Self:
        return cls(message=str(error), expected=CurrencyCode(error.expected))


@strawberry.type(description="This is more than what is left of the purchase to refund.")
class RefundTooLarge(Problem):
    refundable: Money = strawberry.field(description="What is left.")

    @classmethod
    def of(cls, error: purchases.RefundTooLarge) -> Self:
        left = error.refundable
        return cls(message=str(error), refundable=Money.of(left.amount, left.currency))


@strawberry.type(description="The purchase was refunded as often as one can be.")
class TooManyRefunds(Problem): ...


@strawberry.input(description="A part of a bill, paid in one way.")
class PaymentInput:
    method_code: str = strawberry.field(description="The payment method's code.")
    amount: Long = strawberry.field(description="In minor units of the bill's currency; above 0.")


@strawberry.input(description="A line of a bill.")
class PurchaseLineInput:
    item_id: str = strawberry.field(
        description="The product, as the store names it, 1 to 64 characters."
    )
    name: str = strawberry.field(description="What it is called, 1 to 120 characters.")
    paid_amount: Long = strawberry.field(
        description="What was paid for it, in minor units of the bill's currency; 0 or more."
    )

    def value(self) -> purchases.Line:
        return purchases.Line(
            checked_text("itemId", self.item_id, at_most=purchases.ITEM_ID_CHARS_MAX),
            checked_text("name", self.name, at_most=purchases.ITEM_NAME_CHARS_MAX),
            self.paid_amount,
        )


@strawberry.input(description="A bill to record on a card.")
class PurchaseRecordInput:
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    order_number: str = strawberry.field(
        description="The store's own number for it, 1 to 64 characters, unique in the store."
    )
    total: MoneyInput = strawberry.field(description="The whole bill, tax included.")
    tax_amount: Long = strawberry.field(description="The tax within it, in minor units.")
    payments: list[PaymentInput] = strawberry.field(
        description="How it was paid, adding up to the total; at most 20."
    )
    occurred_at: datetime = strawberry.field(
        description="When it was paid, with its offset; within the last 31 days."
    )
    request_key: str = strawberry.field(
        description="1 to 64 characters the till makes up: sent again, it answers the same."
    )

    lines: list[PurchaseLineInput] = strawberry.field(
        default_factory=list,
        description="What was bought, adding up to the total or less; at most 200. Growth for"
        " certain products only needs them.",
    )

    def bill(self) -> purchases.Bill:
        """The bill, its texts checked; raises `BadInput`."""
        return purchases.Bill(
            order_number=checked_text(
                "orderNumber", self.order_number, at_most=purchases.ORDER_NUMBER_CHARS_MAX
            ),
            total=self.total.value(),
            tax_amount=self.tax_amount,
            payments=[
                purchases.Payment(checked_method_code(each.method_code), each.amount)
                for each in self.payments
            ],
            occurred_at=self.occurred_at,
            lines=[line.value() for line in self.lines],
        )


@strawberry.input(description="What to give back of a purchase.")
class PurchaseRefundInput:
    purchase_id: strawberry.ID = strawberry.field(description="The purchase, `pur_…`.")
    amount: MoneyInput = strawberry.field(description="How much, tax included.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; the member sees it.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the till makes up: sent again, it answers the same."
    )


PurchaseRecordResult = Annotated[
    PurchaseRecorded
    | TerminalNotFound
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | OrderNumberTaken
    | PaymentMethodUnknown
    | PaymentsDoNotAddUp
    | LinesDoNotAddUp
    | WrongCurrency
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("PurchaseRecordResult", description="The purchase, or why there is none."),
]
PurchaseRefundResult = Annotated[
    PurchaseRefunded
    | PurchaseNotFound
    | RefundTooLarge
    | TooManyRefunds
    | WrongCurrency
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("PurchaseRefundResult", description="The refund, or why there is none."),
]

HANDLERS = [
    shown_as(PurchaseNotFound, purchases.PurchaseNotFound),
    shown_as(OrderNumberTaken, purchases.OrderNumberTaken),
    shown_as(PaymentsDoNotAddUp, purchases.PaymentsDoNotAddUp),
    shown_as(LinesDoNotAddUp, purchases.LinesDoNotAddUp),
    shown_as(WrongCurrency, purchases.WrongCurrency),
    shown_as(RefundTooLarge, purchases.RefundTooLarge),
    shown_as(TooManyRefunds, purchases.TooManyRefunds),
]
