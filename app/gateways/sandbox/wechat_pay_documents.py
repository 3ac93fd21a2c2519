"""What WeChat Pay tells of an order or a refund: in answers, notifications, and the trade bill."""

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from app.gateways.sandbox.accounts import WeChatPayAccount
from app.gateways.sandbox.payments import (
    Forge,
    SandboxPayment,
    SandboxRefund,
    forged_amount,
    forged_currency,
)

BEIJING = timezone(timedelta(hours=8))
TRADE_STATES = {"OPEN": ("NOTPAY", "订单未支付"), "CLOSED": ("CLOSED", "订单已关闭")}
REFUND_STATES = {"PENDING": "PROCESSING", "SUCCEEDED": "SUCCESS", "FAILED": "ABNORMAL"}
BILL_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
    "付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,"
    "退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
BILL_TOTALS = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)


def transaction(
    payment: SandboxPayment, account: WeChatPayAccount, *, was_refunded: bool, forge: Forge | None
) -> dict[str, Any]:
    """As "Query order" answers it, and "Payment callback" carries it."""
    document: dict[str, Any] = {
        "appid": account.app_id,
        "mchid": "1900009999" if forge == "owner" else account.merchant_id,
        "out_trade_no": payment.reference,
        "trade_type": payment.details["trade_type"],
        "attach": "",
        "payer": {"openid": openid(payment)},
    }
    if payment.paid_at is None:
        state, meaning = TRADE_STATES[payment.status]
        return document | {"trade_state": state, "trade_state_desc": meaning}
    total = forged_amount(payment.amount, forge)
    currency = forged_currency(payment.currency, forge)
    return document | {
        "transaction_id": transaction_id(payment),
        "trade_state": "REFUND" if was_refunded else "SUCCESS",
        "trade_state_desc": "订单发生过退款" if was_refunded else "支付成功",
        "bank_type": "OTHERS",
        "success_time": _time(payment.paid_at),
        "amount": {
            "total": total,
            "payer_total": total,
            "currency": currency,
            "payer_currency": currency,
        },
    }


def refund_answer(refund: SandboxRefund) -> dict[str, Any]:
    """As "Refund" and "Query refund" answer it."""
    document = _refund(refund, None) | {
        "channel": "ORIGINAL",
        "create_time": _time(refund.created_at),
        "status": REFUND_STATES[refund.status],
        "funds_account": "AVAILABLE",
    }
    document["amount"]["currency"] = refund.payment.currency
    return document


def refund_notice(
    refund: SandboxRefund, account: WeChatPayAccount, forge: Forge | None
) -> dict[str, Any]:
    """As "Refund callback" carries it: without an app, and without a currency."""
    return _refund(refund, forge) | {
        "mchid": "1900009999" if forge == "owner" else account.merchant_id,
        "refund_status": REFUND_STATES[refund.status],
    }


def _refund(refund: SandboxRefund, forge: Forge | None) -> dict[str, Any]:
    amount = forged_amount(refund.amount, forge)
    document: dict[str, Any] = {
        "transaction_id": transaction_id(refund.payment),
        "out_trade_no": refund.payment.reference,
        "refund_id": refund_id(refund),
        "out_refund_no": refund.reference,
        "user_received_account": "支付用户零钱",
        "amount": {
            "total": refund.payment.amount,
            "refund": amount,
            "payer_total": refund.payment.amount,
            "payer_refund": amount,
        },
    }
    if refund.succeeded_at is not None:
        document["success_time"] = _time(refund.succeeded_at)
    return document


def trade_bill(
    payments: Iterable[SandboxPayment], refunds: Iterable[SandboxRefund], account: WeChatPayAccount
) -> str:
    """A bill of type ALL: each value behind a backtick, lines as they happened, then the totals."""
    paid = [(payment.paid_at, _paid_row(payment)) for payment in payments if payment.paid_at]
    back = [(refund.created_at, _refund_row(refund)) for refund in refunds]
    rows = [
        {"交易时间": f"{at.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"}
        | {"公众账号ID": account.app_id, "商户号": account.merchant_id, "特约商户号": "0"}
        | row
        for at, row in sorted(paid + back, key=lambda entry: entry[0])
    ]
    columns = BILL_COLUMNS.split(",")
    lines = [BILL_COLUMNS]
    lines += [",".join(f"`{row.get(column, '')}" for column in columns) for row in rows]
    sums = [str(len(rows)), "0.00", "0.00", "0.00", "0.00000", "0.00", "0.00"]
    lines += [BILL_TOTALS, ",".join(f"`{value}" for value in sums)]
    return "\ufeff" + "\r\n".join(lines) + "\r\n"


def _paid_row(payment: SandboxPayment) -> dict[str, str]:
    return _row(payment) | {
        "交易状态": "SUCCESS",
        "应结订单金额": _yuan(payment.amount),
        "微信退款单号": "0",
        "商户退款单号": "0",
        "退款金额": "0.00",
        "订单金额": _yuan(payment.amount),
        "申请退款金额": "0.00",
    }


def _refund_row(refund: SandboxRefund) -> dict[str, str]:
    return _row(refund.payment) | {
        "交易状态": "REFUND",
        "应结订单金额": "0.00",
        "微信退款单号": refund_id(refund),
        "商户退款单号": refund.reference,
        "退款金额": _yuan(refund.amount),
        "退款类型": "ORIGINAL",
        "退款状态": "FAIL" if refund.status == "FAILED" else REFUND_STATES[refund.status],
        "订单金额": "0.00",
        "申请退款金额": _yuan(refund.amount),
    }


def _row(payment: SandboxPayment) -> dict[str, str]:
    return {
        "微信订单号": transaction_id(payment),
        "商户订单号": payment.reference,
        "用户标识": openid(payment),
        "交易类型": payment.details["trade_type"],
        "付款银行": "OTHERS",
        "货币种类": payment.currency,
        "代金券金额": "0.00",
        "充值券退款金额": "0.00",
        "商品名称": payment.description,
        "手续费": "0.00000",
        "费率": "0.60%",
    }


def transaction_id(payment: SandboxPayment) -> str:
    return f"42000000{payment.number}"


def refund_id(refund: SandboxRefund) -> str:
    return f"50000000{refund.number}"


def openid(payment: SandboxPayment) -> str:
    payer = payment.details["request"].get("payer", {})
    return str(payer.get("openid", "oH5PAYER"))


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02}"


def _time(at: datetime) -> str:
    return at.astimezone(BEIJING).isoformat(timespec="seconds")
