"""A small server to try the built GraphiQL against: its files, its policy, made-up sign-ins.

It knows nothing of the product, so that these tests fail for GraphiQL's own reasons only.
"""

import base64
import itertools
import socket
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from strawberry.asgi import GraphQL

STATIC = Path(__file__).parents[2] / "static"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)

EXAMPLES = """\
# The head of the file belongs to no operation.

# Hello — says hello to a name,
# over two lines
# variables: {"name": "Mei", "requestKey": "$random"}
query Greeting($name: String!, $requestKey: String!) {
  greeting(name: $name, requestKey: $requestKey) {
    ...Words
  }
}

# Who am I — shows the header that came with the request
query WhoAmI {
  authorization
}

# Watch — one event, over WebSocket
subscription Watch {
  authorization
}

fragment Words on Greeting {
  text
}
"""

PARTNER = {"name": "Bean Partner", "clientId": "bean", "clientSecret": "beans!", "scopes": []}
STAFF = {"name": "Olga Owner", "role": "owner", "email": "olga@example.com", "password": "open"}


class Sandbox:
    """Hands out codes that work once, as the real sandbox does."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.codes: set[str] = set()

    def people(self) -> dict[str, object]:
        code = f"code-{next(self._numbers)}"
        # Only the newest code works: a page that kept an older one is refused.
        self.codes = {code}
        wechat = {"appId": "wx1", "openid": "o-mei", "jsCode": code, "phoneCode": "p"}
        member = {"name": "Mei Lin", "phone": "+8613800000000", "email": "mei@example.com"}
        return {
            "members": [{**member, "wechat": wechat, "oidc": {"loginHint": "mei"}}],
            "staff": [{**STAFF, "totpSecret": "S", "totpCode": code}],
            "partners": [PARTNER],
        }

    def take(self, code: str) -> bool:
        if code not in self.codes:
            return False
        self.codes.remove(code)
        return True


sandbox = Sandbox()


@strawberry.interface
class Problem:
    message: str


@strawberry.type
class CodeRefused(Problem):
    pass


@strawberry.type
class SessionStarted:
    access_token: str
    refresh_token: str


@strawberry.type
class StaffSessionStarted:
    access_token: str
    refresh_token: str


@strawberry.type
class SecondFactorRequired:
    challenge: str


@strawberry.input
class WechatInput:
    app_id: str
    js_code: str


@strawberry.input
class PasswordInput:
    email: str
    password: str


@strawberry.input
class SecondFactorInput:
    challenge: str
    totp_code: str


@strawberry.type
class Greeting:
    text: str


def session_start_with_wechat(
    input: WechatInput,  # noqa: A002 — the name the product's schema has
) -> Annotated[SessionStarted | CodeRefused, strawberry.union("SessionStartResult")]:
    if not sandbox.take(input.js_code):
        return CodeRefused(message="This code was used.")
    return SessionStarted(access_token="member-token", refresh_token="r")


def staff_session_start(
    input: PasswordInput,  # noqa: A002
) -> Annotated[SecondFactorRequired | CodeRefused, strawberry.union("StaffStartResult")]:
    if (input.email, input.password) != (STAFF["email"], STAFF["password"]):
        return CodeRefused(message="Wrong email or password.")
    return SecondFactorRequired(challenge="challenge-1")


def staff_session_confirm(
    input: SecondFactorInput,  # noqa: A002
) -> Annotated[StaffSessionStarted | CodeRefused, strawberry.union("StaffConfirmResult")]:
    if input.challenge != "challenge-1" or not sandbox.take(input.totp_code):
        return CodeRefused(message="Wrong code.")
    return StaffSessionStarted(access_token="staff-token", refresh_token="r")


def header(info: strawberry.Info) -> str:
    request: Request = info.context["request"]
    return request.headers.get("authorization", "nobody")


def greet(name: str, request_key: str) -> Greeting:
    return Greeting(text=f"Hello {name}, key of {len(request_key)}")


async def watch(info: strawberry.Info) -> AsyncGenerator[str, None]:
    parameters: dict[str, str] = info.context["connection_params"]
    yield f"socket of {parameters.get('authorization', 'nobody')}"


@strawberry.type
class Query:
    authorization: str = strawberry.field(resolver=header)
    greeting: Greeting = strawberry.field(resolver=greet)


@strawberry.type
class MemberMutation:
    session_start_with_wechat = strawberry.mutation(resolver=session_start_with_wechat)


@strawberry.type
class AdminMutation:
    staff_session_start = strawberry.mutation(resolver=staff_session_start)
    staff_session_confirm = strawberry.mutation(resolver=staff_session_confirm)


@strawberry.type
class Subscription:
    authorization = strawberry.subscription(resolver=watch)


class SecurityPolicy:
    """Adds the policy to every answer: workers take theirs from their own script's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", CONTENT_SECURITY_POLICY.encode())
                message["headers"] = [*message["headers"], policy]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def page(request: Request) -> Response:
    return FileResponse(STATIC / "graphiql" / "index.html")


def examples(request: Request) -> Response:
    return PlainTextResponse(EXAMPLES)


def people(request: Request) -> Response:
    return JSONResponse(sandbox.people(), headers={"cache-control": "no-store"})


async def token(request: Request) -> Response:
    wanted = base64.b64encode(f"{PARTNER['clientId']}:{PARTNER['clientSecret']}".encode()).decode()
    form = parse_qs((await request.body()).decode())
    if request.headers["authorization"] != f"Basic {wanted}":
        return JSONResponse({"error": "invalid_client"}, status_code=401)
    assert form == {"grant_type": ["client_credentials"]}
    return JSONResponse(
        {"access_token": "partner-token", "expires_in": 600, "token_type": "Bearer"}
    )


def create_app(*, has_sandbox: bool) -> Starlette:
    """The two endpoints and what the page asks for beside them."""
    routes: list[BaseRoute] = []
    for path, mutation in (("/graphql", MemberMutation), ("/admin/graphql", AdminMutation)):
        schema = strawberry.Schema(Query, mutation=mutation, subscription=Subscription)
        graphql = GraphQL(schema, graphql_ide=None)
        routes.append(Route(path, page, methods=["GET"]))
        routes.append(Route(path, graphql, methods=["POST"]))
        routes.append(WebSocketRoute(path, graphql))
    if has_sandbox:
        routes.append(Route("/sandbox/people", people))
    routes.append(Route("/auth/token", token, methods=["POST"]))
    # The committed examples belong to the product's schemas; these tests bring their own.
    routes.append(Route("/static/graphiql/examples/{name}", examples))
    routes.append(Mount("/static", StaticFiles(directory=STATIC)))
    return Starlette(routes=routes, middleware=[Middleware(SecurityPolicy)])


@contextmanager
def serve(app: Starlette) -> Generator[str]:
    """Serves the app on a free port of this machine and gives its address."""
    # The socket listens before the server runs, so that nothing has to wait for the server.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
