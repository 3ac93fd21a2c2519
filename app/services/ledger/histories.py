"""What lies on a card, page by page, as far as somebody may see it (ORG-1)."""

from itertools import product
from typing import Any, Generic, NamedTuple, Self, TypeVar
from uuid import UUID

from sqlalchemy import Boolean, and_, bindparam, or_
from sqlmodel import col, func, select

from app.core.db import Transaction, statement
from app.models.cards import Card
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import organisation
from app.services.actors import Actor

Row = TypeVar("Row")

own_and_absorbed = select(Card.id).where(
    or_(
        col(Card.id) == bindparam("card_id"),
        col(Card.merged_into_id) == bindparam("card_id"),
    )
)
"""The card and those that were merged into it."""


class Scope(NamedTuple):
    """How much of a card's history somebody may see who is not its holder (ORG-1)."""

    node_ids: tuple[UUID, ...]
    """What happened at stores at or below these."""
    sees_storeless: bool = False
    """What happened at no store: merges, expiries, what came online."""

    @classmethod
    def of(cls, actor: Actor, perspective: Node) -> Self:
        """What an actor may see of a card whose scheme was made under this perspective.

        Raises `Forbidden` where that can be nothing.
        """
        if not actor.has(Permission.CARDS_READ):
            actor.require_any(Permission.PURCHASES_READ)
        node_ids = tuple(actor.nodes_with(Permission.PURCHASES_READ))
        return cls(node_ids, actor.may(Permission.CARDS_READ, perspective))


class CardHistory(Generic[Row]):
    """What lies on a card, newest first, what lies on cards it absorbed included.

    Every way to ask is a statement of its own, which reads no more than that way needs.
    """

    def __init__(
        self, rows: Any, count: Any, *, key: Any, card_id: Any, store_id: Any, into: type[Row]
    ) -> None:
        """`rows` and `count` select all there are; `key` is the rows' id, which sorts by time."""
        self._card_id, self._store_id = card_id, store_id
        self._is_storeless = store_id.expression.nullable
        newest = rows.order_by(key.desc()).limit(bindparam("limit"))
        earlier = key < bindparam("before")
        self.pages = {
            # (the card absorbed others, the asker sees a part, a cursor was given)
            (has_absorbed, is_scoped, has_cursor): statement(
                newest.where(
                    *self._of_card(has_absorbed, is_scoped), *([earlier] if has_cursor else [])
                ),
                into=into,
            )
            for has_absorbed, is_scoped, has_cursor in product((False, True), repeat=3)
        }
        self.counts = {
            # (the card absorbed others, the asker sees a part)
            (has_absorbed, is_scoped): statement(
                count.where(*self._of_card(has_absorbed, is_scoped)), into=int
            )
            for has_absorbed, is_scoped in product((False, True), repeat=2)
        }

    @classmethod
    def of(cls, table: type[Row]) -> "CardHistory[Row]":
        """The rows of a table that say on which card and at which store they happened."""
        columns: Any = table
        return cls(
            select(table), select(func.count()).select_from(table), key=columns.id,
            card_id=columns.card_id, store_id=columns.store_id, into=table,
        )  # fmt: skip

    async def page(
        self,
        tx: Transaction,
        *,
        card_id: UUID,
        has_absorbed: bool = True,
        before: UUID | None,
        limit: int,
        scope: Scope | None = None,
    ) -> list[Row]:
        """The newest, or those before a row; no `scope` is the card's holder, who sees all."""
        cursor = {} if before is None else {"before": before}
        page = self.pages[has_absorbed, scope is not None, before is not None]
        return await tx.all(page, card_id=card_id, limit=limit, **cursor, **self._seen(scope))

    async def number(
        self, tx: Transaction, *, card_id: UUID, has_absorbed: bool, scope: Scope | None = None
    ) -> int:
        """How many there are in all that the asker may see."""
        count = self.counts[has_absorbed, scope is not None]
        return await tx.one(count, card_id=card_id, **self._seen(scope)) or 0

    def _of_card(self, has_absorbed: bool, is_scoped: bool) -> list[Any]:
        of_card = self._card_id == bindparam("card_id")
        if has_absorbed:
            # Only cards that absorbed others ask for theirs: a plain = reads in the index's order.
            of_card = self._card_id.in_(own_and_absorbed)
        if not is_scoped:
            return [of_card]
        at_store = organisation.lies_under(self._store_id)
        if not self._is_storeless:
            return [of_card, at_store]
        sees_storeless = bindparam("sees_storeless", type_=Boolean())
        return [of_card, or_(and_(sees_storeless, self._store_id.is_(None)), at_store)]

    def _seen(self, scope: Scope | None) -> dict[str, Any]:
        if scope is None:
            return {}
        return scope._asdict() if self._is_storeless else {"node_ids": scope.node_ids}
