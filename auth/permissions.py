"""Permission classes: what stands in a resolver's signature for everybody to see.

They raise the coded errors of `app.core.errors` themselves, so that a refusal at the door and one
of a service look alike.
"""

from functools import cache
from typing import Any

from strawberry.permission import BasePermission

from app.core.errors import Unauthenticated
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from schema.context import Info


class IsMember(BasePermission):
    """A signed-in member; their token says so and nothing is looked up."""

    def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
        return info.context.member_id is not None  # which raises for everybody else


class IsActor(BasePermission):
    """Staff or a partner client, whatever they may do."""

    async def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
        await info.context.actor()
        return True


class IsStaff(BasePermission):
    """A staff member whose session is open."""

    async def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
        actor = await info.context.actor()
        if actor.kind is not PrincipalKind.STAFF:
            raise Unauthenticated("This is for people who work here.")
        return True


@cache
def Needs(permission: Permission) -> type[BasePermission]:  # noqa: N802  # reads like a class
    """Staff or a partner client who holds the permission somewhere.

    Whether it holds for the record in question is for the service to say: `actor.require`.
    """

    class NeedsPermission(BasePermission):
        async def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:
            (await info.context.actor()).require_any(permission)
            return True

    # Strawberry writes the class's name into the SDL as a directive: one name per permission.
    return type(f"Needs{permission.name.title().replace('_', '')}", (NeedsPermission,), {})
