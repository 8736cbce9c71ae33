"""libsndfile as a decoder: wav, flac, ogg, mp3 and the like, from the first sample to the last."""

import os
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from demucs.audio.layout import Link
from demucs.audio.region import Region

Samples = NDArray[np.float32]

_UNKNOWN_LENGTH = 2**62  # libsndfile says 2**63 - 1 where a stream does not tell its length
_LOSSY = ("MPEG", "MP3", "OGG")
# Vorbis and Opus have an order of channels of their own (Vorbis I, section 4.3.9; RFC 7845); this
# is where the channels of wav files stand in it: left, right, centre, low, back, side.
_VORBIS_ORDER = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after each block that it reads, and in some files lands somewhere else."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """Samples of one link of a file.

    Args:
        path: the file.
        link: what of it.
        whole: the link is the file as it is.

    Attributes:
        samplerate: Hz.
        channels: of each block; the first two are left and right.
        frames: samples that there should be; None if that is not known.
        lossy: coded so that these are not the samples that were put in.
        floating: samples beyond full scale are possible.
        can_seek: `seek` finds the very sample.

    Raises:
        RuntimeError: libsndfile does not know the format, or would not read all of it.
    """

    def __init__(self, path: Path, link: Link, whole: bool) -> None:
        self._region = None if whole else Region(path, link.start, link.end, link.patches)
        try:
            self._file = _Forward(sndfile_name(path) if self._region is None else self._region)
        except BaseException:
            self._close_region()
            raise
        file = self._file
        self.samplerate, self.channels = int(file.samplerate), int(file.channels)
        self.lossy = file.format in _LOSSY
        self.floating = self.lossy or file.subtype in ("FLOAT", "DOUBLE")
        self.frames = _frames(int(file.frames), link)
        self._order = _VORBIS_ORDER.get(self.channels) if file.format == "OGG" else None
        plain_flac = link.flac is None or link.flac.is_plain
        # libsndfile has been seen to land elsewhere in the last pages of Ogg Vorbis.
        exact = file.format != "OGG" or file.subtype == "OPUS"
        self.can_seek = plain_flac and exact and self.frames is not None
        mp3 = link.mp3
        if mp3 is not None and mp3.told is None and file.frames < mp3.found - 2 * 1152:
            # All frames were taken for as long as the first.
            self.close()
            raise RuntimeError(f"its length is not told, and {file.frames} frames are too few")

    def read(self, frames: int) -> Samples:
        """The next `[T, C]`, fewer than `frames` only at the end.

        Raises:
            RuntimeError: the rest cannot be decoded.
        """
        samples: Samples = self._file.read(frames, dtype="float32", always_2d=True)
        return samples if self._order is None else samples[:, self._order]

    def seek(self, frame: int) -> None:
        """Goes to a sample, which is not beyond the end."""
        self._file.seek(frame)

    def close(self) -> None:
        self._file.close()
        self._close_region()

    def _close_region(self) -> None:
        if self._region is not None:
            self._region.close()


def _frames(frames: int, link: Link) -> int | None:
    if link.flac is not None:
        return link.flac.frames
    if link.mp3 is not None and link.mp3.told is None:
        return link.mp3.found
    if link.mp3 is not None and link.mp3.told is not None and link.mp3.found < link.mp3.told:
        return None
    return frames if frames < _UNKNOWN_LENGTH else None


def sndfile_name(path: Path) -> str | bytes:
    """The name as soundfile takes it, which refuses text that is not Unicode."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)
