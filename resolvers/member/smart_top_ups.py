"""Offers made when a bill exceeds the balance (TOP-5)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.top_ups import smart
from auth import paying
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.smart_top_ups import (
    SmartTopUpOrderInput,
    SmartTopUpOrderResult,
    SmartTopUpQuote,
    SmartTopUpQuoteInput,
    SmartTopUpQuoteResult,
)
from schema.top_ups import PAYMENT_DESCRIPTION, TopUpOrdered


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Ask for offers for a bill that the balance does not cover. They hold for five"
        " minutes and replace the card's earlier ones.",
    )
    async def smart_top_up_quote(
        self,
        info: Info,
        input: Annotated[SmartTopUpQuoteInput, strawberry.argument(description="The bill.")],
    ) -> SmartTopUpQuoteResult:
        quoted = await info.context.run(
            smart.quote_online,
            bearer=bearer(info.context),
            card_id=parse_type_id("card", input.card_id),
            bill=input.bill.value(),
            store_id=None if input.store_id is None else parse_type_id("node", input.store_id),
            now=info.context.now,
        )
        return SmartTopUpQuote.of(quoted)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Take an offer: it costs what it said, and can be paid for 15 minutes.",
    )
    async def smart_top_up_order(
        self,
        info: Info,
        input: Annotated[SmartTopUpOrderInput, strawberry.argument(description="The offer.")],
    ) -> SmartTopUpOrderResult:
        online = paying.online(
            info.context,
            provider=input.provider,
            scene=input.scene,
            return_url=input.return_url,
            store_id=None,
        )
        begun = await paying.pay(
            info.context,
            smart.order,
            online=online,
            description=PAYMENT_DESCRIPTION,
            token=input.token,
            offer=input.offer,
            request_key=input.request_key,
        )
        return TopUpOrdered.of(begun.placed, begun.prepared)
