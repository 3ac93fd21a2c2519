"""Which benefits hold for a card here and now, with what they give, and why others do not."""

from datetime import datetime
from typing import Self

import strawberry

from app.core.ids import parse_type_id
from app.services import benefits
from app.services.benefits import BenefitObstacleReason, bills
from schema.benefits.benefits import CardBenefit
from schema.enums import describe
from schema.scalars import CurrencyCode, Long, Money
from schema.scopes import Channel

describe(
    BenefitObstacleReason,
    "Why a benefit does not hold.",
    {
        "CARD_NOT_USABLE": "The card is lost, frozen, expired or refunded.",
        "WRONG_CHANNEL": "It is not had on this channel.",
        "WRONG_STORE": "It is not had at this store; or only in certain ones, and none is named.",
        "NOT_FOR_THIS_MEMBER": "It is for other cards or members.",
        "WRONG_CURRENCY": "Its amounts are in another currency than the card.",
        "CAMPAIGN_NOT_RUNNING": "The campaign it leads to does not run.",
        "CARD_NEVER_EXPIRES": "The card has no end that could be put off.",
        "BIRTHDAY_UNKNOWN": "The member has not said when they were born.",
        "ENDED": "Its time is over.",
        "NOT_OPEN": "Not at this time: `availableFrom` says when.",
        "NOTHING_ON_THE_BILL": "Nothing on the bill is what it can be had for.",
        "STORED_VALUE_BELOW_AMOUNT": "The card holds too little: `shortBy` says by how much.",
        "STORED_VALUE_BELOW_OUTSTANDING": "The card does not hold what is left to pay: `shortBy`.",
        "STORED_VALUE_BELOW_DISCOUNTED": "The card does not hold what is left to pay after the"
        " benefit: `shortBy`.",
    },
)


@strawberry.input(description="So many of an item on a bill.")
class BillLineInput:
    item_id: str = strawberry.field(
        description=f"The item, an id of your own, 1 to {bills.ITEM_ID_CHARS_MAX} characters."
    )
    amount: Long = strawberry.field(
        description="What they cost together without any benefit, in minor units, 0 or more."
    )
    quantity: int = strawberry.field(default=1, description="How many, 1 or more.")
    category_id: str | None = strawberry.field(
        default=None, description="The item's category, an id of your own."
    )

    def line(self) -> benefits.BillLine:
        return benefits.BillLine(
            item_id=self.item_id,
            quantity=self.quantity,
            amount=self.amount,
            category_id=self.category_id,
        )


@strawberry.input(description="A bill that is to be paid.")
class BillInput:
    currency: CurrencyCode = strawberry.field(description="What amounts are in: the card's.")
    lines: list[BillLineInput] = strawberry.field(
        description=f"What is on it, 1 to {bills.LINES_MAX} lines."
    )
    outstanding: Long | None = strawberry.field(
        default=None,
        description="What of it is not paid yet, in minor units; null is all of it.",
    )

    def bill(self) -> benefits.Bill:
        """The bill; raises `BadInput`."""
        lines = [each.line() for each in self.lines]
        return benefits.Bill.of(self.currency, lines, self.outstanding)


@strawberry.input(description="Where, on which channel, for what and when somebody asks.")
class BenefitContextInput:
    channel: Channel = strawberry.field(description="Where they stand.")
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="At which store, `node_…`; null is at none."
    )
    bill: BillInput | None = strawberry.field(
        default=None,
        description="What is to be paid; null asks what holds at all, without amounts.",
    )
    at: datetime | None = strawberry.field(
        default=None, description="When, within 400 days; null is now."
    )

    def question(self) -> benefits.Question:
        """What is asked; raises `BadInput`."""
        store_id = None if self.store_id is None else parse_type_id("node", self.store_id)
        bill = None if self.bill is None else self.bill.bill()
        return benefits.Question(self.channel, store_id, bill, self.at)


@strawberry.type(description="What a benefit gives with a bill.")
class BenefitGives:
    off: Money = strawberry.field(description="What it takes off, never more than is outstanding.")
    multiplier_basis_points: int = strawberry.field(
        description="What points are multiplied by; 10,000 is as usual."
    )
    extra_points: Long = strawberry.field(
        description="The points that come on top, if all that is left to pay is net."
    )


@strawberry.type(description="A benefit that holds.")
class HoldingBenefit:
    benefit: CardBenefit = strawberry.field(description="The benefit.")
    gives: BenefitGives | None = strawberry.field(
        description="What it gives with the bill; null without a bill."
    )

    @classmethod
    def of(cls, found: benefits.Holding, currency: str | None) -> Self:
        gives = None
        if found.gives is not None and currency is not None:
            gives = BenefitGives(
                off=Money.of(found.gives.off, currency),
                multiplier_basis_points=found.gives.multiplier_bp,
                extra_points=Long(found.gives.extra_points),
            )
        return cls(benefit=CardBenefit.of(found.held), gives=gives)


@strawberry.type(description="Why a benefit does not hold.")
class BenefitObstacle:
    reason: BenefitObstacleReason = strawberry.field(description="Why not.")
    available_from: datetime | None = strawberry.field(
        description="When it holds, if it is only a matter of time."
    )
    short_by: Money | None = strawberry.field(
        description="How much the card lacks, if it is a matter of money."
    )

    @classmethod
    def of(cls, found: benefits.BenefitObstacle) -> Self:
        short = found.short_by
        return cls(
            reason=found.reason,
            available_from=found.available_from,
            short_by=None if short is None else Money.of(short.amount, short.currency),
        )


@strawberry.type(description="A benefit that does not hold.")
class WithheldBenefit:
    benefit: CardBenefit = strawberry.field(description="The benefit.")
    obstacle: BenefitObstacle = strawberry.field(description="Why it does not hold.")

    @classmethod
    def of(cls, found: benefits.Withheld) -> Self:
        return cls(benefit=CardBenefit.of(found.held), obstacle=BenefitObstacle.of(found.obstacle))


@strawberry.type(
    description="Which benefits hold for a card, and which do not. Each is judged alone: whether"
    " they go together is the till's to know."
)
class BenefitsFor:
    at: datetime = strawberry.field(description="The moment that this is the answer for.")
    holding: list[HoldingBenefit] = strawberry.field(
        description="Those that hold: what was given to the card first."
    )
    withheld: list[WithheldBenefit] = strawberry.field(description="Those that do not, and why.")

    @classmethod
    def of(cls, answer: benefits.Answer, question: benefits.Question) -> Self:
        currency = None if question.bill is None else question.bill.currency
        return cls(
            at=answer.at,
            holding=[HoldingBenefit.of(each, currency) for each in answer.holding],
            withheld=[WithheldBenefit.of(each) for each in answer.withheld],
        )
