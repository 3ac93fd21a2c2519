"""Members by whatever is known of them, in pages (MEM-1).

A search is one statement of the conditions that were asked for, newest members first, walking an
index: that of the name, the tag or the recruitment store, otherwise that of the group. What is
asked for besides may be rare, so a page looks at `LOOKED_AT_MAX` members at most and says how far
it came.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select

from app.core.db import Statement, Transaction, any_of, statement
from app.core.ids import LARGEST_ID, SMALLEST_ID
from app.models.cards import Card, CardStatus
from app.models.identities import IdentityKind
from app.models.members import Member, MemberStatus, MemberTag
from app.models.staff import Permission
from app.services import cards, identities, members, schemes
from app.services.actors import Actor
from app.services.cards import BalanceRange

LOOKED_AT_MAX = 50_000
"""A page that would have to look at more members ends early, and the next one goes on."""


class MemberKind(StrEnum):
    """Whether somebody holds a card (MEM-1)."""

    CUSTOMER = "CUSTOMER"
    MEMBER = "MEMBER"


class Known(NamedTuple):
    """An identity as it was typed in."""

    kind: IdentityKind
    value: str
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFilter:
    """Whom to look for; what is None lets everybody pass.

    Conditions on a card hold for one and the same card, which is in its holder's hands: not merged
    into another and not paid out.
    """

    phone: str | None = None
    email: str | None = None
    card_number: str | None = None
    name: str | None = None
    identity: Known | None = None
    kind: MemberKind | None = None
    scheme_id: UUID | None = None
    tier_id: UUID | None = None
    tag_id: UUID | None = None
    recruitment_store_id: UUID | None = None
    issuing_store_id: UUID | None = None
    status: MemberStatus | None = None
    balance: BalanceRange | None = None
    joined_from: datetime | None = None
    joined_to: datetime | None = None


class Found(NamedTuple):
    """Members of a page, and how far it looked if more may lie beyond without having been found."""

    members: list[Member]
    looked_until: UUID | None


CARD_CONDITIONS: dict[str, Any] = {
    "scheme_id": col(Card.scheme_id) == bindparam("scheme_id"),
    "tier_id": col(Card.tier_id) == bindparam("tier_id"),
    "issuing_store_id": col(Card.issuing_store_id) == bindparam("issuing_store_id"),
    "balance": cards.holds_balance,
    "seen": any_of(col(Card.scheme_id), "seen_scheme_ids"),
}
MEMBER_CONDITIONS: dict[str, Any] = {
    "ids": any_of(col(Member.id), "ids"),
    "name": col(Member.name_index) == bindparam("name_index"),
    "tag_id": col(MemberTag.tag_id) == bindparam("tag_id"),
    "recruitment_store_id": col(Member.recruitment_store_id) == bindparam("recruitment_store_id"),
    "status": col(Member.status) == bindparam("status"),
    "joined_from": col(Member.joined_at) >= bindparam("joined_from"),
    "joined_to": col(Member.joined_at) < bindparam("joined_to"),
}
WALKED = ("tag_id", "recruitment_store_id")
"""Conditions with an index of their own that finds members in the order of a page."""
FEW = frozenset({"ids", "name"})
"""Conditions that leave a handful, however many members there are."""


def _card_in_hand(given: frozenset[str]) -> Any:
    return (
        select(Card.id)
        .where(
            col(Card.member_id) == col(Member.id),
            col(Card.status) != CardStatus.MERGED,
            col(Card.status) != CardStatus.REFUNDED,
            *(CARD_CONDITIONS[name] for name in sorted(given & CARD_CONDITIONS.keys())),
        )
        .exists()
    )


def _walked(query: Any, given: frozenset[str]) -> tuple[Any, Any]:
    """The query between the two ends of a page, and the column it goes by."""
    if "tag_id" not in given:
        key: Any = col(Member.id)
    else:
        key = col(MemberTag.member_id)
        query = query.join(MemberTag, key == col(Member.id))
    return query.where(
        col(Member.group_id) == bindparam("group_id"),
        key < bindparam("before"),
        key >= bindparam("until"),
    ), key


@cache
def search_of(given: frozenset[str]) -> Statement[Member]:
    """The search for these conditions, made at its first use: at most a few thousand in all."""
    query, key = _walked(select(Member), given)
    query = query.where(
        *(MEMBER_CONDITIONS[name] for name in sorted(given & MEMBER_CONDITIONS.keys()))
    )
    if "status" not in given:
        query = query.where(col(Member.status) != MemberStatus.MERGED)
    if MemberKind.CUSTOMER in given:
        query = query.where(~_card_in_hand(frozenset()))
    if MemberKind.MEMBER in given or given & CARD_CONDITIONS.keys():
        query = query.where(_card_in_hand(given))
    return statement(query.order_by(key.desc()).limit(bindparam("limit")), into=Member)


@cache
def last_looked_at_of(given: frozenset[str]) -> Statement[UUID]:
    """The last member that a page may look at, if there are so many."""
    query, key = _walked(select(Member.id), given)
    query = query.where(*(MEMBER_CONDITIONS[name] for name in sorted(given)))
    last = query.order_by(key.desc()).limit(1).offset(bindparam("others"))
    return statement(last, into=UUID)


async def search(
    tx: Transaction,
    actor: Actor,
    *,
    wanted: MemberFilter | None = None,
    before: UUID | None = None,
    limit: int,
    looked_at_max: int = LOOKED_AT_MAX,
) -> Found:
    """The group's members who fit, those who joined last first; merged records are left out unless
    asked for. What is no phone, address or card number fits nobody.
    """
    actor.require_any(Permission.MEMBERS_READ)
    wanted = wanted or MemberFilter()
    values = _values(wanted)
    if (ids := await _known_by(tx, actor, wanted)) is not None:
        if not ids:
            return Found([], None)
        values["ids"] = {"ids": list(ids)}
    if values.keys() & CARD_CONDITIONS.keys():
        # What is on a card is told to who may read it: a search is a question, too (ORG-1).
        seen, is_all = await schemes.of_readable_cards(tx, actor)
        if not is_all:
            values["seen"] = {"seen_scheme_ids": seen}
    given = frozenset(values)
    walking: dict[str, Any] = {
        "group_id": actor.group_id, "before": before or LARGEST_ID, "until": SMALLEST_ID
    }  # fmt: skip
    until = None
    walked = frozenset([name for name in WALKED if name in given][:1])
    if given != walked and not given & FEW:
        bound = _bound(values, walked) | walking
        until = await tx.one(last_looked_at_of(walked), **bound, others=looked_at_max - 1)
    bound = _bound(values, given) | walking | {"until": until or SMALLEST_ID}
    return Found(await tx.all(search_of(given), **bound, limit=limit), until)


def _values(wanted: MemberFilter) -> dict[str, dict[str, Any]]:
    """For each condition that was asked for, what is bound in it."""
    values: dict[str, dict[str, Any]] = {}
    for name in (
        "scheme_id", "tier_id", "tag_id", "recruitment_store_id", "issuing_store_id", "status",
        "joined_from", "joined_to",
    ):  # fmt: skip
        if (value := getattr(wanted, name)) is not None:
            values[name] = {name: value}
    if wanted.name is not None:
        values["name"] = {"name_index": members.name_index_of(wanted.name)}
    if wanted.kind is not None:
        values[wanted.kind.value] = {}
    if wanted.balance is not None:
        values["balance"] = wanted.balance._asdict()
    return values


def _bound(values: dict[str, dict[str, Any]], given: frozenset[str]) -> dict[str, Any]:
    return {name: value for each in given for name, value in values[each].items()}


async def _known_by(tx: Transaction, actor: Actor, wanted: MemberFilter) -> set[UUID] | None:
    """Whom all the identities and the card number lead to; None if none of them was given."""
    asked = [
        (IdentityKind.PHONE, wanted.phone, ""),
        (IdentityKind.EMAIL, wanted.email, ""),
        *([wanted.identity] if wanted.identity else []),
    ]
    found: list[set[UUID]] = []
    for kind, value, issuer in asked:
        if value is not None:
            proof = identities.proof_of(kind, value, issuer)
            proofs = [proof] if proof else []
            owned = await identities.find(tx, group_id=actor.group_id, proofs=proofs)
            found.append({identity.member_id for identity in owned})
    if wanted.card_number is not None:
        try:
            card = await cards.by_number(tx, group_id=actor.group_id, number=wanted.card_number)
        except cards.CardNotFound:
            found.append(set())
        else:
            found.append({card.member_id})
    return set.intersection(*found) if found else None
