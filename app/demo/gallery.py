"""The demo's pictures, drawn for it: hung in the group's own store as any upload is."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

from app.core.db import Database
from app.core.images import redrawn
from app.gateways.files.protocol import FileStore
from app.services import files
from app.services.actors import Actor

FOLDER = Path(__file__).parent / "pictures"


async def hang(
    database: Database, store: FileStore, owner: Actor, *, now: datetime
) -> Mapping[str, UUID]:
    """Upload every picture of the folder; their ids by name."""
    hung = {}
    for path in sorted(FOLDER.glob("*.webp")):
        picture = redrawn(path.read_bytes())
        file = await database.run(
            files.begin_public, owner, perspective_id=owner.group_id, picture=picture, now=now
        )
        content = files.sealed(file, picture.content)
        await store.put(file.storage_key, content, content_type=file.content_type)
        await database.run(files.finish, file_id=file.id)
        hung[path.stem] = file.id
    return hung
