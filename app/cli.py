"""The command `regulars`: everything somebody who runs the product types.

What goes wrong in a foreseeable way is one line on standard error and exit code 1.
"""

import asyncio
import base64
import errno
import os
import secrets
import signal
import socket
import sqlite3
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvicorn
from prometheus_client import start_http_server
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from app.core import totp
from app.core.db import Database, open_database
from app.core.db.database import DatabaseUrlInvalid
from app.core.errors import DomainError, RequestError
from app.core.logs import configure_logs
from app.core.personal import use_keyring
from app.demo.load import MEMBERS, SEED, DatabaseNotEmpty, Loaded, is_empty, keys_fit, load_demo
from app.demo.settings import demo_settings, keyring_of
from app.demo.world import EMPLOYEES, PASSWORD
from app.edge.protocol import GuardedHttpProtocol
from app.gateways.files.folder import FolderStore
from app.gateways.sandbox import SandboxInProductionError
from app.jobs.outside import DatabaseTokens, open_outside
from app.migrations.run import (
    DatabaseNewerThanCode,
    DatabaseNotMigrated,
    LoadUnfinished,
    MigrationBroke,
    migrate,
    require_current,
)
from app.services import audit, ledger, organisation, setup, signing_keys, spendings
from app.services.gift_cards import checking as gift_cards
from app.settings import KEY_BYTES, Settings, SettingsInvalid, read_settings
from auth.passwords import hash_password

T = TypeVar("T")

FAULTS_SHOWN_MAX = 100
URL_FORMS = (
    "REGULARS_DATABASE_URL is not a database URL: it is like sqlite:///regulars.db or "
    "postgresql://user:password@host/name"
)
STOPPING = (signal.SIGINT, signal.SIGTERM)

cli = typer.Typer(
    name="regulars",
    help="The membership backend of restaurant and retail groups.\n\nTry it: regulars serve --demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
checks = typer.Typer(help="Prove that what is stored is right.", no_args_is_help=True)
cli.add_typer(checks, name="check")
out, err = Console(highlight=False), Console(stderr=True, highlight=False)


class GroupMissing(Exception):
    """The database has no group of the code in settings."""


class PortTaken(Exception):
    """Another program listens where the server should."""


EXPECTED = (
    DatabaseNewerThanCode, DatabaseNotEmpty, DatabaseNotMigrated, DatabaseUrlInvalid, DomainError,
    GroupMissing, LoadUnfinished, MigrationBroke, PortTaken, RequestError, SandboxInProductionError,
    SettingsInvalid,
)  # fmt: skip


def main() -> None:
    """What `regulars` runs."""
    with _one_line_errors():
        cli()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except EXPECTED as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        _fail("PostgreSQL needs its driver: pip install 'regulars[postgres]'")
    except OSError as error:
        if error.filename is None:
            _fail(f"The database cannot be reached: {error}")
        _fail(f"{error.filename}: {error.strerror}")
    except (sqlite3.Error, DBAPIError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        _fail(f"The database cannot be used: {reason[0] if reason else type(error).__name__}")
    except Exception as error:
        # asyncpg's errors; it is not imported for those who use SQLite alone.
        if not type(error).__module__.startswith("asyncpg."):
            raise
        _fail(f"The database cannot be used: {str(error).splitlines()[0]}")


def _fail(message: str) -> NoReturn:
    print(f"regulars: {message}", file=sys.stderr)  # noqa: T201  # plain: no markup, no wrapping
    raise SystemExit(1)


Host = Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is all of them.")]
Port = Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on.")]
Members = Annotated[int, typer.Option(min=1, max=10_000_000, help="How many members to make.")]
Seed = Annotated[int, typer.Option(help="Another number gives other people.")]


@cli.command()
def serve(
    *,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help="Migrate, load the demo if the database is empty, mount the sandbox."
        ),
    ] = False,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Server processes.")] = 1,
) -> None:
    """Start the server, jobs included unless REGULARS_RUN_JOBS is false.

    Settings come from the environment (REGULARS_…); `regulars keys` prints the secrets. Ctrl-C
    or SIGTERM stop it once the requests and jobs under way are finished.
    """
    configure_logs(readable=sys.stderr.isatty())
    if demo:
        if processes > 1:
            raise typer.BadParameter("the sandbox lives in one process: leave --processes out")
        _serve_demo(host, port)
        return
    settings = _settings()
    _run(_ready_to_serve(settings))
    listener = _listener(host, port)
    if processes == 1:
        # Here and not at the top: the schemas take a second that no other command needs.
        from app.main import create_app

        _serve(create_app(settings), settings, listener, started=f"http://{host}:{port}")
        return
    if make_url(settings.database_url).get_backend_name() == "sqlite":
        err.print("On SQLite, members' open pages hear only of what their own process records.")
    config = _server_config("app.cli:server_process", settings, workers=processes, factory=True)
    Multiprocess(config, sockets=[listener]).run()


def server_process() -> ASGIApp:
    """The application of one of several server processes."""
    from app.main import create_app  # as in `serve`

    configure_logs(readable=sys.stderr.isatty())
    settings = _settings()
    GuardedHttpProtocol.head_seconds = settings.head_timeout_s
    return create_app(settings)


def _serve_demo(host: str, port: int) -> None:
    public_host = "localhost" if host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else host  # noqa: S104
    public_url = f"http://{public_host}:{port}"
    settings = demo_settings(public_url=public_url)
    _settings_are_sound(settings)
    listener = _listener(host, port)
    _run(_prepare_demo(settings))
    from app.demo.server import DemoApp  # as in `serve`

    app = DemoApp(lambda mail_port: demo_settings(public_url=public_url, mail_port=mail_port))
    _serve(app, settings, listener, started=_welcome(public_url))


def _serve(app: ASGIApp, settings: Settings, listener: socket.socket, *, started: str) -> None:
    GuardedHttpProtocol.head_seconds = settings.head_timeout_s
    config = _server_config(app, settings)
    # uvicorn raises the signal that stopped it once more when it is done: a graceful stop is a
    # success, not a death by signal.
    for number in STOPPING:
        signal.signal(number, lambda *_: None)
    _Server(config, started).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, started_text: str) -> None:
        super().__init__(config)
        self._started_text = started_text

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._started_text, flush=True)  # noqa: T201  # plain, to be copied


def _server_config(app: ASGIApp | str, settings: Settings, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedHttpProtocol,
        ws="websockets-sansio",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=settings.stop_timeout_s,
        limit_concurrency=settings.connections_max,
        **more,
    )


def _listener(host: str, port: int) -> socket.socket:
    """A listening socket; raises `PortTaken`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2_048)
    except socket.gaierror:
        raise PortTaken(f"{host} is not an address of this machine.") from None
    except PermissionError:
        raise PortTaken(f"Port {port} needs more rights than this user has.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"Port {port} is taken by another program: choose one with --port."
            ) from None
        raise PortTaken(f"{host}:{port} cannot be listened on: {error.strerror}.") from None
    listener.set_inheritable(True)
    return listener


def _welcome(url: str) -> str:
    staff = "\n".join(f"    {e.role:<9} {e.email}" for e in EMPLOYEES)
    return (
        f"\nRegulars is running. Open\n"
        f"  {url}/graphql             GraphiQL for members\n"
        f"  {url}/admin/graphql       GraphiQL for staff, tills and partners\n"
        f"  {url}/sandbox/people      whom to sign in as, with fresh codes\n"
        f"  {url}/sandbox/messages    the text messages and mails that were sent\n"
        f"  docs/tour.md                            the main job, step by step\n\n"
        f"Sign in as staff with the password {PASSWORD} and the totpCode of /sandbox/people:\n"
        f"{staff}\n"
        f"Ctrl-C stops it.\n"
    )


@cli.command()
def worker(
    *,
    metrics_host: Host = "127.0.0.1",
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Serve Prometheus metrics here.")
    ] = None,
) -> None:
    """Do jobs only: for deployments whose servers have REGULARS_RUN_JOBS=false."""
    configure_logs(readable=sys.stderr.isatty())
    settings = _settings()
    _run(_ready_to_serve(settings))
    if metrics_port is not None:
        _listener(metrics_host, metrics_port).close()  # its errors are ours to word
        start_http_server(metrics_port, metrics_host)
    _run(_work(settings))


async def _work(settings: Settings) -> None:
    from app.main import working  # as in `serve`

    stopped = asyncio.Event()
    for number in STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    database = await _open(settings)
    try:
        async with (
            open_outside(settings, DatabaseTokens(database)) as outside,
            working(database, outside),
        ):
            await stopped.wait()
    finally:
        await database.close()


@cli.command("migrate")
def migrate_command() -> None:
    """Bring the database to this release's schema. Running it twice does nothing more."""
    url = _database_url()
    _run(migrate(url))
    out.print("The database is at this release's schema.")


@cli.command()
def keys() -> None:
    """Print fresh secrets as environment lines. Keep them: without them nothing can be read."""

    def fresh() -> str:
        return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()

    for line in (
        f'REGULARS_ENCRYPTION_KEYS=\'{{"k1": "{fresh()}"}}\'',
        f"REGULARS_INDEX_KEY='{fresh()}'",
        f'REGULARS_MEMBER_CODE_KEYS=\'{{"c1": "{fresh()}"}}\'',
        f"REGULARS_METRICS_TOKEN='{secrets.token_urlsafe(KEY_BYTES)}'",
    ):
        print(line)  # noqa: T201  # plain, to be piped into a file


@cli.command()
def init(
    *,
    group_name: Annotated[str, typer.Option(help="The group's name.")],
    owner_name: Annotated[str, typer.Option(help="The name of its first owner.")],
    owner_email: Annotated[str, typer.Option(help="The address the owner signs in with.")],
    time_zone: Annotated[str, typer.Option(help="Its IANA time zone.")] = "Asia/Shanghai",
) -> None:
    """Create a new deployment's group and owner; prints their password and TOTP secret once."""
    settings = _settings()
    password = secrets.token_urlsafe(18)
    founded = _run(_found(settings, password, group_name, owner_name, owner_email, time_zone))
    uri = totp.provisioning_uri(
        founded.owner.totp_secret, account=founded.owner.email, issuer=founded.group.name
    )
    for line in (
        f"The group {founded.group.name!r} is there. Its owner signs in at {settings.public_url}:",
        f"  e-mail       {founded.owner.email}",
        f"  password     {password}",
        f"  TOTP secret  {founded.owner.totp_secret}",
        f"  TOTP URI     {uri}",
        "None of this is shown again.",
    ):
        print(line)  # noqa: T201  # plain, to be copied


async def _found(
    settings: Settings, password: str, name: str, owner_name: str, owner_email: str, zone: str
) -> setup.Founded:
    await require_current(settings.database_url)
    password_hash = await hash_password(password)
    database = await _open(settings)
    try:
        return await database.run(
            setup.found_group,
            code=settings.group_code,
            name=name,
            time_zone=zone,
            owner_name=owner_name,
            owner_email=owner_email,
            owner_password_hash=password_hash,
            now=datetime.now(UTC),
        )
    finally:
        await database.close()


@cli.command("demo")
def demo_command(*, members: Members = MEMBERS, seed: Seed = SEED) -> None:
    """Load the demo into the empty database of REGULARS_DATABASE_URL, with as many members as
    wanted, and say how fast that was. `regulars serve --demo` then serves it."""
    settings = demo_settings(public_url="http://localhost:8000")
    _settings_are_sound(settings)
    loaded = _run(_load(settings, members=members, seed=seed))
    out.print(
        f"{loaded.members:,} members in {loaded.took_s:.1f} s: "
        f"{loaded.members_per_s:,} members a second."
    )


async def _load(settings: Settings, *, members: int, seed: int) -> Loaded:
    await migrate(settings.database_url)
    return await load_demo(
        settings.database_url,
        keyring=keyring_of(settings),
        password_hash=await hash_password(PASSWORD),
        group_code=settings.group_code,
        files=FolderStore(Path(settings.files.folder)),
        now=datetime.now(UTC),
        members=members,
        seed=seed,
    )


async def _prepare_demo(settings: Settings) -> None:
    await migrate(settings.database_url)
    database = await _open(settings)
    try:
        must_load = await is_empty(database)
        if not must_load and not await keys_fit(database):
            raise SettingsInvalid(
                "the database was filled with other keys than those in .data/demo-keys.json: "
                "bring that file back, or remove the demo's database"
            )
    finally:
        await database.close()
    if must_load:
        err.print(f"Loading a demo of {MEMBERS:,} members …")
        await _load(settings, members=MEMBERS, seed=SEED)


class Audience(StrEnum):
    """The two schemas."""

    MEMBER = "member"
    ADMIN = "admin"


@cli.command()
def schema(audience: Audience) -> None:
    """Print a schema in the schema definition language."""
    from resolvers.root import admin_schema, member_schema  # as in `serve`

    found = member_schema if audience is Audience.MEMBER else admin_schema
    print(found.as_str())  # noqa: T201  # plain, to be piped into a file


@cli.command("rotate-signing-key")
def rotate_signing_key() -> None:
    """Publish a new key for access tokens; it signs in a few minutes, the old one runs out."""
    key = _run(_rotate(_settings()))
    out.print(f"The key {key.kid} signs from {key.active_from:%Y-%m-%d %H:%M} UTC.")


async def _rotate(settings: Settings) -> Any:
    await require_current(settings.database_url)
    database = await _open(settings)
    try:
        return await database.run(
            signing_keys.rotate,
            now=datetime.now(UTC),
            token_life=signing_keys.TOKEN_LIFE_MAX,
        )
    finally:
        await database.close()


@checks.command("ledger")
def check_ledger() -> None:
    """Prove the books: every posting balanced, every balance the sum of its entries and lots."""
    faults = _run(_ledger_faults(_database_url()))
    if not faults:
        out.print("The ledger is right.")
        return
    table = Table("rule", "id", "detail")
    for fault in faults[:FAULTS_SHOWN_MAX]:
        table.add_row(fault.rule, str(fault.id), fault.detail)
    out.print(table)
    raise typer.Exit(1)


async def _ledger_faults(url: str) -> list[ledger.Fault]:
    await require_current(url)
    database = await open_database(url, connections=2)
    try:
        return [
            fault
            for check in (ledger.check, spendings.check, gift_cards.check)
            for fault in await database.scan(check)
        ]
    finally:
        await database.close()


@checks.command("audit")
def check_audit() -> None:
    """Recompute the audit log's chain and print its head, to be kept outside the database."""
    verdict = _run(_audit_verdict(_database_url(), _group_code()))
    out.print(
        f"{verdict.checked:,} records checked, {verdict.unsealed:,} not sealed yet.\n"
        f"head {verdict.head}",
        soft_wrap=True,
    )
    if verdict.broken is None:
        return
    table = Table("record", "fault")
    table.add_row(str(verdict.broken.sequence), verdict.broken.why)
    out.print(table)
    raise typer.Exit(1)


async def _audit_verdict(url: str, group_code: str) -> audit.Verdict:
    await require_current(url)
    database = await open_database(url, connections=2)
    try:
        group = await database.read(organisation.group_of_code, code=group_code)
        if group is None:
            raise _group_missing(group_code)
        return await database.scan(audit.verify, group_id=group.id)
    finally:
        await database.close()


async def _ready_to_serve(settings: Settings) -> None:
    """Find out now, in one line, what would otherwise stop the server while it starts."""
    await require_current(settings.database_url)
    database = await _open(settings)
    try:
        if await database.read(organisation.group_of_code, code=settings.group_code) is None:
            raise _group_missing(settings.group_code)
    finally:
        await database.close()


def _group_missing(code: str) -> GroupMissing:
    return GroupMissing(f"There is no group with the code {code!r}: run `regulars init`.")


async def _open(settings: Settings) -> Database:
    use_keyring(settings.keyring)
    return await open_database(settings.database_url, connections=2)


def _settings() -> Settings:
    """Settings from the environment, known to be usable; raises `SettingsInvalid`."""
    settings = read_settings()
    _settings_are_sound(settings)
    return settings


def _settings_are_sound(settings: Settings) -> None:
    _checked_url(settings.database_url)
    try:
        _ = settings.keyring, settings.member_codes
    except (ValueError, AssertionError) as error:
        raise SettingsInvalid(f"a secret cannot be used ({error}): `regulars keys`") from None


def _database_url() -> str:
    """Where the database is, for commands that need no secret."""
    default: str = Settings.model_fields["database_url"].default
    return _checked_url(os.environ.get("REGULARS_DATABASE_URL", default))


def _group_code() -> str:
    default: str = Settings.model_fields["group_code"].default
    return os.environ.get("REGULARS_GROUP_CODE", default)


def _checked_url(url: str) -> str:
    """The URL; raises `DatabaseUrlInvalid`. Its text, which may hold a password, is not shown."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseUrlInvalid(URL_FORMS) from None
    name = parsed.get_backend_name()
    if name not in {"sqlite", "postgresql"} or not parsed.database:
        raise DatabaseUrlInvalid(URL_FORMS)
    return url


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        _fail("stopped")


if __name__ == "__main__":
    main()
