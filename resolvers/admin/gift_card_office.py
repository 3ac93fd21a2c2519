"""The back office of gift cards: lists, exports, bulk orders and their keys (GFT-5…GFT-7)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services.gift_cards import batches, exports, sold, transactions
from app.services.links import LINK_LIFE, SignedIn
from auth.permissions import Needs
from resolvers.gift_cards_http import EXPORTS_PATH, KEYS_PATH
from schema.context import Context, Info
from schema.gift_card_batches import (
    GiftCardBatch,
    GiftCardBatchConnection,
    GiftCardBatchCreated,
    GiftCardBatchCreateInput,
    GiftCardBatchCreateResult,
    GiftCardBatchKeysLinkResult,
)
from schema.gift_card_office import (
    GiftCardExport,
    GiftCardExportConnection,
    GiftCardExportLinkInput,
    GiftCardExportLinkResult,
    GiftCardTransaction,
    GiftCardTransactionConnection,
    GiftCardTransactionFilter,
    SoldGiftCardFilter,
)
from schema.gift_cards.cards import SoldGiftCard
from schema.imports import DownloadLink
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.payment_methods import checked_method_code

READS = [Needs(Permission.GIFT_CARDS_READ)]
BatchId = Annotated[strawberry.ID, strawberry.argument(description="The bulk order, `gcb_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=READS,
        description="Gift cards sold where the asker may read them, or of products made there,"
        " newest first; printed ones that nobody has bought too.",
    )
    async def gift_cards_sold(
        self,
        info: Info,
        filter: Annotated[
            SoldGiftCardFilter | None, strawberry.argument(description="Which; null is all.")
        ] = None,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> Connection[SoldGiftCard]:
        rows = await info.context.read(
            sold.page,
            await info.context.actor(),
            wanted=(filter or SoldGiftCardFilter()).wanted(),
            before=row_after(after),
            limit=page_limit(first),
            now=info.context.now,
        )
        return Connection.of(rows, first, SoldGiftCard.of)

    @strawberry.field(
        permission_classes=READS,
        description="What moved on gift cards where the asker may read them, or of products made"
        " there, newest first.",
    )
    async def gift_card_transactions(
        self,
        info: Info,
        filter: Annotated[
            GiftCardTransactionFilter | None,
            strawberry.argument(description="Which; null is all."),
        ] = None,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> GiftCardTransactionConnection:
        wanted = (filter or GiftCardTransactionFilter()).wanted()
        rows = await info.context.read(
            transactions.page,
            await info.context.actor(),
            wanted=wanted,
            before=row_after(after),
            limit=page_limit(first),
        )
        return GiftCardTransactionConnection.of(rows, first, GiftCardTransaction.of, wanted=wanted)

    @strawberry.field(
        permission_classes=READS,
        description="Who exported which list of gift cards where the asker may read them, newest"
        " first.",
    )
    async def gift_card_exports(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> GiftCardExportConnection:
        rows = await info.context.read(
            exports.page,
            await info.context.actor(),
            before=row_after(after),
            limit=page_limit(first),
        )
        return GiftCardExportConnection.of(rows, first, GiftCardExport.of)

    @strawberry.field(
        permission_classes=READS,
        description="One bulk order and how far it is, or null if the asker may not see it.",
    )
    async def gift_card_batch(self, info: Info, id: BatchId) -> GiftCardBatch | None:
        row = await info.context.read(
            batches.seen_by, await info.context.actor(), batch_id=parse_type_id("gcb", id)
        )
        return GiftCardBatch.of(row) if row else None

    @strawberry.field(
        permission_classes=READS,
        description="Bulk orders of gift cards where the asker may read them, newest first.",
    )
    async def gift_card_batches(
        self,
        info: Info,
        product_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only of this product, `gcp_…`."),
        ] = None,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> GiftCardBatchConnection:
        rows = await info.context.read(
            batches.page,
            await info.context.actor(),
            product_id=parse_type_id("gcp", product_id) if product_id else None,
            before=row_after(after),
            limit=page_limit(first),
        )
        return GiftCardBatchConnection.of(rows, first, GiftCardBatch.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Needs(Permission.GIFT_CARDS_WRITE)],
        description="Make gift cards that a company bought on one invoice. Back office only.",
    )
    async def gift_card_batch_create(
        self,
        info: Info,
        input: Annotated[GiftCardBatchCreateInput, strawberry.argument(description="Which.")],
    ) -> GiftCardBatchCreateResult:
        checked_method_code(input.method_code)
        created = await info.context.run(
            batches.create,
            await info.context.actor(),
            wanted=input.wanted(),
            request_key=input.request_key,
            now=info.context.now,
        )
        return GiftCardBatchCreated.of(created)

    @strawberry.mutation(
        permission_classes=[Needs(Permission.GIFT_CARDS_EXPORT_KEYS)],
        description="A link to the keys of a bulk order as a spreadsheet. The first that is"
        " followed to its end is the last: from then on nobody here has the keys. It is recorded.",
    )
    async def gift_card_batch_keys_link(
        self, info: Info, batch_id: BatchId
    ) -> GiftCardBatchKeysLinkResult:
        context = info.context
        secret = await context.run(
            batches.keys_link,
            await context.actor(),
            batch_id=parse_type_id("gcb", batch_id),
            signed_in=_signed_in(context),
            now=context.now,
        )
        return _link(context, KEYS_PATH, secret)

    @strawberry.mutation(
        permission_classes=READS,
        description="A link to a list of gift cards or of their transactions as a spreadsheet,"
        " which works once. It is recorded.",
    )
    async def gift_card_export_link(
        self,
        info: Info,
        input: Annotated[GiftCardExportLinkInput, strawberry.argument(description="Which.")],
    ) -> GiftCardExportLinkResult:
        context = info.context
        secret = await context.run(
            exports.link,
            await context.actor(),
            asked=input.asked(),
            signed_in=_signed_in(context),
            now=context.now,
        )
        return _link(context, EXPORTS_PATH, secret)


def _signed_in(context: Context) -> SignedIn:
    assert context.principal is not None
    return SignedIn(session_id=context.principal.session_id, scopes=context.principal.scopes)


def _link(context: Context, path: str, secret: str) -> DownloadLink:
    return DownloadLink(
        url=f"{context.settings.public_url.rstrip('/')}{path}/{secret}",
        expires_at=context.now + LINK_LIFE,
    )
