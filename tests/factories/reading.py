"""What is in the database, for tests that ask beneath the API."""

from typing import Any, TypeVar

from app.core.db import Database, Statement

R = TypeVar("R")


async def one(database: Database, asked: Statement[R], **values: Any) -> R | None:
    return await database.read(lambda tx: tx.one(asked, **values))


async def every(database: Database, asked: Statement[R], **values: Any) -> list[R]:
    return await database.read(lambda tx: tx.all(asked, **values))
