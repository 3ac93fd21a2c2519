"""Fill an empty database with the demo: the world, its members, and what lately happened there."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlalchemy.engine import make_url
from sqlmodel import col, select

from app.core.crypto import Keyring
from app.core.db import Database, Transaction, open_database, statement
from app.core.money import Money
from app.demo import gallery, gifts, mall, money, perks, sqlite, students, vouchers
from app.demo.members import Plan
from app.demo.people import CAST
from app.demo.world import CURRENCY, EMPLOYEES, World, build
from app.gateways.files.protocol import FileStore
from app.models.cards import CardStatus
from app.models.identities import IdentityKind
from app.models.organisation import Node, NodeKind
from app.models.sessions import PrincipalKind
from app.models.staff import Staff
from app.services import cards, identities, purchases, roles, staff
from app.services.actors import Actor, Grant
from app.services.identities import Proof

MEMBERS = 1_000
SEED = 2026
REGULARS_MAX = 1_000
COUPON_HOLDERS = ("lin-xiaoman", "emma-taylor", "wang-haoran")
ONE_PROCESS_MEMBERS_MAX = 20_000
"""Up to so many, starting processes and building indexes anew takes longer than it saves."""

any_group = statement(
    select(Node).where(col(Node.kind) == NodeKind.GROUP).order_by(col(Node.id)).limit(1), into=Node
)


any_staff = statement(
    select(Staff.id).where(col(Staff.email_index) == bindparam("email_index")), into=UUID
)


class DatabaseNotEmpty(Exception):
    """The demo goes into an empty database only, never beside what is there."""

    def __init__(self, group: Node) -> None:
        super().__init__(
            f"This database already holds the group {group.name!r}: the demo is loaded into an "
            "empty one."
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded, and how long the members took, indexes and all."""

    members: int
    took_s: float

    @property
    def members_per_s(self) -> int:
        return round(self.members / self.took_s)


async def is_empty(database: Database) -> bool:
    return await database.read(_group) is None


async def keys_fit(database: Database) -> bool:
    """Whether the demo in this database was loaded with the keys of this process."""
    return await database.read(_owner_is_found)


async def load_demo(
    url: str,
    *,
    keyring: Callable[[], Keyring],
    password_hash: str,
    group_code: str,
    files: FileStore,
    now: datetime,
    members: int = MEMBERS,
    seed: int = SEED,
    processes: int | None = None,
) -> Loaded:
    """Load the demo into a migrated, empty database. Raises `DatabaseNotEmpty`.

    `keyring` is sent to other processes, so it must be a function that can be. What members are
    like `app.demo.members` says; `password_hash` is of `world.PASSWORD`. The pictures go
    into `files`.
    """
    if processes is None:
        many = members > ONE_PROCESS_MEMBERS_MAX
        processes = max(2, os.cpu_count() or 2) if many else 1
    world = World(now, seed, group_code)
    # Closed before members are written: on SQLite nobody else may hold the file then.
    database = await open_database(url, connections=2)
    try:
        await database.run(_begin, world, password_hash)
    finally:
        await database.close()
    plan = world.plan(members=members, regulars=min(members, REGULARS_MAX))
    started = perf_counter()
    await _load_members(url, plan, keyring, processes)
    took_s = perf_counter() - started
    database = await open_database(url, connections=2)
    try:
        pictures = await gallery.hang(database, files, _actor(world, "owner"), now=now)
        await database.run(_lately, world, pictures)
    finally:
        await database.close()
    return Loaded(members, took_s)


async def _load_members(
    url: str, plan: Plan, keyring: Callable[[], Keyring], processes: int
) -> None:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        assert parsed.database
        await asyncio.to_thread(sqlite.load, parsed.database, plan, keyring, processes=processes)
        return
    # Here and not at the top: asyncpg is an extra that SQLite alone does without.
    from app.demo import postgres

    dsn = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    await postgres.load(dsn, plan, keyring, processes=processes)


async def _group(tx: Transaction) -> Node | None:
    return await tx.one(any_group)


async def _owner_is_found(tx: Transaction) -> bool:
    # By its blind index, which other keys compute differently.
    return await tx.one(any_staff, email_index=staff.email_index(EMPLOYEES[0].email)) is not None


async def _begin(tx: Transaction, world: World, password_hash: str) -> None:
    group = await _group(tx)
    if group is not None:
        raise DatabaseNotEmpty(group)
    await build(tx, world, password_hash=password_hash)


async def _lately(tx: Transaction, world: World, pictures: Mapping[str, UUID]) -> None:
    """Some acts of staff, through the services, so that the audit log has something to show."""
    now = world.now - timedelta(hours=3)
    support = _actor(world, "support")
    for card_id in await _cards(tx, world, "wang-haoran"):
        for bought in await purchases.history.page(tx, card_id=card_id, before=None, limit=1):
            await purchases.refund(
                tx, support, purchase_id=bought.id,
                amount=Money(bought.total_amount // 2, CURRENCY),
                reason="送错了 · wrong dish", request_key="demo-refund", now=now,
            )  # fmt: skip
    for card_id in await _cards(tx, world, "chen-siyu"):
        await cards.set_status(
            tx, support, card_id=card_id, status=CardStatus.LOST, reason="挂失 · reported by phone",
            now=now,
        )  # fmt: skip
    await _money(tx, world, now)
    await _offers(tx, world, pictures, now)


async def _money(tx: Transaction, world: World, now: datetime) -> None:
    owner, cashier = _actor(world, "owner"), _actor(world, "cashier")
    scheme_ids = [UUID(bytes=scheme.id) for scheme in world.schemes]
    await money.set_rules(tx, owner, scheme_ids=scheme_ids, now=now)
    plans = await money.make_plans(
        tx, owner, group_id=world.group.id, zone=world.group.time_zone, now=now
    )
    for key in ("emma-taylor", "daniel-okafor", "sofia-rossi"):
        for card_id in await _cards(tx, world, key):
            await money.top_up_and_spend(
                tx, owner=owner, cashier=cashier, card_id=card_id,
                terminal_id=world.terminals["JA"][0], store_id=world.nodes["JA"].id,
                plan=plans[0], now=now,
            )  # fmt: skip
    for card_id in await _cards(tx, world, "xu-zixuan"):
        card = (await cards.cards(tx, [card_id]))[card_id]
        await money.adjust_and_tag(
            tx, _actor(world, "support"), card_id=card_id, member_id=card.member_id, now=now
        )


async def _offers(
    tx: Transaction, world: World, pictures: Mapping[str, UUID], now: datetime
) -> None:
    """What members come for: coupons, benefits, packages, the mall, gift cards, student IDs."""
    owner, group = _actor(world, "owner"), world.group
    common: dict[str, Any] = {"group_id": group.id, "pictures": pictures, "now": now}
    printed = await vouchers.print_all(tx, owner, zone=group.time_zone, **common)
    table = world.schemes[1]
    benefit_ids = await perks.make_benefits(
        tx, owner, zone=group.time_zone, table_scheme_id=UUID(bytes=table.id),
        table_tier_id=UUID(bytes=table.tiers[1][0]), **common,
    )  # fmt: skip
    await perks.make_packages(tx, owner, benefit_ids=benefit_ids, welcome=printed.welcome, **common)
    await mall.stock(
        tx, owner,
        coupons=(
            ("10 元券 · 10.00 off", printed.ten_off),
            ("新客礼包 · Welcome pack", printed.welcome),
        ),
        **common,
    )  # fmt: skip
    await students.open_to(tx, owner, gift=printed.free_tea, **common)
    electronic, _ = await gifts.make_products(tx, owner, **common)
    for card in (await cards.cards(tx, await _cards(tx, world, "emma-taylor"))).values():
        await gifts.sell_one(
            tx, _actor(world, "cashier"), product=electronic, member_id=card.member_id,
            terminal_id=world.terminals["JA"][0], now=now,
        )  # fmt: skip
    holders = [i for key in COUPON_HOLDERS for i in (await _cards(tx, world, key))[:1]]
    await vouchers.give_to(
        tx, _actor(world, "support"), card_ids=holders, gift=printed.welcome, now=now
    )


def _actor(world: World, role: str) -> Actor:
    grant = Grant(world.group.id, NodeKind.GROUP, roles.BUILT_IN[role])
    return Actor(PrincipalKind.STAFF, world.staff[role], world.group.id, (grant,))


async def _cards(tx: Transaction, world: World, key: str) -> list[UUID]:
    """The cards of somebody of the cast, who is there unless the demo is very small."""
    phones = [one.phone for one in CAST if one.key == key and one.phone]
    proofs = [Proof(IdentityKind.PHONE, phone) for phone in phones]
    found = [i.member_id for i in await identities.find(tx, group_id=world.group.id, proofs=proofs)]
    return [card.id for held in (await cards.of_members(tx, found)).values() for card in held]
