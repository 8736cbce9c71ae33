"""Keeps the processes of a cluster, and ends all of them when nobody wants it any more.

Run as a process of its own, `python supervise.py FOLDER`. Each line of its input is a command, as a
JSON list, to start in FOLDER. When the input ends, because the tests close it or because they died
in whatever way, everything that was ever started below here is killed and FOLDER is removed.

What SLURM starts turns itself into a daemon, that is, an orphan. Orphans are given to the nearest
"child subreaper" above them (see prctl(2)), which is this process: so none can escape.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 10  # seconds for processes to be gone after SIGKILL


def main(folder: Path) -> int:
    """Starts what it is told to, until its input ends; returns an exit code."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        print(f"cannot adopt orphans: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return 1
    log = os.open(folder / "daemons.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.chdir(folder)
    buffer = b""
    while True:
        if select.select([sys.stdin], [], [], 0.5)[0]:
            received = os.read(sys.stdin.fileno(), 65536)
            if not received:
                break
            *lines, buffer = (buffer + received).split(b"\n")
            for line in lines:
                start(json.loads(line), log)
        for pid, status in bury():
            os.write(log, f"process {pid} ended with status {status}\n".encode())
    left = end_all()
    if left:
        print(f"processes that cannot be killed: {left}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    return 1 if left or folder.exists() else 0


def start(command: list[str], log: int) -> None:
    """Starts a daemon in a session of its own, out of reach of the terminal's Ctrl-C."""
    null = os.open(os.devnull, os.O_RDONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, log, descriptor) for descriptor in (1, 2)]
    os.posix_spawnp(command[0], command, os.environ, file_actions=actions, setsid=True)
    os.close(null)


def bury() -> list[tuple[int, int]]:
    """Process numbers and exit statuses of the children that ended."""
    found = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def end_all() -> set[int]:
    """Kills all descendants, again and again while new ones turn up; returns the survivors."""
    deadline = time.monotonic() + PATIENCE
    while (left := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        bury()
        time.sleep(0.02)
    return left


def descendants(ancestor: int) -> set[int]:
    """The children of a process, theirs, and so on."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", name, "stat").read_text()
        except OSError:
            continue  # it has just ended
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    todo = [ancestor]
    while todo:
        new = children.get(todo.pop(), [])
        found.update(new)
        todo += new
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
