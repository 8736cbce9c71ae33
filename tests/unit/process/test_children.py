"""Child processes: they ignore what their parent is to answer, and none outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from demucs.process.children import Commands, process_pool

ROOT = Path(__file__).resolve().parents[3]
GONE = 10.0  # seconds


def is_gone(number: int) -> bool:
    """Whether a process has ended within some seconds; a zombie has."""
    deadline = time.monotonic() + GONE
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def _sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def _interrupted_at_work(pool: ProcessPoolExecutor, numbers: list[int]) -> None:
    numbers.append(pool.submit(_sleep, 0).result())
    for _ in range(4):
        pool.submit(_sleep, 60)
    time.sleep(0.3)
    raise KeyboardInterrupt


def test_an_error_ends_the_processes_of_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are amid a long piece of work, and without waiting for it."""
    monkeypatch.setattr("demucs.process.children.PATIENCE", 0.5)
    began = time.monotonic()
    numbers: list[int] = []
    with pytest.raises(KeyboardInterrupt), process_pool(2) as pool:
        _interrupted_at_work(pool, numbers)
    assert time.monotonic() - began < GONE
    assert is_gone(numbers[0])


def test_a_pool_gives_its_results_and_ends() -> None:
    with process_pool(2) as pool:
        numbers = {pool.submit(_sleep, 0.1).result() for _ in range(3)}
    assert os.getpid() not in numbers
    assert all(map(is_gone, numbers))


def test_signals_of_a_whole_job_leave_the_processes_of_a_pool_to_their_parent() -> None:
    with process_pool(1) as pool:
        number = pool.submit(_sleep, 0).result()
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"):
            os.kill(number, getattr(signal, name))
        assert pool.submit(_sleep, 0).result() == number


@pytest.mark.parametrize(
    "children",
    [
        "with process_pool(1) as pool:\n"
        "    print(pool.submit(os.getpid).result(), flush=True); time.sleep(60)",
        "from demucs.evaluation.scoring_pool import _Process\n"
        "one = _Process(); print(one._process.pid, flush=True); time.sleep(60)",
        "from demucs.data.loader import _settle\n"
        "import torch.utils.data as d\n"
        "from functools import partial\n"
        "batches = iter(d.DataLoader([0] * 9, num_workers=1,\n"
        "                            worker_init_fn=partial(_settle, parent=os.getpid())))\n"
        "print(batches._workers[0].pid, flush=True); next(batches); time.sleep(60)",
    ],
    ids=["pool", "scoring", "reader"],
)
def test_what_a_killed_process_had_started_ends_by_itself(children: str) -> None:
    head = "import os, time\nfrom demucs.process.children import process_pool\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", head + children], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(1.0)  # it has settled
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert is_gone(child)


def test_commands_end_with_the_block_that_runs_them() -> None:
    folder = {"cwd": ROOT, "env": dict(os.environ)}
    with Commands() as commands:
        done = commands.run(["sh", "-c", "echo out; exit 3"], stdout=subprocess.PIPE, **folder)  # type: ignore[arg-type]
    assert (done.returncode, done.stdout) == (3, "out\n")
    commands, began = Commands(), time.monotonic()
    read, write = os.pipe()
    with pytest.raises(KeyboardInterrupt), os.fdopen(write, "w") as err:
        _interrupted(commands, lambda: commands.run(["sh", "-c", _DEAF], stderr=err, **folder))  # type: ignore[arg-type]
    with os.fdopen(read) as output:
        number = int(output.readline())
    assert is_gone(number)
    assert time.monotonic() - began < GONE
    after = commands.run(["sh", "-c", "exit 0"], **folder)  # type: ignore[arg-type]
    assert after.returncode == -signal.SIGTERM, "nothing is begun any more"


_DEAF = "trap '' TERM; echo $$ >&2; while :; do sleep 0.1; done"


def _interrupted(commands: Commands, work: Callable[[], object]) -> None:
    """Has a signal interrupt `work` after half a second."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with commands:
            work()
    finally:
        signal.signal(signal.SIGALRM, before)
