from collections.abc import Iterator

import httpx2
import pytest

from tests.edge.sample import endpoint, serve


@pytest.fixture(scope="package")
def address() -> Iterator[str]:
    """The sample schema as production would serve it."""
    with serve(endpoint(page=b"<html>GraphiQL</html>")) as address:
        yield address


@pytest.fixture
def http(address: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://{address}") as client:
        yield client
