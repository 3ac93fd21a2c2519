"""What a GraphQL request is before it is GraphQL: headers, media types, JSON of the right shape."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any, Literal
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope

from app.edge.failures import (
    BodyTooLarge,
    BodyTooSlow,
    MalformedRequest,
    NotAcceptable,
    UnsupportedMediaType,
)
from app.edge.limits import Limits

RESPONSE_TYPE = "application/graphql-response+json"
JSON_TYPE = "application/json"

_PARAMETERS = frozenset({"query", "operationName", "variables", "extensions"})


@dataclass(frozen=True, slots=True)
class Handshake:
    """What is known of a client before anything of its request runs."""

    transport: Literal["http", "ws"]
    headers: Mapping[str, str]
    """Names in lower case."""
    client_address: str
    request_id: str
    connection_params: Mapping[str, Any] | None = None
    """The payload of `connection_init`; None over HTTP."""


MakeContext = Callable[[Handshake], Awaitable[Any]]


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of a request, each of the right type."""

    query: str
    operation_name: str | None
    variables: dict[str, Any] | None

    @classmethod
    def of(cls, parameters: object) -> "GraphQLRequest":
        """Check parsed JSON; raises `MalformedRequest`."""
        if isinstance(parameters, list):
            raise MalformedRequest("Batches are not accepted; send one operation per request.")
        if not isinstance(parameters, dict):
            raise MalformedRequest("A request must be a JSON object.")
        query = parameters.get("query")
        if not isinstance(query, str) or not query:
            raise MalformedRequest("'query' must be a document.")
        operation_name = parameters.get("operationName")
        if not isinstance(operation_name, str | None):
            raise MalformedRequest("'operationName' must be a string.")
        variables = parameters.get("variables")
        if not isinstance(variables, dict | None):
            raise MalformedRequest("'variables' must be an object.")
        if not isinstance(parameters.get("extensions"), dict | None):
            raise MalformedRequest("'extensions' must be an object.")
        return cls(query, operation_name, variables)


def read_headers(scope: Scope) -> dict[str, str]:
    """The headers, names in lower case as ASGI gives them."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def client_address(scope: Scope) -> str:
    """Whom limits per address count: an IPv4 address, or the /64 that one IPv6 customer has."""
    client = scope.get("client")
    if not client:
        return ""
    try:
        address = ip_address(client[0])
    except ValueError:
        return str(client[0])
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))


def parse_json(text: bytes | str, max_depth: int) -> Any:
    """Parse JSON no deeper than `max_depth`, in linear time; raises `MalformedRequest`."""
    try:
        value = orjson.loads(text)  # refuses 1,024 levels by itself, so it cannot be exhausted
    except orjson.JSONDecodeError:
        raise MalformedRequest("This is not valid JSON in UTF-8.") from None
    containers = _containers([value])
    for _ in range(max_depth):
        if not containers:
            return value
        containers = _containers(
            child
            for container in containers
            for child in (container.values() if isinstance(container, dict) else container)
        )
    if containers:
        raise MalformedRequest(f"The JSON nests more than {max_depth} levels.")
    return value


def _containers(values: Iterable[Any]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, dict | list)]


def parse_query_string(query_string: bytes, max_depth: int) -> dict[str, Any]:
    """The parameters of a GET request; `variables` and `extensions` are JSON in it."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32
        )
    except ValueError:  # UnicodeDecodeError is one, too
        raise MalformedRequest("The query string is not form-encoded UTF-8.") from None
    parameters: dict[str, Any] = {}
    for name, value in pairs:
        if name not in _PARAMETERS:
            continue
        if name in parameters:
            raise MalformedRequest(f"'{name}' is given twice.")
        if value and name in {"variables", "extensions"}:
            parameters[name] = parse_json(value, max_depth)
        else:
            parameters[name] = value or None
    return parameters


async def read_body(receive: Receive, headers: Mapping[str, str], limits: Limits) -> bytes:
    """The whole body, within its size and its deadline."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.body_bytes:
        raise BodyTooLarge(f"A body may have {limits.body_bytes} bytes.")
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > limits.body_bytes:
                    raise BodyTooLarge(f"A body may have {limits.body_bytes} bytes.")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyTooSlow("The body took too long to arrive.") from None


def check_content_type(headers: Mapping[str, str]) -> None:
    """Only JSON in UTF-8: a browser asks before it sends that across sites (CSRF)."""
    if not _is_json(headers.get("content-type", "")):
        raise UnsupportedMediaType("Send a body of application/json in UTF-8.")
    if headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("Send the body without compression.")


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    media_type, *parameters = content_type.lower().split(";")
    charsets = [
        value.strip().strip('"')
        for name, _, value in (parameter.partition("=") for parameter in parameters)
        if name.strip() == "charset"
    ]
    return media_type.strip() == JSON_TYPE and all(charset == "utf-8" for charset in charsets)


@lru_cache(maxsize=256)
def negotiate(accept: str) -> str:
    """The media type of the answer; raises `NotAcceptable`.

    The older `application/json`, whose status is 200 even for a document that does not validate,
    goes to clients that do not name the newer type, as the specification asks for.
    """
    qualities = _qualities(accept)
    newer = _quality(qualities, RESPONSE_TYPE)
    older = _quality(qualities, JSON_TYPE)
    if not newer and not older:
        raise NotAcceptable(f"Answers are {RESPONSE_TYPE} or {JSON_TYPE}.")
    if newer > older or (newer == older and RESPONSE_TYPE in qualities):
        return RESPONSE_TYPE
    return JSON_TYPE


@lru_cache(maxsize=256)
def prefers_html(accept: str) -> bool:
    """Whether a person's browser asks, rather than a program."""
    qualities = _qualities(accept)
    html = qualities.get("text/html", 0.0)
    return html > 0 and html >= max(
        _quality(qualities, RESPONSE_TYPE), _quality(qualities, JSON_TYPE)
    )


def _qualities(accept: str) -> dict[str, float]:
    qualities = {}
    for media_range in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in media_range.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            qualities[media_type] = float(quality)
        except ValueError:
            qualities[media_type] = 0.0
    return qualities


def _quality(qualities: Mapping[str, float], media_type: str) -> float:
    for media_range in (media_type, "application/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0
