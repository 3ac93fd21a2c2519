"""What the routes beside GraphQL share: who asks, forms with a file in them, errors as JSON."""

from collections.abc import Coroutine, Mapping
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.errors import BadInput, DomainError, RequestError, TooManyRequests
from app.edge.failures import MalformedRequest, describe
from app.edge.middleware import current_request_id
from app.edge.requests import Handshake, client_address, read_headers

FIELDS_MAX = 4
FIELD_BYTES_MAX = 1_024
FORM_BYTES = 16_384
"""What a form may put around its file."""
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
