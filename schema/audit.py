"""The audit log, as those who may read it see it (SEC-3)."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

import orjson
import strawberry

from app.core.ids import type_id
from app.models.operations import AuditRecord as Row
from schema.context import Info
from schema.organisation import Node
from schema.principals import PrincipalKind
from schema.scalars import Long

# What the ids of an audit record's objects begin with; a kind without a prefix shows `obj_…`.
PREFIXES = {
    "node": "node",
    "store_group": "sgr",
    "terminal": "term",
    "payment_method": "pm",
    "staff": "stf",
    "role": "role",
    "partner_client": "cli",
    "session": "ses",
    "member": "mem",
    "card": "card",
    "purchase": "pur",
    "import": "imp",
    "gift_card_batch": "gcb",
    "gift_card_export": "gce",
    "top_up": "top",
    "payment": "pay",
    "scheme": "sch",
    "merge": "mrg",
    "tag": "tag",
    "benefit": "ben",
    "campaign": "cmp",
}
# Which details are ids, and what those begin with.
DETAIL_PREFIXES = {
    "card": "card",
    "order": "top",
    "terminal": "term",
    "survivor": "mem",
    "loser": "mem",
    "tier_id": "tier",
    "node_id": "node",
    "node_ids": "node",
    "role_id": "role",
    "stores": "node",
    "scheme": "sch",
    "member": "mem",
    "tags": "tag",
}
ACTOR_PREFIXES = {
    PrincipalKind.MEMBER.value: "mem",
    PrincipalKind.STAFF.value: "stf",
    PrincipalKind.PARTNER.value: "cli",
}


@strawberry.type(description="One act of staff or a partner. Nothing changes or removes it.")
class AuditRecord:
    id: strawberry.ID = strawberry.field(description="Its id, `aud_…`.")
    actor_kind: PrincipalKind = strawberry.field(description="What kind of somebody acted.")
    actor_id: strawberry.ID = strawberry.field(
        description="Who acted: `stf_…`, `cli_…`, `mem_…`, or `sys_…` for the product itself."
    )
    action: str = strawberry.field(description="What was done, such as `staff.create`.")
    object_kind: str = strawberry.field(description="What kind of thing it was done to.")
    object_id: strawberry.ID | None = strawberry.field(
        description="Which one, by its id; null for an act on no one thing."
    )
    details: str = strawberry.field(
        description="More about it as a JSON object: ids, numbers, and the reason that was given."
    )
    request_id: str = strawberry.field(description="The request it came with, as logs name it.")
    recorded_at: datetime = strawberry.field(description="When.")
    sequence: Long | None = strawberry.field(
        description="Its place in the group's chain; null for the moment until it is sealed."
    )
    hash: str | None = strawberry.field(description="Its hash over itself and the one before.")
    node_id: strawberry.Private[UUID | None]

    @classmethod
    def of(cls, row: Row) -> Self:
        actor_prefix = ACTOR_PREFIXES.get(row.actor_kind, "sys")
        object_prefix = PREFIXES.get(row.object_kind, "obj")
        object_id = None if row.object_id is None else type_id(object_prefix, row.object_id)
        return cls(
            id=strawberry.ID(type_id("aud", row.id)),
            actor_kind=PrincipalKind(row.actor_kind),
            actor_id=strawberry.ID(type_id(actor_prefix, row.actor_id)),
            action=row.action,
            object_kind=row.object_kind,
            object_id=None if object_id is None else strawberry.ID(object_id),
            details=_shown(row.details),
            request_id=row.request_id,
            recorded_at=row.recorded_at,
            sequence=None if row.sequence is None else Long(row.sequence),
            hash=row.hash,
            node_id=row.node_id,
        )

    @strawberry.field(description="The place it concerns, if it concerns one.")
    async def node(self, info: Info) -> Node | None:
        if self.node_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.node_id))


@strawberry.input(description="Which acts to show; what is null lets all pass.")
class AuditFilter:
    actor_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only what this staff member or partner did."
    )
    object_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only what was done to this thing, by its id."
    )
    action: str | None = strawberry.field(
        default=None, description="Only this action, such as `staff.create`."
    )
    recorded_from: datetime | None = strawberry.field(
        default=None, description="Only from this moment on."
    )
    recorded_before: datetime | None = strawberry.field(
        default=None, description="Only before this moment."
    )


Filter = Annotated[
    AuditFilter | None, strawberry.argument(description="Which acts; null shows all.")
]


def _shown(details: dict[str, Any]) -> str:
    """The details as JSON, with ids in the form that everything else takes and gives."""

    def typed(key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [typed(key, each) for each in value]
        return type_id(DETAIL_PREFIXES[key], UUID(value))

    shown = {
        key: typed(key, value) if key in DETAIL_PREFIXES and value else value
        for key, value in details.items()
    }
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode()
