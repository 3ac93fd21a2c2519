"""What the back office changes on a card by hand (CRD-4, CRD-6)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.adjustments import AdjustmentState
from app.models.staff import Permission
from app.services import adjustments
from auth.permissions import Needs
from schema.adjustments import (
    Adjustment,
    AdjustmentConnection,
    AdjustmentDecideInput,
    AdjustmentDecideResult,
    AdjustmentProposed,
    AdjustmentProposeInput,
    AdjustmentProposeResult,
    CardRefunded,
    CardRefundInput,
    CardRefundResult,
)
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, First, page_limit, row_after
from schema.payment_methods import checked_method_code


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.CARDS_READ)],
        description="Adjustments, newest first, for those who may read all cards of the group.",
    )
    async def adjustments(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        card_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Of one card, `card_…`.")
        ] = None,
        state: Annotated[
            AdjustmentState | None, strawberry.argument(description="In one state only.")
        ] = None,
    ) -> AdjustmentConnection:
        rows = await info.context.read(
            adjustments.page,
            await info.context.actor(),
            card_id=parse_type_id("card", card_id) if card_id else None,
            state=state,
            before=row_after(after),
            limit=page_limit(first),
        )
        return AdjustmentConnection.of(rows, first, Adjustment.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.ADJUSTMENTS_WRITE)],
        description="Add value to a card or take it, with a reason. Above the group's limit it"
        " waits for a second person. Back office only: never a till or a partner.",
    )
    async def adjustment_propose(
        self,
        info: Info,
        input: Annotated[AdjustmentProposeInput, strawberry.argument(description="What to move.")],
    ) -> AdjustmentProposeResult:
        proposed = await info.context.run(
            adjustments.propose,
            await info.context.actor(),
            card_id=parse_type_id("card", input.card_id),
            account_kind=input.kind,
            amount=input.amount,
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return AdjustmentProposed.of(proposed)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.ADJUSTMENTS_APPROVE)],
        description="Apply or reject an adjustment that waits. Its proposer can only reject it.",
    )
    async def adjustment_decide(
        self,
        info: Info,
        input: Annotated[AdjustmentDecideInput, strawberry.argument(description="The decision.")],
    ) -> AdjustmentDecideResult:
        row = await info.context.run(
            adjustments.decide,
            await info.context.actor(),
            adjustment_id=parse_type_id("adj", input.adjustment_id),
            is_approved=input.is_approved,
            now=info.context.now,
        )
        return Adjustment.of(row)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.CARDS_REFUND)],
        description="Pay out a card's cash, void its bonus and points, and close it for good."
        " Back office only.",
    )
    async def card_refund(
        self,
        info: Info,
        input: Annotated[CardRefundInput, strawberry.argument(description="Which card.")],
    ) -> CardRefundResult:
        refunded = await info.context.run(
            adjustments.refund_card,
            await info.context.actor(),
            card_id=parse_type_id("card", input.card_id),
            method_code=checked_method_code(input.method_code),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return CardRefunded.of(refunded, info.context.now)
