"""GraphiQL as a browser sees it (WEB-2): no outside request, examples, sign-in, subscriptions."""

import json
import os
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from graphql import OperationDefinitionNode, TokenKind, parse
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.browser.graphiql_fixture import STATIC, create_app, serve

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A loaded CI machine may need long to compile three megabytes of editor.
PATIENCE_MS = 30_000
ENDPOINTS = ["/graphql", "/admin/graphql"]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is missing: install Debian's chromium to run the browser tests."
        if os.environ.get("REGULARS_TESTS_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    with serve(create_app(has_sandbox=True)) as url:
        yield url


@dataclass
class GraphiQL:
    """The page and what went wrong in it."""

    page: Page
    server: str
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        page = self.page
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).netloc))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        # Breaches of the content security policy and failed loads are console errors too.
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in {"error", "warning"}
                else None
            ),
        )

    def open(self, endpoint: str) -> None:
        self.page.goto(self.server + endpoint)
        expect(self.editor).to_contain_text("__typename")
        # The panel shows the root types once the schema has been read.
        self.page.get_by_role("button", name="Show Documentation Explorer").click()
        expect(self.page.get_by_text("Root Types")).to_be_visible()
        self.page.get_by_role("button", name="Show Examples").click()

    @property
    def editor(self) -> Locator:
        return self.page.locator(".graphiql-query-editor .view-lines")

    @property
    def response(self) -> Locator:
        return self.page.locator(".graphiql-response .view-lines")

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    @property
    def alert(self) -> Locator:
        # The editors have alerts of their own, for screen readers.
        return self.page.locator("[role=alert]:not(.monaco-alert)")

    @property
    def examples(self) -> Locator:
        return self.page.get_by_role("region", name="Examples")

    @property
    def tabs(self) -> Locator:
        return self.page.locator(".graphiql-tab-button")

    def open_example(self, title: str, operation: str) -> None:
        opened = self.tabs.filter(has_text=operation)
        before = opened.count()
        self.examples.get_by_role("button", name=title).click()
        # The tab has its title when the editor has understood the operation.
        expect(opened).to_have_count(before + 1)

    def run(self) -> None:
        self.page.get_by_role("button", name="Execute query (Ctrl-Enter)").click()

    def sign_in_as(self, name: str) -> None:
        self.page.get_by_role("button", name="Sign in as…").click()
        self.page.get_by_role("menuitem", name=name).click()
        expect(self.status).to_have_text(f"Signed in as {name}")

    def assert_clean(self) -> None:
        assert self.complaints == []
        assert self.hosts == {urlsplit(self.server).netloc}


def open_page(browser: Browser, server: str) -> Generator[GraphiQL]:
    context = browser.new_context(viewport={"width": 1400, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    graphiql = GraphiQL(context.new_page(), server)
    graphiql.watch()
    yield graphiql
    context.close()


@pytest.fixture
def graphiql(browser: Browser, server: str) -> Generator[GraphiQL]:
    yield from open_page(browser, server)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_page_asks_nobody_else_and_breaks_no_policy(graphiql: GraphiQL, endpoint: str) -> None:
    graphiql.open(endpoint)
    graphiql.run()
    expect(graphiql.response).to_contain_text('"__typename": "Query"')
    graphiql.assert_clean()


def test_example_opens_in_a_tab_of_its_own_and_runs(graphiql: GraphiQL) -> None:
    graphiql.open("/graphql")
    graphiql.page.get_by_label("Filter examples").fill("two lines")
    expect(graphiql.examples.get_by_role("button")).to_have_count(1)
    graphiql.open_example("Hello", "Greeting")
    graphiql.run()
    # The key was 32 random characters, and the fragment came along.
    expect(graphiql.response).to_contain_text("Hello Mei, key of 32")
    expect(graphiql.tabs).to_have_text(["Hello", "Greeting"])
    graphiql.assert_clean()


def test_prettify_formats_operation_and_variables(graphiql: GraphiQL) -> None:
    graphiql.open("/graphql")
    graphiql.open_example("Hello", "Greeting")
    graphiql.page.locator(".graphiql-editor-tool .view-lines").first.click()
    graphiql.page.keyboard.press("Control+A")
    graphiql.page.keyboard.insert_text('{"name":"Mei","requestKey":"1"}')
    graphiql.page.get_by_role("button", name="Prettify query").click()
    variables = graphiql.page.locator(".graphiql-editor-tool .view-line")
    expect(variables.filter(has_text='"requestKey": "1"')).to_have_count(1)
    graphiql.assert_clean()


def test_member_signs_in_and_out(graphiql: GraphiQL) -> None:
    graphiql.open("/graphql")
    graphiql.page.get_by_role("button", name="Sign in as…").click()
    people = graphiql.page.get_by_role("menuitem")
    expect(people).to_have_text(["Mei Lin member"])
    graphiql.page.keyboard.press("Escape")
    graphiql.sign_in_as("Mei Lin")
    graphiql.open_example("Who am I", "WhoAmI")
    graphiql.run()
    expect(graphiql.response).to_contain_text("Bearer member-token")

    graphiql.page.reload()
    expect(graphiql.status).to_have_text("Signed in as Mei Lin")
    # The code worked once: a second sign-in asks for a fresh one.
    graphiql.sign_in_as("Mei Lin")

    graphiql.page.get_by_role("button", name="Sign out").click()
    expect(graphiql.status).to_have_text("Not signed in")
    graphiql.open_example("Who am I", "WhoAmI")
    graphiql.run()
    expect(graphiql.response).to_contain_text('"nobody"')
    graphiql.assert_clean()


@pytest.mark.parametrize(
    ("name", "token"), [("Olga Owner", "staff-token"), ("Bean Partner", "partner-token")]
)
def test_staff_and_partners_sign_in(graphiql: GraphiQL, name: str, token: str) -> None:
    graphiql.open("/admin/graphql")
    graphiql.sign_in_as(name)
    graphiql.open_example("Who am I", "WhoAmI")
    graphiql.run()
    expect(graphiql.response).to_contain_text(f"Bearer {token}")
    graphiql.assert_clean()


@pytest.mark.parametrize(
    ("endpoint", "name", "token"),
    [("/graphql", "Mei Lin", "member-token"), ("/admin/graphql", "Olga Owner", "staff-token")],
)
def test_subscription_delivers_to_who_is_signed_in(
    graphiql: GraphiQL, endpoint: str, name: str, token: str
) -> None:
    graphiql.open(endpoint)
    graphiql.open_example("Watch", "Watch")
    graphiql.run()
    expect(graphiql.response).to_contain_text("socket of nobody")
    graphiql.sign_in_as(name)
    graphiql.run()
    expect(graphiql.response).to_contain_text(f"socket of Bearer {token}")
    graphiql.assert_clean()


def test_refused_sign_in_says_why(graphiql: GraphiQL) -> None:
    refusal = {"data": {"result": {"__typename": "CodeRefused", "message": "Used before."}}}
    graphiql.open("/graphql")
    graphiql.page.route("**/graphql", lambda route: route.fulfill(json=refusal))
    graphiql.page.get_by_role("button", name="Sign in as…").click()
    graphiql.page.get_by_role("menuitem", name="Mei Lin").click()
    expect(graphiql.alert).to_have_text("Mei Lin: Used before.")
    expect(graphiql.status).to_have_text("Not signed in")


def test_without_a_sandbox_a_token_is_pasted(browser: Browser) -> None:
    with serve(create_app(has_sandbox=False)) as url:
        for graphiql in open_page(browser, url):
            graphiql.open("/graphql")
            expect(graphiql.page.get_by_role("button", name="Sign in as…")).to_have_count(0)
            expect(graphiql.alert).to_have_count(0)
            graphiql.page.get_by_label("Token").fill("Bearer pasted")
            graphiql.page.keyboard.press("Enter")
            expect(graphiql.status).to_have_text("Signed in as pasted token")
            graphiql.open_example("Who am I", "WhoAmI")
            graphiql.run()
            expect(graphiql.response).to_contain_text('"Bearer pasted"')
            assert graphiql.hosts == {urlsplit(url).netloc}


@pytest.mark.parametrize("name", ["member", "admin"])
def test_committed_examples_are_well_formed(name: str) -> None:
    document = parse((STATIC / "graphiql" / "examples" / f"{name}.graphql").read_text("utf-8"))
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    names = [operation.name.value for operation in operations if operation.name]
    assert len(names) == len(operations) == len(set(names)) > 0
    for operation in operations:
        assert operation.loc is not None
        below = operation.loc.start_token
        comment: list[str] = []
        while (above := below.prev) and (above.kind, above.line) == (
            TokenKind.COMMENT,
            below.line - 1,
        ):
            comment.insert(0, (above.value or "").strip())
            below = above
        assert comment, f"{names}: a title is missing"
        assert re.match(r"\S.* — \S", comment[0]), comment
        for line in comment:
            if line.startswith("variables:"):
                assert isinstance(json.loads(line.removeprefix("variables:")), dict)


def test_built_page_names_no_outside_address_and_has_no_maps() -> None:
    page = (STATIC / "graphiql" / "index.html").read_text("utf-8")
    assert "http" not in page
    for asset in re.findall(r'(?:src|href)="/static/([^"]+)"', page):
        assert (STATIC / asset).is_file()
    assert list((STATIC / "graphiql").rglob("*.map")) == []
