"""Coupons (CPN-1…CPN-4)."""

from app.services import coupons
from schema.coupons.gifts import (
    GIFT_PROBLEMS,
    CouponPackNotFound,
    CouponTemplateNotFound,
    Gift,
    GiftInput,
)
from schema.coupons.terms import CouponKind, CouponTerms
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
]
