"""Stripe's documented endpoints, answered for made-up payments; the adapter names the pages.

Amounts are Stripe's units. There is one way to pay, at once, on the sandbox's own page.
"""

import hashlib
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.gateways.sandbox.faults import FaultInjector
from app.gateways.sandbox.payments import (
    Forge,
    Letter,
    SandboxPayment,
    SandboxRefund,
    Subject,
    forged_seconds,
)
from app.gateways.sandbox.state import FaultKind, SandboxState
from app.gateways.sandbox.stripe_objects import (
    balance_transactions,
    intent,
    intent_id,
    refund_object,
    session,
    session_id,
)
from app.gateways.sandbox.web import MAX_BODY_BYTES, is_web_uri

MAX_IDEMPOTENCY_KEYS = 10_000
IDEMPOTENCY_KEY_LIFE = timedelta(hours=24)
MAX_PAGE = 100
SESSION_MIN, SESSION_MAX = timedelta(minutes=30), timedelta(hours=24)
METADATA = re.compile(r"metadata\[(\w+)\]")
INTENT_METADATA = re.compile(r"payment_intent_data\[metadata\]\[(\w+)\]")
SEARCH = re.compile(r"""metadata\[["']reference["']\]:["']([^"']*)["']""")
API_VERSION = "2024-12-18.acacia"

Handler = Callable[[Request, Mapping[str, str]], Response]


class StripeError(Exception):
    """docs.stripe.com/api/errors"""

    def __init__(self, status: int, kind: str, code: str | None, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message} | ({"code": code} if code else {})


def stripe_app(state: SandboxState) -> FaultInjector:
    """What stands at {sandbox}/stripe, for api.stripe.com."""
    endpoints = _Endpoints(state)
    state.payments.writers["stripe"] = endpoints.letter
    sessions = "/v1/checkout/sessions"
    routes: list[tuple[str, str, Handler]] = [
        ("POST", sessions, endpoints.create_session),
        ("GET", f"{sessions}/{{id}}", endpoints.retrieve_session),
        ("POST", f"{sessions}/{{id}}/expire", endpoints.expire_session),
        ("GET", "/v1/payment_intents/search", endpoints.search_intents),
        ("POST", "/v1/refunds", endpoints.create_refund),
        ("GET", "/v1/refunds", endpoints.list_refunds),
        ("GET", "/v1/balance_transactions", endpoints.list_balance_transactions),
    ]
    app = Starlette(
        routes=[
            Route(path, endpoints.authorized(handler), methods=[method])
            for method, path, handler in routes
        ],
        exception_handlers={StripeError: _answer_error},
    )
    return FaultInjector(app, state, "stripe", _refuse)


class _Endpoints:
    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._desk = state.payments
        self._answers: OrderedDict[str, tuple[str, Response, datetime]] = OrderedDict()

    def authorized(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for who has the secret key; a POST repeated with its key is done once."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            expected = f"Bearer {self._state.stripe.secret_key}"
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), expected.encode()):
                raise StripeError(401, "invalid_request_error", None, "Invalid API Key provided")
            if len(body) > MAX_BODY_BYTES:
                raise StripeError(413, "invalid_request_error", None, "Request too large")
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            key = request.headers.get("idempotency-key")
            if request.method != "POST" or key is None:
                return handler(request, form)
            return self._once(key, request, form, handler)

        return endpoint

    def _once(
        self, key: str, request: Request, form: Mapping[str, str], handler: Handler
    ) -> Response:
        asked = json.dumps([request.url.path, sorted(form.items())])
        before, now = self._answers.get(key), self._state.now()
        if before is None or now >= before[2] + IDEMPOTENCY_KEY_LIFE:
            response = handler(request, form)
            self._answers[key] = (asked, response, now)
            if len(self._answers) > MAX_IDEMPOTENCY_KEYS:
                self._answers.popitem(last=False)
            return response
        if before[0] != asked:
            message = "Keys for idempotent requests can only be used with the same parameters"
            raise StripeError(400, "idempotency_error", None, message)
        replayed = Response(before[1].body, before[1].status_code, media_type="application/json")
        replayed.headers["Idempotent-Replayed"] = "true"
        return replayed

    def create_session(self, request: Request, form: Mapping[str, str]) -> Response:
        price = "line_items[0][price_data]"
        amount, currency = form.get(f"{price}[unit_amount]", ""), form.get(f"{price}[currency]", "")
        if form.get("mode") != "payment" or form.get("line_items[0][quantity]") != "1":
            raise _missing("mode or line_items")
        if not amount.isdecimal() or len(currency) != 3 or not currency.islower():
            raise _missing("unit_amount or currency")
        if int(amount) < 1:
            message = "The Checkout Session's total amount must convert to at least 50 cents."
            raise StripeError(400, "invalid_request_error", "amount_too_small", message)
        if not is_web_uri(form.get("success_url", "")):
            raise StripeError(400, "invalid_request_error", "url_invalid", "Not a valid URL")
        now = self._state.now()
        expires_at = now + SESSION_MAX
        if "expires_at" in form:
            expires_at = datetime.fromtimestamp(int(form["expires_at"]), UTC)
            if not SESSION_MIN <= expires_at - now <= SESSION_MAX:
                message = "The `expires_at` timestamp must be 30 minutes to 24 hours from creation."
                raise StripeError(400, "invalid_request_error", None, message)
        payment = self._desk.open(
            SandboxPayment(
                provider="stripe",
                reference=form.get("client_reference_id", ""),
                amount=int(amount),
                currency=currency.upper(),
                description=form.get(f"{price}[product_data][name]", ""),
                expires_at=expires_at,
                notify_url=self._state.stripe.webhook_url,
                return_url=form["success_url"],
                details={
                    "created": now,
                    "metadata": _metadata(form),
                    "intent_metadata": _metadata(form, INTENT_METADATA),
                },
            )
        )
        return self._session(payment)

    def retrieve_session(self, request: Request, form: Mapping[str, str]) -> Response:
        payment = self._payment_of_session(request.path_params["id"])
        return self._session(payment, expand=request.query_params.getlist("expand[]"))

    def expire_session(self, request: Request, form: Mapping[str, str]) -> Response:
        payment = self._payment_of_session(request.path_params["id"])
        if not payment.can_be_paid(self._state.now()):
            message = 'Only Checkout Sessions with a status in ["open"] can be expired.'
            raise StripeError(400, "invalid_request_error", None, message)
        payment.status = "CLOSED"
        return self._session(payment)

    def _session(self, payment: SandboxPayment, *, expand: list[str] | None = None) -> Response:
        return JSONResponse(session(payment, self._state, expand=expand or ()))

    def _payment_of_session(self, given: str) -> SandboxPayment:
        for payment in self._desk.payments("stripe"):
            if session_id(payment) == given:
                return payment
        raise _no_such("checkout.session", given)

    def search_intents(self, request: Request, form: Mapping[str, str]) -> Response:
        wanted = SEARCH.fullmatch(request.query_params.get("query", ""))
        if wanted is None:
            raise _missing("query")
        expand = [name.removeprefix("data.") for name in request.query_params.getlist("expand[]")]
        found = [
            intent(payment, expand=expand)
            for payment in self._desk.payments("stripe")
            if payment.status == "PAID"
            and payment.details["intent_metadata"].get("reference") == wanted[1]
        ]
        return JSONResponse({"object": "search_result", "data": found, "has_more": False})

    def create_refund(self, request: Request, form: Mapping[str, str]) -> Response:
        payment, amount = self._payment_of_intent(form.get("payment_intent", "")), form["amount"]
        left = payment.amount - self._desk.refunded(payment)
        if left == 0:
            message = "Charge has already been refunded."
            raise StripeError(400, "invalid_request_error", "charge_already_refunded", message)
        refund = SandboxRefund(
            provider="stripe",
            reference=_metadata(form).get("reference", ""),
            payment=payment,
            amount=int(amount),
            reason=form.get("metadata[reason]", ""),
            created_at=self._state.now(),
            notify_url=self._state.stripe.webhook_url,
            details={"metadata": _metadata(form)},
        )
        if not self._desk.ask_back(refund):
            message = f"Refund amount ({amount}) is greater than unrefunded amount ({left})"
            raise StripeError(400, "invalid_request_error", None, message)
        if self._desk.holds_refunds:
            return JSONResponse(refund_object(refund))
        self._desk.settle(refund)
        task = BackgroundTask(self._desk.notify, refund)
        return JSONResponse(refund_object(refund), background=task)

    def list_refunds(self, request: Request, form: Mapping[str, str]) -> Response:
        payment = self._payment_of_intent(request.query_params.get("payment_intent", ""))
        found = [refund for refund in self._desk.refunds("stripe") if refund.payment is payment]
        return self._page(request, [refund_object(refund) for refund in found])

    def _payment_of_intent(self, given: str) -> SandboxPayment:
        for payment in self._desk.payments("stripe"):
            if payment.status == "PAID" and intent_id(payment) == given:
                return payment
        raise _no_such("payment_intent", given)

    def list_balance_transactions(self, request: Request, form: Mapping[str, str]) -> Response:
        query = request.query_params
        if query.get("expand[]") != "data.source":
            raise _missing("expand: the sandbox knows data.source alone")
        begins, ends = int(query.get("created[gte]", "0")), int(query.get("created[lt]", "0"))
        entries = balance_transactions(self._desk.payments("stripe"), self._desk.refunds("stripe"))
        return self._page(
            request, [entry for entry in entries if begins <= entry["created"] < ends]
        )

    def _page(self, request: Request, newest_first: list[dict[str, Any]]) -> Response:
        limit = min(int(request.query_params.get("limit", "10")), MAX_PAGE)
        after = request.query_params.get("starting_after")
        if after is not None:
            ids = [entry["id"] for entry in newest_first]
            newest_first = newest_first[ids.index(after) + 1 :]
        return JSONResponse(
            {
                "object": "list",
                "url": request.url.path,
                "data": newest_first[:limit],
                "has_more": len(newest_first) > limit,
            }
        )

    def letter(self, subject: Subject, forge: Forge | None) -> Letter:
        """An event to the account's endpoint."""
        now = self._state.now()
        if isinstance(subject, SandboxPayment):
            kind, about = "checkout.session.completed", session(subject, self._state, forge=forge)
            event_id = f"evt_p{subject.number}"
        else:
            kind = "refund.created" if subject.status == "PENDING" else "refund.updated"
            about, event_id = refund_object(subject, forge), f"evt_r{subject.number}{kind[7:]}"
        event: dict[str, Any] = {
            "id": event_id,
            "object": "event",
            "api_version": API_VERSION,
            "created": int(now.timestamp()),
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
            "data": {"object": about},
        }
        if forge == "owner":
            event["account"] = "acct_another"
        body = json.dumps(event).encode()
        secret = self._state.stripe.webhook_secret
        if forge in ("signature", "serial"):
            secret = "whsec_strangers"  # noqa: S105 (whom it is not shared with)
        stamp = forged_seconds(now, forge)
        signed = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        header = f"t={stamp},v1={signed},v0={hashlib.sha256(body).hexdigest()}"
        return Letter(
            subject.notify_url,
            {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header},
            body + b" " if forge == "body" else body,
        )


def _metadata(form: Mapping[str, str], names: re.Pattern[str] = METADATA) -> dict[str, str]:
    matches = [(names.fullmatch(name), value) for name, value in form.items()]
    return {match[1]: value for match, value in matches if match is not None}


def _missing(what: str) -> StripeError:
    return StripeError(400, "invalid_request_error", "parameter_missing", f"Missing: {what}")


def _no_such(what: str, given: str) -> StripeError:
    message = f"No such {what}: '{given}'"
    return StripeError(404, "invalid_request_error", "resource_missing", message)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StripeError)
    return JSONResponse({"error": error.error}, error.status)


def _refuse(kind: FaultKind) -> Response:
    if kind == "limit":
        error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many"}
        return JSONResponse({"error": error}, 429)
    return JSONResponse({"error": {"type": "api_error", "message": "Try again"}}, 503)
