"""SEC-3: the audit log is searched by those who may, and whatever is done to it shows."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, delete, update

from app.core.db import Database, Transaction, statement
from app.core.ids import type_id
from app.models.operations import AuditRecord
from app.services import audit
from tests.factories.back_office import BackOffice
from tests.factories.organisation import Places, places
from tests.factories.staff import Employee, employee

pytestmark = pytest.mark.anyio

SEARCH = """query ($filter: AuditFilter, $first: Int! = 100, $after: String) {
  auditRecords(filter: $filter, first: $first, after: $after) {
    edges { node { action actorKind actorId objectId details sequence node { name } } }
    pageInfo { hasNextPage endCursor } } }"""

at_sequence = (col(AuditRecord.sequence) == bindparam("place")) & (
    col(AuditRecord.group_id) == bindparam("group")
)
set_details = statement(update(AuditRecord).where(at_sequence).values(details=bindparam("forged")))
set_actor = statement(update(AuditRecord).where(at_sequence).values(actor_id=bindparam("forged")))
set_time = statement(update(AuditRecord).where(at_sequence).values(recorded_at=bindparam("forged")))
remove = statement(delete(AuditRecord).where(at_sequence))
move = statement(update(AuditRecord).where(at_sequence).values(sequence=bindparam("new_place")))


@pytest.fixture
async def place(database: Database, now: datetime) -> Places:
    return await database.run(places, now=now)


@pytest.fixture
def office(database: Database, now: datetime) -> BackOffice:
    return BackOffice(database, now)


@pytest.fixture
async def owner(database: Database, place: Places, now: datetime) -> Employee:
    return await database.run(employee, node=place.group, now=now)


async def act(
    tx: Transaction, *, somebody: Employee, place: Places, now: datetime, times: int = 5
) -> None:
    for number in range(times):
        node = place.tea if number % 2 else place.coffee
        await audit.record(
            tx,
            somebody.actor,
            f"test.{number}",
            object_kind="node",
            object_id=node.id,
            node_id=node.id,
            now=now + timedelta(minutes=number),
            number=number,
            who="王",
        )


@pytest.fixture
async def log(database: Database, owner: Employee, place: Places, now: datetime) -> None:
    await database.run(act, somebody=owner, place=place, now=now)
    assert await database.run(audit.seal) == 5


async def test_sec_3_a_chain_that_nobody_touched_is_true(
    database: Database, log: None, place: Places, owner: Employee, now: datetime
) -> None:
    verdict = await database.read(audit.verify, group_id=place.group.id)
    assert (verdict.checked, verdict.broken, verdict.unsealed) == (5, None, 0)
    await database.run(act, somebody=owner, place=place, now=now, times=2)
    later = await database.read(audit.verify, group_id=place.group.id)
    assert (later.checked, later.head, later.unsealed) == (5, verdict.head, 2)
    assert await database.run(audit.seal) == 2
    assert (await database.read(audit.verify, group_id=place.group.id)).checked == 7


async def test_sec_3_groups_have_chains_of_their_own(
    database: Database, log: None, place: Places, now: datetime
) -> None:
    other = await database.run(places, now=now)
    somebody = await database.run(employee, node=other.group, now=now)
    await database.run(act, somebody=somebody, place=other, now=now, times=3)
    await database.run(audit.seal)
    for group, checked in ((place.group, 5), (other.group, 3)):
        verdict = await database.read(audit.verify, group_id=group.id)
        assert (verdict.checked, verdict.broken) == (checked, None)


@pytest.mark.parametrize(
    ("change", "forged"),
    [
        (set_details, {"number": 7}),
        (set_actor, "another"),
        (set_time, datetime.fromisoformat("2026-09-01T12:00:00.000001Z")),
    ],
)
async def test_sec_3_a_changed_record_shows(
    database: Database, log: None, place: Places, change: Any, forged: Any
) -> None:
    value = place.tea.id if forged == "another" else forged
    await database.run(lambda tx: tx.changed(change, place=3, group=place.group.id, forged=value))
    verdict = await database.read(audit.verify, group_id=place.group.id)
    assert verdict.broken == audit.Broken(3, "record 3 was changed")
    assert verdict.checked == 2


async def test_sec_3_a_removed_record_shows(database: Database, log: None, place: Places) -> None:
    await database.run(lambda tx: tx.changed(remove, place=3, group=place.group.id))
    verdict = await database.read(audit.verify, group_id=place.group.id)
    assert verdict.broken == audit.Broken(3, "record 3 is missing")


async def test_sec_3_a_removed_record_shows_when_the_rest_closes_ranks(
    database: Database, log: None, place: Places
) -> None:
    async def close_ranks(tx: Transaction) -> None:
        group = place.group.id
        await tx.changed(remove, place=3, group=group)
        for number in (4, 5):
            await tx.changed(move, place=number, group=group, new_place=number - 1)

    await database.run(close_ranks)
    verdict = await database.read(audit.verify, group_id=place.group.id)
    assert verdict.broken == audit.Broken(3, "record 3 does not follow the one before it")


async def test_sec_3_two_records_that_changed_places_show(
    database: Database, log: None, place: Places
) -> None:
    async def swap(tx: Transaction) -> None:
        group = place.group.id
        for number, new_place in ((2, 99), (3, 2), (99, 3)):
            await tx.changed(move, place=number, group=group, new_place=new_place)

    await database.run(swap)
    verdict = await database.read(audit.verify, group_id=place.group.id)
    assert verdict.broken == audit.Broken(2, "record 2 does not follow the one before it")


async def test_sec_3_a_cut_off_tail_shows_against_a_head_that_was_kept(
    database: Database, log: None, place: Places
) -> None:
    kept = await database.read(audit.verify, group_id=place.group.id)
    await database.run(lambda tx: tx.changed(remove, place=5, group=place.group.id))
    verdict = await database.read(audit.verify, group_id=place.group.id)
    assert verdict.broken is None
    assert (verdict.checked, verdict.head) != (kept.checked, kept.head)


# Searching


async def search(office: BackOffice, somebody: Employee, **values: Any) -> list[str]:
    page = await office.ask(SEARCH, somebody.principal, **values)
    return [edge["node"]["action"] for edge in page["edges"]]


async def test_sec_3_the_log_is_searched_newest_first(
    office: BackOffice, log: None, owner: Employee, place: Places, now: datetime
) -> None:
    newest_first = [f"test.{n}" for n in (4, 3, 2, 1, 0)]
    assert await search(office, owner) == newest_first
    assert await search(office, owner, filter={"action": "test.2"}) == ["test.2"]
    assert await search(office, owner, filter={"objectId": type_id("node", place.tea.id)}) == [
        "test.3",
        "test.1",
    ]
    me, nobody = (type_id("stf", i) for i in (owner.staff.id, place.tea.id))
    assert await search(office, owner, filter={"actorId": me}) == newest_first
    assert await search(office, owner, filter={"actorId": nobody}) == []
    span = {
        "recordedFrom": (now + timedelta(minutes=1)).isoformat(),
        "recordedBefore": (now + timedelta(minutes=3)).isoformat(),
    }
    assert await search(office, owner, filter=span) == ["test.2", "test.1"]
    page = await office.ask(SEARCH, owner.principal, first=1)
    (edge,) = page["edges"]
    assert edge["node"] == {
        "action": "test.4",
        "actorKind": "STAFF",
        "actorId": me,
        "objectId": type_id("node", place.coffee.id),
        "details": '{"number":4,"who":"王"}',
        "sequence": 5,
        "node": {"name": "Coffee"},
    }


async def test_sec_3_pages_follow_each_other_while_records_arrive(
    office: BackOffice, log: None, owner: Employee, place: Places, now: datetime
) -> None:
    first = await office.ask(SEARCH, owner.principal, first=2)
    await office.database.run(act, somebody=owner, place=place, now=now)
    after = first["pageInfo"]["endCursor"]
    assert await search(office, owner, first=2, after=after) == ["test.2", "test.1"]
    last = await office.ask(SEARCH, owner.principal, first=3, after=after)
    assert last["pageInfo"]["hasNextPage"] is False


async def test_org_1_an_auditor_of_a_brand_sees_what_concerns_the_brand(
    office: BackOffice, log: None, place: Places, now: datetime
) -> None:
    auditor = await office.database.run(employee, node=place.tea, role="auditor", now=now)
    assert await search(office, auditor) == ["test.3", "test.1"]
    cashier = await office.database.run(employee, node=place.tea, role="cashier", now=now)
    assert await office.ask(SEARCH, cashier.principal) == "FORBIDDEN"
    assert await office.ask(SEARCH) == "UNAUTHENTICATED"
    other = await office.database.run(places, now=now)
    stranger = await office.database.run(employee, node=other.group, now=now)
    assert await search(office, stranger) == []


@pytest.mark.parametrize(
    "values",
    [
        {"first": 0},
        {"first": 101},
        {"after": "no cursor"},
        {"filter": {"actorId": "nobody"}},
        {"filter": {"objectId": "node_zzz"}},
        {"filter": {"action": "staff\x00create"}},
        {"filter": {"recordedFrom": "2026-09-01T12:00:00"}},
    ],
)
async def test_sec_3_a_search_that_cannot_be_meant_is_refused(
    office: BackOffice, owner: Employee, values: dict[str, Any]
) -> None:
    assert await office.ask(SEARCH, owner.principal, **values) == "BAD_USER_INPUT"
