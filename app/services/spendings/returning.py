"""What goes back of a spending: to the very lots, by the split it was taken with (TOP-9, PTS-6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, func, select, update

from app.core.db import Transaction, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.core.money import Money
from app.core.texts import checked_text
from app.models.cards import Card, CardStatus
from app.models.ledger import AccountKind, PostingKind, SystemAccount
from app.models.sessions import PrincipalKind
from app.models.spendings import (
    Spending,
    SpendingPart,
    SpendingRefund,
    SpendingState,
)
from app.models.staff import Permission
from app.services import audit, cards, ledger, live, purchases, requests
from app.services.actors import Actor
from app.services.ledger.accounts import POINTS
from app.services.spendings import reading
from app.services.spendings.reading import Done
from app.services.spendings.splitting import Share, share_of, taken_by

REFUNDS_MAX = 200
"""Of one spending, so that all of them can be shown with it."""
REASON_CHARS_MAX = 200
VOIDED_AT_TILL_MAX = timedelta(days=1)
VOIDED_AT_ONCE_MAX = 100
VOID_CAUSE = "spending_void"
REFUND_CAUSE = "spending_refund"

SPENT = {
    AccountKind.CASH: SystemAccount.REVENUE,
    AccountKind.BONUS: SystemAccount.BONUS_SPENT,
    AccountKind.POINTS: SystemAccount.POINTS_SPENT,
}
"""Where value goes that a captured spending took."""

parts_of = statement(
    select(SpendingPart)
    .where(col(SpendingPart.spending_id) == bindparam("spending_id"))
    .order_by(col(SpendingPart.position)),
    into=SpendingPart,
)
number_of_refunds = statement(
    select(func.count()).where(col(SpendingRefund.spending_id) == bindparam("spending_id")),
    into=int,
)
refund_by_id = statement(
    select(SpendingRefund).where(col(SpendingRefund.id) == bindparam("refund_id")),
    into=SpendingRefund,
)
add_returned = statement(
    update(SpendingPart)
    .where(
        col(SpendingPart.id) == bindparam("part_id"),
        col(SpendingPart.returned) + bindparam("by") <= col(SpendingPart.taken),
    )
    .values(returned=col(SpendingPart.returned) + bindparam("by"))
)
move_on = statement(
    update(Spending)
    .where(
        col(Spending.id) == bindparam("spending_id"), col(Spending.state) == bindparam("was_state")
    )
    .values(
        state=bindparam("new_state"),
        ended_at=bindparam("new_ended_at"),
        returned_amount=col(Spending.returned_amount) + bindparam("amount"),
        returned_cash=col(Spending.returned_cash) + bindparam("cash"),
        returned_bonus=col(Spending.returned_bonus) + bindparam("bonus"),
        returned_points=col(Spending.returned_points) + bindparam("points"),
    )
)
overdue = statement(
    select(Spending)
    .where(
        # As the partial index says it, or no plan for every value could go by it.
        col(Spending.state) == literal_column("'AUTHORISED'"),
        col(Spending.expires_at) <= bindparam("now"),
    )
    .order_by(col(Spending.expires_at))
    .limit(VOIDED_AT_ONCE_MAX)
    .with_for_update(skip_locked=True),
    into=Spending,
)
new_refund = light(SpendingRefund)


class SpendingNotOpen(DomainError):
    """A spending in a state, or at a time, in which this cannot be done with it."""

    def __init__(self, state: SpendingState, why: str) -> None:
        self.state = state
        super().__init__(why)


class SpendingRefundTooLarge(DomainError):
    """More than what is left of the spending to refund."""

    def __init__(self, *, refundable: Money) -> None:
        self.refundable = refundable
        super().__init__("This is more than what is left to refund.")


class SpendingRefundedTooOften(DomainError):
    """The spending was refunded as often as one can be."""

    def __init__(self) -> None:
        super().__init__(f"This spending was refunded {REFUNDS_MAX} times already.")


class Refunded(NamedTuple):
    """A refund, and the spending as it left it."""

    refund: SpendingRefund
    done: Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A part of a spending, or all that is left of it, on its way back."""

    spending: Spending
    card: Card
    """The living one, locked."""
    amount: int
    share: Share
    state: SpendingState
    """What the spending is afterwards."""

    @property
    def is_of_held(self) -> bool:
        """Whether the spending was authorised and not captured until now."""
        return self.spending.state is SpendingState.AUTHORISED

    def against(self) -> Iterable[ledger.Against]:
        """Who gives what goes back; with a capture, where the rest goes."""
        spending, taken = self.spending, taken_by(self.spending)
        units = {AccountKind.POINTS: POINTS}
        for kind, was_taken, back in zip(SPENT, taken, self.share, strict=True):
            unit = units.get(kind, spending.currency)
            if not self.is_of_held:
                yield ledger.Against(SPENT[kind], -back, unit)
                continue
            yield ledger.Against(SystemAccount.HELD, -was_taken, unit)
            yield ledger.Against(SPENT[kind], was_taken - back, unit)


async def void(
    tx: Transaction,
    actor: Actor,
    *,
    spending_id: UUID,
    reason: str,
    request_key: str,
    now: datetime,
) -> Done:
    """Give back all that a spending took and still has, once (TOP-9).

    A day after a bill was paid that takes the permission to refund. Raises `SpendingNotFound`,
    `SpendingNotOpen` for one that was voided or refunded in part, `CardNotUsable` for a card that
    was paid out, `BalanceTooLarge`, `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    spending, store = await reading.locked(
        tx, actor, spending_id=spending_id, permission=Permission.SPENDINGS_WRITE
    )
    request = requests.Request(
        principal_id=actor.id,
        operation="spendingVoid",
        key=request_key,
        input={"spending": spending.id, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return await reading.done(tx, spending, is_replay=True)
    if spending.state is SpendingState.VOIDED:
        raise SpendingNotOpen(spending.state, "This spending was voided already.")
    if await tx.one(number_of_refunds, spending_id=spending.id):
        why = "This spending was refunded in part. Refund the rest."
        raise SpendingNotOpen(spending.state, why)
    if spending.state is SpendingState.CAPTURED and now > spending.made_at + VOIDED_AT_TILL_MAX:
        # What a till undoes is a mistake of today; what was paid before is a refund.
        actor.require(Permission.SPENDINGS_REFUND, store)
    card = await receiving_card(tx, spending)
    voided = await _void(tx, spending, card, by=actor, now=now)
    await audit.record(
        tx, actor, "spending.void", object_kind="spending", object_id=spending.id,
        node_id=store.id, now=now, card=card.id, was=spending.state, reason=reason,
        amount=voided.returned_amount - spending.returned_amount,
    )  # fmt: skip
    return await reading.done(tx, voided)


async def refund(
    tx: Transaction,
    actor: Actor,
    *,
    spending_id: UUID,
    amount: Money,
    reason: str,
    request_key: str,
    now: datetime,
) -> Refunded:
    """Give back a part or all of a captured spending, by the split it was taken with (TOP-9).

    Raises `SpendingNotFound`, `SpendingNotOpen`, `WrongCurrency`, `SpendingRefundTooLarge`,
    `SpendingRefundedTooOften`, `CardNotUsable` for a card that was paid out, `BalanceTooLarge`,
    `RequestKeyReused`.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    spending, store = await reading.locked(
        tx, actor, spending_id=spending_id, permission=Permission.SPENDINGS_REFUND
    )
    require_amount(amount, spending)
    request = requests.Request(
        principal_id=actor.id,
        operation="spendingRefund",
        key=request_key,
        input={"spending": spending.id, "amount": amount.amount, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        earlier = await tx.one(refund_by_id, refund_id=claim.answer_id)
        assert earlier is not None
        return Refunded(earlier, await reading.done(tx, spending, is_replay=True))
    if spending.state is not SpendingState.CAPTURED:
        why = f"This spending is {spending.state.lower()}, so there is nothing to refund."
        raise SpendingNotOpen(spending.state, why)
    left = spending.amount - spending.returned_amount
    if amount.amount > left:
        raise SpendingRefundTooLarge(refundable=Money(left, spending.currency))
    if (await tx.one(number_of_refunds, spending_id=spending.id) or 0) >= REFUNDS_MAX:
        raise SpendingRefundedTooOften
    card = await receiving_card(tx, spending)
    share = share_of(spending, amount.amount)
    made = new_refund(
        id=claim.answer_id,
        spending_id=spending.id,
        amount=amount.amount,
        **share._asdict(),
        reason=reason,
        refunded_at=now,
    )
    await tx.insert(made)
    after = await give_back(
        tx,
        Return(
            spending=spending, card=card, amount=amount.amount, share=share, state=spending.state
        ),
        kind=PostingKind.SPEND_REVERSAL, cause_kind=REFUND_CAUSE, cause_id=made.id, by=actor,
        now=now,
    )  # fmt: skip
    await audit.record(
        tx, actor, "spending.refund", object_kind="spending", object_id=spending.id,
        node_id=store.id, now=now, card=card.id, amount=amount.amount, **share._asdict(),
    )  # fmt: skip
    live.tell(tx, card.member_id, "VALUE_RETURNED", object_id=spending.id, now=now)
    return Refunded(made, await reading.done(tx, after))


async def void_overdue(tx: Transaction, *, now: datetime) -> int:
    """Void a batch of authorisations whose time is over, each once; how many there were.

    What was held goes back whatever became of the card, so that it is nowhere lost.
    """
    found = await tx.all(overdue, now=now)
    living = {row.id: await cards.living(tx, row.card_id) for row in found}
    # Cards in the order of their ids, as a merge locks them.
    for spending in sorted(found, key=lambda row: (living[row.id].id, row.id)):
        card = await cards.locked(tx, living[spending.id])
        await _void(tx, spending, card, by=None, now=now)
    return len(found)


def require_amount(amount: Money, spending: Spending) -> None:
    """Raise `WrongCurrency`, or `BadInput` for what is no amount."""
    if amount.currency != spending.currency:
        raise purchases.WrongCurrency(spending.currency)
    if amount.amount <= 0:
        raise BadInput("amount must be above 0.")


async def receiving_card(tx: Transaction, spending: Spending) -> Card:
    """The card that gets back what a spending took, whatever its status, locked.

    Where it was merged, the one that absorbed it. Raises `CardNotUsable` for one that was paid out
    and closed: nobody could use what comes back (CRD-4).
    """
    card = await cards.locked(tx, await cards.living(tx, spending.card_id))
    if card.status is CardStatus.REFUNDED:
        raise cards.CardNotUsable(card.status)
    return card


async def give_back(
    tx: Transaction,
    returned: Return,
    *,
    kind: PostingKind,
    cause_kind: str,
    cause_id: UUID,
    by: Actor | None,
    now: datetime,
) -> Spending:
    """Post what goes back, to the lots taken last first, and count it; the spending afterwards."""
    spending, share = returned.spending, returned.share
    parts = _last_first(await tx.all(parts_of, spending_id=spending.id), share)
    for part, amount in parts:
        added = await tx.changed(add_returned, part_id=part.id, by=amount)
        assert added == 1, "a part moved under its spending's lock"
    state, ended_at = returned.state, spending.ended_at
    if state is not spending.state:
        ended_at = now
    moved = await tx.changed(
        move_on,
        spending_id=spending.id,
        was_state=spending.state,
        new_state=state,
        new_ended_at=ended_at,
        amount=returned.amount,
        **share._asdict(),
    )
    assert moved == 1, "a spending moved under its lock"
    if any(share) or returned.is_of_held:  # a small refund can be worth no whole point
        header = ledger.Header.of(
            returned.card,
            kind=kind,
            cause_kind=cause_kind,
            cause_id=cause_id,
            reverses_id=spending.posting_id,
            store_id=spending.store_id,
            actor_kind=PrincipalKind.SYSTEM if by is None else by.kind,
            actor_id=None if by is None else by.id,
            now=now,
        )
        lots = [ledger.Part(part.lot_id, amount) for part, amount in parts]
        await ledger.give_back(tx, header=header, parts=lots, against=returned.against())
    return changed_copy(
        spending,
        state=state,
        ended_at=ended_at,
        returned_amount=spending.returned_amount + returned.amount,
        returned_cash=spending.returned_cash + share.cash,
        returned_bonus=spending.returned_bonus + share.bonus,
        returned_points=spending.returned_points + share.points,
    )


async def _void(
    tx: Transaction, spending: Spending, card: Card, *, by: Actor | None, now: datetime
) -> Spending:
    amount = spending.amount - spending.returned_amount
    returned = Return(
        spending=spending,
        card=card,
        amount=amount,
        share=share_of(spending, amount),
        state=SpendingState.VOIDED,
    )
    voided = await give_back(
        tx, returned, kind=PostingKind.SPEND_REVERSAL, cause_kind=VOID_CAUSE,
        cause_id=spending.id, by=by, now=now,
    )  # fmt: skip
    live.tell(tx, card.member_id, "VALUE_RETURNED", object_id=spending.id, now=now)
    return voided


def _last_first(parts: list[SpendingPart], share: Share) -> list[tuple[SpendingPart, int]]:
    """How much of a share goes back to each lot: what was taken last is the first to return."""
    left = dict(zip(SPENT, share, strict=True))
    found = []
    for part in reversed(parts):
        if amount := min(left[part.account_kind], part.taken - part.returned):
            left[part.account_kind] -= amount
            found.append((part, amount))
    assert not any(left.values()), "more goes back than was taken"
    return found
