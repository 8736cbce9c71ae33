"""Measurements of one file, block by block: level, silence, clipping, offset."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demucs.data.doctor.decode import Samples
from demucs.data.doctor.limits import CLIP_RUN, FULL_SCALE, SAME_CHANNELS_DB, SILENCE_DBFS

_SILENCE = 10 ** (SILENCE_DBFS / 10)


def decibels(power: float) -> float:
    """10 log10, with -inf for nothing."""
    return 10 * math.log10(power) if power > 0 else -math.inf


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Measurements of a file.

    Attributes:
        samplerate: Hz.
        channels: number of them.
        frames: samples of a channel that could be decoded.
        lossy: the coding changes samples.
        floating: the file can hold samples beyond full scale.
        nonfinite: samples that are NaN or infinite.
        peak: largest magnitude.
        power: mean square.
        offset: the mean of the channel where it is largest.
        silent: share of frames below `SILENCE_DBFS`, 0 to 1.
        clipped: samples in runs of `CLIP_RUN` or more at full scale.
        longest: samples of the longest such run.
        mono: there are several channels, and all are the same.
    """

    samplerate: int
    channels: int
    frames: int
    lossy: bool
    floating: bool
    nonfinite: int
    peak: float
    power: float
    offset: float
    silent: float
    clipped: int
    longest: int
    mono: bool


class Levels:
    """Gathers the facts of a file from its blocks.

    Args:
        samplerate: Hz.
        channels: number of them.
        frame: samples of the frames in which silence is looked for.
    """

    def __init__(
        self, samplerate: int, channels: int, frame: int, *, lossy: bool, floating: bool
    ) -> None:
        self._about = (samplerate, channels)
        self._coding = (lossy, floating)
        self._frame = frame
        self._frames = self._nonfinite = self._quiet = self._grid = 0
        self._peak = self._squares = self._difference = 0.0
        self._sums = np.zeros(channels)
        self._runs = ClippedRuns(channels)

    def add(self, block: Samples) -> Samples:
        """Takes the next samples `[C, T]` in; returns them with zeros where they are not finite.

        All blocks but the last hold a whole number of frames.
        """
        peak = float(np.abs(block).max(initial=0.0))
        if not math.isfinite(peak):
            bad = ~np.isfinite(block)
            self._nonfinite += int(bad.sum())
            block = np.where(bad, np.float32(0), block)
            peak = float(np.abs(block).max(initial=0.0))
        self._peak = max(self._peak, peak)
        self._frames += block.shape[1]
        self._sums += block.sum(1, dtype=np.float64)
        powers = frame_powers(block, self._frame)
        self._squares += float(powers.sum()) * self._frame * block.shape[0]
        self._quiet += int((powers < _SILENCE).sum())
        self._grid += len(powers)
        if block.shape[0] > 1:
            apart = frame_powers(block[1:] - block[:1], self._frame)
            self._difference += float(apart.sum()) * self._frame * (block.shape[0] - 1)
        self._runs.add(block, peak)
        return block

    def facts(self) -> FileFacts:
        self._runs.end()
        samplerate, channels = self._about
        count = max(self._frames, 1)
        same = decibels(self._difference) < decibels(self._squares) + SAME_CHANNELS_DB
        return FileFacts(
            samplerate=samplerate,
            channels=channels,
            frames=self._frames,
            lossy=self._coding[0],
            floating=self._coding[1],
            nonfinite=self._nonfinite,
            peak=self._peak,
            power=self._squares / (count * channels),
            offset=float(np.abs(self._sums).max()) / count,
            silent=self._quiet / max(self._grid, 1),
            clipped=self._runs.samples,
            longest=self._runs.longest,
            mono=channels > 1 and self._squares > 0 and same,
        )


class ClippedRuns:
    """Runs of samples at full scale, across the borders of blocks."""

    def __init__(self, channels: int) -> None:
        self.samples = 0
        self.longest = 0
        self._open = [0] * channels  # length of the run that reached the end of the last block

    def add(self, block: Samples, peak: float) -> None:
        """Takes in samples `[C, T]`, of which `peak` is the largest magnitude."""
        if peak < FULL_SCALE:
            self.end()
            return
        for channel, wave in enumerate(np.abs(block) >= FULL_SCALE):
            edges = np.flatnonzero(np.diff(wave, prepend=False, append=False))
            starts, stops = edges[::2], edges[1::2]
            lengths = stops - starts
            if len(starts) and starts[0] == 0:
                lengths[0] += self._open[channel]
            else:
                self._count(np.array([self._open[channel]]))
            reaches = len(stops) > 0 and stops[-1] == len(wave)
            self._open[channel] = int(lengths[-1]) if reaches else 0
            self._count(lengths[:-1] if reaches else lengths)

    def end(self) -> None:
        """Closes the runs that reached the end of the last block."""
        self._count(np.array(self._open))
        self._open = [0] * len(self._open)

    def _count(self, lengths: NDArray[np.int64]) -> None:
        long = lengths[lengths >= CLIP_RUN]
        self.samples += int(long.sum())
        self.longest = max(self.longest, int(long.max(initial=0)))


def frame_powers(block: Samples, frame: int) -> NDArray[np.float64]:
    """Mean squares `[K]` of the frames of `[C, T]`; the last one is filled with zeros."""
    rest = -block.shape[1] % frame
    if rest:
        block = np.pad(block, ((0, 0), (0, rest)))
    framed = block.reshape(block.shape[0], -1, frame)
    powers: NDArray[np.float64] = np.einsum("ckt,ckt->k", framed, framed).astype(np.float64)
    powers /= frame * block.shape[0]
    return powers
