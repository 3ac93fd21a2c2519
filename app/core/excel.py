"""Spreadsheets (.xlsx) of any length in little memory: each row goes to the disk as it comes.

Everything here blocks and takes about 0.1 ms a cell row: call it from a thread, one call at a time.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final

import xlsxwriter

from app.core.money import MINOR_UNIT_DIGITS, Money
from app.core.tables import Cell, Document, Row, Table

SHEET_ROWS_MAX: Final = 1_048_576
"""What a sheet can hold; what is longer goes on on a second one."""
SHEET_NAME_CHARS_MAX: Final = 31
_FORBIDDEN_IN_NAMES: Final = str.maketrans("[]:*?/\\'", "()------")
_OPTIONS: Final = {
    "constant_memory": True,
    # What people typed stays text, whatever it looks like.
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


class ExcelFile:
    """A workbook that is being written, table after table, in a folder that is the caller's.

    `begin` a table, `write` its rows in as many calls as you like, `end` it; `close` gives the
    finished file, open for reading and independent of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "report.xlsx"
        self._book = xlsxwriter.Workbook(self._path, {**_OPTIONS, "tmpdir": str(folder)})
        self._bold = self._book.add_format({"bold": True})
        self._title = self._book.add_format({"bold": True, "font_size": 14})
        self._heading = self._book.add_format(
            {"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"}
        )
        self._formats: dict[tuple[str, bool], Any] = {}
        self._lead: Sequence[tuple[str, str]] = ()
        self._document_title = ""
        self._table = Table(title="", columns=())
        self._sheet: Any = None
        self._line = 0
        self._parts = 0

    def head(self, document: Document) -> None:
        """What stands above every table that begins from now on: the title and the facts."""
        self._document_title, self._lead = document.title, document.facts

    def begin(self, table: Table) -> None:
        """Begin a sheet for a table; its own rows and totals are for `write` and `end`."""
        self._table, self._parts = table, 0
        self._next_sheet()

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows below what was written."""
        for row in rows:
            if self._line >= SHEET_ROWS_MAX:
                self._next_sheet()
            self._row(row, is_bold=False)

    def end(self, totals: Iterable[Row], note: str = "") -> None:
        """The sums of a table and what is to be said of it."""
        for row in totals:
            if self._line >= SHEET_ROWS_MAX:
                self._next_sheet()
            self._row(row, is_bold=True)
        if note:
            if self._line >= SHEET_ROWS_MAX:
                self._next_sheet()
            self._text(0, note)
            self._line += 1

    def add(self, table: Table) -> None:
        """A whole table at once."""
        self.begin(table)
        self.write(table.rows)
        self.end(table.totals, table.note)

    def close(self) -> BinaryIO:
        """Finish the file."""
        self._book.close()
        return self._path.open("rb")

    def _next_sheet(self) -> None:
        self._parts += 1
        ending = f" {self._parts}" if self._parts > 1 else ""
        name = self._table.title.translate(_FORBIDDEN_IN_NAMES)
        name = name[: SHEET_NAME_CHARS_MAX - len(ending)] + ending
        self._sheet = self._book.add_worksheet(name)
        self._line = 0
        self._text(0, f"{self._document_title} · {self._table.title}", self._title)
        self._line += 1
        for label, value in self._lead:
            self._text(0, label, self._bold)
            self._text(1, value)
            self._line += 1
        self._line += 1
        for position, column in enumerate(self._table.columns):
            kept = self._format("@", is_bold=False) if column.is_typed_in else None
            self._sheet.set_column(position, position, column.width, kept)
            self._text(position, column.title, self._heading)
        self._sheet.freeze_panes(self._line + 1, 0)
        self._sheet.repeat_rows(self._line)
        self._sheet.set_landscape()
        self._sheet.fit_to_pages(1, 0)
        self._line += 1

    def _row(self, row: Row, *, is_bold: bool) -> None:
        for position, cell in enumerate(row):
            if cell is not None:
                self._cell(position, cell, is_bold)
        self._line += 1

    def _cell(self, position: int, cell: Cell, is_bold: bool) -> None:
        write_number = self._sheet.write_number
        match cell:
            case str():
                self._text(position, cell, self._bold if is_bold else None)
            case Money():
                digits = MINOR_UNIT_DIGITS[cell.currency]
                shown = self._format(f"#,##0.{'0' * digits}" if digits else "#,##0", is_bold)
                # A Decimal, so that no float of ours comes between: 0.29 is written as 0.29.
                write_number(self._line, position, Decimal(cell.amount).scaleb(-digits), shown)
            case int():
                write_number(self._line, position, cell, self._format("#,##0", is_bold))
            case datetime():
                # A spreadsheet knows no zones: the facts above say which wall the clock hangs on.
                shown = self._format("yyyy-mm-dd hh:mm:ss", is_bold)
                moment = cell.replace(tzinfo=None)
                self._sheet.write_datetime(self._line, position, moment, shown)
            case date():
                shown = self._format("yyyy-mm-dd", is_bold)
                self._sheet.write_datetime(self._line, position, cell, shown)

    def _text(self, position: int, text: str, shown: Any = None) -> None:
        # With constant_memory the library takes such a text for markup of its own and writes it
        # unescaped, so that a name could break the file or put cells into it.
        if text.startswith("<r>") and text.endswith("</r>"):
            text += " "
        self._sheet.write_string(self._line, position, text, shown)

    def _format(self, number_format: str, is_bold: bool) -> Any:
        found = self._formats.get((number_format, is_bold))
        if found is None:
            found = self._book.add_format({"num_format": number_format, "bold": is_bold})
            self._formats[number_format, is_bold] = found
        return found


def excel_of(document: Document, folder: Path) -> BinaryIO:
    """A spreadsheet with one sheet for each table."""
    file = ExcelFile(folder)
    file.head(document)
    for table in document.tables:
        file.add(table)
    return file.close()
