"""Coupons: what they promise, who has them, and what tills do with them (CPN-1…CPN-4)."""

from app.services import coupons
from schema.coupons.changes import CHANGE_PROBLEMS
from schema.coupons.gifts import (
    GIFT_PROBLEMS,
    CouponPackNotFound,
    CouponTemplateNotFound,
    Gift,
    GiftInput,
)
from schema.coupons.handovers import HANDOVER_PROBLEMS
from schema.coupons.issuing import ISSUING_PROBLEMS
from schema.coupons.pack_sales import PACK_SALE_PROBLEMS
from schema.coupons.templates import TEMPLATE_PROBLEMS
from schema.coupons.terms import CouponKind, CouponTerms
from schema.coupons.till import TILL_PROBLEMS
from schema.coupons.withdrawing import WITHDRAWING_PROBLEMS
from schema.problems import shown_as

__all__ = [
    "GIFT_PROBLEMS",
    "HANDLERS",
    "CouponKind",
    "CouponPackNotFound",
    "CouponTemplateNotFound",
    "CouponTerms",
    "Gift",
    "GiftInput",
]

HANDLERS = [
    shown_as(CouponTemplateNotFound, coupons.CouponTemplateNotFound),
    shown_as(CouponPackNotFound, coupons.CouponPackNotFound),
    *TEMPLATE_PROBLEMS,
    *ISSUING_PROBLEMS,
    *TILL_PROBLEMS,
    *PACK_SALE_PROBLEMS,
    *HANDOVER_PROBLEMS,
    *CHANGE_PROBLEMS,
    *WITHDRAWING_PROBLEMS,
]
