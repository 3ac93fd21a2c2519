"""Cards with something on them, for members made by other means."""

from datetime import datetime, timedelta
from uuid import UUID

from app.core.db import Transaction
from app.core.ids import new_id
from app.models.cards import Card, Scheme
from app.models.ledger import AccountKind, PostingKind, SystemAccount
from app.models.sessions import PrincipalKind
from app.services import cards, ledger, members


async def a_card(
    tx: Transaction,
    *,
    member_id: UUID,
    scheme: Scheme,
    points: int = 0,
    cash: int = 0,
    now: datetime,
) -> Card:
    """A card of the scheme, with points and paid-in cash."""
    member = await members.living(tx, member_id)
    card = await cards.open_card(tx, member=member, scheme=scheme, store_id=None, now=now)
    accounts = {a.kind: a for a in await ledger.accounts_of_cards(tx, [card.id])}
    for kind, amount, source in (
        (AccountKind.POINTS, points, SystemAccount.POINTS_ISSUED),
        (AccountKind.CASH, cash, SystemAccount.PAYMENTS_RECEIVED),
    ):
        if amount:
            header = ledger.Header(
                kind=PostingKind.EARN,
                cause_kind="test",
                cause_id=new_id(),
                group_id=card.group_id,
                scheme_id=scheme.id,
                actor_kind=PrincipalKind.SYSTEM,
                occurred_at=now,
                now=now,
            )
            sheet = await ledger.Sheet.open(tx, header, [accounts[kind].id])
            sheet.put(accounts[kind].id, amount)
            sheet.against(source, -amount, accounts[kind].unit)
            await sheet.close()
    return card


async def adjust(
    tx: Transaction, card_id: UUID, kind: AccountKind, amount: int, now: datetime
) -> int:
    """Put what is positive, take back what is negative (a debt may follow)."""
    card = await cards.living(tx, card_id)
    accounts = await ledger.accounts_of_cards(tx, [card.id])
    account = next(each for each in accounts if each.kind is kind)
    header = ledger.Header(
        kind=PostingKind.ADJUST,
        cause_kind="test",
        cause_id=new_id(),
        group_id=card.group_id,
        scheme_id=card.scheme_id,
        actor_kind=PrincipalKind.SYSTEM,
        occurred_at=now,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account.id])
    if amount > 0:
        expires_at = now + timedelta(days=amount) if amount % 3 == 0 else None
        sheet.put(account.id, amount, expires_at=expires_at)
    else:
        await sheet.claw_back(account.id, -amount, origin_id=None)
    sheet.against(SystemAccount.ADJUSTMENTS, -amount, account.unit)
    await sheet.close()
    return amount
