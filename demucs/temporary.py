"""Hidden files beside those that they will become, and what killed processes left of them."""

import os
import re
import socket
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Literal

# "new" files are half written; "old" ones are kept aside until all new ones are in place.
Kind = Literal["new", "old"]


def temporary_beside(path: Path, made: list[Path], kind: Kind = "new") -> Path:
    """A new empty file beside `path`, hidden, with its suffix; notes the folders it had to make.

    Its name tells the process: `.START.new-PLACE-PID.RANDOM` and the suffix.
    """
    for attempt in range(3):
        made += [one for one in path.parents if not one.exists()][::-1]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                prefix=f".{_start(path)}.{kind}-{_place()}-{os.getpid()}.",
                suffix=path.suffix,
                dir=path.parent,
            )
        except FileNotFoundError:  # another process has just removed a folder that it had made
            if attempt == 2:
                raise
        except OSError as error:
            folder = os.path.dirname(error.filename or "")
            if folder == os.path.abspath(path.parent):
                error.filename = str(path)  # nobody knows the temporary one
            raise
        else:
            os.close(handle)
            return Path(name)
    raise AssertionError


def remove_stale(paths: Sequence[Path], kind: Kind) -> None:
    """Removes the temporary files of `paths` whose process was killed.

    Only those of this machine, since it was started, and of this container: nothing is known of
    the processes of others. What cannot be removed stays.
    """
    for folder in {path.parent for path in paths}:
        ours = "|".join(
            f"{re.escape(_start(path))}\\.{kind}-{_place()}-([0-9]+)\\.[^.]+{re.escape(path.suffix)}"
            for path in paths
            if path.parent == folder
        )
        pattern = re.compile(rf"\.(?:{ours})")
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                match = pattern.fullmatch(entry.name)
                if match and not _is_alive(int(next(filter(None, match.groups())))):
                    with suppress(OSError):
                        os.unlink(entry.path)


def _start(path: Path) -> str:
    start = path.stem
    while len(os.fsencode(start)) > 40:  # names of files have a limit in bytes
        start = start[:-1]
    return start


@cache
def _place() -> str:
    """Where a process number means the same process: a machine that runs, and a container of it."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return blake2b("\n".join(parts).encode(), digest_size=5).hexdigest()


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # where signal 0 is not a question
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True
