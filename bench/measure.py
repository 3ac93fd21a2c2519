"""The rounds: the product and what it is compared with, in turn, on one database."""

import http.client
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
import uvloop

from bench import raw
from bench.bare import STATEMENTS
from bench.load import Load, Sample
from bench.people import People
from bench.servers import BenchFailed, Server, load, serving

HOME_CLIENTS = 16
PURCHASE_CLIENTS = (1, 8, 32)
GROWTH_CLIENTS = 8
SAME_ANSWER_TRIES = 5
SAME_ANSWER_MEMBERS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often."""

    rounds: int
    seconds: float
    warm_seconds: float


@dataclass(frozen=True, slots=True)
class Filled:
    """A database full of members, and the load for it."""

    engine: str
    url: str
    members: int
    filled_per_second: float
    people: People

    @property
    def environment(self) -> dict[str, str]:
        return {"REGULARS_DATABASE_URL": self.url}


@dataclass(frozen=True, slots=True)
class Home:
    """The member home: the product's rounds, and the bare endpoint's."""

    product: list[Sample]
    bare: list[Sample]
    is_same_sql: bool

    @property
    def ratio(self) -> float:
        pairs = zip(self.product, self.bare, strict=True)
        return statistics.median(ours.per_second / theirs.per_second for ours, theirs in pairs)

    @property
    def spread(self) -> float:
        return statistics.median(each.p99_ms / each.p50_ms for each in self.product)


@dataclass(slots=True)
class Purchases:
    """Purchases a second at one number of clients, round by round."""

    clients: int
    product: list[float] = field(default_factory=list)
    raw: dict[str, list[float]] = field(default_factory=dict)
    """By the way of committing."""

    def ratio(self, way: str) -> float:
        pairs = zip(self.product, self.raw[way], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything measured on one database."""

    engine: str
    members: int
    filled_per_second: float
    home: Home
    purchases: list[Purchases]
    statements: int
    transactions: int
    started_mb: float | None
    home_mb: float | None
    loaded_mb: float | None


@dataclass(frozen=True, slots=True)
class Growth:
    """What a request costs with many members ÷ with few, the two in turn."""

    engine: str
    few: int
    many: int
    home: float
    purchase: float


def measure(filled: Filled, plan: Plan) -> Measured:
    """Start the servers, send everything, stop them."""
    people = filled.people
    with serving("product", filled.environment) as product:
        started_mb = product.memory_mb
        with serving("bare", filled.environment) as bare:
            _require_same_answers(product, bare, people)
            home = _home(product, bare, filled, plan)
        home_mb = product.memory_mb
        purchases = [_purchases(product, filled, plan, n) for n in PURCHASE_CLIENTS]
        loaded_mb = product.memory_mb
    return Measured(
        engine=filled.engine,
        members=filled.members,
        filled_per_second=filled.filled_per_second,
        home=home,
        purchases=purchases,
        statements=people.replays[0].statements,
        transactions=people.replays[0].transactions,
        started_mb=started_mb,
        home_mb=home_mb,
        loaded_mb=loaded_mb,
    )


def growth(few: Filled, many: Filled, plan: Plan) -> Growth:
    """The same load on both, in turn, each from a server of its own."""
    with (
        serving("product", few.environment) as small,
        serving("product", many.environment) as large,
    ):
        pair = ((small, few), (large, many))

        def cost(make: Callable[[Server, People, Plan], Load]) -> float:
            ratios = []
            for number in range(plan.rounds):
                rates = {}
                for server, filled in pair if number % 2 == 0 else pair[::-1]:
                    rates[server.port] = load(make(server, filled.people, plan)).per_second
                ratios.append(rates[small.port] / rates[large.port])
            return statistics.median(ratios)

        return Growth(few.engine, few.members, many.members, cost(home_load), cost(purchase_load))


def home_load(server: Server, people: People, plan: Plan) -> Load:
    return Load(
        port=server.port,
        path="/graphql",
        clients=HOME_CLIENTS,
        seconds=plan.seconds,
        warm_seconds=plan.warm_seconds,
        calls=people.home_calls,
        expected='"secondsLeft"',
    )


def purchase_load(
    server: Server, people: People, plan: Plan, clients: int = GROWTH_CLIENTS
) -> Load:
    return Load(
        port=server.port,
        path="/admin/graphql",
        clients=clients,
        seconds=plan.seconds,
        warm_seconds=plan.warm_seconds,
        calls=people.purchase_calls,
        expected='"PurchaseRecorded"',
    )


def _home(product: Server, bare: Server, filled: Filled, plan: Plan) -> Home:
    samples: dict[int, list[Sample]] = {product.port: [], bare.port: []}
    for number in range(plan.rounds):
        for server in (product, bare) if number % 2 == 0 else (bare, product):
            samples[server.port].append(load(home_load(server, filled.people, plan)))
    bare_sql = [statement.on(filled.engine).sql for statement in STATEMENTS]
    is_same_sql = sorted(bare_sql) == sorted(filled.people.home_statements)
    return Home(samples[product.port], samples[bare.port], is_same_sql)


def _purchases(product: Server, filled: Filled, plan: Plan, clients: int) -> Purchases:
    found = Purchases(clients)
    given = purchase_load(product, filled.people, plan, clients)
    steps: list[tuple[list[float], Callable[[], float]]] = [
        (found.product, lambda: load(given).per_second)
    ]
    for way, send in _ways_to_send_raw(filled, plan, clients).items():
        steps.append((found.raw.setdefault(way, []), send))
    for number in range(plan.rounds):
        for rates, send in steps if number % 2 == 0 else steps[::-1]:
            rates.append(send())
    return found


def _ways_to_send_raw(filled: Filled, plan: Plan, clients: int) -> dict[str, Callable[[], float]]:
    url, replays, seconds = filled.url, filled.people.replays, plan.seconds
    if filled.engine == "postgresql":
        sent = partial(raw.postgres_per_second, url, replays, clients=clients, seconds=seconds)
        return {"asyncpg": lambda: uvloop.run(sent())}
    path = url.removeprefix("sqlite:///")
    ways = {"a commit each": 1} | ({"group commit": clients} if clients > 1 else {})
    return {
        way: partial(raw.sqlite_per_second, path, replays, batch=batch, seconds=seconds)
        for way, batch in ways.items()
    }


def _require_same_answers(product: Server, bare: Server, people: People) -> None:
    """A comparison is worth something only between servers that answer the same."""
    for token, body in people.home_calls[:SAME_ANSWER_MEMBERS]:
        for _ in range(SAME_ANSWER_TRIES):  # a second may pass between the two
            ours, theirs = (_ask(server, token, body) for server in (product, bare))
            if ours == theirs:
                break
        else:
            raise BenchFailed(f"the two answers differ:\n{ours}\n{theirs}")


def _ask(server: Server, token: str, body: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    try:
        connection.request("POST", "/graphql", body, headers)
        return orjson.loads(connection.getresponse().read())
    finally:
        connection.close()
