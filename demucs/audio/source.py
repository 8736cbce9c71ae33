"""A file of any length as blocks of the rate and the channels that a model wants."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from demucs.audio.convert import BlockResampler, convert_channels
from demucs.audio.endings import CutShortError, check_end, is_cut_short
from demucs.audio.ffmpeg import ffmpeg_blocks, ffmpeg_format
from demucs.audio.reading import (
    check_estimate,
    check_samples,
    checked,
    count_bad,
    is_counted,
    sndfile_name,
    undecodable,
)
from demucs.audio.statistics import MonoStatistics
from demucs.errors import AudioError, MissingToolError

BLOCK = 2**18  # frames read at a time
KEPT = 2**23  # samples, up to which the signal is kept from the first pass for the second
_log = logging.getLogger(__name__)


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
        self.path: Path = checked(path)
        self.samplerate, self.channels = samplerate, channels
        self._kept: list[Tensor] | None = []
        self._resampler: BlockResampler | None = None
        try:
            self._open_soundfile()
            self._scan()
        except (RuntimeError, TypeError) as error:
            _log.debug("libsndfile cannot read %s (%s): trying ffmpeg", self.path, error)
            try:
                self.file_samplerate, self.file_channels = ffmpeg_format(self.path)
                self._by_ffmpeg = True
                self._scan()
            except (AudioError, MissingToolError) as second:
                if self._by_ffmpeg and str(self.path) in str(second):
                    raise  # it was decoded, and is of no use
                raise undecodable(self.path, str(error), second) from None

    def _open_soundfile(self) -> None:
        self._by_ffmpeg = False
        with soundfile.SoundFile(sndfile_name(self.path)) as file:
            self.file_samplerate, self.file_channels = file.samplerate, file.channels
            check_estimate(self.path, file.format, file.frames)
            if is_counted(file) and is_cut_short(self.path):
                raise CutShortError(self.path)

    def _scan(self) -> None:
        """The first pass."""
        frames = bad = 0
        statistics, self._kept = MonoStatistics(), []
        for block in self._read(first=True):
            frames += block.shape[-1]
            bad += count_bad(block)
            if bad:
                continue  # read on to count them all
            for part in self._convert(block):
                statistics.update(part)
                self._keep(part, statistics.count)
        check_samples(self.path, frames, bad)
        check_end(self.path, frames)
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
        count = 0
        for block in self._read():
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

    def _read(self, *, first: bool = False) -> Iterator[Tensor]:
        """The file as it is, `[C, n]`; the first time its end is looked at."""
        self._resampler = None
        if self._by_ffmpeg:
            yield from ffmpeg_blocks(self.path, self.file_channels, BLOCK, check=first)
            return
        with soundfile.SoundFile(sndfile_name(self.path)) as file:
            expected, found = file.frames, 0
            try:
                while len(data := file.read(BLOCK, dtype="float32", always_2d=True)):
                    found += len(data)
                    yield torch.from_numpy(data.T.copy())
            except RuntimeError:
                if not is_counted(file):
                    raise
                found = -1
            if is_counted(file) and found < expected:
                raise CutShortError(self.path)
