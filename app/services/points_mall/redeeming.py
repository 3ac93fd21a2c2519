"""Redeeming pieces of an item: points, stock and order in one transaction (MAL-2)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.db import Transaction, TransientFailure
from app.core.errors import BadInput, DomainError
from app.core.money import Money
from app.core.personal import index_of
from app.models.cards import Card, Scheme
from app.models.ledger import Account
from app.models.members import Member
from app.models.orders import Order, OrderKind
from app.models.organisation import Node, NodeKind
from app.models.points_mall import MallItem, MallItemKind
from app.models.scopes import Channel
from app.services import cards, members, orders, organisation, requests, schemes
from app.services.members import Bearer
from app.services.payments import Online, Placed
from app.services.points_mall import contents, fulfilling, holding, offering, selling
from app.services.points_mall.contents import Brings
from app.services.points_mall.fulfilling import Recipient

QUANTITY_MAX = 10


class MallPriceChanged(DomainError):
    """The item costs something else than what the member saw."""

    def __init__(self, item: MallItem) -> None:
        self.points = item.price_points
        self.price = _price(item)
        super().__init__("The price has changed. Have another look before you redeem this.")


class PaymentNeeded(DomainError):
    """The item costs money too, and nobody said how it is paid."""

    def __init__(self, price: Money) -> None:
        self.price = price
        super().__init__("This costs money too. Choose how to pay.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody would like to redeem, at which price, and how it shall reach them."""

    card_id: UUID
    item_id: UUID
    quantity: int
    price_points: int
    """Of one piece, as the member saw it."""
    price: Money | None
    store_id: UUID | None
    """Where they come for it; for what is no thing, at which store they redeem it, if at any."""
    recipient: Recipient | None

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request; of an address, a keyed hash alone."""
        to = self.recipient
        return {
            "card": self.card_id,
            "item": self.item_id,
            "quantity": self.quantity,
            "points": self.price_points,
            "price": None if self.price is None else [self.price.amount, self.price.currency],
            "store": self.store_id,
            "to": None if to is None else index_of(to.text(), "fulfilments.recipient"),
        }


async def place(
    tx: Transaction,
    *,
    bearer: Bearer,
    wish: Wish,
    online: Online | None,
    request_key: str,
    now: datetime,
) -> Placed[Order]:
    """A member redeems pieces of an item (MAL-2).

    For points alone they are theirs at once. What costs money too waits 15 minutes for it, and
    the points and the pieces with it; the provider is asked after the commit. Raises
    `CardNotFound`, `CardNotUsable`, `NotAtThisStore`, `NodeNotFound`, `MallPriceChanged`,
    `PaymentNeeded`, `NotEnoughPoints`, `PointsBlocked`, `InvalidPhone`, `RequestKeyReused`, what
    `offering.require_left`, `require_offered` and `contents.promise` raise and, with money, what
    `orders.await_payment` does.
    """
    if not 1 <= wish.quantity <= QUANTITY_MAX:
        raise BadInput(f"quantity must be between 1 and {QUANTITY_MAX}.")
    recipient = None if wish.recipient is None else wish.recipient.checked()
    member = await members.acting(tx, bearer, now=now)
    request = requests.Request(
        principal_id=member.id,
        operation="mallOrder",
        key=request_key,
        input={**wish.document(), "online": None if online is None else online.document()},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await orders.placed(tx, claim.answer_id)
    # Looked at before the card: of a thousand who come for a hundred, most hear just this.
    item = await offering.require_left(
        tx, group_id=member.group_id, item_id=wish.item_id, quantity=wish.quantity
    )
    card = await cards.own(tx, member_id=member.id, card_id=wish.card_id)
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    store = None if wish.store_id is None else await _store(tx, scheme, wish.store_id)
    await offering.require_offered(
        tx, item=item, quantity=wish.quantity, member=member, card=card, store=store, now=now
    )
    if (item.price_points, _price(item)) != (wish.price_points, wish.price):
        raise MallPriceChanged(item)
    _require_way(item, store, recipient)
    promise = await contents.promise(
        tx, brings=Brings.of(item), quantity=wish.quantity, price=_price(item), member=member,
        card=card, scheme=scheme, store=store, now=now,
    )  # fmt: skip
    order = _drafted(claim.answer_id, item, wish, member, card, scheme, store, promise, now)
    payer = await holding.payer(tx, order=order, card=card, scheme=scheme)
    return await _take(tx, order, card, payer, store, recipient, online, now)


async def _take(
    tx: Transaction,
    order: Order,
    card: Card,
    payer: Account | None,
    store: Node | None,
    recipient: Recipient | None,
    online: Online | None,
    now: datetime,
) -> Placed[Order]:
    """Write the order down with all that it takes: pieces first, then points."""
    if order.amount:
        if online is None:
            raise PaymentNeeded(Money(order.amount, order.currency))
        is_gift_card = Brings.from_terms(order.terms).kind is MallItemKind.GIFT_CARD
        placed = await orders.await_payment(
            tx, order, provider=online.provider, brings_stored_value=is_gift_card, now=now
        )
    else:
        paid = await orders.write_paid(tx, order, now=now)
        placed = Placed(paid, None, is_replay=False)
    if Brings.from_terms(order.terms).is_thing:
        await tx.insert(fulfilling.drafted(order, store=store, recipient=recipient, now=now))
    is_of_stock = await offering.take_stock(tx, order.product_id, order.quantity)
    if is_of_stock is not order.terms["is_of_stock"]:
        # Else what was taken would not come back, or what was not would.
        raise TransientFailure("an item's stock was counted, or made endless, meanwhile")
    if payer is not None:
        await holding.take(tx, order=order, card=card, account=payer, now=now)
    if placed.payment is None:
        await selling.deliver(tx, placed.order, now=now)
    return placed


def _drafted(
    order_id: UUID,
    item: MallItem,
    wish: Wish,
    member: Member,
    card: Card,
    scheme: Scheme,
    store: Node | None,
    promise: dict[str, Any],
    now: datetime,
) -> Order:
    return orders.drafted(
        order_id,
        kind=OrderKind.MALL,
        product_id=item.id,
        title=item.name,
        perspective_id=item.perspective_id,
        member=member,
        card=card,
        channel=Channel.ONLINE,
        currency=item.currency or scheme.currency,
        amount=(item.price_amount or 0) * wish.quantity,
        points=item.price_points * wish.quantity,
        quantity=wish.quantity,
        store_id=None if store is None else store.id,
        terms={
            **Brings.of(item).terms(),
            "file_ids": item.file_ids,
            "promise": promise,
            "is_of_stock": item.stock_left is not None,
        },
        now=now,
    )


async def _store(tx: Transaction, scheme: Scheme, store_id: UUID) -> Node:
    """The store a member names; raises `NodeNotFound`, `NotAtThisStore`."""
    store = await organisation.node(tx, store_id)
    if store.group_id != scheme.group_id or store.kind is not NodeKind.STORE:
        raise organisation.NodeNotFound
    await schemes.require_store(tx, scheme, store)
    return store


def _require_way(item: MallItem, store: Node | None, recipient: Recipient | None) -> None:
    """A thing is picked up at a store or shipped to somebody, as far as the item allows it."""
    if not Brings.of(item).is_thing:
        if recipient is not None:
            raise BadInput("Only a PHYSICAL item is shipped.")
        return
    if recipient is not None:
        if not item.can_be_shipped:
            raise BadInput("This item is not shipped: name the store to pick it up at.")
        if store is not None:
            raise BadInput("A thing is picked up or shipped, not both.")
    elif store is None or not item.can_be_picked_up:
        raise BadInput("Say where the item goes, by a way that it offers.")


def _price(item: MallItem) -> Money | None:
    if item.price_amount is None:
        return None
    assert item.currency is not None
    return Money(item.price_amount, item.currency)
