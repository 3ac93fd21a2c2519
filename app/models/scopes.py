"""Where, when, on which channel and for whom something applies: one concept (ORG-3…ORG-6).

Whatever has a scope holds its id: plans today, coupons, packages and campaigns alike.
"""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, false
from sqlmodel import Field

from app.core.db import Json
from app.models.base import Row


class Channel(StrEnum):
    POS = "POS"
    ONLINE = "ONLINE"


class Scope(Row, table=True):
    """Channels and schedule stand here, places and audiences in rows of their own.

    Without included places all stores below the perspective are meant, without audiences and not
    for students all members.
    """

    __tablename__ = "scopes"
    __table_args__ = (CheckConstraint("on_pos OR on_online", name="some_channel"),)

    group_id: UUID = Field(foreign_key="nodes.id", index=True)
    perspective_id: UUID = Field(foreign_key="nodes.id")
    on_pos: bool = True
    on_online: bool = True
    schedule: dict[str, Any] | None = Field(default=None, sa_type=Json)
    for_students: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """An audience too: members whose student ID is valid (ORG-6)."""


class ScopePlace(Row, table=True):
    """A node with all below it, or a store group: included or excluded (ORG-3)."""

    __tablename__ = "scope_places"
    __table_args__ = (
        CheckConstraint("(node_id IS NULL) <> (store_group_id IS NULL)", name="one_place"),
    )

    scope_id: UUID = Field(foreign_key="scopes.id", index=True)
    node_id: UUID | None = Field(default=None, foreign_key="nodes.id")
    store_group_id: UUID | None = Field(default=None, foreign_key="store_groups.id")
    is_excluded: bool = False


class ScopeAudience(Row, table=True):
    """Holders of a scheme's card, of one tier, or members with a tag; any of the rows (ORG-6)."""

    __tablename__ = "scope_audiences"
    __table_args__ = (
        CheckConstraint(
            "(CASE WHEN scheme_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN tier_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN tag_id IS NULL THEN 0 ELSE 1 END) = 1",
            name="one_audience",
        ),
    )

    scope_id: UUID = Field(foreign_key="scopes.id", index=True)
    scheme_id: UUID | None = Field(default=None, foreign_key="schemes.id")
    tier_id: UUID | None = Field(default=None, foreign_key="tiers.id")
    tag_id: UUID | None = Field(default=None, foreign_key="tags.id")
