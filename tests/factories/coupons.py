"""Coupon templates, packs and coupons (CPN-1…CPN-4)."""

from datetime import datetime
from typing import Any

from app.core.db import Transaction, light
from app.core.ids import new_id
from app.models.coupons import (
    CouponKind,
    CouponPack,
    CouponPackItem,
    CouponTemplate,
    CouponTerms,
    TemplateState,
)
from app.models.organisation import Node
from app.services import scopes
from app.services.coupons import validity, values
from app.services.coupons.validity import DaysFromReceipt, Validity
from app.services.coupons.values import Benefit, CashOff
from app.services.scopes import ScopeRules

TEN_OFF = CashOff(10_00)
ANYWHERE = ScopeRules()
THIRTY_DAYS = DaysFromReceipt(0, 30, "Asia/Shanghai")


def some_terms(benefit: Benefit = TEN_OFF, /, **more: Any) -> CouponTerms:
    """Terms that stand in no database: 10.00 CNY off unless said otherwise."""
    given: dict[str, Any] = {
        "kind": values.KIND_OF[type(benefit)],
        "currency": "CNY",
        "scope_id": new_id(),
        "title": "A coupon",
        "benefit": values.to_json(benefit),
        "fields": [],
    }
    return light(CouponTerms)(**(given | more))


async def a_template(
    tx: Transaction,
    /,
    *,
    perspective: Node,
    now: datetime,
    benefit: Benefit = TEN_OFF,
    valid: Validity = THIRTY_DAYS,
    scope: ScopeRules = ANYWHERE,
    title: str = "10 off",
    **more: Any,
) -> CouponTemplate:
    """An active template: 10.00 CNY off for thirty days from receipt, without end of stock."""
    used_where = await scopes.create(tx, perspective=perspective, rules=scope)
    terms = some_terms(benefit, scope_id=used_where.id, title=title)
    given: dict[str, Any] = {
        "group_id": perspective.group_id,
        "perspective_id": perspective.id,
        "kind": CouponKind(terms.kind),
        "currency": "CNY",
        "state": TemplateState.ACTIVE,
        "name": title,
        "terms_id": terms.id,
        "validity": validity.to_json(valid),
        "created_at": now,
        "changed_at": now,
    }
    template = light(CouponTemplate)(**(given | more))
    await tx.insert(terms, template)
    return template


async def a_pack(
    tx: Transaction,
    /,
    *,
    perspective: Node,
    of: list[tuple[CouponTemplate, int]],
    now: datetime,
    **more: Any,
) -> CouponPack:
    """An active pack of so many coupons of each template."""
    given: dict[str, Any] = {
        "group_id": perspective.group_id,
        "perspective_id": perspective.id,
        "state": TemplateState.ACTIVE,
        "name": "A pack",
        "title": "A pack",
        "created_at": now,
        "changed_at": now,
    }
    pack = light(CouponPack)(**(given | more))
    items = [
        light(CouponPackItem)(
            pack_id=pack.id, template_id=template.id, position=position, number=number
        )
        for position, (template, number) in enumerate(of)
    ]
    await tx.insert(pack, *items)
    return pack
