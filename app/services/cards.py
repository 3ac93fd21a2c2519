"""The cards members hold (CRD-2, CRD-3, CRD-7)."""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import (
    Transaction,
    TransientFailure,
    any_of,
    changed_copy,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.db.statements import every_column
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_text
from app.models.cards import Card, CardStatus, Scheme
from app.models.ledger import Account, AccountKind
from app.models.members import Member, MemberStatus
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, ledger, members, organisation, schemes
from app.services.actors import Actor
from app.services.ledger.sheet import BALANCE_MAX
from app.services.members import Bearer

SERIAL_FIRST, SERIAL_LAST = 100_000_000, 999_999_999
SERIAL_TRIES_MAX = 8
NUMBER_DIGITS = 10
REASON_CHARS_MAX = 200

cards_by_id = statement(select(Card).where(any_of(col(Card.id), "ids")), into=Card)
# NO KEY UPDATE, as an UPDATE of the row takes it: what earns, spends or moves the tier of one card
# stands in line here, and rows that only refer to the card do not.
lock_card = statement(
    select(Card).where(col(Card.id) == bindparam("card_id")).with_for_update(key_share=True),
    into=Card,
)
card_by_number = statement(select(Card).where(col(Card.number) == bindparam("number")), into=Card)
cards_of_members = statement(
    select(Card)
    .where(any_of(col(Card.member_id), "member_ids"), col(Card.status) != CardStatus.MERGED)
    .order_by(col(Card.id)),
    into=Card,
)
ids_of_scheme_after = statement(
    select(Card.id)
    .where(
        col(Card.scheme_id) == bindparam("scheme_id"),
        col(Card.id) > bindparam("after"),
    )
    .order_by(col(Card.id))
    .limit(bindparam("at_most")),
    into=UUID,
)
# For the signed-in member: a merged one's id finds the survivor's cards.
cards_of_signed_in = statement(
    select(Card)
    .join(Member, col(Member.id) == col(Card.member_id))
    .where(
        col(Card.member_id) == members.living_id,
        col(Card.status) != CardStatus.MERGED,
        col(Member.status) == MemberStatus.ACTIVE,
    )
    .order_by(col(Card.id)),
    into=Card,
)
absorbed_by = statement(
    select(Card).where(any_of(col(Card.merged_into_id), "card_ids")).order_by(col(Card.id)),
    into=Card,
)
change_status = statement(
    update(Card)
    .where(col(Card.id) == bindparam("card_id"), col(Card.status) == bindparam("from_status"))
    .values(status=bindparam("to_status"))
)
# Either unique index may refuse: a serial somebody has, or the scheme's second card.
issue = upsert(
    lambda insert: (
        insert(Card).values(every_column(Card)).on_conflict_do_nothing().returning(col(Card.id))
    ),
    into=UUID,
)
new_card = light(Card)
# For a search: an account of the card in the statement around it that holds so much.
holds_balance = (
    select(Account.id)
    .where(
        col(Account.card_id) == col(Card.id),
        col(Account.kind) == bindparam("balance_kind"),
        col(Account.balance) >= bindparam("at_least"),
        col(Account.balance) <= bindparam("at_most"),
    )
    .exists()
)

STAFF_CHANGES = {
    (CardStatus.NORMAL, CardStatus.LOST),
    (CardStatus.NORMAL, CardStatus.FROZEN),
    (CardStatus.LOST, CardStatus.NORMAL),
    (CardStatus.LOST, CardStatus.FROZEN),
    (CardStatus.FROZEN, CardStatus.NORMAL),
}
"""CRD-3: nothing is deleted. Nobody sets a card to expired or refunded by hand."""


class BalanceRange(NamedTuple):
    """How much of one kind of value a card holds, both ends included; see `holds_balance`."""

    balance_kind: AccountKind
    at_least: int
    at_most: int

    @classmethod
    def of(cls, kind: AccountKind, at_least: int | None, at_most: int | None) -> Self:
        """A range with one end open, or none; raises `BadInput` where nothing can lie in it."""
        low = 0 if at_least is None else at_least
        high = BALANCE_MAX if at_most is None else at_most
        if not 0 <= low <= high:
            raise BadInput("balance needs 0 or more, and atLeast no more than atMost.")
        return cls(kind, low, high)


class CardNotFound(DomainError):
    """No such card, or somebody else's."""

    def __init__(self) -> None:
        super().__init__("There is no such card.")


class CardNotUsable(DomainError):
    """A lost, frozen, expired or refunded card neither spends nor earns (CRD-3)."""

    def __init__(self, status: CardStatus) -> None:
        self.status = status
        super().__init__(f"This card is {status.lower()} and cannot be used.")


class CardStatusUnchangeable(DomainError):
    """A status cannot follow another (CRD-3)."""

    def __init__(self, current: CardStatus, wanted: CardStatus) -> None:
        self.current = current
        super().__init__(f"A {current.lower()} card cannot become {wanted.lower()}.")


async def cards(tx: Transaction, ids: list[UUID]) -> dict[UUID, Card]:
    return {row.id: row for row in await tx.all(cards_by_id, ids=ids)}


async def ids_of_scheme(
    tx: Transaction, *, scheme_id: UUID, after: UUID, at_most: int
) -> list[UUID]:
    """A batch of all the cards a scheme ever issued, for a routine that walks them in order."""
    return await tx.all(ids_of_scheme_after, scheme_id=scheme_id, after=after, at_most=at_most)


async def living(tx: Transaction, card_id: UUID) -> Card:
    """The card, or the one that absorbed it; raises `CardNotFound`."""
    card = (await cards(tx, [card_id])).get(card_id)
    if card is not None and card.merged_into_id is not None:
        card = (await cards(tx, [card.merged_into_id])).get(card.merged_into_id)
    if card is None:
        raise CardNotFound
    return card


async def locked(tx: Transaction, card: Card) -> Card:
    """A living card as it is now, and stays until this transaction ends: nobody closes, freezes,
    merges or parts it.

    What moves value for a holder reads the card like this before its accounts, and judges the
    status it finds (`require_usable`). One that was merged meanwhile is looked for again.
    """
    found = await tx.one(lock_card, card_id=card.id)
    assert found is not None, "cards are never deleted"
    if found.status is CardStatus.MERGED or found.member_id != card.member_id:
        raise TransientFailure("a card was merged or parted meanwhile")
    return found


async def of_members(tx: Transaction, member_ids: list[UUID]) -> dict[UUID, list[Card]]:
    """Each living member's cards, oldest first."""
    found: dict[UUID, list[Card]] = {member_id: [] for member_id in member_ids}
    for card in await tx.all(cards_of_members, member_ids=member_ids):
        found[card.member_id].append(card)
    return found


async def of_signed_in(tx: Transaction, *, member_id: UUID) -> list[Card]:
    """The signed-in member's cards, oldest first, in one statement."""
    found = await tx.all(cards_of_signed_in, member_id=member_id)
    if not found:
        await members.signed_in(tx, member_id)  # a closed account has none either
    return found


async def seen_of_members(
    tx: Transaction, actor: Actor, member_ids: list[UUID]
) -> dict[UUID, list[Card]]:
    """Each living member's cards that the actor may read, oldest first (ORG-1)."""
    actor.require_any(Permission.CARDS_READ)
    held = await of_members(tx, member_ids)
    scheme_ids = {card.scheme_id for of_member in held.values() for card in of_member}
    found = await schemes.by_ids(tx, list(scheme_ids))
    places = await organisation.nodes(tx, list({row.perspective_id for row in found.values()}))
    granted = await schemes.granted_nodes(tx, actor, Permission.CARDS_READ)
    readable = {
        row.id for row in found.values() if schemes.touches(granted, places[row.perspective_id])
    }
    return {
        member_id: [card for card in of_member if card.scheme_id in readable]
        for member_id, of_member in held.items()
    }


async def absorbed(tx: Transaction, card_ids: list[UUID]) -> dict[UUID, list[Card]]:
    """The cards that were merged into each of these."""
    found: dict[UUID, list[Card]] = {card_id: [] for card_id in card_ids}
    for card in await tx.all(absorbed_by, card_ids=card_ids):
        assert card.merged_into_id is not None
        found[card.merged_into_id].append(card)
    return found


async def own(tx: Transaction, *, member_id: UUID, card_id: UUID) -> Card:
    """A card of the signed-in member; somebody else's is `CardNotFound` too."""
    return await _of(tx, await members.signed_in(tx, member_id), card_id)


async def _of(tx: Transaction, member: Member, card_id: UUID) -> Card:
    card = await living(tx, card_id)
    if card.member_id != member.id:
        raise CardNotFound
    return card


async def own_or_none(tx: Transaction, *, member_id: UUID, card_id: UUID) -> Card | None:
    """A card of the signed-in member, or None."""
    try:
        return await own(tx, member_id=member_id, card_id=card_id)
    except CardNotFound:
        return None


async def by_number(tx: Transaction, *, group_id: UUID, number: str) -> Card:
    """The living card for a printed number; raises `CardNotFound`."""
    is_number = len(number) == NUMBER_DIGITS and number.isascii() and number.isdigit()
    found = await tx.one(card_by_number, number=number) if is_number else None
    if found is None or found.group_id != group_id:
        raise CardNotFound
    return await living(tx, found.id)


async def seen_by(tx: Transaction, actor: Actor, *, card_id: UUID) -> Card | None:
    """The living card if the actor may read it; otherwise nothing tells why not (ORG-1)."""
    try:
        return await _seen_by(tx, actor, await living(tx, card_id))
    except CardNotFound:
        return None


async def seen_by_number(tx: Transaction, actor: Actor, *, number: str) -> Card | None:
    """The living card for a printed number if the actor may read it."""
    try:
        card = await by_number(tx, group_id=actor.group_id, number=number)
    except CardNotFound:
        return None
    return await _seen_by(tx, actor, card)


async def _seen_by(tx: Transaction, actor: Actor, card: Card) -> Card | None:
    if card.group_id != actor.group_id:
        return None
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=card.scheme_id)
    perspective = await organisation.node(tx, scheme.perspective_id)
    granted = await schemes.granted_nodes(tx, actor, Permission.CARDS_READ)
    return card if schemes.touches(granted, perspective) else None


def status_at(card: Card, now: datetime) -> CardStatus:
    """The card's status; one whose time is over is expired, though its row still says normal."""
    is_over = card.expires_at is not None and card.expires_at <= now
    return CardStatus.EXPIRED if is_over and card.status is CardStatus.NORMAL else card.status


def require_usable(card: Card, now: datetime) -> None:
    """Raise `CardNotUsable` unless the card may spend and earn (CRD-3)."""
    if (status := status_at(card, now)) is not CardStatus.NORMAL:
        raise CardNotUsable(status)


async def require_store(tx: Transaction, card: Card, store: Node) -> Scheme:
    """The card's scheme; raises `NotAtThisStore` where it is not used (CRD-1)."""
    scheme = await schemes.scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    await schemes.require_store(tx, scheme, store)
    return scheme


async def join(tx: Transaction, *, bearer: Bearer, scheme_id: UUID, now: datetime) -> Card:
    """A member opens a card themselves; one they already have is the answer (CRD-2, CRD-9)."""
    member = await members.acting(tx, bearer, now=now)
    scheme = await schemes.scheme(tx, group_id=member.group_id, scheme_id=scheme_id)
    if not scheme.is_open_to_join:
        raise schemes.SchemeClosed
    return await open_card(tx, member=member, scheme=scheme, store_id=None, now=now)


class Issued(NamedTuple):
    """A member's card of a scheme, and whether it was opened just now."""

    card: Card
    is_new: bool


async def open_at_terminal(
    tx: Transaction,
    actor: Actor,
    *,
    terminal_id: UUID,
    member_id: UUID,
    scheme_id: UUID,
    now: datetime,
) -> Issued:
    """A cashier gives a member a card: the terminal's store issues it, and recruits the member
    whom no store has recruited yet (CRD-7). A card they hold already is the answer (CRD-2).

    Raises `TerminalNotFound`, `MemberNotFound`, `SchemeNotFound`, `SchemeHasNoTier`,
    `NotAtThisStore`, `CardMustBeBought`.
    """
    _, store = await organisation.terminal(tx, terminal_id)
    actor.require(Permission.CARDS_ISSUE, store)
    member = await members.locked(tx, member_id)
    if member.group_id != store.group_id or member.status is not MemberStatus.ACTIVE:
        raise members.MemberNotFound
    scheme = await schemes.scheme(tx, group_id=store.group_id, scheme_id=scheme_id)
    await schemes.require_store(tx, scheme, store)
    issued = await issue_card(tx, member=member, scheme=scheme, store_id=store.id, now=now)
    if not issued.is_new:
        return issued
    await members.recruit(tx, member_id=member.id, store_id=store.id)
    await audit.record(
        tx, actor, "card.open", object_kind="card", object_id=issued.card.id, node_id=store.id,
        now=now, member=member.id, scheme=scheme.id,
    )  # fmt: skip
    return issued


async def open_card(
    tx: Transaction, *, member: Member, scheme: Scheme, store_id: UUID | None, now: datetime
) -> Card:
    """Give a member a card of the scheme: see `issue_card`."""
    issued = await issue_card(tx, member=member, scheme=scheme, store_id=store_id, now=now)
    return issued.card


async def open_bought(
    tx: Transaction, *, member: Member, scheme: Scheme, store_id: UUID | None, now: datetime
) -> Card:
    """Give a locked member the card that they bought the opening of (CRD-9): see `issue_card`."""
    issued = await issue_card(
        tx, member=member, scheme=scheme, store_id=store_id, is_bought=True, now=now
    )
    return issued.card


async def open_by_pack(
    tx: Transaction, *, member: Member, pack_id: UUID, store_id: UUID | None, now: datetime
) -> list[Card]:
    """Give a locked member, who bought a coupon pack, the cards that it opens (CRD-9).

    For the transaction that delivers the pack. Of a scheme whose card they hold that one is the
    answer; one without a tier opens nothing yet.
    """
    found = await schemes.opened_by_pack(tx, group_id=member.group_id, pack_id=pack_id)
    return [
        await open_bought(tx, member=member, scheme=scheme, store_id=store_id, now=now)
        for scheme in found
    ]


async def issue_card(
    tx: Transaction,
    *,
    member: Member,
    scheme: Scheme,
    store_id: UUID | None,
    is_bought: bool = False,
    now: datetime,
) -> Issued:
    """Give a member a card of the scheme, or the one they hold already (CRD-2).

    One that is not there yet and has to be bought is given to nobody else, staff's hands included:
    the till sells what opens it (CRD-9). `store_id` is the card-issuing store, none online (CRD-7).
    Raises `SchemeHasNoTier`, `CardMustBeBought`.
    """
    steps = (await schemes.tiers_by_scheme(tx, [scheme.id]))[scheme.id]
    if not steps:
        raise schemes.SchemeHasNoTier
    valid_for = timedelta(days=scheme.valid_days) if scheme.valid_days else None
    for _ in range(SERIAL_TRIES_MAX):
        for held in (await of_members(tx, [member.id]))[member.id]:
            if held.scheme_id == scheme.id and held.status is not CardStatus.REFUNDED:
                return Issued(held, is_new=False)
        if not is_bought:
            await schemes.require_free_opening(tx, scheme)
        serial = SERIAL_FIRST + secrets.randbelow(SERIAL_LAST - SERIAL_FIRST + 1)
        card = new_card(
            group_id=member.group_id,
            member_id=member.id,
            scheme_id=scheme.id,
            tier_id=steps[0].id,
            serial=serial,
            number=number_of(serial),
            issuing_store_id=store_id,
            issued_at=now,
            expires_at=now + valid_for if valid_for else None,
        )
        if await tx.one(issue, **values_of(card)):
            await ledger.open_accounts(tx, card, currency=scheme.currency)
            return Issued(card, is_new=True)
    raise AssertionError("no free serial number: see SERIAL_FIRST and SERIAL_LAST")


async def report_lost(tx: Transaction, *, bearer: Bearer, card_id: UUID, now: datetime) -> Card:
    """A member reports a card lost; finding it again is the staff's to believe (CRD-3)."""
    card = await _of(tx, await members.acting(tx, bearer, now=now), card_id)
    return await _move_status(tx, card, CardStatus.LOST)


async def set_status(
    tx: Transaction, actor: Actor, *, card_id: UUID, status: CardStatus, reason: str, now: datetime
) -> Card:
    """Staff change a card's status (CRD-3). Raises `CardNotFound`, `CardStatusUnchangeable`."""
    reason = checked_text("reason", reason, at_most=REASON_CHARS_MAX)
    card = await living(tx, card_id)
    if card.group_id != actor.group_id:
        raise CardNotFound
    scheme = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=card.scheme_id)
    perspective = await organisation.node(tx, scheme.perspective_id)
    actor.require(Permission.CARDS_WRITE, perspective)
    changed = await _move_status(tx, card, status)
    await audit.record(
        tx, actor, "card.status", object_kind="card", object_id=card.id,
        node_id=perspective.id, now=now, was=card.status, became=status, reason=reason,
    )  # fmt: skip
    return changed


def number_of(serial: int) -> str:
    """The printed number: the serial and its Luhn digit (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in str(serial)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-1::-2]]
    return f"{serial}{-(sum(doubled) + sum(digits[-2::-2])) % 10}"


async def _move_status(tx: Transaction, card: Card, status: CardStatus) -> Card:
    if (card.status, status) not in STAFF_CHANGES:
        raise CardStatusUnchangeable(card.status, status)
    moved = await tx.changed(
        change_status, card_id=card.id, from_status=card.status, to_status=status
    )
    if not moved:  # somebody was faster: answer with what they made of it
        raise CardStatusUnchangeable((await living(tx, card.id)).status, status)
    return changed_copy(card, status=status)
