"""Trains with several processes on this machine: `python3 -m tools.launch 2 model=hdemucs ...`.

The first argument is how many, the others are those of `python3 -m demucs.train`. Asked to end
(by SIGTERM, Ctrl-C, ...), all of them save, and the exit code is 85, as of one process; Ctrl-C once
more ends them at once. When one fails, the others have a minute to save.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from demucs.stopping import EXIT_STOPPED

PATIENCE = 60.0  # seconds for the others, when one has ended
LOOK = 0.1  # seconds between two looks at the processes
ASKS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
USAGE = "usage: python3 -m tools.launch PROCESSES [KEY=VALUE ...]"


class Launcher:
    """The processes of a run."""

    def __init__(self, count: int, arguments: Sequence[str]) -> None:
        self.count, self.arguments = count, list(arguments)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.asked = 0

    def run(self) -> int:
        """Starts all and waits for them; the exit code of the run."""
        for name in ASKS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._ask)
        port = free_port()
        self.processes = [self._start(rank, port) for rank in range(self.count)]
        if self.asked:  # before all were there
            self._ask_all()
        deadline: float | None = None
        while any(process.poll() is None for process in self.processes):
            failed = any(process.poll() not in (None, 0) for process in self.processes)
            if deadline is None and failed:
                deadline = time.monotonic() + PATIENCE
            if deadline is not None and time.monotonic() > deadline:
                self._kill()
            time.sleep(LOOK)
        codes = [process.wait() for process in self.processes]
        bad = [code for code in codes if code not in (0, EXIT_STOPPED)]
        if bad:
            return bad[0] if bad[0] > 0 else 128 - bad[0]
        return max(codes)

    def _start(self, rank: int, port: int) -> "subprocess.Popen[bytes]":
        world = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": self.count,
            "LOCAL_WORLD_SIZE": self.count,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "demucs.train", *self.arguments],
            env={**os.environ, **{name: str(value) for name, value in world.items()}},
            start_new_session=True,  # Ctrl-C comes to this process alone, which asks them
        )

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked > 1 and number == signal.SIGINT:
            self._kill()
        else:
            self._ask_all()

    def _ask_all(self) -> None:
        for process in self.processes:
            process.terminate()

    def _kill(self) -> None:
        for process in self.processes:
            process.kill()


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    if not arguments or not arguments[0].isdigit() or int(arguments[0]) < 1:
        print(f"{USAGE} (the number of processes is missing)", file=sys.stderr)
        return 2
    return Launcher(int(arguments[0]), arguments[1:]).run()


if __name__ == "__main__":
    sys.exit(main())
