"""The graphql-transport-ws protocol, server's side.

Strawberry's handler does not check the shapes of messages (a string as payload is an exception in
it), closes the whole socket over one document's syntax error, and runs `Schema.stream`, which
parses and validates again: hence our own.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from graphql import ExecutionResult, OperationType
from starlette.types import Receive, Scope, Send

from app.core.errors import RequestError, Unauthenticated
from app.edge.engine import Engine
from app.edge.failures import (
    MalformedRequest,
    OperationRefused,
    describe,
)
from app.edge.limits import Limits
from app.edge.middleware import current_request_id
from app.edge.requests import (
    GraphQLRequest,
    Handshake,
    MakeContext,
    client_address,
    parse_json,
    read_headers,
)

SUBPROTOCOL = "graphql-transport-ws"

_log = structlog.get_logger(__name__)


async def serve_socket(
    engine: Engine,
    make_context: MakeContext,
    limits: Limits,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve one socket from its handshake to its end. The caller has checked its origin."""
    await receive()  # websocket.connect
    is_spoken = SUBPROTOCOL in scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if is_spoken else None})
    if is_spoken:
        await _Socket(engine, make_context, limits, scope, receive, send).serve()
    else:
        await send({"type": "websocket.close", "code": 4406, "reason": f"Speak {SUBPROTOCOL}"})


class TooManyOperations(RequestError):
    """A socket runs as many operations as it may; complete one first."""

    code = "TOO_MANY_OPERATIONS"
    status = 429


class _Close(Exception):
    """The socket is to be closed, with a code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class _Gone(Exception):
    """Nobody reads any more."""


@dataclass(eq=False)
class _Socket:
    engine: Engine
    make_context: MakeContext
    limits: Limits
    scope: Scope
    receive: Receive
    raw_send: Send
    request_id: str = field(default_factory=current_request_id)
    context: Any = None
    is_initialised: bool = False
    is_closed: bool = False
    operations: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    # Those that the client has completed but that still clean up count for the limit, too.
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self) -> None:
        # One deadline at a time: for connection_init first, then for the credentials.
        deadline = asyncio.timeout(self.limits.socket_init_seconds)
        try:
            async with deadline:
                while (message := await self.receive())["type"] == "websocket.receive":
                    await self._handle(message, deadline)
            self.is_closed = True
        except TimeoutError:
            if self.is_initialised:
                await self._close(4403, "Credentials expired")
            else:
                await self._close(4408, "Connection initialisation timeout")
        except _Close as close:
            await self._close(close.code, close.reason)
        except _Gone:
            self.is_closed = True
        finally:
            for task in self.tasks:
                task.cancel()
            # Their generators are closed when this returns.
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _handle(self, event: Any, deadline: asyncio.Timeout) -> None:
        message = self._parse(event.get("text"))
        match message.get("type"):
            case "connection_init":
                await self._initialise(_payload(message), deadline)
            case "ping":
                _payload(message)
                await self._send({"type": "pong"})
            case "pong":
                _payload(message)
            case "subscribe":
                if not self.is_initialised:
                    raise _Close(4401, "Unauthorized")
                await self._start(self._id(message), message.get("payload"))
            case "complete":
                task = self.operations.pop(self._id(message), None)
                if task is not None:
                    task.cancel()
            case _:
                raise _Close(4400, "Unknown message type")

    def _parse(self, text: str | None) -> dict[str, Any]:
        if text is None:
            raise _Close(4400, "Messages must be text")
        if len(text) > self.limits.body_bytes:
            raise _Close(1009, "Message too large")
        try:
            # The message itself is one level around the request.
            message = parse_json(text, self.limits.json_depth + 1)
        except MalformedRequest as error:
            raise _Close(4400, str(error)) from None
        if not isinstance(message, dict):
            raise _Close(4400, "Messages must be objects")
        return message

    def _id(self, message: dict[str, Any]) -> str:
        operation_id = message.get("id")
        if (
            not isinstance(operation_id, str)
            or not 0 < len(operation_id) <= self.limits.socket_id_characters
        ):
            raise _Close(4400, "'id' must be a short string")
        return operation_id

    async def _initialise(self, params: dict[str, Any], deadline: asyncio.Timeout) -> None:
        if self.is_initialised:
            raise _Close(4429, "Too many initialisation requests")
        handshake = Handshake(
            "ws", read_headers(self.scope), client_address(self.scope), self.request_id, params
        )
        try:
            self.context = await self.make_context(handshake)
        except RequestError as error:
            code = 4401 if isinstance(error, Unauthenticated) else 4403
            raise _Close(code, error.code) from None
        except Exception:
            _log.exception("socket could not be initialised", request_id=self.request_id)
            raise _Close(4500, "Internal server error") from None
        expires_at: datetime | None = getattr(self.context, "expires_at", None)
        left_seconds = self.limits.socket_anonymous_seconds
        if expires_at is not None:
            left_seconds = (expires_at - datetime.now(UTC)).total_seconds()
        deadline.reschedule(asyncio.get_running_loop().time() + left_seconds)
        self.is_initialised = True
        await self._send({"type": "connection_ack"})

    async def _start(self, operation_id: str, payload: object) -> None:
        if operation_id in self.operations:
            raise _Close(4409, f"Subscriber for {operation_id[:64]} already exists")
        try:
            request = GraphQLRequest.of(payload)
        except MalformedRequest as error:
            raise _Close(4400, str(error)) from None
        if len(self.tasks) >= self.limits.socket_operations:
            refusal = TooManyOperations("This socket runs too many operations at once.")
            errors = [describe(refusal, self.request_id)]
            await self._send({"id": operation_id, "type": "error", "payload": errors})
            return
        task = asyncio.create_task(self._operate(operation_id, request))
        self.operations[operation_id] = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _operate(self, operation_id: str, request: GraphQLRequest) -> None:
        """Run one operation to its `complete` or `error`."""
        final: dict[str, Any] = {"id": operation_id, "type": "complete"}
        try:
            async with aclosing(self._results(request)) as results:
                async for result in results:
                    response: dict[str, Any] = {"data": result.data}
                    if result.errors:
                        response["errors"] = [
                            describe(error, self.request_id) for error in result.errors
                        ]
                    await self._send({"id": operation_id, "type": "next", "payload": response})
        except _Gone:
            return
        except OperationRefused as refused:
            final = {"id": operation_id, "type": "error", "payload": refused.described()}
        except Exception as error:  # a source that fails ends its own operation, not the socket
            described = [describe(error, self.request_id)]
            final = {"id": operation_id, "type": "error", "payload": described}
        if self.operations.get(operation_id) is asyncio.current_task():
            # Given back before the last message: a client that has read it may use the id again.
            del self.operations[operation_id]
            await self._send(final)

    async def _results(self, request: GraphQLRequest) -> AsyncGenerator[ExecutionResult, None]:
        for_operation = getattr(self.context, "for_operation", None)
        context = self.context if for_operation is None else for_operation()
        prepared = self.engine.prepare(request.query, request.operation_name)
        if prepared.kind is not OperationType.SUBSCRIPTION:
            yield await self.engine.execute(prepared, request.variables, context)
            return
        source = await self.engine.subscribe(prepared, request.variables, context)
        if isinstance(source, ExecutionResult):
            assert source.errors
            raise source.errors[0]
        async with aclosing(source) as stream:
            async for result in stream:
                yield result

    async def _send(self, message: dict[str, Any]) -> None:
        if self.is_closed:
            raise _Gone
        try:
            await self.raw_send({"type": "websocket.send", "text": orjson.dumps(message).decode()})
        except OSError:  # how ASGI servers tell of a connection that was lost
            raise _Gone from None

    async def _close(self, code: int, reason: str) -> None:
        self.is_closed = True
        try:
            await self.raw_send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            return


def _payload(message: dict[str, Any]) -> dict[str, Any]:
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        raise _Close(4400, "'payload' must be an object")
    return payload or {}
