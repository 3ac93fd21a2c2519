"""Orders and a tester's requests, for the tests of all providers of payments."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from app.gateways.payments.protocol import (
    PaymentGateway,
    PaymentOrder,
    PaymentScene,
    RefundState,
)
from app.gateways.sandbox import SandboxState

NOON = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
ORDER = PaymentOrder(
    reference="T20260901120000000001",
    amount=12_000,
    currency="CNY",
    description="会员充值 · Top-up",
    expires_at=NOON + timedelta(minutes=30),
    scene=PaymentScene.PAGE,
    payer_openid=None,
    client_address="203.0.113.7",
    return_url="https://h5.example/top-up?order=1",
)
H5_ORDER = replace(ORDER, scene=PaymentScene.H5)
JSAPI_ORDER = replace(ORDER, scene=PaymentScene.JSAPI, payer_openid="oANNA")


async def ask(
    http: httpx2.AsyncClient, state: SandboxState, path: str, **body: Any
) -> Mapping[str, Any]:
    """What a tester asks the sandbox."""
    answer = await http.post(f"{state.public_url}{path}", json=body)
    assert answer.status_code == 200, answer.text
    found: Mapping[str, Any] = answer.json()
    return found


async def paid(
    gateway: PaymentGateway,
    http: httpx2.AsyncClient,
    state: SandboxState,
    *,
    order: PaymentOrder = ORDER,
    **options: Any,
) -> None:
    """An order, prepared and paid."""
    await gateway.prepare(order)
    await ask(http, state, f"/payments/{order.reference}/pay", **options)


async def refund(
    gateway: PaymentGateway,
    reference: str,
    amount: int,
    *,
    total: int = ORDER.amount,
    currency: str = ORDER.currency,
) -> RefundState:
    return await gateway.refund(
        reference=reference,
        payment_reference=ORDER.reference,
        amount=amount,
        total=total,
        currency=currency,
        reason="退还" * 40,
    )
