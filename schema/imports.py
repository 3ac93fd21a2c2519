"""Spreadsheets that were brought in, and what came of their rows (MEM-3, GFT-5)."""

from datetime import datetime
from typing import Annotated, Any, Self

import strawberry

from app.core.ids import type_id
from app.models import imports as rows
from app.models.imports import ImportKind, ImportState
from app.models.staff import Staff
from app.services import imports
from schema.context import Info
from schema.enums import describe
from schema.organisation import Node
from schema.problems import Problem, shown_as

describe(
    ImportKind,
    "What a spreadsheet brings in.",
    {"GIFT_CARD_NUMBERS": "Numbers and keys of printed gift cards, of one product."},
)
describe(
    ImportState,
    "Whether a spreadsheet was worked off.",
    {"RUNNING": "Rows are being taken in.", "DONE": "Every row landed or was refused."},
)


@strawberry.type(description="Who brought something in or took it out.")
class Operator:
    id: strawberry.ID = strawberry.field(description="The staff member, `stf_…`.")
    name: str = strawberry.field(description="Their name.")

    @classmethod
    def of(cls, row: Staff) -> Self:
        return cls(id=strawberry.ID(type_id("stf", row.id)), name=row.name)


@strawberry.type(description="One spreadsheet that was brought in.")
class Import:
    id: strawberry.ID = strawberry.field(description="Its id, `imp_…`.")
    kind: ImportKind = strawberry.field(description="What it brings in.")
    file_name: str = strawberry.field(description="What the file was called.")
    state: ImportState = strawberry.field(description="Whether it was worked off.")
    number_of_rows: int = strawberry.field(description="How many rows it has.")
    number_landed: int = strawberry.field(description="How many landed.")
    number_repeated: int = strawberry.field(
        description="How many were there already: an earlier import, or a row above, brought them."
    )
    number_failed: int = strawberry.field(
        description="How many were refused: importRefusedLink has them with their reasons."
    )
    created_at: datetime = strawberry.field(description="When it was brought in.")
    finished_at: datetime | None = strawberry.field(description="When its last row was done.")
    row: strawberry.Private[rows.Import]

    @classmethod
    def of(cls, row: rows.Import) -> Self:
        return cls(
            id=strawberry.ID(type_id("imp", row.id)),
            kind=row.kind,
            file_name=row.file_name,
            state=row.state,
            number_of_rows=row.number_of_rows,
            number_landed=row.number_landed,
            number_repeated=row.number_repeated,
            number_failed=row.number_failed,
            created_at=row.created_at,
            finished_at=row.finished_at,
            row=row,
        )

    @strawberry.field(description="Where its rows belong.")
    async def perspective(self, info: Info) -> Node:
        return Node.of(await info.context.loaders.node.load(self.row.perspective_id))

    @strawberry.field(description="Who brought it in.")
    async def operator(self, info: Info) -> Operator:
        return Operator.of(await info.context.loaders.staff.load(self.row.operator_id))


@strawberry.type(description="A link under which a file can be fetched once, within minutes.")
class DownloadLink:
    url: str = strawberry.field(description="Where it is: whoever has the link has the file.")
    expires_at: datetime = strawberry.field(description="Until when.")


@strawberry.type(description="There is no such import.")
class ImportNotFound(Problem): ...


@strawberry.type(description="Its rows are still being taken in.")
class ImportRunning(Problem): ...


@strawberry.type(description="No row was refused, or that is more than a month ago.")
class NoRefusedRows(Problem): ...


ImportRefusedLinkResult = Annotated[
    DownloadLink | ImportNotFound | ImportRunning | NoRefusedRows,
    strawberry.union(
        "ImportRefusedLinkResult", description="The link, or why there is nothing to fetch."
    ),
]

HANDLERS: list[Any] = [
    shown_as(ImportNotFound, imports.ImportNotFound),
    shown_as(ImportRunning, imports.ImportRunning),
    shown_as(NoRefusedRows, imports.NoRefusedRows),
]
