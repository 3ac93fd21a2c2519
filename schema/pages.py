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
    end_cursor: str | None = strawberry.field(
        description="Where to go on, for `after`: at the last edge, or beyond it where a search"
        " looked further than it found."
    )


@strawberry.type(description="One node of a connection and the cursor of its place.")
class Edge(Generic[N]):
    cursor: str = strawberry.field(description="The place of this edge, for `after`.")
    node: N = strawberry.field(description="What the edge leads to.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[N]):
    edges: list[Edge[N]] = strawberry.field(description="The nodes of this page, with cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")

    @classmethod
    def of(
        cls,
        rows: Sequence[Any],
        first: int,
        node: Callable[[Any], N],
        *,
        cursor: Callable[[Any], str] = lambda row: cursor_of(row.id),
        looked_until: UUID | None = None,
        **more: Any,
    ) -> Self:
        """A page of rows, ordered by id unless `cursor` says otherwise; `rows` holds one more than
        `first` if more follow.

        `looked_until` is for a search that stopped there, whether or not it found enough. `more`
        is for connections that say more than this one, such as how many there are.
        """
        edges = [Edge(cursor=cursor(row), node=node(row)) for row in rows[:first]]
        if looked_until is not None and len(rows) <= first:
            page_info = PageInfo(has_next_page=True, end_cursor=cursor_of(looked_until))
        else:
            page_info = PageInfo(
                has_next_page=len(rows) > first,
                end_cursor=edges[-1].cursor if edges else None,
            )
        return cls(edges=edges, page_info=page_info, **more)


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
