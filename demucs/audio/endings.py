"""Files that end too early, or hold something else than their headers tell.

Where a header counts the samples, a file that was cut off is an error; where none does, as in an
ogg or in many an mp3, it is read as far as it goes, with a warning if its end shows the cut. A
header that is wrong about a file that is whole is a warning too.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from demucs.audio.announced import SLACK
from demucs.audio.layout import Link
from demucs.audio.mp3 import Mp3
from demucs.audio.ogg import ogg_ends
from demucs.errors import AudioError

_TRIMMED = 4 * 1152  # samples that decoders may take off the ends of an mp3


class CutShortError(AudioError):
    """A file without all the samples that its header tells of.

    Attributes:
        reason: what is wrong, without the name of the file and the remedy.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{path} is damaged or cut short: {reason}. Copy or download it again, or keep what "
            "there is: ffmpeg -i IN OUT.wav"
        )


def seems_cut(sign: str) -> str:
    """What is said of a file whose end shows that it was cut off, after its name; as below."""
    return f"seems to be cut short ({sign}): it is read as far as it goes"


def seems_damaged(sign: str) -> str:
    return f"seems to be damaged ({sign}): it is read as far as it goes"


def has_wrong_header(sign: str) -> str:
    return f"has a wrong header ({sign}): it is read to its end"


def leaves_out(count: int, what: str) -> str:
    return (
        f"has {count} bytes {what}, which are not read: if they are sound, write them to a file of "
        "their own"
    )


def check_header(path: Path, link: Link, frames: int | None, rate: int) -> None:
    """Raises CutShortError if a header announces more than there is.

    Args:
        path: the file.
        link: one of its streams.
        frames: samples that a decoder finds in it; None if it does not know.
        rate: Hz.
    """
    data = link.data
    if data is None or not data.is_cut or data.length is None:
        return
    if not data.there:
        raise AudioError(
            f"{path} holds no samples: it was cut short after its header, which tells of "
            f"{data.length} bytes. Copy or download it again."
        )
    if frames is None:
        raise CutShortError(path, f"{data.there} of {data.length} bytes of samples are there")
    raise CutShortError(path, cut_off(frames, round(frames * data.length / data.there), rate))


def cut_off(frames: int, whole: int, rate: int) -> str:
    """What is said of a file with so many samples of the whole."""
    return f"it is cut off after {frames / rate:.2f} s of {whole / rate:.2f} s"


def doubts(
    path: Path,
    link: Link,
    frames: int,
    expected: int | None,
    rate: int,
    *,
    links: Sequence[Link],
) -> Iterator[str]:
    """Holds what was decoded of a link against what the file tells of it.

    Args:
        path: the file.
        link: one of its streams.
        frames: samples that were decoded.
        expected: samples that the decoder knew of; None if it did not.
        rate: Hz.
        links: all streams of the file.

    Yields:
        What is to be said of the file, after its name.

    Raises:
        CutShortError: samples that a header counts are missing.
    """
    last = link == links[-1]
    if link.is_counted and expected is not None and frames < expected:
        raise CutShortError(path, cut_off(frames, expected, rate))
    if link.mp3 is not None:
        sign = _mp3_sign(path, link.mp3, frames, rate, last)
    elif last and link.data is None and _is_ogg(path) and not ogg_ends(path):
        sign = "the last page of an ogg stream is missing"
    elif link.flac is not None and link.flac.after is None and link.flac.told is None:
        sign = "the last frame of a flac stream is not complete"
    else:
        sign = ""
    if sign:
        yield seems_cut(sign)
    if wrong := _wrong_header(link, frames, rate):
        yield has_wrong_header(wrong)
    if last and (rest := _rest(link)) > SLACK:
        yield leaves_out(rest, "after the end that its header tells of")
    if link.start > SLACK and link == links[0]:
        yield leaves_out(link.start, "of a stream before the first whose beginning is there")


def _mp3_sign(path: Path, mp3: Mp3, frames: int, rate: int, last: bool) -> str:
    if mp3.told is None:
        return "" if mp3.is_whole or not last else "the last frame of an mp3 is not complete"
    if last and frames < 0.95 * mp3.told - _TRIMMED:
        raise CutShortError(path, cut_off(frames, mp3.told, rate))
    return f"{frames} of {mp3.told} samples" if frames < mp3.told - _TRIMMED else ""


def _wrong_header(link: Link, frames: int, rate: int) -> str:
    """What a header tells that is not so, of a file that is whole."""
    if link.flac is not None and link.flac.told not in (None, frames):
        return (
            f"it tells of {(link.flac.told or 0) / rate:.2f} s, and {frames / rate:.2f} s are there"
        )
    data = link.data
    if data is None:
        return ""
    if data.missing:
        return f"it announces {data.missing} bytes more than there are"
    return "it does not tell how long the file is" if data.patches else ""


def _rest(link: Link) -> int:
    """Bytes after the last of the samples."""
    if link.data is not None:
        return link.data.rest
    return 0 if link.mp3 is None else link.mp3.rest


def _is_ogg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"OggS"
