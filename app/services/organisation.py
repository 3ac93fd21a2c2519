"""The organisation: groups, brands, stores, store groups, terminals (ORG-1)."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import bindparam, or_
from sqlmodel import col, delete, func, select, update

from app.core.db import (
    Transaction,
    any_of,
    changed_copy,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_text
from app.models.organisation import (
    Node,
    NodeKind,
    StoreGroup,
    StoreGroupStore,
    Terminal,
)
from app.models.staff import Permission
from app.services import audit
from app.services.actors import Actor, is_under

CODE_CHARS_MAX = 32
NAME_CHARS_MAX = 120
TERMINAL_NAME_CHARS_MAX = 64
STORE_GROUPS_MAX = 1_000
STORES_PER_GROUP_MAX = 2_000
TERMINALS_MAX = 500

node_by_id = statement(select(Node).where(col(Node.id) == bindparam("node_id")), into=Node)
nodes_by_id = statement(select(Node).where(any_of(col(Node.id), "ids")), into=Node)
group_by_code = statement(
    select(Node).where(
        col(Node.kind) == NodeKind.GROUP,
        col(Node.code) == bindparam("code"),
    ),
    into=Node,
)
# A node at or below one of those given as `node_ids`: a group's or brand's id is its own.
at_or_below_nodes = or_(
    any_of(col(Node.group_id), "node_ids"),
    any_of(col(Node.brand_id), "node_ids"),
    any_of(col(Node.id), "node_ids"),
)
nodes_under = statement(
    select(Node)
    .where(
        col(Node.group_id) == bindparam("group_id"),
        at_or_below_nodes,
    )
    .order_by(col(Node.id)),
    into=Node,
)


def lies_under(store_id: Any) -> Any:
    """A condition: the column names a store at or below one of the nodes `node_ids`."""
    return (
        select(Node.id)
        .where(
            col(Node.id) == store_id,
            at_or_below_nodes,
        )
        .exists()
    )


terminal_by_id = statement(
    select(Terminal).where(col(Terminal.id) == bindparam("terminal_id")), into=Terminal
)
insert_node = upsert(
    lambda insert: (
        insert(Node)
        .values(every_column(Node))
        .on_conflict_do_nothing(index_elements=["group_id", "kind", "code"])
    )
)
change_node = statement(
    update(Node)
    .where(col(Node.id) == bindparam("node_id"))
    .values(
        name=func.coalesce(bindparam("new_name", type_=Node.__table__.c.name.type), col(Node.name)),  # type: ignore[attr-defined]
        time_zone=func.coalesce(
            bindparam("new_time_zone", type_=Node.__table__.c.time_zone.type),  # type: ignore[attr-defined]
            col(Node.time_zone),
        ),
    )
    .returning(*Node.__table__.columns),  # type: ignore[attr-defined]
    into=Node,
)
groups_below = statement(
    select(StoreGroup)
    .join(Node, col(Node.id) == col(StoreGroup.perspective_id))
    .where(
        col(Node.group_id) == bindparam("group_id"),
        at_or_below_nodes,
    )
    .order_by(col(StoreGroup.id))
    .limit(STORE_GROUPS_MAX),
    into=StoreGroup,
)
store_group_by_id = statement(
    select(StoreGroup).where(col(StoreGroup.id) == bindparam("store_group_id")), into=StoreGroup
)
stores_of_groups = statement(
    select(StoreGroupStore)
    .where(any_of(col(StoreGroupStore.store_group_id), "store_group_ids"))
    .order_by(col(StoreGroupStore.store_group_id), col(StoreGroupStore.store_id)),
    into=StoreGroupStore,
)
insert_store_group = upsert(
    lambda insert: (
        insert(StoreGroup)
        .values(every_column(StoreGroup))
        .on_conflict_do_nothing(index_elements=["perspective_id", "name"])
    )
)
namesake = statement(
    select(StoreGroup.id).where(
        col(StoreGroup.perspective_id) == bindparam("perspective_id"),
        col(StoreGroup.name) == bindparam("name"),
    ),
    into=UUID,
)
rename_store_group = statement(
    update(StoreGroup)
    .where(col(StoreGroup.id) == bindparam("store_group_id"))
    .values(name=bindparam("new_name"))
)
empty_store_group = statement(
    delete(StoreGroupStore).where(
        col(StoreGroupStore.store_group_id) == bindparam("store_group_id")
    )
)
terminals_of_store = statement(
    select(Terminal)
    .where(col(Terminal.store_id) == bindparam("store_id"))
    .order_by(col(Terminal.name))
    .limit(TERMINALS_MAX),
    into=Terminal,
)
insert_terminal = upsert(
    lambda insert: (
        insert(Terminal)
        .values(every_column(Terminal))
        .on_conflict_do_nothing(index_elements=["store_id", "name"])
    )
)
switch_off_terminal = statement(
    update(Terminal).where(col(Terminal.id) == bindparam("terminal_id")).values(is_active=False)
)
new_node = light(Node)
new_terminal = light(Terminal)
new_store_group = light(StoreGroup)
new_store_group_store = light(StoreGroupStore)


class NodeNotFound(DomainError):
    """No such group, brand or store, or none that the asker may see."""

    def __init__(self) -> None:
        super().__init__("There is no such group, brand or store.")


class CodeTaken(DomainError):
    """Another brand or store of the group has this code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"The code {code} is already in use.")


class TerminalNotFound(DomainError):
    """No such terminal, or one that was switched off."""

    def __init__(self) -> None:
        super().__init__("There is no such terminal.")


class TerminalNameTaken(DomainError):
    """Another terminal of the store has this name."""

    def __init__(self) -> None:
        super().__init__("This store already has a terminal with this name.")


class StoreGroupNotFound(DomainError):
    """No such store group."""

    def __init__(self) -> None:
        super().__init__("There is no such store group.")


class StoreGroupNameTaken(DomainError):
    """Another store group under the same perspective has this name."""

    def __init__(self) -> None:
        super().__init__("There is already a store group with this name.")


async def node(tx: Transaction, node_id: UUID) -> Node:
    """A node by its id; raises `NodeNotFound`."""
    found = await tx.one(node_by_id, node_id=node_id)
    if found is None:
        raise NodeNotFound
    return found


async def group_of_code(tx: Transaction, *, code: str) -> Node | None:
    """The group a deployment serves, by the code in its settings."""
    return await tx.one(group_by_code, code=code)


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

    Raises `NodeNotFound`, `CodeTaken`, and `BadInput` for a time zone that IANA does not list.
    """
    parent = await node(tx, parent_id)
    actor.require(Permission.ORGANISATION_WRITE, parent)
    is_brand = kind is NodeKind.BRAND
    if parent.kind is NodeKind.STORE or (is_brand and parent.kind is not NodeKind.GROUP):
        raise BadInput(f"A {kind.lower()} cannot stand under a {parent.kind.lower()}.")
    created = new_node(
        kind=kind,
        group_id=parent.group_id,
        brand_id=parent.brand_id,
        code=checked_text("code", code, at_most=CODE_CHARS_MAX),
        name=checked_text("name", name, at_most=NAME_CHARS_MAX),
        time_zone=checked_time_zone(time_zone),
        created_at=now,
    )
    if is_brand:
        created = changed_copy(created, brand_id=created.id)
    if not await tx.changed(insert_node, **values_of(created)):
        raise CodeTaken(created.code)
    await audit.record(
        tx, actor, "node.create", object_kind="node", object_id=created.id, node_id=parent.id,
        now=now,
    )  # fmt: skip
    return created


async def update_node(
    tx: Transaction,
    actor: Actor,
    *,
    node_id: UUID,
    name: str | None,
    time_zone: str | None,
    now: datetime,
) -> Node:
    """Rename a node or move its clock; None leaves a value as it is. Raises `NodeNotFound`."""
    actor.require(Permission.ORGANISATION_WRITE, await node(tx, node_id))
    changed = await tx.one(
        change_node,
        node_id=node_id,
        new_name=None if name is None else checked_text("name", name, at_most=NAME_CHARS_MAX),
        new_time_zone=None if time_zone is None else checked_time_zone(time_zone),
    )
    assert changed is not None
    await audit.record(
        tx, actor, "node.update", object_kind="node", object_id=node_id, node_id=node_id, now=now,
        name=changed.name, time_zone=changed.time_zone,
    )  # fmt: skip
    return changed


async def node_for(tx: Transaction, actor: Actor, *, node_id: UUID) -> Node | None:
    """A node if it exists and the actor may read it; otherwise nothing tells the two apart."""
    found = await tx.one(node_by_id, node_id=node_id)
    may_read = found is not None and actor.may(Permission.ORGANISATION_READ, found)
    return found if may_read else None


class StoreSet(NamedTuple):
    """A store group and the stores in it."""

    row: StoreGroup
    store_ids: list[UUID]


async def store_groups(tx: Transaction, actor: Actor) -> list[StoreSet]:
    """The store groups whose perspective the actor may read."""
    rows = await tx.all(
        groups_below,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.ORGANISATION_READ),
    )
    stores: dict[UUID, list[UUID]] = {row.id: [] for row in rows}
    for member in await tx.all(stores_of_groups, store_group_ids=list(stores)):
        stores[member.store_group_id].append(member.store_id)
    return [StoreSet(row, stores[row.id]) for row in rows]


async def create_store_group(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    name: str,
    store_ids: Collection[UUID],
    now: datetime,
) -> StoreSet:
    """Name a set of stores that lie under a perspective (ORG-1).

    Raises `NodeNotFound`, also for a store that lies elsewhere, and `StoreGroupNameTaken`.
    """
    perspective = await node(tx, perspective_id)
    actor.require(Permission.ORGANISATION_WRITE, perspective)
    created = new_store_group(
        perspective_id=perspective_id,
        name=checked_text("name", name, at_most=NAME_CHARS_MAX),
        created_at=now,
    )
    if not await tx.changed(insert_store_group, **values_of(created)):
        raise StoreGroupNameTaken
    stores = await _fill(tx, created, perspective, store_ids)
    await _record_stores(tx, actor, "store_group.create", created, stores, now)
    return StoreSet(created, stores)


async def update_store_group(
    tx: Transaction,
    actor: Actor,
    *,
    store_group_id: UUID,
    name: str | None,
    store_ids: Collection[UUID] | None,
    now: datetime,
) -> StoreSet:
    """Rename a store group or replace its stores; None leaves a value as it is.

    Raises `StoreGroupNotFound`, `NodeNotFound`, `StoreGroupNameTaken`.
    """
    row = await tx.one(store_group_by_id, store_group_id=store_group_id)
    if row is None:
        raise StoreGroupNotFound
    perspective = await node(tx, row.perspective_id)
    actor.require(Permission.ORGANISATION_WRITE, perspective)
    if name is not None:
        row = changed_copy(row, name=checked_text("name", name, at_most=NAME_CHARS_MAX))
        other_id = await tx.one(namesake, perspective_id=perspective.id, name=row.name)
        if other_id not in {None, row.id}:
            raise StoreGroupNameTaken
        await tx.changed(rename_store_group, store_group_id=row.id, new_name=row.name)
    if store_ids is not None:
        await tx.changed(empty_store_group, store_group_id=row.id)
        stores = await _fill(tx, row, perspective, store_ids)
    else:
        members = await tx.all(stores_of_groups, store_group_ids=[row.id])
        stores = [member.store_id for member in members]
    await _record_stores(tx, actor, "store_group.update", row, stores, now)
    return StoreSet(row, stores)


async def terminals(tx: Transaction, actor: Actor, *, store_id: UUID) -> list[Terminal] | None:
    """A store's terminals, also those switched off; None for what is no store the actor sees."""
    if await node_for(tx, actor, node_id=store_id) is None:
        return None
    return await tx.all(terminals_of_store, store_id=store_id)


async def register_terminal(
    tx: Transaction, actor: Actor, *, store_id: UUID, name: str, now: datetime
) -> Terminal:
    """Let a till or device stand in a store. Raises `NodeNotFound`, `TerminalNameTaken`."""
    store = await _store(tx, store_id)
    actor.require(Permission.ORGANISATION_WRITE, store)
    created = new_terminal(
        store_id=store_id,
        name=checked_text("name", name, at_most=TERMINAL_NAME_CHARS_MAX),
        created_at=now,
    )
    if not await tx.changed(insert_terminal, **values_of(created)):
        raise TerminalNameTaken
    await audit.record(
        tx, actor, "terminal.register", object_kind="terminal", object_id=created.id,
        node_id=store_id, now=now, name=created.name,
    )  # fmt: skip
    return created


async def deactivate_terminal(
    tx: Transaction, actor: Actor, *, terminal_id: UUID, now: datetime
) -> Terminal:
    """Switch a terminal off: it resolves and records no more. Raises `TerminalNotFound`."""
    found = await tx.one(terminal_by_id, terminal_id=terminal_id)
    if found is None:
        raise TerminalNotFound
    actor.require(Permission.ORGANISATION_WRITE, await node(tx, found.store_id))
    await tx.changed(switch_off_terminal, terminal_id=terminal_id)
    await audit.record(
        tx, actor, "terminal.deactivate", object_kind="terminal", object_id=terminal_id,
        node_id=found.store_id, now=now,
    )  # fmt: skip
    return changed_copy(found, is_active=False)


async def _store(tx: Transaction, store_id: UUID) -> Node:
    found = await node(tx, store_id)
    if found.kind is not NodeKind.STORE:
        raise NodeNotFound
    return found


async def _fill(
    tx: Transaction, row: StoreGroup, perspective: Node, store_ids: Collection[UUID]
) -> list[UUID]:
    """Put stores into an empty store group; each must lie under its perspective."""
    ids = sorted(set(store_ids))
    if len(ids) > STORES_PER_GROUP_MAX:
        raise BadInput(f"storeIds must hold at most {STORES_PER_GROUP_MAX} ids.")
    found = await nodes(tx, ids)
    for store_id in ids:
        store = found.get(store_id)
        if store is None or store.kind is not NodeKind.STORE:
            raise NodeNotFound
        if not is_under(store, perspective.kind, perspective.id):
            raise NodeNotFound
    await tx.insert(*(new_store_group_store(store_group_id=row.id, store_id=i) for i in ids))
    return ids


async def _record_stores(
    tx: Transaction,
    actor: Actor,
    action: str,
    row: StoreGroup,
    store_ids: list[UUID],
    now: datetime,
) -> None:
    await audit.record(
        tx, actor, action, object_kind="store_group", object_id=row.id,
        node_id=row.perspective_id, now=now, name=row.name, store_ids=[str(i) for i in store_ids],
    )  # fmt: skip


def checked_time_zone(time_zone: str) -> str:
    """The name of a zone that IANA lists; raises `BadInput`."""
    if time_zone not in _time_zones():
        raise BadInput("timeZone is not an IANA time zone.")
    return time_zone


@cache
def _time_zones() -> set[str]:
    return available_timezones()  # which reads a folder every time
