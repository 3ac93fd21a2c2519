"""What members own of packages: what it brings, when it begins and when it ends (BEN-6, BEN-7).

Locks are taken in the order members, cards, packages, coupon stock, accounts.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import bindparam, literal_column
from sqlmodel import col, select, update

from app.core.db import Transaction, light, statement
from app.models.behaviour import Notice
from app.models.benefits import BenefitSource
from app.models.cards import Card, CardStatus
from app.models.members import Member, MemberStatus
from app.models.orders import Order
from app.models.packages import ContentKind, GiftMoment, OwnedPackage, OwnedState
from app.models.sessions import PrincipalKind
from app.models.tiers import GrantSource
from app.services import (
    benefits,
    cards,
    coupons,
    ledger,
    live,
    members,
    notices,
    points,
    schemes,
    tiers,
)
from app.services.packages.contents import Content
from app.services.packages.terms import Terms

_log = structlog.get_logger(__name__)

AT_ONCE_MAX = 100
REMIND_BEFORE = timedelta(days=3)
NOTICE_KIND = "PACKAGE_ENDING"
FIRST, REPEAT = "package.first_purchase", "package.repeat_purchase"
RENEWED, RENEWAL_BEGUN = "package.early_renewal", "package.renewal_begun"
CAUSES = (FIRST, REPEAT, RENEWED, RENEWAL_BEGUN)
"""What gifts are given for; the owned package is the cause's id, so each is given once."""

owned_of_order = statement(
    select(OwnedPackage)
    .where(col(OwnedPackage.order_id) == bindparam("order_id"))
    .with_for_update(),
    into=OwnedPackage,
)
# Told by the card, which the caller holds: nothing is added to the chain meanwhile.
last_on_card = statement(
    select(OwnedPackage)
    .where(
        col(OwnedPackage.card_id).in_(ledger.own_and_absorbed),
        col(OwnedPackage.package_id) == bindparam("package_id"),
        col(OwnedPackage.state) != OwnedState.REFUNDED,
        col(OwnedPackage.ends_at) > bindparam("ordered_at"),
    )
    .order_by(col(OwnedPackage.ends_at).desc())
    .limit(1),
    into=OwnedPackage,
)
renewal_of = statement(
    select(OwnedPackage.id).where(
        col(OwnedPackage.renews_id) == bindparam("owned_id"),
        col(OwnedPackage.renews_id).is_not(None),
        # Said as the index says it, so that the one there can be is found by it.
        col(OwnedPackage.state) != literal_column("'REFUNDED'"),
    ),
    into=UUID,
)
due_to_begin = statement(
    select(OwnedPackage)
    .where(
        col(OwnedPackage.state) == literal_column("'WAITING'"),
        col(OwnedPackage.starts_at) <= bindparam("now"),
    )
    .order_by(col(OwnedPackage.starts_at))
    .limit(AT_ONCE_MAX),
    into=OwnedPackage,
)
due_to_end = statement(
    select(OwnedPackage)
    .where(
        col(OwnedPackage.state) == literal_column("'RUNNING'"),
        col(OwnedPackage.ends_at) <= bindparam("now"),
    )
    .order_by(col(OwnedPackage.ends_at))
    .limit(AT_ONCE_MAX),
    into=OwnedPackage,
)
due_to_remind = statement(
    select(OwnedPackage)
    .where(
        col(OwnedPackage.remind_at).is_not(None),
        col(OwnedPackage.remind_at) <= bindparam("now"),
    )
    .order_by(col(OwnedPackage.remind_at))
    .limit(AT_ONCE_MAX)
    .with_for_update(skip_locked=True),
    into=OwnedPackage,
)
begin_it = statement(
    update(OwnedPackage)
    .where(
        col(OwnedPackage.id) == bindparam("owned_id"),
        col(OwnedPackage.state) == OwnedState.WAITING,
    )
    .values(state=OwnedState.RUNNING)
)
end_it = statement(
    update(OwnedPackage)
    .where(
        col(OwnedPackage.id) == bindparam("owned_id"),
        col(OwnedPackage.state) == OwnedState.RUNNING,
    )
    .values(state=OwnedState.ENDED, ended_at=bindparam("new_ended_at"), remind_at=None)
)
reminded = statement(
    update(OwnedPackage).where(col(OwnedPackage.id) == bindparam("owned_id")).values(remind_at=None)
)
new_owned = light(OwnedPackage)


class _Holder(NamedTuple):
    """Whose a package is today, and on which card it is; both locked."""

    member: Member
    card: Card


async def own(
    tx: Transaction,
    *,
    order: Order,
    package_id: UUID,
    name: str,
    terms: Terms,
    member: Member,
    card: Card,
    now: datetime,
) -> OwnedPackage:
    """Put what an order promised on a card, once for each order; it begins now, tomorrow or when
    the last one of this package on the card ends (BEN-7). The caller holds the member and card.

    Gifts are given now, but for those that wait until a renewal begins (BEN-6): it begins at once
    where what it renews ended while it waited to be paid.
    """
    last = await renewed_by(tx, order, card=card, package_id=package_id)
    follows = last.ends_at if last and last.ends_at > now else None
    period = terms.period(bought_at=now, follows=follows)
    remind_at = period.ends_at - REMIND_BEFORE
    owned = new_owned(
        group_id=order.group_id,
        package_id=package_id,
        member_id=member.id,
        card_id=card.id,
        order_id=order.id,
        store_id=order.store_id,
        name=name,
        terms=terms.document(),
        currency=order.currency,
        price=order.amount,
        price_reason=terms.reason,
        is_first=terms.is_first,
        renews_id=last.id if last else None,
        state=OwnedState.RUNNING if period.starts_at <= now else OwnedState.WAITING,
        bought_at=now,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        # Who has it for a few days knows when it ends.
        remind_at=remind_at if remind_at > period.starts_at else None,
    )
    await tx.insert(owned)
    benefit_ids = {each.benefit_id for each in terms.contents if each.benefit_id is not None}
    for benefit_id in sorted(benefit_ids):
        await benefits.grant(
            tx,
            card=card,
            benefit_id=benefit_id,
            source=BenefitSource.PACKAGE,
            source_id=owned.id,
            starts_at=owned.starts_at,
            ends_at=owned.ends_at,
            now=now,
        )
    holder = _Holder(member, card)
    if owned.state is OwnedState.RUNNING:
        await _upgrade(tx, owned, terms, holder, now)
    await _give(tx, owned, terms, _causes_of_purchase(owned, terms), holder, now)
    return owned


async def renewed_by(
    tx: Transaction, order: Order, *, card: Card, package_id: UUID
) -> OwnedPackage | None:
    """The last one of a package on a locked card, if it had not ended when an order was made."""
    return await tx.one(
        last_on_card, card_id=card.id, package_id=package_id, ordered_at=order.created_at
    )


async def begin_due(tx: Transaction, *, now: datetime) -> int:
    """Let those begin whose time has come: the tier, and gifts that waited for it (BEN-6)."""
    found = await tx.all(due_to_begin, now=now)
    held = await _held(tx, found)
    for owned in found:
        if not await tx.changed(begin_it, owned_id=owned.id):
            continue  # another worker was faster, or it was refunded
        holder = held[owned.id]
        if cards.status_at(holder.card, now) in (CardStatus.EXPIRED, CardStatus.REFUNDED):
            continue  # nothing more comes to a card that is over
        terms = Terms.from_document(owned.terms)
        await _upgrade(tx, owned, terms, holder, now)
        if terms.is_renewal:
            await _give(tx, owned, terms, [RENEWAL_BEGUN], holder, now)
    return len(found)


async def end_due(tx: Transaction, *, now: datetime) -> int:
    """End those whose time is over: the tier that came with it goes too (TIR-1)."""
    found = await tx.all(due_to_end, now=now)
    held = await _held(tx, found)
    for owned in found:
        if await tx.changed(end_it, owned_id=owned.id, new_ended_at=owned.ends_at):
            await take_tier(tx, owned, held[owned.id].card, now=now)
    return len(found)


async def remind_due(tx: Transaction, *, now: datetime) -> int:
    """Tell holders three days before one ends that they have not renewed."""
    found = await tx.all(due_to_remind, now=now)
    for owned in found:
        await tx.changed(reminded, owned_id=owned.id)
        member = await members.living(tx, owned.member_id)
        is_news = (
            owned.state is OwnedState.RUNNING
            and owned.ends_at > now
            and member.status is MemberStatus.ACTIVE
        )
        if is_news and not await tx.one(renewal_of, owned_id=owned.id):
            for notice in await notices.write(tx, [_notice(owned, member, now)]):
                live.tell(tx, notice.member_id, "NOTICE", object_id=notice.id, now=now)
    return len(found)


async def take_tier(tx: Transaction, owned: OwnedPackage, card: Card, *, now: datetime) -> Card:
    """End the tier that came with a package, on its locked card (TIR-1)."""
    return await tiers.end_grants(
        tx, card=card, source=GrantSource.PACKAGE, source_id=owned.id, now=now
    )


def cause_of(content: Content) -> str | None:
    """What a gift is given for; None for what is no gift."""
    match content.kind, content.moment:
        case ContentKind.FIRST_PURCHASE_GIFT, _:
            return FIRST
        case ContentKind.REPEAT_PURCHASE_GIFT, _:
            return REPEAT
        case ContentKind.EARLY_RENEWAL_GIFT, GiftMoment.AT_ONCE:
            return RENEWED
        case ContentKind.EARLY_RENEWAL_GIFT, GiftMoment.WHEN_IT_BEGINS:
            return RENEWAL_BEGUN
    return None


def gifts_for(terms: Terms, cause: str) -> list[Content]:
    """The gifts that come for a cause."""
    return [content for content in terms.contents if cause_of(content) == cause]


def _causes_of_purchase(owned: OwnedPackage, terms: Terms) -> list[str]:
    """A renewal is a repeated purchase too: the gifts of both come with it."""
    causes = [FIRST if terms.is_first else REPEAT]
    if terms.is_renewal:
        causes.append(RENEWED)
        if owned.state is OwnedState.RUNNING:
            causes.append(RENEWAL_BEGUN)
    return causes


async def _upgrade(
    tx: Transaction, owned: OwnedPackage, terms: Terms, holder: _Holder, now: datetime
) -> None:
    """Give the card the tier that comes with it until it ends (TIR-1).

    One that its scheme has no more is left out: the rest was paid for too.
    """
    card = holder.card
    for content in terms.contents:
        if content.tier_id is not None:
            try:
                card = await tiers.grant(
                    tx,
                    card=card,
                    tier_id=content.tier_id,
                    source=GrantSource.PACKAGE,
                    source_id=owned.id,
                    expires_at=owned.ends_at,
                    now=now,
                )
            except tiers.TierNotFound:
                # Nothing was written for it yet.
                _log.warning("the tier of a package is not there", package=owned.id.hex)


async def _give(
    tx: Transaction,
    owned: OwnedPackage,
    terms: Terms,
    causes: Iterable[str],
    holder: _Holder,
    now: datetime,
) -> None:
    """Give what comes for each cause to whoever holds it: coupons of all first, then points."""
    amounts: dict[str, int] = {}
    for cause in causes:
        given = gifts_for(terms, cause)
        amounts[cause] = sum(content.points for content in given)
        coupons_given = [gift for content in given for gift in content.gifts]
        if coupons_given:
            await coupons.give(
                tx,
                member=holder.member,
                gifts=coupons_given,
                cause_kind=cause,
                cause_id=owned.id,
                group_id=owned.group_id,
                store_id=owned.store_id,
                now=now,
            )
    scheme = (await schemes.by_ids(tx, [holder.card.scheme_id]))[holder.card.scheme_id]
    for cause, amount in amounts.items():
        if amount:
            await points.credit(
                tx,
                card=holder.card,
                scheme=scheme,
                amount=amount,
                cause_kind=cause,
                cause_id=owned.id,
                actor_kind=PrincipalKind.SYSTEM,
                actor_id=None,
                store_id=owned.store_id,
                occurred_at=now,
                now=now,
            )


async def _held(tx: Transaction, found: Collection[OwnedPackage]) -> dict[UUID, _Holder]:
    """Each one's card and its holder as they live today, locked in the order of their ids."""
    living = {owned.id: await cards.living(tx, owned.card_id) for owned in found}
    of_id: dict[UUID, Member] = {}
    for member_id in sorted({card.member_id for card in living.values()}):
        of_id[member_id] = await members.locked(tx, member_id)
    locked: dict[UUID, Card] = {}
    for card in sorted(living.values(), key=lambda each: each.id):
        if card.id not in locked:
            locked[card.id] = await cards.locked(tx, card)
    return {
        owned_id: _Holder(of_id[card.member_id], locked[card.id])
        for owned_id, card in living.items()
    }


def _notice(owned: OwnedPackage, member: Member, now: datetime) -> Notice:
    return notices.new_notice(
        group_id=owned.group_id,
        member_id=member.id,
        kind=NOTICE_KIND,
        unique_key=f"package_ending:{owned.id}",
        details={
            "owned_package_id": str(owned.id),
            "name": owned.name,
            "ends_at": owned.ends_at.isoformat(),
        },
        created_at=now,
    )
