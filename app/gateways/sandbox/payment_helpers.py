"""What testers do to payments: pay without a page, settle refunds, send notifications astray."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.gateways.sandbox.payments import (
    FORGES,
    MAX_LETTER_TIMES,
    PAYMENT_PROVIDERS,
    SandboxPayment,
    SandboxRefund,
    Subject,
)
from app.gateways.sandbox.state import SandboxState
from app.gateways.sandbox.web import json_object

MAX_LISTED = 200
NO_STORE = {"Cache-Control": "no-store"}


def payment_helpers(state: SandboxState) -> list[Route]:
    """To stand beside the providers: /payments, /refunds."""
    helpers = _Helpers(state)
    return [
        Route("/payments", helpers.payments),
        Route("/payments/{reference}/pay", helpers.pay, methods=["POST"]),
        Route("/refunds/hold", helpers.hold, methods=["POST"]),
        Route("/refunds/{reference}/settle", helpers.settle, methods=["POST"]),
    ]


class _Helpers:
    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._desk = state.payments

    async def payments(self, request: Request) -> Response:
        """Newest first, with their pages and refunds."""
        payments = self._desk.payments()[:MAX_LISTED]
        return JSONResponse(
            {"payments": [self._payment(payment) for payment in payments]}, headers=NO_STORE
        )

    def _payment(self, payment: SandboxPayment) -> dict[str, Any]:
        refunds = [refund for refund in self._desk.refunds() if refund.payment is payment]
        return {
            "provider": payment.provider,
            "reference": payment.reference,
            "amount": payment.amount,
            "currency": payment.currency,
            "description": payment.description,
            "status": payment.status,
            "canBePaid": payment.can_be_paid(self._state.now()),
            "url": f"{self._state.public_url}/pay/{payment.token}",
            "refunds": [
                {"reference": refund.reference, "amount": refund.amount, "status": refund.status}
                for refund in refunds
            ],
        }

    async def pay(self, request: Request) -> Response:
        """Pay as the member would, then notify: {provider?, notify?, times?, forge?}.

        Asked again, it only notifies again.
        """
        body = await json_object(request) or {}
        found = [
            payment
            for payment in self._desk.payments()
            if payment.reference == request.path_params["reference"]
            and payment.provider == body.get("provider", payment.provider)
        ]
        if not found:
            return _bad_request("reference or provider", 404)
        if not _is_order(body):
            return _bad_request("notify, times or forge")
        if not self._desk.pay(found[0]):
            return _bad_request("closed or expired", 409)
        return await self._notified(found[0], body)

    async def settle(self, request: Request) -> Response:
        """End a refund, then notify: {succeeds?, provider?, notify?, times?, forge?}."""
        body = await json_object(request) or {}
        found: list[SandboxRefund] = [
            refund
            for refund in self._desk.refunds()
            if refund.reference == request.path_params["reference"]
            and refund.provider == body.get("provider", refund.provider)
        ]
        if not found:
            return _bad_request("reference or provider", 404)
        if not _is_order(body) or type(body.get("succeeds", True)) is not bool:
            return _bad_request("succeeds, notify, times or forge")
        self._desk.settle(found[0], succeeds=body.get("succeeds", True))
        return await self._notified(found[0], body)

    async def hold(self, request: Request) -> Response:
        """Let refunds wait for `settle` from now on, or no more: {hold}."""
        body = await json_object(request) or {}
        if type(body.get("hold")) is not bool:
            return _bad_request("hold")
        self._desk.holds_refunds = body["hold"]
        return JSONResponse({"hold": self._desk.holds_refunds})

    async def _notified(self, subject: Subject, body: dict[str, Any]) -> Response:
        answers: list[int | None] = []
        if body.get("notify", True):
            answers = await self._desk.notify(
                subject, times=body.get("times", 1), forge=body.get("forge")
            )
        return JSONResponse({"status": subject.status, "answers": answers}, headers=NO_STORE)


def _is_order(body: dict[str, Any]) -> bool:
    times = body.get("times", 1)
    return (
        type(body.get("notify", True)) is bool
        and type(times) is int
        and 1 <= times <= MAX_LETTER_TIMES
        and body.get("forge") in (None, *FORGES)
        and body.get("provider") in (None, *PAYMENT_PROVIDERS)
    )


def _bad_request(what: str, status: int = 400) -> Response:
    return JSONResponse({"error": f"missing or not valid: {what}"}, status)
