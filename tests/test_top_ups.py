"""TOP-7, TOP-8: top-ups sold at tills, what they bring, and who sees them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.core.points_expiry import PointsExpiry
from app.models.cards import Scheme
from app.models.ledger import Account, AccountKind, Lot
from app.models.operations import AuditRecord
from app.services import ledger, members
from app.services.merges import merging
from tests.factories.adjustments import set_rules
from tests.factories.cards import Counter, a_scheme, a_tier, counter
from tests.factories.ledger import nothing_moves
from tests.factories.member_cards import a_card
from tests.factories.organisation import places
from tests.factories.reading import every
from tests.factories.staff import employee
from tests.factories.top_up_plans import custom, fixed, plan_of, ranging
from tests.factories.top_ups import ONE, SELL, a_sale, held, is_clean, sell, sold, stock_left

pytestmark = pytest.mark.anyio

SAVE = """mutation ($input: PaymentMethodSaveInput!) { paymentMethodSave(input: $input) {
  code name isNetReceipt canPayTopUp movesByTransfer provider } }"""
METHODS = "{ paymentMethods { code canPayTopUp movesByTransfer provider } }"
FREEZE = """mutation ($id: ID!) { cardStatusChange(input: {
  cardId: $id, status: FROZEN, reason: "Suspicious"}) { ... on Card { status } } }"""
OF_CARD = """query ($id: ID!, $first: Int = 20, $after: String) { card(id: $id) {
  topUps(first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor }
    edges { node { id amount { amount } } } } } }"""
LIST = """query ($first: Int = 20, $after: String, $state: TopUpState, $source: TopUpSource,
    $plan: ID, $store: ID, $card: ID, $from: DateTime, $to: DateTime) {
  topUps(first: $first, after: $after, state: $state, source: $source, planId: $plan,
    storeId: $store, cardId: $card, from: $from, to: $to) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { id } } } }"""
OFFERS = """fragment offer on TopUpOffer { name kind stockLeft obstacle availableFrom
    firstTopUpBonus { bonusBasisPoints } steps { __typename
      ... on TopUpFixedStep { amount { amount } bonus { amount } points } } }"""
OWN_OFFERS = (
    "query ($card: ID!, $store: ID) { topUpOffers(cardId: $card, storeId: $store) { ...offer } }"
    + OFFERS
)
TILL_OFFERS = (
    "query ($card: ID!, $till: ID!) { topUpOffers(cardId: $card, terminalId: $till) { ...offer } }"
    + OFFERS
)

lots_on_card = statement(
    select(Lot)
    .join(Account, col(Account.id) == col(Lot.account_id))
    .where(col(Account.card_id) == bindparam("card_id"))
    .order_by(col(Lot.id)),
    into=Lot,
)
acts = statement(select(AuditRecord).order_by(col(AuditRecord.id)), into=AuditRecord)
clear_monthly = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(points_expiry=PointsExpiry.MONTHLY, points_expiry_count=0)
)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def lots(till: Counter) -> dict[AccountKind, Lot]:
    """The card's only lot of each kind."""
    accounts = await till.database.read(ledger.accounts_of_cards, [till.shop.card.id])
    kinds = {account.id: account.kind for account in accounts}
    found = await every(till.database, lots_on_card, card_id=till.shop.card.id)
    return {kinds[lot.account_id]: lot for lot in found}


async def test_what_a_till_sells_is_on_the_card_at_once(till: Counter) -> None:
    plan = await plan_of(till)
    answer = await sell(till, plan, requestKey="k")
    order = answer["order"]
    assert answer == {
        "__typename": "TopUpSold",
        "replayed": False,
        "order": {
            "id": order["id"],
            "state": "CREDITED",
            "source": "PLAN",
            "channel": "POS",
            "isFirst": True,
            "planName": "Pay 100, get 110",
            "amount": {"amount": 100_00, "currency": "CNY"},
            "bonus": {"amount": 10_00},
            "points": 50,
            "createdAt": till.now.isoformat(),
            "expiresAt": None,
            "creditedAt": till.now.isoformat(),
            "endedAt": None,
            "refundRoute": None,
            "refundReason": None,
            "store": {"name": till.shop.store.name},
            "method": {"code": "cash"},
            "refundMethod": None,
            "payment": None,
        },
    }
    assert await held(till) == (100_00, 10_00, 50)
    assert await is_clean(till.database)
    lines = await till.as_member(
        "query ($id: ID!) { card(id: $id) { ledger { edges { node { kind cause amount } } } } }",
        id=till.card_id,
    )
    assert {tuple(edge["node"].values()) for edge in lines["ledger"]["edges"]} == {
        ("CASH", "TOP_UP", 100_00),
        ("BONUS", "TOP_UP", 10_00),
        ("POINTS", "TOP_UP", 50),
    }
    (sale,) = [act for act in await every(till.database, acts) if act.action == "top_up.sell"]
    assert sale.details["amount"] == 100_00
    async with nothing_moves(till.database):
        again = await sell(till, plan, requestKey="k")
        assert (again["replayed"], again["order"]) == (True, order)
        refused = await sell(till, plan, requestKey="k", methodCode="card")
        assert refused["__typename"] == "RequestKeyReused"
    assert await till.as_member(ONE, id=order["id"]) == order
    assert await till.as_staff(ONE, id=order["id"]) == order


async def test_what_a_top_up_brings_keeps_what_its_plan_said_of_it(till: Counter) -> None:
    """TOP-4, TOP-9, PTS-4: the day is the store's, where 12:00 UTC is 20:00 on 1 September."""
    await till.database.run(_monthly, till.shop.scheme)
    store_id = till.shop.store.id
    plan = await plan_of(
        till,
        spendingItems=["latte", "mocha"],
        spendingNodeIds=[type_id("node", store_id)],
        sameDayShareBasisPoints=3_333,
        bonusOnTheDay=False,
        bonusValidDays=30,
    )
    await sold(till, plan)
    found = await lots(till)
    anyhow = {"items": ["latte", "mocha"], "nodes": [str(store_id)]}
    today = {"date": "2026-09-01", "time_zone": "Asia/Shanghai"}
    cash, bonus, points = (
        found[k] for k in (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
    )
    assert cash.restriction == anyhow | {"day": today | {"usable": 33_33}}
    assert bonus.restriction == anyhow | {"day": today | {"usable": 0}}
    assert points.restriction is None
    assert cash.expires_at is None
    # The last day is 1 October.
    assert bonus.expires_at == datetime(2026, 10, 1, 16, tzinfo=UTC)
    assert points.expires_at == datetime(2026, 9, 30, 16, tzinfo=UTC)


async def _monthly(tx: Transaction, scheme: Scheme) -> None:
    await tx.changed(clear_monthly, scheme_id=scheme.id)


async def test_what_no_plan_restricts_is_not_restricted(till: Counter) -> None:
    await sold(till, await plan_of(till, sameDayShareBasisPoints=10_000))
    assert {(lot.restriction, lot.expires_at) for lot in (await lots(till)).values()} == {
        (None, None)
    }


async def test_a_plan_may_bring_no_bonus_or_no_points(till: Counter) -> None:
    await sold(till, await plan_of(till, steps=[fixed(1)]), 1)
    assert await held(till) == (1, 0, 0)
    ranged = await plan_of(till, steps=[ranging(10_00, 99_99, bonus=1_000, points=1_000)])
    await sold(till, ranged, 33_33)
    assert await held(till) == (33_34, 3_33, 3)
    grows = await plan_of(till, "CUSTOM", steps=[custom((50_00, 150_00), (0, 10_00), (0, 100))])
    order = await sold(till, grows, 100_00)
    assert await held(till) == (133_34, 8_33, 53)
    assert order["isFirst"] is False
    assert await is_clean(till.database)


async def test_a_top_up_grants_its_tier(till: Counter) -> None:
    """TIR-1, TOP-3."""
    gold = await till.database.run(a_tier, scheme=till.shop.scheme, level=2, name="Gold")
    given = {"grantedTierId": type_id("tier", gold.id), "grantedMonths": 3}
    await sold(till, await plan_of(till, **given))
    document = "query ($id: ID!) { card(id: $id) { tier { name } } }"
    assert await till.as_member(document, id=till.card_id) == {"tier": {"name": "Gold"}}


async def test_vouchers_of_another_platform_buy_no_stored_value(till: Counter) -> None:
    """TOP-8."""
    plan = await plan_of(till, stock=1)
    douyin = {"code": "douyin", "name": "Douyin voucher", "isNetReceipt": False}
    saved = await till.as_staff(SAVE, input=douyin | {"canPayTopUp": False})
    assert saved == douyin | {"canPayTopUp": False, "movesByTransfer": False, "provider": None}
    async with nothing_moves(till.database):
        assert await sell(till, plan, methodCode="douyin") == {
            "__typename": "MethodCannotTopUp",
            "message": "Douyin voucher cannot pay a top-up.",
            "methodCode": "douyin",
        }
        unknown = await sell(till, plan, methodCode="meituan")
        assert (unknown["__typename"], unknown["code"]) == ("PaymentMethodUnknown", "meituan")
        assert await sell(till, plan, methodCode="") == "BAD_USER_INPUT"
    await sold(till, plan)


async def test_what_a_save_does_not_mention_stays(till: Counter) -> None:
    """TOP-8: a page that knows less than this release does not let a voucher buy stored value."""
    flags = {"canPayTopUp": False, "movesByTransfer": True, "provider": "stripe"}
    first = {"code": "x", "name": "X", "isNetReceipt": True}
    await till.as_staff(SAVE, input=first | flags)
    renamed = first | {"name": "Y", "isNetReceipt": False}
    assert await till.as_staff(SAVE, input=renamed) == renamed | flags
    cleared = await till.as_staff(SAVE, input=renamed | {"provider": "", "movesByTransfer": False})
    assert cleared == renamed | flags | {"provider": None, "movesByTransfer": False}
    listed = {each["code"]: each for each in await till.as_staff(METHODS)}
    assert listed["x"] == {key: cleared[key] for key in listed["x"]}
    assert listed["cash"] == {
        "code": "cash", "canPayTopUp": True, "movesByTransfer": False, "provider": None
    }  # fmt: skip
    cashier = await till.as_staff(SAVE, who=till.shop.cashier, input=first)
    assert cashier == "FORBIDDEN"


async def test_large_sums_are_paid_in_a_way_a_bank_keeps_trace_of(till: Counter) -> None:
    """TOP-11."""
    await set_rules(till, transferFrom=500_00)
    plan = await plan_of(till, steps=[fixed(500_00)])
    async with nothing_moves(till.database):
        refused = await sell(till, plan, 500_00)
        assert (refused["__typename"], refused["limit"]) == ("TransferNeeded", {"amount": 500_00})
    bank = {"code": "bank", "name": "Transfer", "isNetReceipt": True, "movesByTransfer": True}
    await till.as_staff(SAVE, input=bank)
    await sold(till, plan, 500_00, methodCode="bank")


async def test_what_cannot_be_sold_leaves_no_trace(till: Counter) -> None:
    plan = await plan_of(till)
    elsewhere = await plan_of(
        till, perspectiveId=type_id("node", till.shop.places.tea.id), steps=[fixed(100_00)]
    )
    online = await plan_of(till, scope={"channels": ["ONLINE"]})
    gone = await plan_of(till, stock=1)
    await sold(till, gone)
    foreign = await till.database.run(counter_of_others, now=till.now)
    refusals: list[tuple[Any, dict[str, Any], str]] = [
        (plan, {"terminalId": type_id("term", new_id())}, "TerminalNotFound"),
        (plan, {"cardId": type_id("card", new_id())}, "CardNotFound"),
        (plan, {"cardId": foreign}, "CardNotFound"),
        (plan, {"planId": type_id("plan", new_id())}, "TopUpPlanNotFound"),
        (plan, {"amount": {"amount": 1, "currency": "CNY"}}, "AmountOutsideRange"),
        (plan, {"amount": {"amount": 100_00, "currency": "USD"}}, "WrongCurrency"),
        (elsewhere, {}, "NotAvailable"),
        (online, {}, "NotAvailable"),
        (gone, {}, "SoldOut"),
    ]
    async with nothing_moves(till.database):
        for offered, change, typename in refusals:
            assert (await sell(till, offered, **change))["__typename"] == typename, change
        assert await sell(till, plan, step=7) == "BAD_USER_INPUT"
        assert await sell(till, plan, requestKey="") == "BAD_USER_INPUT"
        of_tea = await till.database.run(
            employee, node=till.shop.places.tea, role="cashier", now=till.now
        )
    async with nothing_moves(till.database):
        assert await till.as_staff(SELL, who=of_tea, input=a_sale(till, plan)) == "FORBIDDEN"
    await till.as_staff(FREEZE, id=till.card_id)
    async with nothing_moves(till.database):
        refused = await sell(till, plan)
        assert (refused["__typename"], refused["status"]) == ("CardNotUsable", "FROZEN")


async def counter_of_others(tx: Transaction, *, now: datetime) -> str:
    """A card of another group."""
    found = await places(tx, now=now)
    scheme = await a_scheme(tx, perspective=found.group, now=now)
    member = await members.create(tx, group_id=found.group.id, name=None, now=now)
    card = await a_card(tx, member_id=member.id, scheme=scheme, now=now)
    return type_id("card", card.id)


async def test_of_many_at_once_as_many_are_sold_as_there_are(till: Counter) -> None:
    plan = await plan_of(till, stock=3)
    answers = await asyncio.gather(*(sell(till, plan) for _ in range(8)))
    names = sorted(answer["__typename"] for answer in answers)
    assert names == ["SoldOut"] * 5 + ["TopUpSold"] * 3
    assert await held(till) == (300_00, 30_00, 150)
    assert await stock_left(till, plan) == 0
    assert await is_clean(till.database)


async def test_one_request_sells_once_however_often_it_arrives(till: Counter) -> None:
    plan = await plan_of(till)
    answers = await asyncio.gather(*(sell(till, plan, requestKey="k") for _ in range(5)))
    assert sorted(answer["replayed"] for answer in answers) == [False, *[True] * 4]
    assert await held(till) == (100_00, 10_00, 50)


def ids(found: Any) -> list[str]:
    return [edge["node"]["id"] for edge in found["edges"]]


async def test_top_ups_are_seen_where_the_asker_works(till: Counter) -> None:
    """ORG-1: those of one's stores; the members' own, all of them."""
    plan = await plan_of(till)
    here, there = [
        await sold(till, plan, terminalId=terminal)
        for terminal in (till.terminal_id, till.other_terminal_id)
    ]
    cashier = till.shop.cashier
    for order, seen in ((here, True), (there, False)):
        shown = await till.as_staff(ONE, who=cashier, id=order["id"])
        assert (shown is not None) is seen
        assert await till.as_member(ONE, id=order["id"]) == order
    assert ids(await till.as_staff(LIST)) == [there["id"], here["id"]]
    listed = await till.as_staff(LIST, who=cashier)
    assert (ids(listed), listed["totalCount"]) == ([here["id"]], 1)
    page = (await till.as_staff(OF_CARD, id=till.card_id, first=1))["topUps"]
    assert (ids(page), page["totalCount"]) == ([there["id"]], 2)
    after = page["pageInfo"]["endCursor"]
    rest = (await till.as_member(OF_CARD, id=till.card_id, after=after))["topUps"]
    assert (ids(rest), rest["pageInfo"]["hasNextPage"]) == ([here["id"]], False)
    of_cashier = (await till.as_staff(OF_CARD, who=cashier, id=till.card_id))["topUps"]
    assert (ids(of_cashier), of_cashier["totalCount"]) == ([here["id"]], 1)
    foreign = await till.database.run(places, now=till.now)
    stranger = await till.database.run(employee, node=foreign.group, now=till.now)
    assert ids(await till.as_staff(LIST, who=stranger)) == []
    assert await till.as_staff(ONE, who=stranger, id=here["id"]) is None
    other = await till.database.run(
        members.create, group_id=till.shop.places.group.id, name=None, now=till.now
    )
    assert await till.as_member(ONE, member_id=other.id, id=here["id"]) is None


async def test_the_list_of_top_ups_has_filters(till: Counter) -> None:
    plan, other_plan = await plan_of(till), await plan_of(till, steps=[fixed(20_00)])
    first = await sold(till, plan)
    second = await sold(till.later(hours=1), other_plan, 20_00, terminalId=till.other_terminal_id)

    async def found(**wanted: Any) -> list[str]:
        return ids(await till.as_staff(LIST, **wanted))

    later = (till.now + timedelta(hours=1)).isoformat()
    assert await found(plan=plan["id"]) == [first["id"]]
    assert await found(store=type_id("node", till.shop.store.id)) == [first["id"]]
    assert await found(card=till.card_id) == [second["id"], first["id"]]
    assert await found(card=till.card_id, plan=other_plan["id"]) == [second["id"]]
    assert await found(card=type_id("card", new_id())) == []
    assert await found(**{"from": later}) == [second["id"]]
    assert await found(to=later) == [first["id"]]
    assert await found(state="CREDITED", source="PLAN") == [second["id"], first["id"]]
    assert await found(state="PENDING") == await found(source="CODE") == []
    assert (await till.as_staff(LIST, first=1))["pageInfo"]["hasNextPage"] is True
    assert await till.as_staff(LIST, first=0) == "BAD_USER_INPUT"
    assert await till.as_staff(LIST, after="x") == "BAD_USER_INPUT"
    after = (await till.as_staff(LIST, first=1))["pageInfo"]["endCursor"]
    assert await found(after=after) == [first["id"]]
    assert await found(after=after, card=till.card_id) == [first["id"]]


async def test_the_top_ups_of_a_merged_card_are_those_of_the_one_that_lives(till: Counter) -> None:
    """IDN-4."""
    plan = await plan_of(till)
    loser = await till.database.run(
        members.create, group_id=till.shop.places.group.id, name=None, now=till.now
    )
    card = await till.database.run(
        a_card, member_id=loser.id, scheme=till.shop.scheme, now=till.now
    )
    theirs = await sold(till, plan, cardId=type_id("card", card.id))
    ours = await sold(till, plan)
    await till.database.run(
        merging.join_records,
        survivor_id=till.shop.member.id,
        loser_id=loser.id,
        now=till.now,
    )
    for ask in (till.as_member, till.as_staff):
        assert ids((await ask(OF_CARD, id=till.card_id))["topUps"]) == [ours["id"], theirs["id"]]
    assert ids(await till.as_staff(LIST, card=till.card_id)) == [ours["id"], theirs["id"]]
    assert (await till.as_member(ONE, id=theirs["id"]))["id"] == theirs["id"]


async def test_what_is_offered_is_what_can_be_bought(till: Counter) -> None:
    """TOP-3, ORG-4."""
    bonus = {"bonusBasisPoints": 500, "pointsBasisPoints": 0}
    await plan_of(till, name="Everywhere", stock=2, firstTopUpBonus=bonus)
    await plan_of(till, name="Till", scope={"channels": ["POS"]})
    await plan_of(till, name="Online", scope={"channels": ["ONLINE"]})
    at_till: dict[str, Any] = {"card": till.card_id, "till": till.terminal_id}
    mine = await till.as_member(OWN_OFFERS, card=till.card_id)
    theirs = await till.as_staff(TILL_OFFERS, **at_till)
    assert [offer["name"] for offer in mine] == ["Everywhere", "Online"]
    assert [offer["name"] for offer in theirs] == ["Everywhere", "Till"]
    assert (
        mine[0]
        == theirs[0]
        == {
            "name": "Everywhere",
            "kind": "PACKAGE",
            "stockLeft": 2,
            "obstacle": None,
            "availableFrom": None,
            "firstTopUpBonus": {"bonusBasisPoints": 500},
            "steps": [
                {
                    "__typename": "TopUpFixedStep",
                    "amount": {"amount": 100_00},
                    "bonus": {"amount": 10_00},
                    "points": 50,
                }
            ],
        }
    )
    store = type_id("node", till.shop.store.id)
    assert len(await till.as_member(OWN_OFFERS, card=till.card_id, store=store)) == 2
    assert await till.as_member(OWN_OFFERS, card=type_id("card", new_id())) is None
    nowhere = type_id("node", new_id())
    assert await till.as_member(OWN_OFFERS, card=till.card_id, store=nowhere) is None
    assert await till.as_staff(TILL_OFFERS, **at_till | {"till": type_id("term", new_id())}) is None
    assert await till.as_staff(TILL_OFFERS, **at_till | {"card": type_id("card", new_id())}) is None
    other = at_till | {"till": till.other_terminal_id}
    assert await till.as_staff(TILL_OFFERS, who=till.shop.cashier, **other) == "FORBIDDEN"
