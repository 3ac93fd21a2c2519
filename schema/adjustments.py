"""What the back office changes on a card by hand (CRD-4, CRD-6)."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from app.core.ids import type_id
from app.models import adjustments as rows
from app.models.adjustments import AdjustmentState
from app.services import adjustments
from schema.card_status import CardNotFound, CardNotUsable
from schema.cards import Card, card_id_of
from schema.compliance import CardCapReached, PersonCapReached
from schema.enums import describe
from schema.ledger import BalanceTooLarge, NotEnoughValue
from schema.pages import Connection
from schema.payment_methods import PaymentMethodUnknown
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import Long, Money
from schema.values import AccountKind

describe(
    AdjustmentState,
    "Whether an adjustment has moved anything.",
    {
        "PROPOSED": "It waits for a second person.",
        "APPLIED": "It has moved the balance.",
        "REJECTED": "A second person refused it; nothing moved.",
    },
)


@strawberry.type(description="Value added to a card, or taken from it, by hand.")
class Adjustment:
    id: strawberry.ID = strawberry.field(description="Its id, `adj_…`.")
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    kind: AccountKind = strawberry.field(description="Which balance.")
    unit: str = strawberry.field(description="An ISO 4217 currency code, or POINTS.")
    amount: Long = strawberry.field(description="What came (positive) or went (negative).")
    reason: str = strawberry.field(description="Why.")
    state: AdjustmentState = strawberry.field(description="Whether it has moved anything.")
    proposed_by_id: strawberry.ID = strawberry.field(description="By whom, `stf_…`.")
    proposed_at: datetime = strawberry.field(description="When.")
    decided_by_id: strawberry.ID | None = strawberry.field(
        description="Who decided; the same person where no second one was needed."
    )
    decided_at: datetime | None = strawberry.field(description="When that was.")

    @classmethod
    def of(cls, row: rows.Adjustment) -> Self:
        decided_by = row.decided_by_id
        return cls(
            id=strawberry.ID(type_id("adj", row.id)),
            card_id=card_id_of(row.card_id),
            kind=row.account_kind,
            unit=row.unit,
            amount=Long(row.amount),
            reason=row.reason,
            state=row.state,
            proposed_by_id=strawberry.ID(type_id("stf", row.proposed_by_id)),
            proposed_at=row.proposed_at,
            decided_by_id=strawberry.ID(type_id("stf", decided_by)) if decided_by else None,
            decided_at=row.decided_at,
        )


@strawberry.type(description="A page of adjustments.")
class AdjustmentConnection(Connection[Adjustment]): ...


@strawberry.type(description="The adjustment stands: applied, or waiting for a second person.")
class AdjustmentProposed:
    adjustment: Adjustment = strawberry.field(description="The adjustment.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had proposed it."
    )

    @classmethod
    def of(cls, proposed: adjustments.Proposed) -> Self:
        return cls(adjustment=Adjustment.of(proposed.adjustment), replayed=proposed.is_replay)


@strawberry.type(description="The card was paid out and closed.")
class CardRefunded:
    card: Card = strawberry.field(description="The card as it is now.")
    paid_out: Money = strawberry.field(description="What to give back to its holder.")
    voided_bonus: Money = strawberry.field(description="Bonus that is gone.")
    voided_points: Long = strawberry.field(description="Points that are gone.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had refunded it."
    )

    @classmethod
    def of(cls, refunded: adjustments.Refunded, now: datetime) -> Self:
        made = refunded.refund
        return cls(
            card=Card.of(refunded.card, now),
            paid_out=Money.of(made.paid_out, made.currency),
            voided_bonus=Money.of(made.voided_bonus, made.currency),
            voided_points=Long(made.voided_points),
            replayed=refunded.is_replay,
        )


@strawberry.type(description="There is no such adjustment.")
class AdjustmentNotFound(Problem): ...


@strawberry.type(description="It was applied or rejected already.")
class AdjustmentDecided(Problem):
    state: AdjustmentState = strawberry.field(description="Which of them.")

    @classmethod
    def of(cls, error: adjustments.AdjustmentDecided) -> Self:
        return cls(message=str(error), state=error.state)


@strawberry.type(description="Who proposed an adjustment cannot approve it.")
class SecondPersonNeeded(Problem): ...


@strawberry.type(description="Value of the card is held for a bill that is not final yet.")
class AuthorisationOpen(Problem): ...


@strawberry.type(description="The card was paid out and closed before.")
class CardAlreadyRefunded(Problem): ...


@strawberry.input(description="Value to add to a card, or to take from it.")
class AdjustmentProposeInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    kind: AccountKind = strawberry.field(description="CASH, BONUS or POINTS.")
    amount: Long = strawberry.field(
        description="In minor units of the card's currency, or points; negative takes. Not 0."
    )
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the asker makes up: sent again, it answers the same."
    )


@strawberry.input(description="What a second person says to an adjustment.")
class AdjustmentDecideInput:
    adjustment_id: strawberry.ID = strawberry.field(description="The adjustment, `adj_…`.")
    is_approved: bool = strawberry.field(description="Whether to apply it.")


@strawberry.input(description="A card to pay out and close.")
class CardRefundInput:
    card_id: strawberry.ID = strawberry.field(description="The card, `card_…`.")
    method_code: str = strawberry.field(description="The payment method it is paid out by.")
    reason: str = strawberry.field(description="Why, 1 to 200 characters; it is recorded.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the asker makes up: sent again, it answers the same."
    )


AdjustmentProposeResult = Annotated[
    AdjustmentProposed
    | CardNotFound
    | CardNotUsable
    | NotEnoughValue
    | CardCapReached
    | PersonCapReached
    | BalanceTooLarge
    | RequestKeyReused,
    strawberry.union("AdjustmentProposeResult", description="The adjustment, or why none."),
]
AdjustmentDecideResult = Annotated[
    Adjustment
    | AdjustmentNotFound
    | AdjustmentDecided
    | SecondPersonNeeded
    | CardNotFound
    | CardNotUsable
    | NotEnoughValue
    | CardCapReached
    | PersonCapReached
    | BalanceTooLarge,
    strawberry.union("AdjustmentDecideResult", description="The adjustment, or why not."),
]
CardRefundResult = Annotated[
    CardRefunded
    | CardNotFound
    | CardAlreadyRefunded
    | AuthorisationOpen
    | PaymentMethodUnknown
    | RequestKeyReused,
    strawberry.union("CardRefundResult", description="What was paid out, or why nothing."),
]

HANDLERS = [
    shown_as(AdjustmentNotFound, adjustments.AdjustmentNotFound),
    shown_as(AdjustmentDecided, adjustments.AdjustmentDecided),
    shown_as(SecondPersonNeeded, adjustments.SecondPersonNeeded),
    shown_as(AuthorisationOpen, adjustments.AuthorisationOpen),
    shown_as(CardAlreadyRefunded, adjustments.CardAlreadyRefunded),
]
