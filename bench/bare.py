"""The yardstick of the member home: a bare Starlette endpoint, written by hand.

The same statements on the same driver (prepared on plain asyncpg connections; in the event loop
on SQLite), the same check of the same access token, the same JSON, written with orjson. No
GraphQL, no middleware, no limits, no log, no metrics.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.core.db import Statement, open_database
from app.core.db.postgres import connect as connect_postgres
from app.core.db.sqlite import connect as connect_sqlite
from app.core.ids import type_id
from app.core.member_code import MemberCodes
from app.core.personal import keyring, use_keyring
from app.services import cards, members, schemes
from app.services.ledger import accounts
from app.settings import Settings
from auth.tokens import MEMBER_AUDIENCE, SigningKeys, TokenVerifier
from bench.documents import LEDGER_LINES
from schema.pages import cursor_of

STATEMENTS: tuple[Statement[Any], ...] = (
    members.living_member,
    cards.cards_of_signed_in,
    schemes.tiers_by_id,
    accounts.accounts_by_card,
    accounts.lines.pages[False, False, False],
)

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the answer's values stand in the rows of each statement."""

    member: Callable[[Any], Any]
    card: Callable[[Any], Any]
    tier: Callable[[Any], Any]
    account: Callable[[Any], Any]
    line: Callable[[Any], Any]

    @classmethod
    def of(cls, dialect: str) -> "_Columns":
        def at(which: int, *names: str) -> Callable[[Any], Any]:
            keys = [column.key for column in STATEMENTS[which].on(dialect).columns]
            return itemgetter(*(keys.index(name) for name in names))

        return cls(
            member=at(0, "id", "name", "joined_at"),
            card=at(1, "id", "number", "status", "tier_id", "serial", "expires_at"),
            tier=at(2, "id", "level", "name"),
            account=at(3, "card_id", "kind", "unit", "balance", "debt"),
            line=at(
                4, "id", "account_kind", "posting_kind", "amount", "unit", "balance_after",
                "occurred_at",
            ),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Answer:
    """The JSON, from the rows of one dialect."""

    columns: _Columns
    codes: MemberCodes
    uuid: Callable[[Any], UUID]
    moment: Callable[[Any], str]

    def write(
        self,
        member: Any,
        card_rows: Rows,
        tier_rows: Rows,
        account_rows: Rows,
        lines: Sequence[Rows],
    ) -> bytes:
        member_id, name, joined_at = self.columns.member(member)
        me = {
            "id": type_id("mem", self.uuid(member_id)),
            "name": None if name is None else keyring().decrypt(name, context="members.name"),
            "joinedAt": self.moment(joined_at),
        }
        tiers = {tier[0]: tier for tier in map(self.columns.tier, tier_rows)}
        held: dict[Any, dict[str, Any]] = {}
        for card_id, *account in map(self.columns.account, account_rows):
            held.setdefault(card_id, {})[account[0]] = account
        now = datetime.now(UTC)
        shown = [
            self._card(card, tiers, held, card_lines, now)
            for card, card_lines in zip(card_rows, lines, strict=True)
        ]
        return orjson.dumps({"data": {"me": me, "cards": shown}})

    def _card(
        self, card: Any, tiers: dict[Any, Any], held: dict[Any, Any], lines: Rows, now: datetime
    ) -> dict[str, Any]:
        card_id, number, status, tier_id, serial, _ = self.columns.card(card)
        _, level, tier_name = tiers[tier_id]
        kinds = held[card_id]
        step = self.codes.step_at(now)
        value = self.codes.code_for(serial, step)
        shown = lines[:LEDGER_LINES]
        edges = [{"node": self._line(line)} for line in shown]
        return {
            "id": type_id("card", self.uuid(card_id)),
            "number": number,
            "status": status,
            "tier": {
                "id": type_id("tier", self.uuid(tier_id)), "level": level, "name": tier_name,
            },
            "balances": {
                "cash": {"amount": kinds["CASH"][2], "currency": kinds["CASH"][1]},
                "bonus": {"amount": kinds["BONUS"][2], "currency": kinds["BONUS"][1]},
                "points": kinds["POINTS"][2],
                "growth": kinds["GROWTH"][2],
                "pointsDebt": kinds["POINTS"][3],
            },
            "ledger": {
                "edges": edges,
                "pageInfo": {
                    "hasNextPage": len(lines) > LEDGER_LINES,
                    "endCursor": cursor_of(self.uuid(self.columns.line(shown[-1])[0])),
                },
            },
            "code": {
                "__typename": "MemberCode",
                "value": value,
                "formatted": " ".join(value[at : at + 4] for at in range(0, len(value), 4)),
                "validUntil": self.codes.valid_until(step).isoformat(),
                "secondsLeft": self.codes.seconds_left(now),
            },
        }  # fmt: skip

    def _line(self, line: Any) -> dict[str, Any]:
        line_id, kind, cause, amount, unit, balance_after, occurred_at = self.columns.line(line)
        return {
            "id": type_id("led", self.uuid(line_id)),
            "kind": kind,
            "cause": cause,
            "amount": amount,
            "unit": unit,
            "balanceAfter": balance_after,
            "occurredAt": self.moment(occurred_at),
        }


class _SqliteHome:
    """In the event loop, as the product reads."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.database_url.removeprefix("sqlite:///")
        self._sql = [each.on("sqlite").sql for each in STATEMENTS]
        self._answer = _Answer(
            _Columns.of("sqlite"), settings.member_codes, lambda text: UUID(hex=text), _utc_text
        )
        self._connection: sqlite3.Connection

    async def open(self) -> None:
        self._connection = connect_sqlite(self._path, read_only=True)

    async def close(self) -> None:
        self._connection.close()

    async def home(self, member_id: UUID) -> bytes:
        execute = self._connection.execute
        member_sql, cards_sql, tiers_sql, accounts_sql, lines_sql = self._sql
        card = self._answer.columns.card
        execute("BEGIN")
        member = execute(member_sql, (member_id.hex,)).fetchone()
        found = execute(cards_sql, (member_id.hex, *_LIVING)).fetchall()
        tier_ids = list({card(row)[3] for row in found})
        tiers = execute(tiers_sql, (orjson.dumps(tier_ids).decode(),)).fetchall()
        card_ids = [card(row)[0] for row in found]
        held = execute(accounts_sql, (orjson.dumps(card_ids).decode(),)).fetchall()
        lines = [execute(lines_sql, (i, LEDGER_LINES + 1, 0)).fetchall() for i in card_ids]
        execute("COMMIT")
        return self._answer.write(member, found, tiers, held, lines)


class _PostgresHome:
    """As many plain connections as the product reads with, the last used first."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url
        self._sql = [each.on("postgresql").sql for each in STATEMENTS]
        most = max(1, settings.database_connections // 2)
        self._most = most
        self._places = asyncio.Semaphore(most)
        self._idle: list[tuple[asyncpg.Connection, list[Any]]] = []
        self._answer = _Answer(
            _Columns.of("postgresql"), settings.member_codes, _as_it_is, datetime.isoformat
        )

    async def open(self) -> None:
        for _ in range(self._most):
            connection = await connect_postgres(self._url, {"jit": "off"})
            fetches = [(await connection.prepare(sql)).fetch for sql in self._sql]
            self._idle.append((connection, fetches))

    async def close(self) -> None:
        for connection, _ in self._idle:
            await connection.close()

    async def home(self, member_id: UUID) -> bytes:
        card = self._answer.columns.card
        async with self._places:
            held_connection = self._idle.pop()
            try:
                member, cards_of, tiers_of, accounts_of, lines_of = held_connection[1]
                found_member = (await member(member_id))[0]
                found = await cards_of(member_id, *_LIVING)
                tiers = await tiers_of(list({card(row)[3] for row in found}))
                card_ids = [card(row)[0] for row in found]
                held = await accounts_of(card_ids)
                lines = [await lines_of(i, LEDGER_LINES + 1) for i in card_ids]
            finally:
                self._idle.append(held_connection)
        return self._answer.write(found_member, found, tiers, held, lines)


_LIVING = ("MERGED", "ACTIVE")


def bare_app(settings: Settings) -> ASGIApp:
    """The bare application on the settings' database."""
    use_keyring(settings.keyring)
    is_sqlite = settings.database_url.startswith("sqlite")
    home = _SqliteHome(settings) if is_sqlite else _PostgresHome(settings)
    verifiers: list[TokenVerifier] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        database = await open_database(settings.database_url, connections=2)
        keys = SigningKeys(database)
        await keys.start(datetime.now(UTC))
        verifiers.append(TokenVerifier(keys, issuer=settings.public_url))
        await database.close()
        await home.open()
        yield
        await home.close()

    async def member_home(request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        await request.body()
        principal = verifiers[0].verify(token, audience=MEMBER_AUDIENCE, now=datetime.now(UTC))
        return Response(await home.home(principal.id), media_type="application/json")

    async def ready(_request: Request) -> Response:
        return Response(b"ok")

    routes = [Route("/graphql", member_home, methods=["POST"]), Route("/readyz", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


def _utc_text(text: str) -> str:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat()


def _as_it_is(value: Any) -> Any:
    return value
