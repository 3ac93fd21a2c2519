"""What moved, and whether the books are right."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlmodel import func, select

from app.core.db import Database, statement
from app.models.behaviour import BehaviourRule, EventEarning, MemberEvent, Notice, PointsCase
from app.models.cards import Card, CodeScan, Scheme, Tier
from app.models.coupons import Coupon, CouponPack, CouponTemplate, CouponUse
from app.models.identities import Identity, Merge
from app.models.ledger import Account, AccountKind, Entry, Lot, LotMovement, Posting
from app.models.members import Member, MemberTag, Tag
from app.models.operations import AuditRecord, RequestRecord
from app.models.payments import Payment, PaymentRefund
from app.models.purchases import Purchase, PurchaseLine, PurchasePayment, PurchaseRefund
from app.models.spendings import Spending, SpendingPart, SpendingRefund
from app.models.tiers import TierChange, TierGrant, TierRun, TierTask
from app.models.top_ups import TopUpOrder, TopUpPlan
from app.services import ledger
from tests.factories.reading import every, one

_rows = [
    statement(select(func.count()).select_from(table), into=int)
    for table in (
        AuditRecord, BehaviourRule, Card, CodeScan, Entry, EventEarning, Identity, Lot,
        LotMovement, Member, MemberEvent, MemberTag, Merge, Notice, Payment, PaymentRefund, Posting,
        Purchase, PurchaseLine, PurchasePayment, PurchaseRefund, RequestRecord, Spending,
        SpendingPart, SpendingRefund, Tag, TierChange, TierGrant, TierRun, TierTask,
    )
]  # fmt: skip
_accounts = statement(select(Account).order_by(Account.id), into=Account)  # type: ignore[arg-type]
_tiers = statement(select(Tier).order_by(Tier.id), into=Tier)  # type: ignore[arg-type]
_orders = statement(select(TopUpOrder).order_by(TopUpOrder.id), into=TopUpOrder)  # type: ignore[arg-type]
_plans = statement(select(TopUpPlan).order_by(TopUpPlan.id), into=TopUpPlan)  # type: ignore[arg-type]
_templates = statement(select(CouponTemplate).order_by(CouponTemplate.id), into=CouponTemplate)  # type: ignore[arg-type]
_packs = statement(select(CouponPack).order_by(CouponPack.id), into=CouponPack)  # type: ignore[arg-type]
_coupons = statement(select(Coupon).order_by(Coupon.id), into=Coupon)  # type: ignore[arg-type]
_uses = statement(select(CouponUse).order_by(CouponUse.id), into=CouponUse)  # type: ignore[arg-type]
_cases = statement(select(PointsCase).order_by(PointsCase.id), into=PointsCase)  # type: ignore[arg-type]
_schemes = statement(select(Scheme).order_by(Scheme.id), into=Scheme)  # type: ignore[arg-type]
_purchases = statement(select(Purchase).order_by(Purchase.id), into=Purchase)  # type: ignore[arg-type]


async def standing(database: Database) -> list[Any]:
    """Everything a refusal must leave as it was."""
    counts: list[Any] = [await one(database, count) for count in _rows]
    coupons = (_templates, _packs, _coupons, _uses)
    tables = (*coupons, _accounts, _cases, _schemes, _tiers, _orders, _plans, _purchases)
    return [*counts, *[await every(database, table) for table in tables]]


@asynccontextmanager
async def nothing_moves(database: Database) -> AsyncIterator[None]:
    """What happens within is refused: nothing is different afterwards, and the books are right."""
    before = await standing(database)
    yield
    assert await standing(database) == before
    assert await database.scan(ledger.check) == []


async def account(
    database: Database, card_id: UUID, kind: AccountKind = AccountKind.POINTS
) -> Account:
    """A card's account as it is now."""
    found = await database.read(ledger.accounts_of_cards, [card_id])
    return next(each for each in found if each.kind is kind)
