"""Bills paid with stored value or points (TOP-9, PTS-6)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.core.texts import checked_text
from app.models import spendings as rows
from app.models.spendings import SpendingKind, SpendingState
from app.services import purchases, spendings
from schema.card_status import CardNotFound, CardNotUsable
from schema.context import Info
from schema.enums import describe
from schema.identities import TicketRefused
from schema.ledger import Balances, BalanceTooLarge
from schema.loaders import History, HistoryPage
from schema.organisation import Node, TerminalNotFound
from schema.pages import Connection, page_limit, row_after
from schema.points_rules import PointsBlocked
from schema.problems import Problem, shown_as
from schema.purchases import WrongCurrency
from schema.requests import RequestKeyReused
from schema.scalars import Long, Money, MoneyInput
from schema.schemes import NotAtThisStore

describe(
    SpendingKind,
    "What a bill is paid with.",
    {
        "STORED_VALUE": "What was paid in, and what came with it as a bonus.",
        "POINTS": "Points, at the scheme's rate.",
    },
)
describe(
    SpendingState,
    "Where a spending stands.",
    {
        "AUTHORISED": "Taken from the card and held until it is captured, voided or runs out.",
        "CAPTURED": "Taken for good; a refund gives back a part or all.",
        "VOIDED": "All that it took is on the card again.",
    },
)


@strawberry.type(description="A part or the whole of a spending, given back.")
class SpendingRefund:
    id: strawberry.ID = strawberry.field(description="Its id, `spr_…`.")
    amount: Money = strawberry.field(description="What was given back.")
    cash: Money = strawberry.field(description="How much of it had been paid in.")
    bonus: Money = strawberry.field(description="How much of it had come as a bonus.")
    points: Long = strawberry.field(description="The points that came back.")
    reason: str = strawberry.field(description="Why, as the store wrote it; the member sees it.")
    refunded_at: datetime = strawberry.field(description="When it was given back.")

    @classmethod
    def of(cls, row: rows.SpendingRefund, currency: str) -> Self:
        return cls(
            id=strawberry.ID(type_id("spr", row.id)),
            amount=Money.of(row.amount, currency),
            cash=Money.of(row.cash, currency),
            bonus=Money.of(row.bonus, currency),
            points=Long(row.points),
            reason=row.reason,
            refunded_at=row.refunded_at,
        )


@strawberry.type(description="A bill, or a part of one, that a card paid.")
class Spending:
    id: strawberry.ID = strawberry.field(description="Its id, `spd_…`.")
    card_id: strawberry.ID = strawberry.field(
        description="The card that paid, `card_…`; that may have been merged since."
    )
    kind: SpendingKind = strawberry.field(description="What it was paid with.")
    state: SpendingState = strawberry.field(description="Where it stands.")
    order_number: str = strawberry.field(description="The store's own number for the bill.")
    amount: Money = strawberry.field(description="What it paid, or set aside to pay.")
    cash: Money = strawberry.field(description="How much of it had been paid in.")
    bonus: Money = strawberry.field(description="How much of it had come as a bonus.")
    points: Long = strawberry.field(description="The points it took.")
    returned: Money = strawberry.field(
        description="What came back since: refunded, voided, or set aside and not needed."
    )
    returned_cash: Money = strawberry.field(description="How much of that had been paid in.")
    returned_bonus: Money = strawberry.field(description="How much of that had come as a bonus.")
    returned_points: Long = strawberry.field(description="The points that came back.")
    made_at: datetime = strawberry.field(description="When it was charged or authorised.")
    expires_at: datetime | None = strawberry.field(
        description="Until when it could be captured; null if it was charged at once."
    )
    ended_at: datetime | None = strawberry.field(
        description="When it was captured or voided; null while it is authorised."
    )
    row: strawberry.Private[rows.Spending]

    @classmethod
    def of(cls, row: rows.Spending) -> Self:
        def money(amount: int) -> Money:
            return Money.of(amount, row.currency)

        return cls(
            id=strawberry.ID(type_id("spd", row.id)),
            card_id=strawberry.ID(type_id("card", row.card_id)),
            kind=row.kind,
            state=row.state,
            order_number=row.order_number,
            amount=money(row.amount),
            cash=money(row.cash),
            bonus=money(row.bonus),
            points=Long(row.points),
            returned=money(row.returned_amount),
            returned_cash=money(row.returned_cash),
            returned_bonus=money(row.returned_bonus),
            returned_points=Long(row.returned_points),
            made_at=row.made_at,
            expires_at=row.expires_at,
            ended_at=row.ended_at,
            row=row,
        )

    @strawberry.field(description="Where it was.")
    async def store(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.store_id))

    @strawberry.field(
        description="What was refunded, oldest first; at most 200. A void is none of them."
    )
    async def refunds(self, info: Info) -> list[SpendingRefund]:
        found = await info.context.loaders.spending_refunds.load(self.row.id)
        return [SpendingRefund.of(row, self.row.currency) for row in found]


@strawberry.type(description="A page of what a card paid.")
class SpendingConnection(Connection[Spending]):
    history: strawberry.Private[History]

    @classmethod
    async def load(cls, info: Info, history: History, first: int, after: str | None) -> Self:
        page = HistoryPage(history, row_after(after), page_limit(first))
        found = await info.context.loaders.spendings.load(page)
        return cls.of(found, first, Spending.of, history=history)

    @strawberry.field(
        description="How many of them the asker may see in all. Counted only when asked for."
    )
    async def total_count(self, info: Info) -> int:
        return await info.context.read(spendings.history.number, **self.history._asdict())


@strawberry.type
class _SpendingDone:
    """What every change of a spending answers."""

    spending: Spending = strawberry.field(description="The spending as it is now.")
    balances: Balances = strawberry.field(description="What the card holds now.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had done it."
    )

    @classmethod
    def of(cls, done: spendings.Done) -> Self:
        return cls(
            spending=Spending.of(done.spending),
            balances=Balances.of(done.accounts),
            replayed=done.is_replay,
        )


@strawberry.type(description="The bill is paid.")
class SpendingCharged(_SpendingDone): ...


@strawberry.type(description="The amount is set aside until `expiresAt`.")
class SpendingAuthorised(_SpendingDone): ...


@strawberry.type(description="What was set aside is paid; what was not needed is on the card.")
class SpendingCaptured(_SpendingDone): ...


@strawberry.type(description="All that the spending took is on the card again.")
class SpendingVoided(_SpendingDone): ...


@strawberry.type(description="The refund stands, its value is on the card.")
class SpendingRefunded:
    refund: SpendingRefund = strawberry.field(description="The refund.")
    spending: Spending = strawberry.field(description="The spending as it is now.")
    balances: Balances = strawberry.field(description="What the card holds now.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had refunded it."
    )

    @classmethod
    def of(cls, refunded: spendings.Refunded) -> Self:
        done = refunded.done
        return cls(
            refund=SpendingRefund.of(refunded.refund, done.spending.currency),
            spending=Spending.of(done.spending),
            balances=Balances.of(done.accounts),
            replayed=done.is_replay,
        )


@strawberry.type(description="There is no such spending.")
class SpendingNotFound(Problem): ...


@strawberry.type(description="The spending is in a state, or past a time, that rules this out.")
class SpendingNotOpen(Problem):
    state: SpendingState = strawberry.field(description="Where it stands.")

    @classmethod
    def of(cls, error: spendings.SpendingNotOpen) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="The card holds less stored value that may be used for this bill.")
class InsufficientBalance(Problem):
    short_by: Money = strawberry.field(description="What is missing.")
    usable: Money = strawberry.field(
        description="What could be used for this bill, here and now, restrictions considered."
    )

    @classmethod
    def of(cls, error: spendings.InsufficientBalance) -> Self:
        currency = error.usable.currency
        return cls(
            message=str(error),
            short_by=Money.of(error.short_by.amount, currency),
            usable=Money.of(error.usable.amount, currency),
        )


@strawberry.type(description="Points of this card's scheme pay nothing.")
class PointsCannotPay(Problem): ...


@strawberry.type(description="This is more than what points may pay of one order.")
class PointsCapReached(Problem):
    most: Money = strawberry.field(
        description="What points may still pay of it, what they have paid before considered."
    )

    @classmethod
    def of(cls, error: spendings.PointsCapReached) -> Self:
        return cls(message=str(error), most=Money.of(error.most.amount, error.most.currency))


@strawberry.type(description="The bill costs fewer points than what has to be used at once.")
class PointsBelowMinimum(Problem):
    at_least: Long = strawberry.field(description="The fewest points that can be used.")

    @classmethod
    def of(cls, error: spendings.PointsBelowMinimum) -> Self:
        return cls(message=str(error), at_least=Long(error.at_least))


@strawberry.type(description="The card holds fewer points that may be used here and now.")
class NotEnoughPoints(Problem):
    missing_points: Long = strawberry.field(description="How many are missing.")
    usable_points: Long = strawberry.field(description="How many could be used.")

    @classmethod
    def of(cls, error: spendings.NotEnoughPoints) -> Self:
        return cls(
            message=str(error),
            missing_points=Long(error.missing),
            usable_points=Long(error.usable),
        )


@strawberry.type(description="This is more than what was authorised.")
class CaptureTooLarge(Problem):
    most: Money = strawberry.field(description="What was authorised.")

    @classmethod
    def of(cls, error: spendings.CaptureTooLarge) -> Self:
        return cls(message=str(error), most=Money.of(error.most.amount, error.most.currency))


@strawberry.type(description="This is more than what is left of the spending to refund.")
class SpendingRefundTooLarge(Problem):
    refundable: Money = strawberry.field(description="What is left.")

    @classmethod
    def of(cls, error: spendings.SpendingRefundTooLarge) -> Self:
        left = error.refundable
        return cls(message=str(error), refundable=Money.of(left.amount, left.currency))


@strawberry.type(description="The spending was refunded as often as one can be.")
class SpendingRefundedTooOften(Problem): ...


@strawberry.input(description="A line of a bill.")
class SpendingLineInput:
    item_id: str = strawberry.field(
        description="What was bought, by the id that top-up plans name it by; 1 to 64 characters."
    )
    amount: Long = strawberry.field(
        description="How much of the amount pays for it, in minor units; above 0."
    )


@strawberry.input
class _BillInput:
    """What a card is to pay, whether at once or held."""

    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    kind: SpendingKind = strawberry.field(description="What to pay with.")
    amount: MoneyInput = strawberry.field(description="What the card is to pay.")
    order_number: str = strawberry.field(
        description="The store's own number for the order, 1 to 64 characters. Several spendings"
        " can pay one order."
    )
    request_key: str = strawberry.field(
        description="1 to 64 characters the till makes up: sent again, it answers the same."
    )
    lines: list[SpendingLineInput] = strawberry.field(
        default_factory=list,
        description="What the amount pays for, at most 200 lines that add up to no more than it."
        " Value that is only for certain items pays only what is said here.",
    )
    bill_total: MoneyInput | None = strawberry.field(
        default=None,
        description="The whole order, needed to pay with points: they may pay a share of it.",
    )
    verification: str | None = strawberry.field(
        default=None,
        description="What the holder proved, where the scheme asks for it; it is used up.",
    )

    def bill(self) -> spendings.Bill:
        """The bill, its texts checked; raises `BadInput`."""
        return spendings.Bill(
            kind=self.kind,
            amount=self.amount.value(),
            order_number=checked_text(
                "orderNumber", self.order_number, at_most=purchases.ORDER_NUMBER_CHARS_MAX
            ),
            lines=[
                spendings.Line(
                    checked_text("itemId", line.item_id, at_most=spendings.ITEM_ID_CHARS_MAX),
                    line.amount,
                )
                for line in self.lines[: spendings.LINES_MAX + 1]  # one more is refused there
            ],
            total=self.bill_total.value() if self.bill_total else None,
        )


@strawberry.input(description="A bill for a card to pay at once.")
class SpendingChargeInput(_BillInput): ...


@strawberry.input(description="A bill for a card to set the amount of aside.")
class SpendingAuthoriseInput(_BillInput):
    hold_minutes: int = strawberry.field(
        default=spendings.HOLD_MINUTES_DEFAULT,
        description="For how long, 1 to 1440; then it is on the card again.",
    )


@strawberry.input(description="What to keep of what was set aside.")
class SpendingCaptureInput:
    spending_id: strawberry.ID = strawberry.field(description="The spending, `spd_…`.")
    amount: MoneyInput = strawberry.field(description="How much, up to what was authorised.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the till makes up: sent again, it answers the same."
    )


@strawberry.input(description="A spending to undo as a whole.")
class SpendingVoidInput:
    spending_id: strawberry.ID = strawberry.field(description="The spending, `spd_…`.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the till makes up: sent again, it answers the same."
    )


@strawberry.input(description="What to give back of a spending.")
class SpendingRefundInput:
    spending_id: strawberry.ID = strawberry.field(description="The spending, `spd_…`.")
    amount: MoneyInput = strawberry.field(description="How much of what it paid.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; the member sees it.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the till makes up: sent again, it answers the same."
    )


SpendingChargeResult = Annotated[
    SpendingCharged
    | TerminalNotFound
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | WrongCurrency
    | TicketRefused
    | InsufficientBalance
    | PointsCannotPay
    | PointsCapReached
    | PointsBelowMinimum
    | NotEnoughPoints
    | PointsBlocked
    | RequestKeyReused,
    strawberry.union("SpendingChargeResult", description="The spending, or why there is none."),
]
SpendingAuthoriseResult = Annotated[
    SpendingAuthorised
    | TerminalNotFound
    | CardNotFound
    | CardNotUsable
    | NotAtThisStore
    | WrongCurrency
    | TicketRefused
    | InsufficientBalance
    | PointsCannotPay
    | PointsCapReached
    | PointsBelowMinimum
    | NotEnoughPoints
    | PointsBlocked
    | RequestKeyReused,
    strawberry.union("SpendingAuthoriseResult", description="The spending, or why there is none."),
]
SpendingCaptureResult = Annotated[
    SpendingCaptured
    | SpendingNotFound
    | SpendingNotOpen
    | WrongCurrency
    | CaptureTooLarge
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("SpendingCaptureResult", description="The spending, or why it stays held."),
]
SpendingVoidResult = Annotated[
    SpendingVoided
    | SpendingNotFound
    | SpendingNotOpen
    | CardNotUsable
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("SpendingVoidResult", description="The spending, or why it stands."),
]
SpendingRefundResult = Annotated[
    SpendingRefunded
    | SpendingNotFound
    | SpendingNotOpen
    | WrongCurrency
    | SpendingRefundTooLarge
    | SpendingRefundedTooOften
    | CardNotUsable
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("SpendingRefundResult", description="The refund, or why there is none."),
]

HANDLERS = [
    shown_as(SpendingNotFound, spendings.SpendingNotFound),
    shown_as(SpendingNotOpen, spendings.SpendingNotOpen),
    shown_as(InsufficientBalance, spendings.InsufficientBalance),
    shown_as(PointsCannotPay, spendings.PointsCannotPay),
    shown_as(PointsCapReached, spendings.PointsCapReached),
    shown_as(PointsBelowMinimum, spendings.PointsBelowMinimum),
    shown_as(NotEnoughPoints, spendings.NotEnoughPoints),
    shown_as(CaptureTooLarge, spendings.CaptureTooLarge),
    shown_as(SpendingRefundTooLarge, spendings.SpendingRefundTooLarge),
    shown_as(SpendingRefundedTooOften, spendings.SpendingRefundedTooOften),
]
