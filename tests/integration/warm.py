"""`subprocess.run` for commands of this project, without the seconds that imports take.

A command is a process of its own here too, with its own folder, environment, output and exit code.
It is forked from one in which PyTorch and other libraries are imported already (warm_server.py), so
two seconds of a core are spent once and not for each command. Nothing of the project is imported
there. What is not as in a terminal: the libraries came before the command's environment, so they
have one thread. Tests of signals, pipes and memory start a true `python -m` by `subprocess`.
"""

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = Path(__file__).with_name("warm_server.py")


def run(
    args: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 600
) -> "subprocess.CompletedProcess[str]":
    """Runs `[sys.executable, "-m", MODULE, ...]` or `[sys.executable, FILE, ...]`.

    Args:
        cwd: the folder to run it in.
        env: its environment; that of the tests without it.
        timeout: seconds, after which it is killed.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    environment = dict(os.environ if env is None else env)
    given = [one for one in environment.get("PYTHONPATH", "").split(os.pathsep) if one]
    assert args[0] == sys.executable
    with tempfile.TemporaryDirectory() as folder:
        asked = {
            "command": list(args[1:]),
            "folder": str(cwd),
            "environment": environment,
            "path": [*given, *_path()],
            "out": os.path.join(folder, "out"),
            "err": os.path.join(folder, "err"),
        }
        code = _ask(asked, timeout)
        out, err = (Path(asked[name]).read_text("utf-8") for name in ("out", "err"))  # type: ignore[arg-type]
    return subprocess.CompletedProcess(list(args), code, out, err)


def _ask(asked: Mapping[str, object], timeout: float) -> int:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    if not select.select([server.stdout], [], [], timeout)[0]:
        _stop(server)
        raise subprocess.TimeoutExpired(str(asked["command"]), timeout)
    return int(server.stdout.readline())


@functools.cache
def _server() -> "subprocess.Popen[str]":
    """The process that commands are forked from, one for each process of pytest."""
    server = subprocess.Popen(
        [sys.executable, "-u", str(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    atexit.register(_stop, server)
    return server


def _stop(server: "subprocess.Popen[str]") -> None:
    """Ends it and what it runs."""
    _server.cache_clear()
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@functools.cache
def _path() -> list[str]:
    """Where Python looks for modules, but for the folder of the command and PYTHONPATH."""
    code = "import json, sys; print(json.dumps(sys.path[1:]))"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    path: list[str] = json.loads(done.stdout)
    return path
