"""Points that come, and go with what brought them (PTS-1, PTS-3).

The growth that a purchase brought, which `tiers` reckons, travels on the same posting (TIR-6).
"""

from datetime import datetime
from uuid import UUID, uuid5

from app.core.db import Transaction
from app.core.money import points_for, proportion_half_up
from app.models.cards import Card, Scheme
from app.models.ledger import Account, AccountKind, Posting, PostingKind, SystemAccount
from app.models.purchases import Purchase, PurchaseRefund
from app.models.sessions import PrincipalKind
from app.services import ledger
from app.services.actors import Actor
from app.services.points import expiring, guarding

PURCHASE_CAUSE = "purchase"
REFUND_CAUSE = "purchase_refund"
BEHAVIOUR_CAUSE = "behaviour"
BEHAVIOUR_GROWTH_CAUSE = "behaviour_growth"
"""The growth that came with the points of an event: the same cause id, a posting of its own."""


def behaviour_cause(event_id: UUID, scheme_id: UUID) -> UUID:
    """The cause id of what an event earns on a scheme's card."""
    return uuid5(event_id, str(scheme_id))


async def account(tx: Transaction, card: Card) -> Account:
    """The card's points account."""
    return (await accounts(tx, card))[0]


async def accounts(tx: Transaction, card: Card) -> tuple[Account, Account]:
    """The card's points account and its growth account."""
    found = {each.kind: each for each in await ledger.accounts_of_cards(tx, [card.id])}
    return found[AccountKind.POINTS], found[AccountKind.GROWTH]


async def earned_by(
    tx: Transaction, *, card: Card, scheme: Scheme, net_amount: int, multiplier_bp: int
) -> int:
    """Points that a purchase of this net amount earns now, times the multiplier of the card's
    benefits: none while a case blocks it (PTS-1, PTS-7)."""
    if not await guarding.may_earn(tx, card=card, scheme=scheme):
        return 0
    return points_for(net_amount, scheme.points_unit, scheme.points_rate, multiplier_bp)


async def earn(
    tx: Transaction, *, card: Card, scheme: Scheme, purchase: Purchase, actor: Actor, now: datetime
) -> None:
    """Credit the points that a purchase earned (PTS-1), and its growth; where points roll, its day
    moves the expiry of all that are unspent (PTS-4). The card is locked.
    """
    expires_at = await expiring.after_purchase(
        tx, card=card, scheme=scheme, occurred_at=purchase.occurred_at, now=now
    )
    if not purchase.points_earned and not purchase.growth_earned:
        return
    to, growth = await accounts(tx, card)
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
    come = ((to, purchase.points_earned), (growth, purchase.growth_earned))
    sheet = await ledger.Sheet.open(tx, header, [each.id for each, amount in come if amount])
    if purchase.points_earned:
        sheet.put(to.id, purchase.points_earned, expires_at=expires_at)
        sheet.against(SystemAccount.POINTS_ISSUED, -purchase.points_earned, to.unit)
    if purchase.growth_earned:
        sheet.put(growth.id, purchase.growth_earned)
        sheet.against(SystemAccount.GROWTH_ISSUED, -purchase.growth_earned, growth.unit)
    await sheet.close()
    if purchase.points_earned:
        await guarding.watch(tx, card=card, scheme=scheme, now=now)


async def credit(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    amount: int,
    cause_kind: str,
    cause_id: UUID,
    actor_kind: PrincipalKind,
    actor_id: UUID | None,
    store_id: UUID | None = None,
    occurred_at: datetime,
    now: datetime,
) -> Posting:
    """Credit points that something else than a purchase earned (PTS-2); `guarding.may_earn` was
    asked before. The card is locked. Raises `BalanceTooLarge`.
    """
    expires_at = await expiring.expiry(tx, scheme, card, earned_at=occurred_at, now=now)
    to = await account(tx, card)
    header = ledger.Header.of(
        card,
        kind=PostingKind.EARN,
        cause_kind=cause_kind,
        cause_id=cause_id,
        store_id=store_id,
        actor_kind=actor_kind,
        actor_id=actor_id,
        occurred_at=occurred_at,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [to.id])
    sheet.put(to.id, amount, expires_at=expires_at)
    sheet.against(SystemAccount.POINTS_ISSUED, -amount, to.unit)
    posting = await sheet.close()
    await guarding.watch(tx, card=card, scheme=scheme, now=now)
    return posting


def due_back(purchase: Purchase, refunded_amount: int) -> int:
    """Points the purchase keeps no longer once this much of it was refunded in all.

    What stays is worth floor(net amount that stays ÷ unit) × rate, times the multiplier that the
    purchase earned by, so that refunds in parts and a refund at once end the same (PTS-1). Nothing
    is due of what earning was blocked for, or what was rolled back before (PTS-7).
    """
    net_refunded = proportion_half_up(purchase.net_amount, refunded_amount, purchase.total_amount)
    stays = points_for(
        purchase.net_amount - net_refunded,
        purchase.points_unit,
        purchase.points_rate,
        purchase.points_multiplier_bp,
    )
    return max(0, purchase.points_earned - purchase.points_taken_back - stays)


async def take_back(
    tx: Transaction,
    *,
    card: Card,
    purchase: Purchase,
    refund: PurchaseRefund,
    actor: Actor,
    now: datetime,
) -> None:
    """Claw back a refund's points and growth: the purchase's own lots first, what is missing as a
    debt.
    """
    if not refund.points_taken and not refund.growth_taken:
        return
    # None where the purchase earned nothing itself: growth that went with what it carried over.
    earning = await ledger.posting_by_cause(tx, PURCHASE_CAUSE, purchase.id)
    of, growth = await accounts(tx, card)
    header = ledger.Header.of(
        card,
        kind=PostingKind.EARN_REVERSAL,
        cause_kind=REFUND_CAUSE,
        cause_id=refund.id,
        reverses_id=earning.id if earning else None,
        store_id=purchase.store_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        now=now,
    )
    origin_id = earning.id if earning else None
    moved = [a.id for a, n in ((of, refund.points_taken), (growth, refund.growth_taken)) if n]
    sheet = await ledger.Sheet.open(tx, header, moved)
    if refund.points_taken:
        await sheet.claw_back(of.id, refund.points_taken, origin_id=origin_id)
        sheet.against(SystemAccount.POINTS_ISSUED, refund.points_taken, of.unit)
    if refund.growth_taken:
        await sheet.claw_back(growth.id, refund.growth_taken, origin_id=origin_id)
        sheet.against(SystemAccount.GROWTH_ISSUED, refund.growth_taken, growth.unit)
    await sheet.close()
