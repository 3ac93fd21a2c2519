"""WeChat Pay API v3 for a direct merchant: JSAPI and H5 orders, refunds, callbacks, bills (TOP-7).

Pages, under pay.weixin.qq.com/doc/v3/merchant: "JSAPI order" (4012791856), "H5 order"
(4012791834), "Query order" (4012791859), "Close order" (4012791860), "Payment callback"
(4012791861), "Refund" (4012791862), "Query refund" (4012791863), "Refund callback" (4012791865),
"Trade bill" (4012791866), "Download bill" (4012124930); "API v3 rules" (4012081606).
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import httpx2

from app.core.clock import utc_now
from app.gateways.errors import ProviderRefused, ProviderUnavailable
from app.gateways.http import MAX_RESPONSE_BYTES, RawAnswer, fetch
from app.gateways.payments.fields import Fields
from app.gateways.payments.protocol import (
    NOTIFICATION_MAX_BYTES,
    REFERENCE_MAX_LENGTH,
    REFUND_REFERENCE_MAX_LENGTH,
    Acknowledgement,
    AmountUnsupported,
    BillLine,
    Notification,
    NotificationRefused,
    OrderUnknown,
    PaymentOrder,
    PaymentScene,
    PaymentState,
    Prepared,
    RefundRefused,
    RefundState,
    SceneUnsupported,
)
from app.gateways.payments.signatures import SignatureRefused
from app.gateways.payments.wechat_pay_answers import (
    CURRENCY,
    payment_state,
    plain_code,
    refund_state,
    refusal,
)
from app.gateways.payments.wechat_pay_bill import BEIJING, parse_bill
from app.gateways.payments.wechat_pay_keys import (
    PROVIDER,
    MerchantKey,
    PlatformKeys,
    Undecryptable,
    WeChatPayConfig,
    decrypt,
)

DESCRIPTION_MAX_BYTES = 127
REASON_MAX_BYTES = 80
BILL_MAX_BYTES = 64 * 1024 * 1024


class WeChatPay:
    """A `PaymentGateway`; `http` is shared and not closed here."""

    name = PROVIDER
    scenes = frozenset({PaymentScene.JSAPI, PaymentScene.H5})
    acknowledgement = Acknowledgement(204, b"", "application/json")
    bill_zone = ZoneInfo("Asia/Shanghai")

    def __init__(
        self,
        config: WeChatPayConfig,
        http: httpx2.AsyncClient,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._http = http
        self._clock = clock
        self._base_url = config.base_url.rstrip("/")
        self._merchant_key = MerchantKey(config)
        self._platform_keys = PlatformKeys(config, http, self._merchant_key, clock)

    async def prepare(self, order: PaymentOrder) -> Prepared:
        """Repeated with the same order it gives another way into the one payment."""
        assert 0 < len(order.reference) <= REFERENCE_MAX_LENGTH
        _check_amount(order.amount, order.currency)
        content: dict[str, Any] = {
            "appid": self._config.app_id,
            "mchid": self._config.merchant_id,
            "description": _cut(order.description, DESCRIPTION_MAX_BYTES),
            "out_trade_no": order.reference,
            "time_expire": order.expires_at.astimezone(BEIJING).isoformat(timespec="seconds"),
            "notify_url": self._config.notify_url,
            "amount": {"total": order.amount, "currency": CURRENCY},
        }
        if order.scene is PaymentScene.JSAPI:
            if not order.payer_openid:
                raise SceneUnsupported("openid", "JSAPI needs the payer's", provider=PROVIDER)
            content["payer"] = {"openid": order.payer_openid}
            body = await self._call("POST", "/v3/pay/transactions/jsapi", content)
            parameters = self._dialog(body.text("prepay_id"))
        elif order.scene is PaymentScene.H5:
            content["scene_info"] = {
                "payer_client_ip": order.client_address,
                "h5_info": {"type": "Wap"},
            }
            body = await self._call("POST", "/v3/pay/transactions/h5", content)
            back = quote(order.return_url, safe="")
            parameters = {"url": f"{body.text('h5_url')}&redirect_url={back}"}
        else:
            raise SceneUnsupported(order.scene, "JSAPI or H5", provider=PROVIDER)
        return Prepared(PROVIDER, order.scene, parameters)

    def _dialog(self, prepay_id: str) -> dict[str, str]:
        """The arguments of WeixinJSBridge's getBrandWCPayRequest and of wx.requestPayment."""
        timestamp, nonce = str(int(self._clock().timestamp())), secrets.token_hex(16)
        package = f"prepay_id={prepay_id}"
        return {
            "appId": self._config.app_id,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": self._merchant_key.sign(self._config.app_id, timestamp, nonce, package),
        }

    async def query(self, reference: str) -> PaymentState:
        path = f"{_order_path(reference)}?mchid={quote(self._config.merchant_id)}"
        state = payment_state(await self._call("GET", path))
        if state.reference != reference:
            raise ProviderUnavailable("answer about another order", provider=PROVIDER)
        return state

    async def close(self, reference: str) -> None:
        content = {"mchid": self._config.merchant_id}
        try:
            await self._call("POST", f"{_order_path(reference)}/close", content)
        except OrderUnknown:
            return
        except ProviderRefused as refused:
            if plain_code(refused.code) != "ORDERCLOSED":
                raise

    async def refund(
        self,
        *,
        reference: str,
        payment_reference: str,
        amount: int,
        total: int,
        currency: str,
        reason: str,
    ) -> RefundState:
        """The refund's reference is the merchant's refund number: one is made once."""
        assert 0 < len(reference) <= REFUND_REFERENCE_MAX_LENGTH
        _check_amount(amount, currency)
        content = {
            "out_trade_no": payment_reference,
            "out_refund_no": reference,
            "reason": _cut(reason, REASON_MAX_BYTES),
            "notify_url": self._config.notify_url,
            "amount": {"refund": amount, "total": total, "currency": CURRENCY},
        }
        try:
            body = await self._call("POST", "/v3/refund/domestic/refunds", content)
        except ProviderRefused as refused:
            # Its message alone tells whether it was too much, too late, or not paid at all.
            if refused.code == "INVALID_REQUEST":
                raise RefundRefused(refused.code, refused.message, provider=PROVIDER) from refused
            raise
        return refund_state(body, "status")

    async def query_refund(self, reference: str, payment_reference: str) -> RefundState:
        path = f"/v3/refund/domestic/refunds/{quote(reference, safe='')}"
        state = refund_state(await self._call("GET", path), "status")
        if state.payment_reference != payment_reference:
            raise OrderUnknown("out_trade_no", "another payment's refund", provider=PROVIDER)
        return state

    async def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        if len(body) > NOTIFICATION_MAX_BYTES:
            raise NotificationRefused("too large", provider=PROVIDER)
        try:
            await self._platform_keys.verify(headers, body)
        except SignatureRefused as error:
            raise NotificationRefused(str(error), provider=PROVIDER) from error
        try:
            notice = Fields.parse(body, PROVIDER)
            plain = decrypt(notice.object("resource").values, self._config.api_v3_key)
            return self._notification(notice, Fields.parse(plain, PROVIDER))
        except Undecryptable as error:
            raise NotificationRefused("not encrypted for us", provider=PROVIDER) from error
        except ProviderUnavailable as error:  # signed, yet not what the pages describe
            raise NotificationRefused(f"malformed: {error.reason}", provider=PROVIDER) from error

    def _notification(self, notice: Fields, plain: Fields) -> Notification:
        if plain.text("mchid") != self._config.merchant_id:
            raise NotificationRefused("another merchant's", provider=PROVIDER)
        event, event_id = notice.text("event_type"), notice.text("id")
        if event.startswith("TRANSACTION."):
            if plain.text("appid") != self._config.app_id:
                raise NotificationRefused("another app's", provider=PROVIDER)
            return Notification(event_id, PROVIDER, payment=payment_state(plain))
        if event.startswith("REFUND."):
            return Notification(event_id, PROVIDER, refund=refund_state(plain, "refund_status"))
        return Notification(event_id, PROVIDER)

    async def bill(self, day: date) -> list[BillLine]:
        """Of a past day in Beijing, from about 10 o'clock on; for three months."""
        path = f"/v3/bill/tradebill?bill_date={day.isoformat()}&bill_type=ALL"
        try:
            body = await self._call("GET", path)
        except ProviderRefused as refused:
            if plain_code(refused.code) == "NOSTATEMENTEXIST":  # a day on which nothing moved
                return []
            raise
        download = urlsplit(body.text("download_url"))
        # Our base URL, whatever host this names: the call is signed, and a proxy may lie between.
        path = f"/v3/{download.path.partition('/v3/')[2]}?{download.query}"
        answer = await self._send("GET", path, max_bytes=BILL_MAX_BYTES)
        if answer.status != 200:
            raise refusal(answer)
        # A bill's answer carries no signature; the signed one before it names the digest.
        digest = hashlib.sha1(answer.body, usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(digest, body.text("hash_value").lower()):
            raise ProviderUnavailable("the bill's digest differs", provider=PROVIDER)
        return parse_bill(answer.body.decode("utf-8", "replace"))

    async def _call(
        self, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> Fields:
        """One signed call, and its answer once its signature is verified."""
        body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
        answer = await self._send(method, path, body)
        if answer.status not in (200, 204):
            raise refusal(answer)
        try:
            await self._platform_keys.verify(answer.headers, answer.body)
        except SignatureRefused as error:
            raise ProviderUnavailable(f"answer refused: {error}", provider=PROVIDER) from error
        return Fields.parse(answer.body or b"{}", PROVIDER)

    async def _send(
        self, method: str, path: str, body: bytes = b"", *, max_bytes: int = MAX_RESPONSE_BYTES
    ) -> RawAnswer:
        return await fetch(
            self._http,
            method,
            self._base_url + path,
            provider=PROVIDER,
            content=body or None,
            headers=self._merchant_key.headers(method, path, body, self._clock()),
            max_bytes=max_bytes,
        )


def _order_path(reference: str) -> str:
    return f"/v3/pay/transactions/out-trade-no/{quote(reference, safe='')}"


def _check_amount(amount: int, currency: str) -> None:
    assert amount > 0
    if currency != CURRENCY:
        raise AmountUnsupported("currency", f"{currency} is not CNY", provider=PROVIDER)


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")
