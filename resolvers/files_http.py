"""Pictures over plain HTTP: `POST /files` takes one in, `GET /files/{id}` shows it.

A staff member or partner uploads pictures for everybody, a member one for few eyes; the token says
which. A picture is known by what it is, never by its name or by what its sender calls it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import structlog
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.core.db import Database
from app.core.errors import BadInput, DomainError
from app.core.ids import parse_type_id, type_id
from app.core.images import IMAGE_BYTES_MAX, ImageTooLarge, NotAnImage, Picture, redrawn
from app.edge.requests import Handshake
from app.gateways.errors import GatewayError
from app.gateways.files.protocol import FileStore
from app.gateways.outside import Outside
from app.models.files import File, FileKind
from app.services import files, organisation
from app.services.actors import Actor
from app.settings import Settings
from auth.tokens import ADMIN_AUDIENCE, MEMBER_AUDIENCE
from resolvers.plain_http import FOR_FEW, FORM_BYTES, answered, file_of, form_of, handshake_of
from schema.context import Context

PATH = "/files"
UPLOAD_BYTES_MAX = IMAGE_BYTES_MAX + FORM_BYTES
UPLOAD_SECONDS_MAX = 60.0
REDRAWN_AT_ONCE_MAX = 2
"""Pictures one process redraws at once: each takes a core, and memory by the pixel."""

FOR_EVERYBODY = {"Cache-Control": "public, max-age=31536000, immutable"}
# A picture that a browser would take for a page still could do nothing.
AS_PICTURE = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": "inline",
}
STATUSES: dict[type[DomainError], int] = {
    files.FileNotFound: 404,
    organisation.NodeNotFound: 404,
    ImageTooLarge: 413,
    NotAnImage: 422,
}

UNREACHABLE = {
    "message": "Pictures are out of reach for a moment. Try again later.",
    "extensions": {"code": "FilesUnreachable"},
}

_log = structlog.get_logger(__name__)


class Serving(Protocol):
    """What the routes need of a running server."""

    @property
    def database(self) -> Database: ...
    @property
    def outside(self) -> Outside: ...
    @property
    def settings(self) -> Settings: ...

    async def context(self, handshake: Handshake, audience: str) -> Context: ...


class Sender(NamedTuple):
    """Who uploads: somebody who acts for the group, or a member."""

    context: Context
    actor: Actor | None


def routes(running: Callable[[], Serving]) -> list[Route]:
    """The two routes; `running` gives the server's parts once it has started."""
    redrawing = asyncio.Semaphore(REDRAWN_AT_ONCE_MAX)

    async def upload(request: Request) -> Response:
        return await _answered(_upload(running(), request, redrawing))

    async def show(request: Request) -> Response:
        return await _answered(_show(running(), request))

    return [
        Route(PATH, upload, methods=["POST"]),
        Route(f"{PATH}/{{file_id}}", show, methods=["GET"]),
    ]


async def _answered(answering: Coroutine[Any, Any, Response]) -> Response:
    """The answer, or why there is none; the store may be out of reach."""
    try:
        return await answered(answering, STATUSES)
    except GatewayError as error:
        _log.error("files out of reach", why=str(error))
        return JSONResponse({"errors": [UNREACHABLE]}, 503, FOR_FEW)


async def _upload(serving: Serving, request: Request, redrawing: asyncio.Semaphore) -> Response:
    """Who it is first, then the picture: a stranger's body is not even read."""
    sender = await _sender(serving, request)
    form = await form_of(request)
    try:
        perspective_id = _perspective_id(form) if sender.actor else None
        async with redrawing:
            content = await file_of(form).read(IMAGE_BYTES_MAX + 1)
            picture = await asyncio.to_thread(redrawn, content)
    finally:
        await form.close()
    file = await _begun(sender, picture, perspective_id)
    stored = await asyncio.to_thread(files.sealed, file, picture.content)
    await serving.outside.files.put(file.storage_key, stored, content_type=file.content_type)
    await serving.database.run(files.finish, file_id=file.id)
    return JSONResponse(_described(file, sender.context), 201, FOR_FEW)


async def _sender(serving: Serving, request: Request) -> Sender:
    """Whom the token speaks for, if they may upload another one.

    Raises `Unauthenticated`, `Forbidden`, `TooManyRequests`.
    """
    handshake = handshake_of(request)
    context = await serving.context(handshake, MEMBER_AUDIENCE)
    if context.principal is not None:
        await context.run(files.admit_member, member_id=context.member_id, now=context.now)
        return Sender(context, None)
    context = await serving.context(handshake, ADMIN_AUDIENCE)
    actor = await context.actor()
    await context.run(files.admit_actor, actor, now=context.now)
    return Sender(context, actor)


def _perspective_id(form: FormData) -> UUID:
    given = form.get("perspectiveId")
    if not isinstance(given, str):
        raise BadInput("The form needs `perspectiveId`, the node the picture is for.")
    return parse_type_id("node", given)


async def _begun(sender: Sender, picture: Picture, perspective_id: UUID | None) -> File:
    context, actor = sender
    if actor is None:
        return await context.run(
            files.begin_private,
            member_id=context.member_id,
            group_id=context.group_id,
            picture=picture,
            now=context.now,
        )
    assert perspective_id is not None
    return await context.run(
        files.begin_public, actor, perspective_id=perspective_id, picture=picture, now=context.now
    )


def _described(file: File, context: Context) -> dict[str, str | int]:
    base_url = context.settings.public_url
    return {
        "id": type_id("file", file.id),
        "url": files.public_url(file.id, base_url=base_url)
        if file.kind is FileKind.PUBLIC_IMAGE
        else files.signed_url(file.id, base_url=base_url, now=datetime.now(UTC)),
        "contentType": file.content_type,
        "bytes": file.bytes,
        "width": file.width,
        "height": file.height,
    }


async def _show(serving: Serving, request: Request) -> Response:
    file = await _file(serving, request)
    is_public = file.kind is FileKind.PUBLIC_IMAGE
    headers = AS_PICTURE | (FOR_EVERYBODY if is_public else FOR_FEW)
    if is_public:
        # The bytes of a file never change, so their hash is its version.
        headers["ETag"] = f'"{file.sha256}"'
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
    content = await _stored(serving.outside.files, file)
    return Response(content, headers=headers, media_type=file.content_type)


async def _file(serving: Serving, request: Request) -> File:
    """The file that the address names, if it may be shown; raises `FileNotFound` for all else."""
    try:
        file_id = parse_type_id("file", request.path_params["file_id"])
    except BadInput:
        raise files.FileNotFound from None
    file = await serving.database.read(files.shown, file_id=file_id)
    signed = request.query_params
    if file.kind is FileKind.PRIVATE_IMAGE and not files.is_signed(
        file.id,
        expires=signed.get("expires", ""),
        signature=signed.get("signature", ""),
        now=datetime.now(UTC),
    ):
        raise files.FileNotFound
    return file


async def _stored(store: FileStore, file: File) -> bytes:
    stored = await store.get(file.storage_key)
    if file.kind is FileKind.PUBLIC_IMAGE:
        return stored
    return await asyncio.to_thread(files.opened, file, stored)
