"""TOP-6: recharge codes are made for a plan, unguessable, and each tops one card up once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.ledger import AccountKind
from app.models.top_ups import RechargeCode
from app.services import ledger
from app.services.top_ups.codes import WRONG_PER_MEMBER_MAX, WRONG_PER_TERMINAL_MAX
from tests.factories.cards import Counter, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.reading import every
from tests.factories.top_up_plans import DEACTIVATE, UPDATE, a_plan, an_edit, fixed, plan_of

pytestmark = pytest.mark.anyio

GENERATE = """mutation ($input: RechargeCodesGenerateInput!) {
  rechargeCodesGenerate(input: $input) {
  __typename
  ... on RechargeCodesGenerated { replayed codes
    batch { id amount { amount } bonus { amount } points numberOfCodes numberRedeemed } }
} }"""
REVOKE = """mutation ($id: ID!) { rechargeCodesRevoke(batchId: $id) {
  __typename ... on RechargeCodeBatch { revokedAt numberRedeemed } } }"""
REDEEM = """mutation ($input: RechargeCodeRedeemInput!) { rechargeCodeRedeem(input: $input) {
  __typename ... on RechargeCodeRedeemed { replayed
    topUp { id source state amount { amount } bonus { amount } points } } } }"""
REDEEM_AT_TILL = """mutation ($input: RechargeCodeRedeemAtTerminalInput!) {
  rechargeCodeRedeem(input: $input) { __typename
    ... on RechargeCodeRedeemed { replayed topUp { id source channel store { name } } } } }"""
BATCHES = "query ($id: ID!) { rechargeCodeBatches(planId: $id) { id scenario numberRedeemed } }"

code_rows = statement(select(RechargeCode), into=RechargeCode)


@pytest.fixture
async def till(database: Database, now: datetime) -> Counter:
    return await counter(database, now)


async def generate(till: Counter, plan_id: str, **more: Any) -> Any:
    asked: dict[str, Any] = {
        "planId": plan_id,
        "step": 0,
        "amount": 100_00,
        "number": 3,
        "scenario": "Autumn fair",
        "expiresAt": (till.now + timedelta(days=30)).isoformat(),
        "requestKey": new_id().hex,
    }
    return await till.as_staff(GENERATE, input=asked | more)


async def codes_of(till: Counter, **more: Any) -> list[str]:
    plan = await plan_of(till)
    return list((await generate(till, plan["id"], **more))["codes"])


async def redeem(till: Counter, code: str, **more: Any) -> Any:
    asked = {"cardId": till.card_id, "code": code, "requestKey": new_id().hex}
    return await till.as_member(REDEEM, input=asked | more)


async def redeem_at_till(till: Counter, code: str, **more: Any) -> Any:
    asked = {
        "terminalId": till.terminal_id,
        "cardId": till.card_id,
        "code": code,
        "requestKey": new_id().hex,
    }
    return await till.as_staff(REDEEM_AT_TILL, who=till.shop.cashier, input=asked | more)


REFUSED = {"__typename": "RechargeCodeRefused"}


async def test_a_code_brings_what_its_plan_said_when_it_was_made(till: Counter) -> None:
    """100.00, a bonus of 10.00 and 50 points, though the plan gives less by now."""
    plan = await plan_of(till)
    made = await generate(till, plan["id"])
    assert made["batch"]["points"] == 50
    assert len(set(made["codes"])) == 3
    off = await till.as_staff(DEACTIVATE, input={"id": plan["id"]})
    edit = an_edit(off, a_plan(till), steps=[fixed(100_00, 1, 1)])
    assert (await till.as_staff(UPDATE, input=edit))["__typename"] == "TopUpPlan"
    written = " ".join(made["codes"][0][i : i + 4].lower() for i in range(0, 16, 4))
    brought = await redeem(till, written)
    assert brought["topUp"] == brought["topUp"] | {
        "source": "CODE",
        "state": "CREDITED",
        "amount": {"amount": 100_00},
        "bonus": {"amount": 10_00},
        "points": 50,
    }
    for kind, amount in (("CASH", 100_00), ("BONUS", 10_00), ("POINTS", 50)):
        held = await account(till.database, till.shop.card.id, AccountKind(kind))
        assert held.balance == amount
    (batch,) = await till.as_staff(BATCHES, id=plan["id"])
    assert batch["numberRedeemed"] == 1
    assert await till.database.scan(ledger.check) == []


async def test_only_a_keyed_hash_of_a_code_is_kept(till: Counter) -> None:
    made = await codes_of(till)
    kept = {row.code_index for row in await every(till.database, code_rows)}
    assert not kept & set(made)
    assert all(len(code) == 16 for code in made)


async def test_the_same_request_shows_the_same_codes(till: Counter) -> None:
    plan = await plan_of(till)
    first = await generate(till, plan["id"], requestKey="k")
    async with nothing_moves(till.database):
        again = await generate(till, plan["id"], requestKey="k")
        assert (again["codes"], again["replayed"]) == (first["codes"], True)
        reused = await generate(till, plan["id"], requestKey="k", number=4)
        assert reused == {"__typename": "RequestKeyReused"}


async def test_sixteen_who_bring_one_code_are_topped_up_once(till: Counter) -> None:
    """Single use, also at the till and in the app at once."""
    (code, *_) = await codes_of(till)
    answers = await asyncio.gather(
        *(redeem(till, code) for _ in range(8)), *(redeem_at_till(till, code) for _ in range(8))
    )
    made = [answer for answer in answers if answer["__typename"] == "RechargeCodeRedeemed"]
    assert len(made) == 1
    assert (await account(till.database, till.shop.card.id, AccountKind.CASH)).balance == 100_00


async def test_the_same_redemption_answers_the_same(till: Counter) -> None:
    (code, *_) = await codes_of(till)
    answers = await asyncio.gather(*(redeem(till, code, requestKey="r") for _ in range(8)))
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 7
    assert len({answer["topUp"]["id"] for answer in answers}) == 1


async def test_whatever_is_wrong_with_a_code_the_answer_is_one(till: Counter) -> None:
    """Unknown, used, expired, revoked, elsewhere, malformed: nobody learns which."""
    plan = await plan_of(till)
    made = await generate(till, plan["id"])
    used, revoked_code = made["codes"][:2]
    await redeem(till, used)
    at_tea = {"includedNodeIds": [type_id("node", till.shop.places.tea_store.id)]}
    elsewhere = (await generate(till, plan["id"], scope=at_tea))["codes"][0]
    soon = (till.now + timedelta(minutes=1)).isoformat()
    expired = (await generate(till, plan["id"], expiresAt=soon))["codes"][0]
    revoked = await till.as_staff(REVOKE, id=made["batch"]["id"])
    assert revoked["numberRedeemed"] == 1
    later = till.later(minutes=1)
    async with nothing_moves(till.database):
        for code in (used, revoked_code, expired, "2" * 16, "", "x" * 5_000, "２" * 16):
            assert await redeem(later, code) == REFUSED
        assert await redeem_at_till(later, elsewhere) == REFUSED


async def test_guesses_are_counted_and_end(till: Counter) -> None:
    """A right code does not count; after ten wrong ones the member waits for an hour."""
    good, better, *_ = await codes_of(till)
    for _ in range(WRONG_PER_MEMBER_MAX - 1):
        assert await redeem(till, "2" * 16) == REFUSED
    assert (await redeem(till, good))["__typename"] == "RechargeCodeRedeemed"
    assert await redeem(till, "2" * 16) == REFUSED
    assert await redeem(till, better) == "TOO_MANY_REQUESTS"
    assert (await redeem(till.later(hours=1), better))["__typename"] == "RechargeCodeRedeemed"
    for _ in range(WRONG_PER_TERMINAL_MAX):
        assert await redeem_at_till(till, "3" * 16) == REFUSED
    assert await redeem_at_till(till, "3" * 16) == "TOO_MANY_REQUESTS"


async def test_guesses_at_once_all_count(till: Counter) -> None:
    answers = await asyncio.gather(
        *(redeem(till, "4" * 16) for _ in range(WRONG_PER_MEMBER_MAX * 2))
    )
    assert answers.count(REFUSED) == WRONG_PER_MEMBER_MAX


async def test_a_code_for_tills_is_redeemed_there(till: Counter) -> None:
    """Channels: POS only."""
    (code, *_) = await codes_of(till, scope={"channels": ["POS"]})
    async with nothing_moves(till.database):
        assert await redeem(till, code) == REFUSED
    sold = await redeem_at_till(till, code)
    assert sold["topUp"]["channel"] == "POS"


async def test_a_card_that_cannot_be_used_says_so(till: Counter) -> None:
    """The code is good, so the card's own reason is no secret; and it stays good."""
    (code, *_) = await codes_of(till)
    freeze = """mutation ($id: ID!, $to: CardStatus!) { cardStatusChange(input: {cardId: $id,
      status: $to, reason: "Suspicious"}) { __typename } }"""
    await till.as_staff(freeze, id=till.card_id, to="FROZEN")
    async with nothing_moves(till.database):
        assert await redeem(till, code) == {"__typename": "CardNotUsable"}
    await till.as_staff(freeze, id=till.card_id, to="NORMAL")
    assert (await redeem(till, code))["__typename"] == "RechargeCodeRedeemed"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"number": 0}, "BAD_USER_INPUT"),
        ({"number": 1_001}, "BAD_USER_INPUT"),
        ({"step": 1}, "BAD_USER_INPUT"),
        ({"step": -1}, "BAD_USER_INPUT"),
        ({"amount": 100_01}, {"__typename": "AmountOutsideRange"}),
        ({"amount": -1}, {"__typename": "AmountOutsideRange"}),
        ({"scenario": ""}, "BAD_USER_INPUT"),
        ({"expiresAt": "2026-09-01T12:00:00Z"}, "BAD_USER_INPUT"),
        ({"expiresAt": "2036-09-01T12:00:00Z"}, "BAD_USER_INPUT"),
        ({"requestKey": ""}, "BAD_USER_INPUT"),
        ({"planId": type_id("plan", new_id())}, {"__typename": "TopUpPlanNotFound"}),
    ],
)
async def test_codes_that_cannot_be_made_are_not(
    till: Counter, change: dict[str, Any], answer: Any
) -> None:
    plan = await plan_of(till)
    async with nothing_moves(till.database):
        assert await generate(till, plan["id"], **change) == answer
    assert await every(till.database, code_rows) == []


async def test_making_and_revoking_codes_needs_permission(till: Counter) -> None:
    plan = await plan_of(till)
    made = await generate(till, plan["id"])
    async with nothing_moves(till.database):
        asked = {"id": made["batch"]["id"]}
        assert await till.as_staff(REVOKE, who=till.shop.cashier, **asked) == "FORBIDDEN"
        unknown = type_id("rcb", new_id())
        assert await till.as_staff(REVOKE, id=unknown) == {"__typename": "CodeBatchNotFound"}
