"""A lock on a file, which ends with the process, however that ends."""

import errno
from typing import IO, Any, Literal

Outcome = Literal["locked", "held", "unsupported"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def lock(file: IO[Any], *, wait: bool = False) -> Outcome:
    """Locks an open file for this process; child processes have no part in it.

    Args:
        file: open for writing; closing it gives the lock back.
        wait: until another process gives it back.

    Returns:
        "locked"; "held" by another process, or perhaps so: any failure but the following;
        "unsupported" by the operating system or the file system.
    """
    try:
        import fcntl
    except ImportError:
        return "unsupported"
    try:
        fcntl.lockf(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return "unsupported" if error.errno in _NO_LOCKS else "held"
    return "locked"
