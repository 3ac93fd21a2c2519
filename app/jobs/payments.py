"""Speaking to providers of payments: was it paid, take it no more, send it back (TOP-7).

Each of these may be asked twice; what a provider answers reaches the order by `settlements`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.core.db import Transaction
from app.gateways.errors import (
    GatewayError,
    ProviderLimitExceeded,
    ProviderRefused,
    ProviderUnavailable,
)
from app.gateways.payments.protocol import (
    AlreadyPaid,
    OrderUnknown,
    PaymentGateway,
    PaymentState,
    PaymentStatus,
    RefundRefused,
    RefundState,
    RefundStatus,
)
from app.jobs.tasks import Effect, Handler, Task
from app.services import payments, settlements

UNKNOWN_FOR = timedelta(minutes=15)
"""How long after its time an order may still appear at a provider: a request that was under way."""

_log = structlog.get_logger(__name__)


async def check(task: Task) -> Effect:
    """Ask what became of a payment; end it when its time is over."""
    payload, now = task.payload, task.now
    reference, expires_at = payload["reference"], datetime.fromisoformat(payload["expires_at"])
    is_over = now >= expires_at
    is_known, state = True, None
    try:
        state = await _standing(_gateway(task), reference, close=is_over)
    except OrderUnknown:
        is_known = False
    except GatewayError as error:
        if payments.next_time(payments.CHECK_JOB, payload, now) is None:
            raise
        _log.warning("a payment could not be checked", reference=reference, why=str(error))
    is_final = (state is not None and state.status is not PaymentStatus.OPEN) or (
        not is_known and now >= expires_at + UNKNOWN_FOR
    )

    async def effect(tx: Transaction) -> None:
        if state is not None:
            provider = payload["provider"]
            await settlements.payment_is(tx, provider=provider, state=state, now=now)
        elif is_over and not is_known:
            await settlements.never_paid(tx, reference=reference, now=now)
        if not is_final:
            await payments.again(tx, payments.CHECK_JOB, payload, now=now)

    return effect


async def close(task: Task) -> Effect | None:
    """Have a provider take an order no more that was given up; one it was paid for goes back."""
    gateway, reference = _gateway(task), task.payload["reference"]
    try:
        await gateway.close(reference)
    except AlreadyPaid:
        state = await gateway.query(reference)
    else:
        return None

    async def effect(tx: Transaction) -> None:
        await settlements.payment_is(tx, provider=gateway.name, state=state, now=task.now)

    return effect


async def refund(task: Task) -> Effect:
    """Send a payment's money back; asked twice it goes once, by the refund's reference."""
    payload, now = task.payload, task.now
    reference = payload["reference"]
    try:
        state = await _gateway(task).refund(
            reference=reference,
            payment_reference=payload["payment_reference"],
            amount=payload["amount"],
            # One that an earlier release wrote down goes back whole.
            total=payload.get("total", payload["amount"]),
            currency=payload["currency"],
            reason=payload["reason"],
        )
    except RefundRefused as refused:
        return _refused(payload, refused.code, now)
    except (ProviderUnavailable, ProviderLimitExceeded) as error:
        if payments.next_time(payments.REFUND_JOB, payload, now) is None:
            raise
        _log.warning("a refund could not be asked for", reference=reference, why=str(error))

        async def later(tx: Transaction) -> None:
            await payments.again(tx, payments.REFUND_JOB, payload, now=now)

        return later
    return _reported(payload, state, now)


async def check_refund(task: Task) -> Effect:
    """Ask what became of a refund; one that stays open to the end is for somebody to look at."""
    payload, now = task.payload, task.now
    is_last = payments.next_time(payments.CHECK_REFUND_JOB, payload, now) is None
    state = None
    try:
        state = await _gateway(task).query_refund(
            payload["reference"], payload["payment_reference"]
        )
    except (ProviderUnavailable, ProviderLimitExceeded) as error:
        if is_last:
            raise
        _log.warning(
            "a refund could not be checked", reference=payload["reference"], why=str(error)
        )
    if is_last and state is not None and state.status is RefundStatus.PENDING:
        raise ProviderRefused("pending", "for too long", provider=payload["provider"])
    return _reported(payload, state, now)


HANDLERS: Mapping[str, Handler] = {
    payments.CHECK_JOB: check,
    payments.CLOSE_JOB: close,
    payments.REFUND_JOB: refund,
    payments.CHECK_REFUND_JOB: check_refund,
}


async def _standing(gateway: PaymentGateway, reference: str, *, close: bool) -> PaymentState:
    """How a payment stands, closed before if it shall be and is still open."""
    state = await gateway.query(reference)
    if close and state.status is PaymentStatus.OPEN:
        try:
            await gateway.close(reference)
        except AlreadyPaid:
            _log.info("paid in the last moment", reference=reference)
        state = await gateway.query(reference)
    return state


def _reported(payload: Mapping[str, Any], state: RefundState | None, now: datetime) -> Effect:
    """Bring a refund's state home, and look again while it is open."""

    async def effect(tx: Transaction) -> None:
        if state is not None:
            await settlements.refund_is(tx, provider=payload["provider"], state=state, now=now)
        if state is None or state.status is RefundStatus.PENDING:
            await payments.again(tx, payments.CHECK_REFUND_JOB, payload, now=now)

    return effect


def _refused(payload: Mapping[str, Any], why: str, now: datetime) -> Effect:
    async def effect(tx: Transaction) -> None:
        await settlements.refund_refused(
            tx, provider=payload["provider"], reference=payload["reference"], why=why, now=now
        )

    return effect


def _gateway(task: Task) -> PaymentGateway:
    provider = task.payload["provider"]
    gateway = task.outside.payments.get(provider)
    if gateway is None:
        # Settings may have it again tomorrow, and then the job is done.
        raise ProviderUnavailable("not in settings", provider=provider)
    return gateway
