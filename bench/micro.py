"""Where the time of one member home goes, part by part, in a process of its own, no network."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import uvloop
from starlette.types import ASGIApp

from app.core.logs import configure_logs
from app.edge.graphql import Handshake
from app.main import App, create_app
from app.settings import read_settings
from auth.tokens import MEMBER_AUDIENCE, TokenVerifier
from bench.bare import bare_app
from bench.documents import MEMBER_HOME, home_body
from bench.measure import Plan, home_load
from bench.people import People
from bench.servers import load, serving

REPEATS = 300
"""Calls per part and pass; the fastest pass counts: a busy machine disturbs it least."""

PASSES = 5


def split(url: str, people: People, plan: Plan) -> str:
    """A table of microseconds, and what the load generator and uvicorn reach by themselves."""
    measured = subprocess.run(
        [sys.executable, "-m", "bench.micro"],
        input=people.home_calls[0][0].encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the product's log, which is a part of the whole
        env=os.environ | {"REGULARS_DATABASE_URL": url},
        check=True,
    )
    rows = orjson.loads(measured.stdout)
    with serving("floor", {"REGULARS_DATABASE_URL": url}) as floor:
        given = replace(home_load(floor, people, plan), expected="data")
        rows.append(("a raw ASGI callable, requests a second", load(given).per_second))
    return "\n".join(f"  {name:<62}{value:>9,.0f}" for name, value in rows)


async def _parts(token: str) -> list[tuple[str, float]]:
    settings = read_settings()
    bare, product = bare_app(settings), create_app(settings)
    async with _started(bare), _started(product):
        app = _inner(product)
        running = app.running
        assert running is not None
        engine = app._endpoints["/graphql"]._engine
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        handshake = Handshake("http", headers, "127.0.0.1", "bench")
        context = await running.context(handshake, MEMBER_AUDIENCE)
        prepared = engine.prepare(MEMBER_HOME)
        data = (await engine.execute(prepared, None, context)).data
        now = datetime.now(UTC)

        async def verify() -> None:
            running.verifier.verify(token, audience=MEMBER_AUDIENCE, now=now)

        async def verify_first() -> None:
            fresh = TokenVerifier(running.keys, issuer=settings.public_url)
            fresh.verify(token, audience=MEMBER_AUDIENCE, now=now)

        async def make_context() -> None:
            await running.context(handshake, MEMBER_AUDIENCE)

        async def prepare() -> None:
            engine.prepare(MEMBER_HOME)

        async def parse_and_validate() -> None:
            engine._prepare(MEMBER_HOME)

        async def execute() -> None:
            own = await running.context(handshake, MEMBER_AUDIENCE)
            await engine.execute(prepared, None, own)

        async def write() -> None:
            orjson.dumps({"data": data})

        parts: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("the whole request, µs", lambda: _call(product, token)),
            ("… without the middleware around the endpoint, µs", lambda: _call(app, token)),
            ("the bare endpoint's whole request, µs", lambda: _call(bare, token)),
            ("a token that was seen before, µs", verify),
            ("a token that is new, µs", verify_first),
            ("the context, token included, µs", make_context),
            ("the document from the cache, µs", prepare),
            ("a document that is new: parsed, limited, validated, µs", parse_and_validate),
            ("execution with its context and statements, µs", execute),
            ("the answer's JSON, µs", write),
        ]
        passes = [[await _microseconds(part) for _, part in parts] for _ in range(PASSES)]
        fastest = [min(times) for times in zip(*passes, strict=True)]
        return [(name, us) for (name, _), us in zip(parts, fastest, strict=True)]


async def _microseconds(part: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    for _ in range(REPEATS):
        await part()
    return (time.perf_counter() - started) / REPEATS * 1e6


def _inner(product: ASGIApp) -> App:
    app: Any = product
    while not isinstance(app, App):
        app = app._app
    return app


async def _call(app: ASGIApp, token: str) -> None:
    body = home_body().encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/graphql", "raw_path": b"/graphql", "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"authorization", f"Bearer {token}".encode()),
            (b"accept", b"application/graphql-response+json"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
    }  # fmt: skip
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    assert status == 200, status


@asynccontextmanager
async def _started(app: ASGIApp) -> AsyncIterator[None]:
    """An ASGI application between its startup and its shutdown."""
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    yield
    await incoming.put({"type": "lifespan.shutdown"})
    await task


def main() -> None:
    configure_logs(readable=False)
    rows = uvloop.run(_parts(sys.stdin.read()))
    sys.stdout.buffer.write(orjson.dumps(rows))


if __name__ == "__main__":
    main()
