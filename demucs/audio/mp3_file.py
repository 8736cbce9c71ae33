"""An mp3 file that is encoded block by block, and plays without a gap."""

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import lameenc
import numpy as np

from demucs.audio.mp3 import Header, read_header
from demucs.audio.mp3_tag import info_frame, tag_header


class Mp3File(AbstractContextManager["Mp3File"]):
    """An encoder with the few methods of a `SoundFile` that we use.

    Its first frame tells the length of what was encoded, which is known only at the end: its place
    is kept.

    Args:
        path: where it is written.
        samplerate: Hz of the samples; the encoder takes a lower one for a bitrate that is too low.
        channels: 1 or 2.
        bitrate: kbit/s.
        preset: 2 (best) to 7 (fastest).

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self, path: Path, samplerate: int, channels: int, bitrate: int, preset: int
    ) -> None:
        self.file: IO[bytes] = path.open("wb")
        self.encoder = lameenc.Encoder()
        self.encoder.silence()
        self.encoder.set_bit_rate(bitrate)
        self.encoder.set_in_sample_rate(samplerate)
        self.encoder.set_channels(channels)
        self.encoder.set_quality(preset)
        self._samplerate = samplerate
        self._first, self._unread = b"", b""  # first header; bytes after the last complete frame
        self._samples = self._frames = self._length = 0

    def write(self, samples: "np.ndarray[Any, np.dtype[Any]]") -> None:
        """Appends `[T, C]`, 16-bit integers."""
        self._samples += len(samples)
        self._append(bytes(self.encoder.encode(samples.tobytes())))

    def _append(self, data: bytes) -> None:
        if not data:
            return
        if not self._first:
            self._first = data[:4]
            self.file.write(bytes(tag_header(self._first)[1].length))
        self.file.write(data)
        self._length += len(data)
        self._count(self._unread + data)

    def _count(self, data: bytes) -> None:
        """Counts the complete frames."""
        place = 0
        while (header := _header_at(data, place)) and place + header.length <= len(data):
            place += header.length
            self._frames += 1
        self._unread = data[place:]

    def _tell(self) -> None:
        """Writes the first frame."""
        header = read_header(self._first)
        assert header is not None
        samples = round(self._samples * header.rate / self._samplerate)
        kbits = round(self._length * 8 * header.rate / (self._frames * header.samples * 1000))
        self.file.seek(0)
        self.file.write(info_frame(self._first, self._frames, self._length, samples, kbits))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.file:
            if kind is None:
                self._append(bytes(self.encoder.flush()))
                if self._frames:
                    self._tell()


def _header_at(data: bytes, place: int) -> Header | None:
    return read_header(data[place : place + 4])
