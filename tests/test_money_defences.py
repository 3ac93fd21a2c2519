"""Ways to get value from nothing, or to see what is not yours, that were tried and are closed."""

from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from app.core.db import Database
from app.core.ids import new_id, type_id
from app.jobs.worker import Worker
from app.models.ledger import AccountKind
from app.services import ledger
from tests.factories.adjustments import propose, set_rules
from tests.factories.cards import Counter, a_scheme, counter
from tests.factories.identities import Clock
from tests.factories.ledger import account, nothing_moves
from tests.factories.member_cards import a_card
from tests.factories.spendings import a_payer
from tests.factories.staff import Employee, employee
from tests.factories.top_up_plans import fixed, plan_of
from tests.test_recharge_codes import GENERATE, generate
from tests.test_smart_top_ups import DISCOUNT, quote_at_till
from tests.test_smart_top_ups import sell as take_offer
from tests.test_top_up_batches import SHOWN, a_row
from tests.test_top_up_batches import create as create_list

pytestmark = pytest.mark.anyio


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def somebody(till: Counter, role: str, **more: Any) -> Employee:
    node = more.pop("node", till.shop.places.group)
    return await till.database.run(employee, node=node, role=role, now=till.now)


async def balance(till: Counter, kind: AccountKind) -> int:
    return (await account(till.database, till.shop.card.id, kind)).balance


async def test_who_drafts_plans_does_not_make_codes_alone(till: Counter) -> None:
    """TOP-6: a code is cash for whoever has it, so making some takes an approver's permission."""
    plan = await plan_of(till)
    asked = {
        "planId": plan["id"],
        "step": 0,
        "amount": 100_00,
        "number": 3,
        "scenario": "For me",
        "expiresAt": (till.now + timedelta(days=1)).isoformat(),
        "requestKey": "k",
    }
    async with nothing_moves(till.database):
        marketer = await somebody(till, "marketer")
    async with nothing_moves(till.database):
        assert await till.as_staff(GENERATE, who=marketer, input=asked) == "FORBIDDEN"


async def test_the_same_key_with_another_scope_is_another_request(till: Counter) -> None:
    plan = await plan_of(till)
    await generate(till, plan["id"], requestKey="k")
    async with nothing_moves(till.database):
        elsewhere = await generate(till, plan["id"], requestKey="k", scope={"channels": ["POS"]})
        assert elsewhere == {"__typename": "RequestKeyReused"}


async def test_a_list_does_not_stand_in_for_a_second_person(till: Counter) -> None:
    """CRD-6: bonus and points above the limits wait for nobody, they fail."""
    await set_rules(till, adjustmentApprovalAbove=1_000, pointsApprovalAbove=100)
    number = till.shop.card.number
    made = await create_list(
        till,
        a_row(number, 50_00, 10_00, 100),
        a_row(number, 0, 10_01),
        a_row(number, 0, 0, 101),
    )
    await Worker(till.database, cast("Any", None), clock=Clock(till.now)).drain()
    shown = await till.as_staff(SHOWN, id=made["batch"]["id"])
    problems = [row["problem"] for row in shown["rows"]]
    assert problems == [None, "ApprovalNeeded", "ApprovalNeeded"]
    assert (await balance(till, AccountKind.BONUS), await balance(till, AccountKind.POINTS)) == (
        10_00,
        100,
    )


async def test_an_amount_that_is_split_waits_as_the_whole_would(till: Counter) -> None:
    """CRD-6: what one person adjusts alone in a day counts together."""
    await set_rules(till, adjustmentApprovalAbove=100)
    assert (await propose(till, "CASH", 60))["adjustment"]["state"] == "APPLIED"
    assert (await propose(till, "BONUS", 40))["adjustment"]["state"] == "APPLIED"
    assert (await propose(till, "CASH", 1))["adjustment"]["state"] == "PROPOSED"
    assert (await propose(till, "CASH", -1))["adjustment"]["state"] == "PROPOSED"
    assert await balance(till, AccountKind.CASH) == 60


async def test_the_extras_of_a_first_top_up_come_once(till: Counter) -> None:
    """TOP-5: an offer made before another top-up was the first is no longer good."""
    extras = {"bonusBasisPoints": 1_000, "pointsBasisPoints": 0}
    await set_rules(till)
    await plan_of(till, "SMART", steps=[DISCOUNT], firstTopUpBonus=extras)
    other = await plan_of(till, steps=[fixed(10_00)], name="Ten", firstTopUpBonus=extras)
    quoted = await quote_at_till(till, 100_00)
    await till.as_staff(
        """mutation ($input: TopUpSellInput!) { topUpSell(input: $input) { __typename } }""",
        input={
            "terminalId": till.terminal_id,
            "cardId": till.card_id,
            "planId": other["id"],
            "step": 0,
            "amount": {"amount": 10_00, "currency": "CNY"},
            "methodCode": "cash",
            "requestKey": new_id().hex,
        },
    )
    assert await balance(till, AccountKind.BONUS) == 1_00
    async with nothing_moves(till.database):
        assert await take_offer(till, quoted["token"]) == {"__typename": "QuoteRefused"}


async def test_what_is_held_counts_for_the_cap(database: Database, now: datetime) -> None:
    """TOP-11: authorising makes no room for more than one card may hold."""
    payer = await a_payer(database, now)
    await set_rules(payer.till, unregisteredCardCap=100)
    await payer.put(100)
    await payer.held(100)
    asked: dict[str, Any] = {"cardId": payer.card_id}
    async with nothing_moves(database):
        refused = await propose(payer.till, "CASH", 1, **asked)
        assert refused["__typename"] == "CardCapReached"
    assert await database.scan(ledger.check) == []


async def test_a_search_answers_no_more_than_a_list_would(till: Counter) -> None:
    """ORG-1: whoever may not read a scheme's cards cannot ask for their balances."""
    found = till.shop.places
    of_tea = await till.database.run(a_scheme, perspective=found.tea, now=till.now)
    await till.database.run(
        a_card, member_id=till.shop.member.id, scheme=of_tea, points=700, now=till.now
    )
    here = await somebody(till, "marketer", node=found.coffee_store)
    search = """query ($filter: MemberFilter!) { members(first: 5, filter: $filter) {
      edges { node { id } } } }"""
    rich = {"schemeId": type_id("sch", of_tea.id), "balance": {"kind": "POINTS", "atLeast": 700}}
    assert (await till.as_staff(search, filter=rich))["edges"] != []
    assert (await till.as_staff(search, who=here, filter=rich))["edges"] == []
    anywhere = {"balance": {"kind": "POINTS", "atLeast": 700}}
    assert (await till.as_staff(search, who=here, filter=anywhere))["edges"] == []
