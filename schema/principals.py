"""Who acts, and what they may do, as enums: import them from here, where they get their words."""

from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from schema.enums import describe

__all__ = ["Permission", "PrincipalKind"]

describe(
    PrincipalKind,
    "What kind of somebody acts.",
    {
        "MEMBER": "Somebody who shops and has cards.",
        "STAFF": "Somebody who works here.",
        "PARTNER": "A partner's system.",
        "SYSTEM": "This product itself, by a job.",
    },
)
describe(
    Permission,
    "What a role or a partner's scope allows.",
    {permission.name: f"The OAuth scope `{permission}`." for permission in Permission},
)
