"""Spreadsheets of gift cards behind links that work once (GFT-5, GFT-6, GFT-7).

`GET /gift-cards/exports/{secret}` is a list of cards or transactions, page after page from the
database to the disk, however long. `GET /gift-cards/keys/{secret}` has the keys of a bulk order,
and is the last to have them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.db import Database
from app.core.errors import DomainError, RequestError
from app.core.excel import ExcelFile, excel_of
from app.core.tables import Row
from app.models.gift_card_batches import GiftCardExportKind
from app.services.gift_cards import batches, exports, sold, transactions
from app.services.gift_cards.exports import Opened
from app.services.reports import gift_card_tables, gift_cards, words
from app.services.reports.fields import Sums
from resolvers.plain_http import gone, only_get, spreadsheet

FILES_AT_ONCE_MAX = 2
"""Spreadsheets one process writes at once: each takes a core for as long as it lasts."""
ROWS_MAX = 1_000_000
"""Of one list; a longer one says in its last line that it was cut off."""
CUT_OFF = f"超过 {ROWS_MAX:,} 行，已截断。 Cut off at {ROWS_MAX:,} rows: choose a shorter period."
EXPORTS_PATH, KEYS_PATH = "/gift-cards/exports", "/gift-cards/keys"


class Serving(Protocol):
    """What the routes need of a running server."""

    @property
    def database(self) -> Database: ...


def routes(running: Callable[[], Serving]) -> list[Route]:
    """The routes; `running` gives the server's parts once it has started."""
    writing = asyncio.Semaphore(FILES_AT_ONCE_MAX)

    async def export(request: Request) -> Response:
        if request.method != "GET":
            return only_get()
        return await _export(running().database, request.path_params["secret"], writing)

    async def keys(request: Request) -> Response:
        if request.method != "GET":
            return only_get()
        return await _keys(running().database, request.path_params["secret"], writing)

    return [
        Route(f"{EXPORTS_PATH}/{{secret}}", export, methods=["GET"]),
        Route(f"{KEYS_PATH}/{{secret}}", keys, methods=["GET"]),
    ]


async def _export(database: Database, secret: str, writing: asyncio.Semaphore) -> Response:
    try:
        opened = await database.run(exports.use, secret=secret, now=datetime.now(UTC))
    except (DomainError, RequestError):
        return gone()
    async with writing:
        with TemporaryDirectory(prefix="regulars-export-") as folder:
            file = await asyncio.to_thread(ExcelFile, Path(folder))
            number = await _write(database, opened, file)
            written = await asyncio.to_thread(file.close)
    await database.run(exports.count, export_id=opened.export.id, number_of_rows=number)
    asked = opened.asked
    plain = f"gift-card-{asked.kind.lower()}.xlsx"
    title = gift_card_tables.TITLES[asked.kind]
    full = f"{title} {opened.perspective.name}.xlsx".replace("/", "-")
    return spreadsheet(written, _attachment(plain, full))


async def _keys(database: Database, secret: str, writing: asyncio.Semaphore) -> Response:
    """The file stands on the disk before the keys are forgotten: a full disk loses nothing."""
    try:
        prepared = await database.run(batches.prepare, secret=secret, now=datetime.now(UTC))
        async with writing:
            file = await asyncio.to_thread(_keys_file, prepared)
        await database.run(batches.hand_out, prepared, now=datetime.now(UTC))
    except (DomainError, RequestError):
        return gone()
    plain = "gift-card-keys.xlsx"
    return spreadsheet(file, _attachment(plain, f"{prepared.batch.buyer_company}.xlsx"))


def _keys_file(prepared: batches.Prepared) -> BinaryIO:
    with TemporaryDirectory(prefix="regulars-keys-") as folder:
        return excel_of(gift_card_tables.keys_document(prepared), Path(folder))


async def _write(database: Database, opened: Opened, file: ExcelFile) -> int:
    """Page after page, so that no more than one is in memory; how many lines there were."""
    document = gift_card_tables.document_of(opened)
    (head,) = document.tables
    sums = Sums(gift_card_tables.FIELDS[opened.asked.kind])
    file.head(document)
    await asyncio.to_thread(file.begin, head)
    of_cards = opened.asked.kind is GiftCardExportKind.CARDS
    opening, closing = ([], []) if of_cards else await _balances(database, opened)
    await asyncio.to_thread(file.write, opening)
    number, note = 0, ""
    async for page in _cards(database, opened) if of_cards else _lines(database, opened):
        page = page[: ROWS_MAX - number]
        number += len(page)
        await asyncio.to_thread(_write_page, file, sums, page)
        if number == ROWS_MAX:
            note = CUT_OFF
            break
    await asyncio.to_thread(file.end, [*sums.rows(), *closing], note)
    return number


def _write_page(file: ExcelFile, sums: Sums, rows: list[Row]) -> None:
    for row in rows:
        sums.add(row)
    file.write(rows)


async def _cards(database: Database, opened: Opened) -> AsyncIterator[list[Row]]:
    after = None
    while True:
        page = await database.scan(
            sold.export_page,
            perspective=opened.perspective,
            wanted=opened.cards,
            after=after,
            now=opened.export.exported_at,
        )
        if page:
            yield gift_card_tables.rows_of(opened, page)
            after = page[-1].id
        if len(page) < sold.PAGE_ROWS:
            return


async def _lines(database: Database, opened: Opened) -> AsyncIterator[list[Row]]:
    products = await database.scan(gift_cards.products_of, opened.perspective)
    for product in products:
        if opened.asked.product_id not in (None, product.id):
            continue
        after = None
        while True:
            page = await database.scan(
                transactions.of_product,
                group_id=opened.group.id,
                product_id=product.id,
                wanted=opened.lines,
                after=after,
            )
            if page:
                yield gift_card_tables.rows_of(opened, page)
                after = page[-1]
            if len(page) < transactions.PAGE_ROWS:
                break


async def _balances(database: Database, opened: Opened) -> tuple[list[Row], list[Row]]:
    """What the cards held at both ends of the period.

    Some kinds of lines alone, or those of one store, make no balance: then there is none.
    """
    asked, period = opened.asked, opened.lines
    if asked.transaction_kind is not None or asked.store_id is not None:
        return [], []
    products = await database.scan(gift_cards.products_of, opened.perspective)
    rows = []
    for label, moment in (
        (words.OPENING, period.from_moment),
        (words.CLOSING, period.to_moment),
    ):
        sums = await database.scan(
            transactions.sums_of,
            group_id=opened.group.id,
            product_ids=[product.id for product in products],
            wanted=transactions.Wanted(product_id=asked.product_id, to_moment=moment),
        )
        rows.append(gift_card_tables.balance_rows(label, sums))
    return rows[0], rows[1]


def _attachment(plain: str, full: str) -> str:
    """The file's name in ASCII for old clients, and its own name for the others."""
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(full, safe='')}"
