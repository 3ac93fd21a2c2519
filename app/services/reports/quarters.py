"""Moments grouped by quarters of an hour, in the database, and by days and months here.

Neither database knows every zone's calendar in the same way. Every zone in use is a whole number of
quarters away from UTC, so a day or a month of any of them is made of whole quarters.
"""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Integer
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

QUARTER_S = 900


class quarter_of(ColumnElement[int]):  # noqa: N801  # reads like a function where it stands
    """The quarter of an hour, counted from 1970, in which the moment of a column lies."""

    inherit_cache = False
    type = Integer()

    def __init__(self, column: Any) -> None:
        self.column = column


@compiles(quarter_of, "postgresql")
def _on_postgresql(element: quarter_of, compiler: SQLCompiler, **kwargs: Any) -> str:
    column = compiler.process(element.column, **kwargs)
    return f"CAST(floor(extract(epoch FROM {column}) / {QUARTER_S}) AS INTEGER)"


@compiles(quarter_of, "sqlite")
def _on_sqlite(element: quarter_of, compiler: SQLCompiler, **kwargs: Any) -> str:
    column = compiler.process(element.column, **kwargs)
    return f"CAST(strftime('%s', {column}) AS INTEGER) / {QUARTER_S}"


def day_of(quarter: int, zone: ZoneInfo) -> date:
    """The day on the wall of a zone to which a quarter belongs."""
    return datetime.fromtimestamp(quarter * QUARTER_S, UTC).astimezone(zone).date()


def month_of(quarter: int, zone: ZoneInfo) -> date:
    """The first day of the month to which a quarter belongs."""
    return day_of(quarter, zone).replace(day=1)
