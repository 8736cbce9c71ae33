"""A process that is one side of a benchmark: one line of JSON for each line that it is sent."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

LIMIT = 1800.0  # seconds that an answer may take
TOLD = 8  # last lines of what a side complained of


def environment(ours: bool, **more: str) -> dict[str, str]:
    """The caller's, and `more`; our `demucs` is found by our sides alone."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if ours:
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    return {**environment, **more}


class Side:
    """Starts the process and waits for its line `ready`.

    If it ends, or does not answer in time, the benchmark ends with the last lines that it wrote to
    standard error.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, env: Mapping[str, str], limit: float = LIMIT
    ) -> None:
        self._command, self._limit = list(command), limit
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                text=True, cwd=folder, env=dict(env),
            )  # fmt: skip
        except OSError as error:
            sys.exit(f"a side does not start: {error}; give the path of a python")
        if self._line() != "ready":
            self._give_up("did not say that it is ready")

    def ask(self, request: str) -> Any:
        """The answer to a line."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except OSError:
            self._give_up(f"ended before {request!r}")
        line = self._line()
        try:
            return json.loads(line)
        except ValueError:
            self._give_up(f"answered {line!r} to {request!r}")

    def _line(self) -> str:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], self._limit)[0]:
            self._give_up(f"said nothing for {self._limit:g} s")
        line = self.process.stdout.readline()
        if not line:
            self._give_up(f"ended with exit code {self.process.wait()}")
        return line.strip()

    def _give_up(self, what: str) -> NoReturn:
        self.end()
        self._errors.seek(0)
        lines = self._errors.read().splitlines()[-TOLD:] or ["(it wrote nothing to standard error)"]
        text = "\n".join(f"  {line}" for line in lines)
        sys.exit(f"a side {what}: {' '.join(self._command)}\n{text}")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
