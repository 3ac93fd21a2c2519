"""The back office of gift cards: products, spreadsheets of printed numbers, what they become."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

import python_calamine
import xlsxwriter

from app.core.ids import new_id, type_id
from app.jobs.worker import Worker
from app.models.gift_cards import GiftCardKind, GiftCardProduct, GiftCardProductState
from app.models.organisation import Node
from app.services import cards
from app.services.gift_cards import products
from app.services.gift_cards.details import GiftCardProductDetails
from app.services.gift_cards.pricing import CustomAmount, Denomination
from app.services.scopes import ScopeRules
from tests.factories.back_office import ISSUER
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


BATCH = """fragment batch on GiftCardBatch { id state buyerCompany buyerRegistration invoiceNumber
  numberOfCards numberMade face { amount } amount { amount currency } gift { amount } finishedAt
  keysExportedAt product { name } method { code } operator { name } keysExportedBy { name } }"""
CREATE_BATCH = f"""mutation ($input: GiftCardBatchCreateInput!) {{
  giftCardBatchCreate(input: $input) {{ __typename
    ... on GiftCardBatchCreated {{ replayed batch {{ ...batch }} }}
    ... on CardCapReached {{ limit {{ amount }} room {{ amount }} }}
    ... on TransferNeeded {{ limit {{ amount }} }}
    ... on InvoiceAlreadyUsed {{ invoiceNumber }} ... on Problem {{ message }} }} }} {BATCH}"""
ONE_BATCH = f"query ($id: ID!) {{ giftCardBatch(id: $id) {{ ...batch }} }} {BATCH}"
BATCHES = f"""query ($product: ID) {{ giftCardBatches(productId: $product) {{
  edges {{ node {{ ...batch }} }} }} }} {BATCH}"""
KEYS_LINK = """mutation ($id: ID!) { giftCardBatchKeysLink(batchId: $id) { __typename
  ... on DownloadLink { url } ... on GiftCardBatchNotReady { numberMade }
  ... on GiftCardKeysExported { exportedAt } ... on Problem { message } } }"""
SOLD = """query ($filter: SoldGiftCardFilter, $first: Int = 100, $after: String) {
  giftCardsSold(filter: $filter, first: $first, after: $after) {
    edges { node { id number state kind face { amount } price { amount } gift { amount }
      balance { cash { amount } gift { amount } } product { name } store { name } } }
    pageInfo { hasNextPage endCursor } } }"""
TRANSACTIONS = """query ($filter: GiftCardTransactionFilter, $first: Int = 100, $after: String) {
  giftCardTransactions(filter: $filter, first: $first, after: $after) {
    sums { currency cash { amount } gift { amount } amount { amount } }
    edges { node { id kind at number giftCardId cash { amount } gift { amount } amount { amount }
      product { name } store { name } } }
    pageInfo { hasNextPage endCursor } } }"""
EXPORT_LINK = """mutation ($input: GiftCardExportLinkInput!) {
  giftCardExportLink(input: $input) { __typename ... on DownloadLink { url expiresAt } } }"""
EXPORTS = """query { giftCardExports { edges { node { kind filters numberOfRows exportedAt
  perspective { name } operatorId operator { name } } } } }"""
REPORT = """query ($at: ID!, $from: Date!, $to: Date!) {
  giftCardReport(perspectiveId: $at, from: $from, to: $to, byStore: true) {
    products { productId productName sold refunded outstanding
      cash { ...flow } gift { ...flow } } } }
fragment flow on ValueFlow { opening { amount } added { amount } taken { amount }
  closing { amount } movements { kind added { amount } taken { amount } }
  byStore { kind store { name } added { amount } taken { amount } } }"""
PAY = """mutation ($input: GiftCardPayInput!) { giftCardPay(input: $input) { __typename
  ... on GiftCardPaid { payment { id } balance { total { amount } } }
  ... on Problem { message } } }"""
VOID = """mutation ($id: ID!, $key: String!) {
  giftCardPayVoid(input: {id: $id, requestKey: $key}) { __typename } }"""
REFUND = """mutation ($input: GiftCardRefundInput!) { giftCardRefund(input: $input) {
  __typename } }"""


def a_batch(product: GiftCardProduct, /, **more: Any) -> dict[str, Any]:
    """Three cards of 100.00 for 250.00 in all: 83.34, 83.33 and 83.33."""
    asked: dict[str, Any] = {
        "productId": type_id("gcp", product.id),
        "face": {"amount": 100_00, "currency": "CNY"},
        "numberOfCards": 3,
        "amount": {"amount": 250_00, "currency": "CNY"},
        "buyerCompany": "Hongqiao Trading",
        "invoiceNumber": new_id().hex,
        "methodCode": "cash",
        "requestKey": new_id().hex,
    }
    return asked | more


async def made_batch(till: Counter, product: GiftCardProduct, now: datetime, /, **more: Any) -> Any:
    """A bulk order whose cards exist."""
    created = await till.as_staff(CREATE_BATCH, input=a_batch(product, **more))
    assert created["__typename"] == "GiftCardBatchCreated", created
    await work(till, now)
    made = await till.as_staff(ONE_BATCH, id=created["batch"]["id"])
    assert made["state"] == "READY"
    return made


async def exported(live: Live, link: Any) -> bytes:
    """What a link leads to, which works."""
    assert link["__typename"] == "DownloadLink", link
    answer = await live.http.get(link["url"].removeprefix(ISSUER))
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


async def keys_of(live: Live, batch: Any) -> dict[str, str]:
    """The keys of a bulk order by number, exported."""
    link = await live.as_staff(KEYS_LINK, id=batch["id"])
    _, *rows = rows_of(await exported(live, link))
    return {number: key for number, key, *_ in rows if key}


async def pay(till: Counter, number: str, key: str, amount: int, /, **more: Any) -> Any:
    """Let a card pay at the till; what the mutation answers."""
    asked: dict[str, Any] = {
        "terminalId": till.terminal_id,
        "card": {"key": {"number": number, "key": key}},
        "amount": {"amount": amount, "currency": "CNY"},
        "orderNumber": new_id().hex,
        "requestKey": new_id().hex,
    }
    return await till.as_staff(PAY, input=asked | more)
