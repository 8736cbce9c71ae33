"""The layout of an audio file: one stream of sound or several that follow each other.

libsndfile reads the first of them, and believes what headers tell of lengths; here is looked at
what the file itself shows.
"""

from dataclasses import dataclass
from pathlib import Path

from demucs.audio.adts import read_adts
from demucs.audio.announced import SLACK, Announced, announced
from demucs.audio.flac import FlacStream, read_flac
from demucs.audio.headers import id3_length
from demucs.audio.mp3 import Mp3, read_mp3
from demucs.audio.ogg import read_ogg


@dataclass(frozen=True, kw_only=True)
class Link:
    """One stream of sound in a file, which a decoder can take for a file of its own.

    Attributes:
        start, end: bytes in the file.
        patches: bytes to read in place of those in the file, by place in the link.
        mp3, flac, data: what was found out about one of these kinds.
    """

    start: int
    end: int
    patches: tuple[tuple[int, bytes], ...] = ()
    mp3: Mp3 | None = None
    flac: FlacStream | None = None
    data: Announced | None = None

    @property
    def is_counted(self) -> bool:
        """True if the header is bound to know how many samples there are."""
        return self.data is not None or self.flac is not None


@dataclass(frozen=True)
class Layout:
    """The links of a file, one at least.

    `is_whole` is true where a decoder may as well read the file itself.
    """

    links: tuple[Link, ...]
    is_whole: bool


def examine(path: Path) -> Layout:
    """Finds the streams of a file by its first bytes.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
    links = _links(path, head, size) or (Link(start=0, end=size),)
    first = links[0]
    all_of_it = first.start == 0 and (first.end == size or first.flac is not None)
    return Layout(links, len(links) == 1 and all_of_it and not first.patches)


def _links(path: Path, head: bytes, size: int) -> tuple[Link, ...]:
    if head == b"OggS":
        return _of_ogg(path)
    if head == b"fLaC":
        return _of_flac(path)
    if head[:3] == b"ID3":  # before an mp3, or, by some programs, before a flac file
        return _of_mpeg(path) if not _is_flac(path) else _of_flac(path)
    if head[:1] == b"\xff":
        return _of_mpeg(path) or tuple(Link(start=a, end=b) for a, b in read_adts(path))
    return tuple(_of_data(path, size)) or (_of_ogg(path) if _begins_amid_ogg(path) else ())


def _begins_amid_ogg(path: Path) -> bool:
    """True of a part of an Ogg file that begins within a page, as a recording of a stream may."""
    with path.open("rb") as file:
        return b"OggS\0" in file.read(2**16 + 32)


def _of_ogg(path: Path) -> tuple[Link, ...]:
    return tuple(Link(start=stream.start, end=stream.end) for stream in read_ogg(path))


def _is_flac(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(10)
        file.seek(id3_length(head))
        return file.read(4) == b"fLaC"


def _of_flac(path: Path) -> tuple[Link, ...]:
    return tuple(
        Link(
            start=stream.start,
            end=stream.end,
            patches=tuple((place - stream.start, patch) for place, patch in stream.patches),
            flac=stream,
        )
        for stream in read_flac(path)
    )


def _of_mpeg(path: Path) -> tuple[Link, ...]:
    return tuple(Link(start=stream.start, end=stream.end, mp3=stream) for stream in read_mp3(path))


def _of_data(path: Path, size: int) -> list[Link]:
    """Of files whose samples are not coded."""
    links: list[Link] = []
    start: int | None = 0
    while start is not None:
        data = announced(path, start)
        if not data.begin:
            break
        end = size if data.next is None else data.next
        if data.rest > SLACK and data.length is not None:
            end = data.begin + data.length  # libsndfile takes what follows for sound
        patches = tuple((place - start, patch) for place, patch in data.patches)
        links.append(Link(start=start, end=end, patches=patches, data=data))
        start = data.next
    return links
