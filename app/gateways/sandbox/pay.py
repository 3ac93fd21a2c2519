"""The sandbox's own provider of payments: its API, and the page on which the demo pays.

The page serves WeChat Pay's H5 orders and Stripe's sessions, too. It asks for no money, and its
buttons are a form that works without a script.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.core.money import MINOR_UNIT_DIGITS
from app.gateways.sandbox.faults import FaultInjector
from app.gateways.sandbox.payments import (
    Forge,
    Letter,
    SandboxPayment,
    SandboxRefund,
    Subject,
    forged_amount,
    forged_currency,
    forged_seconds,
)
from app.gateways.sandbox.state import FaultKind, SandboxState
from app.gateways.sandbox.web import MAX_BODY_BYTES, is_web_uri

CLOCK_WINDOW_S = 300
SIGNS = {"CNY": "¥", "JPY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}
STYLE = (
    "body{font:18px/1.5 system-ui,sans-serif;margin:0;padding:2rem 1rem;background:#f4f4f0;"
    "color:#222}main{max-width:24rem;margin:auto;background:#fff;border-radius:1rem;padding:1.5rem}"
    "small{color:#555}h1{font-size:1.2rem}button,a{display:block;width:100%;box-sizing:border-box;"
    "font:inherit;padding:.9rem;margin-top:1rem;border-radius:.6rem;border:1px solid #767676;"
    "background:#fff;color:#222;text-align:center;text-decoration:none}"
    "button.pay{background:#0a6b3d;border-color:#0a6b3d;color:#fff;font-size:1.4rem}"
)

Handler = Callable[[Request, Mapping[str, Any]], Response]


class PayError(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


def pay_app(state: SandboxState) -> FaultInjector:
    """What stands at {sandbox}/pay: the API below /v1, and a page for each payment."""
    endpoints = _Endpoints(state)
    state.payments.writers["sandbox"] = endpoints.letter
    routes: list[tuple[str, str, Handler]] = [
        ("POST", "/v1/payments", endpoints.create),
        ("GET", "/v1/payments/{reference}", endpoints.query),
        ("POST", "/v1/payments/{reference}/close", endpoints.close),
        ("POST", "/v1/refunds", endpoints.refund),
        ("GET", "/v1/refunds/{reference}", endpoints.query_refund),
        ("GET", "/v1/bill", endpoints.bill),
    ]
    app = Starlette(
        routes=[
            *(Route(path, endpoints.verified(handler), methods=[method])
              for method, path, handler in routes),
            Route("/{token}", endpoints.page),
            Route("/{token}", endpoints.answer, methods=["POST"]),
        ],
        exception_handlers={PayError: _answer_error},
    )  # fmt: skip
    return FaultInjector(app, state, "pay", _refuse)


class _Endpoints:
    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._desk = state.payments

    def verified(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint whose requests carry the signature of who shares the secret."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            path = request.scope["path"].removeprefix(request.scope["root_path"])
            query = f"?{request.url.query}" if request.url.query else ""
            signed = f"{request.method} {path}{query}\n".encode() + body
            header = dict(parse_qsl(request.headers.get("sandbox-signature", "").replace(",", "&")))
            stamp = header.get("t", "")
            is_near = stamp.isdecimal() and self._is_near(int(stamp))
            expected = self._signature(stamp, signed, self._state.pay.secret)
            if not is_near or not hmac.compare_digest(header.get("v1", ""), expected):
                raise PayError(401, "signature")
            try:
                parsed = json.loads(body or b"{}")
            except ValueError as error:
                raise PayError(400, "body") from error
            if len(body) > MAX_BODY_BYTES or not isinstance(parsed, dict):
                raise PayError(400, "body")
            return handler(request, parsed)

        return endpoint

    def _is_near(self, seconds: int) -> bool:
        return abs(self._state.now().timestamp() - seconds) <= CLOCK_WINDOW_S

    def _signature(self, stamp: str, payload: bytes, secret: str) -> str:
        return hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()

    def create(self, request: Request, body: Mapping[str, Any]) -> Response:
        amount, currency = body.get("amount"), body.get("currency")
        if type(amount) is not int or amount < 1 or currency not in MINOR_UNIT_DIGITS:
            raise PayError(400, "amount")
        if not is_web_uri(str(body.get("return_url"))):
            raise PayError(400, "return_url")
        payment = self._desk.payment("sandbox", str(body.get("reference")))
        if payment is None:
            payment = self._desk.open(
                SandboxPayment(
                    provider="sandbox",
                    reference=str(body["reference"]),
                    amount=amount,
                    currency=currency,
                    description=str(body.get("description", "")),
                    expires_at=datetime.fromisoformat(str(body.get("expires_at"))),
                    notify_url=str(body.get("notify_url", "")),
                    return_url=str(body["return_url"]),
                )
            )
        if payment.status != "OPEN":
            raise PayError(409, "paid" if payment.status == "PAID" else "closed")
        if (payment.amount, payment.currency) != (amount, currency):
            raise PayError(409, "reference")
        return JSONResponse({"url": f"{self._state.public_url}/pay/{payment.token}"})

    def query(self, request: Request, body: Mapping[str, Any]) -> Response:
        return JSONResponse(self._payment_document(self._payment(request), None))

    def close(self, request: Request, body: Mapping[str, Any]) -> Response:
        payment = self._payment(request)
        if payment.status == "PAID":
            raise PayError(409, "paid")
        payment.status = "CLOSED"
        return JSONResponse(self._payment_document(payment, None))

    def _payment(self, request: Request) -> SandboxPayment:
        payment = self._desk.payment("sandbox", request.path_params["reference"])
        if payment is None:
            raise PayError(404, "unknown")
        return payment

    def refund(self, request: Request, body: Mapping[str, Any]) -> Response:
        payment = self._desk.payment("sandbox", str(body.get("payment_reference")))
        amount, reference = body.get("amount"), str(body.get("reference"))
        if payment is None:
            raise PayError(404, "unknown")
        if type(amount) is not int or amount < 1:
            raise PayError(400, "amount")
        refund = self._desk.refund("sandbox", reference)
        if refund is not None:
            if (refund.payment, refund.amount) != (payment, amount):
                raise PayError(409, "reference")
            return JSONResponse(_refund_document(refund, None))
        refund = SandboxRefund(
            provider="sandbox",
            reference=reference,
            payment=payment,
            amount=amount,
            reason=str(body.get("reason", "")),
            created_at=self._state.now(),
            notify_url=str(body.get("notify_url", "")),
        )
        if body.get("total") != payment.amount or not self._desk.ask_back(refund):
            raise PayError(409, "refund")
        task = BackgroundTask(self._desk.settle_at_once, refund)
        return JSONResponse(_refund_document(refund, None), background=task)

    def query_refund(self, request: Request, body: Mapping[str, Any]) -> Response:
        refund = self._desk.refund("sandbox", request.path_params["reference"])
        if refund is None:
            raise PayError(404, "unknown")
        return JSONResponse(_refund_document(refund, None))

    def bill(self, request: Request, body: Mapping[str, Any]) -> Response:
        """What moved on a UTC day, in the order in which it did."""
        day = date.fromisoformat(request.query_params.get("day", ""))
        lines = []
        for payment in self._desk.payments("sandbox"):
            if payment.paid_at is not None:
                line = self._payment_document(payment, None) | {"kind": "PAYMENT"}
                lines.append((payment.paid_at, line))
        for refund in self._desk.refunds("sandbox"):
            if refund.succeeded_at is not None:
                line = _refund_document(refund, None) | {"kind": "REFUND"}
                lines.append((refund.succeeded_at, line | {"transaction_id": line["refund_id"]}))
        lines.sort(key=lambda entry: entry[0])
        of_the_day = [
            line | {"at": at.isoformat()} for at, line in lines if at.astimezone(UTC).date() == day
        ]
        return JSONResponse({"lines": of_the_day})

    def letter(self, subject: Subject, forge: Forge | None) -> Letter:
        document: dict[str, Any] = {"id": f"note-{subject.number}"}
        if isinstance(subject, SandboxPayment):
            document["payment"] = self._payment_document(subject, forge)
        else:
            document["refund"] = _refund_document(subject, forge)
        body = json.dumps(document).encode()
        stamp, secret = forged_seconds(self._state.now(), forge), self._state.pay.secret
        if forge in ("signature", "serial", "owner"):
            secret = "strangers-secret"  # noqa: S105 (whom it is not shared with)
        signature = self._signature(str(stamp), body, secret)
        return Letter(
            subject.notify_url,
            {
                "Content-Type": "application/json",
                "Sandbox-Signature": f"t={stamp},v1={signature}",
            },
            body + b" " if forge == "body" else body,
        )

    def _payment_document(self, payment: SandboxPayment, forge: Forge | None) -> dict[str, Any]:
        document: dict[str, Any] = {"reference": payment.reference, "status": payment.status}
        if payment.status == "OPEN" and not payment.can_be_paid(self._state.now()):
            document["status"] = "CLOSED"
        if payment.paid_at is not None:
            document |= {
                "transaction_id": f"pay-{payment.number}",
                "amount": forged_amount(payment.amount, forge),
                "currency": forged_currency(payment.currency, forge),
                "paid_at": payment.paid_at.isoformat(),
            }
        return document

    async def page(self, request: Request) -> Response:
        payment = self._desk.payment_of_page(request.path_params["token"])
        if payment is None:
            return HTMLResponse("<!doctype html><title>404</title>No such payment", 404)
        back = _way_back(request, payment)
        amount = escape(amount_shown(payment))
        if payment.status == "PAID":
            rest = "<p>已支付 · Paid</p>"
        elif not payment.can_be_paid(self._state.now()):
            rest = "<p>已关闭，不能支付 · Closed, it cannot be paid</p>"
        else:
            # No action: the form goes to this very address, with the query that says where back is.
            rest = (
                "<form method=post>"
                f"<button class=pay name=answer value=pay>支付 {amount} · Pay {amount}</button>"
                "<button name=answer value=cancel>取消 · Cancel</button></form>"
            )
        if back and not payment.can_be_paid(self._state.now()):
            rest += f'<a href="{escape(back)}">返回商家 · Back to the shop</a>'
        return HTMLResponse(
            "<!doctype html><html lang=zh><meta charset=utf-8>"
            '<meta name=viewport content="width=device-width">'
            f"<title>{amount}</title><style>{STYLE}</style><main>"
            f"<h1>{escape(payment.description)}</h1><p>{amount}</p>"
            f"<small>演示支付，不会扣款 · A demo: nobody pays anything ({payment.provider})</small>"
            f"{rest}</main></html>",
            headers={"Cache-Control": "no-store"},
        )

    async def answer(self, request: Request) -> Response:
        """The form of the page: pays, tells the product, and leads back to it either way."""
        payment = self._desk.payment_of_page(request.path_params["token"])
        if payment is None:
            return HTMLResponse("<!doctype html><title>404</title>No such payment", 404)
        form = dict(parse_qsl((await request.body())[:MAX_BODY_BYTES].decode("ascii", "replace")))
        if form.get("answer") == "pay":
            was_open = payment.status == "OPEN"
            if self._desk.pay(payment) and was_open:
                await self._desk.notify(payment)
        back = _way_back(request, payment)
        # Back to the page itself where there is no other way.
        return RedirectResponse(back or str(request.url), status_code=303)


def amount_shown(payment: SandboxPayment) -> str:
    digits = MINOR_UNIT_DIGITS.get(payment.currency, 2)
    whole, part = divmod(payment.amount, 10**digits)
    figures = f"{whole}.{part:0{digits}}" if digits else str(whole)
    sign = SIGNS.get(payment.currency)
    return f"{sign}{figures}" if sign else f"{figures} {payment.currency}"


def _way_back(request: Request, payment: SandboxPayment) -> str:
    """As WeChat's page takes it from its address, Stripe's from the session."""
    for url in (request.query_params.get("redirect_url", ""), payment.return_url):
        if is_web_uri(url):
            return url
    return ""


def _refund_document(refund: SandboxRefund, forge: Forge | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "reference": refund.reference,
        "payment_reference": refund.payment.reference,
        "status": refund.status,
        "refund_id": f"refund-{refund.number}",
        "amount": forged_amount(refund.amount, forge),
        "currency": forged_currency(refund.payment.currency, forge),
    }
    if refund.succeeded_at is not None:
        document["succeeded_at"] = refund.succeeded_at.isoformat()
    return document


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PayError)
    return JSONResponse({"error": error.code}, error.status)


def _refuse(kind: FaultKind) -> Response:
    if kind == "limit":
        return JSONResponse({"error": "limit"}, 429)
    return JSONResponse({"error": "busy"}, 503)
