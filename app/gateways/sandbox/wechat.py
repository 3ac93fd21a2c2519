"""WeChat's documented endpoints, answered for made-up people; the pages are named in the adapter.

Every answer is HTTP 200; errors carry `errcode` and `errmsg`.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import phonenumbers
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.gateways.sandbox.faults import FaultInjector
from app.gateways.sandbox.people import Person
from app.gateways.sandbox.state import (
    TOKEN_LIFETIME,
    CodeNotValidError,
    Codes,
    FaultKind,
    SandboxState,
    WeChatUser,
)
from app.gateways.sandbox.web import chooser, is_web_uri, json_object, redirect_back

RENEWAL_WINDOW = timedelta(minutes=5)
WEB_SCOPES = ("snsapi_base", "snsapi_userinfo")

ERRORS: Mapping[int, str] = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    41001: "access_token missing",
    42001: "access_token expired",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    48001: "api unauthorized",
}


class WeChatError(Exception):
    def __init__(self, errcode: int) -> None:
        super().__init__(errcode)
        self.errcode = errcode


def wechat_app(state: SandboxState) -> FaultInjector:
    """What stands at {sandbox}/wechat, for api.weixin.qq.com and open.weixin.qq.com alike."""
    endpoints = _Endpoints(state)
    app = Starlette(
        routes=[
            Route("/sns/jscode2session", endpoints.jscode2session),
            Route("/cgi-bin/stable_token", endpoints.stable_token, methods=["POST"]),
            Route(
                "/wxa/business/getuserphonenumber", endpoints.user_phone_number, methods=["POST"]
            ),
            Route("/connect/oauth2/authorize", endpoints.authorize),
            Route("/sns/oauth2/access_token", endpoints.web_access_token),
            Route("/sns/userinfo", endpoints.userinfo),
        ],
        exception_handlers={WeChatError: _answer_error},
    )
    return FaultInjector(app, state, "wechat", _refuse)


def wechat_user(person: Person, app_id: str) -> WeChatUser:
    return WeChatUser(
        app_id=app_id,
        openid=person.openid(app_id),
        unionid=person.unionid,
        phone=person.phone,
        name=person.name,
    )


class _Endpoints:
    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def jscode2session(self, request: Request) -> Response:
        query = request.query_params
        self._check_app(query.get("appid"), query.get("secret"))
        if query.get("grant_type") != "authorization_code":
            raise WeChatError(40002)
        user = _redeem(self._state.wechat_login_codes, query.get("js_code"), query.get("appid"))
        # A success carries no errcode, and the unionid only where there is one.
        return JSONResponse(
            {"session_key": secrets.token_urlsafe(16), "openid": user.openid, **_unionid(user)}
        )

    async def stable_token(self, request: Request) -> Response:
        self._state.calls["wechat.stable_token"] += 1
        body = await json_object(request)
        if body is None:
            raise WeChatError(47001)
        app_id = str(body.get("appid"))
        self._check_app(app_id, body.get("secret"))
        if body.get("grant_type") != "client_credential":
            raise WeChatError(40002)
        now = self._state.now()
        token, expires_at = self._state.wechat_current_tokens.get(app_id, ("", now))
        if body.get("force_refresh") is True or expires_at - now <= RENEWAL_WINDOW:
            token = self._state.wechat_access_tokens.issue(app_id)
            expires_at = now + TOKEN_LIFETIME
            self._state.wechat_current_tokens[app_id] = (token, expires_at)
        seconds = int((expires_at - now).total_seconds())
        return JSONResponse({"access_token": token, "expires_in": seconds})

    async def user_phone_number(self, request: Request) -> Response:
        token = request.query_params.get("access_token")
        if not token:
            raise WeChatError(41001)
        try:
            self._state.wechat_access_tokens.peek(token)
        except CodeNotValidError as error:
            raise WeChatError(42001 if error.reason == "expired" else 40001) from error
        body = await json_object(request) or {}
        try:
            user = self._state.wechat_phone_codes.redeem(str(body.get("code")))
        except CodeNotValidError as error:
            # The page gives one errcode for unknown, expired and used phone codes.
            raise WeChatError(40029) from error
        assert user.phone is not None  # phone codes are issued for people who have a number
        number = phonenumbers.parse(user.phone)
        national = phonenumbers.national_significant_number(number)
        abroad = number.country_code != 86
        info = {
            "phoneNumber": f"+{number.country_code}{national}" if abroad else national,
            "purePhoneNumber": national,
            "countryCode": str(number.country_code),
            "watermark": {
                "timestamp": int(self._state.now().timestamp()),
                # Not the caller's id: a code from another app shows here, as the page says.
                "appid": user.app_id,
            },
        }
        return JSONResponse({"errcode": 0, "errmsg": "ok", "phone_info": info})

    async def authorize(self, request: Request) -> Response:
        """The page WeChat shows; `?person=` answers it at once."""
        query = request.query_params
        app_id, redirect_uri = query.get("appid", ""), query.get("redirect_uri", "")
        scope = query.get("scope", "")
        if app_id not in self._state.wechat_apps:
            return PlainTextResponse("invalid appid", 400)
        if not is_web_uri(redirect_uri) or query.get("response_type") != "code":
            return PlainTextResponse("invalid redirect_uri or response_type", 400)
        if scope not in WEB_SCOPES:
            return PlainTextResponse("invalid scope", 400)
        directory = await self._state.directory()
        person = directory.person(query.get("person", ""))
        if person is None:
            return chooser("WeChat", request.url, directory.people, person="{key}")
        user = replace(wechat_user(person, app_id), scope=scope)
        code = self._state.wechat_web_codes.issue(user)
        return redirect_back(redirect_uri, {"code": code, "state": query.get("state", "")})

    async def web_access_token(self, request: Request) -> Response:
        query = request.query_params
        self._check_app(query.get("appid"), query.get("secret"))
        if query.get("grant_type") != "authorization_code":
            raise WeChatError(40002)
        user = _redeem(self._state.wechat_web_codes, query.get("code"), query.get("appid"))
        grant: dict[str, Any] = {
            "access_token": self._state.wechat_web_tokens.issue(user),
            "expires_in": 7200,
            "refresh_token": secrets.token_hex(16),
            "openid": user.openid,
            "scope": user.scope,
        }
        if user.is_snapshot:
            grant["is_snapshotuser"] = 1
        # The UnionID of a snsapi_userinfo grant is left to /sns/userinfo, as older accounts see it.
        return JSONResponse(grant)

    async def userinfo(self, request: Request) -> Response:
        query = request.query_params
        try:
            user = self._state.wechat_web_tokens.peek(query.get("access_token", ""))
        except CodeNotValidError as error:
            raise WeChatError(42001 if error.reason == "expired" else 40001) from error
        if query.get("openid") != user.openid:
            raise WeChatError(40003)
        if user.scope != "snsapi_userinfo":
            raise WeChatError(48001)
        profile = {"openid": user.openid, "nickname": user.name, "sex": 0, "privilege": []}
        return JSONResponse(profile | _unionid(user))

    def _check_app(self, app_id: object, secret: object) -> None:
        expected = self._state.wechat_apps.get(str(app_id))
        if expected is None:
            raise WeChatError(40013)
        if secret != expected:
            raise WeChatError(40125)


def _redeem(codes: Codes[WeChatUser], code: str | None, app_id: str | None) -> WeChatUser:
    try:
        if codes.peek(code or "").app_id != app_id:
            raise WeChatError(40029)
        return codes.redeem(code or "")
    except CodeNotValidError as error:
        raise WeChatError(40163 if error.reason == "used" else 40029) from error


def _unionid(user: WeChatUser) -> dict[str, str]:
    return {} if user.unionid is None else {"unionid": user.unionid}


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WeChatError)
    return _error(error.errcode)


def _refuse(kind: FaultKind) -> Response:
    return _error(45011 if kind == "limit" else -1)


def _error(errcode: int) -> Response:
    rid = secrets.token_hex(12)
    return JSONResponse({"errcode": errcode, "errmsg": f"{ERRORS[errcode]}, rid: {rid}"})
