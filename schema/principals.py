"""Who acts, and what they may do, as enums: import them from here, where they get their words."""

import strawberry

from app.models.sessions import PrincipalKind
from app.models.staff import Permission

__all__ = ["Permission", "PrincipalKind"]

strawberry.enum(PrincipalKind, description="What kind of somebody acts.")
strawberry.enum(Permission, description="What a role or a partner's scope allows.")

for _value in Permission.__strawberry_definition__.values:  # type: ignore[attr-defined]
    # The members are the models'; what they are called as OAuth scopes is said here.
    _value.description = f"The OAuth scope `{_value.value}`."
