"""The accounts of cards and gift cards, and the lines a card's holder reads."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, light, statement
from app.models.cards import Card
from app.models.gift_cards import GiftCard
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind
from app.services.ledger.histories import CardHistory

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
)
lines = CardHistory(
    _line,
    select(func.count()).select_from(Entry).join(Posting, col(Posting.id) == col(Entry.posting_id)),
    key=Entry.id,
    card_id=Entry.card_id,
    store_id=Posting.store_id,
    into=Line,
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
