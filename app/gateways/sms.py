"""Text messages, and Tencent Cloud SMS as the provider that sends them (IDN-1, IDN-7).

Pages, under cloud.tencent.com: "SendSms" (/document/product/382/55981, API 2021-01-11) and
"Signature v3" (/document/api/382/52072, TC3-HMAC-SHA256).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx2

from app.core.clock import utc_now
from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import fetch_json

PROVIDER = "tencent_sms"
ALGORITHM = "TC3-HMAC-SHA256"
SERVICE, ACTION, VERSION = "sms", "SendSms", "2021-01-11"
CONTENT_TYPE = "application/json; charset=utf-8"
SIGNED_HEADERS = "content-type;host;x-tc-action"
SESSION_CONTEXT_MAX_BYTES = 512

NUMBER_REFUSALS = frozenset(
    {
        "FailedOperation.PhoneNumberInBlacklist",
        "InvalidParameterValue.IncorrectPhoneNumber",
        "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber",
        "UnsupportedOperation.UnsupportedRegion",
    }
)


class SmsGateway(Protocol):
    async def send(
        self, phone_e164: str, template: str, params: Mapping[str, str], dedup_key: str
    ) -> None:
        """Send the named template; returns when the provider has accepted it.

        `dedup_key` names the message for good, for gateways that can drop a repeated one.
        Raises ProviderUnavailable, ProviderLimitExceeded, SmsNumberRefused, ProviderRefused.
        """


class SmsNumberRefused(ProviderRefused):
    """This number cannot receive messages: no such number, opted out, or an unserved region."""


@dataclass(frozen=True)
class TencentTemplate:
    """An approved template; its placeholders {1}, {2} … are filled from `params` in this order."""

    template_id: str
    params: tuple[str, ...] = ()


@dataclass(frozen=True)
class TencentSmsConfig:
    secret_id: str
    secret_key: str = field(repr=False)
    sdk_app_id: str
    sign_name: str
    templates: Mapping[str, TencentTemplate]
    region: str = "ap-guangzhou"
    base_url: str = "https://sms.tencentcloudapi.com"


class TencentSms:
    """Tencent Cloud SMS; `http` is shared and not closed here."""

    def __init__(
        self,
        config: TencentSmsConfig,
        http: httpx2.AsyncClient,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._config = config
        self._http = http
        self._clock = clock
        self._url = httpx2.URL(config.base_url.rstrip("/") + "/")

    async def send(
        self, phone_e164: str, template: str, params: Mapping[str, str], dedup_key: str
    ) -> None:
        """SendSms to one number. The API has no idempotency key, so a call repeated after
        ProviderUnavailable can send twice; `dedup_key` goes along as SessionContext, which
        delivery reports and the provider's log repeat.
        """
        approved = self._config.templates[template]
        payload = json.dumps(
            {
                "PhoneNumberSet": [phone_e164],
                "SmsSdkAppId": self._config.sdk_app_id,
                "SignName": self._config.sign_name,
                "TemplateId": approved.template_id,
                "TemplateParamSet": [params[name] for name in approved.params],
                "SessionContext": _shortened(dedup_key),
            }
        ).encode()
        answer = await fetch_json(
            self._http,
            "POST",
            str(self._url),
            provider=PROVIDER,
            content=payload,
            headers=self._headers(payload),
        )
        _raise_for_refusal(answer.body.get("Response"))

    def _headers(self, payload: bytes) -> dict[str, str]:
        at = int(self._clock().timestamp())
        return {
            "Authorization": sign(
                secret_id=self._config.secret_id,
                secret_key=self._config.secret_key,
                service=SERVICE,
                action=ACTION,
                host=self._url.netloc.decode(),
                payload=payload,
                timestamp_s=at,
            ),
            "Content-Type": CONTENT_TYPE,
            "X-TC-Action": ACTION,
            "X-TC-Version": VERSION,
            "X-TC-Timestamp": str(at),
            "X-TC-Region": self._config.region,
        }


def sign(
    *,
    secret_id: str,
    secret_key: str,
    service: str,
    action: str,
    host: str,
    payload: bytes,
    timestamp_s: int,
) -> str:
    """The Authorization header of a POST, by the four steps of the page "Signature v3"."""
    canonical_request = (
        # API 3.0 fixes the URI to "/" and, for POST, the query string to nothing.
        f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-tc-action:{action.lower()}\n\n"
        f"{SIGNED_HEADERS}\n{hashlib.sha256(payload).hexdigest()}"
    )
    date = datetime.fromtimestamp(timestamp_s, UTC).strftime("%Y-%m-%d")
    scope = f"{date}/{service}/tc3_request"
    hashed_request = hashlib.sha256(canonical_request.encode()).hexdigest()
    string_to_sign = f"{ALGORITHM}\n{timestamp_s}\n{scope}\n{hashed_request}"
    key = f"TC3{secret_key}".encode()
    for part in (date, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, string_to_sign.encode(), "sha256").hex()
    return (
        f"{ALGORITHM} Credential={secret_id}/{scope}, "
        f"SignedHeaders={SIGNED_HEADERS}, Signature={signature}"
    )


def _shortened(dedup_key: str) -> str:
    encoded = dedup_key.encode()
    if len(encoded) <= SESSION_CONTEXT_MAX_BYTES:
        return dedup_key
    return hashlib.sha256(encoded).hexdigest()


def _raise_for_refusal(response: Any) -> None:
    """An Error refuses the request; otherwise each number has its status, and we sent one."""
    if not isinstance(response, dict):
        raise ProviderUnavailable("no Response in the answer", provider=PROVIDER)
    statuses = response.get("SendStatusSet")
    first = statuses[0] if isinstance(statuses, list) and statuses else None
    status = response.get("Error") or first
    if not isinstance(status, dict):
        raise ProviderUnavailable("no SendStatusSet in the answer", provider=PROVIDER)
    code, message = str(status.get("Code")), str(status.get("Message", ""))
    if code == "Ok":
        return
    if code.startswith("InternalError"):
        raise ProviderUnavailable(code, provider=PROVIDER)
    kind = ProviderRefused
    if code.startswith(("LimitExceeded.", "RequestLimitExceeded")):
        kind = ProviderLimitExceeded
    elif code in NUMBER_REFUSALS:
        kind = SmsNumberRefused
    raise kind(code, message, provider=PROVIDER)
