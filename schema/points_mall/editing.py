"""What the back office says to make and change items, and what it is answered (MAL-1)."""

from typing import Annotated

import strawberry

from app.core.errors import BadInput
from app.core.ids import parse_type_id
from app.models.points_mall import MallItemKind
from app.services import points_mall
from app.services.points_mall import details
from schema.coupons import GIFT_PROBLEMS, GiftInput
from schema.files import FileNotFound
from schema.gift_cards.problems import GiftCardProductNotFound
from schema.organisation import NodeNotFound, StoreGroupNotFound
from schema.packages.buying import PackageNotOnSale
from schema.packages.packages import PackageNotFound
from schema.points_mall.items import MallItem, MallItemNotFound, ShelfFull
from schema.problems import EditedMeanwhile
from schema.scalars import Long, MoneyInput
from schema.scopes import AudienceNotFound, ScopeInput

_STOCK = f"How many pieces can be redeemed, 0 to {details.STOCK_MAX:,}; null is without end."
_VERSION = "The `version` the edit began with."


@strawberry.input
class _AnyItemInput:
    """What an item says, whether it is made or changed."""

    name: str = strawberry.field(
        description=f"What people call it, 1 to {details.NAME_CHARS_MAX} characters."
    )
    file_ids: list[strawberry.ID] = strawberry.field(
        description=f"Its pictures, `file_…`, 1 to {details.FILES_MAX}, the cover first."
    )
    price_points: Long = strawberry.field(
        description=f"The points a piece costs, 0 to {details.PRICE_POINTS_MAX:,}."
    )
    price: MoneyInput | None = strawberry.field(
        default=None, description="The money a piece costs besides; null is none."
    )
    scope: ScopeInput | None = strawberry.field(
        default=None,
        description="Where, when and for whom it is; null is unlimited. The mall is online: ONLINE"
        " has to be among the channels, and it alone is kept.",
    )
    description: str | None = strawberry.field(
        default=None,
        description="What members read about it, 1 to"
        f" {details.DESCRIPTION_CHARS_MAX:,} characters.",
    )
    category: str | None = strawberry.field(
        default=None,
        description=f"Under which heading it stands, 1 to {details.CATEGORY_CHARS_MAX} characters.",
    )
    position: int = strawberry.field(
        default=0,
        description="Where on the shelf, smaller comes first;"
        f" {-details.POSITION_MAX:,} to {details.POSITION_MAX:,}.",
    )
    limit_per_member: int | None = strawberry.field(
        default=None,
        description=f"How many one member can redeem, 1 to {details.LIMIT_PER_MEMBER_MAX:,}; null"
        " is without limit.",
    )
    can_be_picked_up: bool = strawberry.field(
        default=False, description="PHYSICAL: whether members can pick it up at a store."
    )
    can_be_shipped: bool = strawberry.field(
        default=False, description="PHYSICAL: whether it can be sent. One of the two is needed."
    )

    def details(self) -> points_mall.ItemDetails:
        """What the item shall say; raises `BadInput`."""
        return points_mall.ItemDetails(
            name=self.name,
            scope=(self.scope or ScopeInput()).rules(),
            file_ids=tuple(parse_type_id("file", file_id) for file_id in self.file_ids),
            price_points=self.price_points,
            price=self.price.value() if self.price else None,
            description=self.description,
            category=self.category,
            position=self.position,
            limit_per_member=self.limit_per_member,
            can_be_picked_up=self.can_be_picked_up,
            can_be_shipped=self.can_be_shipped,
        )


@strawberry.input(description="A package that a piece brings.")
class MallPackageInput:
    package_id: strawberry.ID = strawberry.field(description="An active package, `pkg_…`.")
    rule: int = strawberry.field(
        default=0, description="By which of its sales rules, counted from 0."
    )

    def brings(self) -> points_mall.Brings:
        """What a piece brings; raises `BadInput`."""
        return points_mall.Brings(
            kind=MallItemKind.PACKAGE,
            product_id=parse_type_id("pkg", self.package_id),
            product_rule=self.rule,
        )


@strawberry.input(description="A gift card that a piece brings: all of it is gift value.")
class MallGiftCardInput:
    product_id: strawberry.ID = strawberry.field(
        description="An active product of electronic cards, `gcp_…`."
    )
    face: Long = strawberry.field(description="Its value, in minor units of the currency.")

    def brings(self) -> points_mall.Brings:
        """What a piece brings; raises `BadInput`."""
        return points_mall.Brings(
            kind=MallItemKind.GIFT_CARD,
            product_id=parse_type_id("gcp", self.product_id),
            product_face=self.face,
        )


@strawberry.input(description="An item to make. Members find it once it is listed.")
class MallItemCreateInput(_AnyItemInput):
    perspective_id: strawberry.ID = strawberry.field(
        description="The group, brand or store it is made under, for good, `node_…`."
    )
    coupons: GiftInput | None = strawberry.field(
        default=None,
        description="The coupons that a piece brings, for good. Without coupons, package and gift"
        " card it is a PHYSICAL item; it brings one of these at most.",
    )
    package: MallPackageInput | None = strawberry.field(
        default=None, description="The package that a piece brings, for good."
    )
    gift_card: MallGiftCardInput | None = strawberry.field(
        default=None, description="The gift card that a piece brings, for good."
    )
    stock: Long | None = strawberry.field(default=None, description=_STOCK)

    def brings(self) -> points_mall.Brings:
        """What a piece brings; raises `BadInput`."""
        found = [each.brings() for each in (self.package, self.gift_card) if each is not None]
        if self.coupons is not None:
            found.append(points_mall.Brings.coupons(self.coupons.gift()))
        if len(found) > 1:
            raise BadInput("An item brings one of coupons, a package and a gift card.")
        return found[0] if found else points_mall.Brings(kind=MallItemKind.PHYSICAL)


@strawberry.input(
    description="All that an item says from now on; its stock is set by `mallItemSetStock`."
)
class MallItemUpdateInput(_AnyItemInput):
    id: strawberry.ID = strawberry.field(description="The item, `mall_…`.")
    expected_version: int = strawberry.field(description=_VERSION)


@strawberry.input(description="How many pieces of an item can still be redeemed.")
class MallItemSetStockInput:
    id: strawberry.ID = strawberry.field(description="The item, `mall_…`.")
    expected_version: int = strawberry.field(description=_VERSION)
    stock: Long | None = strawberry.field(description=_STOCK)


@strawberry.input(description="Whether an item is on the shelf.")
class MallItemSetListedInput:
    id: strawberry.ID = strawberry.field(description="The item, `mall_…`.")
    expected_version: int = strawberry.field(description=_VERSION)
    is_listed: bool = strawberry.field(description="Whether members find it from now on.")


MallItemCreateResult = Annotated[
    MallItem
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | FileNotFound
    | GIFT_PROBLEMS
    | PackageNotFound
    | PackageNotOnSale
    | GiftCardProductNotFound,
    strawberry.union("MallItemCreateResult", description="The item, or why there is none."),
]
MallItemUpdateResult = Annotated[
    MallItem
    | MallItemNotFound
    | EditedMeanwhile
    | NodeNotFound
    | StoreGroupNotFound
    | AudienceNotFound
    | FileNotFound,
    strawberry.union("MallItemUpdateResult", description="The item as it is now, or why not."),
]
MallItemSetStockResult = Annotated[
    MallItem | MallItemNotFound | EditedMeanwhile,
    strawberry.union("MallItemSetStockResult", description="The item as it is now, or why not."),
]
MallItemSetListedResult = Annotated[
    MallItem | MallItemNotFound | EditedMeanwhile | ShelfFull,
    strawberry.union("MallItemSetListedResult", description="The item as it is now, or why not."),
]
