"""Buying top-ups online (TOP-7)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.top_ups import buying, listing, orders
from auth import paying
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.top_ups import (
    PAYMENT_DESCRIPTION,
    PaymentProvider,
    TopUp,
    TopUpCancelInput,
    TopUpCancelResult,
    TopUpOffer,
    TopUpOrdered,
    TopUpOrderInput,
    TopUpOrderResult,
)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember], description="The providers through which one can pay here."
    )
    async def payment_providers(self, info: Info) -> list[PaymentProvider]:
        return [PaymentProvider.of(each) for each in paying.providers(info.context)]

    @strawberry.field(
        permission_classes=[IsMember],
        description="What the member can buy online for a card, oldest plan first; at most 200."
        " Null if there is no such card or store.",
    )
    async def top_up_offers(
        self,
        info: Info,
        card_id: Annotated[strawberry.ID, strawberry.argument(description="The card, `card_…`.")],
        store_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="At which store, `node_…`; null is at none."),
        ] = None,
    ) -> list[TopUpOffer] | None:
        found = await info.context.read(
            listing.offers,
            member_id=info.context.member_id,
            card_id=parse_type_id("card", card_id),
            store_id=None if store_id is None else parse_type_id("node", store_id),
            now=info.context.now,
        )
        return None if found is None else [TopUpOffer.of(each) for each in found]

    @strawberry.field(
        permission_classes=[IsMember], description="One of the member's top-ups, or null."
    )
    async def top_up(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The top-up, `top_…`.")],
    ) -> TopUp | None:
        row = await info.context.read(
            listing.own,
            member_id=info.context.member_id,
            order_id=parse_type_id("top", id),
        )
        return TopUp.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Order a top-up: it can be paid for 15 minutes, and is on the card once the"
        " provider says so.",
    )
    async def top_up_order(
        self,
        info: Info,
        input: Annotated[TopUpOrderInput, strawberry.argument(description="What to buy, and how.")],
    ) -> TopUpOrderResult:
        online = paying.online(
            info.context,
            provider=input.provider,
            scene=input.scene,
            return_url=input.return_url,
            store_id=None if input.store_id is None else parse_type_id("node", input.store_id),
        )
        begun = await paying.pay(
            info.context,
            buying.place,
            online=online,
            description=PAYMENT_DESCRIPTION,
            choice=input.choice(),
            request_key=input.request_key,
        )
        return TopUpOrdered.of(begun.placed, begun.prepared)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Give an unpaid top-up up. Should it be paid all the same, the money goes"
        " back.",
    )
    async def top_up_cancel(
        self,
        info: Info,
        input: Annotated[TopUpCancelInput, strawberry.argument(description="Which top-up.")],
    ) -> TopUpCancelResult:
        row = await info.context.run(
            orders.cancel,
            bearer=bearer(info.context),
            order_id=parse_type_id("top", input.id),
            now=info.context.now,
        )
        return TopUp.of(row)
