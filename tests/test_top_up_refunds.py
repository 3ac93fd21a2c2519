"""TOP-7: a top-up goes back whole, by the way it came only if nothing of it ever moved."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, type_id
from app.models.cards import ConsumptionVerification, Scheme
from app.models.ledger import AccountKind
from app.models.operations import AuditRecord
from app.services import members
from app.services.merges import merging
from tests.factories.cards import Counter, a_tier
from tests.factories.ledger import nothing_moves
from tests.factories.member_cards import a_card, adjust
from tests.factories.organisation import places
from tests.factories.reading import every
from tests.factories.spendings import CHARGE, VOID
from tests.factories.staff import employee
from tests.factories.top_up_plans import fixed, plan_of
from tests.factories.top_ups import (
    REFUND,
    Checkout,
    a_checkout,
    held,
    is_clean,
    refund,
    sold,
)

pytestmark = pytest.mark.anyio

PROVIDERS = [("wechat_pay", "JSAPI"), ("stripe", "PAGE")]
NOTHING, BROUGHT = (0, 0, 0), (100_00, 10_00, 50)
TIER = "query ($id: ID!) { card(id: $id) { tier { name } } }"

acts = statement(select(AuditRecord).order_by(col(AuditRecord.id)), into=AuditRecord)
ask_for_no_proof = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(consumption_verification=ConsumptionVerification.NONE)
)


@pytest.fixture
async def shop(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as shop:
        await database.run(without_proof, shop.shop.scheme)
        yield shop


async def without_proof(tx: Transaction, scheme: Scheme) -> None:
    await tx.changed(ask_for_no_proof, scheme_id=scheme.id)


async def spend(till: Counter, amount: int, kind: str = "STORED_VALUE") -> str:
    """A bill the card pays."""
    asked = {
        "terminalId": till.terminal_id,
        "cardId": till.card_id,
        "kind": kind,
        "amount": {"amount": amount, "currency": "CNY"},
        "orderNumber": new_id().hex,
        "requestKey": new_id().hex,
    }
    charged = await till.as_staff(CHARGE, input=asked)
    assert charged["__typename"] == "SpendingCharged", charged
    return str(charged["spending"]["id"])


async def void(till: Counter, spending_id: str) -> None:
    asked = {"spendingId": spending_id, "reason": "Mistaken", "requestKey": new_id().hex}
    voided = await till.as_staff(VOID, input=asked)
    assert voided["__typename"] == "SpendingVoided", voided


async def done(shop: Checkout, kind: str = "SYSTEM") -> list[str]:
    """What was recorded of this kind of actor."""
    found = await every(shop.database, acts)
    return [act.action for act in found if act.actor_kind == kind and "top_up." in act.action]


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_what_never_moved_goes_back_by_the_way_it_came(
    shop: Checkout, provider: str, scene: str
) -> None:
    gold = await shop.database.run(a_tier, scheme=shop.shop.scheme, level=2, name="Gold")
    plan = await plan_of(shop, grantedTierId=type_id("tier", gold.id))
    ordered = await shop.paid(plan, provider=provider, scene=scene)
    assert await shop.as_member(TIER, id=shop.card_id) == {"tier": {"name": "Gold"}}
    refunded = await refund(shop, ordered["order"]["id"], requestKey="k")
    assert (refunded["__typename"], refunded["replayed"]) == ("TopUpRefunded", False)
    order = refunded["order"]
    assert (order["state"], order["refundRoute"]) == ("REFUNDED", "ORIGINAL")
    assert (order["refundReason"], order["refundMethod"]) == ("Changed their mind", None)
    # The value is gone at once, the money follows.
    assert await held(shop) == NOTHING
    assert await shop.as_member(TIER, id=shop.card_id) == {"tier": {"name": "Green"}}
    assert (order["payment"]["refundStatus"], shop.sent_back(ordered)) == ("PENDING", 0)
    await shop.worker.drain()
    assert shop.sent_back(ordered) == 100_00
    await shop.pass_time(minutes=1)
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "SUCCEEDED"
    lines = await shop.as_member(
        """query ($id: ID!) { card(id: $id) {
          ledger(first: 3) { edges { node { cause amount } } } } }""",
        id=shop.card_id,
    )
    assert {tuple(edge["node"].values()) for edge in lines["ledger"]["edges"]} == {
        ("TOP_UP_REFUND", -100_00),
        ("TOP_UP_REFUND", -10_00),
        ("TOP_UP_REFUND", -50),
    }
    async with nothing_moves(shop.database):
        again = await refund(shop, ordered["order"]["id"], requestKey="k")
        assert (again["replayed"], again["order"]["state"]) == (True, "REFUNDED")
        other = await refund(shop, ordered["order"]["id"])
        assert (other["__typename"], other["state"]) == ("TopUpNotRefundable", "REFUNDED")
        await shop.pass_time(hours=1)
    assert (shop.sent_back(ordered), len(shop.state.payments.refunds())) == (100_00, 1)
    assert await done(shop, "STAFF") == ["top_up.refund"]


async def test_what_was_used_goes_back_over_the_counter_alone(shop: Checkout) -> None:
    """Not even if it was spent and voided."""
    ordered = await shop.paid(await plan_of(shop))
    await void(shop, await spend(shop, 1))
    assert await held(shop) == BROUGHT
    async with nothing_moves(shop.database):
        refused = await refund(shop, ordered["order"]["id"])
        assert refused["__typename"] == "BalanceHasMoved"
    refunded = await refund(shop, ordered["order"]["id"], "OFFLINE", methodCode="card")
    order = refunded["order"]
    assert (order["state"], order["refundRoute"]) == ("REFUNDED", "OFFLINE")
    assert order["refundMethod"] == {"code": "card"}
    assert await held(shop) == NOTHING
    await shop.pass_time(minutes=1)
    assert shop.sent_back(ordered) == 0
    (act,) = [act for act in await every(shop.database, acts) if act.action == "top_up.refund"]
    assert (act.details["route"], act.details["method"]) == ("OFFLINE", "card")
    assert (act.details["amount"], act.details["reason"]) == (100_00, "Changed their mind")
    assert await is_clean(shop.database)


async def test_only_the_balance_it_brought_counts(shop: Checkout) -> None:
    """What else is on the card may move: the first lot is spent first."""
    plan = await plan_of(shop, steps=[fixed(100_00)])
    first = await shop.paid(plan)
    second = await shop.paid(plan)
    await spend(shop, 30_00)
    async with nothing_moves(shop.database):
        assert (await refund(shop, first["order"]["id"]))["__typename"] == "BalanceHasMoved"
    assert (await refund(shop, second["order"]["id"]))["__typename"] == "TopUpRefunded"
    assert await held(shop) == (70_00, 0, 0)
    async with nothing_moves(shop.database):
        short = await refund(shop, first["order"]["id"], "OFFLINE")
        assert short["__typename"] == "NotEnoughValue"
        assert (short["kind"], short["shortBy"]) == ("CASH", 30_00)


async def test_a_merge_is_no_movement_of_the_holders(shop: Checkout) -> None:
    """IDN-4: what was paid for on the other card goes back from the one that lives."""
    other = await shop.database.run(
        members.create, group_id=shop.shop.places.group.id, name=None, now=shop.clock.now
    )
    card = await shop.database.run(
        a_card, member_id=other.id, scheme=shop.shop.scheme, now=shop.clock.now
    )
    ordered = await shop.paid(await plan_of(shop))
    await shop.database.run(
        merging.join_records, survivor_id=other.id, loser_id=shop.shop.member.id,
        now=shop.clock.now,
    )  # fmt: skip
    assert (await refund(shop, ordered["order"]["id"]))["__typename"] == "TopUpRefunded"
    await shop.worker.drain()
    assert shop.sent_back(ordered) == 100_00
    document = "query ($id: ID!) { card(id: $id) { balances { cash { amount } points } } }"
    merged = await shop.as_staff(document, id=type_id("card", card.id))
    assert merged == {"balances": {"cash": {"amount": 0}, "points": 0}}
    assert await is_clean(shop.database)


async def test_what_paid_a_debt_has_moved(shop: Checkout) -> None:
    card_id = shop.shop.card.id
    await shop.database.run(adjust, card_id, AccountKind.BONUS, -1, shop.clock.now)
    ordered = await shop.paid(await plan_of(shop))
    assert await held(shop) == (100_00, 9_99, 50)
    async with nothing_moves(shop.database):
        assert (await refund(shop, ordered["order"]["id"]))["__typename"] == "BalanceHasMoved"


async def test_what_was_paid_at_a_till_goes_back_there(shop: Checkout) -> None:
    order = await sold(shop, await plan_of(shop))
    async with nothing_moves(shop.database):
        assert (await refund(shop, order["id"]))["__typename"] == "NoOriginalRoute"
        unknown = await refund(shop, order["id"], "OFFLINE", methodCode="gold")
        assert (unknown["__typename"], unknown["code"]) == ("PaymentMethodUnknown", "gold")
        for wrong in (
            {"methodCode": "cash"},
            {"route": "OFFLINE", "methodCode": None},
            {"route": "OFFLINE", "methodCode": ""},
            {"route": "OFFLINE", "reason": " "},
            {"route": "OFFLINE", "requestKey": ""},
            {"route": "OFFLINE", "id": "top_1"},
        ):
            asked = {"id": order["id"], "route": "ORIGINAL", "reason": "No", "requestKey": "k"}
            if wrong.get("route") == "OFFLINE":
                asked["methodCode"] = "cash"
            assert await shop.as_staff(REFUND, input=asked | wrong) == "BAD_USER_INPUT", wrong
    refunded = await refund(shop, order["id"], "OFFLINE")
    assert refunded["order"]["state"] == "REFUNDED"
    assert await held(shop) == NOTHING


async def test_bonus_and_points_that_are_gone_are_owed(shop: Checkout) -> None:
    plan = await plan_of(shop)
    order = await sold(shop, plan)
    await shop.database.run(adjust, shop.shop.card.id, AccountKind.POINTS, -20, shop.clock.now)
    await shop.database.run(adjust, shop.shop.card.id, AccountKind.BONUS, -3_00, shop.clock.now)
    await refund(shop, order["id"], "OFFLINE")
    assert await held(shop) == (0, -3_00, -20)
    assert await is_clean(shop.database)
    await sold(shop, plan)
    assert await held(shop) == (100_00, 7_00, 30)
    assert await is_clean(shop.database)


async def test_its_own_lots_go_first(shop: Checkout) -> None:
    """Of two top-ups the refund takes the one it is of, whichever would be spent first."""
    soon = await sold(shop, await plan_of(shop, bonusValidDays=1))
    late = await sold(shop, await plan_of(shop, bonusValidDays=90))
    await refund(shop, late["id"], "OFFLINE")
    assert await held(shop) == BROUGHT
    await shop.pass_time(days=3)
    assert await held(shop) == (100_00, 0, 50)
    assert soon["state"] == "CREDITED"


async def test_only_what_was_credited_goes_back_and_only_for_who_may(shop: Checkout) -> None:
    """ORG-1: what came online belongs where the card's scheme does."""
    plan = await plan_of(shop)
    waiting = await shop.ordered(plan)
    paid = await shop.paid(plan)
    foreign = await shop.database.run(places, now=shop.clock.now)
    stranger = await shop.database.run(employee, node=foreign.group, now=shop.clock.now)
    finance = await shop.database.run(
        employee, node=shop.shop.store, role="finance", now=shop.clock.now
    )
    at_till = await sold(shop, plan)
    asked = {"route": "OFFLINE", "methodCode": "cash", "reason": "No", "requestKey": "k"}

    async def refused(order: Any, who: Any) -> Any:
        answer = await shop.as_staff(REFUND, who=who, input=asked | {"id": order["id"]})
        return answer if isinstance(answer, str) else answer["__typename"]

    async with nothing_moves(shop.database):
        open_one = await refund(shop, waiting["order"]["id"])
        assert (open_one["__typename"], open_one["state"]) == ("TopUpNotRefundable", "PENDING")
        unknown = await refund(shop, type_id("top", new_id()))
        assert unknown["__typename"] == "TopUpNotFound"
        assert await refused(paid["order"], stranger) == "TopUpNotFound"
        assert await refused(paid["order"], finance) == "FORBIDDEN"
        assert await refused(at_till, shop.shop.cashier) == "FORBIDDEN"
    assert await refused(at_till, finance) == "TopUpRefunded"


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_what_the_provider_will_not_send_back_is_on_the_card_again(
    shop: Checkout, provider: str, scene: str
) -> None:
    """And can be asked for again, once that is settled: the money still goes once."""
    gold = await shop.database.run(a_tier, scheme=shop.shop.scheme, level=2, name="Gold")
    plan = await plan_of(shop, grantedTierId=type_id("tier", gold.id), bonusValidDays=30)
    ordered = await shop.paid(plan, provider=provider, scene=scene)
    # The provider knows of less than is asked back.
    shop.state.payments.payments()[0].amount = 99_99
    assert (await refund(shop, ordered["order"]["id"]))["order"]["state"] == "REFUNDED"
    assert await held(shop) == NOTHING
    await shop.worker.drain()
    seen = await shop.look(ordered)
    assert (seen["state"], seen["refundRoute"], seen["endedAt"]) == ("CREDITED", None, None)
    assert seen["payment"]["refundStatus"] == "FAILED"
    assert await held(shop) == BROUGHT
    assert await shop.as_member(TIER, id=shop.card_id) == {"tier": {"name": "Gold"}}
    assert await done(shop) == ["top_up.refund_failed"]
    assert await is_clean(shop.database)

    shop.state.payments.payments()[0].amount = 100_00
    assert (await refund(shop, ordered["order"]["id"]))["__typename"] == "TopUpRefunded"
    assert await shop.as_member(TIER, id=shop.card_id) == {"tier": {"name": "Green"}}
    await shop.worker.drain()
    await shop.pass_time(minutes=1)
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["refundStatus"]) == ("REFUNDED", "SUCCEEDED")
    assert shop.sent_back(ordered) == 100_00
    assert await held(shop) == NOTHING
    assert await is_clean(shop.database)


async def test_a_refund_that_fails_later_and_succeeds_after_all(shop: Checkout) -> None:
    """As WeChat's, to a bank card that is no more: somebody sends it elsewhere by hand."""
    await shop.sandbox("/refunds/hold", {"hold": True})
    ordered = await shop.paid(await plan_of(shop))
    await refund(shop, ordered["order"]["id"])
    await shop.worker.drain()
    assert await held(shop) == NOTHING
    assert set((await shop.settle(ordered, succeeds=False, times=3))["answers"]) == {204}
    assert (await shop.look(ordered))["state"] == "CREDITED"
    assert await held(shop) == BROUGHT
    # Asked for again: the old news, which somebody repeats, is not about that.
    assert (await refund(shop, ordered["order"]["id"]))["__typename"] == "TopUpRefunded"
    assert (await shop.settle(ordered, succeeds=False))["answers"] == [204]
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "PENDING"
    await shop.worker.drain()
    assert await held(shop) == BROUGHT
    await spend(shop, 44_00)
    (found,) = shop.state.payments.refunds()
    found.status, found.number = "PENDING", f"1{found.number}"  # which is other news
    await shop.settle(ordered, times=3)
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["refundStatus"]) == ("REFUNDED", "SUCCEEDED")
    cash, bonus, points = await held(shop)
    assert (cash + bonus, points) == (-44_00, 0)
    assert await done(shop) == [*["top_up.refund_failed"] * 2, "top_up.refund_succeeded"]
    assert await is_clean(shop.database)
    # What came before is old news.
    async with nothing_moves(shop.database):
        found.status, found.number = "FAILED", f"1{found.number}"
        await shop.settle(ordered, times=2)
        await shop.pass_time(days=8)
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "SUCCEEDED"


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_a_refund_waits_for_a_provider_that_is_away(
    shop: Checkout, provider: Any, scene: str
) -> None:
    """For minutes or hours: it is asked for again by itself, and goes once."""
    ordered = await shop.paid(await plan_of(shop), provider=provider, scene=scene)
    await refund(shop, ordered["order"]["id"])
    shop.state.faults.order(provider, "500", 1_000)
    await shop.worker.drain()
    await shop.pass_time(minutes=10)
    await shop.pass_time(hours=1)
    assert (shop.sent_back(ordered), await held(shop)) == (0, NOTHING)
    shop.state.faults.order(provider, "500", 0)
    await shop.pass_time(hours=1)
    await shop.pass_time(hours=12)
    assert shop.sent_back(ordered) == 100_00
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "SUCCEEDED"
    assert [job for job in await shop.open_jobs() if job.failed_at is not None] == []


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_a_refund_nobody_tells_of_is_found_by_asking(
    shop: Checkout, provider: str, scene: str
) -> None:
    await shop.sandbox("/refunds/hold", {"hold": True})
    ordered = await shop.paid(await plan_of(shop), provider=provider, scene=scene)
    await refund(shop, ordered["order"]["id"])
    await shop.worker.drain()
    await shop.pass_time(minutes=6)
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "PENDING"
    await shop.settle(ordered, notify=False)
    await shop.pass_time(minutes=30)
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "SUCCEEDED"


async def test_a_refund_that_never_ends_is_left_for_somebody_to_see_to(shop: Checkout) -> None:
    await shop.sandbox("/refunds/hold", {"hold": True})
    ordered = await shop.paid(await plan_of(shop))
    await refund(shop, ordered["order"]["id"])
    for _ in range(12):
        await shop.pass_time(days=1)
    (job,) = await shop.open_jobs()
    assert (job.kind, job.failed_at is not None) == ("payment.check_refund", True)
    assert job.error == "wechat_pay refused: pending"
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "PENDING"


async def test_a_forged_end_of_a_refund_ends_nothing(shop: Checkout) -> None:
    await shop.sandbox("/refunds/hold", {"hold": True})
    ordered = await shop.paid(await plan_of(shop))
    await refund(shop, ordered["order"]["id"])
    await shop.worker.drain()
    async with nothing_moves(shop.database):
        for forge in ("signature", "body", "timestamp"):
            answer = await shop.settle(ordered, succeeds=False, forge=forge)
            assert answer["answers"] == [401], forge
        # Well signed, but about another amount.
        (found,) = shop.state.payments.refunds()
        found.status, found.amount = "PENDING", 1
        assert (await shop.settle(ordered))["answers"] == [204]
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "PENDING"
