"""WeChat Pay API v3, answered for made-up orders; the pages are named in the adapter."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.gateways.sandbox.accounts import WeChatPayAccount, platform_certificate
from app.gateways.sandbox.faults import FaultInjector
from app.gateways.sandbox.payments import (
    Forge,
    Letter,
    SandboxPayment,
    SandboxRefund,
    Subject,
)
from app.gateways.sandbox.state import FaultKind, SandboxState
from app.gateways.sandbox.web import MAX_BODY_BYTES, is_web_uri
from app.gateways.sandbox.wechat_pay_documents import (
    BEIJING,
    refund_answer,
    refund_notice,
    trade_bill,
    transaction,
)
from app.gateways.sandbox.wechat_pay_seal import Seal, WeChatPayError

BILLS_READY_HOUR = 10
REFERENCE = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
REFUND_REFERENCE = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")

Handler = Callable[[Request, Mapping[str, Any]], Response]


def wechat_pay_app(state: SandboxState) -> FaultInjector:
    """What stands at {sandbox}/wechat-pay, for api.mch.weixin.qq.com."""
    endpoints = _Endpoints(state)
    state.payments.writers["wechat_pay"] = endpoints.letter
    order = "/v3/pay/transactions"
    refunds = "/v3/refund/domestic/refunds"
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/v3/certificates", endpoints.certificates),
        ("POST", f"{order}/jsapi", endpoints.jsapi),
        ("POST", f"{order}/h5", endpoints.h5),
        ("GET", f"{order}/out-trade-no/{{reference}}", endpoints.query),
        ("POST", f"{order}/out-trade-no/{{reference}}/close", endpoints.close),
        ("POST", refunds, endpoints.refund),
        ("GET", f"{refunds}/{{reference}}", endpoints.query_refund),
        ("GET", "/v3/bill/tradebill", endpoints.trade_bill),
        ("GET", "/v3/billdownload/file", endpoints.bill_file),
    ]
    app = Starlette(
        routes=[
            Route(path, endpoints.verified(handler), methods=[method])
            for method, path, handler in routes
        ],
        exception_handlers={WeChatPayError: _answer_error},
    )
    return FaultInjector(app, state, "wechat_pay", _refuse)


class _Endpoints:
    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._desk = state.payments
        self._seal = Seal(state)

    @property
    def _account(self) -> WeChatPayAccount:
        return self._state.wechat_pay_account

    def verified(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint whose requests the merchant signed, and whose answers are signed."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            if len(body) > MAX_BODY_BYTES:
                raise WeChatPayError(400, "PARAM_ERROR", "请求报文过大")
            self._seal.check(request, body)
            response = handler(request, _json(body))
            if not isinstance(response, PlainTextResponse):  # bills are not signed
                signature = self._seal.headers(bytes(response.body), asked_for=request)
                response.headers.update(signature)
            return response

        return endpoint

    def certificates(self, request: Request, body: Mapping[str, Any]) -> Response:
        """The current one, and the one before it, which signed until just now."""
        self._state.calls["wechat_pay.certificates"] += 1
        newest = self._state.wechat_pay_rotations
        listed = [platform_certificate(number) for number in {newest, max(newest - 1, 0)}]
        return JSONResponse(
            {
                "data": [
                    {
                        "serial_no": certificate.serial,
                        "effective_time": "2020-01-01T08:00:00+08:00",
                        "expire_time": "2100-01-01T08:00:00+08:00",
                        "encrypt_certificate": self._seal.encrypted(certificate.pem, "certificate"),
                    }
                    for certificate in listed
                ]
            }
        )

    def jsapi(self, request: Request, body: Mapping[str, Any]) -> Response:
        if not _at(body, "payer", "openid"):
            raise WeChatPayError(400, "PARAM_ERROR", "缺少参数 payer.openid")
        payment = self._order(body, "JSAPI")
        return JSONResponse({"prepay_id": f"wx{payment.token}"})

    def h5(self, request: Request, body: Mapping[str, Any]) -> Response:
        """The page is the sandbox's own, which takes `redirect_url` as WeChat's does."""
        wants = (
            _at(body, "scene_info", "payer_client_ip"),
            _at(body, "scene_info", "h5_info", "type"),
        )
        if not all(wants):
            raise WeChatPayError(400, "PARAM_ERROR", "缺少参数 scene_info")
        payment = self._order(body, "MWEB")
        url = f"{self._state.public_url}/pay/{payment.token}?prepay_id=wx{payment.token}"
        return JSONResponse({"h5_url": url})

    def _order(self, body: Mapping[str, Any], trade_type: str) -> SandboxPayment:
        account, reference = self._account, str(body.get("out_trade_no"))
        if body.get("mchid") != account.merchant_id or body.get("appid") != account.app_id:
            raise WeChatPayError(400, "APPID_MCHID_NOT_MATCH", "商户号和appid不匹配")
        amount, notify_url = _at(body, "amount", "total"), str(body.get("notify_url"))
        description = str(body.get("description", ""))
        is_whole = type(amount) is int and amount >= 1
        if not is_whole or _at(body, "amount", "currency") not in (None, "CNY"):
            raise WeChatPayError(400, "PARAM_ERROR", "订单金额有误")
        if REFERENCE.fullmatch(reference) is None or not 1 <= len(description.encode()) <= 127:
            raise WeChatPayError(400, "PARAM_ERROR", "商户订单号或商品描述有误")
        if not is_web_uri(notify_url) or "?" in notify_url:
            raise WeChatPayError(400, "PARAM_ERROR", "通知地址有误")
        before = self._desk.payment("wechat_pay", reference)
        if before is not None:
            return self._again(before, body)
        return self._desk.open(
            SandboxPayment(
                provider="wechat_pay",
                reference=reference,
                amount=amount,
                currency="CNY",
                description=description,
                expires_at=self._expiry(body.get("time_expire")),
                notify_url=notify_url,
                details={"request": body, "trade_type": trade_type},
            )
        )

    def _again(self, before: SandboxPayment, body: Mapping[str, Any]) -> SandboxPayment:
        if before.status == "PAID":
            raise WeChatPayError(400, "ORDERPAID", "该订单已支付")
        if before.status == "CLOSED":
            raise WeChatPayError(400, "ORDER_CLOSED", "该订单已关闭，请重新下单")
        if before.details["request"] != body:
            raise WeChatPayError(400, "INVALID_REQUEST", "请求重入时，参数与首次请求时不一致")
        return before

    def _expiry(self, given: object) -> datetime:
        if given is None:
            return self._state.now() + timedelta(hours=2)
        try:
            at = datetime.fromisoformat(str(given))
        except ValueError as error:
            raise WeChatPayError(400, "PARAM_ERROR", "交易结束时间格式有误") from error
        if at.tzinfo is None or at < self._state.now() + timedelta(minutes=1):
            raise WeChatPayError(400, "INVALID_REQUEST", "交易结束时间过早")
        return at

    def query(self, request: Request, body: Mapping[str, Any]) -> Response:
        if request.query_params.get("mchid") != self._account.merchant_id:
            raise WeChatPayError(400, "PARAM_ERROR", "商户号有误")
        return JSONResponse(self._transaction(self._payment(request), None))

    def close(self, request: Request, body: Mapping[str, Any]) -> Response:
        payment = self._payment(request)
        if payment.status == "PAID":
            raise WeChatPayError(400, "ORDERPAID", "订单已支付")
        if payment.status == "CLOSED":
            raise WeChatPayError(400, "ORDER_CLOSED", "订单已关闭")
        payment.status = "CLOSED"
        return Response(status_code=204)

    def _payment(self, request: Request) -> SandboxPayment:
        payment = self._desk.payment("wechat_pay", request.path_params["reference"])
        if payment is None:
            raise WeChatPayError(404, "ORDER_NOT_EXIST", "订单不存在")
        return payment

    def refund(self, request: Request, body: Mapping[str, Any]) -> Response:
        payment = self._desk.payment("wechat_pay", str(body.get("out_trade_no")))
        if payment is None:
            raise WeChatPayError(404, "RESOURCE_NOT_EXISTS", "订单不存在")
        reference, amount = str(body.get("out_refund_no")), _at(body, "amount", "refund")
        is_whole = type(amount) is int and amount >= 1
        if REFUND_REFERENCE.fullmatch(reference) is None or not is_whole:
            raise WeChatPayError(400, "PARAM_ERROR", "退款单号或退款金额有误")
        if payment.status != "PAID":
            raise WeChatPayError(400, "INVALID_REQUEST", "订单未支付，不能退款")
        refund = self._desk.refund("wechat_pay", reference)
        if refund is None:
            refund = SandboxRefund(
                provider="wechat_pay",
                reference=reference,
                payment=payment,
                amount=amount,
                reason=str(body.get("reason", "")),
                created_at=self._state.now(),
                notify_url=str(body.get("notify_url", "")),
            )
            if _at(body, "amount", "total") != payment.amount or not self._desk.ask_back(refund):
                raise WeChatPayError(400, "INVALID_REQUEST", "订单金额不一致或退款金额大于可退金额")
            task = BackgroundTask(self._desk.settle_at_once, refund)
            return JSONResponse(refund_answer(refund), background=task)
        if (refund.payment, refund.amount) != (payment, amount):
            raise WeChatPayError(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致")
        return JSONResponse(refund_answer(refund))

    def query_refund(self, request: Request, body: Mapping[str, Any]) -> Response:
        refund = self._desk.refund("wechat_pay", request.path_params["reference"])
        if refund is None:
            raise WeChatPayError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return JSONResponse(refund_answer(refund))

    def trade_bill(self, request: Request, body: Mapping[str, Any]) -> Response:
        try:
            day = date.fromisoformat(request.query_params.get("bill_date", ""))
        except ValueError as error:
            raise WeChatPayError(400, "PARAM_ERROR", "账单日期有误") from error
        now = self._state.now().astimezone(BEIJING)
        if day >= now.date():
            raise WeChatPayError(400, "INVALID_REQUEST", "账单日期必须早于今天")
        if day == now.date() - timedelta(days=1) and now.hour < BILLS_READY_HOUR:
            raise WeChatPayError(400, "STATEMENT_CREATING", "账单生成中，请稍后再试")
        bill = self._bill(day)
        if bill is None:
            raise WeChatPayError(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        return JSONResponse(
            {
                "hash_type": "SHA1",
                "hash_value": hashlib.sha1(bill, usedforsecurity=False).hexdigest(),
                "download_url": f"{self._state.public_url}/wechat-pay/v3/billdownload/file"
                f"?token={day.isoformat()}",
            }
        )

    def bill_file(self, request: Request, body: Mapping[str, Any]) -> Response:
        bill = self._bill(date.fromisoformat(request.query_params["token"]))
        return PlainTextResponse(bill)

    def _bill(self, day: date) -> bytes | None:
        """Whatever type is asked for: the adapter wants ALL."""

        def is_of_the_day(at: datetime | None) -> bool:
            return at is not None and at.astimezone(BEIJING).date() == day

        payments = [p for p in self._desk.payments("wechat_pay") if is_of_the_day(p.paid_at)]
        refunds = [r for r in self._desk.refunds("wechat_pay") if is_of_the_day(r.created_at)]
        if not payments and not refunds:
            return None
        return trade_bill(payments, refunds, self._account).encode()

    def letter(self, subject: Subject, forge: Forge | None) -> Letter:
        """A notification: "Payment callback" or "Refund callback"."""
        if isinstance(subject, SandboxPayment):
            event, kind, plain = (
                "TRANSACTION.SUCCESS",
                "transaction",
                self._transaction(subject, forge),
            )
        else:
            outcome = {"SUCCEEDED": "SUCCESS", "FAILED": "ABNORMAL"}.get(subject.status, "SUCCESS")
            event, kind = f"REFUND.{outcome}", "refund"
            plain = refund_notice(subject, self._account, forge)
        document = {
            "id": f"EV-{kind}-{subject.number}",
            "create_time": self._state.now().astimezone(BEIJING).isoformat(timespec="seconds"),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": "支付成功" if kind == "transaction" else "退款",
            "resource": {
                "original_type": kind,
                **self._seal.encrypted(json.dumps(plain).encode(), kind),
            },
        }
        body = json.dumps(document, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **self._seal.headers(body, forge=forge)}
        return Letter(subject.notify_url, headers, body + b" " if forge == "body" else body)

    def _transaction(self, payment: SandboxPayment, forge: Forge | None) -> dict[str, Any]:
        was_refunded = self._desk.refunded(payment) > 0
        return transaction(payment, self._account, was_refunded=was_refunded, forge=forge)


def _json(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WeChatPayError(400, "PARAM_ERROR", "请求报文不是JSON") from error
    if not isinstance(parsed, dict):
        raise WeChatPayError(400, "PARAM_ERROR", "请求报文不是对象")
    return parsed


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WeChatPayError)
    return JSONResponse({"code": error.code, "message": error.message}, error.status)


def _refuse(kind: FaultKind) -> Response:
    if kind == "limit":
        return JSONResponse({"code": "FREQUENCY_LIMITED", "message": "频率超限"}, 429)
    return JSONResponse({"code": "SYSTEM_ERROR", "message": "系统异常，请稍后重试"}, 500)
