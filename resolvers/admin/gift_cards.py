"""Gift cards, as staff and partners sell, take and keep them (GFT-1, GFT-4, GFT-5, GFT-7)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.gift_cards import buying, holding, keeping, paying, products, recharging
from auth.permissions import Needs
from schema.context import Info
from schema.gift_cards.buying import GiftCardSellInput, GiftCardSellResult, GiftCardSold
from schema.gift_cards.cards import (
    GiftCardPaid,
    GiftCardRecharged,
    GiftCardState,
    SoldGiftCard,
)
from schema.gift_cards.editing import (
    GiftCardProductCopyInput,
    GiftCardProductCopyResult,
    GiftCardProductCreateInput,
    GiftCardProductCreateResult,
    GiftCardProductMoveInput,
    GiftCardProductMoveResult,
    GiftCardProductUpdateInput,
    GiftCardProductUpdateResult,
)
from schema.gift_cards.products import GiftCardKind, GiftCardProduct, GiftCardProductState
from schema.gift_cards.using import (
    GiftCardPayInput,
    GiftCardPayResult,
    GiftCardPayVoidInput,
    GiftCardPayVoidResult,
    GiftCardRechargeInput,
    GiftCardRechargeResult,
    GiftCardRefundDone,
    GiftCardRefundInput,
    GiftCardRefundResult,
    GiftCardTurnInput,
    GiftCardTurnResult,
)
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.payment_methods import checked_method_code

Reads = Needs(Permission.GIFT_CARDS_READ)
Writes = Needs(Permission.GIFT_CARDS_WRITE)
Sells = Needs(Permission.GIFT_CARDS_SELL)
Redeems = Needs(Permission.GIFT_CARDS_REDEEM)
Freezes = Needs(Permission.GIFT_CARDS_FREEZE)
Refunds = Needs(Permission.GIFT_CARDS_REFUND)

MoveInput = Annotated[GiftCardProductMoveInput, strawberry.argument(description="Which product.")]
TurnInput = Annotated[GiftCardTurnInput, strawberry.argument(description="Which card, and why.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The gift cards on offer made above or below where the asker works, the newest"
        " first.",
    )
    async def gift_card_products(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            GiftCardProductState | None,
            strawberry.argument(description="Only in this state; null is any."),
        ] = None,
        kind: Annotated[
            GiftCardKind | None, strawberry.argument(description="Only of this kind; null is any.")
        ] = None,
    ) -> Connection[GiftCardProduct]:
        rows = await info.context.read(
            products.page,
            await info.context.actor(),
            state=state,
            kind=kind,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[GiftCardProduct].of(rows, first, GiftCardProduct.of)

    @strawberry.field(
        permission_classes=[Reads], description="One product, or null if the asker may not see it."
    )
    async def gift_card_product(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The product, `gcp_…`.")],
    ) -> GiftCardProduct | None:
        row = await info.context.read(
            products.seen_by, await info.context.actor(), product_id=parse_type_id("gcp", id)
        )
        return GiftCardProduct.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads],
        description="The cards of a product, newest first, for those who may read where it was"
        " made; null if there is no such product.",
    )
    async def gift_cards(
        self,
        info: Info,
        product_id: Annotated[
            strawberry.ID, strawberry.argument(description="The product, `gcp_…`.")
        ],
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        state: Annotated[
            GiftCardState | None,
            strawberry.argument(description="Only in this state; null is any."),
        ] = None,
    ) -> Connection[SoldGiftCard] | None:
        rows = await info.context.read(
            holding.page,
            await info.context.actor(),
            product_id=parse_type_id("gcp", product_id),
            state=state,
            before=row_after(after),
            limit=page_limit(first),
            now=info.context.now,
        )
        return None if rows is None else Connection[SoldGiftCard].of(rows, first, SoldGiftCard.of)

    @strawberry.field(
        permission_classes=[Reads],
        description="A card by its id or its number, or null if the asker may not see it.",
    )
    async def gift_card(
        self,
        info: Info,
        id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The card, `gc_…`.")
        ] = None,
        number: Annotated[
            str | None, strawberry.argument(description="Its number, where there is no id.")
        ] = None,
    ) -> SoldGiftCard | None:
        row = await info.context.read(
            holding.seen_by,
            await info.context.actor(),
            gift_card_id=None if id is None else parse_type_id("gc", id),
            number=number,
        )
        return SoldGiftCard.of(row) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes], description="Draft a gift card under a perspective."
    )
    async def gift_card_product_create(
        self,
        info: Info,
        input: Annotated[GiftCardProductCreateInput, strawberry.argument(description="It.")],
    ) -> GiftCardProductCreateResult:
        row = await info.context.run(
            products.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            kind=input.kind,
            currency=input.currency,
            details=input.details(),
            now=info.context.now,
        )
        return GiftCardProduct.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what a gift card says. An active one is deactivated first; cards that"
        " were sold keep their terms.",
    )
    async def gift_card_product_update(
        self,
        info: Info,
        input: Annotated[GiftCardProductUpdateInput, strawberry.argument(description="It.")],
    ) -> GiftCardProductUpdateResult:
        row = await info.context.run(
            products.change,
            await info.context.actor(),
            product_id=parse_type_id("gcp", input.id),
            expected_version=input.expected_version,
            details=input.details(),
            now=info.context.now,
        )
        return GiftCardProduct.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Draft a gift card like another, but for its name, validity and designs.",
    )
    async def gift_card_product_copy(
        self,
        info: Info,
        input: Annotated[GiftCardProductCopyInput, strawberry.argument(description="Of which.")],
    ) -> GiftCardProductCopyResult:
        row = await info.context.run(
            products.copy,
            await info.context.actor(),
            product_id=parse_type_id("gcp", input.id),
            name=input.name,
            valid_days=input.valid_days,
            chosen_designs=tuple(input.designs),
            now=info.context.now,
        )
        return GiftCardProduct.of(row)

    @strawberry.mutation(permission_classes=[Writes], description="Sell a gift card from now on.")
    async def gift_card_product_activate(
        self, info: Info, input: MoveInput
    ) -> GiftCardProductMoveResult:
        return await _move(info, input, GiftCardProductState.ACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Sell a gift card no more until it is activated again. Sold cards stay valid.",
    )
    async def gift_card_product_deactivate(
        self, info: Info, input: MoveInput
    ) -> GiftCardProductMoveResult:
        return await _move(info, input, GiftCardProductState.INACTIVE)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Put a gift card away for good, if it is a draft or inactive. Sold cards stay"
        " valid.",
    )
    async def gift_card_product_archive(
        self, info: Info, input: MoveInput
    ) -> GiftCardProductMoveResult:
        return await _move(info, input, GiftCardProductState.ARCHIVED)

    @strawberry.mutation(
        permission_classes=[Sells],
        description="Sell a gift card at a till: a printed one works from now on, an electronic one"
        " is its member's.",
    )
    async def gift_card_sell(
        self,
        info: Info,
        input: Annotated[GiftCardSellInput, strawberry.argument(description="Which, and how.")],
    ) -> GiftCardSellResult:
        sold = await info.context.run(
            buying.sell,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            choice=input.choice(),
            number=input.number,
            member_id=input.holder_id(),
            method_code=checked_method_code(input.method_code),
            request_key=input.request_key,
            now=info.context.now,
        )
        return GiftCardSold.of(sold)

    @strawberry.mutation(
        permission_classes=[Sells],
        description="Put money on a gift card at a till, where its product allows.",
    )
    async def gift_card_recharge(
        self,
        info: Info,
        input: Annotated[GiftCardRechargeInput, strawberry.argument(description="What, where.")],
    ) -> GiftCardRechargeResult:
        done = await info.context.run(
            recharging.recharge,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            number=input.number,
            face=input.face,
            method_code=checked_method_code(input.method_code),
            request_key=input.request_key,
            now=info.context.now,
        )
        return GiftCardRecharged.of(done)

    @strawberry.mutation(
        permission_classes=[Redeems],
        description="Let a gift card pay a bill or a part of one, at a till or online.",
    )
    async def gift_card_pay(
        self,
        info: Info,
        input: Annotated[GiftCardPayInput, strawberry.argument(description="The card, the bill.")],
    ) -> GiftCardPayResult:
        done = await info.context.run(
            paying.pay,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.terminal_id),
            proof=input.card.proof(),
            bill=input.bill(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return GiftCardPaid.of(done)

    @strawberry.mutation(
        permission_classes=[Redeems],
        description="Give back exactly what a gift card had paid. What expired meanwhile expires"
        " again.",
    )
    async def gift_card_pay_void(
        self,
        info: Info,
        input: Annotated[GiftCardPayVoidInput, strawberry.argument(description="Which payment.")],
    ) -> GiftCardPayVoidResult:
        done = await info.context.run(
            paying.void,
            await info.context.actor(),
            payment_id=parse_type_id("gcpay", input.id),
            request_key=input.request_key,
            now=info.context.now,
        )
        return GiftCardPaid.of(done)

    @strawberry.mutation(
        permission_classes=[Freezes],
        description="Let a gift card pay nothing until it is restored. Its time runs on.",
    )
    async def gift_card_freeze(self, info: Info, input: TurnInput) -> GiftCardTurnResult:
        row = await info.context.run(
            keeping.freeze,
            await info.context.actor(),
            gift_card_id=parse_type_id("gc", input.id),
            reason=input.reason,
            now=info.context.now,
        )
        return SoldGiftCard.of(row)

    @strawberry.mutation(
        permission_classes=[Freezes], description="Let a frozen gift card pay again."
    )
    async def gift_card_restore(self, info: Info, input: TurnInput) -> GiftCardTurnResult:
        row = await info.context.run(
            keeping.restore,
            await info.context.actor(),
            gift_card_id=parse_type_id("gc", input.id),
            reason=input.reason,
            now=info.context.now,
        )
        return SoldGiftCard.of(row)

    @strawberry.mutation(
        permission_classes=[Refunds],
        description="Pay out what is left of the money a gift card was bought with, and close it;"
        " not of one that is used up. An order that was paid online goes back whole, by"
        " `orderRefund`.",
    )
    async def gift_card_refund(
        self,
        info: Info,
        input: Annotated[GiftCardRefundInput, strawberry.argument(description="Which, and how.")],
    ) -> GiftCardRefundResult:
        refunded = await info.context.run(
            keeping.refund,
            await info.context.actor(),
            gift_card_id=parse_type_id("gc", input.id),
            method_code=checked_method_code(input.method_code),
            reason=input.reason,
            request_key=input.request_key,
            now=info.context.now,
        )
        return GiftCardRefundDone.of(refunded)


async def _move(
    info: Info, input: GiftCardProductMoveInput, state: GiftCardProductState
) -> GiftCardProduct:
    row = await info.context.run(
        products.move,
        await info.context.actor(),
        product_id=parse_type_id("gcp", input.id),
        state=state,
        now=info.context.now,
    )
    return GiftCardProduct.of(row)
