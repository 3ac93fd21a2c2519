"""Whether a coupon can be used, here and now, for this bill."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Transaction, statement
from app.core.errors import BadInput, DomainError
from app.models.coupons import Coupon, CouponTerms
from app.models.members import MemberStatus
from app.models.organisation import Node, Terminal
from app.models.scopes import Channel
from app.models.staff import Permission
from app.services import limits, members, organisation, scopes
from app.services.actors import Actor
from app.services.coupons import terms as coupon_terms
from app.services.coupons.asking import asking, obstacle_to
from app.services.coupons.codes import code_index_of, normal_code
from app.services.coupons.standing import CouponStatus, status_at
from app.services.coupons.values import Bill, Value, value_of
from app.services.scopes import NotAvailable

WRONG_CODES_WINDOW = timedelta(minutes=10)
WRONG_CODES_MAX = 30
"""Per till, or per partner where there is none."""

# Two tills that scan one coupon stand in line here.
lock_by_code = statement(
    select(Coupon)
    .where(col(Coupon.code_index) == bindparam("code_index"))
    .with_for_update(key_share=True),
    into=Coupon,
)


class CouponCodeRefused(DomainError):
    """No coupon of this group has the code, whatever the reason. The try counts."""

    keeps_changes = True

    def __init__(self) -> None:
        super().__init__("There is no coupon with this code.")


class CouponUsed(DomainError):
    """A coupon is used once."""

    def __init__(self, used_at: datetime) -> None:
        self.used_at = used_at
        super().__init__("This coupon was used.")


class CouponExpired(DomainError):
    """The coupon's time is over."""

    def __init__(self, expired_at: datetime) -> None:
        self.expired_at = expired_at
        super().__init__("This coupon has expired.")


class CouponNotYetValid(DomainError):
    """The coupon's time has not come."""

    def __init__(self, valid_from: datetime) -> None:
        self.valid_from = valid_from
        super().__init__("This coupon cannot be used yet.")


class CouponLocked(DomainError):
    """Another bill holds the coupon for some minutes."""

    def __init__(self, until: datetime) -> None:
        self.until = until
        super().__init__("Another bill holds this coupon.")


class CouponWithdrawn(DomainError):
    """What the coupon was given for was undone, it was issued by mistake, or its holder is gone."""

    def __init__(self) -> None:
        super().__init__("This coupon was withdrawn.")


class CouponHandedOver(DomainError):
    """The coupon is on its way to a friend of its holder (CPN-6)."""

    def __init__(self) -> None:
        super().__init__("This coupon is being given to a friend.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where a coupon is shown: at a till, or online, perhaps for a store."""

    terminal_id: UUID | None = None
    store_id: UUID | None = None

    def __post_init__(self) -> None:
        if self.terminal_id is not None and self.store_id is not None:
            raise BadInput("A till knows its store: name a till or a store.")


class There(NamedTuple):
    """Where a coupon is shown, looked up."""

    channel: Channel
    store: Node | None
    terminal: Terminal | None


class Judged(NamedTuple):
    """A coupon that can be used, and what it takes off the bill, if there is one."""

    coupon: Coupon
    terms: CouponTerms
    value: Value | None


async def there(tx: Transaction, actor: Actor, asked: Asked) -> There:
    """The till and its store, or online. Raises `TerminalNotFound`, `NodeNotFound`, `Forbidden`."""
    if asked.terminal_id is not None:
        terminal, store = await organisation.terminal(tx, asked.terminal_id)
        actor.require(Permission.COUPONS_REDEEM, store)
        return There(Channel.POS, store, terminal)
    if asked.store_id is None:
        actor.require_any(Permission.COUPONS_REDEEM)
        return There(Channel.ONLINE, None, None)
    store = await organisation.node(tx, asked.store_id)
    actor.require(Permission.COUPONS_REDEEM, store)
    return There(Channel.ONLINE, store, None)


async def locked_by_code(
    tx: Transaction, actor: Actor, *, place: There, code: str, now: datetime
) -> Coupon:
    """The coupon with a code, which nobody uses meanwhile.

    It counts as wrong before it is looked at, so that of guesses made at once no more are judged
    than allowed, and a right one is taken back. Raises `CouponCodeRefused`, `TooManyRequests`.
    """
    guesser = place.terminal.id if place.terminal else actor.id
    subject = f"wrong-coupon-codes:{guesser}"
    await limits.spend(
        tx, subject=subject, at_most=WRONG_CODES_MAX, window=WRONG_CODES_WINDOW, now=now
    )
    digits = normal_code(code)
    coupon = await tx.one(lock_by_code, code_index=code_index_of(digits)) if digits else None
    if coupon is None or coupon.group_id != actor.group_id:
        raise CouponCodeRefused
    await limits.take_back(tx, subject=subject, window=WRONG_CODES_WINDOW, now=now)
    return coupon


async def judge(
    tx: Transaction,
    coupon: Coupon,
    *,
    place: There,
    bill: Bill | None,
    is_ours: bool = False,
    now: datetime,
) -> Judged:
    """What the coupon takes off, or why it cannot be used. `is_ours`: the bill that asks holds it.

    A coupon that was locked in time is good until the lock ends, though it expires meanwhile.
    Raises `CouponUsed`, `CouponExpired`, `CouponNotYetValid`, `CouponLocked`, `CouponWithdrawn`,
    `CouponHandedOver`, `NotAvailable`, and what `value_of` does.
    """
    _require_standing(coupon, is_ours, now)
    member = await members.living(tx, coupon.member_id)
    if member.status is not MemberStatus.ACTIVE:
        raise CouponWithdrawn
    terms = (await coupon_terms.by_ids(tx, [coupon.terms_id]))[coupon.terms_id]
    scope = (await scopes.load(tx, [terms.scope_id]))[terms.scope_id]
    asked = await asking(
        tx, member=member, channel=place.channel, store=place.store, holds_already=True, now=now
    )
    if obstacle := obstacle_to(scope, asked):
        raise NotAvailable(obstacle)
    return Judged(coupon, terms, None if bill is None else value_of(terms, bill))


def _require_standing(coupon: Coupon, is_ours: bool, now: datetime) -> None:
    match status_at(coupon, now):
        case CouponStatus.USED:
            assert coupon.ended_at is not None
            raise CouponUsed(coupon.ended_at)
        case CouponStatus.WITHDRAWN:
            raise CouponWithdrawn
        case CouponStatus.HANDED_OVER:
            raise CouponHandedOver
        case CouponStatus.EXPIRED | CouponStatus.RETURNED_EXPIRED:
            raise CouponExpired(coupon.valid_until)
        case CouponStatus.UPCOMING:
            raise CouponNotYetValid(coupon.valid_from)
        case CouponStatus.LOCKED if not is_ours:
            assert coupon.locked_until is not None
            raise CouponLocked(coupon.locked_until)
        case CouponStatus.LOCKED | CouponStatus.VALID:
            return
