"""Tables as a page that stands alone: no script, nothing fetched, fit to be printed."""

from collections.abc import Sequence
from datetime import date, datetime
from html import escape
from typing import Final

from app.core.money import MINOR_UNIT_DIGITS, Money
from app.core.tables import Cell, Document, Row, Table

_STYLE: Final = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #1b1b1b; }
h1 { font-size: 1.5rem; margin: 0 0 .75rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt { color: #555; }
dd { margin: 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; }
th, td { border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #888; }
tfoot th, tfoot td { border-top: 2px solid #888; font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; }
@media print {
  body { margin: 0; font-size: 11px; }
  .scroll { overflow: visible; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
}
"""


def page_of(document: Document) -> str:
    """The whole page as HTML; every text in it is escaped."""
    title = escape(document.title)
    facts = "".join(
        f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in document.facts
    )
    tables = "".join(_table(table) for table in document.tables)
    return (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{title}</h1><dl>{facts}</dl>{tables}</main></body></html>"
    )


def _table(table: Table) -> str:
    numeric = _numeric_columns(table)
    heads = "".join(
        f'<th scope="col"{_class(position in numeric)}>{escape(column.title)}</th>'
        for position, column in enumerate(table.columns)
    )
    rows = "".join(_row(row) for row in table.rows)
    totals = "".join(_row(row) for row in table.totals)
    foot = f"<tfoot>{totals}</tfoot>" if totals else ""
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return (
        f'<section><h2>{escape(table.title)}</h2><div class="scroll"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>{foot}</table></div>{note}</section>"
    )


def _numeric_columns(table: Table) -> set[int]:
    rows: Sequence[Row] = [*table.rows[:1], *table.totals[:1]]
    return {
        position
        for row in rows
        for position, cell in enumerate(row)
        if isinstance(cell, int | Money)
    }


def _row(row: Row) -> str:
    first, *others = row
    cells = "".join(_cell(cell) for cell in others)
    return f'<tr><th scope="row">{escape(_shown(first))}</th>{cells}</tr>'


def _cell(cell: Cell) -> str:
    return f"<td{_class(isinstance(cell, int | Money))}>{escape(_shown(cell))}</td>"


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _shown(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case str():
            return cell
        case Money():
            digits = MINOR_UNIT_DIGITS[cell.currency]
            sign = "-" if cell.amount < 0 else ""
            major, minor = divmod(abs(cell.amount), 10**digits)
            return f"{sign}{major:,}" + (f".{minor:0{digits}}" if digits else "")
        case int():
            return f"{cell:,}"
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M:%S}"
        case date():
            return cell.isoformat()
