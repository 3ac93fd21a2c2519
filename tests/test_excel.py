"""Spreadsheets and pages: what is written is what is read, and nothing that people typed runs."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import python_calamine

from app.core import excel
from app.core.excel import ExcelFile, excel_of
from app.core.money import Money
from app.core.table_page import page_of
from app.core.tables import Column, Document, Row, Table

COLUMNS = (Column("名称 Name", 20), Column("Amount"))
FACTS = [("集团 Group", "Regulars"), ("期间 Period", "2026-08-01")]
HEAD_LINES = 2 + len(FACTS)
"""The title, the facts and an empty line above the columns' titles."""


def a_document(*rows: Row, **more: Any) -> Document:
    table = Table(title="余额 Balances", columns=COLUMNS, rows=rows, **more)
    return Document(title="Stored value", facts=FACTS, tables=[table])


def read(document: Document, folder: Path) -> dict[str, list[list[Any]]]:
    """Every sheet of the file as another library reads it."""
    with excel_of(document, folder) as file:
        book = python_calamine.load_workbook(file)
        return {
            name: book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            for name in book.sheet_names
        }


def body(document: Document, folder: Path) -> list[list[Any]]:
    """What stands below the columns' titles of the only sheet."""
    (sheet,) = read(document, folder).values()
    return sheet[HEAD_LINES + 1 :]


def test_a_sheet_says_what_it_is_before_its_columns(tmp_path: Path) -> None:
    sheets = read(a_document(["Coffee", Money(1_250, "CNY")]), tmp_path)
    assert sheets == {
        "余额 Balances": [
            ["Stored value · 余额 Balances", ""],
            ["集团 Group", "Regulars"],
            ["期间 Period", "2026-08-01"],
            ["", ""],
            ["名称 Name", "Amount"],
            ["Coffee", 12.5],
        ]
    }


@pytest.mark.parametrize(
    ("amount", "currency", "number"),
    [
        (29, "CNY", 0.29),
        (-105, "CNY", -1.05),
        (0, "CNY", 0.0),
        (1_250, "JPY", 1_250.0),
        (1_250, "KWD", 1.25),
        (123_456_789_012_345, "CNY", 1_234_567_890_123.45),
    ],
)
def test_money_is_a_number_in_major_units(
    tmp_path: Path, amount: int, currency: str, number: float
) -> None:
    assert body(a_document(["x", Money(amount, currency)]), tmp_path) == [["x", number]]


def test_counts_days_and_moments_keep_their_kind(tmp_path: Path) -> None:
    """A moment is shown on the wall of the zone it was brought in."""
    moment = datetime(2026, 9, 1, 16, 30, 15, tzinfo=UTC).astimezone(ZoneInfo("Asia/Shanghai"))
    rows: Sequence[Row] = (["n", 1_234_567], ["d", date(2026, 2, 28)], ["m", moment], ["-", None])
    assert body(a_document(*rows), tmp_path) == [
        ["n", 1_234_567.0],
        ["d", date(2026, 2, 28)],
        ["m", datetime(2026, 9, 2, 0, 30, 15)],  # noqa: DTZ001  # what a sheet can hold
        ["-", ""],
    ]


@pytest.mark.parametrize(
    "typed",
    [
        "=1+1",
        '=HYPERLINK("http://example.com","x")',
        "@SUM(A1)",
        "+861234567",
        "https://example.com",
        "0012",
        "<r><t>x</t></r>",
        "<r>&</r>",
        "_x0041_ & <b>",
        "  blanks  ",
        "王**",
    ],
)
def test_what_people_typed_stays_text(tmp_path: Path, typed: str) -> None:
    """No formula, no link, no number, and no markup that the library would take for its own."""
    ((name, _),) = body(a_document([typed, 1]), tmp_path)
    assert isinstance(name, str)
    assert name.rstrip() == typed.rstrip()


def test_totals_are_numbers_below_the_rows(tmp_path: Path) -> None:
    document = a_document(
        ["a", Money(100, "CNY")],
        totals=[["合计 Total", Money(100, "CNY")]],
        note="That is all.",
    )
    assert body(document, tmp_path) == [["a", 1.0], ["合计 Total", 1.0], ["That is all.", ""]]


def test_what_a_sheet_cannot_hold_goes_on_on_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, "SHEET_ROWS_MAX", HEAD_LINES + 3)
    file = ExcelFile(tmp_path)
    document = a_document()
    file.head(document)
    file.begin(document.tables[0])
    file.write([["a", 1], ["b", 2]])
    file.write([["c", 3]])
    file.end([["合计 Total", 6]])
    with file.close() as written:
        book = python_calamine.load_workbook(written)
        sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    assert {name: rows[HEAD_LINES:] for name, rows in sheets.items()} == {
        "余额 Balances": [["名称 Name", "Amount"], ["a", 1.0], ["b", 2.0]],
        "余额 Balances 2": [["名称 Name", "Amount"], ["c", 3.0], ["合计 Total", 6.0]],
    }


def test_a_title_that_no_sheet_can_have_is_made_fit(tmp_path: Path) -> None:
    table = Table(title="a/b [c]: 'd' * and more than thirty-one characters?", columns=COLUMNS)
    sheets = read(Document(title="t", facts=FACTS, tables=[table]), tmp_path)
    assert list(sheets) == ["a-b (c)- -d- - and more than th"]


class _Tags(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed(page: str) -> _Tags:
    tags = _Tags()
    tags.feed(page)
    return tags


def test_a_page_shows_the_same_and_runs_nothing() -> None:
    script = "<script>alert(1)</script>"
    document = a_document(
        [script, Money(-123_456, "CNY")],
        [None, 1_000],
        totals=[["合计 Total", Money(5, "CNY")]],
        note=script,
    )
    page = page_of(document)
    assert script not in page
    found = parsed(page)
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "img", "link", "iframe", "a", "form"}
    assert [tag for tag, _ in found.tags].count("style") == 1
    assert found.texts.count(script) == 2
    for text in ("-1,234.56", "1,000", "0.05", "合计 Total", "集团 Group", "Regulars"):
        assert text in found.texts, text


def test_a_page_says_which_cells_are_heads() -> None:
    found = parsed(page_of(a_document(["Coffee", 1])))
    heads = [attributes for tag, attributes in found.tags if tag == "th"]
    assert [each["scope"] for each in heads] == ["col", "col", "row"]
    assert heads[1]["class"] == "number"
