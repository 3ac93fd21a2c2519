"""MEM-1, CRD-5: members and cards found by whatever is known of them, in pages."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import asyncpg
import pytest
from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Database, Statement, Transaction, statement
from app.core.ids import type_id
from app.models.cards import Card, CardStatus
from app.models.identities import IdentityKind
from app.models.ledger import AccountKind
from app.models.members import Member
from app.services import card_records, identities, member_records
from app.services.identities import Proof
from app.services.member_records import MemberFilter, searching
from app.services.merges import merging
from tests.conftest import Engine
from tests.factories.cards import Counter, a_scheme, a_tier, counter
from tests.factories.member_cards import adjust
from tests.factories.member_records import (
    CARDS,
    MEMBERS,
    a_customer,
    a_member,
    cards_found,
    members_found,
    node_id,
)
from tests.factories.organisation import places
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

SHOWN = """query ($filter: MemberFilter) { members(filter: $filter) { edges { node {
  name status birthday identities { masked } contacts { kind masked } } } } }"""
UPDATE = 'mutation { memberUpdate(input: {name: "Zoë Quinn"}) { __typename } }'
TAG = """mutation ($name: String!) { tagCreate(input: {name: $name}) { ... on Tag { id } } }"""
PUT = """mutation ($input: MemberTagInput!) { memberTag(input: $input) { __typename } }"""

forget_name_indexes = statement(
    update(Member).where(col(Member.name).is_not(None)).values(name_index=None)
)
set_expiry = statement(
    update(Card).where(col(Card.id) == bindparam("card_id")).values(expires_at=bindparam("end"))
)
set_status = statement(
    update(Card).where(col(Card.id) == bindparam("card_id")).values(status=bindparam("new_status"))
)


@dataclass(frozen=True)
class People:
    """The shop's own member, a customer and two members of three schemes."""

    till: Counter
    anna: str
    ben: str
    chloe: str
    own: str
    ids: dict[str, str]
    """What else was made, by a word: schemes, tiers, tags."""

    async def found(self, **given: Any) -> Any:
        return await members_found(self.till, **given)


async def make_schemes(tx: Transaction, till: Counter) -> dict[str, str]:
    at = till.shop.places
    tea = await a_scheme(tx, perspective=at.tea, now=till.now)
    gold = await a_tier(tx, scheme=tea, level=2, name="Gold")
    return {"tea": type_id("sch", tea.id), "gold": type_id("tier", gold.id)}


@pytest.fixture
async def people(database: Database, now: datetime) -> People:
    till = await counter(database, now)
    ids = await database.run(make_schemes, till)
    at = till.shop.places
    anna = await a_customer(
        till, name="Anna Lee", phone="13800000011", storeId=node_id(at.coffee_store)
    )
    ben = await a_member(
        till.later(hours=1), name="王 伟", phone="+8613800000012", email="Ben@Example.com",
        storeId=node_id(at.lone_store),
    )  # fmt: skip
    chloe = await a_member(
        till.later(hours=2), name="Chloé", phone="13800000013", schemeId=ids["tea"],
        storeId=node_id(at.tea_store),
    )  # fmt: skip
    tag = await till.as_staff(TAG, name="Regular")
    put = {"memberId": chloe["id"], "tagIds": [tag["id"]]}
    assert (await till.as_staff(PUT, input=put))["__typename"] == "Member"
    return People(
        till, anna["id"], ben["id"], chloe["id"], type_id("mem", till.shop.member.id),
        ids | {"tag": tag["id"], "ben_card": ben["cards"][0]["number"]},
    )  # fmt: skip


async def test_each_filter_finds_those_for_whom_it_holds(people: People) -> None:
    found, at, ids = people.found, people.till.shop.places, people.ids
    anna, ben, chloe, own = people.anna, people.ben, people.chloe, people.own
    assert await found() == [chloe, ben, anna, own]
    assert await found(phone="138-0000-0012") == [ben]
    assert await found(email="ben@example.com ") == [ben]
    assert await found(cardNumber=ids["ben_card"]) == [ben]
    assert await found(cardNumber=people.till.shop.card.number) == [own]
    phone = {"kind": "PHONE", "value": "13800000011"}
    assert await found(identity=phone) == [anna]
    assert await found(kind="CUSTOMER") == [anna]
    assert await found(kind="MEMBER") == [chloe, ben, own]
    assert await found(schemeId=ids["tea"]) == [chloe]
    assert await found(tierId=ids["gold"]) == []
    assert await found(tagId=ids["tag"]) == [chloe]
    assert await found(recruitmentStoreId=node_id(at.coffee_store)) == [anna]
    assert await found(issuingStoreId=node_id(at.lone_store)) == [ben]
    assert await found(status="ACTIVE") == [chloe, ben, anna, own]
    assert await found(status="CLOSED") == []
    at_ben = (people.till.now + timedelta(hours=1)).isoformat()
    assert await found(joinedFrom=at_ben) == [chloe, ben]
    assert await found(joinedTo=at_ben) == [anna, own]


async def test_a_name_is_found_however_it_is_typed(people: People) -> None:
    """SEC-1: by its blind index; width, case and blanks make no difference."""
    for name in ("王 伟", "王　伟", " 王   伟 "):
        assert await people.found(name=name) == [people.ben]
    assert await people.found(name="ＡＮＮＡ lee") == [people.anna]
    assert await people.found(name="CHLOE\u0301") == [people.chloe]
    assert await people.found(name="Anna") == []


async def test_filters_hold_together(people: People) -> None:
    """Conditions on a card hold for one and the same card."""
    found, ids = people.found, people.ids
    assert await found(phone="13800000011", kind="CUSTOMER") == [people.anna]
    assert await found(phone="13800000011", kind="MEMBER") == []
    assert await found(phone="13800000011", email="ben@example.com") == []
    assert await found(tagId=ids["tag"], schemeId=ids["tea"], kind="MEMBER") == [people.chloe]
    assert await found(tagId=ids["tag"], name="Chloé") == [people.chloe]
    shop_scheme = type_id("sch", people.till.shop.scheme.id)
    assert await found(tagId=ids["tag"], schemeId=shop_scheme) == []
    lone = node_id(people.till.shop.places.lone_store)
    assert await found(recruitmentStoreId=lone, issuingStoreId=lone) == [people.ben]
    assert await found(schemeId=ids["tea"], issuingStoreId=lone) == []


async def test_members_are_found_by_what_one_card_holds(people: People) -> None:
    till = people.till
    await till.database.run(adjust, till.shop.card.id, AccountKind.CASH, 5_00, till.now)
    await till.database.run(adjust, till.shop.card.id, AccountKind.POINTS, 70, till.now)
    cash = {"kind": "CASH", "atLeast": 5_00}
    assert await people.found(balance=cash) == [people.own]
    assert await people.found(balance=cash | {"atLeast": 5_01}) == []
    assert await people.found(balance={"kind": "POINTS", "atLeast": 1, "atMost": 69}) == []
    nothing = {"kind": "POINTS", "atMost": 0}
    assert await people.found(balance=nothing) == [people.chloe, people.ben]
    for bad in ({"atLeast": -1}, {"atLeast": 2, "atMost": 1}):
        assert await people.found(balance={"kind": "CASH"} | bad) == "BAD_USER_INPUT"


async def test_what_can_be_nobodys_finds_nobody(people: People) -> None:
    for given in (
        {"phone": "12"},
        {"phone": ""},
        {"email": "x"},
        {"cardNumber": "x"},
        {"name": ""},
    ):
        assert await people.found(**given) == []
    for meaningless in ({"schemeId": "x"}, {"tagId": "mem_1"}, {"kind": "X"}):
        assert await people.found(**meaningless) == "BAD_USER_INPUT"


async def test_what_is_found_is_masked(people: People) -> None:
    """SEC-2: what staff wrote down is a contact, not an identity."""
    page = await people.till.as_staff(SHOWN, filter={"phone": "13800000012"})
    assert [edge["node"] for edge in page["edges"]] == [
        {
            "name": "王*",
            "status": "ACTIVE",
            "birthday": None,
            "identities": [],
            "contacts": [
                {"kind": "PHONE", "masked": "138****0012"},
                {"kind": "EMAIL", "masked": "b***@example.com"},
            ],
        }
    ]


async def test_listing_needs_its_permission_and_stays_in_the_group(people: People) -> None:
    till = people.till
    assert await members_found(till, who=till.shop.cashier) == "FORBIDDEN"
    assert await cards_found(till, who=till.shop.cashier) == "FORBIDDEN"
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    for given in ({}, {"phone": "13800000011"}, {"name": "Anna Lee"}, {"tagId": people.ids["tag"]}):
        assert await members_found(till, who=stranger, **given) == []
    assert await cards_found(till, who=stranger) == []


async def test_pages_stay_correct_while_rows_arrive(people: People) -> None:
    till, seen, after = people.till, [], None
    for turn in range(5):
        page = await till.as_staff(MEMBERS, first=1, after=after, filter={"status": "ACTIVE"})
        seen += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        await a_customer(till.later(days=turn + 1), name="Somebody new")
    assert seen == [people.chloe, people.ben, people.anna, people.own]
    for bad in ({"first": 0}, {"first": 101}, {"first": 1, "after": "?"}):
        assert await till.as_staff(MEMBERS, **bad) == "BAD_USER_INPUT"
        assert await till.as_staff(CARDS, **bad) == "BAD_USER_INPUT"


async def test_a_page_that_looks_at_too_many_ends_early(people: People) -> None:
    """However rare what is asked for is, a page takes a bounded time; the next one goes on."""
    till, wanted = people.till, MemberFilter(kind=member_records.MemberKind.CUSTOMER)
    found, before, pages = [], None, 0
    while True:
        page = await till.database.read(
            member_records.search, till.shop.owner.actor, wanted=wanted, before=before, limit=21,
            looked_at_max=2,
        )  # fmt: skip
        found += [type_id("mem", row.id) for row in page.members]
        pages, before = pages + 1, page.looked_until
        if before is None:
            break
    assert (found, pages) == ([people.anna], 3)


async def test_merged_records_are_found_only_when_asked_for(people: People) -> None:
    till = people.till
    await till.database.run(
        merging.join_records,
        survivor_id=till.shop.member.id,
        loser_id=await ben_id(people),
        now=till.now,
    )
    assert await people.found() == [people.chloe, people.anna, people.own]
    assert await people.found(status="MERGED") == [people.ben]
    assert await people.found(phone="13800000012") == [people.own]
    assert await people.found(cardNumber=people.ids["ben_card"]) == [people.own]
    assert await cards_found(till, number=people.ids["ben_card"]) == [till.shop.card.number]
    assert people.ids["ben_card"] not in await cards_found(till)


async def ben_id(people: People) -> Any:
    phone = Proof(IdentityKind.PHONE, "+8613800000012")
    group_id = people.till.shop.places.group.id
    (found,) = await people.till.database.read(identities.find, group_id=group_id, proofs=[phone])
    return found.member_id


async def test_names_of_before_get_their_index(people: People) -> None:
    """An upgraded database has names without one; a duty gives them theirs, then is idle."""
    database, now = people.till.database, people.till.now
    await database.run(lambda tx: tx.changed(forget_name_indexes))
    assert await people.found(name="Anna Lee") == []
    assert await database.run(member_records.index_names, now=now) == 4
    assert await people.found(name="Anna Lee") == [people.anna]
    assert await database.run(member_records.index_names, now=now) == 0


async def test_a_changed_name_is_found_and_the_old_one_is_not(people: People) -> None:
    till = people.till
    assert (await till.as_member(UPDATE))["__typename"] == "Member"
    assert await people.found(name="zoë quinn") == [people.own]
    assert await people.found(name="王小明") == []


async def test_cards_are_found_by_each_filter(people: People) -> None:
    """CRD-5."""
    till, ids = people.till, people.ids
    own = till.shop.card.number
    (chloes,) = await cards_found(till, schemeId=ids["tea"])
    bens = ids["ben_card"]
    assert await cards_found(till) == [chloes, bens, own]
    assert await cards_found(till, number=bens) == [bens]
    assert await cards_found(till, number="0") == []
    assert await cards_found(till, holderName="王　伟") == [bens]
    assert await cards_found(till, phone="13800000013") == [chloes]
    assert await cards_found(till, phone="13800000011") == []
    assert await cards_found(till, tierId=ids["gold"]) == []
    lone = node_id(till.shop.places.lone_store)
    assert await cards_found(till, issuingStoreId=lone) == [bens]
    await till.database.run(adjust, till.shop.card.id, AccountKind.CASH, 5_00, till.now)
    assert await cards_found(till, balance={"kind": "CASH", "atLeast": 1}) == [own]
    assert await cards_found(till, balance={"kind": "CASH", "atMost": 0}) == [chloes, bens]
    shown = await till.as_staff(CARDS, filter={"number": bens})
    (edge,) = shown["edges"]
    assert edge["node"]["holder"] == {"name": "王*", "phone": "138****0012"}


async def test_cards_are_found_by_the_status_they_show(people: People) -> None:
    """CRD-3: one whose time is over is expired, though its row still says normal."""
    till = people.till
    own, bens = till.shop.card.number, people.ids["ben_card"]

    async def change(tx: Transaction) -> None:
        end = till.now - timedelta(seconds=1)
        await tx.changed(set_expiry, card_id=till.shop.card.id, end=end)

    await till.database.run(change)
    expired = await till.as_staff(CARDS, filter={"status": "EXPIRED"})
    assert [edge["node"]["status"] for edge in expired["edges"]] == ["EXPIRED"]
    assert await cards_found(till, status="EXPIRED") == [own]
    assert own not in await cards_found(till, status="NORMAL")
    assert bens in await cards_found(till, status="NORMAL")
    assert await cards_found(till, expiresBefore=till.now.isoformat()) == [own]
    (card,) = await till.database.read(by_number, people, bens)
    await till.database.run(
        lambda tx: tx.changed(set_status, card_id=card.id, new_status=CardStatus.REFUNDED)
    )
    assert await cards_found(till, status="REFUNDED") == [bens]
    assert await people.found(schemeId=type_id("sch", till.shop.scheme.id)) == [people.own]
    assert people.ben in await people.found(kind="CUSTOMER")


async def by_number(tx: Transaction, people: People, number: str) -> list[Card]:
    actor = people.till.shop.owner.actor
    wanted = card_records.CardFilter(number=number)
    found = await card_records.search(tx, actor, wanted=wanted, limit=2, now=people.till.now)
    return found.cards


async def test_cards_are_seen_where_their_scheme_is(people: People) -> None:
    """ORG-1: of a brand's scheme by those who work above or below it, in whatever filter."""
    till, at = people.till, people.till.shop.places
    (chloes,) = await cards_found(till, schemeId=people.ids["tea"])

    async def hire(node: Any) -> Employee:
        return await till.database.run(employee, node=node, role="support", now=till.now)

    in_coffee, in_tea = await hire(at.coffee), await hire(at.tea_store)
    assert chloes in await cards_found(till, who=in_tea)
    assert await cards_found(till, who=in_tea, schemeId=people.ids["tea"]) == [chloes]
    for given in ({}, {"schemeId": people.ids["tea"]}, {"number": chloes}, {"holderName": "Chloé"}):
        assert chloes not in await cards_found(till, who=in_coffee, **given)
    assert till.shop.card.number in await cards_found(till, who=in_coffee)


# Every search that one or two filters make.

MEMBER_FILTERS = [*searching.CARD_CONDITIONS, *searching.MEMBER_CONDITIONS, "CUSTOMER", "MEMBER"]
CARD_FILTERS = list(card_records.CONDITIONS)


def searches() -> list[Statement[Any]]:
    made: list[Statement[Any]] = []
    for module, names in ((searching, MEMBER_FILTERS), (card_records, CARD_FILTERS)):
        for number in (0, 1, 2):
            made += [module.search_of(frozenset(g)) for g in combinations(names, number)]
        made += [module.last_looked_at_of(frozenset(g)) for g in [(), *zip(module.WALKED)]]
    return made


GROWING = {"members", "identities", "cards", "accounts", "member_tags"}


async def test_every_search_goes_by_an_index_on_sqlite(sqlite_engine: Engine) -> None:
    connection = sqlite3.connect(sqlite_engine.template)
    scans = []
    for made in searches():
        prepared = made.on("sqlite")
        nothing = [None] * len(prepared.order)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {prepared.sql}", nothing).fetchall()
        for *_, detail in plan:
            words = detail.split()
            walks = words[0] == "SCAN" and words[1] in GROWING and "INDEX" not in words
            if walks or "USE TEMP B-TREE" in detail:
                scans.append((detail, prepared.sql))
    connection.close()
    assert scans == []


async def test_every_search_goes_by_an_index_on_postgresql(postgresql_engine: Engine) -> None:
    url = await postgresql_engine.make(None)  # type: ignore[arg-type]  # needs no folder
    connection = await asyncpg.connect(url)
    scans = []
    try:
        await connection.execute(
            "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"
        )
        for number, made in enumerate(searches()):
            prepared = made.on("postgresql")
            await connection.execute(f"PREPARE s{number} AS {prepared.sql}")
            nulls = f"({', '.join(['NULL'] * len(prepared.order))})"
            (plan,) = json.loads(
                await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE s{number}{nulls}")
            )
            if '"Seq Scan"' in json.dumps(plan):
                scans.append(prepared.sql)
    finally:
        await connection.close()
        await postgresql_engine.drop(url)
    assert scans == []
