"""The frames of an AAC file without a container (ADTS), and where their format changes.

Files that were joined end to end, and recordings of radio programmes, may turn from mono to stereo.
Reference: ISO/IEC 13818-7, section 6.2 (ADTS).
"""

from itertools import pairwise
from pathlib import Path

from demucs.audio.headers import cached_until_changed, mapped

_HEAD = 7  # bytes of a header


@cached_until_changed
def read_adts(path: Path) -> tuple[tuple[int, int], ...]:
    """First and last (exclusive) byte of each part of one format; empty if it is not such a file.

    Raises:
        OSError: the file cannot be read.
    """
    starts: list[int] = []
    with mapped(path) as data:
        size = len(data)
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
