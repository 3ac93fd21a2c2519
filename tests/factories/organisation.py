"""Places: a group of two brands with a store each, and a store without a brand."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.db import Transaction, changed_copy
from app.core.ids import new_id
from app.models.organisation import Node, NodeKind
from app.services import organisation, roles


@dataclass(frozen=True)
class Places:
    group: Node
    coffee: Node
    tea: Node
    coffee_store: Node
    tea_store: Node
    lone_store: Node


async def places(tx: Transaction, *, now: datetime) -> Places:
    """A group that has the built-in roles; several of them can stand in one database."""
    group_id = new_id()
    group = a_node(NodeKind.GROUP, "Regulars", None, now, id=group_id, group_id=group_id)
    coffee, tea = (a_node(NodeKind.BRAND, name, group, now) for name in ("Coffee", "Tea"))
    found = Places(
        group=group,
        coffee=coffee,
        tea=tea,
        coffee_store=a_node(NodeKind.STORE, "Coffee at the station", coffee, now),
        tea_store=a_node(NodeKind.STORE, "Tea in the park", tea, now),
        lone_store=a_node(NodeKind.STORE, "The museum shop", group, now),
    )
    await tx.insert(group, coffee, tea, found.coffee_store, found.tea_store, found.lone_store)
    await roles.ensure_built_in(tx, group_id=group_id)
    return found


def a_node(kind: NodeKind, name: str, parent: Node | None, now: datetime, **more: Any) -> Node:
    """A node that is not inserted yet."""
    own: dict[str, Any] = (
        {"group_id": parent.group_id, "brand_id": parent.brand_id} if parent else {}
    )
    node = organisation.new_node(
        kind=kind,
        code=new_id().hex,
        name=name,
        time_zone="Asia/Shanghai",
        created_at=now,
        **(own | more),
    )
    return changed_copy(node, brand_id=node.id) if kind is NodeKind.BRAND else node
