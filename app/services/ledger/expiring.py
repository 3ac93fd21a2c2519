"""Lots whose time is over, many accounts at once (PTS-4, TOP-9, GFT-1)."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, func, select, update

from app.core.db import Transaction, any_of, statement
from app.core.ids import new_id
from app.models.cards import Card
from app.models.gift_cards import GiftCard
from app.models.ledger import Account, Entry, Lot, Posting, PostingKind, SystemAccount
from app.models.sessions import PrincipalKind
from app.services.ledger.sheet import lock_accounts, new_entry, new_movement, new_posting

EXPIRED_AT_ONCE_MAX = 2_000
"""Lots of one batch, which is one transaction: on SQLite it holds the writer for so long."""
CAUSE = "expiry"


class Due(NamedTuple):
    """A lot whose time is over, and what its posting says of it."""

    lot_id: UUID
    account_id: UUID
    group_id: UUID
    scheme_id: UUID | None
    gift_card_product_id: UUID | None
    remaining: int


# Written out: with a parameter for the 0 neither database would use its partial index.
remains = col(Lot.remaining) > literal_column("0")
due_accounts = statement(
    select(Lot.account_id)
    .where(remains, col(Lot.expires_at).is_not(None), col(Lot.expires_at) <= bindparam("now"))
    .order_by(col(Lot.expires_at))
    .limit(bindparam("at_most")),
    into=UUID,
)
# Read once the accounts are locked: what was spent or moved meanwhile is no longer due.
due_lots = statement(
    select(
        col(Lot.id).label("lot_id"),
        Lot.account_id,
        func.coalesce(col(Card.group_id), col(GiftCard.group_id)).label("group_id"),
        Card.scheme_id,
        col(GiftCard.product_id).label("gift_card_product_id"),
        Lot.remaining,
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    .join(Account, col(Account.id) == col(Lot.account_id))
    .outerjoin(Card, col(Card.id) == col(Account.card_id))
    .outerjoin(GiftCard, col(GiftCard.id) == col(Account.gift_card_id))
    .where(
        any_of(col(Lot.account_id), "account_ids"),
        remains,
        col(Lot.expires_at) <= bindparam("now"),
    )
    .order_by(col(Lot.id)),
    into=Due,
)
lower_balances = statement(
    update(Account)
    .where(any_of(col(Account.id), "account_ids"))
    .values(
        balance=col(Account.balance)
        - select(func.coalesce(func.sum(Lot.remaining), 0))
        .where(col(Lot.account_id) == col(Account.id), any_of(col(Lot.id), "lot_ids"))
        .scalar_subquery()
    )
)
empty_lots = statement(update(Lot).where(any_of(col(Lot.id), "lot_ids")).values(remaining=0))


async def expire_due(
    tx: Transaction, *, now: datetime, at_most: int = EXPIRED_AT_ONCE_MAX
) -> list[Posting]:
    """Clear the lots that were due longest, one posting an account; the postings, empty when none
    is due. A handful of statements, however many lots there are.
    """
    account_ids = sorted(set(await tx.all(due_accounts, now=now, at_most=at_most)))
    accounts = {a.id: a for a in await tx.all(lock_accounts, account_ids=account_ids)}
    lots: defaultdict[UUID, list[Due]] = defaultdict(list)
    for lot in await tx.all(due_lots, account_ids=account_ids, now=now):
        lots[lot.account_id].append(lot)
    if not lots:
        return []
    lot_ids = [lot.lot_id for of_account in lots.values() for lot in of_account]
    await tx.changed(lower_balances, account_ids=list(lots), lot_ids=lot_ids)
    await tx.changed(empty_lots, lot_ids=lot_ids)
    postings, entries, movements = [], [], []
    for account_id, of_account in lots.items():
        posting = _posting(of_account[0], now)
        postings.append(posting)
        entries += _entries(posting, accounts[account_id], of_account)
        movements += [
            new_movement(posting_id=posting.id, lot_id=lot.lot_id, amount=-lot.remaining)
            for lot in of_account
        ]
    await tx.insert(*postings, *entries, *movements)
    return postings


def _posting(lot: Due, now: datetime) -> Posting:
    posting_id = new_id()
    return new_posting(
        id=posting_id,
        group_id=lot.group_id,
        kind=PostingKind.EXPIRE,
        cause_kind=CAUSE,
        # A lot can come back and expire again. That it does so once each time its account's lock
        # and `remaining` see to, so the posting is its own cause.
        cause_id=posting_id,
        scheme_id=lot.scheme_id,
        gift_card_product_id=lot.gift_card_product_id,
        actor_kind=PrincipalKind.SYSTEM.value,
        occurred_at=now,
        recorded_at=now,
    )


def _entries(posting: Posting, account: Account, lots: list[Due]) -> list[Entry]:
    total = sum(lot.remaining for lot in lots)
    return [
        new_entry(
            posting_id=posting.id,
            card_id=account.card_id,
            gift_card_id=account.gift_card_id,
            account_id=account.id,
            unit=account.unit,
            amount=-total,
            balance_after=account.balance - total - account.debt,
        ),
        new_entry(
            posting_id=posting.id,
            system_account=SystemAccount.EXPIRED,
            unit=account.unit,
            amount=total,
        ),
    ]
