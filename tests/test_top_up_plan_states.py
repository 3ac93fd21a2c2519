"""TOP-4, TOP-10: plans are changed, put on sale, found and put away."""

from datetime import datetime
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.operations import AuditRecord
from app.models.organisation import Node
from app.models.top_ups import PlanState
from app.services.scopes import ScopeRules
from app.services.top_ups import plans
from app.services.top_ups.plans import editing
from app.services.top_ups.rules import FixedStep
from tests.factories.cards import Counter, counter
from tests.factories.organisation import Places, places
from tests.factories.races import beside, call
from tests.factories.reading import every
from tests.factories.scopes import a_store_group
from tests.factories.top_up_plans import (
    ACTIVATE,
    ARCHIVE,
    DEACTIVATE,
    LIST,
    ONE,
    SET_STOCK,
    STEPS,
    UPDATE,
    a_plan,
    an_edit,
    draft,
    fixed,
    plan_of,
    plans_stay,
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


async def test_top_10_a_plan_moves_between_its_states_and_no_other_way(till: Counter) -> None:
    to = {"ACTIVE": ACTIVATE, "INACTIVE": DEACTIVATE, "ARCHIVED": ARCHIVE}
    ways = {
        "DRAFT": ([], {"ACTIVE", "ARCHIVED"}),
        "ACTIVE": (["ACTIVE"], {"INACTIVE"}),
        "INACTIVE": (["ACTIVE", "INACTIVE"], {"ACTIVE", "ARCHIVED"}),
        "ARCHIVED": (["ARCHIVED"], set()),
    }
    for state, (way, possible) in ways.items():
        for wanted, document in to.items():
            plan = await draft(till)
            for step in way:
                plan = await till.as_staff(to[step], input={"id": plan["id"]})
            assert (plan["state"], plan["version"]) == (state, 1 + len(way))
            if wanted in possible:
                moved = await till.as_staff(document, input={"id": plan["id"]})
                assert (moved["state"], moved["version"]) == (wanted, plan["version"] + 1)
                continue
            async with plans_stay(till.database):
                assert await till.as_staff(document, input={"id": plan["id"]}) == {
                    "__typename": "PlanStateUnchangeable",
                    "current": state,
                    "message": f"A plan that is {state.lower()} cannot become {wanted.lower()}.",
                }


async def test_top_10_a_draft_or_inactive_plan_is_edited_as_a_whole(
    till: Counter, place: Places
) -> None:
    made = await draft(
        till,
        stock=5,
        isVisible=False,
        firstOnly=True,
        firstTopUpBonus={"bonusBasisPoints": 500, "pointsBasisPoints": 1_000},
        grantedTierId=type_id("tier", till.shop.card.tier_id),
        grantedMonths=12,
        limitPerMember=3,
        spendingItems=["COFFEE-1"],
        spendingNodeIds=[node_id(place.tea)],
        sameDayShareBasisPoints=5_000,
        bonusOnTheDay=False,
        bonusValidDays=90,
        agreement="No refunds of bonus.",
        description="Pay 100, get 110.",
        coverUrl="https://images.example/plans/1.png",
        scope={"channels": ["POS"], **at(place.coffee)},
    )
    later = till.later(hours=1)
    edit = an_edit(made, a_plan(till, name="Winter", steps=[fixed(50_00)], scope=at(place.tea)))
    changed = await later.as_staff(UPDATE, input=edit)
    plain = await draft(till, name="Winter", steps=[fixed(50_00)], scope=at(place.tea))
    differs = {"id", "version", "stockLeft", "changedAt"}
    assert {k: v for k, v in changed.items() if k not in differs} == {
        k: v for k, v in plain.items() if k not in differs
    }
    assert (changed["version"], changed["stockLeft"]) == (2, 5)
    assert changed["changedAt"] == later.now.isoformat()
    await later.as_staff(ACTIVATE, input={"id": made["id"]})
    paused = await later.as_staff(DEACTIVATE, input={"id": made["id"]})
    again = await later.as_staff(UPDATE, input=an_edit(paused, a_plan(till, name="Spring")))
    assert (again["name"], again["version"], again["state"]) == ("Spring", 5, "INACTIVE")
    assert again["scope"]["includedNodeIds"] == []


async def test_top_10_an_active_or_archived_plan_is_not_edited(till: Counter) -> None:
    active = await plan_of(till)
    archived = await till.as_staff(ARCHIVE, input={"id": (await draft(till))["id"]})
    async with plans_stay(till.database):
        for plan in (active, archived):
            assert await till.as_staff(UPDATE, input=an_edit(plan, a_plan(till))) == {
                "__typename": "PlanNotEditable",
                "state": plan["state"],
                "message": f"This plan is {plan['state'].lower()} and cannot be edited.",
            }


async def test_an_edit_of_an_older_version_is_refused_and_so_is_what_creation_refuses(
    till: Counter, place: Places, now: datetime
) -> None:
    made = await draft(till)
    elsewhere = await till.database.run(places, now=now)
    given = a_plan(till)
    async with plans_stay(till.database):
        for version in (0, 2):
            answer = await till.as_staff(
                UPDATE, input=an_edit(made, given, expectedVersion=version)
            )
            assert answer["__typename"] == "EditedMeanwhile"
            assert answer["currentVersion"] == 1
        unknown = an_edit(made, given, id=type_id("plan", new_id()))
        answer = await till.as_staff(UPDATE, input=unknown)
        assert answer["__typename"] == "TopUpPlanNotFound"
        for scope, refusal in (
            (at(elsewhere.tea), "NodeNotFound"),
            ({"excludedStoreGroupIds": [type_id("sgr", new_id())]}, "StoreGroupNotFound"),
            ({"tagIds": [type_id("tag", new_id())]}, "AudienceNotFound"),
        ):
            answer = await till.as_staff(UPDATE, input=an_edit(made, given, scope=scope))
            assert answer["__typename"] == refusal
        tier_id = type_id("tier", new_id())
        answer = await till.as_staff(UPDATE, input=an_edit(made, given, grantedTierId=tier_id))
        assert answer["__typename"] == "GrantedTierUnknown"
        for bad in ({"steps": [fixed(0)]}, {"rounding": "TEN"}, {"steps": [STEPS["SMART"]]}):
            answer = await till.as_staff(UPDATE, input=an_edit(made, given, **bad))
            assert answer == "BAD_USER_INPUT"


async def test_of_two_edits_at_once_the_second_is_told(till: Counter) -> None:
    made = await draft(till)
    plan_id = parse_type_id("plan", made["id"])
    details = {
        name: plans.PlanDetails(
            name=name,
            scope=ScopeRules(),
            steps=(FixedStep(amount=100, bonus=0, points=0),),
        )
        for name in ("first", "second")
    }
    one, other = (
        call(
            plans.change,
            till.shop.owner.actor,
            plan_id=plan_id,
            expected_version=1,
            details=each,
            now=till.now,
        )
        for each in details.values()
    )
    changed, refused = await beside(till.database, one, before=editing.change_plan, second=other)
    assert (changed.name, changed.version) == ("first", 2)
    assert refused.current_version == 2
    assert (await till.as_staff(ONE, id=made["id"]))["name"] == "first"


async def test_top_3_stock_is_set_while_the_plan_is_sold(till: Counter) -> None:
    plan = await plan_of(till, stock=5)

    async def set_stock(stock: Any, version: int) -> Any:
        given = {"id": plan["id"], "expectedVersion": version, "stock": stock}
        return await till.as_staff(SET_STOCK, input=given)

    raised = await set_stock(1_000, 2)
    assert (raised["stockLeft"], raised["version"], raised["state"]) == (1_000, 3, "ACTIVE")
    async with plans_stay(till.database):
        assert (await set_stock(7, 2))["currentVersion"] == 3
        for bad in (-1, 1_000_000_001, 1.5):
            assert await set_stock(bad, 3) == "BAD_USER_INPUT"
    assert (await set_stock(0, 3))["stockLeft"] == 0
    assert (await set_stock(None, 4))["stockLeft"] is None
    await till.as_staff(DEACTIVATE, input={"id": plan["id"]})
    archived = await till.as_staff(ARCHIVE, input={"id": plan["id"]})
    async with plans_stay(till.database):
        refused = await set_stock(7, archived["version"])
        assert (refused["__typename"], refused["state"]) == ("PlanNotEditable", "ARCHIVED")
        given = {"id": type_id("plan", new_id()), "expectedVersion": 1, "stock": 1}
        unknown = await till.as_staff(SET_STOCK, input=given)
        assert unknown["__typename"] == "TopUpPlanNotFound"


async def test_every_act_on_a_plan_is_recorded(till: Counter) -> None:
    plan = await plan_of(till, stock=5)
    stock = {"id": plan["id"], "expectedVersion": 2, "stock": 7}
    await till.as_staff(SET_STOCK, input=stock)
    paused = await till.as_staff(DEACTIVATE, input={"id": plan["id"]})
    await till.as_staff(UPDATE, input=an_edit(paused, a_plan(till, steps=[fixed(50_00)])))
    await till.as_staff(ARCHIVE, input={"id": plan["id"]})
    records = await every(till.database, acts)
    assert [(record.action, record.details["version"]) for record in records] == [
        ("top_up_plan.create", 1),
        ("top_up_plan.activate", 2),
        ("top_up_plan.stock", 3),
        ("top_up_plan.deactivate", 4),
        ("top_up_plan.update", 5),
        ("top_up_plan.archive", 6),
    ]
    assert {record.object_id for record in records} == {parse_type_id("plan", plan["id"])}
    step = {"kind": "FIXED", "amount": 100_00, "bonus": 10_00, "points": 50}
    assert records[0].details == {"version": 1, "steps": [step], "stock": 5}
    assert records[2].details == {"version": 3, "was": 5, "became": 7}


async def test_top_10_plans_are_searched_and_filtered(till: Counter, place: Places) -> None:
    names = ["Summer 100%", "summer_plan", "Winter", "冬季充值"]
    for name in names:
        await draft(till, name=name)
    await plan_of(till, name="Active SUMMER", perspectiveId=node_id(place.tea))
    await draft(till, "SMART", name="Smart")

    async def found(**asked: Any) -> list[str]:
        page = await till.as_staff(LIST, **asked)
        return [edge["node"]["name"] for edge in page["edges"]]

    assert await found() == ["Smart", "Active SUMMER", *reversed(names)]
    assert await found(search="suMMer") == ["Active SUMMER", "summer_plan", "Summer 100%"]
    assert await found(search="%") == ["Summer 100%"]
    assert await found(search="_") == ["summer_plan"]
    assert await found(search="\\") == []
    assert await found(search="充值") == ["冬季充值"]
    assert await found(search="summer", state="DRAFT") == ["summer_plan", "Summer 100%"]
    assert await found(state="ACTIVE") == ["Active SUMMER"]
    assert await found(kind="SMART") == ["Smart"]
    assert await found(under=node_id(place.tea)) == ["Active SUMMER"]
    assert await found(under=node_id(place.coffee)) == []
    for bad in ({"search": ""}, {"search": "s" * 121}, {"first": 0}, {"first": 101}):
        assert await till.as_staff(LIST, **bad) == "BAD_USER_INPUT"


async def test_top_10_the_list_comes_in_pages(till: Counter) -> None:
    for number in range(5):
        await draft(till, name=f"Plan {number}")
    names, after, pages = [], None, 0
    while True:
        page = await till.as_staff(LIST, first=2, after=after)
        names += [edge["node"]["name"] for edge in page["edges"]]
        after, pages = page["pageInfo"]["endCursor"], pages + 1
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert (names, pages) == ([f"Plan {n}" for n in (4, 3, 2, 1, 0)], 3)


async def test_top_4_a_store_has_at_most_one_active_custom_plan(
    till: Counter, place: Places
) -> None:
    """A second one is refused by name, and can be activated once the first is not."""
    first = await plan_of(till, "CUSTOM", name="Any amount")
    second = await draft(till, "CUSTOM", scope=at(place.tea_store))
    async with plans_stay(till.database):
        assert await till.as_staff(ACTIVATE, input={"id": second["id"]}) == {
            "__typename": "CustomPlanExists",
            "planId": first["id"],
            "name": "Any amount",
            "store": {"name": "Tea in the park"},
            "message": "The custom plan Any amount is active at Tea in the park already.",
        }
    await plan_of(till, "PACKAGE")
    await plan_of(till, "SMART")
    await till.as_staff(DEACTIVATE, input={"id": first["id"]})
    active = await till.as_staff(ACTIVATE, input={"id": second["id"]})
    assert active["state"] == "ACTIVE"
    refused = await till.as_staff(ACTIVATE, input={"id": first["id"]})
    assert refused["__typename"] == "CustomPlanExists"


async def test_top_4_custom_plans_meet_wherever_their_scopes_do(
    till: Counter, place: Places, now: datetime
) -> None:
    busy = await till.database.run(
        a_store_group,
        perspective=place.group,
        stores=[place.coffee_store, place.lone_store],
        now=now,
    )
    in_busy = {"includedStoreGroupIds": [type_id("sgr", busy.id)]}
    not_busy = {"excludedStoreGroupIds": [type_id("sgr", busy.id)]}
    tea = {"perspectiveId": node_id(place.tea)}
    but_tea = {"excludedNodeIds": [node_id(place.tea)]}
    cases: list[tuple[Given, Given, str | None]] = [
        ({"scope": at(place.tea)}, {"scope": at(place.coffee)}, None),
        ({"scope": at(place.tea_store)}, {"scope": at(place.lone_store)}, None),
        ({"scope": but_tea}, tea, None),
        (tea, {"scope": but_tea}, None),
        (tea, {"scope": in_busy}, None),
        ({"scope": in_busy}, {"scope": at(place.tea)}, None),
        (tea, {"scope": at(place.tea, place.coffee)}, "Tea in the park"),
        ({"scope": in_busy}, {"scope": at(place.coffee)}, "Coffee at the station"),
        ({"scope": at(place.lone_store)}, {"scope": in_busy}, "The museum shop"),
        (tea, {"scope": not_busy}, "Tea in the park"),
        # No store is in both, and one that opens in Coffee would be.
        ({"scope": not_busy | at(place.coffee)}, {"scope": at(place.coffee)}, "Coffee"),
        # Channels and members do not make two of them one.
        (
            {"scope": at(place.tea) | {"channels": ["POS"]}},
            {"scope": at(place.tea) | {"channels": ["ONLINE"]}},
            "Tea in the park",
        ),
    ]
    for first, second, store in cases:
        active = await plan_of(till, "CUSTOM", **first)
        other = await draft(till, "CUSTOM", **second)
        answer = await till.as_staff(ACTIVATE, input={"id": other["id"]})
        if store is None:
            assert answer["__typename"] == "TopUpPlan", (first, second)
            await till.as_staff(DEACTIVATE, input={"id": other["id"]})
        else:
            assert answer["store"] == {"name": store}, (first, second)
        await till.as_staff(DEACTIVATE, input={"id": active["id"]})


async def test_top_4_of_two_custom_plans_activated_at_once_one_is_refused(till: Counter) -> None:
    made = [await draft(till, "CUSTOM", name=name) for name in ("first", "second")]
    one, other = (
        call(
            plans.move,
            till.shop.owner.actor,
            plan_id=parse_type_id("plan", plan["id"]),
            state=PlanState.ACTIVE,
            now=till.now,
        )
        for plan in made
    )
    active, refused = await beside(till.database, one, before=editing.set_state, second=other)
    assert (active.name, active.state) == ("first", PlanState.ACTIVE)
    assert isinstance(refused, plans.CustomPlanExists)
    assert refused.plan_id == active.id
    assert (await till.as_staff(ONE, id=made[1]["id"]))["state"] == "DRAFT"


async def test_top_4_custom_plans_of_two_groups_never_meet(till: Counter, now: datetime) -> None:
    elsewhere = await counter(till.database, now)
    for shop in (till, elsewhere):
        assert (await plan_of(shop, "CUSTOM"))["state"] == "ACTIVE"
