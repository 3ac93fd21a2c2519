"""Spreadsheets (.xlsx) that people send, read with suspicion and given as text (MEM-2, GFT-5).

The file is unpacked here once, within limits, before the library that knows its values opens it:
the library holds a sheet as one rectangle, so one cell in the last corner, a text that a million
cells share or a member of the archive that says it is small could take all memory there is.

Everything here blocks and takes a second for the largest file: call it from a thread.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from io import BytesIO
from typing import Any, Final

import python_calamine

from app.core.errors import DomainError
from app.core.excel_parts import Limits, SheetScan, scan
from app.core.texts import normal_name

HEADER_LINES_MAX: Final = 20
"""How far down the columns' titles may stand: below the explanations of a template."""
CELL_CHARS_MAX: Final = 500
EXACT_MAX: Final = 10**15
"""A spreadsheet keeps 15 digits of a number: what is larger has lost its last ones."""
REASON_TITLE: Final = "原因 Reason"
"""The column that a file of refused rows has beside its own: read over when it comes back."""
NAMED_MAX: Final = 10
"""How many titles a refusal names."""


class SheetMissing(DomainError):
    """The workbook has several sheets, or none, and not the one the template has."""

    def __init__(self, expected: str) -> None:
        self.expected = expected
        super().__init__(f"This workbook has no sheet called {expected}.")


class HeaderWrong(DomainError):
    """The titles above the columns are not the template's."""

    def __init__(self, *, missing: Sequence[str], unknown: Sequence[str], repeated: Sequence[str]):
        self.missing = list(missing[:NAMED_MAX])
        self.unknown = [title[:CELL_CHARS_MAX] for title in unknown[:NAMED_MAX]]
        self.repeated = list(repeated[:NAMED_MAX])
        super().__init__("The columns are not those of the template.")


class SpreadsheetEmpty(DomainError):
    """Nothing stands below the titles."""

    def __init__(self) -> None:
        super().__init__("This spreadsheet has no rows.")


class TooManyRows(DomainError):
    """More rows than one import takes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"A spreadsheet may have {limit} rows.")


class CellFault(StrEnum):
    """Why a cell cannot be taken for what its author meant."""

    FORMULA = "FORMULA"
    DIGITS_LOST = "DIGITS_LOST"
    NOT_TEXT = "NOT_TEXT"
    TOO_LONG = "TOO_LONG"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column of a template."""

    key: str
    title: str
    is_required: bool = True
    is_code: bool = False
    """A number would have lost its leading zeros: only text is taken."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row as text by the columns' keys; blank cells are empty."""

    number: int
    """As the spreadsheet counts, from 1."""
    cells: dict[str, str]
    faults: dict[str, CellFault]


LIMITS: Final = Limits(
    file_bytes=5_000_000, unpacked_bytes=60_000_000, entries=500, rows=20_000, columns=40,
    text_chars=40_000_000,
)  # fmt: skip


def read(
    data: bytes, *, sheet: str, columns: Sequence[Wanted], limits: Limits = LIMITS
) -> list[Line]:
    """The rows below the titles, in their order.

    The sheet is the one of that name, or the only one. Raises what `excel_parts.scan` raises,
    `SheetMissing`, `HeaderWrong`, `SpreadsheetEmpty`, `TooManyRows`.
    """
    scanned = scan(data, limits)
    with python_calamine.load_workbook(BytesIO(data)) as book:
        names = [each.name for each in book.sheets_metadata if each.name in scanned]
        chosen = sheet if sheet in names else names[0] if len(names) == 1 else None
        if chosen is None:
            raise SheetMissing(sheet)
        cells = book.get_sheet_by_name(chosen).to_python(skip_empty_area=False)
    head, positions = _header(cells[:HEADER_LINES_MAX], columns)
    codes = {column.key for column in columns if column.is_code}
    lines = []
    for row, values in enumerate(cells[head + 1 :], start=head + 1):
        line = _line(row, values, positions, scanned[chosen], codes)
        if line.faults or any(line.cells.values()):
            lines.append(line)
        if len(lines) > limits.rows:
            raise TooManyRows(limits.rows)
    if not lines:
        raise SpreadsheetEmpty
    return lines


def _header(
    above: Sequence[Sequence[Any]], columns: Sequence[Wanted]
) -> tuple[int, dict[str, int | None]]:
    """Which row holds the titles, and where each column stands; None for one that is left out."""
    known = {normal_name(column.title): column for column in columns}
    titles = [[normal_name(str(cell)) for cell in row] for row in above]
    head = max(
        range(len(titles)),
        # Of equals the first.
        key=lambda row: (len(known.keys() & set(titles[row])), -row),
        default=0,
    )
    found = titles[head] if titles else []
    missing = [column.title for title, column in known.items() if title not in found]
    needed = {column.title for column in columns if column.is_required}
    ours = known.keys() | {normal_name(REASON_TITLE), ""}
    unknown = [title for title in dict.fromkeys(found) if title not in ours]
    repeated = [column.title for title, column in known.items() if found.count(title) > 1]
    if repeated or unknown or needed & set(missing):
        raise HeaderWrong(
            missing=[title for title in missing if title in needed],
            # A row that is no header at all names what is missing, not every word of itself.
            unknown=unknown if len(missing) < len(columns) else [],
            repeated=repeated,
        )
    return head, {
        column.key: found.index(title) if title in found else None
        for title, column in known.items()
    }


def _line(
    row: int,
    values: Sequence[Any],
    positions: dict[str, int | None],
    scanned: SheetScan,
    codes: set[str],
) -> Line:
    line = Line(row + 1, {}, {})
    for key, position in positions.items():
        value = "" if position is None or position >= len(values) else values[position]
        text, fault = _text(value)
        if (row, position) in scanned.formulas:
            fault = CellFault.FORMULA
        elif (row, position) in scanned.errors:
            fault = CellFault.ERROR
        elif key in codes and fault is None and not isinstance(value, str):
            fault = CellFault.NOT_TEXT
        line.cells[key] = text[:CELL_CHARS_MAX]
        if fault is not None:
            line.faults[key] = fault
    return line


def _text(value: Any) -> tuple[str, CellFault | None]:
    """A cell as its author reads it: a phone number that was kept as a number has no `.0`."""
    match value:
        case str():
            text = unicodedata.normalize("NFC", value).strip()
            return text, CellFault.TOO_LONG if len(text) > CELL_CHARS_MAX else None
        case bool():
            return str(value).upper(), None
        case int() | float():
            if abs(value) >= EXACT_MAX:
                return f"{value:.0f}", CellFault.DIGITS_LOST
            return str(int(value)) if value == int(value) else repr(value), None
        case datetime():
            is_day = value.time() == time()
            return value.date().isoformat() if is_day else value.isoformat(" ", "seconds"), None
        case date() | time():
            return value.isoformat(), None
    return str(value), None
