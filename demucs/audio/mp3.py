"""The frames of an MPEG audio file (mp3, mp2), from their headers, and the streams they make up.

Files that were joined end to end are several streams: each begins with a frame that counts those
after it (Xing, Info or VBRI), or where the rate or the number of channels changes. A decoder that
takes them for one stops at the first change, or where the first stream's count ends.

Reference: ISO/IEC 11172-3, section 2.4.1.3 (the header of a frame).
"""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from demucs.audio.headers import before_id3v1, cached_until_changed, id3_length, mapped

# kbit/s by (is MPEG 1, layer)
_KBITS = {
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44100, 48000, 32000)  # Hz; halved in MPEG 2, and again in 2.5
_SLACK = 2  # frames beyond a count that are not another stream: writers count differently


class Header(NamedTuple):
    """One frame: its bytes, its samples in each channel, Hz, channels, layer.

    `side` is how many bytes of its own information come before the data, where a count may stand.
    """

    length: int
    samples: int
    rate: int
    channels: int
    layer: int
    side: int

    @property
    def kind(self) -> tuple[int, int, int]:
        """What a decoder does not expect to change in a stream."""
        return self.rate, self.channels, self.layer


@dataclass(frozen=True)
class Mp3:
    """One stream of an MPEG file.

    Attributes:
        told: samples of each channel that its first frame tells of; None if it does not.
        found: samples in the complete frames, the first frame's not counted if it tells.
        is_whole: the last frame is complete.
        start, end: bytes in the file.
        rest: bytes after the last frame that are not a tag.
    """

    told: int | None
    found: int
    is_whole: bool
    start: int
    end: int
    rest: int = 0


@cached_until_changed
def read_mp3(path: Path) -> tuple[Mp3, ...]:
    """Reads the headers of all frames; empty if they are not those of an MPEG file.

    Raises:
        OSError: the file cannot be read.
    """
    with mapped(path) as data:
        size = len(data)
        end = _end(data)
        frames = list(_frames(data, end))
        counts = {
            index: count
            for index, (place, header) in enumerate(frames)
            if (count := _told(data, place, header)) is not None
        }
    begins = _begins(frames, counts) if frames else []
    streams: list[Mp3] = []
    for begin, after in pairwise([*begins, len(frames)]):
        first = begin + (begin in counts)
        last_place, last = frames[after - 1]
        is_whole = last_place + last.length <= end
        streams.append(
            Mp3(
                told=counts.get(begin) or None,
                found=sum(header.samples for _, header in frames[first : after - (not is_whole)]),
                is_whole=is_whole,
                start=frames[begin][0] if streams else 0,
                end=frames[after][0] if after < len(frames) else size,
                rest=max(0, end - last_place - last.length) if after == len(frames) else 0,
            )
        )
    return tuple(streams) if any(stream.found for stream in streams) else ()


def _begins(frames: Sequence[tuple[int, Header]], counts: dict[int, int]) -> list[int]:
    """The index of the first frame of each stream."""
    begins = [0]
    for index in range(1, len(frames)):
        header, begin = frames[index][1], begins[-1]
        changed = header.kind != frames[index - 1][1].kind
        lasting = index + 1 < len(frames) and frames[index + 1][1].kind == header.kind
        if index in counts or (changed and lasting and header.kind != frames[begin][1].kind):
            _end_at_count(begins, index, frames, counts)
            begins.append(index)
    _end_at_count(begins, len(frames), frames, counts)
    return begins


def _end_at_count(
    begins: list[int], after: int, frames: Sequence[tuple[int, Header]], counts: dict[int, int]
) -> None:
    """Ends the last stream, of frames up to `after`, where its count does, if it goes on."""
    if begins[-1] not in counts:
        return
    begin = begins[-1]
    counted = begin + 1 + counts[begin] // frames[begin][1].samples
    if counts[begin] and after > counted + _SLACK:
        begins.append(counted)


def _end(data: mmap.mmap) -> int:
    """Where the frames end and tags begin (APEv2, ID3v1)."""
    end = before_id3v1(data, len(data))
    footer = data[max(0, end - 32) : end]
    if footer[:8] == b"APETAGEX":
        end -= int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 128 else 0)
    return max(0, end)


def _frames(data: mmap.mmap, end: int) -> Iterator[tuple[int, Header]]:
    """Place (bytes) and header of each frame."""
    place = _after_tags(data, 0)
    in_step = False
    while place < end:
        header = read_header(_four(data, place))
        if header and (in_step or read_header(_four(data, place + header.length))):
            after = place + header.length
            inner = _begun_inside(data, place, after) if in_step else None
            yield place, header
            place, in_step = inner or after, True
            continue
        skipped = _after_tags(data, place)  # of files that were joined
        if skipped > place:
            place, in_step = skipped, False
            continue
        in_step, place = False, data.find(b"\xff", place + 1)
        if place < 0:
            return


def _begun_inside(data: mmap.mmap, place: int, after: int) -> int | None:
    """Where another file begins in what should be a frame, as the frame was cut off."""
    if after >= len(data) or read_header(_four(data, after)) or _after_tags(data, after) > after:
        return None
    inner = data.find(b"\xff", place + 4, after)
    while inner >= 0:
        header = read_header(_four(data, inner))
        if header is not None and read_header(_four(data, inner + header.length)):
            return inner
        inner = data.find(b"\xff", inner + 1, after)
    tag = data.find(b"ID3", place + 4, after)
    return tag if tag >= 0 else None


def _after_tags(data: mmap.mmap, place: int) -> int:
    """The place after ID3 tags of version 1 (128 bytes) and 2."""
    while (name := data[place : place + 3]) in (b"ID3", b"TAG"):
        if name == b"TAG":
            place += 128
        else:
            place += id3_length(data[place : place + 10])
    return place


def _four(data: mmap.mmap, place: int) -> bytes:
    return data[place : place + 4]


@lru_cache(maxsize=4096)
def read_header(head: bytes) -> Header | None:
    """What four bytes say of a frame; None if they are not the head of one of layer II or III."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer not in (2, 3) or bits in (0, 15) or rate == 3:
        return None
    is_1, mono = version == 3, head[3] >> 6 == 3
    hertz = _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    samples = 1152 if is_1 or layer == 2 else 576
    length = samples // 8 * _KBITS[is_1, layer][bits] * 1000 // hertz + (head[2] >> 1 & 1)
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[is_1, mono]
    return Header(length, samples, hertz, 1 if mono else 2, layer, side)


def _told(data: mmap.mmap, place: int, header: Header) -> int | None:
    """Samples that a frame counts after it: None if it is not one for that, 0 if it lacks them."""
    if header.layer != 3:
        return None
    for begin in (place + 4 + header.side, place + 6 + header.side):  # there, with a checksum
        if data[begin : begin + 4] in (b"Xing", b"Info"):
            frames = _four(data, begin + 8) if data[begin + 7] & 1 else b""
            return int.from_bytes(frames, "big") * header.samples
    if _four(data, place + 36) == b"VBRI":
        return int.from_bytes(_four(data, place + 50), "big") * header.samples
    return None
