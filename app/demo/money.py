"""The demo's money: rules, plans of every kind, and what some of the cast lately did with them.

All of it through the services, by the demo's own staff, so that it is as real as what a visitor
does next.
"""

from datetime import datetime, time, timedelta
from uuid import UUID

from app.core.db import Transaction
from app.core.money import Money
from app.core.points_expiry import PointsExpiry
from app.core.schedules import Schedule, Weekly, Window
from app.models.ledger import AccountKind
from app.models.spendings import SpendingKind
from app.models.top_ups import PlanState, TopUpPlan, TopUpPlanKind
from app.services import adjustments, behaviour, consumption, points, spendings, tags, tickets
from app.services.actors import Actor
from app.services.behaviour import Rule, StreakStep
from app.services.points import Abnormal, Decay, Payment, PointsRules
from app.services.scopes import ScopeRules
from app.services.top_ups import buying, codes, plans
from app.services.top_ups.plans import PlanDetails
from app.services.top_ups.rules import (
    CustomRule,
    FixedStep,
    RangeStep,
    Rounding,
    SmartDiscount,
    SmartFixed,
    SmartGift,
)

CURRENCY = "CNY"
YUAN = 100
TAGS = ("常客 · Regular", "咖啡迷 · Coffee lover", "企业客户 · Corporate")
EVENTS = (
    Rule(
        event_key="check_in", name="签到 · Check-in", points=2, growth=1,
        streak=(StreakStep(days=7, points=20),),
    ),
    Rule(
        event_key="profile_complete", name="完善资料 · Complete profile", points=50, times_ever=1
    ),
    Rule(
        event_key="review_shared", name="分享评价 · Share a review", points=10, growth=5,
        times_per_day=1, times_per_month=10,
    ),
    Rule(event_key="friend_referred", name="邀请好友 · Refer a friend", points=100, growth=50),
)  # fmt: skip


async def set_rules(
    tx: Transaction, owner: Actor, *, scheme_ids: list[UUID], now: datetime
) -> None:
    """What points are worth, when they expire, and what else than buying earns them."""
    expiries = ((PointsExpiry.MONTHLY, 12), (PointsExpiry.YEARLY, 1))
    for scheme_id, (expiry, count) in zip(scheme_ids, expiries, strict=True):
        rules = PointsRules(
            expiry=expiry,
            expiry_count=count,
            payment=Payment(points=100, worth=1 * YUAN, share_bp=5_000, points_min=100),
            cost_per_thousand=8 * YUAN,
            decay=Decay(after_months=18, share_bp=1_000),
            abnormal=Abnormal(above=5_000, blocks_spending=True),
        )
        await points.set_rules(tx, owner, scheme_id=scheme_id, rules=rules, now=now)
        for rule in EVENTS:
            await behaviour.set_rule(tx, owner, scheme_id=scheme_id, rule=rule, now=now)


async def make_plans(
    tx: Transaction, owner: Actor, *, group_id: UUID, zone: str, now: datetime
) -> list[TopUpPlan]:
    """One plan of each kind on sale, and one for the codes of companies."""
    friday = Schedule(zone, recurrence=Weekly(frozenset({5})), windows=Window(time(10), time(22)))
    made = [
        await _plan(
            tx, owner, group_id, TopUpPlanKind.PACKAGE, now,
            PlanDetails(
                name="储值有礼 · Top up and get more",
                scope=ScopeRules(),
                steps=(
                    FixedStep(amount=100 * YUAN, bonus=10 * YUAN, points=50),
                    FixedStep(amount=300 * YUAN, bonus=45 * YUAN, points=200),
                    RangeStep(
                        amount_from=500 * YUAN, amount_to=1_000 * YUAN, bonus_bp=1_800,
                        points_bp=5_000,
                    ),
                ),
                first_bonus_bp=500,
                first_points_bp=300,
                description="本金永不过期，可在全部门店使用。· What you pay in never expires.",
            ),
        ),
        await _plan(
            tx, owner, group_id, TopUpPlanKind.PACKAGE, now,
            PlanDetails(
                name="周五加倍 · Friday double",
                scope=ScopeRules(schedule=friday.to_json()),
                steps=(FixedStep(amount=200 * YUAN, bonus=60 * YUAN, points=0),),
                limit_per_member=1,
                bonus_on_the_day=False,
                bonus_valid_days=90,
            ),
            stock=500,
        ),
        await _plan(
            tx, owner, group_id, TopUpPlanKind.CUSTOM, now,
            PlanDetails(
                name="随心充 · Any amount",
                scope=ScopeRules(),
                steps=(
                    CustomRule(
                        amount_from=50 * YUAN, amount_to=2_000 * YUAN, bonus_from=0,
                        bonus_to=300 * YUAN, points_from=0, points_to=1_000,
                    ),
                ),
                same_day_share_bp=5_000,
            ),
        ),
        await _plan(
            tx, owner, group_id, TopUpPlanKind.SMART, now,
            PlanDetails(
                name="买单更省 · Pay less for this bill",
                scope=ScopeRules(),
                steps=(
                    SmartDiscount(times_bp=12_000, bonus_bp=800),
                    SmartGift(times_bp=13_000, bonus_bp=500, points_bp=1_000),
                    SmartFixed(amount=300 * YUAN, bonus=30 * YUAN, points=300),
                ),
                trigger_amount=20 * YUAN,
                rounding=Rounding.ONE,
            ),
        ),
        await _plan(
            tx, owner, group_id, TopUpPlanKind.PACKAGE, now,
            PlanDetails(
                name="企业福利 · Corporate gift",
                scope=ScopeRules(),
                steps=(FixedStep(amount=200 * YUAN, bonus=0, points=100),),
                is_visible=False,
            ),
        ),
    ]  # fmt: skip
    await codes.generate(
        tx,
        owner,
        wanted=codes.Wanted(
            plan_id=made[-1].id,
            step=0,
            amount=200 * YUAN,
            number=20,
            scenario="中秋福利 · Mid-autumn, for a company",
            expires_at=now + timedelta(days=365),
            scope=ScopeRules(),
        ),
        request_key="demo-codes",
        now=now,
    )
    return made


async def top_up_and_spend(
    tx: Transaction,
    *,
    owner: Actor,
    cashier: Actor,
    card_id: UUID,
    terminal_id: UUID,
    store_id: UUID,
    plan: TopUpPlan,
    now: datetime,
) -> None:
    """Somebody tops up 300.00 at a till, pays two bills with it and gets a part of one back."""
    await buying.sell(
        tx,
        cashier,
        terminal_id=terminal_id,
        choice=buying.Choice(
            card_id=card_id, plan_id=plan.id, step=1, amount=Money(300 * YUAN, CURRENCY)
        ),
        method_code="wechat_pay",
        request_key=f"demo-top-up-{card_id}",
        now=now,
    )
    paid = [
        await spendings.charge(
            tx,
            cashier,
            terminal_id=terminal_id,
            card_id=card_id,
            bill=spendings.Bill(
                kind=SpendingKind.STORED_VALUE,
                amount=Money(amount, CURRENCY),
                order_number=f"DEMO-{number}-{card_id.hex[-8:]}",
            ),
            verification=await _verified(tx, card_id, store_id, now),
            request_key=f"demo-spend-{number}-{card_id}",
            now=now + timedelta(minutes=number),
        )
        for number, amount in enumerate((68 * YUAN, 42 * YUAN + 50), start=1)
    ]
    await spendings.refund(
        tx,
        owner,
        spending_id=paid[-1].spending.id,
        amount=Money(12 * YUAN, CURRENCY),
        reason="少做了一杯 · one cup was missing",
        request_key=f"demo-return-{card_id}",
        now=now + timedelta(minutes=5),
    )


async def adjust_and_tag(
    tx: Transaction, support: Actor, *, card_id: UUID, member_id: UUID, now: datetime
) -> None:
    """An apology of staff, one that waits for a second person, and two tags."""
    for kind, amount, reason in (
        (AccountKind.BONUS, 20 * YUAN, "等候过久，致歉 · we kept them waiting"),
        (AccountKind.POINTS, 20_000, "投诉补偿 · a complaint"),
    ):
        await adjustments.propose(
            tx, support, card_id=card_id, account_kind=kind, amount=amount, reason=reason,
            request_key=f"demo-{kind}-{card_id}", now=now,
        )  # fmt: skip
    made = [await tags.create(tx, support, name=name, now=now) for name in TAGS]
    await tags.put_on(
        tx, support, member_id=member_id, tag_ids=[tag.id for tag in made[:2]], now=now
    )


async def _plan(
    tx: Transaction,
    owner: Actor,
    group_id: UUID,
    kind: TopUpPlanKind,
    now: datetime,
    details: PlanDetails,
    *,
    stock: int | None = None,
) -> TopUpPlan:
    drafted = await plans.create(
        tx, owner, perspective_id=group_id, kind=kind, currency=CURRENCY, stock=stock,
        details=details, now=now,
    )  # fmt: skip
    return await plans.move(tx, owner, plan_id=drafted.id, state=PlanState.ACTIVE, now=now)


async def _verified(tx: Transaction, card_id: UUID, store_id: UUID, now: datetime) -> str:
    """What a right PIN or code at the till would have given."""
    return await tickets.issue(
        tx,
        purpose=consumption.TICKET_PURPOSE,
        payload={"card": str(card_id), "store": str(store_id)},
        now=now,
        life=consumption.VERIFICATION_LIFE,
    )
