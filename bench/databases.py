"""Databases of the measurement: made, filled as `regulars demo --members N` does, dropped."""

import asyncio
import base64
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import orjson

from app.core.crypto import Keyring
from app.core.personal import use_keyring
from app.demo.load import load_demo
from app.gateways.files.folder import FolderStore
from app.migrations.run import migrate
from app.settings import read_settings

POSTGRES = os.environ.get(
    "REGULARS_BENCH_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres"
)
CONNECT_SECONDS_MAX = 5.0


def use_settings() -> None:
    """Settings for this process and those it starts: production, without jobs beside the server.

    Jobs are a worker's in production; what they do after a purchase would count as its cost.
    """
    key = orjson.dumps({"bench": base64.b64encode(secrets.token_bytes(32)).decode()}).decode()
    os.environ |= {
        "REGULARS_MODE": "production",
        "REGULARS_PUBLIC_URL": "http://127.0.0.1",
        "REGULARS_ENCRYPTION_KEYS": key,
        "REGULARS_INDEX_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "REGULARS_MEMBER_CODE_KEYS": key,
        "REGULARS_RUN_JOBS": "false",
    }


def why_no_postgres() -> str | None:
    """The reason why PostgreSQL cannot be measured, if there is one."""
    try:
        asyncio.run(_postgres("SELECT 1"))
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return f"{type(error).__name__}; set REGULARS_BENCH_POSTGRES"
    return None


@contextmanager
def database(engine: str) -> Iterator[str]:
    """The URL of a new database, dropped at the end."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory(prefix="regulars-bench-") as folder:
            yield f"sqlite:///{folder}/regulars.db"
        return
    name = f"regulars_bench_{secrets.token_hex(6)}"
    asyncio.run(_postgres(f'CREATE DATABASE "{name}"'))
    try:
        yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    finally:
        asyncio.run(_postgres(f'DROP DATABASE "{name}" WITH (FORCE)'))


async def fill(url: str, members: int) -> int:
    """Load the demo with that many members, as `regulars demo` does; how many a second."""
    await migrate(url)
    settings = read_settings()
    use_keyring(settings.keyring)
    with tempfile.TemporaryDirectory() as folder:
        loaded = await load_demo(
            url,
            keyring=_keyring,
            password_hash="nobody signs in by password here",  # noqa: S106
            group_code=settings.group_code,
            files=FolderStore(Path(folder)),
            now=datetime.now(UTC),
            members=members,
        )
    if url.startswith("postgresql"):
        await _postgres("VACUUM (ANALYZE)", url)
        await _postgres("CHECKPOINT", url)
    return loaded.members_per_s


def _keyring() -> Keyring:
    return read_settings().keyring


async def _postgres(command: str, url: str = POSTGRES) -> None:
    async with asyncio.timeout(CONNECT_SECONDS_MAX):
        connection = await asyncpg.connect(url)
    try:
        await connection.execute(command)
    finally:
        await connection.close()
