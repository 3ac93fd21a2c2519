"""TOP-2…TOP-5: what top-up plans say, and what no plan can say."""

from datetime import datetime
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.operations import AuditRecord
from app.models.organisation import Node
from app.services import schemes
from resolvers.root import admin_schema
from tests.factories.cards import Counter, a_scheme, a_tier, counter
from tests.factories.organisation import Places, places
from tests.factories.staff import employee
from tests.factories.top_up_plans import (
    ACTIVATE,
    ARCHIVE,
    CREATE,
    DEACTIVATE,
    LIST,
    ONE,
    SET_STOCK,
    STEPS,
    UPDATE,
    a_plan,
    an_edit,
    custom,
    draft,
    fixed,
    plans_stay,
    ranging,
)

pytestmark = pytest.mark.anyio

Given = dict[str, Any]
MOST = 100_000_000_00
acts = statement(
    select(AuditRecord)
    .where(col(AuditRecord.object_kind) == "top_up_plan")
    .order_by(col(AuditRecord.id)),
    into=AuditRecord,
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


@pytest.fixture
def place(till: Counter) -> Places:
    return till.shop.places


def node_id(node: Node) -> str:
    return type_id("node", node.id)


def at(*nodes: Node) -> Given:
    """A scope that includes these nodes."""
    return {"includedNodeIds": [node_id(node) for node in nodes]}


def money(amount: int, currency: str = "CNY") -> Given:
    return {"amount": amount, "currency": currency}


def amount(value: int) -> Given:
    return {"amount": value}


EVERYTHING: Given = {
    "name": "  Autumn top-up ",
    "steps": [fixed(100_00, 10_00, 50), ranging(200_00, 999_99, 1_250, 500)],
    "isVisible": False,
    "firstOnly": True,
    "firstTopUpBonus": {"bonusBasisPoints": 500, "pointsBasisPoints": 1_000},
    "grantedMonths": 12,
    "limitPerMember": 3,
    "spendingItems": ["COFFEE-1", "CAKE-2", "COFFEE-1"],
    "sameDayShareBasisPoints": 5_000,
    "bonusOnTheDay": False,
    "bonusValidDays": 90,
    "agreement": "1. No refunds of bonus.\r\n\r\n2. Ask us.",
    "description": "Pay 100, get 110.",
    "coverUrl": "https://images.example/plans/1.png?w=200",
}


async def test_top_2_top_3_a_package_plan_says_all_this(till: Counter, place: Places) -> None:
    tier = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    made = await draft(
        till,
        **EVERYTHING,
        stock=500,
        grantedTierId=type_id("tier", tier.id),
        spendingNodeIds=[node_id(place.tea), node_id(place.lone_store)],
        scope={"channels": ["POS"], **at(place.tea)},
    )
    assert made["id"].startswith("plan_")
    scope = made.pop("scope")
    assert (scope["channels"], scope["includedNodeIds"]) == (["POS"], [node_id(place.tea)])
    moment = till.now.isoformat()
    assert made == {
        "__typename": "TopUpPlan",
        "id": made["id"],
        "kind": "PACKAGE",
        "state": "DRAFT",
        "name": "Autumn top-up",
        "currency": "CNY",
        "version": 1,
        "stockLeft": 500,
        "isVisible": False,
        "firstOnly": True,
        "firstTopUpBonus": {"bonusBasisPoints": 500, "pointsBasisPoints": 1_000},
        "grantedTier": {"name": "Silver"},
        "grantedMonths": 12,
        "limitPerMember": 3,
        "spendingItems": ["COFFEE-1", "CAKE-2"],
        "spendingNodeIds": [node_id(place.tea), node_id(place.lone_store)],
        "sameDayShareBasisPoints": 5_000,
        "bonusOnTheDay": False,
        "bonusValidDays": 90,
        "triggerAmount": None,
        "rounding": None,
        "agreement": "1. No refunds of bonus.\n\n2. Ask us.",
        "description": "Pay 100, get 110.",
        "coverUrl": "https://images.example/plans/1.png?w=200",
        "createdAt": moment,
        "changedAt": moment,
        "perspective": {"name": "Regulars"},
        "steps": [
            {
                "__typename": "TopUpFixedStep",
                "amount": money(100_00),
                "bonus": amount(10_00),
                "points": 50,
            },
            {
                "__typename": "TopUpRangeStep",
                "amountFrom": amount(200_00),
                "amountTo": amount(999_99),
                "bonusBasisPoints": 1_250,
                "pointsBasisPoints": 500,
            },
        ],
    }
    assert await till.as_staff(ONE, id=made["id"]) == {
        name: value for name, value in (made | {"scope": scope}).items() if name != "__typename"
    }


async def test_top_3_what_a_plan_leaves_out_limits_nothing(till: Counter) -> None:
    made = await draft(till)
    assert made["isVisible"] is True
    assert made["bonusOnTheDay"] is True
    assert made["firstOnly"] is False
    assert made["firstTopUpBonus"] == {"bonusBasisPoints": 0, "pointsBasisPoints": 0}
    for name in (
        "stockLeft", "grantedTier", "grantedMonths", "limitPerMember", "spendingItems",
        "spendingNodeIds", "sameDayShareBasisPoints", "bonusValidDays", "triggerAmount",
        "rounding", "agreement", "description", "coverUrl",
    ):  # fmt: skip
        assert made[name] is None, name


async def test_top_4_a_custom_plan_has_one_step_that_grows_with_the_amount(till: Counter) -> None:
    made = await draft(
        till,
        "CUSTOM",
        steps=[custom((50_00, 500_00), (0, 50_00), (5, 500))],
        sameDayShareBasisPoints=0,
        bonusOnTheDay=False,
    )
    assert made["steps"] == [
        {
            "__typename": "TopUpCustomStep",
            "amountFrom": amount(50_00),
            "amountTo": amount(500_00),
            "bonusFrom": amount(0),
            "bonusTo": amount(50_00),
            "pointsFrom": 5,
            "pointsTo": 500,
        }
    ]
    assert (made["sameDayShareBasisPoints"], made["bonusOnTheDay"]) == (0, False)


async def test_top_5_a_smart_plan_has_offers_a_trigger_and_a_rounding(till: Counter) -> None:
    made = await draft(
        till,
        "SMART",
        steps=[
            {"discount": {"timesBasisPoints": 12_000, "bonusBasisPoints": 800}},
            {
                "gift": {
                    "timesBasisPoints": 13_000,
                    "bonusBasisPoints": 500,
                    "pointsBasisPoints": 1_000,
                }
            },
            {"smartFixed": {"amount": 200_00, "bonus": 20_00, "points": 7}},
        ],
        triggerAmount=30_00,
        rounding="TEN",
        bonusValidDays=30,
    )
    assert (made["rounding"], made["triggerAmount"]) == ("TEN", money(30_00))
    assert made["steps"] == [
        {"__typename": "TopUpDiscountStep", "timesBasisPoints": 12_000, "bonusBasisPoints": 800},
        {
            "__typename": "TopUpGiftStep",
            "timesBasisPoints": 13_000,
            "bonusBasisPoints": 500,
            "pointsBasisPoints": 1_000,
        },
        {
            "__typename": "TopUpFixedStep",
            "amount": money(200_00),
            "bonus": amount(20_00),
            "points": 7,
        },
    ]


async def test_a_plan_at_every_limit_is_a_plan(till: Counter) -> None:
    made = await draft(
        till,
        name="N" * 120,
        steps=[fixed(n, MOST, 1_000_000_000) for n in range(1, 20)]
        + [ranging(20, MOST, 500_00, 10_000_00)],
        firstTopUpBonus={"bonusBasisPoints": 500_00, "pointsBasisPoints": 10_000_00},
        limitPerMember=10_000,
        stock=1_000_000_000,
        spendingItems=[f"{n:064}" for n in range(500)],
        sameDayShareBasisPoints=10_000,
        bonusValidDays=36_500,
        agreement="A" * 10_000,
        description="D" * 2_000,
        coverUrl="https://e.example/" + "u" * 482,
    )
    assert len(made["steps"]) == 20
    assert made["steps"][19]["amountTo"] == amount(MOST)
    assert len(made["spendingItems"]) == 500


NO_PACKAGES: list[list[Given]] = [
    [],
    [fixed(0)],
    [fixed(-1)],
    [fixed(MOST + 1)],
    [fixed(100_00, -1)],
    [fixed(100_00, MOST + 1)],
    [fixed(100_00, 0, -1)],
    [fixed(100_00, 0, 1_000_000_001)],
    [fixed(100_00), fixed(100_00, 5_00)],
    [ranging(100_00, 200_00), ranging(150_00, 300_00)],
    [ranging(100_00, 200_00), ranging(200_00, 300_00)],
    [ranging(100_00, 200_00), fixed(200_00)],
    [fixed(150_00), ranging(100_00, 200_00)],
    [ranging(200_00, 100_00)],
    [ranging(0, 100_00)],
    [ranging(100_00, MOST + 1)],
    [ranging(100_00, 200_00, bonus=-1)],
    [ranging(100_00, 200_00, bonus=500_01)],
    [ranging(100_00, 200_00, points=-1)],
    [ranging(100_00, 200_00, points=10_000_01)],
    [fixed(n) for n in range(1, 22)],
    [custom((1, 2))],
    [fixed(100_00), custom((1, 2))],
    [STEPS["SMART"]],
    [{"smartFixed": {"amount": 100_00}}],
    [{}],
    [{"fixed": None}],
    [fixed(1) | ranging(5, 6)],
    [{"fixed": {"amount": 1.5}}],
    [{"fixed": {"amount": "100"}}],
    [{"fixed": {"amount": 2**63}}],
]
NO_CUSTOMS: list[list[Given]] = [
    [],
    [custom((1_00, 2_00)), custom((3_00, 4_00))],
    [fixed(100_00)],
    [ranging(1_00, 2_00)],
    [custom((1_00, 2_00)), fixed(3_00)],
    [custom((0, 2_00))],
    [custom((2_00, 1_00))],
    [custom((1_00, MOST + 1))],
    [custom((1_00, 2_00), bonus=(2, 1))],
    [custom((1_00, 2_00), bonus=(-1, 1))],
    [custom((1_00, 2_00), bonus=(0, MOST + 1))],
    [custom((1_00, 2_00), points=(2, 1))],
    [custom((1_00, 2_00), points=(-1, 0))],
    [custom((1_00, 2_00), points=(0, 1_000_000_001))],
]
NO_SMARTS: list[list[Given]] = [
    [],
    [{"smartFixed": {"amount": n}} for n in range(1, 11)],
    [fixed(100_00)],
    [STEPS["SMART"], custom((1, 2))],
    [{"smartFixed": {"amount": 0}}],
    [{"smartFixed": {"amount": 1, "bonus": -1}}],
    [{"discount": {"timesBasisPoints": 9_999, "bonusBasisPoints": 0}}],
    [{"discount": {"timesBasisPoints": 1_000_001, "bonusBasisPoints": 0}}],
    [{"discount": {"timesBasisPoints": 12_000, "bonusBasisPoints": -1}}],
    [{"gift": {"timesBasisPoints": 12_000, "bonusBasisPoints": 500_01}}],
    [{"gift": {"timesBasisPoints": 12_000, "pointsBasisPoints": 10_000_01}}],
]


async def test_top_2_top_4_top_5_steps_that_make_no_plan_are_refused(till: Counter) -> None:
    bad = {"PACKAGE": NO_PACKAGES, "CUSTOM": NO_CUSTOMS, "SMART": NO_SMARTS}
    async with plans_stay(till.database):
        for kind, lists in bad.items():
            for steps in lists:
                refused = await till.as_staff(CREATE, input=a_plan(till, kind, steps=steps))
                assert refused == "BAD_USER_INPUT", (kind, steps)


BAD_VALUES: list[Given] = [
    {"name": ""},
    {"name": " "},
    {"name": "N" * 121},
    {"name": "two\nlines"},
    {"kind": "GIFT"},
    {"currency": "XXX"},
    {"currency": "cny"},
    {"stock": -1},
    {"stock": 1_000_000_001},
    {"limitPerMember": 0},
    {"limitPerMember": 10_001},
    {"firstTopUpBonus": {"bonusBasisPoints": -1}},
    {"firstTopUpBonus": {"bonusBasisPoints": 500_01}},
    {"firstTopUpBonus": {"pointsBasisPoints": -1}},
    {"firstTopUpBonus": {"pointsBasisPoints": 10_000_01}},
    {"grantedMonths": 12},
    {"sameDayShareBasisPoints": -1},
    {"sameDayShareBasisPoints": 10_001},
    {"bonusValidDays": 0},
    {"bonusValidDays": 36_501},
    {"spendingItems": []},
    {"spendingItems": [""]},
    {"spendingItems": ["X" * 65]},
    {"spendingItems": [str(n) for n in range(501)]},
    {"spendingNodeIds": []},
    {"spendingNodeIds": ["node_x"]},
    {"spendingNodeIds": [type_id("node", new_id()) for _ in range(501)]},
    {"agreement": ""},
    {"agreement": "A" * 10_001},
    {"agreement": "a bell \x07"},
    {"description": "D" * 2_001},
    {"coverUrl": "http://images.example/1.png"},
    {"coverUrl": "javascript:alert(1)"},
    {"coverUrl": "https://"},
    {"coverUrl": "https://user:secret@images.example/1.png"},
    {"coverUrl": "https://images.example:port/1.png"},
    {"coverUrl": "https://images.example/a b.png"},
    {"coverUrl": "https://[::1"},
    {"coverUrl": "https://e.example/" + "u" * 483},
    {"triggerAmount": 1},
    {"rounding": "TEN"},
    {"perspectiveId": "node_x"},
    {"grantedTierId": "sch_x"},
]
BAD_SMART_VALUES: list[Given] = [
    {"rounding": None},
    {"rounding": "FIVE"},
    {"triggerAmount": 0},
    {"triggerAmount": -1},
    {"triggerAmount": MOST + 1},
    {"sameDayShareBasisPoints": 10_000},
    {"bonusOnTheDay": False},
    {"spendingItems": ["COFFEE"]},
]


async def test_top_3_top_5_values_that_make_no_plan_are_refused(
    till: Counter, place: Places
) -> None:
    smart = [*BAD_SMART_VALUES, {"spendingNodeIds": [node_id(place.tea)]}]
    async with plans_stay(till.database):
        for kind, values in (("PACKAGE", BAD_VALUES), ("SMART", smart)):
            for bad in values:
                refused = await till.as_staff(CREATE, input=a_plan(till, kind, **bad))
                assert refused == "BAD_USER_INPUT", bad


async def test_top_3_the_granted_tier_is_one_of_the_cards_the_plan_is_for(
    till: Counter, place: Places, now: datetime
) -> None:
    run = till.database.run
    dollars = await run(a_scheme, perspective=place.group, now=now, currency="USD")
    other = await run(a_scheme, perspective=place.group, now=now)
    elsewhere = await counter(till.database, now)

    async def tier_of(scheme: Any) -> str:
        found = await till.database.read(schemes.tiers_by_scheme, [scheme.id])
        return type_id("tier", found[scheme.id][0].id)

    own = await tier_of(till.shop.scheme)
    named = {"schemeIds": [type_id("sch", till.shop.scheme.id)]}
    refused: list[Given] = [
        {"grantedTierId": type_id("tier", new_id())},
        {"grantedTierId": await tier_of(elsewhere.shop.scheme)},
        {"grantedTierId": await tier_of(dollars)},
        {"grantedTierId": await tier_of(other), "scope": named},
        {"grantedTierId": await tier_of(other), "scope": {"tierIds": [own]}},
    ]
    async with plans_stay(till.database):
        for given in refused:
            answer = await till.as_staff(CREATE, input=a_plan(till, **given))
            assert answer == {
                "__typename": "GrantedTierUnknown",
                "message": "There is no such tier among the cards this plan is for.",
            }, given
    for scope in (None, named, {"tierIds": [own]}):
        made = await draft(till, grantedTierId=own, scope=scope)
        assert made["grantedTier"] == {"name": "Green"}


async def test_top_3_what_a_plan_brings_is_spent_below_its_perspective(
    till: Counter, place: Places, now: datetime
) -> None:
    elsewhere = await till.database.run(places, now=now)
    async with plans_stay(till.database):
        for node in (elsewhere.group, place.coffee, place.group):
            given: Given = {
                "perspectiveId": node_id(place.tea),
                "spendingNodeIds": [node_id(node)],
            }
            answer = await till.as_staff(CREATE, input=a_plan(till, **given))
            assert answer["__typename"] == "NodeNotFound"


async def test_org_1_plans_are_made_and_seen_within_ones_own_subtree(
    till: Counter, place: Places, now: datetime
) -> None:
    run = till.database.run
    tea = await run(employee, node=place.tea, role="marketer", now=now)
    cashier = await run(employee, node=place.tea_store, role="cashier", now=now)
    support = await run(employee, node=place.group, role="support", now=now)
    elsewhere = await counter(till.database, now)
    of_group = await draft(till, name="Group's")
    of_coffee = await draft(till, name="Coffee's", perspectiveId=node_id(place.coffee))
    teas = a_plan(till, name="Tea's", perspectiveId=node_id(place.tea))
    of_tea = await till.as_staff(CREATE, who=tea, input=teas)
    assert of_tea["perspective"] == {"name": "Tea"}

    async def seen(who: Any) -> list[str]:
        found = await till.as_staff(LIST, who=who)
        return [edge["node"]["name"] for edge in found["edges"]]

    assert await seen(till.shop.owner) == ["Tea's", "Coffee's", "Group's"]
    assert await seen(tea) == ["Tea's", "Group's"]
    assert await seen(cashier) == ["Tea's", "Group's"]
    assert await elsewhere.as_staff(LIST) == {
        "edges": [],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }
    assert await till.as_staff(ONE, who=tea, id=of_coffee["id"]) is None
    assert await elsewhere.as_staff(ONE, id=of_group["id"]) is None
    assert await till.as_staff(ONE, id=type_id("plan", new_id())) is None
    async with plans_stay(till.database):
        for who in (cashier, support):
            assert await till.as_staff(CREATE, who=who, input=teas) == "FORBIDDEN"
        for node in (place.group, place.coffee, elsewhere.shop.places.tea):
            given = teas | {"perspectiveId": node_id(node)}
            assert await till.as_staff(CREATE, who=tea, input=given) == "FORBIDDEN"
        unknown = teas | {"perspectiveId": type_id("node", new_id())}
        assert (await till.as_staff(CREATE, input=unknown))["__typename"] == "NodeNotFound"
        for plan, answer in ((of_coffee, "FORBIDDEN"), (of_group, "FORBIDDEN")):
            for document, given in _every_change(plan, a_plan(till)):
                assert await till.as_staff(document, who=tea, input=given) == answer
        for document, given in _every_change(of_group, a_plan(till)):
            refused = await elsewhere.as_staff(document, input=given)
            assert refused["__typename"] == "TopUpPlanNotFound"
        assert await till.ask(admin_schema, LIST, None, {}) == "UNAUTHENTICATED"


def _every_change(plan: Given, given: Given) -> list[tuple[str, Given]]:
    versioned = {"id": plan["id"], "expectedVersion": plan["version"]}
    return [
        (UPDATE, an_edit(plan, given)),
        (SET_STOCK, versioned | {"stock": 5}),
        *((document, {"id": plan["id"]}) for document in (ACTIVATE, DEACTIVATE, ARCHIVE)),
    ]
