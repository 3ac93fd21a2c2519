"""Bad input to every mutation of both schemas: a coded error or a problem, and nothing changes.

The cases come from the schemas themselves, so a new mutation is covered the day it is added. Each
starts from an input whose every field is plausible, and one field is then made wrong.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import asyncpg
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    build_schema,
)
from sqlmodel import SQLModel

from app.core.db import Database, Statement, Transaction, statement
from app.core.ids import new_id, type_id
from resolvers.root import admin_schema, member_schema
from tests.factories.cards import Counter, counter
from tests.factories.executing import execute
from tests.factories.members import Server, a_server

pytestmark = pytest.mark.anyio

MEMO = {
    # What a refused request may leave behind: tries that count.
    "rate_counts",
    "verification_codes",
    "staff",
    "tickets",
    # A partner or staff member acted, though the answer was a refusal they may read.
    "audit_records",
    # The counter's own key.
    "signing_keys",
}
COUNTED = {"cardVerifyPin": {"cards"}}
"""A wrong PIN counts on its card (CRD-8)."""
TABLES: dict[str, Statement[Any]] = {
    name: statement(table.select()) for name, table in SQLModel.metadata.tables.items()
}
WRONG: dict[str, list[Any]] = {
    "String": ["", "\0", "a\0b", "x" * 20_000, "\ud800", 7, None, ["x"], "'; DROP TABLE cards; --"],
    "ID": ["", "nonsense", "\0", "mem_0", type_id("zzz", new_id()), "x" * 20_000, None],
    "Long": [-1, 0, 2**63 - 1, 2**63, -(2**63), 1.5, "1", True, None],
    "Int": [-1, 0, 2**31 - 1, 2**31, 1.5, "1", None],
    "Boolean": ["yes", 1, None],
    "Date": ["2026-02-30", "", "0001-01-01", "9999-12-31", 7, None],
    "DateTime": ["", "2026-09-01T12:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", None],
    "CurrencyCode": ["", "cny", "XXX", "\0", "x" * 9_999, None],
}
GOOD: dict[str, Any] = {
    "String": "a word",
    "Long": 1,
    "Int": 1,
    "Boolean": True,
    "Date": "2000-02-29",
    "DateTime": datetime(2026, 9, 1, 12, tzinfo=UTC).isoformat(),
    "CurrencyCode": "CNY",
}


ON_POSTGRES_EVERY = 3
"""What is wrong with a value rarely depends on the database: SQLite is asked all of the thousands
of cases, PostgreSQL each third."""
BY_STRANGERS_EVERY = 5
"""Who is not signed in is refused before anybody looks at what they sent."""


def plausible(kind: Any, name: str, ids: dict[str, str]) -> Any:
    """A value of this type that could be meant; ids are of things that exist, where we have any."""
    if isinstance(kind, GraphQLNonNull):
        return plausible(kind.of_type, name, ids)
    if isinstance(kind, GraphQLList):
        return [plausible(kind.of_type, name, ids)]
    if isinstance(kind, GraphQLInputObjectType):
        return {field: plausible(each.type, field, ids) for field, each in kind.fields.items()}
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if kind.name == "ID":
        return ids.get(name.removesuffix("s"), type_id("mem", new_id()))
    return GOOD[kind.name]


def real_ids(till: Counter) -> dict[str, str]:
    shop = till.shop
    return {
        "cardId": till.card_id,
        "terminalId": till.terminal_id,
        "schemeId": type_id("sch", shop.scheme.id),
        "memberId": type_id("mem", shop.member.id),
        "storeId": type_id("node", shop.store.id),
        "nodeId": type_id("node", shop.places.coffee.id),
        "parentId": type_id("node", shop.places.group.id),
        "perspectiveId": type_id("node", shop.places.group.id),
        "staffId": type_id("stf", shop.cashier.staff.id),
    }


def spoiled(kind: Any, value: Any, seen: set[str]) -> Iterator[Any]:
    """The plausible value with one leaf made wrong, each in turn.

    What is inside of an input that several mutations take, as a scope, is spoiled in the first.
    """
    if isinstance(kind, GraphQLNonNull):
        yield None
        yield from spoiled(kind.of_type, value, seen)
    elif isinstance(kind, GraphQLList):
        yield from ([each] for each in spoiled(kind.of_type, value[0], seen))
        yield value * (1_000 if isinstance(value[0], dict) else 5_000)
    elif isinstance(kind, GraphQLInputObjectType):
        yield {**value, "unknownField": 1}
        if kind.name in seen:
            return
        seen.add(kind.name)
        for field, each in kind.fields.items():
            for wrong in spoiled(each.type, value[field], seen):
                yield {**value, field: wrong}
            yield {key: kept for key, kept in value.items() if key != field}
    elif isinstance(kind, GraphQLEnumType):
        yield "NOT_ONE_OF_THEM"
    else:
        yield from WRONG[kind.name]


def cases(schema: GraphQLSchema, ids: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each mutation's name, a document for it, and variables with one thing wrong."""
    assert schema.mutation_type is not None
    fields = schema.mutation_type.fields.items()
    seen: set[str] = set()
    # What ends somebody's access comes last: a wrong value may be a right one.
    for name, field in sorted(fields, key=lambda each: each[0].endswith(("Close", "Deactivate"))):
        if not field.args:
            continue
        ((argument, declared),) = field.args.items()
        document = (
            f"mutation ($given: {declared.type}) {{ {name}({argument}: $given) {{ __typename }} }}"
        )
        for wrong in spoiled(declared.type, plausible(declared.type, argument, ids), seen):
            yield name, document, {"given": wrong}


async def everything(tx: Transaction) -> dict[str, str]:
    return {
        name: repr(sorted(map(repr, await tx.all(rows))))
        for name, rows in TABLES.items()
        if name not in MEMO
    }


@asynccontextmanager
async def marks(url: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Something to ask that stays the same as long as nobody writes: looking at every table after
    each of thousands of cases is most of what this test would do."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))

        async def version() -> Any:
            return connection.execute("PRAGMA data_version").fetchone()

        yield version
        connection.close()
        return
    server = await asyncpg.connect(url)
    # What is rolled back is written too: then the tables are looked at.
    yield lambda: server.fetchval("SELECT pg_current_wal_insert_lsn()")
    await server.close()


async def ask_all(
    database: Database, server: Server, till: Counter, schema: Any, principal: Any, mark: Any
) -> list[str]:
    """What went wrong otherwise than it should: unexpected exceptions, changes after a refusal."""
    faults = []
    problems = {
        kind.name
        for kind in build_schema(schema.as_str()).type_map.values()
        if any(each.name == "Problem" for each in getattr(kind, "interfaces", ()))
    }
    before, marked = await database.scan(everything), await mark()
    every = 1 if database.dialect_name == "sqlite" else ON_POSTGRES_EVERY
    every *= 1 if principal is not None else BY_STRANGERS_EVERY
    given = cases(build_schema(schema.as_str()), real_ids(till))
    for name, document, variables in islice(given, 0, None, every):
        context = server.context(principal, till.shop.places.group)
        result = await execute(schema, document, variables, context)
        answer = (result.data or {}).get(name)
        refused = not answer or answer["__typename"] in problems
        for error in result.errors or ():
            cause = error.original_error
            if cause is not None and not hasattr(cause, "code") and "Variable" not in str(error):
                faults.append(f"{name} {str(variables)[:200]}: {cause!r}")
        if result.data is None and "Variable '$given'" in str(result.errors):
            continue  # no resolver has run: there is nothing to look at
        if marked == (marked := await mark()):
            continue
        after = await database.scan(everything)
        changed = {table for table, rows in after.items() if rows != before[table]}
        if refused and changed - COUNTED.get(name, set()):
            faults.append(f"{name} {str(variables)[:200]} was refused and changed {changed}")
        before = after
    return faults


@pytest.mark.parametrize("who", ["member", "owner", "stranger"])
async def test_every_mutation_refuses_bad_input_and_changes_nothing(
    database: Database, database_url: str, now: datetime, who: str
) -> None:
    async with a_server(database) as server, marks(database_url) as mark:
        till = await counter(database, server.clock.now)
        if who == "owner":
            owner = till.shop.owner.principal
            faults = await ask_all(database, server, till, admin_schema, owner, mark)
        elif who == "member":
            member = till.member(till.shop.member.id)
            faults = await ask_all(database, server, till, member_schema, member, mark)
        else:
            faults = await ask_all(database, server, till, member_schema, None, mark)
            faults += await ask_all(database, server, till, admin_schema, None, mark)
    assert faults == []
