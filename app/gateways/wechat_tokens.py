"""Where WeChat access tokens are kept, so that all processes share one (IDN-1)."""

import time
from collections.abc import Callable
from typing import Protocol


class TokenStore(Protocol):
    """A small shared store with expiry, and leases so that one process refreshes at a time.

    The values are secrets: a store that outlives the process encrypts them.
    """

    async def get(self, key: str) -> str | None:
        """The value, unless its time has passed."""

    async def put(self, key: str, value: str, *, expires_in_s: int) -> None:
        """Replace the value."""

    async def try_lease(self, key: str, *, owner: str, seconds: int) -> bool:
        """Take the lease unless somebody else holds one that has not run out; never waits."""

    async def release(self, key: str, *, owner: str) -> None:
        """Give the lease back; nothing happens when it is no longer the owner's."""


class MemoryTokenStore:
    """For tests and a single process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: dict[str, tuple[str, float]] = {}
        self._leases: dict[str, tuple[str, float]] = {}

    async def get(self, key: str) -> str | None:
        value, expires_at = self._values.get(key, ("", 0.0))
        return value if value and self._clock() < expires_at else None

    async def put(self, key: str, value: str, *, expires_in_s: int) -> None:
        self._values[key] = (value, self._clock() + expires_in_s)

    async def try_lease(self, key: str, *, owner: str, seconds: int) -> bool:
        now = self._clock()
        holder, until = self._leases.get(key, (owner, 0.0))
        if holder != owner and now < until:
            return False
        self._leases[key] = (owner, now + seconds)
        return True

    async def release(self, key: str, *, owner: str) -> None:
        if self._leases.get(key, ("", 0.0))[0] == owner:
            del self._leases[key]
