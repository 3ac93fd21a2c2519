"""Every statement of the product, explained by both databases: none scans a table that grows."""

import importlib
import json
import pkgutil
import sqlite3
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import app.services
from app.core.db import STATEMENTS, Statement
from tests.conftest import Engine

pytestmark = pytest.mark.anyio

for _module in pkgutil.walk_packages(app.services.__path__, "app.services."):
    importlib.import_module(_module.name)

CONFIGURATION = {
    # Tens to thousands of rows however many members there are, read rarely or whole.
    "attribute_definitions",
    "nodes",
    "partner_clients",
    "partner_nodes",
    "payment_methods",
    "provider_tokens",
    "role_grants",
    "roles",
    "scheme_stores",
    "schemes",
    "scope_audiences",
    "signing_keys",
    "staff",
    "store_group_stores",
    "store_groups",
    "tags",
    "terminals",
    "tiers",
}
WHOLE_TABLES_ON_PURPOSE = (
    "app.services.gift_cards.checking",
    "app.services.ledger.checking",
    "app.services.spendings.checking",
)
"""The proof that the books are right reads the books."""


def on_purpose() -> set[int]:
    modules = [importlib.import_module(name) for name in WHOLE_TABLES_ON_PURPOSE]
    return {id(query) for module in modules for query in module.RULES.values()}


def product_statements() -> list[Statement[Any]]:
    exempt = on_purpose()
    return [s for s in STATEMENTS if id(s) not in exempt and _is_product(s)]


def _is_product(statement: Statement[Any]) -> bool:
    return not statement.declared_in.startswith("tests.")


async def test_sqlite_scans_no_growing_table(sqlite_engine: Engine) -> None:
    connection = sqlite3.connect(sqlite_engine.template)
    scans = []
    for statement in product_statements():
        prepared = statement.on("sqlite")
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {prepared.sql}", [None] * len(prepared.order)
        ).fetchall()
        for *_, detail in plan:
            words = detail.split()
            if words[0] == "SCAN" and words[1] in _tables() - CONFIGURATION:
                if "USING" in words and "INDEX" in words:
                    continue  # in the order of an index, as far as LIMIT asks
                scans.append(f"{statement.declared_in}: {detail}: {prepared.sql}")
    connection.close()
    assert scans == []


@pytest.mark.parametrize("table", ["cards", "members"])
async def test_sqlite_finds_merged_records_once_it_has_counted_that_there_are_none(
    sqlite_engine: Engine, tmp_path: Path, table: str
) -> None:
    """ANALYZE says of an index full of NULL that all rows are alike: as if a scan were better."""
    url = await sqlite_engine.make(tmp_path)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA foreign_keys = off")
    connection.execute("PRAGMA ignore_check_constraints = on")
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    needed = [name for _, name, _, is_needed, _, _ in columns if is_needed]
    row = f"INSERT INTO {table} ({', '.join(needed)}) VALUES ({', '.join('?' * len(needed))})"
    connection.executemany(row, [[f"{number}"] * len(needed) for number in range(2_000)])
    connection.execute("ANALYZE")
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN SELECT id FROM {table} WHERE id = ? OR merged_into_id = ?", ["7", "7"]
    ).fetchall()
    connection.close()
    assert [detail for *_, detail in plan if detail.startswith("SCAN")] == []


async def test_postgresql_scans_no_growing_table(postgresql_engine: Engine) -> None:
    """With sequential scans made dear, one that remains has no index to go by."""
    url = await postgresql_engine.make(None)  # type: ignore[arg-type]  # needs no folder
    connection = await asyncpg.connect(url)
    scans = []
    try:
        await connection.execute(
            "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"
        )
        for number, statement in enumerate(product_statements()):
            prepared = statement.on("postgresql")
            await connection.execute(f"PREPARE s{number} AS {prepared.sql}")
            nulls = f"({', '.join(['NULL'] * len(prepared.order))})" if prepared.order else ""
            (plan,) = json.loads(
                await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE s{number}{nulls}")
            )
            found = set(_sequential(plan["Plan"])) - CONFIGURATION
            if found:
                scans.append(f"{statement.declared_in}: {found}: {prepared.sql}")
    finally:
        await connection.close()
        await postgresql_engine.drop(url)
    assert scans == []


def _sequential(plan: dict[str, Any]) -> list[str]:
    here = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return here + [name for child in plan.get("Plans", []) for name in _sequential(child)]


def _tables() -> set[str]:
    return set(importlib.import_module("sqlmodel").SQLModel.metadata.tables)
