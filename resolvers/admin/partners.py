"""Partner clients, as the back office keeps them (EVT-1)."""

from datetime import timedelta
from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.staff import Permission
from app.services import partners
from auth.permissions import Needs
from schema.context import Info
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after
from schema.partners import (
    PartnerClient,
    PartnerClientCreateInput,
    PartnerClientCreateResult,
    PartnerClientDeactivateInput,
    PartnerClientDeactivateResult,
    PartnerClientRotateSecretInput,
    PartnerClientRotateSecretResult,
    PartnerClientSecret,
)

Writes = Needs(Permission.PARTNERS_WRITE)


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Needs(Permission.PARTNERS_READ)],
        description="The partners' systems that may act where the asker may read them.",
    )
    async def partner_clients(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[PartnerClient]:
        rows = await info.context.read(
            partners.clients,
            await info.context.actor(),
            after=row_after(after),
            at_most=page_limit(first),
        )
        return Connection[PartnerClient].of(rows, first, PartnerClient.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Let a partner's system call with an OAuth secret of its own, which only this"
        " answer shows. It can do no more than its creator, at these nodes and below.",
    )
    async def partner_client_create(
        self,
        info: Info,
        input: Annotated[PartnerClientCreateInput, strawberry.argument(description="The client.")],
    ) -> PartnerClientCreateResult:
        made = await info.context.run(
            partners.create,
            await info.context.actor(),
            name=input.name,
            scopes=input.scopes,
            node_ids=[parse_type_id("node", i) for i in input.node_ids],
            requests_per_minute=input.requests_per_minute,
            now=info.context.now,
        )
        return PartnerClientSecret.of(made)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Give a client a new secret, which only this answer shows; the one before"
        " works on for `graceHours`. The asker must hold all that the client may do.",
    )
    async def partner_client_rotate_secret(
        self,
        info: Info,
        input: Annotated[
            PartnerClientRotateSecretInput, strawberry.argument(description="Which client.")
        ],
    ) -> PartnerClientRotateSecretResult:
        made = await info.context.run(
            partners.rotate_secret,
            await info.context.actor(),
            partner_id=parse_type_id("cli", input.id),
            grace=timedelta(hours=input.grace_hours),
            now=info.context.now,
        )
        return PartnerClientSecret.of(made)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Switch a client off; its tokens stop working at once.",
    )
    async def partner_client_deactivate(
        self,
        info: Info,
        input: Annotated[
            PartnerClientDeactivateInput, strawberry.argument(description="Which client.")
        ],
    ) -> PartnerClientDeactivateResult:
        client = await info.context.run(
            partners.deactivate,
            await info.context.actor(),
            partner_id=parse_type_id("cli", input.id),
            now=info.context.now,
        )
        return PartnerClient.of(client)
