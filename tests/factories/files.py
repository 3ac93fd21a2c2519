"""Pictures, and files as they stand after an upload."""

from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

from PIL import Image

from app.core.db import Transaction, light
from app.core.ids import new_id
from app.models.files import File, FileKind, FileState
from app.models.sessions import PrincipalKind

new_file = light(File)


def a_picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), **saved: Any) -> bytes:
    """The bytes of a picture that is red on the left and blue on the right."""
    image = Image.new("RGB", size, (200, 0, 0))
    image.paste((0, 0, 200), (size[0] // 2, 0, *size))
    written = BytesIO()
    image.save(written, kind, **saved)
    return written.getvalue()


async def an_image(
    tx: Transaction,
    *,
    group_id: UUID,
    now: datetime,
    kind: FileKind = FileKind.PUBLIC_IMAGE,
    state: FileState = FileState.STORED,
    uploader_id: UUID | None = None,
) -> File:
    """A picture that was uploaded and that nothing uses yet; there are no bytes of it."""
    file_id = new_id()
    file: File = new_file(
        id=file_id,
        group_id=group_id,
        kind=kind,
        state=state,
        content_type="image/png",
        bytes=120,
        width=40,
        height=30,
        sha256="0" * 64,
        storage_key=f"{file_id.hex[-2:]}/{file_id.hex}",
        uploader_kind=PrincipalKind.STAFF
        if kind is FileKind.PUBLIC_IMAGE
        else PrincipalKind.MEMBER,
        uploader_id=uploader_id or new_id(),
        created_at=now,
    )
    await tx.insert(file)
    return file
