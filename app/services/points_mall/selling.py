"""What `shop` asks of the mall: deliver a redemption, release it, take it back (MAL-2, MAL-3)."""

from datetime import datetime

from app.core.db import Transaction
from app.models.orders import Order
from app.models.payments import RefundRoute
from app.models.points_mall import FulfilmentState
from app.services import cards, members
from app.services.orders import Held
from app.services.points_mall import contents, fulfilling, holding, offering
from app.services.points_mall.contents import Brings


async def deliver(tx: Transaction, order: Order, *, now: datetime) -> None:
    """Give what was redeemed, or have it wait to be handed over."""
    if Brings.from_terms(order.terms).is_thing:
        await fulfilling.start(tx, order)
    else:
        assert order.card_id is not None, "points come from a card"
        card = await cards.locked(tx, await cards.living(tx, order.card_id))
        member = await members.living(tx, card.member_id)
        await contents.give(tx, order=order, member=member, card=card, now=now)


async def release(tx: Transaction, order: Order, *, now: datetime) -> None:
    """It was never paid: the pieces and the points come back."""
    if Brings.from_terms(order.terms).is_thing:
        await fulfilling.cancel(tx, order, from_states=[FulfilmentState.UNPAID], now=now)
    await _give_back(tx, order, now)


async def take_back(tx: Transaction, held: Held, *, route: RefundRoute, now: datetime) -> int:
    """Undo a redemption; all of its money goes back, whichever way.

    Raises `FulfilmentNotOpen` for what the member has, and what `contents.take_back` raises.
    """
    order = held.order
    if Brings.from_terms(order.terms).is_thing:
        await fulfilling.cancel(tx, order, from_states=fulfilling.RETURNABLE, now=now)
    else:
        await contents.take_back(tx, held=held, now=now)
    await _give_back(tx, order, now)
    return order.amount


async def _give_back(tx: Transaction, order: Order, now: datetime) -> None:
    assert order.card_id is not None, "points come from a card"
    # What had no end when it was ordered took nothing of a stock that was set since.
    if order.terms.get("is_of_stock", True):
        await offering.return_stock(tx, order.product_id, order.quantity)
    card = await cards.living(tx, order.card_id)
    await holding.give_back(tx, order=order, card=card, now=now)
