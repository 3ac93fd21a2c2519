"""TOP-7: Stripe against the sandbox, over HTTP, with Stripe's own client as the oracle."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx2
import pytest
import stripe
from anyio import to_thread
from stripe.params.checkout import SessionCreateParams

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import create_http
from app.gateways.payments import stripe as adapter
from app.gateways.payments.protocol import (
    AlreadyPaid,
    AmountUnsupported,
    BillLine,
    BillLineKind,
    OrderUnknown,
    PaymentGateway,
    PaymentScene,
    PaymentState,
    PaymentStatus,
    RefundRefused,
    RefundState,
    RefundStatus,
    SceneUnsupported,
)
from app.gateways.payments.stripe import Stripe
from app.gateways.payments.stripe_amounts import from_stripe, to_stripe
from app.gateways.sandbox import SandboxState
from app.gateways.sandbox.adapters import stripe_config
from app.gateways.wechat_tokens import MemoryTokenStore
from tests.gateways.conftest import Clock, Receiver
from tests.gateways.paying import H5_ORDER, NOON, ORDER, ask, paid, refund

pytestmark = pytest.mark.anyio


def forgetful(state: SandboxState, http: httpx2.AsyncClient, clock: Clock) -> Stripe:
    """The same account, days later: no session is remembered."""
    return Stripe(stripe_config(state), http, MemoryTokenStore(clock.seconds), clock=clock)


async def test_it_is_a_payment_gateway(stripe_gateway: Stripe) -> None:
    known: PaymentGateway = stripe_gateway
    assert known.name == "stripe"
    assert known.scenes == {PaymentScene.PAGE}
    assert known.acknowledgement == (200, b"", "text/plain")
    assert known.bill_zone is UTC


class TestPrepare:
    async def test_it_gives_stripes_page(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        stripe_gateway: Stripe,
        receiver: Receiver,
    ) -> None:
        prepared = await stripe_gateway.prepare(ORDER)
        assert (prepared.provider, prepared.scene) == ("stripe", PaymentScene.PAGE)
        session = state.payments.payment("stripe", ORDER.reference)
        assert session is not None
        assert (session.amount, session.currency) == (12_000, "CNY")
        assert session.expires_at == NOON + timedelta(minutes=60)
        assert session.details["metadata"] == {"reference": ORDER.reference}
        assert session.details["intent_metadata"] == {"reference": ORDER.reference}
        page = await http.get(prepared.parameters["url"])
        assert "Pay ¥120.00" in page.text
        done = await http.post(prepared.parameters["url"], data={"answer": "pay"})
        assert (done.status_code, done.headers["location"]) == (303, ORDER.return_url)
        letter = await receiver.next()
        notification = await stripe_gateway.read_notification(letter.headers, letter.body)
        assert notification.payment is not None
        assert notification.payment.status is PaymentStatus.PAID

    async def test_repeated_it_is_the_same_session(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe, clock: Clock
    ) -> None:
        first = await stripe_gateway.prepare(ORDER)
        clock.advance(minutes=29)
        assert await stripe_gateway.prepare(ORDER) == first
        # Even when the first answer was lost before it could be remembered.
        assert await forgetful(state, http, clock).prepare(ORDER) == first
        assert len(state.payments.payments()) == 1

    async def test_another_order_with_the_same_reference_is_refused(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe, clock: Clock
    ) -> None:
        await stripe_gateway.prepare(ORDER)
        with pytest.raises(ProviderRefused) as refused:
            await forgetful(state, http, clock).prepare(replace(ORDER, amount=1))
        assert refused.value.code == "idempotency_error"

    async def test_paid_and_expired_sessions_have_no_page(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        with pytest.raises(AlreadyPaid):
            await stripe_gateway.prepare(ORDER)
        other = replace(ORDER, reference="T2")
        await stripe_gateway.prepare(other)
        await stripe_gateway.close("T2")
        with pytest.raises(ProviderRefused, match="session"):
            await stripe_gateway.prepare(other)

    async def test_long_orders_last_as_long_as_a_session_can(
        self, state: SandboxState, stripe_gateway: Stripe
    ) -> None:
        await stripe_gateway.prepare(replace(ORDER, expires_at=NOON + timedelta(days=2)))
        session = state.payments.payment("stripe", ORDER.reference)
        assert session is not None
        assert session.expires_at == NOON + timedelta(hours=24)

    async def test_other_scenes_and_currencies_are_refused(
        self, state: SandboxState, stripe_gateway: Stripe
    ) -> None:
        with pytest.raises(SceneUnsupported):
            await stripe_gateway.prepare(H5_ORDER)
        with pytest.raises(AmountUnsupported):
            await stripe_gateway.prepare(replace(ORDER, currency="UYW"))
        assert state.payments.payments() == []

    async def test_a_wrong_key_is_refused(
        self, state: SandboxState, http: httpx2.AsyncClient, clock: Clock
    ) -> None:
        config = replace(stripe_config(state), secret_key="sk_test_wrong")
        with pytest.raises(ProviderRefused) as refused:
            await Stripe(config, http, MemoryTokenStore(), clock=clock).prepare(ORDER)
        assert refused.value.code == "invalid_request_error"


class TestAmounts:
    """docs.stripe.com/currencies"""

    @pytest.mark.parametrize(
        ("currency", "ours", "theirs"),
        [
            ("CNY", 12_000, 12_000),
            ("USD", 1, 1),
            ("JPY", 500, 500),
            ("KRW", 500, 500),
            ("ISK", 5, 500),
            ("UGX", 5, 500),
            ("MGA", 500, 5),
            ("HUF", 1_045, 1_045),
            ("KWD", 5_120, 5_120),
            ("KWD", 5_130, 5_130),
        ],
    )
    def test_special_cases_are_converted_both_ways(
        self, currency: str, ours: int, theirs: int
    ) -> None:
        assert to_stripe(ours, currency) == theirs
        assert from_stripe(theirs, currency) == ours

    @pytest.mark.parametrize(
        ("currency", "amount"),
        [("KWD", 5_124), ("MGA", 501), ("IQD", 1_000), ("CLF", 10_000), ("XAU", 1), ("cny", 1)],
    )
    def test_what_stripe_cannot_charge_is_refused(self, currency: str, amount: int) -> None:
        with pytest.raises(AmountUnsupported):
            to_stripe(amount, currency)

    @pytest.mark.parametrize(("currency", "amount"), [("ISK", 150), ("XAU", 1)])
    def test_what_we_cannot_hold_is_no_answer(self, currency: str, amount: int) -> None:
        with pytest.raises(ProviderUnavailable):
            from_stripe(amount, currency)


class TestQueryAndClose:
    async def test_a_session_is_open_until_it_is_paid(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe, clock: Clock
    ) -> None:
        await stripe_gateway.prepare(ORDER)
        assert await stripe_gateway.query(ORDER.reference) == PaymentState(
            ORDER.reference, PaymentStatus.OPEN
        )
        clock.advance(minutes=1)
        await ask(http, state, f"/payments/{ORDER.reference}/pay", notify=False)
        found = await stripe_gateway.query(ORDER.reference)
        assert found == PaymentState(
            reference=ORDER.reference,
            status=PaymentStatus.PAID,
            transaction_id=found.transaction_id,
            amount=12_000,
            currency="CNY",
            paid_at=NOON + timedelta(minutes=1),
        )
        # The same when its session is forgotten, by the metadata of the payment.
        assert await forgetful(state, http, clock).query(ORDER.reference) == found

    async def test_it_expires_half_an_hour_after_the_order(
        self, state: SandboxState, stripe_gateway: Stripe, clock: Clock
    ) -> None:
        await stripe_gateway.prepare(ORDER)
        clock.advance(minutes=59, seconds=59)
        assert (await stripe_gateway.query(ORDER.reference)).status is PaymentStatus.OPEN
        clock.advance(seconds=1)
        assert (await stripe_gateway.query(ORDER.reference)).status is PaymentStatus.CLOSED

    async def test_a_closed_session_cannot_be_paid(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe
    ) -> None:
        await stripe_gateway.prepare(ORDER)
        await stripe_gateway.close(ORDER.reference)
        await stripe_gateway.close(ORDER.reference)
        assert (await stripe_gateway.query(ORDER.reference)).status is PaymentStatus.CLOSED
        late = await http.post(f"{state.public_url}/payments/{ORDER.reference}/pay", json={})
        assert late.status_code == 409

    async def test_a_paid_session_cannot_be_closed(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        with pytest.raises(AlreadyPaid):
            await stripe_gateway.close(ORDER.reference)
        assert (await stripe_gateway.query(ORDER.reference)).status is PaymentStatus.PAID

    async def test_an_unknown_order_is_unknown_and_closes_without_a_word(
        self, stripe_gateway: Stripe
    ) -> None:
        with pytest.raises(OrderUnknown):
            await stripe_gateway.query("T99999")
        await stripe_gateway.close("T99999")


class TestRefund:
    async def test_it_succeeds_and_says_so(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        stripe_gateway: Stripe,
        receiver: Receiver,
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        made = await refund(stripe_gateway, "R1", 5_000)
        assert made == RefundState(
            reference="R1",
            payment_reference=ORDER.reference,
            status=RefundStatus.SUCCEEDED,
            refund_id=made.refund_id,
            amount=5_000,
            currency="CNY",
            succeeded_at=NOON,
        )
        letter = await receiver.next()
        assert json.loads(letter.body)["type"] == "refund.updated"
        notification = await stripe_gateway.read_notification(letter.headers, letter.body)
        assert (notification.payment, notification.refund) == (None, made)
        assert await stripe_gateway.query_refund("R1", ORDER.reference) == made

    async def test_asked_for_days_later_it_is_still_made_once(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe, clock: Clock
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        first = await refund(stripe_gateway, "R1", 5_000)
        assert await refund(stripe_gateway, "R1", 5_000) == first
        clock.advance(days=30)
        assert await refund(forgetful(state, http, clock), "R1", 5_000) == first
        assert [made.amount for made in state.payments.refunds()] == [5_000]

    async def test_asked_for_by_two_at_once_it_is_made_once(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        both = await asyncio.gather(
            refund(stripe_gateway, "R1", 5_000), refund(stripe_gateway, "R1", 5_000)
        )
        assert both[0] == both[1]
        assert [made.amount for made in state.payments.refunds()] == [5_000]

    async def test_more_than_was_paid_does_not_go_back(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        await refund(stripe_gateway, "R1", 7_000)
        with pytest.raises(RefundRefused):
            await refund(stripe_gateway, "R2", 5_001)
        await refund(stripe_gateway, "R3", 5_000)
        with pytest.raises(RefundRefused) as refused:
            await refund(stripe_gateway, "R4", 1)
        assert refused.value.code == "charge_already_refunded"
        assert [made.amount for made in state.payments.refunds()] == [5_000, 7_000]

    async def test_what_was_not_paid_does_not_go_back(
        self, state: SandboxState, stripe_gateway: Stripe
    ) -> None:
        with pytest.raises(OrderUnknown):
            await refund(stripe_gateway, "R1", 1)
        await stripe_gateway.prepare(ORDER)
        with pytest.raises(RefundRefused):
            await refund(stripe_gateway, "R1", 1)
        assert state.payments.refunds() == []

    async def test_one_that_fails_says_so(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        stripe_gateway: Stripe,
        receiver: Receiver,
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        await ask(http, state, "/refunds/hold", hold=True)
        assert (await refund(stripe_gateway, "R1", 5_000)).status is RefundStatus.PENDING
        await ask(http, state, "/refunds/R1/settle", succeeds=False)
        letter = await receiver.next()
        notification = await stripe_gateway.read_notification(letter.headers, letter.body)
        assert notification.refund is not None
        assert notification.refund.status is RefundStatus.FAILED
        state_failed = await stripe_gateway.query_refund("R1", ORDER.reference)
        assert (state_failed.status, state_failed.succeeded_at) == (RefundStatus.FAILED, None)

    async def test_an_unknown_refund_is_unknown(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        with pytest.raises(OrderUnknown):
            await stripe_gateway.query_refund("R9", ORDER.reference)


class TestBill:
    async def test_a_day_has_its_payments_and_refunds_in_order(
        self, state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe, clock: Clock
    ) -> None:
        await paid(stripe_gateway, http, state, notify=False)
        clock.advance(minutes=5)
        made = await refund(stripe_gateway, "R1", 5_001)
        transaction_id = (await stripe_gateway.query(ORDER.reference)).transaction_id
        clock.now = datetime(2026, 9, 2, tzinfo=UTC)
        await refund(stripe_gateway, "R2", 1)
        assert await stripe_gateway.bill(date(2026, 9, 1)) == [
            BillLine(
                transaction_id=transaction_id or "",
                reference=ORDER.reference,
                kind=BillLineKind.PAYMENT,
                amount=12_000,
                currency="CNY",
                at=NOON,
            ),
            BillLine(
                transaction_id=made.refund_id or "",
                reference="R1",
                kind=BillLineKind.REFUND,
                amount=5_001,
                currency="CNY",
                at=NOON + timedelta(minutes=5),
            ),
        ]
        assert [line.reference for line in await stripe_gateway.bill(date(2026, 9, 2))] == ["R2"]
        assert await stripe_gateway.bill(date(2026, 9, 3)) == []

    async def test_every_page_is_read(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        stripe_gateway: Stripe,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(adapter, "BILL_PAGE", 2)
        references = [f"T{number}" for number in range(5)]
        for reference in references:
            order = replace(ORDER, reference=reference)
            await paid(stripe_gateway, http, state, order=order, notify=False)
            clock.advance(seconds=1)
        assert [
            line.reference for line in await stripe_gateway.bill(date(2026, 9, 1))
        ] == references
        monkeypatch.setattr(adapter, "BILL_MAX_PAGES", 4)
        with pytest.raises(ProviderRefused, match="bill"):
            await stripe_gateway.bill(date(2026, 9, 1))


async def test_the_oracle_speaks_to_the_sandbox(
    state: SandboxState, http: httpx2.AsyncClient, stripe_gateway: Stripe
) -> None:
    """Their client and our adapter see the same, so that ours is not proven by itself alone."""
    base_addresses: Any = {"api": f"{state.public_url}/stripe"}
    client = stripe.StripeClient("sk_test_1", base_addresses=base_addresses)
    await paid(stripe_gateway, http, state, notify=False)
    made = await refund(stripe_gateway, "R1", 5_000)
    found = await stripe_gateway.query(ORDER.reference)

    def look() -> None:
        query = {"query": f"metadata['reference']:'{ORDER.reference}'"}
        intents = client.v1.payment_intents.search(query)  # type: ignore[arg-type]
        assert [intent.id for intent in intents.data] == [found.transaction_id]
        listed = client.v1.refunds.list({"payment_intent": intents.data[0].id})
        assert [(entry.id, entry.amount, entry.status) for entry in listed.data] == [
            (made.refund_id, 5_000, "succeeded")
        ]
        again = client.v1.refunds.create(
            {"payment_intent": intents.data[0].id, "amount": 7_000, "metadata": {"reference": "R2"}}
        )
        assert (again.status, again.amount) == ("succeeded", 7_000)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.refunds.create({"payment_intent": intents.data[0].id, "amount": 1})
        assert refused.value.code == "charge_already_refunded"

    await to_thread.run_sync(look)


def test_the_oracle_knows_every_parameter_we_send() -> None:
    given = adapter._session_params(ORDER, now=NOON)
    names = {name.partition("[")[0] for name in given}
    assert names - set(SessionCreateParams.__annotations__) == set()


async def test_busy_limits_and_timeouts_have_names(
    state: SandboxState, stripe_gateway: Stripe, stripe_sessions: MemoryTokenStore, clock: Clock
) -> None:
    await stripe_gateway.prepare(ORDER)
    state.faults.order("stripe", "limit", 1)
    with pytest.raises(ProviderLimitExceeded) as limited:
        await stripe_gateway.query(ORDER.reference)
    assert limited.value.code == "rate_limit"
    for kind in ("busy", "500"):
        state.faults.order("stripe", "busy" if kind == "busy" else "500", 1)
        with pytest.raises(ProviderUnavailable, match="HTTP 50"):
            await stripe_gateway.query(ORDER.reference)
    async with create_http(timeout_s=0.2) as impatient:
        hurried = Stripe(stripe_config(state), impatient, stripe_sessions, clock=clock)
        await hurried.query(ORDER.reference)
        state.faults.order("stripe", "timeout", 1)
        with pytest.raises(ProviderUnavailable, match="timeout"):
            await hurried.close(ORDER.reference)
    assert (await stripe_gateway.query(ORDER.reference)).status is PaymentStatus.OPEN
