"""Signals that ask a run to end: noted at once, obeyed where the run can save and go on later.

SLURM sends SIGTERM to a job that it preempts, that is cancelled, or whose time is over, and before
that the signal that `sbatch --signal` names. Imports nothing heavy: it must be listening before
the seconds that loading torch takes.
"""

import signal
from types import FrameType

SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
EXIT_STOPPED = 85  # exit code of a run that was stopped, has saved, and can go on

_received: list[str] = []


class Interrupted(Exception):
    """A run was asked to stop, and has saved where it was."""


def listen() -> None:
    """From now on these signals are noted and do nothing else; in the main thread only."""
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _note)


def stop_signal() -> str | None:
    """The name of the first signal that came, None while there was none."""
    return _received[0] if _received else None


def _note(number: int, frame: FrameType | None) -> None:
    _received.append(signal.Signals(number).name)
