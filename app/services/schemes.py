"""Schemes and their tiers (CRD-1)."""

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
new_scheme = light(Scheme)
new_scheme_store = light(SchemeStore)
new_tier = light(Tier)


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
