"""Spreadsheets that were brought in: the history, and the rows that were refused (MEM-3)."""

from typing import Annotated

import strawberry

from app.core.ids import parse_type_id
from app.models.imports import ImportKind
from app.services import imports
from app.services.import_kinds import KINDS
from app.services.links import LINK_LIFE, SignedIn
from auth.permissions import IsActor
from schema.context import Info
from schema.imports import DownloadLink, Import, ImportRefusedLinkResult
from schema.pages import PAGE_SIZE_DEFAULT, After, Connection, First, page_limit, row_after


@strawberry.type
class Query:
    # Each kind has a permission of its own, which the service asks for.
    @strawberry.field(
        permission_classes=[IsActor],
        description="One import and how far it is, or null if the asker may not see it.",
    )
    async def imported_file(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The import, `imp_…`.")],
    ) -> Import | None:
        row = await info.context.read(
            imports.seen_by,
            await info.context.actor(),
            KINDS,
            import_id=parse_type_id("imp", id),
        )
        return Import.of(row) if row else None

    @strawberry.field(
        permission_classes=[IsActor],
        description="What was brought in of a kind where the asker may do so, newest first.",
    )
    async def imports(
        self,
        info: Info,
        kind: Annotated[ImportKind, strawberry.argument(description="What was brought in.")],
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
    ) -> Connection[Import]:
        rows = await info.context.read(
            imports.page,
            await info.context.actor(),
            KINDS[kind],
            before=row_after(after),
            limit=page_limit(first),
        )
        return Connection.of(rows, first, Import.of)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        permission_classes=[IsActor],
        description="A link to the rows of an import that were refused: a spreadsheet with the"
        " reason beside each, which can be brought in again once corrected.",
    )
    async def import_refused_link(
        self,
        info: Info,
        import_id: Annotated[strawberry.ID, strawberry.argument(description="Which, `imp_…`.")],
    ) -> ImportRefusedLinkResult:
        context = info.context
        assert context.principal is not None
        secret = await context.run(
            imports.failures_link,
            await context.actor(),
            KINDS,
            import_id=parse_type_id("imp", import_id),
            signed_in=SignedIn(
                session_id=context.principal.session_id, scopes=context.principal.scopes
            ),
            now=context.now,
        )
        return DownloadLink(
            url=f"{context.settings.public_url.rstrip('/')}/imports/refused/{secret}",
            expires_at=context.now + LINK_LIFE,
        )
