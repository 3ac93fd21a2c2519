"""The head of a request: in time, in size, on fresh and on kept connections."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.types import Receive, Scope, Send
from websockets.sync.client import connect

from app.edge.protocol import http_protocol
from tests.edge.sample import endpoint, serve

HEAD_SECONDS = 0.3
REQUEST = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    while message.get("more_body"):
        message = await receive()
    if scope["path"] == "/slow":
        await asyncio.sleep(HEAD_SECONDS * 1.5)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    protocol = http_protocol(head_seconds=HEAD_SECONDS, head_bytes=4_096)
    with serve(answer, http=protocol) as address:
        yield address


@contextmanager
def opened(address: str) -> Iterator[socket.socket]:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def read_answer(connection: socket.socket) -> bytes:
    """One answer of `answer`."""
    received = b""
    while not received.endswith(b"\r\n\r\nok"):
        part = connection.recv(4_096)
        assert part, received
        received += part
    return received


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(4_096):
        received += part
    return received


def test_a_silent_connection_is_closed(address: str) -> None:
    with opened(address) as connection:
        started = time.monotonic()
        assert read_to_end(connection) == b""
        assert HEAD_SECONDS / 2 < time.monotonic() - started < 5


def test_a_head_that_drips_in_is_closed_however_steadily(address: str) -> None:
    with opened(address) as connection:
        started = time.monotonic()
        connection.sendall(b"GET / HTTP/1.1\r\n")
        connection.settimeout(0.05)  # the pace of the drip
        received = None
        while received is None and time.monotonic() - started < 10:
            connection.sendall(b"x-drip: 1\r\n")
            try:
                received = connection.recv(4_096)
            except TimeoutError:
                continue
        assert received is not None
        assert received.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("begun", [b"GET / HT", b"\r\n"])
def test_a_kept_connection_has_the_same_deadline(address: str, begun: bytes) -> None:
    with opened(address) as connection:
        connection.sendall(REQUEST)
        read_answer(connection)
        connection.sendall(begun)
        started = time.monotonic()
        assert read_to_end(connection).startswith(b"HTTP/1.1 408 ")
        assert HEAD_SECONDS / 2 < time.monotonic() - started < 5  # uvicorn's keep-alive is 5 s


def test_a_connection_may_rest_between_requests_and_be_slow_with_a_body(address: str) -> None:
    with opened(address) as connection:
        connection.sendall(REQUEST)
        read_answer(connection)
        time.sleep(HEAD_SECONDS * 1.5)  # longer than a head may take
        connection.sendall(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\na")
        time.sleep(HEAD_SECONDS * 1.5)
        connection.sendall(b"b")
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered(address: str) -> None:
    with opened(address) as connection:
        connection.sendall(REQUEST * 3 + REQUEST[:10])
        received = b""
        while received.count(b"\r\n\r\nok") < 3:
            received += connection.recv(4_096)
        # The fourth began in the middle of what was received; its clock runs all the same.
        assert read_to_end(connection).startswith(b"HTTP/1.1 408 ")


def test_a_pipeline_that_waits_for_us_is_not_blamed(address: str) -> None:
    with opened(address) as connection:
        # The third has begun and cannot go on before the first is answered, which takes long.
        connection.sendall(REQUEST.replace(b"/", b"/slow", 1) + REQUEST + REQUEST[:10])
        received = b""
        while received.count(b"\r\n\r\nok") < 2:
            part = connection.recv(4_096)
            assert part, received
            received += part


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"x-large: 1\r\n" * 600 + b"\r\n",  # whole
        b"GET / HTTP/1.1\r\n" + b"x-large: 1\r\n" * 600,  # without its end
        b"GET / HTTP/1.1\r\nx-large: " + b"1" * 6_000,  # one header without an end
        b"GET /" + b"1" * 6_000,
    ],
    ids=["whole", "endless", "endless header", "endless path"],
)
def test_a_large_head_is_refused(address: str, head: bytes) -> None:
    with opened(address) as connection:
        connection.sendall(head)
        assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")


def test_a_large_head_is_refused_on_a_kept_connection(address: str) -> None:
    with opened(address) as connection:
        for _ in range(200):  # small heads do not add up
            connection.sendall(REQUEST)
            read_answer(connection)
        connection.sendall(b"GET / HTTP/1.1\r\nx-large: " + b"1" * 6_000)
        assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")


def test_a_body_is_no_head(address: str) -> None:
    with opened(address) as connection:
        head = b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 6000\r\n\r\n"
        connection.sendall(head + b"x" * 6_000)
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_nonsense_is_still_a_400(address: str) -> None:
    with opened(address) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")


def test_sockets_outlive_the_deadline_of_their_head() -> None:
    protocol = http_protocol(head_seconds=HEAD_SECONDS, head_bytes=4_096)
    with (
        serve(endpoint(), http=protocol) as address,
        connect(f"ws://{address}/", subprotocols=["graphql-transport-ws"]) as websocket,  # type: ignore[list-item]
    ):
        time.sleep(HEAD_SECONDS * 1.5)
        websocket.send('{"type": "ping"}')
        assert websocket.recv(timeout=10) == '{"type":"pong"}'
