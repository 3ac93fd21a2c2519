"""Partner clients: whose systems may call, with which scopes, where and how often (EVT-1).

A secret is 256 random bits, so its plain SHA-256 is kept: there is nothing to guess from it, and
checking one costs no argon2 at every token.
"""

import re
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.crypto import constant_time_equal, fingerprint
from app.core.db import Transaction, any_of, light, statement
from app.core.errors import BadInput, DomainError, Unauthenticated
from app.core.texts import checked_text
from app.models.organisation import Node, NodeKind
from app.models.sessions import PrincipalKind
from app.models.staff import PartnerClient, PartnerNode, Permission
from app.services import audit, limits, organisation
from app.services.actors import Actor, Grant, known_permissions

NAME_CHARS_MAX = 120
NODES_MAX = 100
REQUESTS_PER_MINUTE_MAX = 100_000
GRACE_MAX = timedelta(days=7)
RATE_WINDOW = timedelta(minutes=1)
SECRET_BYTES = 32
CLIENT_ID_BYTES = 15
CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,48}")

every_client_column = PartnerClient.__table__.columns  # type: ignore[attr-defined]
client_by_id = statement(
    select(PartnerClient).where(
        col(PartnerClient.id) == bindparam("partner_id"),
        col(PartnerClient.group_id) == bindparam("group_id"),
    ),
    into=PartnerClient,
)
active_client = statement(
    select(PartnerClient).where(
        col(PartnerClient.id) == bindparam("partner_id"), col(PartnerClient.is_active).is_(True)
    ),
    into=PartnerClient,
)
client_by_client_id = statement(
    select(PartnerClient).where(col(PartnerClient.client_id) == bindparam("client_id")),
    into=PartnerClient,
)
clients_below = statement(
    select(PartnerClient)
    .where(
        col(PartnerClient.group_id) == bindparam("group_id"),
        col(PartnerClient.id) > bindparam("after"),
        or_(
            any_of(col(PartnerClient.group_id), "node_ids"),
            col(PartnerClient.id).in_(
                select(PartnerNode.partner_client_id)
                .join(Node, col(Node.id) == col(PartnerNode.node_id))
                .where(
                    or_(
                        any_of(col(Node.brand_id), "node_ids"),
                        any_of(col(Node.id), "node_ids"),
                    )
                )
            ),
        ),
    )
    .order_by(col(PartnerClient.id))
    .limit(bindparam("at_most")),
    into=PartnerClient,
)
change_secret = statement(
    update(PartnerClient)
    .where(col(PartnerClient.id) == bindparam("partner_id"))
    .values(
        previous_secret_hash=col(PartnerClient.secret_hash),
        previous_until=bindparam("grace_end"),
        secret_hash=bindparam("new_hash"),
    )
    .returning(*every_client_column),
    into=PartnerClient,
)
switch_off = statement(
    update(PartnerClient)
    .where(col(PartnerClient.id) == bindparam("partner_id"))
    .values(is_active=False)
    .returning(*every_client_column),
    into=PartnerClient,
)


class ClientNode(NamedTuple):
    """A node whose subtree a client may act in."""

    partner_client_id: UUID
    node_id: UUID
    node_kind: NodeKind


nodes_of_clients = statement(
    select(PartnerNode.partner_client_id, PartnerNode.node_id, col(Node.kind).label("node_kind"))
    .join(Node, col(Node.id) == col(PartnerNode.node_id))
    .where(any_of(col(PartnerNode.partner_client_id), "partner_ids"))
    .order_by(col(PartnerNode.id)),
    into=ClientNode,
)
new_client = light(PartnerClient)
new_partner_node = light(PartnerNode)


class ClientNotFound(DomainError):
    """No such partner client in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such partner client.")


class Client(NamedTuple):
    """A partner client and where it may act."""

    row: PartnerClient
    node_ids: list[UUID]

    @property
    def id(self) -> UUID:
        return self.row.id


class ClientWithSecret(NamedTuple):
    """A client and the plain text of its new secret, which is not kept."""

    client: Client
    secret: str


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    name: str,
    scopes: Collection[Permission],
    node_ids: Collection[UUID],
    requests_per_minute: int,
    now: datetime,
) -> ClientWithSecret:
    """Let a partner's system call; it can do no more than its creator, and nowhere else.

    Raises `NodeNotFound`, `PermissionsNotHeld`.
    """
    if not 1 <= requests_per_minute <= REQUESTS_PER_MINUTE_MAX:
        raise BadInput(f"requestsPerMinute must be between 1 and {REQUESTS_PER_MINUTE_MAX}.")
    if not scopes:
        raise BadInput("scopes must name at least one permission.")
    unique_ids = sorted(set(node_ids))
    if not 1 <= len(unique_ids) <= NODES_MAX:
        raise BadInput(f"nodeIds must hold 1 to {NODES_MAX} ids.")
    for node_id in unique_ids:
        node = await organisation.node(tx, node_id)
        actor.require(Permission.PARTNERS_WRITE, node)
        actor.require_all(scopes, node)
    created = await add(
        tx,
        group_id=actor.group_id,
        name=name,
        scopes=scopes,
        node_ids=unique_ids,
        requests_per_minute=requests_per_minute,
        now=now,
    )
    await audit.record(
        tx, actor, "partner_client.create", object_kind="partner_client",
        object_id=created.client.id, now=now, scopes=created.client.row.scopes,
        node_ids=[str(i) for i in unique_ids], requests_per_minute=requests_per_minute,
    )  # fmt: skip
    return created


async def add(
    tx: Transaction,
    *,
    group_id: UUID,
    name: str,
    scopes: Collection[Permission],
    node_ids: Sequence[UUID],
    requests_per_minute: int,
    now: datetime,
) -> ClientWithSecret:
    """Insert a client without asking whether it may be; for set-up, where nobody acts yet."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row = new_client(
        group_id=group_id,
        client_id=secrets.token_urlsafe(CLIENT_ID_BYTES),
        name=checked_text("name", name, at_most=NAME_CHARS_MAX),
        secret_hash=fingerprint(secret.encode()),
        scopes=sorted(set(scopes)),
        requests_per_minute=requests_per_minute,
        created_at=now,
    )
    nodes = [new_partner_node(partner_client_id=row.id, node_id=i) for i in node_ids]
    await tx.insert(row, *nodes)
    return ClientWithSecret(Client(row, list(node_ids)), secret)


async def rotate_secret(
    tx: Transaction, actor: Actor, *, partner_id: UUID, grace: timedelta, now: datetime
) -> ClientWithSecret:
    """Give a client a new secret; the one before works on for `grace`.

    Who learns the secret can act as the client, so they must hold all its scopes themselves.
    Raises `ClientNotFound`, `PermissionsNotHeld`.
    """
    if not timedelta() <= grace <= GRACE_MAX:
        raise BadInput(f"graceHours must be between 0 and {GRACE_MAX // timedelta(hours=1)}.")
    client = await _writable(tx, actor, partner_id)
    for node in (await organisation.nodes(tx, client.node_ids)).values():
        actor.require_all(known_permissions(set(client.row.scopes)), node)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row = await tx.one(
        change_secret,
        partner_id=partner_id,
        grace_end=now + grace,
        new_hash=fingerprint(secret.encode()),
    )
    assert row is not None
    await audit.record(
        tx, actor, "partner_client.rotate_secret", object_kind="partner_client",
        object_id=partner_id, now=now, grace_s=int(grace.total_seconds()),
    )  # fmt: skip
    return ClientWithSecret(Client(row, client.node_ids), secret)


async def deactivate(tx: Transaction, actor: Actor, *, partner_id: UUID, now: datetime) -> Client:
    """Switch a client off; its tokens stop working at once. Raises `ClientNotFound`."""
    client = await _writable(tx, actor, partner_id)
    row = await tx.one(switch_off, partner_id=partner_id)
    assert row is not None
    await audit.record(
        tx, actor, "partner_client.deactivate", object_kind="partner_client",
        object_id=partner_id, now=now,
    )  # fmt: skip
    return Client(row, client.node_ids)


async def clients(
    tx: Transaction, actor: Actor, *, after: UUID | None, at_most: int
) -> list[Client]:
    """The clients that may act somewhere the actor may read partners."""
    rows = await tx.all(
        clients_below,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.PARTNERS_READ),
        after=after or UUID(int=0),
        at_most=at_most,
    )
    nodes = await tx.all(nodes_of_clients, partner_ids=[row.id for row in rows])
    return [
        Client(row, [n.node_id for n in nodes if n.partner_client_id == row.id]) for row in rows
    ]


async def client(tx: Transaction, *, partner_id: UUID, group_id: UUID) -> Client:
    """A client by its id; raises `ClientNotFound`."""
    row = await tx.one(client_by_id, partner_id=partner_id, group_id=group_id)
    if row is None:
        raise ClientNotFound
    nodes = await tx.all(nodes_of_clients, partner_ids=[partner_id])
    return Client(row, [node.node_id for node in nodes])


async def authenticated(
    tx: Transaction, *, client_id: str, secret: str, now: datetime
) -> PartnerClient | None:
    """The active client with these credentials, if there is one."""
    # What strangers send may hold what PostgreSQL refuses to compare, U+0000.
    is_well_formed = CLIENT_ID.fullmatch(client_id)
    row = await tx.one(client_by_client_id, client_id=client_id) if is_well_formed else None
    secret_hash = fingerprint(secret.encode("utf-8", "surrogatepass"))
    # A client that does not exist costs the same comparison as one that does.
    is_right = constant_time_equal(secret_hash, row.secret_hash if row else "")
    if row is None or not row.is_active:
        return None
    if not is_right and row.previous_until is not None and now < row.previous_until:
        is_right = constant_time_equal(secret_hash, row.previous_secret_hash or "")
    return row if is_right else None


async def actor_of_partner(
    tx: Transaction, *, partner_id: UUID, scopes: Collection[str], now: datetime
) -> Actor:
    """What a client may do now: what its token says and its account still allows.

    Counts the request against the client's rate. Raises `Unauthenticated` for one that was
    switched off, `TooManyRequests`.
    """
    row = await tx.one(active_client, partner_id=partner_id)
    if row is None:
        raise Unauthenticated("This client is switched off.")
    await limits.spend(
        tx,
        subject=f"partner:{partner_id}",
        at_most=row.requests_per_minute,
        window=RATE_WINDOW,
        now=now,
    )
    allowed = known_permissions(set(scopes) & set(row.scopes))
    nodes = await tx.all(nodes_of_clients, partner_ids=[partner_id])
    grants = tuple(Grant(node.node_id, node.node_kind, allowed) for node in nodes)
    return Actor(kind=PrincipalKind.PARTNER, id=partner_id, group_id=row.group_id, grants=grants)


async def _writable(tx: Transaction, actor: Actor, partner_id: UUID) -> Client:
    found = await client(tx, partner_id=partner_id, group_id=actor.group_id)
    nodes = await organisation.nodes(tx, found.node_ids)
    for node in nodes.values():
        actor.require(Permission.PARTNERS_WRITE, node)
    return found
