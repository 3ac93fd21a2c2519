"""Gift cards and their transactions as the back office lists and exports them (GFT-5, GFT-6)."""

from datetime import date, datetime
from typing import Annotated, Any, Self

import orjson
import strawberry

from app.core.errors import BadInput
from app.core.ids import parse_type_id, type_id
from app.models import gift_card_batches as rows
from app.models.gift_card_batches import GiftCardExportKind
from app.models.sessions import PrincipalKind
from app.services.gift_cards import exports, sold, transactions
from app.services.gift_cards.transactions import GiftCardTransactionKind
from schema.audit import ACTOR_PREFIXES
from schema.context import Info
from schema.enums import describe
from schema.gift_cards.cards import GiftCardState
from schema.gift_cards.products import GiftCardKind, GiftCardProduct
from schema.imports import DownloadLink, Operator
from schema.organisation import Node, NodeNotFound
from schema.pages import Connection
from schema.scalars import CurrencyCode, Money

describe(
    GiftCardTransactionKind,
    "Why the value of a gift card changed.",
    {
        "ACTIVATION": "It was sold.",
        "RECHARGE": "It was recharged.",
        "CONSUMPTION": "It paid.",
        "CONSUMPTION_RETURN": "What it had paid came back.",
        "REFUND": "It was paid out and closed.",
        "MOVE": "It went into stored value.",
        "EXPIRY": "Its time was over.",
    },
)
describe(
    GiftCardExportKind,
    "A list that can be exported.",
    {"CARDS": "Gift cards.", "TRANSACTIONS": "Their transactions."},
)


@strawberry.type(description="What one act brought to a gift card, or took from it.")
class GiftCardTransaction:
    id: strawberry.ID = strawberry.field(description="Its id, `gct_…`.")
    kind: GiftCardTransactionKind = strawberry.field(description="Why.")
    at: datetime = strawberry.field(description="When it was booked.")
    gift_card_id: strawberry.ID = strawberry.field(description="The card, `gc_…`.")
    number: str = strawberry.field(description="The card's number.")
    cash: Money = strawberry.field(description="Of what was paid for the card; negative went.")
    gift: Money = strawberry.field(description="Of what was given with it; negative went.")
    amount: Money = strawberry.field(description="Both together.")
    row: strawberry.Private[transactions.GiftCardTransaction]

    @classmethod
    def of(cls, row: transactions.GiftCardTransaction) -> Self:
        return cls(
            id=strawberry.ID(type_id("gct", row.id)),
            kind=transactions.KINDS[row.kind],
            at=row.recorded_at,
            gift_card_id=strawberry.ID(type_id("gc", row.gift_card_id)),
            number=row.number,
            cash=Money.of(row.cash, row.currency),
            gift=Money.of(row.bonus, row.currency),
            amount=Money.of(row.cash + row.bonus, row.currency),
            row=row,
        )

    @strawberry.field(description="What the card was sold as, as that is today.")
    async def product(self, info: Info) -> GiftCardProduct:
        return GiftCardProduct.of(
            await info.context.loaders.gift_card_product.load(self.row.product_id)
        )

    @strawberry.field(description="At which store; null if at none.")
    async def store(self, info: Info) -> Node | None:
        if self.row.store_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.row.store_id))


@strawberry.type(description="What transactions come to in one currency.")
class GiftCardSum:
    currency: CurrencyCode = strawberry.field(description="The currency.")
    cash: Money = strawberry.field(description="Of what was paid for cards.")
    gift: Money = strawberry.field(description="Of what was given with them.")
    amount: Money = strawberry.field(description="Both together.")

    @classmethod
    def of(cls, found: transactions.Sum) -> Self:
        return cls(
            currency=CurrencyCode(found.currency),
            cash=Money.of(found.cash, found.currency),
            gift=Money.of(found.bonus, found.currency),
            amount=Money.of(found.cash + found.bonus, found.currency),
        )


@strawberry.input(description="Which transactions; what is null lets all pass.")
class GiftCardTransactionFilter:
    kind: GiftCardTransactionKind | None = strawberry.field(
        default=None, description="Only of this kind."
    )
    product_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only of this product's cards, `gcp_…`."
    )
    gift_card_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only of this card, `gc_…`."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only at this store, `node_…`."
    )
    from_: datetime | None = strawberry.field(
        name="from", default=None, description="Only from this moment on."
    )
    before: datetime | None = strawberry.field(default=None, description="Only before this moment.")

    def wanted(self) -> transactions.Wanted:
        return transactions.Wanted(
            kind=self.kind,
            product_id=parse_type_id("gcp", self.product_id) if self.product_id else None,
            gift_card_id=parse_type_id("gc", self.gift_card_id) if self.gift_card_id else None,
            store_id=parse_type_id("node", self.store_id) if self.store_id else None,
            from_moment=_aware("from", self.from_),
            to_moment=_aware("before", self.before),
        )


@strawberry.type(description="A page of gift card transactions, newest first.")
class GiftCardTransactionConnection(Connection[GiftCardTransaction]):
    wanted: strawberry.Private[transactions.Wanted]

    @strawberry.field(
        description="What all of them come to, not only this page: of everything up to now it is"
        " what the cards hold. One for each currency; counted only when asked for."
    )
    async def sums(self, info: Info) -> list[GiftCardSum]:
        # Away from everybody's short reads: it may add up everything there is.
        found = await info.context.database.scan(
            transactions.sums, await info.context.actor(), wanted=self.wanted
        )
        return [GiftCardSum.of(each) for each in found]


@strawberry.input(description="Which gift cards; what is null lets all pass.")
class SoldGiftCardFilter:
    state: GiftCardState | None = strawberry.field(
        default=None, description="Only those that are this now."
    )
    kind: GiftCardKind | None = strawberry.field(default=None, description="Only of this kind.")
    product_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only of this product, `gcp_…`."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only those sold at this store, `node_…`."
    )
    batch_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only those of this bulk order, `gcb_…`."
    )
    sold_from: datetime | None = strawberry.field(
        default=None, description="Only those sold from this moment on."
    )
    sold_before: datetime | None = strawberry.field(
        default=None, description="Only those sold before this moment."
    )

    def wanted(self) -> sold.Wanted:
        return sold.Wanted(
            state=self.state,
            kind=self.kind,
            product_id=parse_type_id("gcp", self.product_id) if self.product_id else None,
            store_id=parse_type_id("node", self.store_id) if self.store_id else None,
            batch_id=parse_type_id("gcb", self.batch_id) if self.batch_id else None,
            sold_from=_aware("soldFrom", self.sold_from),
            sold_to=_aware("soldBefore", self.sold_before),
        )


@strawberry.type(description="A list of gift cards that somebody took.")
class GiftCardExport:
    id: strawberry.ID = strawberry.field(description="Its id, `gce_…`.")
    kind: GiftCardExportKind = strawberry.field(description="Which list.")
    filters: str = strawberry.field(description="What was asked for, as JSON.")
    number_of_rows: int | None = strawberry.field(
        description="How many rows it had; null if it was never finished."
    )
    exported_at: datetime = strawberry.field(description="When.")
    operator_id: strawberry.ID = strawberry.field(description="By whom: `stf_…` or `cli_…`.")
    row: strawberry.Private[rows.GiftCardExport]

    @classmethod
    def of(cls, row: rows.GiftCardExport) -> Self:
        return cls(
            id=strawberry.ID(type_id("gce", row.id)),
            kind=row.kind,
            filters=orjson.dumps(row.filters, option=orjson.OPT_SORT_KEYS).decode(),
            number_of_rows=row.number_of_rows,
            exported_at=row.exported_at,
            operator_id=strawberry.ID(type_id(ACTOR_PREFIXES[row.operator_kind], row.operator_id)),
            row=row,
        )

    @strawberry.field(description="Of which part of the organisation.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))

    @strawberry.field(description="By whom; null if it was a partner.")
    async def operator(self, info: Info) -> Operator | None:
        if self.row.operator_kind != PrincipalKind.STAFF:
            return None
        return Operator.of(await info.context.loaders.staff.load(self.row.operator_id))


@strawberry.type(description="A page of exports, newest first.")
class GiftCardExportConnection(Connection[GiftCardExport]): ...


@strawberry.input(
    description="A list of gift cards, or of their transactions, of products made at a node or"
    " below it. What is null lets all pass."
)
class GiftCardExportLinkInput:
    kind: GiftCardExportKind = strawberry.field(description="Which list.")
    perspective_id: strawberry.ID = strawberry.field(description="The node, `node_…`.")
    from_: date | None = strawberry.field(
        name="from",
        default=None,
        description="The first day, in the node's time zone: of transactions, or of when cards were"
        " sold. Transactions need it.",
    )
    to: date | None = strawberry.field(default=None, description="The day after the last.")
    product_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only of this product, `gcp_…`."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only what happened, or was sold, at this store, `node_…`."
    )
    batch_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only cards of this bulk order, `gcb_…`."
    )
    state: GiftCardState | None = strawberry.field(
        default=None, description="Only cards that are this now."
    )
    card_kind: GiftCardKind | None = strawberry.field(
        default=None, description="Only cards of this kind."
    )
    transaction_kind: GiftCardTransactionKind | None = strawberry.field(
        default=None, description="Only transactions of this kind."
    )

    def asked(self) -> exports.Asked:
        return exports.Asked(
            kind=self.kind,
            perspective_id=parse_type_id("node", self.perspective_id),
            from_day=self.from_,
            to_day=self.to,
            product_id=parse_type_id("gcp", self.product_id) if self.product_id else None,
            store_id=parse_type_id("node", self.store_id) if self.store_id else None,
            batch_id=parse_type_id("gcb", self.batch_id) if self.batch_id else None,
            state=self.state,
            card_kind=self.card_kind,
            transaction_kind=self.transaction_kind,
        )


GiftCardExportLinkResult = Annotated[
    DownloadLink | NodeNotFound,
    strawberry.union("GiftCardExportLinkResult", description="The link, or why there is none."),
]

HANDLERS: list[Any] = []
"""What refuses an export has its problems elsewhere."""


def _aware(name: str, moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise BadInput(f"{name} needs an offset from UTC, such as Z.")
    return moment
