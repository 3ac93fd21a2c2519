"""Growth: what of a purchase counts, what that earns, and what a refund takes back (TIR-6).

Growth is earned cumulatively: all that ever counted on a card, in whole units, times the rate.
What is left of a unit carries over to the next purchase. The postings of purchases are written
with their points (`points.earn`), on one sheet.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.core.db import Transaction, changed_copy
from app.core.money import points_for, proportion_half_up
from app.models.cards import Card, Scheme
from app.models.ledger import Posting, PostingKind, SystemAccount
from app.models.purchases import Purchase, PurchaseRefund
from app.models.sessions import PrincipalKind
from app.models.tiers import TierCause
from app.services import ledger
from app.services.tiers import tasks
from app.services.tiers.evaluating import (
    growth_account,
    growth_tier_of,
    ladder_of,
    settle,
    standing_of,
    write_card,
)
from app.services.tiers.rules import Ladder


class Product(Protocol):
    """A line of a bill, as far as lists of products ask."""

    @property
    def item_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def paid_amount(self) -> int: ...


def counts(scheme: Scheme, product: Product) -> bool:
    """Whether a line earns growth: on the whitelist if there is one, and not on the blacklist."""
    if not scheme.growth_rate:
        return False
    if scheme.growth_only and not _is_among(product, scheme.growth_only):
        return False
    return not _is_among(product, scheme.growth_except)


def counted_amount(scheme: Scheme, *, net_amount: int, lines: Sequence[Product]) -> int:
    """What of a bill counts for growth, in minor units; 0 in a scheme without growth (TIR-6).

    The lists decide line by line, at what was paid for it. Without lists the net amount of points
    counts, and so it does for a bill without lines unless a whitelist asks for some.
    """
    if not scheme.growth_rate:
        return 0
    if lines and (scheme.growth_only or scheme.growth_except):
        return sum(line.paid_amount for line in lines if counts(scheme, line))
    return 0 if scheme.growth_only else net_amount


def earned_by(scheme: Scheme, card: Card, counted: int) -> int:
    """The growth that so much more brings the card."""
    return _growth_between(
        card.growth_amount, card.growth_amount + counted, scheme.growth_unit, scheme.growth_rate
    )


def counted_back(purchase: Purchase, refunded_amount: int) -> int:
    """What counts no longer once this much of a purchase was refunded in all, less what a former
    refund took: in parts and at once the same.
    """
    total = purchase.total_amount
    before = proportion_half_up(purchase.growth_amount, purchase.refunded_amount, total)
    return proportion_half_up(purchase.growth_amount, refunded_amount, total) - before


def taken_by(purchase: Purchase, card: Card, counted: int) -> int:
    """The growth a card loses when so much counts no longer, by the rule of the purchase's day."""
    if not counted:
        return 0
    left = max(0, card.growth_amount - counted)
    return _growth_between(left, left + counted, purchase.growth_unit, purchase.growth_rate)


async def after_purchase(
    tx: Transaction, *, card: Card, scheme: Scheme, purchase: Purchase, now: datetime
) -> Card:
    """Count a purchase on its locked card and find the card's tier (TIR-2, TIR-3).

    Call it once points and growth are posted. A scheme without growth and computed tiers costs
    nothing here.
    """
    amount = card.growth_amount + purchase.growth_amount
    if not scheme.tiers_are_computed:
        return await _count(tx, card, amount)
    ladder = await ladder_of(tx, scheme)
    if purchase.growth_earned:
        card = await _adjust(
            tx, ladder, card, amount, was_lost=False, cause_id=purchase.id, now=now
        )
    else:
        card = await _count(tx, card, amount)
    if ladder.has_tasks:
        card = await tasks.grant_fulfilled(tx, ladder, card=card, at=purchase.occurred_at, now=now)
    return card


async def after_refund(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    refund: PurchaseRefund,
    counted: int,
    now: datetime,
) -> Card:
    """Count a refund on its locked card and find the card's tier; see `after_purchase`.

    `counted` is what counts no longer (`counted_back`).
    """
    amount = max(0, card.growth_amount - counted)
    if not scheme.tiers_are_computed:
        return await _count(tx, card, amount)
    ladder = await ladder_of(tx, scheme)
    if refund.growth_taken:
        card = await _adjust(tx, ladder, card, amount, was_lost=True, cause_id=refund.id, now=now)
    else:
        card = await _count(tx, card, amount)
    if ladder.has_tasks:
        card = await tasks.withdraw_unfulfilled(tx, ladder, card=card, now=now)
    return card


async def after_roll_back(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    growth_taken: int,
    cause_id: UUID,
    now: datetime,
) -> Card:
    """Find the tier of a locked card of which staff took back what it had earned (PTS-7).

    Call it once that is posted: what was rolled back fulfils no task any more.
    """
    if not scheme.tiers_are_computed:
        return card
    ladder = await ladder_of(tx, scheme)
    if growth_taken:
        card = await _adjust(
            tx, ladder, card, card.growth_amount, was_lost=True, cause_id=cause_id, now=now
        )
    if ladder.has_tasks:
        card = await tasks.withdraw_unfulfilled(tx, ladder, card=card, now=now)
    return card


async def after_event(tx: Transaction, *, card: Card, scheme: Scheme, now: datetime) -> Card:
    """Grant a locked card the tiers whose tasks an event of its member fulfilled (TIR-1)."""
    if not scheme.tiers_are_computed:
        return card
    ladder = await ladder_of(tx, scheme)
    if not ladder.has_tasks:
        return card
    return await tasks.grant_fulfilled(tx, ladder, card=card, at=now, now=now)


async def earn_growth(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    amount: int,
    cause_kind: str,
    cause_id: UUID,
    actor_kind: PrincipalKind,
    actor_id: UUID | None,
    store_id: UUID | None,
    occurred_at: datetime,
    now: datetime,
) -> Card:
    """Credit growth that no purchase earned to a locked card, and find its tier (TIR-7).

    Raises `BalanceTooLarge`.
    """
    if not amount:
        return card
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
    await post(tx, card, header, amount)
    return await after_change(
        tx, card=card, scheme=scheme, was_lost=False, cause_id=cause_id, now=now
    )


async def take_back_growth(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    amount: int,
    reverses_id: UUID | None,
    cause_kind: str,
    cause_id: UUID,
    actor_kind: PrincipalKind,
    actor_id: UUID | None,
    store_id: UUID | None,
    now: datetime,
    kind: PostingKind = PostingKind.EARN_REVERSAL,
) -> Card:
    """Claw growth back from a locked card, that of the reversed posting first, and find its tier.

    What is missing becomes a debt that later growth fills. Raises `BalanceTooLarge`.
    """
    if not amount:
        return card
    header = ledger.Header.of(
        card,
        kind=kind,
        cause_kind=cause_kind,
        cause_id=cause_id,
        reverses_id=reverses_id,
        store_id=store_id,
        actor_kind=actor_kind,
        actor_id=actor_id,
        now=now,
    )
    await post(tx, card, header, -amount)
    return await after_change(
        tx, card=card, scheme=scheme, was_lost=True, cause_id=cause_id, now=now
    )


async def post(tx: Transaction, card: Card, header: ledger.Header, amount: int) -> Posting:
    """Write growth that came, or negative that went: first that of the posting reversed."""
    account = await tx.one(growth_account, card_id=card.id)
    assert account is not None, "a card without accounts"
    sheet = await ledger.Sheet.open(tx, header, [account.id])
    if amount > 0:
        sheet.put(account.id, amount)
    else:
        await sheet.claw_back(account.id, -amount, origin_id=header.reverses_id)
    sheet.against(SystemAccount.GROWTH_ISSUED, -amount, account.unit)
    return await sheet.close()


async def after_change(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    was_lost: bool,
    cause_id: UUID | None,
    now: datetime,
) -> Card:
    """Find the tier of a locked card whose growth was changed by a posting (TIR-3)."""
    if not scheme.tiers_are_computed:
        return card
    ladder = await ladder_of(tx, scheme)
    amount = card.growth_amount
    return await _adjust(tx, ladder, card, amount, was_lost=was_lost, cause_id=cause_id, now=now)


async def _adjust(
    tx: Transaction,
    ladder: Ladder,
    card: Card,
    growth_amount: int,
    *,
    was_lost: bool,
    cause_id: UUID | None,
    now: datetime,
) -> Card:
    held = growth_tier_of(card)
    standing = await standing_of(tx, ladder, card, now)
    growth = ladder.after_growth(held, standing, was_lost=was_lost, now=now)
    return await settle(
        tx, ladder, card=card, growth=growth, growth_amount=growth_amount,
        cause=TierCause.EXPIRY if held.is_over(now) else TierCause.GROWTH, cause_id=cause_id,
        now=now,
    )  # fmt: skip


async def _count(tx: Transaction, card: Card, growth_amount: int) -> Card:
    if growth_amount == card.growth_amount:
        return card
    after = changed_copy(card, growth_amount=growth_amount)
    await write_card(tx, after)
    return after


def of_both(scheme: Scheme, card: Card, other: Card) -> int:
    """The growth of a unit that only what is left of two cards makes together."""
    unit, rate = scheme.growth_unit, scheme.growth_rate
    alone = points_for(card.growth_amount, unit, rate) + points_for(other.growth_amount, unit, rate)
    return points_for(card.growth_amount + other.growth_amount, unit, rate) - alone


def _growth_between(before: int, after: int, unit: int, rate: int) -> int:
    return points_for(after, unit, rate) - points_for(before, unit, rate)


def _is_among(product: Product, conditions: Sequence[dict[str, str]]) -> bool:
    return any(_fits(product, each) for each in conditions)


def _fits(product: Product, condition: dict[str, str]) -> bool:
    if "id" in condition:
        return product.item_id == condition["id"]
    return condition["name"].casefold() in product.name.casefold()
