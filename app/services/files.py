"""Uploaded images: who may see them, who refers to them, and how they go.

Bytes lie in a `FileStore` outside the database. The row comes first and says `STORING`, then the
bytes, then `STORED`; what was never used is forgotten after a day. So no bytes are left without a
row, whatever dies in between. `require_image` and `require_private` are how the rest refers to a
file: both mark it as used.
"""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, literal_column
from sqlmodel import col, select, update

from app.core.crypto import constant_time_equal, fingerprint
from app.core.db import Transaction, any_of, light, statement
from app.core.errors import DomainError
from app.core.ids import new_id, type_id
from app.core.images import Picture
from app.core.personal import index_of, keyring
from app.models.files import File, FileKind, FileState
from app.models.sessions import PrincipalKind
from app.models.staff import Permission
from app.services import audit, jobs, limits, members, organisation
from app.services.actors import Actor

DELETE_JOB = "files.delete"
UNUSED_LIFE = timedelta(days=1)
UNUSED_BATCH = 200
LINK_LIFE = timedelta(minutes=10)
UPLOAD_WINDOW = timedelta(hours=1)
MEMBER_UPLOADS_MAX = 10
ACTOR_UPLOADS_MAX = 1_000

by_id = statement(select(File).where(col(File.id) == bindparam("file_id")), into=File)
files_by_id = statement(select(File).where(any_of(col(File.id), "ids")), into=File)
set_stored = statement(
    update(File)
    .where(col(File.id) == bindparam("file_id"), col(File.state) == FileState.STORING)
    .values(state=FileState.STORED)
)
_is_shown = (col(File.state) == FileState.STORED) | (col(File.state) == FileState.USED)
use_image = statement(
    update(File)
    .where(
        col(File.id) == bindparam("file_id"),
        col(File.group_id) == bindparam("group_of"),
        col(File.kind) == FileKind.PUBLIC_IMAGE,
        _is_shown,
    )
    .values(state=FileState.USED)
)
# Only once: a private image serves what it was uploaded for.
use_private = statement(
    update(File)
    .where(
        col(File.id) == bindparam("file_id"),
        col(File.kind) == FileKind.PRIVATE_IMAGE,
        col(File.uploader_id).in_(members.own_records),
        col(File.state) == FileState.STORED,
    )
    .values(state=FileState.USED)
)
_every_column = File.__table__.columns  # type: ignore[attr-defined]
set_forgotten = statement(
    update(File)
    .where(col(File.id) == bindparam("file_id"), col(File.state) != FileState.FORGOTTEN)
    .values(state=FileState.FORGOTTEN, deleted_at=bindparam("forgotten_at"))
    .returning(*_every_column),
    into=File,
)
set_forgotten_of_member = statement(
    update(File)
    .where(
        col(File.kind) == FileKind.PRIVATE_IMAGE,
        col(File.uploader_id).in_(members.own_records),
        col(File.state) != FileState.FORGOTTEN,
    )
    .values(state=FileState.FORGOTTEN, deleted_at=bindparam("forgotten_at"))
    .returning(*_every_column),
    into=File,
)
_unused = (
    select(File.id)
    .where(
        # Said as the index says it, so that the few that wait are found by it.
        literal_column("state").in_([literal_column("'STORING'"), literal_column("'STORED'")]),
        col(File.created_at) < bindparam("before", type_=File.__table__.c.created_at.type),  # type: ignore[attr-defined]
    )
    .order_by(col(File.created_at))
    .limit(UNUSED_BATCH)
    .with_for_update(skip_locked=True)
)
set_unused_forgotten = statement(
    update(File)
    .where(col(File.id).in_(_unused))
    .values(state=FileState.FORGOTTEN, deleted_at=bindparam("forgotten_at"))
    .returning(*_every_column),
    into=File,
)
new_file = light(File)


class FileNotFound(DomainError):
    """No such file of the kind that is needed, or no longer; nothing tells these apart."""

    def __init__(self) -> None:
        super().__init__("There is no such picture. Upload it again.")


async def admit_actor(tx: Transaction, actor: Actor, *, now: datetime) -> None:
    """Let staff or a partner upload another image, before its bytes are read.

    Raises `Forbidden`, `TooManyRequests`.
    """
    actor.require_any(Permission.FILES_WRITE)
    await _spend(tx, uploader_id=actor.id, at_most=ACTOR_UPLOADS_MAX, now=now)


async def admit_member(tx: Transaction, *, member_id: UUID, now: datetime) -> None:
    """Let a member upload another image, before its bytes are read; raises `TooManyRequests`."""
    await _spend(tx, uploader_id=member_id, at_most=MEMBER_UPLOADS_MAX, now=now)


async def begin_public(
    tx: Transaction, actor: Actor, *, perspective_id: UUID, picture: Picture, now: datetime
) -> File:
    """Write down an image for everybody whose bytes are about to be stored.

    Raises `NodeNotFound`, `Forbidden`.
    """
    node = await organisation.node(tx, perspective_id)
    actor.require(Permission.FILES_WRITE, node)
    file: File = new_file(
        group_id=actor.group_id,
        node_id=node.id,
        kind=FileKind.PUBLIC_IMAGE,
        uploader_kind=actor.kind,
        uploader_id=actor.id,
        created_at=now,
        **_drawn(picture),
    )
    await tx.insert(file)
    await audit.record(
        tx,
        actor,
        "file.upload",
        object_kind="file",
        object_id=file.id,
        node_id=node.id,
        now=now,
        sha256=file.sha256,
    )
    return file


async def begin_private(
    tx: Transaction, *, member_id: UUID, group_id: UUID, picture: Picture, now: datetime
) -> File:
    """Write down a member's image for few eyes whose bytes are about to be stored."""
    file: File = new_file(
        group_id=group_id,
        kind=FileKind.PRIVATE_IMAGE,
        uploader_kind=PrincipalKind.MEMBER,
        uploader_id=member_id,
        created_at=now,
        **_drawn(picture),
    )
    await tx.insert(file)
    return file


async def finish(tx: Transaction, *, file_id: UUID) -> None:
    """The bytes are stored: the file can be used from now on."""
    stored = await tx.changed(set_stored, file_id=file_id)
    assert stored == 1, "bytes are stored within seconds, and what is not within a day goes"


async def by_ids(tx: Transaction, ids: list[UUID]) -> dict[UUID, File]:
    return {row.id: row for row in await tx.all(files_by_id, ids=ids)}


async def shown(tx: Transaction, *, file_id: UUID) -> File:
    """A file whose bytes can be fetched, of whatever kind; raises `FileNotFound`."""
    file = await tx.one(by_id, file_id=file_id)
    if file is None or file.state not in {FileState.STORED, FileState.USED}:
        raise FileNotFound
    return file


async def require_image(tx: Transaction, *, group_id: UUID, file_id: UUID) -> None:
    """A public image of the group, which something refers to from now on.

    Raises `FileNotFound`.
    """
    if not await tx.changed(use_image, file_id=file_id, group_of=group_id):
        raise FileNotFound


async def require_private(tx: Transaction, *, member_id: UUID, file_id: UUID) -> None:
    """A private image that this member uploaded and that nothing used before.

    `member_id` is a living member's. Raises `FileNotFound`.
    """
    if not await tx.changed(use_private, file_id=file_id, member_id=member_id):
        raise FileNotFound


async def forget(tx: Transaction, *, file_id: UUID, now: datetime) -> None:
    """Show a file no more, and delete its bytes after the commit; more than once is no harm."""
    file = await tx.one(set_forgotten, file_id=file_id, forgotten_at=now)
    if file is not None:
        await _delete_bytes(tx, file, now)


async def forget_of_member(tx: Transaction, *, member_id: UUID, now: datetime) -> None:
    """Forget what a member ever uploaded for few eyes: the account is closed (SEC-4)."""
    for file in await tx.all(set_forgotten_of_member, member_id=member_id, forgotten_at=now):
        await _delete_bytes(tx, file, now)


async def forget_unused(tx: Transaction, *, now: datetime) -> int:
    """Forget a batch of what was uploaded a day ago and never used; how many there were."""
    found = await tx.all(set_unused_forgotten, before=now - UNUSED_LIFE, forgotten_at=now)
    for file in found:
        await _delete_bytes(tx, file, now)
    return len(found)


def public_url(file_id: UUID, *, base_url: str) -> str:
    """Where everybody can fetch a public image; `base_url` is the deployment's."""
    return f"{base_url}/files/{type_id('file', file_id)}"


def signed_url(file_id: UUID, *, base_url: str, now: datetime) -> str:
    """Where a private image can be fetched for ten minutes by whoever has this address."""
    expires = int((now + LINK_LIFE).timestamp())
    address = public_url(file_id, base_url=base_url)
    return f"{address}?expires={expires}&signature={_signature(file_id, expires)}"


def is_signed(file_id: UUID, *, expires: str, signature: str, now: datetime) -> bool:
    """Whether an address was signed by us and is still good."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return False
    if not constant_time_equal(_signature(file_id, int(expires)), signature):
        return False
    return now < datetime.fromtimestamp(int(expires), UTC)


def sealed(file: File, content: bytes) -> bytes:
    """The bytes as the store gets them: a private image's are encrypted, bound to its row."""
    if file.kind is FileKind.PUBLIC_IMAGE:
        return content
    text = base64.b64encode(content).decode()
    return keyring().encrypt(text, context=f"files.content {file.id}").encode()


def opened(file: File, stored: bytes) -> bytes:
    """What `sealed` was given."""
    if file.kind is FileKind.PUBLIC_IMAGE:
        return stored
    return base64.b64decode(keyring().decrypt(stored.decode(), context=f"files.content {file.id}"))


def _drawn(picture: Picture) -> dict[str, Any]:
    """A new file's columns that follow from its picture, and its id and place in the store.

    The place is made of the id alone, so nothing that a client said can lead out of the store. The
    last two digits are random: no folder of such a pair grows too large.
    """
    file_id = new_id()
    return {
        "id": file_id,
        "storage_key": f"{file_id.hex[-2:]}/{file_id.hex}",
        "content_type": picture.content_type,
        "bytes": len(picture.content),
        "width": picture.width,
        "height": picture.height,
        "sha256": fingerprint(picture.content),
    }


async def _spend(tx: Transaction, *, uploader_id: UUID, at_most: int, now: datetime) -> None:
    await limits.spend(
        tx, subject=f"uploads {uploader_id}", at_most=at_most, window=UPLOAD_WINDOW, now=now
    )


async def _delete_bytes(tx: Transaction, file: File, now: datetime) -> None:
    await jobs.enqueue(
        tx,
        DELETE_JOB,
        {"storage_key": file.storage_key},
        now=now,
        unique_key=f"{DELETE_JOB} {file.id}",
    )


def _signature(file_id: UUID, expires: int) -> str:
    return index_of(f"{file_id} {expires}", "files.signed_url")
