"""The life of a top-up order: written down, paid, credited once, or cancelled (TOP-7, TOP-8).

Whoever makes one (`buying`, smart top-ups, codes, lists) drafts it here and has it paid or credited
here. Locks are taken in the order member, card, order, payment, plan, accounts.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import bindparam, literal_column
from sqlmodel import col, func, select, update

from app.core.db import Transaction, changed_copy, light, statement
from app.core.errors import DomainError
from app.models.benefits import BenefitSource
from app.models.cards import Card, CardStatus, Scheme
from app.models.ledger import Account, AccountKind, PostingKind, SystemAccount
from app.models.members import Member
from app.models.organisation import Node, PaymentMethod
from app.models.payments import Payment, PaymentPurpose
from app.models.scopes import Channel
from app.models.sessions import PrincipalKind
from app.models.tiers import GrantSource
from app.models.top_ups import TopUpOrder, TopUpPlan, TopUpSource, TopUpState
from app.services import (
    benefits,
    cards,
    compliance,
    coupons,
    ledger,
    limits,
    live,
    members,
    organisation,
    payment_methods,
    payments,
    points,
    schemes,
    tiers,
)
from app.services.members import Bearer
from app.services.payments import Placed
from app.services.top_ups import plans, terms
from app.services.top_ups.rules import Credit

_log = structlog.get_logger(__name__)

CAUSE = "top_up"
ORDERS_PER_HOUR_MAX = 30
OPEN_ORDERS_MAX = 5
"""Unpaid orders of one member at once: each may hold a piece of a plan's stock."""
CANCELLED_AT_ONCE_MAX = 200

by_id = statement(
    select(TopUpOrder).where(col(TopUpOrder.id) == bindparam("order_id")), into=TopUpOrder
)
lock_by_id = statement(
    select(TopUpOrder).where(col(TopUpOrder.id) == bindparam("order_id")).with_for_update(),
    into=TopUpOrder,
)
number_open = statement(
    select(func.count()).where(
        col(TopUpOrder.member_id) == bindparam("member_id"),
        col(TopUpOrder.state) == TopUpState.PENDING,
    ),
    into=int,
)
overdue = statement(
    select(TopUpOrder)
    .where(
        # Said as the index says it, so that the few that wait are found by it.
        col(TopUpOrder.state) == literal_column("'PENDING'"),
        col(TopUpOrder.expires_at) <= bindparam("before"),
    )
    .order_by(col(TopUpOrder.expires_at))
    .limit(CANCELLED_AT_ONCE_MAX)
    .with_for_update(skip_locked=True),
    into=TopUpOrder,
)
credit_it = statement(
    update(TopUpOrder)
    .where(col(TopUpOrder.id) == bindparam("order_id"), col(TopUpOrder.state) == TopUpState.PENDING)
    .values(state=TopUpState.CREDITED, credited_at=bindparam("new_credited_at"))
)
cancel_it = statement(
    update(TopUpOrder)
    .where(col(TopUpOrder.id) == bindparam("order_id"), col(TopUpOrder.state) == TopUpState.PENDING)
    .values(state=TopUpState.CANCELLED, holds_stock=False, ended_at=bindparam("new_ended_at"))
)
new_order = light(TopUpOrder)


class TopUpNotFound(DomainError):
    """No such top-up, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such top-up.")


class MethodCannotTopUp(DomainError):
    """A payment method that cannot buy stored value, as another platform's voucher (TOP-8)."""

    def __init__(self, method: PaymentMethod) -> None:
        self.method_code = method.code
        super().__init__(f"{method.name} cannot pay a top-up.")


class TooManyOpenTopUps(DomainError):
    """The member has as many unpaid orders as one may have at once."""

    def __init__(self) -> None:
        super().__init__("Pay or cancel the top-ups you have begun first.")


class TopUpNotOpen(DomainError):
    """The order is not, or no longer, one that waits for its payment."""

    def __init__(self, state: TopUpState) -> None:
        self.state = state
        super().__init__(f"This top-up is {state.lower()}.")


class Sold(NamedTuple):
    """An order that was paid at a till."""

    order: TopUpOrder
    is_replay: bool


class Held(NamedTuple):
    """An order with its living card and that card's holder, all locked."""

    order: TopUpOrder
    card: Card
    member: Member


def drafted(
    order_id: UUID,
    *,
    card: Card,
    scheme: Scheme,
    brings: Credit,
    channel: Channel,
    is_first: bool,
    now: datetime,
    plan: TopUpPlan | None = None,
    step: int | None = None,
    store_id: UUID | None = None,
    source: TopUpSource = TopUpSource.PLAN,
    source_id: UUID | None = None,
) -> TopUpOrder:
    """An order that is not written down yet; what it brings is fixed from here on."""
    return new_order(
        id=order_id,
        group_id=card.group_id,
        card_id=card.id,
        member_id=card.member_id,
        plan_id=None if plan is None else plan.id,
        step=step,
        source=source,
        source_id=source_id,
        channel=channel,
        store_id=store_id,
        currency=scheme.currency,
        amount=brings.amount,
        bonus=brings.bonus,
        points=brings.points,
        terms=terms.NO_TERMS if plan is None else terms.of_plan(plan, is_first=is_first),
        is_first=is_first,
        state=TopUpState.PENDING,
        created_at=now,
    )


async def await_payment(
    tx: Transaction, order: TopUpOrder, *, provider: str, now: datetime
) -> tuple[TopUpOrder, Payment]:
    """Write an order down that a provider shall be asked to have paid within 15 minutes.

    The caller holds the member. Raises `TooManyOpenTopUps`, and `MethodCannotTopUp` where the
    group has a payment method for the provider that must not (TOP-8).
    """
    if (await tx.one(number_open, member_id=order.member_id) or 0) >= OPEN_ORDERS_MAX:
        raise TooManyOpenTopUps
    method = await payment_methods.of_provider(tx, group_id=order.group_id, provider=provider)
    if method is not None and not method.can_pay_top_up:
        raise MethodCannotTopUp(method)
    # Each asks a provider a few things, whose patience is everybody's.
    await limits.spend(
        tx, subject=f"top-up-orders:{order.member_id}", at_most=ORDERS_PER_HOUR_MAX,
        window=timedelta(hours=1), now=now,
    )  # fmt: skip
    order = changed_copy(
        order,
        payment_method_id=None if method is None else method.id,
        expires_at=now + payments.PAYABLE_FOR,
    )
    await tx.insert(order)
    payment = await payments.open_payment(
        tx,
        group_id=order.group_id,
        purpose=PaymentPurpose.TOP_UP,
        order_id=order.id,
        provider=provider,
        amount=order.amount,
        currency=order.currency,
        expires_at=now + payments.PAYABLE_FOR,
        now=now,
    )
    return order, payment


async def credit(
    tx: Transaction,
    *,
    order: TopUpOrder,
    card: Card,
    scheme: Scheme,
    actor_kind: PrincipalKind,
    actor_id: UUID | None,
    now: datetime,
) -> TopUpOrder:
    """Bring what an order promises to its card, in one posting, once (TOP-7).

    The caller holds the member and the card, and the order stands in the table and waits. Raises
    `BalanceTooLarge` before anything is written.
    """
    zone = await _zone(tx, order, scheme)
    accounts = {account.kind: account for account in await ledger.accounts_of_cards(tx, [card.id])}
    header = ledger.Header.of(
        card,
        kind=PostingKind.TOP_UP,
        cause_kind=CAUSE,
        cause_id=order.id,
        store_id=order.store_id,
        actor_kind=actor_kind,
        actor_id=actor_id,
        now=now,
    )
    kinds = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
    sheet = await ledger.Sheet.open(tx, header, [accounts[kind].id for kind in kinds])
    for kind, amount, source, conditions in _brought(order, now, zone):
        if amount:
            account: Account = accounts[kind]
            if kind is AccountKind.POINTS:
                conditions["expires_at"] = await points.expiry(
                    tx, scheme, card, earned_at=now, now=now
                )
            sheet.put(account.id, amount, **conditions)
            sheet.against(source, -amount, account.unit)
    assert not sheet.is_empty, "a top-up that brings nothing"
    await sheet.close()
    credited = await tx.changed(credit_it, order_id=order.id, new_credited_at=now)
    assert credited == 1, "an order was credited that did not wait for it"
    await grant_tier(tx, order, card, source_id=order.id, now=now)
    await give_extras(tx, order, card, source_id=order.id, now=now)
    live.tell(tx, card.member_id, "TOPPED_UP", object_id=order.id, now=now)
    return changed_copy(order, state=TopUpState.CREDITED, credited_at=now)


async def grant_tier(
    tx: Transaction, order: TopUpOrder, card: Card, *, source_id: UUID, now: datetime
) -> None:
    """Give the card the tier that comes with the order, if one does (TIR-1).

    One that its scheme has no more, or never had, is left out: the money counts.
    """
    tier_id = terms.granted_tier_id(order.terms)
    if tier_id is None:
        return
    try:
        await tiers.grant(
            tx,
            card=card,
            tier_id=tier_id,
            source=GrantSource.TOP_UP,
            source_id=source_id,
            months=order.terms["granted_months"],
            now=now,
        )
    except tiers.TierNotFound:
        # Nothing was written for it yet.
        _log.warning("the tier of a top-up is not there", order=order.id.hex, tier=tier_id.hex)


async def give_extras(
    tx: Transaction, order: TopUpOrder, card: Card, *, source_id: UUID, now: datetime
) -> None:
    """Give the coupons and the benefits that come with the order, as it promised them (TOP-3)."""
    gifts = terms.gifts(order.terms)
    if gifts:
        holder = (await members.by_ids(tx, [card.member_id]))[card.member_id]
        await coupons.give(
            tx, member=holder, gifts=gifts, cause_kind=CAUSE, cause_id=source_id,
            group_id=order.group_id, store_id=order.store_id, now=now,
        )  # fmt: skip
    ends_at = terms.benefits_end_at(order.terms, at=now)
    for benefit_id in terms.benefit_ids(order.terms):
        await benefits.grant(
            tx, card=card, benefit_id=benefit_id, source=BenefitSource.TOP_UP,
            source_id=source_id, starts_at=now, ends_at=ends_at, now=now,
        )  # fmt: skip


async def hold(tx: Transaction, order_id: UUID) -> Held:
    """Lock an order, after its holder and the card that lives today. Raises `TopUpNotFound`."""
    order = await tx.one(by_id, order_id=order_id)
    if order is None:
        raise TopUpNotFound
    card = await cards.living(tx, order.card_id)
    member = await members.locked(tx, card.member_id)
    card = await cards.locked(tx, card)
    locked = await tx.one(lock_by_id, order_id=order_id)
    assert locked is not None
    return Held(locked, card, member)


async def paid(tx: Transaction, held: Held, *, payment: Payment, now: datetime) -> TopUpOrder:
    """A provider says that the order was paid: credit it, or send the money back (TOP-7).

    A lost or frozen card receives it all the same: its balances stay (CRD-3). What came too late,
    or would now exceed a limit, goes back by itself.
    """
    order, card, member = held
    if order.state is not TopUpState.PENDING:
        await payments.send_back(tx, payment=payment, reason="The order had ended.", now=now)
        return order
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    try:
        if (status := cards.status_at(card, now)) in (CardStatus.EXPIRED, CardStatus.REFUNDED):
            raise cards.CardNotUsable(status)
        await compliance.require_room(
            tx, card=card, member=member, amount=order.amount, currency=order.currency,
            method=None, now=now,
        )  # fmt: skip
        return await credit(
            tx,
            order=order,
            card=card,
            scheme=scheme,
            actor_kind=PrincipalKind.MEMBER,
            actor_id=member.id,
            now=now,
        )
    except (cards.CardNotUsable, compliance.OverLimit, ledger.BalanceTooLarge) as refusal:
        # None of them has written anything yet.
        await payments.send_back(tx, payment=payment, reason=str(refusal), now=now)
        return await end(tx, order, now=now)


async def cancel(tx: Transaction, *, bearer: Bearer, order_id: UUID, now: datetime) -> TopUpOrder:
    """The member gives an unpaid order up; one given up before is the answer.

    Should it be paid all the same, the money goes back. Raises `TopUpNotFound`, `TopUpNotOpen`.
    """
    member = await members.acting(tx, bearer, now=now)
    order = await tx.one(lock_by_id, order_id=order_id)
    if order is None or (await cards.living(tx, order.card_id)).member_id != member.id:
        raise TopUpNotFound
    match order.state:
        case TopUpState.PENDING:
            return await give_up(tx, order, now=now)
        case TopUpState.CANCELLED:
            return order
        case _:
            raise TopUpNotOpen(order.state)


async def cancel_overdue(tx: Transaction, *, now: datetime) -> int:
    """Cancel orders nobody paid in time, a batch at once; how many there were."""
    found = await tx.all(overdue, before=now - payments.OVERDUE_AFTER)
    # By plan, so that two batches at once give stock back in the same order.
    for order in sorted(found, key=lambda each: (str(each.plan_id), each.id)):
        await give_up(tx, order, now=now)
    return len(found)


async def give_up(tx: Transaction, order: TopUpOrder, *, now: datetime) -> TopUpOrder:
    """Cancel a locked order that waits, and have its provider take no money for it."""
    payment = await payments.of_order(tx, purpose=PaymentPurpose.TOP_UP, order_id=order.id)
    if payment is not None:
        await payments.close(tx, payment=payment, now=now)
    return await end(tx, order, now=now)


async def end(tx: Transaction, order: TopUpOrder, *, now: datetime) -> TopUpOrder:
    """Cancel a locked order that waits; its stock is there for others again."""
    ended = await tx.changed(cancel_it, order_id=order.id, new_ended_at=now)
    assert ended == 1, "an order moved under its lock"
    if order.holds_stock:
        assert order.plan_id is not None
        await plans.return_stock(tx, order.plan_id)
    return changed_copy(order, state=TopUpState.CANCELLED, holds_stock=False, ended_at=now)


async def paying_method(tx: Transaction, *, group_id: UUID, code: str) -> PaymentMethod:
    """A payment method that may buy stored value (TOP-8).

    Raises `PaymentMethodUnknown`, `MethodCannotTopUp`.
    """
    method = await payment_methods.of_code(tx, group_id=group_id, code=code)
    if not method.can_pay_top_up:
        raise MethodCannotTopUp(method)
    return method


async def existing(tx: Transaction, order_id: UUID) -> TopUpOrder:
    """An order by the id that something of ours keeps of it."""
    order = await tx.one(by_id, order_id=order_id)
    assert order is not None
    return order


async def home(tx: Transaction, order: TopUpOrder) -> Node:
    """Where the order belongs: its store; online, where its card's scheme was made (ORG-1)."""
    if order.store_id is not None:
        return await organisation.node(tx, order.store_id)
    card = (await cards.cards(tx, [order.card_id]))[order.card_id]
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    return await organisation.node(tx, scheme.perspective_id)


async def placed(tx: Transaction, order_id: UUID) -> Placed[TopUpOrder]:
    payment = await payments.of_order(tx, purpose=PaymentPurpose.TOP_UP, order_id=order_id)
    assert payment is not None
    return Placed(await existing(tx, order_id), payment, is_replay=True)


async def _zone(tx: Transaction, order: TopUpOrder, scheme: Scheme) -> ZoneInfo:
    """Where the order's days begin and end: at its store, or where the scheme was made."""
    place = await organisation.node(tx, order.store_id or scheme.perspective_id)
    return ZoneInfo(place.time_zone)


def _brought(
    order: TopUpOrder, now: datetime, zone: ZoneInfo
) -> list[tuple[AccountKind, int, SystemAccount, dict[str, Any]]]:
    """What an order brings: kind, amount, where it comes from, and on which conditions."""
    of_cash = terms.cash_restriction(order.terms, amount=order.amount, at=now, zone=zone)
    of_bonus = terms.bonus_restriction(order.terms, at=now, zone=zone)
    ends_at = terms.bonus_expires_at(order.terms, at=now, zone=zone)
    return [
        (
            AccountKind.CASH,
            order.amount,
            SystemAccount.PAYMENTS_RECEIVED,
            {"restriction": of_cash},
        ),
        (
            AccountKind.BONUS,
            order.bonus,
            SystemAccount.BONUS_ISSUED,
            {"restriction": of_bonus, "expires_at": ends_at},
        ),
        (AccountKind.POINTS, order.points, SystemAccount.POINTS_ISSUED, {}),
    ]
