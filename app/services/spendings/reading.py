"""Spendings as those concerned read them, and one held for those who change it."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

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
history = ledger.CardHistory.of(Spending)


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


async def refunds_by_spending(
    tx: Transaction, spending_ids: list[UUID]
) -> dict[UUID, list[SpendingRefund]]:
    found: dict[UUID, list[SpendingRefund]] = {i: [] for i in spending_ids}
    for made in await tx.all(refunds_of, spending_ids=spending_ids):
        found[made.spending_id].append(made)
    return found
