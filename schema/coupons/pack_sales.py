"""Packs on sale: what the back office says of them, and how one is bought (CPN-7)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import parse_type_id, type_id
from app.gateways.payments.protocol import PaymentScene
from app.models import coupons as rows
from app.models.coupons import TemplateState
from app.services import coupons, scopes
from app.services.coupons import details, pack_buying, pack_sales, pack_selling
from app.services.coupons.pack_buying import QUANTITY_MAX
from schema.context import Info
from schema.coupons.gifts import CouponPackNotFound, CouponPortion
from schema.coupons.templates import CouponNotEditable, CouponStateUnchangeable
from schema.files import FileNotFound, Image, image_of
from schema.members import MemberNotFound
from schema.orders import (
    MethodCannotPay,
    OrderPlaced,
    OrderSold,
    PayerUnknown,
    PaymentUnavailable,
    TooManyOpenOrders,
)
from schema.organisation import Node, NodeNotFound, StoreGroupNotFound, TerminalNotFound
from schema.payment_methods import PaymentMethodUnknown
from schema.problems import EditedMeanwhile, Problem, shown_as
from schema.requests import RequestKeyReused
from schema.scalars import CurrencyCode, Long, Money, MoneyInput
from schema.scopes import AudienceNotFound, NotAvailable, Scope, ScopeInput

PAYMENT_DESCRIPTION = "Coupons, {money}"
_STOCK = f"How many can be sold from now on, 0 to {details.STOCK_MAX:,}; null is without end."
_VERSION = "The `version` the edit began with."


@strawberry.type(description="A coupon pack on sale, as members see it.")
class CouponPackOnSale:
    id: strawberry.ID = strawberry.field(description="Its id, `cps_…`.")
    price: Money = strawberry.field(description="What one pack costs; 0 is free.")
    stock_left: Long | None = strawberry.field(
        description="How many can still be sold; null is without end."
    )
    limit_per_member: int | None = strawberry.field(
        description="How many one member can buy; null is without limit."
    )
    row: strawberry.Private[rows.CouponPackSale]

    @classmethod
    def of(cls, row: rows.CouponPackSale) -> Self:
        return cls(
            id=sale_id_of(row.id),
            price=Money.of(row.price, row.currency),
            stock_left=None if row.stock_left is None else Long(row.stock_left),
            limit_per_member=row.limit_per_member,
            row=row,
        )

    @strawberry.field(description="What members call the pack.")
    async def title(self, info: Info) -> str:
        return (await info.context.loaders.coupon_pack.load(self.row.pack_id)).title

    @strawberry.field(description="What members read about the pack.")
    async def description(self, info: Info) -> str | None:
        return (await info.context.loaders.coupon_pack.load(self.row.pack_id)).description

    @strawberry.field(description="What is in it.")
    async def coupons(self, info: Info) -> list[CouponPortion]:
        gift = coupons.Gift(template_id=None, pack_id=self.row.pack_id)
        found = await info.context.loaders.gift_portions.load(gift)
        return [CouponPortion.of(each) for each in found]

    @strawberry.field(description="Its picture.")
    async def cover(self, info: Info) -> Image | None:
        return await image_of(info, self.row.cover_file_id)


@strawberry.type(description="A coupon pack on sale: for how much, where, when and to whom.")
class CouponPackSale(CouponPackOnSale):
    state: TemplateState = strawberry.field(description="Whether it is sold.")
    name: str = strawberry.field(description="What the back office calls it.")
    pack_id: strawberry.ID = strawberry.field(description="The pack, `cpk_…`.")
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was drafted.")
    changed_at: datetime = strawberry.field(description="When it was edited last.")

    @classmethod
    def of(cls, row: rows.CouponPackSale) -> Self:
        return cls(
            id=sale_id_of(row.id),
            price=Money.of(row.price, row.currency),
            stock_left=None if row.stock_left is None else Long(row.stock_left),
            limit_per_member=row.limit_per_member,
            state=row.state,
            name=row.name,
            pack_id=strawberry.ID(type_id("cpk", row.pack_id)),
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))

    @strawberry.field(description="Where, when, on which channel and for whom it is sold.")
    async def scope(self, info: Info) -> Scope:
        return Scope.of(await info.context.loaders.scope.load(self.row.scope_id))


def sale_id_of(sale_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("cps", sale_id))


@strawberry.type(description="A pack that a member can buy, or could once it opens.")
class CouponPackOffer:
    sale: CouponPackOnSale = strawberry.field(description="The pack.")
    bought: int = strawberry.field(description="How many the member bought or is about to.")
    not_available: NotAvailable | None = strawberry.field(
        description="When it opens, if it cannot be bought yet."
    )

    @classmethod
    def of(cls, found: pack_buying.Offered) -> Self:
        refusal = None if found.obstacle is None else scopes.NotAvailable(found.obstacle)
        return cls(
            sale=CouponPackOnSale.of(found.sale),
            bought=found.bought,
            not_available=None if refusal is None else NotAvailable.of(refusal),
        )


@strawberry.input
class _AnySaleInput:
    """What a sale says, whether it is made or changed."""

    name: str = strawberry.field(
        description=f"What the back office calls it, 1 to {details.NAME_CHARS_MAX} characters."
    )
    price: Long = strawberry.field(description="What one pack costs, in minor units; 0 is free.")
    scope: ScopeInput | None = strawberry.field(
        default=None, description="Where, when, on which channel and for whom; null is unlimited."
    )
    limit_per_member: int | None = strawberry.field(
        default=None,
        description=f"How many one member can buy, 1 to {details.LIMIT_PER_MEMBER_MAX:,}; null is"
        " without limit.",
    )
    cover_file_id: strawberry.ID | None = strawberry.field(
        default=None, description="Its picture, `file_…`, from `POST /files`."
    )

    def details(self) -> pack_sales.SaleDetails:
        """What the sale shall say; raises `BadInput`."""
        file_id = self.cover_file_id
        return pack_sales.SaleDetails(
            name=self.name,
            price=self.price,
            scope=(self.scope or ScopeInput()).rules(),
            limit_per_member=self.limit_per_member,
            cover_file_id=None if file_id is None else parse_type_id("file", file_id),
        )


@strawberry.input(description="A sale to draft.")
class CouponPackSaleCreateInput(_AnySaleInput):
    perspective_id: strawberry.ID = strawberry.field(description="The node it is for, `node_…`.")
    pack_id: strawberry.ID = strawberry.field(description="The pack to sell, `cpk_…`.")
    currency: CurrencyCode = strawberry.field(description="What it is paid in.")
    stock: Long | None = strawberry.field(default=None, description=_STOCK)


@strawberry.input(description="A sale to change.")
class CouponPackSaleUpdateInput(_AnySaleInput):
    id: strawberry.ID = strawberry.field(description="The sale, `cps_…`.")
    expected_version: int = strawberry.field(description=_VERSION)


@strawberry.input(description="How many of a pack can still be sold.")
class CouponPackSaleSetStockInput:
    id: strawberry.ID = strawberry.field(description="The sale, `cps_…`.")
    expected_version: int = strawberry.field(description=_VERSION)
    stock: Long | None = strawberry.field(description=_STOCK)


@strawberry.input(description="A sale to begin, to stop or to put away.")
class CouponPackSaleMoveInput:
    id: strawberry.ID = strawberry.field(description="The sale, `cps_…`.")


@strawberry.input
class _AnyPurchaseInput:
    """What is bought, whether online or at a till."""

    sale_id: strawberry.ID = strawberry.field(description="The sale, `cps_…`.")
    quantity: int = strawberry.field(default=1, description=f"How many packs, 1 to {QUANTITY_MAX}.")
    price: MoneyInput = strawberry.field(
        description="The price of one that was shown: another one that applies now is refused."
    )
    request_key: str = strawberry.field(
        description="1 to 64 characters the page makes up: sent again, it answers the same."
    )

    def choice(self) -> pack_buying.Choice:
        """What is bought; raises `BadInput`."""
        return pack_buying.Choice(
            sale_id=parse_type_id("cps", self.sale_id),
            price=self.price.value(),
            quantity=self.quantity,
        )


@strawberry.input(description="Coupon packs to order online.")
class CouponPackOrderInput(_AnyPurchaseInput):
    provider: str = strawberry.field(description="Who takes the money, see `paymentProviders`.")
    scene: PaymentScene = strawberry.field(description="How the member pays.")
    return_url: str = strawberry.field(
        description="Where the provider's page leads back to: a path of ours, or an allowed origin."
    )
    store_id: strawberry.ID | None = strawberry.field(
        default=None, description="At which store, `node_…`; null is at none."
    )


@strawberry.input(description="Coupon packs that a till sells.")
class CouponPackSellInput(_AnyPurchaseInput):
    terminal_id: strawberry.ID = strawberry.field(description="The till, `term_…`.")
    member_id: strawberry.ID = strawberry.field(description="Who buys, `mem_…`.")
    method_code: str | None = strawberry.field(
        default=None, description="The payment method's code; null for what is free."
    )


@strawberry.type(description="There is no such coupon pack on sale.")
class CouponPackSaleNotFound(Problem): ...


@strawberry.type(description="The pack is not sold now.")
class CouponPackNotOnSale(Problem): ...


@strawberry.type(description="Another price applies than the one that was shown.")
class CouponPackPriceChanged(Problem):
    price: Money = strawberry.field(description="What one pack costs now.")

    @classmethod
    def of(cls, error: pack_buying.PackPriceChanged) -> Self:
        price = error.price
        return cls(message=str(error), price=Money.of(price.amount, price.currency))


@strawberry.type(description="Fewer packs are left than were asked for.")
class CouponPacksSoldOut(Problem):
    left: Long = strawberry.field(description="How many are left.")

    @classmethod
    def of(cls, error: pack_buying.PacksSoldOut) -> Self:
        return cls(message=str(error), left=Long(error.left))


@strawberry.type(description="One member can buy only so many.")
class CouponPackLimitReached(Problem):
    limit: int = strawberry.field(description="How many one member can buy.")
    left: int = strawberry.field(description="How many this member can still buy.")

    @classmethod
    def of(cls, error: pack_buying.PackLimitReached) -> Self:
        return cls(message=str(error), limit=error.limit, left=error.left)


@strawberry.type(description="Some of the coupons were used, so the packs cannot be given back.")
class CouponPackUsed(Problem):
    used: int = strawberry.field(description="How many were used, or given to a friend.")

    @classmethod
    def of(cls, error: pack_selling.PackCouponsUsed) -> Self:
        return cls(message=str(error), used=error.used)


CouponPackSaleCreateResult = Annotated[
    CouponPackSale
    | CouponPackNotFound
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | FileNotFound,
    strawberry.union("CouponPackSaleCreateResult", description="The sale, or why there is none."),
]
CouponPackSaleUpdateResult = Annotated[
    CouponPackSale
    | CouponPackSaleNotFound
    | CouponNotEditable
    | EditedMeanwhile
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | FileNotFound,
    strawberry.union("CouponPackSaleUpdateResult", description="The sale, or why it stays."),
]
CouponPackSaleSetStockResult = Annotated[
    CouponPackSale | CouponPackSaleNotFound | CouponNotEditable | EditedMeanwhile,
    strawberry.union("CouponPackSaleSetStockResult", description="The sale, or why it stays."),
]
CouponPackSaleMoveResult = Annotated[
    CouponPackSale | CouponPackSaleNotFound | CouponStateUnchangeable,
    strawberry.union("CouponPackSaleMoveResult", description="The sale, or why it stays."),
]
CouponPackOrderResult = Annotated[
    OrderPlaced
    | CouponPackSaleNotFound
    | CouponPackNotOnSale
    | CouponPackPriceChanged
    | CouponPacksSoldOut
    | CouponPackLimitReached
    | NotAvailable
    | NodeNotFound
    | TooManyOpenOrders
    | MethodCannotPay
    | PayerUnknown
    | PaymentUnavailable
    | RequestKeyReused,
    strawberry.union("CouponPackOrderResult", description="The order, or why there is none."),
]
CouponPackSellResult = Annotated[
    OrderSold
    | CouponPackSaleNotFound
    | CouponPackNotOnSale
    | CouponPackPriceChanged
    | CouponPacksSoldOut
    | CouponPackLimitReached
    | NotAvailable
    | TerminalNotFound
    | MemberNotFound
    | PaymentMethodUnknown
    | MethodCannotPay
    | RequestKeyReused,
    strawberry.union("CouponPackSellResult", description="The order, or why there is none."),
]

PACK_SALE_PROBLEMS = [
    shown_as(CouponPackSaleNotFound, pack_sales.CouponPackSaleNotFound),
    shown_as(CouponPackNotOnSale, pack_buying.PackNotOnSale),
    shown_as(CouponPackPriceChanged, pack_buying.PackPriceChanged),
    shown_as(CouponPacksSoldOut, pack_buying.PacksSoldOut),
    shown_as(CouponPackLimitReached, pack_buying.PackLimitReached),
    shown_as(CouponPackUsed, pack_selling.PackCouponsUsed),
]
