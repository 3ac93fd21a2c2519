"""TOP-7: which notifications are WeChat Pay's, by which of its keys."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from anyio import to_thread
from wechatpayv3.utils import aes_decrypt

from app.core.clock import utc_now
from app.gateways.errors import ProviderUnavailable
from app.gateways.payments.protocol import (
    NOTIFICATION_MAX_BYTES,
    Notification,
    NotificationRefused,
    PaymentStatus,
)
from app.gateways.payments.wechat_pay import WeChatPay
from app.gateways.payments.wechat_pay_keys import WeChatPayConfig
from app.gateways.sandbox import SandboxState
from app.gateways.sandbox.payments import Forge
from app.gateways.sandbox.wechat_pay_seal import PUBLIC_KEY_ID, Seal
from tests.gateways.conftest import Clock, Received, Receiver
from tests.gateways.oracle import oracle, public_key
from tests.gateways.paying import JSAPI_ORDER, ORDER, ask, paid

pytestmark = pytest.mark.anyio


class TestNotifications:
    @pytest.fixture
    async def letter(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
    ) -> Received:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER)
        return await receiver.next()

    async def forged(
        self,
        forge: Forge | None,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
    ) -> Notification:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, forge=forge)
        letter = await receiver.next()
        return await wechat_pay.read_notification(letter.headers, letter.body)

    async def test_a_payment_is_read(self, wechat_pay: WeChatPay, letter: Received) -> None:
        notification = await wechat_pay.read_notification(letter.headers, letter.body)
        assert notification == Notification(
            id=json.loads(letter.body)["id"],
            provider="wechat_pay",
            payment=await wechat_pay.query(ORDER.reference),
        )
        assert "12000" not in letter.body.decode()  # it is encrypted

    async def test_the_same_one_can_be_read_again(
        self, wechat_pay: WeChatPay, letter: Received
    ) -> None:
        first = await wechat_pay.read_notification(letter.headers, letter.body)
        assert await wechat_pay.read_notification(letter.headers, letter.body) == first

    async def test_sent_again_it_has_the_same_id(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
        letter: Received,
        clock: Clock,
    ) -> None:
        clock.advance(hours=1)
        receiver.status = 503
        answers = await ask(http, state, f"/payments/{ORDER.reference}/pay", times=2)
        assert answers == {"status": "PAID", "answers": [503, 503]}
        again = await receiver.next()
        assert again.headers["wechatpay-signature"] != letter.headers["wechatpay-signature"]
        notification = await wechat_pay.read_notification(again.headers, again.body)
        assert notification.id == json.loads(letter.body)["id"]

    @pytest.mark.parametrize(
        ("forge", "reason"),
        [
            ("signature", "signature"),
            ("body", "signature"),
            ("timestamp", "timestamp out of tolerance"),
            ("future", "timestamp out of tolerance"),
            ("serial", "unknown serial number"),
            ("owner", "another merchant's"),
        ],
    )
    async def test_what_is_not_wechat_pays_is_refused(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
        forge: Forge,
        reason: str,
    ) -> None:
        with pytest.raises(NotificationRefused) as refused:
            await self.forged(forge, state, http, wechat_pay, receiver)
        assert refused.value.reason == reason

    @pytest.mark.parametrize(
        ("forge", "amount", "currency"), [("amount", 12_001, "CNY"), ("currency", 12_000, "HKD")]
    )
    async def test_another_amount_is_for_the_service_to_see(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
        forge: Forge,
        amount: int,
        currency: str,
    ) -> None:
        payment = (await self.forged(forge, state, http, wechat_pay, receiver)).payment
        assert payment is not None
        assert (payment.amount, payment.currency) == (amount, currency)

    @pytest.mark.parametrize("seconds", [-300, 300])
    async def test_five_minutes_either_way_are_tolerated(
        self, wechat_pay: WeChatPay, letter: Received, clock: Clock, seconds: int
    ) -> None:
        clock.advance(seconds=seconds)
        await wechat_pay.read_notification(letter.headers, letter.body)
        clock.advance(seconds=1 if seconds > 0 else -1)
        with pytest.raises(NotificationRefused):
            await wechat_pay.read_notification(letter.headers, letter.body)

    @pytest.mark.parametrize("name", ["timestamp", "nonce", "signature", "serial"])
    async def test_each_header_is_needed_and_covered(
        self, wechat_pay: WeChatPay, letter: Received, name: str
    ) -> None:
        header = f"wechatpay-{name}"
        for value in ("", "0", "é", " 1", "9" * 5_000):
            with pytest.raises(NotificationRefused):
                await wechat_pay.read_notification({**letter.headers, header: value}, letter.body)
        del letter.headers[header]
        with pytest.raises(NotificationRefused):
            await wechat_pay.read_notification(letter.headers, letter.body)

    async def test_a_huge_one_is_refused_unread(
        self, wechat_pay: WeChatPay, letter: Received
    ) -> None:
        with pytest.raises(NotificationRefused, match="too large"):
            await wechat_pay.read_notification(letter.headers, b" " * (NOTIFICATION_MAX_BYTES + 1))

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"\xff", b"{}", b'{"id": "1", "resource": 7}', b"[" * 60_000]
    )
    async def test_well_signed_nonsense_is_refused(
        self, state: SandboxState, wechat_pay: WeChatPay, body: bytes
    ) -> None:
        with pytest.raises(NotificationRefused):
            await wechat_pay.read_notification(Seal(state).headers(body), body)

    @pytest.mark.parametrize(
        ("event", "changed"),
        [
            ("TRANSACTION.SUCCESS", {"appid": "wx0000000000000001"}),
            ("TRANSACTION.SUCCESS", {"trade_state": ["SUCCESS"]}),
            ("TRANSACTION.SUCCESS", {"trade_state": "GREAT"}),
            ("TRANSACTION.SUCCESS", {"amount": {"total": True, "currency": "CNY"}}),
            ("TRANSACTION.SUCCESS", {"amount": {"total": -1, "currency": "CNY"}}),
            ("TRANSACTION.SUCCESS", {"success_time": "2026-09-01T12:00:00"}),
            ("TRANSACTION.SUCCESS", {"out_trade_no": None}),
            ("REFUND.SUCCESS", {}),
        ],
    )
    async def test_well_encrypted_nonsense_is_refused(
        self,
        state: SandboxState,
        wechat_pay: WeChatPay,
        letter: Received,
        event: str,
        changed: dict[str, Any],
    ) -> None:
        def change(plain: dict[str, Any]) -> None:
            plain.update(changed)

        headers, body = resealed(state, letter.body, change, event)
        with pytest.raises(NotificationRefused):
            await wechat_pay.read_notification(headers, body)

    async def test_what_needs_no_act_is_taken_all_the_same(
        self, state: SandboxState, wechat_pay: WeChatPay, letter: Received
    ) -> None:
        headers, body = resealed(state, letter.body, lambda plain: None, "COUPON.USE")
        notification = await wechat_pay.read_notification(headers, body)
        assert (notification.payment, notification.refund) == (None, None)

    async def test_another_api_v3_key_opens_nothing(
        self, merchant: WeChatPayConfig, http: httpx2.AsyncClient, clock: Clock, letter: Received
    ) -> None:
        other = WeChatPay(replace(merchant, api_v3_key="k" * 32), http, clock=clock)
        with pytest.raises(ProviderUnavailable, match="malformed certificates"):
            await other.read_notification(letter.headers, letter.body)

    async def test_one_that_is_not_encrypted_for_us_is_refused(
        self, state: SandboxState, wechat_pay: WeChatPay, letter: Received
    ) -> None:
        document = json.loads(letter.body)
        for name, value in (
            ("associated_data", "refund"),
            ("nonce", "0" * 12),
            ("nonce", ""),
            ("ciphertext", "AAAA"),
            ("ciphertext", "*"),
            ("algorithm", "none"),
        ):
            changed = {**document, "resource": document["resource"] | {name: value}}
            body = json.dumps(changed).encode()
            with pytest.raises(NotificationRefused, match="not encrypted for us"):
                await wechat_pay.read_notification(Seal(state).headers(body), body)

    async def test_the_oracle_reads_it_too(self, state: SandboxState, letter: Received) -> None:
        state.clock = utc_now  # it signs with the time of day when it asks for certificates
        client = oracle(state)
        read = await to_thread.run_sync(client.callback, letter.headers, letter.body)
        assert read["resource"]["out_trade_no"] == ORDER.reference
        assert read["resource"]["amount"]["total"] == 12_000
        sealed = json.loads(letter.body)["resource"]
        opened = aes_decrypt(
            sealed["nonce"],
            sealed["ciphertext"],
            sealed["associated_data"],
            state.wechat_pay_account.api_v3_key,
        )
        assert json.loads(opened) == read["resource"]


def resealed(
    state: SandboxState, body: bytes, change: Callable[[dict[str, Any]], None], event: str
) -> tuple[dict[str, str], bytes]:
    """A notification changed inside, as only WeChat Pay could."""
    document = json.loads(body)
    sealed = document["resource"]
    key = state.wechat_pay_account.api_v3_key
    opened = aes_decrypt(sealed["nonce"], sealed["ciphertext"], sealed["associated_data"], key)
    plain = json.loads(opened)
    change(plain)
    seal = Seal(state)
    document |= {
        "event_type": event,
        "resource": seal.encrypted(json.dumps(plain).encode(), "transaction"),
    }
    changed = json.dumps(document).encode()
    return seal.headers(changed), changed


class TestPlatformKeys:
    async def test_certificates_are_fetched_once_and_again_after_half_a_day(
        self, state: SandboxState, wechat_pay: WeChatPay, clock: Clock
    ) -> None:
        await wechat_pay.prepare(JSAPI_ORDER)
        await wechat_pay.query(ORDER.reference)
        assert state.calls["wechat_pay.certificates"] == 1
        clock.advance(hours=12)
        await wechat_pay.query(ORDER.reference)
        assert state.calls["wechat_pay.certificates"] == 2

    async def test_many_at_once_share_one_fetch(
        self, state: SandboxState, wechat_pay: WeChatPay
    ) -> None:
        orders = [replace(JSAPI_ORDER, reference=f"T0000{number}") for number in range(10)]
        await asyncio.gather(*(wechat_pay.prepare(order) for order in orders))
        assert state.calls["wechat_pay.certificates"] == 1

    async def test_a_rotation_is_noticed(
        self, state: SandboxState, wechat_pay: WeChatPay, clock: Clock
    ) -> None:
        await wechat_pay.prepare(JSAPI_ORDER)
        state.wechat_pay_rotations += 1
        clock.advance(seconds=60)
        assert (await wechat_pay.query(ORDER.reference)).status is PaymentStatus.OPEN

    async def test_unknown_serial_numbers_cause_one_fetch_a_minute(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat_pay: WeChatPay,
        receiver: Receiver,
        clock: Clock,
    ) -> None:
        await paid(wechat_pay, http, state, order=JSAPI_ORDER, notify=False)
        for seconds, fetches in ((0, 1), (59, 1), (1, 2), (0, 2), (59, 2)):
            clock.advance(seconds=seconds)
            await ask(http, state, f"/payments/{ORDER.reference}/pay", forge="serial")
            letter = await receiver.next()
            with pytest.raises(NotificationRefused, match="unknown serial"):
                await wechat_pay.read_notification(letter.headers, letter.body)
            assert state.calls["wechat_pay.certificates"] == fetches

    async def test_a_failed_fetch_is_not_repeated_at_once(
        self, state: SandboxState, wechat_pay: WeChatPay, clock: Clock
    ) -> None:
        headers = Seal(state).headers(b"{}")
        state.faults.order("wechat_pay", "500", 1)
        with pytest.raises(ProviderUnavailable):
            await wechat_pay.read_notification(headers, b"{}")
        for seconds, fetches in ((4, 0), (1, 1)):
            clock.advance(seconds=seconds)
            with pytest.raises(NotificationRefused):
                await wechat_pay.read_notification(headers, b"{}")
            assert state.calls["wechat_pay.certificates"] == fetches

    async def test_new_merchants_have_a_public_key_and_no_certificates(
        self,
        state: SandboxState,
        merchant: WeChatPayConfig,
        http: httpx2.AsyncClient,
        clock: Clock,
        receiver: Receiver,
    ) -> None:
        by_key = replace(merchant, public_key_id=PUBLIC_KEY_ID, public_key=public_key())
        wechat_pay = WeChatPay(by_key, http, clock=clock)
        state.wechat_pay_by_public_key = True
        await paid(wechat_pay, http, state, order=JSAPI_ORDER)
        letter = await receiver.next()
        assert letter.headers["wechatpay-serial"] == PUBLIC_KEY_ID
        assert (await wechat_pay.read_notification(letter.headers, letter.body)).payment is not None
        assert state.calls["wechat_pay.certificates"] == 0
        # While a merchant moves from one to the other, callbacks may still come the old way.
        state.wechat_pay_by_public_key = False
        await ask(http, state, f"/payments/{ORDER.reference}/pay")
        letter = await receiver.next()
        assert (await wechat_pay.read_notification(letter.headers, letter.body)).payment is not None
