"""Top-ups at tills and in the back office (TOP-7, TOP-8)."""

from datetime import datetime
from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.top_ups import buying, listing, refunds
from auth.permissions import Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, First
from schema.payment_methods import checked_method_code
from schema.top_ups import (
    TopUp,
    TopUpConnection,
    TopUpOffer,
    TopUpRefunded,
    TopUpRefundInput,
    TopUpRefundResult,
    TopUpSellInput,
    TopUpSellResult,
    TopUpSold,
    TopUpSource,
    TopUpState,
)

Reads = Needs(Permission.TOP_UPS_READ)
Sells = Needs(Permission.TOP_UPS_SELL)
Refunds = Needs(Permission.TOP_UPS_REFUND)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="Top-ups, newest first: those of stores where the asker may read them, and"
        " those made online where their cards' schemes belong.",
    )
    async def top_ups(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            TopUpState | None, strawberry.argument(description="Only those in this state.")
        ] = None,
        # Not `source`: that is a name of Strawberry's own.
        came_from: Annotated[
            TopUpSource | None,
            strawberry.argument(name="source", description="Only those from here."),
        ] = None,
        plan_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this plan, `plan_…`.")
        ] = None,
        store_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only at this store, `node_…`.")
        ] = None,
        card_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(
                description="Only of this card and those merged into it, `card_…`."
            ),
        ] = None,
        from_: Annotated[
            datetime | None,
            strawberry.argument(name="from", description="Made at or after this moment."),
        ] = None,
        to: Annotated[
            datetime | None, strawberry.argument(description="Made before this moment.")
        ] = None,
    ) -> TopUpConnection:
        wanted = listing.Wanted(
            state=state,
            source=came_from,
            plan_id=None if plan_id is None else parse_type_id("plan", plan_id),
            store_id=None if store_id is None else parse_type_id("node", store_id),
            card_id=None if card_id is None else parse_type_id("card", card_id),
            from_moment=from_,
            to_moment=to,
        )
        return await TopUpConnection.search(info, wanted, first, after)

    @strawberry.field(
        permission_classes=[Reads],
        description="One top-up, or null if the asker may not see it.",
    )
    async def top_up(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The top-up, `top_…`.")],
    ) -> TopUp | None:
        row = await info.context.read(
            listing.seen_by, await info.context.actor(), order_id=parse_type_id("top", id)
        )
        return TopUp.of(row) if row else None

    @strawberry.field(
        permission_classes=[Sells],
        description="What a till can sell for a card, oldest plan first; at most 200. Null if there"
        " is no such till or card.",
    )
    async def top_up_offers(
        self,
        info: Info,
        terminal_id: Annotated[
            strawberry.ID, strawberry.argument(description="The till, `term_…`.")
        ],
        card_id: Annotated[strawberry.ID, strawberry.argument(description="The card, `card_…`.")],
    ) -> list[TopUpOffer] | None:
        found = await info.context.read(
            listing.offers_at_terminal,
            await info.context.actor(),
            terminal_id=parse_type_id("term", terminal_id),
            card_id=parse_type_id("card", card_id),
            now=info.context.now,
        )
        return None if found is None else [TopUpOffer.of(each) for each in found]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Sells],
        description="Top a card up for what was paid at the till: it is there at once.",
    )
    async def top_up_sell(
        self,
        info: Info,
        input: Annotated[TopUpSellInput, strawberry.argument(description="What was bought.")],
    ) -> TopUpSellResult:
        sold = await info.context.run(
            buying.sell,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            choice=input.choice(),
            method_code=checked_method_code(input.method_code),
            request_key=input.request_key,
            now=info.context.now,
        )
        return TopUpSold.of(sold)

    @strawberry.mutation(
        permission_classes=[Refunds],
        description="Give a top-up back, whole: what it brought leaves the card at once.",
    )
    async def top_up_refund(
        self,
        info: Info,
        input: Annotated[TopUpRefundInput, strawberry.argument(description="Which, and how.")],
    ) -> TopUpRefundResult:
        refunded = await info.context.run(
            refunds.refund,
            await info.context.actor(),
            order_id=parse_type_id("top", input.id),
            wish=input.wish(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return TopUpRefunded.of(refunded)
