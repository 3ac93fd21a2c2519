"""A report as a spreadsheet or a page, behind a link that works once (FIN-2)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.core.db import Database
from app.core.errors import DomainError, RequestError
from app.core.excel import ExcelFile
from app.core.table_page import page_of
from app.core.tables import Document
from app.services.reports import documents, downloads, top_ups
from app.services.reports.downloads import Opened, ReportFormat, ReportKind
from app.services.reports.fields import Sums
from app.services.reports.subjects import Subject
from resolvers.plain_http import FOR_FEW, gone, only_get, spreadsheet

FILES_AT_ONCE_MAX = 2
"""Spreadsheets one process writes at once: each takes a core for as long as it lasts."""
ORDERS_MAX = 1_000_000
"""Of one list; a longer one says in its last line that it was cut off."""
CUT_OFF = (
    f"超过 {ORDERS_MAX:,} 行，已截断。 Cut off at {ORDERS_MAX:,} rows: choose a shorter period."
)
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Serving(Protocol):
    """What the routes need of a running server."""

    @property
    def database(self) -> Database: ...


def routes(running: Callable[[], Serving]) -> list[Route]:
    """`/reports/{secret}`: whoever has the link has the report, within minutes and once."""
    writing = asyncio.Semaphore(FILES_AT_ONCE_MAX)

    async def answer(request: Request) -> Response:
        if request.method != "GET":
            return only_get()
        return await _answer(running().database, request.path_params["secret"], writing)

    return [Route("/reports/{secret}", answer, methods=["GET"])]


async def _answer(database: Database, secret: str, writing: asyncio.Semaphore) -> Response:
    try:
        opened = await database.run(downloads.use, secret=secret, now=datetime.now(UTC))
    except (DomainError, RequestError):
        return gone()
    document = await database.scan(documents.document, opened)
    if opened.asked.format is ReportFormat.PAGE:
        page = await asyncio.to_thread(page_of, document)
        return HTMLResponse(page, headers={**FOR_FEW, "Content-Security-Policy": PAGE_POLICY})
    async with writing:
        file = await _excel(database, opened, document)
    return spreadsheet(file, _disposition(opened, document))


async def _excel(database: Database, opened: Opened, document: Document) -> BinaryIO:
    """The spreadsheet, written to the disk in a thread and open for reading; its name is gone."""
    with TemporaryDirectory(prefix="regulars-report-") as folder:
        file = await asyncio.to_thread(ExcelFile, Path(folder))
        file.head(document)
        if opened.asked.kind is ReportKind.TOP_UP_ORDERS:
            await _write_orders(database, opened, document, file)
        else:
            for table in document.tables:
                await asyncio.to_thread(file.add, table)
        return await asyncio.to_thread(file.close)


async def _write_orders(
    database: Database, opened: Opened, document: Document, file: ExcelFile
) -> None:
    """Page after page, so that no more than one is in memory and none keeps others from reading."""
    (head,) = document.tables
    sums = Sums(documents.ORDERS)
    await asyncio.to_thread(file.begin, head)
    number, note = 0, ""
    async for page, scheme_name in _order_pages(database, opened):
        page = page[: ORDERS_MAX - number]
        number += len(page)
        await asyncio.to_thread(_write_page, file, sums, page, scheme_name, opened.about)
        if number == ORDERS_MAX:
            note = CUT_OFF
            break
    await asyncio.to_thread(file.end, sums.rows(), note)


def _write_page(
    file: ExcelFile,
    sums: Sums,
    page: list[top_ups.OrderRow],
    scheme_name: str,
    about: Subject,
) -> None:
    rows = documents.order_rows(page, scheme_name, about)
    for row in rows:
        sums.add(row)
    file.write(rows)


async def _order_pages(
    database: Database, opened: Opened
) -> AsyncIterator[tuple[list[top_ups.OrderRow], str]]:
    names = await database.scan(top_ups.scheme_names, opened.about)
    for scheme_id, name in names.items():
        last: top_ups.OrderRow | None = None
        while True:
            page = await database.scan(
                top_ups.orders, opened.about, scheme_id=scheme_id, after=last
            )
            if page:
                yield page, name
                last = page[-1]
            if len(page) < top_ups.PAGE_ROWS:
                break


def _disposition(opened: Opened, document: Document) -> str:
    """The file's name in ASCII for old clients, and with the node's own name for the others."""
    asked = opened.asked
    days = f"{asked.from_day}_{asked.to_day}"
    plain = f"{asked.kind.lower().replace('_', '-')}_{days}.xlsx"
    full = f"{document.title} {opened.about.perspective.name} {days}.xlsx".replace("/", "-")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(full, safe='')}"
