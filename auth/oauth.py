"""The OAuth 2.0 endpoints for partners: token, keys, metadata (EVT-1).

Written by hand rather than on Authlib's server core: of its token endpoint the client credentials
grant would use the parsing of one header and three form fields, while its transport check refuses
what a TLS proxy forwards, its scope check drops unknown scopes in silence, its queries are
synchronous and its token generator writes no `kid`. What RFC 6749 asks of this grant is below, in
sections 2.3.1, 4.4 and 5.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote_plus

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.db import Database
from app.core.errors import TooManyRequests
from app.edge.requests import client_address
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import limits, partners
from app.settings import Settings
from auth.tokens import KEYS_FRESH, SigningKeys, TokenSigner

FORM_BYTES_MAX = 8_192
FORM_FIELDS_MAX = 20
ADDRESS_REQUESTS_MAX = 120
ADDRESS_WINDOW = timedelta(minutes=1)
JWKS_SECONDS = 300
"""How long partners may keep the keys: less than `signing_keys.PUBLISH_AHEAD`."""

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Server(Protocol):
    """What the endpoints need of the running server."""

    @property
    def database(self) -> Database: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def keys(self) -> SigningKeys: ...
    @property
    def signer(self) -> TokenSigner: ...


class OAuthRefused(Exception):
    """An error of RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


def routes(server: Callable[[], Server]) -> list[Route]:
    """The endpoints of a server that has started by the time they are asked."""

    async def token(request: Request) -> Response:
        return await _token(server(), request)

    async def jwks(_request: Request) -> Response:
        return await _jwks(server().keys)

    async def metadata(_request: Request) -> Response:
        return _metadata(server().settings.public_url)

    return [
        Route("/auth/token", token, methods=["POST"]),
        Route("/auth/jwks.json", jwks, methods=["GET"]),
        Route("/.well-known/oauth-authorization-server", metadata, methods=["GET"]),
    ]


async def _token(server: Server, request: Request) -> Response:
    """Client credentials against an access token."""
    try:
        answer = await _issue(server, request)
    except OAuthRefused as refused:
        headers = NO_STORE
        if refused.status == 401:
            headers = NO_STORE | {"WWW-Authenticate": 'Basic realm="oauth", charset="UTF-8"'}
        body = {"error": refused.error, "error_description": str(refused)}
        return _json(body, headers, refused.status)
    except TooManyRequests as limited:
        headers = NO_STORE | {"Retry-After": str(limited.retry_after_s)}
        return _json({"error": "slow_down", "error_description": str(limited)}, headers, 429)
    return _json(answer, NO_STORE)


async def _jwks(keys: SigningKeys) -> Response:
    """The keys that access tokens are signed with (RFC 7517)."""
    await keys.reload_unless_fresh(datetime.now(UTC), KEYS_FRESH)
    return _json(keys.jwks(), {"Cache-Control": f"public, max-age={JWKS_SECONDS}"})


def _metadata(issuer: str) -> Response:
    """What this authorization server can do (RFC 8414)."""
    document = {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/auth/token",
        "jwks_uri": f"{issuer}/auth/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": sorted(Permission),
    }
    return _json(document, {"Cache-Control": "public, max-age=3600"})


async def _issue(server: Server, request: Request) -> dict[str, Any]:
    now = datetime.now(UTC)
    address = client_address(request.scope)
    await server.database.run(
        limits.spend,
        subject=f"oauth_token:{address}",
        at_most=ADDRESS_REQUESTS_MAX,
        window=ADDRESS_WINDOW,
        now=now,
    )
    form = await _form(request)
    client_id, secret = _credentials(request.headers.get("authorization"), form)
    # By `run`: a replica may not know a client that was made a moment ago.
    client = await server.database.run(
        partners.authenticated, client_id=client_id, secret=secret, now=now
    )
    if client is None:
        raise OAuthRefused("invalid_client", "Unknown client or wrong secret.", status=401)
    if "grant_type" not in form:
        raise OAuthRefused("invalid_request", "grant_type is missing.")
    if form["grant_type"] != "client_credentials":
        raise OAuthRefused("unsupported_grant_type", "Only client_credentials is supported.")
    asked = form.get("scope", "").split()
    if not set(asked) <= set(client.scopes):
        raise OAuthRefused("invalid_scope", "A scope is unknown or not this client's.")
    scopes = sorted(set(asked)) or sorted(client.scopes)
    access_token = await server.signer.sign(
        kind=PrincipalKind.PARTNER,
        principal_id=client.id,
        group_id=client.group_id,
        scopes=scopes,
        client_id=client.client_id,
        now=now,
    )
    return {
        "access_token": access_token.text,
        "token_type": "Bearer",
        "expires_in": int((access_token.expires_at - now).total_seconds()),
        "scope": " ".join(scopes),
    }


async def _form(request: Request) -> dict[str, str]:
    """The form's fields, none of them twice; raises `OAuthRefused`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise OAuthRefused("invalid_request", "Send application/x-www-form-urlencoded.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise OAuthRefused("invalid_request", "The form is too large.", status=413)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=FORM_FIELDS_MAX,
        )
    except ValueError:
        raise OAuthRefused("invalid_request", "The form cannot be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthRefused("invalid_request", "A parameter was sent twice.")
    # Section 3.2: a parameter without a value counts as not sent.
    return {name: value for name, value in form.items() if value}


def _credentials(authorization: str | None, form: dict[str, str]) -> tuple[str, str]:
    """The client's id and secret, by HTTP Basic or by the form, never by both."""
    if authorization is None:
        if "client_id" in form and "client_secret" in form:
            return form["client_id"], form["client_secret"]
        raise OAuthRefused("invalid_client", "Client credentials are missing.", status=401)
    if "client_secret" in form:
        raise OAuthRefused("invalid_request", "Send the credentials in one way only.")
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise OAuthRefused("invalid_client", "Use HTTP Basic.", status=401)
    return unquote_plus(client_id), unquote_plus(secret)


def _json(body: dict[str, Any], headers: dict[str, str], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
