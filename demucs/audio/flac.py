"""The frames of a FLAC file: which samples are there, whatever its header tells.

Editors that copy a part of a file leave the header of the whole in it, encoders that write to a
pipe do not know the length, and files that were joined end to end have the header of the first.
Reference: RFC 9639, sections 8.2 (STREAMINFO) and 9 (frames).
"""

import mmap
import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from demucs.audio.headers import before_id3v1, cached_until_changed, mapped

# How a stream begins: its mark, and the head of a STREAMINFO block, which may be the last one.
_HEAD = 42  # bytes of `fLaC` and STREAMINFO
_INFO = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_TAIL = 2**20  # bytes at the end in which the last frame is looked for
_LOOKS = (
    0.0,
    0.11,
    0.23,
    0.42,
    0.61,
    0.83,
)  # places in a file, whose frames are to have rising numbers


@dataclass(frozen=True)
class FlacStream:
    """One stream of a FLAC file.

    Attributes:
        told: samples of each channel that its header tells of; None if it does not.
        first: number of the first sample that is there; not 0 if the beginning was cut off.
        after: number after the last sample; None if the last frame is not whole.
        rises: the numbers of its frames rise, as they do not where frames of others were added.
        start, end: bytes in the file, without a tag at the end.
        length_at, without_length: where the header has the length, and what to put there so that
            it is not told.
    """

    told: int | None
    first: int
    after: int | None
    rises: bool
    start: int
    end: int
    length_at: int
    without_length: bytes

    @property
    def frames(self) -> int | None:
        """Samples that are there, if that is known."""
        if self.after is None or self.is_plain:
            return self.told
        return None

    @property
    def is_plain(self) -> bool:
        """True if the header is right, so that decoders find each sample where they expect it."""
        return self.first == 0 and self.rises and self.after == self.told is not None

    @property
    def patches(self) -> tuple[tuple[int, bytes], ...]:
        """Bytes that take the length out of a wrong header, by place: all frames are then read."""
        if self.is_plain or self.after is None or self.told is None:
            return ()
        return ((self.length_at, self.without_length),)


@cached_until_changed
def read_flac(path: Path) -> tuple[FlacStream, ...]:
    """The streams of a FLAC file in their order; empty if it is not one.

    Raises:
        OSError: the file cannot be read.
    """
    with mapped(path) as data:
        size = len(data)
        starts = [place for m in _INFO.finditer(data) if (place := m.start()) + _HEAD <= size]
        streams = [_stream(data, start, end) for start, end in pairwise([*starts, size])]
        if streams:  # tags before the first are its own
            streams[0] = replace(streams[0], start=0)
    return tuple(streams)


def _stream(data: mmap.mmap, start: int, end: int) -> FlacStream:
    info = data[start + 8 : start + 42]
    size = int.from_bytes(info[2:4], "big")  # samples of the largest frame
    count = int.from_bytes(info[13:18], "big") & (2**36 - 1)
    place = _after_blocks(data, start)
    begin = _frame(data[place : place + 16], size)
    first = 0 if begin is None else begin.first
    end = before_id3v1(data, end)
    after = _after_last(data, place, end, size)
    return FlacStream(
        told=count or None,
        first=first,
        after=after,
        rises=_rises(data, place, end, size),
        start=start,
        end=end,
        length_at=start + 21,
        without_length=bytes([info[13] & 0xF0, 0, 0, 0, 0]),
    )


def _rises(data: mmap.mmap, begin: int, end: int, size: int) -> bool:
    """False if frames further on have lower numbers, by a look at some of them."""
    numbers = []
    for share in _LOOKS:
        place = begin + int(share * (end - begin))
        for match in _SYNC.finditer(data, place, min(end, place + _TAIL)):
            frame = _frame(data[match.start() : match.start() + 16], size)
            if frame is not None and frame.samples == size:
                numbers.append(frame.first)
                break
    return numbers == sorted(numbers)


def _after_blocks(data: mmap.mmap, start: int) -> int:
    """The place of the first frame."""
    place = start + 4
    while place + 4 <= len(data):
        head = data[place : place + 4]
        place += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            break
    return place


def _after_last(data: mmap.mmap, begin: int, end: int, size: int) -> int | None:
    """Number after the last sample, by the last frame, if it ends where the stream does."""
    tail_begin = max(begin, end - _TAIL)
    tail = data[tail_begin:end]
    for match in reversed(list(_SYNC.finditer(tail))):
        frame = _frame(tail[match.start() : match.start() + 16], size)
        if frame is not None and _crc16(tail[match.start() :]) == 0:
            return frame.first + frame.samples
    return None


class _Frame(NamedTuple):
    """Number of a frame's first sample, and its samples in each channel."""

    first: int
    samples: int


def _frame(head: bytes, size: int) -> _Frame | None:
    """What a frame's header says; None if these bytes are not one, by its checksum.

    Args:
        head: the first 16 bytes.
        size: samples in each frame but the last, where frames are numbered and not samples.
    """
    if len(head) < 16 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    number, place = _coded_number(head)
    blocks, rate = head[2] >> 4, head[2] & 15
    if number is None or blocks == 0:
        return None
    if blocks in (6, 7):
        width = blocks - 5
        samples = int.from_bytes(head[place : place + width], "big") + 1
        place += width
    else:
        samples = 192 if blocks == 1 else 576 << blocks - 2 if blocks < 6 else 256 << blocks - 8
    place += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if _crc8(head[:place]) != head[place]:
        return None
    return _Frame(number if head[1] & 1 else number * size, samples)


def _coded_number(head: bytes) -> tuple[int | None, int]:
    """The number of a frame or sample, coded as in UTF-8, and the place after it."""
    lead = head[4]
    if lead < 0x80:
        return lead, 5
    for more in range(1, 7):
        if lead >> 6 - more == (1 << more + 2) - 2:
            number = lead & (1 << 6 - more) - 1
            for byte in head[5 : 5 + more]:
                number = number << 6 | byte & 63
            return number, 5 + more
    return None, 5


def _table(polynomial: int, bits: int) -> list[int]:
    table, top, mask = [], 1 << bits - 1, (1 << bits) - 1
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value
