"""TIR-1, TIR-5: tiers that were given with a purchase, or written by staff and partners."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database, Transaction
from app.core.errors import BadInput
from app.core.ids import new_id, type_id
from app.models.cards import CardStatus
from app.models.staff import Permission
from app.models.tiers import GrantSource
from app.services import cards, tiers
from resolvers.root import admin_schema
from tests.factories.cards import Counter, counter
from tests.factories.ledger import nothing_moves
from tests.factories.member_codes import freeze
from tests.factories.partners import partner, principal_of
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.tiers import (
    SET_TIER,
    SHANGHAI_MIDNIGHT,
    at,
    changes,
    expire,
    progress,
    release,
    row,
    set_tier,
    standing,
    tier_id,
    two_more_tiers,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai."""
    return await counter(database, now)


# Given


async def grant(
    tx: Transaction, till: Counter, name_id: Any, source_id: Any, months: int | None
) -> None:
    card = await cards.locked(tx, till.shop.card)
    await tiers.grant(
        tx, card=card, tier_id=name_id, source=GrantSource.TOP_UP, source_id=source_id,
        months=months, now=till.now,
    )  # fmt: skip


async def end_grant(tx: Transaction, till: Counter, source_id: Any) -> None:
    card = await cards.locked(tx, till.shop.card)
    await tiers.end_grants(
        tx, card=card, source=GrantSource.TOP_UP, source_id=source_id, now=till.now
    )


async def test_a_tier_that_was_given_stays_when_growth_falls(till: Counter) -> None:
    """TIR-1: the higher one of what was given and what growth reaches."""
    await release(till)
    gold, order = await tier_id(till, "Gold"), new_id()
    await till.database.run(grant, till, gold, order, 6)
    assert await standing(till) == ("Gold", 0)
    bought = await purchase_of(till, 10_000)
    assert await standing(till) == ("Gold", 100)
    assert (await row(till)).growth_tier_id == await tier_id(till, "Silver")
    await refund(till, bought, 10_000)
    assert await standing(till) == ("Gold", 0)
    await record(till, 10_000)
    await till.database.run(end_grant, till, order)
    assert await standing(till) == ("Silver", 100), "what growth reached was there all the time"
    assert await changes(till) == [("Green", "Gold", "GRANT"), ("Gold", "Silver", "GRANT_ENDED")]
    await till.database.run(end_grant, till, order)
    await till.database.run(grant, till, gold, order, 6)
    assert await standing(till) == ("Silver", 100), "a source gives once"


async def test_a_tier_that_was_given_ends_with_its_months(till: Counter) -> None:
    """TIR-1: bought for six months from 1 September: until the end of 1 March in Shanghai."""
    await release(till)
    gold, silver = await tier_id(till, "Gold"), await tier_id(till, "Silver")
    await till.database.run(grant, till, gold, new_id(), 6)
    await till.database.run(grant, till, silver, new_id(), None)
    assert (await progress(till))["expiresAt"] == SHANGHAI_MIDNIGHT.isoformat()
    march = await at(till, SHANGHAI_MIDNIGHT - timedelta(seconds=1))
    assert await expire(march) == 0
    march = await at(till, SHANGHAI_MIDNIGHT)
    assert await expire(march) == 1
    assert await standing(march) == ("Silver", 0)
    assert (await progress(march))["expiresAt"] is None
    assert await changes(march) == [("Green", "Gold", "GRANT"), ("Gold", "Silver", "GRANT_ENDED")]


async def test_what_growth_reaches_above_a_grant_counts(till: Counter) -> None:
    await release(till)
    await till.database.run(grant, till, await tier_id(till, "Silver"), new_id(), None)
    bought = await purchase_of(till, 100_000)
    assert await standing(till) == ("Gold", 1_000)
    await refund(till, bought, 100_000)
    assert await standing(till) == ("Silver", 0), "down to what was given"


async def test_what_nobody_can_give(till: Counter) -> None:
    await release(till)
    async with nothing_moves(till.database):
        with pytest.raises(tiers.TierNotFound):
            await till.database.run(grant, till, new_id(), new_id(), None)
        with pytest.raises(BadInput):
            await till.database.run(grant, till, await tier_id(till, "Gold"), new_id(), 121)


# Written by staff and partners


async def test_a_scheme_that_only_records_has_the_tier_that_was_written(till: Counter) -> None:
    """TIR-5: up and down, whoever writes; growth computes nothing."""
    await two_more_tiers(till)
    for name, by in (("Gold", till.shop.owner), ("Silver", None), ("Gold", till.shop.owner)):
        if by:
            answer = await set_tier(till, name, who=by)
        else:
            answer = await as_partner(till, name)
        assert answer == {"__typename": "Card", "tier": {"name": name}}
    await record(till, 1_000_000)
    assert await standing(till) == ("Gold", 0)
    assert await set_tier(till, None) == {"__typename": "Card", "tier": {"name": "Green"}}
    assert await changes(till) == [
        ("Green", "Gold", "GRANT"),
        ("Gold", "Silver", "GRANT"),
        ("Silver", "Gold", "GRANT"),
        ("Gold", "Green", "GRANT"),
    ]


async def test_a_tier_that_was_written_until_a_day_ends_then(till: Counter) -> None:
    """TIR-5: in a scheme that only records the lowest tier follows."""
    await two_more_tiers(till)
    end = till.now + timedelta(days=30)
    await set_tier(till, "Gold", expiresAt=end.isoformat())
    assert (await progress(till))["expiresAt"] == end.isoformat()
    october = await at(till, end)
    assert await expire(october) == 1
    assert await standing(october) == ("Green", 0)
    assert await changes(october) == [("Green", "Gold", "GRANT"), ("Gold", "Green", "EXPIRY")]


async def test_where_tiers_are_computed_one_written_is_a_grant(till: Counter) -> None:
    """TIR-1, TIR-5: the last one written counts, beside what growth reaches."""
    await release(till)
    await set_tier(till, "Gold")
    assert await standing(till) == ("Gold", 0)
    await record(till, 10_000)
    assert await as_partner(till, "Silver") == {"__typename": "Card", "tier": {"name": "Silver"}}
    assert await set_tier(till, None) == {"__typename": "Card", "tier": {"name": "Silver"}}
    assert await changes(till) == [("Green", "Gold", "GRANT"), ("Gold", "Silver", "GRANT")]
    end = till.now + timedelta(days=30)
    await set_tier(till, "Gold", expiresAt=end.isoformat())
    october = await at(till, end)
    assert await expire(october) == 1
    assert await standing(october) == ("Silver", 100)


async def test_tiers_are_written_by_those_who_may(till: Counter) -> None:
    """ORG-1, ORG-2: with `tiers:grant` where the scheme was made."""
    await two_more_tiers(till)
    async with nothing_moves(till.database):
        assert await set_tier(till, "Gold", who=till.shop.cashier) == "FORBIDDEN"
        assert await as_partner(till, "Gold", Permission.CARDS_READ) == "FORBIDDEN"
        unknown = {"__typename": "CardNotFound"}
        assert await set_tier(till, "Gold", cardId=type_id("card", new_id())) == unknown
        no_tier = {"__typename": "TierNotFound"}
        assert await set_tier(till, None, tierId=type_id("tier", new_id())) == no_tier
        past = till.now.isoformat()
        assert await set_tier(till, "Gold", expiresAt=past) == "BAD_USER_INPUT"
        future = (till.now + timedelta(days=1)).isoformat()
        assert await set_tier(till, None, expiresAt=future) == "BAD_USER_INPUT"
        assert await set_tier(till, "Gold", reason="") == "BAD_USER_INPUT"
        assert await set_tier(till, "Gold", reason="x" * 201) == "BAD_USER_INPUT"
    await till.database.run(freeze, till.shop.card, CardStatus.REFUNDED)
    async with nothing_moves(till.database):
        assert await set_tier(till, "Gold") == {"__typename": "CardNotUsable", "status": "REFUNDED"}


async def as_partner(till: Counter, name: str, *scopes: Permission) -> Any:
    client = await till.database.run(
        partner,
        node=till.shop.places.group,
        scopes=scopes or [Permission.TIERS_GRANT],
        now=till.now,
    )
    given = {"cardId": till.card_id, "tierId": type_id("tier", await tier_id(till, name))}
    return await till.ask(
        admin_schema,
        SET_TIER,
        principal_of(client.client, now=till.now),
        {"input": given | {"reason": "Says the shop's own system"}},
    )
