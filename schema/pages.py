"""Relay connections: `first` ≤ 100, cursors that stay true while rows arrive."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Self, TypeVar
from uuid import UUID

import strawberry

from app.core.errors import BadInput

PAGE_SIZE_MAX = 100
PAGE_SIZE_DEFAULT = 20

First = Annotated[
    int, strawberry.argument(description=f"How many to return, 1 to {PAGE_SIZE_MAX}.")
]
After = Annotated[
    str | None, strawberry.argument(description="Return what follows this cursor; null starts.")
]

N = TypeVar("N")


@strawberry.type(description="Where a page of a connection stands.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follows the last edge.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor, for `after`.")


@strawberry.type(description="One node of a connection and the cursor of its place.")
class Edge(Generic[N]):
    cursor: str = strawberry.field(description="The place of this edge, for `after`.")
    node: N = strawberry.field(description="What the edge leads to.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[N]):
    edges: list[Edge[N]] = strawberry.field(description="The nodes of this page, with cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")

    @classmethod
    def of(cls, rows: Sequence[Any], first: int, node: Callable[[Any], N], **more: Any) -> Self:
        """A page of rows ordered by id; `rows` holds one more than `first` if more follow.

        `more` is for connections that say more than this one, such as how many there are.
        """
        shown = rows[:first]
        edges = [Edge(cursor=cursor_of(row.id), node=node(row)) for row in shown]
        return cls(
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(rows) > first,
                end_cursor=edges[-1].cursor if edges else None,
            ),
            **more,
        )


def page_limit(first: int) -> int:
    """How many rows to ask for: one more than shown, to know whether more follow."""
    if not 1 <= first <= PAGE_SIZE_MAX:
        raise BadInput(f"first must be between 1 and {PAGE_SIZE_MAX}.")
    return first + 1


def cursor_of(id: UUID) -> str:  # noqa: A002  # the word of the schema
    return base64.urlsafe_b64encode(id.bytes).rstrip(b"=").decode()


def row_after(after: str | None) -> UUID | None:
    """The id a cursor stands for, or None to start; raises `BadInput`."""
    if after is None:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(after + "=="))
    except (ValueError, binascii.Error):
        raise BadInput("after is not a cursor of this list.") from None
