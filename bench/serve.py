"""One server process of the measurement: `python -m bench.serve product|bare|floor PORT`.

All of them run on the same uvicorn with the same options; settings come from the environment.
"""

import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.logs import configure_logs
from app.edge.protocol import http_protocol
from app.main import create_app
from app.settings import Settings, read_settings
from bench.bare import bare_app

HEAD_BYTES_MAX = 32_768


def floor_app(_settings: Settings) -> ASGIApp:
    """A raw ASGI callable: what uvicorn and the load generator reach by themselves."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        await receive()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"15")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"data":{"a":1}}'[:15]})

    return app


ROLES: dict[str, Callable[[Settings], ASGIApp]] = {
    "product": create_app,
    "bare": bare_app,
    "floor": floor_app,
}


def main() -> None:
    role, port = sys.argv[1:]
    configure_logs(readable=False)
    settings = read_settings()
    uvicorn.run(
        ROLES[role](settings),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http=http_protocol(head_seconds=settings.head_timeout_s, head_bytes=HEAD_BYTES_MAX),
        access_log=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
