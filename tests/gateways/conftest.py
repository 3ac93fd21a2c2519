"""The sandbox on a real loopback port, and a clock that only tests move."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.gateways.http import create_http
from app.gateways.payments.stripe import Stripe
from app.gateways.payments.wechat_pay import WeChatPay
from app.gateways.payments.wechat_pay_keys import WeChatPayConfig
from app.gateways.sandbox import (
    Directory,
    OidcSandboxClient,
    PartnerLogin,
    Person,
    SandboxState,
    StaffLogin,
    StripeAccount,
    WeChatAccount,
    create_sandbox,
)
from app.gateways.sandbox.adapters import stripe_config, wechat_pay_config
from app.gateways.wechat_tokens import MemoryTokenStore

MINI_PROGRAM, OFFICIAL_ACCOUNT = "wx0000000000000001", "wx0000000000000002"
REDIRECT_URI = "https://regulars.example/auth/callback?from=h5"

ANNA = Person(
    key="anna",
    name="Anna <Li>",
    phone="+8613800000001",
    email="anna@regulars.example",
    wechat=(WeChatAccount(MINI_PROGRAM, "oANNA"),),
    unionid="uANNA",
)
BEN = Person(key="ben", name="Ben", phone="+447400123456")


@dataclass
class Clock:
    now: datetime = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def state(clock: Clock) -> AsyncIterator[SandboxState]:
    """The sandbox's state, while it is served at `state.public_url`."""
    listener = socket.create_server(("127.0.0.1", 0))
    state = SandboxState(
        public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
        people=Directory(
            people=(ANNA, BEN),
            staff=(
                StaffLogin("Sam", "sam@regulars.example", "s3cret", "GEZDGNBVGY3TQOJQ" * 2),
                StaffLogin("Tom", "tom@regulars.example", "s3cret"),
            ),
            partners=(PartnerLogin("POS", "pos-1", "pos-secret", ("members:read",)),),
        ),
        wechat_apps={MINI_PROGRAM: "mini-secret", OFFICIAL_ACCOUNT: "official-secret"},
        sms_sdk_app_id="1400006666",
        sms_credentials={"AKIDsandbox": "sms-secret"},
        sms_templates={"449739": "{1} is your code, valid for {2} minutes."},
        oidc_clients={
            "regulars": OidcSandboxClient("oidc-secret"),
            "regulars-es": OidcSandboxClient("es-secret", (REDIRECT_URI,), signing_alg="ES256"),
        },
        clock=clock,
        timeout_fault_s=5,
    )
    async with serving(create_sandbox(state, production=False), listener):
        yield state


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # The two halves of `serve`, without the signal handlers and the tick in between.
    await server.startup(sockets=[listener])
    yield
    await server.shutdown(sockets=[listener])


@dataclass
class Received:
    """A notification as it arrived."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """The product's notification address: keeps what arrives, and answers with `status`."""

    url: str
    status: int = 204
    letters: asyncio.Queue[Received] = field(default_factory=asyncio.Queue)

    async def receive(self, request: Request) -> Response:
        self.letters.put_nowait(Received(dict(request.headers), await request.body()))
        return Response(status_code=self.status)

    async def next(self) -> Received:
        async with asyncio.timeout(5):
            return await self.letters.get()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/notify")
    app = Starlette(routes=[Route("/notify", receiver.receive, methods=["POST"])])
    async with serving(app, listener):
        yield receiver


@pytest.fixture
def merchant(state: SandboxState, receiver: Receiver) -> WeChatPayConfig:
    return wechat_pay_config(state, notify_url=receiver.url)


@pytest.fixture
def wechat_pay(merchant: WeChatPayConfig, http: httpx2.AsyncClient, clock: Clock) -> WeChatPay:
    return WeChatPay(merchant, http, clock=clock)


@pytest.fixture
def stripe_sessions(clock: Clock) -> MemoryTokenStore:
    return MemoryTokenStore(clock.seconds)


@pytest.fixture
def stripe_gateway(
    state: SandboxState,
    receiver: Receiver,
    http: httpx2.AsyncClient,
    stripe_sessions: MemoryTokenStore,
    clock: Clock,
) -> Stripe:
    state.stripe = StripeAccount("sk_test_1", "whsec_1", receiver.url)
    receiver.status = 200
    return Stripe(stripe_config(state), http, stripe_sessions, clock=clock)


@pytest.fixture
async def http(state: SandboxState) -> AsyncIterator[httpx2.AsyncClient]:
    """Closed before the server, which would otherwise wait for idle connections."""
    async with create_http(timeout_s=5) as http:
        yield http


async def browse(http: httpx2.AsyncClient, url: str) -> dict[str, str]:
    """Follow one redirect as a browser would; the parameters that reach the product."""
    response = await http.get(url)
    assert response.status_code == 302, response.text
    location = httpx2.URL(response.headers["location"])
    assert str(location).startswith(REDIRECT_URI)
    return dict(location.params)
