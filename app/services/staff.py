"""Staff and what they may do where: accounts and grants (ORG-2).

Nobody can give or take what they do not hold themselves: a role goes to somebody, or away from
them, only through a person who holds all its permissions at that node.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, delete, select, update

from app.core import totp
from app.core.db import (
    Transaction,
    any_of,
    changed_copy,
    every_column,
    light,
    statement,
    upsert,
    values_of,
)
from app.core.errors import BadInput, DomainError, Unauthenticated
from app.core.personal import index_of
from app.core.phones import InvalidEmail, normal_email
from app.core.texts import checked_text
from app.models.organisation import Node, NodeKind
from app.models.sessions import PrincipalKind, Session
from app.models.staff import Permission, Role, RoleGrant, Staff
from app.services import audit, organisation, roles, sessions
from app.services.actors import Actor, Grant, known_permissions

NAME_CHARS_MAX = 120

insert_staff = upsert(
    lambda insert: (
        insert(Staff)
        .values(every_column(Staff))
        .on_conflict_do_nothing(index_elements=["email_index"])
    )
)
staff_by_id = statement(
    select(Staff).where(
        col(Staff.id) == bindparam("staff_id"), col(Staff.group_id) == bindparam("group_id")
    ),
    into=Staff,
)
staff_by_ids = statement(select(Staff).where(any_of(col(Staff.id), "ids")), into=Staff)
switch_off = statement(
    update(Staff).where(col(Staff.id) == bindparam("staff_id")).values(is_active=False)
)
staff_below = statement(
    select(Staff)
    .where(
        col(Staff.group_id) == bindparam("group_id"),
        col(Staff.id) > bindparam("after"),
        or_(
            # Whoever sees the whole group also sees those who hold no role.
            any_of(col(Staff.group_id), "node_ids"),
            col(Staff.id).in_(
                select(RoleGrant.staff_id)
                .join(Node, col(Node.id) == col(RoleGrant.node_id))
                .where(
                    or_(
                        any_of(col(Node.brand_id), "node_ids"),
                        any_of(col(Node.id), "node_ids"),
                    )
                )
            ),
        ),
    )
    .order_by(col(Staff.id))
    .limit(bindparam("at_most")),
    into=Staff,
)
group_of_active = statement(
    select(Staff.group_id)
    .join(Session, col(Session.principal_id) == col(Staff.id))
    .where(
        col(Staff.id) == bindparam("staff_id"),
        col(Staff.is_active).is_(True),
        col(Session.id) == bindparam("session_id"),
        col(Session.revoked_at).is_(None),
        col(Session.expires_at) > bindparam("now"),
    ),
    into=UUID,
)
insert_grant = upsert(
    lambda insert: (
        insert(RoleGrant)
        .values(every_column(RoleGrant))
        .on_conflict_do_nothing(index_elements=["staff_id", "role_id", "node_id"])
    )
)
delete_grant = statement(
    delete(RoleGrant).where(
        col(RoleGrant.staff_id) == bindparam("staff_id"),
        col(RoleGrant.role_id) == bindparam("role_id"),
        col(RoleGrant.node_id) == bindparam("node_id"),
    )
)


class HeldRole(NamedTuple):
    """A role that somebody holds at a node."""

    staff_id: UUID
    role_id: UUID
    role_name: str
    permissions: list[str]
    node_id: UUID
    node_kind: NodeKind


held_roles = statement(
    select(  # type: ignore[call-overload]  # the typed overloads end at four columns
        RoleGrant.staff_id,
        RoleGrant.role_id,
        col(Role.name).label("role_name"),
        Role.permissions,
        RoleGrant.node_id,
        col(Node.kind).label("node_kind"),
    )
    .join(Role, col(Role.id) == col(RoleGrant.role_id))
    .join(Node, col(Node.id) == col(RoleGrant.node_id))
    .where(any_of(col(RoleGrant.staff_id), "staff_ids"))
    .order_by(col(RoleGrant.id)),
    into=HeldRole,
)
new_staff = light(Staff)
new_role_grant = light(RoleGrant)


class StaffNotFound(DomainError):
    """No such staff member in this group."""

    def __init__(self) -> None:
        super().__init__("There is no such staff member.")


class EmailTaken(DomainError):
    """Another staff account signs in with this address."""

    def __init__(self) -> None:
        super().__init__("There is already a staff account with this e-mail address.")


class NotOnYourself(DomainError):
    """Nobody switches themselves off or takes their own role: so somebody always remains."""

    def __init__(self) -> None:
        super().__init__("Ask somebody else to do this to your own account.")


class StaffMember(NamedTuple):
    """An account and the roles it holds."""

    staff: Staff
    held: list[HeldRole]

    @property
    def id(self) -> UUID:
        return self.staff.id


class StaffCreated(NamedTuple):
    """A new account, and what its authenticator app is set up with: shown once."""

    member: StaffMember
    totp_secret: str


async def create(
    tx: Transaction,
    actor: Actor,
    *,
    name: str,
    email: str,
    password_hash: str,
    role_id: UUID,
    node_id: UUID,
    now: datetime,
) -> StaffCreated:
    """Open an account with a first role at a node (ORG-2).

    Raises `NodeNotFound`, `RoleNotFound`, `PermissionsNotHeld`, `EmailTaken`.
    """
    node, role = await _grantable(tx, actor, role_id=role_id, node_id=node_id)
    created = await add(
        tx, group_id=actor.group_id, name=name, email=email, password_hash=password_hash, now=now
    )
    await audit.record(
        tx, actor, "staff.create", object_kind="staff", object_id=created.id, node_id=node.id,
        now=now,
    )  # fmt: skip
    await _insert_grant(tx, actor, created.id, role, node, now)
    held = await tx.all(held_roles, staff_ids=[created.id])
    return StaffCreated(StaffMember(created, held), created.totp_secret)


async def add(
    tx: Transaction, *, group_id: UUID, name: str, email: str, password_hash: str, now: datetime
) -> Staff:
    """Insert an account without a role; for set-up, where nobody acts yet. Raises `EmailTaken`."""
    try:
        address = normal_email(email)
    except InvalidEmail as error:
        raise BadInput(str(error)) from None
    created = new_staff(
        group_id=group_id,
        name=checked_text("name", name, at_most=NAME_CHARS_MAX),
        email=address,
        email_index=email_index(address),
        password_hash=password_hash,
        totp_secret=totp.new_secret(),
        created_at=now,
    )
    if not await tx.changed(insert_staff, **values_of(created)):
        raise EmailTaken
    return created


async def give(
    tx: Transaction, *, staff_id: UUID, role_id: UUID, node_id: UUID, now: datetime
) -> bool:
    """Insert a grant without asking whether it may be; whether it was new."""
    grant = new_role_grant(staff_id=staff_id, role_id=role_id, node_id=node_id, granted_at=now)
    return bool(await tx.changed(insert_grant, **values_of(grant)))


async def grant_role(
    tx: Transaction, actor: Actor, *, staff_id: UUID, role_id: UUID, node_id: UUID, now: datetime
) -> StaffMember:
    """Let somebody hold a role at a node and below it; granting twice is granting once.

    Raises `StaffNotFound`, `RoleNotFound`, `NodeNotFound`, `PermissionsNotHeld`.
    """
    member = await _of_group(tx, actor, staff_id)
    await _require_whole(tx, actor, member)
    node, role = await _grantable(tx, actor, role_id=role_id, node_id=node_id)
    await _insert_grant(tx, actor, staff_id, role, node, now)
    return await _of_group(tx, actor, staff_id)


async def revoke_role(
    tx: Transaction, actor: Actor, *, staff_id: UUID, role_id: UUID, node_id: UUID, now: datetime
) -> StaffMember:
    """Take a role away at a node; it holds no more from the next request on.

    Raises as `grant_role` does, and `NotOnYourself`.
    """
    _require_another(actor, staff_id)
    member = await _of_group(tx, actor, staff_id)
    node, role = await _grantable(tx, actor, role_id=role_id, node_id=node_id)
    if await tx.changed(delete_grant, staff_id=staff_id, role_id=role_id, node_id=node_id):
        await audit.record(
            tx, actor, "staff.role_revoke", object_kind="staff", object_id=staff_id,
            node_id=node.id, now=now, role_id=role.id, role_name=role.name,
        )  # fmt: skip
    kept = [h for h in member.held if (h.role_id, h.node_id) != (role_id, node_id)]
    return StaffMember(member.staff, kept)


async def deactivate(
    tx: Transaction, actor: Actor, *, staff_id: UUID, now: datetime
) -> StaffMember:
    """Switch an account off and end its sessions at once.

    Raises `StaffNotFound`, `NotOnYourself`, and `PermissionsNotHeld` for somebody who holds more
    than the actor.
    """
    _require_another(actor, staff_id)
    member = await _of_group(tx, actor, staff_id)
    for node, held in await _require_whole(tx, actor, member):
        actor.require_all(known_permissions(held.permissions), node)
    await tx.changed(switch_off, staff_id=staff_id)
    ended = await sessions.revoke_all(tx, principal_id=staff_id, why="staff_deactivated", now=now)
    await audit.record(
        tx, actor, "staff.deactivate", object_kind="staff", object_id=staff_id, now=now,
        sessions_ended=ended,
    )  # fmt: skip
    return StaffMember(changed_copy(member.staff, is_active=False), member.held)


async def reveal_email(tx: Transaction, actor: Actor, *, staff_id: UUID, now: datetime) -> str:
    """A staff member's address in clear, and a record of who looked (SEC-2)."""
    member = await _of_group(tx, actor, staff_id)
    held_at = await _require_whole(tx, actor, member, Permission.STAFF_READ)
    # Somebody without any role belongs to the whole group.
    nodes = [node for node, _held in held_at] or [await organisation.node(tx, actor.group_id)]
    for node in nodes:
        actor.require(Permission.MEMBERS_UNMASK, node)
    await audit.record(tx, actor, "staff.unmask", object_kind="staff", object_id=staff_id, now=now)
    return member.staff.email


async def staff_members(
    tx: Transaction, actor: Actor, *, after: UUID | None, at_most: int
) -> list[StaffMember]:
    """Accounts that hold a role where the actor may read staff, in the order of their creation."""
    rows = await tx.all(
        staff_below,
        group_id=actor.group_id,
        node_ids=actor.nodes_with(Permission.STAFF_READ),
        after=after or UUID(int=0),
        at_most=at_most,
    )
    held = await tx.all(held_roles, staff_ids=[row.id for row in rows])
    return [StaffMember(row, [h for h in held if h.staff_id == row.id]) for row in rows]


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, Staff]:
    """Who did something: also those who work here no more."""
    return {row.id: row for row in await tx.all(staff_by_ids, ids=ids)}


async def myself(tx: Transaction, *, staff_id: UUID, group_id: UUID) -> StaffMember:
    """An account as it sees itself; raises `StaffNotFound`."""
    row = await tx.one(staff_by_id, staff_id=staff_id, group_id=group_id)
    if row is None:
        raise StaffNotFound
    return StaffMember(row, await tx.all(held_roles, staff_ids=[staff_id]))


async def actor_of_staff(
    tx: Transaction, *, staff_id: UUID, session_id: UUID, now: datetime
) -> Actor:
    """What a signed-in staff member may do now, whatever their token was issued with.

    Raises `Unauthenticated` when the account is switched off or the session has ended.
    """
    group_id = await tx.one(group_of_active, staff_id=staff_id, session_id=session_id, now=now)
    if group_id is None:
        raise Unauthenticated("You have been signed out. Sign in again.")
    held = await tx.all(held_roles, staff_ids=[staff_id])
    grants = tuple(Grant(h.node_id, h.node_kind, known_permissions(h.permissions)) for h in held)
    return Actor(kind=PrincipalKind.STAFF, id=staff_id, group_id=group_id, grants=grants)


def email_index(address: str) -> str:
    """The blind index under which a normalised address is found."""
    return index_of(address, "staff.email")


async def _of_group(tx: Transaction, actor: Actor, staff_id: UUID) -> StaffMember:
    return await myself(tx, staff_id=staff_id, group_id=actor.group_id)


async def _require_whole(
    tx: Transaction,
    actor: Actor,
    member: StaffMember,
    permission: Permission = Permission.STAFF_WRITE,
) -> Sequence[tuple[Node, HeldRole]]:
    """Raise `Forbidden` unless all of somebody's roles lie where the actor has the permission.

    Somebody without a role lies nowhere, so they are the whole group's.
    """
    ids = [held.node_id for held in member.held]
    nodes = await organisation.nodes(tx, ids or [actor.group_id])
    for node in nodes.values():
        actor.require(permission, node)
    return [(nodes[held.node_id], held) for held in member.held]


async def _grantable(
    tx: Transaction, actor: Actor, *, role_id: UUID, node_id: UUID
) -> tuple[Node, Role]:
    """A node and a role that the actor may give and take there, for holding all of it."""
    node = await organisation.node(tx, node_id)
    actor.require(Permission.STAFF_WRITE, node)
    role = await roles.role(tx, role_id=role_id, group_id=actor.group_id)
    actor.require_all(known_permissions(role.permissions), node)
    return node, role


async def _insert_grant(
    tx: Transaction, actor: Actor, staff_id: UUID, role: Role, node: Node, now: datetime
) -> None:
    if await give(tx, staff_id=staff_id, role_id=role.id, node_id=node.id, now=now):
        await audit.record(
            tx, actor, "staff.role_grant", object_kind="staff", object_id=staff_id,
            node_id=node.id, now=now, role_id=role.id, role_name=role.name,
        )  # fmt: skip


def _require_another(actor: Actor, staff_id: UUID) -> None:
    if actor.kind is PrincipalKind.STAFF and actor.id == staff_id:
        raise NotOnYourself
