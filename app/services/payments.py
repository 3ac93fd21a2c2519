"""Payments asked of providers and what goes back to the payer: rows, and jobs that follow them.

Providers are spoken to by jobs (`app.jobs.payments`); what their answers mean for the order a
payment is for, `settlements` says (TOP-7).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, every_column, light, statement, upsert, values_of
from app.core.errors import DomainError
from app.core.ids import new_id
from app.core.money import Money
from app.models.payments import (
    Payment,
    PaymentNotification,
    PaymentPurpose,
    PaymentRefund,
    PaymentRefundStatus,
    PaymentStatus,
)
from app.services import jobs

CHECK_JOB = "payment.check"
CLOSE_JOB = "payment.close"
REFUND_JOB = "payment.refund"
CHECK_REFUND_JOB = "payment.check_refund"

CHECKED_AFTER: Final = tuple(timedelta(minutes=n) for n in (1, 5, 15, 16, 30, 60, 180, 720, 1_440))
"""When a provider is asked what became of a payment, from the order on: no news may mean that its
notification was lost. An order ends after 15 minutes, the rest is for a provider out of order."""
REFUND_CHECKED_AFTER: Final = tuple(
    timedelta(minutes=n) for n in (1, 5, 30, 120, 720, 1_440, 2_880, 4_320, 7_200, 10_080)
)
"""The same for a refund, from its request on; a bank may take a week for one."""
TIMES: Final = {
    CHECK_JOB: CHECKED_AFTER,
    REFUND_JOB: REFUND_CHECKED_AFTER,
    CHECK_REFUND_JOB: REFUND_CHECKED_AFTER,
}
REASON_CHARS_MAX = 200
PAYABLE_FOR = timedelta(minutes=15)
"""How long what is ordered online waits for its payment."""
OVERDUE_AFTER = timedelta(minutes=2)
"""How long an order outlives its time: its provider is asked first whether it was paid."""

T = TypeVar("T")

by_id = statement(select(Payment).where(col(Payment.id) == bindparam("payment_id")), into=Payment)
by_reference = statement(
    select(Payment).where(col(Payment.reference) == bindparam("reference")), into=Payment
)
of_orders = statement(
    select(Payment).where(
        col(Payment.purpose) == bindparam("purpose"), any_of(col(Payment.order_id), "order_ids")
    ),
    into=Payment,
)
mark_paid = statement(
    update(Payment)
    .where(col(Payment.id) == bindparam("payment_id"), col(Payment.status) != PaymentStatus.PAID)
    .values(
        status=PaymentStatus.PAID,
        transaction_id=bindparam("new_transaction_id"),
        paid_at=bindparam("new_paid_at"),
    )
    .returning(*Payment.__table__.columns),  # type: ignore[attr-defined]
    into=Payment,
)
mark_closed = statement(
    update(Payment)
    .where(col(Payment.id) == bindparam("payment_id"), col(Payment.status) == PaymentStatus.OPEN)
    .values(status=PaymentStatus.CLOSED)
)
take_in = upsert(
    lambda insert: (
        insert(PaymentNotification)
        .values(every_column(PaymentNotification))
        .on_conflict_do_nothing(index_elements=["provider", "notification_id"])
    )
)
refunds_of_payments = statement(
    select(PaymentRefund).where(any_of(col(PaymentRefund.payment_id), "payment_ids")),
    into=PaymentRefund,
)
refund_by_reference = statement(
    select(PaymentRefund).where(col(PaymentRefund.reference) == bindparam("reference")),
    into=PaymentRefund,
)
ask_back = upsert(
    lambda insert: (
        insert(PaymentRefund)
        .values(every_column(PaymentRefund))
        .on_conflict_do_nothing(index_elements=["payment_id"])
    )
)
ask_back_again = statement(
    update(PaymentRefund)
    .where(
        col(PaymentRefund.payment_id) == bindparam("of_payment_id"),
        col(PaymentRefund.status) == PaymentRefundStatus.FAILED,
    )
    .values(
        status=PaymentRefundStatus.PENDING,
        reason=bindparam("new_reason"),
        requested_at=bindparam("new_requested_at"),
        ended_at=None,
    )
)
end_refund = statement(
    update(PaymentRefund)
    .where(
        col(PaymentRefund.id) == bindparam("of_refund_id"),
        col(PaymentRefund.status) == bindparam("from_status"),
    )
    .values(
        status=bindparam("new_status"),
        refund_id=bindparam("new_refund_id"),
        ended_at=bindparam("new_ended_at"),
    )
)
new_payment = light(Payment)
new_notification = light(PaymentNotification)
new_refund = light(PaymentRefund)


class PaymentUnavailable(DomainError):
    """A provider does not take this payment: now, or not at all. What was ordered still waits."""

    def __init__(self, provider: str, *, may_work_later: bool) -> None:
        self.provider = provider
        self.may_work_later = may_work_later
        super().__init__(
            "The payment service does not answer right now. Try again in a moment."
            if may_work_later
            else "This cannot be paid in this way. Choose another."
        )


class PayerUnknown(DomainError):
    """To pay inside WeChat, the member must have signed in by the app that is paid in."""

    def __init__(self) -> None:
        super().__init__("Sign in with WeChat first, or choose another way to pay.")


class NoOriginalRoute(DomainError):
    """It was not paid through a provider, so there is no way back by which it came."""

    def __init__(self) -> None:
        super().__init__("This was not paid online: pay it out at the counter.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Online:
    """How a member pays: through which provider, in what way, and where its page leads."""

    provider: str
    scene: str
    return_url: str
    store_id: UUID | None = None

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request."""
        return {
            "provider": self.provider,
            "scene": self.scene,
            "return_url": self.return_url,
            "store": self.store_id,
        }


class Placed(NamedTuple, Generic[T]):
    """An order that waits to be paid, or what became of it since.

    `payment` is None where nothing has to be paid through a provider.
    """

    order: T
    payment: Payment | None
    is_replay: bool


async def open_payment(
    tx: Transaction,
    *,
    group_id: UUID,
    purpose: PaymentPurpose,
    order_id: UUID,
    provider: str,
    amount: int,
    currency: str,
    expires_at: datetime,
    now: datetime,
) -> Payment:
    """Write down what a provider shall be asked for, and when to ask it whether it was paid.

    `amount` is in minor units. The provider itself hears of it after the commit.
    """
    payment_id = new_id()
    payment = new_payment(
        id=payment_id,
        group_id=group_id,
        reference=payment_id.hex,
        provider=provider,
        purpose=purpose,
        order_id=order_id,
        amount=amount,
        currency=currency,
        created_at=now,
        expires_at=expires_at,
    )
    await tx.insert(payment)
    await again(tx, CHECK_JOB, _to_check(payment), now=now)
    return payment


def next_time(kind: str, payload: Mapping[str, Any], now: datetime) -> tuple[int, datetime] | None:
    """Which time of a job that comes again is next, and when it is; None after the last one.

    Those missed while nothing ran are left out.
    """
    since = datetime.fromisoformat(payload["from"])
    for step, after in enumerate(TIMES[kind], start=1):
        if step > payload["step"] and since + after > now:
            return step, since + after
    return None


async def again(tx: Transaction, kind: str, payload: Mapping[str, Any], *, now: datetime) -> None:
    """Do a job again when its next time has come; after the last one no more."""
    if (following := next_time(kind, payload, now)) is not None:
        step, run_at = following
        await jobs.enqueue(tx, kind, {**payload, "step": step}, now=now, run_at=run_at)


async def close(tx: Transaction, *, payment: Payment, now: datetime) -> None:
    """Give up an open payment, and have its provider take it no more."""
    if await tx.changed(mark_closed, payment_id=payment.id):
        await jobs.enqueue(tx, CLOSE_JOB, _to_check(payment), now=now)


async def send_back(
    tx: Transaction,
    *,
    payment: Payment,
    reason: str,
    now: datetime,
    paid: Money | None = None,
    amount: int | None = None,
) -> PaymentRefund:
    """Send a payment's money back to its payer, once, by the way it came (TOP-7).

    One that goes back already stays as it is; one the provider refused is asked for again, under
    the same reference, so that it cannot go twice. `paid` is what came where it is not what was
    asked for; `amount` is how many minor units of it go back, None for all.
    """
    money = paid or Money(payment.amount, payment.currency)
    assert amount is None or 0 < amount <= money.amount, amount
    refund_id = new_id()
    wanted = new_refund(
        id=refund_id,
        payment_id=payment.id,
        reference=refund_id.hex,
        amount=money.amount if amount is None else amount,
        reason=reason[:REASON_CHARS_MAX],
        requested_at=now,
    )
    is_asked = await tx.changed(ask_back, **values_of(wanted)) or await tx.changed(
        ask_back_again,
        of_payment_id=payment.id,
        new_reason=wanted.reason,
        new_requested_at=now,
    )
    (refund,) = await tx.all(refunds_of_payments, payment_ids=[payment.id])
    if is_asked:
        payload = {
            "provider": payment.provider,
            "reference": refund.reference,
            "payment_reference": payment.reference,
            "amount": refund.amount,
            "total": money.amount,
            "currency": money.currency,
            "reason": refund.reason,
            "from": now.isoformat(),
            "step": 0,
        }
        await jobs.enqueue(tx, REFUND_JOB, payload, now=now)
    return refund


async def of_order(tx: Transaction, *, purpose: PaymentPurpose, order_id: UUID) -> Payment | None:
    """The payment of an order, if it is paid through a provider."""
    return await tx.one(of_orders, purpose=purpose, order_ids=[order_id])


async def by_order(
    tx: Transaction, purpose: PaymentPurpose, order_ids: list[UUID]
) -> dict[UUID, Payment]:
    found = await tx.all(of_orders, purpose=purpose, order_ids=order_ids)
    return {payment.order_id: payment for payment in found}


async def refunds_by_payment(tx: Transaction, payment_ids: list[UUID]) -> dict[UUID, PaymentRefund]:
    found = await tx.all(refunds_of_payments, payment_ids=payment_ids)
    return {refund.payment_id: refund for refund in found}


def _to_check(payment: Payment) -> dict[str, Any]:
    return {
        "provider": payment.provider,
        "reference": payment.reference,
        "expires_at": payment.expires_at.isoformat(),
        "from": payment.created_at.isoformat(),
        "step": 0,
    }
