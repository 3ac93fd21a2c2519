"""TOP-7: which notifications are Stripe's, and what they say."""

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import stripe

from app.gateways.payments.protocol import (
    NOTIFICATION_MAX_BYTES,
    Notification,
    NotificationRefused,
    PaymentStatus,
)
from app.gateways.payments.stripe import Stripe
from app.gateways.sandbox import SandboxState
from app.gateways.sandbox.adapters import stripe_config
from app.gateways.sandbox.payments import Forge
from app.gateways.wechat_tokens import MemoryTokenStore
from tests.gateways.conftest import Clock, Received, Receiver
from tests.gateways.paying import ORDER, paid

pytestmark = pytest.mark.anyio


def signed(event: object, clock: Clock, secret: str = "whsec_1") -> tuple[dict[str, str], bytes]:
    """A letter as only Stripe could write it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    stamp = str(int(clock.seconds()))
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={digest}"}, body


class TestNotifications:
    @pytest.fixture
    async def letter(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        stripe_gateway: Stripe,
        receiver: Receiver,
    ) -> Received:
        await paid(stripe_gateway, http, state)
        return await receiver.next()

    async def test_a_payment_is_read_as_often_as_it_comes(
        self, stripe_gateway: Stripe, letter: Received
    ) -> None:
        expected = Notification(
            id=json.loads(letter.body)["id"],
            provider="stripe",
            payment=await stripe_gateway.query(ORDER.reference),
        )
        assert await stripe_gateway.read_notification(letter.headers, letter.body) == expected
        assert await stripe_gateway.read_notification(letter.headers, letter.body) == expected

    async def test_the_oracle_reads_it_too(self, letter: Received) -> None:
        event = stripe.Webhook.construct_event(
            letter.body, letter.headers["stripe-signature"], "whsec_1", tolerance=10**9
        )
        assert event.type == "checkout.session.completed"
        assert event.data.object.client_reference_id == ORDER.reference
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(
                letter.body, letter.headers["stripe-signature"], "whsec_2", tolerance=10**9
            )

    @pytest.mark.parametrize(
        ("forge", "reason"),
        [
            ("signature", "signature"),
            ("body", "signature"),
            ("timestamp", "timestamp out of tolerance"),
            ("future", "timestamp out of tolerance"),
            ("serial", "signature"),
            ("owner", "a connected account's"),
        ],
    )
    async def test_what_is_not_stripes_is_refused(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        stripe_gateway: Stripe,
        receiver: Receiver,
        forge: Forge,
        reason: str,
    ) -> None:
        await paid(stripe_gateway, http, state, forge=forge)
        letter = await receiver.next()
        with pytest.raises(NotificationRefused) as refused:
            await stripe_gateway.read_notification(letter.headers, letter.body)
        assert refused.value.reason == reason

    @pytest.mark.parametrize(
        ("forge", "amount", "currency"), [("amount", 12_001, "CNY"), ("currency", 12_000, "HKD")]
    )
    async def test_another_amount_is_for_the_service_to_see(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        stripe_gateway: Stripe,
        receiver: Receiver,
        forge: Forge,
        amount: int,
        currency: str,
    ) -> None:
        await paid(stripe_gateway, http, state, forge=forge)
        letter = await receiver.next()
        payment = (await stripe_gateway.read_notification(letter.headers, letter.body)).payment
        assert payment is not None
        assert (payment.amount, payment.currency) == (amount, currency)

    @pytest.mark.parametrize("seconds", [-300, 300])
    async def test_five_minutes_either_way_are_tolerated(
        self, stripe_gateway: Stripe, letter: Received, clock: Clock, seconds: int
    ) -> None:
        clock.advance(seconds=seconds)
        await stripe_gateway.read_notification(letter.headers, letter.body)
        clock.advance(seconds=1 if seconds > 0 else -1)
        with pytest.raises(NotificationRefused, match="tolerance"):
            await stripe_gateway.read_notification(letter.headers, letter.body)

    @pytest.mark.parametrize(
        "header",
        ["", "t=", "v1=", "t=1,v1=", "t={t}", "t={t},v0={v}", "t={t},v1={v}0", "t=é,v1=é", "{v}"],
    )
    async def test_other_headers_are_refused(
        self, stripe_gateway: Stripe, letter: Received, header: str
    ) -> None:
        given = dict(part.split("=") for part in letter.headers["stripe-signature"].split(","))
        changed = header.format(t=given["t"], v=given["v1"])
        with pytest.raises(NotificationRefused):
            await stripe_gateway.read_notification({"Stripe-Signature": changed}, letter.body)
        with pytest.raises(NotificationRefused):
            await stripe_gateway.read_notification({}, letter.body)

    async def test_while_a_secret_is_rolled_either_signature_will_do(
        self, stripe_gateway: Stripe, letter: Received
    ) -> None:
        stamp, _, rest = letter.headers["stripe-signature"].partition(",")
        both = {"STRIPE-SIGNATURE": f"{stamp},v1={'0' * 64},{rest}"}
        assert (await stripe_gateway.read_notification(both, letter.body)).payment is not None
        many = {"Stripe-Signature": f"{stamp},{',v1='.join(['v1=0'] * 5)},{rest}"}
        with pytest.raises(NotificationRefused):
            await stripe_gateway.read_notification(many, letter.body)

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"\xff", b"{}", b'{"livemode": false}', b"[" * 60_000]
    )
    async def test_well_signed_nonsense_is_refused(
        self, stripe_gateway: Stripe, clock: Clock, body: bytes
    ) -> None:
        headers, body = signed(body, clock)
        with pytest.raises(NotificationRefused):
            await stripe_gateway.read_notification(headers, body)

    async def test_a_huge_one_is_refused(self, stripe_gateway: Stripe, clock: Clock) -> None:
        headers, body = signed(b" " * (NOTIFICATION_MAX_BYTES + 1), clock)
        with pytest.raises(NotificationRefused, match="too large"):
            await stripe_gateway.read_notification(headers, body)

    @pytest.mark.parametrize(
        ("changed", "subject"),
        [
            ({"livemode": True}, {}),
            ({"livemode": None}, {}),
            ({"id": 7}, {}),
            ({}, {"amount_total": "12000"}),
            ({}, {"currency": "xau"}),
            ({}, {"payment_intent": None}),
            ({"type": "refund.updated"}, {}),
        ],
    )
    async def test_well_signed_oddities_are_refused(
        self,
        stripe_gateway: Stripe,
        letter: Received,
        clock: Clock,
        changed: dict[str, Any],
        subject: dict[str, Any],
    ) -> None:
        event = json.loads(letter.body) | changed
        event["data"]["object"] |= subject
        headers, body = signed(event, clock)
        with pytest.raises(NotificationRefused):
            await stripe_gateway.read_notification(headers, body)

    @pytest.mark.parametrize(
        ("kind", "payment_status", "status"),
        [
            ("checkout.session.completed", "unpaid", PaymentStatus.OPEN),
            ("checkout.session.async_payment_succeeded", "paid", PaymentStatus.PAID),
            ("checkout.session.async_payment_failed", "unpaid", PaymentStatus.FAILED),
            ("checkout.session.expired", "unpaid", PaymentStatus.CLOSED),
        ],
    )
    async def test_methods_that_pay_later_are_followed(
        self,
        stripe_gateway: Stripe,
        letter: Received,
        clock: Clock,
        kind: str,
        payment_status: str,
        status: PaymentStatus,
    ) -> None:
        event = json.loads(letter.body) | {"type": kind}
        event["data"]["object"]["payment_status"] = payment_status
        notification = await stripe_gateway.read_notification(*signed(event, clock))
        assert notification.payment is not None
        assert notification.payment.status is status

    async def test_what_needs_no_act_is_taken_all_the_same(
        self, stripe_gateway: Stripe, letter: Received, clock: Clock
    ) -> None:
        event = json.loads(letter.body)
        for changed in (
            event | {"type": "charge.refunded"},
            # A payment link's, whose client_reference_id anybody may choose.
            event | {"data": {"object": event["data"]["object"] | {"metadata": {}}}},
            event | {"data": {"object": event["data"]["object"] | {"metadata": None}}},
        ):
            notification = await stripe_gateway.read_notification(*signed(changed, clock))
            assert (notification.payment, notification.refund) == (None, None)

    async def test_a_live_key_takes_live_events_alone(
        self, state: SandboxState, http: httpx2.AsyncClient, letter: Received, clock: Clock
    ) -> None:
        config = replace(stripe_config(state), secret_key="sk_live_1")
        live = Stripe(config, http, MemoryTokenStore(), clock=clock)
        with pytest.raises(NotificationRefused, match="other mode"):
            await live.read_notification(letter.headers, letter.body)
        event = json.loads(letter.body) | {"livemode": True}
        assert (await live.read_notification(*signed(event, clock))).payment is not None
