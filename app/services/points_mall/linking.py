"""Where a mall is found: a group, brand or store has its own (MAL-4)."""

from uuid import UUID

from app.core.db import Transaction
from app.models.organisation import Node
from app.services import organisation


async def mall_of(tx: Transaction, *, group_id: UUID, node_id: UUID | None) -> Node | None:
    """Whose mall it is: a node of the group, or the group itself; None for no such node."""
    wanted = node_id or group_id
    node = (await organisation.nodes(tx, [wanted])).get(wanted)
    return node if node is not None and node.group_id == group_id else None
