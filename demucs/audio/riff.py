"""The chunks of wav and aiff files, and the texts in the INFO chunk of a wav file.

Reference: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991),
EBU Tech 3306 for RF64. Neither names an encoding; programs of today write UTF-8.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Literal, NamedTuple

_LONGEST = 2**20  # bytes of a chunk of texts
_MOST = 1000  # chunks to look at
_UNTOLD = 2**32 - 1  # a size that stands elsewhere (RF64)


def read_info(path: Path) -> dict[str, str]:
    """The texts of a wav or RF64 file by their four letters, as `{"INAM": "A title"}`.

    Nothing for another file.

    Raises:
        OSError: the file cannot be read.
    """
    found: dict[str, str] = {}
    with path.open("rb") as file:
        for chunk in chunks(file):
            size = chunk.length
            if chunk.name == b"LIST" and 4 <= size <= _LONGEST and file.read(4) == b"INFO":
                for name, text in _fields(file.read(size - 4)):
                    found.setdefault(name, text)
    return found


class Chunk(NamedTuple):
    """Name, place of the first byte, and length in bytes.

    `long_size_at` is the place of the length in 64 bits, which the samples of an RF64 file have.
    """

    name: bytes
    begin: int
    length: int
    long_size_at: int | None = None


def chunks(file: IO[bytes]) -> Iterator[Chunk]:
    """The chunks of a wav, RF64 or aiff file, which goes from its first byte to that of each."""
    head = file.read(12)
    form = (head[:4], head[8:])
    if form in ((b"RIFF", b"WAVE"), (b"RF64", b"WAVE")):
        order: Literal["little", "big"] = "little"
    elif form in ((b"FORM", b"AIFF"), (b"FORM", b"AIFC")):
        order = "big"
    else:
        return
    size = os.fstat(file.fileno()).st_size
    samples, long_size_at = _UNTOLD, None
    for _ in range(_MOST):
        header = file.read(8)
        if len(header) < 8:
            return
        name, length, begin = header[:4], int.from_bytes(header[4:], order), file.tell()
        if name == b"data" and length == _UNTOLD:
            length = samples
        yield Chunk(name, begin, length, long_size_at if name == b"data" else None)
        if name == b"ds64":
            long_size_at = begin + 8
            file.seek(long_size_at)
            samples = int.from_bytes(file.read(8), "little")
        if length > size:
            return
        file.seek(begin + length + length % 2)


def _fields(data: bytes) -> Iterator[tuple[str, str]]:
    while len(data) > 8:
        length = int.from_bytes(data[4:8], "little")
        raw = data[8 : 8 + length].rstrip(b"\0")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", "replace")
        if text.strip():
            yield data[:4].decode("latin-1"), text.strip()
        data = data[8 + length + length % 2 :]


def write_info(path: Path, texts: Mapping[str, str]) -> None:
    """Appends texts, by their four letters, to a wav or RF64 file as libsndfile writes them.

    Nothing is written to a file that would become too long for its kind.

    Raises:
        OSError: the file cannot be written.
    """
    body = b"INFO" + b"".join(_field(name, text) for name, text in texts.items())
    chunk = b"LIST" + len(body).to_bytes(4, "little") + body
    with path.open("r+b") as file:
        place, width = (4, 4) if file.read(4) == b"RIFF" else (20, 8)  # RF64: in its ds64 chunk
        end = file.seek(0, os.SEEK_END)
        chunk = b"\0" * (end % 2) + chunk
        size = end + len(chunk) - 8
        if size >= 256**width:
            return
        file.write(chunk)
        file.seek(place)
        file.write(size.to_bytes(width, "little"))


def _field(name: str, text: str) -> bytes:
    data = text.encode("utf-8", "backslashreplace") + b"\0"
    return name.encode("ascii") + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
