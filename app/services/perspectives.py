"""What staff make under a perspective, and who sees it: who works above it, and below (ORG-1).

Plans, templates, packages, products, items and campaigns are all found by this; their lists add
their own filters.
"""

from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import SQLModel, col

from app.core.db import Transaction, any_of
from app.models.staff import Permission
from app.services import organisation, schemes, scopes
from app.services.actors import Actor


class Made(Protocol):
    """A row that was made under a perspective."""

    group_id: UUID
    perspective_id: UUID


R = TypeVar("R", bound=Made)


def in_sight(table: type[SQLModel]) -> tuple[Any, ...]:
    """Conditions: the row is one that the asker sees, with the values of `sight`."""
    perspective_id = col(table.perspective_id)  # type: ignore[attr-defined]
    return (
        col(table.group_id) == bindparam("group_id"),  # type: ignore[attr-defined]
        or_(any_of(perspective_id, "above_ids"), organisation.lies_under(perspective_id)),
    )


async def sight(tx: Transaction, actor: Actor, permission: Permission) -> dict[str, Any]:
    """What `in_sight` asks for: where the actor holds the permission, and all above that."""
    granted = await schemes.granted_nodes(tx, actor, permission)
    return {
        "group_id": actor.group_id,
        "above_ids": list({i for node in granted for i in scopes.lineage_of(node)}),
        "node_ids": [node.id for node in granted],
    }


async def seen(tx: Transaction, actor: Actor, permission: Permission, row: R | None) -> R | None:
    """The row, if there is one and the actor sees it, as `in_sight` says."""
    if row is None or row.group_id != actor.group_id:
        return None
    granted = await schemes.granted_nodes(tx, actor, permission)
    perspective = await organisation.node(tx, row.perspective_id)
    return row if schemes.touches(granted, perspective) else None
