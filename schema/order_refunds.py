"""Giving an order back: what each product may say to that (GFT-5, BEN-8)."""

from typing import Annotated

import strawberry

from schema.coupons.pack_sales import CouponPackUsed
from schema.gift_cards.problems import GiftCardNotRefundable, GiftCardNotWhole
from schema.orders import (
    NoOriginalRoute,
    OrderNotFound,
    OrderNotRefundable,
    OrderRefunded,
)
from schema.packages.owned import PackageOver, RenewedAlready, VoucherUsed
from schema.payment_methods import PaymentMethodUnknown
from schema.points_mall.redemptions import FulfilmentNotOpen, RedemptionUsed
from schema.requests import RequestKeyReused

OrderRefundResult = Annotated[
    OrderRefunded
    | OrderNotFound
    | OrderNotRefundable
    | NoOriginalRoute
    | GiftCardNotRefundable
    | GiftCardNotWhole
    | FulfilmentNotOpen
    | RedemptionUsed
    | CouponPackUsed
    | PaymentMethodUnknown
    | VoucherUsed
    | PackageOver
    | RenewedAlready
    | RequestKeyReused,
    strawberry.union("OrderRefundResult", description="The order as it is now, or why not."),
]
