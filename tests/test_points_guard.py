"""PTS-7: more points in a day than is believable mark the member; what that blocks; who hears."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.jobs.outside import DatabaseTokens, open_outside
from app.models.ledger import AccountKind
from app.services import cards, members
from app.services.merges import merging
from tests.factories.behaviour import (
    CASES,
    cases,
    check_in,
    moved_to,
    set_behaviour_rule,
    set_points_rules,
    work,
)
from tests.factories.cards import Counter, counter
from tests.factories.identities import Clock, sandbox, settings_for
from tests.factories.ledger import account, nothing_moves
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.spendings import Payer, a_payer
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

CLEAR = """mutation ($id: ID!, $reason: String!) {
  pointsCaseClear(input: {id: $id, reason: $reason}) { __typename
    ... on PointsCase { isOpen clearedAt clearingReason }
    ... on PointsCaseCleared { since } } }"""
MEMBER = "query ($id: ID!) { member(id: $id) { isAbnormal } }"
PAYS = {"points": 1, "worth": 100}


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """More than 10 points in a day are too many here: 20.00 earn them."""
    till = await counter(database, now)
    await set_points_rules(till, abnormal={"above": 10})
    return till


@pytest.fixture
async def payer(database: Database, now: datetime) -> Payer:
    """Somebody whose points pay, and whose earning and spending more than 10 blocks."""
    payer = await a_payer(database, now)
    shop = replace(payer.till.shop, scheme=payer.scheme, card=payer.card)
    payer = replace(payer, till=replace(payer.till, shop=shop))
    rules = {"above": 10, "blocksEarning": True, "blocksSpending": True}
    await set_points_rules(payer.till, payment=PAYS, abnormal=rules)
    return payer


async def is_abnormal(till: Counter, member_id: Any = None) -> bool:
    asked = type_id("mem", member_id or till.shop.member.id)
    return bool((await till.as_staff(MEMBER, id=asked))["isAbnormal"])


async def clear(till: Counter, case_id: str, reason: str = "A party", **who: Any) -> Any:
    return await till.as_staff(CLEAR, id=case_id, reason=reason, **who)


async def points(till: Counter) -> int:
    return (await account(till.database, till.shop.card.id)).balance


async def test_too_many_points_in_a_day_mark_the_member(till: Counter) -> None:
    """PTS-7: above the threshold, not at it; one case for a card and day, with the day's total."""
    await record(till, 2_000)
    assert (await cases(till), await is_abnormal(till)) == ([], False)
    await record(till, 200)
    (case,) = await cases(till)
    assert case == {
        "id": case["id"],
        "businessDate": "2026-09-01",
        "points": 11,
        "threshold": 10,
        "isOpen": True,
        "clearedAt": None,
        "clearingReason": None,
        "card": {"id": till.card_id},
    }
    assert await is_abnormal(till)
    await record(till.later(hours=1), 1_000)
    (case,) = await cases(till)
    assert case["points"] == 16
    assert await points(till) == 16  # nothing is blocked unless the scheme says so


async def test_a_day_is_one_of_the_schemes_zone(till: Counter) -> None:
    """PTS-7: ten before midnight in Shanghai, ten after it."""
    await record(replace(till, now=datetime(2026, 9, 1, 15, 59, tzinfo=UTC)), 2_000)
    midnight = await moved_to(till, datetime(2026, 9, 1, 16, tzinfo=UTC))
    await record(midnight, 2_000)
    assert await cases(till) == []
    await record(midnight, 200)
    assert [case["businessDate"] for case in await cases(till)] == ["2026-09-02"]


async def test_what_was_taken_back_of_the_day_is_left_out(till: Counter) -> None:
    """PTS-7: and what was taken back of another day is not."""
    yesterday = await purchase_of(till, 2_000)
    tomorrow = await moved_to(till, till.now + timedelta(days=1))
    today = await purchase_of(tomorrow, 2_000)
    await refund(tomorrow, today, 1_000)
    await record(tomorrow, 1_000)
    assert await cases(till) == []
    await refund(tomorrow, yesterday, 2_000)
    await record(tomorrow, 200)
    assert [case["points"] for case in await cases(till)] == [11]


async def test_a_day_of_many_movements_is_added_up_whole(till: Counter) -> None:
    """PTS-7: more than are read at a time."""
    await set_points_rules(till, abnormal={"above": 119})
    for _ in range(119):
        await record(till, 200)
    assert await cases(till) == []
    await record(till, 200)
    assert [case["points"] for case in await cases(till)] == [120]


async def test_what_a_behaviour_earns_counts(till: Counter) -> None:
    """PTS-2, PTS-7."""
    await set_behaviour_rule(till, "check_in", points=3)
    await record(till, 1_600)
    await check_in(till)
    assert [case["points"] for case in await cases(till)] == [11]


async def test_purchases_at_once_lead_to_one_case(till: Counter) -> None:
    """PTS-7: with what all of them earned."""
    await asyncio.gather(*(record(till, 400) for _ in range(8)))
    assert [case["points"] for case in await cases(till)] == [16]


async def test_blocked_cards_earn_no_points_until_the_mark_is_cleared(payer: Payer) -> None:
    """PTS-7: purchases are recorded, and their refunds take nothing."""
    till = payer.till
    await set_behaviour_rule(till, "check_in", points=3, growth=4)
    await record(till, 2_200)
    blocked = await record(till, 1_000)
    assert blocked["pointsEarned"] == 0
    checked_in = await check_in(till)
    assert checked_in["earnings"] == [
        {
            "cardId": till.card_id,
            "outcome": "POINTS_BLOCKED",
            "points": 0,
            "streakPoints": 0,
            "growth": 4,
        }
    ]
    for part in (300, 700):
        refunded = await refund(till, blocked["purchase"]["id"], part)
        assert refunded["refund"]["pointsTaken"] == 0
    assert await points(till) == 11
    growth = await account(till.database, till.shop.card.id, AccountKind.GROWTH)
    assert growth.balance == 4
    (case,) = await cases(till)
    assert await clear(till, case["id"]) == {
        "__typename": "PointsCase",
        "isOpen": False,
        "clearedAt": till.now.isoformat(),
        "clearingReason": "A party",
    }
    assert not await is_abnormal(till)
    assert (await record(till, 1_000))["pointsEarned"] == 5
    # Somebody has looked at this day: it marks no more, the next one does.
    assert [each["isOpen"] for each in await cases(till)] == [False]
    tomorrow = till.later(days=1)
    await record(tomorrow, 2_200)
    assert [each["isOpen"] for each in await cases(till)] == [True, False]


async def test_blocked_points_are_not_spent_until_the_mark_is_cleared(payer: Payer) -> None:
    """PTS-6, PTS-7."""
    await record(payer.till, 2_200)
    async with nothing_moves(payer.database):
        refused = await payer.pay_with_points(200, total=1_000)
        assert refused == {"__typename": "PointsBlocked"}
    (case,) = await cases(payer.till)
    await clear(payer.till, case["id"])
    paid = await payer.pay_with_points(200, total=1_000)
    assert paid["spending"]["points"] == 2


async def test_a_mark_blocks_only_what_the_scheme_says(payer: Payer) -> None:
    """PTS-7."""
    await set_points_rules(payer.till, payment=PAYS, abnormal={"above": 10})
    await record(payer.till, 2_200)
    assert len(await cases(payer.till)) == 1
    assert (await record(payer.till, 1_000))["pointsEarned"] == 5
    assert (await payer.pay_with_points(200, total=1_000))["spending"]["points"] == 2


async def test_a_merge_takes_the_mark_along(payer: Payer) -> None:
    """PTS-7, IDN-4: becoming another record frees nobody."""
    till = payer.till
    await record(till, 2_200)
    group_id, now = till.shop.places.group.id, till.now
    other = await till.database.run(members.create, group_id=group_id, name=None, now=now)
    card = await till.database.run(
        cards.open_card, member=other, scheme=payer.scheme, store_id=None, now=now
    )
    await till.database.run(
        merging.join_records, survivor_id=other.id, loser_id=till.shop.member.id, now=now
    )
    assert await is_abnormal(till, other.id)
    card_id = type_id("card", card.id)
    assert (await record(till, 1_000, cardId=card_id))["pointsEarned"] == 0
    survivor = replace(payer, card=card)
    assert (await survivor.pay_with_points(200, total=1_000))["__typename"] == "PointsBlocked"
    (case,) = await cases(till)
    assert case["card"] == {"id": card_id}


async def test_a_case_is_cleared_once_by_those_who_may(till: Counter) -> None:
    """PTS-7, ORG-2."""
    await record(till, 2_200)
    (case,) = await cases(till)
    stranger = await counter(till.database, till.now)
    finance = await till.database.run(
        employee, node=till.shop.places.group, role="finance", now=till.now
    )
    async with nothing_moves(till.database):
        assert await clear(till, case["id"], who=till.shop.cashier) == "FORBIDDEN"
        assert await clear(till, case["id"], who=finance) == "FORBIDDEN"
        for reason in ("", " ", "x" * 201, "a\nb"):
            assert await clear(till, case["id"], reason) == "BAD_USER_INPUT"
        assert await clear(till, "pcs_1") == "BAD_USER_INPUT"
        not_found = {"__typename": "PointsCaseNotFound"}
        assert await clear(till, type_id("pcs", new_id())) == not_found
        assert await clear(stranger, case["id"]) == not_found
    support = await till.database.run(
        employee, node=till.shop.places.group, role="support", now=till.now
    )
    assert (await clear(till, case["id"], who=support))["__typename"] == "PointsCase"
    async with nothing_moves(till.database):
        again = await clear(till.later(hours=1), case["id"])
        assert again == {"__typename": "PointsCaseCleared", "since": till.now.isoformat()}


async def test_cases_come_in_pages_for_those_who_may_see_them(till: Counter) -> None:
    """PTS-7."""
    for day in range(3):
        later = await moved_to(till, till.now + timedelta(days=day))
        await record(later, 2_200)
    found = await cases(till)
    dates = [case["businessDate"] for case in found]
    assert dates == ["2026-09-03", "2026-09-02", "2026-09-01"]
    await clear(till, found[1]["id"])
    assert [case["id"] for case in await cases(till, is_open=False)] == [found[1]["id"]]
    still_open = [case["id"] for case in await cases(till, is_open=True)]
    assert still_open == [found[0]["id"], found[2]["id"]]
    scheme = type_id("sch", till.shop.scheme.id)
    page = await till.as_staff(CASES, scheme=scheme, first=2)
    assert page["pageInfo"]["hasNextPage"] is True
    page = await till.as_staff(CASES, scheme=scheme, after=page["pageInfo"]["endCursor"])
    assert [edge["node"]["id"] for edge in page["edges"]] == [found[2]["id"]]
    assert await till.as_staff(CASES, scheme=scheme, who=till.shop.cashier) == "FORBIDDEN"
    assert await till.as_staff(CASES, scheme=scheme, first=101) == "BAD_USER_INPUT"


@pytest.fixture
async def mail(database: Database) -> AsyncIterator[Any]:
    """What was mailed, and the world that mails."""
    async with sandbox() as (state, port):
        settings = settings_for(state, port)
        async with open_outside(settings, DatabaseTokens(database, Clock())) as outside:
            yield state, outside


async def test_the_cases_of_the_day_before_are_mailed_at_midnight(till: Counter, mail: Any) -> None:
    """PTS-7: to each address once, masked (SEC-2), by the scheme's clock."""
    state, outside = mail
    addresses = ["risk@regulars.example", "boss@regulars.example"]
    await set_points_rules(till, abnormal={"above": 10, "mailTo": addresses})
    await record(till, 2_200)
    midnight = datetime(2026, 9, 1, 16, tzinfo=UTC)
    await work(till.database, midnight - timedelta(seconds=1), outside)
    assert state.inbox.to() == []
    today = await moved_to(till, midnight)
    await record(today, 4_200)  # for the next day's mail
    for _ in range(2):
        await work(till.database, midnight, outside)
    assert sorted(message.to for message in state.inbox.to()) == sorted(addresses)
    (message,) = state.inbox.to(addresses[0])
    assert message.subject == "积分异常 2026-09-01 · Abnormal points 2026-09-01"
    number = till.shop.card.number
    assert f"2026-09-01  ******{number[-4:]}  王**  11 > 10" in message.text.splitlines()
    assert "2026-09-02" not in message.text
    assert number not in message.text
    assert "王小明" not in message.text
    assert till.shop.scheme.name in message.text
    await work(till.database, midnight + timedelta(days=1), outside)
    (newest, _) = state.inbox.to(addresses[0])
    assert "21 > 10" in newest.text


async def test_a_day_without_cases_is_not_mailed_and_missed_days_are(
    till: Counter, mail: Any
) -> None:
    """PTS-7."""
    state, outside = mail
    await set_points_rules(till, abnormal={"above": 10, "mailTo": ["risk@regulars.example"]})
    midnight = datetime(2026, 9, 1, 16, tzinfo=UTC)
    await work(till.database, midnight, outside)
    assert state.inbox.to() == []
    await record(await moved_to(till, midnight), 2_200)
    await record(await moved_to(till, midnight + timedelta(days=1)), 4_200)
    await work(till.database, midnight + timedelta(days=3, hours=5), outside)
    (message,) = state.inbox.to()
    assert message.subject.endswith("2026-09-02 – 2026-09-04")
    assert "2026-09-02  " in message.text
    assert "2026-09-03  " in message.text
