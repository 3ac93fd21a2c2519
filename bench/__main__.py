"""`python -m bench`: starts the servers, measures, prints the table and writes README.md."""

import argparse
import asyncio
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from app.settings import read_settings
from bench import databases, micro, report
from bench.batches import Worked, work
from bench.measure import Filled, Growth, Measured, Plan, growth, measure
from bench.people import draw
from bench.rush import Rushed, rush
from bench.servers import BenchFailed

README = Path(__file__).parent / "README.md"
ENGINES = ("sqlite", "postgresql")
SIZES = (10_000, 100_000)
FULL_SIZES = (10_000, 100_000, 1_000_000)
MEMBERS_MAX = 2_000_000


def main() -> None:
    options = _options()
    # A stop leaves nothing behind either: servers and databases go as the stack unwinds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: stopped"))
    databases.use_settings()
    plan = Plan(rounds=options.rounds, seconds=options.seconds, warm_seconds=options.warm_seconds)
    engines = [engine for engine in ENGINES if engine in options.engines]
    if "postgresql" in engines and (reason := databases.why_no_postgres()):
        print(f"PostgreSQL is left out, it cannot be reached: {reason}")
        engines.remove("postgresql")
    results: list[Measured] = []
    growths: list[Growth] = []
    batches: list[Worked] = []
    rushes: list[Rushed] = []
    try:
        for engine in engines:
            with ExitStack() as stack:
                filled = [
                    _filled(engine, stack.enter_context(databases.database(engine)), members)
                    for members in sorted(options.sizes)
                ]
                results += [_measured(each, plan, in_detail=options.detail) for each in filled]
                if len(filled) > 1:
                    growths.append(growth(filled[0], filled[-1], plan))
                # Last, since they change what they work on.
                last = filled[-1]
                print(f"{engine}, {last.members:,} members: batches …", flush=True)
                batches.append(work(engine, last.url, last.members))
                print(f"{engine}, {last.members:,} members: a rush …", flush=True)
                rushes.append(rush(engine, last.url, last.members, rounds=plan.rounds))
    except BenchFailed as failed:
        sys.exit(f"bench: {failed}")
    table = report.table(results, growths, batches, rushes)
    print(table)
    if options.write:
        README.write_text(report.readme(table, results, growths, batches, rushes, plan))


def _filled(engine: str, url: str, members: int) -> Filled:
    print(f"{engine}, {members:,} members: filling …", flush=True)
    per_second = asyncio.run(databases.fill(url, members))
    people = asyncio.run(draw(read_settings(database_url=url), url))
    return Filled(engine, url, members, per_second, people)


def _measured(filled: Filled, plan: Plan, *, in_detail: bool) -> Measured:
    print(f"{filled.engine}, {filled.members:,} members: measuring …", flush=True)
    measured = measure(filled, plan)
    if in_detail:
        print(micro.split(filled.url, filled.people, plan), flush=True)
    return measured


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="up to 1,000,000 members")
    parser.add_argument("--sizes", type=_size, nargs="+", help="members, such as 10000 100000")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 21), metavar="1…20")
    parser.add_argument("--seconds", type=float, default=1.5, help="how long a round counts")
    parser.add_argument("--warm-seconds", type=float, default=0.7, help="before it counts")
    parser.add_argument("--detail", action="store_true", help="where a request's time goes")
    parser.add_argument(
        "--no-write", dest="write", action="store_false", help="leave bench/README.md as it is"
    )
    options = parser.parse_args()
    options.sizes = options.sizes or (FULL_SIZES if options.full else SIZES)
    if not 0 < options.seconds <= 60:
        parser.error("--seconds must lie between 0 and 60")
    return options


def _size(text: str) -> int:
    members = int(text.replace("_", "").replace(",", ""))
    if not 1_000 <= members <= MEMBERS_MAX:
        raise argparse.ArgumentTypeError(f"between 1,000 and {MEMBERS_MAX:,}")
    return members


if __name__ == "__main__":
    main()
