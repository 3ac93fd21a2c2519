"""What members find on the shelf, and whether one of them can redeem a piece now (MAL-1).

The shelf is read in its order, a batch at a time, and judged by the scopes' one evaluator; a group
lists so few items (`LISTED_MAX`) that whoever looks for theirs is through after a few batches.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Statement, Transaction, any_of, if_given, statement
from app.core.errors import DomainError
from app.core.ids import SMALLEST_ID
from app.models.cards import Card
from app.models.members import Member
from app.models.organisation import Node
from app.models.points_mall import MallItem
from app.models.scopes import Channel
from app.services import cards, members, orders, organisation, scopes
from app.services.points_mall import details as item_details
from app.services.points_mall.editing import LISTED_MAX, MallItemNotFound, item_of_group
from app.services.scopes import (
    Circumstances,
    LoadedScope,
    NotAvailable,
    Obstacle,
    ObstacleReason,
)

BATCH: Final = 50
POSITION_FIRST: Final = -item_details.POSITION_MAX - 1
CARDS_MAX: Final = 20
"""Cards of one member that a shelf is judged by; nobody holds as many."""


def _shelf(*conditions: Any) -> Statement[MallItem]:
    return statement(
        select(MallItem)
        .where(
            col(MallItem.group_id) == bindparam("group_id"),
            col(MallItem.is_listed),
            or_(
                col(MallItem.position) > bindparam("position"),
                and_(
                    col(MallItem.position) == bindparam("position"),
                    col(MallItem.id) > bindparam("after"),
                ),
            ),
            if_given("category", MallItem.category),
            *conditions,
        )
        .order_by(col(MallItem.position), col(MallItem.id))
        .limit(BATCH),
        into=MallItem,
    )


SHELVES = {
    # only what was made under some nodes
    False: _shelf(),
    True: _shelf(any_of(col(MallItem.perspective_id), "perspective_ids")),
}
take_pieces = statement(
    update(MallItem)
    .where(
        col(MallItem.id) == bindparam("item_id"), col(MallItem.stock_left) >= bindparam("pieces")
    )
    .values(stock_left=col(MallItem.stock_left) - bindparam("pieces"))
)
return_pieces = statement(
    update(MallItem)
    .where(col(MallItem.id) == bindparam("item_id"), col(MallItem.stock_left).is_not(None))
    .values(stock_left=col(MallItem.stock_left) + bindparam("pieces"))
)
stock_of = statement(
    select(MallItem.stock_left).where(col(MallItem.id) == bindparam("item_id")), into=int
)


class MallItemUnlisted(DomainError):
    """The item is not on the shelf, or no longer."""

    def __init__(self) -> None:
        super().__init__("This is not in the mall any more.")


class MallItemSoldOut(DomainError):
    """Fewer pieces are left than were asked for (MAL-2)."""

    def __init__(self, left: int) -> None:
        self.left = left
        super().__init__(f"Only {left} are left." if left else "This is sold out.")


class MallItemLimitReached(DomainError):
    """More pieces than one member may redeem (MAL-1)."""

    def __init__(self, *, limit: int, left: int) -> None:
        self.limit = limit
        self.left = left
        super().__init__(f"One member can redeem {limit} of this.")


class Place(NamedTuple):
    """Where an item stands on the shelf."""

    position: int
    id: UUID


SHELF_START: Final = Place(POSITION_FIRST, SMALLEST_ID)


class Offered(NamedTuple):
    """An item a member can redeem, or with `obstacle` why they cannot now."""

    item: MallItem
    obstacle: Obstacle | None
    left_for_member: int | None
    """How many the member's own limit leaves; None is without limit."""

    @property
    def place(self) -> Place:
        return Place(self.item.position, self.item.id)


class Asked(NamedTuple):
    """Which part of the shelf; what is None lets all pass."""

    card_id: UUID | None = None
    """With this card; None is with any of the member's."""
    store_id: UUID | None = None
    perspective_id: UUID | None = None
    """Only the mall of this node: what was made under it or above it."""
    category: str | None = None


class _Asker(NamedTuple):
    """With which cards somebody asks, where, and whose mall they look at; None is any."""

    circumstances: list[Circumstances]
    perspective: Node | None


async def shelf(
    tx: Transaction, *, member_id: UUID, asked: Asked, after: Place, limit: int, now: datetime
) -> list[Offered] | None:
    """What the member can redeem, in the order of the shelf (MAL-1).

    Of what cannot be had now that is shown which will open, what is sold out and what the member
    had their share of. None for a card that is not theirs, or a store or perspective that is none
    of their group's.
    """
    member = await members.signed_in(tx, member_id)
    asker = await _asker(tx, member, asked, now)
    if asker is None:
        return None
    given: dict[str, Any] = {
        "group_id": member.group_id,
        "category": item_details.category_named(asked.category),
    }
    if asker.perspective is not None:
        given["perspective_ids"] = list(scopes.lineage_of(asker.perspective))
    query = SHELVES[asker.perspective is not None]
    offers: list[Offered] = []
    for _ in range(0, LISTED_MAX, BATCH):
        batch = await tx.all(query, position=after.position, after=after.id, **given)
        offers += await _judged(tx, member, batch, asker.circumstances)
        if len(batch) < BATCH or len(offers) >= limit:
            break
        after = Place(batch[-1].position, batch[-1].id)
    return offers[:limit]


async def seen(
    tx: Transaction,
    *,
    member_id: UUID,
    item_id: UUID,
    card_id: UUID | None,
    store_id: UUID | None,
    now: datetime,
) -> Offered | None:
    """One listed item for the signed-in member, whatever stands in the way; None for no such
    item, card or store."""
    member = await members.signed_in(tx, member_id)
    asked = Asked(card_id=card_id, store_id=store_id)
    asker = await _asker(tx, member, asked, now)
    if asker is None:
        return None
    try:
        item = await item_of_group(tx, group_id=member.group_id, item_id=item_id)
    except MallItemNotFound:
        return None
    if not item.is_listed:
        return None
    loaded = await scopes.load(tx, [item.scope_id])
    obstacle = _least(loaded[item.scope_id], asker.circumstances)
    left = await _left(tx, member, [item])
    return _offered(item, obstacle, left.get(item.id))


async def require_left(
    tx: Transaction, *, group_id: UUID, item_id: UUID, quantity: int
) -> MallItem:
    """A listed item of the group, of which so many pieces seem to be left (MAL-2).

    A look that holds nothing: `require_offered` judges what it found, `take_stock` has the last
    word. Raises `MallItemNotFound`, `MallItemUnlisted`, `MallItemSoldOut`.
    """
    item = await item_of_group(tx, group_id=group_id, item_id=item_id)
    if not item.is_listed:
        raise MallItemUnlisted
    if item.stock_left is not None and item.stock_left < quantity:
        raise MallItemSoldOut(item.stock_left)
    return item


async def require_offered(
    tx: Transaction,
    *,
    item: MallItem,
    quantity: int,
    member: Member,
    card: Card,
    store: Node | None,
    now: datetime,
) -> None:
    """That this member, who is locked, can redeem so many pieces of the item now (MAL-1).

    Raises `NotAvailable`, `MallItemLimitReached`.
    """
    loaded = await scopes.load(tx, [item.scope_id])
    there = await scopes.circumstances(tx, channel=Channel.ONLINE, store=store, card=card, now=now)
    obstacle = scopes.obstacle(loaded[item.scope_id], there)
    if obstacle is not None:
        raise NotAvailable(obstacle)
    left = (await _left(tx, member, [item])).get(item.id)
    if left is not None and left < quantity:
        assert item.limit_per_member is not None
        raise MallItemLimitReached(limit=item.limit_per_member, left=left)


async def take_stock(tx: Transaction, item_id: UUID, pieces: int) -> bool:
    """Take pieces for an order; raises `MallItemSoldOut` (MAL-2).

    One guarded UPDATE, so that two buyers cannot both take the last piece. False where the item
    has no stock to count: then there is nothing to return either.
    """
    if await tx.changed(take_pieces, item_id=item_id, pieces=pieces):
        return True
    left = await tx.one(stock_of, item_id=item_id)
    if left is not None:
        raise MallItemSoldOut(left)
    return False


async def return_stock(tx: Transaction, item_id: UUID, pieces: int) -> None:
    """Give back what an order took. An item whose stock was made endless since keeps none."""
    await tx.changed(return_pieces, item_id=item_id, pieces=pieces)


async def _asker(tx: Transaction, member: Member, asked: Asked, now: datetime) -> _Asker | None:
    """What scopes ask about whoever asks, a time for each card; None for what is not theirs."""
    held: list[Card | None] = [*(await cards.of_members(tx, [member.id]))[member.id][:CARDS_MAX]]
    if asked.card_id is not None:
        held = [await cards.own_or_none(tx, member_id=member.id, card_id=asked.card_id)]
        if held == [None]:
            return None
    wanted = [i for i in (asked.store_id, asked.perspective_id) if i is not None]
    places = await organisation.nodes(tx, wanted) if wanted else {}
    if any(i not in places or places[i].group_id != member.group_id for i in wanted):
        return None
    store = None if asked.store_id is None else places[asked.store_id]
    return _Asker(
        [
            await scopes.circumstances(tx, channel=Channel.ONLINE, store=store, card=card, now=now)
            for card in held or [None]
        ],
        None if asked.perspective_id is None else places[asked.perspective_id],
    )


async def _judged(
    tx: Transaction, member: Member, batch: Sequence[MallItem], found: Sequence[Circumstances]
) -> list[Offered]:
    """Those of a batch that the member can have, now or when they open."""
    loaded = await scopes.load(tx, [item.scope_id for item in batch])
    judged = [(item, _least(loaded[item.scope_id], found)) for item in batch]
    kept = [
        (item, obstacle)
        for item, obstacle in judged
        if obstacle is None or obstacle.reason is ObstacleReason.NOT_OPEN
    ]
    left = await _left(tx, member, [item for item, _ in kept])
    return [_offered(item, obstacle, left.get(item.id)) for item, obstacle in kept]


def _offered(item: MallItem, obstacle: Obstacle | None, left_for_member: int | None) -> Offered:
    """What the scope says stands in the way, then what is left: pieces, and of them for whom."""
    if obstacle is None and item.stock_left == 0:
        obstacle = Obstacle(ObstacleReason.SOLD_OUT)
    elif obstacle is None and left_for_member == 0:
        obstacle = Obstacle(ObstacleReason.LIMIT_REACHED)
    return Offered(item, obstacle, left_for_member)


def _least(scope: LoadedScope, found: Sequence[Circumstances]) -> Obstacle | None:
    """What stands in the way with the card that has the least; one that opens is the least."""
    obstacles = []
    for circumstances in found:
        obstacle = scopes.obstacle(scope, circumstances)
        if obstacle is None:
            return None
        obstacles.append(obstacle)
    return min(obstacles, key=lambda each: each.reason is not ObstacleReason.NOT_OPEN)


async def _left(tx: Transaction, member: Member, items: Sequence[MallItem]) -> dict[UUID, int]:
    """How many pieces the member's limit leaves of each item that has one."""
    limits = {item.id: item.limit_per_member for item in items}
    limited = {item_id: limit for item_id, limit in limits.items() if limit is not None}
    bought = await orders.bought(tx, member=member, product_ids=list(limited))
    return {item_id: max(0, limit - bought.get(item_id, 0)) for item_id, limit in limited.items()}
