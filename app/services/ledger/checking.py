"""Proof that the books are right: what `regulars check ledger` runs (FIN-1)."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import String, cast, literal
from sqlmodel import col, func, or_, select

from app.core.db import Statement, Transaction, statement
from app.models.ledger import (
    Account,
    Entry,
    Lot,
    LotMovement,
    Posting,
    PostingKind,
)

FAULTS_SHOWN_MAX = 100


class _Found(NamedTuple):
    id: UUID
    detail: str


class Fault(NamedTuple):
    """A rule that does not hold, and where."""

    rule: str
    id: UUID
    detail: str


def _faults(query: Any) -> Statement[_Found]:
    return statement(query.limit(FAULTS_SHOWN_MAX), into=_Found)


def _text(*parts: Any) -> Any:
    shown: Any = literal("", String)
    for part in parts:
        shown = shown + (literal(part, String) if isinstance(part, str) else cast(part, String))
    return shown.label("detail")


_sum_of_entries = (
    select(Entry.account_id, func.sum(Entry.amount).label("total"))
    .where(col(Entry.account_id).is_not(None))
    .group_by(col(Entry.account_id))
    .subquery()
)
_sum_of_lots = (
    select(Lot.account_id, func.sum(Lot.remaining).label("total"))
    .group_by(col(Lot.account_id))
    .subquery()
)
_sum_of_movements = (
    select(LotMovement.lot_id, func.sum(LotMovement.amount).label("total"))
    .group_by(col(LotMovement.lot_id))
    .subquery()
)
_entries_total = func.coalesce(_sum_of_entries.c.total, 0)
_lots_total = func.coalesce(_sum_of_lots.c.total, 0)
_movements_total = func.coalesce(_sum_of_movements.c.total, 0)
_posting_total = func.sum(Entry.amount)

RULES: dict[str, Statement[_Found]] = {
    "the entries of a posting add up to 0": _faults(
        select(col(Entry.posting_id).label("id"), _text(Entry.unit, " ", _posting_total))
        .group_by(col(Entry.posting_id), col(Entry.unit))
        .having(_posting_total != 0)
    ),
    "a posting has entries": _faults(
        select(Posting.id, _text(Posting.kind))
        .outerjoin(Entry, col(Entry.posting_id) == col(Posting.id))
        .where(col(Entry.id).is_(None))
    ),
    "an entry has its posting": _faults(
        select(Entry.id, _text(Entry.posting_id))
        .outerjoin(Posting, col(Entry.posting_id) == col(Posting.id))
        .where(col(Posting.id).is_(None))
    ),
    "an entry names the card that its account is of": _faults(
        select(Entry.id, _text(Entry.account_id))
        .join(Account, col(Account.id) == col(Entry.account_id))
        .where(
            or_(
                col(Entry.card_id).is_distinct_from(col(Account.card_id)),
                col(Entry.gift_card_id).is_distinct_from(col(Account.gift_card_id)),
            )
        )
    ),
    "balance − debt is the sum of the entries": _faults(
        select(Account.id, _text(Account.balance, " − ", Account.debt, " ≠ ", _entries_total))
        .outerjoin(_sum_of_entries, _sum_of_entries.c.account_id == Account.id)
        .where(Account.balance - Account.debt != _entries_total)
    ),
    "balance is what remains of the lots": _faults(
        select(Account.id, _text(Account.balance, " ≠ ", _lots_total))
        .outerjoin(_sum_of_lots, _sum_of_lots.c.account_id == Account.id)
        .where(Account.balance != _lots_total)
    ),
    "what remains of a lot is its amount and its movements": _faults(
        select(Lot.id, _text(Lot.remaining, " ≠ ", Lot.amount, " + ", _movements_total))
        .outerjoin(_sum_of_movements, _sum_of_movements.c.lot_id == Lot.id)
        .where(Lot.remaining != Lot.amount + _movements_total)
    ),
    "a merge conserves each kind of value": _faults(
        select(col(Posting.id).label("id"), _text(Account.kind, " ", _posting_total))
        .join(Entry, col(Entry.posting_id) == col(Posting.id))
        .join(Account, col(Account.id) == col(Entry.account_id))
        .where(
            or_(col(Posting.kind) == PostingKind.MERGE, col(Posting.kind) == PostingKind.MERGE_UNDO)
        )
        .group_by(col(Posting.id), col(Account.kind))
        .having(_posting_total != 0)
    ),
}


async def check(tx: Transaction) -> list[Fault]:
    """Every fault of the ledger, up to a limit per rule; run it with `Database.scan`."""
    return [
        Fault(rule, found.id, found.detail)
        for rule, query in RULES.items()
        for found in await tx.all(query)
    ]
