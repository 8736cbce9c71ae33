"""Sizes that headers of uncompressed files announce, and the bytes that are there.

For wav, RF64, w64, aiff, caf and au files. libsndfile reads a file that was cut off as a short one
and says nothing, and some writers to a pipe leave lengths that mean nothing: none at all, or the
largest that they can.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from demucs.audio.headers import cached_until_changed
from demucs.audio.riff import Chunk, chunks

_PLACEHOLDER = 2**31 - 2**16  # bytes from which on a wav's length means "to the end"
_DOUBTFUL = 2 * 10**9  # what some write for that; as long as three hours of CD sound
SLACK = 2**12  # bytes that a header may announce too many, as by counting itself
_FORMS = (b"RIFF", b"RF64", b"FORM")  # of another file
_TAGS = (b"ID3", b"TAG", b"APE")  # that may follow a file without a chunk of their own


@dataclass(frozen=True)
class Announced:
    """What a header says of the samples, held against the file.

    Attributes:
        begin: place of the first byte of samples; 0 in a file of another kind.
        length: bytes that are announced; None if the header does not know.
        there: bytes that there are.
        patches: bytes to put into the header, by place, so that it tells the truth.
        next: place of a wav file that was joined to this one; None if there is none.
        rest: bytes after the samples that are neither chunks nor tags.
    """

    begin: int = 0
    length: int | None = None
    there: int = 0
    patches: tuple[tuple[int, bytes], ...] = ()
    next: int | None = None
    rest: int = 0

    @property
    def is_cut(self) -> bool:
        """True if samples are missing, as where a download ended too early."""
        few = self.missing <= SLACK and self.there > 0
        return self.missing > 0 and not few and not self.is_doubtful

    @property
    def is_doubtful(self) -> bool:
        """True if the length is one that stands for an unknown one."""
        return self.missing > SLACK and self.length is not None and self.length >= _DOUBTFUL

    @property
    def missing(self) -> int:
        return 0 if self.length is None else max(0, self.length - self.there)


@cached_until_changed
def announced(path: Path, start: int = 0) -> Announced:
    """Reads the header of a file, which begins at byte `start`.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not file.seekable():
            return Announced()
        file.seek(start)
        head = file.peek(4)[:4]
        if head in _OTHERS:
            begin, length = _OTHERS[head](file)
            rest = 0 if length is None or head == b"caff" else max(0, size - begin - length)
            return Announced(begin, length, size - begin, rest=rest) if begin else Announced()
        for chunk in chunks(file):
            if chunk.name in (b"data", b"SSND"):
                return _of_chunk(file, head, chunk, size)
    return Announced()


def _of_chunk(file: BinaryIO, head: bytes, chunk: Chunk, size: int) -> Announced:
    """What a chunk with the samples of a wav or aiff file says."""
    there = size - chunk.begin
    limit = 2**62 if head == b"RF64" else _PLACEHOLDER
    following, rest = _after(file, chunk, size, "big" if head == b"FORM" else "little")
    if chunk.length >= limit or (chunk.length == 0 and rest > 0):
        return Announced(chunk.begin, None, there, _patches(head, chunk, there))
    there = min(there, chunk.length)
    return Announced(chunk.begin, chunk.length, there, next=following, rest=rest)


def _patches(head: bytes, chunk: Chunk, there: int) -> tuple[tuple[int, bytes], ...]:
    """The true length where libsndfile would take the false one at its word."""
    if head == b"RF64" and chunk.long_size_at is not None:
        sizes = (chunk.long_size_at, there.to_bytes(8, "little"))
        return sizes, (chunk.begin - 4, b"\xff" * 4)
    if head == b"RIFF" and chunk.length == 0:
        return ((chunk.begin - 4, min(there, 2**32 - 1).to_bytes(4, "little")),)
    return ()


def _after(
    file: BinaryIO, chunk: Chunk, size: int, order: Literal["little", "big"]
) -> tuple[int | None, int]:
    """Place of a wav file that follows a chunk; bytes that are neither of chunks nor of tags."""
    place = chunk.begin + chunk.length + chunk.length % 2
    while place + 8 <= size:
        file.seek(place)
        head = file.read(12)
        name, length = head[:4], int.from_bytes(head[4:8], order)
        if name == b"RIFF" and head[8:] == b"WAVE":
            return place, 0
        if name[:3] in _TAGS:
            return None, 0
        strange = name in _FORMS or not name.strip().isalnum()
        if strange or place + 8 + length > size:
            return None, size - place
        place += 8 + length + length % 2
    return None, 0


def _w64(file: BinaryIO) -> tuple[int, int | None]:
    """Here and below: place of the first byte and bytes of the samples, or of all from there."""
    size = int.from_bytes(file.read(24)[16:], "little")
    return 24, size - 24 if size < 2**62 else None


def _au(file: BinaryIO) -> tuple[int, int | None]:
    head = file.read(12)
    begin, length = (int.from_bytes(head[place : place + 4], "big") for place in (4, 8))
    return begin, length if length < 2**32 - 1 else None


def _caf(file: BinaryIO) -> tuple[int, int | None]:
    size = os.fstat(file.fileno()).st_size
    file.seek(8)
    while len(head := file.read(12)) == 12:
        name, length = head[:4], int.from_bytes(head[4:], "big", signed=True)
        if name == b"data" or length < 0:
            return file.tell(), length if length > 0 else None
        if length > size:
            break
        file.seek(length, os.SEEK_CUR)
    return 0, None


_OTHERS = {b"riff": _w64, b".snd": _au, b"caff": _caf}
