"""The whole application, running on a port, and the shop whose people speak to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import orjson
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.core.db import Database
from app.core.ids import new_id
from app.main import create_app
from app.models.sessions import PrincipalKind
from tests.factories.cards import SETTINGS, Counter, counter
from tests.factories.member_codes import CODE, RESOLVE
from tests.factories.purchases import RECORD, a_bill
from tests.factories.staff import Employee

PROTOCOL = Subprotocol("graphql-transport-ws")
EVENTS = """subscription { memberEvents { __typename
  ... on Listening { at }
  ... on CodeScanned { at scanId storeName terminalName }
  ... on PurchaseRecorded { at purchase { id pointsEarned total { amount } refunds { reason } } }
  ... on PurchaseRefunded { at purchase { id refunded { amount } refunds { reason } } } } }"""
SILENCE_S = 0.3


@dataclass
class Live:
    """A server that runs, and who is at it."""

    address: str
    till: Counter
    http: httpx2.AsyncClient

    async def token(self, kind: PrincipalKind, principal_id: Any, session_id: Any) -> str:
        signed = await self.till.signer.sign(
            kind=kind,
            principal_id=principal_id,
            group_id=self.till.shop.places.group.id,
            session_id=session_id,
            now=datetime.now(UTC),
        )
        return f"Bearer {signed.text}"

    async def member_token(self, member_id: Any = None) -> str:
        member_id = member_id or self.till.shop.member.id
        return await self.token(PrincipalKind.MEMBER, member_id, new_id())

    async def ask(self, path: str, token: str, document: str, **variables: Any) -> Any:
        answer = await self.http.post(
            path,
            json={"query": document, "variables": variables},
            headers={"Authorization": token},
        )
        body = answer.json()
        assert "errors" not in body, body
        (found,) = body["data"].values()
        return found

    async def as_member(self, document: str, **variables: Any) -> Any:
        return await self.ask("/graphql", await self.member_token(), document, **variables)

    async def staff_token(self, who: Employee) -> str:
        return await self.token(PrincipalKind.STAFF, who.staff.id, who.session_id)

    async def as_staff(self, document: str, **variables: Any) -> Any:
        token = await self.staff_token(self.till.shop.owner)
        return await self.ask("/admin/graphql", token, document, **variables)

    async def scan(self) -> Any:
        """The member shows the code, the till opens it."""
        code = (await self.as_member(CODE, card=self.till.card_id))["value"]
        asked = {"terminal": self.till.terminal_id, "code": code, "key": new_id().hex}
        return await self.as_staff(RESOLVE, **asked)

    async def record(self, total: int = 1_000) -> str:
        recorded = await self.as_staff(RECORD, input=a_bill(self.till, total))
        return str(recorded["purchase"]["id"])

    @asynccontextmanager
    async def page(self, member_id: Any = None, *, events: str = EVENTS) -> AsyncIterator["Page"]:
        """A page of the member's, from when it is heard on."""
        token = await self.member_token(member_id)
        address = f"ws://{self.address}/graphql"
        async with connect(address, subprotocols=[PROTOCOL], proxy=None) as opened:
            page = Page(opened)
            await page.send({"type": "connection_init", "payload": {"authorization": token}})
            assert await page.receive() == {"type": "connection_ack"}
            await page.send({"id": "1", "type": "subscribe", "payload": {"query": events}})
            first = await page.event()
            assert first == {"__typename": "Listening", "at": first["at"]}
            yield page


@dataclass
class Page:
    socket: ClientConnection

    async def send(self, message: dict[str, Any]) -> None:
        await self.socket.send(orjson.dumps(message).decode())

    async def receive(self) -> Any:
        async with asyncio.timeout(10):
            return orjson.loads(await self.socket.recv())

    async def event(self) -> Any:
        message = await self.receive()
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]["memberEvents"]

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(SILENCE_S):
                await self.event()
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def a_running_app(
    database: Database, database_url: str, **changed: Any
) -> AsyncIterator[Live]:
    """The whole application on a port of its own, with a shop in it."""
    till = await counter(database, datetime.now(UTC))
    settings = SETTINGS.model_copy(
        update={
            "database_url": database_url,
            "group_code": till.shop.places.group.code,
        }
        | changed
    )
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    config = uvicorn.Config(create_app(settings), log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
    async with httpx2.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as http:
        yield Live(f"{host}:{port}", till, http)
    server.should_exit = True
    await serving
