"""The one family of errors a user can cause or must act on.

Every message names the offending value and the remedy. Libraries raise; only the
command-line doors (`train`, `separate`, `tools.*`) print the message and exit non-zero. What the
operating system refuses becomes such an error there, by `explain_os_error`.
"""

import errno
import os


class DemucsError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigError(DemucsError):
    """A configuration, override or argument that cannot work."""


class DatasetError(DemucsError):
    """A dataset folder that is missing, empty or inconsistent."""


class AudioError(DemucsError):
    """An audio file that cannot be read, decoded or written."""


class ModelNotFoundError(DemucsError):
    """A model name or experiment signature that does not exist where it was looked for."""


class ReleaseError(DemucsError):
    """A release file that is corrupted, incomplete or of an unknown format."""


class CheckpointError(DemucsError):
    """A training checkpoint that is corrupted or belongs to another configuration."""


class MissingToolError(DemucsError):
    """An external program or optional package that is needed and not installed."""


class PathError(DemucsError):
    """A file or folder that cannot be read, made or written."""


def message_of(error: Exception) -> str:
    """The message of an error for an entry point; errors of the operating system get a remedy."""
    explained = explain_os_error(error) if isinstance(error, OSError) else None
    return str(error if explained is None else explained)


def explain_os_error(error: OSError) -> PathError | None:
    """The file or folder that the operating system refused, the reason, and the remedy.

    Returns:
        None if the error is not about a file, such as one of a connection.
    """
    reason = error.strerror or str(error)
    name = error.filename if error.filename2 is None else error.filename2
    if not isinstance(name, str | bytes | os.PathLike):
        return PathError(f"{reason}: {_ROOM}") if error.errno in _FULL else None
    path = os.fsdecode(name)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PathError(_refused(path, reason))
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        file = _first_file(path)
        return PathError(
            f"{file} is not a folder, and {'a folder' if file == path else path} is needed there: "
            "move it away, or name another folder"
        )
    what, remedy = _REASONS.get(
        error.errno or 0, ("cannot be used", "check the disk or network folder that it is on")
    )
    return PathError(f"{path} {what} ({reason}): {remedy}")


_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")  # torch's, cuDNN's, ...


def is_out_of_memory(error: BaseException) -> bool:
    """True for what Python, torch and its libraries raise where memory does not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _MEMORY_SIGNS)


_ROOM = "make room on the disk, and give the same command again"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REASONS = {
    errno.ENOENT: ("does not exist", "check the name and the folder"),
    errno.EISDIR: ("is a folder, and a file is needed there", "name a file"),
    errno.ENAMETOOLONG: ("cannot be used", "give a shorter name"),
    errno.ELOOP: ("cannot be used", "it is a link that leads back to itself: name another"),
    errno.EROFS: ("cannot be written", "name a folder on another disk"),
    **dict.fromkeys(_FULL, ("cannot be written", _ROOM)),
}


def _refused(path: str, reason: str) -> str:
    """The permission that is missing: to enter a folder above, to read, or to write."""
    above = _folders_above(path)
    closed = next((folder for folder in above if not os.access(folder, os.X_OK)), None)
    if closed is not None:
        return (
            f"{path} cannot be reached ({reason} in the folder {closed}): allow it with "
            f"chmod u+rx {closed}, or name another"
        )
    if not os.path.lexists(path):
        parent = next(folder for folder in reversed(above) if os.path.isdir(folder))
        return (
            f"{path} cannot be made ({reason} in the folder {parent}): allow it with chmod u+w "
            f"{parent}, or name another folder"
        )
    if not os.access(path, os.R_OK):
        mode = "u+rx" if os.path.isdir(path) else "u+r"
        return (
            f"{path} cannot be read ({reason}): allow it with chmod {mode} {path}, or name another"
        )
    if os.access(path, os.W_OK):  # a new file was to take its place
        return (
            f"{path} cannot be replaced ({reason} in the folder {above[-1]}): allow it with "
            f"chmod u+w {above[-1]}, or name another folder"
        )
    return f"{path} cannot be written ({reason}): allow it with chmod u+w {path}, or name another"


def _folders_above(path: str) -> list[str]:
    """The folders on the way to `path` that are there, from the outermost."""
    paths = []
    folder = os.path.dirname(path) or os.curdir
    while folder not in paths:
        paths.append(folder)
        folder = os.path.dirname(folder) or os.curdir
    return [path for path in reversed(paths) if os.path.lexists(path)]


def _first_file(path: str) -> str:
    """The outermost part of `path` that is a file."""
    parts = [*_folders_above(path), path]
    return next((part for part in parts if os.path.lexists(part) and not os.path.isdir(part)), path)
