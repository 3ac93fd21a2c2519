"""What the sandbox's providers share: bodies, redirects, the page to choose a person."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.gateways.sandbox.people import Person

MAX_BODY_BYTES = 64 * 1024


async def json_object(request: Request) -> dict[str, Any] | None:
    """The body as a JSON object; None when it is something else or too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    try:
        parsed = json.loads(bytes(body))
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def redirect_back(redirect_uri: str, params: Mapping[str, str]) -> RedirectResponse:
    """Back to the product, its own query parameters kept."""
    parts = urlsplit(redirect_uri)
    query = "&".join(filter(None, (parts.query, urlencode(params))))
    return RedirectResponse(urlunsplit(parts._replace(query=query, fragment="")), status_code=302)


def is_web_uri(uri: str) -> bool:
    """Whether a browser may be sent there; no script or data URIs, even in a sandbox."""
    parts = urlsplit(uri)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def chooser(title: str, url: URL, people: Sequence[Person], **choice: str) -> HTMLResponse:
    """A page of links to the same address, each with one person chosen.

    `choice` gives the query parameters to add; "{key}" in a value becomes the person's key.
    """
    links = []
    for person in people:
        params = {name: value.replace("{key}", person.key) for name, value in choice.items()}
        # Relative, so that the page works behind whatever name and prefix it was reached by.
        query = url.include_query_params(**params).query
        links.append(f'<li><a href="?{escape(query)}">{escape(person.name)}</a></li>')
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1>"
        f"<p>Sandbox: who signs in?</p><ul>{''.join(links)}</ul></html>"
    )
