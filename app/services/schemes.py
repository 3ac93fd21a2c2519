"""Schemes, their rules and their tiers (CRD-1)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, delete, select, update

from app.core.db import Transaction, any_of, light, statement
from app.core.errors import BadInput, DomainError
from app.core.money import MINOR_UNIT_DIGITS
from app.core.texts import checked_text
from app.models.cards import (
    ConsumptionVerification,
    DeductionRule,
    Scheme,
    SchemeStore,
    Tier,
)
from app.models.coupons import CouponPack
from app.models.organisation import Node, NodeKind
from app.models.packages import Package
from app.models.staff import Permission
from app.models.tiers import RunState, TierRun
from app.services import audit, organisation
from app.services.actors import Actor, is_under

NAME_CHARS_MAX = 120
TIER_NAME_CHARS_MAX = 64
POINTS_UNIT_MAX = 1_000_000_000
POINTS_RATE_MAX = 10_000
VALID_DAYS_MAX = 36_500
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

stores_of_schemes = statement(
    select(SchemeStore)
    .where(any_of(col(SchemeStore.scheme_id), "scheme_ids"))
    .order_by(col(SchemeStore.store_id)),
    into=SchemeStore,
)
empty_scheme = statement(
    delete(SchemeStore).where(col(SchemeStore.scheme_id) == bindparam("scheme_id"))
)
namesake = statement(
    select(Scheme.id).where(
        col(Scheme.perspective_id) == bindparam("perspective_id"),
        col(Scheme.name) == bindparam("name"),
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
        covers_all_stores=bindparam("new_covers_all_stores"),
    )
)


class OpeningProduct(NamedTuple):
    """A coupon pack or a package that opens cards."""

    perspective_id: UUID
    name: str


opening_pack = statement(
    select(CouponPack.perspective_id, CouponPack.name).where(
        col(CouponPack.id) == bindparam("pack_id")
    ),
    into=OpeningProduct,
)
opening_package = statement(
    select(Package.perspective_id, Package.name).where(col(Package.id) == bindparam("package_id")),
    into=OpeningProduct,
)
schemes_opened_by_pack = statement(
    select(Scheme)
    .where(
        col(Scheme.group_id) == bindparam("group_id"),
        col(Scheme.opening_pack_id) == bindparam("pack_id"),
        select(Tier.id).where(col(Tier.scheme_id) == col(Scheme.id)).exists(),
    )
    .order_by(col(Scheme.id)),
    into=Scheme,
)
set_opening_of = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(
        opening_pack_id=bindparam("new_pack_id"),
        opening_package_id=bindparam("new_package_id"),
    )
)
tiers_of_schemes = statement(
    select(Tier).where(any_of(col(Tier.scheme_id), "scheme_ids")).order_by(col(Tier.level)),
    into=Tier,
)
# NO KEY UPDATE: what refers to the scheme, as each posting does, does not wait.
lock_scheme = statement(
    select(Scheme).where(col(Scheme.id) == bindparam("scheme_id")).with_for_update(key_share=True),
    into=Scheme,
)
next_version = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(tiers_version=col(Scheme.tiers_version) + 1)
)
running_run = statement(
    select(TierRun).where(
        col(TierRun.scheme_id) == bindparam("scheme_id"), col(TierRun.state) == RunState.RUNNING
    ),
    into=TierRun,
)
tiers_by_id = statement(select(Tier).where(any_of(col(Tier.id), "ids")), into=Tier)
new_scheme = light(Scheme)
new_scheme_store = light(SchemeStore)
new_tier = light(Tier)


class SchemeNotFound(DomainError):
    """No such scheme in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such card scheme.")


class SchemeNameTaken(DomainError):
    """Another scheme of the same perspective has this name."""

    def __init__(self) -> None:
        super().__init__("There is already a card scheme with this name.")


class SchemeHasNoTier(DomainError):
    """A scheme without a tier cannot be used (CRD-1)."""

    def __init__(self) -> None:
        super().__init__("This scheme has no tier yet, so it cannot be used.")


class SchemeClosed(DomainError):
    """Members cannot open a card of this scheme themselves."""

    def __init__(self) -> None:
        super().__init__("This scheme is not open to join.")


class CardMustBeBought(DomainError):
    """A card of the scheme is opened by buying a coupon pack or a package (CRD-9)."""

    def __init__(self, *, pack_id: UUID | None, package_id: UUID | None, name: str) -> None:
        self.pack_id = pack_id
        self.package_id = package_id
        self.name = name
        super().__init__(f"A card of this scheme is opened by buying {name}.")


class OpeningProductNotFound(DomainError):
    """What shall open cards is not there, or made where the scheme is not used."""

    def __init__(self) -> None:
        super().__init__("There is no such coupon pack or package.")


class TierRulesLocked(DomainError):
    """The scheme's cards are being recomputed: its tiers and rules stay until that is done."""

    def __init__(self, run: TierRun) -> None:
        self.run = run
        super().__init__("All cards are being recomputed. Change the tiers when that is done.")


class NotAtThisStore(DomainError):
    """The scheme is not used at the terminal's store (CRD-1)."""

    def __init__(self) -> None:
        super().__init__("This card is not used at this store.")


async def scheme(tx: Transaction, *, group_id: UUID, scheme_id: UUID) -> Scheme:
    """A scheme of the group; raises `SchemeNotFound`."""
    found = await tx.one(scheme_by_id, scheme_id=scheme_id)
    if found is None or found.group_id != group_id:
        raise SchemeNotFound
    return found


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, Scheme]:
    return {row.id: row for row in await tx.all(schemes_by_id, ids=ids)}


async def joinable(tx: Transaction, *, group_id: UUID) -> list[Scheme]:
    """Schemes a member can open a card of; without a tier none is (CRD-1)."""
    return await tx.all(schemes_to_join, group_id=group_id)


async def visible(tx: Transaction, actor: Actor) -> list[Scheme]:
    """The schemes the actor may read."""
    rows = await tx.all(schemes_of_group, group_id=actor.group_id)
    perspectives = await organisation.nodes(tx, list({row.perspective_id for row in rows}))
    granted = await granted_nodes(tx, actor, Permission.SCHEMES_READ)
    return [row for row in rows if touches(granted, perspectives[row.perspective_id])]


async def seen_by(tx: Transaction, actor: Actor, *, scheme_id: UUID) -> Scheme | None:
    """A scheme if it exists and the actor may read it."""
    return next((row for row in await visible(tx, actor) if row.id == scheme_id), None)


async def granted_nodes(tx: Transaction, actor: Actor, permission: Permission) -> list[Node]:
    """The nodes at which the actor holds the permission."""
    return list((await organisation.nodes(tx, actor.nodes_with(permission))).values())


async def of_readable_cards(tx: Transaction, actor: Actor) -> tuple[list[UUID], bool]:
    """The schemes whose cards the actor may read, and whether these are all the group has."""
    every = await tx.all(schemes_of_group, group_id=actor.group_id)
    perspectives = await organisation.nodes(tx, list({row.perspective_id for row in every}))
    granted = await granted_nodes(tx, actor, Permission.CARDS_READ)
    seen = [row.id for row in every if touches(granted, perspectives[row.perspective_id])]
    return seen, len(seen) == len(every)


def touches(granted: Collection[Node], perspective: Node) -> bool:
    """Whether one of the nodes lies above or below a perspective (ORG-1).

    What is made for a whole group or brand is used at each of its stores, so those who work in
    one of them may see it.
    """
    return any(
        is_under(perspective, node.kind, node.id)
        or is_under(node, perspective.kind, perspective.id)
        for node in granted
    )


async def require_store(tx: Transaction, scheme: Scheme, store: Node) -> None:
    """Raise `NotAtThisStore` where the scheme is not used (CRD-1)."""
    if store.group_id != scheme.group_id:
        raise NotAtThisStore
    if scheme.covers_all_stores:
        perspective = await organisation.node(tx, scheme.perspective_id)
        if not is_under(store, perspective.kind, perspective.id):
            raise NotAtThisStore
    elif not await tx.one(scheme_store, scheme_id=scheme.id, store_id=store.id):
        raise NotAtThisStore


async def tiers(tx: Transaction, ids: list[UUID]) -> dict[UUID, Tier]:
    return {row.id: row for row in await tx.all(tiers_by_id, ids=ids)}


async def tiers_by_scheme(tx: Transaction, scheme_ids: list[UUID]) -> dict[UUID, list[Tier]]:
    """Each scheme's tiers, lowest first."""
    found: dict[UUID, list[Tier]] = {scheme_id: [] for scheme_id in scheme_ids}
    for tier in await tx.all(tiers_of_schemes, scheme_ids=scheme_ids):
        found[tier.scheme_id].append(tier)
    return found


async def stores_by_scheme(tx: Transaction, scheme_ids: list[UUID]) -> dict[UUID, list[Node]]:
    """The stores each scheme names; none for one that is used at all below its perspective."""
    named = await tx.all(stores_of_schemes, scheme_ids=scheme_ids)
    stores = await organisation.nodes(tx, list({each.store_id for each in named}))
    found: dict[UUID, list[Node]] = {scheme_id: [] for scheme_id in scheme_ids}
    for each in named:
        found[each.scheme_id].append(stores[each.store_id])
    return found


async def create(
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
    """Create a scheme under a perspective, for all its stores or for the given ones (CRD-1).

    Raises `NodeNotFound`, also for a store elsewhere, and `SchemeNameTaken`.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.SCHEMES_WRITE, perspective)
    _require_rules(points_unit, points_rate, valid_days)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    created = new_scheme(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        name=await _free_name(tx, perspective.id, name, own_id=None),
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
    await _set_stores(tx, perspective, created, store_ids or [])
    await _record(tx, actor, "scheme.create", created, now, stores=_named(store_ids))
    return created


async def change(
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
    store_ids: list[UUID] | None,
    now: datetime,
) -> Scheme:
    """Change a scheme's rules for what comes; cards and purchases of before keep theirs.

    The given stores replace those of before; None is all below the perspective. Raises
    `SchemeNotFound`, `SchemeNameTaken`, and `NodeNotFound` also for a store elsewhere.
    """
    found = await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    perspective = await organisation.node(tx, found.perspective_id)
    actor.require(Permission.SCHEMES_WRITE, perspective)
    _require_rules(points_unit, points_rate, valid_days)
    # Locks the scheme's row, so that of two changes at once one replaces the other's stores.
    await tx.changed(
        change_scheme,
        scheme_id=found.id,
        new_name=await _free_name(tx, found.perspective_id, name, own_id=found.id),
        new_deduction_rule=deduction_rule,
        new_verification=consumption_verification,
        new_points_unit=points_unit,
        new_points_rate=points_rate,
        new_valid_days=valid_days,
        new_is_open_to_join=is_open_to_join,
        new_covers_all_stores=store_ids is None,
    )
    await tx.changed(empty_scheme, scheme_id=found.id)
    await _set_stores(tx, perspective, found, store_ids or [])
    await _record(tx, actor, "scheme.update", found, now, stores=_named(store_ids))
    return await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)


async def add_tier(
    tx: Transaction, actor: Actor, *, scheme_id: UUID, name: str, growth_from: int, now: datetime
) -> Tier:
    """Add a tier above the highest one of a scheme that only records tiers (TIR-5).

    Raises `SchemeNotFound`, `TierRulesLocked`.
    """
    found = await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    actor.require(Permission.SCHEMES_WRITE, await organisation.node(tx, found.perspective_id))
    if (await lock_rules(tx, found.id)).tiers_are_computed:
        # Its cards would have to be recomputed, which only a release does (TIR-5).
        raise BadInput("Tiers of this scheme are released together: use tierRulesRelease.")
    existing = (await tiers_by_scheme(tx, [found.id]))[found.id]
    if len(existing) >= TIERS_MAX:
        raise BadInput(f"A scheme can have at most {TIERS_MAX} tiers.")
    if growth_from < 0 or (existing and growth_from <= max(t.growth_from for t in existing)):
        raise BadInput("growthFrom must exceed that of the tier below.")
    tier = new_tier(
        scheme_id=found.id,
        level=len(existing) + 1,
        name=checked_text("name", name, at_most=TIER_NAME_CHARS_MAX),
        growth_from=growth_from,
    )
    await tx.insert(tier)
    await tx.changed(next_version, scheme_id=found.id)  # who edits the rules hears of it
    await _record(tx, actor, "tier.create", found, now, tier_id=tier.id)
    return tier


async def set_opening(
    tx: Transaction,
    actor: Actor,
    *,
    scheme_id: UUID,
    pack_id: UUID | None,
    package_id: UUID | None,
    now: datetime,
) -> Scheme:
    """Have cards of a scheme opened by buying this from now on, or without either free (CRD-9).

    It lies under the same perspective, or above. Raises `SchemeNotFound`,
    `OpeningProductNotFound`.
    """
    if pack_id is not None and package_id is not None:
        raise BadInput("A card is opened by a coupon pack or by a package, not by both.")
    found = await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    perspective = await organisation.node(tx, found.perspective_id)
    actor.require(Permission.SCHEMES_WRITE, perspective)
    if pack_id is not None or package_id is not None:
        product = await _opening_product(tx, pack_id=pack_id, package_id=package_id)
        place = None if product is None else await organisation.node(tx, product.perspective_id)
        if place is None or not is_under(perspective, place.kind, place.id):
            raise OpeningProductNotFound
    await tx.changed(
        set_opening_of, scheme_id=found.id, new_pack_id=pack_id, new_package_id=package_id
    )
    await _record(tx, actor, "scheme.set_opening", found, now, pack=pack_id, package=package_id)
    return await scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)


async def opened_by_pack(tx: Transaction, *, group_id: UUID, pack_id: UUID) -> list[Scheme]:
    """The schemes whose cards are opened by buying a coupon pack, and that have a tier."""
    return await tx.all(schemes_opened_by_pack, group_id=group_id, pack_id=pack_id)


async def require_free_opening(tx: Transaction, scheme: Scheme) -> None:
    """Raise `CardMustBeBought` where a card is opened by buying something (CRD-9)."""
    product = await _opening_product(
        tx, pack_id=scheme.opening_pack_id, package_id=scheme.opening_package_id
    )
    if product is not None:
        raise CardMustBeBought(
            pack_id=scheme.opening_pack_id,
            package_id=scheme.opening_package_id,
            name=product.name,
        )


async def require_openable(tx: Transaction, scheme: Scheme, *, by_member: bool) -> None:
    """Raise `SchemeClosed` where members cannot open cards themselves, `SchemeHasNoTier`."""
    if by_member and not scheme.is_open_to_join:
        raise SchemeClosed
    if not (await tiers_by_scheme(tx, [scheme.id]))[scheme.id]:
        raise SchemeHasNoTier


async def lock_rules(tx: Transaction, scheme_id: UUID) -> Scheme:
    """The scheme as it is now, whose tiers and rules nobody else changes until this transaction
    ends. Raises `TierRulesLocked` while a run goes by them (TIR-5).
    """
    found = await tx.one(lock_scheme, scheme_id=scheme_id)
    assert found is not None, "schemes are never deleted"
    if run := await tx.one(running_run, scheme_id=scheme_id):
        raise TierRulesLocked(run)
    return found


async def _opening_product(
    tx: Transaction, *, pack_id: UUID | None, package_id: UUID | None
) -> OpeningProduct | None:
    """What opens cards, or None where neither is named or there is no such thing."""
    if pack_id is not None:
        return await tx.one(opening_pack, pack_id=pack_id)
    if package_id is not None:
        return await tx.one(opening_package, package_id=package_id)
    return None


async def _free_name(
    tx: Transaction, perspective_id: UUID, name: str, *, own_id: UUID | None
) -> str:
    """The name, checked; raises `SchemeNameTaken`."""
    name = checked_text("name", name, at_most=NAME_CHARS_MAX)
    if await tx.one(namesake, perspective_id=perspective_id, name=name) not in {None, own_id}:
        raise SchemeNameTaken
    return name


async def _set_stores(
    tx: Transaction, perspective: Node, created: Scheme, store_ids: list[UUID]
) -> None:
    ids = sorted(set(store_ids))
    if len(ids) > SCHEME_STORES_MAX:
        raise BadInput(f"A scheme can name at most {SCHEME_STORES_MAX} stores.")
    found = await organisation.nodes(tx, ids)
    for store_id in ids:
        store = found.get(store_id)
        is_store_below = (
            store is not None
            and store.kind is NodeKind.STORE
            and is_under(store, perspective.kind, perspective.id)
        )
        if not is_store_below:
            raise organisation.NodeNotFound
    await tx.insert(*(new_scheme_store(scheme_id=created.id, store_id=i) for i in ids))


def _named(store_ids: list[UUID] | None) -> list[str] | None:
    return None if store_ids is None else sorted({str(store_id) for store_id in store_ids})


def _require_rules(points_unit: int, points_rate: int, valid_days: int | None) -> None:
    if not 1 <= points_unit <= POINTS_UNIT_MAX:
        raise BadInput(f"pointsUnit must be between 1 and {POINTS_UNIT_MAX}.")
    if not 0 <= points_rate <= POINTS_RATE_MAX:
        raise BadInput(f"pointsRate must be between 0 and {POINTS_RATE_MAX}.")
    if valid_days is not None and not 1 <= valid_days <= VALID_DAYS_MAX:
        raise BadInput(f"validDays must be between 1 and {VALID_DAYS_MAX}.")


async def _record(
    tx: Transaction, actor: Actor, action: str, of: Scheme, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="scheme", object_id=of.id, node_id=of.perspective_id,
        now=now, **details,
    )  # fmt: skip
