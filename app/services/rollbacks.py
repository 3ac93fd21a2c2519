"""Taking back points that came by fraud, with everything that followed from them (PTS-7)."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, and_, bindparam, cast, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, changed_copy, statement
from app.core.errors import DomainError
from app.core.money import proportion_half_up
from app.core.texts import checked_text
from app.models.cards import Card, Scheme
from app.models.ledger import (
    Account,
    AccountKind,
    Entry,
    Lot,
    LotMovement,
    Posting,
    PostingKind,
    SystemAccount,
)
from app.models.purchases import Purchase
from app.models.spendings import Spending, SpendingState
from app.models.staff import Permission
from app.services import audit, cards, ledger, organisation, points, requests, schemes, tiers
from app.services.actors import Actor

CAUSE = "roll_back"
REASON_CHARS_MAX = 200
FOLLOWERS_MAX = 200
"""Postings shown that had used the points."""


class OfLine(NamedTuple):
    """Where a line of the ledger belongs."""

    card_id: UUID
    posting_id: UUID


posting_of_line = statement(
    select(Entry.card_id, Entry.posting_id).where(
        col(Entry.id) == bindparam("line_id"), col(Entry.card_id).is_not(None)
    ),
    into=OfLine,
)
posting_by_id = statement(
    select(Posting).where(col(Posting.id) == bindparam("posting_id")), into=Posting
)
lock_purchase = statement(
    select(Purchase).where(col(Purchase.id) == bindparam("purchase_id")).with_for_update(),
    into=Purchase,
)


class Amount(NamedTuple):
    kind: AccountKind
    amount: int


def _sum(amount: object) -> object:
    return cast(func.coalesce(func.sum(amount), 0), BigInteger).label("amount")


# What a posting brought, less what was taken back of it.
kept_of = statement(
    select(Account.kind, _sum(Entry.amount))  # type: ignore[call-overload]
    .select_from(Entry)
    .join(Posting, col(Posting.id) == col(Entry.posting_id))
    .join(Account, col(Account.id) == col(Entry.account_id))
    .where(
        or_(
            col(Posting.id) == bindparam("posting_id"),
            col(Posting.reverses_id) == bindparam("posting_id"),
        )
    )
    .group_by(col(Account.kind)),
    into=Amount,
)
# What nobody can use any more, so that it need not be taken.
gone_of = statement(
    select(Account.kind, _sum(LotMovement.amount))  # type: ignore[call-overload]
    .select_from(LotMovement)
    .join(Lot, col(Lot.id) == col(LotMovement.lot_id))
    .join(Account, col(Account.id) == col(Lot.account_id))
    .join(Posting, col(Posting.id) == col(LotMovement.posting_id))
    .where(
        col(Lot.origin_id) == bindparam("posting_id"),
        or_(col(Posting.kind) == PostingKind.EXPIRE, col(Posting.kind) == PostingKind.DECAY),
    )
    .group_by(col(Account.kind)),
    into=Amount,
)
# What a posting took: from accounts, and of that from lots; the rest it left as a debt.
entries_of = statement(
    select(Account.kind, _sum(Entry.amount))  # type: ignore[call-overload]
    .select_from(Entry)
    .join(Account, col(Account.id) == col(Entry.account_id))
    .where(col(Entry.posting_id) == bindparam("posting_id"))
    .group_by(col(Account.kind)),
    into=Amount,
)
movements_of = statement(
    select(Account.kind, _sum(LotMovement.amount))  # type: ignore[call-overload]
    .select_from(LotMovement)
    .join(Lot, col(Lot.id) == col(LotMovement.lot_id))
    .join(Account, col(Account.id) == col(Lot.account_id))
    .where(col(LotMovement.posting_id) == bindparam("posting_id"))
    .group_by(col(Account.kind)),
    into=Amount,
)


class Follower(NamedTuple):
    """A posting that used points of what was rolled back."""

    id: UUID
    kind: PostingKind
    amount: int
    occurred_at: datetime
    authorised_id: UUID | None
    """The spending it still holds them for: that one is left as it is."""


followers_of = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        Posting.id,
        Posting.kind,
        cast(-func.sum(LotMovement.amount), BigInteger).label("amount"),
        Posting.occurred_at,
        col(Spending.id).label("authorised_id"),
    )
    .select_from(LotMovement)
    .join(Lot, col(Lot.id) == col(LotMovement.lot_id))
    .join(Account, col(Account.id) == col(Lot.account_id))
    .join(Posting, col(Posting.id) == col(LotMovement.posting_id))
    .outerjoin(
        Spending,
        and_(
            col(Spending.posting_id) == col(Posting.id),
            col(Spending.state) == SpendingState.AUTHORISED,
        ),
    )
    .where(
        col(Lot.origin_id) == bindparam("posting_id"),
        col(Account.kind) == AccountKind.POINTS,
        col(LotMovement.amount) < 0,
        col(Posting.id) != bindparam("posting_id"),
        col(Posting.kind) != PostingKind.MERGE,
        col(Posting.kind) != PostingKind.MERGE_UNDO,
        col(Posting.kind) != PostingKind.ROLL_BACK,
    )
    .group_by(col(Posting.id), col(Posting.kind), col(Posting.occurred_at), col(Spending.id))
    .order_by(col(Posting.id))
    .limit(FOLLOWERS_MAX),
    into=Follower,
)
take_from_purchase = statement(
    update(Purchase)
    .where(col(Purchase.id) == bindparam("purchase_id"))
    .values(
        points_taken_back=col(Purchase.points_earned),
        growth_amount=0,
        growth_taken_back=col(Purchase.growth_taken_back) + bindparam("growth"),
    )
)
count_less = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"))
    .values(growth_amount=bindparam("new_growth_amount"))
)


class LedgerLineNotFound(DomainError):
    """No such line, or one of a card the actor has nothing to do with."""

    def __init__(self) -> None:
        super().__init__("There is no such movement.")


class NotToRollBack(DomainError):
    """Neither earned points nor those of a top-up."""

    def __init__(self, kind: PostingKind) -> None:
        self.kind = kind
        super().__init__("Only points that were earned or came with a top-up can be rolled back.")


class AlreadyRolledBack(DomainError):
    """The posting was rolled back before."""

    def __init__(self, rolled_back_at: datetime) -> None:
        self.rolled_back_at = rolled_back_at
        super().__init__("This was rolled back already.")


class NothingToRollBack(DomainError):
    """All that the posting brought was taken back or has expired."""

    def __init__(self) -> None:
        super().__init__("Nothing of this is left to roll back.")


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was taken, and what had followed from it."""

    posting: Posting
    card: Card
    points: int
    growth: int
    debt: int
    """Points that were spent already: what the card owes on account of this."""
    followers: list[Follower]
    is_replay: bool


@dataclass(frozen=True, slots=True)
class _Take:
    """How much goes, of which postings' lots."""

    points: int
    growth: int
    growth_origin_id: UUID
    counted: int = 0
    """What of a purchase counts for growth no longer."""


async def roll_back(
    tx: Transaction, actor: Actor, *, line_id: UUID, reason: str, request_key: str, now: datetime
) -> RolledBack:
    """Take back the points that a posting brought, and the growth that came for the same cause;
    the card's tier follows (PTS-7).

    Its own lots come first, what was spent of them becomes a debt; what expired is gone anyway.
    Spendings that hold such points for a bill that is not final are left. Whatever the card's
    status is. Raises `LedgerLineNotFound`, `NotToRollBack`, `AlreadyRolledBack`,
    `NothingToRollBack`, `BalanceTooLarge`, `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    line = await tx.one(posting_of_line, line_id=line_id)
    found = await tx.one(posting_by_id, posting_id=line.posting_id) if line else None
    if line is None or found is None or found.group_id != actor.group_id:
        raise LedgerLineNotFound
    assert found.scheme_id is not None, "the line is one of a member's card"
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=found.scheme_id)
    perspective = await organisation.node(tx, scheme.perspective_id)
    actor.require(Permission.POINTS_ROLL_BACK, perspective)
    origin, growth_origin = await _origins(tx, found)
    request = requests.Request(
        principal_id=actor.id,
        operation="pointsRollBack",
        key=request_key,
        input={"line": line_id, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        earlier = await ledger.posting_by_cause(tx, CAUSE, origin.id)
        assert earlier is not None
        card = await cards.living(tx, line.card_id)
        return await _answer(tx, earlier, origin, card, is_replay=True)
    if origin.kind not in {PostingKind.EARN, PostingKind.TOP_UP}:
        raise NotToRollBack(origin.kind)
    # The purchase before its card, as a refund locks them.
    purchase = None
    if origin.cause_kind == points.PURCHASE_CAUSE:
        purchase = await tx.one(lock_purchase, purchase_id=origin.cause_id)
    card = await cards.locked(tx, await cards.living(tx, line.card_id))
    if earlier := await ledger.posting_by_cause(tx, CAUSE, origin.id):
        raise AlreadyRolledBack(earlier.recorded_at)
    taken = await _due(tx, card, origin, growth_origin, purchase)
    posting = await _post(tx, actor, card, origin, taken, now)
    if purchase is not None:
        await tx.changed(take_from_purchase, purchase_id=purchase.id, growth=taken.growth)
    card = await _settle(tx, card, taken, posting, now)
    answer = await _answer(tx, posting, origin, card, is_replay=False)
    await audit.record(
        tx, actor, "points.roll_back", object_kind="card", object_id=card.id,
        node_id=perspective.id, now=now, posting=origin.id, points=answer.points,
        growth=answer.growth, debt=answer.debt, reason=reason,
    )  # fmt: skip
    return answer


async def gone(tx: Transaction, posting_id: UUID) -> Counter[AccountKind]:
    """How much of what a posting brought expired or was rolled back, of each kind."""
    found: Counter[AccountKind] = Counter()
    moved = await tx.all(gone_of, posting_id=posting_id)
    rolled_back = await ledger.posting_by_cause(tx, CAUSE, posting_id)
    if rolled_back is not None:
        moved = [*moved, *await tx.all(entries_of, posting_id=rolled_back.id)]
    for kind, amount in moved:
        found[kind] -= amount
    return found


async def _origins(tx: Transaction, found: Posting) -> tuple[Posting, Posting]:
    """The posting to roll back, whose points they are, and the one that brought its growth.

    What an event earned lies on two postings, of which either line leads here.
    """
    pair = {points.BEHAVIOUR_CAUSE: points.BEHAVIOUR_GROWTH_CAUSE}
    if found.cause_kind in pair:
        growth = await ledger.posting_by_cause(tx, pair[found.cause_kind], found.cause_id)
        return found, growth or found
    if found.cause_kind in pair.values():
        origin = await ledger.posting_by_cause(tx, points.BEHAVIOUR_CAUSE, found.cause_id)
        return origin or found, found
    return found, found


async def _due(
    tx: Transaction, card: Card, origin: Posting, growth_origin: Posting, purchase: Purchase | None
) -> _Take:
    """What there is to take back; raises `NothingToRollBack`."""
    kept = dict(await tx.all(kept_of, posting_id=origin.id))
    gone = dict(await tx.all(gone_of, posting_id=origin.id))
    kept_points = kept.get(AccountKind.POINTS, 0) + gone.get(AccountKind.POINTS, 0)
    counted = 0
    if purchase is not None:
        refunded = proportion_half_up(
            purchase.growth_amount, purchase.refunded_amount, purchase.total_amount
        )
        counted = purchase.growth_amount - refunded
        kept_growth = tiers.taken_by(purchase, card, counted)
    elif growth_origin.id != origin.id:
        kept = dict(await tx.all(kept_of, posting_id=growth_origin.id))
        kept_growth = kept.get(AccountKind.GROWTH, 0)
    else:
        kept_growth = kept.get(AccountKind.GROWTH, 0)
    taken = _Take(max(0, kept_points), max(0, kept_growth), growth_origin.id, counted)
    if not taken.points and not taken.growth:
        raise NothingToRollBack
    return taken


async def _post(
    tx: Transaction, actor: Actor, card: Card, origin: Posting, taken: _Take, now: datetime
) -> Posting:
    of, growth = await points.accounts(tx, card)
    header = ledger.Header.of(
        card,
        kind=PostingKind.ROLL_BACK,
        cause_kind=CAUSE,
        cause_id=origin.id,
        reverses_id=origin.id,
        store_id=origin.store_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        now=now,
    )
    goes = (
        (of, taken.points, origin.id, SystemAccount.POINTS_ISSUED),
        (growth, taken.growth, taken.growth_origin_id, SystemAccount.GROWTH_ISSUED),
    )
    sheet = await ledger.Sheet.open(
        tx, header, [account.id for account, amount, *_ in goes if amount]
    )
    for account, amount, origin_id, back_to in goes:
        if amount:
            await sheet.claw_back(account.id, amount, origin_id=origin_id)
            sheet.against(back_to, amount, account.unit)
    return await sheet.close()


async def _settle(
    tx: Transaction, card: Card, taken: _Take, posting: Posting, now: datetime
) -> Card:
    """What counts for growth no longer, and the tier that follows."""
    if taken.counted:
        card = changed_copy(card, growth_amount=max(0, card.growth_amount - taken.counted))
        await tx.changed(count_less, card_id=card.id, new_growth_amount=card.growth_amount)
    # Read under the card's lock, for which a release of new rules waits.
    scheme: Scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    return await tiers.after_roll_back(
        tx, card=card, scheme=scheme, growth_taken=taken.growth, cause_id=posting.id, now=now
    )


async def _answer(
    tx: Transaction, posting: Posting, origin: Posting, card: Card, *, is_replay: bool
) -> RolledBack:
    entries = dict(await tx.all(entries_of, posting_id=posting.id))
    movements = dict(await tx.all(movements_of, posting_id=posting.id))
    taken = -entries.get(AccountKind.POINTS, 0)
    return RolledBack(
        posting=posting,
        card=card,
        points=taken,
        growth=-entries.get(AccountKind.GROWTH, 0),
        debt=taken + movements.get(AccountKind.POINTS, 0),
        followers=await tx.all(followers_of, posting_id=origin.id),
        is_replay=is_replay,
    )
