"""Purchases and refunds, as tills and partners report them (PTS-1)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import purchases
from auth.permissions import Needs
from schema.context import Info
from schema.purchases import (
    Purchase,
    PurchaseRecorded,
    PurchaseRecordInput,
    PurchaseRecordResult,
    PurchaseRefunded,
    PurchaseRefundInput,
    PurchaseRefundResult,
)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.PURCHASES_READ)],
        description="One purchase, or null if the asker may not see it.",
    )
    async def purchase(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The purchase, `pur_…`.")],
    ) -> Purchase | None:
        row = await info.context.read(
            purchases.seen_by, await info.context.actor(), purchase_id=parse_type_id("pur", id)
        )
        return Purchase.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.PURCHASES_WRITE)],
        description="Record a bill on a card: its points arrive at once.",
    )
    async def purchase_record(
        self,
        info: Info,
        input: Annotated[PurchaseRecordInput, strawberry.argument(description="The bill.")],
    ) -> PurchaseRecordResult:
        recorded = await info.context.run(
            purchases.record,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            bill=input.bill(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return PurchaseRecorded.of(recorded)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.PURCHASES_REFUND)],
        description="Give back a part or all of a purchase: the points of that part go with it.",
    )
    async def purchase_refund(
        self,
        info: Info,
        input: Annotated[
            PurchaseRefundInput, strawberry.argument(description="What to give back.")
        ],
    ) -> PurchaseRefundResult:
        refunded = await info.context.run(
            purchases.refund,
            await info.context.actor(),
            purchase_id=parse_type_id("pur", input.purchase_id),
            amount=input.amount.value(),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return PurchaseRefunded.of(refunded)
