"""The demo's benefits and the packages that sell some of them (BEN-1…BEN-9)."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from uuid import UUID

from app.core.birthdays import BirthdayPeriod
from app.core.db import Transaction
from app.core.money import BASIS_POINTS
from app.core.schedules import Schedule, Weekly, Window
from app.demo.money import CURRENCY, YUAN
from app.models.benefits import BenefitState
from app.models.campaigns import CampaignKind, CampaignState
from app.models.packages import AgreementKind, ContentKind, DurationUnit, Package, PackageState
from app.services import benefits, campaigns
from app.services.actors import Actor
from app.services.benefits.checking import Content
from app.services.benefits.details import (
    Birthday,
    CardExtension,
    Custom,
    CustomField,
    Details,
    ExclusiveService,
    ItemPrice,
    Marketing,
    MemberDay,
    MemberDiscount,
    MemberPricing,
    Perk,
    PointsMultiplier,
    Promotional,
    Restrictions,
)
from app.services.coupons import Gift
from app.services.packages import agreements, editing
from app.services.packages.contents import Content as PackageContent
from app.services.packages.details import PackageDetails
from app.services.packages.rules import Duration, LimitedPrice, SalesRule
from app.services.scopes import ScopeRules

DOUBLE = 2 * BASIS_POINTS
AGREEMENTS = (
    (
        AgreementKind.PURCHASE,
        "购买协议 · Purchase agreement",
        "权益包自生效起计时，到期不自动续费。\n\n"
        "A package is counted from its first day and does not renew by itself.",
    ),
    (
        AgreementKind.TERMS,
        "使用条款 · Terms",
        "权益限本人使用，不可转让。\n\nBenefits are for the holder alone.",
    ),
    (
        AgreementKind.FAQ,
        "常见问题 · Questions",
        "可以退吗？券未使用前可退。\n\n"
        "Can it be given back? As long as none of its vouchers is used.",
    ),
)


async def make_benefits(
    tx: Transaction,
    owner: Actor,
    *,
    group_id: UUID,
    zone: str,
    pictures: Mapping[str, UUID],
    table_scheme_id: UUID,
    table_tier_id: UUID,
    now: datetime,
) -> Mapping[str, UUID]:
    """One active benefit of each of the ten types, by their names.

    What a package sells comes by itself with the table's upper tier, `table_tier_id`, alone.
    """
    wednesday = Schedule(zone, recurrence=Weekly(frozenset({3})), windows=Window(time(14), time(2)))
    led_to = {
        kind: await campaigns.create(
            tx, owner, perspective_id=group_id, kind=kind, name=name, only_as_member_benefit=True,
            now=now,
        )
        for kind, name in (
            (CampaignKind.CHECK_IN, "每日签到 · Daily check-in"),
            (CampaignKind.CONSUMPTION_GIFT, "第二杯半价 · Second cup at half price"),
        )
    }  # fmt: skip
    await campaigns.move(
        tx, owner, campaign_id=led_to[CampaignKind.CHECK_IN].id, state=CampaignState.ACTIVE, now=now
    )
    of_the_table = ScopeRules(scheme_ids=frozenset({table_scheme_id}))
    of_old_friends = ScopeRules(tier_ids=frozenset({table_tier_id}))
    for_all = ScopeRules()
    wanted: dict[str, tuple[str, str, Details, ScopeRules, str]] = {
        "check_in": (
            "签到有礼 · Check in", "每天签到得积分 · Points every day",
            Marketing(campaign_id=led_to[CampaignKind.CHECK_IN].id), for_all, "coffee",
        ),
        "second_cup": (
            "第二杯半价 · Second cup", "同款第二杯半价 · Half price for the second",
            Promotional(campaign_id=led_to[CampaignKind.CONSUMPTION_GIFT].id), for_all, "tea",
        ),
        "latte_price": (
            "会员价 · Member price", "拿铁 18 元 · A latte for 18.00",
            MemberPricing(prices=(ItemPrice("LATTE", 18 * YUAN), ItemPrice("TEA", 12 * YUAN))),
            of_old_friends, "coffee",
        ),
        "five_off": (
            "会员 95 折 · 5 % off", "每单立减 5 % · Off every bill",
            MemberDiscount(discount_bp=500), of_the_table, "coupon-percent",
        ),
        "member_day": (
            "周三会员日 · Wednesdays", "周三下午两点到次日两点，9 折 · 10 % off",
            MemberDay(schedule=wednesday.to_json(), perk=Perk(discount_bp=1_000)), for_all, "bowl",
        ),
        "birthday": (
            "生日周双倍积分 · Birthday week", "生日当周积分翻倍 · Double points",
            Birthday(period=BirthdayPeriod.WEEK, perk=Perk(multiplier_bp=DOUBLE)),
            of_the_table, "cake",
        ),
        "double_points": (
            "双倍积分 · Double points", "每笔消费积分翻倍 · For every purchase",
            PointsMultiplier(multiplier_bp=DOUBLE), of_old_friends, "package",
        ),
        "longer": (
            "延长一年 · Another year", "会员卡延长 365 天 · 365 more days",
            CardExtension(days=365), of_the_table, "package",
        ),
        "tasting": (
            "新品试饮 · Tastings", "每季新品到店试饮 · New drinks before others",
            ExclusiveService(image_file_ids=(pictures["tea"], pictures["coffee"])), for_all, "tea",
        ),
        "umbrella": (
            "雨天借伞 · Umbrellas", "下雨天到店借伞 · Borrow one when it rains",
            Custom(fields=(CustomField("押金 · Deposit", "免 · none"),)), for_all, "umbrella",
        ),
    }  # fmt: skip
    made = {}
    for key, (name, brief, details, scope, picture) in wanted.items():
        drafted = await benefits.create(
            tx,
            owner,
            perspective_id=group_id,
            content=Content(
                name=name,
                brief=brief,
                scope=scope,
                details=details,
                restrictions=Restrictions(),
                icon_file_id=pictures[picture],
                currency=CURRENCY if isinstance(details, MemberPricing) else None,
            ),
            now=now,
        )
        await benefits.move(tx, owner, benefit_id=drafted.id, state=BenefitState.ACTIVE, now=now)
        made[key] = drafted.id
    return made


async def make_packages(
    tx: Transaction,
    owner: Actor,
    *,
    group_id: UUID,
    pictures: Mapping[str, UUID],
    benefit_ids: Mapping[str, UUID],
    welcome: Gift,
    now: datetime,
) -> list[Package]:
    """A package with every price there is, and one that is for students alone."""
    purchase, terms, faq = [
        (
            await agreements.create(
                tx, owner, perspective_id=group_id, kind=kind, title=title, body=body, now=now
            )
        ).id
        for kind, title, body in AGREEMENTS
    ]
    opening = LimitedPrice(price=15 * YUAN, starts_at=now, ends_at=now + timedelta(days=14))
    coffee = PackageDetails(
        name="咖啡卡 · Coffee pass",
        tag="省心之选 · Most loved",
        description="拿铁会员价、双倍积分，首购送券。\n\nMember prices, double points, and a gift.",
        scope=ScopeRules(),
        cover_file_id=pictures["package"],
        icon_file_id=pictures["coffee"],
        purchase_agreement_id=purchase,
        terms_agreement_id=terms,
        faq_agreement_id=faq,
        rules=(
            SalesRule(
                duration=Duration(30, DurationUnit.DAYS),
                original=30 * YUAN,
                first_purchase=19 * YUAN + 90,
                repeat_purchase=28 * YUAN,
                early_renewal=25 * YUAN,
                limited=opening,
            ),
            SalesRule(
                duration=Duration(12, DurationUnit.MONTHS),
                original=298 * YUAN,
                early_renewal=258 * YUAN,
            ),
        ),
        contents=(
            PackageContent(kind=ContentKind.FIRST_PURCHASE_GIFT, gifts=(welcome,), points=100),
            PackageContent(kind=ContentKind.MEMBER_PRICING, benefit_id=benefit_ids["latte_price"]),
            PackageContent(kind=ContentKind.MULTIPLIER, benefit_id=benefit_ids["double_points"]),
        ),
    )
    student = PackageDetails(
        name="学生卡 · Student pass",
        description="仅限已认证学生。· For verified students.",
        scope=ScopeRules(for_students=True),
        cover_file_id=pictures["student"],
        icon_file_id=pictures["student"],
        purchase_agreement_id=purchase,
        rules=(SalesRule(duration=Duration(6, DurationUnit.MONTHS), original=9 * YUAN + 90),),
        contents=(
            PackageContent(kind=ContentKind.MEMBER_PRICING, benefit_id=benefit_ids["latte_price"]),
        ),
    )
    made = []
    for details in (coffee, student):
        drafted = await editing.create(
            tx, owner, perspective_id=group_id, currency=CURRENCY, details=details, now=now
        )
        made.append(
            await editing.move(tx, owner, package_id=drafted.id, state=PackageState.ACTIVE, now=now)
        )
    return made
