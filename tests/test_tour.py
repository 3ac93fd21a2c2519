"""The tours type what docs/tour.md and docs/offers.md say into a running demo, each into one of its
own, and must get what the page shows.

In a page `…` stands for whatever differs from run to run: within a line for a part of it, on a
line of its own for any lines. After a change that is meant, `python -m tests.test_tour offers` runs
that page against a fresh demo at localhost:8000 (another address can follow) and writes the new
answers into it, to be reviewed.
"""

import asyncio
import difflib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Self

import pytest

from tests.conftest import Engine

ROOT = Path(__file__).parents[1]
PAGES = ("tour", "offers")
ADDRESS = "localhost:8000"
SERVE = "make serve"
"""A page's first command, in a terminal of its own: here the test starts the server."""

START_SECONDS_MAX = 90.0
COMMAND_SECONDS_MAX = 60.0
END = "--- end of answer ---"


@dataclass
class Step:
    """A command of the page and the answer shown beneath it."""

    command: str
    answer: list[str] = field(default_factory=list)
    line: int = 0
    """Of the page, where the command begins."""


def steps_of(page: str) -> list[Step]:
    """What the page's console blocks say: `$` begins a command, `>` goes on with it."""
    steps: list[Step] = []
    is_console = False
    for number, line in enumerate(page.splitlines(), start=1):
        if line.startswith("```"):
            is_console = line == "```console"
        elif is_console and line.startswith("$ "):
            steps.append(Step(line[2:], line=number))
        elif is_console and line.startswith("> ") and not steps[-1].answer:
            steps[-1].command += "\n" + line[2:]
        elif is_console:
            steps[-1].answer.append(line)
    return steps


def matches(shown: list[str], actual: list[str]) -> bool:
    text = "".join(f"{line}\n" for line in actual)
    return re.fullmatch("".join(map(_pattern, shown)), text) is not None


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(re.escape(part) for part in line.split("…")) + r"\n"


def page_of(name: str) -> Path:
    return ROOT / "docs" / f"{name}.md"


def difference(shown: list[str], actual: list[str]) -> str:
    """What the page shows against what came; lines that `…` covers count as equal."""

    def as_shown(line: str) -> str:
        return next((s for s in shown if s.strip() != "…" and matches([s], [line])), line)

    diff = difflib.unified_diff(
        shown, [as_shown(line) for line in actual], "the page", "the answer", lineterm="", n=99
    )
    return "\n".join(diff)


class Bash:
    """One session, as somebody who follows the page has it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(COMMAND_SECONDS_MAX)
        self._process.stdout.close()

    def answer(self, command: str) -> list[str]:
        """Type a command, and read until the prompt is back."""
        assert self._process.stdin
        assert self._process.stdout
        deadline = Timer(COMMAND_SECONDS_MAX, self._process.kill)
        deadline.start()
        try:
            self._process.stdin.write(f"{command}\nprintf '\\n%s\\n' {shlex.quote(END)}\n")
            self._process.stdin.flush()
            lines = []
            while (line := self._process.stdout.readline()).rstrip("\n") != END:
                assert line, f"the shell ended at: {command}"
                lines.append(line.rstrip("\n"))
        finally:
            deadline.cancel()
        # The newline before the mark ends a last line without one, or makes an empty one.
        return lines[:-1] if lines[-1] == "" else lines


@dataclass(frozen=True)
class Demo:
    """A running `regulars serve --demo`."""

    address: str
    environment: dict[str, str]
    output: Path

    def typed(self, command: str) -> str:
        """A command of the page, meant for this server and this environment's programs."""
        programs = Path(sys.executable).parent
        return command.replace(ADDRESS, self.address).replace(".venv/bin/", f"{programs}/")

    def shown(self, answer: list[str]) -> list[str]:
        return [line.replace(self.address, ADDRESS) for line in answer]


def _environment(**settings: str) -> dict[str, str]:
    """This process's, without its own settings, and with this Python for the page's `python3`."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("REGULARS_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return others | {"PATH": path} | settings


@contextmanager
def serving(database_url: str, folder: Path) -> Iterator[Demo]:
    """The server, from its start to its graceful stop by Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = _environment(REGULARS_DATABASE_URL=database_url)
    output, log = folder / "server.out", folder / "server.log"
    regulars = Path(sys.executable).parent / "regulars"
    with output.open("w") as out, log.open("w") as err:
        server = subprocess.Popen(
            [regulars, "serve", "--demo", "--port", str(port)],
            cwd=folder, env=environment, stdout=out, stderr=err,
        )  # fmt: skip
    try:
        _wait_until_ready(f"http://localhost:{port}/readyz", server, log)
        yield Demo(f"localhost:{port}", environment, output)
    finally:
        server.send_signal(signal.SIGINT)
        try:
            status = server.wait(START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            server.kill()
            raise
    assert status == 0, log.read_text()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # our own server
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    pytest.fail(f"the demo was not ready in time: {log.read_text()}")


@pytest.fixture
def demo(engine: Engine, tmp_path: Path) -> Iterator[Demo]:
    url = asyncio.run(engine.make(tmp_path))
    try:
        with serving(url, tmp_path) as running:
            yield running
    finally:
        asyncio.run(engine.drop(url))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_tour_answers_as_its_page_shows(page: str, demo: Demo) -> None:
    first, *steps = steps_of(page_of(page).read_text("utf-8"))
    assert first.command == SERVE
    faults = []
    with Bash(demo.environment) as bash:
        welcome = demo.shown(demo.output.read_text("utf-8").splitlines())
        if not matches(first.answer, welcome):
            faults.append(f"line {first.line}: {SERVE}\n{difference(first.answer, welcome)}")
        for step in steps:
            answer = demo.shown(bash.answer(demo.typed(step.command)))
            if not matches(step.answer, answer):
                faults.append(
                    f"line {step.line}: $ {step.command}\n{difference(step.answer, answer)}"
                )
    assert not faults, f"docs/{page}.md has drifted:\n\n" + "\n\n".join(faults)


def test_the_page_is_read_as_written() -> None:
    page = "text\n```console\n$ one\n> more\nanswer\n…\n$ two\n```\n```sh\n$ not this\n```\n"
    assert steps_of(page) == [Step("one\nmore", ["answer", "…"], 3), Step("two", [], 7)]


@pytest.mark.parametrize(
    ("shown", "actual", "fits"),
    [
        (["id mem_…", "…", "end"], ["id mem_01", "x", "y", "end"], True),
        (["…", "end"], ["end"], True),
        (["id mem_…"], ["id card_01"], False),
        (["points 5"], ["points 6"], False),
        (["points 5"], ["points 5", "more"], False),
    ],
)
def test_dots_cover_what_differs_and_nothing_else(
    shown: list[str], actual: list[str], fits: bool
) -> None:
    assert matches(shown, actual) is fits


# What differs from run to run, in the order to look for it.
VARYING = (
    (re.compile(r"\b(ey[\w-]+\.[\w-]+\.[\w-]+)"), "…"),
    (re.compile(r"\b([a-z]{2,5}_)[0-9a-hjkmnp-tv-z]{26}\b"), r"\1…"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"), "…"),
    (re.compile(r"\b\d{4} \d{4} \d{4} \d{4} \d{2}\b"), "…"),
    (re.compile(r"\b8\d{17}\b"), "…"),
    (re.compile(r"((?:code|value)\": \")\d{18,20}"), r"\1…"),
    (re.compile(r"(\*{16})\d{4}"), r"\1…"),
    (re.compile(r"expires=\d+&signature=[\w-]+"), "…"),
    (re.compile(r"(pickUpCode\": \")\d+"), r"\1…"),
    (re.compile(r"(\"code\": \")[2-9A-Z]{16}"), r"\1…"),
    (re.compile(r"(number\": \")\d{16}"), r"\1…"),
    (re.compile(r"(\"totpCode\": \")\d{6}"), r"\1…"),
    (re.compile(r"(secondsLeft\": )\d+"), r"\1…"),
    (re.compile(r"\d+(?= records checked| not sealed)"), "…"),
    (re.compile(r"(expires_in\": )\d+"), r"\1…"),
    (re.compile(r"(code is |验证码是 )\d{6}"), r"\1…"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "…"),
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "…"),
    (re.compile(r"((?:Token|ticket|challenge|verification)\": \"|/reports/)[\w-]{20,}"), r"\1…"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b"), "…"),
)


def rewrite(page: Path, address: str) -> None:
    """Write the answers of the demo at this address into the page, where they no longer fit."""
    settings = {k: v for k, v in os.environ.items() if k.startswith("REGULARS_")}
    demo = Demo(address, _environment(**settings), page)
    lines = page.read_text("utf-8").splitlines()
    steps = [step for step in steps_of("\n".join(lines)) if step.command != SERVE]
    with Bash(demo.environment) as bash:
        answers = [demo.shown(bash.answer(demo.typed(step.command))) for step in steps]
    for step, answer in reversed(list(zip(steps, answers, strict=True))):
        if not matches(step.answer, answer):
            begin = step.line + step.command.count("\n")
            lines[begin : begin + len(step.answer)] = map(_without_varying, answer)
    page.write_text("\n".join(lines) + "\n", "utf-8")


def _without_varying(line: str) -> str:
    for pattern, instead in VARYING:
        line = pattern.sub(instead, line)
    return line


if __name__ == "__main__":
    name, address = (*sys.argv[1:], ADDRESS)[:2]
    rewrite(page_of(name), address)
