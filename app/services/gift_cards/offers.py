"""Which gift cards can be bought here and now (GFT-1, ORG-3…ORG-6)."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import DomainError
from app.models.gift_cards import GiftCardKind, GiftCardProduct, GiftCardProductState
from app.models.members import Member
from app.models.organisation import Node
from app.models.scopes import Channel
from app.services import cards, members, organisation, scopes
from app.services.gift_cards import products
from app.services.scopes import Circumstances, LoadedScope, NotAvailable, Obstacle, ObstacleReason

OFFERS_MAX = 200

products_on_sale = statement(
    select(GiftCardProduct)
    .where(
        col(GiftCardProduct.group_id) == bindparam("group_id"),
        col(GiftCardProduct.state) == GiftCardProductState.ACTIVE,
        any_of(col(GiftCardProduct.kind), "kinds"),
    )
    .order_by(col(GiftCardProduct.id))
    .limit(OFFERS_MAX),
    into=GiftCardProduct,
)


class GiftCardNotOnSale(DomainError):
    """A product that is not, or no longer, active."""

    def __init__(self, state: GiftCardProductState) -> None:
        self.state = state
        super().__init__("This gift card is not on sale.")


class Offered(NamedTuple):
    """A product somebody can buy, or with `obstacle` could when it opens."""

    product: GiftCardProduct
    obstacle: Obstacle | None


async def offered(
    tx: Transaction, *, member_id: UUID, store_id: UUID | None, now: datetime
) -> list[Offered]:
    """What the signed-in member can buy online, oldest product first; raises `NodeNotFound`."""
    member = await members.signed_in(tx, member_id)
    store = None if store_id is None else await store_of_group(tx, member.group_id, store_id)
    found = await tx.all(
        products_on_sale, group_id=member.group_id, kinds=[GiftCardKind.ELECTRONIC]
    )
    loaded = await scopes.load(tx, [product.scope_id for product in found])
    asking = await _asking(tx, member, channel=Channel.ONLINE, store=store, now=now)
    offers = []
    for product in found:
        obstacle = _obstacle(loaded[product.scope_id], asking)
        if obstacle is None or obstacle.reason is ObstacleReason.NOT_OPEN:
            offers.append(Offered(product, obstacle))
    return offers


async def require_offered(
    tx: Transaction,
    *,
    group_id: UUID,
    product_id: UUID,
    member: Member | None,
    channel: Channel,
    store: Node | None,
    now: datetime,
) -> GiftCardProduct:
    """A product that can be bought here and now.

    Raises `GiftCardProductNotFound`, `GiftCardNotOnSale`, `NotAvailable`.
    """
    product = await products.of_group(tx, group_id=group_id, product_id=product_id)
    if product.state is not GiftCardProductState.ACTIVE:
        raise GiftCardNotOnSale(product.state)
    scope = (await scopes.load(tx, [product.scope_id]))[product.scope_id]
    obstacle = _obstacle(scope, await _asking(tx, member, channel=channel, store=store, now=now))
    if obstacle is not None:
        raise NotAvailable(obstacle)
    return product


async def store_of_group(tx: Transaction, group_id: UUID, store_id: UUID) -> Node:
    """A store a member names; raises `NodeNotFound`."""
    store = await organisation.node(tx, store_id)
    if store.group_id != group_id:
        raise organisation.NodeNotFound
    return store


async def _asking(
    tx: Transaction,
    member: Member | None,
    *,
    channel: Channel,
    store: Node | None,
    now: datetime,
) -> list[Circumstances]:
    """Those in which somebody asks: without a card, and with each that they hold."""
    held = [] if member is None else (await cards.of_members(tx, [member.id])).get(member.id, [])
    return [
        await scopes.circumstances(tx, channel=channel, store=store, card=card, now=now)
        for card in (None, *held)
    ]


def _obstacle(scope: LoadedScope, asking: list[Circumstances]) -> Obstacle | None:
    """What stands in the way for somebody with whichever of their cards goes furthest.

    A gift card is bought without a card; where the scope names who it is for, any card that it is
    meant for lets its holder buy.
    """
    without, *held = asking
    obstacle = scopes.obstacle(scope, without)
    if obstacle is None or obstacle.reason is not ObstacleReason.NOT_FOR_THIS_MEMBER:
        return obstacle
    for circumstances in held:
        found = scopes.obstacle(scope, circumstances)
        if found is None or found.reason is not ObstacleReason.NOT_FOR_THIS_MEMBER:
            return found
    return obstacle
