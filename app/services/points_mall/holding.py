"""The points of a redemption: taken with its order, and back to their lots if it ends (MAL-2)."""

from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, statement
from app.models.cards import Card, Scheme
from app.models.ledger import Account, LotMovement, PostingKind, SystemAccount
from app.models.orders import Order
from app.models.sessions import PrincipalKind
from app.services import ledger, points
from app.services.points_mall.contents import CAUSE
from app.services.spendings import NotEnoughPoints

RETURN_CAUSE = "mall_order_return"

movements_of = statement(
    select(LotMovement).where(col(LotMovement.posting_id) == bindparam("posting_id")),
    into=LotMovement,
)


async def payer(tx: Transaction, *, order: Order, card: Card, scheme: Scheme) -> Account | None:
    """The account that pays an order's points; refuses before anything is taken for it.

    None where it costs none. Raises `PointsBlocked`, `NotEnoughPoints`.
    """
    if not order.points:
        return None
    await points.require_may_spend(tx, scheme=scheme, card=card)
    account = await points.account(tx, card)
    if account.balance < order.points:
        missing = order.points - account.balance
        raise NotEnoughPoints(missing=missing, usable=account.balance)
    return account


async def take(
    tx: Transaction, *, order: Order, card: Card, account: Account, now: datetime
) -> None:
    """Take an order's points from its card, those that expire first before others (PTS-3).

    The caller holds the card. Raises `NotEnoughPoints`: what has expired is on the account until
    that is posted, and pays nothing.
    """
    header = ledger.Header.of(
        card,
        kind=PostingKind.SPEND,
        cause_kind=CAUSE,
        cause_id=order.id,
        store_id=order.store_id,
        actor_kind=PrincipalKind.MEMBER,
        actor_id=order.member_id,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account.id])
    try:
        await sheet.take(account.id, order.points)
    except ledger.NotEnoughValue as short:
        usable = order.points - short.short_by
        raise NotEnoughPoints(missing=short.short_by, usable=usable) from None
    sheet.against(SystemAccount.POINTS_SPENT, order.points, account.unit)
    await sheet.close()


async def give_back(tx: Transaction, *, order: Order, card: Card, now: datetime) -> None:
    """Return an order's points to the very lots they came from, once; what expired meanwhile
    expires again (MAL-3)."""
    if not order.points:
        return
    taken = await ledger.posting_by_cause(tx, CAUSE, order.id)
    assert taken is not None, "an order with points that took none"
    header = ledger.Header.of(
        card,
        kind=PostingKind.SPEND_REVERSAL,
        cause_kind=RETURN_CAUSE,
        cause_id=order.id,
        reverses_id=taken.id,
        store_id=order.store_id,
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    moved = await tx.all(movements_of, posting_id=taken.id)
    await ledger.give_back(
        tx,
        header=header,
        parts=[ledger.Part(each.lot_id, -each.amount) for each in moved],
        against=[ledger.Against(SystemAccount.POINTS_SPENT, -order.points, ledger.POINTS)],
    )
