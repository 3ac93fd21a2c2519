"""WeChat as its public documentation describes it: login, phone number, web OAuth (IDN-1, IDN-2).

Pages, under developers.weixin.qq.com: "code2Session", "getPhoneNumber" and
"getStableAccessToken" (/miniprogram/dev/OpenApiDoc/…), "Weixin web page authorization"
(/doc/service/guide/h5/auth.html) with "snsAccessToken" and "snsUserInfo". Errors come as HTTP
200 with an `errcode`.
"""

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

import httpx2
import phonenumbers

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import fetch_json
from app.gateways.wechat_tokens import TokenStore

PROVIDER = "wechat"
BUSY = -1

TOKEN_RENEWAL_MARGIN_S = 300
"""WeChat issues the next token in the last five minutes of the old one, and both work then."""
TOKEN_MIN_CACHE_S = 60
TOKEN_LEASE_S = 15
TOKEN_WAIT_STEP_S = 0.1
TOKEN_WAIT_STEPS = 100

STATE_MAX_LENGTH = 128

WebScope = Literal["snsapi_base", "snsapi_userinfo"]


@dataclass(frozen=True)
class WeChatApp:
    """A mini-program or an official account; the app id is the key it is registered under."""

    secret: str = field(repr=False)


@dataclass(frozen=True)
class WeChatSession:
    """Who signed in: the OpenID is per app, the UnionID joins the apps of one open platform."""

    openid: str
    unionid: str | None


class WeChatCodeRefused(ProviderRefused):
    """The code is unknown, expired (5 minutes), used, or another app's: get a new one."""


class WeChatUserBlocked(ProviderRefused):
    """WeChat holds this user for high-risk and blocks the login (40226)."""


class WeChatSnapshotUser(ProviderRefused):
    """The page was opened in snapshot mode: the OpenID belongs to a virtual account, to nobody.

    Signing it in would make a record of a person who does not exist (IDN-3); the page asks the
    user to leave snapshot mode ("use full service") first.
    """


class WeChatTokenRefused(ProviderRefused):
    """The access token is no longer valid even after it was renewed once."""


class WeChatAppUnknown(ProviderRefused):
    """No app with this id is configured here."""


REFUSALS: Mapping[object, type[ProviderRefused]] = {
    40001: WeChatTokenRefused,
    40014: WeChatTokenRefused,
    42001: WeChatTokenRefused,
    40029: WeChatCodeRefused,
    40163: WeChatCodeRefused,
    40226: WeChatUserBlocked,
    45009: ProviderLimitExceeded,
    45011: ProviderLimitExceeded,
}
"""The documented `errcode` values that mean more to a service than "no"."""


class WeChat:
    """All apps of the group behind one client; `http` is shared and not closed here."""

    def __init__(
        self,
        apps: Mapping[str, WeChatApp],
        http: httpx2.AsyncClient,
        tokens: TokenStore,
        *,
        base_url: str = "https://api.weixin.qq.com",
        open_base_url: str = "https://open.weixin.qq.com",
    ) -> None:
        self._apps = apps
        self._http = http
        self._tokens = tokens
        self._base_url = base_url.rstrip("/")
        self._open_base_url = open_base_url.rstrip("/")
        self._owner = secrets.token_hex(16)
        self._refreshing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def code_to_session(self, app_id: str, js_code: str) -> WeChatSession:
        """Exchange the code of wx.login; the session key is dropped here, nothing needs it.

        Raises WeChatCodeRefused, WeChatUserBlocked, ProviderLimitExceeded, ProviderRefused.
        """
        body = await self._call(
            "GET",
            "/sns/jscode2session",
            params={
                "appid": app_id,
                "secret": self._secret(app_id),
                "js_code": js_code,
                "grant_type": "authorization_code",
            },
        )
        return _session(body)

    async def phone_number(self, app_id: str, code: str) -> str:
        """The number WeChat has proven, as E.164, for the code of a getPhoneNumber button (IDN-2).

        Raises WeChatCodeRefused and ProviderRefused; a number that was made for another app
        (its watermark says so) is refused too.
        """
        path, content = "/wxa/business/getuserphonenumber", {"code": code}
        token = await self._access_token(app_id)
        try:
            body = await self._call("POST", path, {"access_token": token}, content)
        except WeChatTokenRefused:
            token = await self._access_token(app_id, refused=token)
            body = await self._call("POST", path, {"access_token": token}, content)
        info = body.get("phone_info")
        if not isinstance(info, dict) or not isinstance(info.get("watermark"), dict):
            raise ProviderUnavailable("no phone_info in the answer", provider=PROVIDER)
        if info["watermark"].get("appid") != app_id:
            raise ProviderRefused("watermark", "the code is another app's", provider=PROVIDER)
        return _e164(str(info.get("countryCode")), str(info.get("purePhoneNumber")))

    def web_authorize_url(
        self, app_id: str, redirect_uri: str, state: str, scope: WebScope = "snsapi_userinfo"
    ) -> str:
        """Where a page inside WeChat sends its user; the callback receives `code` and `state`.

        WeChat matches this URL against a pattern: the parameters stand in documented order and
        the fragment is required. `state` may hold letters and digits only.
        """
        assert app_id in self._apps
        assert state.isascii()
        assert state.isalnum()
        assert len(state) <= STATE_MAX_LENGTH
        return (
            f"{self._open_base_url}/connect/oauth2/authorize?appid={quote(app_id, safe='')}"
            f"&redirect_uri={quote(redirect_uri, safe='')}&response_type=code"
            f"&scope={scope}&state={state}#wechat_redirect"
        )

    async def web_code_to_identity(self, app_id: str, code: str) -> WeChatSession:
        """Exchange the code of a web authorization, with the UnionID where the scope allows it.

        Raises WeChatCodeRefused, WeChatSnapshotUser, ProviderLimitExceeded, ProviderRefused.
        """
        grant = await self._call(
            "GET",
            "/sns/oauth2/access_token",
            params={
                "appid": app_id,
                "secret": self._secret(app_id),
                "code": code,
                "grant_type": "authorization_code",
            },
        )
        if grant.get("is_snapshotuser") == 1:
            raise WeChatSnapshotUser("is_snapshotuser", "a virtual account", provider=PROVIDER)
        session = _session(grant)
        if session.unionid or "snsapi_userinfo" not in str(grant.get("scope")).split(","):
            return session
        params = {
            "access_token": str(grant.get("access_token")),
            "openid": session.openid,
            "lang": "zh_CN",
        }
        profile = _session(await self._call("GET", "/sns/userinfo", params))
        if profile.openid != session.openid:
            raise ProviderRefused("openid", "the profile is another user's", provider=PROVIDER)
        return profile

    def _secret(self, app_id: str) -> str:
        app = self._apps.get(app_id)
        if app is None:
            raise WeChatAppUnknown("app_id", "no such app is configured", provider=PROVIDER)
        return app.secret

    async def _access_token(self, app_id: str, *, refused: str | None = None) -> str:
        """The app's access token, fetched by one caller while all others wait for it.

        `refused` is a token WeChat no longer takes: whatever else the store holds is newer.
        """
        key, secret = f"wechat:{app_id}", self._secret(app_id)
        async with self._refreshing[app_id]:  # one task per process, so that only processes poll
            for _ in range(TOKEN_WAIT_STEPS):
                token = await self._tokens.get(key)
                if token is not None and token != refused:
                    return token
                if await self._tokens.try_lease(key, owner=self._owner, seconds=TOKEN_LEASE_S):
                    try:
                        return await self._renew_token(app_id, secret, key, refused)
                    finally:
                        await self._tokens.release(key, owner=self._owner)
                await asyncio.sleep(TOKEN_WAIT_STEP_S)
        raise ProviderUnavailable("another process is renewing the token", provider=PROVIDER)

    async def _renew_token(self, app_id: str, secret: str, key: str, refused: str | None) -> str:
        # Between the look into the store and the lease somebody may have finished renewing.
        token = await self._tokens.get(key)
        if token is not None and token != refused:
            return token
        # No force_refresh: it would invalidate the token that other servers of the group use,
        # and WeChat allows it twenty times a day. The normal mode returns the valid token.
        body = await self._call(
            "POST",
            "/cgi-bin/stable_token",
            content={
                "grant_type": "client_credential",
                "appid": app_id,
                "secret": secret,
            },
        )
        token, expires_in_s = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not isinstance(expires_in_s, int):
            raise ProviderUnavailable("no access_token in the answer", provider=PROVIDER)
        cache_s = max(expires_in_s - TOKEN_RENEWAL_MARGIN_S, TOKEN_MIN_CACHE_S)
        await self._tokens.put(key, token, expires_in_s=cache_s)
        return token

    async def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        content: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        answer = await fetch_json(
            self._http,
            method,
            self._base_url + path,
            provider=PROVIDER,
            params=params,
            content=json.dumps(content).encode() if content is not None else None,
            headers={"Content-Type": "application/json"} if content is not None else None,
        )
        _raise_for_errcode(answer.body)
        return answer.body


def _raise_for_errcode(body: Mapping[str, Any]) -> None:
    errcode = body.get("errcode", 0)
    if errcode == 0:
        return
    if errcode == BUSY:
        raise ProviderUnavailable("system busy", provider=PROVIDER)
    kind = REFUSALS.get(errcode, ProviderRefused)
    raise kind(str(errcode), str(body.get("errmsg", "")), provider=PROVIDER)


def _session(body: Mapping[str, Any]) -> WeChatSession:
    openid, unionid = body.get("openid"), body.get("unionid")
    if not isinstance(openid, str) or not openid:
        raise ProviderUnavailable("no openid in the answer", provider=PROVIDER)
    return WeChatSession(openid, unionid if isinstance(unionid, str) and unionid else None)


def _e164(country_code: str, national_number: str) -> str:
    try:
        number = phonenumbers.parse(f"+{country_code}{national_number}")
    except phonenumbers.NumberParseException as error:
        raise ProviderRefused("phone", "not a phone number", provider=PROVIDER) from error
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
