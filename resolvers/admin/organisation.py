"""The organisation, as the back office keeps it (ORG-1)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.organisation import NodeKind
from app.models.staff import Permission
from app.services import organisation
from auth.permissions import Needs
from schema.context import Info
from schema.organisation import (
    BrandCreateInput,
    Node,
    NodeCreateResult,
    NodeUpdateInput,
    NodeUpdateResult,
    StoreCreateInput,
    StoreGroup,
    StoreGroupCreateInput,
    StoreGroupCreateResult,
    StoreGroupUpdateInput,
    StoreGroupUpdateResult,
    Terminal,
    TerminalDeactivateInput,
    TerminalDeactivateResult,
    TerminalRegisterInput,
    TerminalRegisterResult,
)

Reads = Needs(Permission.ORGANISATION_READ)
Writes = Needs(Permission.ORGANISATION_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The group, brands and stores at or below where the asker holds"
        " `organisation:read`.",
    )
    async def nodes(self, info: Info) -> list[Node]:
        rows = await info.context.read(organisation.visible_nodes, await info.context.actor())
        return [Node.of(row) for row in rows]

    @strawberry.field(
        permission_classes=[Reads], description="One node, or null if the asker may not see it."
    )
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The node, `node_…`.")],
    ) -> Node | None:
        row = await info.context.read(
            organisation.node_for,
            await info.context.actor(),
            node_id=parse_type_id("node", id),
        )
        return Node.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads],
        description="The store groups made at or below where the asker holds `organisation:read`;"
        f" at most {organisation.STORE_GROUPS_MAX:,}.",
    )
    async def store_groups(self, info: Info) -> list[StoreGroup]:
        found = await info.context.read(organisation.store_groups, await info.context.actor())
        return [StoreGroup.of(each) for each in found]

    @strawberry.field(
        permission_classes=[Reads],
        description="A store's terminals by name, those that were switched off too; at most"
        f" {organisation.TERMINALS_MAX}. Null if there is no such store.",
    )
    async def terminals(
        self,
        info: Info,
        store_id: Annotated[strawberry.ID, strawberry.argument(description="The store, `node_…`.")],
    ) -> list[Terminal] | None:
        rows = await info.context.read(
            organisation.terminals,
            await info.context.actor(),
            store_id=parse_type_id("node", store_id),
        )
        return None if rows is None else [Terminal.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Add a brand to the group, where stores can be added below it. Its code is"
        " for good, and no other brand's.",
    )
    async def brand_create(
        self,
        info: Info,
        input: Annotated[BrandCreateInput, strawberry.argument(description="The brand.")],
    ) -> NodeCreateResult:
        actor = await info.context.actor()
        row = await info.context.run(
            organisation.create_node,
            actor,
            parent_id=actor.group_id,
            kind=NodeKind.BRAND,
            code=input.code,
            name=input.name,
            time_zone=input.time_zone,
            now=info.context.now,
        )
        return Node.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Add a store to the group or a brand, where it stays. Its code is for good,"
        " and no other store's. What covers all stores of a node above it holds there at once.",
    )
    async def store_create(
        self,
        info: Info,
        input: Annotated[StoreCreateInput, strawberry.argument(description="The store.")],
    ) -> NodeCreateResult:
        row = await info.context.run(
            organisation.create_node,
            await info.context.actor(),
            parent_id=parse_type_id("node", input.parent_id),
            kind=NodeKind.STORE,
            code=input.code,
            name=input.name,
            time_zone=input.time_zone,
            now=info.context.now,
        )
        return Node.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Rename a node, or give it another time zone: whatever counts days there goes"
        " by it from then on, reports of earlier days too. Moments that were computed before"
        " stay.",
    )
    async def node_update(
        self,
        info: Info,
        input: Annotated[NodeUpdateInput, strawberry.argument(description="What to change.")],
    ) -> NodeUpdateResult:
        row = await info.context.run(
            organisation.update_node,
            await info.context.actor(),
            node_id=parse_type_id("node", input.id),
            name=input.name,
            time_zone=input.time_zone,
            now=info.context.now,
        )
        return Node.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Name a set of stores below a node, for scopes to mean all of them. No other"
        " set made at that node has the name.",
    )
    async def store_group_create(
        self,
        info: Info,
        input: Annotated[
            StoreGroupCreateInput, strawberry.argument(description="The store group.")
        ],
    ) -> StoreGroupCreateResult:
        found = await info.context.run(
            organisation.create_store_group,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            name=input.name,
            store_ids=[parse_type_id("node", i) for i in input.store_ids],
            now=info.context.now,
        )
        return StoreGroup.of(found)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Rename a store group or replace its stores. Every scope that names it means"
        " the new stores at once.",
    )
    async def store_group_update(
        self,
        info: Info,
        input: Annotated[StoreGroupUpdateInput, strawberry.argument(description="What to change.")],
    ) -> StoreGroupUpdateResult:
        store_ids = input.store_ids
        found = await info.context.run(
            organisation.update_store_group,
            await info.context.actor(),
            store_group_id=parse_type_id("sgr", input.id),
            name=input.name,
            store_ids=None if store_ids is None else [parse_type_id("node", i) for i in store_ids],
            now=info.context.now,
        )
        return StoreGroup.of(found)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Let a till or device stand in a store: it can resolve codes, record and sell"
        " there until it is switched off, which is for good. No two in a store have the same"
        " name.",
    )
    async def terminal_register(
        self,
        info: Info,
        input: Annotated[TerminalRegisterInput, strawberry.argument(description="The terminal.")],
    ) -> TerminalRegisterResult:
        row = await info.context.run(
            organisation.register_terminal,
            await info.context.actor(),
            store_id=parse_type_id("node", input.store_id),
            name=input.name,
            now=info.context.now,
        )
        return Terminal.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Switch a terminal off: it resolves and records no more.",
    )
    async def terminal_deactivate(
        self,
        info: Info,
        input: Annotated[
            TerminalDeactivateInput, strawberry.argument(description="Which terminal.")
        ],
    ) -> TerminalDeactivateResult:
        row = await info.context.run(
            organisation.deactivate_terminal,
            await info.context.actor(),
            terminal_id=parse_type_id("term", input.id),
            now=info.context.now,
        )
        return Terminal.of(row)
