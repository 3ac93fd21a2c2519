"""Points: earned by purchases, taken back by their refunds (PTS-1, PTS-3)."""

from datetime import datetime

from app.core.db import Transaction
from app.core.money import points_for, proportion_half_up
from app.models.cards import Card
from app.models.ledger import Account, AccountKind, PostingKind, SystemAccount
from app.models.purchases import Purchase, PurchaseRefund
from app.services import ledger
from app.services.actors import Actor

PURCHASE_CAUSE = "purchase"
REFUND_CAUSE = "purchase_refund"


async def account(tx: Transaction, card: Card) -> Account:
    """The card's points account."""
    for found in await ledger.accounts_of_cards(tx, [card.id]):
        if found.kind is AccountKind.POINTS:
            return found
    raise AssertionError("a card without accounts")


async def earn(
    tx: Transaction, *, card: Card, purchase: Purchase, actor: Actor, now: datetime
) -> int:
    """Credit what a purchase earned (PTS-1); how many points that was."""
    earned = points_for(purchase.net_amount, purchase.points_unit, purchase.points_rate)
    if not earned:
        return 0
    to = await account(tx, card)
    header = ledger.Header.of(
        card,
        kind=PostingKind.EARN,
        cause_kind=PURCHASE_CAUSE,
        cause_id=purchase.id,
        store_id=purchase.store_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        occurred_at=purchase.occurred_at,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [to.id])
    sheet.put(to.id, earned)
    sheet.against(SystemAccount.POINTS_ISSUED, -earned, to.unit)
    await sheet.close()
    return earned


def due_back(purchase: Purchase, refunded_amount: int) -> int:
    """Points the purchase keeps no longer once this much of it was refunded in all.

    What stays is worth floor(net amount that stays ÷ unit) × rate, so that refunds in parts and
    a refund at once end the same (PTS-1).
    """
    net_refunded = proportion_half_up(purchase.net_amount, refunded_amount, purchase.total_amount)
    stays = points_for(
        purchase.net_amount - net_refunded, purchase.points_unit, purchase.points_rate
    )
    return purchase.points_earned - purchase.points_taken_back - stays


async def take_back(
    tx: Transaction,
    *,
    card: Card,
    purchase: Purchase,
    refund: PurchaseRefund,
    actor: Actor,
    now: datetime,
) -> None:
    """Claw back a refund's points: the purchase's own lot first, what is missing as a debt."""
    if not refund.points_taken:
        return
    earning = await ledger.posting_by_cause(tx, PURCHASE_CAUSE, purchase.id)
    assert earning is not None
    of = await account(tx, card)
    header = ledger.Header.of(
        card,
        kind=PostingKind.EARN_REVERSAL,
        cause_kind=REFUND_CAUSE,
        cause_id=refund.id,
        reverses_id=earning.id,
        store_id=purchase.store_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [of.id])
    await sheet.claw_back(of.id, refund.points_taken, origin_id=earning.id)
    sheet.against(SystemAccount.POINTS_ISSUED, refund.points_taken, of.unit)
    await sheet.close()
