"""Stripe Checkout: its own payment page, refunds, webhooks, balance transactions (TOP-7).

Pages, under docs.stripe.com: /api/checkout/sessions, /api/payment_intents/search, /api/refunds,
/api/balance_transactions/list, /api/idempotent_requests, /api/errors, /webhooks,
/payments/checkout/fulfillment.

Stripe's requests for a session name Stripe's id of it, which `sessions` remembers by our reference
for as long as the session can be paid and some days more. Payments are found for good by the
metadata they carry, but by a search that may be a minute behind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote, urlencode

import httpx2

from app.core.clock import utc_now
from app.gateways.errors import ProviderRefused
from app.gateways.http import fetch
from app.gateways.payments.fields import Fields
from app.gateways.payments.protocol import (
    NOTIFICATION_MAX_BYTES,
    Acknowledgement,
    AlreadyPaid,
    BillLine,
    Notification,
    NotificationRefused,
    OrderUnknown,
    PaymentOrder,
    PaymentScene,
    PaymentState,
    PaymentStatus,
    Prepared,
    RefundRefused,
    RefundState,
    SceneUnsupported,
)
from app.gateways.payments.signatures import SignatureRefused, check_hmac_header
from app.gateways.payments.stripe_amounts import PROVIDER, to_stripe
from app.gateways.payments.stripe_answers import (
    bill_line,
    intent_state,
    notification,
    refund_state,
    refusal,
    session_state,
)
from app.gateways.wechat_tokens import TokenStore

API_VERSION = "2024-12-18.acacia"
LIVE_PREFIXES = ("sk_live_", "rk_live_")

SESSION_LONGER = timedelta(minutes=30)
"""A session lives 30 minutes at least. So much is added to every order's time rather than to now,
so that a repeated call asks for the same; `close` ends a session with its order."""
SESSION_MAX = timedelta(hours=24)
SESSION_REMEMBERED = timedelta(days=7)
REFUNDS_MAX = 100
BILL_PAGE = 100
BILL_MAX_PAGES = 2_000

DESCRIPTION_MAX_LENGTH = 250


@dataclass(frozen=True)
class StripeConfig:
    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    """Of the endpoint that Stripe's settings name with our notification address."""
    base_url: str = "https://api.stripe.com"


class Stripe:
    """A `PaymentGateway`; `http` and `sessions` are shared and not closed here."""

    name = PROVIDER
    scenes = frozenset({PaymentScene.PAGE})
    acknowledgement = Acknowledgement(200, b"", "text/plain")
    bill_zone = UTC

    def __init__(
        self,
        config: StripeConfig,
        http: httpx2.AsyncClient,
        sessions: TokenStore,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._http = http
        self._sessions = sessions
        self._clock = clock
        self._base_url = config.base_url.rstrip("/")
        self._is_live = config.secret_key.startswith(LIVE_PREFIXES)

    async def prepare(self, order: PaymentOrder) -> Prepared:
        """Repeated with the same order it gives the page of the same session."""
        if order.scene is not PaymentScene.PAGE:
            raise SceneUnsupported(order.scene, "PAGE", provider=PROVIDER)
        assert order.amount > 0
        session = await self._session(order.reference)
        if session is None:
            session = await self._call(
                "POST",
                "/v1/checkout/sessions",
                _session_params(order, now=self._clock()),
                idempotency_key=f"session-{order.reference}",
            )
            left = order.expires_at - self._clock() + SESSION_LONGER + SESSION_REMEMBERED
            seconds = int(left.total_seconds())
            await self._sessions.put(
                _key(order.reference), session.text("id"), expires_in_s=seconds
            )
        if session.text("status") == "complete":
            raise AlreadyPaid("session", "complete", provider=PROVIDER)
        if session.text("status") != "open":
            raise ProviderRefused("session", "expired", provider=PROVIDER)
        return Prepared(PROVIDER, order.scene, {"url": session.text("url")})

    async def query(self, reference: str) -> PaymentState:
        """The session while it is remembered, afterwards the payment, if there is one."""
        session = await self._session(reference)
        if session is not None:
            return session_state(session)
        return intent_state(await self._intent(reference))

    async def close(self, reference: str) -> None:
        session_id = await self._sessions.get(_key(reference))
        if session_id is None:
            return
        try:
            await self._call("POST", f"/v1/checkout/sessions/{quote(session_id, safe='')}/expire")
        except ProviderRefused as refused:
            state = await self.query(reference)
            if state.status is PaymentStatus.PAID:
                raise AlreadyPaid("session", "complete", provider=PROVIDER) from refused
            if state.status is PaymentStatus.OPEN:  # the payer's bank has it, for days perhaps
                raise

    async def refund(
        self,
        *,
        reference: str,
        payment_reference: str,
        amount: int,
        total: int,
        currency: str,
        reason: str,
    ) -> RefundState:
        """Looks for the refund first: Stripe forgets an idempotency key after a day.

        `reason` goes along as metadata, since Stripe's own field takes three words only.
        """
        assert 0 < amount <= total
        try:
            intent_id = await self._intent_id(payment_reference)
        except OrderUnknown as unknown:
            if await self._sessions.get(_key(payment_reference)) is None:
                raise
            raise RefundRefused("session", "not paid", provider=PROVIDER) from unknown
        made = await self._refunds(intent_id, reference)
        if made is not None:
            return refund_state(made)
        params = {
            "payment_intent": intent_id,
            "amount": str(to_stripe(amount, currency)),
            "metadata[reference]": reference,
            "metadata[payment_reference]": payment_reference,
            "metadata[reason]": reason[:DESCRIPTION_MAX_LENGTH],
        }
        try:
            body = await self._call(
                "POST", "/v1/refunds", params, idempotency_key=f"refund-{reference}"
            )
        except OrderUnknown:
            raise
        except ProviderRefused as refused:
            if refused.code in ("invalid_request_error", "charge_disputed"):
                raise RefundRefused(refused.code, refused.message, provider=PROVIDER) from refused
            raise
        return refund_state(body)

    async def query_refund(self, reference: str, payment_reference: str) -> RefundState:
        made = await self._refunds(await self._intent_id(payment_reference), reference)
        if made is None:
            raise OrderUnknown("refund", "none with this reference", provider=PROVIDER)
        return refund_state(made)

    async def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        """Sessions and refunds that carry our reference; other events need no act.

        `charge.refunded` does not name the refund, so `refund.created` and `.updated` are read.
        """
        if len(body) > NOTIFICATION_MAX_BYTES:
            raise NotificationRefused("too large", provider=PROVIDER)
        given = {name.lower(): value for name, value in headers.items()}
        header, secret = given.get("stripe-signature", ""), self._config.webhook_secret
        try:
            check_hmac_header(header, body, secret, self._clock())
        except SignatureRefused as error:
            raise NotificationRefused(str(error), provider=PROVIDER) from error
        return notification(body, is_live=self._is_live)

    async def bill(self, day: date) -> list[BillLine]:
        """Payments and refunds of a UTC day; fees, payouts and refunds that came back are left out.

        What other systems did on the same account has an empty reference.
        """
        begins = datetime.combine(day, time(), UTC)
        params = {
            "created[gte]": str(int(begins.timestamp())),
            "created[lt]": str(int((begins + timedelta(days=1)).timestamp())),
            "limit": str(BILL_PAGE),
            "expand[]": "data.source",
        }
        lines: list[BillLine] = []
        for _ in range(BILL_MAX_PAGES):
            page = await self._call("GET", f"/v1/balance_transactions?{urlencode(params)}")
            entries = page.objects("data")
            lines += [line for entry in entries if (line := bill_line(entry)) is not None]
            if not entries or page.values.get("has_more") is not True:
                return lines[::-1]  # Stripe lists the newest first
            params["starting_after"] = entries[-1].text("id")
        raise ProviderRefused("bill", "more than can be read at once", provider=PROVIDER)

    async def _session(self, reference: str) -> Fields | None:
        session_id = await self._sessions.get(_key(reference))
        if session_id is None:
            return None
        query = urlencode({"expand[]": "payment_intent.latest_charge"})
        path = f"/v1/checkout/sessions/{quote(session_id, safe='')}"
        return await self._call("GET", f"{path}?{query}")

    async def _intent(self, reference: str) -> Fields:
        """The payment intent with our reference that was paid, or else any; raises OrderUnknown."""
        assert '"' not in reference
        assert "\\" not in reference
        params = {
            "query": f'metadata["reference"]:"{reference}"',
            "expand[]": "data.latest_charge",
        }
        found = await self._call("GET", f"/v1/payment_intents/search?{urlencode(params)}")
        intents = found.objects("data")
        paid = [intent for intent in intents if intent.text("status") == "succeeded"]
        for intent in paid or intents:
            return intent
        raise OrderUnknown("payment_intent", "none with this reference", provider=PROVIDER)

    async def _intent_id(self, reference: str) -> str:
        session = await self._session(reference)
        if session is not None and session.values.get("payment_intent") is not None:
            return session.object("payment_intent").text("id")
        return (await self._intent(reference)).text("id")

    async def _refunds(self, intent_id: str, reference: str) -> Fields | None:
        query = urlencode({"payment_intent": intent_id, "limit": str(REFUNDS_MAX)})
        page = await self._call("GET", f"/v1/refunds?{query}")
        for refund in page.objects("data"):
            if refund.object("metadata").values.get("reference") == reference:
                return refund
        if page.values.get("has_more") is True:  # what is not seen might be paid back twice
            raise RefundRefused("refunds", "too many on this payment", provider=PROVIDER)
        return None

    async def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Fields:
        headers = {
            "Authorization": f"Bearer {self._config.secret_key}",
            "Stripe-Version": API_VERSION,
        }
        if params is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        answer = await fetch(
            self._http,
            method,
            self._base_url + path,
            provider=PROVIDER,
            content=urlencode(params).encode() if params is not None else None,
            headers=headers,
        )
        if answer.status != 200:
            raise refusal(answer)
        return Fields.parse(answer.body, PROVIDER)


def _session_params(order: PaymentOrder, *, now: datetime) -> dict[str, str]:
    params = {
        "mode": "payment",
        "client_reference_id": order.reference,
        "metadata[reference]": order.reference,
        "payment_intent_data[metadata][reference]": order.reference,
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": order.currency.lower(),
        "line_items[0][price_data][unit_amount]": str(to_stripe(order.amount, order.currency)),
        "line_items[0][price_data][product_data][name]": order.description[:DESCRIPTION_MAX_LENGTH],
        # The payer sees and pays the order's currency, so that the amount is the order's.
        "adaptive_pricing[enabled]": "false",
        "success_url": order.return_url,
        "cancel_url": order.return_url,
    }
    ends_at = order.expires_at + SESSION_LONGER
    if ends_at - now < SESSION_MAX:  # else the default, 24 hours, is all there is
        params["expires_at"] = str(int(ends_at.timestamp()))
    return params


def _key(reference: str) -> str:
    return f"stripe:{reference}"
