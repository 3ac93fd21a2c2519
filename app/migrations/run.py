"""Bring a database to this code's schema, or say why that cannot be."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
UPGRADE_LOCK = 7_301_926
"""An advisory lock on PostgreSQL, so that two processes starting at once do not both migrate."""


LOADING = "demo-loading"
"""What a bulk load writes before the revision, so that nothing starts on half of it."""


class DatabaseNewerThanCode(Exception):
    """The database was migrated by a newer release than this one."""


class DatabaseNotMigrated(Exception):
    """The database is empty, or older than this release."""


class LoadUnfinished(Exception):
    """A bulk load into this database died halfway, its constraints and indexes dropped."""


class MigrationBroke(Exception):
    """A migration left rows that point nowhere."""


def config_for(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


async def migrate(url: str) -> None:
    """Upgrade to the newest revision. Raises `DatabaseNewerThanCode`, `MigrationBroke`."""
    await run_on(url, _upgrade)


async def require_current(url: str) -> None:
    """Raise `DatabaseNotMigrated` or `DatabaseNewerThanCode` unless this release can use it."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        assert parsed.database
        if not await asyncio.to_thread(Path(parsed.database).exists):
            raise DatabaseNotMigrated(
                f"There is no database {parsed.database}: `regulars migrate`."
            )
    await run_on(url, _require_current)


async def run_on(url: str, work: Callable[[Connection], Any]) -> None:
    """Run a synchronous function on a connection of its own."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        await asyncio.to_thread(Path(parsed.database).parent.mkdir, parents=True, exist_ok=True)
    engine = create_async_engine(
        parsed.set(drivername=DRIVERS[parsed.get_backend_name()]), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(work)
            await connection.commit()
    finally:
        await engine.dispose()


def revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known_revision(connection: Connection) -> str | None:
    """The database's revision; raises `DatabaseNewerThanCode`, `LoadUnfinished`."""
    current = revision_of(connection)
    if current is None:
        return None
    if current.startswith(LOADING):
        raise LoadUnfinished(
            "A load of the demo into this database has not finished. If none is running, drop the "
            "database and create it anew."
        )
    try:
        ScriptDirectory.from_config(config_for()).get_revision(current)
    except CommandError:
        raise DatabaseNewerThanCode(
            f"The database is at revision {current}, which this release does not know. "
            "Run the newer release, or restore a backup made with this one."
        ) from None
    return current


def _require_current(connection: Connection) -> None:
    newest = ScriptDirectory.from_config(config_for()).get_current_head()
    if _known_revision(connection) != newest:
        raise DatabaseNotMigrated(
            "The database is not at this release's schema: run `regulars migrate`."
        )


def _upgrade(connection: Connection) -> None:
    _known_revision(connection)
    connection.commit()
    if connection.dialect.name == "sqlite":
        # With foreign keys on, rebuilding a parent table deletes its children in silence.
        connection.execute(text("PRAGMA foreign_keys=OFF"))
        connection.execute(text("PRAGMA journal_mode=WAL"))
        connection.commit()
        command.upgrade(config_for(connection), "head")
        if orphans := connection.execute(text("PRAGMA foreign_key_check")).all():
            raise MigrationBroke(f"rows that point nowhere: {orphans[:5]}")
    else:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})"))
        command.upgrade(config_for(connection), "head")
