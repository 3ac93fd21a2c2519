"""Stripe's objects as its API reference shows them, made of the sandbox's payments and refunds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.gateways.sandbox.payments import (
    Forge,
    SandboxPayment,
    SandboxRefund,
    forged_amount,
    forged_currency,
)
from app.gateways.sandbox.state import SandboxState

REFUND_STATES = {"PENDING": "pending", "SUCCEEDED": "succeeded", "FAILED": "failed"}


def session(
    payment: SandboxPayment,
    state: SandboxState,
    *,
    expand: Sequence[str] = (),
    forge: Forge | None = None,
) -> dict[str, Any]:
    if payment.status == "PAID":
        status = "complete"
    else:
        status = "open" if payment.can_be_paid(state.now()) else "expired"
    paid_with: object = None
    if payment.paid_at is not None:
        inner = [name.removeprefix("payment_intent.") for name in expand]
        paid_with = intent(payment, expand=inner) if expand else intent_id(payment)
    amount = forged_amount(payment.amount, forge)
    return {
        "id": session_id(payment),
        "object": "checkout.session",
        "amount_subtotal": amount,
        "amount_total": amount,
        "client_reference_id": payment.reference,
        "created": _seconds(payment.details["created"]),
        "currency": forged_currency(payment.currency, forge).lower(),
        "expires_at": _seconds(payment.expires_at),
        "livemode": False,
        "metadata": payment.details["metadata"],
        "mode": "payment",
        "payment_intent": paid_with,
        "payment_status": "paid" if payment.status == "PAID" else "unpaid",
        "status": status,
        "success_url": payment.return_url,
        "url": f"{state.public_url}/pay/{payment.token}" if status == "open" else None,
    }


def intent(payment: SandboxPayment, *, expand: Sequence[str] = ()) -> dict[str, Any]:
    """Of a paid session: before that there is none."""
    return {
        "id": intent_id(payment),
        "object": "payment_intent",
        "amount": payment.amount,
        "amount_received": payment.amount,
        "currency": payment.currency.lower(),
        "latest_charge": charge(payment) if "latest_charge" in expand else charge_id(payment),
        "livemode": False,
        "metadata": payment.details["intent_metadata"],
        "status": "succeeded",
    }


def charge(payment: SandboxPayment) -> dict[str, Any]:
    assert payment.paid_at is not None
    return {
        "id": charge_id(payment),
        "object": "charge",
        "amount": payment.amount,
        "created": _seconds(payment.paid_at),
        "currency": payment.currency.lower(),
        "metadata": payment.details["intent_metadata"],
        "paid": True,
        "payment_intent": intent_id(payment),
        "status": "succeeded",
    }


def refund_object(refund: SandboxRefund, forge: Forge | None = None) -> dict[str, Any]:
    return {
        "id": f"re_{refund.number}",
        "object": "refund",
        "amount": forged_amount(refund.amount, forge),
        "charge": charge_id(refund.payment),
        "created": _seconds(refund.created_at),
        "currency": forged_currency(refund.payment.currency, forge).lower(),
        "metadata": refund.details["metadata"],
        "payment_intent": intent_id(refund.payment),
        "reason": None,
        "status": REFUND_STATES[refund.status],
    }


def balance_transactions(
    payments: Sequence[SandboxPayment], refunds: Sequence[SandboxRefund]
) -> list[dict[str, Any]]:
    """Newest first, with a payout after each payment, as the account's owner might see it."""
    entries = []
    for payment in payments:
        if payment.paid_at is not None:
            paid = charge(payment)
            entries.append(_entry(f"txn_p{payment.number}", "charge", payment.amount, paid))
            payout = {
                "id": f"po_{payment.number}",
                "object": "payout",
                "created": paid["created"],
                "currency": payment.currency.lower(),
            }
            entries.append(_entry(f"txn_o{payment.number}", "payout", -payment.amount, payout))
    for refund in refunds:
        back = refund_object(refund)
        entries.append(_entry(f"txn_r{refund.number}", "refund", -refund.amount, back))
    return sorted(entries, key=lambda entry: -entry["created"])


def _entry(entry_id: str, kind: str, amount: int, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": entry_id,
        "object": "balance_transaction",
        "amount": amount,
        "created": source["created"],
        "currency": source["currency"],
        "fee": 0,
        "net": amount,
        "source": source,
        "status": "available",
        "type": kind,
    }


def session_id(payment: SandboxPayment) -> str:
    return f"cs_test_{payment.number}"


def intent_id(payment: SandboxPayment) -> str:
    return f"pi_{payment.number}"


def charge_id(payment: SandboxPayment) -> str:
    return f"ch_{payment.number}"


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
