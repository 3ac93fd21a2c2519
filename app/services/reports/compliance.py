"""What an auditor of prepaid cards asks: who is above a cap, who is behind large sums (TOP-11).

Balances are those at the end of the period, added up from the entries. Whether a card is a
registered one, and whether a paid balance could expire, is as it is now. Of gift cards
`gift_card_limits` answers the same.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, and_, bindparam, case, cast, literal_column, or_
from sqlmodel import col, func, select

from app.core.db import Transaction, any_of, statement
from app.models.cards import Card
from app.models.compliance import GroupRules, RealName
from app.models.identities import Identity, IdentityKind
from app.models.ledger import Account, AccountKind, Entry, Lot, Posting
from app.models.members import Member
from app.models.organisation import PaymentMethod
from app.models.top_ups import TopUpOrder
from app.services import compliance, schemes
from app.services.actors import Actor
from app.services.reports import gift_card_limits
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
from app.services.reports.gift_card_limits import GiftCardAbove, LargePurchase
from app.services.reports.subjects import Subject, subject
from app.services.reports.top_ups import credited, provider_of_order, within

_has_document = select(RealName.id).where(col(RealName.member_id) == col(Member.id)).exists()
_has_phone = (
    select(Identity.id)
    .where(
        col(Identity.member_id) == col(Member.id),
        col(Identity.kind) == IdentityKind.PHONE,
        col(Identity.is_proven),
    )
    .exists()
)
is_registered = or_(_has_document, and_(col(Member.name).is_not(None), _has_phone))
"""The same as `compliance.require_caps` asks of one member."""


_paid_in = (
    select(Entry.account_id, cast(func.sum(Entry.amount), BigInteger).label("balance"))
    .select_from(Posting)
    .join(Entry, col(Entry.posting_id) == col(Posting.id))
    .where(
        any_of(col(Posting.scheme_id), "scheme_ids"),
        col(Posting.recorded_at) < bindparam("ends_at"),
        col(Entry.unit) == bindparam("currency"),
        col(Entry.account_id).is_not(None),
    )
    .group_by(col(Entry.account_id))
    .having(func.sum(Entry.amount) > bindparam("above", type_=BigInteger()))
    .subquery()
)
"""What the accounts of schemes came to before a midnight, where it is more than a bound."""


def _with_holders(query: Any) -> Any:
    """Of these the cash accounts, whose cards and members the query names."""
    is_cash = and_(col(Account.id) == _paid_in.c.account_id, col(Account.kind) == AccountKind.CASH)
    return (
        query.select_from(_paid_in)
        .join(Account, is_cash)
        .join(Card, col(Card.id) == col(Account.card_id))
        .join(Member, col(Member.id) == col(Card.member_id))
        .limit(ROWS_MAX)
    )


def _limit(name: str) -> Any:
    return bindparam(name, type_=BigInteger())


class _Card(NamedTuple):
    card_id: UUID
    number: str
    name: str | None
    is_registered: int
    balance: int
    how_many: int


class _Person(NamedTuple):
    member_id: UUID
    name: str | None
    cards: int
    balance: int
    how_many: int


class _Order(NamedTuple):
    id: UUID
    credited_at: datetime
    number: str
    name: str | None
    amount: int
    documented_at: datetime | None
    method_name: str | None
    moves_by_transfer: bool | None
    provider: str | None
    how_many: int


class _Lot(NamedTuple):
    card_id: UUID
    number: str
    name: str | None
    currency: str
    remaining: int
    expires_at: datetime
    how_many: int


_cap = case((is_registered, _limit("registered_cap")), else_=_limit("unregistered_cap"))
cards_above = statement(
    _with_holders(
        select(
            col(Card.id).label("card_id"),
            Card.number,
            Member.name,
            case((is_registered, 1), else_=0).label("is_registered"),
            _paid_in.c.balance,
            how_many,
        )  # type: ignore[call-overload]  # SQLModel types up to four columns
    )
    .where(_paid_in.c.balance > _cap)
    .order_by(_paid_in.c.balance.desc(), col(Card.id)),
    into=_Card,
)
_of_person = func.sum(_paid_in.c.balance)
persons_above = statement(
    _with_holders(
        select(
            col(Member.id).label("member_id"),
            Member.name,
            func.count().label("cards"),
            cast(_of_person, BigInteger).label("balance"),
            how_many,
        )  # type: ignore[call-overload]  # SQLModel types up to four columns
    )
    .group_by(col(Member.id), col(Member.name))
    .having(_of_person > _limit("person_cap"))
    .order_by(_of_person.desc(), col(Member.id)),
    into=_Person,
)
large_orders = statement(
    credited(
        TopUpOrder.id,
        col(Posting.recorded_at).label("credited_at"),
        Card.number,
        Member.name,
        TopUpOrder.amount,
        documented_at.label("documented_at"),
        col(PaymentMethod.name).label("method_name"),
        PaymentMethod.moves_by_transfer,
        provider_of_order.label("provider"),
        how_many,
    )
    .join(Card, col(Card.id) == col(TopUpOrder.card_id))
    .join(Member, col(Member.id) == col(Card.member_id))
    .outerjoin(PaymentMethod, col(PaymentMethod.id) == col(TopUpOrder.payment_method_id))
    .where(
        any_of(col(Posting.scheme_id), "scheme_ids"),
        col(Posting.recorded_at) >= bindparam("starts_at"),
        col(TopUpOrder.currency) == bindparam("currency"),
        col(TopUpOrder.amount) >= bindparam("at_least"),
    )
    .order_by(col(TopUpOrder.amount).desc(), col(TopUpOrder.id))
    .limit(ROWS_MAX),
    into=_Order,
)
expiring_cash = statement(
    select(
        col(Card.id).label("card_id"),
        Card.number,
        Member.name,
        col(Account.unit).label("currency"),
        Lot.remaining,
        Lot.expires_at,
        how_many,
    )  # type: ignore[call-overload]  # SQLModel types up to four columns
    .select_from(Lot)
    .join(Account, col(Account.id) == col(Lot.account_id))
    .join(Card, col(Card.id) == col(Account.card_id))
    .join(Member, col(Member.id) == col(Card.member_id))
    .where(
        any_of(col(Card.scheme_id), "scheme_ids"),
        col(Account.kind) == AccountKind.CASH,
        col(Lot.remaining) > literal_column("0"),  # no parameter: the index is of these alone
        col(Lot.expires_at).is_not(None),
    )
    .order_by(col(Lot.expires_at), col(Lot.id))
    .limit(ROWS_MAX),
    into=_Lot,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAbove:
    """A card that holds more paid-in value than it may, and whose it is, masked."""

    card_id: UUID
    number: str
    holder: str
    is_registered: bool
    balance: int
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAbove:
    """Somebody whose cards of these schemes hold more than one person's may."""

    member_id: UUID
    holder: str
    cards: int
    balance: int
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeOrder:
    """A top-up that reached a threshold, and what was asked for because of it."""

    order_id: UUID
    credited_at: datetime
    card_number: str
    holder: str
    amount: int
    needs_real_name: bool
    real_name_recorded_at: datetime | None
    needs_transfer: bool
    method_name: str | None
    provider: str | None
    leaves_trace: bool
    """Whether it was paid in a way that a bank keeps trace of."""
    is_above_most: bool
    """Whether it is more than one top-up may bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiringCash:
    """A paid balance with an end, which the law does not allow a registered card."""

    card_id: UUID
    card_number: str
    holder: str
    currency: str
    amount: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InCurrency:
    """The rules in force in one currency, and what is beyond them."""

    rules: GroupRules
    cards: Listed[CardAbove]
    persons: Listed[PersonAbove]
    orders: Listed[LargeOrder]
    gift_cards: Listed[GiftCardAbove]
    purchases: Listed[LargePurchase]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    about: Subject
    currencies: list[InCurrency]
    expiring: Listed[ExpiringCash]


async def report(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    from_day: date,
    to_day: date,
    now: datetime,
) -> Compliance:
    """Caps at the end of the period, large orders within it (TOP-11). `Forbidden`, `BadInput`."""
    about = await subject(
        tx, actor, perspective_id=perspective_id, from_day=from_day, to_day=to_day, now=now
    )
    return await of(tx, about)


async def of(tx: Transaction, about: Subject) -> Compliance:
    """The same of a subject that was checked."""
    in_group = await tx.all(schemes.schemes_of_group, group_id=about.perspective.group_id)
    group_scheme_ids = [scheme.id for scheme in in_group]
    # A store sees orders of its group's schemes, and with them their currencies' thresholds.
    sold_in = await gift_card_limits.currencies(tx, about)
    currencies = sorted({scheme.currency for scheme in in_group}.union(sold_in))
    found = [await _in_currency(tx, about, currency, group_scheme_ids) for currency in currencies]
    lots = await tx.all(expiring_cash, scheme_ids=about.scheme_ids)
    return Compliance(
        about=about,
        currencies=found,
        expiring=listed(
            lots,
            lambda row: ExpiringCash(
                card_id=row.card_id,
                card_number=row.number,
                holder=masked(row.name),
                currency=row.currency,
                amount=row.remaining,
                expires_at=row.expires_at,
            ),
        ),
    )


async def _in_currency(
    tx: Transaction, about: Subject, currency: str, group_scheme_ids: list[UUID]
) -> InCurrency:
    group_id = about.perspective.group_id
    rules = await compliance.rules(tx, group_id=group_id, currency=currency, now=about.made_at)
    ids = [scheme.id for scheme in about.schemes if scheme.currency == currency]
    balances = {"scheme_ids": ids, "currency": currency, "ends_at": about.period.ends_at}
    return InCurrency(
        rules=rules,
        cards=await _cards(tx, rules, balances),
        persons=await _persons(tx, rules, balances),
        orders=await _orders(tx, rules, about, group_scheme_ids),
        gift_cards=await gift_card_limits.above(tx, rules, about),
        purchases=await gift_card_limits.purchases(tx, rules, about),
    )


async def _cards(tx: Transaction, rules: GroupRules, balances: dict[str, Any]) -> Listed[CardAbove]:
    caps = {1: rules.registered_card_cap, 0: rules.unregistered_card_cap}
    above = lowest(*caps.values())
    if above is None:
        return Listed([], 0)
    rows = await tx.all(
        cards_above, registered_cap=caps[1], unregistered_cap=caps[0], above=above, **balances
    )
    return listed(
        rows,
        lambda row: CardAbove(
            card_id=row.card_id,
            number=row.number,
            holder=masked(row.name),
            is_registered=bool(row.is_registered),
            balance=row.balance,
            cap=caps[row.is_registered] or 0,
        ),
    )


async def _persons(
    tx: Transaction, rules: GroupRules, balances: dict[str, Any]
) -> Listed[PersonAbove]:
    cap = rules.person_cap
    if cap is None:
        return Listed([], 0)
    rows = await tx.all(persons_above, person_cap=cap, above=0, **balances)
    return listed(
        rows,
        lambda row: PersonAbove(
            member_id=row.member_id,
            holder=masked(row.name),
            cards=row.cards,
            balance=row.balance,
            cap=cap,
        ),
    )


async def _orders(
    tx: Transaction, rules: GroupRules, about: Subject, group_scheme_ids: list[UUID]
) -> Listed[LargeOrder]:
    most = None if rules.order_max is None else rules.order_max + 1
    at_least = lowest(rules.real_name_from, rules.transfer_from, most)
    if at_least is None:
        return Listed([], 0)
    rows = await tx.all(
        large_orders,
        scheme_ids=group_scheme_ids,
        currency=rules.currency,
        at_least=at_least,
        starts_at=about.period.starts_at,
        **within(about),
    )
    return listed(
        rows,
        lambda row: LargeOrder(
            order_id=row.id,
            credited_at=row.credited_at,
            card_number=row.number,
            holder=masked(row.name),
            amount=row.amount,
            needs_real_name=reaches(row.amount, rules.real_name_from),
            real_name_recorded_at=row.documented_at,
            needs_transfer=reaches(row.amount, rules.transfer_from),
            method_name=row.method_name,
            provider=row.provider,
            leaves_trace=row.provider is not None or bool(row.moves_by_transfer),
            is_above_most=reaches(row.amount, most),
        ),
    )
