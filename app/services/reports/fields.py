"""How reports' tables are written: what a column says of a thing, and what is added up below."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from app.core.money import Money
from app.core.tables import Cell, Column, Row, Table
from app.services.reports import words

NAME_CHARS, ID_CHARS, MOMENT_CHARS = 24, 32, 20
"""How wide columns of names, ids and moments are."""


class Field(NamedTuple):
    """A column of a table, what its cells say of a thing, and whether they are added up below."""

    title: str
    cell: Callable[[Any], Cell]
    width: int = 14
    is_summed: bool = False


def money_of(amount: Callable[[Any], int], currency: Callable[[Any], str]) -> Callable[[Any], Cell]:
    return lambda thing: Money(amount(thing), currency(thing))


def summed(title: str, cell: Callable[[Any], Cell]) -> Field:
    return Field(title, cell, is_summed=True)


class Sums:
    """Real sums of the fields that have them, kept by currency while rows go by."""

    def __init__(self, fields: Sequence[Field]) -> None:
        titles = [field.title for field in fields]
        self._fields = fields
        self._currency_at = titles.index(words.CURRENCY) if words.CURRENCY in titles else None
        self._totals: dict[str, list[Cell]] = {}

    def add(self, row: Row) -> None:
        if self._currency_at is None or not any(field.is_summed for field in self._fields):
            return
        currency = str(row[self._currency_at])
        total = self._totals.get(currency)
        if total is None:
            total = self._totals[currency] = [None] * len(row)
            total[0], total[self._currency_at] = words.TOTAL, currency
        for position, field in enumerate(self._fields):
            if field.is_summed:
                total[position] = _added(total[position], row[position])

    def rows(self) -> list[Row]:
        """One a currency."""
        return [total for _, total in sorted(self._totals.items())]


def table_of(
    title: str, fields: Sequence[Field], things: Iterable[object], note: str = ""
) -> Table:
    """A table of things, with the sums of what its fields add up."""
    rows = [row_of(fields, thing) for thing in things]
    sums = Sums(fields)
    for row in rows:
        sums.add(row)
    return Table(
        title=title,
        columns=[Column(field.title, field.width) for field in fields],
        rows=rows,
        totals=sums.rows(),
        note=note,
    )


def row_of(fields: Sequence[Field], thing: object) -> Row:
    return [field.cell(thing) for field in fields]


def _added(total: Cell, cell: Cell) -> Cell:
    match total, cell:
        case None, _:
            return cell
        case Money(), Money():
            return total + cell
        case int(), int():
            return total + cell
    raise AssertionError(f"not to be added up: {total!r} and {cell!r}")


def local(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    return None if moment is None else moment.astimezone(zone)
