"""An account is closed: value expires, cards end, who it was is forgotten (IDN-8, SEC-4)."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import String, bindparam, cast, or_
from sqlmodel import col, delete, select, update

from app.core.db import Transaction, statement
from app.core.errors import DomainError
from app.models.behaviour import MemberEvent, Notice
from app.models.cards import Card, CardStatus
from app.models.identities import Identity
from app.models.ledger import AccountKind, PostingKind, SystemAccount
from app.models.members import Member, MemberStatus, MemberTag
from app.models.orders import Order, OrderState
from app.models.sessions import PrincipalKind, Session
from app.models.spendings import Spending, SpendingState
from app.models.top_ups import TopUpOrder, TopUpState
from app.services import coupons, files, ledger, members, requests, sessions, student_ids
from app.services.gift_cards import keeping
from app.services.members import Bearer
from app.services.merges.merging import lock_cards
from app.services.points_mall import fulfilling

VALUE = (AccountKind.CASH, AccountKind.BONUS, AccountKind.POINTS)
"""What a member gives up by closing an account. Growth buys nothing, so it holds nobody back."""

# Those of records and cards that were merged into the member's too, here and below.
_own_cards = select(Card.id).where(col(Card.member_id).in_(members.own_records))
open_authorisation = statement(
    select(Spending)
    .where(col(Spending.card_id).in_(_own_cards), col(Spending.state) == SpendingState.AUTHORISED)
    .order_by(col(Spending.expires_at).desc())
    .limit(1),
    into=Spending,
)
pending_top_up = statement(
    select(TopUpOrder)
    .where(col(TopUpOrder.card_id).in_(_own_cards), col(TopUpOrder.state) == TopUpState.PENDING)
    .order_by(col(TopUpOrder.expires_at).desc())
    .limit(1),
    into=TopUpOrder,
)
pending_order = statement(
    select(Order)
    .where(col(Order.member_id).in_(members.own_records), col(Order.state) == OrderState.PENDING)
    .order_by(col(Order.expires_at).desc())
    .limit(1),
    into=Order,
)
remove_identities = statement(
    delete(Identity).where(col(Identity.member_id) == bindparam("member_id"))
)
OPEN_STATUSES = (CardStatus.NORMAL, CardStatus.LOST, CardStatus.FROZEN)
expire_cards = statement(
    update(Card)
    .where(
        col(Card.member_id) == bindparam("member_id"),
        or_(*(col(Card.status) == open_ for open_ in OPEN_STATUSES)),
    )
    .values(status=CardStatus.EXPIRED, pin_hash=None)
)
empty_records = statement(
    update(Member)
    .where(col(Member.id).in_(members.own_records))
    .values(
        name=None,
        name_index=None,
        gender=None,
        birthday=None,
        region=None,
        attributes=bindparam("nothing"),
    )
)
remove_tags = statement(delete(MemberTag).where(col(MemberTag.member_id).in_(members.own_records)))
remove_notices = statement(delete(Notice).where(col(Notice.member_id).in_(members.own_records)))
# That something happened is counted; which of an outside system's records it was is forgotten.
forget_events = statement(
    update(MemberEvent)
    .where(col(MemberEvent.member_id).in_(members.own_records))
    .values(external_id=cast(col(MemberEvent.id), String))
)
# What a device called itself may name its owner.
empty_devices = statement(
    update(Session)
    .where(
        col(Session.principal_kind) == PrincipalKind.MEMBER,
        col(Session.principal_id).in_(members.own_records),
    )
    .values(device="")
)
mark_closed = statement(
    update(Member)
    .where(col(Member.id) == bindparam("member_id"))
    .values(status=MemberStatus.CLOSED, closed_at=bindparam("at"))
)


class Balance(NamedTuple):
    """What is on one account, in minor units of a currency or in points; negative if it owes."""

    kind: AccountKind
    unit: str
    amount: int


class BalanceLeft(DomainError):
    """Closing would throw away value that the member did not give up, or a debt, which is not
    theirs to give up: staff clear it."""

    def __init__(self, balances: list[Balance]) -> None:
        self.balances = balances
        self.owes = any(balance.amount < 0 for balance in balances)
        super().__init__(
            "A card of yours owes something. Ask a store to clear it first."
            if self.owes
            else "There is still value on your cards. Spend it first, or give it up."
        )


class BillOpen(DomainError):
    """A bill holds value of a card and is not final yet: it would find nothing to come back to."""

    def __init__(self, until: datetime | None) -> None:
        self.until = until
        super().__init__("A bill of yours is not final yet. Try again when it is.")


class TopUpPending(DomainError):
    """A top-up waits for its payment, which may be under way and would come to nobody."""

    def __init__(self, until: datetime | None) -> None:
        self.until = until
        super().__init__("A top-up of yours waits to be paid. Cancel it first, or let it run out.")


class OrderPending(DomainError):
    """The same of an order of anything else."""

    def __init__(self, until: datetime | None) -> None:
        self.until = until
        super().__init__("An order of yours waits to be paid. Cancel it first, or let it run out.")


class RedemptionAwaited(DomainError):
    """Something that was redeemed in the mall has not left us: nobody would know whose it is."""

    def __init__(self) -> None:
        super().__init__("Something you redeemed waits for you. Fetch it first, or call it off.")


async def close(
    tx: Transaction, *, bearer: Bearer, request_key: str, forfeit_balances: bool, now: datetime
) -> Member:
    """Close the account (IDN-8): value expires, cards end, who it was is forgotten.

    The ledger keeps its rows, which name nobody any more; whoever had this phone can register
    afresh. Raises `BalanceLeft` unless the member gives the value up and owes nothing,
    `BillOpen`, `TopUpPending`, `OrderPending`, `RedemptionAwaited`, `RequestKeyReused`,
    `SignInAgain`.
    """
    member = await members.living(tx, bearer.member_id)
    request = requests.Request(
        principal_id=member.id,
        operation="member_close",
        key=request_key,
        input={"forfeit_balances": forfeit_balances},
    )
    claim = await requests.claim(tx, request, now=now)
    if claim.is_replay:
        return member  # before the session is asked for, which the closure has ended
    member = await members.acting_recently(tx, bearer, now=now)
    held = await tx.all(lock_cards, member_ids=[member.id])
    if authorised := await tx.one(open_authorisation, member_id=member.id):
        raise BillOpen(authorised.expires_at)
    if pending := await tx.one(pending_top_up, member_id=member.id):
        raise TopUpPending(pending.expires_at)
    if order := await tx.one(pending_order, member_id=member.id):
        raise OrderPending(order.expires_at)
    if await fulfilling.is_awaited(tx, member_id=member.id):
        raise RedemptionAwaited
    left = await _expire_value(tx, held, member, now)
    for account in await keeping.give_up(tx, member_id=member.id, now=now):
        left.append(Balance(account.kind, account.unit, account.balance))
    refusal = BalanceLeft(left)
    if refusal.owes or (left and not forfeit_balances):
        raise refusal  # which rolls the expiry back
    await coupons.withdraw_of_member(tx, member_id=member.id, now=now)
    await tx.changed(expire_cards, member_id=member.id)
    await tx.changed(remove_identities, member_id=member.id)
    await student_ids.forget(tx, member_id=member.id, now=now)
    await tx.changed(remove_tags, member_id=member.id)
    await tx.changed(remove_notices, member_id=member.id)
    await tx.changed(forget_events, member_id=member.id)
    await files.forget_of_member(tx, member_id=member.id, now=now)
    await fulfilling.forget(tx, member_id=member.id)
    await tx.changed(empty_records, member_id=member.id, nothing={})
    await tx.changed(mark_closed, member_id=member.id, at=now)
    await tx.changed(empty_devices, member_id=member.id)
    await sessions.revoke_all(tx, principal_id=member.id, why="account_closed", now=now)
    return await members.living(tx, member.id)


async def _expire_value(
    tx: Transaction, held: list[Card], member: Member, now: datetime
) -> list[Balance]:
    """Let every lot expire, one posting a card; what was worth something, and what is owed."""
    left: list[Balance] = []
    for card in held:
        accounts = await ledger.accounts_of_cards(tx, [card.id])
        header = ledger.Header.of(
            card,
            kind=PostingKind.ADJUST,
            cause_kind="account_closure",
            cause_id=card.id,
            actor_kind=PrincipalKind.MEMBER,
            actor_id=member.id,
            now=now,
        )
        sheet = await ledger.Sheet.open(tx, header, [account.id for account in accounts])
        for account in accounts:
            if account.kind in VALUE and (owed := sheet.account(account.id).debt):
                left.append(Balance(account.kind, account.unit, -owed))
            total = sum(amount for _, amount in await sheet.take_all(account.id))
            if not total:
                continue
            sheet.against(SystemAccount.EXPIRED, total, account.unit)
            if account.kind in VALUE:
                left.append(Balance(account.kind, account.unit, total))
        if not sheet.is_empty:
            await sheet.close()
    return left
