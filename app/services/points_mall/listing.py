"""Redemptions as members and those who see to them find them (MAL-3)."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, or_
from sqlmodel import col, select

from app.core.db import Transaction, if_given, statement
from app.core.ids import LARGEST_ID
from app.models.orders import Order, OrderKind
from app.models.points_mall import Fulfilment, FulfilmentState, FulfilmentWay
from app.models.staff import Permission
from app.services import orders, organisation
from app.services.actors import Actor
from app.services.points_mall import fulfilling
from app.services.points_mall.fulfilling import Redemption

newest = statement(
    select(Fulfilment)
    .where(
        col(Fulfilment.group_id) == bindparam("group_id"),
        col(Fulfilment.order_id) < bindparam("before"),
        or_(
            organisation.lies_under(col(Fulfilment.store_id)),
            and_(
                col(Fulfilment.store_id).is_(None),
                organisation.lies_under(col(Fulfilment.perspective_id)),
            ),
        ),
        if_given("state", Fulfilment.state),
        if_given("way", Fulfilment.way),
        if_given("store_id", Fulfilment.store_id),
        if_given("item_id", Fulfilment.item_id),
    )
    .order_by(col(Fulfilment.order_id).desc())
    .limit(bindparam("limit")),
    into=Fulfilment,
)


class Wanted(NamedTuple):
    """Which of those to be seen to; what is None lets all pass."""

    state: FulfilmentState | None = None
    way: FulfilmentWay | None = None
    store_id: UUID | None = None
    item_id: UUID | None = None


async def own_page(
    tx: Transaction, *, member_id: UUID, before: UUID | None, limit: int
) -> list[Redemption]:
    """The signed-in member's redemptions, newest first, those of merged records included."""
    page = await orders.own_page(
        tx, member_id=member_id, kind=OrderKind.MALL, state=None, before=before, limit=limit
    )
    ways = await fulfilling.by_order(tx, [order.id for order in page])
    return [Redemption(order, ways.get(order.id)) for order in page]


async def own(tx: Transaction, *, member_id: UUID, order_id: UUID) -> Redemption | None:
    """A redemption of the signed-in member, or None."""
    order = await orders.own(tx, member_id=member_id, order_id=order_id)
    if order is None or order.kind is not OrderKind.MALL:
        return None
    return await of_order(tx, order)


async def page(
    tx: Transaction, actor: Actor, *, wanted: Wanted, before: UUID | None, limit: int
) -> list[Redemption]:
    """What is or was handed over at stores or shipped from places where the actor may read it,
    newest first (ORG-1)."""
    values: dict[str, Any] = wanted._asdict()
    found = await tx.all(
        newest,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.MALL_READ),
        before=before or LARGEST_ID,
        limit=limit,
        **values,
    )
    rows = await orders.by_ids(tx, [each.order_id for each in found])
    return [Redemption(rows[each.order_id], each) for each in found]


async def seen_by(tx: Transaction, actor: Actor, *, order_id: UUID) -> Redemption | None:
    """A redemption if it exists and the actor may read it."""
    order = (await orders.by_ids(tx, [order_id])).get(order_id)
    if order is None or order.group_id != actor.group_id or order.kind is not OrderKind.MALL:
        return None
    found = await of_order(tx, order)
    place = await orders.home(tx, order)
    return found if actor.may(Permission.MALL_READ, place) else None


async def of_order(tx: Transaction, order: Order) -> Redemption:
    """An order of the mall with what became of its thing."""
    return Redemption(order, (await fulfilling.by_order(tx, [order.id])).get(order.id))
