"""What every store of files does for this product, in this product's words."""

import re
from typing import Protocol

from app.gateways.errors import GatewayError

KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{32}")
"""The only keys there are: two digits and a UUID, in which no name of a client's can hide."""


class StoredFileMissing(GatewayError):
    """The store has nothing under this key."""

    def __init__(self) -> None:
        super().__init__("the store has no such file")


class FileStore(Protocol):
    """Keeps bytes under keys. Only this product reads it: nothing in it has an address.

    Raises `ProviderUnavailable` where trying again may help, `ProviderRefused` where not.
    """

    async def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Keep the bytes; when this returns they survive a crash."""

    async def get(self, key: str) -> bytes:
        """The bytes; raises `StoredFileMissing`."""

    async def delete(self, key: str) -> None:
        """Keep the bytes no longer; none there is as good."""


def checked_key(key: str) -> str:
    """The key, which we made ourselves."""
    assert KEY.fullmatch(key), f"not a storage key: {key!r}"
    return key
