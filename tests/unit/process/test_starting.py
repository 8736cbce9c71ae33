"""tests/conftest.py: a test meets the same process however pytest was started."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CHILD = (
    "import os, signal, sys, json; "
    "print(json.dumps([signal.getsignal(signal.SIGHUP) == signal.SIG_DFL,"
    " signal.getsignal(signal.SIGINT) == signal.default_int_handler,"
    " sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),"
    " os.umask(0), [os.environ.get(n) for n in ('LANG', 'TZ', 'COLUMNS', 'NO_COLOR', 'LC_ALL',"
    " 'DEMUCS_WORLD_SIZE', 'SLURM_JOB_ID')]]))"
)
PARENT = (
    "import tests.conftest, signal, subprocess, sys, os; "
    "os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGINT); "
    f"subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"
)
ODD = {"LANG": "POSIX", "TZ": "Asia/Tokyo", "COLUMNS": "40", "NO_COLOR": "1", "LC_ALL": "C",
       "DEMUCS_WORLD_SIZE": "2", "SLURM_JOB_ID": "7"}  # fmt: skip


def in_the_background() -> None:
    """As `nohup`, a shell without job control and a careful user have it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.umask(0o077)


@pytest.mark.parametrize("stdin", [True, False], ids=["stdin", "closed-stdin"])
def test_what_tests_start_meets_no_trace_of_the_caller(stdin: bool) -> None:
    """The signals that pytest itself ignored do not end it either."""

    def prepare() -> None:
        in_the_background()
        if not stdin:
            os.close(0)

    done = subprocess.run(
        [sys.executable, "-c", PARENT], cwd=ROOT, env={**os.environ, **ODD}, preexec_fn=prepare,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    hangs_up, interrupts, blocked, umask, variables = json.loads(done.stdout)
    assert hangs_up
    assert interrupts
    assert blocked == []
    assert umask == 0o022
    assert variables == ["C.UTF-8", "UTC", None, None, None, None, None]
