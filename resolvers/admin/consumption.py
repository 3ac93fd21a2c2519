"""What a holder proves at the till before a card pays (CRD-8)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import consumption
from auth.consumption import verify_pin
from auth.permissions import Needs
from schema.consumption import (
    CardVerificationCodeSendInput,
    CardVerificationCodeSendResult,
    CardVerifyCodeInput,
    CardVerifyCodeResult,
    CardVerifyPinInput,
    CardVerifyPinResult,
    ConsumptionVerified,
)
from schema.context import Info
from schema.verification_codes import VerificationCodeSent

Resolves = Needs(Permission.CODES_RESOLVE)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Resolves],
        description="Check the PIN a holder typed. Five wrong ones lock it.",
    )
    async def card_verify_pin(
        self,
        info: Info,
        input: Annotated[CardVerifyPinInput, strawberry.argument(description="The PIN.")],
    ) -> CardVerifyPinResult:
        verified = await verify_pin(
            info.context,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            pin=input.pin,
        )
        return ConsumptionVerified.of(verified)

    @strawberry.mutation(
        permission_classes=[Resolves], description="Send the holder a code to say at the till."
    )
    async def card_verification_code_send(
        self,
        info: Info,
        input: Annotated[
            CardVerificationCodeSendInput, strawberry.argument(description="Whose card.")
        ],
    ) -> CardVerificationCodeSendResult:
        sent = await info.context.run(
            consumption.send_code,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            address=info.context.client_address,
            now=info.context.now,
        )
        return VerificationCodeSent.of(sent)

    @strawberry.mutation(
        permission_classes=[Resolves], description="Check the code the holder was sent."
    )
    async def card_verify_code(
        self,
        info: Info,
        input: Annotated[CardVerifyCodeInput, strawberry.argument(description="The code.")],
    ) -> CardVerifyCodeResult:
        verified = await info.context.run(
            consumption.verify_code,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            code=input.code,
            address=info.context.client_address,
            now=info.context.now,
        )
        return ConsumptionVerified.of(verified)
