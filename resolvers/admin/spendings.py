"""Bills paid with stored value or points, as tills and partners charge them (TOP-9, PTS-6)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import spendings
from auth.permissions import Needs
from schema.context import Info
from schema.spendings import (
    Spending,
    SpendingAuthorised,
    SpendingAuthoriseInput,
    SpendingAuthoriseResult,
    SpendingCaptured,
    SpendingCaptureInput,
    SpendingCaptureResult,
    SpendingCharged,
    SpendingChargeInput,
    SpendingChargeResult,
    SpendingRefunded,
    SpendingRefundInput,
    SpendingRefundResult,
    SpendingVoided,
    SpendingVoidInput,
    SpendingVoidResult,
)

Spends = Needs(Permission.SPENDINGS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.PURCHASES_READ)],
        description="Something that a card paid, or null if the asker may not see it.",
    )
    async def spending(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The spending, `spd_…`.")],
    ) -> Spending | None:
        row = await info.context.read(
            spendings.seen_by, await info.context.actor(), spending_id=parse_type_id("spd", id)
        )
        return Spending.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Spends],
        description="Pay a bill with a card's stored value or points, at once.",
    )
    async def spending_charge(
        self,
        info: Info,
        input: Annotated[SpendingChargeInput, strawberry.argument(description="The bill.")],
    ) -> SpendingChargeResult:
        done = await info.context.run(
            spendings.charge,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            bill=input.bill(),
            verification=input.verification,
            request_key=input.request_key,
            now=info.context.now,
        )
        return SpendingCharged.of(done)

    @strawberry.mutation(
        permission_classes=[Spends],
        description="Set aside what a bill will cost: capture it when the bill is final.",
    )
    async def spending_authorise(
        self,
        info: Info,
        input: Annotated[SpendingAuthoriseInput, strawberry.argument(description="The bill.")],
    ) -> SpendingAuthoriseResult:
        done = await info.context.run(
            spendings.authorise,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            bill=input.bill(),
            hold_minutes=input.hold_minutes,
            verification=input.verification,
            request_key=input.request_key,
            now=info.context.now,
        )
        return SpendingAuthorised.of(done)

    @strawberry.mutation(
        permission_classes=[Spends],
        description="Keep what was set aside, or less: what is not needed returns to the card.",
    )
    async def spending_capture(
        self,
        info: Info,
        input: Annotated[SpendingCaptureInput, strawberry.argument(description="How much.")],
    ) -> SpendingCaptureResult:
        done = await info.context.run(
            spendings.capture,
            await info.context.actor(),
            spending_id=parse_type_id("spd", input.spending_id),
            amount=input.amount.value(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return SpendingCaptured.of(done)

    @strawberry.mutation(
        permission_classes=[Spends],
        description="Undo a spending as a whole: all it took returns to where it came from.",
    )
    async def spending_void(
        self,
        info: Info,
        input: Annotated[SpendingVoidInput, strawberry.argument(description="Which, and why.")],
    ) -> SpendingVoidResult:
        done = await info.context.run(
            spendings.void,
            await info.context.actor(),
            spending_id=parse_type_id("spd", input.spending_id),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return SpendingVoided.of(done)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.SPENDINGS_REFUND)],
        description="Give back a part or all of a spending, in the proportion it was paid with.",
    )
    async def spending_refund(
        self,
        info: Info,
        input: Annotated[
            SpendingRefundInput, strawberry.argument(description="What to give back.")
        ],
    ) -> SpendingRefundResult:
        refunded = await info.context.run(
            spendings.refund,
            await info.context.actor(),
            spending_id=parse_type_id("spd", input.spending_id),
            amount=input.amount.value(),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return SpendingRefunded.of(refunded)
