"""Cards with something on them, for members made by other means."""

from datetime import datetime
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
