"""TOP-7: WeChat Pay API v3 against the sandbox, over HTTP, with `wechatpayv3` as the oracle."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from anyio import to_thread
from wechatpayv3.utils import load_private_key, rsa_sign

from app.core.clock import utc_now
from app.gateways.errors import ProviderRefused
from app.gateways.payments.protocol import (
    AlreadyPaid,
    AmountUnsupported,
    OrderUnknown,
    PaymentGateway,
    PaymentScene,
    PaymentState,
    PaymentStatus,
    RefundRefused,
    RefundState,
    RefundStatus,
    SceneUnsupported,
)
from app.gateways.payments.wechat_pay import WeChatPay
from app.gateways.payments.wechat_pay_keys import MerchantKey, WeChatPayConfig
from app.gateways.sandbox import SandboxState
from app.gateways.sandbox.accounts import new_private_key
from tests.gateways.conftest import Clock, Receiver
from tests.gateways.oracle import oracle
from tests.gateways.paying import H5_ORDER, JSAPI_ORDER, NOON, ORDER, ask, paid, refund

pytestmark = pytest.mark.anyio


async def test_it_is_a_payment_gateway(wechat_pay: WeChatPay) -> None:
    gateway: PaymentGateway = wechat_pay
    assert gateway.name == "wechat_pay"
    assert gateway.scenes == {PaymentScene.JSAPI, PaymentScene.H5}
    assert gateway.acknowledgement == (204, b"", "application/json")
    assert NOON.astimezone(gateway.bill_zone).hour == 20


class TestSigning:
    async def test_requests_are_signed_as_the_oracle_signs_them(
        self, merchant: WeChatPayConfig, clock: Clock
    ) -> None:
        body = '{"描述": 1}'.encode()
        headers = MerchantKey(merchant).headers("POST", "/v3/x?a=1", body, clock.now)
        scheme, _, fields = headers["Authorization"].partition(" ")
        given = dict(field.split("=", 1) for field in fields.replace('"', "").split(","))
        text = f"POST\n/v3/x?a=1\n{given['timestamp']}\n{given['nonce_str']}\n{body.decode()}\n"
        assert scheme == "WECHATPAY2-SHA256-RSA2048"
        assert given["timestamp"] == str(int(NOON.timestamp()))
        assert given["mchid"] == merchant.merchant_id
        assert given["serial_no"] == merchant.certificate_serial
        # PKCS #1 v1.5 signatures are the same whoever makes them.
        assert fields.split('signature="')[1].split('"')[0] == rsa_sign(
            load_private_key(merchant.private_key), text
        )

    async def test_the_dialog_is_signed_as_the_oracle_signs_it(
        self, state: SandboxState, wechat_pay: WeChatPay
    ) -> None:
        given = (await wechat_pay.prepare(JSAPI_ORDER)).parameters
        lines = [given["appId"], given["timeStamp"], given["nonceStr"], given["package"]]
        assert oracle(state).sign(lines) == given["paySign"]

    async def test_a_strangers_key_is_refused(
        self, merchant: WeChatPayConfig, http: httpx2.AsyncClient, clock: Clock
    ) -> None:
        for changed in (
            {"private_key": new_private_key()},
            {"certificate_serial": "00"},
            {"merchant_id": "1900000002"},
        ):
            with pytest.raises(ProviderRefused) as refused:
                await WeChatPay(replace(merchant, **changed), http, clock=clock).query("T00001")
            assert refused.value.code == "SIGN_ERROR"

    async def test_an_old_request_is_refused(
        self, merchant: WeChatPayConfig, http: httpx2.AsyncClient, clock: Clock
    ) -> None:
        late = Clock(clock.now - timedelta(seconds=301))
        with pytest.raises(ProviderRefused) as refused:
            await WeChatPay(merchant, http, clock=late).query("T00001")
        assert refused.value.code == "SIGN_ERROR"


class TestPrepare:
    async def test_jsapi_gives_the_arguments_of_the_dialog(
        self, state: SandboxState, wechat_pay: WeChatPay, receiver: Receiver
    ) -> None:
        prepared = await wechat_pay.prepare(JSAPI_ORDER)
        order = state.payments.payment("wechat_pay", ORDER.reference)
        assert order is not None
        assert (prepared.provider, prepared.scene) == ("wechat_pay", PaymentScene.JSAPI)
        assert set(prepared.parameters) == {
            *("appId", "timeStamp", "nonceStr", "package", "signType", "paySign")
        }
        assert prepared.parameters["package"] == f"prepay_id=wx{order.token}"
        assert prepared.parameters["signType"] == "RSA"
        assert order.details["request"] == {
            "appid": "wx0000000000000002",
            "mchid": "1900000001",
            "description": "会员充值 · Top-up",
            "out_trade_no": ORDER.reference,
            "time_expire": "2026-09-01T20:30:00+08:00",
            "notify_url": receiver.url,
            "amount": {"total": 12_000, "currency": "CNY"},
            "payer": {"openid": "oANNA"},
        }

    async def test_h5_leads_to_a_page_and_back(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
    ) -> None:
        url = (await wechat_pay.prepare(H5_ORDER)).parameters["url"]
        page = await http.get(url)
        assert "Pay ¥120.00" in page.text
        assert "会员充值 · Top-up" in page.text
        done = await http.post(url, data={"answer": "pay"})
        assert (done.status_code, done.headers["location"]) == (303, ORDER.return_url)
        letter = await receiver.next()
        notification = await wechat_pay.read_notification(letter.headers, letter.body)
        assert notification.payment is not None
        assert notification.payment.status is PaymentStatus.PAID

    async def test_repeated_it_is_the_same_payment(
        self, state: SandboxState, wechat_pay: WeChatPay
    ) -> None:
        first, second = await wechat_pay.prepare(JSAPI_ORDER), await wechat_pay.prepare(JSAPI_ORDER)
        assert first.parameters["package"] == second.parameters["package"]
        assert first.parameters["nonceStr"] != second.parameters["nonceStr"]
        assert len(state.payments.payments()) == 1

    async def test_another_order_with_the_same_reference_is_refused(
        self, wechat_pay: WeChatPay
    ) -> None:
        await wechat_pay.prepare(JSAPI_ORDER)
        with pytest.raises(ProviderRefused) as refused:
            await wechat_pay.prepare(replace(JSAPI_ORDER, amount=1))
        assert refused.value.code == "INVALID_REQUEST"

    async def test_what_is_paid_is_not_ordered_again(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        with pytest.raises(AlreadyPaid):
            await wechat_pay.prepare(JSAPI_ORDER)

    async def test_long_descriptions_are_cut_between_characters(
        self, state: SandboxState, wechat_pay: WeChatPay
    ) -> None:
        await wechat_pay.prepare(replace(JSAPI_ORDER, description="充" * 100))
        order = state.payments.payment("wechat_pay", ORDER.reference)
        assert order is not None
        assert order.description == "充" * 42

    @pytest.mark.parametrize(
        ("changed", "kind"),
        [
            ({"currency": "HKD"}, AmountUnsupported),
            ({"scene": PaymentScene.PAGE}, SceneUnsupported),
            ({"payer_openid": None}, SceneUnsupported),
        ],
    )
    async def test_what_it_cannot_do_has_a_name(
        self, state: SandboxState, wechat_pay: WeChatPay, changed: Any, kind: type[ProviderRefused]
    ) -> None:
        with pytest.raises(kind):
            await wechat_pay.prepare(replace(JSAPI_ORDER, **changed))
        assert state.payments.payments() == []


class TestQueryAndClose:
    async def test_an_order_is_open_until_it_is_paid(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay, clock: Clock
    ) -> None:
        await wechat_pay.prepare(JSAPI_ORDER)
        assert await wechat_pay.query(ORDER.reference) == PaymentState(
            ORDER.reference, PaymentStatus.OPEN
        )
        clock.advance(minutes=1)
        await ask(http, state, f"/payments/{ORDER.reference}/pay", notify=False)
        state_paid = await wechat_pay.query(ORDER.reference)
        assert state_paid == PaymentState(
            reference=ORDER.reference,
            status=PaymentStatus.PAID,
            transaction_id=state_paid.transaction_id,
            amount=12_000,
            currency="CNY",
            paid_at=NOON + timedelta(minutes=1),
        )
        assert len(state_paid.transaction_id or "") == 28

    async def test_paid_it_stays_when_it_is_refunded(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        await refund(wechat_pay, "R1", 5_000)
        state_paid = await wechat_pay.query(ORDER.reference)
        assert (state_paid.status, state_paid.amount) == (PaymentStatus.PAID, 12_000)

    async def test_a_closed_order_cannot_be_paid(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay
    ) -> None:
        await wechat_pay.prepare(JSAPI_ORDER)
        await wechat_pay.close(ORDER.reference)
        await wechat_pay.close(ORDER.reference)
        assert (await wechat_pay.query(ORDER.reference)).status is PaymentStatus.CLOSED
        late = await http.post(f"{state.public_url}/payments/{ORDER.reference}/pay", json={})
        assert late.status_code == 409

    async def test_a_paid_order_cannot_be_closed(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        with pytest.raises(AlreadyPaid):
            await wechat_pay.close(ORDER.reference)
        assert (await wechat_pay.query(ORDER.reference)).status is PaymentStatus.PAID

    async def test_an_unknown_order_is_unknown_and_closes_without_a_word(
        self, wechat_pay: WeChatPay
    ) -> None:
        with pytest.raises(OrderUnknown):
            await wechat_pay.query("T99999")
        await wechat_pay.close("T99999")


class TestRefund:
    async def test_it_is_pending_and_then_succeeds(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        asked = await refund(wechat_pay, "R1", 5_000)
        assert asked == RefundState(
            reference="R1",
            payment_reference=ORDER.reference,
            status=RefundStatus.PENDING,
            refund_id=asked.refund_id,
            amount=5_000,
            currency="CNY",
        )
        letter = await receiver.next()
        notification = await wechat_pay.read_notification(letter.headers, letter.body)
        succeeded = replace(asked, status=RefundStatus.SUCCEEDED, succeeded_at=NOON)
        assert (notification.payment, notification.refund) == (None, succeeded)
        assert await wechat_pay.query_refund("R1", ORDER.reference) == succeeded

    async def test_asked_for_twice_it_is_made_once(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        first, second = (
            await refund(wechat_pay, "R1", 12_000),
            await refund(wechat_pay, "R1", 12_000),
        )
        assert first.refund_id == second.refund_id
        assert [made.amount for made in state.payments.refunds()] == [12_000]
        with pytest.raises(RefundRefused):
            await refund(wechat_pay, "R1", 11_999)

    async def test_more_than_was_paid_does_not_go_back(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        await refund(wechat_pay, "R1", 7_000)
        with pytest.raises(RefundRefused):
            await refund(wechat_pay, "R2", 5_001)
        with pytest.raises(RefundRefused):
            await refund(wechat_pay, "R3", 1, total=11_999)
        assert [made.amount for made in state.payments.refunds()] == [7_000]

    async def test_what_was_not_paid_does_not_go_back(
        self, state: SandboxState, wechat_pay: WeChatPay
    ) -> None:
        with pytest.raises(OrderUnknown):
            await refund(wechat_pay, "R1", 1)
        await wechat_pay.prepare(JSAPI_ORDER)
        with pytest.raises(RefundRefused):
            await refund(wechat_pay, "R1", 1)
        assert state.payments.refunds() == []

    async def test_one_that_fails_says_so(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        await ask(http, state, "/refunds/hold", hold=True)
        await refund(wechat_pay, "R1", 5_000)
        state_held = await wechat_pay.query_refund("R1", ORDER.reference)
        assert state_held.status is RefundStatus.PENDING
        await ask(http, state, "/refunds/R1/settle", succeeds=False)
        letter = await receiver.next()
        notification = await wechat_pay.read_notification(letter.headers, letter.body)
        assert notification.refund is not None
        assert notification.refund.status is RefundStatus.FAILED
        assert (await wechat_pay.query_refund("R1", ORDER.reference)).status is RefundStatus.FAILED

    async def test_a_refund_belongs_to_its_payment(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat_pay: WeChatPay
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        await refund(wechat_pay, "R1", 5_000)
        with pytest.raises(OrderUnknown):
            await wechat_pay.query_refund("R1", "T99999")
        with pytest.raises(OrderUnknown):
            await wechat_pay.query_refund("R9", ORDER.reference)

    async def test_another_currency_is_refused_here(self, wechat_pay: WeChatPay) -> None:
        with pytest.raises(AmountUnsupported):
            await refund(wechat_pay, "R1", 1, currency="USD")


class TestOracle:
    """Their client speaks to our sandbox, so that ours is not proven by itself alone."""

    async def test_it_orders_queries_refunds_and_closes(
        self, state: SandboxState, http: httpx2.AsyncClient
    ) -> None:
        state.clock = utc_now  # it signs with the time of day
        client = oracle(state)

        async def call(method: Callable[..., Any], **given: Any) -> tuple[int, Any]:
            status, text = await to_thread.run_sync(partial(method, **given))
            return status, json.loads(text) if text else None

        for reference in ("T00001", "T00002"):
            status, body = await call(
                client.pay,
                description="Top-up",
                out_trade_no=reference,
                amount={"total": 100, "currency": "CNY"},
                payer={"openid": "oANNA"},
            )
            assert status == 200
            assert body["prepay_id"].startswith("wx")
        status, body = await call(client.query, out_trade_no="T00001")
        assert (status, body["trade_state"]) == (200, "NOTPAY")
        await ask(http, state, "/payments/T00001/pay", notify=False)
        status, body = await call(client.query, out_trade_no="T00001")
        assert (body["trade_state"], body["amount"]["total"]) == ("SUCCESS", 100)
        status, body = await call(
            client.refund,
            out_refund_no="R1",
            out_trade_no="T00001",
            amount={"refund": 40, "total": 100, "currency": "CNY"},
        )
        assert (status, body["status"], body["amount"]["refund"]) == (200, "PROCESSING", 40)
        status, body = await call(client.query_refund, out_refund_no="R1")
        assert (status, body["status"]) == (200, "SUCCESS")
        assert await call(client.close, out_trade_no="T00002") == (204, None)
        status, body = await call(client.query, out_trade_no="T00002")
        assert body["trade_state"] == "CLOSED"
