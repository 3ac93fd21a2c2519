"""Packages as the back office makes, changes, lists and retires them (BEN-5, BEN-9)."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import Transaction, any_of, if_given, light, statement
from app.core.errors import BadInput, DomainError
from app.core.ids import LARGEST_ID
from app.core.money import MINOR_UNIT_DIGITS
from app.core.texts import pattern_of
from app.models.organisation import Node
from app.models.packages import Package, PackageState
from app.models.staff import Permission
from app.services import audit, organisation, perspectives, scopes, versions
from app.services.actors import Actor
from app.services.packages import details as package_details
from app.services.packages.details import PackageDetails

TABLE: Any = Package.__table__  # type: ignore[attr-defined]

packages_by_id = statement(select(Package).where(any_of(col(Package.id), "ids")), into=Package)
# NO KEY UPDATE: orders that only refer to the package do not wait for an edit of it.
lock_package = statement(
    select(Package)
    .where(col(Package.id) == bindparam("package_id"))
    .with_for_update(key_share=True),
    into=Package,
)
_name_like = bindparam("name_like", type_=TABLE.c.name.type)
page_of_packages = statement(
    select(Package)
    .where(
        *perspectives.in_sight(Package),
        col(Package.id) < bindparam("before"),
        if_given("state", Package.state),
        if_given("perspective_id", Package.perspective_id),
        or_(_name_like.is_(None), col(Package.name).ilike(_name_like, escape="\\")),
    )
    .order_by(col(Package.id).desc())
    .limit(bindparam("at_most")),
    into=Package,
)
change_package = statement(
    update(Package)
    .where(col(Package.id) == bindparam("package_id"))
    .values(
        version=col(Package.version) + 1,
        changed_at=bindparam("new_changed_at"),
        **{
            name: bindparam(f"new_{name}", type_=TABLE.c[name].type)
            for name in package_details.COLUMNS
        },
    )
    .returning(*TABLE.columns),
    into=Package,
)
set_state = statement(
    update(Package)
    .where(col(Package.id) == bindparam("package_id"))
    .values(
        version=col(Package.version) + 1,
        changed_at=bindparam("new_changed_at"),
        state=bindparam("new_state"),
    )
    .returning(*TABLE.columns),
    into=Package,
)
new_package = light(Package)

EDITABLE = {PackageState.DRAFT, PackageState.INACTIVE}
MOVES = {
    (PackageState.DRAFT, PackageState.ACTIVE),
    (PackageState.ACTIVE, PackageState.INACTIVE),
    (PackageState.INACTIVE, PackageState.ACTIVE),
    (PackageState.INACTIVE, PackageState.ARCHIVED),
    (PackageState.DRAFT, PackageState.ARCHIVED),
}
"""Nothing is deleted, and what was archived stays so."""
_MOVE_WORDS = {
    PackageState.ACTIVE: "activate",
    PackageState.INACTIVE: "deactivate",
    PackageState.ARCHIVED: "archive",
}


class PackageNotFound(DomainError):
    """No such package in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such package.")


class PackagePublished(DomainError):
    """A package is deactivated before it is edited (BEN-9)."""

    def __init__(self) -> None:
        super().__init__("This package is on sale. Deactivate it before you edit it.")


class PackageArchived(DomainError):
    """An archived package stays as it was."""

    def __init__(self) -> None:
        super().__init__("This package was put away for good and cannot be edited.")


class PackageStateUnchangeable(DomainError):
    """A state cannot follow another (BEN-9)."""

    def __init__(self, current: PackageState, wanted: PackageState) -> None:
        self.current = current
        super().__init__(f"A package that is {current.lower()} cannot become {wanted.lower()}.")


async def by_ids(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Package]:
    return {row.id: row for row in await tx.all(packages_by_id, ids=list(ids))}


async def package_of_group(tx: Transaction, *, group_id: UUID, package_id: UUID) -> Package:
    """A package of the group; raises `PackageNotFound`."""
    found = (await by_ids(tx, [package_id])).get(package_id)
    if found is None or found.group_id != group_id:
        raise PackageNotFound
    return found


async def seen_by(tx: Transaction, actor: Actor, *, package_id: UUID) -> Package | None:
    """A package if it exists and the actor may read it (ORG-1)."""
    found = (await by_ids(tx, [package_id])).get(package_id)
    return await perspectives.seen(tx, actor, Permission.PACKAGES_READ, found)


async def page(
    tx: Transaction,
    actor: Actor,
    *,
    state: PackageState | None = None,
    name_part: str | None = None,
    perspective_id: UUID | None = None,
    before: UUID | None,
    limit: int,
) -> list[Package]:
    """The packages made above or below where the actor may read them, newest first (BEN-9)."""
    return await tx.all(
        page_of_packages,
        before=before or LARGEST_ID,
        **await perspectives.sight(tx, actor, Permission.PACKAGES_READ),
        state=state,
        perspective_id=perspective_id,
        name_like=pattern_of("search", name_part, at_most=package_details.NAME_CHARS_MAX),
        at_most=limit,
    )


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    perspective_id: UUID,
    currency: str,
    details: PackageDetails,
    now: datetime,
) -> Package:
    """Draft a package under a perspective (BEN-5, BEN-6).

    Raises `NodeNotFound`, `StoreGroupNotFound`, `AudienceNotFound`, and what
    `details.columns_of` does.
    """
    perspective = await organisation.node(tx, perspective_id)
    actor.require(Permission.PACKAGES_WRITE, perspective)
    if currency not in MINOR_UNIT_DIGITS:
        raise BadInput("currency is not an ISO 4217 code.")
    columns = await package_details.columns_of(
        tx, perspective=perspective, currency=currency, details=details
    )
    scope = await scopes.create(tx, perspective=perspective, rules=details.scope)
    package = new_package(
        group_id=perspective.group_id,
        perspective_id=perspective.id,
        scope_id=scope.id,
        currency=currency,
        created_at=now,
        changed_at=now,
        **columns,
    )
    await tx.insert(package)
    await _record(tx, actor, "package.create", package, now, rules=package.rules)
    return package


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    package_id: UUID,
    expected_version: int,
    details: PackageDetails,
    now: datetime,
) -> Package:
    """Let a package say something else from now on; what was bought stays as it was (BEN-7).

    Raises `PackageNotFound`, `PackagePublished`, `PackageArchived`, `EditedMeanwhile`, and what
    `create` does.
    """
    package, perspective = await _locked_for(tx, actor, package_id)
    if package.state is PackageState.ACTIVE:
        raise PackagePublished
    if package.state not in EDITABLE:
        raise PackageArchived
    versions.require_version(package.version, expected=expected_version)
    columns = await package_details.columns_of(
        tx, perspective=perspective, currency=package.currency, details=details
    )
    await scopes.replace(
        tx, scope_id=package.scope_id, perspective=perspective, rules=details.scope
    )
    new_values = {f"new_{name}": value for name, value in columns.items()}
    changed = await tx.one(change_package, package_id=package.id, new_changed_at=now, **new_values)
    assert changed is not None, "a package is never deleted"
    await _record(tx, actor, "package.update", changed, now, rules=changed.rules)
    return changed


async def move(
    tx: Transaction, actor: Actor, *, package_id: UUID, state: PackageState, now: datetime
) -> Package:
    """Activate, deactivate or archive a package; those who own one keep it (BEN-9).

    Raises `PackageNotFound`, `PackageStateUnchangeable`.
    """
    package, _ = await _locked_for(tx, actor, package_id)
    if (package.state, state) not in MOVES:
        raise PackageStateUnchangeable(package.state, state)
    moved = await tx.one(set_state, package_id=package.id, new_state=state, new_changed_at=now)
    assert moved is not None, "a package is never deleted"
    await _record(tx, actor, f"package.{_MOVE_WORDS[state]}", moved, now)
    return moved


async def _locked_for(tx: Transaction, actor: Actor, package_id: UUID) -> tuple[Package, Node]:
    """A package the actor may change, as it stays until this transaction ends, and its
    perspective."""
    package = await tx.one(lock_package, package_id=package_id)
    if package is None or package.group_id != actor.group_id:
        raise PackageNotFound
    perspective = await organisation.node(tx, package.perspective_id)
    actor.require(Permission.PACKAGES_WRITE, perspective)
    return package, perspective


async def _record(
    tx: Transaction, actor: Actor, action: str, of: Package, now: datetime, **details: Any
) -> None:
    await audit.record(
        tx, actor, action, object_kind="package", object_id=of.id, node_id=of.perspective_id,
        now=now, version=of.version, **details,
    )  # fmt: skip
