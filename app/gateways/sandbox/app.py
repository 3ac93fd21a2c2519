"""The sandbox as one Starlette app: the providers below it, and helpers for testers beside them."""

from dataclasses import asdict
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from app.gateways.sandbox.oidc import OidcSandbox
from app.gateways.sandbox.pay import pay_app
from app.gateways.sandbox.payment_helpers import payment_helpers
from app.gateways.sandbox.people import Directory, PartnerLogin, Person, StaffLogin, totp_code
from app.gateways.sandbox.state import (
    FAULT_KINDS,
    MAX_FAULT_TIMES,
    PROVIDERS,
    FaultKind,
    Provider,
    SandboxState,
    WeChatUser,
)
from app.gateways.sandbox.stripe import stripe_app
from app.gateways.sandbox.students import students_app
from app.gateways.sandbox.tencent_sms import tencent_sms_app
from app.gateways.sandbox.web import json_object
from app.gateways.sandbox.wechat import wechat_app, wechat_user
from app.gateways.sandbox.wechat_pay import wechat_pay_app

NO_STORE = {"Cache-Control": "no-store"}


class SandboxInProductionError(Exception):
    """The sandbox lets anybody be anybody; it does not start where members are real."""


def create_sandbox(state: SandboxState, *, production: bool) -> Starlette:
    """To be mounted at the path of `state.public_url`, or to be served alone.

    Providers: {public_url}/wechat, /tencent-sms, /oidc, /wechat-pay, /stripe, /pay,
    /students; mail has `smtp.start_smtp`.
    Raises SandboxInProductionError.
    """
    if production:
        raise SandboxInProductionError("the sandbox of outside providers is for demo and tests")
    oidc = OidcSandbox(state)
    helpers = _Helpers(state, oidc)
    return Starlette(
        routes=[
            Route("/people", helpers.people),
            Route("/messages", helpers.messages),
            Route("/faults", helpers.faults, methods=["POST"]),
            Route("/wechat/codes", helpers.wechat_codes, methods=["POST"]),
            Route("/oidc/rotate", helpers.rotate, methods=["POST"]),
            *payment_helpers(state),
            Mount("/wechat", wechat_app(state)),
            Mount("/tencent-sms", tencent_sms_app(state)),
            Mount("/oidc", oidc.app()),
            Mount("/wechat-pay", wechat_pay_app(state)),
            Mount("/stripe", stripe_app(state)),
            Mount("/pay", pay_app(state)),
            Mount("/students", students_app(state)),
        ]
    )


class _Helpers:
    def __init__(self, state: SandboxState, oidc: OidcSandbox) -> None:
        self._state = state
        self._oidc = oidc

    async def people(self, request: Request) -> Response:
        """Everybody a tester can sign in as, with fresh codes on every call."""
        directory: Directory = await self._state.directory()
        return JSONResponse(
            {
                "members": [self._person(person) for person in directory.people],
                "staff": [self._staff(staff) for staff in directory.staff],
                "partners": [_partner(partner) for partner in directory.partners],
            },
            headers=NO_STORE,
        )

    def _person(self, person: Person) -> dict[str, Any]:
        app_id = next(iter(self._state.wechat_apps), None)
        wechat = None if app_id is None else self._codes(wechat_user(person, app_id))
        return {
            "person": person.key,
            "name": person.name,
            "phone": person.phone,
            "email": person.email,
            "wechat": wechat,
            "oidc": {"loginHint": person.key},
        }

    def _staff(self, staff: StaffLogin) -> dict[str, Any]:
        secret = staff.totp_secret
        return {
            "name": staff.name,
            "email": staff.email,
            "password": staff.password,
            "totpSecret": secret,
            "totpCode": None if secret is None else totp_code(secret, self._state.now()),
        }

    def _codes(self, user: WeChatUser) -> dict[str, str | None]:
        phone_code = self._state.wechat_phone_codes.issue(user) if user.phone else None
        return {
            "appId": user.app_id,
            "openid": user.openid,
            "unionid": user.unionid,
            "jsCode": self._state.wechat_login_codes.issue(user),
            "phoneCode": phone_code,
        }

    async def wechat_codes(self, request: Request) -> Response:
        """What wx.login and a phone-number button would give, for a person or for any OpenID.

        Body: {person | openid, appId?, unionid?, phone?}; `code` and `jsCode` are the same.
        """
        body = await json_object(request) or {}
        given = {name: value for name, value in body.items() if isinstance(value, str)}
        app_id = given.get("appId", next(iter(self._state.wechat_apps), ""))
        if app_id not in self._state.wechat_apps:
            return _bad_request("appId")
        person = (await self._state.directory()).person(given.get("person", ""))
        if person is not None:
            user = wechat_user(person, app_id)
        elif given.get("openid"):
            user = WeChatUser(app_id, given["openid"], given.get("unionid"), given.get("phone"))
        else:
            return _bad_request("person or openid")
        codes = self._codes(user)
        return JSONResponse({"code": codes["jsCode"], **codes}, headers=NO_STORE)

    async def messages(self, request: Request) -> Response:
        """Newest first, all or those to one address: ?to=+8613800000000 or ?to=a@b.example."""
        to = request.query_params.get("to")
        # A "+" typed into an address bar arrives as a space, and no address contains one.
        found = self._state.inbox.to(None if to is None else to.replace(" ", "+"))
        messages = [asdict(message) | {"at": message.at.isoformat()} for message in found]
        return JSONResponse({"messages": messages}, headers=NO_STORE)

    async def faults(self, request: Request) -> Response:
        """Make the next calls fail: {provider, kind: busy|timeout|500|limit, times}."""
        body = await json_object(request) or {}
        provider, kind, times = body.get("provider"), body.get("kind"), body.get("times", 1)
        if provider not in PROVIDERS:
            return _bad_request("provider")
        if kind not in FAULT_KINDS:
            return _bad_request("kind")
        if type(times) is not int or not 0 <= times <= MAX_FAULT_TIMES:
            return _bad_request("times")
        self._state.faults.order(cast(Provider, provider), cast(FaultKind, kind), times)
        return JSONResponse({"provider": provider, "kind": kind, "times": times})

    async def rotate(self, request: Request) -> Response:
        """New signing keys of the OIDC provider; {"forgetOld": true} drops the old ones."""
        body = await json_object(request) or {}
        self._oidc.rotate(forget_old=body.get("forgetOld") is True)
        return JSONResponse({"issuer": self._oidc.issuer})


def _partner(partner: PartnerLogin) -> dict[str, Any]:
    return {
        "name": partner.name,
        "clientId": partner.client_id,
        "clientSecret": partner.client_secret,
        "scopes": list(partner.scopes),
    }


def _bad_request(what: str) -> Response:
    return JSONResponse({"error": f"missing or not valid: {what}"}, 400)
