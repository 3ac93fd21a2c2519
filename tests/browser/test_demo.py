"""WEB-2: a stranger's first minutes in GraphiQL, on the very demo that `make serve` starts."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_graphiql import browser, open_page
from tests.conftest import Engine
from tests.test_tour import Demo, serving

__all__ = ["browser"]


@pytest.fixture(scope="module")
def demo(sqlite_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with serving(asyncio.run(sqlite_engine.make(folder)), folder) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "who", "example", "operation", "answer"),
    [
        ("/graphql", "林小满", "Home", "Home", "林小满"),
        ("/admin/graphql", "李想 · Li Xiang", "Who am I", "Viewer", "STAFF"),
        ("/admin/graphql", "快跑外卖 · Kuaipao Delivery", "Who am I", "Viewer", "PARTNER"),
    ],
)
def test_one_click_signs_in_and_an_example_answers(
    demo: Demo, browser: Browser, path: str, who: str, example: str, operation: str, answer: str
) -> None:
    for graphiql in open_page(browser, f"http://{demo.address}"):
        graphiql.open(path)
        graphiql.sign_in_as(who)
        graphiql.open_example(example, operation)
        graphiql.run()
        expect(graphiql.response).to_contain_text(answer)
        graphiql.assert_clean()
