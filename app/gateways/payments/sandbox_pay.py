"""The sandbox's own provider of payments, whose page asks nobody for money: for the demo (TOP-7).

Its API is `app/gateways/sandbox/pay.py`: JSON both ways, every request and notification signed with
one shared secret as Stripe signs its webhooks.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import httpx2

from app.core.clock import utc_now
from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import fetch
from app.gateways.payments.fields import Fields
from app.gateways.payments.protocol import (
    NOTIFICATION_MAX_BYTES,
    Acknowledgement,
    AlreadyPaid,
    BillLine,
    BillLineKind,
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
    RefundStatus,
    SceneUnsupported,
)
from app.gateways.payments.signatures import SignatureRefused, check_hmac_header, hmac_header

PROVIDER = "sandbox"
SIGNATURE_HEADER = "Sandbox-Signature"
REFUSALS: Mapping[str, type[ProviderRefused]] = {
    "unknown": OrderUnknown,
    "paid": AlreadyPaid,
    "refund": RefundRefused,
    "limit": ProviderLimitExceeded,
}


@dataclass(frozen=True)
class SandboxPayConfig:
    base_url: str
    secret: str = field(repr=False)
    notify_url: str


class SandboxPay:
    """A `PaymentGateway`; `http` is shared and not closed here."""

    name = PROVIDER
    scenes = frozenset({PaymentScene.PAGE})
    acknowledgement = Acknowledgement(204, b"", "application/json")
    bill_zone = UTC

    def __init__(
        self,
        config: SandboxPayConfig,
        http: httpx2.AsyncClient,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._http = http
        self._clock = clock
        self._base_url = config.base_url.rstrip("/")

    async def prepare(self, order: PaymentOrder) -> Prepared:
        if order.scene is not PaymentScene.PAGE:
            raise SceneUnsupported(order.scene, "PAGE", provider=PROVIDER)
        assert order.amount > 0
        content = {
            "reference": order.reference,
            "amount": order.amount,
            "currency": order.currency,
            "description": order.description,
            "expires_at": order.expires_at.isoformat(),
            "return_url": order.return_url,
            "notify_url": self._config.notify_url,
        }
        body = await self._call("POST", "/v1/payments", content)
        return Prepared(PROVIDER, order.scene, {"url": body.text("url")})

    async def query(self, reference: str) -> PaymentState:
        return _payment(await self._call("GET", _path("payments", reference)))

    async def close(self, reference: str) -> None:
        try:
            await self._call("POST", f"{_path('payments', reference)}/close", {})
        except OrderUnknown:
            return

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
        content = {
            "reference": reference,
            "payment_reference": payment_reference,
            "amount": amount,
            "total": total,
            "currency": currency,
            "reason": reason,
            "notify_url": self._config.notify_url,
        }
        return _refund(await self._call("POST", "/v1/refunds", content))

    async def query_refund(self, reference: str, payment_reference: str) -> RefundState:
        state = _refund(await self._call("GET", _path("refunds", reference)))
        if state.payment_reference != payment_reference:
            raise OrderUnknown("unknown", "another payment's refund", provider=PROVIDER)
        return state

    async def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        if len(body) > NOTIFICATION_MAX_BYTES:
            raise NotificationRefused("too large", provider=PROVIDER)
        given = {name.lower(): value for name, value in headers.items()}
        header = given.get(SIGNATURE_HEADER.lower(), "")
        try:
            check_hmac_header(header, body, self._config.secret, self._clock())
            notice = Fields.parse(body, PROVIDER)
            event_id = notice.text("id")
            if "refund" in notice.values:
                return Notification(event_id, PROVIDER, refund=_refund(notice.object("refund")))
            return Notification(event_id, PROVIDER, payment=_payment(notice.object("payment")))
        except SignatureRefused as error:
            raise NotificationRefused(str(error), provider=PROVIDER) from error
        except ProviderUnavailable as error:
            raise NotificationRefused(f"malformed: {error.reason}", provider=PROVIDER) from error

    async def bill(self, day: date) -> list[BillLine]:
        body = await self._call("GET", f"/v1/bill?day={day.isoformat()}")
        return [
            BillLine(
                transaction_id=line.text("transaction_id"),
                reference=line.text("reference"),
                kind=line.choice("kind", BillLineKind),
                amount=line.number("amount"),
                currency=line.text("currency"),
                at=line.time("at"),
            )
            for line in body.objects("lines")
        ]

    async def _call(
        self, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> Fields:
        body = b"" if content is None else json.dumps(content).encode()
        signed = f"{method} {path}\n".encode() + body
        answer = await fetch(
            self._http,
            method,
            self._base_url + path,
            provider=PROVIDER,
            content=body or None,
            headers={
                "Content-Type": "application/json",
                SIGNATURE_HEADER: hmac_header(self._config.secret, signed, self._clock()),
            },
        )
        fields = Fields.parse(answer.body, PROVIDER)
        if answer.status != 200:
            code = str(fields.values.get("error", f"HTTP {answer.status}"))
            raise REFUSALS.get(code, ProviderRefused)(code, "", provider=PROVIDER)
        return fields


def _path(what: str, reference: str) -> str:
    return f"/v1/{what}/{quote(reference, safe='')}"


def _payment(body: Fields) -> PaymentState:
    reference = body.text("reference")
    status = body.choice("status", PaymentStatus)
    if status is not PaymentStatus.PAID:
        return PaymentState(reference, status)
    return PaymentState(
        reference=reference,
        status=status,
        transaction_id=body.text("transaction_id"),
        amount=body.number("amount"),
        currency=body.text("currency"),
        paid_at=body.time("paid_at"),
    )


def _refund(body: Fields) -> RefundState:
    status = body.choice("status", RefundStatus)
    return RefundState(
        reference=body.text("reference"),
        payment_reference=body.text("payment_reference"),
        status=status,
        refund_id=body.text("refund_id"),
        amount=body.number("amount"),
        currency=body.text("currency"),
        succeeded_at=body.time("succeeded_at") if status is RefundStatus.SUCCEEDED else None,
    )
