"""A server of its own that dies without warning, and those who go on asking it."""

import asyncio
import base64
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import orjson

from app.models.sessions import PrincipalKind
from tests.factories import nursery
from tests.factories.back_office import ISSUER, KEY
from tests.factories.cards import Counter
from tests.test_cli import environment, free_port

ROOT = Path(__file__).parents[2]
START_S = 60.0
ASKED_AT = {PrincipalKind.STAFF: "/admin/graphql", PrincipalKind.MEMBER: "/graphql"}


class Unanswered(Exception):
    """The server died before it answered: nobody knows whether it happened."""


@dataclass(frozen=True)
class Operation:
    """A mutation with its request key, which may have to be sent again."""

    name: str
    document: str
    input: dict[str, Any]
    by: PrincipalKind = PrincipalKind.STAFF
    """Who asks, and with that which schema."""


@dataclass
class Mortal:
    """A server process that is killed and started again on the same port and database."""

    folder: Path
    database_url: str
    till: Counter
    port: int = field(default_factory=free_port)
    nursery: asyncio.subprocess.Process | None = None

    def settings(self) -> dict[str, str]:
        keys = {"test": KEY.get_secret_value()}
        return {
            "REGULARS_DATABASE_URL": self.database_url,
            "REGULARS_PUBLIC_URL": ISSUER,
            "REGULARS_GROUP_CODE": self.till.shop.places.group.code,
            "REGULARS_ENCRYPTION_KEYS": orjson.dumps(keys).decode(),
            "REGULARS_INDEX_KEY": base64.b64encode(b"i" * 32).decode(),
            "REGULARS_MEMBER_CODE_KEYS": orjson.dumps({"k": KEY.get_secret_value()}).decode(),
        }

    async def start(self) -> None:
        """Return when it listens."""
        if self.nursery is None:
            self.nursery = await self._nursery()
        said = await self._told("start")
        assert said, (self.folder / "server.log").read_text()[-4_000:]

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is flushed."""
        assert await self._told("kill") == b"gone\n"

    async def end(self) -> None:
        """Let go of the server and of what it comes from."""
        if self.nursery is not None:
            await self.kill()
            assert self.nursery.stdin is not None
            self.nursery.stdin.close()
            await self.nursery.wait()

    async def _nursery(self) -> asyncio.subprocess.Process:
        settings = environment(self.folder) | self.settings() | {"PYTHONPATH": str(ROOT)}
        with (self.folder / "server.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                nursery.__name__,
                "serve",
                "--port",
                str(self.port),
                cwd=self.folder,
                env=settings,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )

    async def _told(self, word: str) -> bytes:
        """What the answer is to a word."""
        assert self.nursery is not None
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(f"{word}\n".encode())
        async with asyncio.timeout(START_S):
            return await self.nursery.stdout.readline()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Callable[[Operation], Any]]:
        """The till's owner and its member: sends what either asks, gets its data."""
        headers = {kind: {"Authorization": await self._token(kind)} for kind in ASKED_AT}
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=20
        ) as http:

            async def ask(operation: Operation) -> Any:
                body = {"query": operation.document, "variables": {"input": operation.input}}
                try:
                    answer = await http.post(
                        ASKED_AT[operation.by], json=body, headers=headers[operation.by]
                    )
                except httpx2.TransportError as error:
                    raise Unanswered from error
                if answer.status_code >= 500:
                    raise Unanswered
                told = answer.json()
                assert "errors" not in told, told
                (data,) = told["data"].values()
                return data

            yield ask

    async def _token(self, kind: PrincipalKind) -> str:
        shop = self.till.shop
        of_staff = (shop.owner.staff.id, shop.owner.session_id)
        # The session of a member of these tests has the member's own id.
        of_member = (shop.member.id, shop.member.id)
        principal_id, session_id = of_staff if kind is PrincipalKind.STAFF else of_member
        signed = await self.till.signer.sign(
            kind=kind,
            principal_id=principal_id,
            group_id=shop.places.group.id,
            session_id=session_id,
            now=datetime.now(UTC),
        )
        return f"Bearer {signed.text}"


@dataclass
class Load:
    """Clients that go on asking while the server dies under them."""

    server: Mortal
    make: Callable[[Random], Operation]
    heard: Callable[[Operation, Any], None]
    seed: int
    answered: list[tuple[Operation, Any]] = field(default_factory=list)
    unanswered: list[Operation] = field(default_factory=list)
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, *, deaths: int, clients: int) -> None:
        """Ask from so many clients at once until the server has died so often.

        It dies some answers after it was started, while others are still being worked on.
        """
        random = Random(self.seed)
        for _ in range(deaths):
            await self.server.start()
            enough = len(self.answered) + random.randrange(1, 20)
            asking = [
                asyncio.create_task(self._ask(Random(random.random()))) for _ in range(clients)
            ]
            while len(self.answered) < enough:
                self._told.clear()
                await self._told.wait()
            await self.server.kill()
            await asyncio.gather(*asking)

    async def _ask(self, random: Random) -> None:
        async with self.server.client() as ask:
            while True:
                # What nobody knows the outcome of comes first, with the same key.
                again = self.unanswered.pop() if self.unanswered else None
                operation = again or self.make(random)
                try:
                    answer = await ask(operation)
                except Unanswered:
                    self.unanswered.append(operation)
                    return
                self._took(operation, answer)

    async def settle(self) -> None:
        """Send once more what was never answered, to a server that lives."""
        async with self.server.client() as ask:
            while self.unanswered:
                operation = self.unanswered.pop()
                self._took(operation, await ask(operation))

    def _took(self, operation: Operation, answer: Any) -> None:
        assert "replayed" in answer, f"{operation.name} was refused: {answer}"
        self.answered.append((operation, answer))
        self.heard(operation, answer)
        self._told.set()
