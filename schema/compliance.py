"""Limits of the law of prepaid cards, and who is behind large sums (TOP-11)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.crypto import masked_name
from app.core.money import Money as MoneyValue
from app.models import compliance as rows
from app.models.compliance import DocumentKind
from app.services import compliance
from schema.enums import describe
from schema.members import MemberNotFound
from schema.problems import Problem, shown_as
from schema.scalars import CurrencyCode, Long, Money

describe(
    DocumentKind,
    "What proves who somebody is.",
    {
        "ID_CARD": "A national identity card.",
        "PASSPORT": "A passport.",
        "OTHER": "Another official document.",
    },
)
_LIMITS = {
    "registered_card_cap": "Paid-in value a registered card can hold: name and phone are known.",
    "unregistered_card_cap": "Paid-in value any other card can hold; all that a gift card can be"
    " worth.",
    "person_cap": "Paid-in value all cards of one member can hold together.",
    "order_max": "What one top-up, or one purchase of gift cards, can cost.",
    "day_max": "What one member can pay for top-ups and gift cards in a day of the group's time"
    " zone.",
    "real_name_from": "From this on the buyer's identity document must be on record.",
    "transfer_from": "From this on only methods that move by transfer can pay.",
    "company_transfer_from": "The same of what a company buys at once, as gift cards in bulk.",
    "adjustment_approval_above": "Adjustments of cash or bonus above this need a second person.",
    "points_approval_above": "Adjustments of points above this need a second person.",
}


@strawberry.type(
    description="A group's limits in one currency, in minor units; null is no limit. What the group"
    " never set is as the law has it."
)
class GroupRules:
    currency: CurrencyCode = strawberry.field(description="The currency they hold for.")
    registered_card_cap: Long | None = strawberry.field(description=_LIMITS["registered_card_cap"])
    unregistered_card_cap: Long | None = strawberry.field(
        description=_LIMITS["unregistered_card_cap"]
    )
    person_cap: Long | None = strawberry.field(description=_LIMITS["person_cap"])
    order_max: Long | None = strawberry.field(description=_LIMITS["order_max"])
    day_max: Long | None = strawberry.field(description=_LIMITS["day_max"])
    real_name_from: Long | None = strawberry.field(description=_LIMITS["real_name_from"])
    transfer_from: Long | None = strawberry.field(description=_LIMITS["transfer_from"])
    company_transfer_from: Long | None = strawberry.field(
        description=_LIMITS["company_transfer_from"]
    )
    adjustment_approval_above: Long | None = strawberry.field(
        description=_LIMITS["adjustment_approval_above"]
    )
    points_approval_above: Long | None = strawberry.field(
        description=_LIMITS["points_approval_above"]
    )

    @classmethod
    def of(cls, row: rows.GroupRules) -> Self:
        limits = {name: _long(getattr(row, name)) for name in _LIMITS}
        return cls(currency=CurrencyCode(row.currency), **limits)


def _long(value: int | None) -> Long | None:
    return None if value is None else Long(value)


@strawberry.input(description="All limits of a group in one currency: null lifts one.")
class GroupRulesSetInput:
    currency: CurrencyCode = strawberry.field(description="The currency they hold for.")
    registered_card_cap: Long | None = strawberry.field(description=_LIMITS["registered_card_cap"])
    unregistered_card_cap: Long | None = strawberry.field(
        description=_LIMITS["unregistered_card_cap"]
    )
    person_cap: Long | None = strawberry.field(description=_LIMITS["person_cap"])
    order_max: Long | None = strawberry.field(description=_LIMITS["order_max"])
    day_max: Long | None = strawberry.field(description=_LIMITS["day_max"])
    real_name_from: Long | None = strawberry.field(description=_LIMITS["real_name_from"])
    transfer_from: Long | None = strawberry.field(description=_LIMITS["transfer_from"])
    company_transfer_from: Long | None = strawberry.field(
        default=strawberry.UNSET,
        description=f"{_LIMITS['company_transfer_from']} Left out, it stays as it is.",
    )
    adjustment_approval_above: Long | None = strawberry.field(
        description=_LIMITS["adjustment_approval_above"]
    )
    points_approval_above: Long | None = strawberry.field(
        description=_LIMITS["points_approval_above"]
    )

    def limits(self) -> dict[str, int | None]:
        given = {name: getattr(self, name) for name in _LIMITS}
        return {name: limit for name, limit in given.items() if limit is not strawberry.UNSET}


@strawberry.type(description="Who a member is by a document that somebody has seen.")
class RealName:
    name: str = strawberry.field(description="The name in it, masked: 王**.")
    document_kind: DocumentKind = strawberry.field(description="Which document it is.")
    document_number: str = strawberry.field(description="Its number, masked but for the last 4.")
    recorded_at: datetime = strawberry.field(description="When it was written down.")

    @classmethod
    def of(cls, row: rows.RealName) -> Self:
        hidden = max(len(row.document_number) - 4, 0)
        return cls(
            name=masked_name(row.name),
            document_kind=row.document_kind,
            document_number="*" * hidden + row.document_number[hidden:],
            recorded_at=row.recorded_at,
        )


@strawberry.input(description="Who a member is by a document that the asker has seen.")
class RealNameRecordInput:
    member_id: strawberry.ID = strawberry.field(description="The member, `mem_…`.")
    name: str = strawberry.field(description="The name in it, 1 to 120 characters.")
    document_kind: DocumentKind = strawberry.field(description="Which document it is.")
    document_number: str = strawberry.field(description="Its number, 1 to 40 characters.")


@strawberry.type(description="The card would hold more paid-in value than one card may.")
class CardCapReached(Problem):
    limit: Money = strawberry.field(description="What a card like this can hold.")
    room: Money = strawberry.field(description="What it could still take.")

    @classmethod
    def of(cls, error: compliance.CardCapReached) -> Self:
        return cls(message=str(error), limit=_money(error.limit), room=_money(error.room))


@strawberry.type(description="The member's cards would hold more than one person's may.")
class PersonCapReached(Problem):
    limit: Money = strawberry.field(description="What one person's cards can hold.")
    room: Money = strawberry.field(description="What they could still take.")

    @classmethod
    def of(cls, error: compliance.PersonCapReached) -> Self:
        return cls(message=str(error), limit=_money(error.limit), room=_money(error.room))


@strawberry.type(description="More than one top-up, or one purchase of gift cards, may cost.")
class OrderTooLarge(Problem):
    limit: Money = strawberry.field(description="What can be bought at once.")

    @classmethod
    def of(cls, error: compliance.OrderTooLarge) -> Self:
        return cls(message=str(error), limit=_money(error.limit))


@strawberry.type(description="More than one member may top up in a day, gift cards counted.")
class DayLimitReached(Problem):
    limit: Money = strawberry.field(description="What a day allows.")
    room: Money = strawberry.field(description="What is left of it today.")

    @classmethod
    def of(cls, error: compliance.DayLimitReached) -> Self:
        return cls(message=str(error), limit=_money(error.limit), room=_money(error.room))


@strawberry.type(description="The buyer's identity document must be on record first.")
class RealNameNeeded(Problem):
    limit: Money = strawberry.field(description="From which amount on.")

    @classmethod
    def of(cls, error: compliance.RealNameNeeded) -> Self:
        return cls(message=str(error), limit=_money(error.limit))


@strawberry.type(description="So much must be paid by transfer or bank card.")
class TransferNeeded(Problem):
    limit: Money = strawberry.field(description="From which amount on.")

    @classmethod
    def of(cls, error: compliance.TransferNeeded) -> Self:
        return cls(message=str(error), limit=_money(error.limit))


RealNameRecordResult = Annotated[
    RealName | MemberNotFound,
    strawberry.union("RealNameRecordResult", description="What was recorded, or why nothing."),
]


def _money(money: MoneyValue) -> Money:
    return Money.of(money.amount, money.currency)


HANDLERS = [
    shown_as(CardCapReached, compliance.CardCapReached),
    shown_as(PersonCapReached, compliance.PersonCapReached),
    shown_as(OrderTooLarge, compliance.OrderTooLarge),
    shown_as(DayLimitReached, compliance.DayLimitReached),
    shown_as(RealNameNeeded, compliance.RealNameNeeded),
    shown_as(TransferNeeded, compliance.TransferNeeded),
]
