"""Roles: named sets of permissions, some built in, others made by a group (ORG-2)."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam
from sqlmodel import col, select, update

from app.core.db import Transaction, every_column, light, statement, upsert, values_of
from app.core.errors import DomainError
from app.core.texts import checked_text
from app.models.organisation import Node
from app.models.staff import Permission, Role
from app.services import audit, organisation
from app.services.actors import Actor, known_permissions

NAME_CHARS_MAX = 64
ROLES_MAX = 200

P = Permission
SEES = {P.ORGANISATION_READ, P.SCHEMES_READ, P.CARDS_READ, P.PURCHASES_READ}
SEES |= {P.MEMBERS_FIND, P.MEMBERS_READ, P.TOP_UPS_READ}
SEES |= {P.ORDERS_READ, P.COUPONS_READ, P.MALL_READ, P.GIFT_CARDS_READ, P.BENEFITS_READ}
SEES |= {P.PACKAGES_READ, P.STUDENTS_READ}
DESIGNS = {P.FILES_WRITE, P.COUPONS_WRITE, P.COUPONS_ISSUE, P.MALL_WRITE, P.GIFT_CARDS_WRITE}
DESIGNS |= {P.BENEFITS_WRITE, P.PACKAGES_WRITE, P.STUDENTS_WRITE}
PAYS_OUT = {P.PURCHASES_REFUND, P.SPENDINGS_REFUND, P.TOP_UPS_REFUND, P.CARDS_REFUND}
PAYS_OUT |= {P.ORDERS_REFUND, P.GIFT_CARDS_REFUND, P.PACKAGES_REFUND}
BUILT_IN: dict[str, frozenset[Permission]] = {
    "owner": frozenset(Permission),
    "marketer": frozenset(
        SEES | DESIGNS | {P.SCHEMES_WRITE, P.MEMBERS_WRITE, P.TOP_UPS_WRITE, P.EVENTS_WRITE}
    ),
    "finance": frozenset(
        SEES
        | PAYS_OUT
        | {P.ADJUSTMENTS_WRITE, P.ADJUSTMENTS_APPROVE, P.REPORTS_READ, P.JOBS_READ, P.AUDIT_READ}
        | {P.GIFT_CARDS_EXPORT_KEYS, P.GIFT_CARDS_FREEZE}
    ),
    "support": frozenset(
        SEES
        | {P.MEMBERS_WRITE, P.MEMBERS_UNMASK, P.CARDS_ISSUE, P.CARDS_WRITE, P.PURCHASES_REFUND}
        | {P.SPENDINGS_REFUND, P.ADJUSTMENTS_WRITE, P.TIERS_GRANT, P.POINTS_ROLL_BACK}
        | {P.COUPONS_ISSUE, P.MALL_FULFIL, P.GIFT_CARDS_FREEZE, P.STUDENTS_REVIEW}
    ),
    # Finds who stands at the till and issues their card (MEM-8), takes payments and sells top-ups;
    # cannot list members, nor freeze, unfreeze or adjust a card (CRD-6).
    "cashier": frozenset(
        {P.ORGANISATION_READ, P.SCHEMES_READ, P.MEMBERS_FIND, P.CODES_RESOLVE}
        | {P.CARDS_READ, P.CARDS_ISSUE, P.PURCHASES_READ, P.PURCHASES_WRITE}
        | {P.TOP_UPS_READ, P.TOP_UPS_SELL, P.SPENDINGS_WRITE, P.COUPONS_READ, P.COUPONS_REDEEM}
        | {P.COUPONS_SELL}
        | {P.MALL_READ, P.MALL_FULFIL, P.GIFT_CARDS_READ, P.GIFT_CARDS_SELL, P.GIFT_CARDS_REDEEM}
        | {P.BENEFITS_READ, P.PACKAGES_READ, P.PACKAGES_SELL, P.ORDERS_READ}
    ),
    "auditor": frozenset({p for p in Permission if p.endswith(":read")} | {P.MEMBERS_FIND}),
}

role_by_id = statement(
    select(Role).where(
        col(Role.id) == bindparam("role_id"), col(Role.group_id) == bindparam("group_id")
    ),
    into=Role,
)
role_by_name = statement(
    select(Role).where(
        col(Role.group_id) == bindparam("group_id"), col(Role.name) == bindparam("name")
    ),
    into=Role,
)
roles_of_group = statement(
    select(Role)
    .where(col(Role.group_id) == bindparam("group_id"))
    .order_by(col(Role.name))
    .limit(ROLES_MAX),
    into=Role,
)
insert_role = upsert(
    lambda insert: (
        insert(Role)
        .values(every_column(Role))
        .on_conflict_do_nothing(index_elements=["group_id", "name"])
    )
)
put_built_in = upsert(
    lambda insert: (
        insert(Role)
        .values(every_column(Role))
        .on_conflict_do_update(
            index_elements=["group_id", "name"],
            set_={"permissions": bindparam("permissions", type_=Role.__table__.c.permissions.type)},  # type: ignore[attr-defined]
            where=col(Role.is_built_in).is_(True),
        )
    )
)
set_permissions = statement(
    update(Role)
    .where(col(Role.id) == bindparam("role_id"), col(Role.is_built_in).is_(False))
    .values(permissions=bindparam("new_permissions"))
    .returning(*Role.__table__.columns),  # type: ignore[attr-defined]
    into=Role,
)
new_role = light(Role)


class RoleNotFound(DomainError):
    """No such role in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such role.")


class RoleNameTaken(DomainError):
    """Another role of the group has this name."""

    def __init__(self) -> None:
        super().__init__("There is already a role with this name.")


class RoleIsBuiltIn(DomainError):
    """A built-in role, which is the same everywhere, cannot be changed."""

    def __init__(self) -> None:
        super().__init__("This role is built in and cannot be changed.")


async def ensure_built_in(tx: Transaction, *, group_id: UUID) -> None:
    """Give a group the built-in roles, as this release knows them."""
    for name, permissions in BUILT_IN.items():
        role = new_role(
            group_id=group_id, name=name, permissions=sorted(permissions), is_built_in=True
        )
        await tx.changed(put_built_in, **values_of(role))


async def built_in(tx: Transaction, *, group_id: UUID, name: str) -> Role:
    """A built-in role of a group that has been given them."""
    found = await tx.one(role_by_name, group_id=group_id, name=name)
    assert found is not None, name
    assert found.is_built_in, name
    return found


async def role(tx: Transaction, *, role_id: UUID, group_id: UUID) -> Role:
    """A role by its id; raises `RoleNotFound`."""
    found = await tx.one(role_by_id, role_id=role_id, group_id=group_id)
    if found is None:
        raise RoleNotFound
    return found


async def roles(tx: Transaction, actor: Actor) -> list[Role]:
    """The roles of the actor's group, by name."""
    actor.require_any(Permission.STAFF_READ)
    return await tx.all(roles_of_group, group_id=actor.group_id)


async def create(
    tx: Transaction, actor: Actor, *, name: str, permissions: Collection[Permission], now: datetime
) -> Role:
    """Make a role for the whole group, of permissions the actor holds there.

    Raises `RoleNameTaken`, `PermissionsNotHeld`.
    """
    await _require_group(tx, actor, permissions)
    created = new_role(
        group_id=actor.group_id,
        name=checked_text("name", name, at_most=NAME_CHARS_MAX),
        permissions=sorted(set(permissions)),
    )
    if not await tx.changed(insert_role, **values_of(created)):
        raise RoleNameTaken
    await audit.record(
        tx, actor, "role.create", object_kind="role", object_id=created.id, now=now,
        permissions=created.permissions,
    )  # fmt: skip
    return created


async def change(
    tx: Transaction,
    actor: Actor,
    *,
    role_id: UUID,
    permissions: Collection[Permission],
    now: datetime,
) -> Role:
    """Change what a role allows, at once for everybody who holds it.

    The actor must hold both what it allowed and what it will. Raises `RoleNotFound`,
    `RoleIsBuiltIn`, `PermissionsNotHeld`.
    """
    before = await role(tx, role_id=role_id, group_id=actor.group_id)
    await _require_group(tx, actor, {*permissions, *known_permissions(before.permissions)})
    changed = await tx.one(
        set_permissions, role_id=role_id, new_permissions=sorted(set(permissions))
    )
    if changed is None:
        raise RoleIsBuiltIn
    await audit.record(
        tx, actor, "role.update", object_kind="role", object_id=role_id, now=now,
        permissions=changed.permissions, permissions_before=before.permissions,
    )  # fmt: skip
    return changed


async def _require_group(
    tx: Transaction, actor: Actor, permissions: Collection[Permission]
) -> Node:
    """A role can be granted anywhere in the group, so it is the group's to make."""
    group = await organisation.node(tx, actor.group_id)
    actor.require(Permission.STAFF_WRITE, group)
    actor.require_all(permissions, group)
    return group
