"""What an order of a package brings, and what giving it back takes (BEN-7, BEN-8, CRD-9)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, update

from app.core.db import Transaction, statement
from app.core.errors import DomainError
from app.models.benefits import BenefitSource
from app.models.cards import Card, CardStatus
from app.models.ledger import AccountKind, PostingKind, SystemAccount
from app.models.members import MemberStatus
from app.models.orders import Order
from app.models.packages import OwnedPackage, OwnedState
from app.models.payments import RefundRoute
from app.models.sessions import PrincipalKind
from app.services import (
    benefits,
    cards,
    coupons,
    ledger,
    members,
    orders,
    points,
    rollbacks,
    schemes,
)
from app.services.ledger.sheet import BALANCE_MAX
from app.services.orders import Held
from app.services.packages import owning
from app.services.packages.contents import POINTS_MAX
from app.services.packages.terms import Terms

TAKEN_BACK = "package.taken_back"

refund_it = statement(
    update(OwnedPackage)
    .where(
        col(OwnedPackage.id) == bindparam("owned_id"),
        col(OwnedPackage.state) != OwnedState.REFUNDED,
    )
    .values(state=OwnedState.REFUNDED, ended_at=bindparam("new_ended_at"), remind_at=None)
)


class VoucherUsed(DomainError):
    """A voucher that came with the package was used: it goes back offline only (BEN-8)."""

    def __init__(self, used: int) -> None:
        self.used = used
        super().__init__("A voucher of this package has been used: pay it out at the counter.")


class PackageOver(DomainError):
    """It has ended, so nothing is left to give back by the original route (BEN-8)."""

    def __init__(self, ended_at: datetime) -> None:
        self.ended_at = ended_at
        super().__init__("This package is over: pay it out at the counter.")


class RenewedAlready(DomainError):
    """It was renewed: the renewal begins when this one ends, and is refunded first."""

    def __init__(self, renewal_id: UUID) -> None:
        self.renewal_id = renewal_id
        super().__init__("This package was renewed. Refund the renewal first.")


async def deliver(tx: Transaction, order: Order, *, now: datetime) -> None:
    """Put a paid package on the card it was ordered for, or on the one that it opens (CRD-9).

    A lost or frozen card receives it all the same; see `require_receives` for what goes back.
    """
    terms = Terms.from_document(order.terms)
    card = await _card(tx, order, terms, now)
    await require_receives(tx, card, order=order, package_id=order.product_id, terms=terms, now=now)
    await owning.own(
        tx,
        order=order,
        package_id=order.product_id,
        name=order.title,
        terms=terms,
        member=await members.locked(tx, card.member_id),
        card=card,
        now=now,
    )


async def release(tx: Transaction, order: Order, *, now: datetime) -> None:
    """A package has no stock that would wait for its buyer."""


async def take_back(tx: Transaction, held: Held, *, route: RefundRoute, now: datetime) -> int:
    """End a package and take its gifts back; all of its price goes back (BEN-8).

    By the original route only where no voucher was used and it has not ended; offline whatever
    was used. Benefits and the tier end now, vouchers that are left are withdrawn, and points that
    were spent become a debt. A card that it opened stays. Raises `RenewedAlready`, `PackageOver`,
    `VoucherUsed`.
    """
    owned = await tx.one(owning.owned_of_order, order_id=held.order.id)
    assert owned is not None, "a package was paid and not delivered"
    # The order of one that opened its card names none, so the card is not held yet.
    card = held.card or await cards.locked(tx, await cards.living(tx, owned.card_id))
    renewal_id = await tx.one(owning.renewal_of, owned_id=owned.id)
    if renewal_id is not None:
        raise RenewedAlready(renewal_id)
    is_original = route is RefundRoute.ORIGINAL
    if is_original and owned.ends_at <= now:
        raise PackageOver(owned.ends_at)
    used = 0
    for cause in owning.CAUSES:
        taken = await coupons.take_back(tx, cause_kind=cause, cause_id=owned.id, now=now)
        used += taken.used
    if is_original and used:
        raise VoucherUsed(used)
    await benefits.end_grants(tx, source=BenefitSource.PACKAGE, source_id=owned.id, now=now)
    card = await owning.take_tier(tx, owned, card, now=now)
    await _take_points(tx, owned, card, now)
    refunded = await tx.changed(refund_it, owned_id=owned.id, new_ended_at=now)
    assert refunded == 1, "a package moved under its lock"
    return held.order.amount


async def _card(tx: Transaction, order: Order, terms: Terms, now: datetime) -> Card:
    """The card it is for, locked; raises `Undeliverable` where none can be opened."""
    if order.card_id is not None:
        card = await cards.living(tx, order.card_id)
    else:
        assert terms.opens_scheme_id is not None, "a package is bought for some card"
        member = await members.locked(tx, order.member_id)
        if member.status is not MemberStatus.ACTIVE:
            raise orders.Undeliverable("This account is closed.")
        scheme = await schemes.scheme(tx, group_id=order.group_id, scheme_id=terms.opens_scheme_id)
        card = await cards.open_bought(
            tx, member=member, scheme=scheme, store_id=order.store_id, now=now
        )
    return await cards.locked(tx, card)


async def require_receives(
    tx: Transaction,
    card: Card,
    *,
    order: Order,
    package_id: UUID,
    terms: Terms,
    now: datetime,
) -> None:
    """Raise `Undeliverable` for a locked card that nothing more comes to; and for a renewal, if
    what it should have renewed was given back while it waited to be paid (BEN-5, BEN-8).

    Else its price and its gift would be had by somebody who renews nothing. What merely ended
    meanwhile was renewed in time; and once the renewal is paid, `take_back` has it go first.
    """
    status = cards.status_at(card, now)
    if status in (CardStatus.EXPIRED, CardStatus.REFUNDED):
        raise orders.Undeliverable(str(cards.CardNotUsable(status)))
    if terms.is_renewal:
        renewed = await owning.renewed_by(tx, order, card=card, package_id=package_id)
        if renewed is None:
            raise orders.Undeliverable("What this renews was given back.")
    account = await points.account(tx, card)
    # What the ledger would refuse, but after the rest was written.
    if account.balance + len(owning.CAUSES) * POINTS_MAX > BALANCE_MAX:
        raise orders.Undeliverable(str(ledger.BalanceTooLarge(AccountKind.POINTS)))


async def _take_points(tx: Transaction, owned: OwnedPackage, card: Card, now: datetime) -> None:
    """Take gift points back, their own lots first; what expired or was rolled back is gone
    already."""
    terms = Terms.from_document(owned.terms)
    account = await points.account(tx, card)
    for cause in owning.CAUSES:
        given = await ledger.posting_by_cause(tx, cause, owned.id)
        if given is None:
            continue
        header = ledger.Header.of(
            card,
            kind=PostingKind.EARN_REVERSAL,
            cause_kind=TAKEN_BACK,
            cause_id=given.id,
            reverses_id=given.id,
            store_id=owned.store_id,
            actor_kind=PrincipalKind.SYSTEM,
            now=now,
        )
        sheet = await ledger.Sheet.open(tx, header, [account.id])
        gone = (await rollbacks.gone(tx, given.id))[AccountKind.POINTS]
        left = sum(content.points for content in owning.gifts_for(terms, cause)) - gone
        if left > 0:
            await sheet.claw_back(account.id, left, origin_id=given.id)
            sheet.against(SystemAccount.POINTS_ISSUED, left, account.unit)
            await sheet.close()
