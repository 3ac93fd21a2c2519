"""IDN-1, IDN-2: the WeChat adapter against the sandbox, over HTTP."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from app.gateways.errors import ProviderLimitExceeded, ProviderRefused, ProviderUnavailable
from app.gateways.http import create_http
from app.gateways.sandbox import SandboxState
from app.gateways.sandbox.state import FaultKind
from app.gateways.sandbox.wechat import wechat_user
from app.gateways.wechat import (
    WebScope,
    WeChat,
    WeChatApp,
    WeChatAppUnknown,
    WeChatCodeRefused,
    WeChatSession,
    WeChatSnapshotUser,
    WeChatTokenRefused,
    WeChatUserBlocked,
)
from app.gateways.wechat_tokens import MemoryTokenStore
from tests.gateways.conftest import (
    ANNA,
    BEN,
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    REDIRECT_URI,
    Clock,
    browse,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def tokens(clock: Clock) -> MemoryTokenStore:
    return MemoryTokenStore(clock.seconds)


@pytest.fixture
def wechat(state: SandboxState, http: httpx2.AsyncClient, tokens: MemoryTokenStore) -> WeChat:
    return adapter(state, http, tokens)


def adapter(
    state: SandboxState,
    http: httpx2.AsyncClient,
    tokens: MemoryTokenStore,
    secret: str = "mini-secret",
) -> WeChat:
    apps = {MINI_PROGRAM: WeChatApp(secret), OFFICIAL_ACCOUNT: WeChatApp("official-secret")}
    base_url = f"{state.public_url}/wechat"
    return WeChat(apps, http, tokens, base_url=base_url, open_base_url=base_url)


async def codes(http: httpx2.AsyncClient, state: SandboxState, **body: str) -> dict[str, str]:
    response = await http.post(f"{state.public_url}/wechat/codes", json=body)
    assert response.status_code == 200
    answer: dict[str, str] = response.json()
    return answer


class TestCodeToSession:
    async def test_gives_openid_and_unionid(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat
    ) -> None:
        code = (await codes(http, state, person="anna"))["code"]
        assert await wechat.code_to_session(MINI_PROGRAM, code) == WeChatSession("oANNA", "uANNA")

    async def test_gives_no_unionid_where_wechat_has_none(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat
    ) -> None:
        code = (await codes(http, state, openid="oSTRANGER"))["code"]
        session = await wechat.code_to_session(MINI_PROGRAM, code)
        assert session == WeChatSession("oSTRANGER", None)

    async def test_a_code_works_once(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat
    ) -> None:
        code = (await codes(http, state, person="anna"))["code"]
        await wechat.code_to_session(MINI_PROGRAM, code)
        with pytest.raises(WeChatCodeRefused) as refused:
            await wechat.code_to_session(MINI_PROGRAM, code)
        assert refused.value.code == "40163"
        assert str(refused.value) == "wechat refused: 40163"

    async def test_a_code_lives_five_minutes(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat, clock: Clock
    ) -> None:
        first = (await codes(http, state, person="anna"))["code"]
        second = (await codes(http, state, person="anna"))["code"]
        clock.advance(seconds=299)
        await wechat.code_to_session(MINI_PROGRAM, first)
        clock.advance(seconds=1)
        with pytest.raises(WeChatCodeRefused) as refused:
            await wechat.code_to_session(MINI_PROGRAM, second)
        assert refused.value.code == "40029"

    async def test_another_apps_code_is_refused_and_stays_good_for_its_own(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat
    ) -> None:
        code = (await codes(http, state, person="anna"))["code"]
        with pytest.raises(WeChatCodeRefused):
            await wechat.code_to_session(OFFICIAL_ACCOUNT, code)
        assert (await wechat.code_to_session(MINI_PROGRAM, code)).openid == "oANNA"

    async def test_a_wrong_secret_is_our_mistake_and_not_the_users(
        self, state: SandboxState, http: httpx2.AsyncClient, tokens: MemoryTokenStore
    ) -> None:
        wechat = adapter(state, http, tokens, secret="wrong")
        with pytest.raises(ProviderRefused) as refused:
            await wechat.code_to_session(MINI_PROGRAM, "any")
        assert (type(refused.value), refused.value.code) == (ProviderRefused, "40125")

    async def test_an_unknown_app_is_refused_without_a_call(self, wechat: WeChat) -> None:
        with pytest.raises(WeChatAppUnknown):
            await wechat.code_to_session("wx-other", "any")
        with pytest.raises(WeChatAppUnknown):
            await wechat.phone_number("wx-other", "any")

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("busy", ProviderUnavailable),
            ("500", ProviderUnavailable),
            ("limit", ProviderLimitExceeded),
        ],
    )
    async def test_failures_of_wechat_have_names_and_pass(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        wechat: WeChat,
        kind: FaultKind,
        expected: type[Exception],
    ) -> None:
        code = (await codes(http, state, person="anna"))["code"]
        order = {"provider": "wechat", "kind": kind, "times": 1}
        await http.post(f"{state.public_url}/faults", json=order)
        with pytest.raises(expected):
            await wechat.code_to_session(MINI_PROGRAM, code)
        assert (await wechat.code_to_session(MINI_PROGRAM, code)).openid == "oANNA"

    async def test_a_timeout_is_unavailability(
        self, state: SandboxState, tokens: MemoryTokenStore
    ) -> None:
        state.faults.order("wechat", "timeout", 1)
        async with create_http(timeout_s=0.1) as impatient:
            wechat = adapter(state, impatient, tokens)
            with pytest.raises(ProviderUnavailable, match="wechat: timeout"):
                await wechat.code_to_session(MINI_PROGRAM, "any")

    async def test_a_closed_port_is_unavailability(
        self, http: httpx2.AsyncClient, tokens: MemoryTokenStore
    ) -> None:
        apps = {MINI_PROGRAM: WeChatApp("s")}
        wechat = WeChat(apps, http, tokens, base_url="http://127.0.0.1:9")
        with pytest.raises(ProviderUnavailable, match="ConnectError"):
            await wechat.code_to_session(MINI_PROGRAM, "any")

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({"errcode": 40226, "errmsg": "code blocked"}, WeChatUserBlocked),
            ({"errcode": 45009, "errmsg": "reach max api daily quota"}, ProviderLimitExceeded),
            ({"errcode": 99999, "errmsg": "new"}, ProviderRefused),
            ({"session_key": "s"}, ProviderUnavailable),
        ],
    )
    async def test_answers_the_sandbox_does_not_give_have_names_too(
        self, tokens: MemoryTokenStore, answer: dict[str, object], expected: type[Exception]
    ) -> None:
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=answer))
        async with httpx2.AsyncClient(transport=transport) as http:
            wechat = WeChat({MINI_PROGRAM: WeChatApp("s")}, http, tokens)
            with pytest.raises(expected) as raised:
                await wechat.code_to_session(MINI_PROGRAM, "any")
        assert type(raised.value) is expected


class TestPhoneNumber:
    @pytest.mark.parametrize(
        ("person", "phone"), [("anna", "+8613800000001"), ("ben", "+447400123456")]
    )
    async def test_gives_e164(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat, person: str, phone: str
    ) -> None:
        code = (await codes(http, state, person=person))["phoneCode"]
        assert await wechat.phone_number(MINI_PROGRAM, code) == phone

    async def test_a_code_works_once(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat
    ) -> None:
        code = (await codes(http, state, person="anna"))["phoneCode"]
        await wechat.phone_number(MINI_PROGRAM, code)
        with pytest.raises(WeChatCodeRefused):
            await wechat.phone_number(MINI_PROGRAM, code)

    async def test_a_login_code_proves_no_phone(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat
    ) -> None:
        code = (await codes(http, state, person="anna"))["jsCode"]
        with pytest.raises(WeChatCodeRefused):
            await wechat.phone_number(MINI_PROGRAM, code)

    async def test_another_apps_watermark_is_refused(
        self, state: SandboxState, wechat: WeChat
    ) -> None:
        code = state.wechat_phone_codes.issue(wechat_user(BEN, OFFICIAL_ACCOUNT))
        with pytest.raises(ProviderRefused) as refused:
            await wechat.phone_number(MINI_PROGRAM, code)
        assert refused.value.code == "watermark"


class TestAccessToken:
    async def test_twenty_calls_on_two_servers_fetch_it_once(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        tokens: MemoryTokenStore,
    ) -> None:
        servers = [adapter(state, http, tokens), adapter(state, http, tokens)]
        users = [wechat_user(BEN, MINI_PROGRAM) for _ in range(20)]
        phones = await asyncio.gather(
            *(
                servers[number % 2].phone_number(MINI_PROGRAM, state.wechat_phone_codes.issue(user))
                for number, user in enumerate(users)
            )
        )
        assert phones == ["+447400123456"] * 20
        assert state.calls["wechat.stable_token"] == 1

    async def test_a_revoked_token_is_renewed_once_for_everybody(
        self, state: SandboxState, http: httpx2.AsyncClient, wechat: WeChat
    ) -> None:
        user = wechat_user(ANNA, MINI_PROGRAM)
        await wechat.phone_number(MINI_PROGRAM, state.wechat_phone_codes.issue(user))
        state.wechat_access_tokens.revoke_all()
        state.wechat_current_tokens.clear()
        phones = await asyncio.gather(
            *(
                wechat.phone_number(MINI_PROGRAM, state.wechat_phone_codes.issue(user))
                for _ in range(20)
            )
        )
        assert phones == ["+8613800000001"] * 20
        assert state.calls["wechat.stable_token"] == 2

    async def test_a_token_refused_after_renewal_is_an_error_and_no_loop(
        self, state: SandboxState, wechat: WeChat, tokens: MemoryTokenStore
    ) -> None:
        await tokens.put(f"wechat:{MINI_PROGRAM}", "made-up", expires_in_s=60)
        state.wechat_current_tokens[MINI_PROGRAM] = ("also-made-up", state.now().replace(year=2027))
        with pytest.raises(WeChatTokenRefused):
            await wechat.phone_number(MINI_PROGRAM, "any")
        assert state.calls["wechat.stable_token"] == 1

    async def test_it_is_renewed_five_minutes_before_it_ends(
        self, state: SandboxState, wechat: WeChat, clock: Clock
    ) -> None:
        user = wechat_user(ANNA, MINI_PROGRAM)
        for minutes, fetches in ((0, 1), (114, 1), (1, 2)):
            clock.advance(minutes=minutes)
            await wechat.phone_number(MINI_PROGRAM, state.wechat_phone_codes.issue(user))
            assert state.calls["wechat.stable_token"] == fetches

    async def test_a_server_that_died_while_renewing_blocks_nobody_for_long(
        self, state: SandboxState, wechat: WeChat, tokens: MemoryTokenStore, clock: Clock
    ) -> None:
        key = f"wechat:{MINI_PROGRAM}"
        assert await tokens.try_lease(key, owner="dead", seconds=15)
        assert not await tokens.try_lease(key, owner="other", seconds=15)
        clock.advance(seconds=15)
        code = state.wechat_phone_codes.issue(wechat_user(BEN, MINI_PROGRAM))
        assert await wechat.phone_number(MINI_PROGRAM, code) == "+447400123456"

    async def test_a_wrong_secret_is_refused_and_the_lease_given_back(
        self, state: SandboxState, http: httpx2.AsyncClient, tokens: MemoryTokenStore
    ) -> None:
        wechat = adapter(state, http, tokens, secret="wrong")
        with pytest.raises(ProviderRefused) as refused:
            await wechat.phone_number(MINI_PROGRAM, "any")
        assert refused.value.code == "40125"
        assert await tokens.try_lease(f"wechat:{MINI_PROGRAM}", owner="next", seconds=1)


class TestWebOAuth:
    async def test_the_url_has_the_documented_order_and_fragment(self, wechat: WeChat) -> None:
        url = wechat.web_authorize_url(OFFICIAL_ACCOUNT, REDIRECT_URI, "s1", "snsapi_base")
        assert url.partition("/wechat/")[2] == (
            f"connect/oauth2/authorize?appid={OFFICIAL_ACCOUNT}"
            "&redirect_uri=https%3A%2F%2Fregulars.example%2Fauth%2Fcallback%3Ffrom%3Dh5"
            "&response_type=code&scope=snsapi_base&state=s1#wechat_redirect"
        )

    async def test_a_state_wechat_would_reject_is_our_mistake(self, wechat: WeChat) -> None:
        with pytest.raises(AssertionError):
            wechat.web_authorize_url(OFFICIAL_ACCOUNT, REDIRECT_URI, "not-alphanumeric")

    @pytest.mark.parametrize(
        ("scope", "unionid"), [("snsapi_userinfo", "uANNA"), ("snsapi_base", None)]
    )
    async def test_the_unionid_comes_with_the_scope_that_allows_it(
        self,
        http: httpx2.AsyncClient,
        wechat: WeChat,
        scope: WebScope,
        unionid: str | None,
    ) -> None:
        url = wechat.web_authorize_url(OFFICIAL_ACCOUNT, REDIRECT_URI, "s1", scope)
        page = await http.get(url)
        assert "Anna &lt;Li&gt;" in page.text
        back = await browse(http, url.replace("#", "&person=anna#"))
        assert (back["state"], back["from"]) == ("s1", "h5")
        session = await wechat.web_code_to_identity(OFFICIAL_ACCOUNT, back["code"])
        assert session == WeChatSession(ANNA.openid(OFFICIAL_ACCOUNT), unionid)
        with pytest.raises(WeChatCodeRefused) as refused:
            await wechat.web_code_to_identity(OFFICIAL_ACCOUNT, back["code"])
        assert refused.value.code == "40163"

    async def test_a_snapshot_user_is_nobody(self, state: SandboxState, wechat: WeChat) -> None:
        virtual = replace(
            wechat_user(ANNA, OFFICIAL_ACCOUNT), scope="snsapi_userinfo", is_snapshot=True
        )
        code = state.wechat_web_codes.issue(virtual)
        with pytest.raises(WeChatSnapshotUser):
            await wechat.web_code_to_identity(OFFICIAL_ACCOUNT, code)


async def test_no_secret_code_or_number_is_logged(
    state: SandboxState,
    http: httpx2.AsyncClient,
    wechat: WeChat,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    answer = await codes(http, state, person="anna")
    await wechat.code_to_session(MINI_PROGRAM, answer["jsCode"])
    await wechat.phone_number(MINI_PROGRAM, answer["phoneCode"])
    for secret in ("mini-secret", answer["jsCode"], answer["phoneCode"], "13800000001"):
        assert secret not in caplog.text
    assert "mini-secret" not in repr(WeChatApp("mini-secret"))
