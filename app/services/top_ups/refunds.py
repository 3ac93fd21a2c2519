"""Giving a top-up back: whole, by the way it was paid or over the counter (TOP-7)."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select, update

from app.core.db import Transaction, changed_copy, statement
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_text
from app.models.benefits import BenefitSource
from app.models.cards import CardStatus
from app.models.ledger import AccountKind, Lot, LotMovement, Posting, PostingKind, SystemAccount
from app.models.payments import Payment, PaymentPurpose, PaymentRefund, PaymentStatus, RefundRoute
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.models.tiers import GrantSource
from app.models.top_ups import TopUpOrder, TopUpState
from app.services import (
    audit,
    benefits,
    coupons,
    ledger,
    payment_methods,
    payments,
    requests,
    rollbacks,
    tiers,
)
from app.services.actors import Actor
from app.services.top_ups import orders, terms
from app.services.top_ups.orders import Held, TopUpNotFound

CAUSE = "top_up_refund"
UNDO_CAUSE = "top_up_refund_undo"
AFTER_ALL_CAUSE = "top_up_refund_after_all"
REASON_CHARS_MAX = 200
REFUNDS_MAX = 100
"""Of one top-up: each but the last was refused by its provider, and undone."""

_reversed = aliased(Posting)
# What a refund of this very top-up took, and what came back because the provider refused it, is no
# movement of the holder's; neither is a merge, which moves all of a card. A roll-back is one.
_by_its_refunds = (
    select(_reversed.id)
    .where(
        col(_reversed.id) == col(Posting.reverses_id),
        or_(
            col(_reversed.id) == bindparam("origin_id"),
            col(_reversed.reverses_id) == bindparam("origin_id"),
        ),
    )
    .exists()
)
movements_of_others = statement(
    select(func.count())
    .select_from(Lot)
    .join(LotMovement, col(LotMovement.lot_id) == col(Lot.id))
    .join(Posting, col(Posting.id) == col(LotMovement.posting_id))
    .where(
        col(Lot.origin_id) == bindparam("origin_id"),
        col(Posting.kind) != PostingKind.MERGE,
        col(Posting.kind) != PostingKind.MERGE_UNDO,
        or_(col(Posting.kind) != PostingKind.TOP_UP_REFUND, ~_by_its_refunds),
    ),
    into=int,
)
refunds_of = statement(
    select(Posting.id)
    .where(
        col(Posting.reverses_id) == bindparam("origin_id"),
        col(Posting.kind) == PostingKind.TOP_UP_REFUND,
    )
    .order_by(col(Posting.id).desc())
    .limit(REFUNDS_MAX),
    into=UUID,
)
movements_of_posting = statement(
    select(LotMovement).where(col(LotMovement.posting_id) == bindparam("posting_id")),
    into=LotMovement,
)
refund_it = statement(
    update(TopUpOrder)
    .where(
        col(TopUpOrder.id) == bindparam("order_id"), col(TopUpOrder.state) == TopUpState.CREDITED
    )
    .values(
        state=TopUpState.REFUNDED,
        refund_route=bindparam("new_route"),
        refund_method_id=bindparam("new_method_id"),
        refund_reason=bindparam("new_reason"),
        ended_at=bindparam("new_ended_at"),
    )
)
credit_again = statement(
    update(TopUpOrder)
    .where(
        col(TopUpOrder.id) == bindparam("order_id"), col(TopUpOrder.state) == TopUpState.REFUNDED
    )
    .values(
        state=TopUpState.CREDITED,
        refund_route=None,
        refund_method_id=None,
        refund_reason=None,
        ended_at=None,
    )
)


class TopUpNotRefundable(DomainError):
    """Only what stands on the card can be given back, and once."""

    def __init__(self, state: TopUpState) -> None:
        self.state = state
        super().__init__(f"A top-up that is {state.lower()} cannot be refunded.")


class BalanceHasMoved(DomainError):
    """Something of what the top-up brought was used, though it may have come back (TOP-7)."""

    def __init__(self) -> None:
        super().__init__("A part of this top-up has been used: pay it out at the counter.")


class GiftUsed(DomainError):
    """A coupon that came with the top-up was used, so that not all of it can go back (TOP-7)."""

    def __init__(self, used: int) -> None:
        self.used = used
        super().__init__("A coupon that came with this top-up was used: pay it out at the counter.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a top-up shall go back, and why; offline also by which method it is paid out."""

    route: RefundRoute
    reason: str
    method_code: str | None = None


class Refunded(NamedTuple):
    """The top-up afterwards."""

    order: TopUpOrder
    is_replay: bool


async def refund(
    tx: Transaction,
    actor: Actor,
    *,
    order_id: UUID,
    wish: Wish,
    request_key: str,
    now: datetime,
) -> Refunded:
    """Give the whole of a top-up back; what it brought leaves the card at once (TOP-7).

    By the original route only what never moved and whose coupons are unused; the provider sends it
    after the commit. Offline takes the cash, bonus and points; what was spent of these becomes a
    debt, and coupons that were used stay used. Raises `TopUpNotFound`, `TopUpNotRefundable`,
    `NoOriginalRoute`, `BalanceHasMoved`, `GiftUsed`, `NotEnoughValue`, `PaymentMethodUnknown`,
    `BalanceTooLarge`, `RequestKeyReused`.
    """
    reason = checked_text("reason", wish.reason, at_most=REASON_CHARS_MAX)
    is_offline = wish.route is RefundRoute.OFFLINE
    if is_offline != (wish.method_code is not None):
        raise BadInput("methodCode says how an OFFLINE refund is paid out, and is for those alone.")
    seen = await tx.one(orders.by_id, order_id=order_id)
    if seen is None or seen.group_id != actor.group_id:
        raise TopUpNotFound
    place = await orders.home(tx, seen)
    actor.require(Permission.TOP_UPS_REFUND, place)
    request = requests.Request(
        principal_id=actor.id,
        operation="topUpRefund",
        key=request_key,
        input={
            "order": order_id, "route": wish.route, "method": wish.method_code, "reason": reason
        },
    )  # fmt: skip
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return Refunded(seen, is_replay=True)
    held = await orders.hold(tx, order_id)
    if held.order.state is not TopUpState.CREDITED:
        raise TopUpNotRefundable(held.order.state)
    brought = await _brought(tx, held.order)
    header = _header(held, brought, CAUSE, claim.answer_id, actor.kind, actor.id, now)
    method_id = None
    if is_offline:
        assert wish.method_code is not None
        method = await payment_methods.of_code(tx, group_id=actor.group_id, code=wish.method_code)
        method_id = method.id
    else:
        payment = await _way_back(tx, held.order, brought)
        await payments.send_back(tx, payment=payment, reason=reason, now=now)
    used = await _take_extras_back(tx, held, brought, now)
    if used and not is_offline:
        raise GiftUsed(used)
    await _take_back(tx, held, header=header, needs_cash=True)
    order = await _refunded(tx, held, route=wish.route, method_id=method_id, reason=reason, now=now)
    await audit.record(
        tx, actor, "top_up.refund", object_kind="top_up", object_id=order.id, node_id=place.id,
        now=now, card=held.card.id, amount=order.amount, route=wish.route, method=wish.method_code,
        reason=reason,
    )  # fmt: skip
    return Refunded(order, is_replay=False)


async def did_not_go_back(
    tx: Transaction, held: Held, *, refund: PaymentRefund, why: str, now: datetime
) -> None:
    """The provider will not send the money back: the value stands on the card again.

    Money of an order that was never credited stays with us, as it does where the card was closed
    for good meanwhile; that is on record for somebody to see to, as the refusal is in any case.
    """
    order = held.order
    # Expired by its row, not by its date, are the cards of an account that was closed (IDN-8).
    is_closed = held.card.status in (CardStatus.EXPIRED, CardStatus.REFUNDED)
    went_back = order.state is TopUpState.REFUNDED and order.refund_route is RefundRoute.ORIGINAL
    if went_back and not is_closed:
        await _give_again(tx, held, now)
        credited = await tx.changed(credit_again, order_id=order.id)
        assert credited == 1, "an order moved under its lock"
    system, place = audit.system(order.group_id), await orders.home(tx, order)
    await audit.record(
        tx, system, "top_up.refund_failed", object_kind="top_up", object_id=order.id,
        node_id=place.id, now=now, card=held.card.id, amount=refund.amount,
        why=why,
    )  # fmt: skip


async def went_back_after_all(
    tx: Transaction, held: Held, *, refund: PaymentRefund, now: datetime
) -> None:
    """A refund that had failed succeeded in the end: what was put on the card again leaves it.

    What was spent of it meanwhile becomes a debt. Where it was paid out at the counter meanwhile,
    somebody has to ask for it back: that is on record.
    """
    order = held.order
    if order.state is TopUpState.CREDITED:
        brought = await _brought(tx, order)
        header = _header(held, brought, AFTER_ALL_CAUSE, refund.id, PrincipalKind.SYSTEM, None, now)
        await _take_extras_back(tx, held, brought, now)
        await _take_back(tx, held, header=header, needs_cash=False)
        await _refunded(
            tx, held, route=RefundRoute.ORIGINAL, method_id=None, reason=refund.reason, now=now
        )
    system, place = audit.system(order.group_id), await orders.home(tx, order)
    await audit.record(
        tx, system, "top_up.refund_succeeded", object_kind="top_up", object_id=order.id,
        node_id=place.id, now=now, card=held.card.id, amount=refund.amount,
        was=order.state,
    )  # fmt: skip


async def _way_back(tx: Transaction, order: TopUpOrder, brought: Posting) -> Payment:
    """The payment by which the order's money can go back.

    Raises `NoOriginalRoute`, `BalanceHasMoved`.
    """
    payment = await payments.of_order(tx, purpose=PaymentPurpose.TOP_UP, order_id=order.id)
    if payment is None or payment.status is not PaymentStatus.PAID:
        raise payments.NoOriginalRoute
    if await tx.one(movements_of_others, origin_id=brought.id):
        raise BalanceHasMoved
    return payment


async def _take_back(
    tx: Transaction, held: Held, *, header: ledger.Header, needs_cash: bool
) -> None:
    """Take what the order brought, its own lots first; what was spent becomes a debt.

    What expired or was rolled back is gone already. Raises `NotEnoughValue` where the cash must be
    there.
    """
    order, card, _ = held
    brought_id = header.reverses_id
    assert brought_id is not None
    accounts = {each.kind: each for each in await ledger.accounts_of_cards(tx, [card.id])}
    taken = [
        (AccountKind.CASH, order.amount, SystemAccount.PAYMENTS_RECEIVED),
        (AccountKind.BONUS, order.bonus, SystemAccount.BONUS_ISSUED),
        (AccountKind.POINTS, order.points, SystemAccount.POINTS_ISSUED),
    ]
    sheet = await ledger.Sheet.open(tx, header, [accounts[kind].id for kind, _, _ in taken])
    gone = await rollbacks.gone(tx, brought_id)  # read when the accounts are locked
    cash = sheet.account(accounts[AccountKind.CASH].id)
    if needs_cash and cash.balance < order.amount:
        short_by = order.amount - cash.balance
        raise ledger.NotEnoughValue(kind=AccountKind.CASH, short_by=short_by)
    for kind, amount, source in taken:
        left = amount - gone[kind]
        if left > 0:
            of = accounts[kind]
            await sheet.claw_back(of.id, left, origin_id=brought_id)
            sheet.against(source, left, of.unit)
    if not sheet.is_empty:
        await sheet.close()
    # The tier came with the order, or again when an earlier refund of it was undone.
    for source_id in (order.id, *await tx.all(refunds_of, origin_id=brought_id)):
        card = await tiers.end_grants(
            tx, card=card, source=GrantSource.TOP_UP, source_id=source_id, now=header.now
        )


async def _take_extras_back(tx: Transaction, held: Held, brought: Posting, now: datetime) -> int:
    """Withdraw what is unused of the coupons that came with the order, and end its benefits; how
    many coupons were used.
    """
    order, used = held.order, 0
    if not terms.gifts(order.terms) and not terms.benefit_ids(order.terms):
        return used
    # They came with the order, or again when an earlier refund of it was undone.
    for source_id in (order.id, *await tx.all(refunds_of, origin_id=brought.id)):
        taken = await coupons.take_back(tx, cause_kind=orders.CAUSE, cause_id=source_id, now=now)
        used += taken.used
        await benefits.end_grants(tx, source=BenefitSource.TOP_UP, source_id=source_id, now=now)
    return used


async def _give_again(tx: Transaction, held: Held, now: datetime) -> None:
    """Return what a refund took to the very lots it was taken from."""
    order = held.order
    brought = await _brought(tx, order)
    took_id = await tx.one(refunds_of, origin_id=brought.id)
    assert took_id is not None
    header = ledger.Header.of(
        held.card,
        kind=PostingKind.TOP_UP_REFUND,
        cause_kind=UNDO_CAUSE,
        cause_id=took_id,
        reverses_id=took_id,
        store_id=order.store_id,
        actor_kind=PrincipalKind.SYSTEM,
        now=now,
    )
    moved = await tx.all(movements_of_posting, posting_id=took_id)
    await ledger.give_back(
        tx,
        header=header,
        parts=[ledger.Part(each.lot_id, -each.amount) for each in moved],
        against=[
            ledger.Against(SystemAccount.PAYMENTS_RECEIVED, -order.amount, order.currency),
            ledger.Against(SystemAccount.BONUS_ISSUED, -order.bonus, order.currency),
            ledger.Against(SystemAccount.POINTS_ISSUED, -order.points, ledger.POINTS),
        ],
    )
    await orders.grant_tier(tx, order, held.card, source_id=took_id, now=now)
    await orders.give_extras(tx, order, held.card, source_id=took_id, now=now)


async def _refunded(
    tx: Transaction,
    held: Held,
    *,
    route: RefundRoute,
    method_id: UUID | None,
    reason: str,
    now: datetime,
) -> TopUpOrder:
    order = held.order
    refunded = await tx.changed(
        refund_it,
        order_id=order.id,
        new_route=route,
        new_method_id=method_id,
        new_reason=reason,
        new_ended_at=now,
    )
    assert refunded == 1, "an order moved under its lock"
    return changed_copy(
        order,
        state=TopUpState.REFUNDED,
        refund_route=route,
        refund_method_id=method_id,
        refund_reason=reason,
        ended_at=now,
    )


async def _brought(tx: Transaction, order: TopUpOrder) -> Posting:
    """The posting that credited the order."""
    found = await ledger.posting_by_cause(tx, orders.CAUSE, order.id)
    assert found is not None, "a credited order without its posting"
    return found


def _header(
    held: Held,
    brought: Posting,
    cause_kind: str,
    cause_id: UUID,
    actor_kind: PrincipalKind,
    actor_id: UUID | None,
    now: datetime,
) -> ledger.Header:
    return ledger.Header.of(
        held.card,
        kind=PostingKind.TOP_UP_REFUND,
        cause_kind=cause_kind,
        cause_id=cause_id,
        reverses_id=brought.id,
        store_id=held.order.store_id,
        actor_kind=actor_kind,
        actor_id=actor_id,
        now=now,
    )
