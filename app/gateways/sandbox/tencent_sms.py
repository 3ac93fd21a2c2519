"""Tencent Cloud's SendSms, with its signature checked; the pages are named in the adapter.

The check is derived from the page "Signature v3" on its own, from the request as it arrived, and
shares no code with the adapter: an error in one of the two does not hide in the other.
"""

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import phonenumbers
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.gateways.sandbox.faults import FaultInjector
from app.gateways.sandbox.state import FaultKind, Message, SandboxState
from app.gateways.sandbox.web import MAX_BODY_BYTES

AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<scope>(?P<date>[\d-]{10})/sms/tc3_request), "
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
REQUIRED_HEADERS = {"content-type", "host"}
CLOCK_WINDOW_S = 300


class TencentError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


def tencent_sms_app(state: SandboxState) -> FaultInjector:
    """What stands at {sandbox}/tencent-sms, for sms.tencentcloudapi.com."""

    async def endpoint(request: Request) -> Response:
        payload = await request.body()
        if len(payload) > MAX_BODY_BYTES:
            raise TencentError("RequestSizeLimitExceeded", "Request size exceeds the limit.")
        _check_signature(state, request, payload)
        _check_action(request)
        try:
            body = json.loads(payload)
        except ValueError as error:
            raise TencentError("InvalidParameter", "The body is not JSON.") from error
        if not isinstance(body, dict):
            raise TencentError("InvalidParameter", "The body is not an object.")
        return _answer(_send_sms(state, body))

    app = Starlette(
        routes=[Route("/", endpoint, methods=["POST"])],
        exception_handlers={TencentError: _answer_error},
    )
    return FaultInjector(app, state, "sms", _refuse)


def _check_signature(state: SandboxState, request: Request, payload: bytes) -> None:
    parts = AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    stamp = request.headers.get("x-tc-timestamp", "")
    if parts is None or not stamp.isdecimal():
        raise TencentError("AuthFailure.InvalidAuthorization", "Authorization is malformed.")
    now_s = state.now().timestamp()
    date = datetime.fromtimestamp(int(stamp), UTC).date().isoformat()
    if abs(now_s - int(stamp)) > CLOCK_WINDOW_S or date != parts["date"]:
        raise TencentError("AuthFailure.SignatureExpire", "The signature has expired.")
    secret_key = state.sms_credentials.get(parts["id"])
    if secret_key is None:
        raise TencentError("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    names = parts["headers"].split(";")
    canonical_headers = [
        f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in names
    ]
    canonical = [
        request.method,
        "/",  # whatever the prefix: CanonicalURI is fixed in API 3.0
        "",
        "".join(canonical_headers),
        parts["headers"],
        hashlib.sha256(payload).hexdigest(),
    ]
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["TC3-HMAC-SHA256", stamp, parts["scope"], hashed])
    date_key = hmac.digest(b"TC3" + secret_key.encode(), parts["date"].encode(), "sha256")
    service_key = hmac.digest(date_key, b"sms", "sha256")
    signing_key = hmac.digest(service_key, b"tc3_request", "sha256")
    expected = hmac.digest(signing_key, text.encode(), "sha256").hex()
    covered = names == sorted(names) and set(names) >= REQUIRED_HEADERS
    if not covered or not hmac.compare_digest(expected, parts["signature"]):
        raise TencentError(
            "AuthFailure.SignatureFailure",
            "The provided credentials could not be validated. "
            "Please check your signature is correct.",
        )


def _check_action(request: Request) -> None:
    if request.headers.get("x-tc-action") != "SendSms":
        raise TencentError("InvalidAction", "The action is invalid.")
    if request.headers.get("x-tc-version") != "2021-01-11":
        raise TencentError("NoSuchVersion", "The version is not found.")
    if not request.headers.get("x-tc-region"):
        raise TencentError("MissingParameter", "X-TC-Region is missing.")


def _send_sms(state: SandboxState, body: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("PhoneNumberSet", "SmsSdkAppId", "TemplateId"):
        if not body.get(name):
            raise TencentError("MissingParameter", f"{name} is missing.")
    if body["SmsSdkAppId"] != state.sms_sdk_app_id:
        raise TencentError(
            "UnauthorizedOperation.SmsSdkAppIdVerifyFail", "SmsSdkAppId verification failed."
        )
    context = str(body.get("SessionContext", ""))
    params = tuple(str(param) for param in body.get("TemplateParamSet", ()))
    statuses = [
        _send_one(state, str(number), str(body["TemplateId"]), params, context)
        for number in body["PhoneNumberSet"][:200]
    ]
    return {"SendStatusSet": statuses}


def _send_one(
    state: SandboxState, number: str, template_id: str, params: tuple[str, ...], context: str
) -> dict[str, Any]:
    template = state.sms_templates.get(template_id)
    if not _is_e164(number):
        code, message = "InvalidParameterValue.IncorrectPhoneNumber", "incorrect mobile number"
    elif template is None and state.sms_templates:
        code = "FailedOperation.TemplateIncorrectOrUnapproved"
        message = "the template is not approved or its content does not match"
    else:
        code, message = "Ok", "send success"
        text = template if template is not None else " ".join(params)
        for position, param in enumerate(params, start=1):
            text = text.replace(f"{{{position}}}", param)
        state.inbox.add(
            Message(
                channel="sms",
                to=number,
                subject=template_id,
                text=text,
                params=params,
                at=state.now(),
            )
        )
    return _status(code, message, number, context)


def _status(code: str, message: str, number: str = "", context: str = "") -> dict[str, Any]:
    return {
        "SerialNo": uuid.uuid4().hex if code == "Ok" else "",
        "PhoneNumber": number,
        "Fee": 1 if code == "Ok" else 0,
        "SessionContext": context,
        "Code": code,
        "Message": message,
        "IsoCode": "CN" if number.startswith("+86") else "",
    }


def _is_e164(number: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TencentError)
    return _answer({"Error": {"Code": error.code, "Message": error.message}})


def _refuse(kind: FaultKind) -> Response:
    if kind == "limit":
        code = "LimitExceeded.PhoneNumberDailyLimit"
        message = "the number of sms messages sent to a single number every day exceeds the limit"
        return _answer({"SendStatusSet": [_status(code, message)]})
    error = {"Code": "InternalError", "Message": "An internal error has occurred."}
    return _answer({"Error": error})


def _answer(response: Mapping[str, Any]) -> Response:
    return JSONResponse({"Response": {**response, "RequestId": str(uuid.uuid4())}})
