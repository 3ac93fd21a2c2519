"""Ordered failures, in front of a provider's endpoints."""

import asyncio
from collections.abc import Callable

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateways.sandbox.state import FaultKind, Provider, SandboxState


class FaultInjector:
    """Fails a provider's calls as ordered; `refuse` gives its documented busy or limit answer."""

    def __init__(
        self,
        app: ASGIApp,
        state: SandboxState,
        provider: Provider,
        refuse: Callable[[FaultKind], Response],
    ) -> None:
        self._app = app
        self._state = state
        self._provider: Provider = provider
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = self._state.faults.next(self._provider) if scope["type"] == "http" else None
        if kind is None:
            await self._app(scope, receive, send)
        elif kind == "timeout":
            await _until_gone(receive, self._state.timeout_fault_s)
            await PlainTextResponse("gateway timeout", 504)(scope, receive, send)
        elif kind == "500":
            await PlainTextResponse("internal error", 500)(scope, receive, send)
        else:
            await self._refuse(kind)(scope, receive, send)


async def _until_gone(receive: Receive, seconds: float) -> None:
    """Answer nothing until the caller gives up, so that no test waits longer than its client."""

    async def gone() -> None:
        message: Message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()

    try:
        async with asyncio.timeout(seconds):
            await gone()
    except TimeoutError:
        return
