"""A file of any length as blocks of the rate and the channels that a model wants."""

import os
from collections.abc import Iterator

from torch import Tensor

from demucs.audio.convert import BlockResampler, convert_channels
from demucs.audio.reading import check_samples, count_bad
from demucs.audio.statistics import MonoStatistics
from demucs.audio.stream import AudioStream
from demucs.errors import AudioError

KEPT = 2**23  # samples, up to which the signal is kept from the first pass for the second


class AudioSource:
    """An audio file, read twice: to know its length and statistics, then for its samples.

    Only a block of it is in memory at a time, but for short files, which are kept.

    Args:
        path: any file that `demucs.audio.read_audio` reads.
        samplerate: the rate that is wanted, Hz.
        channels: those that are wanted, converted as `convert_audio` does.

    Attributes:
        length: samples, at the rate that is wanted.
        mean, scale: of the mono version; scale is the standard deviation and a little more.
        file_samplerate, file_channels: of the file.

    Raises:
        AudioError: whatever `read_audio` complains of; nothing is left at the rate that is wanted.
    """

    def __init__(self, path: str | os.PathLike[str], samplerate: int, channels: int) -> None:
        self.samplerate, self.channels = samplerate, channels
        self._kept: list[Tensor] | None = []
        self._resampler: BlockResampler | None = None
        with AudioStream(path) as stream:
            self.path = stream.path
            self.file_samplerate, self.file_channels = stream.samplerate, stream.channels
            self._scan(stream)

    def _scan(self, stream: AudioStream) -> None:
        """The first pass."""
        frames = bad = 0
        statistics = MonoStatistics()
        for block in stream.blocks():
            frames += block.shape[-1]
            bad += count_bad(block)
            if bad:
                continue  # read on to count them all
            for part in self._convert(block):
                statistics.update(part)
                self._keep(part, statistics.count)
        check_samples(self.path, frames, bad)
        for part in self._convert(None):
            statistics.update(part)
            self._keep(part, statistics.count)
        self.length, self.mean, self.scale = statistics.count, statistics.mean, statistics.scale
        if self.length == 0:
            raise AudioError(
                f"{self.path}: Cannot separate {frames} samples at {self.file_samplerate} Hz: "
                f"not one is left at {self.samplerate} Hz."
            )

    def _keep(self, part: Tensor, length: int) -> None:
        if self._kept is not None and length * self.channels <= KEPT:
            self._kept.append(part)
        else:
            self._kept = None

    def blocks(self) -> Iterator[Tensor]:
        """The signal, `[channels, n]` each, `length` samples in all. Not to be modified.

        Raises:
            AudioError: there are no longer as many as in the first pass.
        """
        if self._kept is not None:
            yield from self._kept
            return
        count, self._resampler = 0, None
        with AudioStream(self.path, warn=False) as stream:
            for block in stream.blocks():
                for part in self._convert(block):
                    count += part.shape[-1]
                    yield part
        for part in self._convert(None):
            count += part.shape[-1]
            yield part
        if count != self.length:
            raise AudioError(f"{self.path} was changed while it was read: separate it again.")

    def _convert(self, block: Tensor | None) -> Iterator[Tensor]:
        """What is finished once `block` has come; None: it was the last."""
        if self.file_samplerate == self.samplerate:
            if block is not None:
                yield convert_channels(block, self.channels)
            return
        if self._resampler is None:
            self._resampler = BlockResampler(self.file_samplerate, self.samplerate)
        if block is not None:
            done = self._resampler.push(convert_channels(block, self.channels))
        else:
            done, self._resampler = self._resampler.finish(), None
        if done.shape[-1]:
            yield done
