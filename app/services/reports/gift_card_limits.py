"""What an auditor of prepaid cards asks of gift cards: too full ones, large purchases (TOP-11).

A purchase is what was paid at once: an order with all its cards, a card sold or recharged at a
till, a company's bulk order. It belongs to the perspective its store lies under; one without a
store to that under which its product was made, as a gift card does.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    type_coerce,
    union_all,
)
from sqlmodel import col, select

from app.core.db import Choice, Transaction, UtcDateTime, statement
from app.core.ids import type_id
from app.models.compliance import GroupRules
from app.models.gift_card_batches import GiftCardBatch
from app.models.gift_cards import GiftCard, GiftCardProduct, GiftCardRecharge
from app.models.ledger import Entry, Posting, PostingKind
from app.models.members import Member
from app.models.orders import Order
from app.models.organisation import PaymentMethod
from app.models.payments import Payment, PaymentPurpose, PaymentStatus
from app.services import organisation
from app.services.gift_cards import issuing, recharging
from app.services.reports.beyond import (
    ROWS_MAX,
    Listed,
    documented_at,
    how_many,
    listed,
    lowest,
    masked,
    reaches,
)
from app.services.reports.subjects import Subject


class GiftCardPurchaseKind(StrEnum):
    ORDER = "ORDER"
    """Of a member, online or in the mall."""
    TILL = "TILL"
    RECHARGE = "RECHARGE"
    BULK = "BULK"


ID_PREFIXES = {
    GiftCardPurchaseKind.ORDER: "ord",
    GiftCardPurchaseKind.TILL: "gct",
    GiftCardPurchaseKind.RECHARGE: "gct",
    GiftCardPurchaseKind.BULK: "gcb",
}
"""What is done at a till is found by its posting, a transaction of gift cards."""


class _GiftCard(NamedTuple):
    gift_card_id: UUID
    number: str
    name: str | None
    balance: int
    how_many: int


class _Purchase(NamedTuple):
    kind: GiftCardPurchaseKind
    id: UUID
    bought_at: datetime
    number: str | None
    name: str | None
    company: str | None
    amount: int
    documented_at: datetime | None
    method_name: str | None
    moves_by_transfer: bool | None
    provider: str | None
    how_many: int


currencies_of_group = statement(
    select(GiftCardProduct.currency)
    .where(col(GiftCardProduct.group_id) == bindparam("group_id"))
    .distinct(),
    into=str,
)
_in_group = (
    col(GiftCardProduct.group_id) == bindparam("group_id"),
    col(GiftCardProduct.currency) == bindparam("currency"),
)
_balance = cast(func.sum(Entry.amount), BigInteger)
_full = (
    select(Entry.gift_card_id, _balance.label("balance"))
    .select_from(Posting)
    .join(Entry, col(Entry.posting_id) == col(Posting.id))
    .where(
        col(Posting.gift_card_product_id).in_(
            select(GiftCardProduct.id).where(
                *_in_group, organisation.lies_under(col(GiftCardProduct.perspective_id))
            )
        ),
        col(Posting.recorded_at) < bindparam("ends_at"),
        col(Entry.gift_card_id).is_not(None),
    )
    .group_by(col(Entry.gift_card_id))
    .having(_balance > bindparam("cap", type_=BigInteger()))
    .subquery()
)
gift_cards_above = statement(
    select(
        col(GiftCard.id).label("gift_card_id"),
        GiftCard.number,
        Member.name,
        _full.c.balance,
        how_many,
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    .select_from(_full)
    .join(GiftCard, col(GiftCard.id) == _full.c.gift_card_id)
    .outerjoin(Member, col(Member.id) == col(GiftCard.holder_id))
    .order_by(_full.c.balance.desc(), col(GiftCard.id))
    .limit(ROWS_MAX),
    into=_GiftCard,
)
# A provider that was paid twice for one order sends one payment back: the first is the order's.
_provider_of_order = (
    select(Payment.provider)
    .where(
        col(Payment.purpose) == PaymentPurpose.ORDER,
        col(Payment.order_id) == col(Order.id),
        col(Payment.status) == PaymentStatus.PAID,
    )
    .order_by(col(Payment.paid_at))
    .limit(1)
    .scalar_subquery()
)


def _kind(kind: GiftCardPurchaseKind) -> Any:
    return type_coerce(literal(kind.value), Choice(GiftCardPurchaseKind)).label("kind")


def _filled(kind: PostingKind, cause_kind: str) -> tuple[Any, ...]:
    """Conditions: the posting put value on a gift card in the period."""
    return (
        col(Posting.gift_card_product_id).in_(select(GiftCardProduct.id).where(*_in_group)),
        col(Posting.recorded_at) >= bindparam("starts_at"),
        col(Posting.recorded_at) < bindparam("ends_at"),
        col(Posting.kind) == kind,
        col(Posting.cause_kind) == cause_kind,
    )


_activated = _filled(PostingKind.GIFT_CARD_ACTIVATE, issuing.CAUSE)
_at_least = bindparam("at_least", type_=BigInteger())
_orders = select(  # type: ignore[call-overload]  # SQLModel types up to four columns
    _kind(GiftCardPurchaseKind.ORDER),
    col(Order.id).label("id"),
    col(Order.paid_at).label("bought_at"),
    null().label("number"),
    col(Order.member_id).label("member_id"),
    null().label("company"),
    col(Order.amount).label("amount"),
    # PostgreSQL takes the second null for a text unless the first says what it is.
    cast(null(), UtcDateTime()).label("company_documented_at"),
    col(Order.payment_method_id).label("payment_method_id"),
    _provider_of_order.label("provider"),
).where(
    # All its cards are there once it is paid, and with them the moment it was.
    col(Order.id).in_(
        select(GiftCard.order_id)
        .select_from(Posting)
        .join(GiftCard, col(GiftCard.id) == col(Posting.cause_id))
        .where(*_activated, col(GiftCard.order_id).is_not(None))
    ),
    col(Order.amount) >= _at_least,
    or_(
        organisation.lies_under(col(Order.store_id)),
        and_(col(Order.store_id).is_(None), organisation.lies_under(col(Order.perspective_id))),
    ),
)
_sales = (
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        _kind(GiftCardPurchaseKind.TILL),
        Posting.id,
        Posting.recorded_at,
        GiftCard.number,
        GiftCard.holder_id,
        null(),
        GiftCard.cash,
        null(),
        GiftCard.payment_method_id,
        null(),
    )
    .select_from(Posting)
    .join(GiftCard, col(GiftCard.id) == col(Posting.cause_id))
    .where(
        *_activated,
        col(GiftCard.terminal_id).is_not(None),
        col(GiftCard.cash) >= _at_least,
        organisation.lies_under(col(GiftCard.store_id)),
    )
)
_recharges = (
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        _kind(GiftCardPurchaseKind.RECHARGE),
        Posting.id,
        Posting.recorded_at,
        GiftCard.number,
        GiftCard.holder_id,
        null(),
        GiftCardRecharge.cash,
        null(),
        GiftCardRecharge.payment_method_id,
        null(),
    )
    .select_from(Posting)
    .join(GiftCardRecharge, col(GiftCardRecharge.id) == col(Posting.cause_id))
    .join(GiftCard, col(GiftCard.id) == col(GiftCardRecharge.gift_card_id))
    .where(
        *_filled(PostingKind.GIFT_CARD_RECHARGE, recharging.CAUSE),
        col(GiftCardRecharge.cash) >= _at_least,
        organisation.lies_under(col(GiftCardRecharge.store_id)),
    )
)
_is_documented = col(GiftCardBatch.buyer_registration).is_not(None)
_bulk_orders = select(  # type: ignore[call-overload]  # SQLModel types up to four columns
    _kind(GiftCardPurchaseKind.BULK),
    GiftCardBatch.id,
    GiftCardBatch.created_at,
    null(),
    null(),
    GiftCardBatch.buyer_company,
    GiftCardBatch.amount,
    case((_is_documented, col(GiftCardBatch.created_at)), else_=None),
    GiftCardBatch.payment_method_id,
    null(),
).where(
    col(GiftCardBatch.product_id).in_(select(GiftCardProduct.id).where(*_in_group)),
    col(GiftCardBatch.created_at) >= bindparam("starts_at"),
    col(GiftCardBatch.created_at) < bindparam("ends_at"),
    col(GiftCardBatch.amount) >= bindparam("company_at_least", type_=BigInteger()),
    organisation.lies_under(col(GiftCardBatch.perspective_id)),
)
_bought = union_all(_orders, _sales, _recharges, _bulk_orders).subquery()
large_purchases = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        _bought.c.kind,
        _bought.c.id,
        _bought.c.bought_at,
        _bought.c.number,
        Member.name,
        _bought.c.company,
        _bought.c.amount,
        func.coalesce(_bought.c.company_documented_at, documented_at).label("documented_at"),
        col(PaymentMethod.name).label("method_name"),
        PaymentMethod.moves_by_transfer,
        _bought.c.provider,
        how_many,
    )
    .select_from(_bought)
    .outerjoin(Member, col(Member.id) == _bought.c.member_id)
    .outerjoin(PaymentMethod, col(PaymentMethod.id) == _bought.c.payment_method_id)
    .order_by(_bought.c.amount.desc(), _bought.c.id)
    .limit(ROWS_MAX),
    into=_Purchase,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardAbove:
    """A gift card that is worth more than it may be, and who holds it, masked."""

    gift_card_id: UUID
    number: str
    holder: str
    balance: int
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LargePurchase:
    """What reached a threshold when it was paid at once for gift cards."""

    kind: GiftCardPurchaseKind
    id: str
    """With its prefix of `ID_PREFIXES`."""
    bought_at: datetime
    card_number: str | None
    buyer: str
    """Masked, but for a company. At a till, whoever holds the card now."""
    amount: int
    needs_real_name: bool
    real_name_recorded_at: datetime | None
    needs_transfer: bool
    method_name: str | None
    provider: str | None
    leaves_trace: bool
    is_above_most: bool


async def currencies(tx: Transaction, about: Subject) -> list[str]:
    """Those in which the perspective's group sells gift cards."""
    return await tx.all(currencies_of_group, group_id=about.perspective.group_id)


async def above(tx: Transaction, rules: GroupRules, about: Subject) -> Listed[GiftCardAbove]:
    """Gift cards worth more than an unregistered card may hold, at the end of the period."""
    cap = rules.unregistered_card_cap
    if cap is None:
        return Listed([], 0)
    rows = await tx.all(gift_cards_above, cap=cap, **_within(rules, about))
    return listed(
        rows,
        lambda row: GiftCardAbove(
            gift_card_id=row.gift_card_id,
            number=row.number,
            holder=masked(row.name),
            balance=row.balance,
            cap=cap,
        ),
    )


async def purchases(tx: Transaction, rules: GroupRules, about: Subject) -> Listed[LargePurchase]:
    """What was paid at once in the period, from the lowest threshold of its buyer on."""
    most = None if rules.order_max is None else rules.order_max + 1
    at_least = lowest(rules.real_name_from, rules.transfer_from, most)
    company_at_least = lowest(rules.real_name_from, rules.company_transfer_from)
    if at_least is None and company_at_least is None:
        return Listed([], 0)
    rows = await tx.all(
        large_purchases,
        at_least=at_least,  # None is reached by nothing
        company_at_least=company_at_least,
        starts_at=about.period.starts_at,
        **_within(rules, about),
    )
    return listed(rows, lambda row: _large(row, rules, most))


def _large(row: _Purchase, rules: GroupRules, most: int | None) -> LargePurchase:
    is_company = row.kind is GiftCardPurchaseKind.BULK
    transfer_from = rules.company_transfer_from if is_company else rules.transfer_from
    return LargePurchase(
        kind=row.kind,
        id=type_id(ID_PREFIXES[row.kind], row.id),
        bought_at=row.bought_at,
        card_number=row.number,
        buyer=row.company or masked(row.name),
        amount=row.amount,
        needs_real_name=reaches(row.amount, rules.real_name_from),
        real_name_recorded_at=row.documented_at,
        needs_transfer=reaches(row.amount, transfer_from),
        method_name=row.method_name,
        provider=row.provider,
        leaves_trace=row.provider is not None or bool(row.moves_by_transfer),
        is_above_most=not is_company and reaches(row.amount, most),
    )


def _within(rules: GroupRules, about: Subject) -> dict[str, Any]:
    return {
        "group_id": about.perspective.group_id,
        "currency": rules.currency,
        "node_ids": [about.perspective.id],
        "ends_at": about.period.ends_at,
    }
