"""The pages of an Ogg file: the streams that follow each other in it, and whether the last ends.

Recordings of radio programmes, and files that were joined end to end, are chains of streams, each
with headers of its own. Reference: RFC 3533.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from demucs.audio.headers import cached_until_changed, mapped

_HEAD = 27  # bytes of a page's header before its table of sizes
_BEGINS, _ENDS = 2, 4  # flags of a page
_LARGEST = 2**16  # bytes, which no page exceeds


@dataclass(frozen=True)
class OggStream:
    """Bytes of one stream (or of several that begin together, as of a film)."""

    start: int
    end: int


@cached_until_changed
def read_ogg(path: Path) -> tuple[OggStream, ...]:
    """The streams of an Ogg file in their order, but for one whose beginning is missing.

    Raises:
        OSError: the file cannot be read.
    """
    with mapped(path) as data:
        size = len(data)
        starts, before = [], False
        for place, flags in _pages(data):
            begins = bool(flags & _BEGINS)
            if begins and not before:
                starts.append(place)
            before = begins
    return tuple(OggStream(start, end) for start, end in pairwise([*starts, size]))


def _pages(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Place and flags of each page."""
    place = data.find(b"OggS")
    while 0 <= place <= len(data) - _HEAD:
        table = data[place + _HEAD : place + _HEAD + data[place + 26]]
        yield place, data[place + 5]
        after = place + _HEAD + len(table) + sum(table)
        place = after if data[after : after + 4] == b"OggS" else data.find(b"OggS", place + 4)


def ogg_ends(path: Path) -> bool:
    """True if the last page is complete and says that it is the last."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * _LARGEST))
        tail = file.read()
    place = tail.rfind(b"OggS")
    if place < 0 or len(tail) < place + _HEAD:
        return False
    sizes = tail[place + _HEAD : place + _HEAD + tail[place + 26]]
    end = place + _HEAD + tail[place + 26] + sum(sizes)
    return end <= len(tail) and bool(tail[place + 5] & _ENDS)
