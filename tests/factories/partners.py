"""Partners' systems."""

from collections.abc import Collection
from datetime import datetime, timedelta

from app.core.db import Transaction
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import partners
from schema.context import Principal

SCOPES = (Permission.CODES_RESOLVE, Permission.PURCHASES_WRITE)


async def partner(
    tx: Transaction,
    *,
    node: Node,
    scopes: Collection[Permission] = SCOPES,
    requests_per_minute: int = 600,
    now: datetime,
) -> partners.ClientWithSecret:
    """A client that may act at a node and below it."""
    return await partners.add(
        tx,
        group_id=node.group_id,
        name="Till Systems Ltd",
        scopes=scopes,
        node_ids=[node.id],
        requests_per_minute=requests_per_minute,
        now=now,
    )


def principal_of(client: partners.Client, *, now: datetime) -> Principal:
    """Whom a token with all of the client's scopes speaks for."""
    return Principal(
        kind=PrincipalKind.PARTNER,
        id=client.id,
        group_id=client.row.group_id,
        session_id=None,
        expires_at=now + timedelta(minutes=10),
        scopes=frozenset(client.row.scopes),
    )
