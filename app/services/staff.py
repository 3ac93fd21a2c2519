"""Staff and what they may do where: accounts, roles, grants (ORG-2).

Nobody can give or take what they do not hold themselves: a role goes to somebody, or away from
them, only through a person who holds all its permissions at that node.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, or_
from sqlmodel import col, select, update

from app.core.db import any_of, every_column, statement, upsert
from app.models.organisation import Node, NodeKind
from app.models.staff import Role, RoleGrant, Staff
from app.services import organisation

NAME_CHARS_MAX = 120

staff_by_id = statement(select(Staff).where(col(Staff.id) == bindparam("staff_id")), into=Staff)
insert_staff = upsert(
    lambda insert: (
        insert(Staff)
        .values(every_column(Staff))
        .on_conflict_do_nothing(index_elements=["email_index"])
    )
)
switch_off = statement(
    update(Staff)
    .where(col(Staff.id) == bindparam("staff_id"), col(Staff.is_active).is_(True))
    .values(is_active=False)
)
nodes_below = select(Node.id).where(
    or_(
        any_of(col(Node.group_id), "node_ids"),
        any_of(col(Node.brand_id), "node_ids"),
        any_of(col(Node.id), "node_ids"),
    )
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
                select(RoleGrant.staff_id).where(col(RoleGrant.node_id).in_(nodes_below))
            ),
        ),
    )
    .order_by(col(Staff.id))
    .limit(bindparam("limit")),
    into=Staff,
)


class HeldRole(NamedTuple):
    """A role somebody holds at a node."""

    grant_id: UUID
    staff_id: UUID
    role_id: UUID
    role_name: str
    permissions: list[str]
    node_id: UUID
    node_kind: NodeKind
    node_group_id: UUID
    node_brand_id: UUID | None
    node_name: str

    @property
    def node(self) -> Node:
        return organisation.new_node(
            id=self.node_id,
            kind=self.node_kind,
            group_id=self.node_group_id,
            brand_id=self.node_brand_id,
            name=self.node_name,
        )


held_roles = statement(
    select(  # type: ignore[call-overload]  # the overloads end at four columns
        col(RoleGrant.id).label("grant_id"),
        RoleGrant.staff_id,
        RoleGrant.role_id,
        col(Role.name).label("role_name"),
        Role.permissions,
        RoleGrant.node_id,
        col(Node.kind).label("node_kind"),
        col(Node.group_id).label("node_group_id"),
        col(Node.brand_id).label("node_brand_id"),
        col(Node.name).label("node_name"),
    )
    .join(Role, col(Role.id) == col(RoleGrant.role_id))
    .join(Node, col(Node.id) == col(RoleGrant.node_id))
    .where(any_of(col(RoleGrant.staff_id), "staff_ids"))
    .order_by(col(RoleGrant.id)),
    into=HeldRole,
)
