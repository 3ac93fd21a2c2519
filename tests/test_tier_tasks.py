"""TIR-1: tiers that a member reaches by what they do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database, Transaction, light
from app.core.ids import new_id
from app.models.behaviour import MemberEvent
from app.services import cards, schemes, tiers
from tests.factories.cards import Counter, counter
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.tiers import (
    HALF_A_YEAR,
    SHANGHAI_MIDNIGHT,
    at,
    changes,
    expire,
    later,
    not_by_growth,
    progress,
    release,
    standing,
)

pytestmark = pytest.mark.anyio

THREE_PURCHASES = {"kind": "PURCHASES", "atLeast": 3, "windowMonths": 6}
FOR_50 = {"kind": "AMOUNT", "atLeast": 5_000, "windowMonths": None}
TWO_REVIEWS = {"kind": "EVENTS", "eventKey": "review", "atLeast": 2, "windowMonths": 1}
new_event = light(MemberEvent)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai."""
    return await counter(database, now)


async def test_all_of_a_tiers_tasks_lead_to_it(till: Counter) -> None:
    """TIR-1: 3 purchases and 50.00, in any order; what is missing is shown."""
    await release(
        till, not_by_growth("Regular", tasks=[THREE_PURCHASES, FOR_50]), validity=HALF_A_YEAR,
        growthRate=0,
    )  # fmt: skip
    await record(till, 4_000)
    await record(till, 500)
    shown = await progress(till)
    assert shown == {
        "tier": {"name": "Regular"},
        "growthNeeded": None,
        "growthGained": 0,
        "expiresAt": None,
        "tasks": [
            {"kind": "PURCHASES", "eventKey": None, "atLeast": 3, "reached": 2},
            {"kind": "AMOUNT", "eventKey": None, "atLeast": 5_000, "reached": 4_500},
        ],
    }
    await record(till, 499)
    assert await standing(till) == ("Green", 0)
    await record(till, 1)
    assert await standing(till) == ("Regular", 0)
    assert await changes(till) == [("Green", "Regular", "GRANT")]
    top: dict[str, Any] = {"tier": None, "growthNeeded": None, "growthGained": 0, "tasks": []}
    assert await progress(till) == top | {"expiresAt": SHANGHAI_MIDNIGHT.isoformat()}


async def test_tasks_count_what_was_kept_in_their_months(till: Counter) -> None:
    """TIR-1: a whole refund takes a purchase away, a part some of its amount."""
    await release(till, not_by_growth("Regular", tasks=[THREE_PURCHASES, FOR_50]), growthRate=0)
    early = (till.now - timedelta(days=20)).isoformat()
    first = await purchase_of(till, 3_000, occurredAt=early)
    await refund(till, first, 3_000)
    second = await purchase_of(till, 3_000, payments={"cash": 2_000, "voucher": 1_000})
    await refund(till, second, 1_500)
    assert [each["reached"] for each in (await progress(till))["tasks"]] == [1, 1_000]
    spring = await at(till, datetime(2027, 3, 2, 4, 0, tzinfo=UTC))
    assert [each["reached"] for each in (await progress(spring))["tasks"]] == [0, 1_000]


async def test_a_refund_takes_back_a_tier_that_its_purchase_brought(till: Counter) -> None:
    """TIR-1: two purchases are left of three; the next one brings the tier again."""
    await release(till, not_by_growth("Regular", tasks=[THREE_PURCHASES]), growthRate=0)
    bought = [await purchase_of(till, 1_000) for _ in range(3)]
    assert await standing(till) == ("Regular", 0)
    await refund(till, bought[0], 999)
    assert await standing(till) == ("Regular", 0)
    await refund(till, bought[0], 1)
    assert await standing(till) == ("Green", 0)
    await record(await later(till, seconds=1), 1_000)
    assert await standing(till) == ("Regular", 0)
    assert [why for _, _, why in await changes(till)] == ["GRANT", "GRANT_ENDED", "GRANT"]


async def test_what_led_to_a_tier_once_does_not_lead_to_it_again(till: Counter) -> None:
    """TIR-1, TIR-4: a tier by tasks ends with its validity unless they are fulfilled anew."""
    tasks = [{"kind": "PURCHASES", "atLeast": 3, "windowMonths": None}]
    await release(till, not_by_growth("Regular", tasks=tasks), validity=HALF_A_YEAR, growthRate=0)
    for _ in range(3):
        await record(till, 1_000)
    end = (await progress(till))["expiresAt"]
    assert end == SHANGHAI_MIDNIGHT.isoformat()
    autumn = await later(till, days=30)
    for _ in range(2):
        await record(autumn, 1_000)
    assert (await progress(autumn))["expiresAt"] == end
    march = await at(till, SHANGHAI_MIDNIGHT)
    assert await expire(march) == 1
    assert await standing(march) == ("Green", 0)
    assert [each["reached"] for each in (await progress(march))["tasks"]] == [2]
    await record(march, 1_000)
    assert await standing(march) == ("Regular", 0)


async def did(tx: Transaction, till: Counter, key: str) -> None:
    """The member did something, and their card may get a tier for it."""
    event = new_event(
        group_id=till.shop.places.group.id,
        member_id=till.shop.member.id,
        event_key=key,
        source="test",
        external_id=new_id().hex,
        business_date=till.now.date(),
        occurred_at=till.now,
    )
    await tx.insert(event)
    card = await cards.locked(tx, till.shop.card)
    scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
    await tiers.after_event(tx, card=card, scheme=scheme, now=till.now)


async def test_events_fulfil_tasks(till: Counter) -> None:
    """TIR-1: two reviews within a month; others and older ones do not count."""
    await release(till, not_by_growth("Critic", tasks=[TWO_REVIEWS]), growthRate=0)
    await till.database.run(did, till, "review")
    october = await later(till, days=40)
    for key in ("visit", "visit", "review"):
        await till.database.run(did, october, key)
    assert await standing(till) == ("Green", 0)
    assert [each["reached"] for each in (await progress(october))["tasks"]] == [1]
    await till.database.run(did, october, "review")
    assert await standing(till) == ("Critic", 0)
