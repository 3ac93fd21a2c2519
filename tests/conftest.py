"""What every test can have: a fresh database on each engine, a time, keys.

PostgreSQL tests need a server where databases may be created: REGULARS_TEST_POSTGRES, by default
the local one. Without it they are skipped, or fail where REGULARS_TESTS_REQUIRE_ALL=1 says that
nothing may be missing.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.core.crypto import Keyring
from app.core.db import Database, open_database
from app.core.personal import use_keyring
from app.migrations.run import migrate

POSTGRES = os.environ.get("REGULARS_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REQUIRE_ALL = os.environ.get("REGULARS_TESTS_REQUIRE_ALL") == "1"

use_keyring(Keyring({"test": b"k" * 32}, "test", b"i" * 32))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Engine:
    """Makes fresh, migrated databases of one kind."""

    name: str
    template: str

    async def make(self, folder: Path) -> str:
        """The URL of a new database."""
        if self.name == "sqlite":
            path = folder / f"{uuid.uuid4().hex}.db"
            shutil.copyfile(self.template, path)
            return f"sqlite:///{path}"
        name = f"regulars_test_{uuid.uuid4().hex}"
        # Copying files takes half as long as logging every block of a template nobody writes to.
        await _postgres(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}" STRATEGY FILE_COPY')
        return f"{POSTGRES.rpartition('/')[0]}/{name}"

    async def drop(self, url: str) -> None:
        if self.name == "postgresql":
            await _postgres(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')


@pytest.fixture(scope="session")
def sqlite_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("template") / "template.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return Engine("sqlite", str(path))


@pytest.fixture(scope="session")
def postgresql_engine() -> Iterator[Engine]:
    name = f"regulars_template_{uuid.uuid4().hex}"
    try:
        asyncio.run(_postgres(f'CREATE DATABASE "{name}"'))
    except (OSError, asyncpg.PostgresError) as error:
        reason = f"no PostgreSQL to test on ({error}): set REGULARS_TEST_POSTGRES"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    asyncio.run(migrate(f"{POSTGRES.rpartition('/')[0]}/{name}"))
    yield Engine("postgresql", name)
    asyncio.run(_postgres(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(f"{request.param}_engine")
    return found


@pytest.fixture
async def database_url(engine: Engine, tmp_path: Path) -> AsyncIterator[str]:
    url = await engine.make(tmp_path)
    yield url
    await engine.drop(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url)
    yield database
    await database.close()


async def _postgres(command: str) -> Any:
    connection = await asyncpg.connect(POSTGRES)
    try:
        return await connection.execute(command)
    finally:
        await connection.close()
