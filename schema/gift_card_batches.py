"""Gift cards a company buys in bulk, and their keys (GFT-7)."""

from datetime import datetime
from typing import Annotated, Any, Self

import strawberry

from app.core.errors import BadInput
from app.core.ids import parse_type_id, type_id
from app.models import gift_card_batches as rows
from app.models.gift_card_batches import GiftCardBatchState
from app.services.gift_cards import batches
from schema.compliance import CardCapReached, TransferNeeded
from schema.context import Info
from schema.enums import describe
from schema.gift_cards.problems import (
    GiftCardAmountNotOffered,
    GiftCardNotOnSale,
    GiftCardProductNotFound,
)
from schema.gift_cards.products import GiftCardProduct
from schema.imports import DownloadLink, Operator
from schema.orders import MethodCannotPay
from schema.pages import Connection
from schema.payment_methods import PaymentMethod, PaymentMethodUnknown
from schema.problems import Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import Money, MoneyInput

describe(
    GiftCardBatchState,
    "Whether the cards of a bulk order exist.",
    {"MAKING": "They are being made.", "READY": "All of them; their keys can be exported."},
)


@strawberry.type(description="Gift cards a company bought on one invoice.")
class GiftCardBatch:
    id: strawberry.ID = strawberry.field(description="Its id, `gcb_…`.")
    state: GiftCardBatchState = strawberry.field(description="Whether its cards exist.")
    buyer_company: str = strawberry.field(description="Who bought them.")
    buyer_registration: str | None = strawberry.field(
        description="By which a register knows the company, as its unified social credit code."
    )
    invoice_number: str = strawberry.field(description="The invoice.")
    number_of_cards: int = strawberry.field(description="How many cards.")
    number_made: int = strawberry.field(description="How many of them exist.")
    face: Money = strawberry.field(description="What each is worth.")
    amount: Money = strawberry.field(description="What was paid for all of them.")
    gift: Money = strawberry.field(description="What they are worth beyond that.")
    created_at: datetime = strawberry.field(description="When it was ordered.")
    finished_at: datetime | None = strawberry.field(description="When its last card was made.")
    keys_exported_at: datetime | None = strawberry.field(
        description="When the keys were exported; from then on nobody has them but the buyer."
    )
    row: strawberry.Private[rows.GiftCardBatch]

    @classmethod
    def of(cls, row: rows.GiftCardBatch) -> Self:
        return cls(
            id=strawberry.ID(type_id("gcb", row.id)),
            state=row.state,
            buyer_company=row.buyer_company,
            buyer_registration=row.buyer_registration,
            invoice_number=row.invoice_number,
            number_of_cards=row.number_of_cards,
            number_made=row.number_made,
            face=Money.of(row.face, row.currency),
            amount=Money.of(row.amount, row.currency),
            gift=Money.of(row.face * row.number_of_cards - row.amount, row.currency),
            created_at=row.created_at,
            finished_at=row.finished_at,
            keys_exported_at=row.keys_exported_at,
            row=row,
        )

    @strawberry.field(description="What the cards are.")
    async def product(self, info: Info) -> GiftCardProduct:
        return GiftCardProduct.of(
            await info.context.loaders.gift_card_product.load(self.row.product_id)
        )

    @strawberry.field(description="How they were paid.")
    async def method(self, info: Info) -> PaymentMethod:
        found = await info.context.loaders.payment_method.load(self.row.payment_method_id)
        return PaymentMethod.of(found)

    @strawberry.field(description="Who ordered them.")
    async def operator(self, info: Info) -> Operator:
        return Operator.of(await info.context.loaders.staff.load(self.row.operator_id))

    @strawberry.field(description="Who exported the keys; null if nobody did.")
    async def keys_exported_by(self, info: Info) -> Operator | None:
        if self.row.keys_exported_by_id is None:
            return None
        return Operator.of(await info.context.loaders.staff.load(self.row.keys_exported_by_id))


@strawberry.type(description="A page of bulk orders, newest first.")
class GiftCardBatchConnection(Connection[GiftCardBatch]): ...


@strawberry.type(description="The cards of the bulk order are being made.")
class GiftCardBatchCreated:
    batch: GiftCardBatch = strawberry.field(description="The bulk order.")
    replayed: bool = strawberry.field(
        description="Whether an earlier request with this key had made it."
    )

    @classmethod
    def of(cls, created: batches.Created) -> Self:
        return cls(batch=GiftCardBatch.of(created.batch), replayed=created.is_replay)


@strawberry.input(description="Gift cards for a company. Who makes them must also be one who may"
    " approve adjustments: their keys are as good as cash.")  # fmt: skip
class GiftCardBatchCreateInput:
    product_id: strawberry.ID = strawberry.field(
        description="The product, `gcp_…`: electronic, and on sale."
    )
    face: MoneyInput = strawberry.field(
        description="What each card is worth: a value the product is sold with."
    )
    number_of_cards: int = strawberry.field(description="How many, 1 to 10,000.")
    amount: MoneyInput | None = strawberry.field(
        default=None,
        description="What is paid for all of them, after whatever discount was agreed, at most"
        " what they are worth; null is what they cost one by one.",
    )
    buyer_company: str = strawberry.field(description="Who buys them, 1 to 120 characters.")
    buyer_registration: str | None = strawberry.field(
        default=None,
        description="By which a register knows the company, as its unified social credit code, 1 to"
        " 40 characters. The law asks for it where a buyer's document must be on record.",
    )
    invoice_number: str = strawberry.field(
        description="The invoice, 1 to 64 characters; it has one bulk order of a product and value."
    )
    method_code: str = strawberry.field(description="The code of the method they were paid by.")
    request_key: str = strawberry.field(
        description="1 to 64 characters the asker makes up: sent again, it answers the same."
    )

    def wanted(self) -> batches.Wanted:
        if self.amount is not None and self.amount.currency != self.face.currency:
            raise BadInput("face and amount are in the product's currency.")
        return batches.Wanted(
            product_id=parse_type_id("gcp", self.product_id),
            face=self.face.amount,
            currency=self.face.currency,
            number_of_cards=self.number_of_cards,
            amount=None if self.amount is None else self.amount.amount,
            buyer_company=self.buyer_company,
            buyer_registration=self.buyer_registration,
            invoice_number=self.invoice_number,
            method_code=self.method_code,
        )


@strawberry.type(description="There is no such bulk order, or the asker may not see it.")
class GiftCardBatchNotFound(Problem): ...


@strawberry.type(description="The invoice has a bulk order of this product and value.")
class InvoiceAlreadyUsed(Problem):
    invoice_number: str = strawberry.field(description="The invoice.")

    @classmethod
    def of(cls, error: batches.InvoiceAlreadyUsed) -> Self:
        return cls(message=str(error), invoice_number=error.invoice_number)


@strawberry.type(description="Cards are still being made: their keys are exported all at once.")
class GiftCardBatchNotReady(Problem):
    number_made: int = strawberry.field(description="How many exist.")

    @classmethod
    def of(cls, error: batches.GiftCardBatchNotReady) -> Self:
        return cls(message=str(error), number_made=error.number_made)


@strawberry.type(description="The keys were exported, which happens once.")
class GiftCardKeysExported(Problem):
    exported_at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, error: batches.GiftCardKeysExported) -> Self:
        return cls(message=str(error), exported_at=error.exported_at)


GiftCardBatchCreateResult = Annotated[
    GiftCardBatchCreated
    | GiftCardProductNotFound
    | GiftCardNotOnSale
    | GiftCardAmountNotOffered
    | PaymentMethodUnknown
    | MethodCannotPay
    | CardCapReached
    | TransferNeeded
    | InvoiceAlreadyUsed
    | RequestKeyReused,
    strawberry.union(
        "GiftCardBatchCreateResult", description="The bulk order, or why there is none."
    ),
]
GiftCardBatchKeysLinkResult = Annotated[
    DownloadLink | GiftCardBatchNotFound | GiftCardBatchNotReady | GiftCardKeysExported,
    strawberry.union(
        "GiftCardBatchKeysLinkResult", description="The link, or why there are no keys to export."
    ),
]

HANDLERS: list[Any] = [
    shown_as(GiftCardBatchNotFound, batches.GiftCardBatchNotFound),
    shown_as(InvoiceAlreadyUsed, batches.InvoiceAlreadyUsed),
    shown_as(GiftCardBatchNotReady, batches.GiftCardBatchNotReady),
    shown_as(GiftCardKeysExported, batches.GiftCardKeysExported),
]
