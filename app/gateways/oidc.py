"""Sign-in with any OpenID Connect provider named in settings (IDN-1).

OpenID Connect Core 1.0 (https://openid.net/specs/openid-connect-core-1_0.html): the code flow of
section 3.1, always with PKCE S256 (RFC 7636); Discovery 1.0, section 4; RFC 9700 for what to
check. Authlib exchanges the code, joserfc verifies the ID token.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from app.gateways.errors import ProviderRefused, ProviderUnavailable
from app.gateways.http import SharedTransport, fetch_json

DISCOVERY_TTL_S = 3600
JWKS_TTL_S = 3600
JWKS_MIN_INTERVAL_S = 60
CLOCK_LEEWAY_S = 60

AT_HASH_DIGESTS: Mapping[str, str] = {"256": "sha256", "384": "sha384", "512": "sha512"}
"""By the last three characters of `alg` (Core 1.0, section 3.1.3.6)."""


@dataclass(frozen=True)
class OidcProvider:
    """One provider as settings name it; `issuer` is exactly what its ID tokens carry."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid", "email")
    trust_email: bool = False
    """Whether its `email_verified` counts: only where the provider checks addresses itself."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")

    def __post_init__(self) -> None:
        # A shared-secret algorithm would let anyone who reads the JWKS sign tokens, "none" anyone.
        assert self.algorithms
        assert all(name[-3:] in AT_HASH_DIGESTS for name in self.algorithms)
        assert not any(name.startswith(("HS", "none")) for name in self.algorithms)
        assert "openid" in self.scopes


@dataclass(frozen=True)
class OidcIdentity:
    """What the provider vouches for. (issuer, subject) is the identity; the rest is advice.

    `phone_verified` is the provider's word and proves nothing here: a number is proven by an SMS
    code or WeChat's phone code alone (IDN-2).
    """

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    phone: str | None
    phone_verified: bool
    name: str | None


class OidcCodeRefused(ProviderRefused):
    """The authorization code is unknown, expired or used (`invalid_grant`): sign in again."""


class IdTokenRefused(ProviderRefused):
    """The ID token is not what was asked for; `code` names the claim or check that failed."""


@dataclass
class _Cache:
    """What is known of one provider; the lock makes concurrent logins share a fetch."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    metadata: Mapping[str, Any] | None = None
    metadata_until: float = 0.0
    keys: KeySet | None = None
    keys_at: float = 0.0


class OidcClient:
    """All OpenID Connect providers behind one client; `http` is shared and not closed here."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        clock: Callable[[], float] = time.time,
        jwks_min_interval_s: int = JWKS_MIN_INTERVAL_S,
    ) -> None:
        self._http = http
        self._clock = clock
        self._jwks_min_interval_s = jwks_min_interval_s
        self._caches: dict[str, _Cache] = {}

    async def authorization_url(
        self,
        provider: OidcProvider,
        redirect_uri: str,
        state: str,
        nonce: str,
        code_verifier: str,
        *,
        login_hint: str | None = None,
    ) -> str:
        """Where the browser goes. The caller keeps state, nonce and verifier with the session."""
        metadata = await self._metadata(provider)
        hint = {} if login_hint is None else {"login_hint": login_hint}
        async with self._oauth(provider, metadata, redirect_uri) as oauth:
            url, _ = oauth.create_authorization_url(
                metadata["authorization_endpoint"],
                state=state,
                nonce=nonce,
                code_verifier=code_verifier,
                **hint,
            )
        return str(url)

    async def exchange(
        self,
        provider: OidcProvider,
        code: str,
        redirect_uri: str,
        code_verifier: str,
        nonce: str,
    ) -> OidcIdentity:
        """Exchange the code and verify the ID token.

        Raises OidcCodeRefused, IdTokenRefused, ProviderRefused, ProviderUnavailable.
        """
        metadata = await self._metadata(provider)
        token = await self._fetch_token(provider, metadata, code, redirect_uri, code_verifier)
        access_token = token.get("access_token")
        claims = await self._verify(provider, token.get("id_token"), access_token, nonce)
        if "email" in provider.scopes and "email" not in claims:
            claims = await self._with_userinfo(provider, metadata, claims, access_token)
        return _identity(provider, claims)

    def _oauth(
        self, provider: OidcProvider, metadata: Mapping[str, Any], redirect_uri: str
    ) -> AsyncOAuth2Client:
        # Core 1.0, section 9: client_secret_basic unless the provider does not offer it.
        offered = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = "client_secret_basic" in offered
        return AsyncOAuth2Client(
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            token_endpoint_auth_method="client_secret_basic" if basic else "client_secret_post",
            scope=" ".join(provider.scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            transport=SharedTransport(self._http),
            trust_env=False,
        )

    async def _fetch_token(
        self,
        provider: OidcProvider,
        metadata: Mapping[str, Any],
        code: str,
        redirect_uri: str,
        code_verifier: str,
    ) -> Mapping[str, Any]:
        try:
            async with self._oauth(provider, metadata, redirect_uri) as oauth:
                token: Mapping[str, Any] = await oauth.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=redirect_uri,
                    code_verifier=code_verifier,
                )
        except OAuthError as error:
            kind = OidcCodeRefused if error.error == "invalid_grant" else ProviderRefused
            description = str(error.description or "")
            raise kind(str(error.error), description, provider=provider.name) from error
        except httpx2.TimeoutException as error:
            raise ProviderUnavailable("timeout", provider=provider.name) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise ProviderUnavailable(type(error).__name__, provider=provider.name) from error
        return token

    async def _verify(
        self, provider: OidcProvider, id_token: object, access_token: object, nonce: str
    ) -> dict[str, Any]:
        """Core 1.0, section 3.1.3.7; the claims of a token that passed every check."""
        if not isinstance(id_token, str):
            raise IdTokenRefused("id_token", "there is none", provider=provider.name)
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=CLOCK_LEEWAY_S,
            iss={"essential": True, "value": provider.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": provider.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            token = await self._decode(provider, id_token)
            registry.validate(token.claims)
        except JoseError as error:
            code = getattr(error, "claim", None) or error.error
            raise IdTokenRefused(code, str(error), provider=provider.name) from error
        except ValueError as error:  # a malformed token, below what joserfc names
            raise IdTokenRefused("malformed", str(error), provider=provider.name) from error
        azp, audience = token.claims.get("azp"), token.claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if (azp is not None or several) and azp != provider.client_id:
            raise IdTokenRefused("azp", "issued to another client", provider=provider.name)
        at_hash = token.claims.get("at_hash")
        if at_hash is not None:
            expected = _at_hash(str(token.header["alg"]), str(access_token))
            if not hmac.compare_digest(str(at_hash).encode(), expected.encode()):
                raise IdTokenRefused("at_hash", "another access token's", provider=provider.name)
        return token.claims

    async def _decode(self, provider: OidcProvider, id_token: str) -> jwt.Token:
        algorithms = list(provider.algorithms)
        try:
            keys = await self._keys(provider)
            return jwt.decode(id_token, keys, algorithms=algorithms)
        except InvalidKeyIdError:
            # The provider rotated its keys since we last looked; the interval keeps tokens with
            # made-up key ids from turning into traffic.
            return jwt.decode(
                id_token, await self._keys(provider, rotated=True), algorithms=algorithms
            )

    async def _metadata(self, provider: OidcProvider) -> Mapping[str, Any]:
        cache = self._caches.setdefault(provider.issuer, _Cache())
        async with cache.lock:
            if cache.metadata is not None and self._clock() < cache.metadata_until:
                return cache.metadata
            url = provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
            metadata = (await fetch_json(self._http, "GET", url, provider=provider.name)).body
            if metadata.get("issuer") != provider.issuer:
                raise ProviderRefused("issuer", "discovery names another", provider=provider.name)
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(metadata.get(name), str):
                    raise ProviderUnavailable(f"discovery lacks {name}", provider=provider.name)
            cache.metadata, cache.metadata_until = metadata, self._clock() + DISCOVERY_TTL_S
            return metadata

    async def _keys(self, provider: OidcProvider, *, rotated: bool = False) -> KeySet:
        """The provider's public keys; `rotated` asks for newer ones than those last returned."""
        metadata = await self._metadata(provider)
        cache = self._caches[provider.issuer]
        async with cache.lock:
            max_age_s = self._jwks_min_interval_s if rotated else JWKS_TTL_S
            if cache.keys is not None and self._clock() < cache.keys_at + max_age_s:
                return cache.keys
            answer = await fetch_json(
                self._http, "GET", metadata["jwks_uri"], provider=provider.name
            )
            try:
                cache.keys = KeySet.import_key_set({"keys": answer.body["keys"]})
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise ProviderUnavailable("malformed JWKS", provider=provider.name) from error
            cache.keys_at = self._clock()
            return cache.keys

    async def _with_userinfo(
        self,
        provider: OidcProvider,
        metadata: Mapping[str, Any],
        claims: dict[str, Any],
        access_token: object,
    ) -> dict[str, Any]:
        """Core 1.0, section 5.4: what the `email` scope gives may come from UserInfo alone."""
        url = metadata.get("userinfo_endpoint")
        if not isinstance(url, str) or not isinstance(access_token, str):
            return claims
        answer = await fetch_json(
            self._http,
            "GET",
            url,
            provider=provider.name,
            headers={"Authorization": f"Bearer {access_token}"},
        )
        if answer.status != 200:
            raise ProviderUnavailable(f"userinfo HTTP {answer.status}", provider=provider.name)
        if answer.body.get("sub") != claims["sub"]:
            raise IdTokenRefused("sub", "UserInfo is another user's", provider=provider.name)
        return {**answer.body, **claims}


def _at_hash(algorithm: str, access_token: str) -> str:
    digest = hashlib.new(AT_HASH_DIGESTS[algorithm[-3:]], access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _identity(provider: OidcProvider, claims: Mapping[str, Any]) -> OidcIdentity:
    def text(name: str) -> str | None:
        value = claims.get(name)
        return value if isinstance(value, str) and value else None

    def true(name: str) -> bool:
        # Some providers send this boolean as a string.
        return claims.get(name) is True or claims.get(name) == "true"

    return OidcIdentity(
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        email=text("email"),
        email_verified=provider.trust_email and true("email_verified"),
        phone=text("phone_number"),
        phone_verified=true("phone_number_verified"),
        name=text("name"),
    )
