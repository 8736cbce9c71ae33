"""Child processes that end when they should: on an error of their parent's, and with it.

A scheduler and a terminal send their signals to every process of a job. A child leaves them to its
parent, which decides what becomes of the work, and kills the child when it is of no use any more.
Should the parent be gone, be it by SIGKILL, the child notices and ends by itself.
"""

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]
LAUNCHER = "DEMUCS_LAUNCHER"  # environment variable: the process that started this rank
LOOK = 0.5  # seconds between two looks at the parent
PATIENCE = 3.0  # seconds for what a child is at when it is to end; then it is killed


@contextmanager
def signals_held() -> Iterator[None]:
    """Holds signals back; a process that is started inside does so until it calls `settle`."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def settle(parent: int) -> None:
    """In a new child process: leaves signals to the process `parent`, and ends once it is gone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    follow(parent, lambda: os._exit(1))


def follow(parent: int, gone: Callable[[], object]) -> None:
    """Calls `gone`, in a thread, once `parent` is not the parent of this process any more."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        gone()

    if hasattr(os, "fork"):  # elsewhere children keep the number of a parent that is gone
        threading.Thread(target=look, name="parent", daemon=True).start()


def follow_launcher() -> None:
    """Has a process of `tools.launch` save and end, as on SIGTERM, once the launcher is gone."""

    def gone() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)  # which does not wait for long, if that step is stuck

    launcher = os.environ.pop(LAUNCHER, "")
    if launcher.isdigit():
        follow(int(launcher), gone)


@contextmanager
def process_pool(
    processes: int, prepare: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Processes that start quickly where the system can fork, and end when the block does.

    When it raises, what has not begun is given up, and what has begun has `PATIENCE` seconds.

    Args:
        processes: how many.
        prepare: called in each of them.
    """
    methods = multiprocessing.get_all_start_methods()
    pool = _Pool(
        processes,
        mp_context=multiprocessing.get_context("fork" if "fork" in methods else None),
        initializer=_prepare,
        initargs=(os.getpid(), prepare),
    )
    try:
        yield pool
    except BaseException:
        children = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        end_all(children)
        raise
    pool.shutdown()


class _Pool(ProcessPoolExecutor):
    """Its processes are born with signals held back."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Submits to the pool as any executor does; the first call starts the processes."""
        with signals_held():
            return super().submit(*args, **kwargs)


def _prepare(parent: int, prepare: Callable[[], None] | None) -> None:
    settle(parent)
    if prepare is not None:
        prepare()


def end_all(children: Sequence[Any], patience: float = PATIENCE) -> None:
    """Waits for processes of `multiprocessing` that are asked to end already, then kills them."""
    deadline = time.monotonic() + patience
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
    for child in children:
        if child.is_alive():
            child.kill()
    for child in children:
        child.join(1.0)  # in a read that cannot be interrupted it may live a while longer


class Commands:
    """Runs commands, in any thread, and ends those that run when it is left by an exception."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self._ended = False
        self._lock = threading.Lock()

    def __enter__(self) -> "Commands":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            return
        with self._lock:
            self._ended = True
            for process in self._running:
                process.terminate()
        deadline = time.monotonic() + PATIENCE
        for process in self._running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int | None = None,
        stderr: IO[str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Waits for a command, as `subprocess.run` does."""
        with self._lock:
            if self._ended:
                return subprocess.CompletedProcess(command, -signal.SIGTERM, "", "")
            process = subprocess.Popen(
                command, cwd=cwd, env=env, stdout=stdout, stderr=stderr, text=True
            )
            self._running.append(process)
        out, _ = process.communicate()
        self._running.remove(process)
        return subprocess.CompletedProcess(command, process.returncode, out, "")
