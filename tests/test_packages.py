"""BEN-5, BEN-6, BEN-9: what packages say, and what no package can say."""

from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.operations import AuditRecord
from tests.factories.cards import Counter, a_scheme, a_tier, counter
from tests.factories.files import an_image
from tests.factories.packages import (
    ACTIVATE,
    ARCHIVE,
    CREATE,
    DEACTIVATE,
    LIST,
    ONE,
    REVISE,
    SETTINGS,
    SETTINGS_SET,
    UPDATE,
    Goods,
    a_package,
    a_rule,
    agreement,
    draft,
    goods,
    package_of,
    packages_stay,
)
from tests.factories.reading import every

pytestmark = pytest.mark.anyio

LIMITED = {
    "price": 139_00,
    "startsAt": "2026-10-01T00:00:00+00:00",
    "endsAt": "2026-10-08T00:00:00+00:00",
}
acts = statement(
    select(AuditRecord)
    .where(col(AuditRecord.object_kind) == "package")
    .order_by(col(AuditRecord.id)),
    into=AuditRecord,
)
VERSIONS = """query ($id: ID!) { agreementVersions(id: $id) {
  edges { node { version title body } } } }"""


@pytest.fixture
async def till(database: Database, now: Any) -> Counter:
    return await counter(database, now)


@pytest.fixture
async def some(till: Counter) -> Goods:
    return await goods(till)


async def test_ben_5_ben_6_a_package_says_all_this(till: Counter, some: Goods) -> None:
    tier = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    group_id = till.shop.places.group.id
    image = await till.database.run(an_image, group_id=group_id, now=till.now)
    bought, read = await agreement(till), await agreement(till, "FAQ", "Why?")
    prices = {"firstPurchase": 159_00, "repeatPurchase": 179_00, "earlyRenewal": 169_00}
    made = await draft(
        till,
        tag=" Quarterly ",
        description="All of it.",
        coverFileId=type_id("file", image.id),
        rules=[a_rule(limited=LIMITED, **prices), a_rule(499_00, 90)],
        scope={"channels": ["ONLINE"]},
        purchaseAgreementId=bought["id"],
        faqAgreementId=read["id"],
        contents=[
            some.gift("FIRST_PURCHASE_GIFT", 500, name="Welcome", rules=[1, 1]),
            some.gift("EARLY_RENEWAL_GIFT", moment="WHEN_IT_BEGINS"),
            {"kind": "MEMBER_DISCOUNT", "benefitId": some.discount_id},
            {"kind": "MULTIPLIER", "benefitId": some.multiplier_id},
            {"kind": "TIER_UPGRADE", "tierId": type_id("tier", tier.id)},
        ],
    )
    assert made["id"].startswith("pkg_")
    assert (made["state"], made["version"], made["tag"]) == ("DRAFT", 1, "Quarterly")
    assert made["cover"] == {"width": 40}
    assert made["purchaseAgreement"]["body"] == "Buy."
    assert (made["termsOfUse"], made["faq"]) == (None, {"version": 1})
    assert made["rules"][0] == {
        "duration": {"count": 3, "unit": "DAYS"},
        "original": {"amount": 199_00},
        "firstPurchase": {"amount": 159_00},
        "repeatPurchase": {"amount": 179_00},
        "earlyRenewal": {"amount": 169_00},
        "limited": LIMITED | {"price": {"amount": 139_00}},
    }
    nothing: dict[str, Any] = {
        "name": None, "description": None, "rules": None, "points": 0, "moment": "AT_ONCE",
        "benefit": None, "tier": None, "gifts": [],
    }  # fmt: skip
    gift = [{"templateId": some.coupon_id, "packId": None, "count": 1}]
    assert made["contents"] == [
        nothing
        | {"kind": "FIRST_PURCHASE_GIFT", "name": "Welcome", "rules": [1]}
        | {"points": 500, "gifts": gift},
        nothing | {"kind": "EARLY_RENEWAL_GIFT", "moment": "WHEN_IT_BEGINS", "gifts": gift},
        nothing | {"kind": "MEMBER_DISCOUNT", "benefit": {"id": some.discount_id}},
        nothing | {"kind": "MULTIPLIER", "benefit": {"id": some.multiplier_id}},
        nothing | {"kind": "TIER_UPGRADE", "tier": {"name": "Silver"}},
    ]
    assert await till.as_staff(ONE, id=made["id"]) == {
        name: value for name, value in made.items() if name != "__typename"
    }


async def test_ben_5_ben_6_what_makes_no_package_is_refused_and_changes_nothing(
    till: Counter, some: Goods
) -> None:
    elsewhere = await counter(till.database, till.now)
    foreign, faq = await agreement(elsewhere), await agreement(till, "FAQ")
    group = till.shop.places.group
    dollars = await till.database.run(a_scheme, perspective=group, now=till.now, currency="USD")
    rich = await till.database.run(a_tier, scheme=dollars, level=2, name="Rich")
    gift = {"kind": "FIRST_PURCHASE_GIFT"}
    refusals: list[tuple[dict[str, Any], Any]] = [
        ({"rules": [a_rule()] * 6}, "TooManySalesRules"),
        ({"rules": []}, "BAD_USER_INPUT"),
        ({"rules": [a_rule(-1)]}, "BAD_USER_INPUT"),
        ({"rules": [a_rule(days=0)]}, "BAD_USER_INPUT"),
        ({"rules": [a_rule(limited=LIMITED | {"endsAt": LIMITED["startsAt"]})]}, "BAD_USER_INPUT"),
        ({"name": " "}, "BAD_USER_INPUT"),
        ({"currency": "XXX"}, "BAD_USER_INPUT"),
        ({"contents": [gift]}, "BAD_USER_INPUT"),
        ({"contents": [gift | {"points": 1}] * 31}, "BAD_USER_INPUT"),
        ({"contents": [gift | {"points": 1, "rules": [1]}]}, "BAD_USER_INPUT"),
        ({"contents": [gift | {"points": 1, "moment": "WHEN_IT_BEGINS"}]}, "BAD_USER_INPUT"),
        ({"contents": [{"kind": "TIER_UPGRADE"}]}, "BAD_USER_INPUT"),
        ({"contents": [{"kind": "MULTIPLIER", "points": 1}]}, "BAD_USER_INPUT"),
        (
            {"contents": [gift | {"gifts": [{"templateId": type_id("ctpl", new_id())}]}]},
            "CouponTemplateNotFound",
        ),
        (
            {"contents": [{"kind": "MULTIPLIER", "benefitId": some.discount_id}]},
            "BenefitOfOtherKind",
        ),
        (
            {"contents": [{"kind": "MULTIPLIER", "benefitId": type_id("ben", new_id())}]},
            "BenefitNotFound",
        ),
        (
            {"contents": [{"kind": "TIER_UPGRADE", "tierId": type_id("tier", rich.id)}]},
            "ContentTierUnknown",
        ),
        ({"purchaseAgreementId": foreign["id"]}, "AgreementNotFound"),
        ({"purchaseAgreementId": faq["id"]}, "AgreementNotFound"),
        ({"coverFileId": type_id("file", new_id())}, "FileNotFound"),
        ({"perspectiveId": type_id("node", new_id())}, "NodeNotFound"),
        ({"scope": {"tagIds": [type_id("tag", new_id())]}}, "AudienceNotFound"),
    ]
    async with packages_stay(till.database):
        for wrong, refusal in refusals:
            answer = await till.as_staff(CREATE, input=a_package(till, **wrong))
            assert (answer if isinstance(answer, str) else answer["__typename"]) == refusal, wrong
    sixth = await till.as_staff(CREATE, input=a_package(till, rules=[a_rule()] * 6))
    assert (sixth["given"], sixth["atMost"]) == (6, 5)


async def test_ben_9_a_package_is_edited_while_it_is_not_published(till: Counter) -> None:
    made = await draft(till)
    edit = {"id": made["id"], "expectedVersion": 1, "name": "New", "rules": [a_rule(99_00)]}
    edited = await till.as_staff(UPDATE, input=edit)
    assert (edited["name"], edited["version"]) == ("New", 2)
    async with packages_stay(till.database):
        stale = await till.as_staff(UPDATE, input=edit)
        assert (stale["__typename"], stale["currentVersion"]) == ("EditedMeanwhile", 2)
    await till.as_staff(ACTIVATE, id=made["id"])
    async with packages_stay(till.database):
        published = await till.as_staff(UPDATE, input=edit | {"expectedVersion": 3})
        assert published["__typename"] == "PackagePublished"
        twice = await till.as_staff(ACTIVATE, id=made["id"])
        assert twice == {"__typename": "PackageStateUnchangeable", "current": "ACTIVE"}
        early = await till.as_staff(ARCHIVE, id=made["id"])
        assert early["__typename"] == "PackageStateUnchangeable"
    await till.as_staff(DEACTIVATE, id=made["id"])
    assert (await till.as_staff(UPDATE, input=edit | {"expectedVersion": 4}))["version"] == 5
    assert (await till.as_staff(ARCHIVE, id=made["id"]))["state"] == "ARCHIVED"
    async with packages_stay(till.database):
        gone = await till.as_staff(UPDATE, input=edit | {"expectedVersion": 6})
        assert gone["__typename"] == "PackageArchived"
        assert (await till.as_staff(ACTIVATE, id=made["id"]))["current"] == "ARCHIVED"
    recorded = [each.action for each in await every(till.database, acts)]
    words = ("create", "update", "activate", "deactivate", "update", "archive")
    assert recorded == [f"package.{word}" for word in words]


async def test_ben_9_packages_are_found_by_those_who_work_above_or_below(till: Counter) -> None:
    tea_id = type_id("node", till.shop.places.tea.id)
    await draft(till, name="Group 100%")
    await draft(till, name="Tea", perspectiveId=tea_id)
    await package_of(till, name="On sale")
    await draft(await counter(till.database, till.now), name="Elsewhere")

    async def named(**more: Any) -> list[str]:
        found = await till.as_staff(LIST, **more)
        return [edge["node"]["name"] for edge in found["edges"]]

    assert await named() == ["On sale", "Tea", "Group 100%"]
    assert await named(state="ACTIVE") == ["On sale"]
    assert await named(search="100%") == ["Group 100%"]
    assert await named(who=till.shop.cashier) == ["On sale", "Group 100%"]
    refused = await till.as_staff(CREATE, who=till.shop.cashier, input=a_package(till))
    assert refused == "FORBIDDEN"
    page = await till.as_staff(LIST, first=2)
    assert page["pageInfo"]["hasNextPage"]
    assert await named(after=page["pageInfo"]["endCursor"]) == ["Group 100%"]


async def test_ben_9_agreements_have_versions_that_stay(till: Counter) -> None:
    made = await agreement(till, body="One.")
    edit = {"id": made["id"], "expectedVersion": 1, "title": "Second", "body": "Two.\r\n\r\nEnd."}
    revised = await till.as_staff(REVISE, input=edit)
    assert (revised["version"], revised["text"]["body"]) == (2, "Two.\n\nEnd.")
    async with packages_stay(till.database):
        stale = await till.as_staff(REVISE, input=edit)
        assert stale == {"__typename": "EditedMeanwhile", "currentVersion": 2}
        empty = await till.as_staff(REVISE, input=edit | {"expectedVersion": 2, "body": ""})
        assert empty == "BAD_USER_INPUT"
    found = await till.as_staff(VERSIONS, id=made["id"])
    assert [edge["node"] for edge in found["edges"]] == [
        {"version": 2, "title": "Second", "body": "Two.\n\nEnd."},
        {"version": 1, "title": "A PURCHASE", "body": "One."},
    ]
    elsewhere = await counter(till.database, till.now)
    assert (await elsewhere.as_staff(VERSIONS, id=made["id"]))["edges"] == []
    assert (await elsewhere.as_staff(REVISE, input=edit))["__typename"] == "AgreementNotFound"


async def test_ben_7_the_validity_rule_is_the_groups(till: Counter) -> None:
    assert await till.as_staff(SETTINGS) == {"validityRule": "IMMEDIATE", "version": 0}
    first = await till.as_staff(SETTINGS_SET, version=0, rule="FROM_NEXT_DAY")
    assert (first["validityRule"], first["version"]) == ("FROM_NEXT_DAY", 1)
    async with packages_stay(till.database):
        stale = await till.as_staff(SETTINGS_SET, version=0, rule="IMMEDIATE")
        assert stale == {"__typename": "EditedMeanwhile", "currentVersion": 1}
        below = await till.as_staff(
            SETTINGS_SET, who=till.shop.cashier, version=1, rule="IMMEDIATE"
        )
        assert below == "FORBIDDEN"
    assert (await till.as_staff(SETTINGS_SET, version=1, rule="IMMEDIATE"))["version"] == 2
    assert await till.as_staff(SETTINGS) == {"validityRule": "IMMEDIATE", "version": 2}
