"""Writing files so that a reader never sees half of one; reading with errors that have a remedy."""

import errno
import os
import re
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NoReturn

from demucs.errors import explain_os_error

# Audio files by their names. Parts of the first are found at once, in the middle of a file too; of
# the others a part may have to be decoded from the beginning.
QUICK_SUFFIXES = (
    ".wav", ".wave", ".flac", ".aiff", ".aif", ".aifc", ".w64", ".rf64", ".au", ".caf",
)  # fmt: skip
SLOW_SUFFIXES = (
    ".mp3", ".mp2", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".ac3", ".wma", ".wv", ".ape",
    ".tta", ".mka", ".webm",
)  # fmt: skip
AUDIO_SUFFIXES = (*QUICK_SUFFIXES, *SLOW_SUFFIXES)
SONG_SUFFIXES = (*AUDIO_SUFFIXES, ".mp4")  # also films, whose sound is a song


def is_song(name: str) -> bool:
    """True if a file of that name is taken for a song where a folder is named."""
    return name[0] != "." and os.path.splitext(name)[1].lower() in SONG_SUFFIXES


@contextmanager
def path_errors() -> Iterator[None]:
    """Turns what the operating system refuses inside the block into an error with its remedy.

    Raises:
        PathError: a file or folder cannot be read, made or written.
    """
    try:
        yield
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        raise explained from error


def list_folder(folder: Path) -> list[Path]:
    """The entries of a folder, in order.

    Raises:
        PathError: it does not exist, is a file, or may not be read.
    """
    with path_errors():
        return sorted(folder.iterdir())


def check_readable(path: Path) -> None:
    """Refuses a file or folder that may not be read, where a library would not say so.

    Raises:
        PathError: it does not exist, or may not be read.
    """
    with path_errors():
        if path.is_dir():
            os.scandir(path).close()
        else:
            path.open("rb").close()


def check_tree(folder: Path) -> None:
    """Refuses a folder of which a part may not be read: `Path.glob` would leave it out in silence.

    Raises:
        PathError: names the first part.
    """

    def refuse(error: OSError) -> NoReturn:
        raise error

    with path_errors():
        for place, folders, _ in os.walk(folder, onerror=refuse):
            for name in folders:
                os.scandir(os.path.join(place, name)).close()


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it over `path` if the block succeeds.

    The temporary name keeps the suffix of `path`, since encoders choose a format by it. If the
    block raises, the temporary file is removed and whatever stood at `path` is untouched.
    Missing parent folders are created.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    with atomic_paths([Path(path)]) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """`atomic_path` for several files: all of them appear once the block succeeds, or none.

    What stood there before is kept aside until the last one is in place, and put back if that
    fails. Folders that were created for them are removed again where the block raises. Temporary
    files that a killed process left of the same `paths` are removed.
    """
    made: list[Path] = []
    temporary: list[Path] = []
    renamed: list[Path] = []
    aside: dict[Path, Path] = {}
    try:
        for path in paths:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "there is a folder of that name", str(path))
            if path.exists() and not path.is_file():
                raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
            temporary.append(temporary_beside(path, made))
        remove_stale(paths, "new")
        yield list(temporary)
        mode = 0o666 & ~_umask()  # mkstemp gives 0600; a release is meant to be shared
        for temporary_path in temporary:
            temporary_path.chmod(mode)
        if len(paths) > 1:
            for path in paths:
                if path.exists():
                    aside[path] = temporary_beside(path, made, "old")
                    os.replace(path, aside[path])
        for temporary_path, path in zip(temporary, paths, strict=True):
            renamed.append(path)
            os.replace(temporary_path, path)
        for old in aside.values():
            old.unlink(missing_ok=True)
    except BaseException:
        for path in renamed if len(paths) > 1 else ():
            path.unlink(missing_ok=True)
        for path, old in aside.items():
            with suppress(OSError):  # what cannot be put back stays under its hidden name
                if old.stat().st_size:
                    os.replace(old, path)
                else:
                    old.unlink()
        for temporary_path in temporary:
            temporary_path.unlink(missing_ok=True)
        for folder in reversed(made):
            try:
                folder.rmdir()
            except OSError:  # somebody else has put something there
                break
        raise
    remove_stale(paths, "old")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


# "new" files are half written; "old" ones are kept aside until all new ones are in place.
Kind = Literal["new", "old"]


def temporary_beside(path: Path, made: list[Path], kind: Kind = "new") -> Path:
    """A new empty file beside `path`, hidden, with its suffix; notes the folders it had to make.

    Its name tells the process: `.START.new-PLACE-PID.RANDOM` and the suffix.
    """
    for attempt in range(3):
        made += [folder for folder in path.parents if not folder.exists()][::-1]
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
    """The scope of process numbers: a booted machine, and a container on it."""
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
