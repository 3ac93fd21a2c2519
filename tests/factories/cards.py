"""A shop where members use their cards, and ways to ask both schemas as those who stand in it."""

import base64
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import strawberry
from pydantic import SecretStr

from app.core.db import Database, Transaction, every_column, upsert, values_of
from app.core.ids import new_id, parse_type_id, type_id
from app.gateways.outside import Outside
from app.models.cards import Card, ConsumptionVerification, DeductionRule, Scheme, Tier
from app.models.members import Member
from app.models.organisation import Node, Terminal
from app.models.sessions import PrincipalKind, Session
from app.services import cards, members, organisation, payment_methods, schemes, sessions
from app.settings import Mode, Settings
from auth.tokens import SigningKeys, TokenSigner
from resolvers.root import admin_schema, member_schema
from schema.context import Context, Principal
from tests.factories.back_office import ISSUER, KEY, code_of
from tests.factories.executing import execute
from tests.factories.organisation import Places, places
from tests.factories.staff import Employee, employee

# The keys of tests/conftest.py, so that a server made of these settings reads the same rows.
SETTINGS = Settings(
    mode=Mode.DEMO,
    public_url=ISSUER,
    encryption_keys={"test": KEY},
    index_key=SecretStr(base64.b64encode(b"i" * 32).decode()),
    member_code_keys={"k": KEY},
    run_jobs=False,
)
SESSION_LIFE = timedelta(days=3_650)
open_once = upsert(
    lambda insert: insert(Session).values(every_column(Session)).on_conflict_do_nothing()
)


@dataclass(frozen=True)
class Shop:
    """A group with a scheme for all of it, a till in each brand's store, and a member.

    Points: 1 for each whole 2.00 CNY.
    """

    places: Places
    scheme: Scheme
    terminal: Terminal
    other_terminal: Terminal
    member: Member
    card: Card
    owner: Employee
    cashier: Employee

    @property
    def store(self) -> Node:
        return self.places.coffee_store


async def shop(tx: Transaction, *, now: datetime) -> Shop:
    found = await places(tx, now=now)
    scheme = await a_scheme(tx, perspective=found.group, now=now)
    methods = (("cash", True), ("card", True), ("voucher", False))
    await tx.insert(
        *(
            payment_methods.new_method(
                group_id=found.group.id, code=code, name=code.title(), is_net_receipt=is_net
            )
            for code, is_net in methods
        )
    )
    member = await members.create(tx, group_id=found.group.id, name="王小明", now=now)
    await a_device(tx, member_id=member.id, group=found.group, now=now)
    return Shop(
        places=found,
        scheme=scheme,
        terminal=await a_terminal(tx, store=found.coffee_store, now=now),
        other_terminal=await a_terminal(tx, store=found.tea_store, now=now),
        member=member,
        card=await cards.open_card(tx, member=member, scheme=scheme, store_id=None, now=now),
        owner=await employee(tx, node=found.group, now=now),
        cashier=await employee(tx, node=found.coffee_store, role="cashier", now=now),
    )


async def a_device(tx: Transaction, *, member_id: UUID, group: Node, now: datetime) -> None:
    """A session that a member of these tests has, with the member's own id for its id."""
    session = sessions.new_session(
        id=member_id,
        group_id=group.id,
        principal_kind=PrincipalKind.MEMBER,
        principal_id=member_id,
        method="sms",
        started_at=now,
        refreshed_at=now,
        expires_at=now + SESSION_LIFE,
    )
    await tx.changed(open_once, **values_of(session))


async def a_scheme(
    tx: Transaction, /, *, perspective: Node, now: datetime, has_tier: bool = True, **more: Any
) -> Scheme:
    rules: dict[str, Any] = {
        "name": f"Scheme {new_id().hex}",
        "currency": "CNY",
        "deduction_rule": DeductionRule.CASH_FIRST,
        "consumption_verification": ConsumptionVerification.PIN,
        "points_unit": 200,
        "points_rate": 1,
    }
    scheme = schemes.new_scheme(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        created_at=now,
        **(rules | more),
    )
    await tx.insert(scheme)
    if has_tier:
        await tx.insert(schemes.new_tier(scheme_id=scheme.id, level=1, name="Green"))
    return scheme


async def a_tier(tx: Transaction, *, scheme: Scheme, level: int, name: str) -> Tier:
    tier = schemes.new_tier(scheme_id=scheme.id, level=level, name=name, growth_from=level * 100)
    await tx.insert(tier)
    return tier


async def a_terminal(tx: Transaction, *, store: Node, now: datetime) -> Terminal:
    terminal = organisation.new_terminal(store_id=store.id, name=new_id().hex, created_at=now)
    await tx.insert(terminal)
    return terminal


@dataclass(frozen=True)
class Counter:
    """Both schemas at a time, without HTTP between."""

    database: Database
    shop: Shop
    signer: TokenSigner
    now: datetime
    outside: Outside | None = None

    def later(self, **duration: float) -> "Counter":
        return replace(self, now=self.now + timedelta(**duration))

    async def as_member(
        self, document: str, *, member_id: UUID | None = None, **variables: Any
    ) -> Any:
        """The data of the only field, or the code of the error."""
        asker = member_id or self.shop.member.id
        group = self.shop.places.group
        await self.database.run(a_device, member_id=asker, group=group, now=self.now)
        return await self.ask(member_schema, document, self.member(asker), variables)

    async def as_staff(
        self, document: str, *, who: Employee | None = None, **variables: Any
    ) -> Any:
        """As the owner, unless somebody else is named."""
        principal = (who or self.shop.owner).principal
        return await self.ask(admin_schema, document, principal, variables)

    async def ask(
        self,
        schema: strawberry.Schema,
        document: str,
        principal: Principal | None,
        variables: dict[str, Any],
    ) -> Any:
        result = await execute(schema, document, variables, self.context(principal))
        if result.errors:
            return code_of(result.errors[0])
        assert result.data is not None
        (answer,) = result.data.values()
        return answer

    def context(self, principal: Principal | None) -> Context:
        return Context(
            database=self.database,
            settings=SETTINGS,
            group_id=self.shop.places.group.id,
            now=self.now,
            request_id="test",
            client_address="203.0.113.7",
            principal=principal,
            outside=cast("Any", self.outside),
            signer=self.signer,
        )

    def member(self, member_id: UUID) -> Principal:
        return Principal(
            kind=PrincipalKind.MEMBER,
            id=member_id,
            group_id=self.shop.places.group.id,
            session_id=member_id,
            expires_at=self.now + timedelta(minutes=10),
        )

    @property
    def card_id(self) -> str:
        return type_id("card", self.shop.card.id)

    @property
    def terminal_id(self) -> str:
        return type_id("term", self.shop.terminal.id)

    @property
    def other_terminal_id(self) -> str:
        return type_id("term", self.shop.other_terminal.id)


async def counter(database: Database, now: datetime) -> Counter:
    keys = SigningKeys(database)
    await keys.start(now)
    signer = TokenSigner(keys, issuer=ISSUER, life=SETTINGS.access_token_life)
    return Counter(database, await database.run(shop, now=now), signer, now)


async def the_card(tx: Transaction, card_id: UUID | str) -> Card:
    """The row as it is now."""
    if isinstance(card_id, str):
        card_id = parse_type_id("card", card_id)
    return (await cards.cards(tx, [card_id]))[card_id]
