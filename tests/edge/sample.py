"""A small schema with one field for everything the edge must answer, and how to serve it."""

# mypy: disable-error-code="untyped-decorator"

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Annotated, Any

import strawberry
import uvicorn
from graphql import GraphQLErrorExtensions
from starlette.types import ASGIApp

from app.core.errors import BadInput, DomainError, TooManyRequests, Unauthenticated
from app.edge.graphql import GraphQLEndpoint, Handshake
from app.edge.middleware import RequestId

closed_streams = threading.Semaphore(0)
"""Counts the endless subscriptions that were closed, across the server's thread."""

Info = strawberry.Info[Any, None]


class SoldOut(DomainError):
    pass


@strawberry.type
class SoldOutProblem:
    message: str


@strawberry.type
class Bought:
    left: int


class SoldOutHandler(strawberry.ExceptionHandler[SoldOut, SoldOutProblem]):
    def handle(self, exception: SoldOut, *, field: Any, info: Any) -> SoldOutProblem:
        return SoldOutProblem(message="Sold out")


class NeverAllowed(strawberry.BasePermission):
    message = "Not yours"
    error_extensions: GraphQLErrorExtensions | None = {"code": "NOT_YOURS"}  # noqa: RUF012 — its way

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        return False


class NeverAllowedEither(NeverAllowed):
    error_extensions = None


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Person(Named):
    name: str = "Ada"

    @strawberry.field
    def friend(self) -> "Person":
        return Person()


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"Hello {name}"

    @strawberry.field
    async def person(self) -> Person:
        return Person()

    @strawberry.field
    def number(self, value: int) -> int:
        return value

    @strawberry.field
    def bug(self) -> str | None:
        raise RuntimeError("password=hunter2")

    @strawberry.field
    def wrong_type(self) -> int | None:
        return "not a number"  # type: ignore[return-value]

    @strawberry.field
    def bad_cursor(self) -> str | None:
        raise BadInput("No such cursor")

    @strawberry.field
    def busy(self) -> str | None:
        raise TooManyRequests("Slower, please", retry_after_s=7)

    @strawberry.field
    def nameless(self) -> Named | None:
        return "no object of ours"  # type: ignore[return-value]

    @strawberry.field(permission_classes=[NeverAllowed])
    def secret(self) -> str | None:
        return "secret"

    @strawberry.field(permission_classes=[NeverAllowedEither])
    def other_secret(self) -> str | None:
        return "secret"

    @strawberry.field
    def client(self, info: Info) -> str:
        handshake: Handshake = info.context.handshake
        return f"{handshake.transport} {handshake.client_address}"

    @strawberry.field
    def operation_number(self, info: Info) -> int:
        number: int = info.context.operation_number
        return number


@strawberry.type
class Mutation:
    @strawberry.mutation
    def buy(self, left: int) -> Annotated[Bought | SoldOutProblem, strawberry.union("Buying")]:
        if not left:
            raise SoldOut
        return Bought(left=left)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def forever(self) -> AsyncIterator[str]:
        try:
            yield "started"
            await asyncio.Event().wait()
        finally:
            closed_streams.release()

    @strawberry.subscription
    async def breaks(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("password=hunter2")

    @strawberry.subscription(permission_classes=[NeverAllowed])
    async def secret(self) -> AsyncIterator[int]:
        yield 1

    @strawberry.subscription
    async def refuses(self, first: int = 0) -> AsyncIterator[int]:
        if first:
            yield first
        raise BadInput("Not with me")


schema = strawberry.Schema(Query, Mutation, Subscription, exception_handlers=[SoldOutHandler()])


@dataclass
class Context:
    handshake: Handshake
    expires_at: datetime | None = None
    operation_number: int = 0
    operations: Iterator[int] = field(default_factory=lambda: count(1))

    def for_operation(self) -> "Context":
        return replace(self, operation_number=next(self.operations))


async def make_context(handshake: Handshake) -> Context:
    """Knows one token; the word in it decides what becomes of its bearer."""
    params = handshake.connection_params or {}
    match handshake.headers.get("authorization", params.get("token", "")):
        case "wrong":
            raise Unauthenticated("Sign in")
        case "limited":
            raise TooManyRequests("Slower, please", retry_after_s=7)
        case "broken":
            raise RuntimeError("password=hunter2")
        case "expiring":
            return Context(handshake, expires_at=datetime.now(UTC) + timedelta(seconds=0.2))
    return Context(handshake)


def endpoint(**options: Any) -> ASGIApp:
    settings: dict[str, Any] = {"make_context": make_context, "masked": True} | options
    return RequestId(GraphQLEndpoint(schema, **settings))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()


@contextmanager
def serve(app: ASGIApp, **options: Any) -> Iterator[str]:
    """Serve an application on a loopback port, in a thread; gives host and port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, timeout_graceful_shutdown=5, **options
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert server.is_ready.wait(10)
        host, port = listener.getsockname()
        yield f"{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()
