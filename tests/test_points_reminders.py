"""PTS-5: members hear 30, 15 and 3 days before points expire, once each."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.models.behaviour import Notice
from app.models.cards import Scheme
from app.models.operations import Job
from app.services import cards, ledger, members, points
from resolvers.root import member_schema
from tests.factories.behaviour import moved_to, set_points_rules, work
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.ledger import nothing_moves
from tests.factories.purchases import record
from tests.factories.reading import every

pytestmark = pytest.mark.anyio

INBOX = """query ($first: Int! = 20, $after: String) { notices(first: $first, after: $after) {
  unreadCount pageInfo { hasNextPage endCursor }
  edges { node { id kind createdAt readAt pointsExpiring {
    days points expiresAt cards { cardId points } } } } } }"""
READ = """mutation ($id: ID!) { noticeRead(input: {id: $id}) {
  __typename ... on Notice { id readAt } ... on Problem { message } } }"""
EVENTS = """subscription { memberEvents { __typename
  ... on NoticeWritten { notice { id pointsExpiring { points } } } } }"""
SHANGHAI = ZoneInfo("Asia/Shanghai")

all_notices = statement(select(Notice).order_by(col(Notice.id)), into=Notice)
open_jobs = statement(select(Job).where(col(Job.done_at).is_(None)), into=Job)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """Points of this shop last a month, to the day."""
    till = await counter(database, now)
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 1})
    return till


def nine(day: str) -> datetime:
    """Nine o'clock in Shanghai."""
    return datetime.fromisoformat(f"{day}T09:00").replace(tzinfo=SHANGHAI).astimezone(UTC)


async def notices(till: Counter) -> list[Notice]:
    return await every(till.database, all_notices)


async def inbox(till: Counter, **page: Any) -> Any:
    return await till.as_member(INBOX, **page)


async def another_card(
    tx: Transaction, /, till: Counter, *, of_other: bool = False, **rules: Any
) -> tuple[str, Scheme]:
    """A card of another scheme of the same rule, or of another member in the shop's scheme."""
    scheme, member = till.shop.scheme, till.shop.member
    if of_other:
        group_id = till.shop.places.group.id
        member = await members.create(tx, group_id=group_id, name=None, now=till.now)
    else:
        scheme = await a_scheme(
            tx, perspective=till.shop.places.group, now=till.now, points_expiry="DAILY",
            points_expiry_count=1, **rules,
        )  # fmt: skip
    card = await cards.open_card(tx, member=member, scheme=scheme, store_id=None, now=till.now)
    return type_id("card", card.id), scheme


async def remind(till: Counter, day: str, last_day: str | None = None, **more: Any) -> int:
    """As the job of that day does."""
    return await till.database.run(
        points.remind,
        scheme_id=till.shop.scheme.id,
        due_at=nine(day),
        last_due_at=nine(last_day) if last_day else None,
        now=nine(day),
        **more,
    )


async def test_a_notice_comes_30_15_and_3_days_before(till: Counter) -> None:
    """PTS-5: at nine in the morning of the scheme's zone, on no other day."""
    await record(till, 1_000)  # cleared as 2 October begins
    came = {}
    for day in range(32):
        at = nine("2026-09-02") + timedelta(days=day)
        before = len(await notices(till))
        await work(till.database, at - timedelta(seconds=1))
        assert len(await notices(till)) == before
        await work(till.database, at)
        for notice in (await notices(till))[before:]:
            came[at] = (notice.kind, notice.details["days"], notice.details["points"])
    assert came == {
        nine("2026-09-02"): ("POINTS_EXPIRING", 30, 5),
        nine("2026-09-17"): ("POINTS_EXPIRING", 15, 5),
        nine("2026-09-29"): ("POINTS_EXPIRING", 3, 5),
    }


async def test_all_that_a_member_loses_at_once_is_one_notice(till: Counter) -> None:
    """PTS-5: grouped per member, over lots, cards and schemes."""
    other_id, other_scheme = await till.database.run(another_card, till, points_rate=10)
    await record(till, 1_000)
    await record(till, 400)
    await record(till, 200, cardId=other_id)
    await record(till.later(hours=6), 600)  # cleared a day later
    assert await remind(till, "2026-09-02") == 1
    again = replace(till, shop=replace(till.shop, scheme=other_scheme))
    assert await remind(again, "2026-09-02") == 0
    page = await inbox(till)
    assert page["unreadCount"] == 1
    (edge,) = page["edges"]
    said = edge["node"]["pointsExpiring"]
    assert {each["cardId"]: each["points"] for each in said.pop("cards")} == {
        till.card_id: 7,
        other_id: 10,
    }
    assert said == {"days": 30, "points": 17, "expiresAt": "2026-10-01T16:00:00+00:00"}
    assert await remind(till, "2026-09-03", "2026-09-02") == 1
    page = await inbox(till, first=1)
    assert page["edges"][0]["node"]["pointsExpiring"]["points"] == 3
    assert (page["unreadCount"], page["pageInfo"]["hasNextPage"]) == (2, True)
    last = await inbox(till, first=1, after=page["pageInfo"]["endCursor"])
    assert last["edges"][0]["node"]["pointsExpiring"]["points"] == 17


async def test_a_notice_is_written_once_however_often_it_is_asked_for(till: Counter) -> None:
    """PTS-5: by workers at once, after one that died, for two schemes."""
    await record(till, 1_000)
    for _ in range(2):
        written = await asyncio.gather(*(remind(till, "2026-09-02") for _ in range(8)))
        assert sum(written) in {0, 1}
    assert len(await notices(till)) == 1


async def test_missed_days_are_caught_up(till: Counter) -> None:
    """PTS-5: workers were off from the third to the fifth: the notice comes late, once."""
    await work(till.database, nine("2026-09-02"))
    await record(till.later(hours=6), 1_000)  # cleared as 3 October begins
    assert await notices(till) == []
    await work(till.database, nine("2026-09-06"))
    (notice,) = await notices(till)
    assert notice.details["days"] == 30
    # Off for so long that two are due: only the more urgent one is news.
    await work(till.database, nine("2026-09-30"))
    assert [each.details["days"] for each in await notices(till)] == [30, 3]


async def test_what_is_over_is_no_news(till: Counter) -> None:
    """PTS-5: a job that comes to it only after the points' time."""
    await record(till, 1_000)
    values: dict[str, Any] = {"scheme_id": till.shop.scheme.id, "last_due_at": None}
    values["due_at"] = nine("2026-09-29")
    late = nine("2026-10-05")
    assert await till.database.run(points.remind, **values, now=late) == 0
    assert await till.database.run(points.remind, **values, now=nine("2026-10-01")) == 1


async def test_batches_follow_each_other(till: Counter) -> None:
    """PTS-5: each batch writes down the next one together with its notices."""
    ids = [till.card_id]
    for _ in range(4):
        card_id, _ = await till.database.run(another_card, till, of_other=True)
        ids.append(card_id)
    for card_id in ids:
        await record(till, 200, cardId=card_id)
    assert await remind(till, "2026-09-02", at_most=2) == 2
    assert [job.kind for job in await every(till.database, open_jobs)] == ["points.remind"]
    await work(till.database, nine("2026-09-02"))
    told = {each.member_id for each in await notices(till)}
    assert len(told) == len(await notices(till)) == 5


async def test_spent_and_permanent_points_are_no_news(till: Counter) -> None:
    """PTS-5."""
    await set_points_rules(till)
    await record(till, 1_000)
    assert await remind(till, "2026-09-02") == 0
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 1})
    assert await remind(till, "2026-09-02") == 0


async def test_a_notice_is_read_once_and_by_its_member_alone(till: Counter) -> None:
    """PTS-5."""
    await record(till, 1_000)
    await remind(till, "2026-09-02")
    (notice,) = await notices(till)
    notice_id = type_id("ntc", notice.id)
    group_id = till.shop.places.group.id
    other = await till.database.run(members.create, group_id=group_id, name=None, now=till.now)
    assert (await till.as_member(INBOX, member_id=other.id))["edges"] == []
    async with nothing_moves(till.database):
        not_found = {"__typename": "NoticeNotFound", "message": "There is no such notice."}
        assert await till.as_member(READ, member_id=other.id, id=notice_id) == not_found
        assert await till.as_member(READ, id=type_id("ntc", new_id())) == not_found
        assert await till.as_member(READ, id="ntc_nonsense") == "BAD_USER_INPUT"
    assert (await inbox(till))["unreadCount"] == 1
    first = await till.as_member(READ, id=notice_id)
    assert first == {"__typename": "Notice", "id": notice_id, "readAt": till.now.isoformat()}
    assert await till.later(hours=1).as_member(READ, id=notice_id) == first
    assert (await inbox(till))["unreadCount"] == 0


async def test_the_members_page_hears_of_it_at_once(till: Counter) -> None:
    """PTS-5, QRC-3."""
    await record(till, 1_000)
    context = till.context(till.member(till.shop.member.id))
    async with asyncio.timeout(10):
        events: Any = await member_schema.subscribe(EVENTS, context_value=context)
        assert (await anext(events)).data == {"memberEvents": {"__typename": "Listening"}}
        await remind(till, "2026-09-02")
        heard = (await anext(events)).data["memberEvents"]
        await events.aclose()
    (notice,) = await notices(till)
    assert heard == {
        "__typename": "NoticeWritten",
        "notice": {"id": type_id("ntc", notice.id), "pointsExpiring": {"points": 5}},
    }


async def test_nine_is_nine_where_the_scheme_is(database: Database, now: datetime) -> None:
    """PTS-5: in Los Angeles that is 16:00 UTC in summer and 17:00 in winter."""
    till = await counter(database, now)
    await till.as_staff(
        """mutation ($id: ID!) {
          nodeUpdate(input: {id: $id, timeZone: "America/Los_Angeles"}) { __typename } }""",
        id=type_id("node", till.shop.places.group.id),
    )
    for when, due in (
        ("2026-09-01T12:00", "2026-09-01T16:00"),
        ("2026-11-30T17:00", "2026-12-01T17:00"),
    ):
        at = datetime.fromisoformat(when).replace(tzinfo=UTC)
        till = await moved_to(till, at)
        next_due_at = await database.read(points.next_reminder, till.shop.scheme.id, at)
        assert next_due_at == datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert await database.scan(ledger.check) == []
