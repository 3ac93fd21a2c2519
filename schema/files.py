"""Pictures, as clients are shown them."""

from typing import Self
from uuid import UUID

import strawberry

from app.models.files import File
from app.services import files
from schema.context import Info
from schema.problems import Problem, shown_as


@strawberry.type(description="A picture anybody may fetch. It never changes: cache it for good.")
class Image:
    url: str = strawberry.field(description="Where to fetch it.")
    width: int = strawberry.field(description="In pixels.")
    height: int = strawberry.field(description="In pixels.")

    @classmethod
    def of(cls, row: File, base_url: str) -> Self:
        url = files.public_url(row.id, base_url=base_url)
        return cls(url=url, width=row.width, height=row.height)


@strawberry.type(
    description="There is no such picture to refer to: it was never uploaded, or"
    " nothing used it for a day."
)
class FileNotFound(Problem):
    pass


FILE_PROBLEMS = [shown_as(FileNotFound, files.FileNotFound)]


async def image_of(info: Info, file_id: UUID | None) -> Image | None:
    """The picture that a row refers to, loaded with those of its siblings."""
    if file_id is None:
        return None
    return Image.of(
        await info.context.loaders.image.load(file_id), info.context.settings.public_url
    )
