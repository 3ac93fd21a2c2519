"""The least that a card needs: a group with a store, a scheme with tiers, a member."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.db import Transaction, light
from app.core.ids import new_id
from app.models.cards import Card, ConsumptionVerification, DeductionRule, Scheme, Tier
from app.models.members import Member
from app.models.organisation import Node, NodeKind
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import cards, members
from app.services.actors import Actor, Grant


@dataclass(frozen=True)
class SmallWorld:
    group: Node
    store: Node
    scheme: Scheme
    member: Member
    card: Card


async def small_world(tx: Transaction, *, now: datetime) -> SmallWorld:
    group_id = new_id()
    place: dict[str, Any] = {"time_zone": "Asia/Shanghai", "created_at": now, "group_id": group_id}
    group = light(Node)(
        id=group_id, kind=NodeKind.GROUP, code=group_id.hex, name="Regulars", **place
    )
    store = light(Node)(kind=NodeKind.STORE, code="S1", name="The first store", **place)
    await tx.insert(group, store)
    scheme = await a_scheme(tx, group=group, now=now)
    member, card = await a_member(tx, group=group, scheme=scheme, now=now)
    return SmallWorld(group, store, scheme, member, card)


async def a_scheme(
    tx: Transaction, *, group: Node, now: datetime, name: str = "Regular card"
) -> Scheme:
    """A scheme of the group, with three tiers."""
    scheme = light(Scheme)(
        group_id=group.id,
        perspective_id=group.id,
        name=name,
        currency="CNY",
        deduction_rule=DeductionRule.CASH_FIRST,
        consumption_verification=ConsumptionVerification.NONE,
        points_unit=100,
        points_rate=1,
        created_at=now,
    )
    tiers = [
        light(Tier)(scheme_id=scheme.id, level=level, name=name, growth_from=growth)
        for level, name, growth in ((1, "Green", 0), (2, "Silver", 100), (3, "Gold", 1_000))
    ]
    await tx.insert(scheme, *tiers)
    return scheme


async def a_member(
    tx: Transaction, *, group: Node, scheme: Scheme, now: datetime
) -> tuple[Member, Card]:
    """One more member of the group, with a card of the scheme."""
    member = await members.create(tx, group_id=group.id, name="王小明", now=now)
    return member, await cards.open_card(tx, member=member, scheme=scheme, store_id=None, now=now)


def staff_of(world: SmallWorld) -> Actor:
    """Somebody who may do everything in the group."""
    grant = Grant(world.group.id, NodeKind.GROUP, frozenset(Permission))
    return Actor(PrincipalKind.STAFF, new_id(), world.group.id, (grant,))
