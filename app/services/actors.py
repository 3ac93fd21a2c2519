"""Who acts, and where they may (ORG-1, ORG-2): the same for staff and for partner clients."""

from dataclasses import dataclass
from uuid import UUID

from app.core.errors import Forbidden
from app.models.organisation import Node, NodeKind
from app.models.sessions import PrincipalKind
from app.models.staff import Permission


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions that hold in the subtree of one node."""

    node_id: UUID
    node_kind: NodeKind
    permissions: frozenset[Permission]

    def covers(self, node: Node) -> bool:
        match self.node_kind:
            case NodeKind.GROUP:
                return node.group_id == self.node_id
            case NodeKind.BRAND:
                return node.brand_id == self.node_id
            case NodeKind.STORE:
                return node.id == self.node_id


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who acts on others' records: a staff member or a partner client."""

    kind: PrincipalKind
    id: UUID
    group_id: UUID
    grants: tuple[Grant, ...]

    def has(self, permission: Permission) -> bool:
        """Whether the permission was granted anywhere at all."""
        return any(permission in grant.permissions for grant in self.grants)

    def may(self, permission: Permission, node: Node) -> bool:
        """Whether the permission was granted at the node or above it."""
        return any(permission in g.permissions and g.covers(node) for g in self.grants)

    def require(self, permission: Permission, node: Node) -> None:
        """Raise `Forbidden` unless the actor has the permission at the node."""
        if not self.may(permission, node):
            raise Forbidden(f"This needs the permission {permission} at {node.name}.")

    def require_any(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the actor has the permission somewhere.

        For what belongs to the whole group: a member has no store.
        """
        if not self.has(permission):
            raise Forbidden(f"This needs the permission {permission}.")

    def nodes_with(self, permission: Permission) -> list[UUID]:
        """The nodes at which the permission was granted."""
        return [grant.node_id for grant in self.grants if permission in grant.permissions]
