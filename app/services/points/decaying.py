"""Points that nobody uses become fewer (PTS-9)."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlalchemy.orm import aliased
from sqlmodel import col, or_, select

from app.core.db import Transaction, any_of, statement
from app.core.ids import SMALLEST_ID
from app.core.money import BASIS_POINTS
from app.core.points_expiry import add_months, local_day, next_month, start_of_day
from app.models.cards import Card, CardStatus, Scheme
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind, SystemAccount
from app.models.sessions import PrincipalKind
from app.services import cards, jobs, ledger, schemes
from app.services.points.expiring import zone_of

CAUSE = "decay"
DECAY = "points.decay"
"""The routine, and the job that goes on with the next batch."""
CARDS_AT_ONCE = 200
"""Cards of one job, which is one transaction; each that decays takes a posting."""

lock_cards = statement(
    select(Card)
    .where(any_of(col(Card.id), "card_ids"))
    .order_by(col(Card.id))
    .with_for_update(key_share=True),
    into=Card,
)


class Unused(NamedTuple):
    """A card whose points did not move for a long time."""

    card_id: UUID
    account_id: UUID


# Neither is what happened to points by itself or by us a use of them, nor a move within a person.
NO_USE = (
    PostingKind.DECAY,
    PostingKind.EXPIRE,
    PostingKind.ROLL_BACK,
    PostingKind.MERGE,
    PostingKind.MERGE_UNDO,
)
_own = aliased(Card)
_moved = aliased(Account)
unused = statement(
    select(col(Card.id).label("card_id"), col(Account.id).label("account_id"))
    .join(Account, col(Account.card_id) == col(Card.id))
    .where(
        any_of(col(Card.id), "card_ids"),
        # A lost or frozen card cannot be used, so what it holds stays (CRD-3).
        col(Card.status) == CardStatus.NORMAL,
        col(Account.kind) == AccountKind.POINTS,
        col(Account.balance) > 0,
        ~select(Entry.id)
        .join(Posting, col(Posting.id) == col(Entry.posting_id))
        .join(_moved, col(_moved.id) == col(Entry.account_id))
        .where(
            col(Entry.card_id).in_(
                select(_own.id)
                .where(or_(col(_own.id) == col(Card.id), col(_own.merged_into_id) == col(Card.id)))
                .correlate(Card)
            ),
            col(_moved.kind) == AccountKind.POINTS,
            col(Posting.occurred_at) > bindparam("since"),
            *(col(Posting.kind) != kind for kind in NO_USE),
        )
        .correlate(Card)
        .exists(),
    )
    .order_by(col(Card.id)),
    into=Unused,
)
decayed_before = statement(
    select(Posting.cause_id).where(
        col(Posting.cause_kind) == CAUSE, any_of(col(Posting.cause_id), "cause_ids")
    ),
    into=UUID,
)


def next_after(after: datetime, zone: ZoneInfo) -> datetime:
    """The next beginning of a month in a zone, in UTC."""
    return start_of_day(next_month(local_day(after, zone)), zone)


async def decay(
    tx: Transaction,
    *,
    scheme_id: UUID,
    due_at: datetime,
    after_card_id: UUID | None = None,
    at_most: int = CARDS_AT_ONCE,
    now: datetime,
) -> int:
    """Clear a share of the points of those of a batch of the scheme's cards on which none moved
    for so many months, then have the next batch done (PTS-9); on how many cards.

    A card decays once a month, however often this runs.
    """
    scheme = (await schemes.by_ids(tx, [scheme_id]))[scheme_id]
    if scheme.decay_after_months is None:
        return 0
    card_ids = await cards.ids_of_scheme(
        tx, scheme_id=scheme_id, after=after_card_id or SMALLEST_ID, at_most=at_most
    )
    if len(card_ids) == at_most:
        await jobs.enqueue(
            tx,
            DECAY,
            {
                "subject_id": str(scheme_id),
                "due_at": due_at.isoformat(),
                "after_card_id": str(card_ids[-1]),
            },
            unique_key=f"{DECAY}:{scheme_id}:{due_at:%Y%m%d%H}:{card_ids[-1].hex}",
            now=now,
        )
    zone = await zone_of(tx, scheme)
    day = local_day(due_at, zone)
    since = start_of_day(add_months(day, -scheme.decay_after_months), zone)
    found = await tx.all(unused, card_ids=card_ids, since=since)
    if not found:
        return 0
    locked = await tx.all(lock_cards, card_ids=[each.card_id for each in found])
    by_id = {card.id: card for card in locked}
    # Again under the locks: whoever used a card meanwhile loses nothing.
    found = await tx.all(unused, card_ids=list(by_id), since=since)
    causes = {each.card_id: uuid5(each.card_id, f"{day:%Y-%m}") for each in found}
    before = set(await tx.all(decayed_before, cause_ids=list(causes.values())))
    number = 0
    for card_id, account_id in found:
        if causes[card_id] not in before:
            number += await _decay(
                tx, scheme, by_id[card_id], account_id, causes[card_id], due_at, now
            )
    return number


async def _decay(
    tx: Transaction,
    scheme: Scheme,
    card: Card,
    account_id: UUID,
    cause_id: UUID,
    due_at: datetime,
    now: datetime,
) -> bool:
    header = ledger.Header.of(
        card,
        kind=PostingKind.DECAY,
        cause_kind=CAUSE,
        cause_id=cause_id,
        actor_kind=PrincipalKind.SYSTEM,
        occurred_at=due_at,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account_id])
    # What expires at this very moment has no share in it.
    held = sum(lot.remaining for lot in await sheet.live(account_id))
    lost = held * scheme.decay_bp // BASIS_POINTS
    if not lost:
        return False
    await sheet.take(account_id, lost, also_restricted=True)
    sheet.against(SystemAccount.EXPIRED, lost, sheet.account(account_id).unit)
    await sheet.close()
    return True
