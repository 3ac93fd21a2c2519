"""TOP-7: the sandbox's own page, its provider, and what testers can do to payments."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx2
import pytest

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import create_http
from app.gateways.payments.protocol import (
    NOTIFICATION_MAX_BYTES,
    AlreadyPaid,
    BillLine,
    BillLineKind,
    Notification,
    NotificationRefused,
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
from app.gateways.payments.sandbox_pay import SandboxPay, SandboxPayConfig
from app.gateways.payments.signatures import hmac_header
from app.gateways.sandbox import SandboxState
from app.gateways.sandbox import payments as sandbox_payments
from app.gateways.sandbox.adapters import sandbox_pay_config
from app.gateways.sandbox.pay import amount_shown
from app.gateways.sandbox.payments import Forge, PaymentDesk, SandboxPayment
from tests.gateways.conftest import Clock, Received, Receiver
from tests.gateways.paying import H5_ORDER, NOON, ORDER, ask, paid, refund

pytestmark = pytest.mark.anyio


@pytest.fixture
def config(state: SandboxState, receiver: Receiver) -> SandboxPayConfig:
    return sandbox_pay_config(state, notify_url=receiver.url)


@pytest.fixture
def gateway(config: SandboxPayConfig, http: httpx2.AsyncClient, clock: Clock) -> SandboxPay:
    return SandboxPay(config, http, clock=clock)


async def test_it_is_a_payment_gateway(gateway: SandboxPay) -> None:
    known: PaymentGateway = gateway
    assert known.name == "sandbox"
    assert known.scenes == {PaymentScene.PAGE}
    assert known.acknowledgement == (204, b"", "application/json")
    assert known.bill_zone is UTC


class TestPage:
    async def test_its_button_pays_and_leads_back(
        self, http: httpx2.AsyncClient, gateway: SandboxPay, receiver: Receiver
    ) -> None:
        url = (await gateway.prepare(ORDER)).parameters["url"]
        page = await http.get(url)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "支付 ¥120.00 · Pay ¥120.00" in page.text
        assert "取消 · Cancel" in page.text
        assert "<script" not in page.text
        done = await http.post(url, data={"answer": "pay"})
        assert (done.status_code, done.headers["location"]) == (303, ORDER.return_url)
        letter = await receiver.next()
        notification = await gateway.read_notification(letter.headers, letter.body)
        assert notification.payment == await gateway.query(ORDER.reference)
        again = await http.get(url)
        assert "已支付 · Paid" in again.text
        assert "https://h5.example/top-up?order=1" in again.text
        assert "<form" not in again.text

    async def test_pressed_twice_it_pays_and_tells_once(
        self, http: httpx2.AsyncClient, gateway: SandboxPay, receiver: Receiver
    ) -> None:
        url = (await gateway.prepare(ORDER)).parameters["url"]
        await http.post(url, data={"answer": "pay"})
        await http.post(url, data={"answer": "pay"})
        assert receiver.letters.qsize() == 1

    async def test_cancel_leads_back_and_nothing_is_paid(
        self, http: httpx2.AsyncClient, gateway: SandboxPay, receiver: Receiver
    ) -> None:
        url = (await gateway.prepare(ORDER)).parameters["url"]
        done = await http.post(url, data={"answer": "cancel"})
        assert (done.status_code, done.headers["location"]) == (303, ORDER.return_url)
        assert (await gateway.query(ORDER.reference)).status is PaymentStatus.OPEN
        assert receiver.letters.empty()

    async def test_closed_and_expired_orders_have_no_button(
        self, http: httpx2.AsyncClient, gateway: SandboxPay, clock: Clock, receiver: Receiver
    ) -> None:
        other = replace(ORDER, reference="T2")
        closed = (await gateway.prepare(ORDER)).parameters["url"]
        expired = (await gateway.prepare(other)).parameters["url"]
        await gateway.close(ORDER.reference)
        clock.advance(minutes=30)
        for url in (closed, expired):
            assert "<form" not in (await http.get(url)).text
            await http.post(url, data={"answer": "pay"})
        assert (await gateway.query("T2")).status is PaymentStatus.CLOSED
        assert receiver.letters.empty()

    async def test_what_others_wrote_stays_text(
        self, http: httpx2.AsyncClient, gateway: SandboxPay
    ) -> None:
        order = replace(ORDER, description="<b>tea</b>", return_url='https://a.example/?"><b>')
        url = (await gateway.prepare(order)).parameters["url"]
        await http.post(url, data={"answer": "pay"})
        page = (await http.get(url)).text
        assert "<b>" not in page
        assert "&lt;b&gt;tea&lt;/b&gt;" in page

    async def test_there_is_no_page_of_a_made_up_token(
        self, state: SandboxState, http: httpx2.AsyncClient
    ) -> None:
        assert (await http.get(f"{state.public_url}/pay/abc")).status_code == 404
        assert (await http.post(f"{state.public_url}/pay/abc")).status_code == 404

    @pytest.mark.parametrize(
        ("amount", "currency", "shown"),
        [
            (12_000, "CNY", "¥120.00"),
            (5, "USD", "$0.05"),
            (500, "JPY", "¥500"),
            (1, "KWD", "0.001 KWD"),
        ],
    )
    def test_amounts_are_shown_in_their_currency(
        self, amount: int, currency: str, shown: str
    ) -> None:
        assert amount_shown(_payment("T1", amount=amount, currency=currency)) == shown


class TestProvider:
    async def test_an_order_is_open_until_it_is_paid(
        self, state: SandboxState, http: httpx2.AsyncClient, gateway: SandboxPay
    ) -> None:
        first = await gateway.prepare(ORDER)
        assert await gateway.prepare(ORDER) == first
        assert await gateway.query(ORDER.reference) == PaymentState(
            ORDER.reference, PaymentStatus.OPEN
        )
        await paid(gateway, http, state, notify=False)
        found = await gateway.query(ORDER.reference)
        assert found == PaymentState(
            reference=ORDER.reference,
            status=PaymentStatus.PAID,
            transaction_id=found.transaction_id,
            amount=12_000,
            currency="CNY",
            paid_at=NOON,
        )
        with pytest.raises(AlreadyPaid):
            await gateway.close(ORDER.reference)
        with pytest.raises(AlreadyPaid):
            await gateway.prepare(ORDER)

    async def test_unknown_closed_and_different_orders_have_names(
        self, gateway: SandboxPay
    ) -> None:
        with pytest.raises(OrderUnknown):
            await gateway.query("T99999")
        await gateway.close("T99999")
        await gateway.prepare(ORDER)
        with pytest.raises(ProviderRefused, match="reference"):
            await gateway.prepare(replace(ORDER, amount=1))
        await gateway.close(ORDER.reference)
        await gateway.close(ORDER.reference)
        assert (await gateway.query(ORDER.reference)).status is PaymentStatus.CLOSED
        with pytest.raises(ProviderRefused, match="closed"):
            await gateway.prepare(ORDER)
        with pytest.raises(SceneUnsupported):
            await gateway.prepare(H5_ORDER)

    async def test_refunds_are_made_once_and_never_beyond_the_payment(
        self, state: SandboxState, http: httpx2.AsyncClient, gateway: SandboxPay, receiver: Receiver
    ) -> None:
        with pytest.raises(OrderUnknown):
            await refund(gateway, "R1", 1)
        await gateway.prepare(ORDER)
        with pytest.raises(RefundRefused):
            await refund(gateway, "R1", 1)
        await paid(gateway, http, state, notify=False)
        asked = await refund(gateway, "R1", 7_000)
        assert asked == RefundState(
            reference="R1",
            payment_reference=ORDER.reference,
            status=RefundStatus.PENDING,
            refund_id=asked.refund_id,
            amount=7_000,
            currency="CNY",
        )
        letter = await receiver.next()
        notification = await gateway.read_notification(letter.headers, letter.body)
        succeeded = replace(asked, status=RefundStatus.SUCCEEDED, succeeded_at=NOON)
        assert notification.refund == succeeded
        assert await refund(gateway, "R1", 7_000) == succeeded
        assert await gateway.query_refund("R1", ORDER.reference) == succeeded
        with pytest.raises(RefundRefused):
            await refund(gateway, "R2", 5_001)
        with pytest.raises(OrderUnknown):
            await gateway.query_refund("R2", ORDER.reference)
        with pytest.raises(OrderUnknown):
            await gateway.query_refund("R1", "T99999")
        assert [made.amount for made in state.payments.refunds()] == [7_000]

    async def test_its_bill_has_what_moved_on_a_day(
        self, state: SandboxState, http: httpx2.AsyncClient, gateway: SandboxPay, clock: Clock
    ) -> None:
        await paid(gateway, http, state, notify=False)
        clock.now = datetime(2026, 9, 2, tzinfo=UTC)
        made = await refund(gateway, "R1", 1)
        first = await gateway.bill(date(2026, 9, 1))
        assert [(line.reference, line.kind, line.amount) for line in first] == [
            (ORDER.reference, BillLineKind.PAYMENT, 12_000)
        ]
        assert await gateway.bill(date(2026, 9, 2)) == [
            BillLine(made.refund_id or "", "R1", BillLineKind.REFUND, 1, "CNY", clock.now)
        ]
        assert await gateway.bill(date(2026, 9, 3)) == []

    async def test_another_secret_or_clock_is_refused(
        self, config: SandboxPayConfig, http: httpx2.AsyncClient, clock: Clock
    ) -> None:
        late = Clock(clock.now - timedelta(seconds=301))
        for wrong in (
            SandboxPay(replace(config, secret="wrong"), http, clock=clock),
            SandboxPay(config, http, clock=late),
        ):
            with pytest.raises(ProviderRefused, match="signature"):
                await wrong.prepare(ORDER)

    async def test_busy_limits_and_timeouts_have_names(
        self, state: SandboxState, config: SandboxPayConfig, gateway: SandboxPay, clock: Clock
    ) -> None:
        await gateway.prepare(ORDER)
        state.faults.order("pay", "limit", 1)
        with pytest.raises(ProviderLimitExceeded):
            await gateway.query(ORDER.reference)
        for kind in ("busy", "500"):
            state.faults.order("pay", "busy" if kind == "busy" else "500", 1)
            with pytest.raises(ProviderUnavailable, match="HTTP 50"):
                await gateway.query(ORDER.reference)
        async with create_http(timeout_s=0.2) as impatient:
            hurried = SandboxPay(config, impatient, clock=clock)
            await hurried.query(ORDER.reference)
            state.faults.order("pay", "timeout", 1)
            with pytest.raises(ProviderUnavailable, match="timeout"):
                await hurried.close(ORDER.reference)
        assert (await gateway.query(ORDER.reference)).status is PaymentStatus.OPEN


class TestNotifications:
    @pytest.fixture
    async def letter(
        self, state: SandboxState, http: httpx2.AsyncClient, gateway: SandboxPay, receiver: Receiver
    ) -> Received:
        await paid(gateway, http, state)
        return await receiver.next()

    async def test_one_is_read_as_often_as_it_comes(
        self, gateway: SandboxPay, letter: Received
    ) -> None:
        expected = Notification(
            id=json.loads(letter.body)["id"],
            provider="sandbox",
            payment=await gateway.query(ORDER.reference),
        )
        assert await gateway.read_notification(letter.headers, letter.body) == expected
        assert await gateway.read_notification(letter.headers, letter.body) == expected

    @pytest.mark.parametrize("forge", ["signature", "body", "timestamp", "future", "owner"])
    async def test_what_is_not_the_sandboxs_is_refused(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        gateway: SandboxPay,
        receiver: Receiver,
        forge: Forge,
    ) -> None:
        await paid(gateway, http, state, forge=forge)
        letter = await receiver.next()
        with pytest.raises(NotificationRefused):
            await gateway.read_notification(letter.headers, letter.body)

    async def test_another_amount_is_for_the_service_to_see(
        self, state: SandboxState, http: httpx2.AsyncClient, gateway: SandboxPay, receiver: Receiver
    ) -> None:
        await paid(gateway, http, state, forge="amount")
        letter = await receiver.next()
        payment = (await gateway.read_notification(letter.headers, letter.body)).payment
        assert payment is not None
        assert payment.amount == 12_001

    @pytest.mark.parametrize("seconds", [-300, 300])
    async def test_five_minutes_either_way_are_tolerated(
        self, gateway: SandboxPay, letter: Received, clock: Clock, seconds: int
    ) -> None:
        clock.advance(seconds=seconds)
        await gateway.read_notification(letter.headers, letter.body)
        clock.advance(seconds=1 if seconds > 0 else -1)
        with pytest.raises(NotificationRefused):
            await gateway.read_notification(letter.headers, letter.body)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"{}",
            b'{"id": "1"}',
            b'{"id": "1", "payment": {"reference": "T1", "status": "GREAT"}}',
            b'{"id": "1", "payment": {"reference": "T1", "status": "PAID"}}',
            b" " * (NOTIFICATION_MAX_BYTES + 1),
        ],
    )
    async def test_well_signed_nonsense_is_refused(
        self, config: SandboxPayConfig, gateway: SandboxPay, clock: Clock, body: bytes
    ) -> None:
        headers = {"Sandbox-Signature": hmac_header(config.secret, body, clock.now)}
        with pytest.raises(NotificationRefused):
            await gateway.read_notification(headers, body)
        with pytest.raises(NotificationRefused):
            await gateway.read_notification({}, body)


class TestHelpers:
    async def test_payments_are_listed_with_their_pages_and_refunds(
        self, state: SandboxState, http: httpx2.AsyncClient, gateway: SandboxPay
    ) -> None:
        url = (await gateway.prepare(ORDER)).parameters["url"]
        await paid(gateway, http, state, notify=False)
        await refund(gateway, "R1", 5_000)
        listed = (await http.get(f"{state.public_url}/payments")).json()
        assert listed == {
            "payments": [
                {
                    "provider": "sandbox",
                    "reference": ORDER.reference,
                    "amount": 12_000,
                    "currency": "CNY",
                    "description": "会员充值 · Top-up",
                    "status": "PAID",
                    "canBePaid": False,
                    "url": url,
                    "refunds": [{"reference": "R1", "amount": 5_000, "status": "SUCCEEDED"}],
                }
            ]
        }

    async def test_the_same_letter_comes_as_often_as_asked(
        self, state: SandboxState, http: httpx2.AsyncClient, gateway: SandboxPay, receiver: Receiver
    ) -> None:
        await gateway.prepare(ORDER)
        answered = await ask(http, state, f"/payments/{ORDER.reference}/pay", times=3)
        assert answered == {"status": "PAID", "answers": [204, 204, 204]}
        letters = [await receiver.next() for _ in range(3)]
        assert len({(letter.body, letter.headers["sandbox-signature"]) for letter in letters}) == 1

    async def test_a_product_that_cannot_be_reached_is_no_error(
        self, state: SandboxState, config: SandboxPayConfig, http: httpx2.AsyncClient, clock: Clock
    ) -> None:
        nowhere = replace(config, notify_url="http://127.0.0.1:9/")
        await SandboxPay(nowhere, http, clock=clock).prepare(ORDER)
        answered = await ask(http, state, f"/payments/{ORDER.reference}/pay")
        assert answered == {"status": "PAID", "answers": [None]}

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/payments/T9/pay", {}, 404),
            (f"/payments/{ORDER.reference}/pay", {"provider": "stripe"}, 404),
            (f"/payments/{ORDER.reference}/pay", {"times": 0}, 400),
            (f"/payments/{ORDER.reference}/pay", {"times": 21}, 400),
            (f"/payments/{ORDER.reference}/pay", {"times": True}, 400),
            (f"/payments/{ORDER.reference}/pay", {"forge": "gold"}, 400),
            (f"/payments/{ORDER.reference}/pay", {"notify": 1}, 400),
            ("/refunds/R9/settle", {}, 404),
            ("/refunds/R1/settle", {"succeeds": "yes"}, 400),
            ("/refunds/hold", {}, 400),
        ],
    )
    async def test_helpers_say_what_they_do_not_understand(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        gateway: SandboxPay,
        path: str,
        body: dict[str, Any],
        status: int,
    ) -> None:
        await paid(gateway, http, state, notify=False)
        await ask(http, state, "/refunds/hold", hold=True)
        await refund(gateway, "R1", 1)
        answer = await http.post(state.public_url + path, json=body)
        assert answer.status_code == status

    def test_memory_is_bounded(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sandbox_payments, "MAX_PAYMENTS", 2)
        desk = PaymentDesk(clock)
        for number in range(3):
            desk.open(_payment(f"T{number}"))
        assert [payment.reference for payment in desk.payments()] == ["T2", "T1"]


def _payment(reference: str, *, amount: int = 1, currency: str = "CNY") -> SandboxPayment:
    return SandboxPayment(
        provider="sandbox",
        reference=reference,
        amount=amount,
        currency=currency,
        description="",
        expires_at=NOON,
        notify_url="",
    )
