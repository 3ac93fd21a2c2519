"""TOP-7: WeChat Pay's trade bills, and answers that are none."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import create_http
from app.gateways.payments.protocol import (
    BillLine,
    BillLineKind,
    BillNotReady,
    PaymentStatus,
)
from app.gateways.payments.wechat_pay import WeChatPay
from app.gateways.payments.wechat_pay_bill import parse_bill
from app.gateways.payments.wechat_pay_keys import MerchantKey, WeChatPayConfig
from app.gateways.sandbox import SandboxState, create_sandbox
from app.gateways.sandbox.wechat_pay_seal import PUBLIC_KEY_ID
from tests.gateways.conftest import Clock, serving
from tests.gateways.oracle import public_key
from tests.gateways.paying import JSAPI_ORDER, NOON, ORDER, ask, paid, refund

pytestmark = pytest.mark.anyio


class TestBill:
    async def test_a_day_has_its_payments_and_refunds_in_order(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay, clock: Clock
    ) -> None:
        await wechat_pay.prepare(replace(JSAPI_ORDER, description="Tea, `large`, hot"))
        await ask(http, state, f"/payments/{ORDER.reference}/pay", notify=False)
        clock.advance(minutes=5)
        made = await refund(wechat_pay, "R1", 5_001)
        clock.now = datetime(2026, 9, 2, 2, 0, tzinfo=UTC)
        transaction_id = (await wechat_pay.query(ORDER.reference)).transaction_id
        assert await wechat_pay.bill(date(2026, 9, 1)) == [
            BillLine(
                transaction_id=transaction_id or "",
                reference=ORDER.reference,
                kind=BillLineKind.PAYMENT,
                amount=12_000,
                currency="CNY",
                at=NOON,
            ),
            BillLine(
                transaction_id=made.refund_id or "",
                reference="R1",
                kind=BillLineKind.REFUND,
                amount=5_001,
                currency="CNY",
                at=NOON + timedelta(minutes=5),
            ),
        ]

    async def test_a_day_without_any_is_empty(self, wechat_pay: WeChatPay) -> None:
        assert await wechat_pay.bill(date(2026, 8, 30)) == []

    async def test_yesterdays_is_ready_at_ten(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay, clock: Clock
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        clock.now = datetime(2026, 9, 2, 1, 59, 59, tzinfo=UTC)  # 9:59:59 in Beijing
        with pytest.raises(BillNotReady):
            await wechat_pay.bill(date(2026, 9, 1))
        clock.advance(seconds=1)
        assert [line.amount for line in await wechat_pay.bill(date(2026, 9, 1))] == [12_000]
        with pytest.raises(ProviderRefused, match="INVALID_REQUEST"):
            await wechat_pay.bill(date(2026, 9, 2))

    HEADER = (
        "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
        "付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,"
        "退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n"
    )
    PAID = (
        "`2026-09-01 17:07:11,`wx1,`1900000001,`0,`,`4200000925,`T1,`oANNA,`JSAPI,`SUCCESS,`OTHERS,"
        "`CNY,`0.01,`0.00,`0,`0,`0.00,`0.00,`,`,`Tea, hot,`,`0.00000,`0.60%,`120.50,`0.00,`\r\n"
    )
    BACK = (
        "`2026-09-01 18:00:00,`wx1,`1900000001,`0,`,`4200000925,`T1,`oANNA,`JSAPI,`REFUND,`OTHERS,"
        "`CNY,`0.00,`0.00,`5030000,`R1,`1.01,`0.00,`ORIGINAL,`{state},`Tea,`,`0.0,`0.60%,`0.00,"
        "`20.05,`\r\n"
    )
    TOTALS = (
        "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n"
        "`{count},`0.01,`0.00,`0.00,`0.00000,`0.01,`0.00\r\n"
    )

    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_the_documented_format_is_read(self, mark: str) -> None:
        back = self.BACK.format(state="PROCESSING")
        text = mark + self.HEADER + self.PAID + back + self.TOTALS.format(count=2)
        lines = parse_bill(text)
        assert [
            (line.kind, line.transaction_id, line.reference, line.amount) for line in lines
        ] == [
            (BillLineKind.PAYMENT, "4200000925", "T1", 12_050),
            (BillLineKind.REFUND, "5030000", "R1", 2_005),
        ]
        assert lines[0].at == datetime(2026, 9, 1, 9, 7, 11, tzinfo=UTC)

    def test_a_refund_that_failed_moved_nothing(self) -> None:
        text = self.HEADER + self.BACK.format(state="FAIL") + self.TOTALS.format(count=1)
        assert parse_bill(text) == []

    def test_what_is_cut_off_or_strange_is_no_bill(self) -> None:
        whole = self.HEADER + self.PAID + self.TOTALS.format(count=1)
        for text in (
            "",
            "<html>",
            self.HEADER + self.PAID,
            whole.replace("`1,`0.01", "`2,`0.01"),
            whole.replace("`120.50", "`120.505"),
            whole.replace("`120.50", "`-1.00"),
            whole.replace("`120.50", "`NaN"),
            whole.replace("`120.50", "`"),
            whole.replace("`SUCCESS", "`MAYBE"),
            whole.replace("17:07:11", "25:07:11"),
            whole.replace("`Tea, hot,", ""),
            whole.replace("微信订单号", "订单号"),
        ):
            with pytest.raises(ProviderUnavailable, match="malformed bill"):
                parse_bill(text)


Change = Callable[[bytes], bytes]


class Tampering:
    """Stands between the adapter and the sandbox and changes answers on their way."""

    def __init__(self, app: ASGIApp, path: str, change: Change) -> None:
        self._app = app
        self._path = path
        self._change = change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def changing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(n, v) for n, v in message["headers"] if n != b"content-length"]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body" and message.get("body"):
                message = {**message, "body": self._change(message["body"])}
            await send(message)

        is_meant = scope["type"] == "http" and self._path in scope["path"]
        await self._app(scope, receive, changing if is_meant else send)


class TestAnswers:
    @asynccontextmanager
    async def tampered(
        self,
        state: SandboxState,
        merchant: WeChatPayConfig,
        clock: Clock,
        path: str,
        change: Change,
    ) -> AsyncIterator[WeChatPay]:
        app = Tampering(create_sandbox(state, production=False), path, change)
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/wechat-pay"
        async with serving(app, listener), create_http() as http:
            yield WeChatPay(replace(merchant, base_url=url), http, clock=clock)

    async def test_an_altered_answer_is_no_answer(
        self,
        state: SandboxState,
        merchant: WeChatPayConfig,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        clock: Clock,
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        change: Change = lambda body: body.replace(b"12000", b"12001")  # noqa: E731
        async with self.tampered(state, merchant, clock, "out-trade-no", change) as altered:
            with pytest.raises(ProviderUnavailable, match="answer refused: signature"):
                await altered.query(ORDER.reference)

    async def test_an_altered_bill_is_no_bill(
        self,
        state: SandboxState,
        merchant: WeChatPayConfig,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        clock: Clock,
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        clock.advance(days=1)
        change: Change = lambda body: body.replace(b"`120.00", b"`121.00")  # noqa: E731
        async with self.tampered(state, merchant, clock, "billdownload", change) as altered:
            with pytest.raises(ProviderUnavailable, match="digest"):
                await altered.bill(date(2026, 9, 1))

    async def test_the_answer_about_another_order_is_no_answer(
        self,
        state: SandboxState,
        merchant: WeChatPayConfig,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        clock: Clock,
    ) -> None:
        """Recorded as WeChat Pay signed it, and sent again by who can change where we call."""
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        path = f"/v3/pay/transactions/out-trade-no/{ORDER.reference}?mchid={merchant.merchant_id}"
        by_key = replace(merchant, public_key_id=PUBLIC_KEY_ID, public_key=public_key())
        headers = MerchantKey(by_key).headers("GET", path, b"", clock.now)
        recorded = await http.get(merchant.base_url + path, headers=headers)
        signature = {n: v for n, v in recorded.headers.items() if n.startswith("wechatpay-")}

        async def replay(request: Request) -> Response:
            return Response(recorded.content, headers=signature)

        app = Starlette(routes=[Route("/{path:path}", replay)])
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with serving(app, listener), create_http() as deceived:
            misled = WeChatPay(replace(by_key, base_url=url), deceived, clock=clock)
            assert (await misled.query(ORDER.reference)).status is PaymentStatus.PAID
            with pytest.raises(ProviderUnavailable, match="another order"):
                await misled.query("T99999")

    async def test_certificates_that_do_not_decrypt_prove_nothing(
        self, state: SandboxState, merchant: WeChatPayConfig, clock: Clock
    ) -> None:
        change: Change = lambda body: body.replace(b'"certificate"', b'"certificates"')  # noqa: E731
        async with self.tampered(state, merchant, clock, "/certificates", change) as altered:
            with pytest.raises(ProviderUnavailable, match="malformed certificates"):
                await altered.prepare(JSAPI_ORDER)

    async def test_busy_limits_and_timeouts_have_names(
        self, state: SandboxState, merchant: WeChatPayConfig, wechat_pay: WeChatPay, clock: Clock
    ) -> None:
        await wechat_pay.prepare(JSAPI_ORDER)
        state.faults.order("wechat_pay", "limit", 1)
        with pytest.raises(ProviderLimitExceeded) as limited:
            await wechat_pay.query(ORDER.reference)
        assert limited.value.code == "FREQUENCY_LIMITED"
        state.faults.order("wechat_pay", "busy", 1)
        with pytest.raises(ProviderUnavailable, match="HTTP 500"):
            await wechat_pay.query(ORDER.reference)
        state.faults.order("wechat_pay", "500", 1)
        with pytest.raises(ProviderUnavailable, match="HTTP 500"):
            await refund(wechat_pay, "R1", 1)
        async with create_http(timeout_s=0.2) as impatient:
            hurried = WeChatPay(merchant, impatient, clock=clock)
            await hurried.query(ORDER.reference)
            state.faults.order("wechat_pay", "timeout", 1)
            with pytest.raises(ProviderUnavailable, match="timeout"):
                await hurried.close(ORDER.reference)
        assert (await wechat_pay.query(ORDER.reference)).status is PaymentStatus.OPEN
