"""What the back office changes on a card by hand, and closing it for its cash (CRD-4, CRD-6).

Never a till: partners cannot, whatever their scopes say. Above a limit a second person decides.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, cast
from sqlmodel import col, func, select, update

from app.core.db import Transaction, changed_copy, light, statement
from app.core.errors import BadInput, DomainError, Forbidden
from app.core.texts import checked_text
from app.models.adjustments import Adjustment, AdjustmentState, CardRefund
from app.models.cards import Card, CardStatus, Scheme
from app.models.ledger import Account, AccountKind, PostingKind, SystemAccount
from app.models.organisation import Node, PaymentMethod
from app.models.sessions import PrincipalKind
from app.models.spendings import Spending, SpendingState
from app.models.staff import Permission
from app.services import (
    audit,
    cards,
    compliance,
    ledger,
    members,
    organisation,
    payment_methods,
    points,
    requests,
    schemes,
)
from app.services.actors import Actor

ADJUSTABLE = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
AMOUNT_MAX = 100_000_000_000
REASON_CHARS_MAX = 200
COUNTED_FOR = timedelta(days=1)
"""What one person adjusts alone in this time is held against the limit together."""
CAUSE = "adjustment"
REFUND_CAUSE = "card_refund"

by_id = statement(
    select(Adjustment).where(col(Adjustment.id) == bindparam("adjustment_id")), into=Adjustment
)
lock_by_id = statement(
    select(Adjustment).where(col(Adjustment.id) == bindparam("adjustment_id")).with_for_update(),
    into=Adjustment,
)
decide_it = statement(
    update(Adjustment)
    .where(
        col(Adjustment.id) == bindparam("adjustment_id"),
        col(Adjustment.state) == AdjustmentState.PROPOSED,
    )
    .values(
        state=bindparam("new_state"),
        decided_by_id=bindparam("new_decided_by_id"),
        decided_at=bindparam("new_decided_at"),
    )
)
_newest = (
    select(Adjustment)
    .where(col(Adjustment.group_id) == bindparam("group_id"))
    .order_by(col(Adjustment.id).desc())
    .limit(bindparam("limit"))
)
PAGES = {
    # (of one card, in one state, a cursor was given)
    (of_card, of_state, has_cursor): statement(
        _newest.where(
            *([col(Adjustment.card_id) == bindparam("card_id")] if of_card else []),
            *([col(Adjustment.state) == bindparam("state")] if of_state else []),
            *([col(Adjustment.id) < bindparam("before")] if has_cursor else []),
        ),
        into=Adjustment,
    )
    for of_card, of_state, has_cursor in product((False, True), repeat=3)
}
held_spending = statement(
    select(Spending.id)
    .where(
        col(Spending.card_id).in_(ledger.own_and_absorbed),
        col(Spending.state) == SpendingState.AUTHORISED,
    )
    .limit(1),
    into=UUID,
)
close_card = statement(
    update(Card)
    .where(col(Card.id) == bindparam("closed_id"))
    .values(status=CardStatus.REFUNDED, pin_hash=None)
)
refund_by_id = statement(
    select(CardRefund).where(col(CardRefund.id) == bindparam("refund_id")), into=CardRefund
)
# An amount that was split is the same amount: what somebody applied alone in a day counts together.
applied_alone = statement(
    select(cast(func.coalesce(func.sum(func.abs(Adjustment.amount)), 0), BigInteger)).where(
        col(Adjustment.proposed_by_id) == bindparam("actor_id"),
        col(Adjustment.proposed_at) > bindparam("since"),
        col(Adjustment.decided_by_id) == bindparam("actor_id"),
        col(Adjustment.state) == AdjustmentState.APPLIED,
        col(Adjustment.unit) == bindparam("unit"),
    ),
    into=int,
)
new_adjustment = light(Adjustment)
new_card_refund = light(CardRefund)


class AdjustmentNotFound(DomainError):
    """No such adjustment, or one of a card the actor has nothing to do with."""

    def __init__(self) -> None:
        super().__init__("There is no such adjustment.")


class AdjustmentDecided(DomainError):
    """It was applied or rejected already."""

    def __init__(self, state: AdjustmentState) -> None:
        self.state = state
        super().__init__(f"This adjustment was {state.lower()} already.")


class SecondPersonNeeded(DomainError):
    """Who proposed an adjustment cannot approve it."""

    def __init__(self) -> None:
        super().__init__("Somebody else has to approve this.")


class AuthorisationOpen(DomainError):
    """Value of the card is held for a bill that is not final."""

    def __init__(self) -> None:
        super().__init__("A payment on this card is still open. Capture or void it first.")


class CardAlreadyRefunded(DomainError):
    """The card was paid out and closed before."""

    def __init__(self) -> None:
        super().__init__("This card was refunded already.")


@dataclass(frozen=True, slots=True)
class Proposed:
    adjustment: Adjustment
    is_replay: bool


@dataclass(frozen=True, slots=True)
class Refunded:
    refund: CardRefund
    card: Card
    is_replay: bool


async def propose(
    tx: Transaction,
    actor: Actor,
    *,
    card_id: UUID,
    account_kind: AccountKind,
    amount: int,
    reason: str,
    request_key: str,
    now: datetime,
) -> Proposed:
    """Add value to a card or take it, in minor units or points; above the group's limit it waits
    for a second person (CRD-6).

    Raises `CardNotFound`, `CardNotUsable`, `NotEnoughValue`, `CardCapReached`, `PersonCapReached`,
    `BalanceTooLarge`, `RequestKeyReused`; `Forbidden` for partners.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    if account_kind not in ADJUSTABLE:
        raise BadInput("Only CASH, BONUS and POINTS can be adjusted.")
    if amount == 0 or abs(amount) > AMOUNT_MAX:
        raise BadInput(f"amount must not be 0 and at most {AMOUNT_MAX} either way.")
    card, scheme = await _at_back_office(tx, actor, card_id, Permission.ADJUSTMENTS_WRITE)
    request = requests.Request(
        principal_id=actor.id,
        operation="adjustmentPropose",
        key=request_key,
        input={"card": card_id, "kind": account_kind, "amount": amount, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Proposed(await _existing(tx, claim.answer_id), is_replay=True)
    limits = await compliance.rules(tx, group_id=card.group_id, currency=scheme.currency, now=now)
    is_points = account_kind is AccountKind.POINTS
    limit = limits.points_approval_above if is_points else limits.adjustment_approval_above
    unit = ledger.POINTS if is_points else scheme.currency
    alone = await tx.one(applied_alone, actor_id=actor.id, since=now - COUNTED_FOR, unit=unit)
    waits = limit is not None and abs(amount) + (alone or 0) > limit
    proposed = new_adjustment(
        id=claim.answer_id,
        group_id=card.group_id,
        card_id=card.id,
        account_kind=account_kind,
        unit=unit,
        amount=amount,
        reason=reason,
        state=AdjustmentState.PROPOSED if waits else AdjustmentState.APPLIED,
        proposed_by_id=actor.id,
        proposed_at=now,
        decided_by_id=None if waits else actor.id,
        decided_at=None if waits else now,
    )
    await tx.insert(proposed)
    await _record(tx, actor, "adjustment.propose", proposed, scheme, now)
    if not waits:
        await _apply(tx, actor, proposed, scheme, now)
    return Proposed(proposed, is_replay=False)


async def decide(
    tx: Transaction, actor: Actor, *, adjustment_id: UUID, is_approved: bool, now: datetime
) -> Adjustment:
    """A second person applies a proposed adjustment or rejects it, once (CRD-6).

    Raises `AdjustmentNotFound`, `AdjustmentDecided`, `SecondPersonNeeded`, and what `propose` does.
    Who proposed it may reject it.
    """
    found = await tx.one(lock_by_id, adjustment_id=adjustment_id)
    if found is None or found.group_id != actor.group_id:
        raise AdjustmentNotFound
    _, scheme = await _at_back_office(tx, actor, found.card_id, Permission.ADJUSTMENTS_APPROVE)
    if found.state is not AdjustmentState.PROPOSED:
        raise AdjustmentDecided(found.state)
    if is_approved and found.proposed_by_id == actor.id:
        raise SecondPersonNeeded
    decided = changed_copy(
        found,
        state=AdjustmentState.APPLIED if is_approved else AdjustmentState.REJECTED,
        decided_by_id=actor.id,
        decided_at=now,
    )
    changed = await tx.changed(
        decide_it,
        adjustment_id=found.id,
        new_state=decided.state,
        new_decided_by_id=actor.id,
        new_decided_at=now,
    )
    assert changed == 1, "an adjustment was decided under its lock"
    await _record(tx, actor, "adjustment.decide", decided, scheme, now)
    if is_approved:
        await _apply(tx, actor, decided, scheme, now)
    return decided


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    card_id: UUID | None,
    state: AdjustmentState | None,
    before: UUID | None,
    limit: int,
) -> list[Adjustment]:
    """Adjustments of the actor's group, newest first; for those who may read all its cards."""
    group = await organisation.node(tx, actor.group_id)
    actor.require(Permission.CARDS_READ, group)
    given = {"card_id": card_id, "state": state, "before": before}
    query = PAGES[card_id is not None, state is not None, before is not None]
    values = {name: value for name, value in given.items() if value is not None}
    return await tx.all(query, group_id=group.id, limit=limit, **values)


async def refund_card(
    tx: Transaction,
    actor: Actor,
    *,
    card_id: UUID,
    method_code: str,
    reason: str,
    request_key: str,
    now: datetime,
) -> Refunded:
    """Pay out a card's cash, void its bonus and points, and close it for good (CRD-4).

    Whatever its status is, as long as it lives. Raises `CardNotFound`, `CardAlreadyRefunded`,
    `AuthorisationOpen`, `PaymentMethodUnknown`, `RequestKeyReused`; `Forbidden` for partners.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    card, scheme = await _at_back_office(tx, actor, card_id, Permission.CARDS_REFUND)
    request = requests.Request(
        principal_id=actor.id,
        operation="cardRefund",
        key=request_key,
        input={"card": card_id, "method": method_code, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        earlier = await tx.one(refund_by_id, refund_id=claim.answer_id)
        assert earlier is not None
        return Refunded(earlier, card, is_replay=True)
    method = await payment_methods.of_code(tx, group_id=card.group_id, code=method_code)
    await members.locked(tx, card.member_id)
    card = await cards.locked(tx, card)
    if card.status is CardStatus.REFUNDED:
        raise CardAlreadyRefunded
    if await tx.one(held_spending, card_id=card.id):
        raise AuthorisationOpen
    made = await _pay_out(tx, actor, card, scheme, method, reason, claim.answer_id, now)
    await tx.changed(close_card, closed_id=card.id)
    await audit.record(
        tx, actor, "card.refund", object_kind="card", object_id=card.id,
        node_id=scheme.perspective_id, now=now, paid_out=made.paid_out, method=method.code,
        voided_bonus=made.voided_bonus, voided_points=made.voided_points, reason=reason,
    )  # fmt: skip
    return Refunded(made, changed_copy(card, status=CardStatus.REFUNDED), is_replay=False)


async def _pay_out(
    tx: Transaction,
    actor: Actor,
    card: Card,
    scheme: Scheme,
    method: PaymentMethod,
    reason: str,
    refund_id: UUID,
    now: datetime,
) -> CardRefund:
    accounts = {each.kind: each for each in await ledger.accounts_of_cards(tx, [card.id])}
    sheet = await ledger.Sheet.open(
        tx,
        ledger.Header.of(
            card,
            kind=PostingKind.CARD_REFUND,
            cause_kind=REFUND_CAUSE,
            cause_id=refund_id,
            actor_kind=actor.kind,
            actor_id=actor.id,
            now=now,
        ),
        [each.id for each in accounts.values()],
    )
    gone = {}
    for kind, goes_to in (
        (AccountKind.CASH, SystemAccount.PAID_OUT),
        (AccountKind.BONUS, SystemAccount.EXPIRED),
        (AccountKind.POINTS, SystemAccount.EXPIRED),
    ):
        account = accounts[kind]
        gone[kind] = sum(part.amount for part in await sheet.take_all(account.id))
        sheet.against(goes_to, gone[kind], account.unit)
        # What a closed card owes nobody will ever pay.
        forgiven = sheet.release_debt(account.id)
        sheet.against(SystemAccount.ADJUSTMENTS, -forgiven, account.unit)
    if not sheet.is_empty:
        await sheet.close()
    made = new_card_refund(
        id=refund_id,
        group_id=card.group_id,
        card_id=card.id,
        payment_method_id=method.id,
        currency=scheme.currency,
        paid_out=gone[AccountKind.CASH],
        voided_bonus=gone[AccountKind.BONUS],
        voided_points=gone[AccountKind.POINTS],
        reason=reason,
        refunded_by_id=actor.id,
        refunded_at=now,
    )
    await tx.insert(made)
    return made


async def _at_back_office(
    tx: Transaction, actor: Actor, card_id: UUID, permission: Permission
) -> tuple[Card, Scheme]:
    """The living card and its scheme, for staff who may do this to it."""
    if actor.kind is not PrincipalKind.STAFF:
        raise Forbidden("This is done in the back office only.")
    card = await cards.living(tx, card_id)
    if card.group_id != actor.group_id:
        raise cards.CardNotFound
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    perspective: Node = await organisation.node(tx, scheme.perspective_id)
    actor.require(permission, perspective)
    return card, scheme


async def _apply(
    tx: Transaction, actor: Actor, adjustment: Adjustment, scheme: Scheme, now: datetime
) -> None:
    card = await cards.living(tx, adjustment.card_id)
    member = await members.locked(tx, card.member_id)
    card = await cards.locked(tx, card)
    if card.status is CardStatus.REFUNDED:
        raise cards.CardNotUsable(card.status)
    accounts = await ledger.accounts_of_cards(tx, [card.id])
    account = next(each for each in accounts if each.kind is adjustment.account_kind)
    if account.kind is AccountKind.CASH and adjustment.amount > 0:
        await compliance.require_caps(
            tx, card=card, member=member, amount=adjustment.amount, currency=account.unit, now=now
        )
    header = ledger.Header.of(
        card,
        kind=PostingKind.ADJUST,
        cause_kind=CAUSE,
        cause_id=adjustment.id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        now=now,
    )
    sheet = await ledger.Sheet.open(tx, header, [account.id])
    if adjustment.amount > 0:
        expires_at = await _points_expiry(tx, card, scheme, account, now)
        sheet.put(account.id, adjustment.amount, expires_at=expires_at)
    else:
        await sheet.take(account.id, -adjustment.amount, also_restricted=True)
    sheet.against(SystemAccount.ADJUSTMENTS, -adjustment.amount, account.unit)
    await sheet.close()


async def _points_expiry(
    tx: Transaction, card: Card, scheme: Scheme, account: Account, now: datetime
) -> datetime | None:
    if account.kind is not AccountKind.POINTS:
        return None
    return await points.expiry(tx, scheme, card, earned_at=now, now=now)


async def _existing(tx: Transaction, adjustment_id: UUID) -> Adjustment:
    found = await tx.one(by_id, adjustment_id=adjustment_id)
    assert found is not None
    return found


async def _record(
    tx: Transaction, actor: Actor, action: str, of: Adjustment, scheme: Scheme, now: datetime
) -> None:
    details: dict[str, Any] = {
        "card": of.card_id,
        "kind": of.account_kind,
        "amount": of.amount,
        "state": of.state,
        "reason": of.reason,
    }
    await audit.record(
        tx, actor, action, object_kind="adjustment", object_id=of.id,
        node_id=scheme.perspective_id, now=now, **details,
    )  # fmt: skip
