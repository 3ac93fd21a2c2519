"""Spendings as those concerned read them, and one held for those who change it."""

from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, statement
from app.core.errors import DomainError
from app.models.ledger import Account
from app.models.organisation import Node
from app.models.spendings import Spending, SpendingRefund
from app.models.staff import Permission
from app.services import cards, ledger, organisation
from app.services.actors import Actor

by_id = statement(
    select(Spending).where(col(Spending.id) == bindparam("spending_id")), into=Spending
)
lock_by_id = statement(
    select(Spending).where(col(Spending.id) == bindparam("spending_id")).with_for_update(),
    into=Spending,
)
refunds_of = statement(
    select(SpendingRefund)
    .where(any_of(col(SpendingRefund.spending_id), "spending_ids"))
    .order_by(col(SpendingRefund.id)),
    into=SpendingRefund,
)
_newest = select(Spending).order_by(col(Spending.id).desc()).limit(bindparam("limit"))
_count = select(func.count()).select_from(Spending)
_earlier = col(Spending.id) < bindparam("before")


def _of_card(has_absorbed: bool, is_scoped: bool) -> list[Any]:
    """Which spendings are the card's, as far as the asker may see them."""
    of_card: Any = col(Spending.card_id) == bindparam("card_id")
    if has_absorbed:
        of_card = col(Spending.card_id).in_(ledger.own_and_absorbed)
    return [of_card, organisation.lies_under(col(Spending.store_id))] if is_scoped else [of_card]


PAGES = {
    # (the card absorbed others, the asker sees a part, a cursor was given)
    (has_absorbed, is_scoped, has_cursor): statement(
        _newest.where(*_of_card(has_absorbed, is_scoped), *([_earlier] if has_cursor else [])),
        into=Spending,
    )
    for has_absorbed, is_scoped, has_cursor in product((False, True), repeat=3)
}
COUNTS = {
    # (the card absorbed others, the asker sees a part)
    (has_absorbed, is_scoped): statement(_count.where(*_of_card(has_absorbed, is_scoped)), into=int)
    for has_absorbed, is_scoped in product((False, True), repeat=2)
}


class SpendingNotFound(DomainError):
    """No such spending, or one of another group."""

    def __init__(self) -> None:
        super().__init__("There is no such spending.")


class Done(NamedTuple):
    """A spending as something left it, what its card holds then, and whether it was done before."""

    spending: Spending
    accounts: list[Account]
    is_replay: bool


async def seen_by(tx: Transaction, actor: Actor, *, spending_id: UUID) -> Spending | None:
    """A spending if it exists and the actor may read what was bought at its store."""
    spending = await tx.one(by_id, spending_id=spending_id)
    if spending is None:
        return None
    store = await organisation.node(tx, spending.store_id)
    return spending if actor.may(Permission.PURCHASES_READ, store) else None


async def own(tx: Transaction, *, member_id: UUID, spending_id: UUID) -> Spending | None:
    """A spending on a card of the signed-in member, or None."""
    spending = await tx.one(by_id, spending_id=spending_id)
    if spending is None:
        return None
    card = await cards.own_or_none(tx, member_id=member_id, card_id=spending.card_id)
    return spending if card else None


async def told(tx: Transaction, *, spending_id: UUID) -> Spending:
    """The spending an event or a request names."""
    spending = await tx.one(by_id, spending_id=spending_id)
    assert spending is not None
    return spending


async def locked(
    tx: Transaction, actor: Actor, *, spending_id: UUID, permission: Permission
) -> tuple[Spending, Node]:
    """A spending as it is until this transaction ends, and its store, where the actor may act.

    Raises `SpendingNotFound`.
    """
    spending = await tx.one(lock_by_id, spending_id=spending_id)
    if spending is None or spending.group_id != actor.group_id:
        raise SpendingNotFound
    store = await organisation.node(tx, spending.store_id)
    actor.require(permission, store)
    return spending, store


async def done(tx: Transaction, spending: Spending, *, is_replay: bool = False) -> Done:
    """The answer to whoever changed a spending, with what its card, or who absorbed it, holds."""
    card = await cards.living(tx, spending.card_id)
    return Done(spending, await ledger.accounts_of_cards(tx, [card.id]), is_replay)


async def of_card(
    tx: Transaction,
    *,
    card_id: UUID,
    has_absorbed: bool = True,
    before: UUID | None,
    limit: int,
    scope: ledger.Scope | None = None,
) -> list[Spending]:
    """A card's spendings, newest first, those of cards it absorbed included.

    `scope` is what the asker may see of them, None for the card's holder, who sees all.
    """
    cursor = {} if before is None else {"before": before}
    page = PAGES[has_absorbed, scope is not None, before is not None]
    return await tx.all(page, card_id=card_id, limit=limit, **cursor, **_values(scope))


async def number_of_card(
    tx: Transaction, *, card_id: UUID, has_absorbed: bool, scope: ledger.Scope | None = None
) -> int:
    """How many spendings `of_card` would list in all."""
    count = COUNTS[has_absorbed, scope is not None]
    return await tx.one(count, card_id=card_id, **_values(scope)) or 0


def _values(scope: ledger.Scope | None) -> dict[str, Any]:
    return {} if scope is None else {"node_ids": scope.node_ids}


async def refunds_by_spending(
    tx: Transaction, spending_ids: list[UUID]
) -> dict[UUID, list[SpendingRefund]]:
    found: dict[UUID, list[SpendingRefund]] = {i: [] for i in spending_ids}
    for made in await tx.all(refunds_of, spending_ids=spending_ids):
        found[made.spending_id].append(made)
    return found
