"""Tables for people: what a spreadsheet and a printed page are both made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from app.core.money import Money

Cell = str | int | Money | date | datetime | None
"""Text, a count, an amount in its own currency, a day, a moment on the wall of a zone, nothing."""

Row = Sequence[Cell]


class Column(NamedTuple):
    """What stands above a column, and how many characters wide it is in a spreadsheet."""

    title: str
    width: int = 14
    is_typed_in: bool = False
    """Somebody fills it in: what looks like a number stays text, with every digit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a title, and below them the sums: real numbers, one row a currency."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row] = ()
    totals: Sequence[Row] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one report says: its title, what it is about line by line, and its tables."""

    title: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]
