"""Looking at top-ups: what is offered, and what was ordered (TOP-7, TOP-10)."""

from datetime import datetime
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, or_
from sqlmodel import col, func, select

from app.core.db import Statement, Transaction, if_given, statement
from app.models.cards import Card, Scheme
from app.models.organisation import Node
from app.models.scopes import Channel
from app.models.staff import Permission
from app.models.top_ups import TopUpOrder, TopUpSource, TopUpState
from app.services import cards, ledger, members, organisation, schemes
from app.services.actors import Actor
from app.services.top_ups import orders, plans
from app.services.top_ups.plans import Offered

_newest = select(TopUpOrder).order_by(col(TopUpOrder.id).desc()).limit(bindparam("limit"))
_count = select(func.count()).select_from(TopUpOrder)
_earlier = col(TopUpOrder.id) < bindparam("before")
history = ledger.CardHistory.of(TopUpOrder)
# Sold online, an order belongs where its card's scheme was made (ORG-1).
_made_under = (
    select(Card.id)
    .join(Scheme, col(Scheme.id) == col(Card.scheme_id))
    .where(
        col(Card.id) == col(TopUpOrder.card_id),
        organisation.lies_under(col(Scheme.perspective_id)),
    )
    .exists()
)
_moment: Any = TopUpOrder.__table__.c.created_at.type  # type: ignore[attr-defined]
_from, _to = bindparam("from_moment", type_=_moment), bindparam("to_moment", type_=_moment)
_visible = (
    col(TopUpOrder.group_id) == bindparam("group_id"),
    or_(
        organisation.lies_under(col(TopUpOrder.store_id)),
        and_(col(TopUpOrder.store_id).is_(None), _made_under),
    ),
    if_given("state", TopUpOrder.state),
    if_given("source", TopUpOrder.source),
    if_given("plan_id", TopUpOrder.plan_id),
    if_given("store_id", TopUpOrder.store_id),
    or_(_from.is_(None), col(TopUpOrder.created_at) >= _from),
    or_(_to.is_(None), col(TopUpOrder.created_at) < _to),
)
_of_any_card = col(TopUpOrder.card_id).in_(ledger.own_and_absorbed)
PAGES: dict[tuple[bool, bool], Statement[TopUpOrder]] = {
    # (one card's, a cursor was given)
    (of_card, has_cursor): statement(
        _newest.where(
            *_visible,
            *([_of_any_card] if of_card else []),
            *([_earlier] if has_cursor else []),
        ),
        into=TopUpOrder,
    )
    for of_card, has_cursor in product((False, True), repeat=2)
}
COUNTS = {
    of_card: statement(_count.where(*_visible, *([_of_any_card] if of_card else [])), into=int)
    for of_card in (False, True)
}


class Wanted(NamedTuple):
    """Which orders to list; what is None lets all pass. `from_moment` is included."""

    state: TopUpState | None = None
    source: TopUpSource | None = None
    plan_id: UUID | None = None
    store_id: UUID | None = None
    card_id: UUID | None = None
    from_moment: datetime | None = None
    to_moment: datetime | None = None


async def offers(
    tx: Transaction, *, member_id: UUID, card_id: UUID, store_id: UUID | None, now: datetime
) -> list[Offered] | None:
    """What the member can buy online for a card; None for a card or store that is not theirs."""
    card = await cards.own_or_none(tx, member_id=member_id, card_id=card_id)
    if card is None:
        return None
    store = None
    if store_id is not None:
        store = (await organisation.nodes(tx, [store_id])).get(store_id)
        if store is None or store.group_id != card.group_id:
            return None
    return await _offered(tx, card, store, Channel.ONLINE, now)


async def offers_at_terminal(
    tx: Transaction, actor: Actor, *, terminal_id: UUID, card_id: UUID, now: datetime
) -> list[Offered] | None:
    """What a till can sell for a card; None for no such terminal or card."""
    try:
        _, store = await organisation.terminal(tx, terminal_id)
        card = await cards.living(tx, card_id)
    except (organisation.TerminalNotFound, cards.CardNotFound):
        return None
    if card.group_id != store.group_id:
        return None
    actor.require(Permission.TOP_UPS_SELL, store)
    return await _offered(tx, card, store, Channel.POS, now)


async def page(
    tx: Transaction, actor: Actor, *, wanted: Wanted, before: UUID | None, limit: int
) -> list[TopUpOrder]:
    """Orders of the stores where the actor may read them, newest first; those sold online where
    their schemes were made (ORG-1)."""
    cursor = {} if before is None else {"before": before}
    of_card = wanted.card_id is not None
    return await tx.all(
        PAGES[of_card, before is not None], limit=limit, **cursor, **_values(actor, wanted)
    )


async def number(tx: Transaction, actor: Actor, *, wanted: Wanted) -> int:
    """How many orders `page` would list in all."""
    return await tx.one(COUNTS[wanted.card_id is not None], **_values(actor, wanted)) or 0


async def seen_by(tx: Transaction, actor: Actor, *, order_id: UUID) -> TopUpOrder | None:
    """An order if it exists and the actor may read it."""
    order = await tx.one(orders.by_id, order_id=order_id)
    if order is None or order.group_id != actor.group_id:
        return None
    return order if actor.may(Permission.TOP_UPS_READ, await orders.home(tx, order)) else None


async def own(tx: Transaction, *, member_id: UUID, order_id: UUID) -> TopUpOrder | None:
    """An order on a card of the signed-in member, or None."""
    order = await tx.one(orders.by_id, order_id=order_id)
    if order is None:
        return None
    card = await cards.own_or_none(tx, member_id=member_id, card_id=order.card_id)
    return order if card else None


def _values(actor: Actor, wanted: Wanted) -> dict[str, Any]:
    values = {
        "group_id": actor.group_id,
        "node_ids": actor.nodes_with(Permission.TOP_UPS_READ),
        **wanted._asdict(),
    }
    if wanted.card_id is None:
        del values["card_id"]
    return values


async def _offered(
    tx: Transaction, card: Card, store: Node | None, channel: Channel, now: datetime
) -> list[Offered]:
    member = await members.living(tx, card.member_id)
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    return await plans.offered(
        tx, card=card, scheme=scheme, member=member, store=store, channel=channel, now=now
    )
