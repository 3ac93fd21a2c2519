"""What the entries of schemes add up to: before a moment, between two, at the end of both.

Opening and closing are sums of their own, each over all entries before a midnight; the movements
between are added up apart. That the three agree is asserted, and holds because the ledger is
append-only.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, and_, bindparam, case, cast, literal, null, or_, type_coerce
from sqlmodel import col, func, select

from app.core.db import Choice, Statement, Transaction, any_of, statement
from app.models.ledger import Account, AccountKind, Entry, Posting, PostingKind, SystemAccount
from app.services.ledger.accounts import GROWTH, POINTS
from app.services.reports.subjects import Subject


class Part(StrEnum):
    """Where value stands: on the cards, by its kind, or held until a bill is final."""

    CASH = "CASH"
    BONUS = "BONUS"
    POINTS = "POINTS"
    HELD = "HELD"


class Position(NamedTuple):
    """What one part of a scheme came to at both ends of a period."""

    owner_id: UUID
    """The scheme, or the gift card product."""
    part: Part
    opening: int
    closing: int
    cards: int
    """At the closing: how many cards had something."""
    on_cards: int
    """At the closing: what those had together. Less `owed` it is the closing."""
    owed: int


class Movement(NamedTuple):
    """What postings of one kind brought to a part of a scheme, and what they took from it."""

    owner_id: UUID
    part: Part
    kind: PostingKind
    store_id: UUID | None
    added: int
    taken: int

    @property
    def net(self) -> int:
        return self.added - self.taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One part of a scheme over a period: opening + Σ movements = closing, exactly."""

    opening: int = 0
    closing: int = 0
    movements: tuple[Movement, ...] = ()
    by_store: tuple[Movement, ...] | None = None
    cards: int = 0
    on_cards: int = 0
    owed: int = 0

    @property
    def added(self) -> int:
        return sum(movement.added for movement in self.movements)

    @property
    def taken(self) -> int:
        return sum(movement.taken for movement in self.movements)

    def of_kinds(self, kinds: Iterable[PostingKind]) -> int:
        """What postings of these kinds changed in all; negative for what they took."""
        wanted = set(kinds)
        return sum(movement.net for movement in self.movements if movement.kind in wanted)


def sum_of(amount: Any, label: str) -> Any:
    # PostgreSQL adds 64-bit integers up to a numeric.
    return cast(func.sum(amount), BigInteger).label(label)


def _entries(*columns: Any, is_points: bool) -> Any:
    """Entries on the cards' accounts and on what is held, of points or of money."""
    of_unit = (
        col(Entry.unit) == POINTS
        if is_points
        else and_(col(Entry.unit) != POINTS, col(Entry.unit) != GROWTH)
    )
    return (
        select(*columns)
        .select_from(Posting)
        .join(Entry, col(Entry.posting_id) == col(Posting.id))
        .where(
            any_of(col(Posting.scheme_id), "scheme_ids"),
            col(Posting.recorded_at) < bindparam("ends_at"),
            of_unit,
            or_(
                # What moved from a gift card into stored value is on an account as well.
                col(Entry.card_id).is_not(None),
                col(Entry.system_account) == SystemAccount.HELD,
            ),
        )
    )


def _part(account_id: Any, is_points: bool) -> Any:
    """Money needs its account to be told apart; points are points."""
    of_account: Any = literal(POINTS) if is_points else col(Account.kind)
    part = case((account_id.is_(None), literal(Part.HELD.value)), else_=of_account)
    return type_coerce(part, Choice(Part)).label("part")


def _is_money(account_id: Any) -> Any:
    """The account of an entry that has money's unit: half of all accounts need not be looked at."""
    kinds = or_(col(Account.kind) == AccountKind.CASH, col(Account.kind) == AccountKind.BONUS)
    return and_(col(Account.id) == account_id, kinds)


def _positions(is_points: bool) -> Statement[Position]:
    is_before = col(Posting.recorded_at) < bindparam("starts_at")
    each = (
        _entries(
            col(Posting.scheme_id).label("owner_id"),
            Entry.account_id,
            func.sum(case((is_before, col(Entry.amount)), else_=0)).label("opening"),
            func.sum(Entry.amount).label("closing"),
            is_points=is_points,
        )
        .group_by(col(Posting.scheme_id), col(Entry.account_id))
        .subquery()
    )
    # Of what is held there is one sum a scheme, which is no card's.
    is_card = each.c.account_id.is_not(None)
    holds, owes = and_(is_card, each.c.closing > 0), and_(is_card, each.c.closing < 0)
    part = _part(each.c.account_id, is_points)
    query = select(
        each.c.owner_id,
        part,
        sum_of(each.c.opening, "opening"),
        sum_of(each.c.closing, "closing"),
        sum_of(case((holds, 1), else_=0), "cards"),
        sum_of(case((holds, each.c.closing), else_=0), "on_cards"),
        sum_of(case((owes, -each.c.closing), else_=0), "owed"),
    ).select_from(each)  # type: ignore[call-overload]  # SQLModel types up to four columns
    if not is_points:
        query = query.outerjoin(Account, _is_money(each.c.account_id))
    return statement(query.group_by(each.c.owner_id, "part"), into=Position)


def _movements(is_points: bool, by_store: bool) -> Statement[Movement]:
    amount = col(Entry.amount)
    store: Any = col(Posting.store_id) if by_store else null()
    query = _entries(
        col(Posting.scheme_id).label("owner_id"),
        _part(col(Entry.account_id), is_points),
        col(Posting.kind).label("kind"),
        store.label("store_id"),
        sum_of(case((amount > 0, amount), else_=0), "added"),
        sum_of(case((amount < 0, -amount), else_=0), "taken"),
        is_points=is_points,
    ).where(col(Posting.recorded_at) >= bindparam("starts_at"))
    if not is_points:
        query = query.outerjoin(Account, _is_money(col(Entry.account_id)))
    keys: list[Any] = [col(Posting.scheme_id), "part", col(Posting.kind)]
    if by_store:
        keys.append(col(Posting.store_id))
    return statement(query.group_by(*keys).order_by(*keys), into=Movement)


POSITIONS = {is_points: _positions(is_points) for is_points in (False, True)}
MOVEMENTS = {
    # (of points or of money, store by store)
    key: _movements(*key)
    for key in product((False, True), repeat=2)
}


async def flows(
    tx: Transaction, about: Subject, *, is_points: bool, by_store: bool
) -> dict[tuple[UUID, Part], Flow]:
    """Every part's flow by scheme and part; parts that nothing ever touched are left out."""
    values: dict[str, Any] = {
        "scheme_ids": about.scheme_ids,
        "starts_at": about.period.starts_at,
        "ends_at": about.period.ends_at,
    }
    positions = await tx.all(POSITIONS[is_points], **values)
    return flows_of(positions, await tx.all(MOVEMENTS[is_points, by_store], **values), by_store)


def flows_of(
    positions: Iterable[Position], movements: Iterable[Movement], by_store: bool
) -> dict[tuple[UUID, Part], Flow]:
    """Every part's flow by its owner, from what was added up apart, which must agree."""
    moved = _by_part(movements)
    found = {}
    for position in positions:
        key = (position.owner_id, position.part)
        of_part = moved.get(key, [])
        flow = Flow(
            opening=position.opening,
            closing=position.closing,
            movements=_by_kind(of_part),
            by_store=tuple(of_part) if by_store else None,
            cards=position.cards,
            on_cards=position.on_cards,
            owed=position.owed,
        )
        assert flow.opening + flow.added - flow.taken == flow.closing, key
        found[key] = flow
    return found


def _by_kind(movements: Iterable[Movement]) -> tuple[Movement, ...]:
    """The same without the stores: one for each kind of posting, in their order."""
    found: dict[PostingKind, Movement] = {}
    for each in movements:
        so_far = found.get(each.kind)
        found[each.kind] = each._replace(
            store_id=None,
            added=each.added + (so_far.added if so_far else 0),
            taken=each.taken + (so_far.taken if so_far else 0),
        )
    return tuple(found.values())


def _by_part(movements: Iterable[Movement]) -> dict[tuple[UUID, Part], list[Movement]]:
    found: defaultdict[tuple[UUID, Part], list[Movement]] = defaultdict(list)
    for movement in movements:
        found[movement.owner_id, movement.part].append(movement)
    return found
