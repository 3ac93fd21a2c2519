"""What every request passes on its way in and out."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import structlog
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.middleware import (
    BodyLimit,
    Observe,
    RequestId,
    SecurityHeaders,
    current_request_id,
)
from tests.edge.sample import serve


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{current_request_id()} {len(await request.body())}")


async def fail(request: Request) -> Response:
    raise RuntimeError("a bug")


async def framed(request: Request) -> Response:
    return PlainTextResponse("", headers={"content-security-policy": "frame-ancestors 'self'"})


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    """An application without Starlette's handlers."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def stack(app: ASGIApp) -> ASGIApp:
    app = BodyLimit(app, max_bytes=1_000, max_seconds=0.3)
    app = SecurityHeaders(app, content_security_policy="default-src 'none'")
    return RequestId(Observe(app, groups={"/echo": "echo", "/fail": "fail"}))


@pytest.fixture(scope="module")
def routes() -> Iterator[str]:
    methods = ["GET", "POST"]
    app = Starlette(
        routes=[
            Route("/echo", echo, methods=methods),
            Route("/echo/{code}", echo, methods=methods),
            Route("/fail", fail),
            Route("/framed", framed),
        ]
    )
    with serve(stack(app)) as address:
        yield f"http://{address}"


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    with serve(stack(read_all)) as address:
        yield f"http://{address}"


def test_a_well_formed_request_id_is_kept(routes: str) -> None:
    response = httpx2.get(f"{routes}/echo", headers={"x-request-id": "proxy_1-A"})
    assert response.headers["x-request-id"] == "proxy_1-A"
    assert response.text == "proxy_1-A 0"


@pytest.mark.parametrize("incoming", ["", "a b", "x" * 65, "a;b", "é"])
def test_any_other_is_replaced(routes: str, incoming: str) -> None:
    response = httpx2.get(f"{routes}/echo", headers={b"x-request-id": incoming.encode()})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
    assert response.text == f"{response.headers['x-request-id']} 0"


def test_ids_are_not_shared_by_the_requests_of_a_connection(routes: str) -> None:
    with httpx2.Client() as client:
        assert len({client.get(f"{routes}/echo").text for _ in range(3)}) == 3


def test_security_headers_are_set_unless_the_application_did(routes: str) -> None:
    headers = httpx2.get(f"{routes}/echo").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["content-security-policy"] == "default-src 'none'"
    framed = httpx2.get(f"{routes}/framed").headers
    assert framed.get_list("content-security-policy") == ["frame-ancestors 'self'"]


def test_one_log_line_without_personal_data(routes: str) -> None:
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as logged:
        httpx2.post(
            f"{routes}/echo/13800000000?phone=13800000000",
            content=b"13800000000",
            headers={"x-request-id": "request-1"},
        )
    (entry,) = logged
    assert entry.pop("milliseconds") >= 0
    assert entry == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "group": "echo",
        "status": 200,
        "request_id": "request-1",
    }


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("path", "group", "status"),
    [
        ("/echo", "echo", "200"),
        ("/echo/1", "echo", "200"),
        ("/fail", "fail", "500"),
        ("/echoes", "other", "404"),
        ("/made/up", "other", "404"),
    ],
)
def test_requests_are_counted_by_group_and_status(
    routes: str, path: str, group: str, status: str
) -> None:
    def measured() -> tuple[float, float]:
        return (
            metric("http_requests_total", group=group, status=status),
            metric("http_request_seconds_count", group=group),
        )

    before = measured()
    httpx2.get(f"{routes}{path}")
    # The line and the numbers are written after the answer was sent, in the server's thread.
    deadline = time.monotonic() + 10
    while measured() == before and time.monotonic() < deadline:
        pass
    assert measured() == (before[0] + 1, before[1] + 1)
    assert metric("http_requests_in_flight") == 0


@pytest.mark.parametrize("application", ["routes", "bare"])
def test_a_large_body_is_refused(application: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(application)
    for body in (b"x" * 1_001, iter([b"x" * 100] * 11)):
        response = httpx2.post(f"{url}/echo", content=body)
        assert response.status_code == 413
        assert response.headers["connection"] == "close"
    assert httpx2.post(f"{url}/echo", content=b"x" * 1_000).is_success


@pytest.mark.parametrize("application", ["routes", "bare"])
def test_a_slow_body_is_refused(application: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(application)

    def slow() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x"
            time.sleep(0.1)  # the slowness under test, no synchronisation

    response: Any = httpx2.post(f"{url}/echo", content=slow())
    assert response.status_code == 408
