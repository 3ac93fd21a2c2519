"""Who acts, and where they may (ORG-1, ORG-2): the same for staff and for partner clients."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from app.core.errors import DomainError, Forbidden
from app.models.organisation import Node, NodeKind
from app.models.sessions import PrincipalKind
from app.models.staff import Permission


class PermissionsNotHeld(DomainError):
    """Somebody would give, or take away, permissions they do not hold at that place (ORG-2)."""

    def __init__(self, missing: frozenset[Permission], node: Node) -> None:
        self.permissions = sorted(missing)
        names = ", ".join(self.permissions)
        super().__init__(f"You do not hold these permissions at {node.name}: {names}.")


def known_permissions(names: Iterable[str]) -> frozenset[Permission]:
    """The permissions of a stored list; one that a later release dropped is no longer anything."""
    known = Permission._value2member_map_
    return frozenset(Permission(name) for name in names if name in known)


def is_under(node: Node, kind: NodeKind, ancestor_id: UUID) -> bool:
    """Whether a node lies in the subtree of a node of that kind and id, itself included."""
    match kind:
        case NodeKind.GROUP:
            return node.group_id == ancestor_id
        case NodeKind.BRAND:
            return node.brand_id == ancestor_id
        case NodeKind.STORE:
            return node.id == ancestor_id


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions that hold in the subtree of one node."""

    node_id: UUID
    node_kind: NodeKind
    permissions: frozenset[Permission]

    def covers(self, node: Node) -> bool:
        return is_under(node, self.node_kind, self.node_id)


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
            # The node may be of a group the actor has nothing to do with: its name stays unsaid.
            raise Forbidden(f"This needs the permission {permission} there.")

    def require_all(self, permissions: Iterable[Permission], node: Node) -> None:
        """Raise `PermissionsNotHeld` unless the actor has every one of these at the node."""
        missing = frozenset(p for p in permissions if not self.may(p, node))
        if missing:
            raise PermissionsNotHeld(missing, node)

    def require_any(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the actor has the permission somewhere.

        For what belongs to the whole group: a member has no store.
        """
        if not self.has(permission):
            raise Forbidden(f"This needs the permission {permission}.")

    def nodes_with(self, permission: Permission) -> list[UUID]:
        """The nodes at which the permission was granted."""
        return [grant.node_id for grant in self.grants if permission in grant.permissions]
