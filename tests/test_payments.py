"""TOP-7: a payment credits its order once, whatever its provider repeats, delays or forgets.

The providers are the sandbox's, spoken to by the real adapters; their news arrives over HTTP.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from sqlmodel import col, func, select

from app.core.db import Database, Transaction, statement
from app.core.ids import new_id, parse_type_id
from app.core.money import Money
from app.gateways.payments.protocol import PaymentState, PaymentStatus
from app.models.operations import AuditRecord
from app.models.payments import PaymentNotification, PaymentRefund
from app.models.top_ups import TopUpOrder
from app.services import payments, settlements
from app.services.members import Bearer
from app.services.top_ups import buying, orders
from tests.factories.cards import Counter, counter
from tests.factories.ledger import nothing_moves
from tests.factories.races import Work, beside, call
from tests.factories.reading import every, one
from tests.factories.top_up_plans import plan_of
from tests.factories.top_ups import (
    CANCEL,
    Checkout,
    a_checkout,
    held,
    is_clean,
    stock_left,
)

pytestmark = pytest.mark.anyio

PROVIDERS = [("wechat_pay", "JSAPI"), ("stripe", "PAGE")]
NOTHING, BROUGHT = (0, 0, 0), (100_00, 10_00, 50)

notifications_there = statement(select(func.count()).select_from(PaymentNotification), into=int)
refunds_there = statement(select(PaymentRefund), into=PaymentRefund)
acts = statement(select(AuditRecord).order_by(col(AuditRecord.id)), into=AuditRecord)


@pytest.fixture
async def shop(database: Database, database_url: str) -> AsyncIterator[Checkout]:
    async with a_checkout(database, database_url) as shop:
        yield shop


@pytest.fixture
async def plan(shop: Checkout) -> Any:
    return await plan_of(shop, stock=5)


async def done_by_the_system(shop: Checkout) -> list[str]:
    return [act.action for act in await every(shop.database, acts) if act.actor_kind == "SYSTEM"]


@pytest.mark.parametrize(("provider", "scene"), [*PROVIDERS, ("sandbox", "PAGE")])
async def test_a_payment_that_is_told_five_times_and_at_once_credits_once(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    assert ordered["order"]["state"] == "PENDING"
    assert ordered["payment"]["scene"] == scene
    assert await held(shop) == NOTHING
    told = await asyncio.gather(*(shop.pay(ordered, times=times) for times in (5, 1, 1, 1)))
    acknowledged = shop.outside.payments[provider].acknowledgement.status
    assert {status for each in told for status in each["answers"]} == {acknowledged}
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["status"]) == ("CREDITED", "PAID")
    assert await held(shop) == BROUGHT
    assert await stock_left(shop, plan) == 4
    # Its provider is asked once more, and what is paid stays as it is.
    async with nothing_moves(shop.database):
        await shop.pass_time(hours=1)
    assert await shop.open_jobs() == []


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_a_payment_nobody_tells_of_is_found_by_asking(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    await shop.pass_time(minutes=1)
    await shop.pay(ordered, notify=False)
    assert (await shop.look(ordered))["state"] == "PENDING"
    await shop.pass_time(minutes=3)
    assert (await shop.look(ordered))["state"] == "PENDING"
    await shop.pass_time(minutes=1)
    assert (await shop.look(ordered))["state"] == "CREDITED"
    assert await held(shop) == BROUGHT
    async with nothing_moves(shop.database):
        await shop.pay(ordered)  # told at last
    assert await is_clean(shop.database)


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_what_was_paid_in_the_last_moment_is_credited_when_the_order_ends(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    await shop.pass_time(minutes=14)
    await shop.pay(ordered, notify=False)
    await shop.pass_time(minutes=1)
    assert (await shop.look(ordered))["state"] == "CREDITED"
    assert await held(shop) == BROUGHT


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_what_nobody_pays_ends_after_fifteen_minutes(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    """At the provider too; its piece of stock is there for others again."""
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    assert await stock_left(shop, plan) == 4
    await shop.pass_time(minutes=14)
    assert (await shop.look(ordered))["state"] == "PENDING"
    await shop.pass_time(minutes=1)
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["status"]) == ("CANCELLED", "CLOSED")
    assert await stock_left(shop, plan) == 5
    found = shop.state.payments.payments()[0]
    assert (found.status, shop.state.payments.pay(found)) == ("CLOSED", False)
    await shop.pass_time(days=2)
    assert await shop.open_jobs() == []
    assert await stock_left(shop, plan) == 5


async def test_an_order_the_provider_cannot_be_asked_about_ends_all_the_same(
    shop: Checkout, plan: Any
) -> None:
    """Two minutes later, so that a provider that is there is asked first."""
    ordered = await shop.ordered(plan)
    shop.state.faults.order("wechat_pay", "500", 1_000)
    shop.clock.advance(minutes=15)
    await shop.worker.drain()
    assert await shop.database.run(orders.cancel_overdue, now=shop.clock.now) == 0
    shop.clock.advance(minutes=2)
    assert await shop.database.run(orders.cancel_overdue, now=shop.clock.now) == 1
    assert await shop.database.run(orders.cancel_overdue, now=shop.clock.now) == 0
    assert (await shop.look(ordered))["state"] == "CANCELLED"
    assert await stock_left(shop, plan) == 5
    shop.state.faults.order("wechat_pay", "500", 0)
    await shop.pass_time(hours=1)
    assert shop.state.payments.payments()[0].status == "CLOSED"


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_money_that_comes_after_a_cancellation_goes_back_by_itself(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    """TOP-7: told of many times, it goes back once."""
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    cancelled = await shop.as_member(CANCEL, id=ordered["order"]["id"])
    assert (cancelled["__typename"], cancelled["state"]) == ("TopUp", "CANCELLED")
    assert await stock_left(shop, plan) == 5
    await asyncio.gather(*(shop.pay(ordered, times=2) for _ in range(3)))
    await shop.until_it_went_back()
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["status"]) == ("CANCELLED", "PAID")
    assert seen["payment"]["refundStatus"] == "SUCCEEDED"
    assert (shop.sent_back(ordered), len(shop.state.payments.refunds())) == (100_00, 1)
    assert await held(shop) == NOTHING
    assert await stock_left(shop, plan) == 5
    async with nothing_moves(shop.database):
        await shop.pay(ordered, times=3)
        await shop.pass_time(days=8)
    assert shop.sent_back(ordered) == 100_00


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_money_nobody_tells_of_is_found_when_a_cancelled_order_is_closed(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    await shop.as_member(CANCEL, id=ordered["order"]["id"])
    await shop.pay(ordered, notify=False)
    await shop.until_it_went_back()
    assert shop.sent_back(ordered) == 100_00
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "SUCCEEDED"
    assert await held(shop) == NOTHING


async def test_news_of_a_refund_may_come_before_that_of_its_payment(
    shop: Checkout, plan: Any
) -> None:
    await shop.sandbox("/refunds/hold", {"hold": True})
    ordered = await shop.ordered(plan)
    await shop.as_member(CANCEL, id=ordered["order"]["id"])
    await shop.pay(ordered, notify=False)
    await shop.worker.drain()
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "PENDING"
    assert set((await shop.settle(ordered, times=2))["answers"]) == {204}
    assert (await shop.look(ordered))["payment"]["refundStatus"] == "SUCCEEDED"
    async with nothing_moves(shop.database):
        assert (await shop.pay(ordered))["answers"] == [204]
        await shop.pass_time(days=1)
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["refundStatus"]) == ("CANCELLED", "SUCCEEDED")


FORGERIES = [
    ("wechat_pay", "JSAPI", ("signature", "body", "timestamp", "serial", "owner")),
    ("stripe", "PAGE", ("signature", "body", "timestamp")),
    ("sandbox", "PAGE", ("signature", "body", "timestamp")),
]


@pytest.mark.parametrize(("provider", "scene", "forgeries"), FORGERIES)
async def test_what_is_forged_old_or_meant_for_others_moves_nothing(
    shop: Checkout, plan: Any, provider: str, scene: str, forgeries: tuple[str, ...]
) -> None:
    """An old callback that somebody recorded is one of them."""
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    async with nothing_moves(shop.database):
        for forge in forgeries:
            assert (await shop.pay(ordered, forge=forge))["answers"] == [401], forge
    assert await one(shop.database, notifications_there) == 0
    assert (await shop.look(ordered))["state"] == "PENDING"
    await shop.pay(ordered)
    assert await held(shop) == BROUGHT


async def test_the_address_for_notifications_takes_nothing_else(shop: Checkout) -> None:
    address = f"{shop.settings.public_url}/payments"
    async with nothing_moves(shop.database), httpx2.AsyncClient(trust_env=False) as http:
        for path, body, status in (
            ("nobody/notify", b"{}", 404),
            ("wechat_pay/notify", b"", 401),
            ("stripe/notify", b"{}", 401),
            ("sandbox/notify", b"\xff", 401),
            ("wechat_pay/notify", b"x" * 70_000, 413),
        ):
            assert (await http.post(f"{address}/{path}", content=body)).status_code == status, path
        assert (await http.get(f"{address}/stripe/notify")).status_code == 405


@pytest.mark.parametrize(("provider", "scene"), PROVIDERS)
async def test_another_amount_than_was_asked_for_credits_nothing_and_goes_back(
    shop: Checkout, plan: Any, provider: str, scene: str
) -> None:
    ordered = await shop.ordered(plan, provider=provider, scene=scene)
    shop.state.payments.payments()[0].amount = 99_99
    await shop.pay(ordered, times=2)
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["status"]) == ("CANCELLED", "PAID")
    await shop.worker.drain()
    assert shop.sent_back(ordered) == 99_99
    assert await held(shop) == NOTHING
    assert await done_by_the_system(shop) == ["payment.mismatch"]
    assert await stock_left(shop, plan) == 5
    assert await is_clean(shop.database)


async def test_money_of_another_currency_credits_nothing(shop: Checkout, plan: Any) -> None:
    """What the provider itself will not send back is on record for somebody to see to."""
    ordered = await shop.ordered(plan, provider="sandbox", scene="PAGE")
    await shop.pay(ordered, forge="amount")
    await shop.worker.drain()
    seen = await shop.look(ordered)
    assert (seen["state"], seen["payment"]["refundStatus"]) == ("CANCELLED", "FAILED")
    assert await done_by_the_system(shop) == ["payment.mismatch", "top_up.refund_failed"]
    other = await shop.ordered(plan, provider="stripe", scene="PAGE")
    await shop.pay(other, forge="currency")
    assert (await shop.look(other))["state"] == "CANCELLED"
    assert await held(shop) == NOTHING
    assert await is_clean(shop.database)


async def rename(tx: Transaction, table: str, name: str) -> None:
    await tx.all(statement(text(f"ALTER TABLE {table} RENAME TO {name}")))


async def test_a_provider_is_asked_to_repeat_what_could_not_be_written_down(
    shop: Checkout, plan: Any
) -> None:
    ordered = await shop.ordered(plan)
    await shop.database.run(rename, "payment_notifications", "gone")
    async with nothing_moves(shop.database):
        assert (await shop.pay(ordered))["answers"] == [500]
    await shop.database.run(rename, "gone", "payment_notifications")
    assert (await shop.pay(ordered))["answers"] == [204]
    assert await held(shop) == BROUGHT


async def _placed(till: Counter, plan: Any) -> payments.Placed[TopUpOrder]:
    """An order that waits to be paid, without asking a provider."""
    return await till.database.run(
        buying.place,
        bearer=Bearer(till.shop.member.id, till.shop.member.id),
        choice=buying.Choice(
            card_id=till.shop.card.id,
            plan_id=parse_type_id("plan", plan["id"]),
            step=0,
            amount=Money(100_00, "CNY"),
        ),
        online=payments.Online(provider="stripe", scene="PAGE", return_url="/"),
        request_key=new_id().hex,
        now=till.now,
    )


async def news(till: Counter, placed: payments.Placed[TopUpOrder]) -> Work:
    """What its provider says of it: paid."""
    assert placed.payment is not None
    paid = PaymentState(
        reference=placed.payment.reference,
        status=PaymentStatus.PAID,
        transaction_id=new_id().hex,
        amount=100_00,
        currency="CNY",
    )
    return call(settlements.payment_is, provider="stripe", state=paid, now=till.now)


async def test_a_cancellation_beside_the_news_of_the_payment(
    database: Database, now: datetime
) -> None:
    """Whichever is first, the member ends with the value or the money, and not with both."""
    till = await counter(database, now)
    plan = await plan_of(till, stock=9)
    bearer = Bearer(till.shop.member.id, till.shop.member.id)

    def cancel(placed: payments.Placed[TopUpOrder]) -> Work:
        return call(orders.cancel, bearer=bearer, order_id=placed.order.id, now=till.now)

    paid = await _placed(till, plan)
    _, refused = await beside(
        database, await news(till, paid), before=orders.credit_it, second=cancel(paid)
    )
    assert isinstance(refused, orders.TopUpNotOpen)
    assert await held(till) == BROUGHT
    cancelled = await _placed(till, plan)
    _, told = await beside(
        database, cancel(cancelled), before=orders.cancel_it, second=await news(till, cancelled)
    )
    assert told is None
    assert await held(till) == BROUGHT
    assert [refund.amount for refund in await every(database, refunds_there)] == [100_00]
    overdue = await _placed(till, plan)
    late = till.now + timedelta(minutes=17)
    count, told = await beside(
        database,
        call(orders.cancel_overdue, now=late),
        before=orders.cancel_it,
        second=await news(till, overdue),
    )
    assert (count, told) == (1, None)
    assert await held(till) == BROUGHT
    assert len(await every(database, refunds_there)) == 2
    assert await stock_left(till, plan) == 8
    assert await is_clean(database)


async def test_news_of_one_payment_at_once_credits_once(database: Database, now: datetime) -> None:
    till = await counter(database, now)
    placed = await _placed(till, await plan_of(till))
    first, second = await news(till, placed), await news(till, placed)
    await beside(database, first, before=payments.mark_paid, second=second)
    assert await held(till) == BROUGHT
    assert await is_clean(database)
