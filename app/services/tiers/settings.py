"""The rules of a scheme's tiers, released at once; every card is recomputed then (TIR-5)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Uuid, bindparam, or_
from sqlmodel import col, delete, select, update

from app.core.db import Transaction, any_of, changed_copy, light, statement
from app.core.errors import BadInput, DomainError
from app.core.texts import checked_text
from app.core.tier_periods import (
    TierValidity,
    next_calculation,
    require_cycle,
    require_months,
    require_validity,
)
from app.models.cards import Card, Scheme, Tier
from app.models.scopes import Scope, ScopeAudience
from app.models.staff import Permission
from app.models.tiers import (
    AfterTierExpiry,
    OnGrowthChange,
    TaskKind,
    TierCause,
    TierChange,
    TierCondition,
    TierGrant,
    TierRun,
    TierTask,
)
from app.models.top_ups import TopUpPlan
from app.services import audit, organisation, routines, schemes
from app.services.actors import Actor
from app.services.tiers.granting import TierNotFound
from app.services.tiers.rules import WINDOWS_MAX
from app.services.tiers.running import RECALCULATE, start
from app.services.versions import require_version

GROWTH_UNIT_MAX = 1_000_000_000
GROWTH_RATE_MAX = 10_000
CONDITIONS_MAX = 200
CONDITION_CHARS_MAX = {"id": 64, "name": 120}
TASKS_MAX = 10
TASK_AT_LEAST_MAX = 10**15
EVENT_KEY_CHARS_MAX = 48
GROWTH_FROM_MAX = 2**53
OUT_OF_THE_WAY = 1_000
"""Levels move through here, so that no two tiers have the same one meanwhile."""

change_rules = statement(
    update(Scheme)
    .where(col(Scheme.id) == bindparam("scheme_id"))
    .values(
        tiers_are_computed=True,
        tiers_version=col(Scheme.tiers_version) + 1,
        growth_unit=bindparam("new_growth_unit"),
        growth_rate=bindparam("new_growth_rate"),
        growth_only=bindparam("new_growth_only"),
        growth_except=bindparam("new_growth_except"),
        on_growth_change=bindparam("new_on_growth_change"),
        recalculation_months=bindparam("new_recalculation_months"),
        recalculation_day=bindparam("new_recalculation_day"),
        tier_validity=bindparam("new_tier_validity"),
        tier_validity_months=bindparam("new_tier_validity_months"),
        after_tier_expiry=bindparam("new_after_tier_expiry"),
    )
)
make_room = statement(
    update(Tier)
    .where(col(Tier.scheme_id) == bindparam("of_scheme_id"))
    .values(level=col(Tier.level) + OUT_OF_THE_WAY)
)
change_tier = statement(
    update(Tier)
    .where(col(Tier.id) == bindparam("tier_id"))
    .values(
        level=bindparam("new_level"),
        name=bindparam("new_name"),
        growth_from=bindparam("new_growth_from"),
        condition=bindparam("new_condition"),
        window_months=bindparam("new_window_months"),
    )
)
drop_tiers = statement(delete(Tier).where(any_of(col(Tier.id), "tier_ids")))
drop_tasks = statement(delete(TierTask).where(any_of(col(TierTask.tier_id), "tier_ids")))
tasks_of_tiers = statement(
    select(TierTask).where(any_of(col(TierTask.tier_id), "tier_ids")).order_by(col(TierTask.id)),
    into=TierTask,
)
# By way of the scheme's cards: only who removes a tier asks, and no index is kept for it.
_in_scheme = col(Card.scheme_id) == bindparam("scheme_id")
_is_it = bindparam("tier_id", type_=Uuid())
USES = (
    statement(
        select(Card.id)
        .where(_in_scheme, or_(col(Card.tier_id) == _is_it, col(Card.growth_tier_id) == _is_it))
        .limit(1),
        into=UUID,
    ),
    statement(
        select(TierGrant.id)
        .join(Card, col(Card.id) == col(TierGrant.card_id))
        .where(_in_scheme, col(TierGrant.tier_id) == _is_it)
        .limit(1),
        into=UUID,
    ),
    statement(
        select(TierChange.id)
        .join(Card, col(Card.id) == col(TierChange.card_id))
        .where(
            _in_scheme,
            or_(col(TierChange.from_tier_id) == _is_it, col(TierChange.to_tier_id) == _is_it),
        )
        .limit(1),
        into=UUID,
    ),
)
_in_group: Any = bindparam("group_id")
USES_IN_GROUP = (
    statement(
        select(TopUpPlan.id)
        .where(col(TopUpPlan.group_id) == _in_group, col(TopUpPlan.granted_tier_id) == _is_it)
        .limit(1),
        into=UUID,
    ),
    statement(
        select(ScopeAudience.id)
        .join(Scope, col(Scope.id) == col(ScopeAudience.scope_id))
        .where(col(Scope.group_id) == _in_group, col(ScopeAudience.tier_id) == _is_it)
        .limit(1),
        into=UUID,
    ),
)
new_task = light(TierTask)


class TierInUse(DomainError):
    """A tier that cards have or had, or that is given or asked for somewhere, cannot go."""

    def __init__(self, tier: Tier) -> None:
        self.tier_id = tier.id
        super().__init__(f"The tier {tier.name!r} is in use and cannot be removed.")


class ReleasedForGood(DomainError):
    """A scheme whose tiers are computed never goes back to recording them (TIR-5)."""

    def __init__(self) -> None:
        super().__init__("This scheme's tiers are computed; it cannot go back to recording them.")


@dataclass(frozen=True, slots=True)
class TaskGiven:
    kind: TaskKind
    at_least: int
    event_key: str | None = None
    window_months: int | None = None

    def checked(self) -> "TaskGiven":
        if not 1 <= self.at_least <= TASK_AT_LEAST_MAX:
            raise BadInput(f"atLeast must be between 1 and {TASK_AT_LEAST_MAX}.")
        if (self.kind is TaskKind.EVENTS) != (self.event_key is not None):
            raise BadInput("eventKey belongs to EVENTS, and to nothing else.")
        if self.window_months is not None:
            require_months(self.window_months)
        if self.event_key is None:
            return self
        key = checked_text("eventKey", self.event_key, at_most=EVENT_KEY_CHARS_MAX)
        return TaskGiven(self.kind, self.at_least, key, self.window_months)


@dataclass(frozen=True, slots=True)
class TierGiven:
    """A tier as it shall be; `id` of one that there is already."""

    id: UUID | None
    name: str
    growth_from: int
    condition: TierCondition
    window_months: int | None = None
    tasks: Sequence[TaskGiven] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All of a scheme's rules about growth and tiers; the tiers lowest first."""

    growth_unit: int
    growth_rate: int
    on_growth_change: OnGrowthChange
    validity: TierValidity
    after_expiry: AfterTierExpiry
    tiers: Sequence[TierGiven]
    validity_months: int = 0
    recalculation_months: int | None = None
    recalculation_day: int | None = None
    growth_only: Sequence[dict[str, str]] = field(default_factory=tuple)
    growth_except: Sequence[dict[str, str]] = field(default_factory=tuple)

    def require_sound(self) -> None:
        """Raise `BadInput` for rules that nothing can go by."""
        if not 1 <= self.growth_unit <= GROWTH_UNIT_MAX:
            raise BadInput(f"growthUnit must be between 1 and {GROWTH_UNIT_MAX}.")
        if not 0 <= self.growth_rate <= GROWTH_RATE_MAX:
            raise BadInput(f"growthRate must be between 0 and {GROWTH_RATE_MAX}.")
        require_validity(self.validity, self.validity_months)
        if self.recalculation_months is not None:
            assert self.recalculation_day is not None
            require_cycle(cycle_months=self.recalculation_months, day=self.recalculation_day)
        _require_tiers(self.tiers)


def _require_tiers(tiers: Sequence[TierGiven]) -> None:
    if not 1 <= len(tiers) <= schemes.TIERS_MAX:
        raise BadInput(f"A scheme has 1 to {schemes.TIERS_MAX} tiers.")
    lowest = tiers[0]
    if lowest.growth_from or lowest.tasks or lowest.condition is not TierCondition.ACCUMULATED:
        raise BadInput("The lowest tier is where cards start: ACCUMULATED from 0, without tasks.")
    before = 0
    for tier in tiers[1:]:
        if tier.condition is TierCondition.NONE:
            if tier.growth_from:
                raise BadInput("growthFrom of a tier that growth does not lead to must be 0.")
            continue
        if not before < tier.growth_from <= GROWTH_FROM_MAX:
            raise BadInput("growthFrom must exceed that of each tier below.")
        before = tier.growth_from
    for tier in tiers:
        if (tier.condition is TierCondition.WINDOW) != (tier.window_months is not None):
            raise BadInput("windowMonths belongs to WINDOW, and to nothing else.")
        if tier.window_months is not None:
            require_months(tier.window_months)
        if len(tier.tasks) > TASKS_MAX:
            raise BadInput(f"A tier can have at most {TASKS_MAX} tasks.")
    if len({tier.window_months for tier in tiers} - {None}) > WINDOWS_MAX:
        raise BadInput(f"Tiers can ask for at most {WINDOWS_MAX} different windowMonths.")
    if len({_name(tier).casefold() for tier in tiers}) < len(tiers):
        raise BadInput("Two tiers have the same name.")
    given_ids = [tier.id for tier in tiers if tier.id is not None]
    if len(set(given_ids)) < len(given_ids):
        raise BadInput("A tier is named twice.")


def _name(tier: TierGiven) -> str:
    return checked_text("name", tier.name, at_most=schemes.TIER_NAME_CHARS_MAX)


def checked_conditions(what: str, given: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Conditions on products, each by `id` or by a part of the `name`; raises `BadInput`."""
    if len(given) > CONDITIONS_MAX:
        raise BadInput(f"{what} must hold at most {CONDITIONS_MAX} conditions.")
    if any(len(each) != 1 for each in given):
        raise BadInput(f"Each condition of {what} has either an id or a part of a name.")
    return [
        {key: checked_text(key, text, at_most=CONDITION_CHARS_MAX[key])}
        for each in given
        for key, text in each.items()
    ]


class Released(NamedTuple):
    """The scheme as it is now, and the run that recomputes its cards."""

    scheme: Scheme
    run: TierRun


async def release(
    tx: Transaction,
    actor: Actor,
    *,
    scheme_id: UUID,
    expected_version: int,
    rules: Rules,
    now: datetime,
) -> Released:
    """Save a scheme's rules of tiers, and begin to recompute its cards by them (TIR-5).

    From the first release on its tiers are computed, for good. Raises `SchemeNotFound`,
    `TierRulesLocked`, `EditedMeanwhile`, `TierNotFound`, `TierInUse`.
    """
    found = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    perspective = await organisation.node(tx, found.perspective_id)
    actor.require(Permission.SCHEMES_WRITE, perspective)
    rules.require_sound()
    tasks = [[task.checked() for task in tier.tasks] for tier in rules.tiers]
    only, besides = (
        checked_conditions("growthOnly", rules.growth_only),
        checked_conditions("growthExcept", rules.growth_except),
    )
    found = await schemes.lock_rules(tx, found.id)
    require_version(found.tiers_version, expected=expected_version)
    await _write_tiers(tx, found, rules.tiers, tasks)
    await tx.changed(
        change_rules,
        scheme_id=found.id,
        new_growth_unit=rules.growth_unit,
        new_growth_rate=rules.growth_rate,
        new_growth_only=only,
        new_growth_except=besides,
        new_on_growth_change=rules.on_growth_change,
        new_recalculation_months=rules.recalculation_months,
        new_recalculation_day=rules.recalculation_day,
        new_tier_validity=rules.validity,
        new_tier_validity_months=rules.validity_months,
        new_after_tier_expiry=rules.after_expiry,
    )
    await _schedule(tx, found, rules, ZoneInfo(perspective.time_zone), now)
    run = await start(tx, scheme=found, cause=TierCause.RELEASE, now=now)
    assert run is not None, "a run began under the lock of its rules"
    await audit.record(
        tx, actor, "tier_rules.release", object_kind="scheme", object_id=found.id,
        node_id=perspective.id, now=now, version=found.tiers_version + 1, run=run.id,
    )  # fmt: skip
    return Released(await schemes.scheme(tx, group_id=actor.group_id, scheme_id=found.id), run)


async def record_only(tx: Transaction, actor: Actor, *, scheme_id: UUID) -> Scheme:
    """Leave tiers to those who record them: true of a scheme until its first release (TIR-5).

    Raises `SchemeNotFound`, `ReleasedForGood`.
    """
    found = await schemes.scheme(tx, group_id=actor.group_id, scheme_id=scheme_id)
    perspective = await organisation.node(tx, found.perspective_id)
    actor.require(Permission.SCHEMES_WRITE, perspective)
    if found.tiers_are_computed:
        raise ReleasedForGood
    return found


async def _schedule(
    tx: Transaction, scheme: Scheme, rules: Rules, zone: ZoneInfo, now: datetime
) -> None:
    if rules.recalculation_months is None or rules.recalculation_day is None:
        await routines.cancel(tx, name=RECALCULATE, subject_id=scheme.id)
        return
    due_at = next_calculation(
        now, cycle_months=rules.recalculation_months, day=rules.recalculation_day, zone=zone
    )
    await routines.schedule(tx, name=RECALCULATE, subject_id=scheme.id, next_due_at=due_at, now=now)


async def _write_tiers(
    tx: Transaction,
    scheme: Scheme,
    given: Sequence[TierGiven],
    tasks: Sequence[Sequence[TaskGiven]],
) -> None:
    """Make a scheme's tiers those given, lowest first; those there are keep their ids."""
    existing = (await schemes.tiers_by_scheme(tx, [scheme.id]))[scheme.id]
    before = {tier.id: tier for tier in existing}
    kept_ids = {tier.id for tier in given if tier.id is not None}
    if not kept_ids <= before.keys():
        raise TierNotFound
    gone = [old for old in existing if old.id not in kept_ids]
    for old in gone:
        await _require_unused(tx, scheme, old)
    await tx.changed(drop_tasks, tier_ids=list(before))
    await tx.changed(drop_tiers, tier_ids=[old.id for old in gone])
    levels = {tier.id: level for level, tier in enumerate(given, start=1) if tier.id is not None}
    if any(before[tier_id].level != level for tier_id, level in levels.items()):
        await tx.changed(make_room, of_scheme_id=scheme.id)
    for level, (tier, of_tier) in enumerate(zip(given, tasks, strict=True), start=1):
        row = schemes.new_tier(
            scheme_id=scheme.id,
            level=level,
            name=_name(tier),
            growth_from=tier.growth_from,
            condition=tier.condition,
            window_months=tier.window_months,
        )
        if tier.id is None:
            await tx.insert(row)
        else:
            row = changed_copy(row, id=tier.id)
            await _change_tier(tx, row)
        await tx.insert(
            *(
                new_task(
                    tier_id=row.id,
                    kind=task.kind,
                    event_key=task.event_key,
                    at_least=task.at_least,
                    window_months=task.window_months,
                )
                for task in of_tier
            )
        )


async def _change_tier(tx: Transaction, tier: Tier) -> None:
    await tx.changed(
        change_tier,
        tier_id=tier.id,
        new_level=tier.level,
        new_name=tier.name,
        new_growth_from=tier.growth_from,
        new_condition=tier.condition,
        new_window_months=tier.window_months,
    )


async def _require_unused(tx: Transaction, scheme: Scheme, tier: Tier) -> None:
    for use in USES_IN_GROUP:
        if await tx.one(use, group_id=scheme.group_id, tier_id=tier.id):
            raise TierInUse(tier)
    for use in USES:
        if await tx.one(use, scheme_id=scheme.id, tier_id=tier.id):
            raise TierInUse(tier)


async def tasks_by_tier(tx: Transaction, tier_ids: list[UUID]) -> dict[UUID, list[TierTask]]:
    """The tasks of each of these tiers."""
    found: dict[UUID, list[TierTask]] = {tier_id: [] for tier_id in tier_ids}
    for task in await tx.all(tasks_of_tiers, tier_ids=tier_ids):
        found[task.tier_id].append(task)
    return found
