"""The processes of a running job, found by what SLURM wrote into their environment."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def task_processes(number: str, program: str = "demucs.train") -> dict[int, int]:
    """Process number by rank of the tasks of a job that run `python3 -m PROGRAM`."""
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            pairs = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        environment = dict(pair.decode(errors="replace").partition("=")[::2] for pair in pairs)
        python = os.path.basename(words[0]).startswith(b"python")
        ours = environment.get("SLURM_JOB_ID") == number and "SLURM_STEP_ID" in environment
        if python and ours and program.encode() in words:
            rank, pid = int(environment["SLURM_PROCID"]), int(folder.name)
            found[rank] = min(pid, found.get(rank, pid))  # not a reader that it forked
    return found


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Stops a process, if it has not ended, while the block runs, as a disk without answer does."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def awaits(pid: int, number: signal.Signals) -> bool:
    """Whether a signal was sent to a process that is held, and so has not got it yet."""
    return bool(_pending(pid) & 1 << (number - 1))


def _pending(pid: int) -> int:
    """The signals that wait for a process, a bit each (proc(5): SigPnd, ShdPnd)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0  # it has ended
    masks = (line.split() for line in status if line.startswith(("SigPnd:", "ShdPnd:")))
    pending = 0
    for _, mask in masks:
        pending |= int(mask, 16)
    return pending
