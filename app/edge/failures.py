"""What a client is told when something fails: always a code, never our internals.

Three kinds reach a client. A `RequestError` says itself what it is; an `OperationRefused` is a
document that does not run; everything else is our bug, logged with the request id and masked.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from graphql import FieldNode, GraphQLError
from strawberry.exceptions import StrawberryGraphQLError, StrawberryInputCoercionError

from app.core.errors import BadInput, Forbidden, RequestError, TooManyRequests

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
INTERNAL = "INTERNAL"

_log = structlog.get_logger(__name__)


class MalformedRequest(RequestError):
    """The request's shape is wrong, before any GraphQL is looked at."""


class OriginRefused(RequestError):
    """A browser page of another site asks, one that nobody allowed."""

    code = "ORIGIN_NOT_ALLOWED"
    status = 403


class MethodNotAllowed(RequestError):
    """Neither GET nor POST, or a mutation by GET."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class NotAcceptable(RequestError):
    """The client accepts no media type that an answer could have."""

    code = "NOT_ACCEPTABLE"
    status = 406


class BodyTooSlow(RequestError):
    """The body did not arrive in time."""

    code = "REQUEST_TIMEOUT"
    status = 408


class BodyTooLarge(RequestError):
    """The body is larger than any operation needs."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class UnsupportedMediaType(RequestError):
    """A body that does not say it is JSON in UTF-8."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class OperationRefused(Exception):
    """The operation does not start: its document or variables are wrong."""

    def __init__(self, code: str, errors: Sequence[GraphQLError]) -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors

    def described(self) -> list[dict[str, Any]]:
        """The errors as a response shows them."""
        return [{**error.formatted, "extensions": {"code": self.code}} for error in self.errors]


def describe(error: Exception, request_id: str) -> dict[str, Any]:
    """An exception as a response shows it; what nobody foresaw is logged and masked."""
    place: dict[str, Any] = {}
    if isinstance(error, GraphQLError):
        if error.locations:
            place["locations"] = [location.formatted for location in error.locations]
        if error.path:
            place["path"] = error.path
        error = _cause(error)
    match error:
        case TooManyRequests():
            extensions = {"code": error.code, "retryAfterSeconds": error.retry_after_s}
            return {"message": str(error), **place, "extensions": extensions}
        case RequestError():
            message = str(error) or error.code
            return {"message": message, **place, "extensions": {"code": error.code}}
        case GraphQLError() if (code := _code(error)) is not None:
            extensions = {**(error.extensions or {}), "code": code}
            return {"message": error.message, **place, "extensions": extensions}
    _log.error("request failed", request_id=request_id, path=place.get("path"), exc_info=error)
    return {
        "message": "Something went wrong on our side.",
        **place,
        "extensions": {"code": INTERNAL, "requestId": request_id},
    }


def _cause(error: GraphQLError) -> Exception:
    """What was raised first: graphql-core wraps an exception once to give it a place."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _code(error: GraphQLError) -> str | None:
    """The code of an error meant for the client; None when it tells of a bug of ours."""
    if error.extensions and "code" in error.extensions:
        return str(error.extensions["code"])
    # Strawberry's input checks, and graphql-core's, which blame an argument or a value. A result of
    # ours that does not fit its type blames the field, or nothing.
    blames_input = error.nodes and not isinstance(error.nodes[0], FieldNode)
    if isinstance(error, StrawberryInputCoercionError) or blames_input:
        return BadInput.code
    # A permission class without extensions of its own.
    if isinstance(error, StrawberryGraphQLError):
        return Forbidden.code
    return None
