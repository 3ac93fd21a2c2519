"""Groups, brands, stores, and what hangs on them (ORG-1)."""

from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.models import organisation as rows
from app.models.organisation import NodeKind
from app.services import organisation
from schema.context import Info
from schema.enums import describe
from schema.problems import Problem, shown_as

describe(
    NodeKind,
    "The level of a node.",
    {
        "GROUP": "The whole group.",
        "BRAND": "A brand of the group.",
        "STORE": "A store of a brand, or of the group itself.",
    },
)


@strawberry.type(description="A place in the organisation: the group, a brand or a store.")
class Node:
    id: strawberry.ID = strawberry.field(description="Its id, `node_…`.")
    kind: NodeKind = strawberry.field(description="Its level.")
    code: str = strawberry.field(description="The code other systems know it by.")
    name: str = strawberry.field(description="What people call it.")
    time_zone: str = strawberry.field(description="Its IANA time zone, such as Asia/Shanghai.")
    parent_id: strawberry.Private[UUID | None]

    @classmethod
    def of(cls, row: rows.Node) -> Self:
        parent_id = None if row.kind is NodeKind.GROUP else row.group_id
        if row.kind is NodeKind.STORE and row.brand_id is not None:
            parent_id = row.brand_id
        return cls(
            id=node_id_of(row.id),
            kind=row.kind,
            code=row.code,
            name=row.name,
            time_zone=row.time_zone,
            parent_id=parent_id,
        )

    @strawberry.field(description="The node above it; null for the group.")
    async def parent(self, info: Info) -> "Node | None":
        if self.parent_id is None:
            return None
        return Node.of(await info.context.loaders.node.load(self.parent_id))


@strawberry.type(description="A named set of stores under a perspective, for scopes.")
class StoreGroup:
    id: strawberry.ID = strawberry.field(description="Its id, `sgr_…`.")
    name: str = strawberry.field(description="What people call it.")
    perspective_id: strawberry.Private[UUID]
    store_ids: strawberry.Private[list[UUID]]

    @classmethod
    def of(cls, found: organisation.StoreSet) -> Self:
        return cls(
            id=strawberry.ID(type_id("sgr", found.row.id)),
            name=found.row.name,
            perspective_id=found.row.perspective_id,
            store_ids=found.store_ids,
        )

    @strawberry.field(description="The node it was made under; its stores lie below it.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.perspective_id))

    @strawberry.field(description="The stores in it.")
    async def stores(self, info: Info) -> list[Node]:
        return [Node.of(row) for row in await info.context.loaders.node.load_many(self.store_ids)]


@strawberry.type(description="A till or a partner's device that stands in one store.")
class Terminal:
    id: strawberry.ID = strawberry.field(description="Its id, `term_…`.")
    name: str = strawberry.field(description="What the store calls it.")
    is_active: bool = strawberry.field(description="Whether it may resolve codes and record.")
    store_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, row: rows.Terminal) -> Self:
        return cls(
            id=strawberry.ID(type_id("term", row.id)),
            name=row.name,
            is_active=row.is_active,
            store_id=row.store_id,
        )

    @strawberry.field(description="Where it stands.")
    async def store(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.store_id))


def node_id_of(node_id: UUID) -> strawberry.ID:
    return strawberry.ID(type_id("node", node_id))


@strawberry.type(description="There is no such group, brand or store, or none in that place.")
class NodeNotFound(Problem): ...


@strawberry.type(description="The code is already in use in this group.")
class CodeTaken(Problem):
    code: str = strawberry.field(description="The code that was asked for.")

    @classmethod
    def of(cls, error: organisation.CodeTaken) -> Self:
        return cls(message=str(error), code=error.code)


@strawberry.type(description="There is no such store group.")
class StoreGroupNotFound(Problem): ...


@strawberry.type(description="There is already a store group with this name.")
class StoreGroupNameTaken(Problem): ...


@strawberry.type(description="There is no such terminal, or it was switched off.")
class TerminalNotFound(Problem): ...


@strawberry.type(description="The store already has a terminal with this name.")
class TerminalNameTaken(Problem): ...


@strawberry.input(description="A brand to add to the group.")
class BrandCreateInput:
    code: str = strawberry.field(
        description="The code other systems know it by, 1 to 32 characters."
    )
    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    time_zone: str = strawberry.field(description="Its IANA time zone, such as Asia/Shanghai.")


@strawberry.input(description="A store to add to the group or a brand.")
class StoreCreateInput:
    parent_id: strawberry.ID = strawberry.field(description="The group or brand, `node_…`.")
    code: str = strawberry.field(
        description="The code other systems know it by, 1 to 32 characters."
    )
    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    time_zone: str = strawberry.field(description="Its IANA time zone, such as Asia/Shanghai.")


@strawberry.input(description="What to change of a node; what is null stays.")
class NodeUpdateInput:
    id: strawberry.ID = strawberry.field(description="The node, `node_…`.")
    name: str | None = strawberry.field(default=None, description="Its new name.")
    time_zone: str | None = strawberry.field(default=None, description="Its new IANA time zone.")


@strawberry.input(description="A store group to make.")
class StoreGroupCreateInput:
    perspective_id: strawberry.ID = strawberry.field(
        description="The node it is made under, `node_…`."
    )
    name: str = strawberry.field(description="What people call it, 1 to 120 characters.")
    store_ids: list[strawberry.ID] = strawberry.field(
        description="Its stores, `node_…`, all below the perspective; at most 2,000."
    )


@strawberry.input(description="What to change of a store group; what is null stays.")
class StoreGroupUpdateInput:
    id: strawberry.ID = strawberry.field(description="The store group, `sgr_…`.")
    name: str | None = strawberry.field(default=None, description="Its new name.")
    store_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="The stores it holds from now on, instead of those it held."
    )


@strawberry.input(description="A terminal to let into a store.")
class TerminalRegisterInput:
    store_id: strawberry.ID = strawberry.field(description="Where it stands, `node_…`.")
    name: str = strawberry.field(description="What the store calls it, 1 to 64 characters.")


@strawberry.input(description="A terminal to switch off.")
class TerminalDeactivateInput:
    id: strawberry.ID = strawberry.field(description="The terminal, `term_…`.")


NodeCreateResult = Annotated[
    Node | NodeNotFound | CodeTaken,
    strawberry.union("NodeCreateResult", description="The new node, or why there is none."),
]
NodeUpdateResult = Annotated[
    Node | NodeNotFound,
    strawberry.union("NodeUpdateResult", description="The node as it is now, or why not."),
]
StoreGroupCreateResult = Annotated[
    StoreGroup | NodeNotFound | StoreGroupNameTaken,
    strawberry.union("StoreGroupCreateResult", description="The new store group, or why none."),
]
StoreGroupUpdateResult = Annotated[
    StoreGroup | StoreGroupNotFound | NodeNotFound | StoreGroupNameTaken,
    strawberry.union("StoreGroupUpdateResult", description="The store group now, or why not."),
]
TerminalRegisterResult = Annotated[
    Terminal | NodeNotFound | TerminalNameTaken,
    strawberry.union("TerminalRegisterResult", description="The new terminal, or why none."),
]
TerminalDeactivateResult = Annotated[
    Terminal | TerminalNotFound,
    strawberry.union("TerminalDeactivateResult", description="The terminal now, or why not."),
]

HANDLERS = [
    shown_as(NodeNotFound, organisation.NodeNotFound),
    shown_as(CodeTaken, organisation.CodeTaken),
    shown_as(StoreGroupNotFound, organisation.StoreGroupNotFound),
    shown_as(StoreGroupNameTaken, organisation.StoreGroupNameTaken),
    shown_as(TerminalNotFound, organisation.TerminalNotFound),
    shown_as(TerminalNameTaken, organisation.TerminalNameTaken),
]
