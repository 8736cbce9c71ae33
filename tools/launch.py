"""Trains with several processes on this machine: `python3 -m tools.launch 2 model=hdemucs ...`.

The first argument is the number of processes, the others are those of `python3 -m demucs.train`.
Asked to end (by SIGTERM, Ctrl-C, ...), all of them save, and the exit code is 85, as of one
process; Ctrl-C once more ends them at once. When one fails, the others have a few seconds to end,
and are killed then. When this process is gone, be it by SIGKILL, they save and end.
"""

from demucs.process.signals import EXIT_STOPPED, answering, begin

if __name__ == "__main__":
    begin()  # before the imports below

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from demucs.process.children import LAUNCHER
from demucs.process.command import run_command

PATIENCE = 60.0  # seconds for the others, when one has stopped and saved
FAILED_PATIENCE = 6.0  # seconds for the others, when one has failed: they cannot train or save
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
            number = getattr(signal, name, None)
            ignored = number is not None and signal.getsignal(number) is signal.SIG_IGN
            if number is not None and not (ignored and name == "SIGHUP"):  # as nohup has it
                signal.signal(number, self._ask)
        try:
            port = free_port()
            for rank in range(self.count):
                self.processes.append(self._start(rank, port))
            if self.asked:  # before all were there
                self._ask_all()
            failed = self._wait()
        finally:  # whatever happened, none is left
            self._kill()
        codes = [process.wait() for process in self.processes]
        if failed:
            return failed if failed > 0 else 128 - failed
        return max(codes)

    def _wait(self) -> int:
        """Until all have ended, or are to be killed; the exit code of the first that failed."""
        deadline, first, running = math.inf, 0, True
        while running:
            codes = [process.poll() for process in self.processes]
            running = None in codes
            failed = [code for code in codes if code not in (None, 0, EXIT_STOPPED)]
            first = first or next(iter(failed), None) or 0
            if failed or EXIT_STOPPED in codes:
                patience = FAILED_PATIENCE if failed else PATIENCE
                deadline = min(deadline, time.monotonic() + patience)
            if running and time.monotonic() > deadline:
                print("error: a process ended, and others that did not are killed", file=sys.stderr)
                return first
            time.sleep(LOOK if running else 0)
        return first

    def _start(self, rank: int, port: int) -> "subprocess.Popen[bytes]":
        world = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": self.count,
            "LOCAL_WORLD_SIZE": self.count,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            LAUNCHER: os.getpid(),
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
            if process.poll() is None:
                process.kill()


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    if not arguments or not arguments[0].isdigit() or int(arguments[0]) < 1:
        print(f"{USAGE} (the number of processes is missing)", file=sys.stderr)
        return 2
    with answering():
        return Launcher(int(arguments[0]), arguments[1:]).run()


if __name__ == "__main__":
    run_command(main)
