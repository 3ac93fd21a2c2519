"""Where a mall is found: links and their QR images (MAL-4)."""

from enum import StrEnum
from typing import Self

import strawberry

from app.models import organisation as rows
from schema.context import Info
from schema.enums import describe
from schema.organisation import node_id_of

MINI_PROGRAM_PAGE = "pages/mall/index"


class MallTarget(StrEnum):
    H5 = "H5"
    MINI_PROGRAM = "MINI_PROGRAM"


PATHS = {MallTarget.H5: "/h5/mall", MallTarget.MINI_PROGRAM: "/mini/mall"}
"""Where links lead. The mini-program's is registered at WeChat, which opens it instead."""

describe(
    MallTarget,
    "What opens a mall.",
    {"H5": "A page on the web.", "MINI_PROGRAM": "The mini-program, inside WeChat."},
)


@strawberry.type(description="A link to a mall, and the QR code that holds it.")
class MallLink:
    target: MallTarget = strawberry.field(description="What it opens.")
    url: str = strawberry.field(description="The link.")
    page: str | None = strawberry.field(
        description="MINI_PROGRAM: its page, for links made in WeChat; null for H5."
    )
    svg_url: str = strawberry.field(description="The QR code to download, as SVG.")
    png_url: str = strawberry.field(description="The QR code to download, as PNG.")

    @classmethod
    def of(cls, target: MallTarget, mall: rows.Node, public_url: str) -> Self:
        node_id = node_id_of(mall.id)
        is_page = target is MallTarget.MINI_PROGRAM
        image = f"{public_url.rstrip('/')}/codes/mall/{target.lower()}/{node_id}"
        return cls(
            target=target,
            url=mall_url(target, mall, public_url),
            page=f"{MINI_PROGRAM_PAGE}?mall={node_id}" if is_page else None,
            svg_url=f"{image}.svg",
            png_url=f"{image}.png",
        )


@strawberry.type(description="The points mall of a group, a brand or a store.")
class Mall:
    perspective_id: strawberry.ID = strawberry.field(
        description="Whose it is, `node_…`; for `mallItems`."
    )
    title: str = strawberry.field(description="What it is called.")
    row: strawberry.Private[rows.Node]

    @classmethod
    def of(cls, row: rows.Node) -> Self:
        return cls(perspective_id=node_id_of(row.id), title=row.name, row=row)

    @strawberry.field(description="Where it is found.")
    def links(self, info: Info) -> list[MallLink]:
        public_url = info.context.settings.public_url
        return [MallLink.of(target, self.row, public_url) for target in MallTarget]


def mall_url(target: MallTarget, mall: rows.Node, public_url: str) -> str:
    """Where a mall is found; the QR code holds just this."""
    return f"{public_url.rstrip('/')}{PATHS[target]}/{node_id_of(mall.id)}"
