"""What Stripe answers and notifies, in this product's words; `stripe.py` names the pages."""

from collections.abc import Mapping
from datetime import datetime

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import RawAnswer
from app.gateways.payments.fields import Fields
from app.gateways.payments.protocol import (
    AmountUnsupported,
    BillLine,
    BillLineKind,
    Notification,
    NotificationRefused,
    OrderUnknown,
    PaymentState,
    PaymentStatus,
    RefundRefused,
    RefundState,
    RefundStatus,
)
from app.gateways.payments.stripe_amounts import PROVIDER, from_stripe

REFUND_STATES: Mapping[str, RefundStatus] = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
BILL_KINDS: Mapping[str, BillLineKind] = {
    "charge": BillLineKind.PAYMENT,
    "payment": BillLineKind.PAYMENT,
    "refund": BillLineKind.REFUND,
    "payment_refund": BillLineKind.REFUND,
}
SESSION_EVENTS: Mapping[str, PaymentStatus] = {
    "checkout.session.completed": PaymentStatus.OPEN,
    "checkout.session.async_payment_succeeded": PaymentStatus.OPEN,
    "checkout.session.async_payment_failed": PaymentStatus.FAILED,
    "checkout.session.expired": PaymentStatus.CLOSED,
}
"""What each says of a session that is not paid; whether it is, the session itself says."""
REFUND_EVENTS = frozenset(
    {"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"}
)
REFUSALS: Mapping[str, type[ProviderRefused]] = {
    "resource_missing": OrderUnknown,
    "amount_too_small": AmountUnsupported,
    "amount_too_large": AmountUnsupported,
    "invalid_charge_amount_no_decimal_compatible": AmountUnsupported,
    "charge_already_refunded": RefundRefused,
    "charge_disputed": RefundRefused,
    "insufficient_funds": RefundRefused,
    "balance_insufficient": RefundRefused,
    "rate_limit": ProviderLimitExceeded,
}


def session_state(session: Fields) -> PaymentState:
    """A session, its payment intent and the latest charge expanded."""
    status = session.text("status")
    if session.text("payment_status") == "paid":
        intent = session.object("payment_intent")
        at = intent.object("latest_charge").epoch("created")
        return _paid(session, "amount_total", intent.text("id"), at)
    reference = session.object("metadata").text("reference")
    if status == "expired":
        return PaymentState(reference, PaymentStatus.CLOSED)
    if status == "complete" and _has_failed(session.object("payment_intent")):
        return PaymentState(reference, PaymentStatus.FAILED)
    return PaymentState(reference, PaymentStatus.OPEN)


def intent_state(intent: Fields) -> PaymentState:
    """A payment intent with its latest charge expanded, without its session."""
    if intent.text("status") == "succeeded":
        at = intent.object("latest_charge").epoch("created")
        return _paid(intent, "amount_received", intent.text("id"), at)
    # A session is forgotten days after its end, when nobody can begin to pay any more.
    is_open = intent.text("status") == "processing"
    status = PaymentStatus.OPEN if is_open else PaymentStatus.CLOSED
    return PaymentState(intent.object("metadata").text("reference"), status)


def refund_state(refund: Fields) -> RefundState:
    status = REFUND_STATES.get(refund.text("status"))
    if status is None:
        raise refund.lacks("status")
    currency, metadata = refund.text("currency").upper(), refund.object("metadata")
    return RefundState(
        reference=metadata.text("reference"),
        payment_reference=metadata.text("payment_reference"),
        status=status,
        refund_id=refund.text("id"),
        amount=from_stripe(refund.number("amount"), currency),
        currency=currency,
        succeeded_at=refund.epoch("created") if status is RefundStatus.SUCCEEDED else None,
    )


def notification(body: bytes, *, is_live: bool) -> Notification:
    """What an event whose signature is verified means; raises NotificationRefused."""
    try:
        return _notification(Fields.parse(body, PROVIDER), is_live=is_live)
    except ProviderUnavailable as error:
        raise NotificationRefused(f"malformed: {error.reason}", provider=PROVIDER) from error


def _notification(event: Fields, *, is_live: bool) -> Notification:
    if event.values.get("livemode") is not is_live:
        raise NotificationRefused("of the other mode", provider=PROVIDER)
    if event.values.get("account") is not None:
        raise NotificationRefused("a connected account's", provider=PROVIDER)
    event_id, kind = event.text("id"), event.text("type")
    subject = event.object("data").object("object")
    metadata = subject.values.get("metadata")
    if not isinstance(metadata, dict) or "reference" not in metadata:
        return Notification(event_id, PROVIDER)  # another system's, on the same account
    if kind in REFUND_EVENTS:
        return Notification(event_id, PROVIDER, refund=refund_state(subject))
    if kind in SESSION_EVENTS:
        return Notification(event_id, PROVIDER, payment=_session_of(event, subject))
    return Notification(event_id, PROVIDER)


def _session_of(event: Fields, session: Fields) -> PaymentState:
    """The session inside an event, where nothing is expanded."""
    if session.text("payment_status") == "paid":
        at = event.epoch("created")
        return _paid(session, "amount_total", session.text("payment_intent"), at)
    status = SESSION_EVENTS[event.text("type")]
    return PaymentState(session.object("metadata").text("reference"), status)


def bill_line(entry: Fields) -> BillLine | None:
    """A balance transaction with its source expanded; None for what is no payment or refund.

    The amount is the source's: the entry's own is in the currency Stripe settles in.
    """
    kind = BILL_KINDS.get(entry.text("type"))
    if kind is None:
        return None
    source = entry.object("source")
    currency = source.text("currency").upper()
    paid_with = source.values.get("payment_intent")
    by_intent = kind is BillLineKind.PAYMENT and paid_with is not None
    return BillLine(
        transaction_id=source.text("payment_intent" if by_intent else "id"),
        reference=str(source.object("metadata").values.get("reference", "")),
        kind=kind,
        amount=from_stripe(source.number("amount"), currency),
        currency=currency,
        at=entry.epoch("created"),
    )


def refusal(answer: RawAnswer) -> ProviderRefused | ProviderUnavailable:
    """A 4xx with an `error`; its `code` where there is one, else its `type`."""
    try:
        error = Fields.parse(answer.body, PROVIDER).object("error").values
    except ProviderUnavailable:
        error = {}
    code = str(error.get("code") or error.get("type") or f"HTTP {answer.status}")
    if answer.status == 409:  # another call with this idempotency key, or on this object
        return ProviderUnavailable(code, provider=PROVIDER)
    kind = REFUSALS.get(code, ProviderRefused)
    if answer.status == 429:
        kind = ProviderLimitExceeded
    return kind(code, str(error.get("message", "")), provider=PROVIDER)


def _paid(subject: Fields, amount_name: str, intent_id: str, at: datetime) -> PaymentState:
    currency = subject.text("currency").upper()
    return PaymentState(
        # Ours is in the metadata, which the API alone writes: `client_reference_id` can be set by
        # whoever opens a payment link of the same account.
        reference=subject.object("metadata").text("reference"),
        status=PaymentStatus.PAID,
        transaction_id=intent_id,
        amount=from_stripe(subject.number(amount_name), currency),
        currency=currency,
        paid_at=at,
    )


def _has_failed(intent: Fields) -> bool:
    return intent.text("status") in ("requires_payment_method", "canceled")
