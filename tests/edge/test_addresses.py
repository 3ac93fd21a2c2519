"""Whom limits per address count."""

import pytest

from app.edge.requests import client_address


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("a unix socket", "a unix socket"),
    ],
)
def test_an_ipv6_customer_is_one_address(client: str, counted: str) -> None:
    """A customer has a /64 of 2⁶⁴ addresses: counted one by one they would have no limit."""
    assert client_address({"client": (client, 50_000)}) == counted


def test_nobody_has_no_address() -> None:
    assert client_address({"client": None}) == ""
