"""What every request passes: an id, headers, a line in the log, metrics, a cap on bodies.

Pure ASGI callables: Starlette's `BaseHTTPMiddleware` costs more than a query (0.4 ms each).
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from typing import NamedTuple

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("http_requests", "Requests answered.", ["group", "status"])
SECONDS = Histogram(
    "http_request_seconds",
    "From the request's head to the end of its answer.",
    ["group"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that are being answered.")
SOCKETS = Gauge("websockets_open", "WebSockets that are open.")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_request_id: ContextVar[str] = ContextVar("request_id", default="-")

_log = structlog.get_logger("access")

# Finding a series by its labels takes longer than counting in it; there are only so many.
_requests = cache(REQUESTS.labels)
_seconds = cache(SECONDS.labels)


def current_request_id() -> str:
    """The id of the request that is being answered; it appears in its log lines and errors."""
    return _request_id.get()


class RequestId:
    """Take the id that a well-behaved proxy gave, or make one; tell it to everybody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = _incoming_id(scope) or os.urandom(16).hex()
        header = (b"x-request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept"}:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        # Never unset: the server runs each request in a task with a context of its own, and what
        # it logs after us should still carry the id.
        _request_id.set(request_id)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        await self._app(scope, receive, send_with_id)


def _incoming_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else None
    return None


class SecurityHeaders:
    """Headers that tell browsers what a page of ours never does; an app's own headers win."""

    def __init__(self, app: ASGIApp, *, content_security_policy: str) -> None:
        self._app = app
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"content-security-policy", content_security_policy.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                names = {name for name, _ in own}
                added = (header for header in self._headers if header[0] not in names)
                message["headers"] = [*own, *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Observe:
    """One log line and three metrics per request.

    Neither holds the path, query string, address or body, which tell of persons: only the route's
    group. `groups` maps the prefixes of paths to their names; anything else is "other", so that
    strangers cannot make up time series.
    """

    def __init__(self, app: ASGIApp, *, groups: Mapping[str, str]) -> None:
        self._app = app
        # The longest prefix first: "/admin/graphql" before "/admin".
        self._groups = sorted(groups.items(), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._observe(scope, receive, send)
        elif scope["type"] == "websocket":
            with SOCKETS.track_inprogress():
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _observe(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 500  # what the server answers when the application raises
        started = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            IN_FLIGHT.dec()
            seconds = time.perf_counter() - started
            group = self._group(scope["path"])
            _requests(group, status).inc()
            _seconds(group).observe(seconds)
            _log.info(
                "request",
                method=scope["method"],
                group=group,
                status=status,
                milliseconds=round(seconds * 1000, 1),
            )

    def _group(self, path: str) -> str:
        for prefix, group in self._groups:
            if path == prefix or path.startswith(f"{prefix}/"):
                return group
        return "other"


class Cap(NamedTuple):
    """How large a body may be, and how long it may take to arrive."""

    max_bytes: int
    max_seconds: float


class BodyLimit:
    """A cap on the size of every body and on the time it takes to arrive: 413 and 408.

    The GraphQL endpoints have their own, smaller ones; `larger` names the paths, each a whole one,
    that take more.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_seconds: float,
        larger: Mapping[str, Cap] | None = None,
    ) -> None:
        self._app = app
        self._cap = Cap(max_bytes, max_seconds)
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        left, seconds = self._larger.get(scope["path"], self._cap)
        deadline = asyncio.get_running_loop().time() + seconds
        is_complete = False
        is_answered = False

        async def receive_within_limits() -> Message:
            nonlocal left, is_complete
            if is_complete:
                return await receive()  # waits for the disconnection: no deadline for that
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers={"connection": "close"}) from None
            left -= len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if left < 0:
                raise HTTPException(413, headers={"connection": "close"})
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await self._app(scope, receive_within_limits, send_and_note)
        except HTTPException as error:
            # Starlette's own handler has answered in a Starlette application.
            if is_answered:
                raise
            await send(
                {
                    "type": "http.response.start",
                    "status": error.status_code,
                    "headers": [(b"connection", b"close"), (b"content-length", b"0")],
                }
            )
            await send({"type": "http.response.body"})
