"""The one HTTP client that every adapter shares, and its errors in this product's words."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from app.gateways.errors import ProviderUnavailable

MAX_RESPONSE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class RawAnswer:
    """`body` as it arrived but for its content encoding: what a signature in a header covers."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def create_http(
    *,
    timeout_s: float = 5.0,
    connect_timeout_s: float = 3.0,
    max_connections: int = 100,
    proxy: str | None = None,
) -> httpx2.AsyncClient:
    """A client with time-outs and limits on everything; whoever creates it closes it.

    The environment is not trusted: a stray proxy variable or ~/.netrc must not reroute or sign
    calls that carry secrets. Redirects are not followed, no provider here documents any.
    """
    # The client logs each URL at INFO, and WeChat's documented URLs carry the app secret,
    # the login code and access tokens.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("httpcore2").setLevel(logging.WARNING)
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout_s, connect=connect_timeout_s),
        limits=httpx2.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections // 5
        ),
        follow_redirects=False,
        trust_env=False,
        proxy=proxy,
    )


async def fetch(
    http: httpx2.AsyncClient,
    method: str,
    url: str,
    *,
    provider: str,
    params: Mapping[str, str] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    max_bytes: int = MAX_RESPONSE_BYTES,
) -> RawAnswer:
    """One call, its answer read up to `max_bytes`; a status below 500 is the caller's to judge.

    Raises ProviderUnavailable when there is no such answer.
    """
    body = bytearray()
    try:
        async with http.stream(
            method, url, params=params, content=content, headers=headers
        ) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise ProviderUnavailable("answer too large", provider=provider)
    except httpx2.TimeoutException as error:
        raise ProviderUnavailable("timeout", provider=provider) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ProviderUnavailable(type(error).__name__, provider=provider) from error
    if response.status_code >= 500:
        raise ProviderUnavailable(f"HTTP {response.status_code}", provider=provider)
    return RawAnswer(response.status_code, response.headers, bytes(body))


async def fetch_json(
    http: httpx2.AsyncClient,
    method: str,
    url: str,
    *,
    provider: str,
    params: Mapping[str, str] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One call whose answer is a JSON object; a status below 500 is the caller's to judge.

    Raises ProviderUnavailable for everything that is no such answer. The content type is not
    looked at: WeChat sends JSON as text/plain.
    """
    answer = await fetch(
        http, method, url, provider=provider, params=params, content=content, headers=headers
    )
    return Answer(answer.status, json_object(answer.body, provider=provider))


def json_object(body: bytes, *, provider: str) -> dict[str, Any]:
    """The JSON object in an answer; raises ProviderUnavailable when it is something else."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable("answer is not JSON", provider=provider) from error
    if not isinstance(parsed, dict):
        raise ProviderUnavailable("answer is not a JSON object", provider=provider)
    return parsed


class SharedTransport(httpx2.AsyncBaseTransport):
    """Lets a library that insists on a client of its own send through the shared one.

    Authlib's OAuth client is an `AsyncClient` that holds one login's token, so it lives for one
    exchange; connections, time-outs and limits stay those of the shared client.
    """

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions.pop("timeout", None)  # the shared client's apply
        return await self._http.send(request, stream=True, auth=None)
