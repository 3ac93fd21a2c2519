"""Staff, their roles, and how they sign in (ORG-2)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core import totp
from app.core.crypto import masked_email
from app.core.ids import parse_type_id, type_id
from app.models import staff as rows
from app.services import actors, roles, staff_sign_in
from app.services import staff as staff_service
from schema.context import AccessToken, Info
from schema.organisation import Node, NodeNotFound
from schema.principals import Permission, PrincipalKind
from schema.problems import Problem, shown_as


@strawberry.type(description="A named set of permissions.")
class Role:
    id: strawberry.ID = strawberry.field(description="Its id, `role_…`.")
    name: str = strawberry.field(description="What people call it.")
    permissions: list[Permission] = strawberry.field(description="What it allows.")
    is_built_in: bool = strawberry.field(description="Whether it is the same in every group.")

    @classmethod
    def of(cls, row: rows.Role) -> Self:
        return cls(
            id=strawberry.ID(type_id("role", row.id)),
            name=row.name,
            permissions=sorted(actors.known_permissions(row.permissions)),
            is_built_in=row.is_built_in,
        )


@strawberry.type(description="A role that somebody holds at a node and below it.")
class HeldRole:
    role_id: strawberry.ID = strawberry.field(description="The role, `role_…`.")
    role_name: str = strawberry.field(description="What people call the role.")
    node_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, held: staff_service.HeldRole) -> Self:
        return cls(
            role_id=strawberry.ID(type_id("role", held.role_id)),
            role_name=held.role_name,
            node_id=held.node_id,
        )

    @strawberry.field(description="The node in whose subtree it holds.")
    async def node(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.node_id))


@strawberry.type(description="Somebody who works here and may sign in.")
class StaffMember:
    id: strawberry.ID = strawberry.field(description="Its id, `stf_…`.")
    name: str = strawberry.field(description="Their name.")
    is_active: bool = strawberry.field(description="Whether they may sign in.")
    roles: list[HeldRole] = strawberry.field(description="What they hold, and where.")
    created_at: datetime = strawberry.field(description="When the account was opened.")
    masked_email: strawberry.Private[str]

    @classmethod
    def of(cls, member: staff_service.StaffMember) -> Self:
        return cls(
            id=strawberry.ID(type_id("stf", member.id)),
            name=member.staff.name,
            is_active=member.staff.is_active,
            roles=[HeldRole.of(held) for held in member.held],
            created_at=member.staff.created_at,
            masked_email=masked_email(member.staff.email),
        )

    @strawberry.field(description="The address they sign in with.")
    async def email(
        self,
        info: Info,
        unmasked: Annotated[
            bool,
            strawberry.argument(
                description="In clear: needs MEMBERS_UNMASK where they work, and is logged."
            ),
        ] = False,
    ) -> str:
        if not unmasked:
            return self.masked_email
        return await info.context.run(
            staff_service.reveal_email,
            await info.context.actor(),
            staff_id=parse_type_id("stf", self.id),
            now=info.context.now,
        )


@strawberry.type(description="Permissions that hold in the subtree of one node.")
class Grant:
    permissions: list[Permission] = strawberry.field(description="What is allowed there.")
    node_id: strawberry.Private[UUID]

    @classmethod
    def of(cls, grant: actors.Grant) -> Self:
        return cls(permissions=sorted(grant.permissions), node_id=grant.node_id)

    @strawberry.field(description="The node.")
    async def node(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.node_id))


@strawberry.type(description="Who asks, and what they may do.")
class Viewer:
    kind: PrincipalKind = strawberry.field(description="Staff or a partner.")
    id: strawberry.ID = strawberry.field(description="Its id, `stf_…` or `cli_…`.")
    name: str = strawberry.field(description="The person's or the partner's name.")
    grants: list[Grant] = strawberry.field(description="What they may do, and where.")


@strawberry.type(description="The password was right; the authenticator's code comes next.")
class SecondFactorRequired:
    challenge: str = strawberry.field(description="Send it with the code.")
    expires_at: datetime = strawberry.field(description="Until when, and for at most 5 tries.")

    @classmethod
    def of(cls, challenge: staff_sign_in.Challenge) -> Self:
        return cls(challenge=challenge.secret, expires_at=challenge.expires_at)


@strawberry.type(description="A staff member is signed in.")
class StaffSessionStarted:
    access_token: str = strawberry.field(description="Send it as `Authorization: Bearer …`.")
    access_token_expires_at: datetime = strawberry.field(description="Refresh before then.")
    refresh_token: str = strawberry.field(description="For one `sessionRefresh`.")
    staff: StaffMember = strawberry.field(description="Who signed in.")

    @classmethod
    def of(cls, member: staff_service.StaffMember, access: AccessToken, refresh_token: str) -> Self:
        return cls(
            access_token=access.text,
            access_token_expires_at=access.expires_at,
            refresh_token=refresh_token,
            staff=StaffMember.of(member),
        )


@strawberry.type(description="A new account. Its authenticator secret is shown this once.")
class StaffCreated:
    staff: StaffMember = strawberry.field(description="The account.")
    totp_secret: str = strawberry.field(description="To type into an authenticator app.")
    totp_uri: str = strawberry.field(description="The same, as an authenticator reads it by QR.")

    @classmethod
    def of(cls, created: staff_service.StaffCreated) -> Self:
        account = created.member.staff.email
        return cls(
            staff=StaffMember.of(created.member),
            totp_secret=created.totp_secret,
            totp_uri=totp.provisioning_uri(created.totp_secret, account=account, issuer="Regulars"),
        )


@strawberry.type(description="Wrong details, or a locked account: never said which.")
class SignInRefused(Problem): ...


@strawberry.type(description="There is no such staff member.")
class StaffNotFound(Problem): ...


@strawberry.type(description="There is already a staff account with this e-mail address.")
class EmailTaken(Problem): ...


@strawberry.type(description="Nobody does this to their own account.")
class NotOnYourself(Problem): ...


@strawberry.type(description="There is no such role.")
class RoleNotFound(Problem): ...


@strawberry.type(description="There is already a role with this name.")
class RoleNameTaken(Problem): ...


@strawberry.type(description="A built-in role cannot be changed.")
class RoleIsBuiltIn(Problem): ...


@strawberry.type(description="Nobody can give or take permissions that they do not hold there.")
class PermissionsNotHeld(Problem):
    permissions: list[Permission] = strawberry.field(description="Those the asker lacks.")

    @classmethod
    def of(cls, error: actors.PermissionsNotHeld) -> Self:
        return cls(message=str(error), permissions=error.permissions)


@strawberry.input(description="The first factor.")
class StaffSessionStartInput:
    email: str = strawberry.field(description="The account's e-mail address.")
    password: str = strawberry.field(description="Its password.")
    device: str = strawberry.field(
        default="", description="What the device calls itself; shown in the list of sessions."
    )


@strawberry.input(description="The second factor.")
class StaffSessionConfirmInput:
    challenge: str = strawberry.field(description="What `staffSessionStart` answered.")
    totp_code: str = strawberry.field(description="The six digits that the authenticator shows.")


@strawberry.input(description="An account to open, with a first role.")
class StaffCreateInput:
    name: str = strawberry.field(description="Their name, 1 to 120 characters.")
    email: str = strawberry.field(description="The address they will sign in with.")
    password: str = strawberry.field(description="Their first password, 12 to 128 characters.")
    role_id: strawberry.ID = strawberry.field(description="Their first role, `role_…`.")
    node_id: strawberry.ID = strawberry.field(description="Where they hold it, `node_…`.")


@strawberry.input(description="An account to switch off.")
class StaffDeactivateInput:
    id: strawberry.ID = strawberry.field(description="The staff member, `stf_…`.")


@strawberry.input(description="Who is to hold which role, where.")
class StaffRoleGrantInput:
    staff_id: strawberry.ID = strawberry.field(description="The staff member, `stf_…`.")
    role_id: strawberry.ID = strawberry.field(description="The role, `role_…`.")
    node_id: strawberry.ID = strawberry.field(description="The node, `node_…`.")


@strawberry.input(description="Who is to lose which role, where.")
class StaffRoleRevokeInput:
    staff_id: strawberry.ID = strawberry.field(description="The staff member, `stf_…`.")
    role_id: strawberry.ID = strawberry.field(description="The role, `role_…`.")
    node_id: strawberry.ID = strawberry.field(description="The node, `node_…`.")


@strawberry.input(description="A role to make for the group.")
class RoleCreateInput:
    name: str = strawberry.field(description="What people call it, 1 to 64 characters.")
    permissions: list[Permission] = strawberry.field(description="What it allows.")


@strawberry.input(description="A role to change, for everybody who holds it.")
class RoleUpdateInput:
    id: strawberry.ID = strawberry.field(description="The role, `role_…`.")
    permissions: list[Permission] = strawberry.field(description="What it allows from now on.")


FirstFactor = Annotated[
    StaffSessionStartInput, strawberry.argument(description="The first factor.")
]
SecondFactor = Annotated[
    StaffSessionConfirmInput, strawberry.argument(description="The second factor.")
]
StaffSessionStartResult = Annotated[
    SecondFactorRequired | SignInRefused,
    strawberry.union("StaffSessionStartResult", description="What comes next, or a refusal."),
]
StaffSessionConfirmResult = Annotated[
    StaffSessionStarted | SignInRefused,
    strawberry.union("StaffSessionConfirmResult", description="The session, or a refusal."),
]
StaffCreateResult = Annotated[
    StaffCreated | NodeNotFound | RoleNotFound | PermissionsNotHeld | EmailTaken,
    strawberry.union("StaffCreateResult", description="The new account, or why there is none."),
]
StaffDeactivateResult = Annotated[
    StaffMember | StaffNotFound | NotOnYourself | PermissionsNotHeld,
    strawberry.union("StaffDeactivateResult", description="The account now, or why not."),
]
StaffRoleGrantResult = Annotated[
    StaffMember | StaffNotFound | RoleNotFound | NodeNotFound | PermissionsNotHeld,
    strawberry.union("StaffRoleGrantResult", description="The account now, or why not."),
]
StaffRoleRevokeResult = Annotated[
    StaffMember | StaffNotFound | RoleNotFound | NodeNotFound | NotOnYourself | PermissionsNotHeld,
    strawberry.union("StaffRoleRevokeResult", description="The account now, or why not."),
]
RoleCreateResult = Annotated[
    Role | RoleNameTaken | PermissionsNotHeld,
    strawberry.union("RoleCreateResult", description="The new role, or why there is none."),
]
RoleUpdateResult = Annotated[
    Role | RoleNotFound | RoleIsBuiltIn | PermissionsNotHeld,
    strawberry.union("RoleUpdateResult", description="The role now, or why not."),
]

HANDLERS = [
    shown_as(SignInRefused, staff_sign_in.SignInRefused),
    shown_as(StaffNotFound, staff_service.StaffNotFound),
    shown_as(EmailTaken, staff_service.EmailTaken),
    shown_as(NotOnYourself, staff_service.NotOnYourself),
    shown_as(RoleNotFound, roles.RoleNotFound),
    shown_as(RoleNameTaken, roles.RoleNameTaken),
    shown_as(RoleIsBuiltIn, roles.RoleIsBuiltIn),
    shown_as(PermissionsNotHeld, actors.PermissionsNotHeld),
]
