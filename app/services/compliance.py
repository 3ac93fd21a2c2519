"""What the law of single-purpose prepaid cards asks of stored value and gift cards (TOP-11).

Sources: 单用途商业预付卡管理办法（试行）(MOFCOM 2012 no. 9), articles 15–19: at most ¥5,000 on a
registered card and ¥1,000 on another, a registered card has no end, the buyer's name and document
from ¥10,000 on, and payment by transfer from ¥50,000 on, by a company from ¥5,000 on.

A member's card is a registered one if we know who the member is; a gift card never is, since it is
worth the same in whosever hand it is.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, and_, bindparam, cast, or_
from sqlmodel import col, func, select

from app.core.db import (
    Statement,
    Transaction,
    changed_copy,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.errors import BadInput, DomainError
from app.core.money import MINOR_UNIT_DIGITS, Money
from app.core.personal import index_of
from app.core.points_expiry import local_day, start_of_day
from app.core.texts import checked_text
from app.models.cards import Card, CardStatus
from app.models.compliance import DocumentKind, GroupRules, RealName
from app.models.gift_cards import GiftCard, GiftCardRecharge, GiftCardState
from app.models.identities import Identity, IdentityKind
from app.models.ledger import Account, AccountKind
from app.models.members import Member
from app.models.orders import Order, OrderKind, OrderState
from app.models.organisation import PaymentMethod
from app.models.points_mall import MallItem, MallItemKind
from app.models.spendings import Spending, SpendingState
from app.models.staff import Permission
from app.models.top_ups import TopUpOrder, TopUpState
from app.services import audit, members, organisation
from app.services.actors import Actor

LIMIT_MAX = 2**53
"""A limit's own limit: what every client's numbers can hold."""
NAME_CHARS_MAX = 120
DOCUMENT_CHARS_MAX = 40
LIMITS = (
    "registered_card_cap",
    "unregistered_card_cap",
    "person_cap",
    "order_max",
    "day_max",
    "real_name_from",
    "transfer_from",
    "company_transfer_from",
    "adjustment_approval_above",
    "points_approval_above",
)
POINTS_APPROVAL_ABOVE = 10_000
IN_MAJOR_UNITS = {"adjustment_approval_above": 1_000}
LEGAL_IN_YUAN = {
    "registered_card_cap": 5_000,
    "unregistered_card_cap": 1_000,
    "real_name_from": 10_000,
    "transfer_from": 50_000,
    "company_transfer_from": 5_000,
}

rules_of = statement(
    select(GroupRules).where(
        col(GroupRules.group_id) == bindparam("group_id"),
        col(GroupRules.currency) == bindparam("currency"),
    ),
    into=GroupRules,
)
put_rules = upsert(
    lambda insert: (
        insert(GroupRules)
        .values(every_column(GroupRules))
        .on_conflict_do_update(
            index_elements=["group_id", "currency"],
            set_={
                name: bindparam(name, type_=GroupRules.__table__.c[name].type)  # type: ignore[attr-defined]
                for name in (*LIMITS, "changed_at")
            },
        )
    )
)
real_name_of = statement(
    select(RealName).where(col(RealName.member_id) == bindparam("member_id")), into=RealName
)
put_real_name = upsert(
    lambda insert: (
        insert(RealName)
        .values(every_column(RealName))
        .on_conflict_do_update(
            index_elements=["member_id"],
            set_={
                name: bindparam(name, type_=RealName.__table__.c[name].type)  # type: ignore[attr-defined]
                for name in (
                    "name",
                    "document_kind",
                    "document_number",
                    "document_index",
                    "recorded_by_id",
                    "recorded_at",
                )
            },
        )
    )
)
has_phone = statement(
    select(Identity.id)
    .where(
        col(Identity.member_id) == bindparam("member_id"),
        col(Identity.kind) == IdentityKind.PHONE,
        col(Identity.is_proven),
    )
    .limit(1),
    into=UUID,
)


class _Held(NamedTuple):
    """Paid-in cash of one card."""

    card_id: UUID
    balance: int


class _HeldBack(NamedTuple):
    """Cash of one card that waits for a bill to become final."""

    card_id: UUID
    cash: int


cash_of_member = statement(
    select(Account.card_id, Account.balance)
    .join(Card, col(Card.id) == col(Account.card_id))
    .where(
        col(Card.member_id) == bindparam("member_id"),
        col(Card.status) != CardStatus.MERGED,
        col(Account.kind) == AccountKind.CASH,
        col(Account.unit) == bindparam("currency"),
    ),
    into=_Held,
)
# What is held for a bill may come back: it counts as if it were on its card.
held_of_member = statement(
    select(Spending.card_id, Spending.cash)
    .join(Card, col(Card.id) == col(Spending.card_id))
    .where(
        col(Card.member_id) == bindparam("member_id"),
        col(Spending.state) == SpendingState.AUTHORISED,
        col(Spending.currency) == bindparam("currency"),
    ),
    into=_HeldBack,
)


def _bought(table: Any, amount: Any, *conditions: Any) -> Statement[int]:
    """What rows of one person come to, in minor units of a currency."""
    return statement(
        select(cast(func.coalesce(func.sum(amount), 0), BigInteger))
        .select_from(table)
        .where(col(table.currency) == bindparam("currency"), *conditions),
        into=int,
    )


_is_mall_gift_card = (
    select(MallItem.id)
    .where(col(MallItem.id) == col(Order.product_id), col(MallItem.kind) == MallItemKind.GIFT_CARD)
    .correlate(Order)
    .exists()
)
_is_held = and_(
    col(GiftCard.holder_id).in_(members.own_records),
    col(GiftCard.state) != GiftCardState.REFUNDED,
)
# What waits to be paid counts: else whoever begins five orders pays a limit five times. At a till
# the buyer of a gift card is whoever holds it; of one that nobody held, whoever took it to theirs.
BOUGHT_SINCE = (
    _bought(
        TopUpOrder,
        TopUpOrder.amount,
        col(TopUpOrder.member_id).in_(members.own_records),
        or_(
            col(TopUpOrder.state) == TopUpState.PENDING,
            and_(
                col(TopUpOrder.state) == TopUpState.CREDITED,
                col(TopUpOrder.credited_at) >= bindparam("since"),
            ),
        ),
    ),
    _bought(
        Order,
        Order.amount,
        col(Order.member_id).in_(members.own_records),
        or_(col(Order.kind) == OrderKind.GIFT_CARD, _is_mall_gift_card),
        or_(
            col(Order.state) == OrderState.PENDING,
            and_(col(Order.state) == OrderState.PAID, col(Order.paid_at) >= bindparam("since")),
        ),
    ),
    _bought(
        GiftCard,
        GiftCard.cash,
        _is_held,
        col(GiftCard.terminal_id).is_not(None),
        col(GiftCard.activated_at) >= bindparam("since"),
    ),
    _bought(
        GiftCardRecharge,
        GiftCardRecharge.cash,
        col(GiftCardRecharge.gift_card_id).in_(select(GiftCard.id).where(_is_held)),
        col(GiftCardRecharge.recharged_at) >= bindparam("since"),
    ),
)
"""What one person paid for stored value and gift cards since a moment, one way each."""
new_rules = light(GroupRules)
new_real_name = light(RealName)


class OverLimit(DomainError):
    """A sum the limits of prepaid cards do not allow; `limit` is the limit it breaks."""

    def __init__(self, text: str, limit: Money) -> None:
        self.limit = limit
        super().__init__(text)


class CardCapReached(OverLimit):
    """The card would hold more paid-in value than one card may."""

    def __init__(self, *, limit: Money, room: Money) -> None:
        self.room = room
        super().__init__(f"A card can hold at most {limit}; there is room for {room}.", limit)


class PersonCapReached(OverLimit):
    """All cards of the member together would hold more than one person may."""

    def __init__(self, *, limit: Money, room: Money) -> None:
        self.room = room
        super().__init__(
            f"One person's cards can hold at most {limit}; there is room for {room}.", limit
        )


class OrderTooLarge(OverLimit):
    """More than one top-up, or one purchase of gift cards, may cost."""

    def __init__(self, limit: Money) -> None:
        super().__init__(f"At most {limit} can be bought at once.", limit)


class DayLimitReached(OverLimit):
    """More than one person may top up in a day, gift cards counted."""

    def __init__(self, *, limit: Money, room: Money) -> None:
        self.room = room
        super().__init__(f"You can buy at most {limit} a day; {room} is left today.", limit)


class RealNameNeeded(OverLimit):
    """From this amount on the buyer's name and document must be on record."""

    def __init__(self, limit: Money) -> None:
        super().__init__(f"From {limit} on we need your name and identity document.", limit)


class TransferNeeded(OverLimit):
    """From this amount on it must be paid in a way that a bank keeps trace of."""

    def __init__(self, limit: Money) -> None:
        super().__init__(f"From {limit} on please pay by transfer or card.", limit)


def legal_defaults(group_id: UUID, currency: str, now: datetime) -> GroupRules:
    """The rules of a group that set none: those of the law for yuan, no caps elsewhere."""
    unit = 10 ** MINOR_UNIT_DIGITS[currency]
    limits: dict[str, Any] = dict.fromkeys(LIMITS)
    limits["points_approval_above"] = POINTS_APPROVAL_ABOVE
    limits |= {name: amount * unit for name, amount in IN_MAJOR_UNITS.items()}
    if currency == "CNY":
        limits |= {name: amount * unit for name, amount in LEGAL_IN_YUAN.items()}
    return new_rules(group_id=group_id, currency=currency, changed_at=now, **limits)


async def rules(tx: Transaction, *, group_id: UUID, currency: str, now: datetime) -> GroupRules:
    """The limits in force in a currency: the group's own, or the law's."""
    found = await tx.one(rules_of, group_id=group_id, currency=currency)
    return found or legal_defaults(group_id, currency, now)


async def set_rules(
    tx: Transaction, actor: Actor, *, currency: str, limits: dict[str, Any], now: datetime
) -> GroupRules:
    """Replace a group's limits in a currency; None is no limit. Keys are those of `LIMITS`: one
    that is not among them stays as it is."""
    group = await organisation.node(tx, actor.group_id)
    actor.require(Permission.SETTINGS_WRITE, group)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    assert set(limits) <= set(LIMITS), limits
    if not all(limit is None or 0 <= limit <= LIMIT_MAX for limit in limits.values()):
        raise BadInput("Each limit must be 0 or more, or null for none.")
    before = await rules(tx, group_id=group.id, currency=currency, now=now)
    limits = {name: getattr(before, name) for name in LIMITS} | limits
    after = new_rules(group_id=group.id, currency=currency, changed_at=now, **limits)
    await tx.changed(put_rules, **values_of(after))
    changed = {
        name: [getattr(before, name), limit]
        for name, limit in limits.items()
        if getattr(before, name) != limit
    }
    await audit.record(
        tx, actor, "group_rules.set", object_kind="node", object_id=group.id, node_id=group.id,
        now=now, currency=currency, changed=changed,
    )  # fmt: skip
    return changed_copy(after, id=before.id)


async def require_room(
    tx: Transaction,
    *,
    card: Card,
    member: Member,
    amount: int,
    currency: str,
    method: PaymentMethod | None,
    now: datetime,
) -> None:
    """Whether a card may take so much paid-in value more; the caller holds member and card.

    Caps count cash, which is what was paid in; a bonus is no money anybody gave. `method` is how it
    is paid at a till, None for a provider, which always leaves a trace. Raises `OrderTooLarge`,
    `CardCapReached`, `PersonCapReached`, `DayLimitReached`, `RealNameNeeded`, `TransferNeeded`.
    """
    limits = await rules(tx, group_id=card.group_id, currency=currency, now=now)
    await _require_purchase(tx, limits, buyer=member, amount=amount, method=method)
    await require_caps(tx, card=card, member=member, amount=amount, currency=currency, now=now)
    await _require_day(tx, limits, buyer=member, amount=amount, now=now)


async def require_gift_cards(
    tx: Transaction,
    *,
    group_id: UUID,
    buyer: Member | None,
    face: int,
    amount: int,
    currency: str,
    method: PaymentMethod | None,
    held: int = 0,
    now: datetime,
) -> None:
    """Whether somebody may pay `amount` at once for gift cards worth `face` each.

    `held` is what the card held before, where one is recharged; `method` as for `require_room`.
    The caller holds the buyer. None is somebody whom the till does not know: they have no document
    on record, and no day to count. Raises `OrderTooLarge`, `CardCapReached`, `DayLimitReached`,
    `RealNameNeeded`, `TransferNeeded`.
    """
    limits = await rules(tx, group_id=group_id, currency=currency, now=now)
    await _require_purchase(tx, limits, buyer=buyer, amount=amount, method=method)
    _require_gift_card_cap(limits, held + face, held=held)
    if buyer is not None:
        await _require_day(tx, limits, buyer=buyer, amount=amount, now=now)


async def require_gift_cards_of_company(
    tx: Transaction,
    *,
    group_id: UUID,
    face: int,
    amount: int,
    currency: str,
    method: PaymentMethod,
    now: datetime,
) -> None:
    """Whether a company may buy gift cards worth `face` each, all for `amount`.

    Its name and invoice are on record, and what one person may buy is no limit of it. Raises
    `CardCapReached`, `TransferNeeded`.
    """
    limits = await rules(tx, group_id=group_id, currency=currency, now=now)
    _require_trace(limits.company_transfer_from, limits.currency, amount, method)
    _require_gift_card_cap(limits, face, held=0)


async def require_caps(
    tx: Transaction, *, card: Card, member: Member, amount: int, currency: str, now: datetime
) -> None:
    """Whether the balances that would result are within the caps, however the value comes.

    Raises `CardCapReached`, `PersonCapReached`; the caller holds member and card.
    """
    limits = await rules(tx, group_id=card.group_id, currency=currency, now=now)
    is_registered = await _is_known(tx, member)
    cap = limits.registered_card_cap if is_registered else limits.unregistered_card_cap
    held = await tx.all(cash_of_member, member_id=card.member_id, currency=currency)
    waits = await tx.all(held_of_member, member_id=card.member_id, currency=currency)
    on_card = sum(each.balance for each in held if each.card_id == card.id)
    on_card += sum(each.cash for each in waits if each.card_id == card.id)
    if cap is not None and on_card + amount > cap:
        room = Money(max(cap - on_card, 0), currency)
        raise CardCapReached(limit=Money(cap, currency), room=room)
    of_person = sum(each.balance for each in held) + sum(each.cash for each in waits)
    if limits.person_cap is not None and of_person + amount > limits.person_cap:
        room = Money(max(limits.person_cap - of_person, 0), currency)
        raise PersonCapReached(limit=Money(limits.person_cap, currency), room=room)


async def _require_purchase(
    tx: Transaction,
    limits: GroupRules,
    *,
    buyer: Member | None,
    amount: int,
    method: PaymentMethod | None,
) -> None:
    """What one purchase may cost, who must be known for it, and how it must be paid."""
    if limits.order_max is not None and amount > limits.order_max:
        raise OrderTooLarge(Money(limits.order_max, limits.currency))
    least = limits.real_name_from
    if least is not None and amount >= least and not await _has_document(tx, buyer):
        raise RealNameNeeded(Money(least, limits.currency))
    _require_trace(limits.transfer_from, limits.currency, amount, method)


async def _has_document(tx: Transaction, member: Member | None) -> bool:
    return member is not None and await tx.one(real_name_of, member_id=member.id) is not None


def _require_trace(
    least: int | None, currency: str, amount: int, method: PaymentMethod | None
) -> None:
    leaves_trace = method is None or method.moves_by_transfer
    if least is not None and amount >= least and not leaves_trace:
        raise TransferNeeded(Money(least, currency))


def _require_gift_card_cap(limits: GroupRules, worth: int, *, held: int) -> None:
    """The cap counts all that a card is worth: what stands on its face is what the law limits.

    It is asked at each sale and not of a product, which may be on sale when a cap is lowered.
    """
    cap = limits.unregistered_card_cap
    if cap is not None and worth > cap:
        room = Money(max(cap - held, 0), limits.currency)
        raise CardCapReached(limit=Money(cap, limits.currency), room=room)


async def _require_day(
    tx: Transaction, limits: GroupRules, *, buyer: Member, amount: int, now: datetime
) -> None:
    if limits.day_max is None:
        return
    zone = ZoneInfo((await organisation.node(tx, buyer.group_id)).time_zone)
    asked = {
        "member_id": buyer.id,
        "currency": limits.currency,
        "since": start_of_day(local_day(now, zone), zone),
    }
    left = limits.day_max
    for bought in BOUGHT_SINCE:
        left -= await tx.one(bought, **asked) or 0
    if amount > max(left, 0):
        room = Money(max(left, 0), limits.currency)
        raise DayLimitReached(limit=Money(limits.day_max, limits.currency), room=room)


async def _is_known(tx: Transaction, member: Member) -> bool:
    """Whether a card of the member is a registered one: by a document, or by a name and a phone
    that was proven."""
    phone_id = None if member.name is None else await tx.one(has_phone, member_id=member.id)
    return phone_id is not None or await _has_document(tx, member)


async def record_real_name(
    tx: Transaction,
    actor: Actor,
    *,
    member_id: UUID,
    name: str,
    document_kind: DocumentKind,
    document_number: str,
    now: datetime,
) -> RealName:
    """Write down who a member is by a document somebody has seen. Raises `MemberNotFound`."""
    actor.require_any(Permission.MEMBERS_WRITE)
    member = await members.locked(tx, member_id)
    if member.group_id != actor.group_id:
        raise members.MemberNotFound
    number = checked_text("documentNumber", document_number, at_most=DOCUMENT_CHARS_MAX)
    recorded = new_real_name(
        member_id=member.id,
        name=checked_text("name", name, at_most=NAME_CHARS_MAX),
        document_kind=document_kind,
        document_number=number,
        document_index=index_of(f"{document_kind}:{number.upper()}", "real_names.document_number"),
        recorded_by_id=actor.id,
        recorded_at=now,
    )
    await tx.changed(put_real_name, **values_of(recorded))
    await audit.record(
        tx, actor, "real_name.record", object_kind="member", object_id=member.id, now=now,
        document_kind=document_kind,
    )  # fmt: skip
    return recorded


async def real_name(tx: Transaction, *, member_id: UUID) -> RealName | None:
    """Who a member is by a document, if that was recorded."""
    return await tx.one(real_name_of, member_id=member_id)
