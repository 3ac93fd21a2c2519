"""A card's accounts, and the lines its holder reads."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, light, statement
from app.models.cards import Card
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind

POINTS = "POINTS"
GROWTH = "GROWTH"

accounts_by_card = statement(
    select(Account).where(any_of(col(Account.card_id), "card_ids")).order_by(col(Account.id)),
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
_of_card = _line.where(col(Entry.card_id) == bindparam("card_id"))
# Only cards that absorbed others ask for theirs too: a plain = reads in the index's order.
_with_absorbed = _line.where(
    col(Entry.card_id).in_(
        select(Card.id).where(
            or_(
                col(Card.id) == bindparam("card_id"),
                col(Card.merged_into_id) == bindparam("card_id"),
            )
        )
    )
)
_earlier = col(Entry.id) < bindparam("before")
LINES = {
    # (the card absorbed others, a cursor was given)
    (False, False): statement(_of_card, into=Line),
    (False, True): statement(_of_card.where(_earlier), into=Line),
    (True, False): statement(_with_absorbed, into=Line),
    (True, True): statement(_with_absorbed.where(_earlier), into=Line),
}
count_entries = statement(
    select(func.count()).where(col(Entry.card_id) == bindparam("card_id")), into=int
)


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


async def accounts_of_cards(tx: Transaction, card_ids: list[UUID]) -> list[Account]:
    return await tx.all(accounts_by_card, card_ids=card_ids)


async def lines_of_card(
    tx: Transaction,
    *,
    card_id: UUID,
    before: UUID | None,
    limit: int,
    has_absorbed: bool = False,
) -> list[Line]:
    """The card's movements, newest first, those of cards it absorbed too; ids sort by time."""
    cursor = {} if before is None else {"before": before}
    lines = LINES[has_absorbed, before is not None]
    return await tx.all(lines, card_id=card_id, limit=limit, **cursor)


async def number_of_lines(tx: Transaction, *, card_id: UUID) -> int:
    """How many movements the card has in all."""
    return await tx.one(count_entries, card_id=card_id) or 0
