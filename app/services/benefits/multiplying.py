"""What a purchase's points are multiplied by: the best benefit that holds for it (PTS-1)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, or_
from sqlmodel import col, select

from app.core.db import Transaction, statement
from app.core.money import BASIS_POINTS
from app.models.benefits import Benefit, BenefitGrant, BenefitState
from app.models.cards import Card, Scheme
from app.models.organisation import Node
from app.models.scopes import Channel
from app.services.benefits import terms
from app.services.benefits.bills import Bill, BillLine
from app.services.benefits.details import perk_for
from app.services.benefits.holding import ACTIVE_MAX, Held, grants_of_card, holding
from app.services.ledger.histories import own_and_absorbed

_active = (
    select(Benefit.id)
    .where(
        col(Benefit.group_id) == bindparam("group_id"),
        col(Benefit.state) == BenefitState.ACTIVE,
        col(Benefit.multiplies_points),
    )
    .exists()
)
_given = (
    select(BenefitGrant.id)
    .where(
        col(BenefitGrant.card_id).in_(own_and_absorbed),
        col(BenefitGrant.multiplies_points),
        col(BenefitGrant.starts_at) <= bindparam("at"),
        or_(col(BenefitGrant.ends_at).is_(None), col(BenefitGrant.ends_at) > bindparam("at")),
    )
    .exists()
)
# All that a purchase costs where nothing multiplies.
may_multiply = statement(select(or_(_active, _given)), into=bool)
multipliers_of_group = statement(
    select(Benefit)
    .where(
        col(Benefit.group_id) == bindparam("group_id"),
        col(Benefit.state) == BenefitState.ACTIVE,
        col(Benefit.multiplies_points),
    )
    .order_by(col(Benefit.id))
    .limit(ACTIVE_MAX),
    into=Benefit,
)


async def multiplier(
    tx: Transaction,
    *,
    card: Card,
    scheme: Scheme,
    store: Node,
    net_amount: int,
    item_ids: Sequence[str],
    at: datetime,
    now: datetime,
) -> int:
    """The highest multiplier, in basis points, that held at a till when the bill was made.

    The bill is paid, so nothing of it is outstanding; of stored value the amount of now is asked.
    Where the till names what was bought, something must be left that a benefit does not exclude;
    it says no categories. What the benefit multiplies are the points of the whole bill.
    """
    earns = scheme.points_rate > 0 and net_amount >= scheme.points_unit
    if not earns or not await tx.one(may_multiply, group_id=card.group_id, card_id=card.id, at=at):
        return BASIS_POINTS
    given = await tx.all(grants_of_card, card_id=card.id, at=at)
    general = await tx.all(multipliers_of_group, group_id=card.group_id)
    every = [Held(terms.of_grant(row), row) for row in given if row.multiplies_points]
    every += [Held(each, None) for each in await terms.of_benefits(tx, general)]
    lines = tuple(BillLine(item_id=item_id, quantity=1, amount=0) for item_id in item_ids)
    bill = Bill(currency=scheme.currency, lines=lines, outstanding=0) if lines else None
    answer = await holding(
        tx, card=card, channel=Channel.POS, store=store, bill=bill, at=at, now=now, benefits=every
    )
    perks = [perk_for(each.held.terms.details, card.tier_id) for each in answer.holding]
    return max((perk.multiplier_bp for perk in perks), default=BASIS_POINTS)
