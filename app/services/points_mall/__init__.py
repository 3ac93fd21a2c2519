"""The points mall: what members take home for points (MAL-1…MAL-4).

`details` checks what an item may say and `contents` what it brings; `editing` makes, changes and
lists items for the back office. `offering` is the shelf as a member finds it, `redeeming` takes a
piece, its points held by `holding`; `fulfilling` brings it to the member. `selling` is what `shop`
asks of the mall, `listing` who redeemed what, `linking` where the mall is found.
"""

from app.services.points_mall.contents import Brings, RedemptionUsed
from app.services.points_mall.details import ItemDetails
from app.services.points_mall.editing import (
    MallItemNotFound,
    ShelfFull,
    by_ids,
    change,
    create,
    page,
    seen_by,
    set_listed,
    set_stock,
)
from app.services.points_mall.fulfilling import (
    FulfilmentNotOpen,
    MallOrderNotFound,
    PickUpCodeRefused,
    Recipient,
    Redemption,
    RedemptionDelivered,
)
from app.services.points_mall.linking import mall_of
from app.services.points_mall.offering import (
    SHELF_START,
    Asked,
    MallItemLimitReached,
    MallItemSoldOut,
    MallItemUnlisted,
    Offered,
    Place,
    seen,
    shelf,
)
from app.services.points_mall.redeeming import MallPriceChanged, PaymentNeeded, Wish, place

__all__ = [
    "SHELF_START",
    "Asked",
    "Brings",
    "FulfilmentNotOpen",
    "ItemDetails",
    "MallItemLimitReached",
    "MallItemNotFound",
    "MallItemSoldOut",
    "MallItemUnlisted",
    "MallOrderNotFound",
    "MallPriceChanged",
    "Offered",
    "PaymentNeeded",
    "PickUpCodeRefused",
    "Place",
    "Recipient",
    "Redemption",
    "RedemptionDelivered",
    "RedemptionUsed",
    "ShelfFull",
    "Wish",
    "by_ids",
    "change",
    "create",
    "mall_of",
    "page",
    "place",
    "seen",
    "seen_by",
    "set_listed",
    "set_stock",
    "shelf",
]
