"""Staff, roles, and who asks (ORG-2)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id, type_id
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import partners, roles, staff
from auth.passwords import hash_password
from auth.permissions import IsActor, Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.staff import (
    Grant,
    Role,
    RoleCreateInput,
    RoleCreateResult,
    RoleUpdateInput,
    RoleUpdateResult,
    StaffCreated,
    StaffCreateInput,
    StaffCreateResult,
    StaffDeactivateInput,
    StaffDeactivateResult,
    StaffMember,
    StaffRoleGrantInput,
    StaffRoleGrantResult,
    StaffRoleRevokeInput,
    StaffRoleRevokeResult,
    Viewer,
)

Reads = Needs(Permission.STAFF_READ)
Writes = Needs(Permission.STAFF_WRITE)


@strawberry.type
class Query:
    @strawberry.field(permission_classes=[IsActor], description="Who asks, and what they may do.")
    async def viewer(self, info: Info) -> Viewer:
        actor = await info.context.actor()
        if actor.kind is PrincipalKind.STAFF:
            member = await info.context.read(
                staff.myself, staff_id=actor.id, group_id=actor.group_id
            )
            prefix, name = "stf", member.staff.name
        else:
            client = await info.context.read(
                partners.client, partner_id=actor.id, group_id=actor.group_id
            )
            prefix, name = "cli", client.row.name
        return Viewer(
            kind=actor.kind,
            id=strawberry.ID(type_id(prefix, actor.id)),
            name=name,
            grants=[Grant.of(grant) for grant in actor.grants],
        )

    @strawberry.field(
        permission_classes=[Reads],
        description="Those who hold a role where the asker may read staff, the oldest first.",
    )
    async def staff_members(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[StaffMember]:
        rows = await info.context.read(
            staff.staff_members,
            await info.context.actor(),
            after=row_after(after),
            at_most=page_limit(first),
        )
        return Connection[StaffMember].of(rows, first, StaffMember.of)

    @strawberry.field(permission_classes=[Reads], description="The roles of the group, by name.")
    async def roles(self, info: Info) -> list[Role]:
        rows = await info.context.read(roles.roles, await info.context.actor())
        return [Role.of(row) for row in rows]


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Open an account with a first role. Shows its authenticator secret once.",
    )
    async def staff_create(
        self,
        info: Info,
        input: Annotated[StaffCreateInput, strawberry.argument(description="The account.")],
    ) -> StaffCreateResult:
        created = await info.context.run(
            staff.create,
            await info.context.actor(),
            name=input.name,
            email=input.email,
            password_hash=await hash_password(input.password),
            role_id=parse_type_id("role", input.role_id),
            node_id=parse_type_id("node", input.node_id),
            now=info.context.now,
        )
        return StaffCreated.of(created)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Switch an account off; its sessions end at once.",
    )
    async def staff_deactivate(
        self,
        info: Info,
        input: Annotated[StaffDeactivateInput, strawberry.argument(description="Which account.")],
    ) -> StaffDeactivateResult:
        member = await info.context.run(
            staff.deactivate,
            await info.context.actor(),
            staff_id=parse_type_id("stf", input.id),
            now=info.context.now,
        )
        return StaffMember.of(member)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Let somebody hold a role at a node and below it, from their next request on."
        " The asker must hold all of its permissions there.",
    )
    async def staff_role_grant(
        self,
        info: Info,
        input: Annotated[StaffRoleGrantInput, strawberry.argument(description="Who, what, where.")],
    ) -> StaffRoleGrantResult:
        member = await info.context.run(
            staff.grant_role,
            await info.context.actor(),
            staff_id=parse_type_id("stf", input.staff_id),
            role_id=parse_type_id("role", input.role_id),
            node_id=parse_type_id("node", input.node_id),
            now=info.context.now,
        )
        return StaffMember.of(member)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Take a role away at a node; it holds no more from the next request on.",
    )
    async def staff_role_revoke(
        self,
        info: Info,
        input: Annotated[
            StaffRoleRevokeInput, strawberry.argument(description="Who, what, where.")
        ],
    ) -> StaffRoleRevokeResult:
        member = await info.context.run(
            staff.revoke_role,
            await info.context.actor(),
            staff_id=parse_type_id("stf", input.staff_id),
            role_id=parse_type_id("role", input.role_id),
            node_id=parse_type_id("node", input.node_id),
            now=info.context.now,
        )
        return StaffMember.of(member)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Make a role of permissions that the asker holds in the whole group. Nobody"
        " has it before `staffRoleGrant`.",
    )
    async def role_create(
        self,
        info: Info,
        input: Annotated[RoleCreateInput, strawberry.argument(description="The role.")],
    ) -> RoleCreateResult:
        row = await info.context.run(
            roles.create,
            await info.context.actor(),
            name=input.name,
            permissions=input.permissions,
            now=info.context.now,
        )
        return Role.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Change what a role allows, at once for everybody who holds it.",
    )
    async def role_update(
        self,
        info: Info,
        input: Annotated[RoleUpdateInput, strawberry.argument(description="What to change.")],
    ) -> RoleUpdateResult:
        row = await info.context.run(
            roles.change,
            await info.context.actor(),
            role_id=parse_type_id("role", input.id),
            permissions=input.permissions,
            now=info.context.now,
        )
        return Role.of(row)
