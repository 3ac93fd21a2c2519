"""A server process to compare with: `python -m bench.serve bare|floor PORT`.

On the same uvicorn as the product, which is started by its own command; settings come from the
environment.
"""

import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.protocol import GuardedHttpProtocol
from app.settings import Settings, read_settings
from bench.bare import bare_app

FLOOR_ANSWER = b'{"data":{}}'


def floor_app(_settings: Settings) -> ASGIApp:
    """A raw ASGI callable: what uvicorn and the load generator reach by themselves."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        await receive()
        length = str(len(FLOOR_ANSWER)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": FLOOR_ANSWER})

    return app


ROLES: dict[str, Callable[[Settings], ASGIApp]] = {"bare": bare_app, "floor": floor_app}


def main() -> None:
    role, port = sys.argv[1:]
    uvicorn.run(
        ROLES[role](read_settings()),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http=GuardedHttpProtocol,
        access_log=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
