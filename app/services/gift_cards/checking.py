"""Proof that gift cards and the ledger say the same: a part of `regulars check ledger` (FIN-1)."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import String, cast, literal
from sqlmodel import and_, case, col, func, or_, select

from app.core.db import Statement, Transaction, statement
from app.models.gift_cards import GiftCard, GiftCardPayment, GiftCardRecharge
from app.models.ledger import Account, AccountKind, Entry, Posting
from app.services.gift_cards import issuing, paying, recharging
from app.services.ledger import Fault
from app.services.ledger.checking import FAULTS_SHOWN_MAX


class _Found(NamedTuple):
    id: UUID
    detail: str


def _moved(cause_kind: str) -> Any:
    """What each posting of a cause moved of a card's cash and of what was given."""
    of_kind = {
        name: func.sum(case((col(Account.kind) == kind, col(Entry.amount)), else_=0)).label(name)
        for name, kind in (("cash", AccountKind.CASH), ("bonus", AccountKind.BONUS))
    }
    return (
        select(Posting.cause_id, *of_kind.values())
        .join(Entry, col(Entry.posting_id) == col(Posting.id))
        .join(Account, col(Account.id) == col(Entry.account_id))
        .where(col(Posting.cause_kind) == cause_kind)
        .group_by(col(Posting.cause_id))
        .subquery()
    )


def _faults(table: Any, moved: Any, cash: Any, bonus: Any, *conditions: Any) -> Statement[_Found]:
    """Rows of a table whose posting is missing, or moved something else than they say."""
    shown = literal("", String) + cast(cash, String) + " + " + cast(bonus, String)
    differs = or_(moved.c.cause_id.is_(None), moved.c.cash != cash, moved.c.bonus != bonus)
    return statement(
        select(table.id, shown.label("detail"))
        .outerjoin(moved, moved.c.cause_id == table.id)
        .where(and_(differs, *conditions))
        .limit(FAULTS_SHOWN_MAX),
        into=_Found,
    )


RULES: dict[str, Statement[_Found]] = {
    "a gift card that was sold got what was paid for it, and face − price": _faults(
        GiftCard,
        _moved(issuing.CAUSE),
        col(GiftCard.cash),
        col(GiftCard.face) - col(GiftCard.cash),
        col(GiftCard.activated_at).is_not(None),
    ),
    "a gift card's payment took what it says": _faults(
        GiftCardPayment,
        _moved(paying.CAUSE),
        -col(GiftCardPayment.cash),
        -col(GiftCardPayment.bonus),
    ),
    "a gift card's recharge brought what it says": _faults(
        GiftCardRecharge,
        _moved(recharging.CAUSE),
        col(GiftCardRecharge.cash),
        col(GiftCardRecharge.face) - col(GiftCardRecharge.cash),
    ),
}


async def check(tx: Transaction) -> list[Fault]:
    """Every fault, up to a limit per rule; run it with `Database.scan`."""
    return [
        Fault(rule, found.id, found.detail)
        for rule, query in RULES.items()
        for found in await tx.all(query)
    ]
