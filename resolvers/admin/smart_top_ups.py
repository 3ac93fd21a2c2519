"""Offers made when a bill at a till exceeds the balance (TOP-5)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.top_ups import smart
from auth.permissions import Needs
from schema.context import Info
from schema.payment_methods import checked_method_code
from schema.smart_top_ups import (
    SmartTopUpQuote,
    SmartTopUpQuoteAtTerminalInput,
    SmartTopUpQuoteAtTerminalResult,
    SmartTopUpSellInput,
    SmartTopUpSellResult,
)
from schema.top_ups import TopUpSold


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.TOP_UPS_SELL)],
        description="Ask for offers for a bill that a card does not cover. They hold for five"
        " minutes and replace the card's earlier ones.",
    )
    async def smart_top_up_quote(
        self,
        info: Info,
        input: Annotated[
            SmartTopUpQuoteAtTerminalInput, strawberry.argument(description="The bill.")
        ],
    ) -> SmartTopUpQuoteAtTerminalResult:
        quoted = await info.context.run(
            smart.quote_at_terminal,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            card_id=parse_type_id("card", input.card_id),
            bill=input.bill.value(),
            now=info.context.now,
        )
        return SmartTopUpQuote.of(quoted)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.TOP_UPS_SELL)],
        description="Sell an offer at the till: it costs what it said, and is on the card at once.",
    )
    async def smart_top_up_sell(
        self,
        info: Info,
        input: Annotated[SmartTopUpSellInput, strawberry.argument(description="The offer.")],
    ) -> SmartTopUpSellResult:
        sold = await info.context.run(
            smart.sell,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            token=input.token,
            offer=input.offer,
            method_code=checked_method_code(input.method_code),
            request_key=input.request_key,
            now=info.context.now,
        )
        return TopUpSold.of(sold)
