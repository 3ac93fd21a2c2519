"""The sandbox's own promises: refuses production, gives working codes, stays bounded."""

from datetime import UTC, datetime

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from app.gateways.sandbox import (
    Directory,
    Person,
    SandboxInProductionError,
    SandboxState,
    create_sandbox,
)
from app.gateways.sandbox import state as sandbox_state
from app.gateways.sandbox.people import totp_code
from app.gateways.sandbox.state import Message
from tests.gateways.conftest import MINI_PROGRAM, Clock

pytestmark = pytest.mark.anyio


def test_it_does_not_start_in_production() -> None:
    with pytest.raises(SandboxInProductionError):
        create_sandbox(SandboxState(public_url="https://regulars.example"), production=True)


async def test_people_carry_fresh_codes_that_work_once(
    state: SandboxState, http: httpx2.AsyncClient
) -> None:
    first = (await http.get(f"{state.public_url}/people")).json()
    second = (await http.get(f"{state.public_url}/people")).json()
    anna = first["members"][0]
    assert (anna["name"], anna["phone"]) == ("Anna <Li>", "+8613800000001")
    assert (anna["wechat"]["appId"], anna["wechat"]["openid"]) == (MINI_PROGRAM, "oANNA")
    assert anna["oidc"] == {"loginHint": "anna"}
    assert anna["wechat"]["jsCode"] != second["members"][0]["wechat"]["jsCode"]
    query = {
        "appid": MINI_PROGRAM,
        "secret": "mini-secret",
        "js_code": anna["wechat"]["jsCode"],
        "grant_type": "authorization_code",
    }
    url = f"{state.public_url}/wechat/sns/jscode2session"
    session = (await http.get(url, params=query)).json()
    assert (session["openid"], session["unionid"]) == ("oANNA", "uANNA")
    assert (await http.get(url, params=query)).json()["errcode"] == 40163
    assert [staff["totpCode"] is None for staff in first["staff"]] == [False, True]
    assert first["partners"] == [
        {
            "name": "POS",
            "clientId": "pos-1",
            "clientSecret": "pos-secret",
            "scopes": ["members:read"],
        }
    ]


def test_totp_codes_are_those_of_rfc_6238() -> None:
    # Appendix B, SHA-1: 94287082 at 59 s and 07081804 at 1111111109 s, the last six digits.
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert totp_code(secret, datetime.fromtimestamp(59, UTC)) == "287082"
    assert totp_code(secret.lower(), datetime.fromtimestamp(1111111109, UTC)) == "081804"


def test_it_can_be_mounted_and_asks_for_people_when_they_are_needed() -> None:
    async def directory() -> Directory:
        return Directory(people=[Person("cleo", "Cleo")])

    state = SandboxState(public_url="http://testserver/sandbox", people=directory)
    app = Starlette(routes=[Mount("/sandbox", create_sandbox(state, production=False))])
    with TestClient(app) as client:
        people = client.get("/sandbox/people").json()["members"]
        assert [(person["name"], person["wechat"]) for person in people] == [("Cleo", None)]
        discovery = client.get("/sandbox/oidc/.well-known/openid-configuration").json()
        assert discovery["issuer"] == "http://testserver/sandbox/oidc"
        jwks = client.get("/sandbox/oidc/jwks").json()
        assert [key["alg"] for key in jwks["keys"]] == ["RS256", "ES256"]
        assert not any("d" in key for key in jwks["keys"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"provider": "nobody", "kind": "busy", "times": 1}),
        ("/faults", {"provider": "wechat", "kind": "flood", "times": 1}),
        ("/faults", {"provider": "wechat", "kind": "busy", "times": 1001}),
        ("/faults", {"provider": "wechat", "kind": "busy", "times": True}),
        ("/faults", {"provider": ["wechat"], "kind": {}, "times": None}),
        ("/wechat/codes", {}),
        ("/wechat/codes", {"person": "nobody"}),
        ("/wechat/codes", {"person": "anna", "appId": "wx-other"}),
        ("/wechat/codes", {"openid": 7}),
    ],
)
async def test_helpers_say_what_they_do_not_understand(
    state: SandboxState, http: httpx2.AsyncClient, path: str, body: object
) -> None:
    assert (await http.post(state.public_url + path, json=body)).status_code == 400


def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_state, "MAX_CODES", 3)
    state = SandboxState(public_url="http://127.0.0.1", clock=clock)
    codes = [state.wechat_access_tokens.issue(str(number)) for number in range(4)]
    with pytest.raises(sandbox_state.CodeNotValidError, match="unknown"):
        state.wechat_access_tokens.peek(codes[0])
    assert state.wechat_access_tokens.peek(codes[3]) == "3"
    for number in range(sandbox_state.MAX_MESSAGES + 1):
        state.inbox.add(Message("mail", "a@b.example", str(number), "", (), clock.now))
    assert len(state.inbox.to()) == sandbox_state.MAX_MESSAGES
    assert state.inbox.to()[0].subject == str(sandbox_state.MAX_MESSAGES)
