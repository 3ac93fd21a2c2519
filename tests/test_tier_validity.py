"""TIR-3, TIR-4, PTS-4: how long a tier lasts, and what follows it."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Database, Transaction, statement
from app.core.points_expiry import PointsExpiry
from app.models.cards import Scheme
from app.models.ledger import AccountKind
from app.services import ledger
from app.services.ledger.sheet import spending_order
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.reading import every
from tests.factories.tiers import (
    SHANGHAI_MIDNIGHT,
    a_tier,
    at,
    changes,
    expire,
    in_window,
    later,
    progress,
    release,
    row,
    standing,
)

pytestmark = pytest.mark.anyio

change_expiry = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(points_expiry=bindparam("new_rule"))
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai."""
    return await counter(database, now)


@pytest.mark.parametrize(
    ("reached_at", "validity", "ends_at"),
    [
        # 1 September + 6 months = 1 March, and until the end of that day.
        ((2026, 9, 1, 12), ("DAY_AFTER_MONTHS", 6), (2027, 3, 1, 16)),
        # In Shanghai that is 2 September already.
        ((2026, 9, 1, 16), ("DAY_AFTER_MONTHS", 6), (2027, 3, 2, 16)),
        # 29 February comes again in four years only.
        ((2028, 2, 29, 4), ("DAY_AFTER_MONTHS", 12), (2029, 2, 28, 16)),
        ((2026, 8, 31, 4), ("DAY_AFTER_MONTHS", 6), (2027, 2, 28, 16)),
        ((2026, 9, 1, 12), ("END_OF_MONTH", 6), (2027, 3, 31, 16)),
        ((2026, 12, 31, 15), ("END_OF_MONTH", 1), (2027, 1, 31, 16)),
        # New Year in Shanghai.
        ((2026, 12, 31, 16), ("END_OF_MONTH", 1), (2027, 2, 28, 16)),
        ((2028, 1, 31, 4), ("END_OF_MONTH", 1), (2028, 2, 29, 16)),
        ((2026, 9, 1, 12), ("PERMANENT", 0), None),
    ],
)
async def test_a_tier_lasts_from_each_upgrade(
    till: Counter,
    reached_at: tuple[int, int, int, int],
    validity: tuple[str, int],
    ends_at: tuple[int, int, int, int] | None,
) -> None:
    """TIR-4: the day after X months, or the end of the month after, where the scheme is."""
    then = await at(till, datetime(*reached_at, tzinfo=UTC))
    lasts = dict(zip(("rule", "months"), validity, strict=True))
    await release(then, in_window("Silver", 100, 12), validity=lasts)
    await record(then, 10_000)
    end = datetime(*ends_at, tzinfo=UTC) if ends_at else None
    assert (await row(till)).growth_tier_expires_at == end
    shown = (await progress(then))["expiresAt"]
    assert shown == (end.isoformat() if end else None)
    if end is None:
        assert await expire(then.later(days=36_500)) == 0
        return
    assert await expire(then.later(seconds=(end - then.now).total_seconds() - 1)) == 0
    assert await expire(then.later(seconds=(end - then.now).total_seconds())) == 1


async def test_a_tier_reached_by_what_was_accumulated_never_expires(till: Counter) -> None:
    """TIR-4: whatever the validity; one reached in a window falls back to it."""
    lasts = {"rule": "DAY_AFTER_MONTHS", "months": 6}
    await release(till, a_tier("Silver", 100), in_window("Gold", 1_000, 3), validity=lasts)
    await record(till, 10_000)
    assert (await row(till)).growth_tier_expires_at is None
    await record(till, 90_000)
    assert await standing(till) == ("Gold", 1_000)
    assert (await progress(till))["expiresAt"] == SHANGHAI_MIDNIGHT.isoformat()
    march = await at(till, SHANGHAI_MIDNIGHT)
    assert await expire(march) == 1
    assert await standing(march) == ("Silver", 1_000)
    assert (await row(till)).growth_tier_expires_at is None
    assert await changes(march) == [
        ("Green", "Silver", "GROWTH"),
        ("Silver", "Gold", "GROWTH"),
        ("Gold", "Silver", "EXPIRY"),
    ]


async def test_within_its_validity_only_lost_growth_lowers_a_tier(till: Counter) -> None:
    """TIR-3, TIR-4: a purchase never costs a tier that is still valid; a refund does."""
    lasts = {"rule": "DAY_AFTER_MONTHS", "months": 6}
    await release(till, in_window("Silver", 100, 1), validity=lasts)
    await record(till, 10_000)
    winter = await later(till, days=90)
    bought = await purchase_of(winter, 1_000)
    assert await standing(winter) == ("Silver", 110)
    await refund(winter, bought, 1_000)
    assert await standing(winter) == ("Green", 100)


@pytest.mark.parametrize(
    ("rule", "since", "tier"),
    [
        # In the last 12 months: what brought Silver, and what came since.
        ("BY_RULE", 5_000, "Silver"),
        ("BY_RULE", 0, "Silver"),
        # Since it was reached: what brought it does not keep it.
        ("SINCE_UPGRADE", 5_000, "Green"),
        ("SINCE_UPGRADE", 10_000, "Silver"),
        ("SINCE_UPGRADE", 0, "Green"),
    ],
)
async def test_what_follows_a_tier_that_ran_out(
    till: Counter, rule: str, since: int, tier: str
) -> None:
    """TIR-4: by the tiers' own rules, or by the growth gained since the last upgrade."""
    lasts = {"rule": "DAY_AFTER_MONTHS", "months": 6}
    await release(till, in_window("Silver", 100, 12), validity=lasts, afterExpiry=rule)
    await record(till, 10_000)
    autumn = await later(till, days=30)
    if since:
        await record(autumn, since)
    march = await at(till, SHANGHAI_MIDNIGHT)
    assert await expire(march) == 1
    assert (await standing(march))[0] == tier
    again = datetime(2027, 9, 2, 16, 0, tzinfo=UTC)  # for six months from 2 March on
    assert (await row(till)).growth_tier_expires_at == (again if tier == "Silver" else None)
    assert await changes(march) == [("Green", "Silver", "GROWTH")] + (
        [("Silver", "Green", "EXPIRY")] if tier == "Green" else []
    )
    assert await expire(march) == 0


async def test_since_an_upgrade_growth_may_reach_less_and_more(till: Counter) -> None:
    """TIR-4: 150 gained since is Silver, not Gold; what was accumulated goes on counting."""
    lasts = {"rule": "END_OF_MONTH", "months": 1}
    await release(
        till,
        in_window("Silver", 100, 12),
        in_window("Gold", 1_000, 12),
        validity=lasts,
        afterExpiry="SINCE_UPGRADE",
    )
    await record(till, 100_000)
    assert await standing(till) == ("Gold", 1_000)
    await record(await later(till, days=1), 15_000)
    november = await at(till, datetime(2026, 10, 31, 16, 0, tzinfo=UTC))
    assert await expire(november) == 1
    assert await standing(november) == ("Silver", 1_150)


async def test_a_purchase_finds_a_tier_that_is_over_before_anybody_ended_it(till: Counter) -> None:
    """TIR-4: the tier of before does not stay because a minute has not passed yet."""
    lasts = {"rule": "DAY_AFTER_MONTHS", "months": 6}
    await release(till, in_window("Silver", 100, 3), validity=lasts, onGrowthChange="UPGRADE_ONLY")
    await record(till, 10_000)
    march = await at(till, SHANGHAI_MIDNIGHT)
    await record(march, 1_000)
    assert await standing(march) == ("Green", 110)
    assert await expire(march) == 0
    assert await changes(march) == [("Green", "Silver", "GROWTH"), ("Silver", "Green", "EXPIRY")]


async def test_points_that_expire_with_the_tier_follow_its_end(till: Counter) -> None:
    """PTS-4: those earned before and by the upgrade alike; what is due stays due."""
    await till.database.run(set_points_expiry, till, PointsExpiry.WITH_TIER)
    lasts = {"rule": "DAY_AFTER_MONTHS", "months": 6}
    await release(till, in_window("Silver", 100, 12), in_window("Gold", 200, 12), validity=lasts)
    await record(till, 5_000)
    assert await ends_of_points(till) == {None}
    await record(till, 5_000)
    assert await standing(till) == ("Silver", 100)
    assert await ends_of_points(till) == {SHANGHAI_MIDNIGHT}
    autumn = await later(till, days=30)
    await record(autumn, 10_000)
    assert await standing(autumn) == ("Gold", 200)
    end = datetime(2027, 4, 1, 16, 0, tzinfo=UTC)
    assert await ends_of_points(till) == {end}
    april = await at(till, end)
    assert await expire(april) == 1
    assert (await row(till)).growth_tier_expires_at != end, "Gold again, by its rule"
    assert await ends_of_points(till) == {end}
    assert len(await till.database.run(ledger.expire_due, now=april.now)) == 1
    assert (await account(till.database, till.shop.card.id)).balance == 0


async def set_points_expiry(tx: Transaction, till: Counter, rule: PointsExpiry) -> None:
    await tx.changed(change_expiry, scheme_id=till.shop.scheme.id, new_rule=rule)


async def ends_of_points(till: Counter) -> set[datetime | None]:
    points = await account(till.database, till.shop.card.id, AccountKind.POINTS)
    lots = await every(till.database, spending_order, account_id=points.id)
    return {lot.expires_at for lot in lots}
