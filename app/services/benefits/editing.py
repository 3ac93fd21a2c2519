"""Benefits as the back office makes, changes, lists and retires them (BEN-1, BEN-3)."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, func, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID
from app.core.texts import checked_text, normal_name, pattern_of
from app.models.benefits import Benefit, BenefitKind, BenefitState
from app.models.organisation import Node
from app.models.staff import Permission, Staff
from app.services import audit, organisation, perspectives, scopes, versions
from app.services.actors import Actor
from app.services.benefits import checking
from app.services.benefits.checking import NAME_CHARS_MAX, Content
from app.services.benefits.granting import BenefitNotFound, by_ids
from app.services.benefits.holding import ACTIVE_MAX

TABLE: Any = Benefit.__table__  # type: ignore[attr-defined]
STAFF_MAX = 10_000
"""Whose names are looked through for an operator: they are encrypted, so not by the database."""

lock_benefit = statement(
    select(Benefit)
    .where(col(Benefit.id) == bindparam("benefit_id"))
    .with_for_update(key_share=True),
    into=Benefit,
)
_name_like = bindparam("name_like", type_=TABLE.c.name.type)


def _page(*conditions: Any) -> Any:
    return statement(
        select(Benefit)
        .where(
            *perspectives.in_sight(Benefit),
            col(Benefit.id) < bindparam("before"),
            if_given("state", Benefit.state),
            if_given("kind", Benefit.kind),
            or_(_name_like.is_(None), col(Benefit.name).ilike(_name_like, escape="\\")),
            *conditions,
        )
        .order_by(col(Benefit.id).desc())
        .limit(bindparam("at_most")),
        into=Benefit,
    )


page_of_benefits = _page()
page_of_operators = _page(any_of(col(Benefit.operator_id), "operator_ids"))


class Operator(NamedTuple):
    id: UUID
    name: str


staff_of_group = statement(
    select(Staff.id, Staff.name)
    .where(col(Staff.group_id) == bindparam("group_id"))
    .limit(STAFF_MAX),
    into=Operator,
)
staff_by_id = statement(
    select(Staff.id, Staff.name).where(any_of(col(Staff.id), "ids")), into=Operator
)
number_active = statement(
    select(func.count())
    .select_from(Benefit)
    .where(
        col(Benefit.group_id) == bindparam("group_id"),
        col(Benefit.state) == BenefitState.ACTIVE,
    ),
    into=int,
)
change_benefit = statement(
    update(Benefit)
    .where(col(Benefit.id) == bindparam("benefit_id"))
    .values(
        version=col(Benefit.version) + 1,
        operator_kind=bindparam("new_operator_kind"),
        operator_id=bindparam("new_operator_id"),
        changed_at=bindparam("new_changed_at"),
        **{name: bindparam(f"new_{name}", type_=TABLE.c[name].type) for name in checking.COLUMNS},
    )
    .returning(*TABLE.columns),
    into=Benefit,
)
set_state = statement(
    update(Benefit)
    .where(col(Benefit.id) == bindparam("benefit_id"))
    .values(
        version=col(Benefit.version) + 1,
        operator_kind=bindparam("new_operator_kind"),
        operator_id=bindparam("new_operator_id"),
        changed_at=bindparam("new_changed_at"),
        state=bindparam("new_state"),
    )
    .returning(*TABLE.columns),
    into=Benefit,
)
new_benefit = light(Benefit)

MOVES = {
    (BenefitState.DRAFT, BenefitState.ACTIVE),
    (BenefitState.ACTIVE, BenefitState.INACTIVE),
    (BenefitState.INACTIVE, BenefitState.ACTIVE),
}


class BenefitStateUnchangeable(DomainError):
    """A state cannot follow another."""

    def __init__(self, current: BenefitState, wanted: BenefitState) -> None:
        self.current = current
        super().__init__(f"A benefit that is {current.lower()} cannot become {wanted.lower()}.")


class TooManyActiveBenefits(DomainError):
    """The group has as many active benefits as one can have."""

    def __init__(self) -> None:
        super().__init__(f"A group can have {ACTIVE_MAX} active benefits: deactivate one first.")


async def seen_by(tx: Transaction, actor: Actor, *, benefit_id: UUID) -> Benefit | None:
    """A benefit if it exists and the actor may read it (ORG-1)."""
    benefit = (await by_ids(tx, [benefit_id])).get(benefit_id)
    return await perspectives.seen(tx, actor, Permission.BENEFITS_READ, benefit)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: BenefitState | None = None,
    kind: BenefitKind | None = None,
    name_part: str | None = None,
    operator_part: str | None = None,
    before: UUID | None,
    limit: int,
) -> list[Benefit]:
    """The benefits made above or below where the actor may read them, newest first (BEN-3).

    `operator_part` is a part of the name of who saved it last.
    """
    asked = {
        "before": before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.BENEFITS_READ),
        "state": state,
        "kind": kind,
        "name_like": pattern_of("search", name_part, at_most=NAME_CHARS_MAX),
        "at_most": limit,
    }
    if operator_part is None:
        return await tx.all(page_of_benefits, **asked)
    part = normal_name(checked_text("operator", operator_part, at_most=NAME_CHARS_MAX))
    staff = await tx.all(staff_of_group, group_id=actor.group_id)
    operator_ids = [each.id for each in staff if part in normal_name(each.name)]
    return await tx.all(page_of_operators, operator_ids=operator_ids, **asked)


async def operators(tx: Transaction, ids: list[UUID]) -> dict[UUID, Operator]:
    """The staff among those who saved benefits; partners have no name here."""
    return {each.id: each for each in await tx.all(staff_by_id, ids=ids)}


async def create(
    tx: Transaction, actor: Actor, *, perspective_id: UUID, content: Content, now: datetime
) -> Benefit:
    """Draft a benefit under a perspective (BEN-1). Raises `NodeNotFound`, `StoreGroupNotFound`,
    and what `checking.columns_of` raises.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.BENEFITS_WRITE, perspective)
    columns = await checking.columns_of(tx, perspective=perspective, content=content)
    scope = await scopes.create(tx, perspective=perspective, rules=content.scope)
    benefit = new_benefit(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        scope_id=scope.id,
        kind=content.kind,
        operator_kind=actor.kind,
        operator_id=actor.id,
        created_at=now,
        changed_at=now,
        **columns,
    )
    await tx.insert(benefit)
    await _record(tx, actor, "benefit.create", benefit, now, kind=benefit.kind)
    return benefit


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    benefit_id: UUID,
    expected_version: int,
    content: Content,
    now: datetime,
) -> Benefit:
    """Let a benefit say something else from now on, also while it is active; what cards were given
    stays as it was (BEN-3, BEN-7).

    Raises `BenefitNotFound`, `EditedMeanwhile`, and what `create` does.
    """
    benefit, perspective = await _locked_for(tx, actor, benefit_id)
    versions.require_version(benefit.version, expected=expected_version)
    if content.kind is not benefit.kind:
        raise BadInput("A benefit keeps its type: make another one.")
    columns = await checking.columns_of(tx, perspective=perspective, content=content)
    await scopes.replace(
        tx, scope_id=benefit.scope_id, perspective=perspective, rules=content.scope
    )
    new_values = {f"new_{name}": value for name, value in columns.items()}
    changed = await tx.one(
        change_benefit,
        benefit_id=benefit.id,
        new_operator_kind=actor.kind,
        new_operator_id=actor.id,
        new_changed_at=now,
        **new_values,
    )
    assert changed is not None, "a benefit is never deleted"
    await _record(tx, actor, "benefit.update", changed, now)
    return changed


async def move(
    tx: Transaction, actor: Actor, *, benefit_id: UUID, state: BenefitState, now: datetime
) -> Benefit:
    """Activate a benefit, or deactivate it: members lose it at once, also who bought it (BEN-3).

    Raises `BenefitNotFound`, `BenefitStateUnchangeable`, `TooManyActiveBenefits`.
    """
    benefit, _ = await _locked_for(tx, actor, benefit_id)
    if (benefit.state, state) not in MOVES:
        raise BenefitStateUnchangeable(benefit.state, state)
    if state is BenefitState.ACTIVE:
        await _require_room(tx, benefit.group_id)
    moved = await tx.one(
        set_state,
        benefit_id=benefit.id,
        new_state=state,
        new_operator_kind=actor.kind,
        new_operator_id=actor.id,
        new_changed_at=now,
    )
    assert moved is not None, "a benefit is never deleted"
    action = "activate" if state is BenefitState.ACTIVE else "deactivate"
    await _record(tx, actor, f"benefit.{action}", moved, now)
    return moved


async def _require_room(tx: Transaction, group_id: UUID) -> None:
    if (await tx.one(number_active, group_id=group_id) or 0) >= ACTIVE_MAX:
        raise TooManyActiveBenefits


async def _locked_for(tx: Transaction, actor: Actor, benefit_id: UUID) -> tuple[Benefit, Node]:
    """A benefit the actor may change, as it stays until this transaction ends."""
    benefit = await tx.one(lock_benefit, benefit_id=benefit_id)
    if benefit is None or benefit.group_id != actor.group_id:
        raise BenefitNotFound
    perspective = await organisation.node(tx, benefit.perspective_id)
    actor.require(Permission.BENEFITS_WRITE, perspective)
    return benefit, perspective


async def _record(
    tx: Transaction, actor: Actor, action: str, of: Benefit, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="benefit", object_id=of.id, node_id=of.perspective_id,
        now=now, version=of.version, **details,
    )  # fmt: skip
