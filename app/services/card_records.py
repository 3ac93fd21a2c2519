"""Cards as the back office lists them (CRD-5).

A search is one statement of the conditions that were asked for, newest cards first, walking an
index: that of the issuing store, the scheme or the group. What is asked for besides may be rare,
so a page looks at `LOOKED_AT_MAX` cards at most and says how far it came.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, or_
from sqlmodel import col, select

from app.core.db import Statement, Transaction, any_of, statement
from app.core.ids import LARGEST_ID, SMALLEST_ID
from app.models.cards import Card, CardStatus
from app.models.identities import IdentityKind
from app.models.members import Member
from app.models.staff import Permission
from app.services import cards, identities, members, schemes
from app.services.actors import Actor
from app.services.cards import BalanceRange

LOOKED_AT_MAX = 50_000
"""A page that would have to look at more cards ends early, and the next one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFilter:
    """Which cards to look for; what is None lets every one pass."""

    number: str | None = None
    holder_name: str | None = None
    phone: str | None = None
    status: CardStatus | None = None
    scheme_id: UUID | None = None
    tier_id: UUID | None = None
    issuing_store_id: UUID | None = None
    balance: BalanceRange | None = None
    expires_before: datetime | None = None


class Found(NamedTuple):
    """Cards of a page, and how far it looked if more may lie beyond without having been found."""

    cards: list[Card]
    looked_until: UUID | None


_is_over = and_(col(Card.expires_at).is_not(None), col(Card.expires_at) <= bindparam("now"))
CONDITIONS: dict[str, Any] = {
    "ids": any_of(col(Card.id), "ids"),
    "member_ids": any_of(col(Card.member_id), "member_ids"),
    "holder_name": col(Card.member_id).in_(
        select(Member.id).where(
            col(Member.group_id) == bindparam("group_id"),
            col(Member.name_index) == bindparam("name_index"),
        )
    ),
    "issuing_store_id": col(Card.issuing_store_id) == bindparam("issuing_store_id"),
    "scheme_id": col(Card.scheme_id) == bindparam("scheme_id"),
    "scheme_ids": any_of(col(Card.scheme_id), "scheme_ids"),
    "tier_id": col(Card.tier_id) == bindparam("tier_id"),
    # As `cards.status_at` says it: nobody writes down that a card's time is over.
    CardStatus.NORMAL: and_(col(Card.status) == CardStatus.NORMAL, ~_is_over),
    CardStatus.EXPIRED: or_(
        col(Card.status) == CardStatus.EXPIRED,
        and_(col(Card.status) == CardStatus.NORMAL, _is_over),
    ),
    "status": col(Card.status) == bindparam("status"),
    "balance": cards.holds_balance,
    "expires_before": col(Card.expires_at) < bindparam("expires_before"),
}
WALKED = ("issuing_store_id", "scheme_id")
"""Conditions with an index of their own that finds cards in the order of a page."""
FEW = frozenset({"ids", "member_ids", "holder_name"})
"""Conditions that leave a handful, however many cards there are."""


def _walked(query: Any, given: frozenset[str]) -> Any:
    return query.where(
        col(Card.group_id) == bindparam("group_id"),
        col(Card.id) < bindparam("before"),
        col(Card.id) >= bindparam("until"),
        *(CONDITIONS[name] for name in sorted(given)),
    ).order_by(col(Card.id).desc())


@cache
def search_of(given: frozenset[str]) -> Statement[Card]:
    """The search for these conditions, made at its first use: at most a few thousand in all."""
    query = _walked(select(Card), given).where(col(Card.status) != CardStatus.MERGED)
    return statement(query.limit(bindparam("limit")), into=Card)


@cache
def last_looked_at_of(given: frozenset[str]) -> Statement[UUID]:
    """The last card that a page may look at, if there are so many."""
    last = _walked(select(Card.id), given).limit(1).offset(bindparam("others"))
    return statement(last, into=UUID)


async def search(
    tx: Transaction,
    actor: Actor,
    *,
    wanted: CardFilter | None = None,
    before: UUID | None = None,
    limit: int,
    now: datetime,
    looked_at_max: int = LOOKED_AT_MAX,
) -> Found:
    """The cards that fit, the newest first, of schemes the actor may read cards of (ORG-1).

    Listing whose cards they are is listing members, which is a permission of its own. Merged cards
    are left out: their numbers find what they became.
    """
    actor.require_any(Permission.CARDS_READ)
    actor.require_any(Permission.MEMBERS_READ)
    wanted = wanted or CardFilter()
    values = _values(wanted, now) | await _known_by(tx, actor, wanted)
    seen, is_all = await schemes.of_readable_cards(tx, actor)
    if wanted.scheme_id is not None and wanted.scheme_id not in seen:
        return Found([], None)
    if wanted.scheme_id is None and not is_all:
        values["scheme_ids"] = {"scheme_ids": seen}
    given = frozenset(values)
    walking = {"group_id": actor.group_id, "before": before or LARGEST_ID, "until": SMALLEST_ID}
    until = None
    walked = frozenset([name for name in WALKED if name in given][:1])
    if given != walked and not given & FEW:
        bound = _bound(values, walked) | walking
        until = await tx.one(last_looked_at_of(walked), **bound, others=looked_at_max - 1)
    bound = _bound(values, given) | walking | {"until": until or SMALLEST_ID}
    return Found(await tx.all(search_of(given), **bound, limit=limit), until)


def _values(wanted: CardFilter, now: datetime) -> dict[str, dict[str, Any]]:
    """For each condition that was asked for, what is bound in it."""
    values: dict[str, dict[str, Any]] = {}
    for name in ("scheme_id", "tier_id", "issuing_store_id", "expires_before"):
        if (value := getattr(wanted, name)) is not None:
            values[name] = {name: value}
    if wanted.holder_name is not None:
        values["holder_name"] = {"name_index": members.name_index_of(wanted.holder_name)}
    if wanted.status in (CardStatus.NORMAL, CardStatus.EXPIRED):
        values[wanted.status] = {"now": now}
    elif wanted.status is not None:
        values["status"] = {"status": wanted.status}
    if wanted.balance is not None:
        values["balance"] = wanted.balance._asdict()
    return values


async def _known_by(tx: Transaction, actor: Actor, wanted: CardFilter) -> dict[str, dict[str, Any]]:
    """What the number and the holder's phone lead to, as conditions; nothing finds nothing."""
    values: dict[str, dict[str, Any]] = {}
    if wanted.number is not None:
        try:
            card = await cards.by_number(tx, group_id=actor.group_id, number=wanted.number)
        except cards.CardNotFound:
            values["ids"] = {"ids": []}
        else:
            values["ids"] = {"ids": [card.id]}
    if wanted.phone is not None:
        proof = identities.proof_of(IdentityKind.PHONE, wanted.phone)
        proofs = [proof] if proof else []
        owned = await identities.find(tx, group_id=actor.group_id, proofs=proofs)
        values["member_ids"] = {"member_ids": [identity.member_id for identity in owned]}
    return values


def _bound(values: dict[str, dict[str, Any]], given: frozenset[str]) -> dict[str, Any]:
    return {name: value for each in given for name, value in values[each].items()}
