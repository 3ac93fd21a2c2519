"""IDN-1: OpenID Connect against the sandbox's provider, over HTTP."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from app.gateways.errors import ProviderRefused, ProviderUnavailable
from app.gateways.http import create_http
from app.gateways.oidc import (
    IdTokenRefused,
    OidcClient,
    OidcCodeRefused,
    OidcIdentity,
    OidcProvider,
)
from app.gateways.sandbox import SandboxState
from tests.gateways.conftest import REDIRECT_URI, Clock, browse

pytestmark = pytest.mark.anyio

VERIFIER = "v" * 43
NONCE = "nonce-1"


def provider(state: SandboxState, **changed: Any) -> OidcProvider:
    settings: dict[str, Any] = {
        "name": "sandbox",
        "issuer": f"{state.public_url}/oidc",
        "client_id": "regulars",
        "client_secret": "oidc-secret",
        "scopes": ("openid", "profile", "email", "phone"),
        "trust_email": True,
    }
    return OidcProvider(**(settings | changed))


@pytest.fixture
def client(http: httpx2.AsyncClient, clock: Clock) -> OidcClient:
    return OidcClient(http, clock=clock.seconds)


async def get_code(
    http: httpx2.AsyncClient, client: OidcClient, provider: OidcProvider, person: str = "anna"
) -> str:
    url = await client.authorization_url(provider, REDIRECT_URI, "s1", NONCE, VERIFIER)
    back = await browse(http, f"{url}&login_hint={person}&prompt=none")
    assert (back["state"], back["iss"]) == ("s1", provider.issuer)
    return back["code"]


async def sign_in(
    http: httpx2.AsyncClient, client: OidcClient, provider: OidcProvider, person: str = "anna"
) -> OidcIdentity:
    code = await get_code(http, client, provider, person)
    return await client.exchange(provider, code, REDIRECT_URI, VERIFIER, NONCE)


class TestExchange:
    @pytest.mark.parametrize(
        ("client_id", "secret"), [("regulars", "oidc-secret"), ("regulars-es", "es-secret")]
    )
    async def test_gives_who_signed_in(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        client: OidcClient,
        client_id: str,
        secret: str,
    ) -> None:
        used = provider(state, client_id=client_id, client_secret=secret)
        assert await sign_in(http, client, used) == OidcIdentity(
            issuer=used.issuer,
            subject="anna",
            email="anna@regulars.example",
            email_verified=True,
            phone="+8613800000001",
            phone_verified=True,
            name="Anna <Li>",
        )

    async def test_an_address_counts_only_from_a_trusted_provider(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        identity = await sign_in(http, client, provider(state, trust_email=False))
        assert (identity.email, identity.email_verified) == ("anna@regulars.example", False)

    async def test_people_without_an_address_sign_in_too(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        identity = await sign_in(http, client, provider(state), person="ben")
        assert (identity.subject, identity.email, identity.email_verified) == ("ben", None, False)

    async def test_a_code_works_once(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        used = provider(state)
        code = await get_code(http, client, used)
        await client.exchange(used, code, REDIRECT_URI, VERIFIER, NONCE)
        with pytest.raises(OidcCodeRefused):
            await client.exchange(used, code, REDIRECT_URI, VERIFIER, NONCE)

    @pytest.mark.parametrize(
        ("verifier", "redirect_uri", "minutes"),
        [
            ("w" * 43, REDIRECT_URI, 0),
            (VERIFIER, "https://x.example", 0),
            (VERIFIER, REDIRECT_URI, 5),
        ],
    )
    async def test_a_code_is_bound_to_verifier_address_and_time(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        client: OidcClient,
        clock: Clock,
        verifier: str,
        redirect_uri: str,
        minutes: int,
    ) -> None:
        code = await get_code(http, client, provider(state))
        clock.advance(minutes=minutes)
        with pytest.raises(OidcCodeRefused):
            await client.exchange(provider(state), code, redirect_uri, verifier, NONCE)

    async def test_a_wrong_secret_is_our_mistake_and_not_the_users(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        used = provider(state, client_secret="wrong")
        with pytest.raises(ProviderRefused) as refused:
            await sign_in(http, client, used)
        assert (type(refused.value), refused.value.code) == (ProviderRefused, "invalid_client")

    async def test_a_wrong_nonce_is_refused(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        code = await get_code(http, client, provider(state))
        with pytest.raises(IdTokenRefused) as refused:
            await client.exchange(provider(state), code, REDIRECT_URI, VERIFIER, "nonce-2")
        assert refused.value.code == "nonce"


def _claims(**changed: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def forge(header: dict[str, Any], claims: dict[str, Any]) -> None:
        claims.update(changed)
        for name in [name for name, value in claims.items() if value is None]:
            del claims[name]

    return forge


def _alg_none(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = [{"alg": "none"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b""]).decode()


def _hmac(header: dict[str, Any], claims: dict[str, Any]) -> str:
    key = OctKey.import_key("x" * 32)
    return jwt.encode({**header, "alg": "HS256"}, claims, key, algorithms=["HS256"])


def _own_key(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jwt.encode(header, claims, RSAKey.generate_key(2048), algorithms=["RS256"])


class TestIdToken:
    @pytest.mark.parametrize(
        ("forge", "code"),
        [
            (_claims(aud="another-client"), "aud"),
            (_claims(aud=["regulars", "another-client"]), "azp"),
            (_claims(azp="another-client"), "azp"),
            (_claims(iss="https://evil.example"), "iss"),
            (_claims(exp=1), "exp"),
            (_claims(iat=4_000_000_000), "iat"),
            (_claims(nonce=None), "nonce"),
            (_claims(sub=None), "sub"),
            (_claims(exp=None), "exp"),
            (_claims(at_hash="AAAA"), "at_hash"),
            (_alg_none, "unsupported_algorithm"),
            (_hmac, "unsupported_algorithm"),
            (_own_key, "bad_signature"),
            (lambda header, claims: "garbage", "decode_error"),
            (lambda header, claims: "a.b.c", "decode_error"),
        ],
    )
    async def test_what_was_not_asked_for_is_refused(
        self,
        state: SandboxState,
        http: httpx2.AsyncClient,
        client: OidcClient,
        forge: Callable[[dict[str, Any], dict[str, Any]], str | None],
        code: str,
    ) -> None:
        state.forge_id_token = forge
        with pytest.raises(IdTokenRefused) as refused:
            await sign_in(http, client, provider(state))
        assert refused.value.code == code

    async def test_an_expired_token_is_refused_after_the_leeway(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient, clock: Clock
    ) -> None:
        now_s = int(clock.seconds())
        state.forge_id_token = _claims(exp=now_s - 59)
        await sign_in(http, client, provider(state))
        state.forge_id_token = _claims(exp=now_s - 60)
        with pytest.raises(IdTokenRefused) as refused:
            await sign_in(http, client, provider(state))
        assert refused.value.code == "exp"

    async def test_several_audiences_are_fine_when_we_are_the_authorized_party(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        state.forge_id_token = _claims(aud=["regulars", "other"], azp="regulars")
        assert (await sign_in(http, client, provider(state))).subject == "anna"

    async def test_userinfo_of_another_person_is_refused(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        state.forge_id_token = _claims(sub="ben")
        with pytest.raises(IdTokenRefused) as refused:
            await sign_in(http, client, provider(state))
        assert refused.value.code == "sub"

    async def test_weak_algorithms_cannot_be_configured(self, state: SandboxState) -> None:
        for algorithm in ("none", "HS256"):
            with pytest.raises(AssertionError):
                provider(state, algorithms=(algorithm,))


class TestKeys:
    async def test_they_are_fetched_once_by_many(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        used = provider(state)
        await asyncio.gather(*(sign_in(http, client, used) for _ in range(10)))
        assert (state.calls["oidc.discovery"], state.calls["oidc.jwks"]) == (1, 1)

    async def test_a_rotation_is_noticed(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient, clock: Clock
    ) -> None:
        used = provider(state)
        await sign_in(http, client, used)
        await http.post(f"{state.public_url}/oidc/rotate", json={"forgetOld": True})
        clock.advance(seconds=60)
        assert (await sign_in(http, client, used)).subject == "anna"
        assert state.calls["oidc.jwks"] == 2

    async def test_unknown_key_ids_cause_one_fetch_an_interval(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient, clock: Clock
    ) -> None:
        used = provider(state)
        await sign_in(http, client, used)

        def unknown_kid(header: dict[str, Any], claims: dict[str, Any]) -> None:
            header["kid"] = "made-up"

        state.forge_id_token = unknown_kid
        for seconds, fetches in ((0, 1), (59, 1), (1, 2), (0, 2), (59, 2)):
            clock.advance(seconds=seconds)
            with pytest.raises(IdTokenRefused) as refused:
                await sign_in(http, client, used)
            assert refused.value.code == "invalid_key_id"
            assert state.calls["oidc.jwks"] == fetches


class TestProvider:
    async def test_discovery_must_name_the_issuer_that_settings_name(
        self, state: SandboxState, client: OidcClient
    ) -> None:
        used = provider(state, issuer=f"{state.public_url}/oidc/")
        with pytest.raises(ProviderRefused) as refused:
            await client.authorization_url(used, REDIRECT_URI, "s1", NONCE, VERIFIER)
        assert refused.value.code == "issuer"

    async def test_busy_and_timeouts_are_unavailability(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient, clock: Clock
    ) -> None:
        used = provider(state)
        state.faults.order("oidc", "busy", 1)
        with pytest.raises(ProviderUnavailable, match="HTTP 503"):
            await client.authorization_url(used, REDIRECT_URI, "s1", NONCE, VERIFIER)
        code = await get_code(http, client, used)
        state.faults.order("oidc", "500", 1)
        with pytest.raises(ProviderUnavailable):
            await client.exchange(used, code, REDIRECT_URI, VERIFIER, NONCE)
        async with create_http(timeout_s=0.2) as impatient:
            hurried = OidcClient(impatient, clock=clock.seconds)
            await hurried.authorization_url(used, REDIRECT_URI, "s1", NONCE, VERIFIER)
            state.faults.order("oidc", "timeout", 1)
            with pytest.raises(ProviderUnavailable, match="timeout"):
                await hurried.exchange(used, code, REDIRECT_URI, VERIFIER, NONCE)

    async def test_without_a_hint_a_page_asks_who_signs_in(
        self, state: SandboxState, http: httpx2.AsyncClient, client: OidcClient
    ) -> None:
        url = await client.authorization_url(
            provider(state), REDIRECT_URI, "s1", NONCE, VERIFIER, login_hint="anna"
        )
        page = await http.get(url)
        assert page.status_code == 200
        assert "Anna &lt;Li&gt;" in page.text
        nobody = await browse(http, f"{url}&prompt=none".replace("login_hint=anna", "x=y"))
        assert nobody["error"] == "login_required"

    async def test_the_sandbox_wants_pkce_and_a_registered_address(
        self, state: SandboxState, http: httpx2.AsyncClient
    ) -> None:
        authorize = f"{state.public_url}/oidc/authorize"
        query = {
            "client_id": "regulars-es",
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid",
            "state": "s1",
        }
        response = await http.get(authorize, params=query)
        assert "error=invalid_request" in response.headers["location"]
        for uri in ("https://evil.example/", "javascript:alert(1)"):
            response = await http.get(authorize, params=query | {"redirect_uri": uri})
            assert response.status_code == 400
