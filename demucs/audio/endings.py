"""Files that end too early.

Where a header counts the samples, a file that has fewer is an error; where none does, as in an ogg
or in many an mp3, it is read as far as it goes, with a warning if its end shows that it was cut.
"""

import logging
import os
from pathlib import Path
from typing import BinaryIO

from demucs.audio.mp3 import read_mp3
from demucs.audio.riff import chunks
from demucs.errors import AudioError

_STREAMED = 2**31 - 2**16  # bytes; what a wav header says where its length was not known
_PAGE = 2**16  # bytes, which no page of an ogg file exceeds
_TRIMMED = 4 * 1152  # samples that decoders may take off the ends of an mp3
_log = logging.getLogger(__name__)


class CutShortError(AudioError):
    """A file without all the samples that its header tells of."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is damaged or cut short: not all the frames that its header tells of "
            "can be decoded. Copy or download it again."
        )


def warn_of_cut(path: Path, sign: str) -> None:
    _log.warning("%s seems to be cut short (%s): it is read as far as it goes.", path, sign)


def warn_of_damage(path: Path, sign: str) -> None:
    _log.warning("%s seems to be damaged (%s): it is read as far as it goes.", path, sign)


def is_cut_short(path: Path) -> bool:
    """True if a wav, RF64, w64, aiff, caf or au file ends before its header says.

    libsndfile is silent on it.

    Sizes of 2 GB and more in a plain wav file are those of programs that write to a pipe and
    cannot know better.
    """
    with path.open("rb") as file:
        if not file.seekable():
            return False
        size, head = path.stat().st_size, file.peek(4)[:4]
        if head in _ENDS:
            end: int = _ENDS[head](file)
            return end > size
        for kind, length in chunks(file):
            if kind in (b"data", b"SSND"):
                told = length < (2**62 if head == b"RF64" else _STREAMED)
                return told and file.tell() + length > size
    return False


def _w64_end(file: BinaryIO) -> int:
    """Bytes that the header tells of."""
    told = int.from_bytes(file.read(24)[16:], "little")
    return told if told < 2**62 else 0


def _au_end(file: BinaryIO) -> int:
    head = file.read(12)
    begin, length = (int.from_bytes(head[place : place + 4], "big") for place in (4, 8))
    return begin + length if length < 2**32 - 1 else 0


def _caf_end(file: BinaryIO) -> int:
    file.seek(8)
    while len(head := file.read(12)) == 12:
        kind, length = head[:4], int.from_bytes(head[4:], "big", signed=True)
        if kind == b"data" or length < 0:
            return file.tell() + max(length, 0)
        file.seek(length, os.SEEK_CUR)
    return 0


_ENDS = {b"riff": _w64_end, b".snd": _au_end, b"caff": _caf_end}


def check_end(path: Path, frames: int) -> None:
    """Looks at the end of a file of which `frames` frames were decoded, and warns of a cut one.

    Raises:
        CutShortError: an mp3 that counts its samples has clearly fewer.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
        if head == b"OggS":
            if not _ogg_ends(path):
                warn_of_cut(path, "the last page of an ogg stream is missing")
        elif head[:3] == b"ID3" or head[:1] == b"\xff":
            _check_mp3(path, frames)
    except OSError as error:
        _log.debug("%s: its end cannot be examined: %s", path, error)


def _check_mp3(path: Path, frames: int) -> None:
    mp3 = read_mp3(path)
    if mp3 is None:
        return
    if mp3.told is not None:
        if frames < 0.95 * mp3.told - _TRIMMED:
            raise CutShortError(path)
        if frames < mp3.told - _TRIMMED:
            warn_of_cut(path, f"{frames} of {mp3.told} samples")
    elif not mp3.is_whole:
        warn_of_cut(path, "the last frame of an mp3 is not complete")


def _ogg_ends(path: Path) -> bool:
    """True if the last page is complete and says that it is the last."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * _PAGE))
        tail = file.read()
    place = tail.rfind(b"OggS")
    if place < 0 or len(tail) < place + 27:
        return False
    sizes = tail[place + 27 : place + 27 + tail[place + 26]]
    end = place + 27 + tail[place + 26] + sum(sizes)
    return end <= len(tail) and bool(tail[place + 5] & 4)
