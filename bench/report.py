"""The table and the page that keeps it."""

import statistics
from collections.abc import Iterator

from bench.batches import Worked
from bench.load import Sample
from bench.measure import HOME_CLIENTS, Growth, Measured, Plan
from bench.rush import BUYERS, CLIENTS, PIECES, Rate, Rushed

HOME_GOAL, HOME_FLOOR = 1.0, 0.9
ONE_STATEMENT_GOAL = 1.5
SPREAD_GOAL = 2.5
MEMORY_GOAL_MB = 120
GROWTH_GOAL = 1.1
CARDS_GOAL = 20_000
RUSH_GOALS = {"sqlite": 25, "postgresql": 10}
ENGINE_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def table(
    results: list[Measured], growths: list[Growth], batches: list[Worked], rushes: list[Rushed]
) -> str:
    parts = [_homes(results), _purchases(results), _memory(results)]
    if growths:
        parts.append(_growth(growths))
    parts += [_batches(batches), _rushes(rushes)]
    return "\n\n".join("\n".join(lines) for lines in parts)


def readme(
    shown: str,
    results: list[Measured],
    growths: list[Growth],
    batches: list[Worked],
    rushes: list[Rushed],
    plan: Plan,
) -> str:
    verdicts = "\n".join(f"- {line}" for line in _verdicts(results, growths, batches, rushes))
    statements = _statements(results)
    return f"""# Measurements

`make bench` starts the servers itself, loads the demo, measures and rewrites this page; `make bench
FULL=1` goes on to 1,000,000 members; `python -m bench --help` lists the options, `--detail` shows
where a request's time goes. PostgreSQL is found at `REGULARS_BENCH_POSTGRES`, by default the local
one; its databases are made and dropped. Read the ratios: all that is compared ran in turn
({plan.rounds} rounds of {plan.seconds:g} s each, medians), on a machine that others use too, with
the load generator beside the server.

## The last run

{shown}

## Against the goals

{verdicts}

## What is compared

- **Member home**: `bench/documents.py`, {HOME_CLIENTS} clients, a real access token each, members
  drawn from the whole population. The product is one production server process without jobs. The
  bare endpoint (`bench/bare.py`) is a Starlette route written by hand: the same statements on the
  same driver, prepared on plain asyncpg connections or in the event loop on SQLite, the same check
  of the same token, the same JSON by orjson; no limits, no log, no metrics. Before it is measured
  the two must answer the same.
- **Purchase recorded**: `purchaseRecord` with a partner's token against its own statements, which
  are recorded, and sent again with new ids on the driver in the same order and transactions: no
  HTTP, no checks, no GraphQL.
  {statements}
  On PostgreSQL each client has a connection; on SQLite they follow each other on one, with a commit
  each or with one for all clients (as the product's group commit does).
- **Memory** is the resident memory of the server process.
- **Without HTTP** (`bench/batches.py`): the services on the largest database, as jobs and tills
  call them. Lots expire in batches of a handful of statements; a release recomputes every card of
  the larger scheme; bills are paid on 200 cards.
- **Points mall** (`bench/rush.py`): {BUYERS:,} members, {CLIENTS} at once, ask for one of {PIECES}
  pieces to be fetched at a store; a run in which not exactly {PIECES} get one fails. The product is
  its service, without HTTP: whose session it is, the request key, the member's limit, the scope,
  the ledger, the pick-up code. Beside it, in turn and on the same tables with their indexes, each
  round with a new item, the plain way by hand on the driver: `SELECT stock … FOR UPDATE` and,
  while there is stock, an UPDATE of it, an UPDATE of the balance and an INSERT of the order, with
  none of the rest: on {CLIENTS} asyncpg connections; on SQLite, which has no FOR UPDATE, in
  `BEGIN IMMEDIATE` with a commit each, one after the other on one connection. Answers are counted
  over all who asked, sold out or not; orders until the last piece is gone.
- **Growth**: a server on each of the two databases, sent the same in turn; purchases by 8 clients.
"""


def _homes(results: list[Measured]) -> Iterator[str]:
    yield "| member home | members | req/s | bare | **÷ bare** | p50 ms | p99 ms | p99 ÷ p50 |"
    yield "|---|---|---|---|---|---|---|---|"
    for each in results:
        home = each.home
        p50_ms = statistics.median(sample.p50_ms for sample in home.product)
        p99_ms = statistics.median(sample.p99_ms for sample in home.product)
        note = "" if home.is_same_sql else " ¹"
        yield (
            f"| {ENGINE_NAMES[each.engine]}{note} | {each.members:,} "
            f"| {_rate(home.product):,.0f} | {_rate(home.bare):,.0f} | **{home.ratio:.2f}** "
            f"| {p50_ms:.1f} | {p99_ms:.1f} | {home.spread:.1f} |"
        )
    if not all(each.home.is_same_sql for each in results):
        yield ""
        yield "¹ The product answers with other statements than the bare endpoint, to the same end."


def _purchases(results: list[Measured]) -> Iterator[str]:
    yield "| purchase recorded | members | clients | a second | raw a second | **÷ raw** |"
    yield "|---|---|---|---|---|---|"
    for each in results:
        for found in each.purchases:
            raw = ", ".join(
                f"{statistics.median(rates):,.0f} ({way})" for way, rates in found.raw.items()
            )
            ratios = ", ".join(f"{found.ratio(way):.2f}" for way in found.raw)
            yield (
                f"| {ENGINE_NAMES[each.engine]} | {each.members:,} | {found.clients} "
                f"| {statistics.median(found.product):,.0f} | {raw} | **{ratios}** |"
            )


def _memory(results: list[Measured]) -> Iterator[str]:
    yield (
        "| memory of a server, MB | members | started | after member homes | after purchases "
        "| demo members/s |"
    )
    yield "|---|---|---|---|---|---|"
    for each in results:
        sizes = (each.started_mb, each.home_mb, each.loaded_mb)
        shown = " | ".join("–" if size is None else f"{size:.0f}" for size in sizes)
        filled = f"{each.filled_per_second:,.0f}"
        yield f"| {ENGINE_NAMES[each.engine]} | {each.members:,} | {shown} | {filled} |"


def _growth(growths: list[Growth]) -> Iterator[str]:
    yield "| cost with many members ÷ with few | members | member home | purchase |"
    yield "|---|---|---|---|"
    for each in growths:
        yield (
            f"| {ENGINE_NAMES[each.engine]} | {each.many:,} ÷ {each.few:,} "
            f"| {each.home:.2f} | {each.purchase:.2f} |"
        )


def _batches(batches: list[Worked]) -> Iterator[str]:
    yield (
        "| without HTTP | members | lots, of which due | expired a second "
        "| cards recomputed a second | bills paid by stored value a second, 8 tills |"
    )
    yield "|---|---|---|---|---|---|"
    for each in batches:
        yield (
            f"| {ENGINE_NAMES[each.engine]} | {each.members:,} | {each.lots:,}, {each.due:,} "
            f"| {each.lots_per_second:,.0f} | {each.cards_per_second:,.0f} ({each.cards:,}) "
            f"| {each.spendings_per_second:,.0f} |"
        )


def _rushes(rushes: list[Rushed]) -> Iterator[str]:
    yield (
        "| points mall, sold out at once | members | asked | placed | answers/s | orders/s "
        "| raw answers/s | raw orders/s | **answers ÷ raw** |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for each in rushes:
        yield (
            f"| {ENGINE_NAMES[each.engine]} | {each.members:,} | {each.asked:,} | {PIECES} "
            f"| {_answers_and_orders(each.product)} | {_answers_and_orders(each.raw)} "
            f"| **{each.ratio:.2f}** |"
        )


def _answers_and_orders(rates: list[Rate]) -> str:
    answers = statistics.median(each.answers for each in rates)
    orders = statistics.median(each.orders for each in rates)
    return f"{answers:,.0f} | {orders:,.0f}"


def _verdicts(
    results: list[Measured], growths: list[Growth], batches: list[Worked], rushes: list[Rushed]
) -> Iterator[str]:
    for each in results:
        where = f"{ENGINE_NAMES[each.engine]}, {each.members:,} members"
        yield (
            f"{where}: member home ÷ bare {each.home.ratio:.2f}, goal ≥ {HOME_GOAL} "
            f"(floor {HOME_FLOOR}): {_met(each.home.ratio >= HOME_GOAL)}"
        )
        yield (
            f"{where}: p99 ÷ p50 {each.home.spread:.1f}, goal ≤ {SPREAD_GOAL}: "
            f"{_met(each.home.spread <= SPREAD_GOAL)}"
        )
        if each.loaded_mb is not None:
            yield (
                f"{where}: memory {each.loaded_mb:.0f} MB, goal ≤ {MEMORY_GOAL_MB}: "
                f"{_met(each.loaded_mb <= MEMORY_GOAL_MB)}"
            )
    for grown in growths:
        yield (
            f"{ENGINE_NAMES[grown.engine]}: with {grown.many:,} members ÷ with {grown.few:,} a "
            f"member home costs {grown.home:.2f}, a purchase {grown.purchase:.2f}, goal ≤ "
            f"{GROWTH_GOAL} (at 1,000,000): {_met(max(grown.home, grown.purchase) <= GROWTH_GOAL)}"
        )
    for worked in batches:
        if worked.engine == "postgresql":
            yield (
                f"PostgreSQL: {worked.cards_per_second:,.0f} cards a second recomputed by a "
                f"release, goal ≥ {CARDS_GOAL:,}: {_met(worked.cards_per_second >= CARDS_GOAL)}"
            )
    for rushed in rushes:
        goal = RUSH_GOALS[rushed.engine]
        yield (
            f"{ENGINE_NAMES[rushed.engine]}: {rushed.asked:,} buyers for {PIECES} pieces, exact; "
            f"answers ÷ raw {rushed.ratio:.2f}, goal ≥ {goal}: {_met(rushed.ratio >= goal)}"
        )
    yield (
        f"one statement for the whole operation on PostgreSQL, goal ≥ {ONE_STATEMENT_GOAL}: "
        "not built"
    )
    yield "Node peers, graphene-django and stock Strawberry: not measured here"


def _statements(results: list[Measured]) -> str:
    counts = sorted({(r.statements, r.transactions) for r in results})
    found = " or ".join(
        f"{statements} statements in {transactions} transactions"
        for statements, transactions in counts
    )
    return f"It takes {found}."


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _rate(samples: list[Sample]) -> float:
    return statistics.median(each.per_second for each in samples)
