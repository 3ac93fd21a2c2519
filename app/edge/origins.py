"""Which web pages may talk to us: our own, and those on a list.

Browsers send `Origin` with every request that another site could have caused, WebSocket handshakes
included, which CORS does not cover. Clients that are no browsers send none.
"""

from collections.abc import Iterable

from strawberry.http.websocket_origin import (
    is_same_origin,
    normalize_allowed_origins,
    normalize_origin,
)


class Origins:
    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = normalize_allowed_origins(allowed)
        assert "*" not in self._allowed, "name the origins; everybody is not one"

    def allow(self, origin: str | None, host: str | None) -> bool:
        return (
            origin is None
            or is_same_origin(origin, host)
            or normalize_origin(origin) in self._allowed
        )
