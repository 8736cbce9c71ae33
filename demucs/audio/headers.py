"""Reading file headers: mapped files, results kept until a file changes, lengths of ID3 tags.

Reference: id3.org, "ID3 tag version 2.4.0 - Main Structure", section 3.1 (the length of a tag).
"""

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

Reader = TypeVar("Reader", bound=Callable[..., Any])


def cached_until_changed(read: Reader) -> Reader:
    """Decorates a reader, whose first argument is a path: it reads again if the file has changed.

    A file has changed if its size or its modification time has. OSError is raised if there is none.
    """

    @lru_cache(maxsize=4096)
    def cached(path: Path, size: int, changed: int, *args: Any) -> Any:
        return read(path, *args)

    @wraps(read)
    def current(path: Path, *args: Any) -> Any:
        state = path.stat()
        return cached(path, state.st_size, state.st_mtime_ns, *args)

    return cast(Reader, current)


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of a file that is not empty, read on demand."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def id3_length(head: bytes) -> int:
    """Bytes of an ID3 tag of version 2, by its first ten bytes: a length of four times seven bits.

    >>> id3_length(b"ID3" + bytes([4, 0, 0, 0, 0, 2, 1]))
    267
    """
    return 10 + sum(byte << 7 * (3 - k) for k, byte in enumerate(head[6:10]))


def before_id3v1(data: mmap.mmap, end: int) -> int:
    """The place where data up to `end` end without the 128 bytes of an ID3 tag of version 1."""
    return end - 128 if data[max(0, end - 128) : max(0, end - 125)] == b"TAG" else end
