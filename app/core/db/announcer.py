"""What committed transactions tell those who listen now: pages that are open, workers that wait."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

EVENT_BYTES_MAX = 7_000
"""PostgreSQL's NOTIFY carries less than 8,000 bytes: events name things, they do not carry them."""

UNHEARD_EVENTS_MAX = 100
"""A listener this far behind loses the newest: live news, not a record."""


class Announcer:
    """Topics and their listeners in this process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Queue[dict[str, Any]]]] = defaultdict(set)

    def announce(self, topic: str, event: dict[str, Any]) -> None:
        for queue in self._listeners.get(topic, ()):
            if not queue.full():
                queue.put_nowait(event)

    @asynccontextmanager
    async def listen(self, *topics: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(UNHEARD_EVENTS_MAX)
        for topic in topics:
            self._listeners[topic].add(queue)
        try:
            yield _events(queue)
        finally:
            for topic in topics:
                self._listeners[topic].discard(queue)
                if not self._listeners[topic]:
                    del self._listeners[topic]

    async def close(self) -> None:
        """Nothing to close here; a bridge to other processes has."""


async def _events(queue: asyncio.Queue[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    while True:
        yield await queue.get()
