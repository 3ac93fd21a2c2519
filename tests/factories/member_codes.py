"""Codes as pages show and tills scan them."""

from collections.abc import Sequence
from itertools import chain

import zxingcpp
from png import Reader

from app.core.db import Transaction
from app.models.cards import Card, CardStatus
from app.services import cards

CODE = """query ($card: ID!) { memberCode(cardId: $card) {
  __typename
  ... on MemberCode { value formatted validUntil secondsLeft }
  ... on CardNotUsable { status } } }"""
RESOLVE = """mutation ($terminal: ID!, $code: String!, $key: String!) {
  memberCodeResolve(input: {terminalId: $terminal, code: $code, requestKey: $key}) {
    __typename
    ... on MemberCodeResolved { scanId replayed card {
      id number status tier { name level } scheme { name } holder { name phone }
      balances { points cash { amount currency } } } }
    ... on MemberCodeRefused { message }
    ... on CardNotUsable { status } } }"""


async def freeze(tx: Transaction, card: Card, status: CardStatus) -> None:
    await tx.changed(
        cards.change_status, card_id=card.id, from_status=CardStatus.NORMAL, to_status=status
    )


def pixels_of(png: bytes, side: int = 290) -> list[list[int]]:
    width, height, rows, _ = Reader(bytes=png).asDirect()
    assert (width, height) == (side, side)
    return [[pixel * 255 for pixel in row] for row in rows]


def scanned(rows: Sequence[Sequence[int]]) -> str:
    """What a scanner reads in these pixels, 0 being black."""
    pixels = memoryview(bytes(chain.from_iterable(rows))).cast("B", (len(rows), len(rows[0])))
    (found,) = zxingcpp.read_barcodes(pixels)
    assert found.format == zxingcpp.BarcodeFormat.QRCode
    return str(found.text)


def drawn(svg: str, scale: int = 8) -> list[list[int]]:
    """The SVG's one path, whose rectangles are one module each."""
    side = int(svg.partition('viewBox="0 0 ')[2].partition(" ")[0])
    rows = [[255] * (side * scale) for _ in range(side * scale)]
    path = svg.partition(' d="')[2].partition('"')[0]
    for module in path.removeprefix("M").split("M"):
        x, y = (int(number) for number in module.partition("H")[0].split(","))
        for row in rows[y * scale : (y + 1) * scale]:
            row[x * scale : (x + 1) * scale] = [0] * scale
    return rows
