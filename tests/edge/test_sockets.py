"""graphql-transport-ws: who may open a socket, what it refuses, how it ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.edge.graphql import Limits
from tests.edge.sample import closed_streams, endpoint, serve

PROTOCOL = Subprotocol("graphql-transport-ws")


class Client:
    """A socket that speaks JSON and never waits for ever."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, *messages: Any) -> None:
        for message in messages:
            self.connection.send(json.dumps(message))

    def receive(self) -> Any:
        return json.loads(self.connection.recv(timeout=10))

    def initialise(self, **params: str) -> None:
        self.send({"type": "connection_init", "payload": params})
        assert self.receive() == {"type": "connection_ack"}

    def subscribe(self, query: str, operation_id: str = "1", **payload: Any) -> None:
        payload["query"] = query
        self.send({"id": operation_id, "type": "subscribe", "payload": payload})

    def closing(self) -> tuple[int, str]:
        """Read to the end; gives the code and the reason of it."""
        try:
            while True:
                self.receive()
        except ConnectionClosed as closed:
            frame = closed.rcvd
        assert frame
        return frame.code, frame.reason


@contextmanager
def opened(address: str, **options: Any) -> Iterator[Client]:
    options = {"subprotocols": [PROTOCOL]} | options
    with connect(f"ws://{address}/", **options) as connection:
        yield Client(connection)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with opened(address) as client:
        yield client


class TestHandshake:
    @pytest.mark.parametrize("origin", ["https://evil.example", "null"])
    def test_pages_of_other_sites_are_refused(self, address: str, origin: Any) -> None:
        with pytest.raises(InvalidStatus) as refused, opened(address, origin=origin):
            pass
        assert refused.value.response.status_code == 403

    def test_our_own_and_allowed_pages_are_not(self) -> None:
        with serve(endpoint(allowed_origins=frozenset({"https://shop.example"}))) as address:
            for origin in (f"https://{address}", "https://shop.example", None):
                with opened(address, origin=origin) as client:
                    client.initialise()

    @pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"]])
    def test_no_other_protocol_is_spoken(self, address: str, subprotocols: Any) -> None:
        with opened(address, subprotocols=subprotocols) as client:
            assert client.closing()[0] == 4406

    def test_initialisation_has_a_deadline(self) -> None:
        with (
            serve(endpoint(limits=Limits(socket_init_seconds=0.1))) as address,
            opened(address) as client,
        ):
            client.send({"type": "ping"})
            assert client.closing() == (4408, "Connection initialisation timeout")

    def test_the_deadline_ends_with_the_initialisation(self) -> None:
        with (
            serve(endpoint(limits=Limits(socket_init_seconds=0.2))) as address,
            opened(address) as client,
            opened(address) as idle,
        ):
            client.initialise()
            assert idle.closing()[0] == 4408  # so the time is up for the first, too
            client.send({"type": "ping"})
            assert client.receive() == {"type": "pong"}

    def test_only_one_initialisation(self, client: Client) -> None:
        client.initialise()
        client.send({"type": "connection_init"})
        assert client.closing() == (4429, "Too many initialisation requests")

    def test_nothing_runs_before_it(self, client: Client) -> None:
        client.subscribe("{ hello }")
        assert client.closing() == (4401, "Unauthorized")

    @pytest.mark.parametrize(
        ("token", "expected"),
        [
            ("wrong", (4401, "UNAUTHENTICATED")),
            ("limited", (4403, "TOO_MANY_REQUESTS")),
            ("broken", (4500, "Internal server error")),
        ],
    )
    def test_bad_credentials_close_the_socket(
        self, client: Client, token: str, expected: tuple[int, str]
    ) -> None:
        client.send({"type": "connection_init", "payload": {"token": token}})
        assert client.closing() == expected

    def test_a_socket_of_nobody_ends_soon(self) -> None:
        """Whoever does not sign in cannot hold sockets open for ever."""
        limits = Limits(socket_anonymous_seconds=0.2)
        with serve(endpoint(limits=limits)) as address, opened(address) as client:
            client.initialise()
            client.subscribe("subscription { forever }")
            assert client.receive()["type"] == "next"
            assert client.closing() == (4403, "Credentials expired")

    def test_the_socket_ends_with_its_credentials(self, client: Client) -> None:
        client.initialise(token="expiring")
        client.subscribe("subscription { forever }")
        assert client.receive()["type"] == "next"
        assert client.closing() == (4403, "Credentials expired")
        assert closed_streams.acquire(timeout=10)


class TestMessages:
    @pytest.mark.parametrize(
        "message",
        [
            "",
            "{",
            "1",
            "[]",
            "null",
            '"ping"',
            "{}",
            '{"type": 1}',
            '{"type": ["ping"]}',
            '{"type": "connection_terminate"}',
            '{"type": "ping", "payload": 1}',
            '{"type": "pong", "payload": "x"}',
            '{"type": "connection_init", "payload": []}',
            '{"type": "subscribe"}',
            '{"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}}',
            '{"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}}',
            '{"type": "subscribe", "id": "%s", "payload": {"query": "{ hello }"}}' % ("x" * 129),
            '{"type": "subscribe", "id": "1"}',
            '{"type": "subscribe", "id": "1", "payload": "{ hello }"}',
            '{"type": "subscribe", "id": "1", "payload": [{"query": "{ hello }"}]}',
            '{"type": "subscribe", "id": "1", "payload": {}}',
            '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
            '{"type": "subscribe", "id": "1", "payload": {"query": "{hello}", "variables": []}}',
            '{"type": "complete"}',
            '{"type": "complete", "id": {}}',
            '{"type": "ping", "payload": {"a": %s}}' % ("[" * 40 + "]" * 40),
            "[" * 30_000,
            b'{"type": "ping"}',
        ],
        ids=lambda message: str(message)[:80],
    )
    def test_a_message_of_another_shape_closes_the_socket(
        self, client: Client, message: str | bytes
    ) -> None:
        if b"connection_init" not in str(message).encode():
            client.initialise()
        client.connection.send(message)
        assert client.closing()[0] == 4400

    def test_a_large_message_closes_the_socket(self, client: Client) -> None:
        client.connection.send(" " * 70_000)
        assert client.closing()[0] == 1009

    def test_a_ping_is_answered_before_and_after_initialisation(self, client: Client) -> None:
        client.send({"type": "ping"}, {"type": "pong"})
        assert client.receive() == {"type": "pong"}
        client.initialise()
        client.send({"type": "ping", "payload": {"a": 1}})
        assert client.receive() == {"type": "pong"}


class TestOperations:
    def test_a_subscription_streams_and_completes(self, client: Client) -> None:
        client.initialise()
        client.subscribe(
            "subscription C($to: Int!) { count(to: $to) }",
            variables={"to": 2},
            operationName="C",
        )
        assert [client.receive() for _ in range(3)] == [
            {"id": "1", "type": "next", "payload": {"data": {"count": 0}}},
            {"id": "1", "type": "next", "payload": {"data": {"count": 1}}},
            {"id": "1", "type": "complete"},
        ]

    def test_queries_and_mutations_work_too_and_ids_can_be_used_again(self, client: Client) -> None:
        client.initialise()
        for query, data in (
            ("{ hello }", {"hello": "Hello world"}),
            ("{ client }", {"client": "ws 127.0.0.1"}),
            (
                "mutation { buy(left: 0) { ... on SoldOutProblem { message } } }",
                {"buy": {"message": "Sold out"}},
            ),
        ):
            client.subscribe(query)
            assert client.receive() == {"id": "1", "type": "next", "payload": {"data": data}}
            assert client.receive() == {"id": "1", "type": "complete"}

    def test_each_operation_has_a_context_of_its_own(self, client: Client) -> None:
        client.initialise()
        for number in (1, 2):
            client.subscribe("{ operationNumber }")
            assert client.receive()["payload"] == {"data": {"operationNumber": number}}
            client.receive()

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("{", "GRAPHQL_PARSE_FAILED"),
            ("{ helo }", "GRAPHQL_VALIDATION_FAILED"),
            ("query($n: Int!) { number(value: $n) }", "BAD_USER_INPUT"),
            ("subscription { count }", "GRAPHQL_VALIDATION_FAILED"),
            ("subscription($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
            ("{" + "hello " * 600 + "}", "DOCUMENT_LIMIT_EXCEEDED"),
            ("subscription { refuses }", "BAD_USER_INPUT"),
            ("subscription { secret }", "NOT_YOURS"),
        ],
    )
    def test_an_operation_that_fails_leaves_the_socket_open(
        self, client: Client, query: str, code: str
    ) -> None:
        client.initialise()
        client.subscribe(query)
        message = client.receive()
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"][0]["extensions"] == {"code": code}
        assert "Did you mean" not in str(message)
        client.subscribe("{ hello }")
        assert client.receive()["payload"] == {"data": {"hello": "Hello world"}}

    def test_bugs_are_masked(self, client: Client) -> None:
        client.initialise()
        client.subscribe("{ bug }")
        payload = client.receive()["payload"]
        assert payload["data"] == {"bug": None}
        assert payload["errors"][0]["extensions"]["code"] == "INTERNAL"
        assert "hunter2" not in str(payload)
        assert client.receive()["type"] == "complete"

    def test_a_source_that_breaks_ends_its_operation_masked(self, client: Client) -> None:
        client.initialise()
        client.subscribe("subscription { breaks }")
        assert client.receive()["payload"] == {"data": {"breaks": 1}}
        message = client.receive()
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"][0]["extensions"]["code"] == "INTERNAL"
        assert "hunter2" not in str(message)

    def test_an_id_in_use_closes_the_socket(self, client: Client) -> None:
        client.initialise()
        client.subscribe("subscription { forever }")
        client.receive()
        client.subscribe("{ hello }")
        assert client.closing() == (4409, "Subscriber for 1 already exists")
        assert closed_streams.acquire(timeout=10)

    def test_completing_closes_the_generator_and_frees_the_id(self, client: Client) -> None:
        client.initialise()
        client.subscribe("subscription { forever }")
        client.receive()
        client.send({"type": "complete", "id": "1"}, {"type": "complete", "id": "unknown"})
        assert closed_streams.acquire(timeout=10)
        client.subscribe("{ hello }")
        assert client.receive()["payload"] == {"data": {"hello": "Hello world"}}

    def test_dropping_the_socket_closes_its_generators(self, address: str) -> None:
        with opened(address) as client:
            client.initialise()
            for operation_id in ("1", "2"):
                client.subscribe("subscription { forever }", operation_id)
                client.receive()
            client.connection.socket.close()  # no closing handshake: the network went away
            assert closed_streams.acquire(timeout=10)
            assert closed_streams.acquire(timeout=10)

    def test_a_socket_runs_only_so_many_operations(self) -> None:
        with (
            serve(endpoint(limits=Limits(socket_operations=1))) as address,
            opened(address) as client,
        ):
            client.initialise()
            client.subscribe("subscription { forever }", "1")
            client.receive()
            client.subscribe("{ hello }", "2")
            message = client.receive()
            assert (message["id"], message["type"]) == ("2", "error")
            assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
            client.send({"type": "complete", "id": "1"})
            assert closed_streams.acquire(timeout=10)
