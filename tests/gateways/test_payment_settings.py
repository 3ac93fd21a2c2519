"""TOP-7: which providers of payments there are is said by settings; the demo has all of them."""

import base64
import json
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from app.demo.settings import demo_settings, sandbox_state
from app.gateways.payments.protocol import PaymentStatus
from app.gateways.sandbox import create_sandbox
from app.gateways.sandbox.accounts import new_private_key
from app.gateways.wechat_tokens import MemoryTokenStore
from app.jobs.outside import open_outside
from app.settings import Settings, SettingsInvalid, read_settings
from tests.gateways.conftest import serving
from tests.gateways.paying import H5_ORDER, ORDER

pytestmark = pytest.mark.anyio

KEY = base64.b64encode(b"k" * 32).decode()
SECRETS: dict[str, Any] = {
    "encryption_keys": {"1": KEY},
    "index_key": KEY,
    "member_code_keys": {"1": KEY},
}
MERCHANT = {
    "app_id": "wx1",
    "merchant_id": "1900000001",
    "certificate_serial": "3775B6A4",
    "private_key": new_private_key(),
    "api_v3_key": "k" * 32,
}


async def test_without_settings_there_are_none() -> None:
    settings = Settings(**SECRETS)
    async with open_outside(settings, MemoryTokenStore()) as outside:
        assert outside.payments == {}


async def test_those_that_are_set_are_there() -> None:
    settings = Settings(
        **SECRETS,
        wechat_pay=MERCHANT,
        stripe={"secret_key": "sk_live_1", "webhook_secret": "whsec_1"},
    )
    async with open_outside(settings, MemoryTokenStore()) as outside:
        assert {name: gateway.name for name, gateway in outside.payments.items()} == {
            "wechat_pay": "wechat_pay",
            "stripe": "stripe",
        }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"wechat_pay": {"merchant_id": "1900000001"}}, "belong together"),
        ({"wechat_pay": MERCHANT | {"api_v3_key": "short"}}, "32 bytes"),
        ({"wechat_pay": MERCHANT | {"private_key": "-----BEGIN"}}, "keys in PEM"),
        ({"wechat_pay": MERCHANT | {"public_key_id": "PUB_KEY_ID_1"}}, "belong together"),
        (
            {"wechat_pay": MERCHANT | {"public_key_id": "PUB_KEY_ID_1", "public_key": "key"}},
            "keys in PEM",
        ),
        ({"stripe": {"secret_key": "sk_live_1"}}, "belong together"),
        ({"sandbox_pay": {"base_url": "https://regulars.example/sandbox/pay"}}, "for the demo"),
    ],
)
def test_what_cannot_be_used_stops_the_start_in_one_line(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said) as stopped:
        read_settings(**SECRETS, **wrong)
    assert "\n" not in str(stopped.value)
    assert MERCHANT["private_key"] not in str(stopped.value)


def test_a_key_may_stand_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    one_line = MERCHANT["private_key"].replace("\n", "\\n")
    monkeypatch.setenv("REGULARS_WECHAT_PAY", json.dumps(MERCHANT | {"private_key": "x"}))
    monkeypatch.setenv("REGULARS_WECHAT_PAY__PRIVATE_KEY", one_line)
    settings = read_settings(**SECRETS)
    assert settings.wechat_pay.private_key.get_secret_value() == MERCHANT["private_key"]


def test_the_demos_keys_survive_a_restart(tmp_path: Path) -> None:
    first = demo_settings(public_url="http://localhost:8000", folder=tmp_path)
    again = demo_settings(public_url="http://localhost:8000", folder=tmp_path)
    assert first.wechat_pay == again.wechat_pay
    assert first.stripe == again.stripe
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_the_demo_pays_with_each(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    public_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = demo_settings(public_url=public_url, folder=tmp_path)
    state = sandbox_state(settings)
    app = Starlette(routes=[Mount("/sandbox", create_sandbox(state, production=False))])
    async with serving(app, listener), open_outside(settings, MemoryTokenStore()) as outside:
        assert set(outside.payments) == {"wechat_pay", "stripe", "sandbox"}
        for name, gateway in outside.payments.items():
            order = H5_ORDER if name == "wechat_pay" else ORDER
            order = replace(order, expires_at=state.now() + timedelta(hours=1))
            url = (await gateway.prepare(order)).parameters["url"]
            notify_url = state.payments.payments()[0].notify_url
            assert notify_url == f"{public_url}/payments/{name}/notify"
            assert url.startswith(f"{public_url}/sandbox/pay/")
            answer = await outside.http.post(url, data={"answer": "pay"})
            assert (answer.status_code, answer.headers["location"]) == (303, ORDER.return_url)
            assert (await gateway.query(order.reference)).status is PaymentStatus.PAID
