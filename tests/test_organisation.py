"""ORG-1: the organisation, seen and changed only inside one's own subtree."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from sqlmodel import col, func, select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.operations import AuditRecord
from app.models.organisation import Node, PaymentMethod, StoreGroup, StoreGroupStore, Terminal
from tests.factories.back_office import BackOffice
from tests.factories.organisation import Places, places
from tests.factories.reading import every, one
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

NODES = "{ nodes { name } }"
NODE = "query ($id: ID!) { node(id: $id) { name kind timeZone parent { name parent { name } } } }"
BRAND = """mutation ($code: String!) {
  brandCreate(input: {code: $code, name: "Cakes", timeZone: "Asia/Shanghai"}) {
    __typename ... on Node { kind code parent { name } } ... on CodeTaken { code message } } }"""
STORE = """mutation ($parent: ID!, $code: String!, $zone: String = "Asia/Shanghai") {
  storeCreate(input: {parentId: $parent, code: $code, name: "By the sea", timeZone: $zone}) {
    __typename ... on Node { kind code parent { name } } } }"""
UPDATE = """mutation ($id: ID!, $name: String, $zone: String) {
  nodeUpdate(input: {id: $id, name: $name, timeZone: $zone}) {
    __typename ... on Node { name timeZone } } }"""
GROUP_CREATE = """mutation ($perspective: ID!, $name: String!, $stores: [ID!]!) {
  storeGroupCreate(input: {perspectiveId: $perspective, name: $name, storeIds: $stores}) {
    __typename ... on StoreGroup { id name stores { name } perspective { name } } } }"""
GROUP_UPDATE = """mutation ($id: ID!, $name: String, $stores: [ID!]) {
  storeGroupUpdate(input: {id: $id, name: $name, storeIds: $stores}) {
    __typename ... on StoreGroup { name stores { name } } } }"""
GROUPS = "{ storeGroups { name stores { name } } }"
TERMINALS = "query ($store: ID!) { terminals(storeId: $store) { id name isActive } }"
REGISTER = """mutation ($store: ID!, $name: String!) {
  terminalRegister(input: {storeId: $store, name: $name}) {
    __typename ... on Terminal { id name isActive store { name } } } }"""
SWITCH_OFF = """mutation ($id: ID!) { terminalDeactivate(input: {id: $id}) {
  __typename ... on Terminal { isActive } } }"""
METHODS = "{ paymentMethods { code name isNetReceipt } }"
METHOD = """mutation ($code: String!, $net: Boolean!) {
  paymentMethodSave(input: {code: $code, name: "Cash", isNetReceipt: $net}) {
    code isNetReceipt } }"""

actions = statement(select(AuditRecord.action).order_by(col(AuditRecord.id)), into=str)
tables: list[type[Any]] = [
    AuditRecord,
    Node,
    PaymentMethod,
    StoreGroup,
    StoreGroupStore,
    Terminal,
]
counts = [statement(select(func.count()).select_from(table), into=int) for table in tables]


@pytest.fixture
async def place(database: Database, now: datetime) -> Places:
    return await database.run(places, now=now)


@pytest.fixture
def office(database: Database, now: datetime) -> BackOffice:
    return BackOffice(database, now)


@pytest.fixture
async def owner(database: Database, place: Places, now: datetime) -> Employee:
    return await database.run(employee, node=place.group, now=now)


def _id(node: Node) -> str:
    return type_id("node", node.id)


async def test_org_1_staff_see_the_subtree_of_their_node(
    office: BackOffice, owner: Employee, place: Places, now: datetime
) -> None:
    assert {n["name"] for n in await office.ask(NODES, owner.principal)} == {
        "Regulars",
        "Coffee",
        "Tea",
        "Coffee at the station",
        "Tea in the park",
        "The museum shop",
    }
    tea = await office.database.run(employee, node=place.tea, role="cashier", now=now)
    assert {n["name"] for n in await office.ask(NODES, tea.principal)} == {
        "Tea",
        "Tea in the park",
    }
    assert await office.ask(NODE, tea.principal, id=_id(place.tea_store)) == {
        "name": "Tea in the park",
        "kind": "STORE",
        "timeZone": "Asia/Shanghai",
        "parent": {"name": "Tea", "parent": {"name": "Regulars"}},
    }
    for hidden in (place.group, place.coffee, place.coffee_store, place.lone_store):
        assert await office.ask(NODE, tea.principal, id=_id(hidden)) is None
        assert await office.ask(TERMINALS, tea.principal, store=_id(hidden)) is None


async def test_org_1_brands_and_stores_are_added_renamed_and_logged(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    brand = await office.ask(BRAND, owner.principal, code="CAKES")
    assert brand == {
        "__typename": "Node",
        "kind": "BRAND",
        "code": "CAKES",
        "parent": {"name": "Regulars"},
    }
    store = await office.ask(STORE, owner.principal, parent=_id(place.tea), code=" SEA ")
    assert (store["code"], store["parent"]) == ("SEA", {"name": "Tea"})
    lone = await office.ask(STORE, owner.principal, parent=_id(place.group), code="SEA2")
    assert lone["parent"] == {"name": "Regulars"}
    values = {"id": _id(place.tea), "name": "Tea & Cakes"}
    renamed = await office.ask(UPDATE, owner.principal, **values)
    assert (renamed["name"], renamed["timeZone"]) == ("Tea & Cakes", "Asia/Shanghai")
    moved = await office.ask(UPDATE, owner.principal, id=_id(place.tea), zone="Asia/Tokyo")
    assert (moved["name"], moved["timeZone"]) == ("Tea & Cakes", "Asia/Tokyo")
    assert await every(office.database, actions) == [
        "node.create",
        "node.create",
        "node.create",
        "node.update",
        "node.update",
    ]


async def test_org_1_of_two_that_take_a_code_at_once_one_gets_it(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    answers = await asyncio.gather(*(office.ask(BRAND, owner.principal, code="X") for _ in "ab"))
    assert sorted(answer["__typename"] for answer in answers) == ["CodeTaken", "Node"]
    (refused,) = (a for a in answers if a["__typename"] == "CodeTaken")
    assert refused == {
        "__typename": "CodeTaken",
        "code": "X",
        "message": "The code X is already in use.",
    }
    assert await every(office.database, actions) == ["node.create"]


async def test_org_1_outside_of_the_subtree_nothing_changes(
    office: BackOffice, owner: Employee, place: Places, now: datetime
) -> None:
    manager = await office.database.run(employee, node=place.tea, now=now)
    terminal = await office.ask(
        REGISTER, owner.principal, store=_id(place.coffee_store), name="Till 1"
    )
    groups = [
        await office.ask(GROUP_CREATE, owner.principal, perspective=_id(node), name="n", stores=[])
        for node in (place.group, place.coffee)
    ]
    before = await _counts(office)

    async def ask(document: str, **values: Any) -> Any:
        return await office.ask(document, manager.principal, **values)

    assert await ask(BRAND, code="X") == "FORBIDDEN"
    assert await ask(METHOD, code="CASH", net=True) == "FORBIDDEN"
    for node in (place.group, place.coffee):
        assert await ask(STORE, parent=_id(node), code="X") == "FORBIDDEN"
        assert await ask(UPDATE, id=_id(node), name="X") == "FORBIDDEN"
        answer = await ask(GROUP_CREATE, perspective=_id(node), name="X", stores=[])
        assert answer == "FORBIDDEN"
    for group in groups:
        assert await ask(GROUP_UPDATE, id=group["id"], name="X") == "FORBIDDEN"
    assert await ask(REGISTER, store=_id(place.coffee_store), name="X") == "FORBIDDEN"
    assert await ask(SWITCH_OFF, id=terminal["id"]) == "FORBIDDEN"
    stores = [_id(place.coffee_store)]
    answer = await ask(GROUP_CREATE, perspective=_id(place.tea), name="X", stores=stores)
    assert answer == {"__typename": "NodeNotFound"}
    assert await _counts(office) == before
    assert await ask(GROUPS) == []
    cashier = await office.database.run(employee, node=place.tea, role="cashier", now=now)
    own = {"store": _id(place.tea_store), "name": "X"}
    assert await office.ask(REGISTER, cashier.principal, **own) == "FORBIDDEN"
    assert await office.ask(REGISTER, None, **own) == "UNAUTHENTICATED"


async def test_org_3_a_store_group_holds_stores_below_its_perspective(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    stores = [_id(place.coffee_store), _id(place.lone_store)]
    values = {"perspective": _id(place.group), "name": "Busy"}
    made = await office.ask(GROUP_CREATE, owner.principal, **values, stores=stores + stores)
    assert {s["name"] for s in made["stores"]} == {"Coffee at the station", "The museum shop"}
    assert made["perspective"] == {"name": "Regulars"}
    again = await office.ask(GROUP_CREATE, owner.principal, **values, stores=[])
    assert again == {"__typename": "StoreGroupNameTaken"}
    other = await office.ask(
        GROUP_CREATE, owner.principal, **(values | {"name": "Quiet"}), stores=[]
    )
    values = {"id": other["id"], "name": "Busy"}
    assert await office.ask(GROUP_UPDATE, owner.principal, **values) == {
        "__typename": "StoreGroupNameTaken"
    }
    changed = await office.ask(
        GROUP_UPDATE, owner.principal, id=made["id"], stores=[_id(place.tea_store)]
    )
    assert changed == {
        "__typename": "StoreGroup",
        "name": "Busy",
        "stores": [{"name": "Tea in the park"}],
    }
    bad = {"id": made["id"], "stores": [_id(place.tea)]}
    assert await office.ask(GROUP_UPDATE, owner.principal, **bad) == {"__typename": "NodeNotFound"}
    elsewhere = await office.database.run(places, now=office.now)
    foreigner = await office.database.run(employee, node=elsewhere.group, now=office.now)
    foreign = await office.ask(GROUP_UPDATE, foreigner.principal, id=made["id"], name="Mine")
    assert foreign == "FORBIDDEN"
    unknown = {"id": type_id("sgr", new_id()), "name": "Mine"}
    answer = await office.ask(GROUP_UPDATE, owner.principal, **unknown)
    assert answer == {"__typename": "StoreGroupNotFound"}
    renamed = await office.ask(GROUP_UPDATE, owner.principal, id=made["id"], name="Sunny")
    assert renamed["stores"] == [{"name": "Tea in the park"}]
    assert await office.ask(GROUPS, owner.principal) == [
        {"name": "Sunny", "stores": [{"name": "Tea in the park"}]},
        {"name": "Quiet", "stores": []},
    ]


async def test_org_1_terminals_are_registered_once_by_name_and_switched_off(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    store = _id(place.tea_store)
    made = await office.ask(REGISTER, owner.principal, store=store, name="Till 1")
    assert (made["isActive"], made["store"]) == (True, {"name": "Tea in the park"})
    again = await office.ask(REGISTER, owner.principal, store=store, name="Till 1")
    assert again == {"__typename": "TerminalNameTaken"}
    at_brand = await office.ask(REGISTER, owner.principal, store=_id(place.tea), name="Till 1")
    assert at_brand == {"__typename": "NodeNotFound"}
    off = await office.ask(SWITCH_OFF, owner.principal, id=made["id"])
    assert off == {"__typename": "Terminal", "isActive": False}
    listed = await office.ask(TERMINALS, owner.principal, store=store)
    assert listed == [{"id": made["id"], "name": "Till 1", "isActive": False}]
    unknown = type_id("term", place.tea.id)
    assert await office.ask(SWITCH_OFF, owner.principal, id=unknown) == {
        "__typename": "TerminalNotFound"
    }


async def test_pts_1_a_payment_method_is_saved_by_its_code(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    await office.ask(METHOD, owner.principal, code="CASH", net=False)
    saved = await office.ask(METHOD, owner.principal, code="CASH", net=True)
    assert saved == {"code": "CASH", "isNetReceipt": True}
    methods = [{"code": "CASH", "name": "Cash", "isNetReceipt": True}]
    assert await office.ask(METHODS, owner.principal) == methods


async def test_org_1_input_that_cannot_be_meant_is_refused_and_changes_nothing(
    office: BackOffice, owner: Employee, place: Places
) -> None:
    before = await _counts(office)
    parent = _id(place.tea)
    for wrong in (
        {"code": ""},
        {"code": " "},
        {"code": "x" * 33},
        {"code": "a\x00b"},
        {"zone": "Mars/Olympus"},
        {"parent": "node_1"},
        {"parent": type_id("term", place.tea.id)},
    ):
        values = {"parent": parent, "code": "X"} | wrong
        assert await office.ask(STORE, owner.principal, **values) == "BAD_USER_INPUT", wrong
    under_a_store = {"parent": _id(place.tea_store), "code": "X"}
    assert await office.ask(STORE, owner.principal, **under_a_store) == "BAD_USER_INPUT"
    unknown = {"parent": type_id("node", owner.staff.id), "code": "X"}
    assert await office.ask(STORE, owner.principal, **unknown) == {"__typename": "NodeNotFound"}
    assert await _counts(office) == before


async def _counts(office: BackOffice) -> list[int | None]:
    return [await one(office.database, count) for count in counts]
