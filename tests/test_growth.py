"""TIR-6, TIR-8: growth by consumption, cumulatively, and what a refund takes back."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.ledger import AccountKind, PostingKind
from app.models.sessions import PrincipalKind
from app.services import cards, ledger, schemes, tiers
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.purchases import RECORD, a_bill, purchase_of, record, refund
from tests.factories.reading import every
from tests.factories.tiers import CARD, GAINED, later, release, row, standing

pytestmark = pytest.mark.anyio

GROWTH = """query ($id: ID!) { purchase(id: $id) {
  growthEarned growthTakenBack refunds { growthTaken }
  lines { itemId name paid { amount currency } countsForGrowth } } }"""
LEDGER = """query ($id: ID!) { card(id: $id) { ledger(first: 100) {
  edges { node { kind cause amount balanceAfter } } } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def growth_of(till: Counter) -> int:
    """The balance, which the debt takes off."""
    held = await account(till.database, till.shop.card.id, AccountKind.GROWTH)
    return held.balance - held.debt


async def movements(till: Counter) -> list[tuple[str, int]]:
    card = await till.as_member(LEDGER, id=till.card_id)
    nodes = [edge["node"] for edge in card["ledger"]["edges"]]
    return [(n["cause"], n["amount"]) for n in reversed(nodes) if n["kind"] == "GROWTH"]


# What three spends of 29.00 bring


async def test_spends_adding_up_to_29_give_20_and_9_carries_over(till: Counter) -> None:
    """TIR-6: 10 per 10.00, cumulatively."""
    await release(till)
    found = []
    for total in (500, 1_400, 1_000):
        await record(till, total)
        found.append(await growth_of(till))
    assert found == [0, 10, 20]
    assert (await row(till)).growth_amount == 2_900
    await record(till, 100)
    assert await growth_of(till) == 30, "the 9.00 carried over"
    assert await movements(till) == [("EARN", 10), ("EARN", 10), ("EARN", 10)]
    assert await till.database.scan(ledger.check) == []


async def test_points_and_growth_of_a_purchase_are_one_posting(till: Counter) -> None:
    """FIN-1: what one bill brings is one posting, and both schemas show it."""
    await release(till)
    purchase_id = await purchase_of(till, 2_900)
    for ask in (till.as_member, till.as_staff):
        assert (await ask(GROWTH, id=purchase_id))["growthEarned"] == 20
    lines = await till.database.read(
        ledger.lines.page, card_id=till.shop.card.id, has_absorbed=False, before=None, limit=9
    )
    kinds = {(line.account_kind, line.amount, line.posting_kind) for line in lines}
    assert kinds == {
        (AccountKind.POINTS, 14, PostingKind.EARN),
        (AccountKind.GROWTH, 20, PostingKind.EARN),
    }
    assert len({line.occurred_at for line in lines}) == 1


async def test_a_scheme_without_growth_stores_none(till: Counter) -> None:
    purchase_id = await purchase_of(till, 2_900)
    read = await till.as_staff(GROWTH, id=purchase_id)
    assert read == {"growthEarned": 0, "growthTakenBack": 0, "refunds": [], "lines": []}
    assert (await row(till)).growth_amount == 0
    assert await growth_of(till) == 0


async def test_growth_goes_by_the_net_amount(till: Counter) -> None:
    """PTS-1, TIR-6: vouchers and tax bring no growth where no list of products is set."""
    await release(till)
    await record(till, 2_180, payments={"cash": 1_090, "voucher": 1_090}, taxAmount=180)
    assert (await row(till)).growth_amount == 1_000
    assert await growth_of(till) == 10


async def test_growth_without_points_is_earned_too(till: Counter) -> None:
    """1.00 earns no point, and completes a unit of growth."""
    await release(till)
    await record(till, 900)
    recorded = await record(till, 100)
    assert recorded["pointsEarned"] == 0
    assert await growth_of(till) == 10


async def test_purchases_at_once_lose_no_growth(till: Counter) -> None:
    """TIR-6: 24 spends of 4.50 on one card are 108.00."""
    await release(till)
    await asyncio.gather(*(record(till, 450) for _ in range(24)))
    assert (await row(till)).growth_amount == 10_800
    assert await growth_of(till) == 100
    assert await till.database.scan(ledger.check) == []


# Refunds


@pytest.mark.parametrize(
    ("refunded", "left"),
    [
        (0, 10),  # a 10.00: 19.00 are left
        (1, 10),
        (2, 20),  # the 9.00: 20.00 are left
    ],
)
async def test_a_refund_takes_back_accordingly(till: Counter, refunded: int, left: int) -> None:
    """TIR-6: what is left of 29.00, in whole units."""
    await release(till)
    totals = (1_000, 1_000, 900)
    bought = [await purchase_of(till, total) for total in totals]
    await refund(till, bought[refunded], totals[refunded])
    assert await growth_of(till) == left
    read = await till.as_member(GROWTH, id=bought[refunded])
    assert read["growthTakenBack"] == 20 - left
    assert read["refunds"] == [{"growthTaken": 20 - left}]
    assert (await row(till)).growth_amount == 2_900 - totals[refunded]
    assert await till.database.scan(ledger.check) == []


async def test_refunds_in_parts_end_as_one_at_once(till: Counter) -> None:
    """TIR-6: 33.33 counted of 66.67 are given back in thirds, rounded half up each time anew."""
    await release(till)
    parts = await purchase_of(till, 6_667, payments={"cash": 3_333, "voucher": 3_334})
    for amount in (2_222, 2_222, 2_223):
        await refund(till, parts, amount)
    assert ((await row(till)).growth_amount, await growth_of(till)) == (0, 0)
    assert await movements(till) == [("EARN", 30), ("EARN_REVERSAL", -10), ("EARN_REVERSAL", -10),
                                     ("EARN_REVERSAL", -10)]  # fmt: skip


async def test_a_part_goes_back_in_proportion_half_up(till: Counter) -> None:
    """1.00 of 30.00, half of which counted: 0.50 counts no longer."""
    await release(till)
    bought = await purchase_of(till, 3_000, payments={"cash": 1_500, "voucher": 1_500})
    await refund(till, bought, 1)
    assert (await row(till)).growth_amount == 1_499, "0.005 rounds up"
    await refund(till, bought, 1)
    assert (await row(till)).growth_amount == 1_499
    await refund(till, bought, 998)
    assert ((await row(till)).growth_amount, await growth_of(till)) == (1_000, 10)
    await refund(till, bought, 2)
    assert ((await row(till)).growth_amount, await growth_of(till)) == (999, 0)


async def test_a_refund_goes_by_the_rule_of_its_purchases_day(till: Counter) -> None:
    """TIR-6: what came at 10 goes at 10, whatever the rate became since."""
    await release(till)
    bought = await purchase_of(till, 5_000)
    await release(till, growthRate=100)
    await record(till, 1_000)
    assert await growth_of(till) == 150
    await refund(till, bought, 5_000)
    assert await growth_of(till) == 100
    await release(till, growthRate=0)
    await record(till, 9_000)
    assert await growth_of(till) == 100


async def test_what_was_taken_meanwhile_becomes_a_debt(till: Counter) -> None:
    """FIN-1: growth that is missing is owed, and filled by what comes next."""
    await release(till)
    bought = await purchase_of(till, 2_000)
    await till.database.run(take, till, 15)
    await refund(till, bought, 2_000)
    assert await growth_of(till) == -15
    await record(till, 3_000)
    assert await growth_of(till) == 15
    assert await till.database.scan(ledger.check) == []


async def take(tx: Any, till: Counter, amount: int) -> None:
    card = await cards.locked(tx, till.shop.card)
    scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
    await tiers.take_back_growth(
        tx, card=card, scheme=scheme, amount=amount, reverses_id=None, cause_kind="test",
        cause_id=new_id(), actor_kind=PrincipalKind.SYSTEM, actor_id=None, store_id=None,
        now=till.now,
    )  # fmt: skip


# Products


COFFEE = {"itemId": "C-1", "name": "Flat White", "paidAmount": 1_500}
CAKE = {"itemId": "K-7", "name": "Carrot cake", "paidAmount": 2_500}
VOUCHER = {"itemId": "V-1", "name": "Gift card 100", "paidAmount": 1_000}


@pytest.mark.parametrize(
    ("lists", "counted"),
    [
        ({}, 5_000),  # no list: the net amount, lines or not
        ({"growthOnly": [{"id": "C-1"}]}, 1_500),
        ({"growthOnly": [{"id": "c-1"}]}, 0),
        ({"growthOnly": [{"name": "CAKE"}]}, 2_500),
        ({"growthOnly": [{"id": "C-1"}, {"name": "cake"}]}, 4_000),
        ({"growthExcept": [{"name": "gift card"}]}, 4_000),
        ({"growthOnly": [{"name": "a"}], "growthExcept": [{"id": "K-7"}]}, 2_500),
        ({"growthOnly": [{"id": "X"}]}, 0),
        ({"growthExcept": [{"id": "X"}]}, 5_000),
    ],
)
async def test_lists_of_products_decide_which_lines_count(
    till: Counter, lists: dict[str, Any], counted: int
) -> None:
    """TIR-6: by id or a part of the name, at what was paid for the line."""
    await release(till, growthUnit=500, **lists)
    purchase_id = await purchase_of(till, 5_000, lines=[COFFEE, CAKE, VOUCHER])
    assert (await row(till)).growth_amount == counted
    assert await growth_of(till) == counted // 500 * 10
    read = (await till.as_member(GROWTH, id=purchase_id))["lines"]
    of_lines = sum(each["paid"]["amount"] for each in read if each["countsForGrowth"])
    assert of_lines == counted
    await refund(till, purchase_id, 5_000)
    assert ((await row(till)).growth_amount, await growth_of(till)) == (0, 0)


async def test_a_bill_without_lines_meets_the_lists(till: Counter) -> None:
    """TIR-6: a whitelist asks for lines, a blacklist alone does not."""
    await release(till, growthOnly=[{"id": "C-1"}])
    await record(till, 5_000)
    assert (await row(till)).growth_amount == 0
    await release(till, growthExcept=[{"id": "C-1"}])
    await record(till, 5_000)
    assert (await row(till)).growth_amount == 5_000


async def test_lines_are_read_as_they_were_sent(till: Counter) -> None:
    """Without growth, too; their order is the till's."""
    purchase_id = await purchase_of(till, 9_000, lines=[CAKE, COFFEE | {"paidAmount": 0}])
    for ask in (till.as_member, till.as_staff):
        assert (await ask(GROWTH, id=purchase_id))["lines"] == [
            {
                "itemId": "K-7",
                "name": "Carrot cake",
                "paid": {"amount": 2_500, "currency": "CNY"},
                "countsForGrowth": False,
            },
            {
                "itemId": "C-1",
                "name": "Flat White",
                "paid": {"amount": 0, "currency": "CNY"},
                "countsForGrowth": False,
            },
        ]


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([COFFEE, CAKE, VOUCHER], {"__typename": "LinesDoNotAddUp"}),
        ([COFFEE | {"paidAmount": -1}], "BAD_USER_INPUT"),
        ([COFFEE | {"paidAmount": 10**11 + 1}], "BAD_USER_INPUT"),
        ([COFFEE | {"itemId": ""}], "BAD_USER_INPUT"),
        ([COFFEE | {"itemId": "x" * 65}], "BAD_USER_INPUT"),
        ([COFFEE | {"name": "\x00"}], "BAD_USER_INPUT"),
        ([COFFEE | {"name": "x" * 121}], "BAD_USER_INPUT"),
        ([COFFEE | {"paidAmount": 0}] * 201, "BAD_USER_INPUT"),
    ],
)
async def test_lines_that_cannot_be_are_refused(
    till: Counter, lines: list[dict[str, Any]], answer: Any
) -> None:
    async with nothing_moves(till.database):
        assert await record(till, 4_999, lines=lines) == answer


async def test_the_same_key_with_other_lines_is_another_request(till: Counter) -> None:
    """Issue 2: a request key stands for its lines, too."""
    bill = a_bill(till, 5_000, lines=[COFFEE])
    first = await till.as_staff(RECORD, input=bill)
    assert await till.as_staff(RECORD, input=bill) == first | {"replayed": True}
    async with nothing_moves(till.database):
        reused = await till.as_staff(RECORD, input=bill | {"lines": [CAKE]})
        assert reused == {"__typename": "RequestKeyReused"}


# Growth in a time


async def test_growth_over_a_window_can_be_asked_for(till: Counter) -> None:
    """TIR-8: from a moment on and before another, what was taken back taken off."""
    await release(till)
    await record(till, 1_000, occurredAt=(till.now - timedelta(days=2)).isoformat())
    bought = await purchase_of(till, 3_000)
    next_day = await later(till, days=1)
    await refund(next_day, bought, 2_000)

    async def gained(from_: datetime, to: datetime, ask: Any = till.as_member) -> Any:
        card = await ask(
            GAINED, id=till.card_id, **{"from": from_.isoformat(), "to": to.isoformat()}
        )
        return card if isinstance(card, str) else card["growthGained"]

    start = till.now - timedelta(days=2)
    for ask in (till.as_member, till.as_staff):
        assert await gained(start, next_day.now + timedelta(seconds=1), ask) == 20
    assert await gained(start, till.now) == 10
    assert await gained(till.now, next_day.now) == 30
    assert await gained(next_day.now, next_day.now + timedelta(seconds=1)) == -20
    assert await gained(start, start) == 0
    assert await gained(next_day.now, start) == "BAD_USER_INPUT"


# What others earn


async def earn(tx: Any, till: Counter, amount: int, cause_id: Any) -> None:
    card = await cards.locked(tx, till.shop.card)
    scheme = (await schemes.by_ids(tx, [card.scheme_id]))[card.scheme_id]
    await tiers.earn_growth(
        tx, card=card, scheme=scheme, amount=amount, cause_kind="test", cause_id=cause_id,
        actor_kind=PrincipalKind.SYSTEM, actor_id=None, store_id=None, occurred_at=till.now,
        now=till.now,
    )  # fmt: skip


async def test_other_growth_counts_for_tiers_and_not_for_units(till: Counter) -> None:
    """TIR-7: what an interaction brings reaches tiers, and leaves what carries over alone."""
    await release(till)
    await record(till, 900)
    await till.database.run(earn, till, 100, new_id())
    assert await standing(till) == ("Silver", 100)
    await record(till, 100)
    assert await standing(till) == ("Silver", 110)
    await till.database.run(take, till, 20)
    assert await standing(till) == ("Green", 90)
    assert await every(till.database, schemes.tiers_of_schemes, scheme_ids=[new_id()]) == []
    assert (await till.as_member(CARD, id=type_id("card", till.shop.card.id)))["balances"] == {
        "growth": 90
    }
