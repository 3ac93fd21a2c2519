"""Items of the mall: as those who make them see them, and as members find them (MAL-1)."""

import base64
import binascii
from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from app.core.errors import BadInput
from app.core.ids import type_id
from app.core.money import Money as MoneyValue
from app.models import points_mall as rows
from app.models.points_mall import MallItemKind
from app.services import points_mall
from schema.context import Info
from schema.coupons import Gift
from schema.enums import describe
from schema.files import FILE_PROBLEMS, Image
from schema.organisation import Node
from schema.problems import Problem, shown_as
from schema.scalars import Long, Money
from schema.scopes import ObstacleReason, Scope

describe(
    MallItemKind,
    "What an item of the mall is.",
    {
        "PHYSICAL": "A thing that is picked up at a store or shipped.",
        "COUPON": "Coupons of one template.",
        "COUPON_PACK": "All coupons of a pack.",
        "PACKAGE": "A package of benefits.",
        "GIFT_CARD": "An electronic gift card.",
    },
)


def place_cursor(found: points_mall.Offered) -> str:
    """The cursor of a place on the shelf, which goes by position before id."""
    position, item_id = found.place
    place = position.to_bytes(4, signed=True) + item_id.bytes
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode()


def place_after(after: str | None) -> points_mall.Place:
    """The place a cursor stands for, or the shelf's beginning; raises `BadInput`."""
    if after is None:
        return points_mall.SHELF_START
    try:
        place = base64.urlsafe_b64decode(after + "==")
        return points_mall.Place(int.from_bytes(place[:4], signed=True), UUID(bytes=place[4:]))
    except (ValueError, binascii.Error):
        raise BadInput("after is not a cursor of this list.") from None


async def images(info: Info, file_ids: list[str]) -> list[Image]:
    """Pictures by the ids that a row keeps of them, the first is the cover."""
    found = await info.context.loaders.image.load_many([UUID(each) for each in file_ids])
    return [Image.of(row, info.context.settings.public_url) for row in found]


def money_of(row: rows.MallItem) -> Money | None:
    if row.price_amount is None:
        return None
    assert row.currency is not None
    return Money.of(row.price_amount, row.currency)


@strawberry.type(description="Something members redeem points for.")
class MallItem:
    id: strawberry.ID = strawberry.field(description="Its id, `mall_…`.")
    kind: MallItemKind = strawberry.field(description="What it is.")
    name: str = strawberry.field(description="What people call it.")
    description: str | None = strawberry.field(description="What members read about it.")
    category: str | None = strawberry.field(description="Under which heading it stands.")
    position: int = strawberry.field(description="Where on the shelf: smaller comes first.")
    price_points: Long = strawberry.field(description="The points a piece costs.")
    price: Money | None = strawberry.field(
        description="The money a piece costs besides; null is none."
    )
    stock_left: Long | None = strawberry.field(
        description="How many pieces can still be redeemed; null is without end."
    )
    limit_per_member: int | None = strawberry.field(
        description="How many one member can redeem; null is without limit."
    )
    can_be_picked_up: bool = strawberry.field(description="Whether it can be had at a store.")
    can_be_shipped: bool = strawberry.field(description="Whether it can be sent.")
    is_listed: bool = strawberry.field(description="Whether it is on the shelf.")
    version: int = strawberry.field(description="For `expectedVersion`: it grows with each edit.")
    created_at: datetime = strawberry.field(description="When it was made.")
    changed_at: datetime = strawberry.field(description="When it was edited last.")
    row: strawberry.Private[rows.MallItem]

    @classmethod
    def of(cls, row: rows.MallItem) -> Self:
        return cls(
            id=item_id_of(row.id),
            kind=row.kind,
            name=row.name,
            description=row.description,
            category=row.category,
            position=row.position,
            price_points=Long(row.price_points),
            price=money_of(row),
            stock_left=None if row.stock_left is None else Long(row.stock_left),
            limit_per_member=row.limit_per_member,
            can_be_picked_up=row.can_be_picked_up,
            can_be_shipped=row.can_be_shipped,
            is_listed=row.is_listed,
            version=row.version,
            created_at=row.created_at,
            changed_at=row.changed_at,
            row=row,
        )

    @strawberry.field(description="Its pictures, the cover first.")
    async def images(self, info: Info) -> list[Image]:
        return await images(info, self.row.file_ids)

    @strawberry.field(description="The coupons that a piece brings; null if it brings none.")
    def coupons(self) -> Gift | None:
        return _coupons(self.row)

    @strawberry.field(description="The package that a piece brings, `pkg_…`; null if none.")
    def package_id(self) -> strawberry.ID | None:
        return _product(self.row, MallItemKind.PACKAGE, "pkg")

    @strawberry.field(description="The gift-card product, `gcp_…`; null if it brings none.")
    def gift_card_product_id(self) -> strawberry.ID | None:
        return _product(self.row, MallItemKind.GIFT_CARD, "gcp")

    @strawberry.field(
        description="The value of the gift card, in minor units of its product's currency."
    )
    def gift_card_face(self) -> Long | None:
        face = self.row.product_face
        return None if face is None else Long(face)

    @strawberry.field(description="The node it was made under.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))

    @strawberry.field(description="Where, when and for whom it is.")
    async def scope(self, info: Info) -> Scope:
        return Scope.of(await info.context.loaders.scope.load(self.row.scope_id))


@strawberry.type(description="Something the member can redeem points for, or why they cannot now.")
class MallOffer:
    item_id: strawberry.ID = strawberry.field(description="The item, `mall_…`.")
    kind: MallItemKind = strawberry.field(description="What it is.")
    name: str = strawberry.field(description="What people call it.")
    description: str | None = strawberry.field(description="What to read about it.")
    category: str | None = strawberry.field(description="Under which heading it stands.")
    price_points: Long = strawberry.field(description="The points a piece costs.")
    price: Money | None = strawberry.field(
        description="The money a piece costs besides; null is none."
    )
    stock_left: Long | None = strawberry.field(
        description="How many pieces are left for everybody, 0 is sold out; null is without end."
    )
    left_for_member: int | None = strawberry.field(
        description="How many more this member can redeem; null is without limit."
    )
    can_be_picked_up: bool = strawberry.field(description="Whether it can be had at a store.")
    can_be_shipped: bool = strawberry.field(description="Whether it can be sent.")
    obstacle: ObstacleReason | None = strawberry.field(
        description="Why it cannot be redeemed now; null if it can."
    )
    available_from: datetime | None = strawberry.field(description="When it opens, if it will.")
    row: strawberry.Private[rows.MallItem]

    @classmethod
    def of(cls, found: points_mall.Offered) -> Self:
        row, obstacle = found.item, found.obstacle
        return cls(
            item_id=item_id_of(row.id),
            kind=row.kind,
            name=row.name,
            description=row.description,
            category=row.category,
            price_points=Long(row.price_points),
            price=money_of(row),
            stock_left=None if row.stock_left is None else Long(row.stock_left),
            left_for_member=found.left_for_member,
            can_be_picked_up=row.can_be_picked_up,
            can_be_shipped=row.can_be_shipped,
            obstacle=None if obstacle is None else obstacle.reason,
            available_from=None if obstacle is None else obstacle.available_from,
            row=row,
        )

    @strawberry.field(description="The coupons that a piece brings; null if it brings none.")
    def coupons(self) -> Gift | None:
        return _coupons(self.row)

    @strawberry.field(description="The package that a piece brings, `pkg_…`; null if none.")
    def package_id(self) -> strawberry.ID | None:
        return _product(self.row, MallItemKind.PACKAGE, "pkg")

    @strawberry.field(description="The gift-card product, `gcp_…`; null if it brings none.")
    def gift_card_product_id(self) -> strawberry.ID | None:
        return _product(self.row, MallItemKind.GIFT_CARD, "gcp")

    @strawberry.field(
        description="The value of the gift card, in minor units of its product's currency."
    )
    def gift_card_face(self) -> Long | None:
        face = self.row.product_face
        return None if face is None else Long(face)

    @strawberry.field(description="Its pictures, the cover first.")
    async def images(self, info: Info) -> list[Image]:
        return await images(info, self.row.file_ids)


def _coupons(row: rows.MallItem) -> Gift | None:
    gift = points_mall.Brings.of(row).gift
    return None if gift is None else Gift.of(gift)


def _product(row: rows.MallItem, kind: MallItemKind, prefix: str) -> strawberry.ID | None:
    if row.kind is not kind or row.product_id is None:
        return None
    return strawberry.ID(type_id(prefix, row.product_id))


def item_id_of(item_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("mall", item_id))


@strawberry.type(description="There is no such item in the mall.")
class MallItemNotFound(Problem): ...


@strawberry.type(description="The group lists as many items as a mall can show.")
class ShelfFull(Problem):
    limit: int = strawberry.field(description="How many.")

    @classmethod
    def of(cls, error: points_mall.ShelfFull) -> Self:
        return cls(message=str(error), limit=error.limit)


@strawberry.type(description="The item is not on the shelf, or no longer.")
class MallItemUnlisted(Problem): ...


@strawberry.type(description="Fewer pieces are left than were asked for.")
class MallItemSoldOut(Problem):
    left: Long = strawberry.field(description="How many are left.")

    @classmethod
    def of(cls, error: points_mall.MallItemSoldOut) -> Self:
        return cls(message=str(error), left=Long(error.left))


@strawberry.type(description="These are more pieces than one member may redeem.")
class MallItemLimitReached(Problem):
    limit: int = strawberry.field(description="How many a member may redeem.")
    left_for_member: int = strawberry.field(
        description="How many of these are left for this member."
    )

    @classmethod
    def of(cls, error: points_mall.MallItemLimitReached) -> Self:
        return cls(message=str(error), limit=error.limit, left_for_member=error.left)


@strawberry.type(description="The item costs something else than what the member saw.")
class MallPriceChanged(Problem):
    price_points: Long = strawberry.field(description="The points a piece costs now.")
    price: Money | None = strawberry.field(description="The money it costs now; null is none.")

    @classmethod
    def of(cls, error: points_mall.MallPriceChanged) -> Self:
        return cls(
            message=str(error),
            price_points=Long(error.points),
            price=_shown(error.price),
        )


@strawberry.type(description="The item costs money too, and nothing says how it is paid.")
class PaymentNeeded(Problem):
    amount: Money = strawberry.field(description="What it costs, for all pieces.")

    @classmethod
    def of(cls, error: points_mall.PaymentNeeded) -> Self:
        return cls(message=str(error), amount=Money.of(error.price.amount, error.price.currency))


def _shown(money: MoneyValue | None) -> Money | None:
    return None if money is None else Money.of(money.amount, money.currency)


HANDLERS = [
    *FILE_PROBLEMS,
    shown_as(MallItemNotFound, points_mall.MallItemNotFound),
    shown_as(ShelfFull, points_mall.ShelfFull),
    shown_as(MallItemUnlisted, points_mall.MallItemUnlisted),
    shown_as(MallItemSoldOut, points_mall.MallItemSoldOut),
    shown_as(MallItemLimitReached, points_mall.MallItemLimitReached),
    shown_as(MallPriceChanged, points_mall.MallPriceChanged),
    shown_as(PaymentNeeded, points_mall.PaymentNeeded),
]
