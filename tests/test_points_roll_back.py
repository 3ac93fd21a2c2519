"""PTS-7: points that came by fraud go back, with everything that followed from them."""

import asyncio
from collections import Counter as Count
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlmodel import select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.models.cards import Card
from app.models.ledger import AccountKind, PostingKind, SystemAccount
from app.models.operations import AuditRecord
from app.models.sessions import PrincipalKind
from app.services import cards, ledger, members
from app.services.merges import merging
from tests.factories.behaviour import check_in, set_behaviour_rule, set_points_rules
from tests.factories.cards import Counter, a_tier, counter
from tests.factories.ledger import account, nothing_moves
from tests.factories.purchases import purchase_of, record, refund
from tests.factories.reading import every
from tests.factories.spendings import Payer, a_payer
from tests.factories.staff import employee

pytestmark = pytest.mark.anyio

ROLL_BACK = """mutation ($input: PointsRollBackInput!) { pointsRollBack(input: $input) {
  __typename
  ... on PointsRolledBack { points growth debt replayed
    card { id tier { name } balances { points pointsDebt growth } }
    followed { postingId cause amount occurredAt isStillAuthorised } }
  ... on NotToRollBack { cause }
  ... on AlreadyRolledBack { rolledBackAt } } }"""
LINES = """query ($id: ID!) { card(id: $id) { ledger(first: 100) { edges { node {
  id kind cause amount } } } } }"""

TIER = "query ($id: ID!) { card(id: $id) { tier { name } } }"

acts = statement(select(AuditRecord), into=AuditRecord)


@pytest.fixture
async def payer(database: Database, now: datetime) -> Payer:
    """A card whose points pay 1.00 each. 100 growth for each 1.00 spent: 1,000 make it gold."""
    payer = await a_payer(
        database, now, points_worth_points=1, points_worth_amount=100,
        tiers_are_computed=True, growth_unit=100, growth_rate=100,
    )  # fmt: skip
    await database.run(a_tier, scheme=payer.scheme, level=10, name="Gold")
    shop = replace(payer.till.shop, scheme=payer.scheme, card=payer.card)
    return replace(payer, till=replace(payer.till, shop=shop))


async def line(till: Counter, cause: str = "EARN", kind: str = "POINTS") -> str:
    """The newest line of the card with this cause, of this kind of value."""
    shown = await till.as_member(LINES, id=till.card_id)
    nodes = [edge["node"] for edge in shown["ledger"]["edges"]]
    return next(str(n["id"]) for n in nodes if (n["cause"], n["kind"]) == (cause, kind))


async def roll_back(till: Counter, line_id: str, /, who: Any = None, **more: Any) -> Any:
    asked = {"ledgerLineId": line_id, "reason": "Forged bills", "requestKey": new_id().hex}
    return await till.as_staff(ROLL_BACK, who=who, input=asked | more)


async def points(till: Counter) -> tuple[int, int]:
    """The balance and the debt, having checked the books."""
    found = await account(till.database, till.shop.card.id)
    assert await till.database.scan(ledger.check) == []
    return found.balance, found.debt


async def test_a_purchases_points_growth_and_tier_go(payer: Payer) -> None:
    """PTS-7: what was spent of the points becomes a debt; who spent them is named."""
    till = payer.till
    await record(till, 400)  # honest: 2 points, 400 growth
    purchase_id = await purchase_of(till, 2_000)
    assert await till.as_member(TIER, id=till.card_id) == {"tier": {"name": "Gold"}}
    line_id = await line(till)
    await payer.pay_with_points(700, total=2_000)
    assert await points(till) == (5, 0)
    answer = await roll_back(till, line_id)
    (follower,) = answer["followed"]
    assert answer == {
        "__typename": "PointsRolledBack",
        "points": 10,
        "growth": 2_000,
        "debt": 5,
        "replayed": False,
        "card": {
            "id": till.card_id,
            "tier": {"name": "Green"},
            "balances": {"points": 0, "pointsDebt": 5, "growth": 400},
        },
        "followed": [
            {
                "postingId": follower["postingId"],
                "cause": "SPEND",
                # The two honest ones were spent first: they had come first.
                "amount": 5,
                "occurredAt": till.now.isoformat(),
                "isStillAuthorised": False,
            }
        ],
    }
    assert await points(till) == (0, 5)
    # The purchase has nothing left to take back, neither points nor growth.
    for part in (300, 1_700):
        refunded = await refund(till, purchase_id, part)
        assert refunded["refund"]["pointsTaken"] == 0
    assert refunded["purchase"]["pointsTakenBack"] == 10
    assert await points(till) == (0, 5)
    growth = await account(till.database, till.shop.card.id, AccountKind.GROWTH)
    assert (growth.balance, growth.debt) == (400, 0)
    # What is earned next pays the debt, and growth goes on from what counted honestly.
    await record(till, 1_400)
    assert await points(till) == (2, 0)
    growth = await account(till.database, till.shop.card.id, AccountKind.GROWTH)
    assert growth.balance == 1_800
    actions = [row.action for row in await every(till.database, acts)]
    assert actions.count("points.roll_back") == 1


async def test_a_roll_back_happens_once_and_answers_again(payer: Payer) -> None:
    """PTS-7: by its request key; another key learns that it was done."""
    till = payer.till
    await record(till, 1_000)
    line_id = await line(till)
    first = await roll_back(till, line_id, requestKey="once")
    async with nothing_moves(till.database):
        again = await roll_back(till, line_id, requestKey="once")
        assert again == first | {"replayed": True}
        other = await roll_back(till.later(hours=1), line_id)
        assert other == {"__typename": "AlreadyRolledBack", "rolledBackAt": till.now.isoformat()}
        reused = await roll_back(till, line_id, requestKey="once", reason="Another")
        assert reused == {"__typename": "RequestKeyReused"}


async def test_of_many_at_once_one_takes(payer: Payer) -> None:
    """PTS-7."""
    await record(payer.till, 1_000)
    line_id = await line(payer.till)
    answers = await asyncio.gather(*(roll_back(payer.till, line_id) for _ in range(8)))
    names = Count(answer["__typename"] for answer in answers)
    assert names == {"PointsRolledBack": 1, "AlreadyRolledBack": 7}
    assert await points(payer.till) == (0, 0)


async def test_a_roll_back_and_a_refund_at_once_take_the_points_once(payer: Payer) -> None:
    """PTS-1, PTS-7: in whichever order."""
    for _ in range(4):
        purchase_id = await purchase_of(payer.till, 1_000)
        line_id = await line(payer.till)
        await asyncio.gather(refund(payer.till, purchase_id, 1_000), roll_back(payer.till, line_id))
        assert await points(payer.till) == (0, 0)
        growth = await account(payer.database, payer.card.id, AccountKind.GROWTH)
        assert (growth.balance, growth.debt) == (0, 0)


async def test_what_refunds_took_is_not_taken_again(payer: Payer) -> None:
    """PTS-7: of 10 points a refund took 4."""
    till = payer.till
    purchase_id = await purchase_of(till, 2_000)
    line_id = await line(till)
    await refund(till, purchase_id, 800)
    answer = await roll_back(till, line_id)
    assert (answer["points"], answer["growth"], answer["debt"]) == (6, 1_200, 0)
    whole = await purchase_of(till, 2_000)
    line_id = await line(till)
    await refund(till, whole, 2_000)
    async with nothing_moves(till.database):
        assert await roll_back(till, line_id) == {"__typename": "NothingToRollBack"}


async def test_what_expired_is_gone_anyway(payer: Payer) -> None:
    """PTS-4, PTS-7: 10 points, 4 spent, 6 expired: the debt is 4."""
    till = payer.till
    rules = {"points": 1, "worth": 100}
    await set_points_rules(till, expiry={"rule": "DAILY", "count": 0}, payment=rules)
    await record(till, 2_000)
    line_id = await line(till)
    await payer.pay_with_points(400, total=1_000)
    later = till.later(hours=11)
    await till.database.run(ledger.expire_due, now=later.now)
    answer = await roll_back(later, line_id)
    assert (answer["points"], answer["debt"]) == (4, 4)
    assert [each["cause"] for each in answer["followed"]] == ["SPEND", "EXPIRE"]
    assert await points(till) == (0, 4)


async def test_points_held_for_an_open_bill_are_left_to_it(payer: Payer) -> None:
    """PTS-7: the answer says so; when they come back they pay the debt."""
    till = payer.till
    await record(till, 2_000)
    line_id = await line(till)
    total = {"amount": 1_000, "currency": "CNY"}
    held = await payer.held(300, kind="POINTS", billTotal=total)
    answer = await roll_back(till, line_id)
    (follower,) = answer["followed"]
    assert (follower["cause"], follower["amount"]) == ("AUTHORISE", 3)
    assert follower["isStillAuthorised"] is True
    assert await points(till) == (0, 3)
    await payer.void(held)
    assert await points(till) == (0, 0)


async def test_what_an_event_earned_goes_by_either_of_its_lines(payer: Payer) -> None:
    """PTS-2, PTS-7, TIR-7."""
    till = payer.till
    await set_behaviour_rule(till, "check_in", points=5, growth=1_000)
    for day, kind in enumerate(("POINTS", "GROWTH")):
        later = till.later(days=day)
        await check_in(later)
        line_id = await line(later, kind=kind)
        answer = await roll_back(replace(later, now=till.now), line_id)
        assert (answer["points"], answer["growth"], answer["debt"]) == (5, 1_000, 0)
        assert answer["card"]["tier"] == {"name": "Green"}
        other = await line(later, kind="GROWTH" if kind == "POINTS" else "POINTS")
        async with nothing_moves(till.database):
            again = await roll_back(replace(later, now=till.now), other)
            assert again["__typename"] == "AlreadyRolledBack"


async def test_an_event_that_earned_growth_alone_goes_too(payer: Payer) -> None:
    """TIR-7, PTS-7."""
    await set_behaviour_rule(payer.till, "check_in", growth=30)
    await check_in(payer.till)
    answer = await roll_back(payer.till, await line(payer.till, kind="GROWTH"))
    assert (answer["points"], answer["growth"]) == (0, 30)


async def a_top_up(tx: Transaction, card: Card, now: datetime) -> None:
    """10.00 paid in, and 20 points for it, on one posting."""
    accounts = {each.kind: each for each in await ledger.accounts_of_cards(tx, [card.id])}
    cash, of = accounts[AccountKind.CASH], accounts[AccountKind.POINTS]
    header = ledger.Header.of(
        card,
        kind=PostingKind.TOP_UP,
        cause_kind="top_up",
        cause_id=new_id(),
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [cash.id, of.id])
    sheet.put(cash.id, 1_000)
    sheet.against(SystemAccount.PAYMENTS_RECEIVED, -1_000, cash.unit)
    sheet.put(of.id, 20)
    sheet.against(SystemAccount.POINTS_ISSUED, -20, of.unit)
    await sheet.close()


async def test_of_a_top_up_the_points_alone_go(payer: Payer) -> None:
    """PTS-7: what was paid in stays, whichever line was named."""
    await payer.database.run(a_top_up, payer.card, payer.till.now)
    answer = await roll_back(payer.till, await line(payer.till, "TOP_UP", "CASH"))
    assert (answer["points"], answer["growth"], answer["debt"]) == (20, 0, 0)
    assert await payer.holds() == (1_000, 0, 0)
    assert await points(payer.till) == (0, 0)


async def test_a_merged_cards_points_go_from_the_card_that_lives(payer: Payer) -> None:
    """IDN-4, PTS-7."""
    till = payer.till
    await record(till, 2_000)
    line_id = await line(till)
    group_id, now = till.shop.places.group.id, till.now
    other = await till.database.run(members.create, group_id=group_id, name=None, now=now)
    into = await till.database.run(
        cards.open_card, member=other, scheme=payer.scheme, store_id=None, now=now
    )
    await till.database.run(
        merging.join_records, survivor_id=other.id, loser_id=till.shop.member.id, now=now
    )
    answer = await roll_back(till, line_id)
    assert answer["card"]["id"] == type_id("card", into.id)
    assert (answer["points"], answer["growth"], answer["debt"]) == (10, 2_000, 0)
    assert answer["followed"] == []
    assert (await account(till.database, into.id)).balance == 0


async def test_other_movements_are_not_rolled_back(payer: Payer) -> None:
    """PTS-7: nor by those who may not."""
    till = payer.till
    await record(till, 2_000)
    earned = await line(till)
    await payer.pay_with_points(200, total=1_000)
    spent = await line(till, "SPEND")
    stranger = await counter(till.database, till.now)
    marketer = await till.database.run(
        employee, node=till.shop.places.group, role="marketer", now=till.now
    )
    async with nothing_moves(till.database):
        assert await roll_back(till, spent) == {"__typename": "NotToRollBack", "cause": "SPEND"}
        not_found = {"__typename": "LedgerLineNotFound"}
        assert await roll_back(till, type_id("led", new_id())) == not_found
        assert await roll_back(stranger, earned) == not_found
        assert await roll_back(till, "led_1") == "BAD_USER_INPUT"
        assert await roll_back(till, earned, reason=" ") == "BAD_USER_INPUT"
        assert await roll_back(till, earned, requestKey="") == "BAD_USER_INPUT"
        assert await roll_back(till, earned, who=till.shop.cashier) == "FORBIDDEN"
        assert await roll_back(till, earned, who=marketer) == "FORBIDDEN"
    support = await till.database.run(
        employee, node=till.shop.places.coffee, role="support", now=till.now
    )
    async with nothing_moves(till.database):
        # The scheme was made for the whole group.
        assert await roll_back(till, earned, who=support) == "FORBIDDEN"
    assert await till.database.scan(ledger.check) == []
