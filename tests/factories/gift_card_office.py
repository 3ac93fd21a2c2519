"""The back office of gift cards: products, spreadsheets of printed numbers, what they become."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

import python_calamine
import xlsxwriter

from app.core.ids import type_id
from app.jobs.worker import Worker
from app.models.gift_cards import GiftCardKind, GiftCardProduct, GiftCardProductState
from app.models.organisation import Node
from app.services import cards
from app.services.gift_cards import products
from app.services.gift_cards.details import GiftCardProductDetails
from app.services.gift_cards.pricing import CustomAmount, Denomination
from app.services.scopes import ScopeRules
from tests.factories.cards import Counter
from tests.factories.running import Live

NUMBER, KEY = "卡号 Number", "卡密 Key"
REASON = "原因 Reason"
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
IMPORTS = """query ($first: Int = 20, $after: String) {
  imports(kind: GIFT_CARD_NUMBERS, first: $first, after: $after) {
    edges { node { id kind fileName state numberOfRows numberLanded numberRepeated numberFailed
      createdAt finishedAt perspective { name } operator { id name } } }
    pageInfo { hasNextPage endCursor } } }"""
ONE_IMPORT = """query ($id: ID!) { importedFile(id: $id) {
  state numberOfRows numberLanded numberRepeated numberFailed } }"""
REFUSED_LINK = """mutation ($id: ID!) { importRefusedLink(importId: $id) { __typename
  ... on DownloadLink { url expiresAt } ... on Problem { message } } }"""


async def a_gift_card_product(
    till: Counter,
    /,
    kind: GiftCardKind = GiftCardKind.PHYSICAL,
    at: Node | None = None,
    **more: Any,
) -> GiftCardProduct:
    """A product that is on sale: 100.00 for 90.00, and any value from 10.00 to 1,000.00."""
    details: dict[str, Any] = {
        "name": "Lantern festival",
        "scope": ScopeRules(),
        "denominations": (Denomination(100_00, 90_00),),
        "custom_amount": CustomAmount(10_00, 1_000_00),
        "valid_days": 365,
    }
    product = await till.database.run(
        products.create,
        till.shop.owner.actor,
        perspective_id=(at or till.shop.places.group).id,
        kind=kind,
        currency="CNY",
        details=GiftCardProductDetails(**(details | more)),
        now=till.now,
    )
    return await till.database.run(
        products.move, till.shop.owner.actor, product_id=product.id,
        state=GiftCardProductState.ACTIVE, now=till.now,
    )  # fmt: skip


def a_number(serial: int) -> str:
    """A gift card's number with its check digit."""
    return cards.number_of(10**14 + serial)


def a_key(serial: int) -> str:
    """With zeros in front, which a number would lose."""
    return f"{serial:010}"


def a_sheet(*rows: Sequence[Any], head: Sequence[str] = (NUMBER, KEY)) -> bytes:
    """A spreadsheet as Excel writes it; texts stay texts, `=…` is a formula."""
    target = BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True})
    sheet = book.add_worksheet()
    for line, row in enumerate([head, *rows]):
        for position, cell in enumerate(row):
            if isinstance(cell, str) and cell.startswith("="):
                sheet.write_formula(line, position, cell, None, 7)
            elif isinstance(cell, str):
                sheet.write_string(line, position, cell)
            else:
                sheet.write(line, position, cell)
    book.close()
    return target.getvalue()


def rows_of(data: bytes, first_title: str = NUMBER) -> list[list[Any]]:
    """What stands below the titles of a spreadsheet we made, the titles first."""
    book = python_calamine.load_workbook(BytesIO(data))
    lines: list[list[Any]] = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    (head,) = [at for at, line in enumerate(lines) if line[0] == first_title]
    return lines[head:]


def corrected(data: bytes, row: int, position: int, value: str) -> bytes:
    """The same file after somebody typed something else into one cell below the titles."""
    lines = rows_of(data)
    lines[row][position] = value
    return a_sheet(*lines[1:], head=lines[0])


async def bring_in(
    live: Live, product: GiftCardProduct | str, data: bytes, /, name: str = "numbers.xlsx",
    token: str | None = None, path: str = "/imports/gift-card-numbers",
) -> Any:  # fmt: skip
    """Send a spreadsheet; the answer, whatever it is."""
    subject = product if isinstance(product, str) else type_id("gcp", product.id)
    owner = live.till.shop.owner
    headers = {"Authorization": token or await live.staff_token(owner)}
    return await live.http.post(
        path, params={"subject": subject}, headers=headers, files={"file": (name, data, EXCEL)}
    )


async def work(till: Counter, now: datetime) -> int:
    """Do all jobs that are due; how many."""
    outside = till.context(None).outside
    return await Worker(till.database, outside, clock=lambda: now).drain()
