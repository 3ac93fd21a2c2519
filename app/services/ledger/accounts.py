"""The accounts of cards and gift cards, and the lines a card's holder reads."""

from collections.abc import Iterable
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import Boolean, and_, bindparam, or_
from sqlmodel import col, func, select

from app.core.db import Statement, Transaction, any_of, light, statement
from app.models.cards import Card
from app.models.gift_cards import GiftCard
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import organisation
from app.services.actors import Actor

POINTS = "POINTS"
GROWTH = "GROWTH"

accounts_by_card = statement(
    select(Account).where(any_of(col(Account.card_id), "card_ids")).order_by(col(Account.id)),
    into=Account,
)
accounts_by_gift_card = statement(
    select(Account)
    .where(any_of(col(Account.gift_card_id), "gift_card_ids"))
    .order_by(col(Account.id)),
    into=Account,
)
new_account = light(Account)


class Line(NamedTuple):
    """One movement on a card, as its holder reads it."""

    id: UUID
    account_kind: AccountKind
    unit: str
    amount: int
    balance_after: int | None
    posting_kind: PostingKind
    store_id: UUID | None
    occurred_at: datetime


_line = (
    select(
        Entry.id,
        col(Account.kind).label("account_kind"),
        Entry.unit,
        Entry.amount,
        Entry.balance_after,
        col(Posting.kind).label("posting_kind"),
        Posting.store_id,
        Posting.occurred_at,
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .join(Account, col(Account.id) == col(Entry.account_id))
    .order_by(col(Entry.id).desc())
    .limit(bindparam("limit"))
)
_earlier = col(Entry.id) < bindparam("before")


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


own_and_absorbed = select(Card.id).where(
    or_(
        col(Card.id) == bindparam("card_id"),
        col(Card.merged_into_id) == bindparam("card_id"),
    )
)
"""The card and those that were merged into it."""


def _of_card(has_absorbed: bool, is_scoped: bool) -> list[Any]:
    """Which entries are the card's, as far as the asker may see them."""
    of_card: Any = col(Entry.card_id) == bindparam("card_id")
    if has_absorbed:
        # Only cards that absorbed others ask for theirs: a plain = reads in the index's order.
        of_card = col(Entry.card_id).in_(own_and_absorbed)
    if not is_scoped:
        return [of_card]
    sees_storeless = bindparam("sees_storeless", type_=Boolean())
    at_no_store = and_(sees_storeless, col(Posting.store_id).is_(None))
    return [of_card, or_(at_no_store, organisation.lies_under(col(Posting.store_id)))]


def _lines(is_scoped: bool) -> dict[tuple[bool, bool], Statement[Line]]:
    """By whether the card absorbed others and whether a cursor was given."""
    return {
        (has_absorbed, has_cursor): statement(
            _line.where(*_of_card(has_absorbed, is_scoped), *([_earlier] if has_cursor else [])),
            into=Line,
        )
        for has_absorbed, has_cursor in product((False, True), repeat=2)
    }


LINES = _lines(is_scoped=False)
LINES_IN_SCOPE = _lines(is_scoped=True)
_count = (
    select(func.count()).select_from(Entry).join(Posting, col(Posting.id) == col(Entry.posting_id))
)
COUNTS = {
    # (the card absorbed others, the asker sees a part)
    (has_absorbed, is_scoped): statement(_count.where(*_of_card(has_absorbed, is_scoped)), into=int)
    for has_absorbed, is_scoped in product((False, True), repeat=2)
}


async def open_accounts(tx: Transaction, card: Card, *, currency: str) -> None:
    """The four accounts of a new card: cash and bonus in the scheme's currency, points, growth."""
    units = {
        AccountKind.CASH: currency,
        AccountKind.BONUS: currency,
        AccountKind.POINTS: POINTS,
        AccountKind.GROWTH: GROWTH,
    }
    await tx.insert(
        *(new_account(card_id=card.id, kind=kind, unit=unit) for kind, unit in units.items())
    )


async def open_gift_card_accounts(tx: Transaction, cards: Iterable[GiftCard]) -> None:
    """The two accounts of each gift card: what was paid for it, and what it is worth beyond."""
    await tx.insert(
        *(
            new_account(gift_card_id=card.id, kind=kind, unit=card.currency)
            for card in cards
            for kind in (AccountKind.CASH, AccountKind.BONUS)
        )
    )


async def accounts_of_gift_cards(tx: Transaction, gift_card_ids: list[UUID]) -> list[Account]:
    return await tx.all(accounts_by_gift_card, gift_card_ids=gift_card_ids)


async def accounts_of_cards(tx: Transaction, card_ids: list[UUID]) -> list[Account]:
    return await tx.all(accounts_by_card, card_ids=card_ids)


async def lines_of_card(
    tx: Transaction,
    *,
    card_id: UUID,
    has_absorbed: bool,
    before: UUID | None,
    limit: int,
    scope: Scope | None = None,
) -> list[Line]:
    """The card's movements, newest first, those of cards it absorbed too; ids sort by time.

    `scope` is what the asker may see of them, None for the card's holder, who sees all.
    """
    lines = (LINES if scope is None else LINES_IN_SCOPE)[has_absorbed, before is not None]
    cursor = {} if before is None else {"before": before}
    return await tx.all(lines, card_id=card_id, limit=limit, **cursor, **_values(scope))


async def number_of_lines(
    tx: Transaction, *, card_id: UUID, has_absorbed: bool, scope: Scope | None = None
) -> int:
    """How many movements `lines_of_card` would list in all."""
    count = COUNTS[has_absorbed, scope is not None]
    return await tx.one(count, card_id=card_id, **_values(scope)) or 0


def _values(scope: Scope | None) -> dict[str, Any]:
    return {} if scope is None else scope._asdict()
