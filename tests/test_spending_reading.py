"""ORG-1, QRC-3, SEC-3: who reads what a card paid, hears of it, and finds who charged it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, statement
from app.core.ids import new_id, parse_type_id, type_id
from app.models.operations import AuditRecord
from app.models.spendings import Spending, SpendingPart, SpendingRefund, SpendingState
from app.services import members, spendings
from resolvers.root import member_schema
from tests.factories.reading import every
from tests.factories.spendings import Payer, a_payer, merged_away

pytestmark = pytest.mark.anyio

READ = """query ($id: ID!) { spending(id: $id) {
  id cardId kind state orderNumber amount { amount currency } cash { amount } store { name } } }"""
LIST = """query ($id: ID!, $first: Int! = 20, $after: String) { card(id: $id) {
  spendings(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { amount { amount } } } } } }"""
EXISTS = "query ($id: ID!) { spending(id: $id) { id } }"

records_of = statement(
    select(AuditRecord)
    .where(col(AuditRecord.object_id) == bindparam("object_id"))
    .order_by(col(AuditRecord.id)),
    into=AuditRecord,
)


@pytest.fixture
async def payer(database: Database, now: datetime) -> Payer:
    return await a_payer(database, now)


async def test_spendings_are_read_by_those_concerned(payer: Payer) -> None:
    """ORG-1: the member whose card it is, and staff of the store; through the card no more."""
    await payer.put(100)
    till, terminal = payer.till, payer.till.other_terminal_id
    spending = await payer.paid(10, orderNumber="A-1", terminalId=terminal)
    stranger = await till.database.run(
        members.create, group_id=till.shop.places.group.id, name=None, now=till.now
    )
    shown = {
        "id": spending["id"],
        "cardId": payer.card_id,
        "kind": "STORED_VALUE",
        "state": "CAPTURED",
        "orderNumber": "A-1",
        "amount": {"amount": 10, "currency": "CNY"},
        "cash": {"amount": 10},
        "store": {"name": till.shop.places.tea_store.name},
    }
    assert await till.as_member(READ, id=spending["id"]) == shown
    assert await till.as_staff(READ, id=spending["id"]) == shown
    assert await till.as_member(READ, member_id=stranger.id, id=spending["id"]) is None
    assert await till.as_staff(READ, who=till.shop.cashier, id=spending["id"]) is None
    for ask in (till.as_member, till.as_staff):
        assert await ask(READ, id=type_id("spd", new_id())) is None
        assert await ask(READ, id=type_id("pur", new_id())) == "BAD_USER_INPUT"


async def test_a_cards_spendings_come_in_pages_where_the_asker_works(payer: Payer) -> None:
    await payer.put(100)
    for amount in (1, 2, 3):
        await payer.paid(amount)
    await payer.paid(4, terminalId=payer.till.other_terminal_id)
    for ask in (payer.till.as_member, payer.till.as_staff):
        page = (await ask(LIST, id=payer.card_id, first=3))["spendings"]
        assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (4, True)
        assert [edge["node"]["amount"]["amount"] for edge in page["edges"]] == [4, 3, 2]
        after = page["pageInfo"]["endCursor"]
        rest = (await ask(LIST, id=payer.card_id, first=3, after=after))["spendings"]
        assert [edge["node"]["amount"]["amount"] for edge in rest["edges"]] == [1]
    mine = await payer.till.as_staff(LIST, who=payer.till.shop.cashier, id=payer.card_id)
    assert mine["spendings"]["totalCount"] == 3
    assert [e["node"]["amount"]["amount"] for e in mine["spendings"]["edges"]] == [3, 2, 1]


async def test_each_act_is_on_record(payer: Payer) -> None:
    """SEC-3: who did what where, and how much of each value."""
    await payer.put(100)
    await payer.put_bonus(10)
    charged = await payer.paid(105)
    await payer.refund(charged, 21)
    held = await payer.held(5)
    await payer.capture(held, 3)
    await payer.void(held)
    records = {
        spending["id"]: await every(
            payer.database, records_of, object_id=parse_type_id("spd", spending["id"])
        )
        for spending in (charged, held)
    }
    assert [(r.action, r.details.get("amount")) for r in records[charged["id"]]] == [
        ("spending.charge", 105),
        ("spending.refund", 21),
    ]
    assert [(r.action, r.details.get("amount")) for r in records[held["id"]]] == [
        ("spending.authorise", 5),
        ("spending.capture", 3),
        ("spending.void", 3),
    ]
    every_one = [record for of_one in records.values() for record in of_one]
    assert {record.node_id for record in every_one} == {payer.till.shop.store.id}
    assert {record.actor_id for record in every_one} == {payer.till.shop.owner.staff.id}


EVENTS = """subscription { memberEvents { __typename
  ... on ValueSpent { spending { id state returned { amount } refunds { reason } } }
  ... on ValueReturned { spending { id state returned { amount } refunds { reason } } } } }"""


@asynccontextmanager
async def page(payer: Payer) -> AsyncIterator[Any]:
    """The open page of the card's holder: what it is told next."""
    context = payer.till.context(payer.till.member(payer.card.member_id))
    events = await member_schema.subscribe(EVENTS, context_value=context)
    assert isinstance(events, AsyncIterator)

    async def told() -> Any:
        result = await anext(events)
        assert result.errors is None
        assert result.data is not None
        return result.data["memberEvents"]

    assert await told() == {"__typename": "Listening"}
    yield told
    await events.aclose()


async def test_the_members_page_hears_what_was_spent_and_what_came_back(payer: Payer) -> None:
    """QRC-3: each with the spending as it is then; nothing of what is only held or was refused."""
    await payer.put(100)
    async with page(payer) as told:

        async def hears(kind: str, spending: Any, returned: int, reasons: list[str]) -> None:
            shown = [{"reason": reason} for reason in reasons]
            assert await told() == {
                "__typename": kind,
                "spending": {
                    "id": spending["id"],
                    "state": "VOIDED" if returned > 30 else "CAPTURED",
                    "returned": {"amount": returned},
                    "refunds": shown,
                },
            }

        await payer.charge(101)
        held = await payer.held(40)
        charged = await payer.paid(30)
        await hears("ValueSpent", charged, 0, [])
        await payer.refund(charged, 10, reason="Cold")
        await hears("ValueReturned", charged, 10, ["Cold"])
        await payer.refund(charged, 5, reason="Late")
        await hears("ValueReturned", charged, 15, ["Cold", "Late"])
        await payer.capture(held, 25)
        await hears("ValueSpent", held, 15, [])
        await payer.void(held)
        await hears("ValueReturned", held, 40, [])
        overdue = await payer.held(31)
        due = payer.later(hours=1).till.now
        assert await payer.database.run(spendings.void_overdue, now=due) == 1
        await hears("ValueReturned", overdue, 31, [])


async def test_who_was_merged_away_still_reads_and_hears_of_it(payer: Payer) -> None:
    """IDN-4."""
    await payer.put(100)
    spending = await payer.paid(50)
    survivor = await merged_away(payer)
    for member_id in (payer.card.member_id, survivor.member_id):
        read = await payer.till.as_member(EXISTS, member_id=member_id, id=spending["id"])
        assert read == {"id": spending["id"]}
    listed = await payer.till.as_staff(LIST, id=type_id("card", survivor.id))
    assert [each["node"]["amount"]["amount"] for each in listed["spendings"]["edges"]] == [50]
    async with page(payer) as told:
        await payer.refund(spending, 20, reason="Cold")
        assert (await told())["spending"]["returned"]["amount"] == 20


# What `regulars check ledger` proves

PARTS = "a spending's parts are what it took and what came back"
TAKEN = "a spending's part is what its posting took from the lot"
STATE = "a spending is of one kind, and as its state says"
REFUNDS = "a spending's refunds are no more than what came back"
HELD = "what is held is what was authorised"
tampered = {
    "part": statement(update(SpendingPart).values(taken=col(SpendingPart.taken) + 1)),
    "returned": statement(update(SpendingPart).values(returned=1)),
    "split": statement(update(Spending).values(cash=col(Spending.cash) - 1, bonus=1)),
    "state": statement(update(Spending).values(state=SpendingState.VOIDED)),
    "open": statement(update(Spending).values(state=SpendingState.AUTHORISED)),
    "refund": statement(update(SpendingRefund).values(amount=50)),
}


@pytest.mark.parametrize(
    ("what", "rules"),
    [
        ("part", {PARTS, TAKEN}),
        ("returned", {PARTS}),
        ("split", {PARTS}),
        ("state", {STATE, REFUNDS}),
        ("open", {STATE, REFUNDS, HELD}),
        ("refund", {REFUNDS}),
    ],
)
async def test_what_does_not_agree_with_the_ledger_is_found(
    payer: Payer, what: str, rules: set[str]
) -> None:
    """FIN-1."""
    await payer.put(100)
    await payer.refund(await payer.paid(30), 10)
    await payer.require_books()
    await payer.database.run(lambda tx: tx.changed(tampered[what]))
    faults = await payer.database.scan(spendings.check)
    assert {fault.rule for fault in faults} == rules
