"""GraphQL over HTTP: media types, methods, shapes, sizes, origins, errors."""

import http.client
import json
import logging
from typing import Any

import httpx2
import pytest
import structlog

from app.edge.graphql import Limits
from tests.edge.sample import endpoint, serve

NEWER = "application/graphql-response+json"


def post(http: httpx2.Client, query: str, **headers: str) -> httpx2.Response:
    return http.post("/", json={"query": query}, headers={"accept": NEWER} | headers)


def code(response: httpx2.Response) -> str:
    (error,) = response.json()["errors"]
    assert error["message"]
    result: str = error["extensions"]["code"]
    return result


class TestMediaTypes:
    @pytest.mark.parametrize(
        ("accept", "answered"),
        [
            ("application/graphql-response+json", NEWER),
            ("application/json", "application/json"),
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("application/json;q=0.9, application/graphql-response+json", NEWER),
            ("application/json, application/graphql-response+json", NEWER),
            ("application/graphql-response+json;q=0.1, application/json", "application/json"),
            ("APPLICATION/JSON", "application/json"),
        ],
    )
    def test_answers_in_the_type_that_is_wanted_most(
        self, http: httpx2.Client, accept: str, answered: str
    ) -> None:
        response = post(http, "{ hello }", accept=accept)
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{answered}; charset=utf-8"
        assert response.json() == {"data": {"hello": "Hello world"}}
        assert response.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "*/*;q=0"])
    def test_refuses_to_answer_in_another(self, http: httpx2.Client, accept: str) -> None:
        response = post(http, "{ hello }", accept=accept)
        assert (response.status_code, code(response)) == (406, "NOT_ACCEPTABLE")

    @pytest.mark.parametrize(
        "content_type",
        [
            "",
            "text/plain",
            "application/jsonp",
            "application/json; charset=latin-1",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ],
    )
    def test_takes_nothing_but_json(self, http: httpx2.Client, content_type: str) -> None:
        response = http.post("/", content=b"{}", headers={"content-type": content_type})
        assert (response.status_code, code(response)) == (415, "UNSUPPORTED_MEDIA_TYPE")

    @pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"'])
    def test_takes_json_that_names_utf_8(self, http: httpx2.Client, charset: str) -> None:
        response = http.post(
            "/",
            content='{"query": "{ hello(name: \\"世界\\") }"}'.encode(),
            headers={"content-type": f"application/json; charset={charset}"},
        )
        assert response.json() == {"data": {"hello": "Hello 世界"}}

    def test_takes_no_compressed_body(self, http: httpx2.Client) -> None:
        response = post(http, "{ hello }", **{"content-encoding": "gzip"})
        assert response.status_code == 415


class TestMethods:
    def test_get_runs_a_query_with_variables(self, http: httpx2.Client) -> None:
        query = "query Q($n: Int!) { number(value: $n) }"
        parameters = {"query": query, "variables": '{"n": 5}', "operationName": "Q"}
        assert http.get("/", params=parameters).json() == {"data": {"number": 5}}

    def test_get_runs_no_mutation(self, http: httpx2.Client) -> None:
        response = http.get("/", params={"query": "mutation { buy(left: 1) { __typename } }"})
        assert (response.status_code, code(response)) == (405, "METHOD_NOT_ALLOWED")
        assert "POST" in response.headers["allow"]

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    def test_other_methods_are_refused(self, http: httpx2.Client, method: str) -> None:
        response = http.request(method, "/", json={"query": "{ hello }"})
        assert (response.status_code, code(response)) == (405, "METHOD_NOT_ALLOWED")

    def test_subscriptions_are_for_sockets(self, http: httpx2.Client) -> None:
        response = post(http, "subscription { count(to: 1) }")
        assert (response.status_code, code(response)) == (400, "BAD_REQUEST")

    @pytest.mark.parametrize(
        "query_string",
        [
            "",
            "query=",
            "query=%FF",
            "query={hello}&variables=[1]",
            "query={hello}&variables={",
            "query={hello}&query={hello}",
            "query={hello}&" + "&".join(f"a{number}=1" for number in range(50)),
        ],
    )
    def test_get_with_bad_parameters_is_refused(
        self, http: httpx2.Client, query_string: str
    ) -> None:
        response = http.get(f"/?{query_string}")
        assert (response.status_code, code(response)) == (400, "BAD_REQUEST")

    def test_a_browser_gets_the_page(self, http: httpx2.Client) -> None:
        accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        response = http.get("/", headers={"accept": accept})
        assert response.text == "<html>GraphiQL</html>"
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        with_query = http.get("/", params={"query": "{ hello }"}, headers={"accept": accept})
        assert with_query.json() == {"data": {"hello": "Hello world"}}

    def test_a_program_that_wants_something_else_does_not(self, http: httpx2.Client) -> None:
        assert http.get("/", headers={"accept": "application/xml"}).status_code == 406


class TestShapes:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"null",
            b"1",
            b'"{ hello }"',
            b"{}",
            b'{"query": null}',
            b'{"query": ""}',
            b'{"query": 1}',
            b'{"query": "{ hello }", "variables": []}',
            b'{"query": "{ hello }", "variables": "{}"}',
            b'{"query": "{ hello }", "extensions": 1}',
            b'{"query": "{ hello }", "operationName": {}}',
            b'{"query": "{ hello(name: \\"\xff\\") }"}',
            b'{"query": "{ hello(name: \\"\\ud800\\") }"}',
            b'\xef\xbb\xbf{"query": "{ hello }"}',
            b"[" * 30_000,
            b'{"query": "{ hello }", "variables": {"a": ' + b"[" * 20 + b"]" * 20 + b"}}",
            b'{"a":' * 900 + b"1" + b"}" * 900,
        ],
    )
    def test_a_body_of_another_shape_is_refused(self, http: httpx2.Client, body: bytes) -> None:
        response = http.post("/", content=body, headers={"content-type": "application/json"})
        assert (response.status_code, code(response)) == (400, "BAD_REQUEST")

    def test_a_batch_is_refused(self, http: httpx2.Client) -> None:
        response = http.post("/", json=[{"query": "{ hello }"}])
        assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
        assert "Batches" in response.text

    def test_json_may_nest_as_deep_as_the_limit(self) -> None:
        # Object, variables, and one list more or less.
        with serve(endpoint(limits=Limits(json_depth=3))) as address:
            url = f"http://{address}/"
            query = "query($a: [[Int!]!]) { __typename @include(if: true) hello }"
            for value, answer in (([1], "GRAPHQL_VALIDATION_FAILED"), ([[1]], "BAD_REQUEST")):
                body: dict[str, Any] = {"query": query, "variables": {"a": value}}
                response = httpx2.post(url, json=body)
                assert code(response) == answer

    def test_a_body_that_is_too_large_is_refused(self, http: httpx2.Client) -> None:
        response = http.post("/", json={"query": "#" * 70_000})
        assert (response.status_code, code(response)) == (413, "PAYLOAD_TOO_LARGE")

    def test_a_chunked_body_that_is_too_large_is_refused(self, http: httpx2.Client) -> None:
        response = http.post(
            "/",
            content=iter([b" " * 1_000] * 70),
            headers={"content-type": "application/json"},
        )
        assert (response.status_code, code(response)) == (413, "PAYLOAD_TOO_LARGE")

    def test_a_body_that_says_it_is_too_large_is_not_waited_for(self, address: str) -> None:
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.putrequest("POST", "/")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", "70000")
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, response.headers["connection"]) == (413, "close")
        connection.close()

    def test_a_body_must_arrive_in_time(self) -> None:
        with serve(endpoint(limits=Limits(body_seconds=0.1))) as address:
            connection = http.client.HTTPConnection(address, timeout=10)
            connection.putrequest("POST", "/")
            connection.putheader("content-type", "application/json")
            connection.putheader("content-length", "100")
            connection.endheaders(b'{"query"')
            response = connection.getresponse()
            assert response.status == 408
            assert json.load(response)["errors"][0]["extensions"]["code"] == "REQUEST_TIMEOUT"
            assert response.headers["connection"] == "close"
            connection.close()


class TestOrigins:
    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "nonsense"])
    def test_pages_of_other_sites_are_refused(self, http: httpx2.Client, origin: str) -> None:
        response = post(http, "{ hello }", origin=origin)
        assert (response.status_code, code(response)) == (403, "ORIGIN_NOT_ALLOWED")
        assert "access-control-allow-origin" not in response.headers
        assert http.options("/", headers={"origin": origin}).status_code == 403

    def test_our_own_pages_may_ask(self, http: httpx2.Client, address: str) -> None:
        response = post(http, "{ hello }", origin=f"https://{address}")
        assert response.status_code == 200

    def test_allowed_pages_may_ask_after_a_preflight(self) -> None:
        allowed = frozenset({"https://shop.example"})
        with serve(endpoint(allowed_origins=allowed)) as address:
            headers = {"origin": "https://shop.example"}
            preflight = httpx2.options(f"http://{address}/", headers=headers)
            assert preflight.status_code == 204
            assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
            assert "authorization" in preflight.headers["access-control-allow-headers"]
            response = httpx2.post(
                f"http://{address}/", json={"query": "{ hello }"}, headers=headers
            )
            assert response.headers["access-control-allow-origin"] == "https://shop.example"
            assert response.headers["vary"] == "origin"


class TestRequestErrors:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("{", "GRAPHQL_PARSE_FAILED"),
            ("{ }", "GRAPHQL_PARSE_FAILED"),
            ("subscription { }", "GRAPHQL_PARSE_FAILED"),
            ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
            ("type A { a: Int } { hello }", "GRAPHQL_VALIDATION_FAILED"),
            ("query($n: Int!) { number(value: $n) }", "BAD_USER_INPUT"),
        ],
    )
    def test_a_document_that_cannot_run_is_a_400(
        self, http: httpx2.Client, query: str, expected: str
    ) -> None:
        response = post(http, query)
        assert (response.status_code, code(response)) == (400, expected)
        assert response.json().keys() == {"errors"}
        legacy = post(http, query, accept="application/json")
        assert (legacy.status_code, code(legacy)) == (200, expected)

    def test_an_operation_of_another_name_is_refused(self, http: httpx2.Client) -> None:
        body = {"query": "query A { hello }", "operationName": "B"}
        response = http.post("/", json=body)
        assert (response.status_code, code(response)) == (400, "BAD_USER_INPUT")

    @pytest.mark.parametrize(
        "query",
        ["{ helo }", "{ number(valu: 1) }", "{ person }", "query($n: Inte) { hello }"],
    )
    def test_production_gives_no_hints(self, http: httpx2.Client, query: str) -> None:
        assert "Did you mean" not in post(http, query).text
        with serve(endpoint(masked=False)) as address:
            response = httpx2.post(f"http://{address}/", json={"query": query})
            assert "Did you mean" in response.text

    def test_a_client_without_valid_credentials_gets_a_401(self, http: httpx2.Client) -> None:
        response = post(http, "{ hello }", authorization="wrong")
        assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")

    def test_a_limited_client_learns_when_to_come_back(self, http: httpx2.Client) -> None:
        response = post(http, "{ hello }", authorization="limited")
        assert (response.status_code, code(response)) == (429, "TOO_MANY_REQUESTS")
        assert response.headers["retry-after"] == "7"

    def test_a_bug_before_execution_is_masked(self, http: httpx2.Client) -> None:
        response = post(http, "{ hello }", authorization="broken")
        assert (response.status_code, code(response)) == (500, "INTERNAL")
        assert "hunter2" not in response.text


class TestResolverErrors:
    @pytest.mark.parametrize(
        ("field", "expected"),
        [
            ("badCursor", {"message": "No such cursor", "extensions": {"code": "BAD_USER_INPUT"}}),
            (
                "busy",
                {
                    "message": "Slower, please",
                    "extensions": {"code": "TOO_MANY_REQUESTS", "retryAfterSeconds": 7},
                },
            ),
            ("secret", {"message": "Not yours", "extensions": {"code": "NOT_YOURS"}}),
            ("otherSecret", {"message": "Not yours", "extensions": {"code": "FORBIDDEN"}}),
        ],
    )
    def test_a_refusal_keeps_its_code_and_the_other_fields_their_data(
        self, http: httpx2.Client, field: str, expected: dict[str, Any]
    ) -> None:
        response = post(http, f"{{ hello {field} }}")
        assert response.status_code == 200
        assert response.json() == {
            "data": {"hello": "Hello world", field: None},
            "errors": [expected | {"path": [field], "locations": [{"line": 1, "column": 9}]}],
        }

    @pytest.mark.parametrize("selection", ["bug", "wrongType", "nameless { name }"])
    def test_a_bug_is_masked_and_logged_with_the_request_id(
        self, http: httpx2.Client, selection: str
    ) -> None:
        field = selection.partition(" ")[0]
        with structlog.testing.capture_logs() as logged:
            response = post(http, f"{{ {selection} }}", **{"x-request-id": "request-1"})
        assert response.json() == {
            "data": {field: None},
            "errors": [
                {
                    "message": "Something went wrong on our side.",
                    "path": [field],
                    "locations": [{"line": 1, "column": 3}],
                    "extensions": {"code": "INTERNAL", "requestId": "request-1"},
                }
            ],
        }
        (entry,) = logged
        assert entry["request_id"] == "request-1"
        assert entry["log_level"] == "error"
        assert isinstance(entry["exc_info"], Exception)

    def test_a_null_that_only_execution_can_see_is_the_clients_mistake(
        self, http: httpx2.Client
    ) -> None:
        query = "query($n: Int = 5) { number(value: $n) }"
        response = http.post("/", json={"query": query, "variables": {"n": None}})
        assert code(response) == "BAD_USER_INPUT"

    def test_exception_handlers_still_make_union_members(self, http: httpx2.Client) -> None:
        query = "mutation { buy(left: 0) { ... on SoldOutProblem { message } } }"
        assert post(http, query).json() == {"data": {"buy": {"message": "Sold out"}}}

    def test_the_context_knows_the_client(self, http: httpx2.Client) -> None:
        assert post(http, "{ client }").json() == {"data": {"client": "http 127.0.0.1"}}


def test_variables_are_never_logged(http: httpx2.Client, caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as logged, caplog.at_level(logging.DEBUG):
        query = "query($n: String!) { hello(name: $n) bug }"
        http.post("/", json={"query": query, "variables": {"n": "13800000000"}})
    assert logged
    assert "13800000000" not in str(logged) + caplog.text
