"""The member's schema with real providers behind it, to ask as anybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import strawberry

from app.core.db import Database
from app.gateways.outside import Outside
from app.gateways.sandbox import SandboxState
from app.jobs.outside import DatabaseTokens, open_outside
from app.jobs.worker import Worker
from app.models.organisation import Node
from app.settings import Settings
from auth.tokens import MEMBER_AUDIENCE, SigningKeys, TokenSigner, TokenVerifier
from resolvers.root import member_schema
from schema.context import Context, Principal
from tests.factories.back_office import code_of
from tests.factories.executing import execute
from tests.factories.identities import PUBLIC_URL, Clock, newest_code, sandbox, settings_for
from tests.factories.organisation import places

SESSION = """__typename ... on SessionStarted {
  accessToken refreshToken isNew member { id name } mergeOffer { ticket } }
  ... on Problem { message }"""
SEND = """mutation ($channel: CodeChannel!, $target: String!, $purpose: CodePurpose!) {
  verificationCodeSend(input: {channel: $channel, target: $target, purpose: $purpose}) {
    __typename ... on VerificationCodeSent { expiresAt nextAllowedAt }
    ... on CodesTooOften { retryAt } } }"""
WITH_WECHAT = f"""mutation ($appId: String!, $jsCode: String!) {{
  sessionStartWithWechat(input: {{appId: $appId, jsCode: $jsCode, device: "iPhone"}}) {{
    {SESSION} }} }}"""
WITH_PHONE = f"""mutation ($phone: String!, $code: String!) {{
  sessionStartWithPhone(input: {{phone: $phone, code: $code}}) {{ {SESSION} }} }}"""
WITH_EMAIL = f"""mutation ($email: String!, $code: String!) {{
  sessionStartWithEmail(input: {{email: $email, code: $code}}) {{ {SESSION} }} }}"""
WITH_TICKET = f"""mutation ($ticket: String!, $verifier: String!) {{
  sessionStartWithTicket(input: {{ticket: $ticket, verifier: $verifier}}) {{ {SESSION} }} }}"""


@dataclass
class Server:
    """What a running server is to its clients, without HTTP between."""

    database: Database
    settings: Settings
    outside: Outside
    state: SandboxState
    group: Node
    clock: Clock
    signer: TokenSigner
    verifier: TokenVerifier
    worker: Worker
    address: str = field(default="203.0.113.7")

    def context(self, principal: Principal | None, group: Node | None = None) -> Context:
        return Context(
            database=self.database,
            settings=self.settings,
            group_id=(group or self.group).id,
            now=self.clock.now,
            request_id="test",
            client_address=self.address,
            principal=principal,
            outside=self.outside,
            signer=self.signer,
        )

    async def execute(
        self,
        document: str,
        principal: Principal | None = None,
        /,
        schema: strawberry.Schema = member_schema,
        **variables: Any,
    ) -> Any:
        """All data, or the code of the first error."""
        result = await execute(schema, document, variables, self.context(principal))
        return code_of(result.errors[0]) if result.errors else result.data

    async def ask(self, document: str, principal: Principal | None = None, /, **more: Any) -> Any:
        """The data of the only field, or the code of the error."""
        data = await self.execute(document, principal, **more)
        return data if isinstance(data, str) else next(iter(data.values()))

    async def principal(self, started: dict[str, Any]) -> Principal:
        """Whom the access token of a SessionStarted speaks for."""
        assert started["__typename"] == "SessionStarted", started
        return await self.verifier.principal(
            started["accessToken"], audience=MEMBER_AUDIENCE, now=self.clock.now
        )

    async def code(self, channel: str, target: str, purpose: str = "SIGN_IN") -> str:
        """Ask for a code, have it sent, and read it where it arrives."""
        sent = await self.ask(SEND, channel=channel, target=target, purpose=purpose)
        assert sent["__typename"] == "VerificationCodeSent", sent
        await self.worker.drain()
        return newest_code(self.state, target)

    async def signed_in_by_phone(self, phone: str) -> Principal:
        code = await self.code("SMS", phone)
        return await self.principal(await self.ask(WITH_PHONE, phone=phone, code=code))

    async def signed_in_by_email(self, email: str) -> Principal:
        code = await self.code("EMAIL", email)
        return await self.principal(await self.ask(WITH_EMAIL, email=email, code=code))


@asynccontextmanager
async def a_server(database: Database) -> AsyncIterator[Server]:
    """A group, its server's parts, and the sandbox they speak to."""
    clock = Clock()
    async with sandbox() as (state, mail_port):
        settings = settings_for(state, mail_port)
        tokens = DatabaseTokens(database, clock)
        async with open_outside(settings, tokens) as outside:
            keys = SigningKeys(database)
            await keys.start(clock.now)
            placed = await database.run(places, now=clock.now)
            yield Server(
                database=database,
                settings=settings,
                outside=outside,
                state=state,
                group=placed.group,
                clock=clock,
                signer=TokenSigner(keys, issuer=PUBLIC_URL, life=settings.access_token_life),
                verifier=TokenVerifier(keys, issuer=PUBLIC_URL),
                worker=Worker(database, outside, clock=clock),
            )
