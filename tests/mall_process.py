"""A process whose members redeem all at once: `python -m tests.mall_process <database URL>`.

It says `ready`, reads what to do as one line of JSON, and answers with what became of each.
Beneath GraphQL, which would take most of its time to read the same mutation a thousand times.
"""

import asyncio
import sys
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from app.core.db import Database, open_database
from app.core.errors import DomainError
from app.services import points_mall
from app.services.members import Bearer

# Sets the keys that the test's database was written with.
from tests import conftest as _keys  # noqa: F401

CLIENTS = 32
"""Asked at once: more than there are connections to PostgreSQL."""


async def redeem(database: Database, asked: dict[str, Any]) -> list[Any]:
    """Whether one member was given a piece: the order and if it is a replay, or the refusal."""
    member_id = UUID(asked["member_id"])
    wish = points_mall.Wish(
        card_id=UUID(asked["card_id"]),
        item_id=UUID(asked["item_id"]),
        quantity=1,
        price_points=asked["points"],
        price=None,
        store_id=UUID(asked["store_id"]),
        recipient=None,
    )
    try:
        placed = await database.run(
            points_mall.place,
            bearer=Bearer(member_id, member_id),
            wish=wish,
            online=None,
            request_key=asked["request_key"],
            now=datetime.fromisoformat(asked["now"]),
        )
    except DomainError as refusal:
        return [type(refusal).__name__]
    return ["placed", str(placed.order.id), placed.is_replay]


async def main(url: str) -> None:
    database = await open_database(url)
    print("ready", flush=True)  # noqa: T201  # the test waits for it
    waves = orjson.loads(await asyncio.to_thread(sys.stdin.readline))
    clients = asyncio.Semaphore(CLIENTS)

    async def ask(asked: dict[str, Any]) -> list[Any]:
        async with clients:
            return await redeem(database, asked)

    heard = [await asyncio.gather(*map(ask, wave)) for wave in waves]
    print(orjson.dumps(heard).decode(), flush=True)  # noqa: T201  # the test reads it
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
