"""The demo's coupons: a template of each kind, packs of them, and what some of the cast hold."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.db import Transaction
from app.demo.money import CURRENCY, YUAN
from app.models.coupons import CouponKind, TemplateState
from app.services.actors import Actor
from app.services.coupons import Gift, issuing, packs, templates
from app.services.coupons.details import TemplateDetails
from app.services.coupons.packs import PackDetails
from app.services.coupons.validity import DaysFromReceipt, FixedDates
from app.services.coupons.values import CashOff, FixedPrice, ItemsFree, ShareOff
from app.services.scopes import ScopeRules

CLAIMABLE_STOCK = 5_000


class Printed(NamedTuple):
    """What can be given in the demo."""

    ten_off: Gift
    fifth_off: Gift
    free_tea: Gift
    latte: Gift
    welcome: Gift


async def print_all(
    tx: Transaction,
    owner: Actor,
    *,
    group_id: UUID,
    zone: str,
    pictures: Mapping[str, UUID],
    now: datetime,
) -> Printed:
    """The templates and packs, all active; the first is there to be claimed."""
    today = now.astimezone(ZoneInfo(zone)).date()
    a_month = DaysFromReceipt(effective_after_days=0, valid_days=30, time_zone=zone)
    cash, percent = pictures["coupon-cash"], pictures["coupon-percent"]
    wanted = (
        (
            CouponKind.CASH,
            CLAIMABLE_STOCK,
            TemplateDetails(
                name="满 50 减 10 · 10 off 50",
                title="10 元券 · 10.00 off",
                subtitle="满 50 元可用 · from 50.00",
                benefit=CashOff(amount=10 * YUAN),
                minimum_spend=50 * YUAN,
                validity=a_month,
                scope=ScopeRules(),
                claim_scope=ScopeRules(),
                limit_per_member=2,
                colour="#D84315",
                image_file_id=cash,
                instructions="每单限用一张。· One a bill.",
            ),
        ),
        (
            CouponKind.DISCOUNT,
            None,
            TemplateDetails(
                name="八折券 · 20 % off",
                title="八折券 · 20 % off",
                subtitle="最高减 30 元 · at most 30.00",
                benefit=ShareOff(off_bp=2_000, at_most=30 * YUAN),
                validity=FixedDates(first=today, last=today + timedelta(days=60), time_zone=zone),
                scope=ScopeRules(),
                includes_side_dishes=False,
                colour="#1565C0",
                image_file_id=percent,
            ),
        ),
        (
            CouponKind.GIFT,
            1_000,
            TemplateDetails(
                name="奶茶兑换券 · A free tea",
                title="奶茶一杯 · One milk tea",
                benefit=ItemsFree(items=("TEA",)),
                validity=a_month,
                scope=ScopeRules(),
                colour="#1F6B57",
                image_file_id=pictures["tea"],
            ),
        ),
        (
            CouponKind.DISCOUNT_TO,
            None,
            TemplateDetails(
                name="拿铁 9.9 · A latte for 9.90",
                title="9.9 元拿铁 · Latte at 9.90",
                benefit=FixedPrice(price=9 * YUAN + 90, items=("LATTE",)),
                validity=a_month,
                scope=ScopeRules(),
                colour="#4A2C1D",
                image_file_id=pictures["coffee"],
            ),
        ),
    )
    made = []
    for kind, stock, details in wanted:
        drafted = await templates.create(
            tx, owner, perspective_id=group_id, kind=kind, currency=CURRENCY, stock=stock,
            details=details, now=now,
        )  # fmt: skip
        await templates.move(tx, owner, template_id=drafted.id, state=TemplateState.ACTIVE, now=now)
        made.append(Gift(template_id=drafted.id, pack_id=None, count=1))
    welcome = await _pack(tx, owner, group_id, "新客礼包 · Welcome pack", made[1:], now)
    return Printed._make([*made, welcome])


async def give_to(
    tx: Transaction, support: Actor, *, card_ids: Sequence[UUID], gift: Gift, now: datetime
) -> None:
    """Staff give each of these cards' holders the same."""
    for card_id in card_ids:
        await issuing.issue(
            tx, support, member_id=None, card_id=card_id, gift=gift,
            request_key=f"demo-coupon-{card_id}", now=now,
        )  # fmt: skip


async def _pack(
    tx: Transaction,
    owner: Actor,
    group_id: UUID,
    name: str,
    gifts: Sequence[Gift],
    now: datetime,
) -> Gift:
    contents = tuple((gift.template_id, gift.count) for gift in gifts if gift.template_id)
    details = PackDetails(name=name, title=name, contents=contents)
    drafted = await packs.create(tx, owner, perspective_id=group_id, details=details, now=now)
    await packs.move(tx, owner, pack_id=drafted.id, state=TemplateState.ACTIVE, now=now)
    return Gift(template_id=None, pack_id=drafted.id, count=1)
