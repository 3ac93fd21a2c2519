"""The schema: migrations make exactly what the models say, on both databases."""

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlmodel import SQLModel

import app.models  # noqa: F401  # fills the metadata
from app.migrations.run import DatabaseNewerThanCode, migrate, run_on
from tests.conftest import Engine

pytestmark = pytest.mark.anyio


async def test_models_and_migrations_agree(database_url: str) -> None:
    """Style rule 25: `alembic check` finds nothing to do."""
    differences: list[Any] = []

    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences.extend(compare_metadata(context, SQLModel.metadata))

    await run_on(database_url, compare)
    assert differences == []


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    await migrate(database_url)
    await migrate(database_url)


async def test_a_newer_database_is_refused_in_a_line(engine: Engine, tmp_path: Path) -> None:
    url = await engine.make(tmp_path)

    def pretend(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    try:
        await run_on(url, pretend)
        with pytest.raises(DatabaseNewerThanCode, match="9999") as told:
            await migrate(url)
        assert "\n" not in str(told.value)
    finally:
        await engine.drop(url)
