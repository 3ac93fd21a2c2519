"""Coupons: templates, packs, and coupons from their issue to their end (CPN-1…CPN-4).

`values` computes what a coupon takes off a bill, `validity` its dates, `codes` its secret;
`giving` issues coupons for a cause.
"""

from app.services.coupons.giving import (
    COUPONS_AT_ONCE_MAX,
    CouponPackNotFound,
    CouponTemplateNotFound,
    Gift,
    TakenBack,
    give,
    given_by,
    packs,
    portions_of_each,
    require_gifts,
    take_back,
    templates,
)
from app.services.coupons.values import (
    Bill,
    BillInOtherCurrency,
    BillLine,
    BillTooSmall,
    LineKind,
    NothingToTakeOff,
    Value,
    value_of,
)

__all__ = [
    "COUPONS_AT_ONCE_MAX",
    "Bill",
    "BillInOtherCurrency",
    "BillLine",
    "BillTooSmall",
    "CouponPackNotFound",
    "CouponTemplateNotFound",
    "Gift",
    "LineKind",
    "NothingToTakeOff",
    "TakenBack",
    "Value",
    "give",
    "given_by",
    "packs",
    "portions_of_each",
    "require_gifts",
    "take_back",
    "templates",
    "value_of",
]
