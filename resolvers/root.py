"""The two schemas, put together from what each domain contributes."""

from collections.abc import Iterable
from typing import Any

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from resolvers.admin import audit as admin_audit
from resolvers.admin import cards as admin_cards
from resolvers.admin import consumption as admin_consumption
from resolvers.admin import member_codes as admin_member_codes
from resolvers.admin import members as admin_members
from resolvers.admin import organisation as admin_organisation
from resolvers.admin import partners as admin_partners
from resolvers.admin import purchases as admin_purchases
from resolvers.admin import schemes as admin_schemes
from resolvers.admin import sessions as admin_sessions
from resolvers.admin import staff as admin_staff
from resolvers.member import cards as member_cards
from resolvers.member import identities as member_identities
from resolvers.member import live as member_live
from resolvers.member import member_codes as member_member_codes
from resolvers.member import members as member_members
from resolvers.member import purchases as member_purchases
from resolvers.member import sessions as member_sessions
from resolvers.member import sign_in as member_sign_in
from schema import (
    cards,
    consumption,
    identities,
    ledger,
    member_codes,
    members,
    organisation,
    partners,
    purchases,
    requests,
    schemes,
    sessions,
    staff,
    verification_codes,
)
from schema.scalars import SCALARS

MEMBER = (
    member_cards,
    member_identities,
    member_live,
    member_member_codes,
    member_members,
    member_purchases,
    member_sessions,
    member_sign_in,
)
ADMIN = (
    admin_audit,
    admin_cards,
    admin_consumption,
    admin_member_codes,
    admin_members,
    admin_organisation,
    admin_partners,
    admin_purchases,
    admin_schemes,
    admin_sessions,
    admin_staff,
)
HANDLERS = [
    handler
    for domain in (
        cards,
        consumption,
        identities,
        ledger,
        member_codes,
        members,
        organisation,
        partners,
        purchases,
        requests,
        schemes,
        sessions,
        staff,
        verification_codes,
    )
    for handler in domain.HANDLERS
]


def _root(name: str, modules: Iterable[Any], description: str) -> type | None:
    """One root type of every module's part; a duplicate field is an error, not an override."""
    parts = tuple(getattr(module, name) for module in modules if hasattr(module, name))
    if not parts:
        return None
    fields = [field for part in parts for field in part.__annotations__]
    assert len(fields) == len(set(fields)), f"two modules declare the same {name} field"
    merged = merge_types(name, parts)
    merged.__strawberry_definition__.description = description  # type: ignore[attr-defined]
    return merged


def _schema(modules: Iterable[Any], audience: str) -> strawberry.Schema:
    query = _root("Query", modules, f"What {audience} can read.")
    assert query is not None
    return strawberry.Schema(
        query=query,
        mutation=_root("Mutation", modules, f"What {audience} can do."),
        subscription=_root("Subscription", modules, f"What {audience} is told at once."),
        exception_handlers=HANDLERS,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


member_schema = _schema(MEMBER, "a member")
admin_schema = _schema(ADMIN, "staff or a partner")
