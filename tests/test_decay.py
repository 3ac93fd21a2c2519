"""PTS-9: points that nobody used for N months lose P percent each month."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from app.core.db import Database, statement
from app.core.ids import type_id
from app.models.cards import CardStatus
from app.models.ledger import Posting, PostingKind
from app.models.operations import Job
from app.services import cards, ledger, members, points
from app.services.merges import merging
from tests.factories.behaviour import expiring, moved_to, set_points_rules, work
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account
from tests.factories.member_codes import freeze
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.reading import every
from tests.factories.spendings import a_payer

pytestmark = pytest.mark.anyio

LINES = """query ($id: ID!) { card(id: $id) { ledger(first: 100) { edges { node {
  cause amount balanceAfter occurredAt } } } } }"""
DECAY = {"afterMonths": 6, "basisPoints": 1_000}

decays = statement(select(Posting).where(col(Posting.kind) == PostingKind.DECAY), into=Posting)
open_jobs = statement(select(Job).where(col(Job.done_at).is_(None)), into=Job)


@pytest.fixture
async def till(database: Database) -> Counter:
    """10 % of what was not used for 6 months is cleared here; it is 15 January in Shanghai."""
    till = await counter(database, datetime(2026, 1, 15, 4, tzinfo=UTC))
    await set_points_rules(till, decay=DECAY)
    return till


def first_of(month: int, year: int = 2026) -> datetime:
    """The beginning of a month in Shanghai."""
    return datetime(year, month, 1, tzinfo=UTC) - timedelta(hours=8)


async def balance(till: Counter) -> int:
    assert await till.database.scan(ledger.check) == []
    return (await account(till.database, till.shop.card.id)).balance


async def decay(till: Counter, at: datetime, **more: Any) -> int:
    """As the job of that month does."""
    return await till.database.run(
        points.decay, scheme_id=till.shop.scheme.id, due_at=at, now=at, **more
    )


async def test_unused_points_become_fewer_each_month(till: Counter) -> None:
    """PTS-9: 1,005 points of 15 January: on 1 August 100 go, of 905 then 90, of 815 then 81."""
    await record(till, 201_000)
    balances = {}
    for month in range(2, 11):
        await work(till.database, first_of(month) - timedelta(seconds=1))
        await work(till.database, first_of(month))
        balances[month] = await balance(till)
    assert balances == dict.fromkeys(range(2, 8), 1_005) | {8: 905, 9: 815, 10: 734}
    shown = await till.as_member(LINES, id=till.card_id)
    newest = shown["ledger"]["edges"][0]["node"]
    occurred_at = datetime.fromisoformat(newest.pop("occurredAt"))
    assert newest == {"cause": "DECAY", "amount": -81, "balanceAfter": 734}
    assert occurred_at == first_of(10)


@pytest.mark.parametrize(("used", "left"), [("2026-01-31T16:00", 90), ("2026-01-31T16:00:01", 100)])
async def test_months_are_counted_to_the_moment(till: Counter, used: str, left: int) -> None:
    """PTS-9: six months before 1 August, midnight in Shanghai, and a second later."""
    await record(await moved_to(till, datetime.fromisoformat(used).replace(tzinfo=UTC)), 20_000)
    await work(till.database, first_of(8))
    assert await balance(till) == left


async def test_a_month_decays_once(till: Counter) -> None:
    """PTS-9: however often it runs, and by however many workers."""
    await record(till, 20_000)
    assert [await decay(till, first_of(8)) for _ in range(3)] == [1, 0, 0]
    assert await balance(till) == 90
    await till.database.run(points.decay, scheme_id=till.shop.scheme.id, due_at=first_of(8),
                            now=first_of(8) + timedelta(days=3))  # fmt: skip
    assert len(await every(till.database, decays)) == 1


async def test_whoever_uses_points_keeps_them(database: Database) -> None:
    """PTS-9: earning, spending and getting back are uses; decay itself is none."""
    payer = await a_payer(database, datetime(2026, 1, 15, 4, tzinfo=UTC))
    shop = replace(payer.till.shop, scheme=payer.scheme, card=payer.card)
    till = replace(payer.till, shop=shop)
    await set_points_rules(till, decay=DECAY, payment={"points": 1, "worth": 100})
    purchase_id = await purchase_of(till, 20_000)
    may = await moved_to(till, datetime(2026, 5, 1, tzinfo=UTC))
    spent = await replace(payer, till=may).pay_with_points(100, total=1_000)
    assert spent["__typename"] == "SpendingCharged"
    june = await moved_to(till, datetime(2026, 6, 1, tzinfo=UTC))
    await refund(june, purchase_id, 200)
    assert await decay(till, first_of(11)) == 0
    assert await decay(till, first_of(12)) == 0
    assert await balance(till) == 98
    assert await decay(till, first_of(1, 2027)) == 1
    assert await balance(till) == 89
    assert await decay(till, first_of(2, 2027)) == 1
    assert await balance(till) == 81


async def test_a_purchase_on_a_card_that_was_merged_is_a_use(till: Counter) -> None:
    """IDN-4, PTS-9: by the same person; the merge itself is none."""
    group_id, now = till.shop.places.group.id, till.now
    other = await till.database.run(members.create, group_id=group_id, name=None, now=now)
    card = await till.database.run(
        cards.open_card, member=other, scheme=till.shop.scheme, store_id=None, now=now
    )
    await record(till, 20_000)
    march = await moved_to(till, datetime(2026, 3, 15, tzinfo=UTC))
    await record(march, 2_000, cardId=type_id("card", card.id))
    await till.database.run(
        merging.join_records, survivor_id=till.shop.member.id, loser_id=other.id,
        now=datetime(2026, 7, 1, tzinfo=UTC),
    )  # fmt: skip
    assert await decay(till, first_of(9)) == 0
    assert await decay(till, first_of(10)) == 1
    assert await balance(till) == 99


async def test_what_expires_at_that_moment_does_not_decay_as_well(till: Counter) -> None:
    """PTS-4, PTS-9: 50 points are cleared as August begins; of the other 50 five go."""
    await record(till, 10_000)
    await set_points_rules(till, decay=DECAY, expiry={"rule": "MONTHLY", "count": 6})
    await record(till, 10_000)
    assert await expiring(till) == [(50, first_of(8))]
    assert await decay(till, first_of(8)) == 1
    assert await balance(till) == 95
    await till.database.run(ledger.expire_due, now=first_of(8))
    assert await balance(till) == 45


async def test_less_than_a_point_stays(till: Counter) -> None:
    """PTS-9: floor of the share."""
    await record(till, 1_800)
    assert await decay(till, first_of(8)) == 0
    assert await balance(till) == 9


async def test_a_frozen_card_keeps_what_it_holds(till: Counter) -> None:
    """CRD-3, PTS-9: nobody could use it."""
    await record(till, 20_000)
    await till.database.run(freeze, till.shop.card, CardStatus.FROZEN)
    assert await decay(till, first_of(8)) == 0
    assert await balance(till) == 100


async def test_batches_follow_each_other(till: Counter) -> None:
    """PTS-9: each batch writes down the next one together with its postings."""
    await record(till, 20_000)
    group_id = till.shop.places.group.id
    for _ in range(4):
        other = await till.database.run(members.create, group_id=group_id, name=None, now=till.now)
        card = await till.database.run(
            cards.open_card, member=other, scheme=till.shop.scheme, store_id=None, now=till.now
        )
        await record(till, 20_000, cardId=type_id("card", card.id))
    assert await decay(till, first_of(8), at_most=2) == 2
    assert [job.kind for job in await every(till.database, open_jobs)] == ["points.decay"]
    await work(till.database, first_of(8))
    assert len(await every(till.database, decays)) == 5
    assert await till.database.scan(ledger.check) == []


async def test_without_the_rule_nothing_decays(till: Counter) -> None:
    """PTS-9: what was due when it was taken away does not happen either."""
    await record(till, 20_000)
    await set_points_rules(till)
    assert await decay(till, first_of(8)) == 0
    await work(till.database, first_of(8))
    assert await balance(till) == 100
