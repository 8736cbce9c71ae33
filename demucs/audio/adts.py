"""The frames of an AAC file without a container (ADTS), and where their format changes.

Files that were joined end to end, and recordings of radio programmes, may turn from mono to stereo.
Reference: ISO/IEC 13818-7, section 6.2 (ADTS).
"""

import mmap
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

_HEAD = 7  # bytes of a header


def read_adts(path: Path) -> tuple[tuple[int, int], ...]:
    """First and last (exclusive) byte of each part of one format; empty if it is not such a file.

    Raises:
        OSError: the file cannot be read.
    """
    state = path.stat()
    return _read(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read(path: Path, size: int, changed: int) -> tuple[tuple[int, int], ...]:
    starts: list[int] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place, before = 0, None
        while place + _HEAD <= size:
            head = data[place : place + _HEAD]
            length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
            if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or length < _HEAD:
                break  # whatever follows is ffmpeg's to find out
            form = head[2] & 0xFD, head[3] & 0xC0  # profile, rate and channels
            if form != before:
                starts.append(place)
            place, before = place + length, form
    return tuple(pairwise([*starts, size])) if starts else ()
