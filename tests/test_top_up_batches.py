"""CRD-6: a list of cards is topped up once each, and says which could not be and why."""

import asyncio
from datetime import datetime
from typing import Any, cast

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.jobs.worker import Worker
from app.models.ledger import AccountKind
from app.services import ledger
from tests.factories.adjustments import set_rules
from tests.factories.cards import Counter, counter
from tests.factories.identities import Clock
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import a_card

pytestmark = pytest.mark.anyio

NOWHERE = type_id("node", new_id())
CREATE = """mutation ($input: TopUpBatchCreateInput!) { topUpBatchCreate(input: $input) {
  __typename ... on TopUpBatchCreated { replayed batch { id state numberOfRows } } } }"""
SHOWN = """query ($id: ID!) { topUpBatch(id: $id) { state numberCredited numberFailed
  rows { position state problem topUpId amount { amount } }
  failed: rows(state: FAILED) { position } } }"""


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def create(till: Counter, *rows: dict[str, Any], **more: Any) -> Any:
    asked: dict[str, Any] = {
        "perspectiveId": type_id("node", till.shop.places.group.id),
        "methodCode": "cash",
        "currency": "CNY",
        "rows": list(rows),
        "reason": "Spring festival",
        "requestKey": new_id().hex,
    }
    return await till.as_staff(CREATE, input=asked | more)


async def work(till: Counter) -> None:
    await Worker(till.database, cast("Any", None), clock=Clock(till.now)).drain()


def a_row(number: str, amount: int = 0, bonus: int = 0, points: int = 0) -> dict[str, Any]:
    return {"cardNumber": number, "amount": amount, "bonus": bonus, "points": points}


async def test_each_card_is_credited_or_says_why_not(till: Counter) -> None:
    """Good rows land; the others name their problem and move nothing."""
    await set_rules(till, unregisteredCardCap=100_00)
    own = till.shop.card.number
    made = await create(
        till,
        a_row(own, 60_00, 5_00, 7),
        a_row("0000000000", 1_00),
        a_row(own, 40_01),
        a_row(own, 40_00),
    )
    assert made["batch"] == made["batch"] | {"state": "RUNNING", "numberOfRows": 4}
    await work(till)
    shown = await till.as_staff(SHOWN, id=made["batch"]["id"])
    assert (shown["state"], shown["numberCredited"], shown["numberFailed"]) == ("DONE", 2, 2)
    assert [(row["state"], row["problem"]) for row in shown["rows"]] == [
        ("CREDITED", None),
        ("FAILED", "CardNotFound"),
        ("FAILED", "CardCapReached"),
        ("CREDITED", None),
    ]
    assert shown["failed"] == [{"position": 2}, {"position": 3}]
    for kind, amount in (("CASH", 100_00), ("BONUS", 5_00), ("POINTS", 7)):
        held = await account(till.database, till.shop.card.id, AccountKind(kind))
        assert held.balance == amount
    orders = await till.as_staff(
        "{ topUps(first: 9, source: BATCH) { edges { node { source method { code } } } } }"
    )
    assert [edge["node"]["method"]["code"] for edge in orders["edges"]] == ["cash", "cash"]
    assert await till.database.scan(ledger.check) == []


async def test_a_list_is_worked_through_once_by_many_workers(till: Counter) -> None:
    await set_rules(till)
    made = await create(till, *(a_row(till.shop.card.number, 1_00) for _ in range(20)))
    await asyncio.gather(*(work(till) for _ in range(4)))
    await work(till)
    shown = await till.as_staff(SHOWN, id=made["batch"]["id"])
    assert (shown["state"], shown["numberCredited"]) == ("DONE", 20)
    assert (await account(till.database, till.shop.card.id, AccountKind.CASH)).balance == 20_00


async def test_a_list_that_comes_twice_is_one(till: Counter) -> None:
    await set_rules(till)
    row = a_row(till.shop.card.number, 1_00)
    answers = await asyncio.gather(*(create(till, row, requestKey="b") for _ in range(8)))
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 7
    await work(till)
    assert (await account(till.database, till.shop.card.id, AccountKind.CASH)).balance == 1_00


async def test_a_frozen_card_and_one_elsewhere_are_left_alone(till: Counter) -> None:
    """CRD-3; and a brand's list reaches only cards of its own schemes."""
    await set_rules(till)
    tea = type_id("node", till.shop.places.tea.id)
    made = await create(till, a_row(till.shop.card.number, 1_00), perspectiveId=tea)
    await work(till)
    shown = await till.as_staff(SHOWN, id=made["batch"]["id"])
    assert shown["rows"][0]["problem"] == "CardElsewhere"
    await till.as_staff(
        """mutation ($id: ID!) { cardStatusChange(input: {cardId: $id, status: FROZEN,
          reason: "Suspicious"}) { __typename } }""",
        id=till.card_id,
    )
    made = await create(till, a_row(till.shop.card.number, 1_00))
    await work(till)
    shown = await till.as_staff(SHOWN, id=made["batch"]["id"])
    assert shown["rows"][0]["problem"] == "CardNotUsable"
    assert (await account(till.database, till.shop.card.id, AccountKind.CASH)).balance == 0


@pytest.mark.parametrize(
    ("rows", "change", "answer"),
    [
        ([], {}, "BAD_USER_INPUT"),
        ([a_row("1", 1)] * 501, {}, "BAD_USER_INPUT"),
        ([a_row("1", 0)], {}, "BAD_USER_INPUT"),
        ([a_row("1", -1)], {}, "BAD_USER_INPUT"),
        ([a_row("1", 2**62)], {}, "BAD_USER_INPUT"),
        ([a_row("", 1)], {}, "BAD_USER_INPUT"),
        ([a_row("1" * 17, 1)], {}, "BAD_USER_INPUT"),
        ([a_row("1", 1)], {"currency": "XXX"}, "BAD_USER_INPUT"),
        ([a_row("1", 1)], {"reason": ""}, "BAD_USER_INPUT"),
        ([a_row("1", 1)], {"methodCode": "barter"}, {"__typename": "PaymentMethodUnknown"}),
        ([a_row("1", 1)], {"perspectiveId": NOWHERE}, {"__typename": "NodeNotFound"}),
    ],
)  # fmt: skip
async def test_a_list_that_cannot_be_is_refused_whole(
    till: Counter, rows: list[dict[str, Any]], change: dict[str, Any], answer: Any
) -> None:
    async with nothing_moves(till.database):
        assert await create(till, *rows, **change) == answer
        await work(till)


async def test_a_cashier_tops_up_no_lists(till: Counter) -> None:
    asked = {"rows": [a_row(till.shop.card.number, 1)]}
    other = await till.database.run(
        a_card, member_id=till.shop.member.id, scheme=till.shop.scheme, now=till.now
    )
    assert other.id == till.shop.card.id
    async with nothing_moves(till.database):
        refused = await till.as_staff(
            CREATE,
            who=till.shop.cashier,
            input=asked
            | {
                "perspectiveId": type_id("node", till.shop.places.group.id),
                "methodCode": "cash",
                "currency": "CNY",
                "reason": "No",
                "requestKey": "k",
            },
        )
        assert refused == "FORBIDDEN"
