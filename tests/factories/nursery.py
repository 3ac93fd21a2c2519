"""A process that has all of the product imported and brings servers up from there, one at a time.

`regulars serve` spends seconds on imports before it listens; a test that kills it forty times waits
for them once. What it is asked on a line it answers on one: `start` brings a server up, whose own
first line says that it listens; `kill` kills it as `kill -9` does and answers when it is gone.
"""

import os
import signal
import sys

import app.main  # noqa: F401  # the point of it
from app import cli


def main() -> None:
    """The arguments are those of `regulars`."""
    child = 0
    for line in sys.stdin:
        if line.strip() == "start":
            child = os.fork()
            if child == 0:
                sys.argv[0] = "regulars"
                cli.main()
                os._exit(0)
        else:
            if child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                child = 0
            print("gone", flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    main()
