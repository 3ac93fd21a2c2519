"""Sign-in by redirect: WeChat on the web, and OpenID Connect (IDN-1).

`/start` sends the browser to the provider and keeps what the answer is checked against (state,
nonce, PKCE verifier, where to return) in a signed cookie that scripts cannot read. `/callback`
checks it, has the provider prove who came, and returns to the page with a ticket in the address's
fragment, which no server log sees. The page exchanges it with sessionStartWithTicket.

The page sends a `challenge` to /start (S256 of a secret it keeps) and the secret with the ticket:
so a ticket of somebody else's, slipped to it in a link, is refused.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.crypto import constant_time_equal
from app.core.db import Database
from app.core.personal import index_of
from app.core.phones import InvalidEmail, normal_email
from app.core.texts import shortened_text
from app.gateways.errors import GatewayError
from app.gateways.oidc import OidcProvider
from app.gateways.outside import Outside
from app.services import sign_in
from app.services.identities import Proof
from app.services.sign_in import ProviderBusy
from app.settings import Settings
from auth.sign_in import PROVIDER_CODE_CHARS_MAX, oidc_proofs, refusal_of, wechat_proofs

COOKIE = "regulars_sign_in"
COOKIE_PATH = "/auth"
COOKIE_LIFE_S = 600
RETURN_TO_CHARS_MAX = 1_000
HINT_CHARS_MAX = 200
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
# What browsers would read as something else: control characters, blanks, and "\" as "/".
UNCLEAR = re.compile(r"[\x00-\x20\x7f-\uffff\\]")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
NAME_CHARS_MAX = 120

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class WebSignIn(Protocol):
    """What the routes need of a running server."""

    @property
    def database(self) -> Database: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def outside(self) -> Outside: ...


Endpoint = Callable[[WebSignIn, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Pending:
    """What the cookie carries from start to callback."""

    provider: str
    """`wechat:{app id}` or `oidc:{name}`: an answer of one cannot be taken for another's."""
    state: str
    nonce: str
    verifier: str
    return_to: str
    challenge: str


async def wechat_start(web: WebSignIn, request: Request) -> Response:
    """To WeChat's page, from a page inside WeChat."""
    app_id = _official_account(web, request)
    pending = _begun(web, request, f"wechat:{app_id}")
    url = web.outside.wechat.web_authorize_url(app_id, _callback_url(web, request), pending.state)
    return _with_cookie(web, _redirect(url), pending)


async def wechat_callback(web: WebSignIn, request: Request) -> Response:
    """From WeChat's page, with a code that proves who came."""
    app_id = _official_account(web, request)
    pending = _kept(request, f"wechat:{app_id}")
    code = _code(request)
    if code is None:
        return _back(web, pending, error="denied")
    try:
        session = await web.outside.wechat.web_code_to_identity(app_id, code)
    except GatewayError as error:
        return _back(web, pending, error=_reason(error))
    return await _proven(web, pending, wechat_proofs(app_id, session), "wechat_web")


async def oidc_start(web: WebSignIn, request: Request) -> Response:
    """To the provider's page, with PKCE S256, a state and a nonce."""
    provider = _provider(web, request)
    pending = _begun(web, request, f"oidc:{provider.name}")
    try:
        url = await web.outside.oidc.authorization_url(
            provider,
            _callback_url(web, request),
            pending.state,
            pending.nonce,
            pending.verifier,
            login_hint=request.query_params.get("login_hint", "")[:HINT_CHARS_MAX] or None,
        )
    except GatewayError as error:
        return _back(web, pending, error=_reason(error))
    return _with_cookie(web, _redirect(url), pending)


async def oidc_callback(web: WebSignIn, request: Request) -> Response:
    """From the provider's page, with a code for an ID token."""
    provider = _provider(web, request)
    pending = _kept(request, f"oidc:{provider.name}")
    # RFC 9207: a provider that names itself must be the one that was asked.
    issuer = request.query_params.get("iss", provider.issuer)
    code = _code(request)
    if code is None or issuer != provider.issuer:
        return _back(web, pending, error="denied")
    try:
        identity = await web.outside.oidc.exchange(
            provider, code, _callback_url(web, request), pending.verifier, pending.nonce
        )
    except GatewayError as error:
        return _back(web, pending, error=_reason(error))
    proofs = oidc_proofs(identity, _normal_email(identity.email))
    return await _proven(web, pending, proofs, f"oidc:{provider.name}"[:32], identity.name)


def routes(running: Callable[[], WebSignIn]) -> list[Route]:
    """The routes; `running` gives the server's parts once it has started."""

    def route(path: str, endpoint: Endpoint) -> Route:
        async def answer(request: Request) -> Response:
            return await endpoint(running(), request)

        return Route(path, answer, methods=["GET"])

    return [
        route("/auth/wechat/{app_id}/start", wechat_start),
        route("/auth/wechat/{app_id}/callback", wechat_callback),
        route("/auth/oidc/{provider}/start", oidc_start),
        route("/auth/oidc/{provider}/callback", oidc_callback),
    ]


def safe_return_to(return_to: str, settings: Settings) -> str | None:
    """Where a browser may be sent with a ticket: a path of ours or an allowed origin, else None."""
    if not 0 < len(return_to) <= RETURN_TO_CHARS_MAX or UNCLEAR.search(return_to):
        return None
    try:
        parts = urlsplit(return_to)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return None
    if not parts.scheme and not parts.netloc:
        is_path = parts.path.startswith("/") and not parts.path.startswith("//")
        return parts._replace(fragment="").geturl() if is_path else None
    if parts.scheme not in DEFAULT_PORTS or "@" in parts.netloc or not parts.hostname:
        return None
    allowed = {_origin(origin) for origin in (settings.public_url, *settings.allowed_origins)}
    is_allowed = _origin(return_to) in allowed
    return parts._replace(fragment="").geturl() if is_allowed else None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    netloc = parts.netloc.lower().removesuffix(DEFAULT_PORTS.get(parts.scheme, ""))
    return f"{parts.scheme}://{netloc}"


def _official_account(web: WebSignIn, request: Request) -> str:
    app_id = str(request.path_params["app_id"])
    for app in web.settings.wechat.apps:
        if app.app_id == app_id and app.kind == "official_account":
            return app_id
    raise HTTPException(404)


def _provider(web: WebSignIn, request: Request) -> OidcProvider:
    provider = web.outside.oidc_providers.get(request.path_params["provider"])
    if provider is None:
        raise HTTPException(404)
    return provider


def _begun(web: WebSignIn, request: Request, provider: str) -> Pending:
    """A new sign-in, with fresh secrets; 400 without a challenge or for a foreign place to go."""
    query = request.query_params
    return_to = safe_return_to(query.get("return_to", "/"), web.settings)
    challenge = query.get("challenge", "")
    if return_to is None:
        raise HTTPException(400, "return_to is neither a path of ours nor of an allowed origin.")
    if not CHALLENGE.fullmatch(challenge):
        raise HTTPException(400, "challenge is missing or not an S256 challenge.")
    return Pending(
        provider=provider,
        state=secrets.token_hex(16),  # WeChat takes letters and digits only
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        return_to=return_to,
        challenge=challenge,
    )


def _kept(request: Request, provider: str) -> Pending:
    """The sign-in this callback belongs to; 400 unless this browser began it a moment ago."""
    try:
        kept = _signer().loads(request.cookies.get(COOKIE, ""), max_age=COOKIE_LIFE_S)
        pending = Pending(**kept)
    except (BadSignature, TypeError):
        raise HTTPException(400, "This sign-in has expired. Start again.") from None
    is_ours = constant_time_equal(request.query_params.get("state", ""), pending.state)
    if pending.provider != provider or not is_ours:
        raise HTTPException(400, "This sign-in has expired. Start again.")
    return pending


def _signer() -> URLSafeTimedSerializer:
    # A key of its own, the same in every process: derived from the index key, which never leaves.
    key = index_of("cookie", "auth.web")
    return URLSafeTimedSerializer(key, salt=COOKIE, signer_kwargs={"digest_method": hashlib.sha256})


def _code(request: Request) -> str | None:
    """The provider's code; None where the person said no."""
    code = request.query_params.get("code", "")
    return code if 0 < len(code) <= PROVIDER_CODE_CHARS_MAX else None


def _callback_url(web: WebSignIn, request: Request) -> str:
    """Our own name, not the one a Host header claims."""
    path = request.url.path.rpartition("/")[0]
    return f"{web.settings.public_url.rstrip('/')}{path}/callback"


async def _proven(
    web: WebSignIn, pending: Pending, proofs: list[Proof], method: str, name: str | None = None
) -> Response:
    ticket = await web.database.run(
        sign_in.issue_ticket,
        proofs=proofs,
        method=method,
        name=shortened_text(name or "", at_most=NAME_CHARS_MAX) or None,
        challenge=pending.challenge,
        now=datetime.now(UTC),
    )
    return _back(web, pending, ticket=ticket)


def _back(web: WebSignIn, pending: Pending, **fragment: str) -> Response:
    """To the page that began it, and the cookie is used up."""
    response = _redirect(f"{pending.return_to}#{urlencode(fragment)}")
    response.delete_cookie(COOKIE, path=COOKIE_PATH, secure=_is_https(web), httponly=True)
    return response


def _with_cookie(web: WebSignIn, response: Response, pending: Pending) -> Response:
    response.set_cookie(
        COOKIE,
        str(_signer().dumps(asdict(pending))),
        max_age=COOKIE_LIFE_S,
        path=COOKIE_PATH,
        secure=_is_https(web),
        httponly=True,
        samesite="lax",  # the provider's redirect back is a top-level GET
    )
    return response


def _redirect(url: str) -> Response:
    # The address as it is: RedirectResponse would quote the "#" parts of it anew.
    return Response(status_code=303, headers={**HEADERS, "Location": url})


def _is_https(web: WebSignIn) -> bool:
    return web.settings.public_url.startswith("https:")


def _reason(error: GatewayError) -> str:
    return "unavailable" if isinstance(refusal_of(error), ProviderBusy) else "refused"


def _normal_email(email: str | None) -> str | None:
    try:
        return normal_email(email) if email else None
    except InvalidEmail:
        return None
