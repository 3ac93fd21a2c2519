"""Statements: written once in SQLModel/Core, compiled once per dialect to text and converters.

A statement declares what its rows are read into:

- a table class: light rows with the table's columns. They are typed as the table for the
  checker's sake, yet are plain tuples with names: building mapped instances costs ten times more;
- a NamedTuple of your own, whose fields must be the statement's columns, in order;
- `int`, `str`, `UUID` …: a single column's value.
"""

import sys
from collections import namedtuple
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, overload
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, BindParameter, ColumnElement, Dialect, Text, bindparam, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import SQLModel

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

SCALARS = (int, str, bytes, bool, UUID, datetime)

DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.asyncpg.dialect(),  # type: ignore[no-untyped-call]
}
INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

STATEMENTS: "list[Statement[Any]]" = []
"""Every statement of the product: a test EXPLAINs each of them on both databases."""


class Prepared(Generic[R_co]):
    """One statement in one dialect: its text, the order of its values, and how they cross."""

    __slots__ = ("columns", "fixed", "inward", "make", "order", "outward", "sql")

    def __init__(self, clause: Any, dialect: Dialect, into: type[Any] | None) -> None:
        compiled = clause.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        binds = compiled.binds
        self.sql = str(compiled)
        self.order: list[str] = list(compiled.positiontup or ())
        self.fixed = {name: binds[name].value for name in self.order if not binds[name].required}
        crossings = [
            binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in self.order
        ]
        self.inward = list(zip(self.order, crossings, strict=True))
        self.columns = _result_columns(clause)
        # SQLAlchemy caches these processors by column; asking once is all we need.
        self.outward = [
            (position, crossing)
            for position, column in enumerate(self.columns)
            if (crossing := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]
        self.make = _maker(into, [column.key for column in self.columns], self.sql)

    def values(self, given: dict[str, Any]) -> list[Any]:
        merged = self.fixed | given if self.fixed else given
        return [
            crossing(merged[name]) if crossing else merged[name] for name, crossing in self.inward
        ]

    def row(self, raw: Sequence[Any]) -> R_co:
        if self.outward:
            cells = list(raw)
            for position, crossing in self.outward:
                cells[position] = crossing(cells[position])
            raw = cells
        return self.make(raw)  # type: ignore[no-any-return]


class Statement(Generic[R_co]):
    """A statement of a service, compiled at its first use in each dialect."""

    __slots__ = ("_build", "_prepared", "declared_in", "into")

    def __init__(self, build: Callable[[str], Any], into: type[Any] | None) -> None:
        self._build = build
        self._prepared: dict[str, Prepared[R_co]] = {}
        self.into = into
        self.declared_in: str = sys._getframe(2).f_globals.get("__name__", "")
        STATEMENTS.append(self)

    def on(self, dialect_name: str) -> Prepared[R_co]:
        prepared = self._prepared.get(dialect_name)
        if prepared is None:
            clause = self._build(dialect_name)
            prepared = Prepared[R_co](clause, DIALECTS[dialect_name], self.into)
            self._prepared[dialect_name] = prepared
        return prepared


@overload
def statement(clause: Any) -> Statement[Any]: ...
@overload
def statement(clause: Any, into: type[R]) -> Statement[R]: ...
def statement(clause: Any, into: type[Any] | None = None) -> Statement[Any]:
    """Register a statement; `into` says what its rows are read as (see the module)."""
    return Statement(lambda _dialect: clause, into)


@overload
def upsert(build: Callable[[Any], Any]) -> Statement[Any]: ...
@overload
def upsert(build: Callable[[Any], Any], into: type[R]) -> Statement[R]: ...
def upsert(build: Callable[[Any], Any], into: type[Any] | None = None) -> Statement[Any]:
    """A statement that needs the dialect's own `insert`, for ON CONFLICT."""
    return Statement(lambda dialect_name: build(INSERTS[dialect_name]), into)


def every_column(table: type[SQLModel]) -> dict[str, BindParameter[Any]]:
    """For `.values(…)`: each column of a table bound under its own name."""
    columns = table.__table__.columns  # type: ignore[attr-defined]
    return {column.key: bindparam(column.key, type_=column.type) for column in columns}


def values_of(row: Any) -> dict[str, Any]:
    """A light row's values by column, for a statement that binds every column."""
    return row._asdict()  # type: ignore[no-any-return]


def changed_copy(row: T, **values: Any) -> T:
    """A light row with some of its columns changed, as it reads after an UPDATE."""
    return row._replace(**values)  # type: ignore[attr-defined, no-any-return]


@cache
def insert_of(table: type[SQLModel]) -> Statement[Any]:
    """The plain INSERT of every column of a table."""
    return statement(table.__table__.insert().values(every_column(table)))  # type: ignore[attr-defined]


def light(table: type[T]) -> type[T]:
    """A maker of light rows of a table, called like the table's own constructor.

    `light(Entry)(posting_id=…, amount=…)` applies the table's defaults and costs 2 µs, where
    `Entry(…)` costs 37 µs. Hand the result to `Transaction.insert`.
    """
    row_class = _row_class(table)  # type: ignore[arg-type]  # classes are hashable
    fixed: dict[str, Any] = {}
    made: list[tuple[str, Callable[[], Any]]] = []
    for name, field in table.model_fields.items():  # type: ignore[attr-defined]
        if field.default_factory is not None:
            made.append((name, field.default_factory))
        elif not field.is_required():
            fixed[name] = field.default

    def new(**given: Any) -> Any:
        for name, factory in made:
            if name not in given:
                given[name] = factory()
        return row_class(**(fixed | given))

    return new  # type: ignore[return-value]  # called like the class, by design


@cache
def _row_class(table: Any) -> Any:
    names = [column.key for column in table.__table__.columns]
    row_class = namedtuple(table.__name__, names)  # type: ignore[misc]  # noqa: PYI024
    row_class.table = table  # type: ignore[attr-defined]
    return row_class


def _maker(into: Any, names: list[str], sql: str) -> Callable[[Sequence[Any]], Any]:
    if into is None:
        return tuple
    if into in SCALARS:
        assert len(names) == 1, f"a scalar needs one column: {sql}"
        return lambda raw: raw[0]
    if isinstance(into, type) and issubclass(into, SQLModel):
        into = _row_class(into)
    assert list(into._fields) == names, f"{into.__name__} {into._fields} is not {names}: {sql}"
    return into._make  # type: ignore[no-any-return]


def _result_columns(clause: Any) -> list[Any]:
    return list(getattr(clause, "exported_columns", ()) or ())


class _Many(TypeDecorator[Any]):
    """A list as one parameter: an array on PostgreSQL, a JSON text on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(self.item))
        return dialect.type_descriptor(Text())

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        item = self.item.dialect_impl(dialect).bind_processor(dialect) or _as_it_is
        if dialect.name == "postgresql":
            return lambda values: [item(value) for value in values]
        return lambda values: orjson.dumps([item(value) for value in values]).decode()


def _as_it_is(value: Any) -> Any:
    return value


def if_given(name: str, column: Any) -> ColumnElement[bool]:
    """Condition: the column equals the value bound as `name`; null lets every row pass."""
    value: ColumnElement[Any] = bindparam(name, type_=column.type)
    return or_(value.is_(None), column == value)


class any_of(ColumnElement[bool]):  # noqa: N801  # reads like a function where it stands
    """`column` is one of a list given as the one parameter `name`, whatever its length."""

    inherit_cache = False

    def __init__(self, column: Any, name: str) -> None:
        self.column = column
        self.values: BindParameter[Any] = bindparam(name, type_=_Many(column.type))


@compiles(any_of, "postgresql")
def _any_of_postgresql(element: any_of, compiler: SQLCompiler, **kwargs: Any) -> str:
    values = compiler.process(element.values, **kwargs)
    return f"{compiler.process(element.column, **kwargs)} = ANY ({values})"


@compiles(any_of, "sqlite")
def _any_of_sqlite(element: any_of, compiler: SQLCompiler, **kwargs: Any) -> str:
    values = compiler.process(element.values, **kwargs)
    column = compiler.process(element.column, **kwargs)
    return f"{column} IN (SELECT value FROM json_each({values}))"
