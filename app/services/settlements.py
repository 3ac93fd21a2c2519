"""What providers say of payments and refunds, brought to the orders they are for (TOP-7).

News may come twice, late, in any order or by a question of ours: each state is reached once, and
none is left again because something older arrives after it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from app.core.db import Transaction, values_of
from app.core.money import MINOR_UNIT_DIGITS, Money
from app.gateways.payments.protocol import (
    Notification,
    PaymentState,
    RefundState,
    RefundStatus,
)
from app.gateways.payments.protocol import PaymentStatus as Reported
from app.models.payments import (
    Payment,
    PaymentPurpose,
    PaymentRefund,
    PaymentRefundStatus,
)
from app.services import audit, orders, payments, shop
from app.services.top_ups import orders as top_ups
from app.services.top_ups import refunds

_log = structlog.get_logger(__name__)

Step = Callable[..., Awaitable[Any]]


class Desk(NamedTuple):
    """Who knows what news of a payment mean for the order it is for."""

    hold: Step
    paid: Step
    end: Step
    did_not_go_back: Step
    went_back_after_all: Step


DESKS: Mapping[PaymentPurpose, Desk] = {
    PaymentPurpose.TOP_UP: Desk(
        hold=top_ups.hold,
        paid=top_ups.paid,
        end=top_ups.end,
        did_not_go_back=refunds.did_not_go_back,
        went_back_after_all=refunds.went_back_after_all,
    ),
    PaymentPurpose.ORDER: Desk(
        hold=orders.hold,
        paid=shop.paid,
        end=shop.end,
        did_not_go_back=shop.did_not_go_back,
        went_back_after_all=shop.went_back_after_all,
    ),
}
WAITING = "PENDING"
"""What every kind of order calls one that waits for its payment."""


async def receive(tx: Transaction, *, notification: Notification, now: datetime) -> None:
    """Take a verified message of a provider in, once for each of its ids."""
    message = payments.new_notification(
        provider=notification.provider, notification_id=notification.id, received_at=now
    )
    if not await tx.changed(payments.take_in, **values_of(message)):
        return
    if notification.payment is not None:
        await payment_is(tx, provider=notification.provider, state=notification.payment, now=now)
    if notification.refund is not None:
        await refund_is(tx, provider=notification.provider, state=notification.refund, now=now)


async def payment_is(tx: Transaction, *, provider: str, state: PaymentState, now: datetime) -> None:
    """A payment's state as its provider reports it."""
    payment = await tx.one(payments.by_reference, reference=state.reference)
    if payment is None or payment.provider != provider:
        # Other systems may share the account at the provider.
        _log.warning("a payment of nobody here", provider=provider, reference=state.reference)
        return
    match state.status:
        case Reported.PAID:
            await _paid(tx, payment, state, now)
        case Reported.CLOSED | Reported.FAILED:
            await never_paid(tx, reference=state.reference, now=now)
        case Reported.OPEN:
            pass


async def never_paid(tx: Transaction, *, reference: str, now: datetime) -> None:
    """A payment that can be paid no more: its order ends."""
    payment = await tx.one(payments.by_reference, reference=reference)
    assert payment is not None
    desk = DESKS[payment.purpose]
    held = await desk.hold(tx, payment.order_id)
    is_closed = await tx.changed(payments.mark_closed, payment_id=payment.id)
    if is_closed and held.order.state == WAITING:
        await desk.end(tx, held.order, now=now)


async def refund_is(tx: Transaction, *, provider: str, state: RefundState, now: datetime) -> None:
    """A refund's state as its provider reports it; one that failed may still succeed later."""
    found = await _refund(tx, provider, state.reference)
    if found is None:
        return
    payment, refund = found
    if state.status is RefundStatus.PENDING:
        return
    if state.status is RefundStatus.FAILED:
        await _failed(tx, payment, refund, why="failed", refund_id=state.refund_id, now=now)
        return
    if state.amount != refund.amount:
        _log.error("a refund of another amount", provider=provider, reference=state.reference)
        return
    desk = DESKS[payment.purpose]
    held = await desk.hold(tx, payment.order_id)
    ended = {
        "of_refund_id": refund.id,
        "new_status": PaymentRefundStatus.SUCCEEDED,
        "new_refund_id": state.refund_id,
        "new_ended_at": state.succeeded_at or now,
    }
    if await tx.changed(payments.end_refund, **ended, from_status=PaymentRefundStatus.PENDING):
        return
    if await tx.changed(payments.end_refund, **ended, from_status=PaymentRefundStatus.FAILED):
        await desk.went_back_after_all(tx, held, refund=refund, now=now)


async def refund_refused(
    tx: Transaction, *, provider: str, reference: str, why: str, now: datetime
) -> None:
    """The provider will not make a refund."""
    found = await _refund(tx, provider, reference)
    assert found is not None
    await _failed(tx, *found, why=why, refund_id=None, now=now)


async def _paid(tx: Transaction, payment: Payment, state: PaymentState, now: datetime) -> None:
    assert state.transaction_id is not None
    assert state.amount is not None
    assert state.currency is not None
    desk = DESKS[payment.purpose]
    held = await desk.hold(tx, payment.order_id)
    marked = await tx.one(
        payments.mark_paid,
        payment_id=payment.id,
        new_transaction_id=state.transaction_id,
        new_paid_at=state.paid_at or now,
    )
    if marked is None:
        if payment.transaction_id not in (None, state.transaction_id):
            _log.error("paid twice", provider=payment.provider, reference=payment.reference)
        return
    if (state.amount, state.currency) == (payment.amount, payment.currency):
        await desk.paid(tx, held, payment=marked, now=now)
        return
    _log.error(
        "another amount was paid", provider=payment.provider, reference=payment.reference,
        asked=f"{payment.amount} {payment.currency}", paid=f"{state.amount} {state.currency}",
    )  # fmt: skip
    await audit.record(
        tx, audit.system(payment.group_id), "payment.mismatch", object_kind="payment",
        object_id=payment.id, node_id=payment.group_id, now=now, asked=payment.amount,
        paid=state.amount, currency=state.currency, order=payment.order_id,
    )  # fmt: skip
    if state.currency in MINOR_UNIT_DIGITS and state.amount > 0:
        paid = Money(state.amount, state.currency)
        reason = "Another amount was paid than was asked for."
        await payments.send_back(tx, payment=marked, reason=reason, paid=paid, now=now)
    if held.order.state == WAITING:
        await desk.end(tx, held.order, now=now)


async def _failed(
    tx: Transaction,
    payment: Payment,
    refund: PaymentRefund,
    *,
    why: str,
    refund_id: str | None,
    now: datetime,
) -> None:
    desk = DESKS[payment.purpose]
    held = await desk.hold(tx, payment.order_id)
    has_failed = await tx.changed(
        payments.end_refund,
        of_refund_id=refund.id,
        from_status=PaymentRefundStatus.PENDING,
        new_status=PaymentRefundStatus.FAILED,
        new_refund_id=refund_id,
        new_ended_at=now,
    )
    if has_failed:
        _log.error("a refund failed", provider=payment.provider, reference=refund.reference)
        await desk.did_not_go_back(tx, held, refund=refund, why=why, now=now)


async def _refund(
    tx: Transaction, provider: str, reference: str
) -> tuple[Payment, PaymentRefund] | None:
    """A refund of ours and its payment; None for what somebody did in the provider's console."""
    refund = await tx.one(payments.refund_by_reference, reference=reference)
    payment = await tx.one(payments.by_id, payment_id=refund.payment_id) if refund else None
    if refund is None or payment is None or payment.provider != provider:
        _log.warning("a refund of nobody here", provider=provider, reference=reference)
        return None
    return payment, refund
