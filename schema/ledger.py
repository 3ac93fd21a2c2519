"""What a card holds and how that came about (FIN-1)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.models.ledger import Account, PostingKind
from app.services import ledger
from schema.context import Info
from schema.enums import describe
from schema.loaders import History, HistoryPage
from schema.organisation import Node
from schema.pages import Connection, page_limit, row_after
from schema.problems import Problem, shown_as
from schema.scalars import Long, Money
from schema.values import AccountKind

describe(
    PostingKind,
    "Why value moved.",
    {
        "EARN": "A purchase earned it.",
        "EARN_REVERSAL": "A refund took back what a purchase had earned.",
        "SPEND": "It was spent.",
        "SPEND_REVERSAL": "A spending was undone.",
        "EXPIRE": "Its time was over.",
        "ADJUST": "Staff corrected it.",
        "TOP_UP": "It was paid in, or came with what was.",
        "TOP_UP_REFUND": "A top-up was given back.",
        "AUTHORISE": "It was set aside for a bill that is not final yet.",
        "CAPTURE": "A bill became final: what was set aside and not needed came back.",
        "CARD_REFUND": "The card was paid out and closed.",
        "DECAY": "It was not used for a long time.",
        "ROLL_BACK": "Staff took back what had come by fraud.",
        "MERGE": "It came from, or went to, a card of the same person.",
        "MERGE_UNDO": "Two records were parted again.",
        "GIFT_CARD_ACTIVATE": "A gift card was sold.",
        "GIFT_CARD_RECHARGE": "A gift card was recharged.",
        "GIFT_CARD_SPEND": "A gift card paid.",
        "GIFT_CARD_SPEND_REVERSAL": "What a gift card had paid came back.",
        "GIFT_CARD_REFUND": "A gift card was paid out and closed.",
        "GIFT_CARD_MOVE": "It came from a gift card into stored value.",
    },
)


@strawberry.type(description="What a card holds.")
class Balances:
    cash: Money = strawberry.field(description="Stored value that was paid in.")
    bonus: Money = strawberry.field(description="Stored value that came as a bonus.")
    points: Long = strawberry.field(description="Points that can be spent.")
    growth: Long = strawberry.field(description="Growth, which tiers go by.")
    points_debt: Long = strawberry.field(
        description="Points a refund took that were spent already: what is earned next fills it."
    )

    @classmethod
    def of(cls, accounts: Sequence[Account]) -> Self:
        by_kind = {account.kind: account for account in accounts}
        cash, bonus = by_kind[AccountKind.CASH], by_kind[AccountKind.BONUS]
        points = by_kind[AccountKind.POINTS]
        return cls(
            cash=Money.of(cash.balance, cash.unit),
            bonus=Money.of(bonus.balance, bonus.unit),
            points=Long(points.balance),
            growth=Long(by_kind[AccountKind.GROWTH].balance),
            points_debt=Long(points.debt),
        )


@strawberry.type(description="One movement of value on a card.")
class LedgerLine:
    id: strawberry.ID = strawberry.field(description="Its id, `led_…`.")
    kind: AccountKind = strawberry.field(description="Which kind of value moved.")
    cause: PostingKind = strawberry.field(description="Why it moved.")
    amount: Long = strawberry.field(description="How much came (positive) or went (negative).")
    unit: str = strawberry.field(description="An ISO 4217 currency code, POINTS or GROWTH.")
    balance_after: Long = strawberry.field(
        description="What the card held of this kind afterwards; negative while it is owed."
    )
    occurred_at: datetime = strawberry.field(description="When what caused it happened.")
    store_id: strawberry.Private[UUID | None]

    @classmethod
    def of(cls, row: ledger.Line) -> Self:
        assert row.balance_after is not None, "a card's entries carry it"
        return cls(
            id=strawberry.ID(type_id("led", row.id)),
            kind=row.account_kind,
            cause=row.posting_kind,
            amount=Long(row.amount),
            unit=row.unit,
            balance_after=Long(row.balance_after),
            occurred_at=row.occurred_at,
            store_id=row.store_id,
        )

    @strawberry.field(description="Where, if it was at a store.")
    async def store(self, info: Info) -> Node | None:
        if self.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.store_id))


@strawberry.type(description="A page of a card's movements.")
class LedgerLineConnection(Connection[LedgerLine]):
    history: strawberry.Private[History]

    @classmethod
    async def load(cls, info: Info, history: History, first: int, after: str | None) -> Self:
        page = HistoryPage(history, row_after(after), page_limit(first))
        found = await info.context.loaders.ledger_lines.load(page)
        return cls.of(found, first, LedgerLine.of, history=history)

    @strawberry.field(
        description="How many of them the asker may see in all. Counted only when asked for."
    )
    async def total_count(self, info: Info) -> int:
        return await info.context.read(ledger.lines.number, **self.history._asdict())


@strawberry.type(description="The card would hold, or owe, more than can be counted.")
class BalanceTooLarge(Problem):
    kind: AccountKind = strawberry.field(description="Which kind of value.")

    @classmethod
    def of(cls, error: ledger.BalanceTooLarge) -> Self:
        return cls(message=str(error), kind=error.kind)


@strawberry.type(description="The balance holds less than that.")
class NotEnoughValue(Problem):
    kind: AccountKind = strawberry.field(description="Which kind of value.")
    short_by: Long = strawberry.field(description="How much is missing, in minor units or points.")

    @classmethod
    def of(cls, error: ledger.NotEnoughValue) -> Self:
        return cls(message=str(error), kind=error.kind, short_by=Long(error.short_by))


HANDLERS = [
    shown_as(BalanceTooLarge, ledger.BalanceTooLarge),
    shown_as(NotEnoughValue, ledger.NotEnoughValue),
]
