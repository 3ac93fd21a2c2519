"""Purchases as tills and partners report them, and their refunds (PTS-1, TIR-6, CRD-7)."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.core.money import Money, proportion_half_up
from app.core.texts import checked_text
from app.models.cards import Scheme
from app.models.organisation import Node, PaymentMethod
from app.models.purchases import Purchase, PurchaseLine, PurchasePayment, PurchaseRefund
from app.models.staff import Permission
from app.services import (
    audit,
    benefits,
    cards,
    ledger,
    live,
    members,
    organisation,
    payment_methods,
    points,
    requests,
    schemes,
    tiers,
)
from app.services.actors import Actor

PAYMENTS_MAX = 20
LINES_MAX = 200
ITEM_ID_CHARS_MAX = 64
ITEM_NAME_CHARS_MAX = 120
REPORTED_LATE_MAX = timedelta(days=31)
CLOCK_AHEAD_MAX = timedelta(minutes=5)
REFUNDS_MAX = 200
"""Of one purchase, so that all of them can be shown with it."""
ORDER_NUMBER_CHARS_MAX = 64
REASON_CHARS_MAX = 200
AMOUNT_MAX = 100_000_000_000
"""A bill's total in minor units: far above any. At the highest rate it earns 10¹⁵ points, of which
an account holds thousands of times as many (`ledger.sheet.BALANCE_MAX`)."""

by_id = statement(
    select(Purchase).where(col(Purchase.id) == bindparam("purchase_id")), into=Purchase
)
lock_by_id = statement(
    select(Purchase).where(col(Purchase.id) == bindparam("purchase_id")).with_for_update(),
    into=Purchase,
)
by_order_number = statement(
    select(Purchase).where(
        col(Purchase.store_id) == bindparam("store_id"),
        col(Purchase.order_number) == bindparam("order_number"),
    ),
    into=Purchase,
)
history = ledger.CardHistory.of(Purchase)


class Paid(NamedTuple):
    """A part of a bill and what its payment method is called now."""

    purchase_id: UUID
    method_code: str
    method_name: str
    amount: int
    is_net_receipt: bool


payments_of = statement(
    select(
        PurchasePayment.purchase_id,
        col(PaymentMethod.code).label("method_code"),
        col(PaymentMethod.name).label("method_name"),
        PurchasePayment.amount,
        PurchasePayment.is_net_receipt,
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    .join(PaymentMethod, col(PaymentMethod.id) == col(PurchasePayment.payment_method_id))
    .where(any_of(col(PurchasePayment.purchase_id), "purchase_ids"))
    .order_by(col(PurchasePayment.id)),
    into=Paid,
)
lines_of = statement(
    select(PurchaseLine)
    .where(any_of(col(PurchaseLine.purchase_id), "purchase_ids"))
    .order_by(col(PurchaseLine.purchase_id), col(PurchaseLine.position)),
    into=PurchaseLine,
)
refund_by_id = statement(
    select(PurchaseRefund).where(col(PurchaseRefund.id) == bindparam("refund_id")),
    into=PurchaseRefund,
)
refunds_of = statement(
    select(PurchaseRefund)
    .where(any_of(col(PurchaseRefund.purchase_id), "purchase_ids"))
    .order_by(col(PurchaseRefund.id)),
    into=PurchaseRefund,
)
number_of_refunds = statement(
    select(func.count()).where(col(PurchaseRefund.purchase_id) == bindparam("purchase_id")),
    into=int,
)
add_refund = statement(
    update(Purchase)
    .where(
        col(Purchase.id) == bindparam("purchase_id"),
        col(Purchase.refunded_amount) + bindparam("amount") <= col(Purchase.total_amount),
    )
    .values(
        refunded_amount=col(Purchase.refunded_amount) + bindparam("amount"),
        points_taken_back=col(Purchase.points_taken_back) + bindparam("points"),
        growth_taken_back=col(Purchase.growth_taken_back) + bindparam("growth"),
    )
)
new_purchase = light(Purchase)
new_payment = light(PurchasePayment)
new_line = light(PurchaseLine)
new_refund = light(PurchaseRefund)


class PurchaseNotFound(DomainError):
    """No such purchase, or one at a store the actor has nothing to do with."""

    def __init__(self) -> None:
        super().__init__("There is no such purchase.")


class OrderNumberTaken(DomainError):
    """The store reported this order number before, with another request."""

    def __init__(self, purchase_id: UUID) -> None:
        self.purchase_id = purchase_id
        super().__init__("This order number was recorded before.")


class PaymentsDoNotAddUp(DomainError):
    """The payments are not the bill's total."""

    def __init__(self, *, short_by: int) -> None:
        self.short_by = short_by
        super().__init__("The payments do not add up to the total.")


class LinesDoNotAddUp(DomainError):
    """More was paid for the lines than for the whole bill."""

    def __init__(self, *, over_by: int) -> None:
        self.over_by = over_by
        super().__init__("The lines come to more than the total.")


class WrongCurrency(DomainError):
    """An amount in another currency than the card's scheme."""

    def __init__(self, expected: str) -> None:
        self.expected = expected
        super().__init__(f"This card is kept in {expected}.")


class RefundTooLarge(DomainError):
    """More than what is left of the purchase to refund."""

    def __init__(self, *, refundable: Money) -> None:
        self.refundable = refundable
        super().__init__("This is more than what is left to refund.")


class TooManyRefunds(DomainError):
    """The purchase was refunded as often as one can be."""

    def __init__(self) -> None:
        super().__init__(f"This purchase was refunded {REFUNDS_MAX} times already.")


@dataclass(frozen=True, slots=True)
class Payment:
    """A part of a bill: the payment method's code and its amount in minor units."""

    method_code: str
    amount: int


@dataclass(frozen=True, slots=True)
class Line:
    """What was bought, and what was paid for it in minor units."""

    item_id: str
    name: str
    paid_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a till reports; amounts in minor units, tax included in the total."""

    order_number: str
    total: Money
    tax_amount: int
    payments: Sequence[Payment]
    occurred_at: datetime
    lines: Sequence[Line] = ()

    def require_sound(self, now: datetime) -> None:
        """Raise `BadInput`, `PaymentsDoNotAddUp` or `LinesDoNotAddUp` for a bill that cannot have
        happened.
        """
        amounts = [self.total.amount, self.tax_amount]
        if min(amounts) < 0 or self.tax_amount > self.total.amount:
            raise BadInput("Amounts must be 0 or more, and tax no more than the total.")
        if self.total.amount > AMOUNT_MAX:
            raise BadInput(f"total must be at most {AMOUNT_MAX}.")
        if len(self.payments) > PAYMENTS_MAX:
            raise BadInput(f"A bill can have at most {PAYMENTS_MAX} payments.")
        if not all(0 < payment.amount <= AMOUNT_MAX for payment in self.payments):
            raise BadInput(f"Each payment must be above 0 and at most {AMOUNT_MAX}.")
        if len(self.lines) > LINES_MAX:
            raise BadInput(f"A bill can have at most {LINES_MAX} lines.")
        if not all(0 <= line.paid_amount <= AMOUNT_MAX for line in self.lines):
            raise BadInput(f"Each line must be 0 or more and at most {AMOUNT_MAX}.")
        if not now - REPORTED_LATE_MAX <= self.occurred_at <= now + CLOCK_AHEAD_MAX:
            raise BadInput("occurredAt must lie within the last 31 days.")
        if short_by := self.total.amount - sum(payment.amount for payment in self.payments):
            raise PaymentsDoNotAddUp(short_by=short_by)
        over_by = sum(line.paid_amount for line in self.lines) - self.total.amount
        if over_by > 0:
            raise LinesDoNotAddUp(over_by=over_by)


@dataclass(frozen=True, slots=True)
class Recorded:
    purchase: Purchase
    is_replay: bool


@dataclass(frozen=True, slots=True)
class Refunded:
    refund: PurchaseRefund
    purchase: Purchase
    is_replay: bool


async def record(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    card_id: UUID,
    bill: Bill,
    request_key: str,
    now: datetime,
) -> Recorded:
    """Record a purchase on a card: points and growth are earned, the first store recruits the
    member.

    Exactly once per request key, and once per order number of a store. Raises `OrderNumberTaken`,
    `PaymentMethodUnknown`, `PaymentsDoNotAddUp`, `LinesDoNotAddUp`, `WrongCurrency`,
    `CardNotFound`, `CardNotUsable`, `NotAtThisStore`, `TerminalNotFound`, `BalanceTooLarge`,
    `RequestKeyReused`.
    """
    terminal, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.PURCHASES_WRITE, store)
    bill.require_sound(now)
    request = _recording(
        actor, terminal_id=terminal.id, card_id=card_id, bill=bill, key=request_key
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        earlier = await tx.one(by_id, purchase_id=claim.answer_id)
        assert earlier is not None
        return Recorded(earlier, is_replay=True)
    card = await cards.living(tx, card_id)
    if card.group_id != store.group_id:
        raise cards.CardNotFound
    # Members, then cards, then accounts: in the order in which a merge locks them.
    await members.recruit(tx, member_id=card.member_id, store_id=store.id)
    card = await cards.locked(tx, card)
    cards.require_usable(card, now)
    scheme = await cards.require_store(tx, card, store)
    if scheme.currency != bill.total.currency:
        raise WrongCurrency(scheme.currency)
    if taken := await tx.one(by_order_number, store_id=store.id, order_number=bill.order_number):
        raise OrderNumberTaken(taken.id)
    payments = await _payments(tx, store, claim.answer_id, bill)
    net_amount = net_of(bill, payments)
    counted = tiers.counted_amount(scheme, net_amount=net_amount, lines=bill.lines)
    multiplier_bp = await benefits.multiplier(
        tx, card=card, scheme=scheme, store=store, net_amount=net_amount,
        item_ids=[line.item_id for line in bill.lines], at=bill.occurred_at, now=now,
    )  # fmt: skip
    purchase = new_purchase(
        id=claim.answer_id,
        group_id=card.group_id,
        card_id=card.id,
        store_id=store.id,
        terminal_id=terminal.id,
        order_number=bill.order_number,
        currency=scheme.currency,
        total_amount=bill.total.amount,
        tax_amount=bill.tax_amount,
        net_amount=net_amount,
        points_unit=scheme.points_unit,
        points_rate=scheme.points_rate,
        points_multiplier_bp=multiplier_bp,
        points_earned=await points.earned_by(
            tx, card=card, scheme=scheme, net_amount=net_amount, multiplier_bp=multiplier_bp
        ),
        growth_unit=scheme.growth_unit,
        growth_rate=scheme.growth_rate,
        growth_amount=counted,
        growth_earned=tiers.earned_by(scheme, card, counted),
        occurred_at=bill.occurred_at,
        recorded_at=now,
    )
    await tx.insert(purchase, *payments, *_lines(scheme, purchase.id, bill))
    await points.earn(tx, card=card, scheme=scheme, purchase=purchase, actor=actor, now=now)
    await tiers.after_purchase(tx, card=card, scheme=scheme, purchase=purchase, now=now)
    await audit.record(
        tx, actor, "purchase.record", object_kind="purchase", object_id=purchase.id,
        node_id=store.id, now=now, card=card.id, points=purchase.points_earned,
    )  # fmt: skip
    live.tell(tx, card.member_id, "PURCHASE_RECORDED", object_id=purchase.id, now=now)
    return Recorded(purchase, is_replay=False)


async def refund(
    tx: Transaction,
    actor: Actor,
    *,
    purchase_id: UUID,
    amount: Money,
    reason: str,
    request_key: str,
    now: datetime,
) -> Refunded:
    """Refund a part or all of a purchase; the points and growth of that part go back (PTS-1,
    TIR-6).

    Raises `PurchaseNotFound`, `RefundTooLarge`, `TooManyRefunds`, `BalanceTooLarge`,
    `WrongCurrency`, `RequestKeyReused`. A lost or frozen card loses the points as well: what was
    given for nothing is nobody's.
    """
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    purchase = await tx.one(lock_by_id, purchase_id=purchase_id)
    if purchase is None or purchase.group_id != actor.group_id:
        raise PurchaseNotFound
    actor.require(Permission.PURCHASES_REFUND, await organisation.node(tx, purchase.store_id))
    if amount.currency != purchase.currency:
        raise WrongCurrency(purchase.currency)
    if amount.amount <= 0:
        raise BadInput("amount must be above 0.")
    request = requests.Request(
        principal_id=actor.id,
        operation="purchaseRefund",
        key=request_key,
        input={"purchase": purchase.id, "amount": amount.amount, "reason": reason},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        earlier = await tx.one(refund_by_id, refund_id=claim.answer_id)
        assert earlier is not None
        return Refunded(earlier, purchase, is_replay=True)
    refunded_amount = purchase.refunded_amount + amount.amount
    if refunded_amount > purchase.total_amount:
        left = purchase.total_amount - purchase.refunded_amount
        raise RefundTooLarge(refundable=Money(left, purchase.currency))
    if (await tx.one(number_of_refunds, purchase_id=purchase.id) or 0) >= REFUNDS_MAX:
        raise TooManyRefunds
    made, after = await _give_back(
        tx, actor, purchase, refund_id=claim.answer_id, amount=amount.amount, reason=reason, now=now
    )
    await audit.record(
        tx, actor, "purchase.refund", object_kind="purchase", object_id=purchase.id,
        node_id=purchase.store_id, now=now, amount=made.amount, points=made.points_taken,
        growth=made.growth_taken,
    )  # fmt: skip
    return Refunded(made, after, is_replay=False)


async def _give_back(
    tx: Transaction,
    actor: Actor,
    purchase: Purchase,
    *,
    refund_id: UUID,
    amount: int,
    reason: str,
    now: datetime,
) -> tuple[PurchaseRefund, Purchase]:
    """The refund, and the purchase after it: points and growth go, the card's tier may follow."""
    # Whatever the card's status: what was given for nothing is nobody's.
    card = await cards.locked(tx, await cards.living(tx, purchase.card_id))
    refunded_amount = purchase.refunded_amount + amount
    counted = tiers.counted_back(purchase, refunded_amount)
    made = new_refund(
        id=refund_id,
        purchase_id=purchase.id,
        amount=amount,
        points_taken=points.due_back(purchase, refunded_amount),
        growth_taken=tiers.taken_by(purchase, card, counted),
        reason=reason,
        refunded_at=now,
    )
    added = await tx.changed(
        add_refund, purchase_id=purchase.id, amount=amount, points=made.points_taken,
        growth=made.growth_taken,
    )  # fmt: skip
    assert added == 1, "a purchase moved under its lock"
    await tx.insert(made)
    await points.take_back(tx, card=card, purchase=purchase, refund=made, actor=actor, now=now)
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    await tiers.after_refund(tx, card=card, scheme=scheme, refund=made, counted=counted, now=now)
    live.tell(tx, card.member_id, "PURCHASE_REFUNDED", object_id=purchase.id, now=now)
    after = changed_copy(
        purchase,
        refunded_amount=refunded_amount,
        points_taken_back=purchase.points_taken_back + made.points_taken,
        growth_taken_back=purchase.growth_taken_back + made.growth_taken,
    )
    return made, after


async def seen_by(tx: Transaction, actor: Actor, *, purchase_id: UUID) -> Purchase | None:
    """A purchase if it exists and the actor may read it."""
    purchase = await tx.one(by_id, purchase_id=purchase_id)
    if purchase is None:
        return None
    store = await organisation.node(tx, purchase.store_id)
    return purchase if actor.may(Permission.PURCHASES_READ, store) else None


async def own(tx: Transaction, *, member_id: UUID, purchase_id: UUID) -> Purchase | None:
    """A purchase on a card of the signed-in member, or None."""
    purchase = await tx.one(by_id, purchase_id=purchase_id)
    if purchase is None:
        return None
    card = await cards.own_or_none(tx, member_id=member_id, card_id=purchase.card_id)
    return purchase if card else None


async def told(tx: Transaction, *, purchase_id: UUID) -> Purchase:
    """The purchase an event names."""
    purchase = await tx.one(by_id, purchase_id=purchase_id)
    assert purchase is not None
    return purchase


async def payments_by_purchase(tx: Transaction, purchase_ids: list[UUID]) -> dict[UUID, list[Paid]]:
    found: dict[UUID, list[Paid]] = {i: [] for i in purchase_ids}
    for payment in await tx.all(payments_of, purchase_ids=purchase_ids):
        found[payment.purchase_id].append(payment)
    return found


async def lines_by_purchase(
    tx: Transaction, purchase_ids: list[UUID]
) -> dict[UUID, list[PurchaseLine]]:
    found: dict[UUID, list[PurchaseLine]] = {i: [] for i in purchase_ids}
    for line in await tx.all(lines_of, purchase_ids=purchase_ids):
        found[line.purchase_id].append(line)
    return found


async def refunds_by_purchase(
    tx: Transaction, purchase_ids: list[UUID]
) -> dict[UUID, list[PurchaseRefund]]:
    found: dict[UUID, list[PurchaseRefund]] = {i: [] for i in purchase_ids}
    for made in await tx.all(refunds_of, purchase_ids=purchase_ids):
        found[made.purchase_id].append(made)
    return found


def net_of(bill: Bill, payments: Sequence[PurchasePayment]) -> int:
    """What earns points: paid by net-receipt methods, less their share of the tax (PTS-1).

    The tax is shared in proportion to the amounts, rounded half up to the minor unit.
    """
    counted = sum(payment.amount for payment in payments if payment.is_net_receipt)
    if not counted:
        return 0
    return counted - proportion_half_up(bill.tax_amount, counted, bill.total.amount)


def _recording(
    actor: Actor, *, terminal_id: UUID, card_id: UUID, bill: Bill, key: str
) -> requests.Request:
    """What the request key stands for."""
    return requests.Request(
        principal_id=actor.id,
        operation="purchaseRecord",
        key=key,
        input={
            "terminal": terminal_id,
            "card": card_id,
            "order": bill.order_number,
            "total": [bill.total.amount, bill.total.currency, bill.tax_amount],
            "payments": [[payment.method_code, payment.amount] for payment in bill.payments],
            "occurredAt": bill.occurred_at,
            # Only where there are some, so that requests of before lines existed stay the same.
            **({"lines": [list(astuple(line)) for line in bill.lines]} if bill.lines else {}),
        },
    )


def _lines(scheme: Scheme, purchase_id: UUID, bill: Bill) -> list[PurchaseLine]:
    return [
        new_line(
            purchase_id=purchase_id,
            position=position,
            item_id=line.item_id,
            name=line.name,
            paid_amount=line.paid_amount,
            counts_for_growth=tiers.counts(scheme, line),
        )
        for position, line in enumerate(bill.lines, start=1)
    ]


async def _payments(
    tx: Transaction, store: Node, purchase_id: UUID, bill: Bill
) -> list[PurchasePayment]:
    codes = {payment.method_code for payment in bill.payments}
    methods = await payment_methods.of_codes(tx, group_id=store.group_id, codes=codes)
    return [
        new_payment(
            purchase_id=purchase_id,
            payment_method_id=methods[payment.method_code].id,
            amount=payment.amount,
            is_net_receipt=methods[payment.method_code].is_net_receipt,
        )
        for payment in bill.payments
    ]
