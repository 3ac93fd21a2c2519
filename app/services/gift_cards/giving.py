"""Gift cards that come with something else, as a redemption in the points mall (MAL-1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.core.db import Transaction
from app.core.errors import BadInput
from app.core.money import Money
from app.models.gift_cards import GiftCard, GiftCardKind, GiftCardProductState
from app.models.members import Member
from app.models.orders import Order
from app.models.organisation import Node
from app.models.sessions import PrincipalKind
from app.services import compliance, scopes
from app.services.gift_cards import issuing, products
from app.services.gift_cards.pricing import AMOUNT_MAX


async def require_givable(
    tx: Transaction, *, perspective: Node, product_id: UUID, face: int, price: Money | None
) -> None:
    """Raise unless what is made under a perspective can bring a card of so many minor units.

    It is electronic and active; `price` is as for `require_price`. Raises
    `GiftCardProductNotFound`, `BadInput`.
    """
    product = await products.of_group(tx, group_id=perspective.group_id, product_id=product_id)
    if (
        product.perspective_id not in scopes.lineage_of(perspective)
        or product.kind is not GiftCardKind.ELECTRONIC
        or product.state is not GiftCardProductState.ACTIVE
    ):
        raise products.GiftCardProductNotFound
    if not 0 < face <= AMOUNT_MAX:
        raise BadInput(f"The card's value must be between 1 and {AMOUNT_MAX}.")
    await require_price(
        tx, group_id=perspective.group_id, product_id=product_id, face=face, price=price
    )


async def require_price(
    tx: Transaction, *, group_id: UUID, product_id: UUID, face: int, price: Money | None
) -> int:
    """The cash value of a card that is had for points and a price, if any (GFT-2).

    Raises `BadInput` where that would be in another currency, or more than the card is worth.
    """
    if price is None:
        return 0
    product = await products.of_group(tx, group_id=group_id, product_id=product_id)
    if price.currency != product.currency or price.amount > face:
        raise BadInput(
            f"A card of {Money(face, product.currency)} is had for at most that, and in"
            f" {product.currency}: what is paid becomes its cash value."
        )
    return price.amount


async def promise(
    tx: Transaction,
    *,
    buyer: Member,
    product_id: UUID,
    face: int,
    price: Money | None,
    quantity: int,
    now: datetime,
) -> dict[str, Any]:
    """What a card of the product keeps of it, for an order's terms; each costs `price`.

    The caller holds the buyer. Raises what `require_price` and `compliance.require_gift_cards` do.
    """
    product = await products.of_group(tx, group_id=buyer.group_id, product_id=product_id)
    # Asked again: an item may be older than the question.
    cash = await require_price(
        tx, group_id=buyer.group_id, product_id=product_id, face=face, price=price
    )
    await compliance.require_gift_cards(
        tx, group_id=product.group_id, buyer=buyer, face=face, amount=cash * quantity,
        currency=product.currency, method=None, now=now,
    )  # fmt: skip
    return {
        "card": products.terms_of(product),
        "scope_id": str(product.scope_id),
        "design": product.designs[0],
    }


async def give(
    tx: Transaction,
    *,
    order: Order,
    product_id: UUID,
    face: int,
    promised: dict[str, Any],
    now: datetime,
) -> list[GiftCard]:
    """Make the cards that an order promised, for whoever ordered; `selling.take_back` undoes it.

    What was paid in money is their cash value; what points paid for is gift value (GFT-2).
    """
    product = await products.of_group(tx, group_id=order.group_id, product_id=product_id)
    sale = issuing.Sale(
        face=face,
        cash=order.amount // order.quantity,
        terms=promised["card"],
        scope_id=UUID(promised["scope_id"]),
        design=promised["design"],
        actor_kind=PrincipalKind.MEMBER,
        actor_id=order.member_id,
        holder_id=order.member_id,
        order_id=order.id,
        store_id=order.store_id,
        payment_method_id=order.payment_method_id,
    )
    return await issuing.issue(tx, product=product, sale=sale, how_many=order.quantity, now=now)
