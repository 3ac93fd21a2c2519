"""Purchase agreements, terms and FAQs (BEN-9)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.packages import AgreementKind
from app.models.staff import Permission
from app.services.packages import agreements
from auth.permissions import Needs
from schema.context import Info
from schema.packages.agreements import (
    Agreement,
    AgreementCreateInput,
    AgreementCreateResult,
    AgreementReviseInput,
    AgreementReviseResult,
    AgreementText,
)
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after

Reads = Needs(Permission.PACKAGES_READ)
Writes = Needs(Permission.PACKAGES_WRITE)
Id = Annotated[strawberry.ID, strawberry.argument(description="The agreement, `agr_…`.")]


@strawberry.type
class Query:
    @strawberry.field(
        permission_classes=[Reads],
        description="The agreements made above or below where the asker works, newest first.",
    )
    async def agreements(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        kind: Annotated[
            AgreementKind | None, strawberry.argument(description="Only of this kind; null is any.")
        ] = None,
    ) -> Connection[Agreement]:
        rows = await info.context.read(
            agreements.page,
            await info.context.actor(),
            kind=kind,
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[Agreement].of(rows, first, Agreement.of)

    @strawberry.field(
        permission_classes=[Reads],
        description="One agreement, or null if the asker may not see it.",
    )
    async def agreement(self, info: Info, id: Id) -> Agreement | None:
        row = await info.context.read(
            agreements.seen_by, await info.context.actor(), agreement_id=parse_type_id("agr", id)
        )
        return Agreement.of(row) if row else None

    @strawberry.field(
        permission_classes=[Reads],
        description="What an agreement said, newest first; empty if the asker may not see it.",
    )
    async def agreement_versions(
        self, info: Info, id: Id, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[AgreementText]:
        rows = await info.context.read(
            agreements.versions_page,
            await info.context.actor(),
            agreement_id=parse_type_id("agr", id),
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection[AgreementText].of(rows, first, AgreementText.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[Writes],
        description="Publish the first version of an agreement. Packages made at the perspective"
        " or below can name it; who buys one accepts it then, or reads it if it is a FAQ.",
    )
    async def agreement_create(
        self,
        info: Info,
        input: Annotated[AgreementCreateInput, strawberry.argument(description="What it says.")],
    ) -> AgreementCreateResult:
        row = await info.context.run(
            agreements.create,
            await info.context.actor(),
            perspective_id=parse_type_id("node", input.perspective_id),
            kind=input.kind,
            title=input.title,
            body=input.body,
            now=info.context.now,
        )
        return Agreement.of(row)

    @strawberry.mutation(
        permission_classes=[Writes],
        description="Publish an agreement's next version: whoever buys from now on accepts it.",
    )
    async def agreement_revise(
        self,
        info: Info,
        input: Annotated[AgreementReviseInput, strawberry.argument(description="What it says.")],
    ) -> AgreementReviseResult:
        row = await info.context.run(
            agreements.revise,
            await info.context.actor(),
            agreement_id=parse_type_id("agr", input.id),
            expected_version=input.expected_version,
            title=input.title,
            body=input.body,
            now=info.context.now,
        )
        return Agreement.of(row)
