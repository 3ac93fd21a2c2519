"""A card's accounts, and the lines its holder reads."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
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
    .where(col(Entry.card_id) == bindparam("card_id"))
    .order_by(col(Entry.id).desc())
    .limit(bindparam("limit"))
)
lines_newest = statement(_line, into=Line)
lines_before = statement(_line.where(col(Entry.id) < bindparam("before")), into=Line)
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
    tx: Transaction, *, card_id: UUID, before: UUID | None, limit: int
) -> list[Line]:
    """The card's movements, newest first; ids sort by time."""
    if before is None:
        return await tx.all(lines_newest, card_id=card_id, limit=limit)
    return await tx.all(lines_before, card_id=card_id, before=before, limit=limit)


async def number_of_lines(tx: Transaction, *, card_id: UUID) -> int:
    """How many movements the card has in all."""
    return await tx.one(count_entries, card_id=card_id) or 0
