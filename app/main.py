"""The server: `create_app(settings)` puts the parts together and nothing else."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import strawberry
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.crypto import constant_time_equal
from app.core.db import Database, Transaction, open_database
from app.core.errors import Unauthenticated
from app.core.personal import use_keyring
from app.edge.graphql import GraphQLEndpoint, Handshake
from app.edge.middleware import BodyLimit, Cap, Observe, RequestId, SecurityHeaders
from app.gateways.outside import Outside
from app.jobs.outside import DatabaseTokens, open_outside
from app.jobs.worker import Worker
from app.services import organisation, roles
from app.settings import Settings
from auth import oauth, web
from auth.tokens import ADMIN_AUDIENCE, MEMBER_AUDIENCE, SigningKeys, TokenSigner, TokenVerifier
from resolvers import (
    codes_http,
    files_http,
    gift_cards_http,
    imports_http,
    malls_http,
    payments_http,
    reports_http,
    students_http,
)
from resolvers.root import admin_schema, member_schema
from schema.context import Context, Principal

STATIC = Path(__file__).parent.parent / "static"
BODY_BYTES_MAX = 65_536
BODY_SECONDS_MAX = 10.0

# What GraphiQL and the pages need, and no more (web/graphiql/README.md).
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
ROUTE_GROUPS = {
    "/graphql": "graphql",
    "/admin/graphql": "admin_graphql",
    "/auth": "auth",
    "/codes": "codes",
    "/files": "files",
    "/gift-cards": "gift_cards",
    "/imports": "imports",
    "/payments": "payments",
    "/reports": "reports",
    "/static": "static",
    "/students": "students",
    "/sandbox": "sandbox",
    "/healthz": "health",
    "/readyz": "health",
    "/metrics": "metrics",
}

_log = structlog.get_logger(__name__)


class GroupMissing(Exception):
    """The database has no group of the code in settings; `regulars init` makes one."""


@dataclass(slots=True)
class Running:
    """What a started server holds until it stops."""

    settings: Settings
    database: Database
    group_id: UUID
    keys: SigningKeys
    signer: TokenSigner
    verifier: TokenVerifier
    outside: Outside

    async def context(self, handshake: Handshake, audience: str) -> Context:
        now = datetime.now(UTC)
        token = _bearer(handshake)
        principal: Principal | None = None
        refusal: Unauthenticated | None = None
        if token is not None:
            try:
                principal = await self.verifier.principal(token, audience=audience, now=now)
            except Unauthenticated as error:
                # Over HTTP a client sends its old token along with the request to refresh it: only
                # what needs a signed-in asker is refused. A socket would be refused all along.
                if handshake.transport == "ws":
                    raise
                refusal = error
        return Context(
            database=self.database,
            settings=self.settings,
            group_id=self.group_id,
            now=now,
            request_id=handshake.request_id,
            client_address=handshake.client_address,
            principal=principal,
            refusal=refusal,
            outside=self.outside,
            signer=self.signer,
        )


class App:
    """The ASGI application: the two GraphQL endpoints first, everything else by Starlette.

    They are found by their exact path, before any routing: routing costs more than the queries.
    """

    def __init__(self, settings: Settings, *, sandbox: ASGIApp | None = None) -> None:
        self.settings = settings
        self.running: Running | None = None
        self._endpoints = {
            "/graphql": self._endpoint(member_schema, MEMBER_AUDIENCE),
            "/admin/graphql": self._endpoint(admin_schema, ADMIN_AUDIENCE),
        }
        self._others = Starlette(routes=self._routes(sandbox), lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] != "lifespan" else None
        await (endpoint or self._others)(scope, receive, send)

    def _endpoint(self, schema: strawberry.Schema, audience: str) -> GraphQLEndpoint:
        async def make_context(handshake: Handshake) -> Context:
            assert self.running is not None
            return await self.running.context(handshake, audience)

        shows_page = self.settings.graphiql or not self.settings.is_production
        return GraphQLEndpoint(
            schema,
            make_context=make_context,
            masked=self.settings.is_production,
            allowed_origins=self.settings.allowed_origins,
            page=(STATIC / "graphiql" / "index.html").read_bytes() if shows_page else None,
        )

    def _routes(self, sandbox: ASGIApp | None) -> list[BaseRoute]:
        def running() -> Running:
            assert self.running is not None
            return self.running

        routes: list[BaseRoute] = [
            Route("/healthz", _healthy),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
            *oauth.routes(running),
            *web.routes(running),
            *codes_http.routes(running),
            *files_http.routes(running),
            *malls_http.routes(running),
            *gift_cards_http.routes(running),
            *imports_http.routes(running),
            *reports_http.routes(running),
            *payments_http.routes(running),
            *students_http.routes(running),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        if sandbox is not None:
            routes.append(Mount("/sandbox", sandbox))
        return routes

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with start(self.settings) as running:
            self.running = running
            _spare_the_garbage_collector()
            _log.info("server started", mode=self.settings.mode)
            yield
            _log.info("server stopping")
        self.running = None

    async def _ready(self, _request: Request) -> Response:
        """Ready means that the database answers."""
        if self.running is None:
            return JSONResponse({"status": "starting"}, 503)
        try:
            async with asyncio.timeout(2):
                await self.running.database.read(_answer)
        except Exception as error:  # whatever it is, it is not ready
            _log.warning("not ready", error=type(error).__name__)
            return JSONResponse({"status": "database unreachable"}, 503)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        """Prometheus metrics, for who has the token; in the demo for everybody."""
        token = self.settings.metrics_token
        if token is None and self.settings.is_production:
            return PlainTextResponse("set REGULARS_METRICS_TOKEN", 404)
        given = request.headers.get("authorization", "")
        if token and not constant_time_equal(given, f"Bearer {token.get_secret_value()}"):
            return PlainTextResponse("unauthorized", 401)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def create_app(settings: Settings, *, sandbox: ASGIApp | None = None) -> ASGIApp:
    """The application with its middleware, for any ASGI server. The database must be migrated."""
    use_keyring(settings.keyring)
    app: ASGIApp = BodyLimit(
        App(settings, sandbox=sandbox),
        max_bytes=BODY_BYTES_MAX,
        max_seconds=BODY_SECONDS_MAX,
        larger={
            files_http.PATH: Cap(files_http.UPLOAD_BYTES_MAX, files_http.UPLOAD_SECONDS_MAX),
            **dict.fromkeys(
                imports_http.UPLOAD_PATHS,
                Cap(imports_http.UPLOAD_BYTES_MAX, imports_http.UPLOAD_SECONDS_MAX),
            ),
        },
    )
    app = SecurityHeaders(app, content_security_policy=CONTENT_SECURITY_POLICY)
    app = Observe(app, groups=ROUTE_GROUPS)
    return RequestId(app)


@asynccontextmanager
async def start(settings: Settings) -> AsyncIterator[Running]:
    """Open the database and the outside world, load the keys, begin the jobs; and undo it all.

    Raises `GroupMissing`.
    """
    async with AsyncExitStack() as stack:
        database = await open_database(
            settings.database_url,
            connections=settings.database_connections,
            read_url=settings.read_database_url,
        )
        stack.push_async_callback(database.close)
        group = await database.read(organisation.group_of_code, code=settings.group_code)
        if group is None:
            raise GroupMissing(
                f"There is no group with the code {settings.group_code!r}: run `regulars init`."
            )
        # A newer release may allow its built-in roles more than the one that made the group.
        await database.run(roles.ensure_built_in, group_id=group.id)
        now = datetime.now(UTC)
        keys = SigningKeys(database)
        await keys.start(now)
        outside = await stack.enter_async_context(open_outside(settings, DatabaseTokens(database)))
        if settings.run_jobs:
            await stack.enter_async_context(working(database, outside))
        yield Running(
            settings=settings,
            database=database,
            group_id=group.id,
            keys=keys,
            signer=TokenSigner(keys, issuer=settings.public_url, life=settings.access_token_life),
            verifier=TokenVerifier(keys, issuer=settings.public_url),
            outside=outside,
        )


@asynccontextmanager
async def working(database: Database, outside: Outside) -> AsyncIterator[Worker]:
    """A worker in this process, stopped gracefully at the end."""
    worker = Worker(database, outside)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


def _spare_the_garbage_collector() -> None:
    """Leave what was made at the start, modules and schemas, out of every later collection.

    Going through all of it again held up one request in a thousand for 80 ms (bench/README.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def _answer(tx: Transaction) -> None:
    await tx.one(organisation.node_by_id, node_id=UUID(int=0))


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok")


def _bearer(handshake: Handshake) -> str | None:
    """The access token of a request's header, or of a socket's connection parameters."""
    given = handshake.headers.get("authorization")
    if given is None and handshake.connection_params:
        params = handshake.connection_params
        found = params.get("authorization") or params.get("Authorization")
        given = found if isinstance(found, str) else None
    if given is None:
        return None
    scheme, _, token = given.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
