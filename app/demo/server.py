"""The demo's application: the product and the sandbox of its providers, on one port."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from starlette.types import ASGIApp, Receive, Scope, Send

from app.demo.settings import sandbox_state
from app.demo.world import directory
from app.gateways.sandbox import create_sandbox
from app.gateways.sandbox.smtp import start_smtp
from app.main import create_app
from app.settings import Settings


class DemoApp:
    """Starts the mail sandbox with the server, and the product once the mail's port is known."""

    def __init__(self, make_settings: Callable[[int], Settings]) -> None:
        self._make_settings = make_settings
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            assert self._app is not None
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            await self._start(stack)
            assert self._app is not None
            await self._app(scope, receive, send)

    async def _start(self, stack: AsyncExitStack) -> None:
        state = sandbox_state(self._make_settings(0))
        state.people = directory()
        mail_port = await stack.enter_async_context(start_smtp(state))
        settings = self._make_settings(mail_port)
        sandbox = create_sandbox(state, production=settings.is_production)
        self._app = create_app(settings, sandbox=sandbox)
