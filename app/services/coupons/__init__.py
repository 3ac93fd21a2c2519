"""Coupons: templates, packs, and coupons from their issue to their end (CPN-1…CPN-7).

`values` computes what a coupon takes off a bill, `validity` its dates, `codes` its secret, and
`standing` how it stands at a moment. `templates` and `packs` are the back office's, with `details`
and `states`; `giving` issues coupons for a cause, `issuing` by staff and to those who claim them;
`redeeming` is the till's, `reading` lists, and `expiring` is what the clock brings about.

`pack_sales`, `pack_buying` and `pack_selling` are packs for money (CPN-7), `handovers` coupons on
their way to a friend (CPN-6), `changes` what is done to many at once (CPN-5), and `withdrawing` how
a single one is taken from whoever has it.
"""

from app.services.coupons.expiring import expire_due, remind_due, withdraw_of_member
from app.services.coupons.giving import (
    COUPONS_AT_ONCE_MAX,
    CouponPackNotFound,
    CouponTemplateNotFound,
    Gift,
    TakenBack,
    give,
    given_by,
    packs_by_ids,
    portions_of_each,
    require_gifts,
    take_back,
    templates_by_ids,
)
from app.services.coupons.redeeming.returning import release_overdue
from app.services.coupons.values import (
    Bill,
    BillInOtherCurrency,
    BillLine,
    BillLineKind,
    BillTooSmall,
    NothingToTakeOff,
    Value,
    value_of,
)

__all__ = [
    "COUPONS_AT_ONCE_MAX",
    "Bill",
    "BillInOtherCurrency",
    "BillLine",
    "BillLineKind",
    "BillTooSmall",
    "CouponPackNotFound",
    "CouponTemplateNotFound",
    "Gift",
    "NothingToTakeOff",
    "TakenBack",
    "Value",
    "expire_due",
    "give",
    "given_by",
    "packs_by_ids",
    "portions_of_each",
    "release_overdue",
    "remind_due",
    "require_gifts",
    "take_back",
    "templates_by_ids",
    "value_of",
    "withdraw_of_member",
]
