"""What the routes beside GraphQL share: who asks, forms with a file in them, errors, downloads."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, BinaryIO

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from app.core.errors import BadInput, DomainError, RequestError, TooManyRequests
from app.edge.failures import MalformedRequest, describe
from app.edge.middleware import current_request_id
from app.edge.requests import Handshake, client_address, read_headers

FIELDS_MAX = 4
FIELD_BYTES_MAX = 1_024
FORM_BYTES = 16_384
"""What a form may put around its file."""
CHUNK_BYTES = 65_536
EXCEL_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
GONE = "This link has expired or was already used. Ask for a new one."
# A link is its own key, so it goes nowhere else, and nothing keeps what it showed.
FOR_FEW = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def handshake_of(request: Request) -> Handshake:
    """What is known of a client, as for GraphQL."""
    return Handshake(
        "http", read_headers(request.scope), client_address(request.scope), current_request_id()
    )


async def answered(
    answering: Coroutine[Any, Any, Response], statuses: Mapping[type[DomainError], int]
) -> Response:
    """The answer, or why there is none: a refusal's data beside its code, with status 422 unless
    `statuses` has another.
    """
    try:
        return await answering
    except RequestError as error:
        headers = dict(FOR_FEW)
        if isinstance(error, TooManyRequests):
            headers["Retry-After"] = str(error.retry_after_s)
        body = {"errors": [describe(error, current_request_id())]}
        return JSONResponse(body, error.status, headers)
    except DomainError as refusal:
        extensions = {"code": type(refusal).__name__, **vars(refusal)}
        body = {"errors": [{"message": str(refusal), "extensions": extensions}]}
        return JSONResponse(body, statuses.get(type(refusal), 422), FOR_FEW)


async def form_of(request: Request) -> FormData:
    """The form, which the caller closes; the edge limits how large it may be.

    Raises `MalformedRequest` for what is no form.
    """
    try:
        return await request.form(max_files=1, max_fields=FIELDS_MAX, max_part_size=FIELD_BYTES_MAX)
    except HTTPException as error:
        if error.status_code == 400:
            raise MalformedRequest("This is not a form with a file in it.") from None
        raise  # too large, too slow: the edge has said so


def file_of(form: FormData) -> UploadFile:
    """The form's part `file`; raises `BadInput`."""
    given = form.get("file")
    if not isinstance(given, UploadFile):
        raise BadInput("The form needs the file as its part `file`.")
    return given


def spreadsheet(file: BinaryIO, disposition: str) -> Response:
    """A finished spreadsheet as a download, read from the disk as it goes out."""
    headers = {
        **FOR_FEW,
        "Content-Disposition": disposition,
        "Content-Length": str(os.fstat(file.fileno()).st_size),
    }
    return StreamingResponse(_chunks(file), headers=headers, media_type=EXCEL_TYPE)


def gone() -> Response:
    """A link that opens nothing: unknown, used, too late, signed out, no longer allowed. Nothing
    tells them apart.
    """
    return PlainTextResponse(GONE, 404, FOR_FEW)


def only_get() -> Response:
    """Starlette adds HEAD to GET, with which a preview would use a link up."""
    return PlainTextResponse("", 405, {**FOR_FEW, "Allow": "GET"})


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
