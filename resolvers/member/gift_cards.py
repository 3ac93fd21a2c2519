"""Gift cards, as members buy, give, claim and use them (GFT-1, GFT-3, GFT-4)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.services.gift_cards import buying, gifts, holding, moving, offers, proving
from auth import paying
from auth.permissions import IsMember
from auth.sessions import bearer
from schema.context import Info
from schema.gift_cards.buying import (
    GiftCardClaimed,
    GiftCardClaimInput,
    GiftCardClaimResult,
    GiftCardOrderInput,
    GiftCardOrderResult,
)
from schema.gift_cards.cards import (
    GiftCardCode,
    GiftCardGift,
    GiftCardLine,
    GiftCardLookedUp,
    GiftCardMoved,
    OwnGiftCard,
)
from schema.gift_cards.products import GiftCardOffer
from schema.gift_cards.using import (
    GiftCardBalanceResult,
    GiftCardBindResult,
    GiftCardCodeShowInput,
    GiftCardCodeShowResult,
    GiftCardKeyInput,
    GiftCardMoveToStoredValueInput,
    GiftCardMoveToStoredValueResult,
)
from schema.orders import OrderPlaced
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[IsMember],
        description="The gift cards the member can buy online, oldest first; at most 200.",
    )
    async def gift_card_products(
        self,
        info: Info,
        store_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="At which store, `node_…`; null is at none."),
        ] = None,
    ) -> list[GiftCardOffer]:
        found = await info.context.read(
            offers.offered,
            member_id=info.context.member_id,
            store_id=None if store_id is None else parse_type_id("node", store_id),
            now=info.context.now,
        )
        return [GiftCardOffer.of(each) for each in found]

    @strawberry.field(
        permission_classes=[IsMember], description="The gift cards the member holds, newest first."
    )
    async def gift_cards(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        order_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only those bought by this order, `ord_…`."),
        ] = None,
    ) -> Connection[OwnGiftCard]:
        rows = await info.context.read(
            holding.own_page,
            member_id=info.context.member_id,
            order_id=None if order_id is None else parse_type_id("ord", order_id),
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[OwnGiftCard].of(rows, first, OwnGiftCard.of)

    @strawberry.field(
        permission_classes=[IsMember], description="One of the member's gift cards, or null."
    )
    async def gift_card(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The card, `gc_…`.")],
    ) -> OwnGiftCard | None:
        row = await info.context.read(
            holding.own_or_none,
            member_id=info.context.member_id,
            gift_card_id=parse_type_id("gc", id),
        )
        return OwnGiftCard.of(row) if row else None

    @strawberry.field(
        permission_classes=[IsMember],
        description="What happened on one of the member's gift cards, newest first, or null.",
    )
    async def gift_card_lines(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The card, `gc_…`.")],
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> Connection[GiftCardLine] | None:
        rows = await info.context.read(
            holding.own_lines,
            member_id=info.context.member_id,
            gift_card_id=parse_type_id("gc", id),
            before=row_after(after),
            limit=page_limit(first),
        )
        return None if rows is None else Connection[GiftCardLine].of(rows, first, GiftCardLine.of)

    @strawberry.field(
        permission_classes=[IsMember], description="The gift cards the member gave, newest first."
    )
    async def gift_card_gifts(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[GiftCardGift]:
        rows = await info.context.read(
            gifts.given,
            member_id=info.context.member_id,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[GiftCardGift].of(rows, first, GiftCardGift.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Order electronic gift cards, for oneself or as a gift: they can be paid for 15"
        " minutes, and are there once the provider says so.",
    )
    async def gift_card_order(
        self,
        info: Info,
        input: Annotated[
            GiftCardOrderInput, strawberry.argument(description="What to buy, and how.")
        ],
    ) -> GiftCardOrderResult:
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
            description="Gift cards, {money}",
            choice=input.choice(),
            request_key=input.request_key,
        )
        return OrderPlaced.of(begun.placed, begun.prepared)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Claim a gift card by its code. One member can; asking again answers the same.",
    )
    async def gift_card_claim(
        self,
        info: Info,
        input: Annotated[GiftCardClaimInput, strawberry.argument(description="The code.")],
    ) -> GiftCardClaimResult:
        claimed = await info.context.run(
            gifts.claim,
            bearer=bearer(info.context),
            code=input.code,
            address=info.context.client_address,
            now=info.context.now,
        )
        return GiftCardClaimed(card=OwnGiftCard.of(claimed.card), replayed=claimed.is_replay)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="What a gift card holds whose number and key the member has. Wrong tries are"
        " counted: that is why this is no query.",
    )
    async def gift_card_balance(
        self,
        info: Info,
        input: Annotated[GiftCardKeyInput, strawberry.argument(description="Number and key.")],
    ) -> GiftCardBalanceResult:
        looked = await info.context.run(
            proving.balance,
            bearer=bearer(info.context),
            proof=input.proof(),
            address=info.context.client_address,
            now=info.context.now,
        )
        return GiftCardLookedUp.of(looked, info.context.now)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Put a gift card that nobody holds into the member's account.",
    )
    async def gift_card_bind(
        self,
        info: Info,
        input: Annotated[GiftCardKeyInput, strawberry.argument(description="Number and key.")],
    ) -> GiftCardBindResult:
        row = await info.context.run(
            proving.bind,
            bearer=bearer(info.context),
            proof=input.proof(),
            address=info.context.client_address,
            now=info.context.now,
        )
        return OwnGiftCard.of(row)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="A code by which a till can let the member's gift card pay; the one before is"
        " void.",
    )
    async def gift_card_code_show(
        self,
        info: Info,
        input: Annotated[GiftCardCodeShowInput, strawberry.argument(description="Which card.")],
    ) -> GiftCardCodeShowResult:
        code = await info.context.run(
            proving.show,
            bearer=bearer(info.context),
            gift_card_id=parse_type_id("gc", input.id),
            now=info.context.now,
        )
        return GiftCardCode.of(code)

    @strawberry.mutation(
        permission_classes=[IsMember],
        description="Move all that is left of a gift card into one of the member's cards: what was"
        " paid becomes cash, what was given becomes bonus.",
    )
    async def gift_card_move_to_stored_value(
        self,
        info: Info,
        input: Annotated[
            GiftCardMoveToStoredValueInput, strawberry.argument(description="From where to where.")
        ],
    ) -> GiftCardMoveToStoredValueResult:
        moved = await info.context.run(
            moving.move,
            bearer=bearer(info.context),
            gift_card_id=parse_type_id("gc", input.id),
            card_id=parse_type_id("card", input.card_id),
            request_key=input.request_key,
            now=info.context.now,
        )
        return GiftCardMoved.of(moved)
