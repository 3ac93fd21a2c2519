"""SEG-2: tags that staff put on members by hand."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, light, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.members import Member, MemberStatus
from app.models.operations import AuditRecord
from app.models.scopes import Scope, ScopeAudience
from app.services import tags
from tests.factories.cards import Counter, counter
from tests.factories.ledger import nothing_moves
from tests.factories.member_records import a_customer, members_found
from tests.factories.organisation import places
from tests.factories.reading import every
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

CREATE = """mutation ($name: String!) { tagCreate(input: {name: $name}) { __typename
  ... on Tag { id name } ... on TooManyTags { atMost } } }"""
RENAME = """mutation ($id: ID!, $name: String!) { tagRename(input: {tagId: $id, name: $name}) {
  __typename ... on Tag { id name } } }"""
DELETE = """mutation ($id: ID!) { tagDelete(input: {tagId: $id}) { __typename
  ... on TagDeleted { id } } }"""
TAGS = "{ tags { id name } }"
PUT = """mutation ($input: MemberTagInput!) { memberTag(input: $input) { __typename
  ... on Member { tags { name } } ... on TooManyTags { atMost } } }"""
TAKE = """mutation ($input: MemberUntagInput!) { memberUntag(input: $input) { __typename
  ... on Member { tags { name } } } }"""

acts = statement(select(AuditRecord).order_by(col(AuditRecord.id)), into=AuditRecord)
close_member = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(status=MemberStatus.CLOSED)
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def a_tag(till: Counter, name: str) -> str:
    made = await till.as_staff(CREATE, name=name)
    assert made["__typename"] == "Tag", made
    return str(made["id"])


async def put(till: Counter, /, *tag_ids: str, who: Employee | None = None, **more: Any) -> Any:
    """Put tags on the shop's member, unless it says on whom; the names they have then."""
    given = {"memberId": type_id("mem", till.shop.member.id), "tagIds": tag_ids} | more
    answer = await till.as_staff(PUT, who=who, input=given)
    return names(answer)


async def take(till: Counter, /, *tag_ids: str) -> Any:
    given = {"memberId": type_id("mem", till.shop.member.id), "tagIds": tag_ids}
    return names(await till.as_staff(TAKE, input=given))


def names(answer: Any) -> Any:
    is_member = isinstance(answer, dict) and answer["__typename"] == "Member"
    return [tag["name"] for tag in answer["tags"]] if is_member else answer


async def test_tags_are_made_renamed_and_listed_by_name(till: Counter) -> None:
    vip, regular = await a_tag(till, " VIP "), await a_tag(till, "常客")
    renamed = await till.as_staff(RENAME, id=vip, name="Gold")
    assert renamed == {"__typename": "Tag", "id": vip, "name": "Gold"}
    assert [tag["name"] for tag in await till.as_staff(TAGS)] == ["Gold", "常客"]
    async with nothing_moves(till.database):
        assert await till.as_staff(CREATE, name="Gold") == {"__typename": "TagNameTaken"}
        taken = await till.as_staff(RENAME, id=regular, name="Gold")
        assert taken == {"__typename": "TagNameTaken"}
        for bad in ("", "x" * 65, "a\u0000b"):
            assert await till.as_staff(CREATE, name=bad) == "BAD_USER_INPUT"
            assert await till.as_staff(RENAME, id=vip, name=bad) == "BAD_USER_INPUT"
        unknown = {"__typename": "TagNotFound"}
        nobody = type_id("tag", new_id())
        assert await till.as_staff(RENAME, id=nobody, name="x") == unknown
        assert await till.as_staff(DELETE, id=nobody) == unknown
    assert (await till.as_staff(RENAME, id=vip, name="Gold"))["__typename"] == "Tag"


async def test_tags_are_put_on_and_taken_off(till: Counter) -> None:
    vip, regular = await a_tag(till, "VIP"), await a_tag(till, "Regular")
    assert await put(till, vip) == ["VIP"]
    assert await put(till, vip, regular, regular) == ["Regular", "VIP"]
    member_id = type_id("mem", till.shop.member.id)
    assert await members_found(till, tagId=regular) == [member_id]
    assert await take(till, vip) == ["Regular"]
    assert await take(till, vip) == ["Regular"]
    recorded = [(act.action, act.details) for act in await every(till.database, acts)]
    ids = [str(parse_type_id("tag", tag)) for tag in (vip, regular)]
    assert recorded[2:] == [
        ("member.tag", {"tags": [ids[0]]}),
        ("member.tag", {"tags": [ids[1]]}),
        ("member.untag", {"tags": [ids[0]]}),
    ]


async def test_a_tag_that_is_dropped_is_on_nobody(till: Counter) -> None:
    vip, regular = await a_tag(till, "VIP"), await a_tag(till, "Regular")
    await put(till, vip, regular)
    assert await till.as_staff(DELETE, id=vip) == {"__typename": "TagDeleted", "id": vip}
    assert await put(till, regular) == ["Regular"]
    assert await members_found(till, tagId=vip) == []
    assert await put(till, vip) == {"__typename": "TagNotFound"}


async def test_a_tag_that_something_is_offered_to_stays(till: Counter, now: datetime) -> None:
    """ORG-6: what was for members with the tag must not become for nobody."""
    vip, group = await a_tag(till, "VIP"), till.shop.places.group
    scope = light(Scope)(group_id=group.id, perspective_id=group.id)
    audience = light(ScopeAudience)(scope_id=scope.id, tag_id=parse_type_id("tag", vip))
    await till.database.run(lambda tx: tx.insert(scope, audience))
    async with nothing_moves(till.database):
        assert await till.as_staff(DELETE, id=vip) == {"__typename": "TagInUse"}


async def test_a_member_has_at_most_50_tags(till: Counter) -> None:
    made = [
        tags.new_tag(group_id=till.shop.places.group.id, name=f"t{n:03d}", created_at=till.now)
        for n in range(52)
    ]
    await till.database.run(lambda tx: tx.insert(*made))
    ids = [type_id("tag", tag.id) for tag in made]
    assert len(await put(till, *ids[:49])) == 49
    async with nothing_moves(till.database):
        assert await put(till, *ids[48:51]) == {"__typename": "TooManyTags", "atMost": 50}
        assert await put(till, *ids[:51]) == "BAD_USER_INPUT"
        assert await put(till) == "BAD_USER_INPUT"
    assert len(await put(till, ids[49])) == 50


async def test_a_group_has_at_most_500_tags(till: Counter) -> None:
    made = [
        tags.new_tag(group_id=till.shop.places.group.id, name=f"t{n:03d}", created_at=till.now)
        for n in range(499)
    ]
    await till.database.run(lambda tx: tx.insert(*made))
    await a_tag(till, "the last")
    async with nothing_moves(till.database):
        full = await till.as_staff(CREATE, name="one more")
        assert full == {"__typename": "TooManyTags", "atMost": 500}
    assert len(await till.as_staff(TAGS)) == 500


async def test_tagging_twice_at_once_tags_once(till: Counter) -> None:
    vip = await a_tag(till, "VIP")
    assert await asyncio.gather(*(put(till, vip) for _ in range(4))) == [["VIP"]] * 4


async def test_tags_need_their_permissions_and_stay_in_the_group(till: Counter) -> None:
    vip = await a_tag(till, "VIP")
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    auditor = await till.database.run(
        employee, node=till.shop.places.group, role="auditor", now=till.now
    )
    closed = await a_customer(till, name="Anna")
    closed_id = parse_type_id("mem", closed["id"])
    await till.database.run(lambda tx: tx.changed(close_member, member_id=closed_id))
    async with nothing_moves(till.database):
        assert await till.as_staff(CREATE, who=auditor, name="x") == "FORBIDDEN"
        assert await put(till, vip, who=auditor) == "FORBIDDEN"
        assert await till.as_staff(TAGS, who=till.shop.cashier) == "FORBIDDEN"
        assert await till.as_staff(TAGS, who=stranger) == []
        assert await put(till, vip, who=stranger) == {"__typename": "MemberNotFound"}
        unknown = {"__typename": "TagNotFound"}
        assert await till.as_staff(DELETE, who=stranger, id=vip) == unknown
        assert await put(till, vip, memberId=closed["id"]) == {"__typename": "MemberNotFound"}
        assert await put(till, type_id("tag", foreign.group.id)) == unknown
    assert len(await till.as_staff(TAGS, who=auditor)) == 1
