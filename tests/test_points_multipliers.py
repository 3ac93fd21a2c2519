"""PTS-1: a multiplier benefit multiplies what purchases earn, and refunds take back accordingly."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.ledger import AccountKind
from app.services import ledger
from tests.factories.benefits import (
    DEACTIVATE,
    UPDATE,
    a_benefit,
    active,
    an_edit,
    born,
    grant,
    node_id,
)
from tests.factories.cards import Counter, a_tier, counter
from tests.factories.ledger import account
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.spendings import bring
from tests.factories.tiers import later
from tests.test_points_rules import statements_of_a_purchase

pytestmark = pytest.mark.anyio

MULTIPLIER = """query ($id: ID!) { purchase(id: $id) {
  pointsEarned pointsMultiplierBasisPoints pointsTakenBack } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """12:00 in UTC on Tuesday 1 September 2026: 20:00 in the shop."""
    return await counter(database, now)


def times(multiplier: int) -> dict[str, Any]:
    return {"pointsMultiplier": {"multiplierBasisPoints": multiplier}}


async def earned(till: Counter, total: int = 10_00, /, **more: Any) -> int:
    recorded = await record(till, total, **more)
    assert recorded["__typename"] == "PurchaseRecorded", recorded
    return int(recorded["pointsEarned"])


def items(*named: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"itemId": item, "name": item, "paidAmount": amount} for item, amount in named]


async def test_pts_1_the_best_multiplier_that_holds_counts_once_and_is_floored(
    till: Counter,
) -> None:
    """1 point for each whole 2.00: 10.00 earns 5."""
    assert await earned(till) == 5
    given = a_benefit(till, times(15_000))
    made = await active(till, times(15_000))
    assert await earned(till) == 7  # 7.5
    assert await earned(till, 3_99) == 1
    assert await earned(till, 1_99) == 0
    gold = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Gold")
    elsewhere = node_id(till.shop.places.tea)
    await active(till, times(90_000), scope={"tierIds": [type_id("tier", gold.id)]})
    await active(till, times(80_000), scope={"includedNodeIds": [elsewhere]})
    await active(till, times(70_000), scope={"channels": ["ONLINE"]})
    assert await earned(till) == 7
    assert await earned(till, terminalId=till.other_terminal_id) == 40
    best = await active(till, times(30_000))
    assert await earned(till) == 15  # the best alone, not one on top of the other
    edit = an_edit(best, given, details=times(25_000))
    assert (await till.as_staff(UPDATE, input=edit))["__typename"] == "Benefit"
    assert await earned(till) == 12
    for each in (best, made):
        await till.as_staff(DEACTIVATE, input={"id": each["id"]})
    assert await earned(till) == 5
    assert await till.database.scan(ledger.check) == []


async def test_pts_1_a_refund_takes_back_by_the_multiplier_the_purchase_earned_by(
    till: Counter,
) -> None:
    made = await active(till, times(15_000))
    bought = await purchase_of(till, 10_00)
    await till.as_staff(DEACTIVATE, input={"id": made["id"]})

    async def taken(amount: int) -> int:
        answer = await refund(till, bought, amount)
        return int(answer["refund"]["pointsTaken"])

    # 7 points for 10.00; what stays of 8.00 is 4 × 1.5 = 6, of 4.00 it is 3, of nothing nothing.
    assert [await taken(2_00), await taken(1_00), await taken(3_00), await taken(4_00)] == [
        *(1, 2, 1, 3)
    ]
    shown = await till.as_staff(MULTIPLIER, id=bought)
    assert shown == {
        "pointsEarned": 7,
        "pointsMultiplierBasisPoints": 15_000,
        "pointsTakenBack": 7,
    }
    assert (await account(till.database, till.shop.card.id)).balance == 0
    plain = await purchase_of(till, 10_00)
    await active(till, times(100_000))
    assert (await refund(till, plain, 10_00))["refund"]["pointsTaken"] == 5
    assert await till.database.scan(ledger.check) == []


async def test_pts_1_what_was_given_multiplies_and_special_days_do_when_the_bill_was_made(
    till: Counter,
) -> None:
    silver = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Silver")
    made = await active(till, times(20_000), scope={"tierIds": [type_id("tier", silver.id)]})
    assert await earned(till) == 5
    await till.database.run(
        grant, card_id=till.card_id, benefit=made, source_id=new_id(), now=till.now,
        starts_at=till.now - timedelta(hours=2), ends_at=till.now + timedelta(hours=1),
    )  # fmt: skip
    assert await earned(till) == 10
    before = (till.now - timedelta(hours=3)).isoformat()
    assert await earned(till, occurredAt=before) == 5
    assert await earned(till.later(hours=1)) == 5
    # Fridays from 22:00 to 02:00: a bill of the night that is reported in the morning counts.
    fridays = {
        "timeZone": "Asia/Shanghai",
        "recurrence": {"kind": "WEEKLY", "days": [5]},
        "window": {"start": "22:00", "end": "02:00"},
    }
    perk = {"multiplierBasisPoints": 30_000}
    await active(till, {"memberDay": {"schedule": fridays, "perk": perk}})
    saturday = await later(till, days=3, hours=15)  # 5 September, 11:00
    assert await earned(saturday) == 5
    assert await earned(saturday, occurredAt="2026-09-04T17:59:00Z") == 15
    assert await earned(saturday, occurredAt="2026-09-04T18:00:00Z") == 5
    await till.database.run(born, member_id=till.shop.member.id, on="1990-09-05")
    await active(till, {"birthday": {"period": "DAY", "perk": {"multiplierBasisPoints": 40_000}}})
    assert await earned(saturday) == 20


async def test_ben_2_restrictions_decide_about_a_multiplier_too(till: Counter) -> None:
    await active(
        till,
        times(20_000),
        currency="CNY",
        restrictions={
            "storedValueFrom": 5_00,
            "coversOutstanding": True,  # of a bill that is paid nothing is outstanding
            "excludedItemIds": ["CAKE"],
        },
    )
    cake, both = items(("CAKE", 10_00)), items(("CAKE", 9_00), ("TEA", 1_00))
    assert await earned(till, lines=both) == 5
    await till.database.run(bring, till.shop.card, AccountKind.CASH, 5_00, now=till.now)
    assert await earned(till, lines=both) == 10
    assert await earned(till) == 10
    assert await earned(till, lines=cake) == 5


async def test_pts_1_a_purchase_without_multipliers_costs_no_more_for_other_benefits(
    till: Counter,
) -> None:
    await record(till, 10_00)
    before = await statements_of_a_purchase(till)
    await active(till, {"memberDiscount": {"discountBasisPoints": 1_000}})
    assert await statements_of_a_purchase(till) == before
    await active(till, times(20_000))
    # The grants, the benefits with their scopes and places, the scheme, and what scopes ask about.
    assert await statements_of_a_purchase(till) == before + 11
