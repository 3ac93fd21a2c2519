"""TOP-5: when a bill exceeds the balance, offers that would let it be paid, for five minutes."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.models.ledger import AccountKind
from app.models.members import Member
from app.services import cards, ledger, members
from app.services.top_ups import smart
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import adjust
from tests.factories.top_up_plans import DEACTIVATE, ONE, UPDATE, a_plan, an_edit, plan_of

pytestmark = pytest.mark.anyio

_QUOTE = """__typename
  ... on SmartTopUpQuote { token bill { amount } shortage { amount } expiresAt
    offers { amount { amount } bonus { amount } points } } ... on Problem { message }"""
QUOTE = f"""mutation ($input: SmartTopUpQuoteInput!) {{
  smartTopUpQuote(input: $input) {{ {_QUOTE} }} }}"""
QUOTE_AT_TILL = f"""mutation ($input: SmartTopUpQuoteAtTerminalInput!) {{
  smartTopUpQuote(input: $input) {{ {_QUOTE} }} }}"""
SELL = """mutation ($input: SmartTopUpSellInput!) { smartTopUpSell(input: $input) { __typename
  ... on TopUpSold { replayed order { id source amount { amount } bonus { amount } points } } } }"""
GIFT = {"gift": {"timesBasisPoints": 13_000, "bonusBasisPoints": 500, "pointsBasisPoints": 1_000}}
DISCOUNT = {"discount": {"timesBasisPoints": 12_000, "bonusBasisPoints": 800}}
REFUSED = {"__typename": "QuoteRefused"}


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def quote(till: Counter, bill: int, /, **more: Any) -> Any:
    asked = {"cardId": till.card_id, "bill": {"amount": bill, "currency": "CNY"}}
    return await till.as_member(QUOTE, input=asked | more)


async def quote_at_till(till: Counter, bill: int, /, **more: Any) -> Any:
    asked = {
        "terminalId": till.terminal_id,
        "cardId": till.card_id,
        "bill": {"amount": bill, "currency": "CNY"},
    }
    return await till.as_staff(QUOTE_AT_TILL, who=till.shop.cashier, input=asked | more)


async def sell(till: Counter, token: str, offer: int = 0, **more: Any) -> Any:
    asked = {
        "terminalId": till.terminal_id,
        "token": token,
        "offer": offer,
        "methodCode": "cash",
        "requestKey": new_id().hex,
    }
    return await till.as_staff(SELL, who=till.shop.cashier, input=asked | more)


def shown(quoted: Any) -> list[tuple[int, int, int]]:
    return [
        (offer["amount"]["amount"], offer["bonus"]["amount"], offer["points"])
        for offer in quoted["offers"]
    ]


async def balances(till: Counter) -> tuple[int, int, int]:
    kinds = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
    held = [await account(till.database, till.shop.card.id, kind) for kind in kinds]
    return held[0].balance, held[1].balance, held[2].balance


async def test_a_bill_of_100_is_paid_by_120_that_are_worth_128(till: Counter) -> None:
    """TOP-5, discount: ×1.2 and 8 % of the bill."""
    await plan_of(till, "SMART", steps=[DISCOUNT])
    quoted = await quote_at_till(till, 100_00)
    assert (quoted["shortage"], shown(quoted)) == ({"amount": 100_00}, [(120_00, 8_00, 0)])
    sold = await sell(till, quoted["token"])
    assert sold["order"]["source"] == "SMART"
    assert await balances(till) == (120_00, 8_00, 0)
    assert await till.database.scan(ledger.check) == []


async def test_a_bill_of_90_is_paid_by_117_with_a_gift(till: Counter) -> None:
    """TOP-5, gift: ×1.3, 5 % of the bill, and floor(10 %) of the top-up in points."""
    await plan_of(till, "SMART", steps=[GIFT])
    quoted = await quote_at_till(till, 90_00)
    assert shown(quoted) == [(117_00, 4_50, 11)]
    await sell(till, quoted["token"])
    assert await balances(till) == (117_00, 4_50, 11)


async def test_an_offer_is_rounded_up_and_a_fixed_one_must_be_enough(till: Counter) -> None:
    """TOP-5: rounding to 10; the fixed 50.00 + 5.00 does not pay a bill of 95.01."""
    fixed = {"smartFixed": {"amount": 50_00, "bonus": 5_00, "points": 7}}
    enough = {"smartFixed": {"amount": 100_00, "bonus": 5_00, "points": 70}}
    await plan_of(till, "SMART", steps=[DISCOUNT, fixed, enough], rounding="TEN")
    assert shown(await quote(till, 95_01)) == [(120_00, 7_60, 0), (100_00, 5_00, 70)]


async def test_only_what_the_balance_lacks_is_asked_for(till: Counter) -> None:
    """The shortage counts what is on the card; a covered bill needs nothing."""
    await plan_of(till, "SMART", steps=[DISCOUNT])
    await till.database.run(adjust, till.shop.card.id, AccountKind.CASH, 40_00, till.now)
    assert (await quote(till, 100_00))["shortage"] == {"amount": 60_00}
    async with nothing_moves(till.database):
        assert (await quote(till, 40_00))["__typename"] == "BillCovered"


async def test_a_small_bill_triggers_nothing(till: Counter) -> None:
    """Minimum trigger amount: 50.00."""
    await plan_of(till, "SMART", steps=[DISCOUNT], triggerAmount=50_00)
    async with nothing_moves(till.database):
        assert (await quote(till, 49_99))["__typename"] == "NoSmartOffer"
    assert (await quote(till, 50_00))["__typename"] == "SmartTopUpQuote"


async def test_the_first_top_up_gets_its_extras_once(till: Counter) -> None:
    """First-top-up extras: 5 % more bonus and 3 % points of 120.00."""
    await plan_of(
        till, "SMART", steps=[DISCOUNT],
        firstTopUpBonus={"bonusBasisPoints": 500, "pointsBasisPoints": 300},
    )  # fmt: skip
    first = await quote_at_till(till, 100_00)
    assert shown(first) == [(120_00, 14_00, 3)]
    await sell(till, first["token"])
    assert shown(await quote_at_till(till, 200_00)) == [(240_00, 16_00, 0)]


async def test_a_quote_holds_stock_for_five_minutes(till: Counter) -> None:
    """The last piece is held, sold, or free again; a later quote replaces the earlier."""
    plan = await plan_of(till, "SMART", steps=[DISCOUNT], stock=1)
    held = await quote_at_till(till, 100_00)
    other = await till.database.run(another_member, till)
    asked = {"cardId": other[1], "bill": {"amount": 100_00, "currency": "CNY"}}
    refused = await till.as_member(QUOTE, member_id=other[0].id, input=asked)
    assert refused["__typename"] == "NoSmartOffer"
    again = await quote_at_till(till, 100_00)
    assert await sell(till, held["token"]) == REFUSED
    late = till.later(minutes=5)
    assert await sell(late, again["token"]) == REFUSED
    assert await till.database.run(smart.release_overdue, now=late.now) == 1
    assert (await till.as_staff(ONE, id=plan["id"]))["stockLeft"] == 1
    last = await quote_at_till(late, 100_00)
    assert (await sell(late, last["token"]))["__typename"] == "TopUpSold"
    assert await till.database.run(smart.release_overdue, now=late.now + timedelta(hours=1)) == 0
    assert (await till.as_staff(ONE, id=plan["id"]))["stockLeft"] == 0


async def another_member(tx: Any, till: Counter) -> tuple[Member, str]:
    member = await members.create(tx, group_id=till.shop.places.group.id, name="李雷", now=till.now)
    card = await cards.open_card(
        tx, member=member, scheme=till.shop.scheme, store_id=None, now=till.now
    )
    return member, type_id("card", card.id)


async def test_an_offer_is_taken_once(till: Counter) -> None:
    await plan_of(till, "SMART", steps=[DISCOUNT])
    token = (await quote_at_till(till, 100_00))["token"]
    same = await asyncio.gather(*(sell(till, token, requestKey="s") for _ in range(8)))
    assert sorted(answer["replayed"] for answer in same) == [False] + [True] * 7
    async with nothing_moves(till.database):
        assert await sell(till, token) == REFUSED
        assert await sell(till, token, requestKey="s", methodCode="card") == {
            "__typename": "RequestKeyReused"
        }
    assert (await balances(till))[0] == 120_00


async def test_the_price_is_what_was_said_though_the_plan_changes(till: Counter) -> None:
    plan = await plan_of(till, "SMART", steps=[DISCOUNT])
    token = (await quote_at_till(till, 100_00))["token"]
    off = await till.as_staff(DEACTIVATE, input={"id": plan["id"]})
    edit = an_edit(off, a_plan(till, "SMART"), steps=[GIFT])
    assert (await till.as_staff(UPDATE, input=edit))["__typename"] == "TopUpPlan"
    assert (await sell(till, token))["order"]["amount"] == {"amount": 120_00}


@pytest.mark.parametrize("spoil", ["x", "", "quo_1.a", "{0}x", "{1}", "{0}.{0}"])
async def test_a_token_that_is_not_ours_sells_nothing(till: Counter, spoil: str) -> None:
    """Forged, altered, cut."""
    await plan_of(till, "SMART", steps=[DISCOUNT])
    token = (await quote_at_till(till, 100_00))["token"]
    forged = spoil.format(token, token.partition(".")[0])
    async with nothing_moves(till.database):
        assert await sell(till, forged) == REFUSED


async def test_an_offer_stays_at_its_till_and_channel(till: Counter) -> None:
    """Made online it is not sold over the counter; made in one store not in another."""
    await plan_of(till, "SMART", steps=[DISCOUNT])
    online = await quote(till, 100_00)
    async with nothing_moves(till.database):
        assert await sell(till, online["token"]) == REFUSED
    here = await quote_at_till(till, 100_00)
    there = {"terminalId": till.other_terminal_id}
    asked = {"token": here["token"], "offer": 0, "methodCode": "cash", "requestKey": "o"}
    async with nothing_moves(till.database):
        assert await till.as_staff(SELL, input=asked | there) == REFUSED
        assert await sell(till, here["token"], 9) == "BAD_USER_INPUT"
        assert await sell(till, here["token"], -1) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("bill", "answer"),
    [
        ({"amount": 0, "currency": "CNY"}, "BAD_USER_INPUT"),
        ({"amount": -1, "currency": "CNY"}, "BAD_USER_INPUT"),
        ({"amount": 2**63 - 1, "currency": "CNY"}, "BAD_USER_INPUT"),
        ({"amount": 100_00, "currency": "USD"}, "WrongCurrency"),
    ],
)
async def test_a_bill_that_cannot_be_gets_no_offers(
    till: Counter, bill: dict[str, Any], answer: str
) -> None:
    await plan_of(till, "SMART", steps=[DISCOUNT])
    async with nothing_moves(till.database):
        refused = await quote(till, 1, bill=bill)
        assert answer in (refused, refused if isinstance(refused, str) else refused["__typename"])
