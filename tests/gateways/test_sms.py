"""IDN-1, IDN-7: Tencent Cloud SMS against the sandbox, over HTTP."""

import json

import httpx2
import pytest

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import create_http
from app.gateways.sandbox import SandboxState
from app.gateways.sms import (
    SmsNumberRefused,
    TencentSms,
    TencentSmsConfig,
    TencentTemplate,
    sign,
)
from tests.gateways.conftest import Clock

pytestmark = pytest.mark.anyio

PARAMS = {"minutes": "5", "code": "123456"}


def adapter(
    state: SandboxState,
    http: httpx2.AsyncClient,
    clock: Clock,
    *,
    secret_key: str = "sms-secret",
    template_id: str = "449739",
) -> TencentSms:
    config = TencentSmsConfig(
        secret_id="AKIDsandbox",
        secret_key=secret_key,
        sdk_app_id="1400006666",
        sign_name="Regulars",
        templates={"verification": TencentTemplate(template_id, ("code", "minutes"))},
        base_url=f"{state.public_url}/tencent-sms",
    )
    return TencentSms(config, http, clock=clock)


def test_the_signature_is_the_one_of_tencents_worked_example() -> None:
    # "Signature v3", the example of DescribeInstances: keys are shown there as asterisks.
    payload = (
        rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    )
    header = sign(
        secret_id="AKID" + "*" * 32,
        secret_key="*" * 32,
        service="cvm",
        action="DescribeInstances",
        host="cvm.tencentcloudapi.com",
        payload=payload,
        timestamp_s=1551113065,
    )
    assert header == (
        f"TC3-HMAC-SHA256 Credential=AKID{'*' * 32}/2019-02-25/cvm/tc3_request, "
        "SignedHeaders=content-type;host;x-tc-action, "
        "Signature=10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"
    )


async def test_a_message_arrives(
    state: SandboxState, http: httpx2.AsyncClient, clock: Clock
) -> None:
    sms = adapter(state, http, clock)
    await sms.send("+8613800000001", "verification", PARAMS, "code-1")
    await sms.send("+447400123456", "verification", PARAMS, "k" * 600)
    response = await http.get(f"{state.public_url}/messages?to=+8613800000001")
    assert response.json() == {
        "messages": [
            {
                "channel": "sms",
                "to": "+8613800000001",
                "subject": "449739",
                "text": "123456 is your code, valid for 5 minutes.",
                "params": ["123456", "5"],
                "at": "2026-09-01T12:00:00+00:00",
                "html": None,
            }
        ]
    }
    every = await http.get(f"{state.public_url}/messages")
    assert [message["to"] for message in every.json()["messages"]] == [
        "+447400123456",
        "+8613800000001",
    ]


async def test_a_forged_signature_is_refused(
    state: SandboxState, http: httpx2.AsyncClient, clock: Clock
) -> None:
    sms = adapter(state, http, clock, secret_key="wrong")
    with pytest.raises(ProviderRefused) as refused:
        await sms.send("+8613800000001", "verification", PARAMS, "code-1")
    assert refused.value.code == "AuthFailure.SignatureFailure"
    assert state.inbox.to() == []


async def test_a_changed_body_or_action_is_refused(
    state: SandboxState, http: httpx2.AsyncClient, clock: Clock
) -> None:
    payload = json.dumps({"PhoneNumberSet": ["+8613800000001"]}).encode()
    url = httpx2.URL(f"{state.public_url}/tencent-sms/")
    timestamp_s = int(clock.seconds())
    headers = {
        "Authorization": sign(
            secret_id="AKIDsandbox",
            secret_key="sms-secret",
            service="sms",
            action="SendSms",
            host=url.netloc.decode(),
            payload=payload,
            timestamp_s=timestamp_s,
        ),
        "Content-Type": "application/json; charset=utf-8",
        "X-TC-Action": "SendSms",
        "X-TC-Version": "2021-01-11",
        "X-TC-Region": "ap-guangzhou",
        "X-TC-Timestamp": str(timestamp_s),
    }

    async def code(body: bytes, **changed: str) -> str:
        answer = await http.post(url, content=body, headers={**headers, **changed})
        return str(answer.json()["Response"]["Error"]["Code"])

    assert await code(payload) == "MissingParameter"  # signed well, SmsSdkAppId forgotten
    assert await code(payload + b" ") == "AuthFailure.SignatureFailure"
    assert await code(payload, **{"X-TC-Action": "Other"}) == "AuthFailure.SignatureFailure"
    assert await code(payload, Authorization="Bearer x") == "AuthFailure.InvalidAuthorization"


async def test_an_old_signature_is_refused(
    state: SandboxState, http: httpx2.AsyncClient, clock: Clock
) -> None:
    late = Clock(clock.now)
    late.advance(seconds=-301)
    with pytest.raises(ProviderRefused) as refused:
        await adapter(state, http, late).send("+8613800000001", "verification", PARAMS, "k")
    assert refused.value.code == "AuthFailure.SignatureExpire"


async def test_a_number_that_cannot_be_is_named(
    state: SandboxState, http: httpx2.AsyncClient, clock: Clock
) -> None:
    with pytest.raises(SmsNumberRefused) as refused:
        await adapter(state, http, clock).send("+861", "verification", PARAMS, "k")
    assert "+861" not in str(refused.value)


async def test_an_unapproved_template_is_refused(
    state: SandboxState, http: httpx2.AsyncClient, clock: Clock
) -> None:
    sms = adapter(state, http, clock, template_id="1")
    with pytest.raises(ProviderRefused) as refused:
        await sms.send("+8613800000001", "verification", PARAMS, "k")
    assert refused.value.code == "FailedOperation.TemplateIncorrectOrUnapproved"


async def test_limits_busy_and_timeouts_have_names(
    state: SandboxState, http: httpx2.AsyncClient, clock: Clock
) -> None:
    sms = adapter(state, http, clock)
    state.faults.order("sms", "limit", 1)
    with pytest.raises(ProviderLimitExceeded) as limited:
        await sms.send("+8613800000001", "verification", PARAMS, "k")
    assert limited.value.code == "LimitExceeded.PhoneNumberDailyLimit"
    for kind in ("busy", "500"):
        state.faults.order("sms", "busy" if kind == "busy" else "500", 1)
        with pytest.raises(ProviderUnavailable):
            await sms.send("+8613800000001", "verification", PARAMS, "k")
    state.faults.order("sms", "timeout", 1)
    async with create_http(timeout_s=0.1) as impatient:
        with pytest.raises(ProviderUnavailable, match="timeout"):
            await adapter(state, impatient, clock).send(
                "+8613800000001", "verification", PARAMS, "k"
            )
    assert state.inbox.to() == []
