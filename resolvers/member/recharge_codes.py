"""Codes that top a card up once (TOP-6)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.top_ups import codes
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.recharge_codes import (
    RechargeCodeRedeemed,
    RechargeCodeRedeemInput,
    RechargeCodeRedeemResult,
)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember], description="Top a card up with a code, once."
    )
    async def recharge_code_redeem(
        self,
        info: Info,
        input: Annotated[RechargeCodeRedeemInput, strawberry.argument(description="The code.")],
    ) -> RechargeCodeRedeemResult:
        redeemed = await info.context.run(
            codes.redeem,
            bearer=bearer(info.context),
            card_id=parse_type_id("card", input.card_id),
            code=input.code,
            address=info.context.client_address,
            request_key=input.request_key,
            now=info.context.now,
        )
        return RechargeCodeRedeemed.of(redeemed)
