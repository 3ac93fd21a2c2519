"""The demo: what it loads holds, its credentials work, and it comes out the same every time."""

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from sqlmodel import SQLModel, col, func, select

from app.core import totp
from app.core.crypto import Keyring
from app.core.db import Statement, Transaction, open_database, statement
from app.demo.load import DatabaseNotEmpty, keys_fit, load_demo
from app.demo.members import COLUMNS, card_number
from app.demo.people import CAST, SURNAMES
from app.demo.world import EMPLOYEES, PARTNER, PASSWORD, directory
from app.gateways.files.folder import FolderStore
from app.models.cards import Card, Tier
from app.models.identities import Identity, IdentityKind
from app.models.ledger import Account
from app.models.members import Member
from app.models.organisation import Node, NodeKind
from app.models.purchases import Purchase
from app.services import audit, cards, identities, ledger, members, partners, staff_sign_in
from app.services.identities import Proof
from auth.passwords import hash_password, password_is_right
from tests.conftest import Engine

R = TypeVar("R")

pytestmark = pytest.mark.anyio

MEMBERS = 300
KEYRING = partial(Keyring, {"test": b"k" * 32}, "test", b"i" * 32)

all_members = statement(select(Member).order_by(col(Member.id)), into=Member)
all_nodes = statement(select(Node).order_by(col(Node.id)), into=Node)
all_tiers = statement(select(Tier), into=Tier)
all_cards = statement(select(Card).order_by(col(Card.id)), into=Card)
# Those of gift cards come through the services, each time with other ids.
all_accounts = statement(
    select(Account).where(col(Account.card_id).is_not(None)).order_by(col(Account.id)), into=Account
)
all_identities = statement(select(Identity).order_by(col(Identity.id)), into=Identity)
all_purchases = statement(select(Purchase).order_by(col(Purchase.id)), into=Purchase)
EVERYTHING = (all_members, all_nodes, all_cards, all_accounts, all_identities, all_purchases)


async def load(url: str, now: datetime, *, processes: int = 1, size: int = MEMBERS) -> None:
    with TemporaryDirectory() as folder:
        await load_demo(
            url,
            keyring=KEYRING,
            password_hash=await hash_password(PASSWORD),
            group_code="regulars",
            files=FolderStore(Path(folder)),
            now=now,
            members=size,
            processes=processes,
        )


async def everything(tx: Transaction) -> list[object]:
    return [row for query in EVERYTHING for row in await tx.all(query)]


@pytest.mark.parametrize("processes", [1, 2])
async def test_the_books_of_the_demo_are_right(
    database_url: str, now: datetime, processes: int
) -> None:
    await load(database_url, now, processes=processes)
    database = await open_database(database_url)
    try:
        assert await database.scan(ledger.check) == []
        nodes = await database.read(_all, all_nodes)
        kinds = [node.kind for node in nodes]
        assert [kinds.count(kind) for kind in NodeKind] == [1, 2, 6]
        assert len({node.time_zone for node in nodes}) == 2
        assert len(await database.read(_all, all_tiers)) == 4
        loaded = await database.read(_all, all_members)
        assert len(loaded) == MEMBERS
        assert loaded[0].name == CAST[0].name
        assert all(m.name_index == members.name_index_of(m.name) for m in loaded)
        assert {member.name[0] for member in loaded if member.name} >= set(SURNAMES[:5])
        assert [m.joined_at for m in loaded] == sorted(m.joined_at for m in loaded)
        bought = await database.read(_all, all_purchases)
        assert len(bought) > MEMBERS
        assert max(purchase.occurred_at for purchase in bought) < now
        assert now - min(purchase.occurred_at for purchase in bought) > timedelta(days=300)
        for card in await database.read(_all, all_cards):
            assert card.number == cards.number_of(card.serial) == card_number(card.serial)
        assert await database.scan(_orphans) == 0
        assert await database.run(audit.seal) == 116
    finally:
        await database.close()


async def test_many_processes_load_what_one_does(
    engine: Engine, database_url: str, tmp_path: Path, now: datetime
) -> None:
    other_url = await engine.make(tmp_path)
    await load(database_url, now, processes=1, size=60)
    await load(other_url, now, processes=2, size=60)
    found = []
    for url in (database_url, other_url):
        database = await open_database(url)
        found.append(await database.read(everything))
        await database.close()
    await engine.drop(other_url)
    assert len(found[0]) > 500
    assert found[0] == found[1]


async def test_a_second_load_is_refused_and_changes_nothing(
    database_url: str, now: datetime
) -> None:
    await load(database_url, now, size=20)
    database = await open_database(database_url)
    before = await database.read(everything)
    with pytest.raises(DatabaseNotEmpty, match="already holds the group"):
        await load(database_url, now, size=20)
    assert await database.read(everything) == before
    assert await keys_fit(database)
    await database.close()


async def test_the_people_of_the_sandbox_are_members(database_url: str, now: datetime) -> None:
    await load(database_url, now)
    database = await open_database(database_url)
    (group, *_) = await database.read(_all, all_nodes)
    for person in directory().people:
        assert person.phone
        (identity,) = await database.read(
            identities.find, group_id=group.id, proofs=[Proof(IdentityKind.PHONE, person.phone)]
        )
        member = await database.read(members.living, identity.member_id)
        assert member.name == person.name
    zhou = next(person for person in directory().people if person.key == "zhou-jing")
    assert zhou.phone
    wechat = zhou.wechat[0]
    signed_in = await database.run(
        identities.sign_in,
        group_id=group.id,
        proofs=[
            Proof(IdentityKind.WECHAT_OPENID, wechat.openid, wechat.app_id),
            Proof(IdentityKind.PHONE, zhou.phone),
        ],
        now=now,
    )
    assert not signed_in.is_new
    assert len(signed_in.others) == 1, "two records of one person wait to be merged"
    await database.close()


async def test_staff_and_the_partner_sign_in_with_what_the_sandbox_shows(
    database_url: str, now: datetime
) -> None:
    await load(database_url, now, size=10)
    database = await open_database(database_url)
    for login, employee in zip(directory().staff, EMPLOYEES, strict=True):
        assert login.totp_secret
        account = await database.run(
            staff_sign_in.take_try, email=login.email, client_address="203.0.113.7", now=now
        )
        assert account
        assert await password_is_right(login.password, account.password_hash)
        challenge = await database.run(
            staff_sign_in.password_was_right, staff_id=account.id, device="", now=now
        )
        signed_in = await database.run(
            staff_sign_in.confirm,
            challenge=challenge.secret,
            totp_code=totp.code_at(login.totp_secret, now),
            now=now,
            life=timedelta(hours=1),
        )
        assert [held.role_name for held in signed_in.member.held] == [employee.role]
    client = await database.read(
        partners.authenticated,
        client_id=PARTNER.client_id,
        secret=PARTNER.client_secret,
        now=now,
    )
    assert client
    assert client.scopes == sorted(PARTNER.scopes)
    await database.close()


def test_every_column_the_generator_leaves_out_has_a_default() -> None:
    for table, columns in COLUMNS.items():
        for column in SQLModel.metadata.tables[table].columns:
            has_default = column.nullable or column.server_default is not None
            assert has_default or column.name in columns, column


async def _all(tx: Transaction, query: Statement[R]) -> list[R]:
    return await tx.all(query)


async def _orphans(tx: Transaction) -> int:
    """Rows of the generator that point nowhere; SQLite did not check them when they came."""
    count = 0
    for table in COLUMNS:
        model = SQLModel.metadata.tables[table]
        for key in model.foreign_keys:
            parent = key.column.table.alias("parent")
            query = (
                select(func.count())
                .select_from(model.outerjoin(parent, parent.c[key.column.name] == key.parent))
                .where(key.parent.is_not(None), parent.c[key.column.name].is_(None))
            )
            count += await tx.one(statement(query, into=int)) or 0
    return count
