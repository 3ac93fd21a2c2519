"""Partner clients: whose systems may call (EVT-1)."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from app.core.ids import type_id
from app.services import partners
from app.services.actors import known_permissions
from schema.context import Info
from schema.organisation import Node, NodeNotFound
from schema.principals import Permission
from schema.problems import Problem, shown_as
from schema.staff import PermissionsNotHeld


@strawberry.type(description="A partner's system, which signs in by OAuth 2.0 client credentials.")
class PartnerClient:
    id: strawberry.ID = strawberry.field(description="Its id, `cli_…`.")
    client_id: str = strawberry.field(description="The OAuth `client_id`.")
    name: str = strawberry.field(description="The partner's name.")
    scopes: list[Permission] = strawberry.field(description="The scopes it may ask for.")
    requests_per_minute: int = strawberry.field(description="How often it may call.")
    is_active: bool = strawberry.field(description="Whether it may call at all.")
    previous_secret_until: datetime | None = strawberry.field(
        description="Until when the secret before the last rotation works."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    node_ids: strawberry.Private[list[UUID]]

    @classmethod
    def of(cls, client: partners.Client) -> Self:
        row = client.row
        return cls(
            id=strawberry.ID(type_id("cli", row.id)),
            client_id=row.client_id,
            name=row.name,
            scopes=sorted(known_permissions(row.scopes)),
            requests_per_minute=row.requests_per_minute,
            is_active=row.is_active,
            previous_secret_until=row.previous_until,
            created_at=row.created_at,
            node_ids=client.node_ids,
        )

    @strawberry.field(description="The nodes in whose subtrees it may act.")
    async def nodes(self, info: Info) -> list[Node]:
        return [Node.of(row) for row in await info.context.loaders.node.load_many(self.node_ids)]


@strawberry.type(description="A client with a new secret, which is shown this once.")
class PartnerClientSecret:
    client: PartnerClient = strawberry.field(description="The client.")
    client_secret: str = strawberry.field(description="The OAuth `client_secret`.")

    @classmethod
    def of(cls, made: partners.ClientWithSecret) -> Self:
        return cls(client=PartnerClient.of(made.client), client_secret=made.secret)


@strawberry.type(description="There is no such partner client.")
class PartnerClientNotFound(Problem): ...


@strawberry.input(description="A partner's system to let call.")
class PartnerClientCreateInput:
    name: str = strawberry.field(description="The partner's name, 1 to 120 characters.")
    scopes: list[Permission] = strawberry.field(
        description="The scopes it may ask for; the asker must hold each at every node."
    )
    node_ids: list[strawberry.ID] = strawberry.field(
        description="The nodes in whose subtrees it may act, `node_…`; 1 to 100."
    )
    requests_per_minute: int = strawberry.field(
        default=600, description="How often it may call, 1 to 100,000."
    )


@strawberry.input(description="A client to give a new secret.")
class PartnerClientRotateSecretInput:
    id: strawberry.ID = strawberry.field(description="The client, `cli_…`.")
    grace_hours: int = strawberry.field(
        default=24, description="How long the secret before works on, 0 to 168 hours."
    )


@strawberry.input(description="A client to switch off.")
class PartnerClientDeactivateInput:
    id: strawberry.ID = strawberry.field(description="The client, `cli_…`.")


PartnerClientCreateResult = Annotated[
    PartnerClientSecret | NodeNotFound | PermissionsNotHeld,
    strawberry.union("PartnerClientCreateResult", description="The client, or why none."),
]
PartnerClientRotateSecretResult = Annotated[
    PartnerClientSecret | PartnerClientNotFound | PermissionsNotHeld,
    strawberry.union("PartnerClientRotateSecretResult", description="The secret, or why none."),
]
PartnerClientDeactivateResult = Annotated[
    PartnerClient | PartnerClientNotFound,
    strawberry.union("PartnerClientDeactivateResult", description="The client now, or why not."),
]

HANDLERS = [shown_as(PartnerClientNotFound, partners.ClientNotFound)]
