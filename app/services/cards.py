"""Schemes, tiers, and the cards members hold (CRD-1, CRD-2, CRD-3)."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, changed_copy, light, statement, upsert, values_of
from app.core.db.statements import every_column
from app.core.errors import BadInput, DomainError
from app.core.money import MINOR_UNIT_DIGITS
from app.models.cards import (
    Card,
    CardStatus,
    ConsumptionVerification,
    DeductionRule,
    Scheme,
    SchemeStore,
    Tier,
)
from app.models.members import Member
from app.models.organisation import Node
from app.models.staff import Permission
from app.services import audit, ledger, members, organisation
from app.services.actors import Actor, is_under

SERIAL_FIRST, SERIAL_LAST = 100_000_000, 999_999_999
SERIAL_TRIES_MAX = 8
TIERS_MAX = 50
SCHEME_STORES_MAX = 10_000

scheme_by_id = statement(
    select(Scheme).where(col(Scheme.id) == bindparam("scheme_id")), into=Scheme
)
schemes_by_id = statement(select(Scheme).where(any_of(col(Scheme.id), "ids")), into=Scheme)
schemes_to_join = statement(
    select(Scheme)
    .where(
        col(Scheme.group_id) == bindparam("group_id"),
        col(Scheme.is_open_to_join),
        select(Tier.id).where(col(Tier.scheme_id) == col(Scheme.id)).exists(),
    )
    .order_by(col(Scheme.id)),
    into=Scheme,
)
schemes_of_group = statement(
    select(Scheme).where(col(Scheme.group_id) == bindparam("group_id")).order_by(col(Scheme.id)),
    into=Scheme,
)
scheme_store = statement(
    select(SchemeStore.id).where(
        col(SchemeStore.scheme_id) == bindparam("scheme_id"),
        col(SchemeStore.store_id) == bindparam("store_id"),
    ),
    into=UUID,
)
change_scheme = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(
        name=bindparam("new_name"),
        deduction_rule=bindparam("new_deduction_rule"),
        consumption_verification=bindparam("new_verification"),
        points_unit=bindparam("new_points_unit"),
        points_rate=bindparam("new_points_rate"),
        valid_days=bindparam("new_valid_days"),
        is_open_to_join=bindparam("new_is_open_to_join"),
    )
)
tiers_of_schemes = statement(
    select(Tier).where(any_of(col(Tier.scheme_id), "scheme_ids")).order_by(col(Tier.level)),
    into=Tier,
)
tiers_by_id = statement(select(Tier).where(any_of(col(Tier.id), "ids")), into=Tier)
cards_by_id = statement(select(Card).where(any_of(col(Card.id), "ids")), into=Card)
card_by_number = statement(select(Card).where(col(Card.number) == bindparam("number")), into=Card)
cards_of_members = statement(
    select(Card)
    .where(any_of(col(Card.member_id), "member_ids"), col(Card.status) != CardStatus.MERGED)
    .order_by(col(Card.id)),
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
new_scheme = light(Scheme)
new_scheme_store = light(SchemeStore)
new_tier = light(Tier)

STAFF_CHANGES = {
    (CardStatus.NORMAL, CardStatus.LOST),
    (CardStatus.NORMAL, CardStatus.FROZEN),
    (CardStatus.LOST, CardStatus.NORMAL),
    (CardStatus.LOST, CardStatus.FROZEN),
    (CardStatus.FROZEN, CardStatus.NORMAL),
}
"""CRD-3: nothing is deleted. Expired and refunded are reached by time and by refund only."""


class SchemeNotFound(DomainError):
    """No such scheme in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such card scheme.")


class SchemeHasNoTier(DomainError):
    """A scheme without a tier cannot be used (CRD-1)."""

    def __init__(self) -> None:
        super().__init__("This scheme has no tier yet, so it cannot be used.")


class SchemeClosed(DomainError):
    """Members cannot open a card of this scheme themselves."""

    def __init__(self) -> None:
        super().__init__("This scheme is not open to join.")


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


class NotAtThisStore(DomainError):
    """The card's scheme is not used at the terminal's store (CRD-1)."""

    def __init__(self) -> None:
        super().__init__("This card is not used at this store.")


async def scheme(tx: Transaction, *, group_id: UUID, scheme_id: UUID) -> Scheme:
    """A scheme of the group; raises `SchemeNotFound`."""
    found = await tx.one(scheme_by_id, scheme_id=scheme_id)
    if found is None or found.group_id != group_id:
        raise SchemeNotFound
    return found


async def schemes(tx: Transaction, ids: list[UUID]) -> dict[UUID, Scheme]:
    return {row.id: row for row in await tx.all(schemes_by_id, ids=ids)}


async def joinable_schemes(tx: Transaction, *, group_id: UUID) -> list[Scheme]:
    """Schemes a member can open a card of; without a tier none is (CRD-1)."""
    return await tx.all(schemes_to_join, group_id=group_id)


async def all_schemes(tx: Transaction, *, group_id: UUID) -> list[Scheme]:
    return await tx.all(schemes_of_group, group_id=group_id)


async def tiers(tx: Transaction, ids: list[UUID]) -> dict[UUID, Tier]:
    return {row.id: row for row in await tx.all(tiers_by_id, ids=ids)}


async def tiers_by_scheme(tx: Transaction, scheme_ids: list[UUID]) -> dict[UUID, list[Tier]]:
    """Each scheme's tiers, lowest first."""
    found: dict[UUID, list[Tier]] = {scheme_id: [] for scheme_id in scheme_ids}
    for tier in await tx.all(tiers_of_schemes, scheme_ids=scheme_ids):
        found[tier.scheme_id].append(tier)
    return found


async def create_scheme(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    name: str,
    currency: str,
    deduction_rule: DeductionRule,
    consumption_verification: ConsumptionVerification,
    points_unit: int,
    points_rate: int,
    valid_days: int | None,
    store_ids: list[UUID] | None,
    now: datetime,
) -> Scheme:
    """Create a scheme under a perspective, for all its stores or for the given ones (CRD-1)."""
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.SCHEMES_WRITE, perspective)
    _require_rules(points_unit, points_rate, valid_days)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    created = new_scheme(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        name=name,
        currency=currency,
        deduction_rule=deduction_rule,
        consumption_verification=consumption_verification,
        points_unit=points_unit,
        points_rate=points_rate,
        valid_days=valid_days,
        covers_all_stores=store_ids is None,
        created_at=now,
    )
    await tx.insert(created)
    await _set_stores(tx, actor, created, store_ids or [])
    await _record(tx, actor, "scheme.create", created, now)
    return created


async def update_scheme(
    tx: Transaction,
    actor: Actor,
    *,
    scheme_id: UUID,
    name: str,
    deduction_rule: DeductionRule,
    consumption_verification: ConsumptionVerification,
    points_unit: int,
    points_rate: int,
    valid_days: int | None,
    is_open_to_join: bool,
    now: datetime,
) -> Scheme:
    """Change a scheme's rules for what comes; cards and purchases of before keep theirs."""
    found = await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    actor.require(Permission.SCHEMES_WRITE, await organisation.node(tx, found.perspective_id))
    _require_rules(points_unit, points_rate, valid_days)
    await tx.changed(
        change_scheme,
        scheme_id=found.id,
        new_name=name,
        new_deduction_rule=deduction_rule,
        new_verification=consumption_verification,
        new_points_unit=points_unit,
        new_points_rate=points_rate,
        new_valid_days=valid_days,
        new_is_open_to_join=is_open_to_join,
    )
    await _record(tx, actor, "scheme.update", found, now)
    return await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)


async def add_tier(
    tx: Transaction, actor: Actor, *, scheme_id: UUID, name: str, growth_from: int, now: datetime
) -> Tier:
    """Add a tier above the scheme's highest one."""
    found = await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    actor.require(Permission.SCHEMES_WRITE, await organisation.node(tx, found.perspective_id))
    existing = (await tiers_by_scheme(tx, [found.id]))[found.id]
    if len(existing) >= TIERS_MAX:
        raise BadInput(f"A scheme can have at most {TIERS_MAX} tiers.")
    if growth_from < 0 or (existing and growth_from <= existing[-1].growth_from):
        raise BadInput("growthFrom must exceed that of the tier below.")
    tier = new_tier(scheme_id=found.id, level=len(existing) + 1, name=name, growth_from=growth_from)
    await tx.insert(tier)
    await _record(tx, actor, "tier.create", found, now, tier_id=tier.id)
    return tier


async def cards(tx: Transaction, ids: list[UUID]) -> dict[UUID, Card]:
    return {row.id: row for row in await tx.all(cards_by_id, ids=ids)}


async def living(tx: Transaction, card_id: UUID) -> Card:
    """The card, or the one that absorbed it; raises `CardNotFound`."""
    card = (await cards(tx, [card_id])).get(card_id)
    if card is not None and card.merged_into_id is not None:
        card = (await cards(tx, [card.merged_into_id])).get(card.merged_into_id)
    if card is None:
        raise CardNotFound
    return card


async def of_members(tx: Transaction, member_ids: list[UUID]) -> dict[UUID, list[Card]]:
    """Each living member's cards, oldest first."""
    found: dict[UUID, list[Card]] = {member_id: [] for member_id in member_ids}
    for card in await tx.all(cards_of_members, member_ids=member_ids):
        found[card.member_id].append(card)
    return found


async def own(tx: Transaction, *, member_id: UUID, card_id: UUID) -> Card:
    """A card of the signed-in member; somebody else's is `CardNotFound` too."""
    member = await members.signed_in(tx, member_id)
    card = await living(tx, card_id)
    if card.member_id != member.id:
        raise CardNotFound
    return card


async def by_number(tx: Transaction, *, group_id: UUID, number: str) -> Card:
    """The living card for a printed number; raises `CardNotFound`."""
    found = await tx.one(card_by_number, number=number)
    if found is None or found.group_id != group_id:
        raise CardNotFound
    return await living(tx, found.id)


def require_usable(card: Card, now: datetime) -> None:
    """Raise `CardNotUsable` unless the card may spend and earn (CRD-3)."""
    if card.status is not CardStatus.NORMAL:
        raise CardNotUsable(card.status)
    if card.expires_at is not None and card.expires_at <= now:
        raise CardNotUsable(CardStatus.EXPIRED)


async def require_store(tx: Transaction, card: Card, store: Node) -> Scheme:
    """The card's scheme; raises `NotAtThisStore` where it is not used (CRD-1)."""
    found = await scheme(tx, group_id=card.group_id, scheme_id=card.scheme_id)
    if store.group_id != found.group_id:
        raise NotAtThisStore
    if found.covers_all_stores:
        perspective = await organisation.node(tx, found.perspective_id)
        if not is_under(store, perspective.kind, perspective.id):
            raise NotAtThisStore
    elif not await tx.one(scheme_store, scheme_id=found.id, store_id=store.id):
        raise NotAtThisStore
    return found


async def join(tx: Transaction, *, member_id: UUID, scheme_id: UUID, now: datetime) -> Card:
    """A member opens a card themselves; one they already have is the answer (CRD-2, CRD-9)."""
    member = await members.signed_in(tx, member_id)
    found = await scheme(tx, group_id=member.group_id, scheme_id=scheme_id)
    if not found.is_open_to_join:
        raise SchemeClosed
    return await open_card(tx, member=member, scheme=found, store_id=None, now=now)


async def open_card(
    tx: Transaction, *, member: Member, scheme: Scheme, store_id: UUID | None, now: datetime
) -> Card:
    """Give a member a card of the scheme, or the one they hold already (CRD-2).

    `store_id` is the card-issuing store, none online (CRD-7). Raises `SchemeHasNoTier`.
    """
    steps = (await tiers_by_scheme(tx, [scheme.id]))[scheme.id]
    if not steps:
        raise SchemeHasNoTier
    valid_for = timedelta(days=scheme.valid_days) if scheme.valid_days else None
    for _ in range(SERIAL_TRIES_MAX):
        for held in (await of_members(tx, [member.id]))[member.id]:
            if held.scheme_id == scheme.id:
                return held
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
            return card
    raise AssertionError("no free serial number: see SERIAL_FIRST and SERIAL_LAST")


async def report_lost(tx: Transaction, *, member_id: UUID, card_id: UUID) -> Card:
    """A member reports a card lost; finding it again is the staff's to believe (CRD-3)."""
    card = await own(tx, member_id=member_id, card_id=card_id)
    return await _move_status(tx, card, CardStatus.LOST)


async def set_status(
    tx: Transaction, actor: Actor, *, card_id: UUID, status: CardStatus, reason: str, now: datetime
) -> Card:
    """Staff change a card's status (CRD-3). Raises `CardStatusUnchangeable`."""
    card = await living(tx, card_id)
    found = await scheme(tx, group_id=actor.group_id, scheme_id=card.scheme_id)
    actor.require(Permission.CARDS_WRITE, await organisation.node(tx, found.perspective_id))
    changed = await _move_status(tx, card, status)
    await audit.record(
        tx, actor, "card.status", object_kind="card", object_id=card.id, now=now,
        was=card.status, became=status, reason=reason,
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


async def _set_stores(
    tx: Transaction, actor: Actor, created: Scheme, store_ids: list[UUID]
) -> None:
    if len(store_ids) > SCHEME_STORES_MAX:
        raise BadInput(f"A scheme can name at most {SCHEME_STORES_MAX} stores.")
    stores = await organisation.nodes(tx, list(dict.fromkeys(store_ids)))
    if len(stores) != len(set(store_ids)):
        raise organisation.NodeNotFound
    for store in stores.values():
        actor.require(Permission.SCHEMES_WRITE, store)
    await tx.insert(*(new_scheme_store(scheme_id=created.id, store_id=i) for i in stores))


def _require_rules(points_unit: int, points_rate: int, valid_days: int | None) -> None:
    if points_unit <= 0 or points_rate < 0 or (valid_days is not None and valid_days <= 0):
        raise BadInput("pointsUnit and validDays must be above 0, pointsRate 0 or more.")


async def _record(
    tx: Transaction, actor: Actor, action: str, of: Scheme, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="scheme", object_id=of.id, node_id=of.perspective_id,
        now=now, **details,
    )  # fmt: skip
