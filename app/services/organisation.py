"""The organisation: groups, brands, stores, store groups, terminals, payment methods (ORG-1)."""

from datetime import datetime
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import bindparam, or_
from sqlmodel import col, select

from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.models.organisation import (
    Node,
    NodeKind,
    PaymentMethod,
    StoreGroup,
    StoreGroupStore,
    Terminal,
)
from app.models.staff import Permission
from app.services import audit
from app.services.actors import Actor

node_by_id = statement(select(Node).where(col(Node.id) == bindparam("node_id")), into=Node)
nodes_by_id = statement(select(Node).where(any_of(col(Node.id), "ids")), into=Node)
group_by_code = statement(
    select(Node).where(
        col(Node.kind) == NodeKind.GROUP,
        col(Node.code) == bindparam("code"),
    ),
    into=Node,
)
nodes_under = statement(
    select(Node)
    .where(
        col(Node.group_id) == bindparam("group_id"),
        or_(
            any_of(col(Node.group_id), "node_ids"),
            any_of(col(Node.brand_id), "node_ids"),
            any_of(col(Node.id), "node_ids"),
        ),
    )
    .order_by(col(Node.id)),
    into=Node,
)
terminal_by_id = statement(
    select(Terminal).where(col(Terminal.id) == bindparam("terminal_id")), into=Terminal
)
method_by_code = statement(
    select(PaymentMethod).where(
        col(PaymentMethod.group_id) == bindparam("group_id"),
        any_of(col(PaymentMethod.code), "codes"),
    ),
    into=PaymentMethod,
)
new_node = light(Node)
new_terminal = light(Terminal)
new_store_group = light(StoreGroup)
new_store_group_store = light(StoreGroupStore)
new_payment_method = light(PaymentMethod)


class NodeNotFound(DomainError):
    """No such group, brand or store, or none that the asker may see."""

    def __init__(self) -> None:
        super().__init__("There is no such group, brand or store.")


class TerminalNotFound(DomainError):
    """No such terminal, or one that was switched off."""

    def __init__(self) -> None:
        super().__init__("There is no such terminal.")


async def node(tx: Transaction, node_id: UUID) -> Node:
    """A node by its id; raises `NodeNotFound`."""
    found = await tx.one(node_by_id, node_id=node_id)
    if found is None:
        raise NodeNotFound
    return found


async def nodes(tx: Transaction, ids: list[UUID]) -> dict[UUID, Node]:
    return {row.id: row for row in await tx.all(nodes_by_id, ids=ids)}


async def visible_nodes(tx: Transaction, actor: Actor) -> list[Node]:
    """The nodes in the subtrees where the actor may read the organisation."""
    return await tx.all(
        nodes_under,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.ORGANISATION_READ),
    )


async def terminal(tx: Transaction, terminal_id: UUID) -> tuple[Terminal, Node]:
    """An active terminal and its store; raises `TerminalNotFound`."""
    found = await tx.one(terminal_by_id, terminal_id=terminal_id)
    if found is None or not found.is_active:
        raise TerminalNotFound
    return found, await node(tx, found.store_id)


async def create_node(
    tx: Transaction,
    actor: Actor,
    *,
    parent_id: UUID,
    kind: NodeKind,
    code: str,
    name: str,
    time_zone: str,
    now: datetime,
) -> Node:
    """Add a brand to a group, or a store to a group or brand (ORG-1).

    Raises `NodeNotFound`, and `BadInput` for a time zone that IANA does not list.
    """
    parent = await node(tx, parent_id)
    actor.require(Permission.ORGANISATION_WRITE, parent)
    if time_zone not in available_timezones():
        raise BadInput("timeZone is not an IANA time zone.")
    is_brand = kind is NodeKind.BRAND
    if parent.kind is NodeKind.STORE or (is_brand and parent.kind is not NodeKind.GROUP):
        raise BadInput(f"A {kind.lower()} cannot stand under a {parent.kind.lower()}.")
    created = new_node(
        kind=kind,
        group_id=parent.group_id,
        brand_id=parent.brand_id,
        code=code,
        name=name,
        time_zone=time_zone,
        created_at=now,
    )
    if is_brand:
        created = changed_copy(created, brand_id=created.id)
    await tx.insert(created)
    await audit.record(
        tx, actor, "node.create", object_kind="node", object_id=created.id, node_id=parent.id,
        now=now,
    )  # fmt: skip
    return created
