"""What an .xlsx file is made of, looked through within limits before anybody opens it.

An .xlsx is a zip archive of XML. Nothing here trusts what the archive says of itself: sizes are
counted while unpacking, positions and texts while parsing, and a document type, with which XML
can grow without end, is refused.
"""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from app.core.errors import DomainError

CHUNK_BYTES: Final = 65_536
ZIP_MAGIC: Final = b"PK\x03\x04"
OLD_EXCEL_MAGIC: Final = bytes.fromhex("d0cf11e0a1b11ae1")
LOCAL_HEADER_BYTES: Final = 30
ENCRYPTED_FLAG: Final = 1
WORKBOOK: Final = "xl/workbook.xml"
XML_BEGINS: Final = (b"<", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b" ", b"\t", b"\r", b"\n")
RELATIONS: Final = "xl/_rels/workbook.xml.rels"
SPREADSHEET_RELATION: Final = "/worksheet"


class NotASpreadsheet(DomainError):
    """Something else under a spreadsheet's name: a CSV file, a picture, a damaged archive."""

    def __init__(self) -> None:
        super().__init__("This is not an Excel file (.xlsx), whatever its name says.")


class OldOrProtectedSpreadsheet(DomainError):
    """Excel before 2007, or with a password: both look alike from outside."""

    def __init__(self) -> None:
        super().__init__("Save this as .xlsx, without a password.")


class SpreadsheetTooLarge(DomainError):
    """Larger than one import takes: as a file, unpacked, in columns or in what its cells repeat."""

    def __init__(self, what: str, limit: int) -> None:
        self.what, self.limit = what, limit
        super().__init__(f"This spreadsheet is too large: at most {limit:,} {what}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a spreadsheet is looked at."""

    file_bytes: int
    unpacked_bytes: int
    entries: int
    """Members of the archive."""
    rows: int
    columns: int
    text_chars: int
    """Of all cells together, each text counted as often as it is shown."""


@dataclass(slots=True)
class SheetScan:
    """What the library does not tell of a sheet: positions from 0 of formulas and of errors."""

    formulas: set[tuple[int, int]] = field(default_factory=set)
    errors: set[tuple[int, int]] = field(default_factory=set)
    shared: Counter[str] = field(default_factory=Counter)
    """How often each shared text is shown, by its number as it is written."""
    chars: int = 0
    """Of the texts that stand in the sheet itself."""


def scan(data: bytes, limits: Limits) -> dict[str, SheetScan]:
    """The worksheets by name.

    Raises `NotASpreadsheet`, `OldOrProtectedSpreadsheet`, `SpreadsheetTooLarge`.
    """
    if len(data) > limits.file_bytes:
        raise SpreadsheetTooLarge("bytes", limits.file_bytes)
    if data.startswith(OLD_EXCEL_MAGIC):
        raise OldOrProtectedSpreadsheet
    if not data.startswith(ZIP_MAGIC):
        raise NotASpreadsheet
    try:
        with ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
    except (BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError):
        raise NotASpreadsheet from None
    if len(entries) > limits.entries:
        raise SpreadsheetTooLarge("parts", limits.entries)
    if sum(entry.file_size for entry in entries) > limits.unpacked_bytes:
        raise SpreadsheetTooLarge("bytes when unpacked", limits.unpacked_bytes)
    parts: dict[str, _Part] = {}
    for entry in entries:
        if entry.filename in parts:  # readers disagree on which of the two it is
            raise NotASpreadsheet
        parts[entry.filename] = _parsed(data, entry, limits)
    if WORKBOOK not in parts or RELATIONS not in parts:
        raise NotASpreadsheet
    texts = [length for part in parts.values() for length in part.texts]
    for part in parts.values():
        _require_texts(part.sheet, texts, limits)
    targets = parts[RELATIONS].targets
    named = {name: targets.get(key) for name, key in parts[WORKBOOK].sheets.items()}
    return {name: parts[target].sheet for name, target in named.items() if target in parts}


def _require_texts(sheet: SheetScan, texts: list[int], limits: Limits) -> None:
    chars = sheet.chars
    for number, times in sheet.shared.items():
        if not (number.isascii() and number.isdecimal() and int(number) < len(texts)):
            raise NotASpreadsheet
        chars += texts[int(number)] * times
    if chars > limits.text_chars:
        raise SpreadsheetTooLarge("characters", limits.text_chars)


def _unpacked(data: bytes, entry: ZipInfo) -> Iterator[bytes]:
    """A member's content in pieces, for as long as there is any; not as long as it claims."""
    head = data[entry.header_offset :][:LOCAL_HEADER_BYTES]
    if len(head) < LOCAL_HEADER_BYTES or not head.startswith(ZIP_MAGIC):
        raise NotASpreadsheet
    if entry.flag_bits & ENCRYPTED_FLAG:
        raise OldOrProtectedSpreadsheet
    start = entry.header_offset + LOCAL_HEADER_BYTES
    start += int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    packed = data[start : start + entry.compress_size]
    if entry.compress_type == ZIP_STORED:
        yield packed
        return
    if entry.compress_type != ZIP_DEFLATED:
        raise NotASpreadsheet
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    for begin in range(0, len(packed), CHUNK_BYTES):
        piece = packed[begin : begin + CHUNK_BYTES]
        while piece and not inflater.eof:
            yield inflater.decompress(piece, CHUNK_BYTES)
            piece = inflater.unconsumed_tail
    yield inflater.flush()


def _parsed(data: bytes, entry: ZipInfo, limits: Limits) -> "_Part":
    """Parse a member that is XML; of another only the size matters."""
    part = _Part(limits)
    is_xml: bool | None = None
    size = 0
    try:
        for piece in _unpacked(data, entry):
            size += len(piece)
            if size > entry.file_size:  # and the declared ones are within the limit
                raise SpreadsheetTooLarge("bytes when unpacked", limits.unpacked_bytes)
            if is_xml is None and piece:
                # By its content: a relation may call any member a sheet.
                is_xml = piece.startswith(XML_BEGINS)
            if is_xml:
                part.parser.Parse(piece)
        if is_xml:
            part.parser.Parse(b"", True)
    except (expat.ExpatError, zlib.error, ValueError):
        raise NotASpreadsheet from None
    if size != entry.file_size:
        raise NotASpreadsheet
    return part


class _Part:
    """A member of the archive while it is parsed, whichever kind it turns out to be."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.sheet = SheetScan()
        self.texts: list[int] = []
        """How long each shared text is."""
        self.sheets: dict[str, str] = {}
        """The workbook's sheets: their names, and the keys of their relations."""
        self.targets: dict[str, str] = {}
        """Relations that lead to worksheets: their keys, and the members."""
        self.row = self.column = -1
        self.kind = ""
        self.number = ""
        self.is_number = False
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._chars
        self.parser.StartDoctypeDeclHandler = self._refuse

    def _refuse(self, *_: Any) -> None:
        raise NotASpreadsheet

    def _start(self, name: str, given: dict[str, str]) -> None:
        match name.rpartition(" ")[2]:
            case "c":
                self._begin_cell(given)
            case "v":
                self._fill()
                self.number, self.is_number = "", self.kind == "s"
            case "row":
                self.row = int(given["r"]) - 1 if "r" in given else self.row + 1
                self.column = -1
            case "f":
                self._fill()
                self.sheet.formulas.add((self.row, self.column))
            case "is":
                self._fill()
            case "si":
                self.texts.append(0)
            case "sheet" if "name" in given:
                keys = [value for key, value in given.items() if key.rpartition(" ")[2] == "id"]
                self.sheets[given["name"]] = keys[0] if keys else ""
            case "Relationship" if given.get("Type", "").endswith(SPREADSHEET_RELATION):
                target = given.get("Target", "")
                is_whole = target.startswith(("/", "xl/"))
                self.targets[given.get("Id", "")] = (
                    target.removeprefix("/") if is_whole else f"xl/{target}"
                )

    def _begin_cell(self, given: dict[str, str]) -> None:
        self.kind = given.get("t", "n")
        place = given.get("r")
        if place is None:
            self.column += 1
            return
        letters = place.rstrip("0123456789")
        column = 0
        for letter in letters[:4]:
            column = column * 26 + ord(letter) - ord("A") + 1
        self.column, self.row = column - 1, int(place[len(letters) :]) - 1

    def _fill(self) -> None:
        """Something stands in this cell; an empty one far out is only somebody's formatting."""
        if not 0 <= self.column < self.limits.columns:
            raise SpreadsheetTooLarge("columns", self.limits.columns)
        # The titles and what explains them stand above the rows that count.
        if not 0 <= self.row < 2 * self.limits.rows:
            raise SpreadsheetTooLarge("rows", self.limits.rows)
        if self.kind == "e":
            self.sheet.errors.add((self.row, self.column))

    def _end(self, name: str) -> None:
        if self.is_number and name.endswith(" v"):
            self.sheet.shared[self.number.strip()] += 1
            self.is_number = False

    def _chars(self, text: str) -> None:
        if self.is_number:
            self.number += text
        elif self.texts:
            self.texts[-1] += len(text)
        else:
            self.sheet.chars += len(text)
