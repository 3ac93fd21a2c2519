"""Who the load comes from: members and partner clients of a demo, with their tokens and traces."""

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import bindparam
from sqlmodel import col, func, select

from app.core.db import Database, Transaction, any_of, open_database, statement
from app.core.ids import new_id
from app.core.money import Money
from app.core.personal import use_keyring
from app.gateways.outside import Outside
from app.models.cards import Card, CardStatus, Scheme
from app.models.ledger import Entry
from app.models.organisation import Node, PaymentMethod
from app.models.purchases import Purchase
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import organisation, partners, purchases
from app.services.actors import Actor, Grant
from app.settings import Settings
from auth.tokens import ADMIN_AUDIENCE, SigningKeys, TokenSigner, TokenVerifier
from bench.documents import (
    AMOUNT,
    LEDGER_LINES,
    MEMBER_HOME,
    PURCHASE_RECORD,
    TAX_AMOUNT,
    home_body,
    purchase_body,
    purchase_input,
)
from bench.load import UNIQUE
from bench.raw import Replay, replay_of
from bench.servers import BenchFailed
from bench.trace import Scope, TracingDatabase, open_tracing
from resolvers.root import admin_schema, member_schema
from schema.context import Context, Principal

CARDS_ASKED = 1_000
"""Cards drawn from the whole population; those that can be used are the load's."""

RECORDED_CARDS = 100
"""Cards whose purchase is recorded for the raw side."""

PARTNERS = 8
"""Partner clients that report purchases: each has one hot row, the count of its requests."""

TOP_UP_SHARES = 4
TOKEN_LIFE = timedelta(hours=6)
NO_LIMIT = 1_000_000_000
SEED = 20


class Buyer(NamedTuple):
    """A card that can be used, whose it is and where it was used before."""

    card_id: UUID
    member_id: UUID
    terminal_id: UUID
    currency: str


class Held(NamedTuple):
    """How many ledger lines a card has."""

    card_id: UUID
    lines: int


all_cards = statement(select(Card.id).where(col(Card.status) == CardStatus.NORMAL), into=UUID)
buyers_of = statement(
    select(
        col(Card.id).label("card_id"),
        Card.member_id,
        col(Purchase.terminal_id).label("terminal_id"),
        Scheme.currency,
    )
    .join(Scheme, col(Scheme.id) == col(Card.scheme_id))
    .join(Purchase, col(Purchase.card_id) == col(Card.id))
    .where(
        any_of(col(Card.id), "ids"),
        col(Card.expires_at).is_(None) | (col(Card.expires_at) > bindparam("later")),
    )
    .order_by(col(Purchase.id)),
    into=Buyer,
)
lines_held = statement(
    select(col(Entry.card_id).label("card_id"), func.count().label("lines"))
    .where(any_of(col(Entry.card_id), "ids"))
    .group_by(col(Entry.card_id)),
    into=Held,
)
earning_methods = statement(
    select(PaymentMethod).where(col(PaymentMethod.is_net_receipt)), into=PaymentMethod
)


@dataclass(frozen=True, slots=True)
class People:
    """Everything a measurement sends."""

    members: int
    home_calls: list[tuple[str, str]]
    purchase_calls: list[tuple[str, str]]
    home_statements: list[str]
    replays: list[Replay]


async def draw(settings: Settings, url: str) -> People:
    """Choose members all over the database, see that each has enough lines, make their tokens."""
    use_keyring(settings.keyring)
    settings = settings.model_copy(update={"database_url": url})
    database = await open_database(url)
    try:
        now = datetime.now(UTC)
        group = await database.read(organisation.group_of_code, code=settings.group_code)
        if group is None:
            raise BenchFailed("the demo has no group of the code in the settings")
        buyers = await _buyers(database, now)
        method = (await database.scan(_every, earning_methods))[0].code
        await _top_up(database, group, buyers, method, now)
        keys = SigningKeys(database)
        await keys.start(now)
        signer = TokenSigner(keys, issuer=settings.public_url, life=TOKEN_LIFE)
        verifier = TokenVerifier(keys, issuer=settings.public_url)
        partner_tokens = [await _partner(database, signer, group, now) for _ in range(PARTNERS)]
        home_calls = [
            (await _member_token(signer, group, buyer, now), home_body()) for buyer in buyers
        ]
        tracing = await open_tracing(url)
        recorder = _Recorder(tracing, settings, signer, group.id, now)
        inputs = [
            purchase_input(
                terminal_id=buyer.terminal_id,
                card_id=buyer.card_id,
                currency=buyer.currency,
                method=method,
                occurred_at=now,
            )
            for buyer in buyers
        ]
        tokens = [partner_tokens[at % PARTNERS] for at in range(len(buyers))]
        replays = []
        for given, token in list(zip(inputs, tokens, strict=True))[:RECORDED_CARDS]:
            principal = verifier.verify(token, audience=ADMIN_AUDIENCE, now=now)
            replays.append(await recorder.purchase(given, principal))
        home_statements = await recorder.home(buyers[0].member_id, group.id)
        await tracing.close()
        return People(
            members=len(buyers),
            home_calls=home_calls,
            purchase_calls=[
                (token, purchase_body(given)) for token, given in zip(tokens, inputs, strict=True)
            ],
            home_statements=home_statements,
            replays=replays,
        )
    finally:
        await database.close()


async def _buyers(database: Database, now: datetime) -> list[Buyer]:
    ids = await database.scan(_every, all_cards)
    chosen = random.Random(SEED).sample(sorted(ids), min(CARDS_ASKED, len(ids)))
    found = await database.scan(_every, buyers_of, ids=chosen, later=now + TOKEN_LIFE)
    by_card = {buyer.card_id: buyer for buyer in found}
    if len(by_card) < PARTNERS:
        raise BenchFailed("the demo has too few members with purchases")
    buyers = list(by_card.values())
    random.Random(SEED).shuffle(buyers)
    return buyers


async def _top_up(
    database: Database, group: Node, buyers: list[Buyer], method: str, now: datetime
) -> None:
    """Give each card the lines of a page and one more, by purchases like any other."""
    ids = [buyer.card_id for buyer in buyers]
    held = {row.card_id: row.lines for row in await database.scan(_every, lines_held, ids=ids)}
    missing = [[buyer] * (LEDGER_LINES + 1 - held.get(buyer.card_id, 0)) for buyer in buyers]
    grant = Grant(group.id, group.kind, frozenset(Permission))
    actor = Actor(kind=PrincipalKind.PARTNER, id=new_id(), group_id=group.id, grants=(grant,))
    shares = [list(chain(*missing[at::TOP_UP_SHARES])) for at in range(TOP_UP_SHARES)]
    await asyncio.gather(
        *(database.run(_buy, actor, share, method, now) for share in shares if share)
    )


async def _buy(
    tx: Transaction, actor: Actor, buyers: list[Buyer], method: str, now: datetime
) -> None:
    for buyer in buyers:
        key = new_id().hex
        bill = purchases.Bill(
            order_number=key,
            total=Money(AMOUNT, buyer.currency),
            tax_amount=TAX_AMOUNT,
            payments=[purchases.Payment(method, AMOUNT)],
            occurred_at=now,
        )
        await purchases.record(
            tx,
            actor,
            terminal_id=buyer.terminal_id,
            card_id=buyer.card_id,
            bill=bill,
            request_key=key,
            now=now,
        )


async def _partner(database: Database, signer: TokenSigner, group: Node, now: datetime) -> str:
    created = await database.run(
        partners.add,
        group_id=group.id,
        name="A partner of the measurement",
        scopes=[Permission.PURCHASES_WRITE],
        node_ids=[group.id],
        requests_per_minute=NO_LIMIT,
        now=now,
    )
    token = await signer.sign(
        kind=PrincipalKind.PARTNER,
        principal_id=created.client.id,
        group_id=group.id,
        scopes=[Permission.PURCHASES_WRITE],
        client_id=created.client.row.client_id,
        now=now,
    )
    return token.text


async def _member_token(signer: TokenSigner, group: Node, buyer: Buyer, now: datetime) -> str:
    token = await signer.sign(
        kind=PrincipalKind.MEMBER,
        principal_id=buyer.member_id,
        group_id=group.id,
        session_id=new_id(),
        now=now,
    )
    return token.text


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Runs an operation of the product in a transaction that is rolled back, and notes its SQL."""

    database: TracingDatabase
    settings: Settings
    signer: TokenSigner
    group_id: UUID
    now: datetime

    async def purchase(self, given: dict[str, object], principal: Principal) -> Replay:
        texts = (new_id().hex[-len(UNIQUE) :], new_id().hex[-len(UNIQUE) :])
        recorded = []
        for text in texts:
            scopes, data = await self._record(
                admin_schema,
                PURCHASE_RECORD,
                {"input": given | {"orderNumber": text, "requestKey": text}},
                principal,
            )
            if data["purchaseRecord"]["__typename"] != "PurchaseRecorded":
                raise BenchFailed(f"a purchase was refused: {data}")
            recorded.append(scopes)
        return replay_of(*recorded, unique=texts)

    async def home(self, member_id: UUID, group_id: UUID) -> list[str]:
        principal = Principal(
            PrincipalKind.MEMBER, member_id, group_id, new_id(), self.now + TOKEN_LIFE
        )
        scopes, _ = await self._record(member_schema, MEMBER_HOME, None, principal)
        return [step.sql for scope in scopes for step in scope.steps]

    async def _record(
        self,
        schema: Any,
        document: str,
        variables: dict[str, Any] | None,
        principal: Principal,
    ) -> tuple[list[Scope], dict[str, Any]]:
        context = Context(
            database=self.database,
            settings=self.settings,
            group_id=self.group_id,
            now=self.now,
            request_id="bench",
            client_address="",
            principal=principal,
            outside=_NO_OUTSIDE,
            signer=self.signer,
        )
        async with self.database.recording() as scopes:
            result = await schema.execute(document, variables, context)
        if result.errors or not result.data:
            raise BenchFailed(f"the product answered with errors: {result.errors}")
        return scopes, orjson.loads(orjson.dumps(result.data))


_NO_OUTSIDE: Outside = None  # type: ignore[assignment]  # nothing here speaks to the outside


async def _every(tx: Transaction, asked: Any, /, **values: Any) -> list[Any]:
    return await tx.all(asked, **values)
