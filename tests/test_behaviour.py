"""PTS-2, TIR-7: what members do besides buying earns points and growth, up to caps."""

import asyncio
from collections import Counter as Count
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.behaviour import MemberEvent
from app.models.cards import CardStatus
from app.models.ledger import AccountKind
from app.models.members import Member
from app.models.operations import AuditRecord
from app.models.staff import Permission
from app.services import cards, ledger, members
from app.services.merges import merging
from resolvers.root import admin_schema
from tests.factories.behaviour import (
    RECORD,
    check_in,
    moved_to,
    record_event,
    set_behaviour_rule,
    set_points_rules,
)
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_codes import freeze
from tests.factories.partners import partner, principal_of
from tests.factories.reading import every
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

RULES = """query ($id: ID!) { behaviourRules(schemeId: $id) {
  eventKey name points growth isActive streak { days points } } }"""
UPDATE = """mutation ($input: MemberUpdateInput!) { memberUpdate(input: $input) {
  __typename } }"""
LINES = """query ($id: ID!) { card(id: $id) { ledger(first: 100) { edges { node {
  kind cause amount store { name } occurredAt } } } } }"""
WEEK = [{"days": 3, "points": 10}, {"days": 7, "points": 20}]

all_events = statement(select(MemberEvent), into=MemberEvent)
acts = statement(select(AuditRecord), into=AuditRecord)

NONSENSE: list[dict[str, Any]] = [
    {"eventKey": ""},
    {"eventKey": "Check_in"},
    {"eventKey": "1st"},
    {"eventKey": "check-in"},
    {"eventKey": "x" * 49},
    {"name": " "},
    {"name": "x" * 65},
    {"points": -1},
    {"points": 1_000_001},
    {"growth": -1},
    {"growth": 1_000_001},
    {"timesPerDay": 0},
    {"timesPerMonth": -1},
    {"timesEver": 1_000_001},
    {"streak": [{"days": 1, "points": 1}]},
    {"streak": [{"days": 367, "points": 1}]},
    {"streak": [{"days": 7, "points": 0}]},
    {"streak": [{"days": 7, "points": 1}, {"days": 3, "points": 1}]},
    {"streak": [{"days": 7, "points": 1}, {"days": 7, "points": 1}]},
    {"streak": [{"days": n, "points": 1} for n in range(2, 13)]},
    {"schemeId": "sch_1"},
]


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """It is eight in the evening of 1 September in Shanghai."""
    return await counter(database, now)


async def holds(till: Counter) -> tuple[int, int]:
    """Points and growth of the card, having checked the books."""
    assert await till.database.scan(ledger.check) == []
    card_id = till.shop.card.id
    points = await account(till.database, card_id)
    growth = await account(till.database, card_id, AccountKind.GROWTH)
    return points.balance, growth.balance


def outcome(answer: Any) -> tuple[str, int, int]:
    """What came of an event on the only card that has a rule for it."""
    (earning,) = answer["earnings"]
    return earning["outcome"], earning["points"], earning["growth"]


async def another_member(till: Counter) -> tuple[Member, str]:
    """Somebody else with a card of the shop's scheme."""
    group_id, now = till.shop.places.group.id, till.now
    other = await till.database.run(members.create, group_id=group_id, name=None, now=now)
    card = await till.database.run(
        cards.open_card, member=other, scheme=till.shop.scheme, store_id=None, now=now
    )
    return other, type_id("card", card.id)


# Rules


async def test_a_rule_is_set_and_replaced_and_seen(till: Counter) -> None:
    """PTS-2: one for each event of a scheme; members see those that earn."""
    answer = await set_behaviour_rule(
        till, "check_in", points=5, growth=2, timesPerDay=1, timesPerMonth=20, timesEver=100,
        streak=WEEK,
    )  # fmt: skip
    assert answer == {
        "__typename": "BehaviourRule",
        "eventKey": "check_in",
        "name": "Check_In",
        "points": 5,
        "growth": 2,
        "timesPerDay": 1,
        "timesPerMonth": 20,
        "timesEver": 100,
        "isActive": True,
        "streak": WEEK,
    }
    await set_behaviour_rule(till, "check_in", name="Come by", points=6)
    await set_behaviour_rule(till, "review", points=9, isActive=False)
    scheme = type_id("sch", till.shop.scheme.id)
    come_by = {
        "eventKey": "check_in",
        "name": "Come by",
        "points": 6,
        "growth": 0,
        "isActive": True,
        "streak": [],
    }
    assert await till.as_member(RULES, id=scheme) == [come_by]
    seen = await till.as_staff(RULES, id=scheme, who=till.shop.cashier)
    assert [each["eventKey"] for each in seen] == ["check_in", "review"]
    for ask in (till.as_member, till.as_staff):
        assert await ask(RULES, id=type_id("sch", new_id())) is None
    stranger = await counter(till.database, till.now)
    assert await stranger.as_member(RULES, id=scheme) is None
    assert await stranger.as_staff(RULES, id=scheme) is None
    actions = [row.action for row in await every(till.database, acts)]
    assert actions.count("behaviour_rule.set") == 3


async def test_nonsense_is_refused(till: Counter) -> None:
    async with nothing_moves(till.database):
        for rule in NONSENSE:
            asked = {"points": 1} | rule
            key = asked.pop("eventKey", "review")
            assert await set_behaviour_rule(till, key, **asked) == "BAD_USER_INPUT", rule
        missing = await set_behaviour_rule(till, "review", schemeId=type_id("sch", new_id()))
        assert missing == {"__typename": "SchemeNotFound"}


# Checking in


async def test_checking_in_counts_once_a_day(till: Counter) -> None:
    """PTS-2: a day of the group's time zone; the second time answers what the first earned."""
    await set_behaviour_rule(till, "check_in", points=5, growth=2)
    first = await check_in(till)
    earned = {
        "cardId": till.card_id,
        "outcome": "EARNED",
        "points": 5,
        "streakPoints": 0,
        "growth": 2,
    }
    assert first == {
        "__typename": "EventRecorded",
        "replayed": False,
        "event": {
            "id": first["event"]["id"],
            "eventKey": "check_in",
            "businessDate": "2026-09-01",
            "streakDays": 1,
            "occurredAt": till.now.isoformat(),
        },
        "earnings": [earned],
    }
    # Midnight in Shanghai is 16:00 UTC.
    last_moment = replace(till, now=datetime(2026, 9, 1, 15, 59, 59, tzinfo=UTC))
    async with nothing_moves(till.database):
        assert await check_in(last_moment) == first | {"replayed": True}
    assert await holds(till) == (5, 2)
    next_day = await check_in(replace(till, now=datetime(2026, 9, 1, 16, tzinfo=UTC)))
    assert next_day["replayed"] is False
    assert next_day["event"]["businessDate"] == "2026-09-02"
    assert await holds(till) == (10, 4)


async def test_of_sixteen_at_once_one_counts(till: Counter) -> None:
    """PTS-2."""
    await set_behaviour_rule(till, "check_in", points=5)
    answers = await asyncio.gather(*(check_in(till) for _ in range(16)))
    assert Count(answer["replayed"] for answer in answers) == {False: 1, True: 15}
    assert len({answer["event"]["id"] for answer in answers}) == 1
    assert await holds(till) == (5, 0)


async def test_days_in_a_row_earn_extra(till: Counter) -> None:
    """PTS-2: 10 more on the third day and 20 on the seventh; a day left out begins anew."""
    await set_behaviour_rule(till, "check_in", points=1, streak=WEEK)
    found = []
    for day in (*range(8), *range(9, 12)):
        answer = await check_in(till.later(days=day))
        (earning,) = answer["earnings"]
        found.append((answer["event"]["streakDays"], earning["points"], earning["streakPoints"]))
    usual = [(1, 1, 0), (2, 1, 0), (3, 11, 10)]
    rest = [(4, 1, 0), (5, 1, 0), (6, 1, 0), (7, 21, 20), (8, 1, 0)]
    assert found == [*usual, *rest, *usual]
    assert await holds(till) == (11 + 30 + 10, 0)


async def test_a_day_gives_its_extra_once(till: Counter) -> None:
    """PTS-2: on the first such event of the day, also of one that has no daily cap."""
    await set_behaviour_rule(till, "share", points=1, streak=[{"days": 2, "points": 10}])
    tomorrow = await moved_to(till, till.now + timedelta(days=1))
    for when, points in ((till, 1), (till, 1), (tomorrow, 11), (tomorrow, 1)):
        assert outcome(await record_event(when, "share")) == ("EARNED", points, 0)


async def test_all_cards_with_a_rule_earn(till: Counter) -> None:
    """PTS-2: each by its own; one without a rule is not among them."""
    await set_behaviour_rule(till, "check_in", points=5)
    group, now = till.shop.places.group, till.now
    for points in (8, None):
        scheme = await till.database.run(a_scheme, perspective=group, now=now)
        card = await till.database.run(
            cards.open_card, member=till.shop.member, scheme=scheme, store_id=None, now=now
        )
        if points:
            other_id = type_id("card", card.id)
            scheme_id = type_id("sch", scheme.id)
            await set_behaviour_rule(till, "check_in", points=points, schemeId=scheme_id)
    answer = await check_in(till)
    earned = {each["cardId"]: each["points"] for each in answer["earnings"]}
    assert earned == {till.card_id: 5, other_id: 8}


async def test_a_day_without_a_rule_still_counts_for_the_streak(till: Counter) -> None:
    """PTS-2: as does one on which the card could not earn."""
    assert (await check_in(till))["earnings"] == []
    await set_behaviour_rule(till, "check_in", points=5)
    await till.database.run(freeze, till.shop.card, CardStatus.FROZEN)
    assert outcome(await check_in(till.later(days=1))) == ("CARD_NOT_USABLE", 0, 0)
    assert (await check_in(till.later(days=2)))["event"]["streakDays"] == 3
    assert await holds(till) == (0, 0)


async def test_a_merge_joins_days_and_caps(till: Counter) -> None:
    """IDN-4, PTS-2: two records of one person check in once a day, and go on with the streak."""
    await set_behaviour_rule(till, "check_in", points=5, timesEver=2)
    other, _ = await another_member(till)
    await check_in(till, member_id=other.id)
    await till.database.run(
        merging.join_records, survivor_id=till.shop.member.id, loser_id=other.id, now=till.now
    )
    assert (await check_in(till))["replayed"] is True
    tomorrow = await check_in(till.later(days=1))
    assert tomorrow["event"]["streakDays"] == 2
    assert outcome(tomorrow) == ("EARNED", 5, 0)
    assert outcome(await check_in(till.later(days=2))) == ("EVER_CAP", 0, 0)


# Events that staff and partners tell


async def test_an_event_is_told_once_by_its_source(till: Counter) -> None:
    """PTS-2: the same id of the same source again answers the same, whatever it earned."""
    await set_behaviour_rule(till, "review", points=3, timesEver=1)
    first = await record_event(till, "review", externalId="r-1")
    assert outcome(first) == ("EARNED", 3, 0)
    capped = await record_event(till, "review", externalId="r-2")
    assert outcome(capped) == ("EVER_CAP", 0, 0)
    async with nothing_moves(till.database):
        later = till.later(hours=2)
        assert await record_event(later, "review", externalId="r-1") == first | {"replayed": True}
        assert await record_event(later, "review", externalId="r-2") == capped | {"replayed": True}
    # Another source has ids of its own, and so has another event.
    who = await till.database.run(employee, node=till.shop.places.group, now=till.now)
    other = await record_event(till, "review", who=who, externalId="r-1")
    assert (other["replayed"], outcome(other)[0]) == (False, "EVER_CAP")
    assert (await record_event(till, "visit", externalId="r-1"))["replayed"] is False
    assert await holds(till) == (3, 0)
    actions = [row.action for row in await every(till.database, acts)]
    assert actions.count("member_event.record") == 4


async def test_caps_are_a_days_a_months_and_a_lifes(till: Counter) -> None:
    """PTS-2, TIR-7: 2 a day, 3 a month, 5 ever, by the day it happened on."""
    await set_behaviour_rule(
        till, "share", points=1, growth=10, timesPerDay=2, timesPerMonth=3, timesEver=5
    )
    await set_behaviour_rule(till, "visit", points=1)
    found = []
    for when in (
        "2026-09-01T10:00",
        "2026-09-01T15:59",
        "2026-09-01T15:59",  # the third of the day
        "2026-09-01T16:00",  # the second of September, in Shanghai
        "2026-09-02T16:00",
        "2026-08-31T15:59",  # the last moment of August, told late
        "2026-09-30T16:00",  # October
        "2026-09-30T17:00",
        "2026-10-01T17:00",
    ):
        at = datetime.fromisoformat(when).replace(tzinfo=UTC)
        told = await moved_to(till, max(at, till.now))
        answer = await record_event(told, "share", occurredAt=at.isoformat())
        found.append(outcome(answer)[0])
        await record_event(told, "visit")  # counts for itself
    assert found == [
        "EARNED",
        "EARNED",
        "DAY_CAP",
        "EARNED",
        "MONTH_CAP",
        "EARNED",
        "EARNED",
        "EVER_CAP",
        "EVER_CAP",
    ]
    assert await holds(till) == (5 + 9, 50)


async def test_caps_hold_whatever_happens_at_once(till: Counter) -> None:
    """PTS-2: 16 events, of which 5 count."""
    await set_behaviour_rule(till, "share", points=1, growth=1, timesPerDay=5)
    answers = await asyncio.gather(*(record_event(till, "share") for _ in range(16)))
    assert Count(outcome(answer)[0] for answer in answers) == {"EARNED": 5, "DAY_CAP": 11}
    assert await holds(till) == (5, 5)
    same = await asyncio.gather(*(record_event(till, "visit", externalId="same") for _ in range(8)))
    assert Count(answer["replayed"] for answer in same) == {False: 1, True: 7}


async def test_at_a_store_only_cards_used_there_earn(till: Counter) -> None:
    """ORG-1, CRD-1: and the movement says where it was."""
    tea = till.shop.places.tea
    scheme = await till.database.run(a_scheme, perspective=tea, now=till.now)
    card = await till.database.run(
        cards.open_card, member=till.shop.member, scheme=scheme, store_id=None, now=till.now
    )
    tea_card_id = type_id("card", card.id)
    await set_behaviour_rule(till, "visit", points=2, growth=1)
    await set_behaviour_rule(till, "visit", points=9, schemeId=type_id("sch", scheme.id))
    store = till.shop.places.coffee_store
    answer = await record_event(till, "visit", storeId=type_id("node", store.id))
    found = {each["cardId"]: (each["outcome"], each["points"]) for each in answer["earnings"]}
    assert found == {till.card_id: ("EARNED", 2), tea_card_id: ("NOT_AT_THIS_STORE", 0)}
    lines = (await till.as_member(LINES, id=till.card_id))["ledger"]["edges"]
    assert [edge["node"] for edge in lines] == [
        {
            "kind": kind,
            "cause": "EARN",
            "amount": amount,
            "store": {"name": store.name},
            "occurredAt": till.now.isoformat(),
        }
        for kind, amount in (("GROWTH", 1), ("POINTS", 2))
    ]


async def test_partners_tell_events_where_they_may(till: Counter) -> None:
    """EVT-1: at their stores; for the whole group only with a scope that covers it."""
    await set_behaviour_rule(till, "visit", points=2)
    scopes = [Permission.EVENTS_WRITE]
    coffee, group = till.shop.places.coffee, till.shop.places.group
    of_coffee = await till.database.run(partner, node=coffee, scopes=scopes, now=till.now)
    of_group = await till.database.run(partner, node=group, scopes=scopes, now=till.now)
    asked = {
        "memberId": type_id("mem", till.shop.member.id),
        "eventKey": "visit",
        "externalId": "v-1",
        "occurredAt": till.now.isoformat(),
    }

    async def tell(client: Any, **more: Any) -> Any:
        principal = principal_of(client.client, now=till.now)
        return await till.ask(admin_schema, RECORD, principal, {"input": asked | more})

    tea_store = type_id("node", till.shop.places.tea_store.id)
    coffee_store = type_id("node", till.shop.places.coffee_store.id)
    async with nothing_moves(till.database):
        assert await tell(of_coffee) == "FORBIDDEN"
        assert await tell(of_coffee, storeId=tea_store) == "FORBIDDEN"
        assert await record_event(till, "visit", who=till.shop.cashier) == "FORBIDDEN"
    assert outcome(await tell(of_coffee, storeId=coffee_store)) == ("EARNED", 2, 0)
    assert outcome(await tell(of_group)) == ("EARNED", 2, 0)
    assert await holds(till) == (4, 0)


async def test_events_that_cannot_be_are_refused(till: Counter) -> None:
    """PTS-2: and nothing is written down."""
    await set_behaviour_rule(till, "visit", points=2)
    stranger = await counter(till.database, till.now)
    late = (till.now - timedelta(days=31, seconds=1)).isoformat()
    early = (till.now + timedelta(minutes=6)).isoformat()
    brand = type_id("node", till.shop.places.coffee.id)
    async with nothing_moves(till.database):
        for nonsense in (
            {"externalId": ""},
            {"externalId": "x" * 65},
            {"externalId": "a\nb"},
            {"occurredAt": late},
            {"occurredAt": early},
            {"occurredAt": "2026-09-01T12:00:00"},
            {"memberId": "mem_1"},
            {"storeId": "node_1"},
        ):
            assert await record_event(till, "visit", **nonsense) == "BAD_USER_INPUT", nonsense
        for key in ("", "Visit", "visit store", "check_in", "profile_complete"):
            assert await record_event(till, key) == "BAD_USER_INPUT", key
        no_member = {"__typename": "MemberNotFound"}
        assert await record_event(till, "visit", memberId=type_id("mem", new_id())) == no_member
        other = type_id("mem", till.shop.member.id)
        assert await record_event(stranger, "visit", memberId=other) == no_member
        no_node = {"__typename": "NodeNotFound"}
        assert await record_event(till, "visit", storeId=type_id("node", new_id())) == no_node
        assert await record_event(till, "visit", storeId=brand) == no_node


async def test_a_frozen_card_earns_nothing_by_events(till: Counter) -> None:
    """CRD-3: the caps keep what it did not use."""
    await set_behaviour_rule(till, "visit", points=2, growth=1, timesEver=1)
    await till.database.run(freeze, till.shop.card, CardStatus.LOST)
    assert outcome(await record_event(till, "visit")) == ("CARD_NOT_USABLE", 0, 0)
    found = await till.as_staff(
        """mutation ($id: ID!) { cardStatusChange(input: {cardId: $id, status: NORMAL,
          reason: "Found"}) { __typename } }""",
        id=till.card_id,
    )
    assert found == {"__typename": "Card"}
    assert outcome(await record_event(till, "visit")) == ("EARNED", 2, 1)


async def test_a_rule_that_is_off_earns_nothing(till: Counter) -> None:
    await set_behaviour_rule(till, "visit", points=2, isActive=False)
    assert (await record_event(till, "visit"))["earnings"] == []
    assert await holds(till) == (0, 0)


async def test_blocked_points_leave_growth(till: Counter) -> None:
    """PTS-7, TIR-7: and the event counts for the caps."""
    await set_points_rules(till, abnormal={"above": 1, "blocksEarning": True})
    await set_behaviour_rule(till, "visit", points=2, growth=3, timesEver=2)
    assert outcome(await record_event(till, "visit")) == ("EARNED", 2, 3)
    assert outcome(await record_event(till, "visit")) == ("POINTS_BLOCKED", 0, 3)
    assert outcome(await record_event(till, "visit")) == ("EVER_CAP", 0, 0)
    assert await holds(till) == (2, 6)


# A complete profile


async def test_a_complete_profile_is_an_event_once(till: Counter) -> None:
    """PTS-2: when name, gender, birthday and region are all there, for the first time."""
    await set_behaviour_rule(till, "profile_complete", points=50, growth=5)
    updated = {"__typename": "Member"}
    for change, points in (
        ({"gender": "FEMALE", "region": "Shanghai"}, 0),
        ({"birthday": "1990-05-20"}, 50),  # they were asked their name when they joined
        ({"region": "Suzhou"}, 50),
    ):
        assert await till.as_member(UPDATE, input=change) == updated
        assert await holds(till) == (points, points // 10)
    keys = [event.event_key for event in await every(till.database, all_events)]
    assert keys == ["profile_complete"]


async def test_a_profile_completed_at_once_from_many_devices_counts_once(till: Counter) -> None:
    """PTS-2."""
    await set_behaviour_rule(till, "profile_complete", points=50)
    change = {"gender": "FEMALE", "region": "Shanghai", "birthday": "1990-05-20"}
    await asyncio.gather(*(till.as_member(UPDATE, input=change) for _ in range(8)))
    assert await holds(till) == (50, 0)
