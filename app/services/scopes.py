"""Where, when, on which channel and for whom something applies (ORG-3…ORG-6).

Whatever has a scope keeps its id, loads it here (`load`) and asks `obstacle` what stands between
it and the circumstances of a sale or a redemption: None, or the one thing to tell the member.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlmodel import col, delete, select, update

from app.core.db import Transaction, any_of, light, statement
from app.core.errors import BadInput, DomainError
from app.core.schedules import Schedule
from app.models.cards import Card, Scheme, Tier
from app.models.members import MemberTag, Tag
from app.models.organisation import Node, StoreGroup, StoreGroupStore
from app.models.scopes import Channel, Scope, ScopeAudience, ScopePlace
from app.models.student_ids import StudentState, StudentVerification
from app.services import members, organisation
from app.services.actors import is_under

PLACES_MAX = 500
AUDIENCES_MAX = 200


class ScopeRow(NamedTuple):
    """A scope, and the brand its perspective belongs to."""

    id: UUID
    group_id: UUID
    perspective_id: UUID
    on_pos: bool
    on_online: bool
    schedule: dict[str, Any] | None
    for_students: bool
    brand_id: UUID | None


scopes_by_id = statement(
    select(  # type: ignore[call-overload]  # SQLModel types up to four columns
        Scope.id,
        Scope.group_id,
        Scope.perspective_id,
        Scope.on_pos,
        Scope.on_online,
        Scope.schedule,
        Scope.for_students,
        Node.brand_id,
    )
    .join(Node, col(Node.id) == col(Scope.perspective_id))
    .where(any_of(col(Scope.id), "ids")),
    into=ScopeRow,
)
places_of_scopes = statement(
    select(ScopePlace).where(any_of(col(ScopePlace.scope_id), "ids")), into=ScopePlace
)
audiences_of_scopes = statement(
    select(ScopeAudience).where(any_of(col(ScopeAudience.scope_id), "ids")), into=ScopeAudience
)
change_scope = statement(
    update(Scope)
    .where(col(Scope.id) == bindparam("scope_id"))
    .values(
        perspective_id=bindparam("new_perspective_id"),
        on_pos=bindparam("new_on_pos"),
        on_online=bindparam("new_on_online"),
        schedule=bindparam("new_schedule"),
        for_students=bindparam("new_for_students"),
    )
)
remove_places = statement(
    delete(ScopePlace).where(col(ScopePlace.scope_id) == bindparam("scope_id"))
)
remove_audiences = statement(
    delete(ScopeAudience).where(col(ScopeAudience.scope_id) == bindparam("scope_id"))
)
schemes_in_group = statement(
    select(Scheme.id).where(
        any_of(col(Scheme.id), "ids"), col(Scheme.group_id) == bindparam("group_id")
    ),
    into=UUID,
)
tiers_in_group = statement(
    select(Tier.id)
    .join(Scheme, col(Scheme.id) == col(Tier.scheme_id))
    .where(any_of(col(Tier.id), "ids"), col(Scheme.group_id) == bindparam("group_id")),
    into=UUID,
)
tags_in_group = statement(
    select(Tag.id).where(any_of(col(Tag.id), "ids"), col(Tag.group_id) == bindparam("group_id")),
    into=UUID,
)


class StoreGroupPlace(NamedTuple):
    """A store group and where its perspective lies."""

    id: UUID
    perspective_id: UUID
    group_id: UUID
    brand_id: UUID | None


store_groups_by_id = statement(
    select(StoreGroup.id, StoreGroup.perspective_id, Node.group_id, Node.brand_id)
    .join(Node, col(Node.id) == col(StoreGroup.perspective_id))
    .where(any_of(col(StoreGroup.id), "ids")),
    into=StoreGroupPlace,
)
store_groups_of_store = statement(
    select(StoreGroupStore.store_group_id).where(
        col(StoreGroupStore.store_id) == bindparam("store_id")
    ),
    into=UUID,
)
perspective_of_scheme = statement(
    select(Node)
    .join(Scheme, col(Scheme.perspective_id) == col(Node.id))
    .where(col(Scheme.id) == bindparam("scheme_id")),
    into=Node,
)
tags_of_member = statement(
    select(MemberTag.tag_id).where(col(MemberTag.member_id) == bindparam("member_id")), into=UUID
)
# Asked of the rows themselves, so that nobody is a student a minute longer than they are valid.
valid_student_id = statement(
    select(StudentVerification.id)
    .where(
        col(StudentVerification.member_id).in_(members.own_records),
        col(StudentVerification.state) == StudentState.APPROVED,
        col(StudentVerification.valid_until) > bindparam("at"),
    )
    .limit(1),
    into=UUID,
)
new_scope = light(Scope)
new_place = light(ScopePlace)
new_audience = light(ScopeAudience)


class AudienceNotFound(DomainError):
    """A scope names a scheme, tier or tag that the group does not have."""

    def __init__(self) -> None:
        super().__init__("There is no such card scheme, tier or tag.")


class ObstacleReason(StrEnum):
    """Why something does not apply. What waiting cannot change comes first (`obstacle`).

    The last two no scope says: a shelf that shows what cannot be had does.
    """

    WRONG_CHANNEL = "WRONG_CHANNEL"
    WRONG_STORE = "WRONG_STORE"
    NOT_OPEN = "NOT_OPEN"
    ENDED = "ENDED"
    NOT_FOR_THIS_MEMBER = "NOT_FOR_THIS_MEMBER"
    SOLD_OUT = "SOLD_OUT"
    LIMIT_REACHED = "LIMIT_REACHED"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way; with NOT_OPEN, when it opens and by which clock people read that."""

    reason: ObstacleReason
    available_from: datetime | None = None
    time_zone: str = "UTC"

    @property
    def words(self) -> str:
        """What to tell the member, after "Not available: "."""
        match self.reason:
            case ObstacleReason.WRONG_CHANNEL:
                return "it is not offered on this channel"
            case ObstacleReason.WRONG_STORE:
                return "it is not offered here"
            case ObstacleReason.NOT_FOR_THIS_MEMBER:
                return "it is not offered for this card"
            case ObstacleReason.ENDED:
                return "it has ended"
            case ObstacleReason.SOLD_OUT:
                return "it is sold out"
            case ObstacleReason.LIMIT_REACHED:
                return "you have had as many as one member can have"
            case ObstacleReason.NOT_OPEN:
                assert self.available_from is not None
                opens = self.available_from.astimezone(ZoneInfo(self.time_zone))
                return f"opens {opens:%A} {opens.day} {opens:%B}, {opens:%H:%M}"


class NotAvailable(DomainError):
    """Not here, not now, not on this channel or not for this member (ORG-3…ORG-6)."""

    def __init__(self, obstacle: Obstacle) -> None:
        self.obstacle = obstacle
        super().__init__(f"Not available: {obstacle.words}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRules:
    """What a scope says. Nothing included means all below the perspective, no audience everybody.

    Members whose student ID is valid are one more audience, beside schemes, tiers and tags.
    `schedule` is as `Schedule.to_json` writes it; None is always.
    """

    channels: frozenset[Channel] = frozenset(Channel)
    schedule: dict[str, Any] | None = None
    included_node_ids: frozenset[UUID] = frozenset()
    excluded_node_ids: frozenset[UUID] = frozenset()
    included_store_group_ids: frozenset[UUID] = frozenset()
    excluded_store_group_ids: frozenset[UUID] = frozenset()
    scheme_ids: frozenset[UUID] = frozenset()
    tier_ids: frozenset[UUID] = frozenset()
    tag_ids: frozenset[UUID] = frozenset()
    for_students: bool = False

    def document(self) -> dict[str, Any]:
        """For the fingerprint of a request: the same for the same rules, in whatever order."""
        return {
            name: sorted(map(str, value)) if isinstance(value, frozenset) else value
            for name, value in asdict(self).items()
        }

    @property
    def names_places(self) -> bool:
        return bool(
            self.included_node_ids
            or self.excluded_node_ids
            or self.included_store_group_ids
            or self.excluded_store_group_ids
        )

    @property
    def names_audiences(self) -> bool:
        return bool(self.scheme_ids or self.tier_ids or self.tag_ids or self.for_students)


@dataclass(frozen=True)
class LoadedScope:
    """A scope as it stands, to be asked without further statements.

    `lineage` is the perspective's own id and those of the nodes above it.
    """

    id: UUID
    perspective_id: UUID
    lineage: frozenset[UUID]
    rules: ScopeRules

    @cached_property
    def schedule(self) -> Schedule | None:
        """Read when the first question comes: a schedule can name hundreds of dates."""
        return Schedule.from_json(self.rules.schedule) if self.rules.schedule else None

    def covers(self, store: Node, store_group_ids: Collection[UUID]) -> bool:
        """Whether a store is one of its places (ORG-3); excluded goes before included.

        A brand or the group in place of a store stands for one that may open there.
        """
        rules, lineage = self.rules, lineage_of(store)
        if self.perspective_id not in lineage:
            return False
        if _meets(rules.excluded_node_ids, lineage):
            return False
        if _meets(rules.excluded_store_group_ids, store_group_ids):
            return False
        if not (rules.included_node_ids or rules.included_store_group_ids):
            return True
        return _meets(rules.included_node_ids, lineage) or _meets(
            rules.included_store_group_ids, store_group_ids
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Where, when, on which channel and with which card somebody asks; see `circumstances`."""

    channel: Channel
    store: Node | None
    store_group_ids: frozenset[UUID]
    card: Card | None
    card_perspective: Node | None
    """Under which the card's scheme was made."""
    tag_ids: frozenset[UUID]
    is_student: bool
    """Whether the holder's student ID is valid now."""
    now: datetime


async def create(tx: Transaction, *, perspective: Node, rules: ScopeRules) -> Scope:
    """Write a scope down.

    Raises `NodeNotFound`, `StoreGroupNotFound` and `AudienceNotFound` for what lies elsewhere,
    `BadInput` for what makes no scope.
    """
    await _require_possible(tx, perspective, rules)
    scope = new_scope(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        on_pos=Channel.POS in rules.channels,
        on_online=Channel.ONLINE in rules.channels,
        schedule=rules.schedule,
        for_students=rules.for_students,
    )
    await tx.insert(scope, *_parts(scope.id, rules))
    return scope


async def replace(tx: Transaction, *, scope_id: UUID, perspective: Node, rules: ScopeRules) -> None:
    """Let a scope say something else from now on; raises as `create`."""
    await _require_possible(tx, perspective, rules)
    # Locks the scope's row, so that of two changes at once one replaces the other's parts.
    changed = await tx.changed(
        change_scope,
        scope_id=scope_id,
        new_perspective_id=perspective.id,
        new_on_pos=Channel.POS in rules.channels,
        new_on_online=Channel.ONLINE in rules.channels,
        new_schedule=rules.schedule,
        new_for_students=rules.for_students,
    )
    assert changed == 1, "a scope is kept as long as what has it"
    await tx.changed(remove_places, scope_id=scope_id)
    await tx.changed(remove_audiences, scope_id=scope_id)
    await tx.insert(*_parts(scope_id, rules))


async def load(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, LoadedScope]:
    """Scopes by id: three statements, however many there are."""
    if not ids:
        return {}
    wanted = list(ids)
    rows = await tx.all(scopes_by_id, ids=wanted)
    places: dict[UUID, list[ScopePlace]] = {row.id: [] for row in rows}
    audiences: dict[UUID, list[ScopeAudience]] = {row.id: [] for row in rows}
    for place in await tx.all(places_of_scopes, ids=wanted):
        places[place.scope_id].append(place)
    for audience in await tx.all(audiences_of_scopes, ids=wanted):
        audiences[audience.scope_id].append(audience)
    return {
        row.id: LoadedScope(
            id=row.id,
            perspective_id=row.perspective_id,
            lineage=_lineage(row.perspective_id, row.brand_id, row.group_id),
            rules=_rules(row, places[row.id], audiences[row.id]),
        )
        for row in rows
    }


async def circumstances(
    tx: Transaction, *, channel: Channel, store: Node | None, card: Card | None, now: datetime
) -> Circumstances:
    """What scopes ask about: looked up once, then any number of scopes can be judged by it."""
    store_group_ids: list[UUID] = []
    tag_ids: list[UUID] = []
    card_perspective = student_id = None
    if store is not None:
        store_group_ids = await tx.all(store_groups_of_store, store_id=store.id)
    if card is not None:
        card_perspective = await tx.one(perspective_of_scheme, scheme_id=card.scheme_id)
        tag_ids = await tx.all(tags_of_member, member_id=card.member_id)
        student_id = await tx.one(valid_student_id, member_id=card.member_id, at=now)
    return Circumstances(
        channel=channel,
        store=store,
        store_group_ids=frozenset(store_group_ids),
        card=card,
        card_perspective=card_perspective,
        tag_ids=frozenset(tag_ids),
        is_student=student_id is not None,
        now=now,
    )


def obstacle(scope: LoadedScope, circumstances: Circumstances) -> Obstacle | None:
    """The first thing that stands in the way, or None where the scope applies (ORG-3…ORG-6).

    Without a store a scope that names places does not apply. The schedule comes last: nobody is
    told to come back on Friday for what is not for them.
    """
    rules = scope.rules
    if circumstances.channel not in rules.channels:
        return Obstacle(ObstacleReason.WRONG_CHANNEL)
    if circumstances.store is None:
        if rules.names_places:
            return Obstacle(ObstacleReason.WRONG_STORE)
    elif not scope.covers(circumstances.store, circumstances.store_group_ids):
        return Obstacle(ObstacleReason.WRONG_STORE)
    if not _is_for(scope, circumstances):
        return Obstacle(ObstacleReason.NOT_FOR_THIS_MEMBER)
    schedule = scope.schedule
    if schedule is None or schedule.is_open(circumstances.now):
        return None
    opens = schedule.next_opening(circumstances.now)
    if opens is None:
        return Obstacle(ObstacleReason.ENDED)
    return Obstacle(ObstacleReason.NOT_OPEN, opens, schedule.time_zone)


def lineage_of(node: Node) -> frozenset[UUID]:
    """The ids of a node and of those above it."""
    return _lineage(node.id, node.brand_id, node.group_id)


def _lineage(node_id: UUID, brand_id: UUID | None, group_id: UUID) -> frozenset[UUID]:
    return frozenset({node_id, group_id} if brand_id is None else {node_id, brand_id, group_id})


def _meets(named: frozenset[UUID], found: Iterable[UUID]) -> bool:
    return not named.isdisjoint(found)


def _is_for(scope: LoadedScope, circumstances: Circumstances) -> bool:
    """Whether the card is one the scope means: any of its audiences (ORG-6).

    A card whose scheme was made in another branch of the organisation never is: online, where no
    store tells the two apart, a brand's offers stay with that brand's cards and the group's.
    """
    rules, card = scope.rules, circumstances.card
    perspective = circumstances.card_perspective
    if card is None or perspective is None:
        return not rules.names_audiences
    is_near = perspective.id in scope.lineage or scope.perspective_id in lineage_of(perspective)
    return is_near and (
        not rules.names_audiences
        or card.scheme_id in rules.scheme_ids
        or card.tier_id in rules.tier_ids
        or _meets(rules.tag_ids, circumstances.tag_ids)
        or (rules.for_students and circumstances.is_student)
    )


async def _require_possible(tx: Transaction, perspective: Node, rules: ScopeRules) -> None:
    """Raise unless a scope under the perspective can have these rules."""
    if not rules.channels:
        raise BadInput("A scope needs at least one channel.")
    node_ids = rules.included_node_ids | rules.excluded_node_ids
    store_group_ids = rules.included_store_group_ids | rules.excluded_store_group_ids
    if len(node_ids) + len(store_group_ids) > PLACES_MAX:
        raise BadInput(f"A scope can name at most {PLACES_MAX} places.")
    if len(rules.scheme_ids) + len(rules.tier_ids) + len(rules.tag_ids) > AUDIENCES_MAX:
        raise BadInput(f"A scope can name at most {AUDIENCES_MAX} schemes, tiers and tags.")
    if _meets(rules.included_node_ids, rules.excluded_node_ids) or _meets(
        rules.included_store_group_ids, rules.excluded_store_group_ids
    ):
        raise BadInput("A scope cannot include and exclude the same place.")
    await _require_places(tx, perspective, node_ids, store_group_ids)
    for known, ids in (
        (schemes_in_group, rules.scheme_ids),
        (tiers_in_group, rules.tier_ids),
        (tags_in_group, rules.tag_ids),
    ):
        if ids and set(await tx.all(known, ids=list(ids), group_id=perspective.group_id)) != ids:
            raise AudienceNotFound
    if rules.schedule is not None:
        Schedule.from_json(rules.schedule)  # which refuses what is none


async def _require_places(
    tx: Transaction, perspective: Node, node_ids: Collection[UUID], group_ids: Collection[UUID]
) -> None:
    """Nodes lie below the perspective. A store group may also be made above it, as the group's
    "Airports" for a brand: of its stores only those below the perspective are meant."""
    if node_ids:
        nodes = await organisation.nodes(tx, list(node_ids))
        for node_id in node_ids:
            node = nodes.get(node_id)
            if node is None or not is_under(node, perspective.kind, perspective.id):
                raise organisation.NodeNotFound
    if not group_ids:
        return
    found = await tx.all(store_groups_by_id, ids=list(group_ids))
    near = {
        each.id
        for each in found
        if each.perspective_id in lineage_of(perspective)
        or perspective.id in _lineage(each.perspective_id, each.brand_id, each.group_id)
    }
    if near != set(group_ids):
        raise organisation.StoreGroupNotFound


def _rules(row: ScopeRow, places: list[ScopePlace], audiences: list[ScopeAudience]) -> ScopeRules:
    on = ((Channel.POS, row.on_pos), (Channel.ONLINE, row.on_online))
    included = [place for place in places if not place.is_excluded]
    excluded = [place for place in places if place.is_excluded]
    return ScopeRules(
        channels=frozenset(channel for channel, is_on in on if is_on),
        schedule=row.schedule,
        included_node_ids=_named(place.node_id for place in included),
        excluded_node_ids=_named(place.node_id for place in excluded),
        included_store_group_ids=_named(place.store_group_id for place in included),
        excluded_store_group_ids=_named(place.store_group_id for place in excluded),
        scheme_ids=_named(audience.scheme_id for audience in audiences),
        tier_ids=_named(audience.tier_id for audience in audiences),
        tag_ids=_named(audience.tag_id for audience in audiences),
        for_students=row.for_students,
    )


def _named(ids: Iterable[UUID | None]) -> frozenset[UUID]:
    return frozenset(each for each in ids if each is not None)


def _parts(scope_id: UUID, rules: ScopeRules) -> list[Any]:
    """The rows of a scope's places and audiences."""
    places = [
        *(new_place(scope_id=scope_id, node_id=i) for i in rules.included_node_ids),
        *(
            new_place(scope_id=scope_id, node_id=i, is_excluded=True)
            for i in rules.excluded_node_ids
        ),
        *(new_place(scope_id=scope_id, store_group_id=i) for i in rules.included_store_group_ids),
        *(
            new_place(scope_id=scope_id, store_group_id=i, is_excluded=True)
            for i in rules.excluded_store_group_ids
        ),
    ]
    audiences = [
        *(new_audience(scope_id=scope_id, scheme_id=i) for i in rules.scheme_ids),
        *(new_audience(scope_id=scope_id, tier_id=i) for i in rules.tier_ids),
        *(new_audience(scope_id=scope_id, tag_id=i) for i in rules.tag_ids),
    ]
    return [*places, *audiences]
