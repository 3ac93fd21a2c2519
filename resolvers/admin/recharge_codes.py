"""Codes that top a card up once: made, revoked, and redeemed at tills (TOP-6)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.top_ups import codes
from auth.permissions import Needs
from schema.context import Info
from schema.recharge_codes import (
    RechargeCodeBatch,
    RechargeCodeRedeemAtTerminalInput,
    RechargeCodeRedeemAtTerminalResult,
    RechargeCodeRedeemed,
    RechargeCodesGenerated,
    RechargeCodesGenerateInput,
    RechargeCodesGenerateResult,
    RechargeCodesRevokeResult,
)

BATCHES_SHOWN_MAX = 100

Writes = Needs(Permission.TOP_UPS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Writes],
        description="A plan's batches of codes, newest first, at most 100; empty if there is no"
        " such plan.",
    )
    async def recharge_code_batches(
        self,
        info: Info,
        plan_id: Annotated[strawberry.ID, strawberry.argument(description="The plan, `plan_…`.")],
    ) -> list[RechargeCodeBatch]:
        rows = await info.context.read(
            codes.of_plan,
            await info.context.actor(),
            plan_id=parse_type_id("plan", plan_id),
            limit=BATCHES_SHOWN_MAX,
        )
        return [RechargeCodeBatch.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Make codes for a step of a plan. What each brings is fixed now; only this"
        " answer shows them.",
    )
    async def recharge_codes_generate(
        self,
        info: Info,
        input: Annotated[
            RechargeCodesGenerateInput, strawberry.argument(description="What to make.")
        ],
    ) -> RechargeCodesGenerateResult:
        generated = await info.context.run(
            codes.generate,
            await info.context.actor(),
            wanted=input.wanted(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return RechargeCodesGenerated.of(generated)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Let the codes of a batch that were not redeemed be worth nothing.",
    )
    async def recharge_codes_revoke(
        self,
        info: Info,
        batch_id: Annotated[strawberry.ID, strawberry.argument(description="The batch, `rcb_…`.")],
    ) -> RechargeCodesRevokeResult:
        row = await info.context.run(
            codes.revoke,
            await info.context.actor(),
            batch_id=parse_type_id("rcb", batch_id),
            now=info.context.now,
        )
        return RechargeCodeBatch.of(row)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.TOP_UPS_SELL)],
        description="Top a card up with a code that somebody brings to a till, once.",
    )
    async def recharge_code_redeem(
        self,
        info: Info,
        input: Annotated[
            RechargeCodeRedeemAtTerminalInput, strawberry.argument(description="The code.")
        ],
    ) -> RechargeCodeRedeemAtTerminalResult:
        redeemed = await info.context.run(
            codes.redeem_at_terminal,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            code=input.code,
            request_key=input.request_key,
            now=info.context.now,
        )
        return RechargeCodeRedeemed.of(redeemed)
