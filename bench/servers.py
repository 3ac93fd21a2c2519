"""Server processes on free ports, and rounds of load against them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from bench.load import GRACE_S, Load, Sample

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0


class BenchFailed(Exception):
    """Nothing can be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server process that answers."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def memory_mb(self) -> float | None:
        """Resident memory now; None where there is no /proc."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return None
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmRSS"))
        return int(line.split()[1]) / 1_024


@contextmanager
def serving(role: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """Start `regulars serve`, or a server to compare it with, and stop it at the end."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    # The product's log has a line per request.
    log = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    process = subprocess.Popen(
        [sys.executable, *_command(role, str(port))],
        env=os.environ | environment,
        stdout=log,
        stderr=log,
    )
    try:
        if not _is_ready(process, port):
            log.seek(0)
            said = log.read()[-2_000:].decode(errors="replace")
            raise BenchFailed(f"the {role} server did not start: {said}")
        yield Server(process, port)
    finally:
        log.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def load(given: Load) -> Sample:
    """One round, sent from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=orjson.dumps(asdict(given)),
        stdout=subprocess.PIPE,
        timeout=given.warm_seconds + given.seconds + GRACE_S + START_SECONDS_MAX,
        check=True,
    )
    sample = Sample(**orjson.loads(done.stdout))
    if sample.failures:
        raise BenchFailed(f"{sample.failures} wrong answers, the first: {sample.first_failure}")
    return sample


def _command(role: str, port: str) -> list[str]:
    if role == "product":
        return ["-c", "from app.cli import main; main()", "serve", "--port", port]
    return ["-m", "bench.serve", role, port]


def _is_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    request = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    give_up_at = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(request)
                if b" 200 " in connection.recv(1_024):
                    return True
        except OSError:
            pass  # not listening yet
        time.sleep(0.1)
    return False
