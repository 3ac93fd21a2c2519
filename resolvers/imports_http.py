"""Spreadsheets over plain HTTP: a template, what is brought in, what was refused (MEM-2, MEM-3).

`GET /imports/{kind}/template.xlsx` needs no sign-in, for it says nothing about anybody.
`POST /imports/{kind}?subject=…` takes a form with the part `file`, from staff.
`GET /imports/refused/{secret}` is a link that works once.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.core.db import Database
from app.core.errors import DomainError, RequestError
from app.core.excel import ExcelFile
from app.core.excel_parts import SpreadsheetTooLarge
from app.core.excel_reading import LIMITS, REASON_TITLE, read
from app.core.ids import any_type_id, type_id
from app.core.tables import Column, Document, Row, Table
from app.edge.requests import Handshake
from app.models.imports import Import
from app.services import import_kinds, imports
from app.services.import_kinds import KINDS, SUBJECT_NOT_FOUND
from app.services.imports import Kind
from auth.tokens import ADMIN_AUDIENCE
from resolvers.plain_http import (
    FOR_FEW,
    FORM_BYTES,
    answered,
    file_of,
    form_of,
    gone,
    handshake_of,
    only_get,
    spreadsheet,
)
from schema.context import Context

UPLOAD_BYTES_MAX = LIMITS.file_bytes + FORM_BYTES
UPLOAD_SECONDS_MAX = 60.0
READ_AT_ONCE_MAX = 1
"""Spreadsheets one process looks through at once: each takes a core for a second or two."""
WRITTEN_AT_ONCE_MAX = 2
STATUSES: dict[type[DomainError], int] = {
    SpreadsheetTooLarge: 413,
    **dict.fromkeys(SUBJECT_NOT_FOUND, 404),
}
WIDTH_CHARS, REASON_WIDTH_CHARS = 24, 60


class Serving(Protocol):
    """What the routes need of a running server."""

    @property
    def database(self) -> Database: ...

    async def context(self, handshake: Handshake, audience: str) -> Context: ...


def name_of(kind: Kind) -> str:
    """A kind as paths and files name it."""
    return kind.kind.lower().replace("_", "-")


def path_of(kind: Kind) -> str:
    """Where spreadsheets of a kind are sent to."""
    return f"/imports/{name_of(kind)}"


UPLOAD_PATHS = [path_of(kind) for kind in KINDS.values()]


def routes(running: Callable[[], Serving]) -> list[Route]:
    """The routes; `running` gives the server's parts once it has started."""
    reading = asyncio.Semaphore(READ_AT_ONCE_MAX)
    writing = asyncio.Semaphore(WRITTEN_AT_ONCE_MAX)

    def uploading(kind: Kind) -> Route:
        async def upload(request: Request) -> Response:
            return await answered(_upload(running(), kind, request, reading), STATUSES)

        return Route(path_of(kind), upload, methods=["POST"])

    def explaining(kind: Kind) -> Route:
        async def template(request: Request) -> Response:
            async with writing:
                file = await asyncio.to_thread(_written, kind)
            return spreadsheet(file, f'attachment; filename="{name_of(kind)}-template.xlsx"')

        return Route(f"{path_of(kind)}/template.xlsx", template, methods=["GET"])

    async def refused(request: Request) -> Response:
        if request.method != "GET":
            return only_get()
        return await _refused(running().database, request.path_params["secret"], writing)

    return [
        *(route(kind) for kind in KINDS.values() for route in (uploading, explaining)),
        Route("/imports/refused/{secret}", refused, methods=["GET"]),
    ]


async def _upload(
    serving: Serving, kind: Kind, request: Request, reading: asyncio.Semaphore
) -> Response:
    """Who it is first, and for what; then the file: a stranger's body is not even read."""
    context = await serving.context(handshake_of(request), ADMIN_AUDIENCE)
    actor = await context.actor()
    subject_id = any_type_id(request.query_params.get("subject", ""))
    await context.read(imports.subject, actor, kind, subject_id=subject_id)
    form = await form_of(request)
    try:
        given = file_of(form)
        async with reading:
            data = await given.read(LIMITS.file_bytes + 1)
            columns = [column.wanted for column in kind.columns]
            lines = await asyncio.to_thread(read, data, sheet=kind.sheet, columns=columns)
        begun = await context.run(
            imports.begin, actor, kind, subject_id=subject_id, file_name=given.filename or "",
            lines=lines, now=context.now,
        )  # fmt: skip
    finally:
        await form.close()
    body = {"id": type_id("imp", begun.id), "numberOfRows": begun.number_of_rows}
    return JSONResponse(body, 201, FOR_FEW)


async def _refused(database: Database, secret: str, writing: asyncio.Semaphore) -> Response:
    try:
        found = await database.run(imports.use, KINDS, secret=secret, now=datetime.now(UTC))
    except (DomainError, RequestError):
        return gone()
    async with writing:
        file = await _refused_file(database, found)
    name = f"{name_of(KINDS[found.kind])}-refused.xlsx"
    return spreadsheet(file, f'attachment; filename="{name}"')


async def _refused_file(database: Database, found: Import) -> BinaryIO:
    """The template with the refused rows in it, and beside each the reason: part after part."""
    kind = import_kinds.KINDS[found.kind]
    document = _document(kind, [Column(REASON_TITLE, REASON_WIDTH_CHARS)])
    with TemporaryDirectory(prefix="regulars-import-") as folder:
        file = await asyncio.to_thread(ExcelFile, Path(folder))
        file.head(document)
        await asyncio.to_thread(file.begin, document.tables[0])
        after: int | None = 0
        while after is not None:
            refused, after = await database.scan(
                imports.refused_rows, import_id=found.id, after=after
            )
            rows: list[Row] = [
                [*(row.cells[column.key] for column in kind.columns), row.reason] for row in refused
            ]
            await asyncio.to_thread(file.write, rows)
        return await asyncio.to_thread(file.close)


def _written(kind: Kind) -> BinaryIO:
    with TemporaryDirectory(prefix="regulars-import-") as folder:
        file = ExcelFile(Path(folder))
        document = _document(kind, [])
        file.head(document)
        file.add(document.tables[0])
        return file.close()


def _document(kind: Kind, more: Sequence[Column]) -> Document:
    """What a template says of its columns, and the columns."""
    columns = [Column(column.title, WIDTH_CHARS, is_typed_in=True) for column in kind.columns]
    return Document(
        title=kind.title,
        # Not quite the titles, which are looked for when the file comes back.
        facts=[(f"{column.title}:", column.explanation) for column in kind.columns],
        tables=[Table(title=kind.sheet, columns=[*columns, *more])],
    )
