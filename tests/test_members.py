"""IDN-8, MEM-6, SEC-2: a member's own record, and the masked one staff see."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.models.operations import AuditRecord
from resolvers.root import admin_schema
from schema.context import Principal
from tests.factories.member_cards import a_card
from tests.factories.members import Server, a_server
from tests.factories.organisation import places
from tests.factories.reading import every
from tests.factories.small_world import a_scheme
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

ME = """{ me { id name gender birthday canEditBirthday region joinedAt
  attributes { key name kind value } consents { purpose version isGiven }
  sessions { device method } } }"""
UPDATE = """mutation ($input: MemberUpdateInput!) { memberUpdate(input: $input) {
  __typename ... on Member { name gender birthday canEditBirthday region
    attributes { key value } } ... on UnknownAttribute { key } } }"""
CONSENT = """mutation ($version: String!, $isGiven: Boolean!) {
  consentDecide(input: {purpose: "marketing_sms", version: $version, isGiven: $isGiven}) {
    purpose version isGiven } }"""
DEFINE = """mutation ($key: String!, $name: String!, $kind: AttributeKind!) {
  memberAttributeDefine(input: {key: $key, name: $name, kind: $kind}) { __typename } }"""
DEFINITIONS = "{ memberAttributeDefinitions { key name kind } }"
MEMBER = """query ($id: ID!) { member(id: $id) { id status name birthday
  identities { kind masked } } }"""
FIND = "query ($input: MemberFindInput!) { memberFind(input: $input) { id } }"
PAGE = """query ($first: Int!, $after: String) { members(first: $first, after: $after) {
  edges { node { id name identities { masked } } } pageInfo { hasNextPage endCursor } } }"""
UNMASK = """mutation ($id: ID!, $reason: String!) {
  memberUnmask(input: {memberId: $id, reason: $reason}) {
    __typename ... on MemberUnmasked { name identities { kind value } } } }"""

acts = statement(select(AuditRecord).order_by(col(AuditRecord.id)), into=AuditRecord)


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Server]:
    async with a_server(database) as server:
        yield server


async def staff(server: Server, role: str = "owner") -> Principal:
    hired = await server.database.run(employee, node=server.group, role=role, now=server.clock.now)
    return hired.principal


async def test_a_member_sees_and_changes_their_profile(server: Server) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    change = {"name": " 王小明 ", "gender": "MALE", "region": "上海"}
    changed = await server.ask(UPDATE, member, input=change)
    assert changed["name"] == "王小明"
    me = await server.ask(ME, member)
    assert (me["gender"], me["region"], me["canEditBirthday"]) == ("MALE", "上海", True)
    assert [session["method"] for session in me["sessions"]] == ["sms"]
    assert await server.ask(ME) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 121},
        {"name": "a\u0000b"},
        {"birthday": "1800-01-01"},
        {"birthday": "2999-01-01"},
        {"attributes": [{"key": f"k{n}", "text": "x"} for n in range(49)]},
        {"attributes": [{"key": "shoes", "text": "x", "number": 1}]},
    ],
)
async def test_a_bad_profile_changes_nothing(server: Server, change: dict[str, Any]) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    assert await server.ask(UPDATE, member, input={"region": "x"} | change) == "BAD_USER_INPUT"
    assert (await server.ask(ME, member))["region"] is None


async def test_the_birthday_can_be_set_once(server: Server) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    first = await server.ask(UPDATE, member, input={"birthday": "1990-05-20"})
    assert (first["birthday"], first["canEditBirthday"]) == ("1990-05-20", False)
    again = await server.ask(UPDATE, member, input={"birthday": "1991-05-20", "region": "x"})
    assert again == {"__typename": "BirthdayFixed"}
    me = await server.ask(ME, member)
    assert (me["birthday"], me["region"]) == ("1990-05-20", None)
    same = await server.ask(UPDATE, member, input={"birthday": "1990-05-20"})
    assert same["__typename"] == "Member"


async def test_attributes_are_defined_by_staff_and_filled_by_members(server: Server) -> None:
    """MEM-6."""
    owner, member = await staff(server), await server.signed_in_by_phone("+8613800000001")
    for key, kind in (("shoes", "NUMBER"), ("since", "DATE"), ("pet", "TEXT")):
        defined = await server.ask(DEFINE, owner, schema=admin_schema, key=key, name=key, kind=kind)
        assert defined["__typename"] == "AttributeDefinition"
    values = [
        {"key": "pet", "text": "cat"},
        {"key": "shoes", "number": 43},
        {"key": "since", "date": "2020-02-29"},
    ]
    changed = await server.ask(UPDATE, member, input={"attributes": values})
    assert changed["attributes"] == [
        {"key": "shoes", "value": "43"},
        {"key": "since", "value": "2020-02-29"},
        {"key": "pet", "value": "cat"},
    ]
    for wrong in ({"key": "shoes", "text": "43"}, {"key": "hat", "text": "x"}):
        refused = await server.ask(UPDATE, member, input={"attributes": [wrong]})
        assert refused == {"__typename": "UnknownAttribute", "key": wrong["key"]}
    emptied = await server.ask(UPDATE, member, input={"attributes": [{"key": "pet"}]})
    assert [attribute["key"] for attribute in emptied["attributes"]] == ["shoes", "since"]


async def test_at_most_48_attributes_and_no_preset_one(server: Server) -> None:
    owner = await staff(server)
    for n in range(48):
        await server.ask(DEFINE, owner, schema=admin_schema, key=f"k{n}", name="x", kind="TEXT")
    more = {"name": "x", "kind": "TEXT"}
    full = await server.ask(DEFINE, owner, schema=admin_schema, key="k48", **more)
    assert full == {"__typename": "TooManyAttributes"}
    again = await server.ask(DEFINE, owner, schema=admin_schema, key="k1", **more)
    assert again == {"__typename": "AttributeDefinition"}
    other = await server.ask(
        DEFINE, owner, schema=admin_schema, key="k1", **more | {"kind": "DATE"}
    )
    assert other == {"__typename": "AttributeTaken"}
    for key in ("birthday", "Shoes", "", "k" * 49):
        refused = await server.ask(DEFINE, owner, schema=admin_schema, key=key, **more)
        assert refused == "BAD_USER_INPUT"
    assert len(await server.ask(DEFINITIONS, owner, schema=admin_schema)) == 48
    cashier = await staff(server, "cashier")
    assert await server.ask(DEFINE, cashier, schema=admin_schema, key="y", **more) == "FORBIDDEN"


async def test_the_latest_decision_of_a_purpose_counts(server: Server) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    for version, is_given in (("1", True), ("2", False)):
        await server.ask(CONSENT, member, version=version, isGiven=is_given)
    me = await server.ask(ME, member)
    assert me["consents"] == [{"purpose": "marketing_sms", "version": "2", "isGiven": False}]
    assert await server.ask(CONSENT, member, version="x" * 33, isGiven=True) == "BAD_USER_INPUT"


async def test_staff_see_members_masked(server: Server) -> None:
    member = await server.signed_in_by_phone("+8613800000001")
    await server.ask(UPDATE, member, input={"name": "王小明", "birthday": "1990-05-20"})
    me = await server.ask(ME, member)
    support = await staff(server, "support")
    assert await server.ask(MEMBER, support, schema=admin_schema, id=me["id"]) == {
        "id": me["id"],
        "status": "ACTIVE",
        "name": "王**",
        "birthday": "****-05-20",
        "identities": [{"kind": "PHONE", "masked": "138****0001"}],
    }
    other_group = await server.database.run(places, now=server.clock.now)
    stranger = await server.database.run(employee, node=other_group.group, now=server.clock.now)
    assert await server.ask(MEMBER, stranger.principal, schema=admin_schema, id=me["id"]) is None
    assert await server.ask(MEMBER, member, schema=admin_schema, id=me["id"]) == "UNAUTHENTICATED"


async def test_members_are_found_by_phone_email_or_card_number(server: Server) -> None:
    now, support = server.clock.now, await staff(server, "support")
    by_phone = await server.signed_in_by_phone("+8613800000001")
    by_email = await server.signed_in_by_email("anna@regulars.example")
    scheme = await server.database.run(a_scheme, group=server.group, now=now)
    card = await server.database.run(a_card, member_id=by_phone.id, scheme=scheme, now=now)
    phone_id = (await server.ask(ME, by_phone))["id"]

    async def find(**given: str) -> Any:
        return await server.ask(FIND, support, schema=admin_schema, input=given)

    assert await find(phone="138-0000-0001") == {"id": phone_id}
    assert await find(cardNumber=card.number) == {"id": phone_id}
    email_id = (await server.ask(ME, by_email))["id"]
    assert await find(email="Anna@Regulars.example ") == {"id": email_id}
    assert await find(phone="13800000009") is None
    assert await find(cardNumber="0") is None
    assert await find(phone="") == "BAD_USER_INPUT"


async def test_the_list_of_members_has_stable_pages(server: Server) -> None:
    support = await staff(server, "support")
    for n in range(3):
        await server.signed_in_by_phone(f"+861380000000{n}")
    first = await server.ask(PAGE, support, schema=admin_schema, first=2)
    assert first["pageInfo"]["hasNextPage"] is True
    await server.signed_in_by_phone("+8613800000005")
    rest = await server.ask(
        PAGE, support, schema=admin_schema, first=2, after=first["pageInfo"]["endCursor"]
    )
    assert rest["pageInfo"]["hasNextPage"] is False
    masks = [
        edge["node"]["identities"][0]["masked"] for page in (first, rest) for edge in page["edges"]
    ]
    assert masks == ["138****0002", "138****0001", "138****0000"]
    assert await server.ask(PAGE, support, schema=admin_schema, first=101) == "BAD_USER_INPUT"
    assert (
        await server.ask(PAGE, support, schema=admin_schema, first=1, after="?") == "BAD_USER_INPUT"
    )


async def test_unmasking_needs_its_permission_and_is_recorded(server: Server) -> None:
    """SEC-2: without the permission nothing is shown, and nothing is recorded as shown."""
    member = await server.signed_in_by_phone("+8613800000001")
    member_id = (await server.ask(ME, member))["id"]
    given = {"id": member_id, "reason": "asked by phone"}
    marketer, support = await staff(server, "marketer"), await staff(server, "support")
    assert await server.ask(UNMASK, marketer, schema=admin_schema, **given) == "FORBIDDEN"
    assert await every(server.database, acts) == []
    shown = await server.ask(UNMASK, support, schema=admin_schema, **given)
    assert shown["identities"] == [{"kind": "PHONE", "value": "+8613800000001"}]
    (act,) = await every(server.database, acts)
    assert (act.action, act.object_id, act.actor_id) == ("member.unmask", member.id, support.id)
    assert act.details == {"reason": "asked by phone"}
    refused = await server.ask(UNMASK, support, schema=admin_schema, **given | {"reason": ""})
    assert refused == "BAD_USER_INPUT"
    nobody = await server.ask(
        UNMASK, support, schema=admin_schema, **given | {"id": "mem_00000000000000000000000000"}
    )
    assert nobody == {"__typename": "MemberNotFound"}
    assert len(await every(server.database, acts)) == 1
