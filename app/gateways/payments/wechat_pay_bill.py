"""WeChat Pay's trade bill: pay.weixin.qq.com/doc/v3/merchant, "Format of the trade bill".

A header, a line a movement with a backtick before each value, a header of totals, the totals.
"""

from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

from app.gateways.errors import ProviderUnavailable
from app.gateways.payments.protocol import BillLine, BillLineKind

PROVIDER = "wechat_pay"
BEIJING = timezone(timedelta(hours=8))
TOTALS_FIRST_COLUMN = "总交易单数"
FEN_DIGITS = 2

KINDS = {
    "SUCCESS": BillLineKind.PAYMENT,
    "REFUND": BillLineKind.REFUND,
    "REVOKED": BillLineKind.REFUND,
}


class _Malformed(Exception):
    """Not the documented format."""


def parse_bill(text: str) -> list[BillLine]:
    """The lines of a bill of type ALL, in its order; refunds that failed moved nothing.

    Raises ProviderUnavailable for what is no whole bill: it may be cut off.
    """
    try:
        return _parse(text)
    except (_Malformed, InvalidOperation, KeyError, ValueError) as error:
        raise ProviderUnavailable("malformed bill", provider=PROVIDER) from error


def _parse(text: str) -> list[BillLine]:
    rows = [row for row in text.removeprefix("\ufeff").splitlines() if row.strip()]
    if len(rows) < 3 or not rows[-2].startswith(TOTALS_FIRST_COLUMN):
        raise _Malformed("no totals")
    # By name: the page does not promise the order of columns.
    columns = rows[0].split(",")
    movements = [dict(zip(columns, _values(row), strict=True)) for row in rows[1:-2]]
    if int(_values(rows[-1])[0]) != len(movements):
        raise _Malformed("lines are missing")
    return [_line(values) for values in movements if values.get("退款状态") != "FAIL"]


def _values(row: str) -> list[str]:
    """A value may hold commas, but none before a backtick, which stands before each value."""
    if not row.startswith("`"):
        raise _Malformed("no backtick")
    return [value.strip() for value in row[1:].split(",`")]


def _line(values: dict[str, str]) -> BillLine:
    kind = KINDS[values["交易状态"]]
    paid = kind is BillLineKind.PAYMENT
    return BillLine(
        transaction_id=values["微信订单号" if paid else "微信退款单号"],
        reference=values["商户订单号" if paid else "商户退款单号"],
        kind=kind,
        amount=_fen(values["订单金额" if paid else "申请退款金额"]),
        currency=values["货币种类"],
        at=datetime.strptime(values["交易时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING),
    )


def _fen(yuan: str) -> int:
    fen = Decimal(yuan).scaleb(FEN_DIGITS)
    if fen != fen.to_integral_value() or fen <= 0:
        raise _Malformed("amount")
    return int(fen)
