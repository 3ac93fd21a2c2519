"""The tables. Importing this package fills `SQLModel.metadata` with all of them."""

from app.models import (
    cards,
    identities,
    ledger,
    members,
    operations,
    organisation,
    purchases,
    sessions,
    staff,
)

__all__ = [
    "cards",
    "identities",
    "ledger",
    "members",
    "operations",
    "organisation",
    "purchases",
    "sessions",
    "staff",
]
