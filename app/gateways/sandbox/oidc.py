"""An OpenID Connect provider for made-up people: OpenID Connect Core 1.0 and Discovery 1.0."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.gateways.sandbox.faults import FaultInjector
from app.gateways.sandbox.people import Person
from app.gateways.sandbox.state import (
    CodeNotValidError,
    FaultKind,
    OidcGrant,
    OidcSandboxClient,
    SandboxState,
)
from app.gateways.sandbox.web import MAX_BODY_BYTES, chooser, is_web_uri, redirect_back

ID_TOKEN_LIFETIME_S = 600
KEYS_KEPT = 2
"""The key before the current one still verifies tokens that were signed just before."""
SCOPES = ("openid", "profile", "email", "phone")


class OAuthError(Exception):
    """RFC 6749, section 5.2."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


class OidcSandbox:
    """The endpoints at {sandbox}/oidc and their signing keys, made when first needed."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._keys: dict[str, list[RSAKey | ECKey]] = {"RS256": [], "ES256": []}

    @property
    def issuer(self) -> str:
        return f"{self._state.public_url}/oidc"

    def app(self) -> FaultInjector:
        app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo, methods=["GET", "POST"]),
            ],
            exception_handlers={OAuthError: _answer_error},
        )
        return FaultInjector(app, self._state, "oidc", _refuse)

    def rotate(self, *, forget_old: bool = False) -> None:
        """Sign with new keys from now on."""
        for algorithm, keys in self._keys.items():
            if forget_old:
                keys.clear()
            keys.insert(0, _generate(algorithm))
            del keys[KEYS_KEPT:]

    def _published(self) -> list[RSAKey | ECKey]:
        if not all(self._keys.values()):
            self.rotate()
        return [key for keys in self._keys.values() for key in keys]

    async def _discovery(self, request: Request) -> Response:
        self._state.calls["oidc.discovery"] += 1
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "scopes_supported": SCOPES,
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _jwks(self, request: Request) -> Response:
        self._state.calls["oidc.jwks"] += 1
        return JSONResponse(KeySet(list(self._published())).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        """`login_hint` with prompt=none signs that person in at once; else a page asks."""
        query = request.query_params
        client = self._state.oidc_clients.get(query.get("client_id", ""))
        redirect_uri = query.get("redirect_uri", "")
        # Core 1.0, 3.1.2.6: without a known client and address nobody is sent anywhere.
        if client is None or not is_web_uri(redirect_uri):
            return PlainTextResponse("unknown client_id or redirect_uri", 400)
        if client.redirect_uris and redirect_uri not in client.redirect_uris:
            return PlainTextResponse("redirect_uri is not registered", 400)
        answer = {"state": query.get("state", ""), "iss": self.issuer}
        error = _request_error(query)
        if error is not None:
            return redirect_back(redirect_uri, {"error": error} | answer)
        directory = await self._state.directory()
        person = directory.person(query.get("login_hint", ""))
        if query.get("prompt") != "none":
            return chooser(
                "OpenID Connect", request.url, directory.people, login_hint="{key}", prompt="none"
            )
        if person is None:
            return redirect_back(redirect_uri, {"error": "login_required"} | answer)
        grant = OidcGrant(
            client_id=query["client_id"],
            redirect_uri=redirect_uri,
            nonce=query.get("nonce"),
            code_challenge=query["code_challenge"],
            person_key=person.key,
            scope=query["scope"],
        )
        code = self._state.oidc_codes.issue(grant)
        return redirect_back(redirect_uri, {"code": code} | answer)

    async def _token(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_BODY_BYTES:
            raise OAuthError("invalid_request", 413)
        form = dict(parse_qsl(body.decode("ascii", "replace")))
        client_id, client = self._client(request, form)
        if form.get("grant_type") != "authorization_code":
            raise OAuthError("unsupported_grant_type")
        try:
            grant = self._state.oidc_codes.redeem(form.get("code", ""))
        except CodeNotValidError as error:
            raise OAuthError("invalid_grant") from error
        challenge = _base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (grant.client_id, grant.redirect_uri, grant.code_challenge) != (
            client_id,
            form.get("redirect_uri"),
            challenge,
        ):
            raise OAuthError("invalid_grant")
        access_token = self._state.oidc_tokens.issue(grant)
        return JSONResponse(
            {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": 7200,
                "scope": grant.scope,
                "id_token": self._id_token(client, grant, access_token),
            },
            headers={"Cache-Control": "no-store"},
        )

    def _client(self, request: Request, form: Mapping[str, str]) -> tuple[str, OidcSandboxClient]:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                decoded = base64.b64decode(encoded).decode()
            except ValueError as error:
                raise OAuthError("invalid_client", 401) from error
            client_id, _, secret = decoded.partition(":")
        client = self._state.oidc_clients.get(client_id)
        if client is None or not hmac.compare_digest(
            client.client_secret.encode(), secret.encode()
        ):
            raise OAuthError("invalid_client", 401)
        return client_id, client

    def _id_token(self, client: OidcSandboxClient, grant: OidcGrant, access_token: str) -> str:
        """The e-mail address is left to UserInfo, as section 5.4 has it for the code flow."""
        self._published()
        algorithm = client.signing_alg
        key = self._keys[algorithm][0]
        now_s = int(self._state.now().timestamp())
        digest = hashlib.sha256(access_token.encode()).digest()
        header: dict[str, Any] = {"alg": algorithm, "kid": key.kid}
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": grant.person_key,
            "aud": grant.client_id,
            "iat": now_s,
            "exp": now_s + ID_TOKEN_LIFETIME_S,
            "at_hash": _base64url(digest[:16]),
        }
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        if self._state.forge_id_token is not None:
            forged = self._state.forge_id_token(header, claims)
            if forged is not None:
                return forged
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    async def _userinfo(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            grant = self._state.oidc_tokens.peek(token if scheme.lower() == "bearer" else "")
        except CodeNotValidError as error:
            raise OAuthError("invalid_token", 401) from error
        person = (await self._state.directory()).person(grant.person_key)
        if person is None:
            raise OAuthError("invalid_token", 401)
        return JSONResponse(_userinfo_claims(person, grant.scope.split()))


def _request_error(query: Mapping[str, str]) -> str | None:
    if query.get("response_type") != "code":
        return "unsupported_response_type"
    if "openid" not in query.get("scope", "").split():
        return "invalid_scope"
    if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
        return "invalid_request"
    return None


def _userinfo_claims(person: Person, scopes: list[str]) -> dict[str, Any]:
    claims: dict[str, Any] = {"sub": person.key}
    if "profile" in scopes:
        claims["name"] = person.name
    if "email" in scopes and person.email is not None:
        claims |= {"email": person.email, "email_verified": True}
    if "phone" in scopes and person.phone is not None:
        claims |= {"phone_number": person.phone, "phone_number_verified": True}
    return claims


def _generate(algorithm: str) -> RSAKey | ECKey:
    parameters: KeyParameters = {"alg": algorithm, "use": "sig"}
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", parameters, auto_kid=True)
    return RSAKey.generate_key(2048, parameters, auto_kid=True)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OAuthError)
    challenge = {"WWW-Authenticate": "Basic"} if error.status == 401 else None
    return JSONResponse({"error": error.error}, error.status, headers=challenge)


def _refuse(kind: FaultKind) -> Response:
    if kind == "limit":
        return JSONResponse({"error": "slow_down"}, 429)
    return JSONResponse({"error": "temporarily_unavailable"}, 503)
