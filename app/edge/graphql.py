"""GraphQL over HTTP and WebSocket, as one ASGI application that knows no domain.

HTTP follows the GraphQL-over-HTTP specification (its audit suite is among the tests); sockets speak
graphql-transport-ws (see `sockets`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from graphql import OperationType
from starlette.types import Receive, Scope, Send
from strawberry import Schema

from app.core.errors import RequestError, TooManyRequests
from app.edge.engine import Engine
from app.edge.failures import (
    BodyTooLarge,
    BodyTooSlow,
    MalformedRequest,
    MethodNotAllowed,
    OperationRefused,
    OriginRefused,
    describe,
)
from app.edge.limits import Limits
from app.edge.middleware import current_request_id
from app.edge.origins import Origins
from app.edge.requests import (
    JSON_TYPE,
    ClientGone,
    GraphQLRequest,
    Handshake,
    MakeContext,
    check_content_type,
    client_address,
    negotiate,
    parse_json,
    parse_query_string,
    prefers_html,
    read_body,
    read_headers,
)
from app.edge.sockets import serve_socket

__all__ = ["GraphQLEndpoint", "Handshake", "Limits", "MakeContext"]

_METHODS = "GET, POST, OPTIONS"


class _Answer(NamedTuple):
    status: int
    body: bytes
    media_type: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class GraphQLEndpoint:
    """The ASGI application; `page` is shown to a browser that asks for HTML without a query."""

    def __init__(
        self,
        schema: Schema,
        *,
        make_context: MakeContext,
        limits: Limits = Limits(),  # noqa: B008 — frozen
        masked: bool,
        allowed_origins: frozenset[str] = frozenset(),
        page: bytes | None = None,
    ) -> None:
        self._engine = Engine(schema, limits, hide_suggestions=masked)
        self._make_context = make_context
        self._limits = limits
        self._origins = Origins(allowed_origins)
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = read_headers(scope)
        origin = headers.get("origin")
        is_allowed = self._origins.allow(origin, headers.get("host"))
        if scope["type"] == "websocket":
            if is_allowed:
                await serve_socket(
                    self._engine, self._make_context, self._limits, scope, receive, send
                )
            else:
                await receive()  # websocket.connect
                await send({"type": "websocket.close"})  # before accepting: HTTP 403
            return
        if not is_allowed:
            answer = _failure(OriginRefused("This origin is not allowed."), JSON_TYPE)
        elif scope["method"] == "OPTIONS":
            answer = _preflight(headers)
        else:
            try:
                answer = await self._answer(scope, receive, headers)
            except ClientGone:
                return
        await _send_answer(send, answer, origin if is_allowed else None)

    async def _answer(self, scope: Scope, receive: Receive, headers: Mapping[str, str]) -> _Answer:
        media_type = JSON_TYPE
        try:
            accept = headers.get("accept", "*/*")
            is_get = scope["method"] == "GET"
            parameters = (
                parse_query_string(scope["query_string"], self._limits.json_depth) if is_get else {}
            )
            if is_get and self._page and not parameters.get("query") and prefers_html(accept):
                return _Answer(200, self._page, "text/html")
            media_type = negotiate(accept)
            if not is_get:
                parameters = await self._read_post(scope, receive, headers)
            return await self._run(scope, headers, GraphQLRequest.of(parameters), media_type)
        except OperationRefused as refused:
            # The older media type has always told of these with 200: see `negotiate`.
            status = 200 if media_type == JSON_TYPE else 400
            return _Answer(status, orjson.dumps({"errors": refused.described()}), media_type)
        except ClientGone:
            raise
        except Exception as error:  # the last frame of ours: whatever it is, it gets a coded answer
            return _failure(error, media_type)

    async def _read_post(self, scope: Scope, receive: Receive, headers: Mapping[str, str]) -> Any:
        if scope["method"] != "POST":
            raise MethodNotAllowed("Use GET or POST.")
        check_content_type(headers)
        return parse_json(await read_body(receive, headers, self._limits), self._limits.json_depth)

    async def _run(
        self, scope: Scope, headers: Mapping[str, str], request: GraphQLRequest, media_type: str
    ) -> _Answer:
        request_id = current_request_id()
        # Before the document is looked at: who is limited or unknown costs us no parsing.
        context = await self._make_context(
            Handshake("http", headers, client_address(scope), request_id)
        )
        prepared = self._engine.prepare(request.query, request.operation_name)
        if prepared.kind is OperationType.SUBSCRIPTION:
            raise MalformedRequest("Subscriptions are served over WebSocket.")
        if prepared.kind is OperationType.MUTATION and scope["method"] == "GET":
            raise MethodNotAllowed("Send mutations by POST.")
        result = await self._engine.execute(prepared, request.variables, context)
        response: dict[str, Any] = {"data": result.data}
        if result.errors:
            response["errors"] = [describe(error, request_id) for error in result.errors]
        return _Answer(200, orjson.dumps(response), media_type)


def _failure(error: Exception, media_type: str) -> _Answer:
    status = error.status if isinstance(error, RequestError) else 500
    headers: list[tuple[bytes, bytes]] = []
    match error:
        case TooManyRequests():
            headers.append((b"retry-after", str(error.retry_after_s).encode()))
        case MethodNotAllowed():
            headers.append((b"allow", _METHODS.encode()))
        case BodyTooLarge() | BodyTooSlow():
            # The rest of the body is not wanted, so the connection cannot be used again.
            headers.append((b"connection", b"close"))
    body = orjson.dumps({"errors": [describe(error, current_request_id())]})
    return _Answer(status, body, media_type, tuple(headers))


def _preflight(headers: Mapping[str, str]) -> _Answer:
    allow = [(b"allow", _METHODS.encode())]
    if "origin" in headers:
        allow += [
            (b"access-control-allow-methods", _METHODS.encode()),
            (b"access-control-allow-headers", b"authorization, content-type, x-request-id"),
            (b"access-control-max-age", b"7200"),
        ]
    return _Answer(204, b"", "", tuple(allow))


async def _send_answer(send: Send, answer: _Answer, allowed_origin: str | None) -> None:
    headers = [(b"cache-control", b"no-store"), *answer.headers]
    if answer.media_type:
        headers += [
            (b"content-type", f"{answer.media_type}; charset=utf-8".encode()),
            (b"content-length", str(len(answer.body)).encode()),
        ]
    if allowed_origin is not None:
        headers += [
            (b"access-control-allow-origin", allowed_origin.encode("latin-1")),
            (b"access-control-expose-headers", b"retry-after, x-request-id"),
            (b"vary", b"origin"),
        ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
