"""Many members at once, each signed in and with points on a card, by plain inserts."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from app.core.db import Transaction, light
from app.core.ids import new_id
from app.models.cards import Card, Scheme
from app.models.ledger import Account, AccountKind, Entry, Lot, Posting, PostingKind, SystemAccount
from app.models.members import Member
from app.models.sessions import PrincipalKind, Session
from app.services import cards, schemes
from app.services.ledger import GROWTH, POINTS
from tests.factories.cards import SESSION_LIFE


class Buyer(NamedTuple):
    """A member, whose session has the same id, and their card."""

    member_id: UUID
    card_id: UUID


async def many_buyers(
    tx: Transaction, *, scheme: Scheme, number: int, points: int, now: datetime
) -> list[Buyer]:
    """So many members with so many points each, which one posting brought."""
    tier = (await schemes.tiers_by_scheme(tx, [scheme.id]))[scheme.id][0]
    buyers = [Buyer(new_id(), new_id()) for _ in range(number)]
    group_id = scheme.group_id
    units = {
        AccountKind.CASH: scheme.currency, AccountKind.BONUS: scheme.currency,
        AccountKind.POINTS: POINTS, AccountKind.GROWTH: GROWTH,
    }  # fmt: skip
    accounts = [
        light(Account)(
            card_id=buyer.card_id,
            kind=kind,
            unit=unit,
            balance=points if kind is AccountKind.POINTS else 0,
        )
        for buyer in buyers
        for kind, unit in units.items()
    ]
    posting = light(Posting)(
        group_id=group_id,
        kind=PostingKind.ADJUST,
        cause_kind="test",
        cause_id=new_id(),
        scheme_id=scheme.id,
        actor_kind=PrincipalKind.SYSTEM.value,
        occurred_at=now,
        recorded_at=now,
    )
    with_points = [each for each in accounts if each.kind is AccountKind.POINTS]

    def entry(amount: int, **of: Any) -> Entry:
        return light(Entry)(posting_id=posting.id, unit=POINTS, amount=amount, **of)

    await tx.insert(
        *(light(Member)(id=b.member_id, group_id=group_id, joined_at=now) for b in buyers),
        *(
            light(Session)(
                id=buyer.member_id,
                group_id=group_id,
                principal_kind=PrincipalKind.MEMBER,
                principal_id=buyer.member_id,
                method="sms",
                started_at=now,
                refreshed_at=now,
                expires_at=now + SESSION_LIFE,
            )
            for buyer in buyers
        ),
        *(
            light(Card)(
                id=buyer.card_id,
                group_id=group_id,
                member_id=buyer.member_id,
                scheme_id=scheme.id,
                tier_id=tier.id,
                serial=serial,
                number=cards.number_of(serial),
                issued_at=now,
            )
            for serial, buyer in enumerate(buyers, start=cards.SERIAL_FIRST)
        ),
        *accounts,
        posting,
        entry(-points * number, system_account=SystemAccount.ADJUSTMENTS),
        *(
            entry(points, card_id=each.card_id, account_id=each.id, balance_after=points)
            for each in with_points
        ),
        *(
            light(Lot)(
                account_id=each.id,
                origin_id=posting.id,
                amount=points,
                remaining=points,
                earned_at=now,
            )
            for each in with_points
        ),
    )
    return buyers
