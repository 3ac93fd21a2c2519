"""What WeChat Pay answers and notifies, in this product's words; see `wechat_pay.py`."""

from collections.abc import Mapping

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import RawAnswer, json_object
from app.gateways.payments.fields import Fields
from app.gateways.payments.protocol import (
    AlreadyPaid,
    BillNotReady,
    OrderUnknown,
    PaymentState,
    PaymentStatus,
    RefundRefused,
    RefundState,
    RefundStatus,
)
from app.gateways.payments.wechat_pay_keys import PROVIDER

CURRENCY = "CNY"

TRADE_STATES: Mapping[str, PaymentStatus] = {
    "SUCCESS": PaymentStatus.PAID,
    "REFUND": PaymentStatus.PAID,
    "NOTPAY": PaymentStatus.OPEN,
    "USERPAYING": PaymentStatus.OPEN,
    "CLOSED": PaymentStatus.CLOSED,
    "REVOKED": PaymentStatus.CLOSED,
    "PAYERROR": PaymentStatus.FAILED,
}
REFUND_STATES: Mapping[str, RefundStatus] = {
    "SUCCESS": RefundStatus.SUCCEEDED,
    "PROCESSING": RefundStatus.PENDING,
    "CLOSED": RefundStatus.FAILED,
    "ABNORMAL": RefundStatus.FAILED,
}
REFUSALS: Mapping[str, type[ProviderRefused]] = {
    # The pages spell some codes with an underscore and some without; they are compared without.
    "ORDERNOTEXIST": OrderUnknown,
    "RESOURCENOTEXISTS": OrderUnknown,
    "ORDERPAID": AlreadyPaid,
    "NOTENOUGH": RefundRefused,
    "USERACCOUNTABNORMAL": RefundRefused,
    "STATEMENTCREATING": BillNotReady,
    "FREQUENCYLIMITED": ProviderLimitExceeded,
    "FREQUENCYLIMITEXCEED": ProviderLimitExceeded,
    "RATELIMITEXCEEDED": ProviderLimitExceeded,
}


def payment_state(body: Fields) -> PaymentState:
    """A transaction, as queries answer it and notifications carry it."""
    status = TRADE_STATES.get(body.text("trade_state"))
    if status is None:
        raise body.lacks("trade_state")
    if status is not PaymentStatus.PAID:
        return PaymentState(body.text("out_trade_no"), status)
    amount = body.object("amount")
    return PaymentState(
        reference=body.text("out_trade_no"),
        status=status,
        transaction_id=body.text("transaction_id"),
        # What the order asked for: vouchers that the payer used are between WeChat and them.
        amount=amount.number("total"),
        currency=amount.text("currency"),
        paid_at=body.time("success_time"),
    )


def refund_state(body: Fields, status_name: str) -> RefundState:
    """A refund; answers call its status `status`, notifications `refund_status`."""
    status = REFUND_STATES.get(body.text(status_name))
    if status is None:
        raise body.lacks(status_name)
    amount = body.object("amount")
    return RefundState(
        reference=body.text("out_refund_no"),
        payment_reference=body.text("out_trade_no"),
        status=status,
        refund_id=body.text("refund_id"),
        amount=amount.number("refund"),
        currency=str(amount.values.get("currency", CURRENCY)),  # notifications leave it out
        succeeded_at=body.time("success_time") if status is RefundStatus.SUCCEEDED else None,
    )


def refusal(answer: RawAnswer) -> ProviderRefused:
    """A 4xx with `code` and `message`; 429 means the frequency limit whatever its code."""
    try:
        body = json_object(answer.body, provider=PROVIDER)
    except ProviderUnavailable:
        body = {}
    code = str(body.get("code", f"HTTP {answer.status}"))
    kind = REFUSALS.get(plain_code(code), ProviderRefused)
    if answer.status == 429:
        kind = ProviderLimitExceeded
    return kind(code, str(body.get("message", "")), provider=PROVIDER)


def plain_code(code: str) -> str:
    return code.replace("_", "")
