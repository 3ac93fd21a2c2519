"""The load generator: one process, raw HTTP/1.1 over keep-alive connections on uvloop.

`python -m bench.load` reads a `Load` as JSON from stdin and writes a `Sample` to stdout. Each
client sends its next request when the last one was answered. Requests are made ready before the
clock starts, so that a request costs this process some 15 µs: less than the fastest server here.
"""

import asyncio
import statistics
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, cycle
from typing import Any

import orjson
import uvloop

SECONDS_MAX = 120.0
GRACE_S = 15.0
"""How long the last answers may take once the time is over."""

UNIQUE = "UNIQUE-UNIQUE-UNIQUE"
"""Wherever it stands in a body, each request carries a text of its own, equally long."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `calls` are (bearer token, body) pairs, sent in turn by all clients."""

    port: int
    path: str
    clients: int
    seconds: float
    warm_seconds: float
    calls: list[tuple[str, str]]
    expected: str
    """What every right answer holds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of one round."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failures: int
    first_failure: str = ""


class _Run:
    """What all clients of a round share."""

    def __init__(self, load: Load) -> None:
        self.expected = load.expected.encode()
        requests = [_request(load, token, body) for token, body in load.calls]
        self._requests = cycle([request.split(UNIQUE.encode()) for request in requests])
        self._numbers = count(time.time_ns() // 1_000)
        self.latencies = array("d")
        self.failures = 0
        self.first_failure = ""
        self.is_counting = False
        self.is_over = False

    def next_request(self) -> bytes:
        parts = next(self._requests)
        if len(parts) == 1:
            return parts[0]
        return b"%020d".__mod__(next(self._numbers)).join(parts)

    def fail(self, answer: bytes) -> None:
        self.failures += 1
        self.first_failure = self.first_failure or answer[:600].decode(errors="replace")


class _Client(asyncio.Protocol):
    def __init__(self, run: _Run, gone: asyncio.Event) -> None:
        self._run = run
        self._gone = gone
        self._unread = b""
        self._sent_at = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._unread:
            data = self._unread + data
        head_end = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ", 0, head_end)
        if head_end < 0:
            self._unread = data
            return
        length = int(data[at + 16 : data.index(b"\r", at)])
        if len(data) < head_end + 4 + length:
            self._unread = data
            return
        self._unread = b""
        self._answered(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._run.is_over:
            self._run.fail(b"the server closed the connection")
        self._gone.set()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.next_request())

    def _answered(self, answer: bytes) -> None:
        run = self._run
        if not (answer.startswith(b"HTTP/1.1 200") and run.expected in answer):
            run.fail(answer)
        elif run.is_counting:
            run.latencies.append(time.perf_counter() - self._sent_at)
        if run.is_over:
            self._transport.close()
        else:
            self._send()


async def measure(load: Load) -> Sample:
    """Run one round."""
    assert 0 < load.seconds <= SECONDS_MAX
    run = _Run(load)
    loop = asyncio.get_running_loop()
    gone = [asyncio.Event() for _ in range(load.clients)]
    for event in gone:
        await loop.create_connection(partial(_Client, run, event), "127.0.0.1", load.port)
    await asyncio.sleep(load.warm_seconds)
    run.is_counting = True
    started = time.perf_counter()
    await asyncio.sleep(load.seconds)
    run.is_counting = False
    seconds = time.perf_counter() - started
    run.is_over = True
    async with asyncio.timeout(GRACE_S):
        for event in gone:
            await event.wait()
    if len(run.latencies) < 2:
        return Sample(0, 0, 0, run.failures, run.first_failure or "nothing was answered in time")
    cuts = statistics.quantiles(run.latencies, n=100)
    return Sample(
        per_second=len(run.latencies) / seconds,
        p50_ms=cuts[49] * 1_000,
        p99_ms=cuts[98] * 1_000,
        failures=run.failures,
        first_failure=run.first_failure,
    )


def _request(load: Load, token: str, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {load.path} HTTP/1.1\r\n"
        "host: 127.0.0.1\r\n"
        f"authorization: Bearer {token}\r\n"
        "accept: application/graphql-response+json\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def main() -> None:
    given = orjson.loads(sys.stdin.buffer.read())
    sample = uvloop.run(measure(Load(**given)))
    sys.stdout.buffer.write(orjson.dumps(asdict(sample)))


if __name__ == "__main__":
    main()
