"""The points mall: items, redemptions and where it is found (MAL-1…MAL-4)."""

from app.models.points_mall import FulfilmentState, FulfilmentWay, MallItemKind
from schema.points_mall import items, redemptions
from schema.points_mall.items import MallItem, MallOffer
from schema.points_mall.links import Mall, MallTarget, mall_url
from schema.points_mall.redemptions import MallOrder

__all__ = [
    "HANDLERS",
    "FulfilmentState",
    "FulfilmentWay",
    "Mall",
    "MallItem",
    "MallItemKind",
    "MallOffer",
    "MallOrder",
    "MallTarget",
    "mall_url",
]

HANDLERS = [*items.HANDLERS, *redemptions.HANDLERS]
