"""What a document may cost: through HTTP, in bounded time."""

import time

import httpx2
import pytest
from graphql import get_introspection_query, parse

from app.edge.engine import Engine
from app.edge.failures import OperationRefused
from app.edge.limits import Limits, check_document
from tests.edge.sample import schema


def bomb(fragments: int, spreads: int) -> str:
    """Fragments that spread the next one several times: spreads ** fragments fields."""
    return (
        "{ person { ...F0 } }"
        + "".join(
            f"fragment F{number} on Person {{ {f'...F{number + 1} ' * spreads} }}"
            for number in range(fragments)
        )
        + f"fragment F{fragments} on Person {{ name }}"
    )


def nested(depth: int) -> str:
    return "{ person" + "{ friend" * depth + "{ name }" + "}" * depth + "}"


def refusal(document: str, limits: Limits | None = None) -> str | None:
    try:
        check_document(parse(document), limits or Limits())
    except OperationRefused as refused:
        return f"{refused.code} {refused.errors[0].message}"
    return None


def exceeded(what: str) -> str:
    return f"DOCUMENT_LIMIT_EXCEEDED The document {what}."


@pytest.mark.parametrize(
    "document",
    [
        bomb(40, 9),
        bomb(150, 2),
        "{ person { ...A } } fragment A on Person { ...B } fragment B on Person { ...A }",
        nested(100),
        "{" + " ".join(f"a{number}: hello" for number in range(400)) + "}",
        "{" + "hello " * 1_900 + "}",
        "{ hello " + "@include(if: true) " * 400 + "}",
        "mutation {" + " ".join(f"a{n}: buy(left: 1) {{ __typename }}" for n in range(6)) + "}",
        "query A { hello } query B { hello }",
        "{ person " + "{ ...on Person " * 150 + "{ name }" + "}" * 151,
        "#\n" * 20_000 + "{ hello }",
        "{ hello(name: " + "[" * 180 + "]" * 180 + ") }",
        "{" * 10_000,
        "{ hello(" + "name: 1 " * 600 + ") }",
        "{ number(value: " + "9" * 60_000 + ") }",
    ],
    ids=lambda document: document[:40],
)
def test_a_costly_document_is_refused_at_once(http: httpx2.Client, document: str) -> None:
    started = time.perf_counter()
    headers = {"accept": "application/graphql-response+json"}
    response = http.post("/", json={"query": document}, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] in {
        "DOCUMENT_LIMIT_EXCEEDED",
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
    }
    # Unfolded, the first would take the age of the universe; a second is a slow machine's due.
    assert time.perf_counter() - started < 1


def test_fragments_count_as_often_as_they_are_spread() -> None:
    assert refusal(bomb(1, 9), Limits(fields=10)) is None  # person and nine names
    assert refusal(bomb(1, 9), Limits(fields=9)) == exceeded("selects more than 9 fields")
    assert refusal(bomb(3, 9)) == exceeded("selects more than 500 fields")


def test_depth_counts_selection_sets_those_of_fragments_too() -> None:
    assert refusal(nested(3), Limits(depth=5)) is None
    assert refusal(nested(3), Limits(depth=4)) == exceeded("nests more than 4 levels")
    assert refusal(bomb(1, 1), Limits(depth=4)) is None
    assert refusal(bomb(1, 1), Limits(depth=3)) == exceeded("nests more than 3 levels")


def test_aliases_and_directives_are_counted_through_fragments() -> None:
    spread = "{ person { ...A friend { ...A } } }"
    aliases = spread + " fragment A on Person { a: name b: name }"
    assert refusal(aliases, Limits(aliases=4)) is None
    assert refusal(aliases, Limits(aliases=3)) == exceeded("uses more than 3 aliases")
    directives = spread + " fragment A on Person @x { name @skip(if: true) }"
    assert refusal(directives, Limits(directives=4)) is None
    assert refusal(directives, Limits(directives=3)) == exceeded("uses more than 3 directives")
    operation = "query($a: Int @x) @y { hello @z }"
    assert refusal(operation, Limits(directives=3)) is None
    assert refusal(operation, Limits(directives=2)) == exceeded("uses more than 2 directives")


def test_mutations_are_counted_through_fragments() -> None:
    document = (
        "mutation { ...A ... on Mutation { b: buy { left } } }"
        " fragment A on Mutation { a: buy { left } }"
    )
    assert refusal(document, Limits(root_mutation_fields=2)) is None
    assert refusal(document, Limits(root_mutation_fields=1)) == exceeded(
        "calls more than 1 mutations"
    )
    assert refusal("{ a: hello b: hello }", Limits(root_mutation_fields=1)) is None


def test_unused_and_doubled_fragments_are_held_to_the_limits_too() -> None:
    unused = "{ hello } fragment A on Person {" + "name " * 501 + "}"
    assert refusal(unused) == exceeded("selects more than 500 fields")
    doubled = "{ hello } fragment A on Person { name } fragment A on Person { name }"
    assert refusal(doubled) == (
        "GRAPHQL_VALIDATION_FAILED There can be only one fragment named 'A'."
    )


def test_a_document_holds_one_operation() -> None:
    expected = "DOCUMENT_LIMIT_EXCEEDED A document must hold exactly one operation."
    assert refusal("query A { hello } query B { hello }") == expected
    assert refusal("fragment A on Person { name }") == expected


def test_a_cycle_of_fragments_is_named() -> None:
    cycle = "{ person { ...A } } fragment A on Person { friend { ...A } }"
    assert refusal(cycle) == ("GRAPHQL_VALIDATION_FAILED Cannot spread fragment 'A' within itself.")


def test_graphiql_can_introspect(http: httpx2.Client) -> None:
    query = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    response = http.post("/", json={"query": query})
    assert response.json()["data"]["__schema"]["queryType"] == {"name": "Query", "kind": "OBJECT"}


def test_introspection_cannot_be_nested_at_will(http: httpx2.Client) -> None:
    fields = "{ fields { type " * 6 + "{ name }" + "} }" * 6
    response = http.post("/", json={"query": f"{{ __schema {{ types {fields} }} }}"})
    (error,) = response.json()["errors"]
    assert error["message"] == "Maximum introspection depth exceeded"


def test_even_introspection_has_an_end() -> None:
    document = "{ __schema " + "{ types " * 60 + "{ name }" + "}" * 61
    assert refusal(document) is None
    document = "{ __schema " + "{ types " * 70 + "{ name }" + "}" * 71
    assert refusal(document) == exceeded("nests too deeply")


def test_tokens_are_counted_while_they_are_read() -> None:
    engine = Engine(schema, Limits(tokens=3), hide_suggestions=True)
    engine.prepare("{ hello }")
    with pytest.raises(OperationRefused) as refused:
        engine.prepare("{ hello hello }")
    assert refused.value.code == "GRAPHQL_PARSE_FAILED"


class TestCache:
    def test_a_document_is_prepared_once(self) -> None:
        engine = Engine(schema, Limits(), hide_suggestions=True)
        assert engine.prepare("{ hello }") is engine.prepare("{ hello }")

    def test_the_oldest_documents_leave_when_there_are_too_many(self) -> None:
        engine = Engine(schema, Limits(cached_documents=2), hide_suggestions=True)
        first = engine.prepare("{ hello }")
        second = engine.prepare("{ hello  }")
        assert engine.prepare("{ hello }") is first  # used again, so the second is the oldest
        engine.prepare("{ hello   }")
        assert engine.prepare("{ hello }") is first
        assert engine.prepare("{ hello  }") is not second

    def test_the_oldest_documents_leave_when_they_are_too_long(self) -> None:
        engine = Engine(schema, Limits(cached_characters=20), hide_suggestions=True)
        first = engine.prepare("{ hello }")
        second = engine.prepare("{  hello }")
        assert engine.prepare("{ hello }") is first
        engine.prepare("{   hello }")
        assert engine.prepare("{  hello }") is not second

    def test_a_document_that_fails_takes_no_place(self) -> None:
        engine = Engine(schema, Limits(cached_documents=1), hide_suggestions=True)
        first = engine.prepare("{ hello }")
        with pytest.raises(OperationRefused):
            engine.prepare("{ nothing }")
        assert engine.prepare("{ hello }") is first
