"""What moved, and whether the books are right."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlmodel import func, select

from app.core.db import Database, statement
from app.models.cards import Card, CodeScan
from app.models.ledger import Account, AccountKind, Entry, Lot, LotMovement, Posting
from app.models.operations import AuditRecord, RequestRecord
from app.models.purchases import Purchase, PurchasePayment, PurchaseRefund
from app.services import ledger
from tests.factories.reading import every, one

_rows = [
    statement(select(func.count()).select_from(table), into=int)
    for table in (
        AuditRecord, Card, CodeScan, Entry, Lot, LotMovement, Posting, Purchase,
        PurchasePayment, PurchaseRefund, RequestRecord,
    )
]  # fmt: skip
_accounts = statement(select(Account).order_by(Account.id), into=Account)  # type: ignore[arg-type]
_purchases = statement(select(Purchase).order_by(Purchase.id), into=Purchase)  # type: ignore[arg-type]


async def standing(database: Database) -> list[Any]:
    """Everything a refusal must leave as it was."""
    counts: list[Any] = [await one(database, count) for count in _rows]
    return [*counts, await every(database, _accounts), await every(database, _purchases)]


@asynccontextmanager
async def nothing_moves(database: Database) -> AsyncIterator[None]:
    """What happens within is refused: nothing is different afterwards, and the books are right."""
    before = await standing(database)
    yield
    assert await standing(database) == before
    assert await database.scan(ledger.check) == []


async def account(
    database: Database, card_id: UUID, kind: AccountKind = AccountKind.POINTS
) -> Account:
    """A card's account as it is now."""
    found = await database.read(ledger.accounts_of_cards, [card_id])
    return next(each for each in found if each.kind is kind)
