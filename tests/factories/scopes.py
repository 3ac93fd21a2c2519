"""Scopes, and what they name (ORG-3…ORG-6)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.db import Transaction, light
from app.core.ids import new_id
from app.models.cards import Card
from app.models.members import Member, MemberTag, Tag
from app.models.organisation import Node, StoreGroup
from app.models.scopes import Channel
from app.services import organisation, scopes
from app.services.scopes import LoadedScope, Obstacle, ScopeRules


async def a_scope(tx: Transaction, /, *, perspective: Node, **rules: Any) -> LoadedScope:
    """A scope that was written and read again; its ids may come in any collection."""
    given: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, set | list | tuple) else value
        for name, value in rules.items()
    }
    scope = await scopes.create(tx, perspective=perspective, rules=ScopeRules(**given))
    return (await scopes.load(tx, [scope.id]))[scope.id]


async def obstacle_to(
    tx: Transaction,
    *,
    scope: LoadedScope,
    now: datetime,
    channel: Channel = Channel.POS,
    store: Node | None = None,
    card: Card | None = None,
) -> Obstacle | None:
    """What stands between a scope and somebody who asks."""
    found = await scopes.circumstances(tx, channel=channel, store=store, card=card, now=now)
    return scopes.obstacle(scope, found)


async def a_store_group(
    tx: Transaction, *, perspective: Node, stores: list[Node], now: datetime
) -> StoreGroup:
    row = organisation.new_store_group(
        perspective_id=perspective.id, name=new_id().hex, created_at=now
    )
    named = [
        organisation.new_store_group_store(store_group_id=row.id, store_id=store.id)
        for store in stores
    ]
    await tx.insert(row, *named)
    return row


async def a_tag(
    tx: Transaction, *, group_id: UUID, now: datetime, on: tuple[Member, ...] = ()
) -> Tag:
    """A tag of the group, and the members it is on."""
    tag = light(Tag)(group_id=group_id, name=new_id().hex, created_at=now)
    tagged = [light(MemberTag)(member_id=each.id, tag_id=tag.id, tagged_at=now) for each in on]
    await tx.insert(tag, *tagged)
    return tag
