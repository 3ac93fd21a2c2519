"""GraphiQL's examples: each fits the schema, and those that need nothing pasted run (WEB-2)."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import strawberry
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    OperationType,
    get_variable_values,
    parse,
    print_ast,
    separate_operations,
    validate,
)

from resolvers.root import admin_schema, member_schema
from tests.conftest import Engine
from tests.test_tour import serving

ROOT = Path(__file__).parents[1]
SCHEMAS = {"member": member_schema, "admin": admin_schema}
PATHS = {"member": "/graphql", "admin": "/admin/graphql"}
PASTE = "paste"
"""How a variable begins whose value has to be fetched from elsewhere, such as another example."""

SIGN_IN = """mutation ($appId: String!, $jsCode: String!) {
  sessionStartWithWechat(input: {appId: $appId, jsCode: $jsCode}) {
    ... on SessionStarted { accessToken }
  }
}"""
STAFF_SIGN_IN = """mutation ($email: String!, $password: String!) {
  staffSessionStart(input: {email: $email, password: $password}) {
    ... on SecondFactorRequired { challenge }
  }
}"""
STAFF_CONFIRM = """mutation ($challenge: String!, $code: String!) {
  staffSessionConfirm(input: {challenge: $challenge, totpCode: $code}) {
    ... on StaffSessionStarted { accessToken }
  }
}"""


@dataclass(frozen=True)
class Example:
    """An operation as the page opens it."""

    audience: str
    name: str
    title: str
    document: DocumentNode
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def operation(self) -> OperationDefinitionNode:
        found = [d for d in self.document.definitions if isinstance(d, OperationDefinitionNode)]
        return found[0]

    @property
    def is_runnable(self) -> bool:
        """Over HTTP, with nothing to be pasted."""
        return (
            self.operation.operation is not OperationType.SUBSCRIPTION
            and f'"{PASTE} ' not in json.dumps(self.variables)
        )


def read_examples(audience: str) -> list[Example]:
    """As web/graphiql/src/examples-file.ts reads the file."""
    path = ROOT / "static" / "graphiql" / "examples" / f"{audience}.graphql"
    source = path.read_text("utf-8")
    examples = []
    for name, document in separate_operations(parse(source)).items():
        head = rf"((?:^#.*\n)+)(?:query|mutation|subscription) {name}\b"
        above = re.search(head, source, re.MULTILINE)
        assert above, f"{name} has no comment that touches it"
        lines = [line.removeprefix("#").strip() for line in above[1].splitlines()]
        variables = [line for line in lines if line.startswith("variables:")]
        given = json.loads(variables[0].removeprefix("variables:")) if variables else {}
        title = " ".join(line for line in lines if not line.startswith("variables:"))
        examples.append(Example(audience, name, title, document, given))
    return examples


EXAMPLES = [example for audience in SCHEMAS for example in read_examples(audience)]
by_name = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.audience}-{e.name}")


@by_name
def test_the_example_fits_the_schema(example: Example) -> None:
    schema: strawberry.Schema = SCHEMAS[example.audience]
    assert validate(schema._schema, example.document) == []
    definitions = tuple(example.operation.variable_definitions or ())
    assert {d.variable.name.value for d in definitions} == set(example.variables)
    # What is pasted takes the place of a text, except for moments, which must be real ones.
    text = re.sub(
        r'"paste the time [^"]*"', '"2026-11-22T00:00:00Z"', json.dumps(example.variables)
    )
    coerced = get_variable_values(schema._schema, definitions, json.loads(text))
    assert not isinstance(coerced, list), coerced


@by_name
def test_the_example_has_a_title_and_an_explanation(example: Example) -> None:
    title, dash, explanation = example.title.partition(" — ")
    assert title
    assert dash
    assert explanation


@pytest.mark.parametrize("audience", SCHEMAS)
def test_every_query_mutation_and_subscription_has_an_example(audience: str) -> None:
    schema = SCHEMAS[audience]._schema
    roots = [schema.query_type, schema.mutation_type, schema.subscription_type]
    offered = {name for root in roots if root for name in root.fields}
    shown = {
        selection.name.value
        for example in read_examples(audience)
        for selection in example.operation.selection_set.selections
        if hasattr(selection, "name")
    }
    assert offered - shown == set()


@pytest.mark.parametrize("audience", SCHEMAS)
def test_no_fragment_is_left_over(audience: str) -> None:
    source = (ROOT / "static" / "graphiql" / "examples" / f"{audience}.graphql").read_text("utf-8")
    fragments = {
        d.name.value for d in parse(source).definitions if isinstance(d, FragmentDefinitionNode)
    }
    assert fragments == {name for name in fragments if f"...{name}\n" in source}


@dataclass(frozen=True)
class Client:
    """Somebody who is signed in to a running demo."""

    address: str
    token: str = ""

    def ask(self, path: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return self.fetch(path, json.dumps(body).encode(), headers)

    def fetch(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        url = f"http://{self.address}{path}"
        request = urllib.request.Request(url, body, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{path} answered {error.code}: {error.read().decode()}")
        assert isinstance(found, dict)
        return found


def signed_in(address: str, audience: str) -> Client:
    """Lin Xiaoman, or the owner."""
    people = Client(address).fetch("/sandbox/people")
    if audience == "member":
        codes = {name: people["members"][0]["wechat"][name] for name in ("appId", "jsCode")}
        answer = Client(address).ask(PATHS[audience], SIGN_IN, codes)
        return Client(address, answer["data"]["sessionStartWithWechat"]["accessToken"])
    owner = people["staff"][0]
    account = {"email": owner["email"], "password": owner["password"]}
    started = Client(address).ask(PATHS[audience], STAFF_SIGN_IN, account)["data"]
    proof = {"challenge": started["staffSessionStart"]["challenge"], "code": owner["totpCode"]}
    confirmed = Client(address).ask(PATHS[audience], STAFF_CONFIRM, proof)["data"]
    return Client(address, confirmed["staffSessionConfirm"]["accessToken"])


@pytest.fixture(scope="module")
def address(sqlite_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("examples")
    with serving(asyncio.run(sqlite_engine.make(folder)), folder) as demo:
        yield demo.address


@pytest.mark.parametrize("audience", SCHEMAS)
def test_examples_that_need_nothing_pasted_run_one_after_the_other(
    audience: str, address: str
) -> None:
    client = signed_in(address, audience)
    ran = 0
    for example in read_examples(audience):
        if not example.is_runnable:
            continue
        variables = {
            name: uuid4().hex if value == "$random" else value
            for name, value in example.variables.items()
        }
        answer = client.ask(PATHS[audience], print_ast(example.document), variables)
        assert "errors" not in answer, f"{example.name}: {answer}"
        for result in answer["data"].values():
            refusal = isinstance(result, dict) and "__typename" in result and "message" in result
            assert not refusal, f"{example.name}: {result}"
        ran += 1
    assert ran > 10
