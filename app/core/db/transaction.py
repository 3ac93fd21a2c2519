"""What a service sees of the database: a transaction that runs statements."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from app.core.db.statements import Statement

R = TypeVar("R")


class ConstraintViolated(Exception):
    """A unique, check or foreign key constraint refused a row; the driver's text names which."""


class TransientFailure(Exception):
    """The database made this transaction give way; running it again may succeed."""


class Transaction(Protocol):
    """The statements of one service call. Nobody but `Database.run` commits or rolls back.

    On SQLite the whole call runs in one hop to the writer's thread, so nothing but these methods
    may be awaited inside; on PostgreSQL nothing else should be: the connection is held meanwhile.
    """

    async def all(self, statement: Statement[R], /, **values: Any) -> list[R]:
        """Every row."""

    async def one(self, statement: Statement[R], /, **values: Any) -> R | None:
        """The first row, or None."""

    async def changed(self, statement: Statement[Any], /, **values: Any) -> int:
        """Run a writing statement; the number of rows it touched."""

    async def insert(self, *rows: Any) -> None:
        """Insert light rows (`light(Table)(…)`) of any tables, in the order given."""

    def announce(self, topic: str, event: dict[str, Any]) -> None:
        """Tell live listeners after the commit; best effort, lost if the process dies."""


Call = Callable[[Transaction], Coroutine[Any, Any, R]]
"""One service call, its arguments given: what a backend runs as one transaction."""

Announcements = list[tuple[str, dict[str, Any]]]
"""Topics and events, in the order they were announced."""
