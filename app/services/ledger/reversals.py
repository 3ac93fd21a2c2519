"""Giving back what was taken: the same lots, with their own expiry (TOP-9, PTS-6)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, statement
from app.models.cards import Card
from app.models.ledger import Account, AccountKind, Lot, Posting, PostingKind, SystemAccount
from app.services.ledger.accounts import accounts_by_card
from app.services.ledger.sheet import Header, Sheet, Taken, lots_by_id, posting_by_cause

accounts_by_id = statement(
    select(Account).where(any_of(col(Account.id), "account_ids")), into=Account
)
cards_by_id = statement(select(Card).where(any_of(col(Card.id), "card_ids")), into=Card)
# What is due already stays due: its time was over before the new end was set.
set_points_expiry = statement(
    update(Lot)
    .where(
        col(Lot.account_id).in_(
            select(Account.id).where(
                any_of(col(Account.card_id), "card_ids"), col(Account.kind) == AccountKind.POINTS
            )
        ),
        col(Lot.remaining) > 0,
        or_(col(Lot.expires_at).is_(None), col(Lot.expires_at) > bindparam("now")),
    )
    .values(expires_at=bindparam("new_expires_at"))
)


class Part(NamedTuple):
    """How much goes back to one lot."""

    lot_id: UUID
    amount: int


class Against(NamedTuple):
    """What a system account receives (positive) or gives (negative) in a posting."""

    system_account: SystemAccount
    amount: int
    unit: str


async def give_back(
    tx: Transaction, *, header: Header, parts: Iterable[Part], against: Iterable[Against]
) -> Posting:
    """Return value to the very lots it was taken from, once for each cause of the header.

    A second call with the same cause finds the first one's posting and answers with it. What
    expired meanwhile comes back and expires again in a posting of its own, visibly. Where the card
    was merged meanwhile, the living card receives it. How much of a lot is still out is for the
    caller to know: `spending_parts` does.
    """
    earlier = await posting_by_cause(tx, header.cause_kind, header.cause_id)
    if earlier is not None:
        return earlier
    amounts = {part.lot_id: part.amount for part in parts if part.amount}
    lots = await tx.all(lots_by_id, lot_ids=list(amounts))
    homes = await _living_accounts(tx, {lot.account_id for lot in lots})
    sheet = await Sheet.open(tx, header, homes.values())
    returned = []
    for lot in lots:
        home_id = homes[lot.account_id]
        if home_id == lot.account_id:
            sheet.give_back(lot, amounts[lot.id])
            returned.append(lot.id)
        else:
            moved = sheet.put_moved(lot, amounts[lot.id], to_id=home_id)
            returned.append(moved.id)
    for side in against:
        sheet.against(*side)
    posting = await sheet.close()
    await _expire_again(tx, posting, header, returned)
    return posting


async def expire_lots(tx: Transaction, *, header: Header, lots: list[Lot]) -> Posting:
    """Clear what remains of lots whose time has passed. The lots belong to one card's accounts."""
    sheet = await Sheet.open(tx, header, {lot.account_id for lot in lots})
    for lot in lots:
        sheet.take_lots(lot.account_id, [Taken(lot, lot.remaining)])
        sheet.against(SystemAccount.EXPIRED, lot.remaining, sheet.account(lot.account_id).unit)
    return await sheet.close()


async def _expire_again(
    tx: Transaction, returned_by: Posting, header: Header, lot_ids: list[UUID]
) -> None:
    lots = [
        lot
        for lot in await tx.all(lots_by_id, lot_ids=lot_ids)
        if lot.remaining and lot.expires_at is not None and lot.expires_at <= header.now
    ]
    if lots:
        expiry = replace(
            header,
            kind=PostingKind.EXPIRE,
            cause_kind="return_expiry",
            cause_id=returned_by.id,
            reverses_id=None,
        )
        await expire_lots(tx, header=expiry, lots=lots)


async def _living_accounts(tx: Transaction, account_ids: set[UUID]) -> dict[UUID, UUID]:
    """For each account, the one of the same kind on the card that lives today.

    Gift cards are never merged: theirs are their own.
    """
    accounts = await tx.all(accounts_by_id, account_ids=list(account_ids))
    homes = {account.id: account.id for account in accounts if account.card_id is None}
    of_cards = [(a.id, a.card_id, a.kind) for a in accounts if a.card_id is not None]
    if not of_cards:
        return homes
    cards = await tx.all(cards_by_id, card_ids=[card_id for _, card_id, _ in of_cards])
    living = {card.id: card.merged_into_id or card.id for card in cards}
    targets = await tx.all(accounts_by_card, card_ids=sorted(set(living.values())))
    by_card = {(target.card_id, target.kind): target.id for target in targets}
    return homes | {id_: by_card[living[card_id], kind] for id_, card_id, kind in of_cards}
