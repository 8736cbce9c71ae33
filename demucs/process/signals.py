"""Signals that ask a command to end, answered at any moment from its first line on.

A command line calls `begin` before its other imports. What a signal then does depends on the stage:

    loading   the process ends at once, with one line: there is nothing to clean up
    working   `Asked` is raised, so that temporary files and child processes are cleaned up
    noting    SIGINT as above; the others are noted, and the work saves at its next boundary
    own       the command has handlers of its own, and ends by itself
    leaving   the process ends at once, with the exit code that was decided already

Python answers signals in its main thread, between two of its own instructions. A thread of this
module sees them whatever the main thread does, and ends the process when it does not come to an end
by itself. Nothing heavy is imported: the handlers are there before the seconds that torch takes.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["loading", "working", "noting", "own", "leaving"]

EXIT_STOPPED = 85  # exit code of a run that was stopped, lost nothing, and can be resumed
ENDS = ("SIGINT", "SIGTERM", "SIGHUP")  # of any command
SAVES = ("SIGUSR1", "SIGUSR2")  # of a command that saves, too: `sbatch --signal`
CLEAN_UP = 8.0  # seconds for cleaning up after a signal or an error
BOUNDARY = 600.0  # seconds for the boundary where the work saves
LAST_SECONDS = 20.0  # for it after another signal: SLURM kills 30 s (KillWait) after SIGTERM
TWICE = 1.0  # seconds in which a signal is the same one again: a group of processes gets it twice
_LEAVE = 0  # what `leaving` writes to the watching thread; signals are 1 and more


class Interrupted(Exception):
    """A run was asked to stop, and has saved where it was."""


class Asked(KeyboardInterrupt):
    """A signal asked the command to end; `name` is the signal's."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__("interrupted" if name == "SIGINT" else f"asked to end ({name})")


class _Command:
    """The command that this process is."""

    def __init__(self, saves: bool, notes: bool) -> None:
        self.saves = saves
        self.stage: Stage = "noting" if notes else "loading"
        self.seen: str | None = (
            None  # the first signal, whether Python's main thread answered or not
        )
        self.asked: str | None = None  # the signal that ends it
        self.noted: str | None = None  # the signal that has it save
        self.code = 0  # once it is leaving
        self.pipe = os.pipe()
        for end in self.pipe:
            os.set_blocking(end, end == self.pipe[0])


_command: _Command | None = None
_held = threading.local()  # signals that were held back before a fork


def begin(*, saves: bool = False, notes: bool = False) -> None:
    """From now on signals end this process as a command line; a second call renews the handlers.

    Only the main thread can do that, and SIGINT and SIGHUP that are ignored, as under `nohup`, stay
    so.

    Args:
        saves: this command saves and can be resumed: SIGUSR1 and SIGUSR2 ask it as well, and it
            ends with `EXIT_STOPPED`.
        notes: signals but SIGINT are noted from the beginning.
    """
    global _command
    if threading.current_thread() is not threading.main_thread():
        return
    first = _command is None
    if _command is None:
        _command = _Command(saves, notes)
    for name in (*ENDS, *SAVES) if saves else ENDS:
        number = getattr(signal, name, None)
        ignored = number is not None and signal.getsignal(number) is signal.SIG_IGN
        if number is not None and not (ignored and name in ("SIGINT", "SIGHUP")):
            signal.signal(number, _answer)
    signal.set_wakeup_fd(_command.pipe[1], warn_on_full_buffer=False)
    if first:
        threading.Thread(target=_watch, args=(_command,), name="signals", daemon=True).start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_forget)


def working() -> None:
    """From now on a signal raises `Asked`."""
    if _command is not None and _command.stage == "loading":
        _command.stage = "working"


def noting() -> AbstractContextManager[None]:
    """Inside, signals but SIGINT are noted: the work looks at `stop_signal`, and saves."""
    return _stage("noting")


def answering() -> AbstractContextManager[None]:
    """Inside, the command's own handlers answer, which it has set."""
    return _stage("own")


@contextmanager
def _stage(stage: Stage) -> Iterator[None]:
    command = _command
    if command is None:
        yield
        return
    before, command.stage = command.stage, stage
    try:
        yield
    finally:
        if command.stage == stage:
            command.stage = before


def stop_signal() -> str | None:
    """The name of the first signal that was noted, None while there was none."""
    return None if _command is None else _command.noted


def asked_by() -> str | None:
    """The name of the signal for which `Asked` was raised, None while there was none."""
    return None if _command is None else _command.asked


def leaving(code: int, *, bounded: bool) -> None:
    """The command is on its way out, with this exit code, and has said why.

    Args:
        code: the exit code.
        bounded: whether to end the process if that takes longer than `CLEAN_UP` seconds.
    """
    if _command is None:
        return
    _command.code, _command.stage = code, "leaving"
    if bounded:
        os.write(_command.pipe[1], bytes([_LEAVE]))


def exit_code(name: str) -> int:
    """The exit code of a command that the signal `name` ended before it had anything to save."""
    if name != "SIGINT" and _command is not None and _command.saves:
        return EXIT_STOPPED
    return 128 + int(getattr(signal, name))


def say(line: str) -> None:
    """Writes a line to standard error past Python's buffers, which a signal may interrupt."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="backslashreplace"))


def _answer(number: int, frame: FrameType | None) -> None:
    """The handler that Python calls in the main thread."""
    command, name = _command, signal.Signals(number).name
    if command is None:
        return
    if command.stage == "loading":
        command.asked = name
        _end_now(command)
    elif command.stage == "leaving":
        os._exit(command.code)
    elif command.stage == "noting" and name != "SIGINT":
        command.noted = command.noted or name
    elif command.asked is None:
        command.asked = name
        raise Asked(name)


def _watch(command: _Command) -> None:
    """Ends the process when it has not ended by itself some time after a signal."""
    deadline, last = None, -TWICE
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([command.pipe[0]], [], [], left)[0]:
            _end_now(command, late=True)
        number, now = os.read(command.pipe[0], 1)[0], time.monotonic()
        again = now - last >= TWICE and deadline is not None
        patience = _patience(command, number, again)
        if patience is not None:
            if number != _LEAVE:
                command.seen = command.seen or signal.Signals(number).name
            deadline, last = min(deadline or now + patience, now + patience), now


def _patience(command: _Command, number: int, again: bool) -> float | None:
    """Seconds that the process still has; None for other signals, such as SIGCHLD."""
    if number == _LEAVE:
        return CLEAN_UP
    name = signal.Signals(number).name
    if name not in ENDS and not (command.saves and name in SAVES):
        return None
    if command.stage == "own":
        return None
    if command.stage == "noting" and name != "SIGINT":
        return LAST_SECONDS if again else BOUNDARY
    return 0.0 if again else CLEAN_UP


def _end_now(command: _Command, *, late: bool = False) -> None:
    """Ends the process, with one line if the user does not know why.

    Args:
        command: this process.
        late: a signal or an error came before, and the process has not ended by itself.
    """
    name, code = command.asked or command.noted or command.seen or "SIGTERM", command.code
    same = "; the same command continues from the last saved state" if command.saves else ""
    if command.stage == "noting" and command.asked is None:
        code = 128 + int(getattr(signal, name))
        say(f"{Asked(name)}, and no step ended since: ended without saving{same}")
    elif command.stage != "leaving":
        code = exit_code(name)
        say(f"{Asked(name)}{' and ended by force, as it did not end' if late else ''}{same}")
    os._exit(code)


def _hold() -> None:
    """Before a fork: the new process gets no signal while it still is the command, too."""
    numbers = {getattr(signal, name) for name in (*ENDS, *SAVES)}
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _forget() -> None:
    """In a forked process: it is not the command, and has its own way with signals."""
    global _command
    if _command is not None:
        signal.set_wakeup_fd(-1)
        for end in _command.pipe:
            os.close(end)
        for name in (*ENDS, *SAVES):
            if signal.getsignal(getattr(signal, name)) is _answer:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
        _command = None
    _release()
