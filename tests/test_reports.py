"""Balances, liabilities and statistics, to the minor unit (FIN-2, PTS-8, TOP-10, TOP-11)."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.core.money import Money
from app.models.ledger import AccountKind
from app.services import cards, ledger, members, schemes
from app.services.reports.points import cost_of
from tests.factories import purchases
from tests.factories.cards import a_scheme, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.reports import (
    CHANGES,
    COMPLIANCE,
    COUPONS,
    LINK,
    POINTS,
    STORED_VALUE,
    TOP_UPS,
    a_link,
    ask,
    by_kind,
    credited,
    held,
    of_scheme,
    owing,
    standing,
)
from tests.factories.spendings import Payer, a_payer, merged_away
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

SEPTEMBER, OCTOBER = "2026-09-01", "2026-10-01"
ZERO = {"amount": 0}
NO_SCHEME: dict[str, Any] = dict.fromkeys(
    ("group_id", "perspective_id", "name", "deduction_rule", "consumption_verification",
     "points_unit", "points_rate", "created_at")
)  # fmt: skip
"""What a scheme must have, where only its points' cost matters."""


def amount_of(money: Any) -> int:
    return int(money["amount"])


async def move_at_random(payer: Payer, chance: random.Random) -> None:
    """One thing that may happen to a card on some day."""
    amount = chance.randrange(1, 500)
    match chance.randrange(8):
        case 0 | 1:
            await payer.put(amount * 10, chance.choice([AccountKind.CASH, AccountKind.BONUS]))
        case 2:
            await payer.charge(amount)  # refused where there is too little
        case 3:
            await payer.authorise(amount)
        case 4 | 5:
            authorised = await payer.authorise(amount)
            if "spending" in authorised:
                if chance.random() < 0.7:
                    await payer.capture(authorised["spending"], chance.randrange(1, amount + 1))
                else:
                    await payer.void(authorised["spending"])
        case 6:
            charged = await payer.charge(amount)
            if "spending" in charged:
                await payer.refund(charged["spending"], chance.randrange(1, amount + 1))
        case 7:
            kind = chance.choice([AccountKind.CASH, AccountKind.BONUS])
            await payer.database.run(
                owing, card=payer.card, kind=kind, amount=amount, now=payer.till.now
            )


@pytest.mark.parametrize("seed", [1, 2])
async def test_opening_and_movements_are_the_closing_day_after_day(
    database: Database, now: datetime, seed: int
) -> None:
    """FIN-2: exactly, for cash, bonus and what is held; the last closing is what the accounts say,
    and each closing is the next day's opening."""
    payer = await a_payer(database, now)
    chance = random.Random(seed)
    days = [f"2026-09-{day:02}" for day in range(1, 6)]
    for day in range(4):
        for step in range(12):
            await move_at_random(payer.later(days=day, minutes=step), chance)
    till = payer.till
    closed: dict[str, int] = {}
    for begin, end in pairwise(days):
        found = await of_scheme(till, STORED_VALUE, begin, end, payer.scheme, byStore=True)
        for part in ("cash", "bonus", "held"):
            flow = found[part]
            moved = by_kind(flow["movements"]).values()
            net = sum(added - taken for added, taken in moved)
            assert amount_of(flow["opening"]) + net == amount_of(flow["closing"])
            assert sum(added for added, _ in moved) == amount_of(flow["added"])
            assert sum(taken for _, taken in moved) == amount_of(flow["taken"])
            at_stores = by_kind_at_stores(flow["byStore"])
            assert at_stores == by_kind(flow["movements"])
            assert amount_of(flow["opening"]) == closed.get(part, 0)
            closed[part] = amount_of(flow["closing"])
    assert closed == {
        "cash": await standing(database, payer.scheme, AccountKind.CASH),
        "bonus": await standing(database, payer.scheme, AccountKind.BONUS),
        "held": await held(database, payer.scheme),
    }
    assert closed["held"] > 0
    whole = await of_scheme(till, STORED_VALUE, days[0], days[-1], payer.scheme)
    assert {part: amount_of(whole[part]["closing"]) for part in closed} == closed
    assert {amount_of(whole[part]["opening"]) for part in closed} == {0}
    await payer.require_books()


def by_kind_at_stores(movements: Any) -> dict[str, tuple[int, int]]:
    """What came and went at all stores together."""
    totals: dict[str, tuple[int, int]] = {}
    for each in movements:
        added, taken = totals.get(each["kind"], (0, 0))
        moved = (added + amount_of(each["added"]), taken + amount_of(each["taken"]))
        totals[each["kind"]] = moved
    return totals


async def test_what_is_authorised_is_held_until_it_is_captured(
    database: Database, now: datetime
) -> None:
    """FIN-2: neither the card's nor ours; 70.00 of 100.00 held, 50.00 captured, 20.00 back."""
    payer = await a_payer(database, now)
    await payer.put(100_00)
    spending = await payer.held(70_00)
    found = await of_scheme(payer.till, STORED_VALUE, SEPTEMBER, "2026-09-02", payer.scheme)
    assert found["cash"]["closing"] == {"amount": 30_00}
    assert by_kind(found["cash"]["movements"]) == {"AUTHORISE": (0, 70_00), "TOP_UP": (100_00, 0)}
    assert by_kind(found["held"]["movements"]) == {"AUTHORISE": (70_00, 0)}
    assert found["held"]["closing"] == {"amount": 70_00}
    captured = await payer.later(minutes=5).capture(spending, 50_00)
    assert captured["__typename"] == "SpendingCaptured"
    found = await of_scheme(payer.till, STORED_VALUE, SEPTEMBER, "2026-09-02", payer.scheme)
    assert found["cash"]["closing"] == {"amount": 50_00}
    assert found["held"]["closing"] == ZERO
    assert by_kind(found["held"]["movements"]) == {
        "AUTHORISE": (70_00, 0),
        "CAPTURE": (0, 70_00),
    }


async def test_movements_are_told_store_by_store(database: Database, now: datetime) -> None:
    payer = await a_payer(database, now)
    await payer.put(100_00)
    await payer.paid(10_00)
    await payer.paid(2_50, terminalId=payer.till.other_terminal_id)
    found = await of_scheme(
        payer.till, STORED_VALUE, SEPTEMBER, OCTOBER, payer.scheme, byStore=True
    )
    at_stores = {
        (each["kind"], each["store"] and each["store"]["name"]): amount_of(each["taken"])
        for each in found["cash"]["byStore"]
    }
    assert at_stores == {
        ("SPEND", "Coffee at the station"): 10_00,
        ("SPEND", "Tea in the park"): 2_50,
        ("TOP_UP", None): 0,
    }
    assert by_kind(found["cash"]["movements"])["SPEND"] == (0, 12_50)
    plain = await of_scheme(payer.till, STORED_VALUE, SEPTEMBER, OCTOBER, payer.scheme)
    assert plain["cash"]["byStore"] is None


async def test_debts_and_balances_are_told_apart(database: Database, now: datetime) -> None:
    """FIN-2: closing = what cards hold − what others owe."""
    payer = await a_payer(database, now)
    other = await database.run(another_holder, payer, now=now)
    await payer.put(30_00)
    await database.run(owing, card=other.card, kind=AccountKind.CASH, amount=12_00, now=now)
    found = await of_scheme(payer.till, STORED_VALUE, SEPTEMBER, OCTOBER, payer.scheme)
    cash = found["cash"]
    assert (cash["onCards"], cash["owed"], cash["closing"]) == (
        {"amount": 30_00},
        {"amount": 12_00},
        {"amount": 18_00},
    )
    assert cash["cardsWithBalance"] == 1


async def another_holder(tx: Any, payer: Payer, *, now: datetime) -> Payer:
    """Somebody else's card of the same scheme."""
    member = await members.create(tx, group_id=payer.card.group_id, name="李雷", now=now)
    card = await cards.open_card(tx, member=member, scheme=payer.scheme, store_id=None, now=now)
    return Payer(payer.till, payer.scheme, card)


async def test_a_merge_moves_value_and_changes_no_total(database: Database, now: datetime) -> None:
    """FIN-2: of two cards one has the balance afterwards; in and out are the same."""
    payer = await a_payer(database, now)
    await payer.put(30_00)
    await merged_away(payer)
    found = await of_scheme(payer.till, STORED_VALUE, SEPTEMBER, OCTOBER, payer.scheme)
    assert by_kind(found["cash"]["movements"])["MERGE"] == (30_00, 30_00)
    assert found["cash"]["closing"] == {"amount": 30_00}
    assert found["cash"]["cardsWithBalance"] == 1


@pytest.mark.parametrize(
    ("moment", "is_in_september"),
    [
        ("2026-08-31T15:59:59.999999+00:00", False),
        ("2026-08-31T16:00:00+00:00", True),
        ("2026-09-30T15:59:59.999999+00:00", True),
        ("2026-09-30T16:00:00+00:00", False),
    ],
)
async def test_a_period_begins_and_ends_at_midnight_in_shanghai(
    database: Database, now: datetime, moment: str, is_in_september: bool
) -> None:
    """FIN-2: from the midnight of the first day, which is included, to that of the last."""
    payer = await a_payer(database, now)
    at = datetime.fromisoformat(moment)
    await payer.later(seconds=(at - now).total_seconds()).put(5_00)
    later = payer.later(days=90).till
    report = await ask(later, STORED_VALUE, SEPTEMBER, OCTOBER)
    assert report["about"] == {
        "perspective": {"name": "Regulars"},
        "from": SEPTEMBER,
        "to": OCTOBER,
        "timeZone": "Asia/Shanghai",
        "startsAt": "2026-08-31T16:00:00+00:00",
        "endsAt": "2026-09-30T16:00:00+00:00",
        "madeAt": later.now.isoformat(),
    }
    found = await of_scheme(later, STORED_VALUE, SEPTEMBER, OCTOBER, payer.scheme)
    assert amount_of(found["cash"]["added"]) == (5_00 if is_in_september else 0)
    assert amount_of(found["cash"]["opening"]) == (5_00 if at < now and not is_in_september else 0)
    statistics = await ask(later, TOP_UPS, SEPTEMBER, OCTOBER, by="DAY")
    assert statistics == {"lines": [], "totals": []}  # that was no order


async def test_an_empty_period_says_what_there_is(database: Database, now: datetime) -> None:
    payer = await a_payer(database, now)
    await payer.put(5_00)
    found = await of_scheme(payer.till, STORED_VALUE, "2026-09-02", "2026-09-02", payer.scheme)
    assert found["cash"]["opening"] == {"amount": 5_00, "currency": "CNY"}
    assert found["cash"]["closing"] == {"amount": 5_00}
    assert found["cash"]["movements"] == []


async def points_of(payer: Payer, from_day: str, to_day: str) -> Any:
    return await of_scheme(payer.till, POINTS, from_day, to_day, payer.scheme)


async def test_points_issued_taken_back_and_spent_are_told_by_name(
    database: Database, now: datetime
) -> None:
    """PTS-8: 1 point for each 2.00; 500 earned, 100 taken back, a top-up's 7, 40 spent, 25 back."""
    payer = await a_payer(
        database, now, points_worth_points=1, points_worth_amount=10, points_cost_per_thousand=5_00
    )
    bought = await purchases.purchase_of(payer.till, 1_000_00, cardId=payer.card_id)
    await purchases.refund(payer.till, bought, 200_00)
    await payer.put_points(7)
    charged = await payer.pay_with_points(4_00, total=100_00)
    assert charged["__typename"] == "SpendingCharged", charged
    assert (await payer.refund(charged["spending"], 2_50))["__typename"] == "SpendingRefunded"
    found = await points_of(payer, SEPTEMBER, OCTOBER)
    changes = {name: found[name] for name in CHANGES if found[name]}
    assert changes == {"issued": 507, "takenBack": -100, "spent": -40, "returned": 25}
    assert (found["opening"], found["closing"], found["cardsWithPoints"]) == (0, 392, 1)
    assert (await account(database, payer.card.id)).balance == 392
    # 392 × 5.00 ÷ 1,000 = 1.96
    assert found["cost"] == {"amount": 1_96, "currency": "CNY"}
    assert found["expiring"] == [{"month": None, "points": 392, "cost": {"amount": 1_96}}]


async def test_points_that_are_owed_are_no_liability(database: Database, now: datetime) -> None:
    """PTS-8: opening + changes = closing = what cards hold − what is owed."""
    payer = await a_payer(database, now, points_cost_per_thousand=1_000)
    other = await database.run(another_holder, payer, now=now)
    await payer.put_points(30)
    await database.run(owing, card=other.card, kind=AccountKind.POINTS, amount=12, now=now)
    found = await points_of(payer, SEPTEMBER, OCTOBER)
    assert (found["issued"], found["takenBack"], found["closing"]) == (30, -12, 18)
    assert (found["onCards"], found["owed"]) == (30, 12)
    assert found["cost"]["amount"] == 30


@pytest.mark.parametrize(
    ("points", "per_thousand", "cost"),
    [(1, 499, 0), (1, 500, 1), (3, 500, 2), (1_499, 1_000, 1_499), (999, 0, 0)],
)
def test_what_points_cost_is_rounded_half_up(points: int, per_thousand: int, cost: int) -> None:
    """PTS-8: points × cost of 1,000 ÷ 1,000."""
    scheme = schemes.new_scheme(points_cost_per_thousand=per_thousand, currency="CNY", **NO_SCHEME)
    assert cost_of(points, scheme) == Money(cost, "CNY")


async def test_outstanding_points_are_told_by_the_month_they_expire_in(
    database: Database, now: datetime
) -> None:
    """PTS-8: by the perspective's calendar; what is cleared at midnight on 1 October in Shanghai
    is 30 September in London. Expired points are no longer outstanding."""
    payer = await a_payer(database, now, points_cost_per_thousand=2_000)
    midnight = datetime(2026, 9, 30, 16, tzinfo=UTC)
    for points, expires_at in ((10, midnight), (20, midnight - timedelta(seconds=1)), (40, None)):
        days = None if expires_at is None else (expires_at - now) / timedelta(days=1)
        await payer.put_points(points, days=days)
    found = await points_of(payer, SEPTEMBER, OCTOBER)
    assert found["expiring"] == [
        {"month": "2026-09-01", "points": 20, "cost": {"amount": 40}},
        {"month": "2026-10-01", "points": 10, "cost": {"amount": 20}},
        {"month": None, "points": 40, "cost": {"amount": 80}},
    ]
    after = payer.later(days=60)
    await database.run(ledger.expire_due, now=after.till.now)
    november = await points_of(after, SEPTEMBER, "2026-12-01")
    assert november["expiring"] == [{"month": None, "points": 40, "cost": {"amount": 80}}]
    assert (november["expired"], november["closing"]) == (-30, 40)
    # What was outstanding at an earlier moment, lots no longer tell; the sums still do.
    past = await points_of(after, SEPTEMBER, OCTOBER)
    assert (past["expiring"], past["closing"]) == (None, 70)


async def test_a_perspective_sees_its_own_schemes_and_stores(
    database: Database, now: datetime
) -> None:
    """FIN-2, ORG-1: schemes made there or below; top-ups at its stores, and what brands and stores
    see adds up to what the group sees."""
    till = await counter(database, now)
    places = till.shop.places
    of_coffee = await database.run(lambda tx: a_scheme(tx, perspective=places.coffee, now=now))
    for store in (places.coffee_store, places.tea_store, None):
        await database.run(
            credited,
            card=till.shop.card,
            scheme=till.shop.scheme,
            store_id=store.id if store else None,
            now=now,
        )
    seen = {}
    for node in (places.group, places.coffee, places.tea, places.coffee_store, places.lone_store):
        report = await ask(till, STORED_VALUE, SEPTEMBER, OCTOBER, at=node)
        statistics = await ask(till, TOP_UPS, SEPTEMBER, OCTOBER, at=node, by="DAY")
        orders = sum(line["sold"]["orders"] for line in statistics["totals"])
        seen[node.name] = (len(report["schemes"]), orders)
    assert seen == {
        "Regulars": (2, 3),
        "Coffee": (1, 1),
        "Tea": (0, 1),
        "Coffee at the station": (0, 1),
        "The museum shop": (0, 0),
    }
    (scheme,) = (await ask(till, STORED_VALUE, SEPTEMBER, OCTOBER, at=places.coffee))["schemes"]
    assert scheme["scheme"]["id"] == type_id("sch", of_coffee.id)


QUERIES: list[tuple[str, dict[str, Any]]] = [
    (STORED_VALUE, {}),
    (POINTS, {}),
    (TOP_UPS, {"by": "DAY"}),
    (COUPONS, {"by": "STORE"}),
    (COMPLIANCE, {}),
]
NO_PERIODS = [
    ("2026-09-02", "2026-09-01"),
    ("2026-09-01", "2036-09-02"),
    ("1999-12-31", "2000-01-02"),
    ("2199-12-31", "2200-01-01"),
    ("0001-01-01", "0001-01-02"),
    ("2026-02-30", "2026-03-01"),
    ("yesterday", "2026-03-01"),
]


async def test_reports_are_for_those_who_may_read_them_there(
    database: Database, now: datetime
) -> None:
    """ORG-1, ORG-2: not for a cashier; for finance of a brand there and below, nowhere else."""
    till = await counter(database, now)
    other = await counter(database, now)
    places = till.shop.places
    finance = await database.run(employee, node=places.coffee, role="finance", now=now)
    unknown = type_id("node", new_id())
    refused: dict[str, dict[str, Any]] = {
        "a cashier": {"who": till.shop.cashier},
        "of the group": {"who": finance},
        "of another brand": {"who": finance, "at": places.tea},
        "of another group": {"at": other.shop.places.group},
    }
    for document, more in QUERIES:
        for why, how in refused.items():
            answer = await ask(till, document, SEPTEMBER, OCTOBER, **how, **more)
            assert answer == "FORBIDDEN", (document, why)
        asked = {"at": unknown, "from": SEPTEMBER, "to": OCTOBER} | more
        assert await till.as_staff(document, **asked) == "FORBIDDEN"
        for node in (places.coffee, places.coffee_store):
            answer = await ask(till, document, SEPTEMBER, OCTOBER, at=node, who=finance, **more)
            assert isinstance(answer, dict), (document, node.name)
    async with nothing_moves(database):
        link = a_link(till, "STORED_VALUE")
        assert await till.as_staff(LINK, who=finance, input=link) == "FORBIDDEN"
        assert await till.as_staff(LINK, input=link | {"perspectiveId": unknown}) == "FORBIDDEN"


async def test_days_that_make_no_period_are_refused(database: Database, now: datetime) -> None:
    till = await counter(database, now)
    async with nothing_moves(database):
        for from_day, to_day in NO_PERIODS:
            for document, more in QUERIES:
                answer = await ask(till, document, from_day, to_day, **more)
                assert answer == "BAD_USER_INPUT", (document, from_day, to_day)
            link = a_link(till, "STORED_VALUE", **{"from": from_day, "to": to_day})
            assert await till.as_staff(LINK, input=link) == "BAD_USER_INPUT"


async def test_ten_years_are_a_period(database: Database, now: datetime) -> None:
    till = await counter(database, now)
    assert isinstance(await ask(till, STORED_VALUE, "2026-09-01", "2036-09-01"), dict)
