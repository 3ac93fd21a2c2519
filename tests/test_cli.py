"""The command `regulars`, run as a program: its help, its refusals, how it stops."""

import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import cli

REGULARS = [str(Path(sys.executable).with_name("regulars"))]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["app.cli"])
"""Imports take seconds, so all these processes come from one that has them behind it."""
COMMANDS = (
    "serve", "worker", "migrate", "keys", "init", "demo", "check", "rotate-signing-key", "schema"
)  # fmt: skip
START_S = 60
STOP_S = 20


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's environment without the product's settings, and those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REGULARS_")}
    url = f"sqlite:///{folder}/regulars.db"
    return kept | {"REGULARS_DATABASE_URL": url, "NO_COLOR": "1", "COLUMNS": "200"} | more


def regulars(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end in a process of its own."""
    said, complained = folder / "stdout", folder / "stderr"
    process = PROCESSES.Process(
        target=run_regulars,
        args=(folder, arguments, environment(folder, **more), said, complained),
    )
    process.start()
    process.join(START_S)
    assert process.exitcode is not None, "it goes on"
    return subprocess.CompletedProcess(
        ["regulars", *arguments], process.exitcode, said.read_text(), complained.read_text()
    )


def run_regulars(
    folder: Path, arguments: tuple[str, ...], given: dict[str, str], said: Path, complained: Path
) -> None:
    """In the new process: become what a shell would have started."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(given)
    for path, stream in ((said, sys.stdout), (complained, sys.stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    sys.argv = ["regulars", *arguments]
    cli.main()


def secrets(folder: Path) -> dict[str, str]:
    lines = regulars(folder, "keys").stdout.splitlines()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def assert_refused(done: subprocess.CompletedProcess[str], pattern: str) -> None:
    """One line that says why, no traceback, exit code 1."""
    assert done.returncode == 1, done
    assert re.fullmatch(f"regulars: .*{pattern}.*\n", done.stderr), done.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_the_program_that_is_installed_names_every_command() -> None:
    shown = subprocess.run(
        [*REGULARS, "--help"], capture_output=True, text=True, timeout=START_S, check=True
    ).stdout
    assert [command for command in COMMANDS if command not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_how_it_is_used(tmp_path: Path, command: str) -> None:
    assert f"regulars {command}" in regulars(tmp_path, command, "--help").stdout


@pytest.mark.parametrize("url", ["nonsense", "mysql://root@127.0.0.1/regulars", "sqlite://"])
def test_a_bad_database_url_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    done = regulars(tmp_path, "migrate", REGULARS_DATABASE_URL=url)
    assert_refused(done, "is not a database URL")
    assert url not in done.stderr.replace("sqlite:///", "")


def test_an_unreachable_database_is_one_line(tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/regulars"
    assert_refused(
        regulars(tmp_path, "check", "ledger", REGULARS_DATABASE_URL=url), "cannot be reached"
    )


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "regulars.db").write_text("not a database, but long enough to be read as one" * 99)
    assert_refused(regulars(tmp_path, "migrate"), "not a database")


def test_what_is_not_there_yet_is_said_with_the_command_that_makes_it(tmp_path: Path) -> None:
    keys = secrets(tmp_path)
    assert_refused(regulars(tmp_path, "serve"), "REGULARS_ENCRYPTION_KEYS is missing.*keys`.*")
    assert_refused(regulars(tmp_path, "serve", **keys), "regulars migrate")
    assert regulars(tmp_path, "migrate").returncode == 0
    assert_refused(regulars(tmp_path, "serve", **keys), "no group.*regulars init")
    arguments = ("init", "--group-name", "Regulars", "--owner-name", "Wang")
    wrong = regulars(tmp_path, *arguments, "--owner-email", "nowhere", **keys)
    assert_refused(wrong, "not an e-mail address")
    done = regulars(tmp_path, *arguments, "--owner-email", "owner@regulars.example", **keys)
    assert done.returncode == 0, done.stderr
    assert "TOTP secret" in done.stdout
    again = regulars(tmp_path, *arguments, "--owner-email", "owner@regulars.example", **keys)
    assert_refused(again, "already a group")
    assert_refused(regulars(tmp_path, "demo"), "already holds the group")
    assert regulars(tmp_path, "rotate-signing-key", **keys).returncode == 0
    assert "is right" in regulars(tmp_path, "check", "ledger").stdout
    assert "head " + "0" * 64 in regulars(tmp_path, "check", "audit").stdout


def test_a_database_newer_than_the_code_is_left_alone(tmp_path: Path) -> None:
    assert regulars(tmp_path, "migrate").returncode == 0
    connection = sqlite3.connect(tmp_path / "regulars.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert_refused(regulars(tmp_path, "migrate"), "9999.*does not know")
    assert_refused(regulars(tmp_path, "check", "ledger"), "9999.*does not know")


def test_settings_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    keys = secrets(tmp_path)
    assert_refused(
        regulars(tmp_path, "serve", **keys, REGULARS_METRIC_TOKEN="x"),
        "REGULARS_METRIC_TOKEN is not a setting",
    )
    assert_refused(
        regulars(tmp_path, "serve", **(keys | {"REGULARS_INDEX_KEY": "c2hvcnQ="})), "secret"
    )
    assert_refused(
        regulars(tmp_path, "serve", **keys, REGULARS_STOP_TIMEOUT_S="soon"), "stop_timeout_s"
    )


def test_the_sandbox_does_not_start_in_production(tmp_path: Path) -> None:
    done = regulars(tmp_path, "serve", "--demo", REGULARS_MODE="production")
    assert_refused(done, "production")
    assert not (tmp_path / "regulars.db").exists()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(
            regulars(tmp_path, "serve", "--demo", "--port", str(port)), f"{port} is taken"
        )


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def demo(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`regulars serve --demo`, from the moment it says that it listens."""
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        [*REGULARS, "serve", "--demo", "--port", str(port)],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    else:
        pytest.fail((tmp_path / "log").read_text())
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    log.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_demo_serves_and_finishes_what_it_began_before_it_stops(
    demo: subprocess.Popen[str], port: int, tmp_path: Path, number: signal.Signals
) -> None:
    assert get(port, "/readyz") == 200
    body = b'{"query": "{ __typename }"}'
    with socket.create_connection(("127.0.0.1", port), timeout=STOP_S) as slow:
        head = (
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        slow.sendall(head.encode() + body[:-1])
        # The request is under way once the server has read so far: another, sent later on the
        # same loop, has been answered.
        assert get(port, "/healthz") == 200
        demo.send_signal(number)
        wait_until_closed(port)
        slow.sendall(body[-1:])
        answer = b""
        while piece := slow.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b'{"__typename":"Query"}' in answer
    assert demo.wait(STOP_S) == 0, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert (tmp_path / ".data" / "demo-keys.json").stat().st_mode & 0o777 == 0o600


def get(port: int, path: str) -> int:
    """The status of the answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=STOP_S) as connection:
        connection.sendall(request.encode())
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return int(answer.split()[1])


def wait_until_closed(port: int) -> None:
    """Until the server takes no new connection: it has begun to stop."""
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("still listening")


@pytest.mark.parametrize("audience", ["member", "admin"])
def test_a_schema_is_printed(tmp_path: Path, audience: str) -> None:
    done = regulars(tmp_path, "schema", audience)
    assert done.returncode == 0, done.stderr
    assert "type Query" in done.stdout
