"""The frames of an mp3 file, from their headers: how many there are, and whether the last is whole.

Reference: ISO/IEC 11172-3, section 2.4.1.3 (the header of a frame).
"""

import mmap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # MPEG 1
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG 2 and 2.5
_RATES = (44100, 48000, 32000)  # halved in MPEG 2, and again in 2.5


@dataclass(frozen=True)
class Mp3:
    """What the headers of an mp3 file tell.

    Attributes:
        told: samples of each channel that the first frame tells of, under the name Xing or Info,
            which most encoders write; None if it does not.
        found: samples in the frames that there are, the first frame's not counted if it tells.
        is_whole: the last frame is complete.
    """

    told: int | None
    found: int
    is_whole: bool


def read_mp3(path: Path) -> Mp3 | None:
    """Reads the headers of all frames; None if they are not those of an mp3.

    Raises:
        OSError: the file cannot be read.
    """
    state = path.stat()
    return _read(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, size: int, changed: int) -> Mp3 | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = _end(data)
        told, found, is_whole = None, 0, True
        for number, (place, length, samples) in enumerate(_frames(data, end)):
            if number == 0:
                told = _told(data[place : place + 256], samples)
            if number or told is None:
                found += samples
            is_whole = place + length <= end
    return Mp3(told, found, is_whole) if found else None


def _end(data: mmap.mmap) -> int:
    """Where the frames end and tags begin (APEv2, ID3v1)."""
    end = len(data)
    if data[-128:-125] == b"TAG":
        end -= 128
    footer = data[max(0, end - 32) : end]
    if footer[:8] == b"APETAGEX":
        end -= int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 128 else 0)
    return max(0, end)


def _frames(data: mmap.mmap, end: int) -> Iterator[tuple[int, int, int]]:
    """Place, length (bytes) and samples of each frame."""
    place = 0
    while data[place : place + 3] == b"ID3":  # its size: four times seven bits
        size = data[place + 6 : place + 10]
        place += 10 + sum(byte << 7 * (3 - k) for k, byte in enumerate(size))
    in_step = False
    while place < end:
        length, samples = _frame(data[place : place + 4])
        if length and (in_step or _frame(data[place + length : place + length + 4])[0]):
            yield place, length, samples
            place, in_step = place + length, True
            continue
        in_step, place = False, data.find(b"\xff", place + 1)
        if place < 0:
            return


def _frame(header: bytes) -> tuple[int, int]:
    """Length and samples of a frame; zeros where there is none of layer III."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0, 0
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0, 0
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[bits]
    hertz = _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    samples = 1152 if version == 3 else 576
    return samples // 8 * kbits * 1000 // hertz + (header[2] >> 1 & 1), samples


def _told(first: bytes, samples: int) -> int | None:
    place = max(first.find(b"Xing"), first.find(b"Info"))
    with suppress(IndexError):
        if place >= 0 and first[place + 7] & 1:
            return int.from_bytes(first[place + 8 : place + 12], "big") * samples
    return None
