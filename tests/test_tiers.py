"""TIR-1 to TIR-4: which tier a card has, how long, and why it changes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Database, Transaction, light, statement
from app.core.errors import BadInput
from app.core.ids import new_id, type_id
from app.core.points_expiry import PointsExpiry
from app.models.behaviour import MemberEvent
from app.models.cards import Card, CardStatus, Scheme
from app.models.ledger import AccountKind
from app.models.staff import Permission
from app.models.tiers import GrantSource, TierCause
from app.services import cards, ledger, members, schemes, tiers
from app.services.ledger.sheet import spending_order
from app.services.merges.merging import join_records
from resolvers.root import admin_schema
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_codes import freeze
from tests.factories.partners import partner, principal_of
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.reading import every
from tests.factories.running import EVENTS, a_running_app
from tests.factories.tiers import (
    CHANGES,
    SET_TIER,
    a_tier,
    at,
    changes,
    do_jobs,
    expire,
    in_window,
    later,
    not_by_growth,
    progress,
    release,
    row,
    set_tier,
    standing,
    tier_id,
)

pytestmark = pytest.mark.anyio

change_expiry = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(points_expiry=bindparam("new_rule"))
)
new_event = light(MemberEvent)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    """1 September 2026, 20:00 in Shanghai."""
    return await counter(database, now)


# By growth


async def test_the_highest_tier_whose_condition_holds(till: Counter) -> None:
    """TIR-2: tried from high to low; new cards start in the lowest."""
    await release(till, in_window("Silver", 100, 6), a_tier("Gold", 1_000))
    assert await standing(till) == ("Green", 0)
    found = []
    for total in (9_900, 100, 89_900, 100):
        await record(till, total)
        found.append(await standing(till))
    assert found == [("Green", 90), ("Silver", 100), ("Silver", 990), ("Gold", 1_000)]
    assert await changes(till) == [("Green", "Silver", "GROWTH"), ("Silver", "Gold", "GROWTH")]


async def test_a_condition_that_holds_higher_up_wins_over_one_that_does_not_below(
    till: Counter,
) -> None:
    """TIR-2: 200 in all reach Gold, though not even 100 came in the last month."""
    await release(till, in_window("Silver", 100, 1), a_tier("Gold", 200))
    await record(till, 9_000)
    await record(await later(till, days=40), 9_000)
    assert await standing(till) == ("Green", 180)
    await record(await later(till, days=80), 2_000)
    assert await standing(till) == ("Gold", 200)


@pytest.mark.parametrize(("seconds", "tier"), [(-1, "Green"), (0, "Silver")])
async def test_the_last_months_begin_with_a_day_of_the_schemes_zone(
    till: Counter, seconds: int, tier: str
) -> None:
    """TIR-2: a month before 31 March is 28 February, from its midnight in Shanghai on."""
    await release(till, in_window("Silver", 100, 1))
    midnight = datetime(2027, 2, 27, 16, 0, tzinfo=UTC)
    await record(await at(till, midnight + timedelta(seconds=seconds)), 9_000)
    march = await at(till, datetime(2027, 3, 31, 4, 0, tzinfo=UTC))
    await record(march, 1_000)
    assert await standing(march) == (tier, 100)


@pytest.mark.parametrize(
    ("how", "after_refund", "after_months"),
    [
        ("ADJUST", "Green", "Green"),
        ("UPGRADE_ONLY", "Silver", "Silver"),
        ("NOTHING", "Green", "Green"),
    ],
)
async def test_what_a_change_of_growth_does(
    till: Counter, how: str, after_refund: str, after_months: str
) -> None:
    """TIR-3: both ways, only up, or not at all; a refund and a window that moved on."""
    await release(till, in_window("Silver", 100, 3), onGrowthChange=how)
    bought = await purchase_of(till, 10_000)
    assert await standing(till) == ("Green" if how == "NOTHING" else "Silver", 100)
    await refund(till, bought, 1_000)
    assert await standing(till) == (after_refund, 90)
    await record(till, 1_000)
    in_winter = await later(till, days=120)
    await record(in_winter, 1_000)
    assert await standing(in_winter) == (after_months, 110)


async def test_refunds_find_the_tier_anew(till: Counter) -> None:
    """TIR-3, TIR-6: down by one tier, down to the lowest, and each change stands in the history."""
    await release(till)
    bought = await purchase_of(till, 100_000)
    await refund(till, bought, 1)
    assert await standing(till) == ("Silver", 990)
    await refund(till, bought, 99_999)
    assert await standing(till) == ("Green", 0)
    assert await changes(till) == [
        ("Green", "Gold", "GROWTH"),
        ("Gold", "Silver", "GROWTH"),
        ("Silver", "Green", "GROWTH"),
    ]
    assert await till.database.scan(ledger.check) == []


async def test_two_purchases_at_once_reach_the_tier_of_both(till: Counter) -> None:
    """TIR-2: neither sees only its own growth."""
    await release(till)
    await asyncio.gather(*(record(till, 12_500) for _ in range(8)))
    assert await standing(till) == ("Gold", 1_000)
    found = await changes(till)
    assert found == [("Green", "Silver", "GROWTH"), ("Silver", "Gold", "GROWTH")]


# How long


SHANGHAI_MIDNIGHT = datetime(2027, 3, 1, 16, 0, tzinfo=UTC)


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


async def test_reevaluating_goes_by_the_rules_both_ways(till: Counter) -> None:
    """TIR-3: what a recalculation finds for one card."""
    await release(till, in_window("Silver", 100, 3), onGrowthChange="UPGRADE_ONLY")
    await record(till, 10_000)
    winter = await later(till, days=120)

    async def again(tx: Transaction, cause: TierCause) -> str:
        card = await cards.locked(tx, till.shop.card)
        scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
        found = await tiers.reevaluate(
            tx, card=card, scheme=scheme, cause=cause, cause_id=None, now=winter.now
        )
        return (await schemes.tiers(tx, [found.tier_id]))[found.tier_id].name

    assert await till.database.run(again, TierCause.GROWTH) == "Silver"
    assert await till.database.run(again, TierCause.RECALCULATION) == "Green"


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


CREATE = """mutation ($input: TierCreateInput!) { tierCreate(input: $input) {
  __typename ... on Tier { level } } }"""


async def two_more_tiers(till: Counter) -> None:
    for name, growth_from in (("Silver", 100), ("Gold", 1_000)):
        given = {"schemeId": type_id("sch", till.shop.scheme.id), "name": name}
        made = await till.as_staff(CREATE, input=given | {"growthFrom": growth_from})
        assert made["__typename"] == "Tier"


# Tasks


THREE_PURCHASES = {"kind": "PURCHASES", "atLeast": 3, "windowMonths": 6}
FOR_50 = {"kind": "AMOUNT", "atLeast": 5_000, "windowMonths": None}
TWO_REVIEWS = {"kind": "EVENTS", "eventKey": "review", "atLeast": 2, "windowMonths": 1}
HALF_A_YEAR = {"rule": "DAY_AFTER_MONTHS", "months": 6}


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


# Two records of one person


MERGE_UNDO = """mutation ($id: ID!) { mergeUndo(input: {mergeId: $id}) { __typename } }"""


async def another(tx: Transaction, till: Counter) -> Card:
    """The same person again, with a card of their own."""
    member = await members.create(tx, group_id=till.shop.places.group.id, name=None, now=till.now)
    return await cards.open_card(
        tx, member=member, scheme=till.shop.scheme, store_id=None, now=till.now
    )


async def merge(till: Counter, other: Card) -> str:
    made = await till.database.run(
        join_records, survivor_id=till.shop.member.id, loser_id=other.member_id, now=till.now
    )
    return type_id("mrg", made.id)


@pytest.mark.parametrize("meanwhile", [0, 700])
async def test_merging_adds_up_growth_and_what_carries_over(till: Counter, meanwhile: int) -> None:
    """IDN-4, IDN-5, TIR-6: 95.00 and 96.00 are 191.00: 190 of growth, and Gold; and back."""
    await release(till, a_tier("Silver", 90), a_tier("Gold", 190))
    other = await till.database.run(another, till)
    other_id = type_id("card", other.id)
    await record(till, 9_500)
    await record(till, 9_600, cardId=other_id)
    assert await standing(till) == await standing(till, other_id) == ("Silver", 90)
    merge_id = await merge(till, other)
    assert await standing(till) == await standing(till, other_id) == ("Gold", 190)
    assert (await row(till)).growth_amount == 19_100
    assert ("Silver", "Gold", "MERGE") in await changes(till)
    if meanwhile:
        await record(till, meanwhile)
    answer = await till.as_staff(MERGE_UNDO, id=merge_id)
    assert answer["__typename"] == "MergeUndone", answer
    # What was bought meanwhile stays: 95.00 and 7.00 are 102.00.
    assert await standing(till) == ("Silver", 100 if meanwhile else 90)
    assert await standing(till, other_id) == ("Silver", 90)
    assert (await row(till)).growth_amount == 9_500 + meanwhile
    assert await till.database.scan(ledger.check) == []


async def test_a_merge_keeps_the_tier_that_lasts_longer(till: Counter) -> None:
    """IDN-4, TIR-4: a tier within its validity goes along though its growth is long ago."""
    await release(
        till, in_window("Silver", 100, 1), in_window("Gold", 200, 1), validity=HALF_A_YEAR
    )
    other = await till.database.run(another, till)
    await record(till, 20_000, cardId=type_id("card", other.id))
    winter = await later(till, days=90)
    await record(winter, 10_000)
    merge_id = await merge(winter, other)
    assert await standing(winter) == ("Gold", 300)
    assert (await row(till)).growth_tier_expires_at == SHANGHAI_MIDNIGHT
    await winter.as_staff(MERGE_UNDO, id=merge_id)
    assert await standing(winter) == ("Silver", 100)
    assert await standing(winter, type_id("card", other.id)) == ("Gold", 200)
    march = await at(till, SHANGHAI_MIDNIGHT)
    assert await expire(march) == 1
    assert await standing(march, type_id("card", other.id)) == ("Green", 200)


# What is told and shown


async def test_progress_shows_the_way_to_the_next_tier(till: Counter) -> None:
    """TIR-2: by all growth or by that of the last months, in both schemas."""
    await release(till, in_window("Silver", 100, 1), a_tier("Gold", 1_000))
    await record(till, 9_000)
    winter = await later(till, days=90)
    await record(winter, 5_000)
    way: dict[str, Any] = {"tasks": [], "expiresAt": None}
    assert await progress(winter) == way | {
        "tier": {"name": "Silver"}, "growthNeeded": 100, "growthGained": 50,
    }  # fmt: skip
    await record(winter, 5_000)
    assert await progress(winter) == way | {
        "tier": {"name": "Gold"}, "growthNeeded": 1_000, "growthGained": 190,
    }  # fmt: skip


async def test_the_history_comes_in_pages(till: Counter) -> None:
    """TIR-8: newest first, in both schemas."""
    await release(till)
    bought = await purchase_of(till, 10_000)
    await refund(till, bought, 10_000)
    await record(till, 100_000)
    seen: list[str] = []
    after = None
    while True:
        page = (await till.as_member(CHANGES, id=till.card_id, first=2, after=after))["tierChanges"]
        seen += [edge["node"]["to"]["name"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == ["Gold", "Green", "Silver"]
    node = (await till.as_staff(CHANGES, id=till.card_id, first=1))["tierChanges"]["edges"][0]
    assert node["node"] == {
        "cardId": till.card_id,
        "from": {"name": "Green"},
        "to": {"name": "Gold"},
        "cause": "GROWTH",
        "changedAt": till.now.isoformat(),
    }


async def test_the_page_hears_of_a_new_tier(database: Database, database_url: str) -> None:
    """QRC-3, TIR-8: at once, with what it was and became."""
    told = EVENTS.replace(
        "... on Listening", "... on TierChanged { change { from { name } to { name } cause } }"
        "\n  ... on Listening",
    )  # fmt: skip
    async with a_running_app(database, database_url) as running:
        await release(running.till)
        async with running.page(events=told) as page:
            await running.record(10_000)
            heard = [await page.event(), await page.event()]
    by_name = {event["__typename"]: event for event in heard}
    assert by_name.keys() == {"PurchaseRecorded", "TierChanged"}
    assert by_name["TierChanged"]["change"] == {
        "from": {"name": "Green"},
        "to": {"name": "Silver"},
        "cause": "GROWTH",
    }
    await do_jobs(running.till)
