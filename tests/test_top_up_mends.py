"""TOP-7: refunds of top-ups of which something expired, was rolled back or closed meanwhile."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from app.core.db import Database, statement
from app.core.ids import new_id, type_id
from app.models.ledger import AccountKind
from app.models.operations import AuditRecord
from app.services import ledger
from tests.factories import tiers
from tests.factories.adjustments import refund_card
from tests.factories.cards import a_tier
from tests.factories.ledger import nothing_moves
from tests.factories.member_cards import adjust
from tests.factories.reading import every
from tests.factories.top_up_plans import DEACTIVATE, UPDATE, a_plan, an_edit, plan_of
from tests.factories.top_ups import Checkout, a_checkout, held, is_clean, refund, sold

pytestmark = pytest.mark.anyio

NOTHING, BROUGHT = (0, 0, 0), (100_00, 10_00, 50)
LINES = """query ($id: ID!) { card(id: $id) { ledger(first: 100) { edges { node {
  id kind cause } } } } }"""
ROLL_BACK = """mutation ($input: PointsRollBackInput!) { pointsRollBack(input: $input) {
  __typename ... on PointsRolledBack { points debt } } }"""
TIER = "query ($id: ID!) { card(id: $id) { tier { name } } }"

acts = statement(select(AuditRecord), into=AuditRecord)


@pytest.fixture
async def shop(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as shop:
        yield shop


async def roll_back(shop: Checkout) -> Any:
    """Roll the points of the card's one top-up back."""
    shown = await shop.as_member(LINES, id=shop.card_id)
    nodes = [edge["node"] for edge in shown["ledger"]["edges"]]
    (line,) = [n["id"] for n in nodes if (n["cause"], n["kind"]) == ("TOP_UP", "POINTS")]
    asked = {"ledgerLineId": line, "reason": "Forged", "requestKey": new_id().hex}
    return await shop.as_staff(ROLL_BACK, input=asked)


async def test_points_that_were_rolled_back_have_moved_and_are_taken_once(shop: Checkout) -> None:
    """PTS-7, TOP-7."""
    ordered = await shop.paid(await plan_of(shop))
    assert await roll_back(shop) == {"__typename": "PointsRolledBack", "points": 50, "debt": 0}
    async with nothing_moves(shop.database):
        refused = await refund(shop, ordered["order"]["id"])
        assert refused["__typename"] == "BalanceHasMoved"
    await refund(shop, ordered["order"]["id"], "OFFLINE")
    assert await held(shop) == NOTHING
    assert await is_clean(shop.database)


@pytest.mark.parametrize(("spent", "owed"), [(0, 0), (3_00, 3_00)])
async def test_what_expired_is_not_owed(shop: Checkout, spent: int, owed: int) -> None:
    """Only what was used is."""
    order = await sold(shop, await plan_of(shop, bonusValidDays=1))
    if spent:
        card_id = shop.shop.card.id
        await shop.database.run(adjust, card_id, AccountKind.BONUS, -spent, shop.clock.now)
    await shop.database.run(ledger.expire_due, now=shop.clock.now + timedelta(days=3))
    assert await held(shop) == (100_00, 0, 50)
    await refund(shop, order["id"], "OFFLINE")
    assert await held(shop) == (0, -owed, 0)
    assert await is_clean(shop.database)


async def test_what_expires_when_it_comes_back_is_not_owed_after_all(shop: Checkout) -> None:
    """The provider fails to refund, says so when the bonus is over, and then sends it all the
    same."""
    await shop.sandbox("/refunds/hold", {"hold": True})
    ordered = await shop.paid(await plan_of(shop, bonusValidDays=1))
    await refund(shop, ordered["order"]["id"])
    await shop.worker.drain()
    await shop.pass_time(days=3)
    await shop.settle(ordered, succeeds=False)
    (found,) = shop.state.payments.refunds()
    await shop.pass_time(minutes=30)
    assert await held(shop) == (100_00, 0, 50)
    found.status, found.number = "PENDING", f"1{found.number}"  # which is other news
    await shop.settle(ordered)
    assert (await shop.look(ordered))["state"] == "REFUNDED"
    assert await held(shop) == NOTHING
    assert await is_clean(shop.database)


async def test_a_tier_that_was_removed_stops_no_paid_order(shop: Checkout) -> None:
    """TIR-1: the money counts."""
    gold = await shop.database.run(a_tier, scheme=shop.shop.scheme, level=2, name="Gold")
    plan = await plan_of(shop, grantedTierId=type_id("tier", gold.id))
    ordered = await shop.ordered(plan)
    plan = await shop.as_staff(DEACTIVATE, input={"id": plan["id"]})
    edited = await shop.as_staff(UPDATE, input=an_edit(plan, a_plan(shop)))
    assert edited["grantedTier"] is None
    released = await tiers.release(shop, tiers.a_tier("Silver", 100))
    assert [tier["name"] for tier in released["scheme"]["tiers"]] == ["Green", "Silver"]
    assert (await shop.pay(ordered))["status"] == "PAID"
    assert (await shop.look(ordered))["state"] == "CREDITED"
    assert await held(shop) == BROUGHT
    assert await shop.as_member(TIER, id=shop.card_id) == {"tier": {"name": "Green"}}
    assert await is_clean(shop.database)


async def test_a_card_that_was_closed_gets_nothing_back(shop: Checkout) -> None:
    """CRD-4: what the provider refuses to send back is left for somebody to see to."""
    await shop.sandbox("/refunds/hold", {"hold": True})
    ordered = await shop.paid(await plan_of(shop))
    await refund(shop, ordered["order"]["id"])
    await shop.worker.drain()
    assert (await refund_card(shop))["__typename"] == "CardRefunded"
    await shop.settle(ordered, succeeds=False)
    seen = await shop.look(ordered)
    assert (seen["state"], seen["refundRoute"]) == ("REFUNDED", "ORIGINAL")
    assert seen["payment"]["refundStatus"] == "FAILED"
    assert await held(shop) == NOTHING
    (act,) = [a for a in await every(shop.database, acts) if a.action == "top_up.refund_failed"]
    assert act.details["amount"] == 100_00
    assert await is_clean(shop.database)
