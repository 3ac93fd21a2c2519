"""When points are cleared, by the rule of their scheme (PTS-4)."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, bindparam, cast, literal_column, or_
from sqlmodel import col, func, select, update

from app.core import points_expiry
from app.core.db import Transaction, any_of, statement
from app.core.errors import BadInput
from app.core.points_expiry import PointsExpiry, local_day
from app.models.cards import Card, Scheme, Tier
from app.models.ledger import Account, AccountKind, Lot
from app.models.purchases import Purchase
from app.models.tiers import TierGrant
from app.services import ledger, organisation

WITHIN_DAYS_MAX = 366
EXPIRING_MAX = 100
"""Of one card, shown at a time."""

# 0 as text, not as a value: only so does either database see that its index of unspent lots fits.
UNSPENT = col(Lot.remaining) > literal_column("0")

# What never expires and what is over already stay as they are, and nothing is brought forward.
roll = statement(
    update(Lot)
    .where(
        col(Lot.account_id)
        == select(Account.id)
        .where(
            col(Account.card_id) == bindparam("card_id"), col(Account.kind) == AccountKind.POINTS
        )
        .scalar_subquery(),
        UNSPENT,
        col(Lot.expires_at) > bindparam("now"),
        col(Lot.expires_at) < bindparam("later"),
    )
    .values(expires_at=bindparam("new_expires_at"))
)
last_purchase = statement(
    select(func.max(Purchase.occurred_at)).where(
        col(Purchase.card_id).in_(ledger.own_and_absorbed)
    ),
    into=datetime,
)
# The lowest tier has no end, whoever gave it until when.
grants_of_tier = statement(
    select(TierGrant)
    .join(Tier, col(Tier.id) == col(TierGrant.tier_id))
    .where(
        col(TierGrant.card_id) == bindparam("card_id"),
        col(TierGrant.tier_id) == bindparam("tier_id"),
        col(Tier.level) > 1,
        col(TierGrant.ended_at).is_(None),
        or_(col(TierGrant.expires_at).is_(None), col(TierGrant.expires_at) > bindparam("now")),
    ),
    into=TierGrant,
)


class Expiring(NamedTuple):
    """Points of a card that are cleared at one moment."""

    card_id: UUID
    expires_at: datetime
    amount: int


expiring_on_cards = statement(
    select(
        Account.card_id,
        Lot.expires_at,
        cast(func.sum(Lot.remaining), BigInteger).label("amount"),
    )
    .join(Account, col(Account.id) == col(Lot.account_id))
    .where(
        any_of(col(Account.card_id), "card_ids"),
        col(Account.kind) == AccountKind.POINTS,
        UNSPENT,
        col(Lot.expires_at) > bindparam("now"),
        col(Lot.expires_at) <= bindparam("until"),
    )
    .group_by(col(Account.card_id), col(Lot.expires_at))
    .order_by(col(Account.card_id), col(Lot.expires_at)),
    into=Expiring,
)


async def expiry(
    tx: Transaction, scheme: Scheme, card: Card, *, earned_at: datetime, now: datetime
) -> datetime | None:
    """When points that this card earns at a moment are cleared, None for never (PTS-4).

    Reads the scheme's zone, or the card's grants, only where the rule needs them.
    """
    match scheme.points_expiry:
        case PointsExpiry.PERMANENT:
            return None
        case PointsExpiry.WITH_TIER:
            return await end_of_tier(tx, card, now=now)
    return _by_calendar(scheme, earned_at, await zone_of(tx, scheme))


def _by_calendar(scheme: Scheme, earned_at: datetime, zone: ZoneInfo) -> datetime | None:
    rule, count = scheme.points_expiry, scheme.points_expiry_count
    return points_expiry.expires_at(rule, count, earned_at, zone)


async def end_of_tier(tx: Transaction, card: Card, *, now: datetime) -> datetime | None:
    """When the tier ends that a card has, by growth or given; None for never.

    Of a tier that is over, but was not ended yet, None too: what follows it sets a new end.
    """
    ends = []
    if card.growth_tier_id == card.tier_id:
        if card.growth_tier_expires_at is None:
            return None
        ends.append(card.growth_tier_expires_at)
    given = await tx.all(grants_of_tier, card_id=card.id, tier_id=card.tier_id, now=now)
    return last_end([*ends, *(grant.expires_at for grant in given)], now)


def last_end(ends: Iterable[datetime | None], now: datetime) -> datetime | None:
    """The end of what keeps a tier: the last one to come, None where one of them never ends."""
    last = None
    for end in ends:
        if end is None:
            return None
        if end > now and (last is None or end > last):
            last = end
    return last


async def zone_of(tx: Transaction, scheme: Scheme) -> ZoneInfo:
    """The zone of a scheme's business days: that of the node it was made under."""
    perspective = await organisation.node(tx, scheme.perspective_id)
    return ZoneInfo(perspective.time_zone)


async def after_purchase(
    tx: Transaction, *, card: Card, scheme: Scheme, occurred_at: datetime, now: datetime
) -> datetime | None:
    """When the points of a purchase are cleared; where points roll, those that the card has
    already are cleared then too (PTS-4).

    Rolling counts from the day of the last purchase, which a bill reported late need not be. The
    purchase is written down, the card locked.
    """
    if scheme.points_expiry is not PointsExpiry.ROLLING:
        return await expiry(tx, scheme, card, earned_at=occurred_at, now=now)
    zone = await zone_of(tx, scheme)
    if local_day(occurred_at, zone) < local_day(now, zone):
        last = await tx.one(last_purchase, card_id=card.id)
        assert last is not None
        occurred_at = max(occurred_at, last)
    cleared_at = _by_calendar(scheme, occurred_at, zone)
    await tx.changed(roll, card_id=card.id, now=now, later=cleared_at, new_expires_at=cleared_at)
    return cleared_at


async def expiring_within(
    tx: Transaction, card_ids: list[UUID], *, within_days: int, now: datetime
) -> dict[UUID, list[Expiring]]:
    """What of each card's points is cleared within so many days, the soonest first, 100 at most."""
    if not 1 <= within_days <= WITHIN_DAYS_MAX:
        raise BadInput(f"withinDays must be between 1 and {WITHIN_DAYS_MAX}.")
    found: defaultdict[UUID, list[Expiring]] = defaultdict(list)
    until = now + timedelta(days=within_days)
    for each in await tx.all(expiring_on_cards, card_ids=card_ids, now=now, until=until):
        found[each.card_id].append(each)
    return {card_id: found[card_id][:EXPIRING_MAX] for card_id in card_ids}
