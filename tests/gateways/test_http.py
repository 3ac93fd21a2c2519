"""What is no usable answer has one name, whoever sent it."""

import httpx2
import pytest

from app.gateways.errors import ProviderUnavailable
from app.gateways.http import MAX_RESPONSE_BYTES, create_http, fetch_json

pytestmark = pytest.mark.anyio


async def fetch(status: int, body: bytes) -> dict[str, object]:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(status, content=body))
    async with httpx2.AsyncClient(transport=transport) as http:
        return (await fetch_json(http, "GET", "http://provider.example/", provider="p")).body


async def test_a_json_object_is_an_answer_whatever_its_type_and_status() -> None:
    assert await fetch(400, b'{"error": "x"}') == {"error": "x"}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"{}", "HTTP 500"),
        (200, b"<html>", "not JSON"),
        (200, b"\xff", "not JSON"),
        (200, b"[" * 100_000, "not JSON"),
        (200, b"[]", "not a JSON object"),
        (200, b" " * (MAX_RESPONSE_BYTES + 1), "too large"),
    ],
)
async def test_anything_else_is_unavailability(status: int, body: bytes, reason: str) -> None:
    with pytest.raises(ProviderUnavailable, match=f"p: .*{reason}"):
        await fetch(status, body)


@pytest.mark.parametrize("url", ["http://provider.example:port/", "ftp://provider.example/"])
async def test_an_address_nobody_can_call_is_unavailability(url: str) -> None:
    async with create_http() as http:
        with pytest.raises(ProviderUnavailable):
            await fetch_json(http, "GET", url, provider="p")


async def test_the_environment_does_not_reroute_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:1")
    async with create_http() as http:
        assert http.trust_env is False
        assert http.follow_redirects is False
