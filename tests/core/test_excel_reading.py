"""Spreadsheets from outside: what is read is what was meant, and a hostile file costs nothing."""

import tracemalloc
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
import xlsxwriter

from app.core.errors import DomainError
from app.core.excel_parts import (
    NotASpreadsheet,
    OldOrProtectedSpreadsheet,
    SpreadsheetTooLarge,
)
from app.core.excel_reading import (
    LIMITS,
    REASON_TITLE,
    CellFault,
    HeaderWrong,
    Line,
    SheetMissing,
    SpreadsheetEmpty,
    TooManyRows,
    Wanted,
    read,
)

SHEET = "卡号 Numbers"
COLUMNS = (
    Wanted("number", "卡号 Number"),
    Wanted("key", "卡密 Key"),
    Wanted("note", "备注 Note", is_required=False),
)
HEAD = ["卡号 Number", "卡密 Key"]
CELL = '<row r="{row}"><c r="{place}" t="{kind}"><v>{value}</v></c></row>'


def a_book(*rows: Sequence[Any], sheets: Sequence[str] = (SHEET,)) -> bytes:
    """A workbook as Excel writes it; `=…` is a formula whose value is 7."""
    target = BytesIO()
    book = xlsxwriter.Workbook(target, {"in_memory": True, "remove_timezone": True})
    days = book.add_format({"num_format": "yyyy-mm-dd"})
    for name in sheets:
        sheet = book.add_worksheet(name)
        for line, row in enumerate(rows):
            for position, cell in enumerate(row):
                if isinstance(cell, str) and cell.startswith("="):
                    sheet.write_formula(line, position, cell, None, 7)
                elif isinstance(cell, datetime):
                    sheet.write_datetime(line, position, cell, days)
                elif isinstance(cell, str):
                    sheet.write_string(line, position, cell)
                else:
                    sheet.write(line, position, cell)
    book.close()
    return target.getvalue()


def changed(data: bytes, name: str, old: str, new: str, **more: str) -> bytes:
    """The same archive with something else in one member, or with more members."""
    target = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(data)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for entry in source.infolist():
            text = source.read(entry)
            if entry.filename == name:
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode())
            made.writestr(entry.filename, text)
        for path, content in more.items():
            made.writestr(path, content)
    return target.getvalue()


def rows_of(data: bytes) -> list[Line]:
    return read(data, sheet=SHEET, columns=COLUMNS)


def test_cells_are_read_as_their_author_sees_them() -> None:
    """Numbers lose the point a float would give them, and nothing that lost digits passes."""
    found = rows_of(
        a_book(
            ["说明 What to fill in"],
            [],
            [*HEAD, REASON_TITLE],
            ["0012", 13812345678, "An old reason"],
            [],
            [1234567890123456, "=A1*2"],
            [12.5, datetime(2026, 1, 2, tzinfo=UTC)],
            ["  e\u0301 ", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)],
            [True, "x" * 501],
            ["#N/A stays text", None],
        )
    )
    assert [(line.number, line.cells["number"], line.cells["key"]) for line in found] == [
        (4, "0012", "13812345678"),
        (6, "1234567890123456", "7"),
        (7, "12.5", "2026-01-02"),
        (8, "é", "2026-01-02 03:04:00"),
        (9, "TRUE", "x" * 500),
        (10, "#N/A stays text", ""),
    ]
    assert {line.number: line.faults for line in found if line.faults} == {
        6: {"number": CellFault.DIGITS_LOST, "key": CellFault.FORMULA},
        9: {"key": CellFault.TOO_LONG},
    }
    assert {line.cells["note"] for line in found} == {""}


def test_a_code_is_taken_as_text_alone() -> None:
    """As a number it has lost the zeros it began with, and would pass for another code."""
    columns = [Wanted("number", "卡号 Number"), Wanted("key", "卡密 Key", is_code=True)]
    found = read(a_book(HEAD, [1, 12345678], [2, "012345678"]), sheet=SHEET, columns=columns)
    assert [line.faults for line in found] == [{"key": CellFault.NOT_TEXT}, {}]


def test_an_error_value_is_no_text() -> None:
    data = changed(
        a_book(HEAD, [1, "k"]), "xl/worksheets/sheet1.xml", '<c r="A2"><v>1</v>',
        '<c r="A2" t="e"><v>#N/A</v>',
    )  # fmt: skip
    (line,) = rows_of(data)
    assert line.faults == {"number": CellFault.ERROR}


def test_formatting_far_out_is_no_row() -> None:
    """Excel writes empty cells for a column somebody coloured down to the bottom."""
    data = changed(
        a_book(HEAD, ["1", "k"]), "xl/worksheets/sheet1.xml", "</sheetData>",
        '<row r="1048576"><c r="XFD1048576" s="0"/></row></sheetData>',
    )  # fmt: skip
    assert len(rows_of(data)) == 1


def test_the_only_sheet_may_have_any_name() -> None:
    assert len(rows_of(a_book(HEAD, ["1", "k"], sheets=["Tabelle1"]))) == 1
    assert len(rows_of(a_book(HEAD, ["1", "k"], sheets=["Other", SHEET]))) == 1


def refused(data: bytes) -> DomainError:
    with pytest.raises(DomainError) as told:
        rows_of(data)
    return told.value


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"number,key\n1,2\n", NotASpreadsheet),
        (b"", NotASpreadsheet),
        (b"PK\x03\x04" + b"\0" * 100, NotASpreadsheet),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, NotASpreadsheet),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, OldOrProtectedSpreadsheet),
        (a_book(HEAD), SpreadsheetEmpty),
        (a_book(HEAD, ["1", "k"], sheets=["One", "Two"]), SheetMissing),
        (a_book(HEAD, ["1"] * (LIMITS.columns + 1)), SpreadsheetTooLarge),
        (b"PK\x03\x04" + b"\0" * LIMITS.file_bytes, SpreadsheetTooLarge),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_cannot_be_read_says_why(data: bytes, refusal: type[DomainError]) -> None:
    assert type(refused(data)) is refusal


def test_too_many_rows_are_refused_not_cut_off() -> None:
    few = replace(LIMITS, rows=3)
    data = a_book(HEAD, *[["1", "k"]] * 4)
    with pytest.raises(TooManyRows) as told:
        read(data, sheet=SHEET, columns=COLUMNS, limits=few)
    assert told.value.limit == 3
    assert len(read(data, sheet=SHEET, columns=COLUMNS, limits=replace(LIMITS, rows=4))) == 4


def test_a_wrong_header_names_what_is_wrong() -> None:
    told = refused(a_book(["卡号 Number", "Colour", "卡号 number"], ["1", "red", "2"]))
    assert isinstance(told, HeaderWrong)
    assert (told.missing, told.unknown, told.repeated) == (
        ["卡密 Key"], ["colour"], ["卡号 Number"],
    )  # fmt: skip
    nothing = refused(a_book(["Dear", "colleague"], ["please", "find"]))
    assert isinstance(nothing, HeaderWrong)
    assert (nothing.missing, nothing.unknown) == (["卡号 Number", "卡密 Key"], [])


def a_bomb(kind: str) -> bytes:
    """A small file that wants all the memory there is."""
    book = a_book(HEAD, ["1", "k"])
    sheet = "xl/worksheets/sheet1.xml"
    match kind:
        case "zeros":
            return changed(book, "", "", "", **{"xl/media/image1.png": "\0" * 80_000_000})
        case "corner":
            cell = CELL.format(row=1_048_576, place="XFD1048576", kind="n", value=1)
            return changed(book, sheet, "</sheetData>", f"{cell}</sheetData>")
        case "shared":
            # One text of a megabyte, shown by a thousand cells.
            cells = "".join(
                CELL.format(row=row, place=f"A{row}", kind="s", value=0) for row in range(3, 1_003)
            )
            book = changed(book, sheet, "</sheetData>", f"{cells}</sheetData>")
            return changed(
                book, "xl/sharedStrings.xml", f"<t>{HEAD[0]}</t>", f"<t>{'x' * 1_000_000}</t>"
            )
        case "entities":
            doctype = '<!DOCTYPE a [<!ENTITY b "xx"><!ENTITY c "&b;&b;">]><worksheet'
            return changed(book, sheet, "<worksheet", doctype)
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("zeros", SpreadsheetTooLarge),
        ("corner", SpreadsheetTooLarge),
        ("shared", SpreadsheetTooLarge),
        ("entities", NotASpreadsheet),
    ],
)
def test_a_bomb_is_refused_before_it_goes_off(kind: str, refusal: type[DomainError]) -> None:
    data = a_bomb(kind)
    assert len(data) < 200_000
    tracemalloc.start()
    told = refused(data)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert type(told) is refusal
    assert most < 10_000_000


def test_an_archive_that_lies_about_its_sizes_is_refused() -> None:
    """What it says in its directory is small; what unpacks is not."""
    data = bytearray(a_bomb("zeros"))
    with zipfile.ZipFile(BytesIO(data)) as archive:
        directory = archive.start_dir
        entry = archive.getinfo("xl/media/image1.png")
    at = data.index(entry.filename.encode(), directory) - 46
    data[at + 24 : at + 28] = (1_000).to_bytes(4, "little")
    assert type(refused(bytes(data))) is SpreadsheetTooLarge


def test_two_members_of_one_name_are_refused() -> None:
    """Readers disagree on which of them counts."""
    target = BytesIO(a_book(HEAD, ["1", "k"]))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(target, "a") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    assert type(refused(target.getvalue())) is NotASpreadsheet
