"""uvicorn's HTTP protocol with what it lacks: a deadline and a cap for the head of a request.

Without them a client that sends a header every minute keeps a connection for ever (slowloris).
"""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol


class GuardedHttpProtocol(HttpToolsProtocol):
    """The clock of a head starts with the connection, later with the head's first byte."""

    head_seconds: ClassVar[float] = 10.0
    head_bytes: ClassVar[int] = 32_768

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_awaiting_head = True
        self._is_head_too_large = False
        self._received_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_awaiting_head:
            # Also for empty lines between requests, which never begin a message.
            self._start_clock()
            self._received_bytes += len(data)
        super().data_received(data)
        if self._is_awaiting_head and self._received_bytes > self.head_bytes:
            self._refuse(431)

    def on_message_begin(self) -> None:
        self._start_clock()  # a pipelined head may begin in the middle of what was received
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._is_awaiting_head = False
        size_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size_bytes > self.head_bytes:
            # It came in one piece. Raising is how a callback stops httptools' parser.
            self._is_head_too_large = True
            raise ValueError("head too large")
        self._received_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_awaiting_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._is_head_too_large:
            self._refuse(431)
        else:
            super().send_400_response(msg)

    def _start_clock(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_overdue)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_overdue(self) -> None:
        self._head_timer = None
        if self._is_answering():
            self._start_clock()  # a pipelined head has time until the answers before it are out
        else:
            self._refuse(408)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        # Only where an answer is due: not into the middle of another, not to a client that has
        # never said a word.
        has_spoken = bool(self.cycle) or self._received_bytes > 0
        if has_spoken and not self._is_answering():
            self.transport.write(
                STATUS_LINE[status] + b"connection: close\r\ncontent-length: 0\r\n\r\n"
            )
        self.transport.close()


def http_protocol(*, head_seconds: float, head_bytes: int) -> type[GuardedHttpProtocol]:
    """The protocol class to give uvicorn as `http`."""
    limits = {"head_seconds": head_seconds, "head_bytes": head_bytes}
    return type("HttpProtocol", (GuardedHttpProtocol,), limits)
